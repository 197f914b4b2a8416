import type * as z from 'zod';

/**
 * A rule over several fields, said three times so that it holds everywhere: in CEL for the API server, in TypeScript for
 * the standalone mode and Pulumi programs, and in a sentence for people. One table of cases runs CEL and TypeScript.
 */
export interface Rule<T> {
  /** CEL over `self`. */
  readonly cel: string;
  /** What is wrong, and what would be right; names the field. */
  readonly message: string;
  /** The field to blame, relative to the schema that carries the rule (`path` or `vault.address`); absent = the whole. */
  readonly field?: string;
  /** The same in TypeScript; sees the value with its defaults. */
  holds(self: T): boolean;
}

/** A rule about a change: CEL over `self` and `oldSelf`. It stands on a required parent, else it could be bypassed. */
export interface TransitionRule<T> {
  readonly cel: string;
  readonly message: string;
  readonly field?: string;
  /** Whether any change of the field is refused: then another value needs another object. */
  readonly immutable?: true;
  holds(self: T, old: T): boolean;
}

/** One entry of `x-kubernetes-validations`. */
export interface CelValidation {
  readonly rule: string;
  readonly message: string;
  readonly fieldPath?: string;
}

const validationsKey = 'x-kubernetes-validations';

/** Puts rules on a schema: as checks of the parser, and as CEL for the CRD. Transition rules become CEL only; see `validateUpdate`. */
export function withRules<S extends z.ZodType>(
  schema: S,
  rules: readonly Rule<z.output<S>>[],
  transitions: readonly TransitionRule<z.output<S>>[] = [],
): S {
  let checked = schema;
  for (const rule of rules) {
    checked = checked.refine((self) => rule.holds(self), {
      message: rule.message,
      ...(rule.field === undefined ? {} : { path: rule.field.split('.') }),
    });
  }
  return checked.meta({ ...schema.meta(), [validationsKey]: [...rules, ...transitions].map(toValidation) });
}

function toValidation(rule: Pick<Rule<never>, 'cel' | 'message' | 'field'>): CelValidation {
  return { rule: rule.cel, message: rule.message, ...(rule.field === undefined ? {} : { fieldPath: `.${rule.field}` }) };
}

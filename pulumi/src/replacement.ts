import * as pulumi from '@pulumi/pulumi';
import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { kindTable } from '../../operator/src/api/kinds.ts';
import type { TransitionRule } from '../../operator/src/api/rule.ts';
import { toStructural } from '../../operator/src/api/structural.ts';
import type { KeywrightKind, Subject } from './kind.ts';
import { isLater, settledOf, wholeOf } from './later.ts';
import { openPlaces, valueAt } from './places.ts';
import { Replacement } from './replace.ts';
import { refusal } from './validation.ts';

/** A field that never changes. */
interface ImmutableField {
  /** From the specification: `vault.path`. */
  readonly field: string;
  readonly steps: readonly string[];
  /** What the API server takes for a field that is left out. */
  readonly fallback: unknown;
}

const immutableFields = Object.fromEntries(
  Object.values(kindTable).map(({ kind, spec, transitions }): [string, readonly ImmutableField[]] => {
    const fields = transitions.flatMap(({ immutable, field }) => (immutable === true && field !== undefined ? [field] : []));
    const schema = fields.length === 0 ? {} : toStructural(spec);
    const fallbackOf = (steps: readonly string[]): unknown =>
      valueAt(schema, [...steps.flatMap((step) => ['properties', step]), 'default']);
    return [kind, fields.map((field) => ({ field, steps: field.split('.'), fallback: fallbackOf(field.split('.')) }))];
  }),
) as Readonly<Record<KeywrightKind, readonly ImmutableField[]>>;

/**
 * The options by which the engine treats a change that is not allowed: a hook that refuses it, already at a preview, and
 * names both ways out; or, where the program asks for it, a replacement that deletes first, because the new object has the
 * name of the old one.
 */
export function replacementOptions(
  subject: Subject,
  replace: Replacement | undefined,
  opts: pulumi.CustomResourceOptions,
): pulumi.CustomResourceOptions {
  if (kindTable[subject.kind].transitions.length === 0) return {};
  const isAsked = replace === Replacement.DeleteFirst;
  const refuse = async ({ oldInputs, newInputs }: pulumi.ResourceHookArgs): Promise<void> => {
    const error = await refusedChange(subject, oldInputs, newInputs);
    if (error !== undefined) throw error;
  };
  return {
    ...(isAsked ? { deleteBeforeReplace: true, replaceOnChanges: replaceOnChanges(subject.kind) } : {}),
    // An update, and so no replacement, is what the hook is asked about.
    ...(canHook()
      ? { hooks: { beforeUpdate: [new pulumi.ResourceHook(hookName(subject, opts.parent), refuse, { onDryRun: true })] } }
      : {}),
  };
}

/** The runtime mocks of a unit test know no hooks, and a resource that has one would wait for ever (@pulumi/pulumi 3.259). */
function canHook(): boolean {
  const monitor: unknown = pulumi.runtime.getMonitor();
  return typeof monitor !== 'object' || monitor === null || 'registerResourceHook' in monitor;
}

/** What is said of a change that is not allowed, or nothing. What is not known yet counts as no change. */
export async function refusedChange(subject: Subject, before: unknown, after: unknown): Promise<Error | undefined> {
  const [was, is] = [await specOf(before), await specOf(after)];
  const broken = kindTable[subject.kind].transitions.filter((rule) => isBroken(subject.kind, rule, was, is));
  if (broken.length === 0) return undefined;
  const faults = broken.map(({ field = '', message, immutable }) => {
    const told = immutable === true ? earlier(valueAt(before, ['spec', ...field.split('.')])) : '';
    return { path: `spec.${field}`, message: `${message}${told}` };
  });
  const waysOut = broken.some(({ immutable }) => immutable === true) ? waysOutOf(subject) : [];
  return new pulumi.RunError([refusal(subject, faults).message, ...waysOut].join('\n'));
}

/** A secret of the program, which comes as an output, is not told. */
function earlier(value: unknown): string {
  return openPlaces(value).length > 0 ? '' : ` (it was ${value === undefined ? 'left out' : JSON.stringify(value)})`;
}

function waysOutOf({ kind }: Subject): readonly string[] {
  const lost = kind === 'ApiKey' ? 'its key is revoked at once' : 'the keys that depend on it are refused at once';
  return [
    `Either declare a second ${kind} beside this one, let both live until everybody uses the new one, and remove this one then;`,
    `or set replace: "${Replacement.DeleteFirst}" on it: it is deleted first (${lost}) and made anew.`,
  ];
}

function isBroken(kind: KeywrightKind, rule: TransitionRule<never>, was: unknown, is: unknown): boolean {
  // Without a field it speaks of several, and these have rules of their own.
  if (rule.field === undefined) return false;
  const steps = rule.field.split('.');
  const now = valueAt(is, steps);
  if (pulumi.containsUnknowns(now)) return false;
  if (rule.immutable !== true) return !rule.holds(is as never, was as never);
  const fallback = immutableFields[kind].find(({ field }) => field === rule.field)?.fallback;
  return !isDeepStrictEqual(valueAt(was, steps) ?? fallback, now ?? fallback);
}

/** The specification among a resource's inputs; secrets among them come as outputs. */
async function specOf(inputs: unknown): Promise<unknown> {
  return valueAt(await settledOf(inputs), ['spec']);
}

/**
 * The specification with the defaults of its immutable fields: that a program names a default is no change then, and above
 * all no reason to replace.
 */
export function withImmutableDefaults(kind: KeywrightKind, spec: pulumi.Input<object>): pulumi.Input<object> {
  return immutableFields[kind].reduce<pulumi.Input<object>>(
    (known, { steps, fallback }) =>
      fallback === undefined ? known : (withMember(known, steps, fallback) as pulumi.Input<object>),
    spec,
  );
}

/** With a value at a place that is empty; where the way there is missing, nothing is added. */
function withMember(value: unknown, steps: readonly string[], member: unknown): unknown {
  if (isLater(value)) return wholeOf(value).apply((known) => withMember(known, steps, member));
  const [step, ...rest] = steps;
  if (step === undefined) return value ?? member;
  if (typeof value !== 'object' || value === null) return value;
  const own: unknown = Reflect.get(value, step);
  const isPlace = rest.length === 0;
  if (isPlace === (own !== undefined)) return value;
  return { ...value, [step]: withMember(own, rest, member) };
}

function replaceOnChanges(kind: KeywrightKind): string[] {
  return immutableFields[kind].map(({ field }) => `spec.${field}`);
}

/** The engine wants a name of its own for each hook: that of the resource, with those of its parents. */
function hookName({ kind, name }: Subject, parent: pulumi.Resource | undefined): string {
  const names = [`${kind}::${name}`];
  for (let one = parent; one !== undefined; one = parentOf(one)) names.unshift(nameOf(one));
  return `keywright-immutable-${names.join('/')}`;
}

/** The SDK keeps these under names that it does not declare. */
function nameOf(resource: pulumi.Resource): string {
  const name: unknown = Reflect.get(resource, '__name');
  // A parent in a program of another language is known by an address that comes later.
  return typeof name === 'string' && name !== '' ? `${String(Reflect.get(resource, '__pulumiType'))}::${name}` : randomUUID();
}
const parentOf = (resource: pulumi.Resource): pulumi.Resource | undefined =>
  Reflect.get(resource, '__parentResource') as pulumi.Resource | undefined;

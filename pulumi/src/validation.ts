import * as pulumi from '@pulumi/pulumi';
import { apiVersion } from '../../operator/src/api/meta.ts';
import { parseManifestObject, type ManifestFault } from '../../operator/src/api/parse.ts';
import type { KeywrightKind, Subject } from './kind.ts';
import { isLater, wholeOf } from './later.ts';

/** The steps to a value within the specification: `['deliverTo', 1, 'path']`. */
type Steps = readonly (string | number)[];

/**
 * Holds a specification to the operator's own schema. What is plain is checked at once, and a fault throws; parts that are
 * outputs are checked together when all of them are known, and a fault rejects them, so that nothing is sent. Returns what
 * to hand to the engine: plain parts as they are, so that a preview shows them.
 *
 * @throws {pulumi.RunError} naming every field at fault.
 */
export function checkedSpec(subject: Subject, spec: unknown): pulumi.Input<object> {
  const later = stepsToOutputs(spec);
  const faults = faultsOf(subject.kind, spec).filter(({ steps }) => !later.some((step) => isWithin(steps.slice(1), step)));
  if (faults.length > 0) throw refusal(subject, faults);
  if (later.length === 0) return spec as object;
  const whole = wholeOf(spec).apply((known) => {
    const found = faultsOf(subject.kind, known);
    if (found.length > 0) throw refusal(subject, found);
    return known as object;
  });
  return withOutputs(spec, [], (steps) => whole.apply((known) => valueAt(known, steps)));
}

/** The faults of a whole specification; paths begin with `spec`. */
function faultsOf(kind: KeywrightKind, spec: unknown): readonly ManifestFault[] {
  // Names and namespaces have rules of their own; here any that fits will do.
  const parsed = parseManifestObject(kind, { apiVersion, kind, metadata: { name: 'x' }, spec: withoutUndefined(spec) });
  return parsed.ok ? [] : parsed.errors;
}

/** The error of a program that cannot be right; the engine shows its message without a stack. */
export function refusal({ kind, name }: Subject, faults: readonly Pick<ManifestFault, 'path' | 'message'>[]): pulumi.RunError {
  const lines = faults.map(({ path, message }) => `  ${path}: ${message}`);
  return new pulumi.RunError(`${kind} "${name}" cannot be declared:\n${lines.join('\n')}`);
}

/** Where the outputs are; an empty path means the specification itself. */
function stepsToOutputs(value: unknown, steps: Steps = []): readonly Steps[] {
  if (isLater(value)) return [steps];
  if (typeof value !== 'object' || value === null) return [];
  return entriesOf(value).flatMap(([step, member]) => stepsToOutputs(member, [...steps, step]));
}

/** The same with every output replaced. */
function withOutputs(
  value: unknown,
  steps: Steps,
  replace: (steps: Steps) => pulumi.OutputInstance<unknown>,
): pulumi.Input<object> {
  if (isLater(value)) return replace(steps);
  if (typeof value !== 'object' || value === null) return value as never;
  const members = entriesOf(value).map(([step, member]) => [step, withOutputs(member, [...steps, step], replace)] as const);
  return Array.isArray(value) ? members.map(([, member]) => member) : Object.fromEntries(members);
}

/** Pulumi leaves members out that are `undefined`; so does this. */
function withoutUndefined(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || isLater(value)) return value;
  const members = entriesOf(value).filter(([, member]) => member !== undefined);
  const cleaned = members.map(([step, member]) => [step, withoutUndefined(member)] as const);
  return Array.isArray(value) ? cleaned.map(([, member]) => member) : Object.fromEntries(cleaned);
}

function entriesOf(value: object): readonly (readonly [string | number, unknown])[] {
  return Array.isArray(value) ? value.map((member: unknown, at) => [at, member] as const) : Object.entries(value);
}

function isWithin(steps: Steps, outer: Steps): boolean {
  return outer.every((step, at) => steps[at] === step);
}

function valueAt(value: unknown, steps: Steps): unknown {
  return steps.reduce<unknown>(
    (found, step) => (typeof found === 'object' && found !== null ? Reflect.get(found, step) : undefined),
    value,
  );
}

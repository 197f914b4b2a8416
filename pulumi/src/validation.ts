import * as pulumi from '@pulumi/pulumi';
import { apiVersion } from '../../operator/src/api/meta.ts';
import { parseManifestObject, type ManifestFault } from '../../operator/src/api/parse.ts';
import type { Subject } from './kind.ts';
import { settledOf, wholeOf } from './later.ts';
import { isWithin, openPlaces, replaceOpen, withoutUndefined } from './places.ts';

/** What a fault says. */
export type Fault = Pick<ManifestFault, 'path' | 'message'>;

/**
 * Holds a specification to the operator's own schema. What is plain is checked at once, and a fault throws. Outputs are
 * checked together as soon as their values are there, whatever a preview does not know of the others, and a fault rejects
 * them, so that nothing is sent. Returns what to hand to the engine: each part as known as it was.
 *
 * @throws {pulumi.RunError} naming every field at fault.
 */
export function checkedSpec(subject: Subject, spec: unknown): pulumi.Input<object> {
  throwIfAny(subject, faultsIn(subject, 'spec', spec));
  if (openPlaces(spec).length === 0) return spec as object;
  const check = once(async () => throwIfAny(subject, faultsIn(subject, 'spec', await settledOf(spec))));
  const checked = (part: unknown) =>
    wholeOf(part).apply(async (known) => {
      await check();
      return known;
    });
  return replaceOpen(spec, checked) as pulumi.Input<object>;
}

/** What is wrong with the plain parts of the metadata, by the rules of the kind. */
export function metadataFaults(subject: Subject, metadata: object): readonly Fault[] {
  return faultsIn(subject, 'metadata', metadata);
}

/** The error of a program that cannot be right; the engine shows its message without a stack. */
export function refusal({ kind, name }: Subject, faults: readonly Fault[]): pulumi.RunError {
  const lines = faults.map(({ path, message }) => `  ${path}: ${message}`);
  return new pulumi.RunError(`${kind} "${name}" cannot be declared:\n${lines.join('\n')}`);
}

/** @throws {pulumi.RunError} naming every field at fault. */
export function throwIfAny(subject: Subject, faults: readonly Fault[]): void {
  if (faults.length > 0) throw refusal(subject, faults);
}

/** The faults of one member of a manifest, but for those of its open parts. */
function faultsIn({ kind }: Subject, member: 'metadata' | 'spec', value: unknown): readonly Fault[] {
  const open = openPlaces(value);
  // No value of a manifest: rules that look at several fields leave alone what has a fault below it.
  const placeholder = Symbol('open');
  const closed = withoutUndefined(replaceOpen(value, () => placeholder));
  const parsed = parseManifestObject(kind, { apiVersion, kind, metadata: { name: 'x' }, spec: {}, [member]: closed });
  if (parsed.ok) return [];
  return parsed.errors.filter(
    ({ steps: [first, ...steps] }) => first === member && !open.some((place) => isWithin(steps, place)),
  );
}

/** What asks several times is answered by one call, and only when somebody asks: a rejection always has a reader. */
function once<T>(ask: () => Promise<T>): () => Promise<T> {
  let asked: Promise<T> | undefined;
  return () => (asked ??= ask());
}

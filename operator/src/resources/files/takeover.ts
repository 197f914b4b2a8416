import { randomUUID } from 'node:crypto';
import { relative } from 'node:path';
import { isDeepStrictEqual } from 'node:util';

import { group } from '../../api/meta.ts';
import type { KubeObject } from '../../api/meta.ts';
import { validateUpdate } from '../../api/parse.ts';
import { formatInstant } from '../../domain/time.ts';
import type { Instant } from '../../domain/time.ts';
import type { Declaration, Declared, Fault } from './declared.ts';
import { lineOf } from './content.ts';
import type { Unversioned } from './objects.ts';

/** Which file an object comes from, on the object as it stands under `status/`. */
export const manifestAnnotation = `${group}/manifest`;

/** A declaration of an object; Secrets go their own way. */
export interface ObjectDeclaration extends Declaration {
  readonly document: Extract<Declaration['document'], { type: 'object' }>;
}

/** What a declaration makes of an object: something to write, or what keeps it from counting. */
export interface Takeover {
  readonly put?: Unversioned;
  readonly faults: readonly Fault[];
}

const nothing: Takeover = { faults: [] };

/** An object that is seen for the first time. */
export function create({ document: { object }, path }: ObjectDeclaration, now: Instant): Unversioned {
  const annotations = { ...object.metadata.annotations, [manifestAnnotation]: path };
  const identity = { uid: randomUUID(), generation: 1, creationTimestamp: formatInstant(now) };
  return { ...object, spec: asStored(object.spec), metadata: { ...object.metadata, annotations, ...identity } };
}

/** What a declaration changes of the object that is there, by the API server's rules about changes. */
export function update(
  old: KubeObject,
  declaration: ObjectDeclaration,
  { root, source, held }: { readonly root: string; readonly source: string | undefined; readonly held: Declared['held'] },
): Takeover {
  const { document, path, line } = declaration;
  const { object } = document;
  // Its own file cannot be read now: what another file says of it would count only until then.
  if (source !== undefined && source !== path && held.has(source)) return nothing;
  // Once begun, a deletion goes on; the document counts again when the object is gone.
  if (old.metadata.deletionTimestamp !== undefined) return nothing;
  const spec = asStored(object.spec);
  const specChanged = !isDeepStrictEqual(old.spec, spec);
  const refused =
    specChanged && object.kind !== 'Namespace' ? validateUpdate(object.kind, old.spec as never, object.spec as never) : [];
  if (refused.length > 0) {
    const faultOf = (fault: (typeof refused)[number]): Fault => ({
      file: relative(root, path),
      line: fault.steps.length === 0 ? line : lineOf(document, fault.steps),
      message: `${fault.path}: ${fault.message}; the last good version stays`,
      level: 'error',
    });
    return { faults: refused.map(faultOf) };
  }
  const { labels, ...kept } = old.metadata;
  const annotations = { ...object.metadata.annotations, [manifestAnnotation]: path };
  const metadataChanged =
    !isDeepStrictEqual(labels, object.metadata.labels) || !isDeepStrictEqual(old.metadata.annotations, annotations);
  if (!specChanged && !metadataChanged) return nothing;
  const metadata = {
    ...kept,
    ...(object.metadata.labels === undefined ? {} : { labels: object.metadata.labels }),
    annotations,
    generation: generationOf(old) + (specChanged ? 1 : 0),
  };
  return { put: { ...old, spec, metadata }, faults: [] };
}

/** The object with the request to delete it, which the API server counts as a change of what is wanted, too. */
export function markDeleted(old: KubeObject, now: Instant): Unversioned {
  return { ...old, metadata: { ...old.metadata, deletionTimestamp: formatInstant(now), generation: generationOf(old) + 1 } };
}

/** As it comes back from the disk, where no member is undefined: otherwise every start would see a change. */
export function asStored(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

/** The file that an object comes from, as an absolute path, as it was written down. */
export function sourceOf(object: KubeObject): string | undefined {
  return object.metadata.annotations?.[manifestAnnotation];
}

function generationOf(object: KubeObject): number {
  return object.metadata.generation ?? 1;
}

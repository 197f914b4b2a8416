import { randomUUID } from 'node:crypto';
import { dirname, relative, sep } from 'node:path';
import { isDeepStrictEqual } from 'node:util';

import { group } from '../../api/meta.ts';
import type { KubeObject } from '../../api/meta.ts';
import { validateUpdate } from '../../api/parse.ts';
import { formatInstant } from '../../domain/time.ts';
import type { Instant } from '../../domain/time.ts';
import { formatName } from './declared.ts';
import type { Declaration, Declared, Fault } from './declared.ts';
import { formatId, lineOf } from './content.ts';
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

/** The objects that a look lacks, and those that it lacks without that meaning anything. */
export function findMissing(
  objects: readonly KubeObject[],
  { named, empty, strays, uncertain, blind }: Declared,
  {
    root,
    prune,
    sourceOf,
  }: {
    readonly root: string;
    readonly prune: boolean;
    readonly sourceOf: (object: KubeObject) => string | undefined;
  },
): { readonly ids: readonly string[]; readonly faults: readonly Fault[] } {
  const faults: Fault[] = [];
  const ids: string[] = [];
  if (blind) return { ids, faults };
  for (const object of objects) {
    const id = formatId(object.kind, object.metadata);
    if (named.has(id) || object.metadata.deletionTimestamp !== undefined) continue;
    const source = sourceOf(object);
    if (source !== undefined && empty.has(source)) {
      const message = `the file is empty, which deletes nothing: ${formatName(id)} stays; delete the file to delete it`;
      faults.push({ file: relative(root, source), message, level: 'notice' });
    } else if (source !== undefined && strays.has(source)) {
      const message = `is no Kubernetes resource, which deletes nothing: ${formatName(id)}, which the file declared before, stays; complete or remove this document, or delete the file`;
      faults.push({ file: relative(root, source), line: strays.get(source) ?? 1, message, level: 'error' });
    } else if (source !== undefined && isUncertain(source, uncertain)) {
      // The object stays; the fault of its file says what to repair.
    } else if (!prune && !(source?.startsWith(root + sep) ?? false)) {
      const message = `${formatName(id)} is not in this manifests folder, and kept; --prune deletes it`;
      faults.push({ file: source ?? id, message, level: 'notice' });
    } else ids.push(id);
  }
  return { ids, faults };
}

/** Whether a file, or a folder above it, may declare objects that the look cannot see. */
export function isUncertain(path: string, uncertain: Declared['uncertain']): boolean {
  for (let at = path; ; at = dirname(at)) {
    if (uncertain.has(at)) return true;
    if (at === dirname(at)) return false;
  }
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

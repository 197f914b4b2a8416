import { relative } from 'node:path';

import type { ManifestObject } from '../../api/parse.ts';
import type { ManifestDocument } from './documents.ts';
import type { FolderLook } from './folder.ts';

/** Something in the folder that does not count, and why. Lines count from 1. */
export interface Fault {
  /** Relative to the manifests folder; absolute for what lies elsewhere. */
  readonly file: string;
  readonly line?: number;
  readonly message: string;
  /** `notice`: nothing to repair (a kind that is skipped, an object that is kept). */
  readonly level: 'error' | 'notice';
}

/** An object or Secret that counts: the first document of its name. */
export interface Declaration {
  readonly document: Extract<ManifestDocument, { type: 'object' | 'secret' }>;
  readonly path: string;
  readonly line: number;
}

/** What a look at the folder declares. */
export interface Declared {
  /** By id. */
  readonly declarations: ReadonlyMap<string, Declaration>;
  /** All ids that some document names, unacceptable ones included: none of them is deleted. */
  readonly named: ReadonlySet<string>;
  /** Files whose objects stay as they are: broken, or being written. */
  readonly held: ReadonlySet<string>;
  /** Files without a document: what they declared before is not deleted. */
  readonly empty: ReadonlySet<string>;
  /** Complete, readable, parsable: what it lacks may count as deleted. */
  readonly complete: boolean;
  /** Nothing was being written: the look says what is in the folder now. */
  readonly settled: boolean;
  readonly faults: readonly Fault[];
}

/** Makes one picture of a look: the first document of a name by path and position counts, the others are named. */
export function declare(root: string, { files, faults: folderFaults }: FolderLook): Declared {
  const declarations = new Map<string, Declaration>();
  const firstOf = new Map<string, { readonly path: string; readonly line: number }>();
  const held = new Set<string>();
  const empty = new Set<string>();
  const faults: Fault[] = folderFaults.map(({ path, message }) => ({ file: path, message, level: 'error' }));
  let complete = folderFaults.length === 0;
  let settled = true;

  const readDocument = (path: string, document: ManifestDocument): void => {
    const { line } = document;
    const file = relative(root, path);
    if (document.type === 'foreign') {
      faults.push({ file, line, message: `the kind ${document.kind} is skipped: it is not known here`, level: 'notice' });
      return;
    }
    if (document.id === undefined) complete = false;
    const first = document.id === undefined ? undefined : firstOf.get(document.id);
    if (first !== undefined) {
      const where = `${relative(root, first.path)}:${first.line}`;
      faults.push({
        file,
        line,
        message: `${formatName(document.id ?? '')} is already declared in ${where}, which counts; this one is ignored`,
        level: 'error',
      });
      return;
    }
    if (document.id !== undefined) firstOf.set(document.id, { path, line });
    if (document.type === 'invalid') for (const fault of document.faults) faults.push({ file, ...fault, level: 'error' });
    else {
      declarations.set(document.id, { document, path, line });
      faults.push(...noticesOf(document).map((notice) => ({ file, ...notice })));
    }
  };

  for (const { path, content } of files) {
    if (content.type === 'documents') {
      for (const document of content.documents) readDocument(path, document);
      continue;
    }
    if (content.type === 'empty') {
      empty.add(path);
      continue;
    }
    held.add(path);
    complete = false;
    if (content.type === 'unsettled') settled = false;
    else faults.push({ file: relative(root, path), ...content.fault, level: 'error' });
  }
  return { declarations, named: new Set(firstOf.keys()), held, empty, complete, settled, faults };
}

/** What a document asks for that only a cluster can give. */
function noticesOf(document: Declaration['document']): readonly Omit<Fault, 'file'>[] {
  if (document.type === 'secret' || document.object.kind !== 'ApiKey') return [];
  const { consumers = [] } = (document.object as ManifestObject<'ApiKey'>).spec;
  return consumers.flatMap(({ kind, name, restart }, at) => {
    if (!restart) return [];
    const message = `spec.consumers[${at}]: ${kind} ${name} is not restarted: without a cluster there are no workloads`;
    return [{ line: document.lineOf(['spec', 'consumers', at]), message, level: 'notice' as const }];
  });
}

/** `ApiKey/payments/billing` → `ApiKey payments/billing`, as people say it. */
export function formatName(id: string): string {
  const [kind, namespace, name] = id.split('/');
  return namespace === '_cluster' ? `${kind} ${name}` : `${kind} ${namespace}/${name}`;
}

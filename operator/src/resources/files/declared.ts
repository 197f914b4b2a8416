import { relative } from 'node:path';

import type { ManifestObject } from '../../api/parse.ts';
import { clip, faultsListed, lineOf } from './content.ts';
import type { ManifestDocument } from './content.ts';
import type { FileContent, FolderLook } from './look.ts';

/** Something in the folder that does not count, and why. Lines count from 1. */
export interface Fault {
  /** Relative to the manifests folder; absolute for what lies elsewhere. */
  readonly file: string;
  readonly line?: number;
  readonly message: string;
  /** `notice`: nothing to repair (a kind that is skipped, an object that is kept). */
  readonly level: 'error' | 'notice';
  /** A deletion that waits or is held: shown before all others. */
  readonly isDeletion?: true;
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
  /** Ids that only documents name which are not valid, or not read, and the path of the first: what is in force stays so. */
  readonly invalid: ReadonlyMap<string, string>;
  /** Files whose objects stay as they are: broken, or being written or read. */
  readonly held: ReadonlySet<string>;
  /** Files without a document: what they declared before is not deleted. */
  readonly empty: ReadonlySet<string>;
  /** Files with a document that is no Kubernetes resource, and its line: it may be the rest of what they declared before. */
  readonly strays: ReadonlyMap<string, number>;
  /**
   * Files and folders that may declare objects that this look cannot see: what they declared before is not deleted. Includes
   * `held`.
   */
  readonly uncertain: ReadonlySet<string>;
  /** Those files of `uncertain` into which somebody may have moved an object: while there are any, the look is incomplete. */
  readonly doubtful: readonly string[];
  /** The folder itself cannot be read: nothing at all is known. */
  readonly blind: boolean;
  /** Some files were not read in this look. */
  readonly cut: boolean;
  /** Nothing was being written or parsed: the look shows what is in the folder now. */
  readonly settled: boolean;
  readonly faults: readonly Fault[];
}

const leftOutWhy =
  'at most 10,000 files, 64 MB and 20,000 objects are read; what these declared before stays as it was, and an object that was removed elsewhere counts as deleted, unless one of them mentions it';

/** Makes one picture of a look: the first valid document of a name by path and position counts, the others are named. */
export function declare(root: string, { files, faults: folderFaults, leftOut, cut }: FolderLook): Declared {
  const picture = new Picture(root);
  picture.takeLeftOut(leftOut);
  if (cut !== undefined) picture.takeCut(cut);
  for (const { path, message } of folderFaults) picture.takeFolderFault(path, message);
  for (const { path, content } of files) picture.take(path, content);
  return picture;
}

class Picture implements Declared {
  readonly declarations = new Map<string, Declaration>();
  readonly named = new Set<string>();
  readonly invalid = new Map<string, string>();
  readonly held = new Set<string>();
  readonly empty = new Set<string>();
  readonly strays = new Map<string, number>();
  readonly uncertain = new Set<string>();
  readonly doubtful: string[] = [];
  readonly faults: Fault[] = [];
  blind = false;
  cut = false;
  settled = true;
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  takeFolderFault(path: string, message: string): void {
    this.faults.push({ file: path, message, level: 'error' });
    this.uncertain.add(path);
    if (path === this.#root) this.blind = true;
  }

  takeCut(message: string): void {
    this.cut = true;
    this.faults.push({ file: 'manifests', message, level: 'error' });
  }

  /** The objects that they declared stay as they are; one message covers all of them. */
  takeLeftOut(paths: readonly string[]): void {
    const [first] = paths;
    if (first === undefined) return;
    for (const path of paths) {
      this.held.add(path);
      this.uncertain.add(path);
      this.doubtful.push(path);
    }
    const message = `is not read, the first of ${paths.length.toLocaleString('en-US')} such files: ${leftOutWhy}`;
    this.faults.push({ file: relative(this.#root, first), message, level: 'error' });
  }

  take(path: string, content: FileContent): void {
    if (content.type === 'documents') this.#takeDocuments(path, content);
    else if (content.type === 'empty') this.empty.add(path);
    else {
      this.held.add(path);
      this.uncertain.add(path);
      if (content.type !== 'broken') this.settled = false;
      else this.faults.push({ file: relative(this.#root, path), ...content.fault, level: 'error' });
      if (content.type !== 'broken' || content.mayDeclare) this.doubtful.push(path);
    }
  }

  #takeDocuments(path: string, content: Extract<FileContent, { type: 'documents' }>): void {
    const file = relative(this.#root, path);
    const faults: Fault[] = content.faults.map((fault) => ({ file, ...fault }));
    if (content.stray !== undefined) this.strays.set(path, content.stray);
    if (content.unnamed) {
      this.uncertain.add(path);
      this.doubtful.push(path);
    }
    for (const document of content.documents) faults.push(...this.#takeDocument(path, document).map((one) => ({ file, ...one })));
    const rest = content.more + Math.max(0, faults.length - faultsListed);
    this.faults.push(...faults.slice(0, faultsListed));
    if (rest > 0) this.faults.push({ file, message: `and ${rest.toLocaleString('en-US')} more`, level: 'error' });
  }

  #takeDocument(path: string, document: ManifestDocument): readonly Omit<Fault, 'file'>[] {
    const { id, line } = document;
    this.named.add(id);
    const first = this.declarations.get(id);
    if (document.type === 'invalid' || document.type === 'mention') {
      // It must not stand in the way of a valid one: that would stop edits and deletions.
      if (first === undefined && !this.invalid.has(id)) this.invalid.set(id, path);
      return [];
    }
    if (first !== undefined) {
      const where = `${relative(this.#root, first.path)}:${first.line}`;
      const message = clip(`${formatName(id)} is already declared in ${where}; this one is ignored`);
      return [{ line, message, level: 'error' }];
    }
    this.invalid.delete(id);
    this.declarations.set(id, { document, path, line });
    return noticesOf(document);
  }
}

/** What a document asks for that only a cluster can give. */
function noticesOf(document: Declaration['document']): readonly Omit<Fault, 'file'>[] {
  if (document.type === 'secret' || document.object.kind !== 'ApiKey') return [];
  const { consumers = [] } = (document.object as ManifestObject<'ApiKey'>).spec;
  return consumers.flatMap(({ kind, name, restart }, at) => {
    if (!restart) return [];
    const message = `spec.consumers[${at}]: ${kind} ${name} is not restarted: without a cluster there are no workloads`;
    return [{ line: lineOf(document, ['spec', 'consumers', at]), message, level: 'notice' as const }];
  });
}

/** `ApiKey/payments/billing` → `ApiKey payments/billing`, as people say it. */
export function formatName(id: string): string {
  const [kind, namespace, name] = id.split('/');
  return namespace === '_cluster' ? `${kind} ${name}` : `${kind} ${namespace}/${name}`;
}

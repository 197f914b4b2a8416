import type { ManifestObject } from '../../api/parse.ts';
import type { NamespaceManifest, SecretDocument } from './core.ts';
import { stepsKey } from './offsets.ts';
import type { Steps } from './offsets.ts';
import type { LineFault } from './yamltext.ts';

/** The namespace of documents that name none. */
export const defaultNamespace = 'default';

/** A {@link LineFault} in the list of a file; `notice`: nothing to repair. */
export interface ListedFault extends LineFault {
  readonly level: 'error' | 'notice';
}

/** One document of a manifest that names an object, or one item of a list. `id` is `<Kind>/<namespace or _cluster>/<name>`. */
export type ManifestDocument =
  | {
      readonly type: 'object';
      readonly id: string;
      readonly line: number;
      readonly object: ManifestObject | NamespaceManifest;
      /** Lines of the fields of `spec`, by {@link stepsKey}; for {@link lineOf}. */
      readonly lines: ReadonlyMap<string, number>;
    }
  | { readonly type: 'secret'; readonly id: string; readonly line: number; readonly secret: SecretDocument }
  /** One of our kinds, but not acceptable: {@link ManifestText} lists why. */
  | { readonly type: 'invalid'; readonly id: string; readonly line: number }
  /** Something else that speaks of one of our objects: that object is not absent. */
  | { readonly type: 'mention'; readonly id: string; readonly line: number };

/**
 * A file's content, or why it cannot be read. `documents` are in order. Bounded for any text: at most {@link faultsListed} `faults`
 * of {@link messageLimit} characters, `more` of them only counted, and for foreign kinds only faults. A thread can post all of it
 * to another one.
 */
export type ManifestText =
  | {
      readonly ok: true;
      readonly documents: readonly ManifestDocument[];
      /** A document of one of our kinds has no readable name, so it may be any object. */
      readonly unnamed: boolean;
      /** It has no content: no document, or only lists of nothing. */
      readonly empty: boolean;
      /** The line of the first document that is no Kubernetes resource. */
      readonly stray?: number;
      readonly faults: readonly ListedFault[];
      readonly more: number;
    }
  | { readonly ok: false; readonly fault: { readonly line?: number; readonly message: string } };

/** How many messages of one file are shown; the rest is only counted. */
export const faultsListed = 20;

/** How many objects one file may name. */
const objectsInFile = 10_000;

/** The maximum length of a message, in characters: a field's name may be as long as its file. */
const messageLimit = 300;

/** The line of a field of an object, given in steps; if the field is absent, the line of its nearest present parent. */
export function lineOf(document: Extract<ManifestDocument, { type: 'object' }>, steps: Steps): number {
  for (let length = steps.length; length > 0; length -= 1) {
    const line = document.lines.get(stepsKey(steps.slice(0, length)));
    if (line !== undefined) return line;
  }
  return document.line;
}

/** The file names more objects than {@link objectsInFile}. */
export class TooManyObjects extends Error {
  readonly fault = { message: `the file names more than ${objectsInFile.toLocaleString('en-US')} objects` };
}

/** What is collected while the documents of a text are read. */
export class Content {
  readonly documents: ManifestDocument[] = [];
  readonly faults: ListedFault[] = [];
  more = 0;
  unnamed = false;
  empty = true;
  stray: number | undefined;
  readonly #said = new Set<string>();

  /** Records a document that names an object. */
  add(document: ManifestDocument): void {
    if (this.documents.length >= objectsInFile) throw new TooManyObjects();
    this.documents.push(document);
  }

  /** Records an unacceptable document; `count` = the number of its faults, `faults` = the first of them. */
  refuse(document: ManifestDocument | undefined, faults: readonly LineFault[], count = faults.length): void {
    if (document === undefined) this.unnamed = true;
    else this.add(document);
    for (const fault of faults) this.list({ ...fault, level: 'error' });
    this.more += count - faults.length;
  }

  list(fault: ListedFault): void {
    if (this.faults.length < faultsListed) this.faults.push({ ...fault, message: clip(fault.message) });
    else this.more += 1;
  }

  /** The same notice once for a file: a list of what a cluster holds has hundreds of foreign documents. */
  notice(line: number, message: string): void {
    if (this.#said.has(message) || this.#said.size >= 2 * faultsListed) return;
    this.#said.add(message);
    this.list({ line, message, level: 'notice' });
  }
}

/** Shortens a text that may be as long as its file. */
export function clip(text: string): string {
  return text.length <= messageLimit ? text : `${text.slice(0, messageLimit - 1)}…`;
}

/** `<Kind>/<namespace or _cluster>/<name>`, also the path under `status/`. An underscore is in no name. */
export function formatId(
  kind: string,
  { namespace, name }: { readonly namespace?: string | undefined; readonly name: string },
): string {
  return `${kind}/${namespace ?? '_cluster'}/${name}`;
}

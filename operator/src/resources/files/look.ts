import type { ListedFault, ManifestDocument } from './content.ts';
import type { ParsedFile } from './parser.ts';

/**
 * The result of a look at one file.
 * - `documents`: `unnamed` = one of them may be any object; `stray` = the line of the first that is no Kubernetes resource.
 * - `empty`: no document; an editor may leave a file like that for an instant while it saves.
 * - `broken`: the content is unknown. `mayDeclare` = somebody may have moved a manifest into it.
 * - `pending`: it is being parsed; a later look has the result.
 * - `unsettled`: it was written a moment ago, or during the read; the next look reads it.
 */
export type FileContent =
  | {
      readonly type: 'documents';
      readonly documents: readonly ManifestDocument[];
      readonly unnamed: boolean;
      readonly stray?: number;
      readonly faults: readonly ListedFault[];
      readonly more: number;
    }
  | { readonly type: 'empty' }
  | {
      readonly type: 'broken';
      readonly mayDeclare: boolean;
      readonly fault: { readonly line?: number; readonly message: string };
    }
  | { readonly type: 'pending' }
  | { readonly type: 'unsettled' };

/** One look at the folder: files in the order of their paths. */
export interface FolderLook {
  readonly files: readonly { readonly path: string; readonly content: FileContent }[];
  /** Folders that it could not read, or must not. */
  readonly faults: readonly { readonly path: string; readonly message: string }[];
  /** The folders that were found, by the path as given, and which folder each is: its device and inode. */
  readonly folders: ReadonlyMap<string, string>;
  /** Files beyond the limits of `admission.ts`: not read. */
  readonly leftOut: readonly string[];
  /** Why the folder was not listed to its end; absent = it was. */
  readonly cut?: string;
}

/** What a parsed file contains. */
export function contentOf(parsed: ParsedFile): FileContent {
  if (!parsed.ok) return { type: 'broken', mayDeclare: true, fault: parsed.fault };
  if (parsed.empty) return { type: 'empty' };
  const { documents, unnamed, stray, faults, more } = parsed;
  return { type: 'documents', documents, unnamed, ...(stray === undefined ? {} : { stray }), faults, more };
}

/** A file that is not read, and why. */
export function broken(message: string, mayDeclare: boolean): FileContent {
  return { type: 'broken', mayDeclare, fault: { message } };
}

import { broken } from './look.ts';
import type { FileContent } from './look.ts';
import type { FileState, PathState } from './reading.ts';

/** How many files are read; the maximum size of one, and of all together, in bytes. */
export const filesLimit = 10_000;
const fileLimitBytes = 4_000_000;
const folderLimitBytes = 64_000_000;
/** A changed file of ordinary size is read before all others: it may revoke a key. */
export const ordinaryBytes = 131_072;

/** The stamp of a path that does not exist. */
const missingStamp = 'missing';

/** What a path leads to: its state, a file that is not read, or `undefined` = it does not exist. */
export type Found = PathState | FileContent | undefined;

/** What was known of the files before a look. */
export interface Before {
  /** The stamps at the last look. */
  readonly stamps: ReadonlyMap<string, string>;
  /** The files that had their place then. */
  readonly admitted: ReadonlySet<string>;
  /** The files that objects came from. */
  readonly sources: ReadonlySet<string>;
  /** The stamp of the content that is known of a file. */
  readonly knownStamp: (path: string) => string | undefined;
}

/** Which files a look reads. */
export interface Admission {
  readonly regular: ReadonlyMap<string, FileState>;
  /** Files that are not read, each with its reason. */
  readonly contents: ReadonlyMap<string, FileContent>;
  /** Files beyond the limits. Sorted. */
  readonly leftOut: readonly string[];
}

/** Decides which files to read: those that already have their place, then the smallest. */
export function admit(found: ReadonlyMap<string, Found>, before: Before): Admission {
  const contents = new Map<string, FileContent>();
  const candidates: { readonly path: string; readonly state: FileState; readonly rank: number }[] = [];
  for (const [path, state] of found) {
    if (state === undefined) contents.set(path, missing(before.stamps.get(path)));
    else if ('type' in state) contents.set(path, state);
    else if (state.kind === 'irregular')
      contents.set(path, broken('is not a regular file: FIFOs, sockets and devices are not read', false));
    else if (state.size > fileLimitBytes) contents.set(path, broken('the file is larger than 4 MB', true));
    else candidates.push({ path, state, rank: rankOf(path, state, before) });
  }
  candidates.sort((a, b) => a.rank - b.rank || a.state.size - b.state.size || (a.path < b.path ? -1 : 1));
  const regular = new Map<string, FileState>();
  const leftOut: string[] = [];
  let bytes = 0;
  for (const { path, state } of candidates) {
    const fits = regular.size < filesLimit && bytes + state.size <= folderLimitBytes;
    if (!fits) leftOut.push(path);
    else {
      regular.set(path, state);
      bytes += state.size;
    }
  }
  return { regular, contents, leftOut: leftOut.sort() };
}

/** Changes when what a path leads to does. */
export function stampOf(found: Found): string {
  if (found === undefined) return missingStamp;
  return 'stamp' in found ? found.stamp : '';
}

/** Gone since it was listed, or a symbolic link without a file: the next look shows which. */
function missing(stampBefore: string | undefined): FileContent {
  return stampBefore === missingStamp ? broken("the link's target does not exist", false) : { type: 'unsettled' };
}

/** Changed files of ordinary size come first; unchanged files keep their places before one that has grown larger. */
function rankOf(path: string, { stamp, size }: FileState, { admitted, sources, knownStamp }: Before): number {
  if (!admitted.has(path) && !sources.has(path)) return 3;
  if (knownStamp(path) === stamp) return 1;
  return size <= ordinaryBytes ? 0 : 2;
}

import { stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { openRegular, readInto } from '../../regularfile.ts';

/** A regular file as it was at one moment. */
export interface FileState {
  /** Changes when the file, its content or its metadata changes; equal = nobody wrote meanwhile. */
  readonly stamp: string;
  /** In bytes. */
  readonly size: number;
  /** Milliseconds since the epoch, by the file system's clock. */
  readonly modifiedAt: number;
}

/**
 * What a path leads to, after following links. `irregular`: a FIFO, socket, device or folder; opening or reading one may block or
 * never end.
 */
export type PathState = ({ readonly kind: 'regular' } & FileState) | { readonly kind: 'irregular'; readonly stamp: string };

const chunkBytes = 65_536;

/** Looks at a path without opening it. Throws the system's error (ENOENT, ELOOP, EACCES …). */
export async function statPath(path: string): Promise<PathState> {
  return stateOf(await stat(path, { bigint: true }));
}

/**
 * Reads a whole regular file, last seen in the state `expected`. `undefined` = it has changed since, or is something else now.
 * Never reads more than one byte beyond the expected size: a file that grows, or reports size 0 like those in /proc, counts as
 * changed.
 */
export async function readRegular(path: string, expected: FileState): Promise<Uint8Array | undefined> {
  const file = await openRegular(path);
  if (file === undefined) return undefined;
  try {
    if (!(await isUnchanged(file, expected))) return undefined;
    const bytes = new Uint8Array(expected.size + 1);
    const length = await readInto(file, bytes);
    return length === expected.size && (await isUnchanged(file, expected)) ? bytes.subarray(0, length) : undefined;
  } finally {
    await file.close();
  }
}

/** How many bytes on each side tell what a word is. */
const aroundName = 4;

/**
 * Which of these names of ASCII characters the first `limitBytes` of a regular file contain as a value: not as a part of a longer
 * name, and not as the name of a field. It is read in pieces of 64 KiB; `take` is asked for each, and ends the search with false. None if
 * it is not a regular file or cannot be read.
 */
export async function namesIn(
  path: string,
  names: readonly string[],
  { limitBytes, take }: { readonly limitBytes: number; readonly take: (bytes: number) => boolean },
): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  let file: FileHandle | undefined;
  try {
    file = await openRegular(path);
    if (file === undefined) return found;
    const wanted = new Set(names);
    const overlap = Math.max(0, ...names.map(({ length }) => length)) + 2 * aroundName;
    const piece = Buffer.alloc(chunkBytes + overlap);
    let kept = 0;
    for (let position = 0; position < limitBytes && found.size < names.length && take(chunkBytes);) {
      const { bytesRead } = await file.read(piece, kept, chunkBytes, position);
      position += bytesRead;
      const filled = kept + bytesRead;
      const text = piece.toString('latin1', 0, filled);
      // What stands at an end of a piece is seen whole in this one or in the next.
      const [from, to] = [position === filled ? 0 : aroundName, bytesRead === 0 ? filled : filled - aroundName];
      for (const name of valuesIn(text, from, to)) if (wanted.has(name)) found.add(name);
      if (bytesRead === 0) break;
      kept = Math.min(overlap, filled);
      piece.copyWithin(0, filled - kept, filled);
    }
    return found;
  } catch {
    return found;
  } finally {
    await file?.close();
  }
}

/** The words between two places of a text, as far as they are not names of fields. One that is cut off at an end is none. */
function* valuesIn(text: string, from: number, to: number): Generator<string> {
  for (const { 0: word, index } of text.matchAll(/[\w.-]+/g)) {
    const end = index + word.length;
    if (index >= from && end <= to && !/^["']?\s*:/.test(text.slice(end, end + aroundName))) yield word;
  }
}

async function isUnchanged(file: FileHandle, { stamp }: FileState): Promise<boolean> {
  const now = stateOf(await file.stat({ bigint: true }));
  return now.kind === 'regular' && now.stamp === stamp;
}

interface Stats {
  isFile(): boolean;
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly mtimeMs: bigint;
}

function stateOf(stats: Stats): PathState {
  const { dev, ino, size, mtimeNs, ctimeNs, mtimeMs } = stats;
  if (!stats.isFile()) return { kind: 'irregular', stamp: [dev, ino].join(':') };
  const stamp = [dev, ino, size, mtimeNs, ctimeNs].join(':');
  return { kind: 'regular', stamp, size: Number(size), modifiedAt: Number(mtimeMs) };
}

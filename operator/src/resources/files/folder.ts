import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

import type { Clock } from '../../domain/time.ts';
import type { ListedFault, ManifestDocument } from './documents.ts';
import type { ManifestParser, ParsedFile } from './parser.ts';
import { fileContains, readRegular, statPath } from './reading.ts';
import type { FileState } from './reading.ts';

/**
 * The result of a look at one file.
 * - `documents`: `unnamed` = one of them may be any object.
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
  /** What kept it from being complete: a folder that is missing or cannot be read. */
  readonly faults: readonly { readonly path: string; readonly message: string }[];
}

/** A file younger than this is read at the next look: its writer may not be done. */
const settleMs = 100;
const missingStamp = 'missing';
/** The maximum size of a file that is read, and of all files together, in bytes. */
export const fileLimitBytes = 4_000_000;
export const folderLimitBytes = 64_000_000;
/** How much of a file that cannot be parsed is searched for a name. */
const searchedBytes = 16_000_000;
/** How long a look waits for files that are being parsed; it goes on without the slower ones. */
const patienceMs = 1_000;

interface Known {
  readonly stamp: string;
  readonly content: FileContent;
}

/** A file that is being parsed; after `done`, its result is known. */
interface Parsing {
  readonly stamp: string;
  readonly done: Promise<void>;
}

/** What a {@link ManifestFolder} is made of. */
export interface ManifestFolderInit {
  readonly root: string;
  /** The real path of a folder to leave out. */
  readonly skipped: string;
  readonly clock: Clock;
  readonly parser: ManifestParser;
}

/**
 * A folder of manifests: every `*.yaml`, `*.yml`, `*.json` in it and its subfolders. Names that begin with a dot are skipped
 * (editors' and version control's files), `node_modules` too, and the data folder if it lies inside. Opens only regular files,
 * following links, and reads only files that changed. Nothing in the folder can keep a look from ending.
 */
export class ManifestFolder {
  readonly #init: ManifestFolderInit;
  readonly #known = new Map<string, Known>();
  readonly #parsing = new Map<string, Parsing>();
  readonly #searches = new Map<string, boolean>();
  #stamps = new Map<string, string>();

  constructor(init: ManifestFolderInit) {
    this.#init = init;
  }

  /** Looks at everything once. Never rejects. */
  async look(): Promise<FolderLook> {
    const faults: { path: string; message: string }[] = [];
    const look = new Look(this.#stamps);
    const paths = await this.#list(faults);
    const found = new Map<string, FileContent | Parsing>();
    for (const path of paths) found.set(path, await this.#readFile(path, look));
    await this.#waitFor([...found.values()].filter((one) => 'done' in one));
    for (const path of this.#known.keys()) if (!found.has(path)) this.#known.delete(path);
    this.#stamps = look.stamps;
    const files = [...found].map(([path, one]) => ({ path, content: 'done' in one ? this.#outcome(path, one) : one }));
    return { files, faults };
  }

  #outcome(path: string, { stamp }: Parsing): FileContent {
    const known = this.#known.get(path);
    return known?.stamp === stamp ? known.content : { type: 'pending' };
  }

  /**
   * Whether a file that could not be parsed contains this name in its first 16 MB: somebody may have moved the object there.
   * Remembers the result until the file changes.
   */
  async mentions(path: string, name: string): Promise<boolean> {
    const key = JSON.stringify([path, this.#stamps.get(path), name]);
    const found = this.#searches.get(key) ?? (await fileContains(path, name, searchedBytes));
    if (this.#searches.size > 10_000) this.#searches.clear();
    this.#searches.set(key, found);
    return found;
  }

  async #list(faults: { path: string; message: string }[]): Promise<readonly string[]> {
    const { root, skipped } = this.#init;
    const paths: string[] = [];
    // Symbolic links may lead back up.
    const visited = new Set<string>();
    const visit = async (folder: string): Promise<void> => {
      try {
        const { dev, ino } = await stat(folder, { bigint: true });
        if (folder === skipped || visited.has(`${dev}:${ino}`)) return;
        visited.add(`${dev}:${ino}`);
        for (const entry of await readdir(folder, { withFileTypes: true })) {
          if (entry.name.startsWith('.') || entry.name === 'node_modules') continue;
          const path = join(folder, entry.name);
          if (entry.isDirectory() || (entry.isSymbolicLink() && (await isFolder(path)))) await visit(path);
          else if (/\.(?:yaml|yml|json)$/.test(entry.name)) paths.push(path);
        }
      } catch (error) {
        faults.push({ path: folder, message: isCode(error, 'ENOENT') ? 'the folder is not there' : 'the folder cannot be read' });
      }
    };
    await visit(root);
    return paths.sort();
  }

  async #readFile(path: string, look: Look): Promise<FileContent | Parsing> {
    try {
      const state = await statPath(path);
      look.stamps.set(path, state.stamp);
      if (state.kind === 'irregular')
        return broken('is not a regular file: what a FIFO, a socket or a device gives is not read', false);
      look.bytes += state.size;
      if (look.bytes > folderLimitBytes) return broken('is not read: the manifests are larger than 64 MB in all', true);
      const known = this.#known.get(path);
      return known?.stamp === state.stamp ? known.content : await this.#readChanged(path, state, look);
    } catch (error) {
      if (isCode(error, 'ELOOP')) return broken('the link leads in a circle', false);
      if (!isCode(error, 'ENOENT')) return broken('the file cannot be read', true);
      // Gone since it was listed, or a symbolic link without a file: the next look tells.
      const leadsNowhere = look.before.get(path) === missingStamp;
      look.stamps.set(path, missingStamp);
      return leadsNowhere ? broken("the link's target does not exist", false) : { type: 'unsettled' };
    }
  }

  async #readChanged(path: string, state: FileState, look: Look): Promise<FileContent | Parsing> {
    const { clock, parser } = this.#init;
    const parsing = this.#parsing.get(path);
    // One at a time for each path, so that frequent writes of one file do not fill the queue.
    if (parsing !== undefined) return parsing.stamp === state.stamp ? parsing : { type: 'pending' };
    // Settled = unchanged since the last look, or old enough by the clock. If our clock is behind the file's, the file waits for
    // one more look.
    if (look.before.get(path) !== state.stamp && clock.now() - state.modifiedAt < settleMs) return { type: 'unsettled' };
    if (state.size > fileLimitBytes) return broken('the file is larger than 4 MB', true);
    const bytes = await readRegular(path, state);
    return bytes === undefined ? { type: 'unsettled' } : this.#parse(path, state.stamp, parser.parse(bytes));
  }

  #parse(path: string, stamp: string, parsed: Promise<ParsedFile>): Parsing {
    const done = parsed.then((content) => {
      this.#known.set(path, { stamp, content: contentOf(content) });
      this.#parsing.delete(path);
    });
    const parsing: Parsing = { stamp, done };
    this.#parsing.set(path, parsing);
    return parsing;
  }

  async #waitFor(parsing: readonly Parsing[]): Promise<void> {
    if (parsing.length === 0) return;
    const all = new AbortController();
    const patience = this.#init.clock.sleep(patienceMs, all.signal);
    await Promise.race([Promise.all(parsing.map(({ done }) => done)), patience]);
    all.abort();
    await patience.catch(() => {});
  }
}

/** The data of one look. */
class Look {
  /** Stamps of the previous look. */
  readonly before: ReadonlyMap<string, string>;
  readonly stamps = new Map<string, string>();
  /** Sizes of the regular files so far. */
  bytes = 0;

  constructor(before: ReadonlyMap<string, string>) {
    this.before = before;
  }
}

function contentOf(parsed: ParsedFile): FileContent {
  if (!parsed.ok) return { type: 'broken', mayDeclare: true, fault: parsed.fault };
  if (parsed.empty) return { type: 'empty' };
  const { documents, unnamed, faults, more } = parsed;
  return { type: 'documents', documents, unnamed, faults, more };
}

function broken(message: string, mayDeclare: boolean): FileContent {
  return { type: 'broken', mayDeclare, fault: { message } };
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

import { realpath } from 'node:fs/promises';
import { dirname, sep } from 'node:path';

import type { Clock } from '../../domain/time.ts';
import type { ListedFault, ManifestDocument } from './content.ts';
import type { ManifestParser, ParsedFile } from './parser.ts';
import { readRegular, statPath, textsIn } from './reading.ts';
import type { FileState, PathState } from './reading.ts';
import { isInside, walk } from './walk.ts';

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
  /** Files beyond {@link filesLimit} and {@link folderLimitBytes}: not read. */
  readonly leftOut: readonly string[];
  /** Why the folder was not listed to its end; absent = it was. */
  readonly cut?: string;
}

/** A file younger than this is read at the next look: its writer may not be done. */
const settleMs = 100;
const missingStamp = 'missing';
/** How many files are read; the maximum size of one, and of all together, in bytes. */
export const filesLimit = 10_000;
export const fileLimitBytes = 4_000_000;
export const folderLimitBytes = 64_000_000;
/** How many new files one look reads, and how many bytes of them: a look after a change must be short. */
const newAtOnce = { files: 1_000, bytes: 8_000_000 } as const;
/** How many changed files a glance reads, and how large each may be. */
const glanceLimit = { files: 100, bytes: 131_072 } as const;
/** How much is searched for a name: of one file, of all files, and how many files. */
const searchLimit = { fileBytes: 16_000_000, bytes: 256_000_000, files: 20_000 } as const;
/**
 * How long a look waits for files that are being parsed: those that were read before, and new ones. It goes on without slower
 * ones.
 */
const patienceMs = { known: 1_000, fresh: 250 } as const;
/** How many file system calls run at a time: Node has four threads for them. */
const atOnce = 32;

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
 * following links, and reads only files that changed.
 *
 * Nothing in the folder can keep a look from ending, or a change from taking effect. Each look lists all files, but first reads
 * those that were read before and have changed, and then a few new ones. A file that was read once, or that an object came from,
 * keeps its place within the limits: files that are added later are left out instead.
 */
export class ManifestFolder {
  readonly #init: ManifestFolderInit;
  readonly #known = new Map<string, Known>();
  readonly #parsing = new Map<string, Parsing>();
  /** For each name, the file that mentions it, and its stamp. */
  readonly #mentions = new Map<string, { readonly path: string; readonly stamp: string | undefined }>();
  #stamps = new Map<string, string>();
  /** Files within the limits at the last look. */
  #admitted: ReadonlySet<string> = new Set();
  #last: FolderLook | undefined;

  constructor(init: ManifestFolderInit) {
    this.#init = init;
  }

  /** Looks at everything once. Never rejects. `sources`: files that objects came from. */
  async look(sources: ReadonlySet<string> = new Set()): Promise<FolderLook> {
    const listed = await walk(this.#init);
    const unlisted = listed.cut === undefined ? [] : await this.#unlisted(new Set(listed.paths), sources);
    const states = new Map<string, PathState | FileContent | undefined>();
    await eachOf([...listed.paths, ...unlisted], async (path) => {
      states.set(path, await this.#stateOf(path));
    });
    for (const path of unlisted) if (states.get(path) === undefined) states.delete(path);
    const before = this.#stamps;
    this.#stamps = new Map([...states].map(([path, state]) => [path, stampOf(state)] as const));
    const { contents, regular, leftOut } = this.#admit(states, sources, before);
    await this.#read(regular, sources, before, contents);
    for (const path of this.#known.keys()) if (!this.#admitted.has(path)) this.#known.delete(path);
    const files = [...contents]
      .map(([path, one]) => ({ path, content: 'done' in one ? this.#outcome(path, one) : one }))
      .sort((a, b) => (a.path < b.path ? -1 : 1));
    this.#last = { files, faults: listed.faults, leftOut, ...(listed.cut === undefined ? {} : { cut: listed.cut }) };
    return this.#last;
  }

  /**
   * The last look, updated with the changes of a few files of ordinary size. It lists nothing, so that a change of these files
   * does not wait for others, however many there are. `undefined` = nothing has changed, or only what needs a look.
   */
  async glance(
    sources: ReadonlySet<string>,
  ): Promise<{ readonly look: FolderLook; readonly changed: ReadonlySet<string> } | undefined> {
    const states = new Map<string, FileState>();
    if (this.#last === undefined) return undefined;
    await eachOf([...sources], async (path) => {
      const state = this.#admitted.has(path) ? await this.#stateOf(path) : undefined;
      if (state === undefined || 'type' in state || state.kind === 'irregular') return;
      const isOrdinary = state.size <= glanceLimit.bytes && states.size < glanceLimit.files;
      if (isOrdinary && this.#known.get(path)?.stamp !== state.stamp) states.set(path, state);
    });
    const contents = new Map<string, FileContent | Parsing>();
    await eachOf([...states], async ([path, state]) => {
      contents.set(path, await this.#readChanged(path, state, this.#stamps, true));
    });
    const parsing = [...contents.values()].filter((one) => 'done' in one);
    await this.#waitFor(parsing, patienceMs.known);
    const read = new Map<string, FileContent>();
    for (const [path, one] of contents) {
      const content = 'done' in one ? this.#outcome(path, one) : one;
      if (content.type === 'documents') read.set(path, content);
    }
    if (read.size === 0) return undefined;
    const files = this.#last.files.map(({ path, content }) => ({ path, content: read.get(path) ?? content }));
    return { look: { ...this.#last, files }, changed: new Set(read.keys()) };
  }

  /** Files that the list lacks because it was cut, and that were read before or that an object came from. */
  async #unlisted(listed: ReadonlySet<string>, sources: ReadonlySet<string>): Promise<readonly string[]> {
    const { root } = this.#init;
    const found: string[] = [];
    const wanted = [...new Set([...this.#admitted, ...sources])].filter(
      (path) => path.startsWith(root + sep) && !listed.has(path),
    );
    await eachOf(wanted.slice(0, filesLimit), async (path) => {
      const folder = await realpath(dirname(path)).catch(() => undefined);
      if (folder !== undefined && isInside(folder, root)) found.push(path);
    });
    return found;
  }

  /** `undefined` = it does not exist. */
  async #stateOf(path: string): Promise<PathState | FileContent | undefined> {
    try {
      return await statPath(path);
    } catch (error) {
      if (isCode(error, 'ENOENT')) return undefined;
      return isCode(error, 'ELOOP') ? broken('the link leads in a circle', false) : broken('the file cannot be read', true);
    }
  }

  /** Which files to read: those that already have their place, then the smallest. */
  #admit(
    states: ReadonlyMap<string, PathState | FileContent | undefined>,
    sources: ReadonlySet<string>,
    before: ReadonlyMap<string, string>,
  ): { contents: Map<string, FileContent | Parsing>; regular: ReadonlyMap<string, FileState>; leftOut: readonly string[] } {
    const contents = new Map<string, FileContent | Parsing>();
    const candidates: { readonly path: string; readonly state: FileState; readonly rank: number }[] = [];
    for (const [path, state] of states) {
      if (state === undefined) {
        // Gone since it was listed, or a symbolic link without a file: the next look shows which.
        const leadsNowhere = before.get(path) === missingStamp;
        contents.set(path, leadsNowhere ? broken("the link's target does not exist", false) : { type: 'unsettled' });
      } else if ('type' in state) contents.set(path, state);
      else if (state.kind === 'irregular')
        contents.set(path, broken('is not a regular file: FIFOs, sockets and devices are not read', false));
      else if (state.size > fileLimitBytes) contents.set(path, broken('the file is larger than 4 MB', true));
      else candidates.push({ path, state, rank: this.#rankOf(path, state.stamp, sources) });
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
    this.#admitted = new Set(regular.keys());
    return { contents, regular, leftOut: leftOut.sort() };
  }

  /** Unchanged files keep their places before one that has grown. */
  #rankOf(path: string, stamp: string, sources: ReadonlySet<string>): number {
    const hasPlace = this.#admitted.has(path) || sources.has(path);
    return !hasPlace ? 2 : this.#known.get(path)?.stamp === stamp ? 0 : 1;
  }

  /** Reads changed files, and starts on some of the new ones. */
  async #read(
    regular: ReadonlyMap<string, FileState>,
    sources: ReadonlySet<string>,
    before: ReadonlyMap<string, string>,
    contents: Map<string, FileContent | Parsing>,
  ): Promise<void> {
    const changed = [...regular].filter(([path, { stamp }]) => {
      const known = this.#known.get(path);
      if (known?.stamp === stamp) contents.set(path, known.content);
      return known?.stamp !== stamp;
    });
    const isFirst = ([path]: readonly [string, FileState]): boolean => this.#known.has(path) || sources.has(path);
    const begin = async ([path, state]: readonly [string, FileState], first: boolean): Promise<void> => {
      contents.set(path, await this.#readChanged(path, state, before, first));
    };
    const known = changed.filter(isFirst);
    await eachOf(known, (one) => begin(one, true));
    let left = newAtOnce.bytes;
    const fresh = changed.filter((one) => !isFirst(one));
    const now = fresh.filter(([, { size }], at) => at < newAtOnce.files && (left -= size) >= 0);
    for (const [path] of fresh) contents.set(path, { type: 'pending' });
    await eachOf(now, (one) => begin(one, false));
    const parsing = (ones: readonly (readonly [string, FileState])[]) =>
      ones.flatMap(([path]) => {
        const content = contents.get(path);
        return content !== undefined && 'done' in content ? [content] : [];
      });
    await this.#waitFor(parsing(known), patienceMs.known);
    await this.#waitFor(parsing(now), patienceMs.fresh);
  }

  #outcome(path: string, { stamp }: Parsing): FileContent {
    const known = this.#known.get(path);
    return known?.stamp === stamp ? known.content : { type: 'pending' };
  }

  /**
   * Which of these names appear in a file that could not be read or parsed, and the first such file: somebody may have moved the
   * object there. Searches the first 16 MB of a file, and of all files together no more than {@link searchLimit}.
   */
  async mentions(paths: readonly string[], names: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>();
    for (const name of names) {
      const known = this.#mentions.get(name);
      if (known !== undefined && paths.includes(known.path) && known.stamp === this.#stamps.get(known.path))
        found.set(name, known.path);
      else this.#mentions.delete(name);
    }
    const unknown = [...new Set(names)].filter((name) => !found.has(name));
    if (unknown.length === 0) return found;
    let left = searchLimit.bytes;
    await eachOf(paths.slice(0, searchLimit.files), async (path) => {
      if (left <= 0) return;
      const size = Math.min(searchLimit.fileBytes, await sizeOf(path));
      left -= size;
      for (const name of await textsIn(path, unknown, searchLimit.fileBytes)) {
        const before = found.get(name);
        if (before !== undefined && before < path) continue;
        found.set(name, path);
        this.#mentions.set(name, { path, stamp: this.#stamps.get(path) });
      }
    });
    return found;
  }

  async #readChanged(
    path: string,
    state: FileState,
    before: ReadonlyMap<string, string>,
    first: boolean,
  ): Promise<FileContent | Parsing> {
    const { clock, parser } = this.#init;
    const parsing = this.#parsing.get(path);
    // One at a time for each path, so that frequent writes of one file do not fill the queue.
    if (parsing !== undefined) return parsing.stamp === state.stamp ? parsing : { type: 'pending' };
    // Settled = unchanged since the last look, or old enough by the clock. If our clock is behind the file's, the file waits for
    // one more look.
    if (before.get(path) !== state.stamp && clock.now() - state.modifiedAt < settleMs) return { type: 'unsettled' };
    try {
      const bytes = await readRegular(path, state);
      return bytes === undefined ? { type: 'unsettled' } : this.#parse(path, state.stamp, parser.parse(bytes, first));
    } catch (error) {
      return isCode(error, 'ENOENT') ? { type: 'unsettled' } : broken('the file cannot be read', true);
    }
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

  async #waitFor(parsing: readonly Parsing[], ms: number): Promise<void> {
    if (parsing.length === 0) return;
    const all = new AbortController();
    const patience = this.#init.clock.sleep(ms, all.signal);
    await Promise.race([Promise.all(parsing.map(({ done }) => done)), patience]);
    all.abort();
    await patience.catch(() => {});
  }
}

/** Does the work for each item, a few at a time. */
async function eachOf<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  const run = async (): Promise<void> => {
    for (let item = items[next]; item !== undefined; item = items[next]) {
      next += 1;
      await work(item);
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, run));
}

function stampOf(state: PathState | FileContent | undefined): string {
  if (state === undefined) return missingStamp;
  return 'stamp' in state ? state.stamp : '';
}

async function sizeOf(path: string): Promise<number> {
  const state = await statPath(path).catch(() => undefined);
  return state?.kind === 'regular' ? state.size : 0;
}

function contentOf(parsed: ParsedFile): FileContent {
  if (!parsed.ok) return { type: 'broken', mayDeclare: true, fault: parsed.fault };
  if (parsed.empty) return { type: 'empty' };
  const { documents, unnamed, stray, faults, more } = parsed;
  return { type: 'documents', documents, unnamed, ...(stray === undefined ? {} : { stray }), faults, more };
}

function broken(message: string, mayDeclare: boolean): FileContent {
  return { type: 'broken', mayDeclare, fault: { message } };
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

import { realpath } from 'node:fs/promises';
import { dirname } from 'node:path';

import { isCode } from '../../domain/systemcode.ts';
import type { Clock } from '../../domain/time.ts';
import { admit, filesLimit, ordinaryBytes, stampOf } from './admission.ts';
import type { Found } from './admission.ts';
import { crowdedOut } from './crowd.ts';
import { FileReader } from './filereader.ts';
import type { Wanted } from './filereader.ts';
import { broken } from './look.ts';
import type { FileContent, FolderLook } from './look.ts';
import { Mentions } from './mentions.ts';
import type { ManifestParser } from './parser.ts';
import { eachOf } from './pool.ts';
import { statPath } from './reading.ts';
import { followRoot, liesIn } from './root.ts';
import type { Root } from './root.ts';
import { isInside, walk } from './walk.ts';

/** How many new files one look reads, and how many bytes of them: a look after a change must be short. */
const newAtOnce = { files: 1_000, bytes: 8_000_000 } as const;
/** How many changed files a glance reads, and how large each may be. */
const glanceLimit = { files: 100, bytes: ordinaryBytes } as const;
/**
 * How long a look waits for files that are being parsed: those that were read before, and new ones. It goes on without slower
 * ones.
 */
const patienceMs = { known: 1_000, fresh: 250 } as const;

/** What a {@link ManifestFolder} is made of. */
export interface ManifestFolderInit {
  /** The path as given, absolute. All paths of a look begin with it. */
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
  readonly #reader: FileReader;
  readonly #mentions: Mentions;
  #stamps: ReadonlyMap<string, string> = new Map();
  /** Files within the limits at the last look. */
  #admitted: ReadonlySet<string> = new Set();
  /** Files that named too many objects: what each of them names is forgotten until it changes, or there is room. */
  #crowded: ReadonlyMap<string, { readonly stamp: string; readonly objects: number }> = new Map();
  /** Files that counted at the last look. */
  #counted: ReadonlySet<string> = new Set();
  #last: { readonly root: Root; readonly look: FolderLook } | undefined;

  constructor(init: ManifestFolderInit) {
    this.#init = init;
    this.#reader = new FileReader(init);
    this.#mentions = new Mentions(init.clock);
  }

  /** By which path a file is known that an object came from, if it lay in this folder under its real path. */
  identify(path: string): string {
    return this.#last?.root.toGiven(path) ?? path;
  }

  /** Looks at everything once. Never rejects. `sources`: files that objects came from. */
  async look(sources: ReadonlySet<string> = new Set()): Promise<FolderLook> {
    const root = await followRoot(this.#init.root);
    const { found, folders, faults, cut } = await this.#list(root, sources);
    const before = { stamps: this.#stamps, admitted: this.#admitted, sources };
    this.#stamps = new Map([...found].map(([path, state]) => [path, stampOf(state)] as const));
    const admission = admit(found, { ...before, knownStamp: (path) => this.#reader.known(path)?.stamp });
    this.#admitted = new Set(admission.regular.keys());
    const wanted = [...admission.regular].map(([path, state]): Wanted => ({
      path,
      real: root.toReal(path),
      state,
      stampBefore: before.stamps.get(path),
    }));
    const unread = wanted.filter((one) => !this.#isCrowded(one));
    const contents = new Map([...admission.contents, ...(await this.#read(unread, sources))]);
    const crowded = this.#crowd(contents, wanted, sources);
    this.#reader.keep(new Set([...this.#admitted].filter((path) => !crowded.has(path))));
    const files = [...contents].map(([path, content]) => ({ path, content })).sort((a, b) => (a.path < b.path ? -1 : 1));
    const leftOut = [...admission.leftOut, ...crowded].sort();
    const look = { files, folders, faults, leftOut, ...(cut === undefined ? {} : { cut }) };
    this.#last = { root, look };
    return look;
  }

  /**
   * The last look, updated with the changes of a few files of ordinary size. It lists nothing, so that a change of these files
   * does not wait for others, however many there are. `undefined` = nothing has changed, or only what needs a look.
   */
  async glance(
    sources: ReadonlySet<string>,
  ): Promise<{ readonly look: FolderLook; readonly changed: ReadonlySet<string> } | undefined> {
    if (this.#last === undefined) return undefined;
    const { root, look } = this.#last;
    // The next release is read whole, and not mixed with this one.
    if ((await followRoot(root.given)).real !== root.real) return undefined;
    const wanted: Wanted[] = [];
    await eachOf([...sources], async (path) => {
      const real = root.toReal(path);
      const state = this.#admitted.has(path) ? await findAt(real) : undefined;
      if (state === undefined || 'type' in state || state.kind === 'irregular') return;
      if (this.#crowded.get(path)?.stamp === state.stamp) return;
      if (state.size > glanceLimit.bytes || this.#reader.known(path)?.stamp === state.stamp) return;
      if (wanted.length < glanceLimit.files && (await liesInside(real, root)))
        wanted.push({ path, real, state, stampBefore: this.#stamps.get(path) });
    });
    await eachOf(wanted, async (one) => void (await this.#reader.begin(one, true)));
    const read = new Map(
      [...(await this.#reader.settled(wanted, patienceMs.known))].filter(([, { type }]) => type === 'documents'),
    );
    if (read.size === 0) return undefined;
    const files = look.files.map(({ path, content }) => ({ path, content: read.get(path) ?? content }));
    return { look: { ...look, files }, changed: new Set(read.keys()) };
  }

  /** Which of these names appear in one of these files, and in which first: see {@link Mentions}. */
  async mentions(paths: readonly string[], names: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const root = this.#last?.root;
    const files = paths.map((path) => ({ path, real: root?.toReal(path) ?? path, stamp: this.#stamps.get(path) }));
    return await this.#mentions.search(files, names);
  }

  #isCrowded({ path, state }: Wanted): boolean {
    return this.#crowded.get(path)?.stamp === state.stamp;
  }

  /** Takes out the files that name too many objects. One that has room again is read at the next look. */
  #crowd(contents: Map<string, FileContent>, wanted: readonly Wanted[], sources: ReadonlySet<string>): ReadonlySet<string> {
    const stamps = new Map(wanted.map(({ path, state }) => [path, state.stamp]));
    const waiting = wanted.filter((one) => this.#isCrowded(one)).map(({ path }) => path);
    const named = new Map(waiting.map((path) => [path, this.#crowded.get(path)?.objects ?? 0]));
    for (const [path, content] of contents) if (content.type === 'documents') named.set(path, content.documents.length);
    const hasPlace = (path: string): boolean => this.#counted.has(path) || sources.has(path);
    const out = crowdedOut([...named].map(([path, objects]) => ({ path, objects, hasPlace: hasPlace(path) })));
    this.#counted = new Set([...named.keys()].filter((path) => !out.has(path)));
    this.#crowded = new Map([...out].map((path) => [path, { stamp: stamps.get(path) ?? '', objects: named.get(path) ?? 0 }]));
    for (const path of waiting) contents.set(path, { type: 'pending' });
    for (const path of out) contents.delete(path);
    return out;
  }

  /** What is in the folder, by the paths as given. */
  async #list(
    root: Root,
    sources: ReadonlySet<string>,
  ): Promise<{
    readonly found: ReadonlyMap<string, Found>;
    readonly folders: FolderLook['folders'];
    readonly faults: FolderLook['faults'];
    readonly cut: string | undefined;
  }> {
    const listed = await walk({ root: root.real, skipped: this.#init.skipped, clock: this.#init.clock });
    const paths = listed.paths.map((path) => root.toGiven(path));
    const unlisted = listed.cut === undefined ? [] : await this.#unlisted(new Set(paths), root, sources);
    const found = new Map<string, Found>();
    await eachOf([...paths, ...unlisted], async (path) => {
      found.set(path, await findAt(root.toReal(path)));
    });
    for (const path of unlisted) if (found.get(path) === undefined) found.delete(path);
    const faults = listed.faults.map(({ path, message }) => ({ path: root.toGiven(path), message }));
    const folders = new Map([...listed.folders].map(([path, identity]) => [root.toGiven(path), identity]));
    return { found, folders, faults, cut: listed.cut };
  }

  /** Files that the list lacks because it was cut, and that were read before or that an object came from. */
  async #unlisted(listed: ReadonlySet<string>, root: Root, sources: ReadonlySet<string>): Promise<readonly string[]> {
    const found: string[] = [];
    const missed = [...new Set([...this.#admitted, ...sources])].filter((path) => liesIn(path, root.given) && !listed.has(path));
    await eachOf(missed.slice(0, filesLimit), async (path) => {
      if (await liesInside(root.toReal(path), root)) found.push(path);
    });
    return found;
  }

  /** Reads changed files, and starts on some of the new ones. */
  async #read(wanted: readonly Wanted[], sources: ReadonlySet<string>): Promise<ReadonlyMap<string, FileContent>> {
    const contents = new Map<string, FileContent>();
    const isKnown = ({ path }: Wanted): boolean => this.#reader.known(path) !== undefined || sources.has(path);
    const begin = async (files: readonly Wanted[], first: boolean): Promise<readonly Wanted[]> => {
      const waiting: Wanted[] = [];
      await eachOf(files, async (one) => {
        const content = await this.#reader.begin(one, first);
        if (content === undefined) waiting.push(one);
        else contents.set(one.path, content);
      });
      return waiting;
    };
    // Divided before anything is awaited: what is parsed meanwhile must not fall out of both.
    const before = wanted.filter(isKnown);
    // Files that cannot be read must not keep others from their first turn.
    const tries = ({ path }: Wanted): number => this.#reader.tries(path);
    const fresh = wanted.filter((one) => !isKnown(one)).sort((a, b) => tries(a) - tries(b));
    const known = await begin(before, true);
    let left: number = newAtOnce.bytes;
    const now = fresh.filter(({ state }, at) => at < newAtOnce.files && (left -= state.size) >= 0);
    for (const { path } of fresh) contents.set(path, { type: 'pending' });
    const waiting = await begin(now, false);
    for (const [path, content] of await this.#reader.settled(known, patienceMs.known)) contents.set(path, content);
    for (const [path, content] of await this.#reader.settled(waiting, patienceMs.fresh)) contents.set(path, content);
    return contents;
  }
}

async function findAt(real: string): Promise<Found> {
  try {
    return await statPath(real);
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    return isCode(error, 'ELOOP') ? broken('the link leads in a circle', false) : broken('the file cannot be read', true);
  }
}

/** Whether the folder of a file is in the manifests folder, whatever links lead there. */
async function liesInside(real: string, root: Root): Promise<boolean> {
  const folder = await realpath(dirname(real)).catch(() => undefined);
  return folder !== undefined && isInside(folder, root.real);
}

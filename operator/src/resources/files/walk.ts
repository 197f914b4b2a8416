import type { Dir } from 'node:fs';
import { opendir, realpath, stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { isCode } from '../../domain/systemcode.ts';
import type { Clock } from '../../domain/time.ts';

/** Bounds of one walk: entries of all kinds, folders below the first one, and time. */
export const walkLimits = { entries: 50_000, depth: 16, ms: 2_000 } as const;
/** How many entries of one folder are read before the next folder has its turn. */
const entriesInTurn = 1_000;

/** The manifests in a folder and its subfolders. */
export interface Walk {
  /** Sorted. */
  readonly paths: readonly string[];
  /** The folders that were entered, and the device and inode of each. */
  readonly folders: ReadonlyMap<string, string>;
  /** Folders that were left out, and why. */
  readonly faults: readonly { readonly path: string; readonly message: string }[];
  /** Why it ended early; absent = it has listed everything. */
  readonly cut?: string;
}

/** A folder that is not fully read yet. */
interface Open {
  readonly folder: string;
  readonly depth: number;
  /** Set from its first turn on: few are open at a time. */
  dir?: Dir;
}

/** The folder to list. */
export interface WalkInit {
  /** Its real path. */
  readonly root: string;
  /** The real path of a folder to leave out. */
  readonly skipped: string;
  readonly clock: Pick<Clock, 'monotonicMs'>;
}

/**
 * Lists the manifests under `root`. It follows links to folders only if they lead into `root`: a link to `/` would have no end.
 * Folders take turns, so that one with many entries does not hide the others. Never rejects.
 */
export async function walk(init: WalkInit): Promise<Walk> {
  return await new Walker(init).run();
}

class Walker {
  readonly #init: WalkInit;
  readonly #paths: string[] = [];
  readonly #faults: { path: string; message: string }[] = [];
  readonly #visited = new Set<string>();
  readonly #folders = new Map<string, string>();
  readonly #open: Open[] = [];
  #entries = 0;

  constructor(init: WalkInit) {
    this.#init = init;
  }

  async run(): Promise<Walk> {
    const { root, clock } = this.#init;
    const startedMs = clock.monotonicMs();
    let cut: string | undefined;
    await this.#enter(root, 0);
    for (let next = this.#open.shift(); next !== undefined; next = this.#open.shift()) {
      if (this.#entries >= walkLimits.entries)
        cut = `has more than ${walkLimits.entries.toLocaleString('en-US')} entries: the rest is not listed`;
      else if (clock.monotonicMs() - startedMs >= walkLimits.ms)
        cut = `takes longer than ${walkLimits.ms / 1_000} s to list: the rest is not listed`;
      else if (await this.#turn(next)) {
        this.#open.push(next);
        continue;
      }
      await next.dir?.close().catch(() => {});
    }
    const faults = this.#faults.sort((a, b) => (a.path < b.path ? -1 : 1));
    return { paths: this.#paths.sort(), folders: this.#folders, faults, ...(cut === undefined ? {} : { cut }) };
  }

  async #enter(folder: string, depth: number): Promise<void> {
    try {
      const { dev, ino } = await stat(folder, { bigint: true });
      const identity = `${dev}:${ino}`;
      if (folder === this.#init.skipped || this.#visited.has(identity)) return;
      this.#visited.add(identity);
      if (depth > walkLimits.depth)
        this.#leaveOut(folder, `the folder lies deeper than ${walkLimits.depth} folders, and is left out`);
      else {
        this.#folders.set(folder, identity);
        this.#open.push({ folder, depth });
      }
    } catch (error) {
      this.#noteUnreadable(folder, error);
    }
  }

  /** Reads some entries; false = there are no more. */
  async #turn(open: Open): Promise<boolean> {
    const { folder, depth } = open;
    try {
      const dir = (open.dir ??= await opendir(folder, { bufferSize: entriesInTurn }));
      for (let read = 0; read < entriesInTurn && this.#entries < walkLimits.entries; read += 1) {
        const entry = await dir.read();
        if (entry === null) return false;
        this.#entries += 1;
        if (entry.name.startsWith('.') || entry.name === 'node_modules') continue;
        const path = join(folder, entry.name);
        if (entry.isSymbolicLink() && (await this.#leadsToSkipped(path))) {
          this.#leaveOut(path, 'the link leads into the data folder, and is left out');
          continue;
        }
        const isFolder = entry.isDirectory() || (entry.isSymbolicLink() && (await this.#leadsToFolder(path)));
        if (isFolder && (entry.isDirectory() || (await this.#staysInside(path)))) await this.#enter(path, depth + 1);
        else if (!isFolder && /\.(?:yaml|yml|json)$/.test(entry.name)) this.#paths.push(path);
      }
      return true;
    } catch (error) {
      this.#noteUnreadable(folder, error);
      return false;
    }
  }

  async #leadsToSkipped(path: string): Promise<boolean> {
    const real = await realpath(path).catch(() => undefined);
    return real !== undefined && isInside(real, this.#init.skipped);
  }

  async #leadsToFolder(path: string): Promise<boolean> {
    try {
      return (await stat(path)).isDirectory();
    } catch {
      return false;
    }
  }

  async #staysInside(path: string): Promise<boolean> {
    // Its path may be too long, or it may have changed: one link must not end the list.
    const real = await realpath(path).catch(() => undefined);
    if (real === undefined) this.#leaveOut(path, 'the link cannot be followed, and is left out');
    else if (isInside(real, this.#init.root)) return true;
    else this.#leaveOut(path, 'the link leads out of the manifests folder, and is left out');
    return false;
  }

  #leaveOut(path: string, message: string): void {
    this.#faults.push({ path, message });
  }

  #noteUnreadable(folder: string, error: unknown): void {
    this.#leaveOut(folder, isCode(error, 'ENOENT') ? 'the folder is not there' : 'the folder cannot be read');
  }
}

/** Whether a real path is that of the folder, or of something in it. */
export function isInside(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way !== '..' && !way.startsWith(`..${sep}`) && !way.startsWith(sep);
}

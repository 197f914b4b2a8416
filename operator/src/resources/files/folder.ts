import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

import type { Clock } from '../../domain/time.ts';
import { parseManifestText } from './documents.ts';
import type { LineFault, ManifestDocument } from './documents.ts';

/**
 * What a look at one file gave. `unsettled`: it was written a moment ago, or while we read it; what it says is taken
 * at the next look. `empty`: not one document; an editor that saves may leave a file so for an instant.
 */
export type FileContent =
  | { readonly type: 'documents'; readonly documents: readonly ManifestDocument[] }
  | { readonly type: 'empty' }
  | { readonly type: 'broken'; readonly fault: { readonly line?: number; readonly message: string } }
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
const sizeLimitBytes = 4_000_000;

interface Known {
  readonly stamp: string;
  readonly content: FileContent;
}

/**
 * A folder of manifests: every `*.yaml`, `*.yml`, `*.json` in it and its subfolders. Names that begin with a dot are
 * skipped (editors' and version control's files), `node_modules` too, and the data folder if it lies inside. Only files
 * that changed are read.
 */
export class ManifestFolder {
  readonly #root: string;
  readonly #skipped: string;
  readonly #clock: Clock;
  #known = new Map<string, Known>();
  #stamps = new Map<string, string>();

  /** `skipped` is the real path of a folder to leave out. */
  constructor(root: string, skipped: string, clock: Clock) {
    this.#root = root;
    this.#skipped = skipped;
    this.#clock = clock;
  }

  /** Looks at everything once. Never rejects. */
  async look(): Promise<FolderLook> {
    const faults: { path: string; message: string }[] = [];
    const paths = await this.#list(faults);
    const known = new Map<string, Known>();
    const stamps = new Map<string, string>();
    const files = [];
    for (const path of paths) {
      const content = await this.#readFile(path, stamps);
      const stamp = stamps.get(path);
      if (stamp !== undefined && content.type !== 'unsettled') known.set(path, { stamp, content });
      files.push({ path, content });
    }
    this.#known = known;
    this.#stamps = stamps;
    return { files, faults };
  }

  async #list(faults: { path: string; message: string }[]): Promise<readonly string[]> {
    const paths: string[] = [];
    // Symbolic links may lead back up.
    const visited = new Set<string>();
    const visit = async (folder: string): Promise<void> => {
      try {
        const { dev, ino } = await stat(folder, { bigint: true });
        if (folder === this.#skipped || visited.has(`${dev}:${ino}`)) return;
        visited.add(`${dev}:${ino}`);
        for (const entry of await readdir(folder, { withFileTypes: true })) {
          if (entry.name.startsWith('.') || entry.name === 'node_modules') continue;
          const path = join(folder, entry.name);
          if (entry.isDirectory() || (entry.isSymbolicLink() && (await isFolder(path)))) await visit(path);
          else if (/\.(?:yaml|yml|json)$/.test(entry.name)) paths.push(path);
        }
      } catch (error) {
        faults.push({ path: folder, message: isMissing(error) ? 'the folder is not there' : 'the folder cannot be read' });
      }
    };
    await visit(this.#root);
    return paths.sort();
  }

  async #readFile(path: string, stamps: Map<string, string>): Promise<FileContent> {
    try {
      const before = await stampOf(path);
      stamps.set(path, before.stamp);
      const known = this.#known.get(path);
      if (known?.stamp === before.stamp) return known.content;
      // Unchanged since the last look, or old enough by the clock; a clock that is behind the file's makes it wait one look.
      if (this.#stamps.get(path) !== before.stamp && this.#clock.now() - before.modifiedAt < settleMs)
        return { type: 'unsettled' };
      if (before.size > sizeLimitBytes) return broken('the file is larger than 4 MB');
      const bytes = await readFile(path);
      if ((await stampOf(path)).stamp !== before.stamp) return { type: 'unsettled' };
      return parseBytes(bytes);
    } catch (error) {
      if (!isMissing(error)) return broken('the file cannot be read');
      // Gone since it was listed, or a symbolic link without a file: the next look tells.
      const leadsNowhere = this.#stamps.get(path) === missingStamp;
      stamps.set(path, missingStamp);
      return leadsNowhere ? broken('the link leads to no file') : { type: 'unsettled' };
    }
  }
}

function parseBytes(bytes: Uint8Array): FileContent {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return broken('the file is no UTF-8 text');
  }
  const parsed = parseManifestText(text);
  if (!parsed.ok) return { type: 'broken', fault: parsed.fault satisfies LineFault };
  return parsed.documents.length === 0 ? { type: 'empty' } : { type: 'documents', documents: parsed.documents };
}

function broken(message: string): FileContent {
  return { type: 'broken', fault: { message } };
}

async function stampOf(path: string): Promise<{ readonly stamp: string; readonly size: number; readonly modifiedAt: number }> {
  const { dev, ino, size, mtimeNs, ctimeNs, mtimeMs } = await stat(path, { bigint: true });
  return { stamp: [dev, ino, size, mtimeNs, ctimeNs].join(':'), size: Number(size), modifiedAt: Number(mtimeMs) };
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

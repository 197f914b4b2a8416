import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import * as z from 'zod';

import { writeDurably } from './durable.ts';
import type { FolderLook } from './look.ts';
import { liesIn } from './root.ts';

const knownSchema = z.object({ folders: z.record(z.string(), z.string()) });

/** How many folders are remembered, those nearest to the manifests folder first: a file system is seldom mounted deep in it. */
const mostKnown = 1_000;

const message =
  'the folder contains no manifest, and is not the one that manifests were read from before (is a file system not mounted?): nothing that came from it is deleted until it contains a manifest; --prune deletes what is missing from it';

/** The folders of the known ones, as far as a look shows them. */
interface Seen {
  /** Those that contain a manifest, at any depth. */
  readonly named: ReadonlySet<string>;
  /** Those that contain a file that is not read yet. */
  readonly unread: ReadonlySet<string>;
}

/**
 * The folders in which something was found before and nothing is found now, although they are not the same: a file system that is not
 * mounted, say. One that is still the same was emptied on purpose. `candidates`: folders above files that objects came from.
 */
function replacedByNothing(
  known: ReadonlyMap<string, string>,
  candidates: ReadonlySet<string>,
  { root, folders, seen }: { readonly root: string; readonly folders: FolderLook['folders']; readonly seen: Seen },
): readonly string[] {
  return [...candidates].filter((folder) => {
    const [before, now] = [known.get(folder), folders.get(folder)];
    const isAnother = now !== undefined && now !== before && (before !== undefined || folder === root);
    return isAnother && !seen.named.has(folder) && !seen.unread.has(folder);
  });
}

/** Remembers, across restarts, in which folders manifests were found. */
export class KnownFolders {
  readonly #file: string;
  readonly #root: string;
  /** The identity of each, by its path as given. */
  #known: ReadonlyMap<string, string>;

  private constructor(file: string, root: string, known: ReadonlyMap<string, string>) {
    this.#file = file;
    this.#root = root;
    this.#known = known;
  }

  /** `root`: the manifests folder, as given. */
  static async load(dataFolder: string, root: string): Promise<KnownFolders> {
    const file = join(dataFolder, 'manifests.json');
    const text = await readFile(file, 'utf8').catch(() => '');
    return new KnownFolders(file, root, knownIn(text));
  }

  /** Adds a fault for each folder that was replaced by nothing, which keeps the objects that came from it. `sources`: files of objects. */
  async check(look: FolderLook, sources: ReadonlySet<string>): Promise<FolderLook> {
    const root = this.#root;
    const pathsOf = (isMeant: (content: FolderLook['files'][number]['content']) => boolean): readonly string[] =>
      look.files.filter(({ content }) => isMeant(content)).map(({ path }) => path);
    const unread = pathsOf(({ type }) => type === 'pending' || type === 'unsettled');
    const seen = {
      named: foldersAbove(
        pathsOf((content) => content.type === 'documents' && content.documents.length > 0),
        root,
      ),
      unread: foldersAbove([...unread, ...look.leftOut], root),
    };
    const candidates = foldersAbove(sources, root);
    await this.#remember(seen.named, candidates, look.folders);
    const replaced = replacedByNothing(this.#known, candidates, { root, folders: look.folders, seen });
    return { ...look, faults: [...look.faults, ...replaced.map((path) => ({ path, message }))] };
  }

  /** Those with a manifest as they are now; those that objects came from as they were. */
  async #remember(named: ReadonlySet<string>, candidates: ReadonlySet<string>, folders: FolderLook['folders']): Promise<void> {
    const identities = new Set(this.#known.values());
    const all = [...new Set([this.#root, ...named, ...candidates])].map((folder) => {
      const now = folders.get(folder) ?? '';
      // The manifests folder may have had another path before, by which the objects are still known.
      const before = this.#known.get(folder) ?? (identities.has(now) ? now : undefined);
      return [folder, named.has(folder) ? (folders.get(folder) ?? before) : before] as const;
    });
    const found = all.flatMap(([folder, identity]) => (identity === undefined ? [] : [[folder, identity] as const]));
    const known = new Map(found.sort(([a], [b]) => depthOf(a) - depthOf(b) || (a < b ? -1 : 1)).slice(0, mostKnown));
    if (known.size === this.#known.size && [...known].every(([folder, identity]) => this.#known.get(folder) === identity)) return;
    const text = JSON.stringify({ folders: Object.fromEntries(known) });
    await writeDurably(this.#file, `${text}\n`, { mode: 0o600, folderMode: 0o700 });
    this.#known = known;
  }
}

/** All folders above these files, up to the manifests folder. */
function foldersAbove(paths: Iterable<string>, root: string): ReadonlySet<string> {
  const folders = new Set<string>();
  for (const path of paths)
    for (let at = dirname(path); !folders.has(at) && (at === root || liesIn(at, root)); at = dirname(at)) folders.add(at);
  return folders;
}

function depthOf(path: string): number {
  return path.split('/').length;
}

function knownIn(text: string): ReadonlyMap<string, string> {
  try {
    return new Map(Object.entries(knownSchema.safeParse(JSON.parse(text)).data?.folders ?? {}));
  } catch {
    return new Map();
  }
}

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';

import { writeDurably } from './durable.ts';
import type { FolderLook } from './look.ts';
import { liesIn } from './root.ts';

const knownSchema = z.object({ path: z.string(), identity: z.string() });

/** Which folder the manifests were read from last. */
export type Known = z.infer<typeof knownSchema>;

const message =
  'the folder is empty, and is not the one that the manifests were read from before (is a file system not mounted?): nothing is deleted until it contains a manifest; --prune deletes what is missing from it';

/**
 * Whether nothing was found in a folder that is not the one where something was found before: a file system that is not mounted, say.
 * An empty folder that is still the same one was emptied on purpose.
 */
export function isReplacedByNothing(known: Known | undefined, path: string, { identity, isBare }: FolderLook): boolean {
  return isBare === true && identity !== undefined && !(known?.path === path && known.identity === identity);
}

/** Remembers, across restarts, in which folder manifests were found. */
export class KnownFolder {
  readonly #file: string;
  readonly #path: string;
  #known: Known | undefined;

  private constructor(file: string, path: string, known: Known | undefined) {
    this.#file = file;
    this.#path = path;
    this.#known = known;
  }

  /** `path`: of the manifests folder, as given. */
  static async load(dataFolder: string, path: string): Promise<KnownFolder> {
    const file = join(dataFolder, 'manifests.json');
    const text = await readFile(file, 'utf8').catch(() => '');
    return new KnownFolder(file, path, knownIn(text));
  }

  /** Adds a fault that keeps all objects to a look into a folder that was replaced by nothing. `sources`: files of objects. */
  async check(look: FolderLook, sources: ReadonlySet<string>): Promise<FolderLook> {
    const { identity, isBare } = look;
    if (isBare === false && identity !== undefined && (this.#known?.identity !== identity || this.#known.path !== this.#path)) {
      const known = { path: this.#path, identity };
      await writeDurably(this.#file, `${JSON.stringify(known)}\n`, { mode: 0o600, folderMode: 0o700 });
      this.#known = known;
    }
    const hasObjects = [...sources].some((source) => liesIn(source, this.#path));
    if (!hasObjects || !isReplacedByNothing(this.#known, this.#path, look)) return look;
    return { ...look, faults: [...look.faults, { path: this.#path, message }] };
  }
}

function knownIn(text: string): Known | undefined {
  try {
    return knownSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

import { eachOf } from './pool.ts';
import { statPath, namesIn } from './reading.ts';

/** How much is searched for a name: of one file, of all files, and how many files. */
const searchLimit = { fileBytes: 16_000_000, bytes: 256_000_000, files: 20_000 } as const;

/** A file to search: where it lies, and what changes when it does. */
export interface Searched {
  readonly path: string;
  readonly real: string;
  readonly stamp: string | undefined;
}

/** Which names appear in files that could not be read or parsed: somebody may have moved an object there. */
export class Mentions {
  /** For each name, the file that mentions it, and its stamp. */
  readonly #found = new Map<string, { readonly path: string; readonly stamp: string | undefined }>();

  /** The first file that mentions each name. Searches the first 16 MB of a file, and of all together no more than {@link searchLimit}. */
  async search(files: readonly Searched[], names: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>();
    for (const name of names) {
      const known = this.#found.get(name);
      const isThere = known !== undefined && files.some(({ path, stamp }) => path === known.path && stamp === known.stamp);
      if (isThere) found.set(name, known.path);
      else this.#found.delete(name);
    }
    const unknown = [...new Set(names)].filter((name) => !found.has(name));
    if (unknown.length === 0) return found;
    let left = searchLimit.bytes;
    await eachOf(files.slice(0, searchLimit.files), async ({ path, real, stamp }) => {
      if (left <= 0) return;
      left -= Math.min(searchLimit.fileBytes, await sizeOf(real));
      for (const name of await namesIn(real, unknown, searchLimit.fileBytes)) {
        const before = found.get(name);
        if (before !== undefined && before < path) continue;
        found.set(name, path);
        this.#found.set(name, { path, stamp });
      }
    });
    return found;
  }
}

async function sizeOf(path: string): Promise<number> {
  const state = await statPath(path).catch(() => undefined);
  return state?.kind === 'regular' ? state.size : 0;
}

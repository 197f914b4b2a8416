import type { Clock } from '../../domain/time.ts';
import { eachOf } from './pool.ts';
import { namesIn } from './reading.ts';

/**
 * How much is searched for names: bytes of one file, bytes of all files, files, and time. Nothing waits longer than that for the search:
 * a name that was not found by then counts as not mentioned.
 */
const searchLimit = { fileBytes: 16_000_000, bytes: 256_000_000, files: 20_000, ms: 2_000 } as const;

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
  readonly #clock: Pick<Clock, 'monotonicMs'>;

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock;
  }

  /** The first file that mentions each name, as far as {@link searchLimit} goes. */
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
    const untilMs = this.#clock.monotonicMs() + searchLimit.ms;
    let left: number = searchLimit.bytes;
    const take = (bytes: number): boolean => (left -= bytes) >= 0 && this.#clock.monotonicMs() < untilMs;
    await eachOf(files.slice(0, searchLimit.files), async ({ path, real, stamp }) => {
      for (const name of await namesIn(real, unknown, { limitBytes: searchLimit.fileBytes, take })) {
        const before = found.get(name);
        if (before !== undefined && before < path) continue;
        found.set(name, path);
        this.#found.set(name, { path, stamp });
      }
    });
    return found;
  }
}

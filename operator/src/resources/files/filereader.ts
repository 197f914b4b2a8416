import { isCode } from '../../domain/systemcode.ts';
import type { Clock } from '../../domain/time.ts';
import { broken, contentOf } from './look.ts';
import type { FileContent } from './look.ts';
import type { ManifestParser, ParsedFile } from './parser.ts';
import { readRegular } from './reading.ts';
import type { FileState } from './reading.ts';

/** A file younger than this is read at the next look: its writer may not be done. */
const settleMs = 100;
/** After so many looks in a row that found it changed, it is not waited for: it may be a log, or a file of the kernel. */
const mostUnsettled = 10;

/** A file to read. */
export interface Wanted {
  readonly path: string;
  /** Where it lies. */
  readonly real: string;
  readonly state: FileState;
  /** Its stamp at the last look. */
  readonly stampBefore: string | undefined;
}

interface Known {
  readonly stamp: string;
  readonly content: FileContent;
}

/** A file that is being parsed; after `done`, its result is known. */
interface Parsing {
  readonly stamp: string;
  readonly done: Promise<void>;
}

/** Reads files, and remembers what they contain as long as they do not change. */
export class FileReader {
  readonly #clock: Clock;
  readonly #parser: ManifestParser;
  readonly #known = new Map<string, Known>();
  readonly #parsing = new Map<string, Parsing>();
  /** How many looks in a row found a file unsettled. */
  readonly #unsettled = new Map<string, number>();
  /** How often a file was begun that has no content yet. */
  readonly #tries = new Map<string, number>();

  constructor({ clock, parser }: { readonly clock: Clock; readonly parser: ManifestParser }) {
    this.#clock = clock;
    this.#parser = parser;
  }

  /** What was read of a file, whether it has changed since or not. */
  known(path: string): Known | undefined {
    return this.#known.get(path);
  }

  /** How often a file was tried in vain. */
  tries(path: string): number {
    return this.#tries.get(path) ?? 0;
  }

  /** Forgets all files but these. */
  keep(paths: ReadonlySet<string>): void {
    for (const files of [this.#known, this.#unsettled, this.#tries])
      for (const path of files.keys()) if (!paths.has(path)) files.delete(path);
  }

  /** Begins to read a file. The answer is its content, if that is known at once; otherwise wait for {@link settled}. */
  async begin(wanted: Wanted, first: boolean): Promise<FileContent | undefined> {
    const { path } = wanted;
    if (!this.#known.has(path)) this.#tries.set(path, this.tries(path) + 1);
    const content = await this.#begin(wanted, first);
    const looks = content?.type === 'unsettled' ? (this.#unsettled.get(path) ?? 0) + 1 : 0;
    if (looks === 0) this.#unsettled.delete(path);
    else this.#unsettled.set(path, looks);
    return looks < mostUnsettled ? content : broken('the file changes whenever it is read', true);
  }

  async #begin({ path, real, state, stampBefore }: Wanted, first: boolean): Promise<FileContent | undefined> {
    const known = this.#known.get(path);
    if (known?.stamp === state.stamp) return known.content;
    const parsing = this.#parsing.get(path);
    // One at a time for each path, so that frequent writes of one file do not fill the queue.
    if (parsing !== undefined) return parsing.stamp === state.stamp ? undefined : { type: 'pending' };
    // Settled = unchanged since the last look, or old enough by the clock. If our clock is behind the file's, the file waits for
    // one more look.
    if (stampBefore !== state.stamp && this.#clock.now() - state.modifiedAt < settleMs) return { type: 'unsettled' };
    try {
      const bytes = await readRegular(real, state);
      if (bytes === undefined) return { type: 'unsettled' };
      this.#parse(path, state.stamp, this.#parser.parse(bytes, first));
      return undefined;
    } catch (error) {
      return isCode(error, 'ENOENT') ? { type: 'unsettled' } : broken('the file cannot be read', true);
    }
  }

  /** Waits until these files are parsed, no longer than `ms`; then says what each contains. */
  async settled(files: readonly Wanted[], ms: number): Promise<ReadonlyMap<string, FileContent>> {
    const running = files.flatMap(({ path }) => this.#parsing.get(path) ?? []);
    if (running.length > 0) {
      const all = new AbortController();
      const patience = this.#clock.sleep(ms, all.signal);
      await Promise.race([Promise.all(running.map(({ done }) => done)), patience]);
      all.abort();
      await patience.catch(() => {});
    }
    return new Map(
      files.map(({ path, state }) => {
        const known = this.#known.get(path);
        return [path, known?.stamp === state.stamp ? known.content : { type: 'pending' }] as const;
      }),
    );
  }

  #parse(path: string, stamp: string, parsed: Promise<ParsedFile>): void {
    const done = parsed.then((content) => {
      this.#known.set(path, { stamp, content: contentOf(content) });
      this.#tries.delete(path);
      this.#parsing.delete(path);
    });
    this.#parsing.set(path, { stamp, done });
  }
}

import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';

import type { Clock } from './domain/time.ts';

/** The largest file that is read, in bytes: more than any bundle of authorities, and little memory. */
export const watchedFileMaxLength = 1024 * 1024;

/** Says why a file cannot be read. Its message names the file and never quotes it. */
export class FileFault extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'FileFault';
  }
}

/** What {@link WatchedFile.open} needs. */
export interface WatchedFileInput<T> {
  /** What the files are, for the log and as a label: `peppers`, `tls`. */
  readonly name: string;
  /** One file, or several that only count together, such as a certificate and its key. */
  readonly paths: readonly string[];
  /** The contents, in the order of `paths`, as the value that counts. Throws an error that names what is wrong. */
  readonly accept: (texts: readonly string[]) => T | Promise<T>;
}

/** A value that may change while the process runs. */
export interface Watched<T> {
  /** What counts now: the last content that was accepted. */
  readonly value: T;
  /** Calls `listener` after each change, with the value before and the new one. */
  onChange(listener: (before: T, after: T) => void): void;
}

/**
 * The content of files that may change while the process runs. A content that cannot be read or is not accepted changes
 * nothing: the last accepted one stays until the files are right again.
 */
export class WatchedFile<T> implements Watched<T> {
  readonly name: string;
  readonly paths: readonly string[];
  readonly #accept: WatchedFileInput<T>['accept'];
  readonly #listeners: ((before: T, after: T) => void)[] = [];
  #texts: readonly string[];
  #value: T;

  private constructor(input: WatchedFileInput<T>, texts: readonly string[], value: T) {
    this.name = input.name;
    this.paths = input.paths;
    this.#accept = input.accept;
    this.#texts = texts;
    this.#value = value;
  }

  /** Reads the files for the first time. Throws {@link FileFault}, or what `accept` throws. */
  static async open<T>(input: WatchedFileInput<T>): Promise<WatchedFile<T>> {
    const texts = await readTexts(input.paths);
    return new WatchedFile(input, texts, await input.accept(texts));
  }

  get value(): T {
    return this.#value;
  }

  onChange(listener: (before: T, after: T) => void): void {
    this.#listeners.push(listener);
  }

  /** Reads the files again and takes over what is new. Throws as {@link WatchedFile.open} does; the value stays then. */
  async refresh(): Promise<'changed' | 'same'> {
    const texts = await readTexts(this.paths);
    if (texts.every((text, index) => text === this.#texts[index])) return 'same';
    const [before, after] = [this.#value, await this.#accept(texts)];
    this.#texts = texts;
    this.#value = after;
    for (const listener of this.#listeners) listener(before, after);
    return 'changed';
  }
}

/** A {@link WatchedFile} of whatever content, as it is watched. */
export type Refreshable = Pick<WatchedFile<never>, 'name' | 'paths' | 'refresh'>;

/** What became of a refresh. `failed` = the content on disk does not count; `recovered` = it is the accepted one again. */
export type RefreshOutcome = 'changed' | 'recovered' | 'failed';

/** How {@link watchFile} watches, and whom it reports to. */
export interface FileWatch {
  readonly clock: Clock;
  readonly everyMs: number;
  readonly signal: AbortSignal;
  /** Called on a change, on the first of several equal failures (with its error), and when the content is right again. */
  readonly report: (outcome: RefreshOutcome, error?: unknown) => void;
}

/**
 * Refreshes until `signal` is aborted, then resolves; never rejects. It compares contents instead of waiting for file
 * events: kubelet swaps a mounted Secret by renaming the link `..data`, of which no event of the file itself tells.
 */
export async function watchFile(file: Refreshable, watch: FileWatch): Promise<void> {
  let failure: string | undefined;
  while (!watch.signal.aborted) {
    try {
      await watch.clock.sleep(watch.everyMs, watch.signal);
    } catch {
      return;
    }
    try {
      const outcome = await file.refresh();
      if (outcome === 'changed') watch.report('changed');
      else if (failure !== undefined) watch.report('recovered');
      failure = undefined;
    } catch (error) {
      const message = error instanceof Error ? error.message : 'unknown';
      if (message !== failure) watch.report('failed', error);
      failure = message;
    }
  }
}

async function readTexts(paths: readonly string[]): Promise<readonly string[]> {
  return await Promise.all(paths.map(readText));
}

/** Reads one regular file. A pipe would hold a thread until somebody writes to it, and a device has no end. */
async function readText(path: string): Promise<string> {
  let file: FileHandle;
  try {
    // O_NONBLOCK: opening a pipe without a writer returns at once.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw new FileFault(`${path} cannot be read: ${openFault(error)}`);
  }
  try {
    const found = await file.stat();
    if (!found.isFile()) throw new FileFault(`${path} cannot be read: it is not a regular file`);
    if (found.size > watchedFileMaxLength) throw new FileFault(`${path} cannot be read: it is larger than 1 MiB`);
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}

const openFaults: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EACCES: 'this user may not',
  EPERM: 'this user may not',
  ELOOP: 'its links lead in a circle',
};

function openFault(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
  return openFaults[code] ?? code;
}

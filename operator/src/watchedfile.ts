import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';

import type { Clock } from './domain/time.ts';

/** The maximum size of a file, in bytes: more than any CA bundle, and little memory. */
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
  /** A name for the log and the metric's label: `peppers`, `tls`. */
  readonly name: string;
  /** One file, or several that belong together, such as a certificate and its key. */
  readonly paths: readonly string[];
  /** Turns the contents, in the order of `paths`, into the value. Throws an error that names what is wrong. */
  readonly accept: (texts: readonly string[]) => T | Promise<T>;
}

/** A value that may change while the process runs. */
export interface Watched<T> {
  /** The current value: the last accepted content. */
  readonly value: T;
  /** Calls `listener` after each change, with the old and the new value. */
  onChange(listener: (before: T, after: T) => void): void;
}

/**
 * The content of files that may change while the process runs. Unreadable or unacceptable content changes nothing: the last
 * accepted content stays until the files are valid again.
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

  /** Reads the files again and takes over new content. Throws like {@link WatchedFile.open}; then the value stays. */
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

/** A {@link WatchedFile} with any content, as {@link watchFile} sees it. */
export type Refreshable = Pick<WatchedFile<never>, 'name' | 'paths' | 'refresh'>;

/**
 * The result of a refresh. `failed` = the content on disk is not accepted; `recovered` = it equals the accepted content again.
 */
export type RefreshOutcome = 'changed' | 'recovered' | 'failed';

/** How {@link watchFile} watches, and whom it reports to. */
export interface FileWatch {
  readonly clock: Clock;
  readonly everyMs: number;
  readonly signal: AbortSignal;
  /** Called on a change, on the first of several equal failures (with its error), and when the content is valid again. */
  readonly report: (outcome: RefreshOutcome, error?: unknown) => void;
}

/**
 * Refreshes until `signal` is aborted, then resolves; never rejects. It compares contents instead of waiting for file events:
 * kubelet replaces a mounted Secret by renaming the link `..data`, which causes no event on the file itself.
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
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  ELOOP: 'its links lead in a circle',
};

function openFault(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
  return openFaults[code] ?? code;
}

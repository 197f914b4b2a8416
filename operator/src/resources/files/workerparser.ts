import type { Worker } from 'node:worker_threads';
import type { Clock } from '../../domain/time.ts';
import type { ManifestParser, ParsedFile } from './parser.ts';
import { startManifestWorker } from './worker.ts';

/** What {@link openWorkerParser} needs. */
export interface WorkerParserInit {
  readonly clock: Clock;
  /** Starts the thread; default the real one. */
  readonly startWorker?: () => Pick<Worker, 'on' | 'off' | 'postMessage' | 'terminate'>;
}

/** The longest that one file may take. An ordinary one of 4 MB takes about 4 s on a small idle machine. */
export const parseLimitMs = 30_000;

/**
 * Files up to this size, in bytes, have their own thread. The worst of them takes half a second, so that an edit that suspends a
 * key does not wait for a hostile file.
 */
const smallBytes = 131_072;

type Started = ReturnType<NonNullable<WorkerParserInit['startWorker']>>;

/**
 * Parses files in two other threads, one for small files and one for larger ones, one file at a time: first those with `first`,
 * then the smallest. So the thread that answers verdicts never parses. A file that takes more time or memory than allowed ends
 * its thread and gives a fault; the next file gets a new thread.
 */
export function openWorkerParser(init: WorkerParserInit): ManifestParser {
  const [small, large] = [new Lane(init), new Lane(init)];
  return {
    parse: (bytes, first) => (bytes.length <= smallBytes ? small : large).parse(bytes, first),
    close: async () => {
      await Promise.all([small.close(), large.close()]);
    },
  };
}

interface Job {
  readonly bytes: Uint8Array;
  readonly first: boolean;
  readonly done: (parsed: ParsedFile) => void;
}

/** One thread, and the files that wait for it. */
class Lane implements ManifestParser {
  readonly #clock: Clock;
  readonly #startWorker: () => Started;
  readonly #jobs: Job[] = [];
  #worker: Started | undefined;
  #working = false;
  #closed = false;

  constructor({ clock, startWorker = startManifestWorker }: WorkerParserInit) {
    this.#clock = clock;
    this.#startWorker = startWorker;
  }

  parse(bytes: Uint8Array, first = false): Promise<ParsedFile> {
    return new Promise((resolve) => {
      this.#jobs.push({ bytes, first, done: resolve });
      this.#jobs.sort((a, b) => Number(b.first) - Number(a.first) || a.bytes.length - b.bytes.length);
      void this.#work();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#jobs.length = 0;
    await this.#end();
  }

  async #work(): Promise<void> {
    if (this.#working) return;
    this.#working = true;
    for (let job = this.#jobs.shift(); job !== undefined && !this.#closed; job = this.#jobs.shift()) {
      job.done(await this.#run(job.bytes));
      // End the thread to free the memory of a large file; for small files it stays warm.
      if (job.bytes.length > smallBytes) await this.#end();
    }
    this.#working = false;
  }

  async #run(bytes: Uint8Array): Promise<ParsedFile> {
    const worker = (this.#worker ??= this.#start());
    const answered = new AbortController();
    const parsed = await Promise.race([
      answerOf(worker, bytes),
      this.#clock.sleep(parseLimitMs, answered.signal).then(() => 'late' as const),
    ]);
    answered.abort();
    if (typeof parsed === 'object') return parsed;
    await this.#end();
    const message =
      parsed === 'late'
        ? `the file takes longer than ${parseLimitMs / 1000} s to parse`
        : 'the file takes too much memory to parse';
    return { ok: false, fault: { message } };
  }

  #start(): Started {
    const worker = this.#startWorker();
    // An error without a listener would end the process.
    worker.on('error', () => {});
    worker.on('exit', () => {
      if (this.#worker === worker) this.#worker = undefined;
    });
    return worker;
  }

  async #end(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }
}

/** The worker's answer, or that it ended without one. It catches all exceptions, so then it ran out of memory. */
function answerOf(worker: Started, bytes: Uint8Array): Promise<ParsedFile | 'ended'> {
  return new Promise((resolve) => {
    const settle = (outcome: ParsedFile | 'ended'): void => {
      worker.off('message', settle);
      worker.off('exit', ended);
      resolve(outcome);
    };
    const ended = (): void => {
      settle('ended');
    };
    worker.on('message', settle);
    worker.on('exit', ended);
    worker.postMessage(bytes);
  });
}

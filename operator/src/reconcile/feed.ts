import { Failure } from '../domain/failure.ts';
import type { Clock } from '../domain/time.ts';
import type { FeedRow, Store, WrittenRow } from '../store/port.ts';
import type { Log } from '../telemetry/log.ts';

/** What {@link FeedFollower} needs. */
export interface FeedFollowerInit {
  readonly store: Pick<Store, 'latestRevision' | 'readFeed' | 'lastWritten'>;
  readonly clock: Clock;
  readonly log: Log;
  /** Time between two polls, in milliseconds. */
  readonly pollMs: number;
  /** Somebody who is no operator changed the ApiKey of this uid. */
  readonly onForeignChange: (uid: string) => void;
  /** The feed is not the one that was followed: anything may have changed. */
  readonly onBreak: () => void;
}

const pageSize = 500;
/** After a poll that failed. */
const retryMs = 5_000;

/**
 * Follows the change feed for what others than operators wrote: a direct revocation. What operators wrote is known here, or
 * was before this one led. The first row of each poll must be the row that was read last, by its random id, and the feed must have
 * the row that this operator wrote last, which may be newer; anything else means another history (a restored backup, a failover
 * that lost its tail).
 */
export class FeedFollower {
  readonly #init: FeedFollowerInit;
  readonly #stop = new AbortController();
  /** The row read last; absent before the first one of an empty feed. */
  #last: WrittenRow | undefined;
  /** The row of ours that a break lost: it will not be found again. */
  #lost: WrittenRow | undefined;
  readonly #opened: Promise<void>;
  #open: () => void = () => {};
  #answers = true;

  constructor(init: FeedFollowerInit) {
    this.#init = init;
    this.#opened = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  /** Begins; call it once. */
  start(): void {
    void this.#followForEver();
  }

  /** From then on no change is missed: who looks at a key after it sees what was there before. */
  opened(): Promise<void> {
    return this.#opened;
  }

  /** Whether the store answered the last poll. */
  answers(): boolean {
    return this.#answers;
  }

  /** Ends; a poll that is under way changes nothing any more. */
  stop(): void {
    this.#stop.abort();
  }

  async #followForEver(): Promise<void> {
    const { clock, log, pollMs } = this.#init;
    const { signal } = this.#stop;
    let isOpen = false;
    while (!signal.aborted) {
      let pauseMs = pollMs;
      try {
        if (isOpen) await this.#poll();
        else await this.#moveToEnd();
        isOpen = true;
        this.#answers = true;
        this.#open();
      } catch (error) {
        this.#answers = false;
        // What needs the database says itself that it does not answer.
        if (error instanceof Failure) log.debug('feed not read', { reason: error.reason, message: error.message });
        else log.error('feed not read', { reason: 'InternalError', failure: error instanceof Error ? error.name : 'unknown' });
        pauseMs = Math.max(pollMs, retryMs);
      }
      // Aborted = stopping.
      await clock.sleep(pauseMs, signal).catch(() => {});
    }
  }

  async #moveToEnd(): Promise<void> {
    const { store } = this.#init;
    const rev = await store.latestRevision();
    this.#last = rev === 0 ? undefined : (await store.readFeed(rev, 1))[0];
  }

  async #poll(): Promise<void> {
    const { store, log } = this.#init;
    for (;;) {
      // Before the rows are read, so that they must have it.
      const written = store.lastWritten();
      const rows = await store.readFeed(this.#last?.rev ?? 0, pageSize);
      if (this.#stop.signal.aborted) return;
      const fresh = this.#following(rows);
      if (fresh === undefined || this.#lacks(rows, written)) {
        log.warn('the feed is another one: everything is looked at');
        await this.#moveToEnd();
        this.#lost = written;
        this.#init.onBreak();
        return;
      }
      for (const row of fresh) {
        if (row.kind === 'ApiKey' && row.fence === undefined) this.#init.onForeignChange(row.subjectUid);
      }
      this.#last = fresh.at(-1) ?? this.#last;
      if (rows.length < pageSize) return;
    }
  }

  /** Whether a row that this operator wrote should be among these, which begin with the one read last, and is not. */
  #lacks(rows: readonly FeedRow[], written: WrittenRow | undefined): boolean {
    if (written === undefined || written.id === this.#lost?.id || written.rev < (this.#last?.rev ?? 0)) return false;
    const isInPage = rows.length < pageSize || written.rev <= (rows.at(-1)?.rev ?? 0);
    return isInPage && !rows.some(({ rev, id }) => rev === written.rev && id === written.id);
  }

  /** The rows after the last one; `undefined` when they do not go on from it without a gap. */
  #following(rows: readonly FeedRow[]): readonly FeedRow[] | undefined {
    const last = this.#last;
    const [first] = rows;
    if (last !== undefined && (first?.rev !== last.rev || first.id !== last.id)) return undefined;
    const fresh = last === undefined ? rows : rows.slice(1);
    const from = last?.rev ?? 0;
    return fresh.every((row, index) => row.rev === from + index + 1) ? fresh : undefined;
  }
}

import { Failure, waiting } from '../domain/failure.ts';
import type { Clock, Instant } from '../domain/time.ts';
import type { Store } from '../store/port.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';

/** How long rows stay, in milliseconds. */
export interface RetentionLimits {
  readonly feedMs: number;
  /** At least 30 days: the database removes no younger row. */
  readonly auditMs: number;
  readonly versionMs: number;
  readonly deliveryMs: number;
}

/** What {@link Retention} needs. */
export interface RetentionInit {
  readonly store: Pick<Store, 'prune'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Pick<Metrics, 'pruned'>;
  readonly limits: RetentionLimits;
  /** Whether the time is known: a wrong clock calls every row old. */
  readonly clockIsRight: () => boolean;
}

/** Not at once: a start has more urgent work. */
const firstAfterMs = 60_000;
const everyMs = 3_600_000;
/** The pause between two calls, so that others get their turn. */
const pauseMs = 50;
/** A jump of the clock by less than this is not worth a line. */
const jumpMs = 60_000;

/** Removes old rows from the store, hourly and in small calls. Only the leading operator does this. */
export class Retention {
  readonly #init: RetentionInit;
  readonly #stop = new AbortController();
  #last: { readonly until: Instant; readonly atMs: number } | undefined;

  constructor(init: RetentionInit) {
    this.#init = init;
  }

  /** Begins; call it once. */
  start(): void {
    void this.#pruneForEver();
  }

  /** Stops after the present call. */
  stop(): void {
    this.#stop.abort();
  }

  /** Removes everything that is old enough now; rejects with a Failure when the store does not answer, or while the clock is wrong. */
  async prune(): Promise<void> {
    const { store, clock, log, metrics, limits, clockIsRight } = this.#init;
    if (!clockIsRight()) throw waiting('ClockWrong', 'nobody knows how old a row is while the clock is wrong');
    const now = this.#until();
    const before = {
      feed: now - limits.feedMs,
      audit: now - limits.auditMs,
      ended: now - limits.versionMs,
      deliveries: now - limits.deliveryMs,
    };
    let count = 0;
    let next: number | undefined = 0;
    while (next !== undefined && !this.#stop.signal.aborted) {
      const pruned = await store.prune(before, next);
      metrics.pruned(pruned.rows);
      count += Object.values(pruned.rows).reduce((sum, rows) => sum + rows, 0);
      ({ next } = pruned);
      if (next !== undefined) await clock.sleep(pauseMs, this.#stop.signal).catch(() => {});
    }
    if (count > 0) log.info('old rows removed', { count });
  }

  /**
   * The instant that ages are counted to: now, but it advances at most twice as fast as time really passes. So a clock that jumps
   * a year ahead does not make everything old at once, and what was due while the machine slept is removed little by little.
   */
  #until(): Instant {
    const { clock, log } = this.#init;
    const [now, atMs] = [clock.now(), clock.monotonicMs()];
    const until = this.#last === undefined ? now : Math.min(now, this.#last.until + 2 * (atMs - this.#last.atMs));
    this.#last = { until, atMs };
    if (now - until > jumpMs) {
      const message = `the clock jumped: it is ${String(Math.round((now - until) / 60_000))} minutes ahead of the time that has passed`;
      log.warn('fewer old rows removed', { reason: 'ClockWrong', message });
    }
    return until;
  }

  async #pruneForEver(): Promise<void> {
    const { clock, log } = this.#init;
    const { signal } = this.#stop;
    // Aborted = stopping.
    await clock.sleep(firstAfterMs, signal).catch(() => {});
    while (!signal.aborted) {
      try {
        await this.prune();
      } catch (error) {
        if (error instanceof Failure) log.warn('old rows not removed', { reason: error.reason, message: error.message });
        else
          log.error('old rows not removed', {
            reason: 'InternalError',
            failure: error instanceof Error ? error.name : 'unknown',
          });
      }
      await clock.sleep(everyMs, signal).catch(() => {});
    }
  }
}

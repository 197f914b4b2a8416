import { Failure } from '../domain/failure.ts';
import type { Clock } from '../domain/time.ts';
import { FenceLost, type Store } from '../store/port.ts';
import type { Log } from '../telemetry/log.ts';

/** What {@link Heartbeat} needs. */
export interface HeartbeatInit {
  readonly store: Pick<Store, 'beat' | 'surveyPrimary'>;
  readonly clock: Clock;
  readonly log: Log;
  /** Throws if the lease may have expired: then nothing is written. */
  readonly assertLeading: () => void;
  readonly onFenceLost: () => void;
  /** After each heartbeat. */
  readonly onBeat: () => void;
}

/** Time between two heartbeats, in milliseconds: a third of the smallest `KEYWRIGHT_MAX_STALENESS`. */
const everyMs = 5_000;
/** However long it took to ask hosts that hang. */
const minPauseMs = 1_000;
/** After this, the log warns: half of the default `KEYWRIGHT_MAX_STALENESS`, after which authorizers stop deciding. */
const tellAfterMs = 30_000;

/**
 * Shows authorizers that they read the database that the operator writes to. Only the leader writes it: the Lease lives outside
 * the database, so an operator that is cut off together with an old primary stops writing. Each time, it also checks that the
 * operator itself has not stayed with an old primary.
 */
export class Heartbeat {
  readonly #init: HeartbeatInit;
  readonly #stop = new AbortController();
  /** When the first heartbeat in a row failed, on the monotonic clock. */
  #failingSinceMs: number | undefined;
  #isTold = false;

  constructor(init: HeartbeatInit) {
    this.#init = init;
  }

  /** Begins; call it once. */
  start(): void {
    void this.#beatForEver();
  }

  stop(): void {
    this.#stop.abort();
  }

  async #beatForEver(): Promise<void> {
    const { clock } = this.#init;
    const { signal } = this.#stop;
    let hosts = Infinity;
    while (!signal.aborted) {
      const startedMs = clock.monotonicMs();
      if (hosts > 1) ({ hosts } = await this.#init.store.surveyPrimary());
      if (!signal.aborted) await this.#beat();
      // Aborted = stopping.
      const tookMs = clock.monotonicMs() - startedMs;
      await clock.sleep(Math.max(everyMs - tookMs, minPauseMs), signal).catch(() => {});
    }
  }

  async #beat(): Promise<void> {
    const { store, log, assertLeading, onFenceLost, onBeat } = this.#init;
    try {
      assertLeading();
      await store.beat();
      onBeat();
      if (this.#isTold) log.info('heartbeat again');
      this.#isTold = false;
      this.#failingSinceMs = undefined;
    } catch (error) {
      // A heartbeat that was under way when the leader stopped does not matter.
      if (error instanceof FenceLost && !this.#stop.signal.aborted) onFenceLost();
      else if (error instanceof Failure) this.#noteFailure(error);
      else log.error('no heartbeat', { reason: 'InternalError', failure: error instanceof Error ? error.name : 'unknown' });
    }
  }

  /** Other users of the database report at once that it does not answer; this warns, once, that authorizers will stop deciding. */
  #noteFailure({ reason, message }: Failure): void {
    const { clock, log } = this.#init;
    this.#failingSinceMs ??= clock.monotonicMs();
    const durationMs = clock.monotonicMs() - this.#failingSinceMs;
    if (durationMs < tellAfterMs || this.#isTold) log.debug('no heartbeat', { reason, message });
    else {
      this.#isTold = true;
      log.warn('no heartbeat for a while', { reason, message, durationMs });
    }
  }
}

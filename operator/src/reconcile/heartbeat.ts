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
}

/** Time between two heartbeats, in milliseconds: a third of the smallest `KEYWRIGHT_MAX_STALENESS`. */
const everyMs = 5_000;

/**
 * Shows authorizers that they read the database that the operator writes to. Only the leader writes it: the Lease lives outside
 * the database, so an operator that is cut off together with an old primary stops writing. Each time, it also checks that the
 * operator itself has not stayed with an old primary.
 */
export class Heartbeat {
  readonly #init: HeartbeatInit;
  readonly #stop = new AbortController();

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
      if (hosts > 1) ({ hosts } = await this.#init.store.surveyPrimary());
      if (!signal.aborted) await this.#beat();
      // Aborted = stopping.
      await clock.sleep(everyMs, signal).catch(() => {});
    }
  }

  async #beat(): Promise<void> {
    const { store, log, assertLeading, onFenceLost } = this.#init;
    try {
      assertLeading();
      await store.beat();
    } catch (error) {
      // A heartbeat that was under way when the leader stopped does not matter.
      if (error instanceof FenceLost && !this.#stop.signal.aborted) onFenceLost();
      // Other users of the database report that it does not answer.
      else if (error instanceof Failure) log.debug('no heartbeat', { reason: error.reason, message: error.message });
      else log.error('no heartbeat', { reason: 'InternalError', failure: error instanceof Error ? error.name : 'unknown' });
    }
  }
}

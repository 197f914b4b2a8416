import type { Reason } from '../domain/reason.ts';
import type { Clock } from '../domain/time.ts';

/** Something that every key may wait for, and whether it is there now. */
export interface Gate {
  /** What keys say that wait for it. */
  readonly reason: Reason;
  readonly isOpen: () => boolean;
}

/** What {@link Gates} need. */
export interface GatesInit {
  readonly clock: Clock;
  readonly gates: readonly Gate[];
  /** Time between two looks, in milliseconds. A look costs nothing: nobody is asked. */
  readonly lookEveryMs: number;
  /** Who waits for this goes on. */
  readonly onOpen: (reason: Reason) => void;
}

/**
 * Looks at what all keys may wait for (the database, the admission policy, the clock), and tells when it is there again: who waits
 * for it would find out at its next look only, a minute later.
 */
export class Gates {
  readonly #init: GatesInit;
  readonly #closed = new Set<Reason>();
  readonly #stop = new AbortController();

  constructor(init: GatesInit) {
    this.#init = init;
  }

  /** Begins; call it once. */
  start(): void {
    void this.#lookForEver();
  }

  stop(): void {
    this.#stop.abort();
  }

  async #lookForEver(): Promise<void> {
    const { clock, gates, lookEveryMs, onOpen } = this.#init;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      for (const { reason, isOpen } of gates) {
        if (!isOpen()) this.#closed.add(reason);
        else if (this.#closed.delete(reason)) onOpen(reason);
      }
      // Aborted = stopping.
      await clock.sleep(lookEveryMs, signal).catch(() => {});
    }
  }
}

import type { Reason } from '../domain/reason.ts';
import type { Clock } from '../domain/time.ts';

/** Something that every key may wait for, and whether it is there now. */
export interface Gate {
  /** What keys say that wait for it. */
  readonly reason: Reason;
  readonly isOpen: () => boolean;
}

/** Looking costs nothing: nobody is asked. */
const lookEveryMs = 1_000;

/**
 * Looks at what all keys may wait for (the database, the admission policy, the clock), and tells when it is there again: who waits
 * for it would find out at its next look only, a minute later.
 */
export class Gates {
  readonly #clock: Clock;
  readonly #gates: readonly Gate[];
  readonly #onOpen: (reason: Reason) => void;
  readonly #closed = new Set<Reason>();
  readonly #stop = new AbortController();

  constructor(clock: Clock, gates: readonly Gate[], onOpen: (reason: Reason) => void) {
    this.#clock = clock;
    this.#gates = gates;
    this.#onOpen = onOpen;
  }

  /** Begins; call it once. */
  start(): void {
    void this.#lookForEver();
  }

  stop(): void {
    this.#stop.abort();
  }

  async #lookForEver(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      for (const { reason, isOpen } of this.#gates) {
        if (!isOpen()) this.#closed.add(reason);
        else if (this.#closed.delete(reason)) this.#onOpen(reason);
      }
      // Aborted = stopping.
      await this.#clock.sleep(lookEveryMs, signal).catch(() => {});
    }
  }
}

import type { Reason } from '../domain/reason.ts';
import type { Clock } from '../domain/time.ts';

/** Something that every key may wait for, and whether it is there now. */
export interface Gate {
  /** What keys say that wait for it. */
  readonly reason: Reason;
  readonly isOpen: () => boolean;
  /** A different text = it was away meanwhile, even if no look saw that. */
  readonly period?: () => string | undefined;
}

/** What {@link Gates} need. */
export interface GatesInit {
  readonly clock: Clock;
  readonly gates: readonly Gate[];
  /** Time between two looks, in milliseconds. A look costs nothing: nobody is asked. */
  readonly lookEveryMs: number;
  /** Who waits for this goes on. */
  readonly onOpen: (reason: Reason) => void;
  /** Statuses that name it are out of date: it has opened, has closed, or was away meanwhile. */
  readonly onChange?: (reason: Reason) => void;
}

/** Who waits although the gate is open is sent on again after pauses that double, in milliseconds: something is amiss. */
const firstPauseMs = 1_000;
const longestPauseMs = 60_000;

/** The last time that a gate was told to be open, and how long it is not told again. Monotonic time. */
interface Opening {
  readonly atMs: number;
  readonly pauseMs: number;
}

/**
 * Looks at what all keys may wait for (the database, the admission policy, the clock), and tells when it is there again: who waits
 * for it would find out at its next look only, a minute later.
 */
export class Gates {
  readonly #init: GatesInit;
  readonly #closed = new Set<Reason>();
  /** The result of the last look. */
  readonly #seen = new Map<Reason, string>();
  readonly #opened = new Map<Reason, Opening>();
  readonly #stop = new AbortController();

  constructor(init: GatesInit) {
    this.#init = init;
  }

  /** Begins; call it once. */
  start(): void {
    void this.#lookForEver();
  }

  /** Somebody waits for this now: it may have been away for a moment that no look saw. */
  noteWaiting(reason: Reason): void {
    this.#closed.add(reason);
  }

  stop(): void {
    this.#stop.abort();
  }

  async #lookForEver(): Promise<void> {
    const { clock, gates, lookEveryMs, onOpen, onChange } = this.#init;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      for (const gate of gates) {
        const { reason } = gate;
        const isNew = this.#look(gate);
        if (isNew) onChange?.(reason);
        if (!gate.isOpen()) this.#closed.add(reason);
        else if (this.#closed.has(reason) && this.#open(reason)) onOpen(reason);
      }
      // Aborted = stopping.
      await clock.sleep(lookEveryMs, signal).catch(() => {});
    }
  }

  /** Whether this look differs from the last one. */
  #look({ reason, isOpen, period }: Gate): boolean {
    const sees = isOpen() ? `open ${period?.() ?? ''}` : 'closed';
    const before = this.#seen.get(reason);
    this.#seen.set(reason, sees);
    return before !== undefined && before !== sees;
  }

  /** Whether it may be told now. */
  #open(reason: Reason): boolean {
    const nowMs = this.#init.clock.monotonicMs();
    const last = this.#opened.get(reason);
    const sinceMs = last === undefined ? Number.POSITIVE_INFINITY : nowMs - last.atMs;
    if (last !== undefined && sinceMs < last.pauseMs) return false;
    const isAgain = last !== undefined && sinceMs < 2 * longestPauseMs;
    this.#opened.set(reason, { atMs: nowMs, pauseMs: isAgain ? Math.min(2 * last.pauseMs, longestPauseMs) : firstPauseMs });
    this.#closed.delete(reason);
    return true;
  }
}

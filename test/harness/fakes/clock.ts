import type { Clock, Instant } from '../../../operator/src/domain/time.ts';

interface Sleeper {
  readonly wakeAt: number;
  readonly wake: () => void;
}

/** A clock that stands still until a test moves it. Sleepers wake in the order of their instants. */
export class FakeClock implements Clock {
  #now: Instant;
  #monotonicMs = 0;
  #sleepers: Sleeper[] = [];

  constructor(start: Instant = Date.parse('2026-01-01T00:00:00Z')) {
    this.#now = start;
  }

  now(): Instant {
    return this.#now;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(signal.reason as Error);
        return;
      }
      const sleeper: Sleeper = { wakeAt: this.#monotonicMs + ms, wake: resolve };
      this.#sleepers.push(sleeper);
      signal?.addEventListener('abort', () => {
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
        reject(signal.reason as Error);
      });
    });
  }

  /** How many sleep now. */
  sleepers(): number {
    return this.#sleepers.length;
  }

  /** Moves both clocks forward and lets the woken ones run. */
  async advance(ms: number): Promise<void> {
    const target = this.#monotonicMs + ms;
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      const next = this.#sleepers.filter((one) => one.wakeAt <= target).sort((a, b) => a.wakeAt - b.wakeAt)[0];
      if (next === undefined) break;
      this.#move(next.wakeAt);
      this.#sleepers = this.#sleepers.filter((one) => one !== next);
      next.wake();
    }
    this.#move(target);
  }

  /** Moves both clocks forward at once: who should have woken meanwhile wakes once, late, as on a machine that had no time. */
  async leap(ms: number): Promise<void> {
    this.#move(this.#monotonicMs + ms);
    const due = this.#sleepers.filter((one) => one.wakeAt <= this.#monotonicMs);
    this.#sleepers = this.#sleepers.filter((one) => one.wakeAt > this.#monotonicMs);
    for (const one of due) one.wake();
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** Sets the wall clock only: somebody changed the time of the machine. */
  jump(ms: number): void {
    this.#now += ms;
  }

  #move(monotonicMs: number): void {
    this.#now += monotonicMs - this.#monotonicMs;
    this.#monotonicMs = monotonicMs;
  }
}

import type { Clock } from '../domain/time.ts';

/** No refusal is held for longer than this because others were slow, in milliseconds: gateways wait about as long. */
const holdMaxMs = 300;
/** In this time the memory of a slow look-up fades to half, in milliseconds. */
const halfLifeMs = 1_000;

/** The steps of one request; see {@link Steps.begin}. */
export interface RequestSteps {
  /** The look-up is over. */
  readonly found: () => void;
  /** Resolves at the step at which a refusal is heard. Call `found` before. */
  readonly reached: () => Promise<void>;
  /** Nothing waits for a step any more. */
  readonly drop: () => void;
}

/**
 * When refusals are heard: at whole steps after their requests, so that the time of one does not show how it was found. While
 * look-ups take longer than a step, all refusals wait for the step that the slowest look-up of late needed: else the cases
 * that cost a little more would miss a step a little more often.
 */
export class Steps {
  readonly #clock: Clock;
  readonly #stepMs: number;
  #slowest = { ms: 0, atMs: 0 };

  /** `stepMs`: in milliseconds; 0 = refusals are heard at once. */
  constructor(clock: Clock, stepMs: number) {
    this.#clock = clock;
    this.#stepMs = stepMs;
  }

  /** Starts the steps of one request. Call it before anything depends on whether the key exists: timers start here. */
  begin(): RequestSteps {
    if (this.#stepMs === 0) return { found: () => {}, reached: () => Promise.resolve(), drop: () => {} };
    const startedMs = this.#clock.monotonicMs();
    const over = new AbortController();
    let elapsedMs = 0;
    let passed = 0;
    let due = Number.POSITIVE_INFINITY;
    let hear = (): void => {};
    const heard = new Promise<void>((resolve) => (hear = resolve));
    const walk = async (): Promise<void> => {
      while (passed < due && !over.signal.aborted) {
        await this.#clock.sleep(this.#stepMs, over.signal).catch(() => {});
        passed += 1;
      }
      hear();
    };
    void walk();
    return {
      found: () => {
        elapsedMs = this.#clock.monotonicMs() - startedMs;
        this.#remember(elapsedMs);
      },
      reached: () => {
        due = Math.max(passed + 1, Math.ceil(Math.max(elapsedMs, Math.min(this.#slowestMs(), holdMaxMs)) / this.#stepMs));
        return heard;
      },
      drop: () => {
        over.abort();
      },
    };
  }

  #remember(ms: number): void {
    if (ms >= this.#slowestMs()) this.#slowest = { ms, atMs: this.#clock.monotonicMs() };
  }

  #slowestMs(): number {
    const { ms, atMs } = this.#slowest;
    return ms * 0.5 ** ((this.#clock.monotonicMs() - atMs) / halfLifeMs);
  }
}

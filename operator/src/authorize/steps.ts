import type { Clock } from '../domain/time.ts';

/** The longest that a refusal waits because others were slow, in milliseconds: gateways wait about as long. */
const holdMaxMs = 300;
/** The half-life of a slow look-up in memory, in milliseconds. */
const halfLifeMs = 1_000;

/** The steps of one request; see {@link Steps.begin}. */
export interface RequestSteps {
  /** The look-up is over. */
  readonly found: () => void;
  /** Resolves at the step at which a refusal is sent. Call `found` first. */
  readonly reached: () => Promise<void>;
}

/**
 * When refusals are sent: a whole number of steps after the request, so that the time does not show the cause. While look-ups
 * take longer than a step, all refusals wait for the step that the slowest recent look-up needed: otherwise the more expensive
 * causes would miss a step more often.
 */
export class Steps {
  readonly #clock: Clock;
  readonly #stepMs: number;
  #slowest = { ms: 0, atMs: 0 };
  /** Requests within one millisecond share a timer. */
  #shared: { readonly atMs: number; readonly first: Promise<void> } | undefined;

  /** `stepMs`: in milliseconds; 0 = refusals are sent at once. */
  constructor(clock: Clock, stepMs: number) {
    this.#clock = clock;
    this.#stepMs = stepMs;
  }

  /** Starts the steps of one request. Call it before any work depends on whether the key exists: the timer starts here. */
  begin(): RequestSteps {
    const stepMs = this.#stepMs;
    if (stepMs === 0) return { found: () => {}, reached: () => Promise.resolve() };
    const startedMs = this.#clock.monotonicMs();
    const first = this.#firstStep(startedMs);
    let elapsedMs = 0;
    return {
      found: () => {
        elapsedMs = this.#clock.monotonicMs() - startedMs;
        this.#remember(elapsedMs);
      },
      reached: async () => {
        const due = Math.ceil(Math.max(elapsedMs, Math.min(this.#slowestMs(), holdMaxMs)) / stepMs);
        await (due <= 1 ? first : this.#clock.sleep(Math.ceil(due * stepMs - elapsedMs)));
      },
    };
  }

  #firstStep(startedMs: number): Promise<void> {
    if (this.#shared === undefined || startedMs - this.#shared.atMs >= 1)
      this.#shared = { atMs: startedMs, first: this.#clock.sleep(this.#stepMs) };
    return this.#shared.first;
  }

  #remember(ms: number): void {
    if (ms >= this.#slowestMs()) this.#slowest = { ms, atMs: this.#clock.monotonicMs() };
  }

  #slowestMs(): number {
    const { ms, atMs } = this.#slowest;
    return ms * 0.5 ** ((this.#clock.monotonicMs() - atMs) / halfLifeMs);
  }
}

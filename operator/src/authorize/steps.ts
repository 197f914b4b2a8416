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
  /** Requests of one millisecond share a timer. */
  #shared: { readonly atMs: number; readonly first: Promise<void> } | undefined;

  /** `stepMs`: in milliseconds; 0 = refusals are heard at once. */
  constructor(clock: Clock, stepMs: number) {
    this.#clock = clock;
    this.#stepMs = stepMs;
  }

  /** Starts the steps of one request. Call it before anything depends on whether the key exists: its timer starts here. */
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

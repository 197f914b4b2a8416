import type { Clock } from '../domain/time.ts';

/** What {@link Batches} needs. */
export interface BatchesInput<Question, Answer> {
  /** Answers all questions of a batch. A rejection fails every one of them. */
  readonly ask: (questions: readonly Question[]) => Promise<(question: Question) => Answer>;
  readonly clock: Clock;
  /** How many batches may run at once, from 1. */
  readonly concurrent: number;
  /** The most questions in one batch, from 1. */
  readonly size: number;
  /** The minimum time between the starts of two batches, in milliseconds; 0 = none. */
  readonly spacingMs: number;
  /** One bound per lane: how many questions may wait in it. A batch takes from the first lane first. */
  readonly lanes: readonly number[];
}

interface Waiter<Question, Answer> {
  readonly question: Question;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Collects questions into shared batches: however many callers ask, the number of running batches and of waiting questions is
 * bounded. A question always joins a batch that starts after it was asked, so its answer is never older than the question.
 */
export class Batches<Question, Answer> {
  readonly #input: BatchesInput<Question, Answer>;
  readonly #lanes: readonly Set<Waiter<Question, Answer>>[];
  #running = 0;
  #starting = false;
  #nextAtMs = Number.NEGATIVE_INFINITY;

  constructor(input: BatchesInput<Question, Answer>) {
    this.#input = input;
    this.#lanes = input.lanes.map(() => new Set());
  }

  /** `undefined` = the lane is full, and does not take the question. An aborted `signal` frees the place in the lane. */
  ask(question: Question, lane: number, signal: AbortSignal): Promise<Answer> | undefined {
    const waiting = this.#lanes[lane];
    if (waiting === undefined || waiting.size >= (this.#input.lanes[lane] ?? 0)) return undefined;
    return new Promise((resolve, reject) => {
      const waiter: Waiter<Question, Answer> = { question, resolve, reject };
      waiting.add(waiter);
      signal.addEventListener('abort', () => waiting.delete(waiter), { once: true });
      this.#start();
    });
  }

  #start(): void {
    if (this.#starting || this.#running >= this.#input.concurrent || this.#isEmpty()) return;
    this.#starting = true;
    void this.#startInTime();
  }

  async #startInTime(): Promise<void> {
    const { clock, spacingMs } = this.#input;
    // Questions asked synchronously share a batch.
    await Promise.resolve();
    const restMs = Math.ceil(this.#nextAtMs - clock.monotonicMs());
    if (restMs > 0) await clock.sleep(restMs);
    this.#starting = false;
    const taken = this.#take();
    if (taken.length === 0) return;
    this.#nextAtMs = clock.monotonicMs() + spacingMs;
    this.#running += 1;
    void this.#run(taken);
    this.#start();
  }

  async #run(taken: readonly Waiter<Question, Answer>[]): Promise<void> {
    try {
      const answerOf = await this.#input.ask(taken.map(({ question }) => question));
      for (const { question, resolve } of taken) resolve(answerOf(question));
    } catch (error) {
      for (const { reject } of taken) reject(error);
    }
    this.#running -= 1;
    this.#start();
  }

  #take(): readonly Waiter<Question, Answer>[] {
    const taken: Waiter<Question, Answer>[] = [];
    for (const lane of this.#lanes) {
      for (const waiter of lane) {
        if (taken.length >= this.#input.size) return taken;
        lane.delete(waiter);
        taken.push(waiter);
      }
    }
    return taken;
  }

  #isEmpty(): boolean {
    return this.#lanes.every((lane) => lane.size === 0);
  }
}

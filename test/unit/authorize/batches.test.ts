import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { Batches } from '../../../operator/src/authorize/batches.ts';
import type { BatchesInput } from '../../../operator/src/authorize/batches.ts';
import { FakeClock } from '../../harness/fakes/clock.ts';

/** Batches whose answers a test gives by hand. */
class Scene {
  readonly clock = new FakeClock();
  readonly begun: { readonly questions: readonly number[]; readonly atMs: number }[] = [];
  readonly batches: Batches<number, string>;
  readonly #open: { readonly resolve: () => void; readonly reject: (error: Error) => void }[] = [];

  constructor(changes: Partial<BatchesInput<number, string>> = {}) {
    const ask = async (questions: readonly number[]): Promise<(question: number) => string> => {
      this.begun.push({ questions, atMs: this.clock.monotonicMs() });
      await new Promise<void>((resolve, reject) => this.#open.push({ resolve, reject }));
      return (question) => `answer ${question}`;
    };
    const { clock } = this;
    this.batches = new Batches({ ask, clock, concurrent: 1, size: 3, spacingMs: 0, lanes: [100], ...changes });
  }

  get questions(): readonly (readonly number[])[] {
    return this.begun.map(({ questions }) => questions);
  }

  ask(question: number, lane = 0, signal = new AbortController().signal): Promise<string> | undefined {
    return this.batches.ask(question, lane, signal);
  }

  /** Lets everything run that can. */
  async settle(): Promise<void> {
    await this.clock.advance(0);
  }

  async finish(error?: Error): Promise<void> {
    const batch = this.#open.shift();
    if (error === undefined) batch?.resolve();
    else batch?.reject(error);
    await this.settle();
  }
}

describe('batches', () => {
  test('what is asked in one go shares a batch, and each hears its own answer', async () => {
    const scene = new Scene();
    const answers = [scene.ask(1), scene.ask(2)];
    await scene.settle();
    await scene.finish();
    expect([await answers[0], await answers[1]]).toEqual(['answer 1', 'answer 2']);
    expect(scene.questions).toEqual([[1, 2]]);
  });

  test('a question that comes while a batch runs joins a later one, so that its answer is not older than itself', async () => {
    const scene = new Scene();
    void scene.ask(1);
    await scene.settle();
    const late = scene.ask(1);
    await scene.settle();
    expect(scene.questions).toEqual([[1]]);
    await scene.finish();
    expect(scene.questions).toEqual([[1], [1]]);
    await scene.finish();
    expect(await late).toBe('answer 1');
  });

  test('runs as many batches at once as allowed, of at most the allowed size', async () => {
    const scene = new Scene({ concurrent: 2 });
    for (let question = 0; question < 10; question += 1) void scene.ask(question);
    await scene.settle();
    expect(scene.questions).toEqual([
      [0, 1, 2],
      [3, 4, 5],
    ]);
    await scene.finish();
    expect(scene.questions.slice(2)).toEqual([[6, 7, 8]]);
  });

  test('serves the first lane first, and refuses at once what its bound does not hold', async () => {
    const scene = new Scene({ lanes: [2, 1] });
    void scene.ask(0);
    await scene.settle();
    expect(scene.ask(9, 1)).toBeDefined();
    expect(scene.ask(8, 1)).toBeUndefined();
    expect([scene.ask(1), scene.ask(2), scene.ask(3)].map((asked) => asked !== undefined)).toEqual([true, true, false]);
    await scene.finish();
    expect(scene.questions.at(-1)).toEqual([1, 2, 9]);
  });

  test('who gives up makes room, and is asked for no more', async () => {
    const scene = new Scene({ lanes: [1] });
    void scene.ask(0);
    await scene.settle();
    const leaving = new AbortController();
    void scene.ask(1, 0, leaving.signal);
    expect(scene.ask(2)).toBeUndefined();
    leaving.abort();
    expect(scene.ask(3)).toBeDefined();
    await scene.finish();
    expect(scene.questions.at(-1)).toEqual([3]);
  });

  test('a failure reaches everybody in its batch, and the next one runs', async () => {
    const scene = new Scene();
    const failed = [scene.ask(1), scene.ask(2)].map((asked) => expect(asked).rejects.toThrow('down'));
    await scene.settle();
    const next = scene.ask(3);
    await scene.finish(new Error('down'));
    await Promise.all(failed);
    await scene.finish();
    expect(await next).toBe('answer 3');
  });

  test('batches start no nearer to each other than the spacing, and the first one at once', async () => {
    const scene = new Scene({ spacingMs: 20 });
    void scene.ask(1);
    await scene.settle();
    await scene.finish();
    void scene.ask(2);
    await scene.clock.advance(19);
    expect(scene.questions).toEqual([[1]]);
    await scene.clock.advance(1);
    expect(scene.begun.map(({ atMs }) => atMs)).toEqual([0, 20]);
    await scene.finish();
    await scene.clock.advance(1_000);
    void scene.ask(3);
    await scene.settle();
    expect(scene.begun.at(-1)?.atMs).toBe(1_020);
  });

  test('whatever is asked in whatever order: no bound is passed, and everybody who was taken is answered', async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('ask' as const), lane: fc.nat(1) }),
      fc.record({ kind: fc.constant('finish' as const), lane: fc.constant(0) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        let running = 0;
        const open: (() => void)[] = [];
        const clock = new FakeClock();
        const batches = new Batches<number, number>({
          ...{ clock, concurrent: 2, size: 2, spacingMs: 0, lanes: [3, 1] },
          ask: async (questions) => {
            running += 1;
            expect(running).toBeLessThanOrEqual(2);
            expect(questions.length).toBeLessThanOrEqual(2);
            await new Promise<void>((resolve) => open.push(resolve));
            running -= 1;
            return (question) => question;
          },
        });
        const taken: Promise<number>[] = [];
        for (const [number, { kind, lane }] of steps.entries()) {
          if (kind === 'ask') {
            const asked = batches.ask(number, lane, new AbortController().signal);
            if (asked !== undefined) taken.push(asked);
          } else open.shift()?.();
          await clock.advance(0);
        }
        const all = Promise.all(taken);
        while (running > 0) {
          open.shift()?.();
          await clock.advance(0);
        }
        expect(new Set(await all).size).toBe(taken.length);
      }),
      { numRuns: 50 },
    );
  });
});

import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { WorkQueue, conflictDelayMs, promotedAfterMs } from '../../../operator/src/queue/queue.ts';
import type { Next } from '../../../operator/src/queue/queue.ts';
import { FakeClock } from '../../harness/fakes/clock.ts';

interface Run {
  readonly key: string;
  readonly finish: (next?: Next) => Promise<void>;
}

/** A queue whose handler waits until the test says what came of it. */
function manualQueue(concurrency = 1, groupOf?: (key: string) => string) {
  const clock = new FakeClock();
  const runs: Run[] = [];
  const errors: unknown[] = [];
  const queue = new WorkQueue<string>({
    clock,
    concurrency,
    ...(groupOf === undefined ? {} : { groupOf }),
    onError: (_key, error) => errors.push(error),
    handle: (key) => {
      const { promise, resolve } = Promise.withResolvers<Next>();
      const finish = async (next: Next = { kind: 'awaitChange' }) => {
        resolve(next);
        await clock.advance(0);
      };
      runs.push({ key, finish });
      return promise;
    },
  });
  const keys = () => runs.map((run) => run.key);
  return { clock, queue, runs, keys, errors };
}

describe('the work queue', () => {
  it('collects keys before the start, each once', () => {
    const { queue, keys } = manualQueue(5);
    for (const key of ['a', 'b', 'a']) queue.add(key);
    expect(keys()).toEqual([]);
    queue.start();
    expect(keys()).toEqual(['a', 'b']);
  });

  it('runs a key that was added in flight once more, and never twice at once', async () => {
    const { queue, runs, keys } = manualQueue(5);
    queue.start();
    queue.add('a');
    queue.add('a');
    queue.add('a');
    expect(keys()).toEqual(['a']);
    await runs[0]?.finish();
    expect(keys()).toEqual(['a', 'a']);
    await runs[1]?.finish();
    expect(keys()).toEqual(['a', 'a']);
    expect(queue.idle()).toBe(true);
  });

  it('takes high before low, and a low key of 30 s before newer high ones', async () => {
    const { queue, clock, runs, keys } = manualQueue();
    queue.start();
    queue.add('busy');
    queue.add('low', { priority: 'low' });
    queue.add('high');
    await clock.advance(promotedAfterMs);
    queue.add('newer');
    for (const at of [0, 1, 2, 3]) await runs[at]?.finish();
    expect(keys()).toEqual(['busy', 'high', 'low', 'newer']);
  });

  it('lets groups take turns, each in its own order', async () => {
    const { queue, runs, keys } = manualQueue(1, (key) => key.slice(0, 1));
    queue.start();
    for (const key of ['a1', 'a2', 'a3', 'a4', 'b1', 'b2', 'c1']) queue.add(key);
    for (let at = 0; at < 4; at += 1) await runs[at]?.finish();
    queue.add('d1');
    for (let at = 4; at < 8; at += 1) await runs[at]?.finish();
    expect(keys()).toEqual(['a1', 'a2', 'b1', 'c1', 'a3', 'b2', 'a4', 'd1']);
  });

  it('lets no number of low keys delay a high one by more than one of them, however long they have waited', async () => {
    const { queue, clock, runs, keys } = manualQueue();
    queue.start();
    queue.add('busy');
    for (const key of ['low1', 'low2', 'low3', 'low4']) queue.add(key, { priority: 'low' });
    await clock.advance(2 * promotedAfterMs);
    for (const key of ['high1', 'high2']) queue.add(key);
    for (let at = 0; at < 6; at += 1) await runs[at]?.finish();
    expect(keys()).toEqual(['busy', 'low1', 'high1', 'low2', 'high2', 'low3', 'low4']);
  });

  it('handles other keys with the worker of one that is away, and lets that one go on before keys that have not begun', async () => {
    const clock = new FakeClock();
    const begun: string[] = [];
    const gates = new Map<string, () => void>();
    const queue = new WorkQueue<string>({
      clock,
      concurrency: 1,
      onError: () => {},
      handle: async (key, worker) => {
        begun.push(key);
        const outside = (name: string) => new Promise<void>((resolve) => gates.set(name, resolve));
        if (key !== 'inside') await worker.away(() => outside(key));
        else await outside(key);
        begun.push(`${key} again`);
        return { kind: 'awaitChange' };
      },
    });
    queue.start();
    for (const key of ['a', 'b', 'inside', 'later']) queue.add(key);
    await clock.advance(0);
    expect(begun).toEqual(['a', 'b', 'inside']);
    gates.get('a')?.();
    await clock.advance(0);
    expect(begun).toEqual(['a', 'b', 'inside']);
    expect([queue.inFlight(), queue.depth()]).toEqual([3, 1]);
    gates.get('inside')?.();
    await clock.advance(0);
    expect(begun).toEqual(['a', 'b', 'inside', 'inside again', 'a again', 'later']);
    for (const key of ['b', 'later']) gates.get(key)?.();
    await clock.advance(0);
    expect(queue.idle()).toBe(true);
  });

  it('counts several absences of one key as one, and none after its end', async () => {
    const clock = new FakeClock();
    let most = 0;
    let inside = 0;
    const late: (() => void)[] = [];
    const queue = new WorkQueue<number>({
      clock,
      concurrency: 2,
      onError: () => {},
      handle: async (_key, worker) => {
        inside += 1;
        most = Math.max(most, inside);
        inside -= 1;
        // One of them ends after the key.
        void worker.away(() => new Promise<void>((resolve) => late.push(resolve)));
        await Promise.race([worker.away(async () => undefined), clock.sleep(1)]);
        return { kind: 'awaitChange' };
      },
    });
    queue.start();
    for (let key = 0; key < 20; key += 1) queue.add(key);
    for (let step = 0; step < 30; step += 1) await clock.advance(1);
    expect(queue.idle()).toBe(true);
    for (const end of late) end();
    await clock.advance(1);
    queue.add(99);
    await clock.advance(5);
    expect([queue.idle(), most]).toEqual([true, 1]);
  });

  it('takes a key that goes on before those that have not begun, and every second time one of these', async () => {
    const { queue, runs, keys } = manualQueue();
    queue.start();
    queue.add('busy');
    for (const key of ['new-1', 'new-2', 'on-1']) queue.add(key);
    for (const key of ['on-1', 'on-2', 'on-3']) queue.resume(key);
    for (let at = 0; at < 6; at += 1) await runs[at]?.finish();
    expect(keys()).toEqual(['busy', 'on-1', 'new-1', 'on-2', 'new-2', 'on-3']);
    expect(queue.idle()).toBe(true);
  });

  it('lifts a low key that is added again with high priority', async () => {
    const { queue, runs, keys } = manualQueue();
    queue.start();
    queue.add('busy');
    queue.add('a', { priority: 'low' });
    queue.add('b');
    queue.add('a');
    for (const at of [0, 1, 2]) await runs[at]?.finish();
    expect(keys()).toEqual(['busy', 'b', 'a']);
  });

  it('runs a key at the earlier of two instants, once', async () => {
    const { queue, clock, runs, keys } = manualQueue();
    queue.start();
    queue.add('a', { at: clock.now() + 5_000 });
    queue.add('a', { at: clock.now() + 1_000 });
    queue.add('a', { at: clock.now() + 9_000 });
    await clock.advance(999);
    expect(keys()).toEqual([]);
    await clock.advance(1);
    expect(keys()).toEqual(['a']);
    await runs[0]?.finish();
    await clock.advance(20_000);
    expect(keys()).toEqual(['a']);
  });

  it('comes back at the instant that the handler asked for, or sooner on a change', async () => {
    const { queue, clock, runs, keys } = manualQueue();
    queue.start();
    queue.add('a');
    await runs[0]?.finish({ kind: 'at', at: clock.now() + 60_000 });
    expect(queue.nextAt()).toBe(clock.now() + 60_000);
    queue.add('a');
    expect(keys()).toEqual(['a', 'a']);
    await runs[1]?.finish();
    await clock.advance(120_000);
    expect(keys()).toEqual(['a', 'a']);
  });

  it('sees within a minute that the wall clock was put forward', async () => {
    const { queue, clock, keys } = manualQueue();
    queue.start();
    queue.add('a', { at: clock.now() + 86_400_000 });
    clock.jump(86_400_000);
    await clock.advance(60_000);
    expect(keys()).toEqual(['a']);
  });

  it('doubles the delay after each conflict in a row, and starts anew after a success', async () => {
    const { queue, clock, runs } = manualQueue();
    queue.start();
    queue.add('a');
    for (const [at, delayMs] of [5, 10, 20, 40].entries()) {
      await runs[at]?.finish({ kind: 'conflict' });
      await clock.advance(delayMs - 1);
      expect(runs).toHaveLength(at + 1);
      await clock.advance(1);
      expect(runs).toHaveLength(at + 2);
    }
    await runs[4]?.finish();
    queue.add('a');
    await runs[5]?.finish({ kind: 'conflict' });
    await clock.advance(5);
    expect(runs).toHaveLength(7);
    expect(conflictDelayMs(1_000)).toBe(1_000_000);
  });

  it('does not let a wall clock that was put back delay a retry', async () => {
    const { queue, clock, runs } = manualQueue();
    queue.start();
    queue.add('a');
    await runs[0]?.finish({ kind: 'conflict' });
    clock.jump(-3_600_000);
    await clock.advance(60_000);
    expect(runs).toHaveLength(2);
  });

  it('tells of a handler that throws, and tries the key again', async () => {
    const clock = new FakeClock();
    const errors: unknown[] = [];
    let calls = 0;
    const queue = new WorkQueue<string>({
      clock,
      concurrency: 1,
      onError: (key, error) => errors.push([key, error]),
      handle: () => {
        calls += 1;
        return calls === 1 ? Promise.reject(new Error('defect')) : Promise.resolve({ kind: 'awaitChange' });
      },
    });
    queue.start();
    queue.add('a');
    await clock.advance(5);
    expect(calls).toBe(2);
    expect(errors).toEqual([['a', new Error('defect')]]);
  });

  it('drains: starts nothing new, and waits for what is in flight', async () => {
    const { queue, clock, runs, keys } = manualQueue();
    queue.start();
    queue.add('a');
    queue.add('b');
    const drained = queue.drain(10_000);
    await runs[0]?.finish();
    expect(await drained).toBe(true);
    queue.add('c');
    await clock.advance(60_000);
    expect(keys()).toEqual(['a']);
  });

  it('gives up what is still in flight when the time to drain is over', async () => {
    const { queue, clock } = manualQueue();
    queue.start();
    queue.add('a');
    const drained = queue.drain(10_000);
    await clock.advance(9_999);
    expect(queue.inFlight()).toBe(1);
    await clock.advance(1);
    expect(await drained).toBe(false);
    expect(clock.sleepers()).toBe(0);
  });

  it('gives up keys that are away sooner, but not those that work, nor those that came back', async () => {
    const clock = new FakeClock();
    const gates = new Map<string, () => void>();
    const outside = (name: string) => new Promise<void>((resolve) => gates.set(name, resolve));
    const queue = new WorkQueue<string>({
      clock,
      concurrency: 2,
      onError: () => {},
      handle: async (key, worker) => {
        if (key !== 'works') await worker.away(() => outside(key));
        if (key !== 'hangs') await outside(`${key} on`);
        return { kind: 'awaitChange' };
      },
    });
    queue.start();
    for (const key of ['hangs', 'returns', 'works']) queue.add(key);
    await clock.advance(0);
    let drained: boolean | undefined;
    void queue.drain(10_000, 2_000).then((all) => (drained = all));
    await clock.advance(1_000);
    gates.get('returns')?.();
    await clock.advance(2_000);
    gates.get('works on')?.();
    await clock.advance(1_000);
    expect(drained).toBeUndefined();
    gates.get('returns on')?.();
    await clock.advance(0);
    expect(drained).toBe(false);
    expect(queue.inFlight()).toBe(1);
  });

  it('loses no key, runs none twice at once, and keeps to its concurrency, whatever the order of events', async () => {
    const step = fc.oneof(
      fc.record({
        kind: fc.constant('add' as const),
        key: fc.constantFrom('a', 'b', 'c', 'd'),
        low: fc.boolean(),
        inMs: fc.nat(3_000),
      }),
      fc.record({ kind: fc.constant('finish' as const), which: fc.nat(3), conflict: fc.boolean() }),
      fc.record({ kind: fc.constant('advance' as const), ms: fc.nat(2_000) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 3 }), async (steps, concurrency) => {
        const clock = new FakeClock();
        const open: { key: string; finish: (next: Next) => void }[] = [];
        /** Keys that were added, or had a conflict, and have not started since. */
        const owed = new Set<string>();
        const violations: unknown[] = [];
        const queue = new WorkQueue<string>({
          clock,
          concurrency,
          groupOf: (key) => (key < 'c' ? 'one' : key),
          onError: (_key, error) => violations.push(error),
          handle: (key) => {
            expect(open.map((run) => run.key)).not.toContain(key);
            expect(open.length).toBeLessThan(concurrency);
            owed.delete(key);
            return new Promise((finish) => open.push({ key, finish }));
          },
        });
        queue.start();
        const finish = async (at: number, next: Next) => {
          const run = open[at];
          if (run === undefined) return;
          open.splice(at, 1);
          if (next.kind === 'conflict') owed.add(run.key);
          run.finish(next);
          await clock.advance(0);
        };
        for (const one of steps) {
          if (one.kind === 'advance') await clock.advance(one.ms);
          else if (one.kind === 'finish')
            await finish(one.which % Math.max(open.length, 1), { kind: one.conflict ? 'conflict' : 'awaitChange' });
          else {
            owed.add(one.key);
            queue.add(one.key, { priority: one.low ? 'low' : 'high', ...(one.inMs === 0 ? {} : { at: clock.now() + one.inMs }) });
          }
        }
        for (let round = 0; round < 200 && (owed.size > 0 || open.length > 0); round += 1) {
          await finish(0, { kind: 'awaitChange' });
          await clock.advance(1_000);
        }
        expect(violations).toEqual([]);
        expect([...owed]).toEqual([]);
        expect(queue.idle()).toBe(true);
        expect(queue.nextAt()).toBeUndefined();
      }),
      { numRuns: 150 },
    );
  });
});

import { beforeEach, describe, expect, test } from 'vitest';

import { Usage } from '../../../operator/src/authorize/usage.ts';
import type { ReplicaReport } from '../../../operator/src/store/horizon.ts';
import type { UsedVersion } from '../../../operator/src/store/port.ts';
import { createMetrics } from '../../../operator/src/telemetry/metrics.ts';
import { createLog } from '../../../operator/src/telemetry/pino.ts';
import { FakeClock } from '../../harness/fakes/clock.ts';

let clock: FakeClock;
let written: (readonly UsedVersion[])[];
let reports: ReplicaReport[];
let left: string[];
let answer: () => Promise<void>;
let lines: string[];
const metrics = createMetrics();

beforeEach(() => {
  clock = new FakeClock(1_000_000);
  written = [];
  reports = [];
  left = [];
  answer = () => Promise.resolve();
  lines = [];
});

async function usage(limit = 3): Promise<Usage> {
  const log = createLog({ level: 'trace', destination: { write: (line) => void lines.push(line) } });
  const store = {
    now: () => Promise.resolve(clock.now()),
    recordUse: async (used: readonly UsedVersion[]) => {
      await answer();
      written.push(used);
    },
    reportReplica: async (report: ReplicaReport) => {
      await answer();
      reports.push(report);
    },
    signOffReplica: async (id: string) => {
      await answer();
      left.push(id);
    },
  };
  const parts = { store, clock, log, metrics: metrics.recorder, replicaId: 'r1', flushMs: 5_000, limit };
  const kept = new Usage(parts);
  await kept.start();
  return kept;
}

describe('usage', () => {
  test('[S0-26] is written behind the requests, in one batch, once for each key and client with its last instant', async () => {
    const kept = await usage();
    kept.note('a', 'curl');
    await clock.advance(1_000);
    kept.note('b');
    kept.note('a', 'billing');
    await clock.advance(1_000);
    kept.note('a', 'curl');
    await clock.advance(2_999);
    expect(written).toEqual([]);
    await clock.advance(1);
    expect(written).toEqual([
      [
        { keyId: 'a', ageMs: 4_000, by: 'billing' },
        { keyId: 'a', ageMs: 3_000, by: 'curl' },
        { keyId: 'b', ageMs: 4_000 },
      ],
    ]);
    await kept.close();
  });

  test('keeps of one key the clients of late, and is one key all the same', async () => {
    const kept = await usage(1);
    for (let index = 0; index < 10; index += 1) kept.note('a', `client-${String(index)}`);
    await clock.advance(5_000);
    expect(written[0]?.map((use) => use.by)).toEqual(Array.from({ length: 8 }, (_, index) => `client-${String(index + 2)}`));
    expect(kept.dropped).toBe(0);
    await kept.close();
  });

  test('is reported as complete before the first verdict, and with every write, through the instant before its cut', async () => {
    const kept = await usage();
    expect(reports).toEqual([{ id: 'r1', flushedThrough: 1_000_000, dropped: 0 }]);
    let release = (): void => {};
    answer = () => new Promise((resolve) => (release = resolve));
    kept.note('a');
    await clock.advance(5_000);
    // The write is under way: this one is not in it.
    await clock.advance(1_000);
    kept.note('a');
    answer = () => Promise.resolve();
    release();
    await clock.advance(4_999);
    expect(reports.at(-1)).toEqual({ id: 'r1', flushedThrough: 1_005_000, dropped: 0 });
    await clock.advance(5_000);
    expect(reports.at(-1)?.flushedThrough).toBe(1_011_000);
    await kept.close();
  });

  test('is reported also when nobody used anything', async () => {
    const kept = await usage();
    await clock.advance(10_000);
    expect([written, reports.map((one) => one.flushedThrough)]).toEqual([[], [1_000_000, 1_005_000, 1_010_000]]);
    await kept.close();
  });

  test('keeps at most so many keys, counts what it drops, and still follows those it has', async () => {
    const kept = await usage(2);
    for (const keyId of ['a', 'b', 'c', 'd']) kept.note(keyId);
    await clock.advance(1_000);
    kept.note('a');
    expect(kept.dropped).toBe(2);
    await clock.advance(4_000);
    expect(written[0]).toEqual([
      { keyId: 'a', ageMs: 4_000 },
      { keyId: 'b', ageMs: 5_000 },
    ]);
    expect(reports.at(-1)).toMatchObject({ dropped: 2 });
    expect((await metrics.render()).body).toContain('keywright_usage_dropped_total 2');
    await kept.close();
  });

  test('that could not be written goes with the next batch, is not reported, and is told once', async () => {
    const kept = await usage();
    answer = () => Promise.reject(new Error('no'));
    kept.note('a', 'curl');
    await clock.advance(10_000);
    expect([written, lines.length, reports.length]).toEqual([[], 1, 1]);
    answer = () => Promise.resolve();
    await clock.advance(5_000);
    expect(written).toEqual([[{ keyId: 'a', ageMs: 15_000, by: 'curl' }]]);
    expect(reports).toHaveLength(2);
    await kept.close();
  });

  test('is written when the program ends, without waiting, and signed off', async () => {
    const kept = await usage();
    kept.note('a');
    await kept.close();
    expect([written, left, clock.sleepers()]).toEqual([[[{ keyId: 'a', ageMs: 0 }]], ['r1'], 0]);
  });

  test('is not signed off when the last of it was not written', async () => {
    const kept = await usage();
    kept.note('a');
    answer = () => Promise.reject(new Error('no'));
    await kept.close();
    expect([written, left, clock.sleepers()]).toEqual([[], [], 0]);
  });

  test('does not pile up behind a slow store', async () => {
    const kept = await usage();
    let release = (): void => {};
    answer = () => new Promise((resolve) => (release = resolve));
    kept.note('a');
    await clock.advance(5_000);
    kept.note('b');
    await clock.advance(5_000);
    expect(written).toEqual([]);
    answer = () => Promise.resolve();
    release();
    await kept.close();
    expect(written.map((batch) => batch.map((use) => use.keyId))).toEqual([['a'], ['b']]);
  });
});

import { beforeEach, describe, expect, test } from 'vitest';

import { Usage } from '../../../operator/src/authorize/usage.ts';
import type { UsedVersion } from '../../../operator/src/store/port.ts';
import { createLog } from '../../../operator/src/telemetry/pino.ts';
import { FakeClock } from '../../harness/fakes/clock.ts';

let clock: FakeClock;
let written: (readonly UsedVersion[])[];
let answer: () => Promise<void>;
let lines: string[];

beforeEach(() => {
  clock = new FakeClock();
  written = [];
  answer = () => Promise.resolve();
  lines = [];
});

function usage(limit = 3): Usage {
  const log = createLog({ level: 'trace', destination: { write: (line) => void lines.push(line) } });
  const recordUse = async (used: readonly UsedVersion[]): Promise<void> => {
    await answer();
    written.push(used);
  };
  return new Usage({ store: { recordUse }, clock, log, flushMs: 5_000, limit });
}

describe('usage', () => {
  test('is written behind the requests, in one batch, once for each key with its last instant [S0-26]', async () => {
    const kept = usage();
    kept.note('a', 10);
    kept.note('b', 11);
    kept.note('a', 30);
    kept.note('a', 20);
    await clock.advance(4_999);
    expect(written).toEqual([]);
    await clock.advance(1);
    expect(written).toEqual([
      [
        { keyId: 'a', at: 30 },
        { keyId: 'b', at: 11 },
      ],
    ]);
  });

  test('leaves no timer behind when there is nothing to write', async () => {
    const kept = usage();
    expect(clock.sleepers()).toBe(0);
    kept.note('a', 1);
    kept.note('a', 2);
    expect(clock.sleepers()).toBe(1);
    await clock.advance(5_000);
    expect(clock.sleepers()).toBe(0);
  });

  test('keeps at most so many keys, counts what it drops, and still follows those it has', async () => {
    const kept = usage(2);
    for (const keyId of ['a', 'b', 'c', 'd']) kept.note(keyId, 1);
    kept.note('a', 2);
    expect(kept.dropped).toBe(2);
    await clock.advance(5_000);
    expect(written).toEqual([
      [
        { keyId: 'a', at: 2 },
        { keyId: 'b', at: 1 },
      ],
    ]);
  });

  test('that could not be written goes with the next batch, and is told once', async () => {
    const kept = usage();
    answer = () => Promise.reject(new Error('no'));
    kept.note('a', 1);
    await clock.advance(5_000);
    await clock.advance(5_000);
    expect([written, lines.length]).toEqual([[], 1]);
    answer = () => Promise.resolve();
    kept.note('a', 7);
    await clock.advance(5_000);
    expect(written).toEqual([[{ keyId: 'a', at: 7 }]]);
  });

  test('is written when the program ends, without waiting', async () => {
    const kept = usage();
    kept.note('a', 1);
    await kept.close();
    expect(written).toEqual([[{ keyId: 'a', at: 1 }]]);
    expect(clock.sleepers()).toBe(0);
  });

  test('does not pile up behind a slow store', async () => {
    const kept = usage();
    let release = (): void => {};
    answer = () => new Promise((resolve) => (release = resolve));
    kept.note('a', 1);
    await clock.advance(5_000);
    kept.note('b', 2);
    await clock.advance(5_000);
    expect(written).toEqual([]);
    answer = () => Promise.resolve();
    release();
    await kept.close();
    expect(written).toEqual([[{ keyId: 'a', at: 1 }], [{ keyId: 'b', at: 2 }]]);
  });
});

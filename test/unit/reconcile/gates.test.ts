import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { Gates } from '../../../operator/src/reconcile/gates.ts';
import { FakeClock } from '../../harness/fakes/clock.ts';

let clock: FakeClock;
let gates: Gates;
let there: { store: boolean; policy: boolean };
let opened: string[];

beforeEach(() => {
  clock = new FakeClock();
  there = { store: true, policy: true };
  opened = [];
  gates = new Gates({
    ...{ clock, lookEveryMs: 1_000 },
    gates: [
      { reason: 'StoreUnavailable', isOpen: () => there.store },
      { reason: 'AdmissionPolicyMissing', isOpen: () => there.policy },
    ],
    onOpen: (reason) => void opened.push(reason),
  });
});
afterEach(() => {
  gates.stop();
});

describe('what all keys may wait for', () => {
  test('is told within a second when it is there again, once, and nothing else with it', async () => {
    gates.start();
    there.store = false;
    await clock.advance(5_000);
    expect(opened).toEqual([]);
    there.store = true;
    await clock.advance(1_000);
    expect(opened).toEqual(['StoreUnavailable']);
    await clock.advance(60_000);
    expect(opened).toEqual(['StoreUnavailable']);
  });

  test('is told too when it was not there at the start', async () => {
    there.policy = false;
    gates.start();
    await clock.advance(10_000);
    there.policy = true;
    await clock.advance(1_000);
    expect(opened).toEqual(['AdmissionPolicyMissing']);
  });

  test('reports each change of its state, even when it was away between two looks', async () => {
    const changed: string[] = [];
    let period = 'first';
    const watching = new Gates({
      ...{ clock, lookEveryMs: 1_000, onOpen: () => {}, onChange: (reason) => void changed.push(reason) },
      gates: [{ reason: 'AdmissionPolicyMissing', isOpen: () => there.policy, period: () => period }],
    });
    watching.start();
    await clock.advance(5_000);
    expect(changed.length).toBe(0);
    period = 'second';
    await clock.advance(5_000);
    expect(changed.length).toBe(1);
    there.policy = false;
    await clock.advance(5_000);
    expect(changed.length).toBe(2);
    there.policy = true;
    await clock.advance(5_000);
    expect(changed).toEqual(['AdmissionPolicyMissing', 'AdmissionPolicyMissing', 'AdmissionPolicyMissing']);
    watching.stop();
  });

  test('is told to who waits although nobody saw it away, in pauses that grow while that does not help', async () => {
    gates.start();
    await clock.advance(0);
    for (let ms = 0; ms < 600_000; ms += 500) {
      gates.noteWaiting('StoreUnavailable');
      await clock.advance(500);
    }
    // After 1, 2, 4, 8, 16, 32 s, then once a minute.
    expect(opened.length).toBeGreaterThanOrEqual(12);
    expect(opened.length).toBeLessThanOrEqual(17);
    await clock.advance(180_000);
    opened = [];
    gates.noteWaiting('StoreUnavailable');
    await clock.advance(1_000);
    expect(opened).toEqual(['StoreUnavailable']);
  });

  test('is not looked at after the end', async () => {
    there.policy = false;
    gates.start();
    await clock.advance(1_000);
    gates.stop();
    there.policy = true;
    await clock.advance(10_000);
    expect([opened, clock.sleepers()]).toEqual([[], 0]);
  });
});

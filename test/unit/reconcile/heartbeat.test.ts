import { expect, test } from 'vitest';

import { transient, waiting } from '../../../operator/src/domain/failure.ts';
import { Heartbeat } from '../../../operator/src/reconcile/heartbeat.ts';
import { silentLog } from '../../../operator/src/telemetry/log.ts';
import { FakeClock } from '../../harness/fakes/clock.ts';
import { MemoryStore } from '../../harness/fakes/store.ts';

async function beating(assertLeading: () => void = () => {}) {
  const clock = new FakeClock();
  const store = new MemoryStore({ clock });
  await store.takeFence();
  let [lost, beats] = [0, 0];
  const told: string[] = [];
  const tell = (event: string): void => void told.push(event);
  const log = { ...silentLog, info: tell, warn: tell };
  const heartbeat = new Heartbeat({
    ...{ store, clock, log, assertLeading },
    onFenceLost: () => (lost += 1),
    onBeat: () => (beats += 1),
  });
  heartbeat.start();
  await clock.advance(0);
  return { clock, store, heartbeat, told, lost: () => lost, beats: () => beats };
}

test('is written every five seconds by the leader, also after a database that did not answer, until it stops', async () => {
  const { clock, store, heartbeat } = await beating();
  const age = async () => (await store.surveyPrimary()).heartbeatAgeMs;
  expect(await age()).toBe(0);
  store.failNext(1, waiting('StoreUnavailable', 'away'));
  await clock.advance(9_000);
  expect(await age()).toBe(9_000);
  await clock.advance(1_000);
  expect(await age()).toBe(0);
  heartbeat.stop();
  await clock.advance(60_000);
  expect(await age()).toBe(60_000);
});

test('that fails for half a minute is told once, and that it is written again, too', async () => {
  let isAway = true;
  const { clock, heartbeat, told } = await beating(() => {
    if (isAway) throw waiting('StoreUnavailable', 'away');
  });
  await clock.advance(29_000);
  expect(told).toEqual([]);
  await clock.advance(60_000);
  expect(told).toEqual(['no heartbeat for a while']);
  isAway = false;
  await clock.advance(5_000);
  expect(told).toEqual(['no heartbeat for a while', 'heartbeat again']);
  heartbeat.stop();
});

test('is not written by an operator whose lease may have run out', async () => {
  let leads = true;
  const { clock, store, heartbeat, beats } = await beating(() => {
    if (!leads) throw transient('ConflictRetry', 'the lease may have run out');
  });
  leads = false;
  await clock.advance(30_000);
  expect([(await store.surveyPrimary()).heartbeatAgeMs, beats()]).toEqual([30_000, 1]);
  heartbeat.stop();
});

test('ends an operator that another one replaced in the database', async () => {
  const { clock, store, heartbeat, lost } = await beating();
  const other = new MemoryStore({ clock, database: store.database });
  await other.takeFence();
  await clock.advance(5_000);
  expect(lost()).toBe(1);
  heartbeat.stop();
});

import { randomBytes } from 'node:crypto';

import { expect, test } from 'vitest';

import { createAuthorize } from '../../../operator/src/authorize/authorize.ts';
import { Freshness } from '../../../operator/src/authorize/freshness.ts';
import type { HeartbeatRule, PrimarySurvey } from '../../../operator/src/store/primary.ts';
import { waiting, type Failure } from '../../../operator/src/domain/failure.ts';
import { mintToken } from '../../../operator/src/keys/mint.ts';
import type { KeyRecord } from '../../../operator/src/store/port.ts';
import { silentLog } from '../../../operator/src/telemetry/log.ts';
import { silentMetrics } from '../../../operator/src/telemetry/metrics.ts';
import { authRequest } from '../../builders/authrequest.ts';
import { testPeppers } from '../../builders/keyrecord.ts';
import { FakeClock } from '../../harness/fakes/clock.ts';
import { MemoryStore } from '../../harness/fakes/store.ts';

const proven: PrimarySurvey = { hosts: 3, answered: 3, superseded: false, contested: false, selection: 1 };
const alone: PrimarySurvey = { hosts: 3, answered: 1, superseded: false, contested: false, selection: 1 };

async function watched(rule: HeartbeatRule = 'auto', first: PrimarySurvey = proven) {
  const clock = new FakeClock();
  const answers = { next: first, later: [] as PrimarySurvey[], selection: 1, asked: 0 };
  const surveyPrimary = () => {
    answers.asked += 1;
    return Promise.resolve(answers.later.shift() ?? answers.next);
  };
  const primarySelection = () => answers.selection;
  const freshness = new Freshness({
    store: { surveyPrimary, primarySelection },
    clock,
    log: silentLog,
    rule,
    maxStalenessMs: 60_000,
  });
  const stop = new AbortController();
  await freshness.start(stop.signal);
  return { clock, answers, freshness, stop };
}

test('counts from the last proof, is not ready from the half of the time on, and then decides nothing', async () => {
  const { clock, answers, freshness, stop } = await watched();
  expect([freshness.blocked(), freshness.isReady()]).toEqual([undefined, true]);
  answers.next = alone;
  await clock.advance(29_000);
  expect([freshness.blocked(), freshness.isReady()]).toEqual([undefined, true]);
  await clock.advance(2_000);
  expect([freshness.blocked(), freshness.isReady()]).toEqual([undefined, false]);
  await clock.advance(30_000);
  expect(freshness.blocked()).toMatchObject({ reason: 'StoreUnavailable' });
  answers.next = proven;
  await clock.advance(5_000);
  expect([freshness.blocked(), freshness.isReady()]).toEqual([undefined, true]);
  stop.abort();
});

test.each([
  ['no host answers', 'auto', { hosts: 3, answered: 0, superseded: false, contested: false, selection: 1 }],
  [
    'no operator leads, and only a heartbeat counts',
    'on',
    { hosts: 1, answered: 1, superseded: false, contested: false, selection: 1 },
  ],
  ['the only host is in recovery', 'on', { hosts: 1, answered: 1, superseded: true, contested: false, selection: 1 }],
] as const)('decides nothing and stays in service when %s: that is so for every authorizer', async (_title, rule, later) => {
  const { clock, answers, freshness, stop } = await watched(rule, {
    ...later,
    answered: later.hosts,
    superseded: false,
    heartbeatAgeMs: 0,
  });
  answers.next = later;
  await clock.advance(61_000);
  expect([freshness.blocked(), freshness.isReady()]).toEqual([expect.objectContaining({ reason: 'StoreUnavailable' }), true]);
  stop.abort();
});

test('is not in service before the first proof', async () => {
  const { clock, answers, freshness, stop } = await watched('on', {
    hosts: 1,
    answered: 1,
    superseded: false,
    contested: false,
    selection: 1,
  });
  expect(freshness.isReady()).toBe(false);
  answers.next = { hosts: 1, answered: 1, superseded: false, contested: false, selection: 1, heartbeatAgeMs: 0 };
  await clock.advance(5_000);
  expect(freshness.isReady()).toBe(true);
  stop.abort();
});

test('decides nothing from the moment on that another server is seen to be the primary, until it has moved there', async () => {
  const { clock, answers, freshness, stop } = await watched();
  answers.next = { ...proven, superseded: true };
  await clock.advance(5_000);
  expect(freshness.blocked()).toBeDefined();
  answers.later = [{ ...proven, superseded: true }, proven];
  await clock.advance(5_000);
  expect(freshness.blocked()).toBeUndefined();
  stop.abort();
});

test('a proof of one server is none of the next one that the store reads: it looks at once, and waits for another proof', async () => {
  const { clock, answers, freshness, stop } = await watched();
  answers.selection = 2;
  answers.next = { ...alone, selection: 2 };
  expect(freshness.blocked()).toBeDefined();
  await clock.advance(1_000);
  expect(freshness.blocked()).toBeDefined();
  answers.selection = 3;
  answers.next = { ...proven, selection: 3 };
  expect(freshness.blocked()).toBeDefined();
  await clock.advance(0);
  expect(freshness.blocked()).toBeUndefined();
  stop.abort();
});

test('looks no more often than twice a second because of requests, while no server can be chosen', async () => {
  const { clock, answers, freshness, stop } = await watched();
  answers.selection = 2;
  const { selection: _, ...none } = alone;
  answers.next = none;
  const before = answers.asked;
  for (let at = 0; at < 40; at += 1) {
    expect(freshness.blocked()).toBeDefined();
    await clock.advance(50);
  }
  expect(answers.asked - before).toBeLessThanOrEqual(4);
  stop.abort();
});

test('decides nothing at a start without proof, and asks a single host only once', async () => {
  expect((await watched('auto', alone)).freshness.blocked()).toBeDefined();
  const { clock, freshness } = await watched('auto', {
    hosts: 1,
    answered: 0,
    superseded: false,
    contested: false,
    selection: 1,
  });
  expect(clock.sleepers()).toBe(0);
  await clock.advance(3_600_000);
  expect([freshness.blocked(), freshness.isReady()]).toEqual([undefined, true]);
});

test('makes every verdict authorizer_stale, whatever was read', async () => {
  const { clock, answers, freshness, stop } = await watched();
  const authorize = createAuthorize({
    ...{ store: new MemoryStore({ clock }), peppers: testPeppers, clock, log: silentLog, metrics: silentMetrics },
    blocked: () => freshness.blocked(),
  });
  const code = async () => {
    const verdict = await authorize(authRequest({ credential: undefined }));
    return verdict.allowed ? 'allowed' : verdict.code;
  };
  expect(await code()).toBe('key_missing');
  answers.next = alone;
  await clock.advance(61_000);
  expect(await code()).toBe('authorizer_stale');
  stop.abort();
});

test('allows nothing that was read before the proof, from a server that was left meanwhile', async () => {
  const clock = new FakeClock();
  let blocked: Failure | undefined = waiting('StoreUnavailable', 'not proven');
  const read = Promise.withResolvers<ReadonlyMap<string, KeyRecord>>();
  const store = { findByKeyIds: () => read.promise, findCatalogs: () => Promise.resolve([]) };
  const authorize = createAuthorize({
    ...{ store, peppers: testPeppers, clock, log: silentLog, metrics: silentMetrics },
    blocked: () => blocked,
  });
  const { token } = mintToken({ prefix: 'acme', environment: 'live', random: randomBytes });
  const verdict = authorize(authRequest({ credential: token }));
  await clock.advance(100);
  blocked = undefined;
  read.resolve(new Map());
  await clock.advance(1_000);
  expect(await verdict).toMatchObject({ allowed: false, code: 'authorizer_stale' });
});

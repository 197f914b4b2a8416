import { expect, test } from 'vitest';

import type { ApiKeyRef } from '../../operator/src/domain/key.ts';
import { systemClock } from '../../operator/src/domain/time.ts';
import { FeedFollower } from '../../operator/src/reconcile/feed.ts';
import { Retention } from '../../operator/src/reconcile/retention.ts';
import { openPostgresStore } from '../../operator/src/store/postgres/store.ts';
import { silentLog } from '../../operator/src/telemetry/log.ts';
import { silentMetrics } from '../../operator/src/telemetry/metrics.ts';
import { catalogRow, ownerRow } from '../builders/clusterrows.ts';
import { keySettings, mintRequest, testStart, uniqueRef, uniqueTarget } from '../builders/mintrequest.ts';
import { FakeClock } from '../harness/fakes/clock.ts';
import { until } from '../harness/until.ts';
import { usePostgres } from '../harness/parts.ts';
import { session } from '../harness/session.ts';

const postgres = await usePostgres();
const { url } = await postgres.createDatabase();

const second = 1_000;
const hour = 3_600 * second;
const day = 24 * hour;
const limits = { feedMs: day, auditMs: 400 * day, versionMs: 30 * day, deliveryMs: day };
const store = openPostgresStore({ url, clock: systemClock, log: silentLog });

async function setNow(now: number): Promise<void> {
  const body = `select to_timestamp(${now}::float8 / 1000)`;
  const create = `create or replace function keywright.keywright_now() returns timestamptz language sql volatile as '${body}'`;
  await session(url, (client) => client.query(create));
}

const tables = ['apikey', 'version', 'delivery', 'catalog', 'owner', 'feed', 'audit'] as const;

async function rows(): Promise<Readonly<Record<(typeof tables)[number], number>>> {
  const counts = tables.map((table) => `(select count(*)::int from keywright.${table}) as ${table}`).join(', ');
  return await session(url, async (client) => {
    const found = (await client.query<Record<(typeof tables)[number], number>>(`select ${counts}`)).rows[0];
    if (found === undefined) throw new Error('no counts');
    return found;
  });
}

/** What the operator's leader does hourly, at this instant. */
async function pruneAt(now: number): Promise<void> {
  await setNow(now);
  // What a real clock would sleep between two calls is nothing here.
  const clock = Object.assign(new FakeClock(now), { sleep: () => Promise.resolve() });
  const clockIsRight = () => true;
  await new Retention({ store, clock, log: silentLog, metrics: silentMetrics, limits, clockIsRight }).prune();
}

/** One minute of somebody who toggles everything that he can, with the key of this name. */
async function toggle(ref: ApiKeyRef, minute: number, target: ReturnType<typeof uniqueTarget>): Promise<string> {
  const at = testStart + minute * 60 * second;
  for (let turn = 0; turn < 20; turn += 1)
    await store.saveSettings(ref.uid, { settings: keySettings({ suspended: turn % 2 === 0 }) }, at + turn * second);
  const request = mintRequest({ ref, version: { epoch: minute + 2 }, now: at + 30 * second, targets: [target] });
  const { keyId } = request.version;
  expect(await store.mint(request)).toBe('done');
  const held = { location: target.location, keyId, providerVersion: '1', envelope: 'x' };
  await store.confirmDeliveries(ref.uid, [held], at + 31 * second);
  await store.activate(ref.uid, keyId, at + 40 * second, at + 32 * second);
  await store.endVersions(ref.uid, [keyId], minute % 2 === 0 ? 'revoked' : 'retired', at + 45 * second);
  const { deliveries } = await store.readKey(ref.uid);
  const ids = deliveries.map((one) => one.id);
  await store.beginWithdrawal(ref.uid, ids, at + 50 * second);
  for (const id of ids) await store.finishWithdrawal(ref.uid, id, at + 51 * second);
  return keyId;
}

test('an hour of toggling leaves a bounded database, and answers that did not change', async () => {
  await setNow(testStart);
  await store.takeFence();
  await store.saveOwner(ownerRow({ uid: 'owner-uid', name: 'payments-team' }), testStart);
  await store.saveCatalog(catalogRow({ name: 'default' }), testStart);
  const ref = uniqueRef();
  const first = mintRequest({ ref });
  await store.mint(first);
  await store.endVersions(ref.uid, [first.version.keyId], 'expired', testStart);
  const target = uniqueTarget();
  for (let minute = 0; minute < 60; minute += 1) {
    await toggle(ref, minute, target);
    // Others come and go.
    const other = mintRequest();
    await store.mint(other);
    await store.endVersions(other.ref.uid, [other.version.keyId], 'revoked', testStart + minute);
    await store.releaseKey(other.ref.uid, testStart + minute * 60 * second);
    const owner = ownerRow({ name: `owner-${minute}` });
    await store.saveOwner(owner, testStart + minute);
    await store.deleteOwner(owner.uid, testStart + minute * 60 * second);
  }
  const active = mintRequest({ ref, version: { epoch: 100 }, now: testStart + hour });
  await store.mint(active);
  await store.activate(ref.uid, active.version.keyId, undefined, testStart + hour);
  const before = await store.readKey(ref.uid);
  const full = await rows();
  expect(full.feed).toBeGreaterThan(1_500);
  expect(full.version).toBe(122);

  await pruneAt(testStart + 26 * hour);
  expect(await rows()).toEqual({ ...full, feed: 1, delivery: 0 });
  await pruneAt(testStart + 32 * day);
  // The key that is there: what it is told of, which are 16 revoked ones, and the one that expired.
  expect(await rows()).toEqual({ apikey: 1, version: 19, delivery: 0, catalog: 1, owner: 1, feed: 1, audit: full.audit });
  expect(await store.readKey(ref.uid)).toEqual(before);
  expect((await store.findByKeyId(first.version.keyId))?.version.endedReason).toBe('expired');
  expect((await store.findByKeyId(active.version.keyId))?.version.state).toBe('active');
  await pruneAt(testStart + 402 * day);
  expect(await rows()).toEqual({ apikey: 1, version: 19, delivery: 0, catalog: 1, owner: 1, feed: 1, audit: 0 });
  // And the next change goes on from there.
  expect(await store.saveSettings(ref.uid, { settings: keySettings({ displayName: 'After' }) }, testStart + 402 * day)).toBe(
    'done',
  );
  expect((await store.readFeed(0, 10)).map((row) => row.rev)).toEqual([full.feed, full.feed + 1]);
});

test('who follows the feed from a row that was removed meanwhile looks at everything, and goes on', async () => {
  const clock = new FakeClock(testStart);
  const told: string[] = [];
  const feed = new FeedFollower({
    ...{ store, clock, log: silentLog, pollMs: second },
    onForeignChange: (uid) => told.push(uid),
    onBreak: () => told.push('everything'),
  });
  const settled = async (count: number) => {
    // The database answers in its own time.
    await until(
      async () => {
        await clock.advance(second);
        return told.length >= count;
      },
      { what: `${count} lines`, deadlineMs: 30_000 },
    );
    expect(told).toHaveLength(count);
  };
  feed.start();
  await feed.opened();
  const one = mintRequest({ now: testStart + 500 * day });
  await store.mint(one);
  await pruneAt(testStart + 600 * day);
  await settled(1);
  await store.revokeDirect(one.version.keyId, { actor: 'cli:ana', reason: 'KeyCompromise', close: true });
  await settled(2);
  expect(told).toEqual(['everything', one.ref.uid]);
  feed.stop();
  await store.close();
});

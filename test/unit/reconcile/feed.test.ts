import { randomUUID } from 'node:crypto';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { FeedFollower } from '../../../operator/src/reconcile/feed.ts';
import { silentLog } from '../../../operator/src/telemetry/log.ts';
import { mintRequest, testStart } from '../../builders/mintrequest.ts';
import { FakeClock } from '../../harness/fakes/clock.ts';
import { MemoryStore } from '../../harness/fakes/store.ts';

const leak = { actor: 'cli:ana', reason: 'KeyCompromise', close: true };

let clock: FakeClock;
let store: MemoryStore;
let follower: FeedFollower;
let foreign: string[];
let breaks: number;

beforeEach(async () => {
  clock = new FakeClock();
  store = new MemoryStore({ clock });
  await store.takeFence();
  foreign = [];
  breaks = 0;
  follower = new FeedFollower({
    ...{ store, clock, log: silentLog, pollMs: 1_000 },
    onForeignChange: (uid) => void foreign.push(uid),
    onBreak: () => void (breaks += 1),
  });
});
afterEach(() => {
  follower.stop();
});

async function minted(): Promise<{ readonly uid: string; readonly keyId: string }> {
  const request = mintRequest();
  expect(await store.mint(request)).toBe('done');
  return { uid: request.ref.uid, keyId: request.version.keyId };
}

async function opened(): Promise<void> {
  follower.start();
  await clock.advance(0);
  await follower.opened();
}

describe('the feed', () => {
  test('wakes a key that was revoked past the operator, once, within one poll', async () => {
    const [one, other] = [await minted(), await minted()];
    await opened();
    await store.revokeDirect(one.keyId, leak);
    expect(foreign).toEqual([]);
    await clock.advance(1_000);
    expect(foreign).toEqual([one.uid]);
    await store.revokeDirect(other.keyId, leak);
    await clock.advance(3_000);
    expect(foreign).toEqual([one.uid, other.uid]);
    expect(breaks).toBe(0);
  });

  test('wakes nobody for what operators wrote, nor for what was there before', async () => {
    const before = await minted();
    await store.revokeDirect(before.keyId, leak);
    await opened();
    const later = await minted();
    await store.activate(later.uid, later.keyId, undefined, testStart);
    await clock.advance(5_000);
    expect([foreign, breaks]).toEqual([[], 0]);
  });

  test('is followed from its very first row', async () => {
    await opened();
    await clock.advance(1_000);
    const { uid, keyId } = await minted();
    await store.revokeDirect(keyId, leak);
    await clock.advance(1_000);
    expect([foreign, breaks]).toEqual([[uid], 0]);
  });

  test('is read to its end in one poll, however much there is', async () => {
    await opened();
    const keys = [await minted()];
    store.database.rows.feed.push(
      ...Array.from({ length: 1_200 }, (_, index) => {
        return { rev: index + 2, id: randomUUID(), kind: 'ApiKey' as const, subjectUid: keys[0]?.uid ?? '', fence: 1 };
      }),
    );
    await store.revokeDirect(keys[0]?.keyId ?? '', leak);
    await clock.advance(1_000);
    expect(foreign).toEqual([keys[0]?.uid]);
  });

  test.each([
    ['that lost its tail', () => store.database.rows.feed.pop()],
    [
      'of another history',
      () => {
        store.database.rows.feed = store.database.rows.feed.map((row) => ({ ...row, id: randomUUID() }));
      },
    ],
    ['with a gap', () => store.database.rows.feed.push({ rev: 9, id: randomUUID(), kind: 'ApiKey', subjectUid: 'x', fence: 1 })],
  ])('%s wakes everybody once, and is followed from its end', async (_, damage) => {
    await minted();
    const { keyId, uid } = await minted();
    await opened();
    damage();
    await clock.advance(1_000);
    expect([foreign, breaks]).toEqual([[], 1]);
    const feed = store.database.rows.feed;
    feed.push({ rev: (feed.at(-1)?.rev ?? 0) + 1, id: randomUUID(), kind: 'ApiKey', subjectUid: uid });
    await clock.advance(1_000);
    expect([foreign, breaks, keyId.length]).toEqual([[uid], 1, 12]);
  });

  test.each([
    ['that this operator wrote after the last poll', 0],
    ['that was written again by somebody else', 1],
  ])('that lost a row %s wakes everybody once', async (_, others) => {
    await minted();
    await opened();
    const before = structuredClone(store.database.rows);
    await minted();
    store.database.rows = before;
    for (let count = 0; count < others; count += 1)
      before.feed.push({ rev: (before.feed.at(-1)?.rev ?? 0) + 1, id: randomUUID(), kind: 'ApiKey', subjectUid: 'x', fence: 1 });
    await clock.advance(5_000);
    expect(breaks).toBe(1);
    // What is written from then on counts again.
    await minted();
    await clock.advance(5_000);
    expect(breaks).toBe(1);
    store.database.rows = structuredClone(before);
    await clock.advance(5_000);
    expect(breaks).toBe(2);
  });

  test('is read again after a failure of the database, and nothing is missed', async () => {
    store.failNext();
    follower.start();
    await clock.advance(4_999);
    const calls = () => store.calls.get('latestRevision');
    expect(calls()).toBe(1);
    await clock.advance(1);
    expect(calls()).toBe(2);
    const { uid, keyId } = await minted();
    await store.revokeDirect(keyId, leak);
    store.failNext();
    await clock.advance(1_000);
    expect([foreign, follower.answers()]).toEqual([[], false]);
    await clock.advance(5_000);
    expect([foreign, breaks, follower.answers()]).toEqual([[uid], 0, true]);
  });

  test('is not read any more after the end', async () => {
    await opened();
    follower.stop();
    await clock.advance(10_000);
    expect(clock.sleepers()).toBe(0);
    expect(store.calls.get('readFeed') ?? 0).toBe(0);
  });
});

import { randomUUID } from 'node:crypto';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import type { Store } from '../../../operator/src/store/port.ts';
import { mintRequest, testStart } from '../../builders/mintrequest.ts';
import type { MintRequestChanges } from '../../builders/mintrequest.ts';
import type { StoreDatabase } from './suite.ts';

const minute = 60_000;
const hour = 60 * minute;

/** What every store promises of use, and of those who report it. The database's clock is the test's. */
export function useSuite(name: string, createDatabase: () => Promise<StoreDatabase>): void {
  describe(`${name}: use`, () => {
    let database: StoreDatabase;
    let store: Store;
    let now = testStart;

    beforeAll(async () => {
      database = await createDatabase();
    });
    beforeEach(async () => {
      store = database.open();
      await store.takeFence();
      // Further than anybody is remembered: the replicas of another test do not count.
      await passTime(48 * hour);
    });
    afterEach(() => store.close());
    afterAll(() => database.close());

    async function passTime(ms: number): Promise<void> {
      now += ms;
      await database.setNow(now);
    }

    async function minted(changes: MintRequestChanges = {}) {
      const request = mintRequest(changes);
      expect(await store.mint(request)).toBe('done');
      return request;
    }

    describe('of a version', () => {
      test('[S0-26] is dated by its first and its latest sight, in whatever order they come', async () => {
        const { ref, version } = await minted();
        const { keyId } = version;
        const reader = database.open();
        await reader.recordUse([
          { keyId, ageMs: 5 },
          { keyId, ageMs: 9 },
        ]);
        const [first, last] = [now - 9, now - 5];
        expect((await store.readKey(ref.uid)).versions).toEqual([{ ...version, firstUsedAt: first, lastUsedAt: last }]);
        await reader.recordUse([{ keyId, ageMs: 7 }]);
        await reader.recordUse([{ keyId, ageMs: 1_000 }]);
        expect((await store.readKey(ref.uid)).versions).toMatchObject([{ firstUsedAt: first, lastUsedAt: last }]);
        await passTime(minute);
        await reader.recordUse([{ keyId, ageMs: 0 }]);
        expect((await store.readKey(ref.uid)).versions).toMatchObject([{ firstUsedAt: first, lastUsedAt: now }]);
        expect((await store.findByKeyId(keyId))?.version).toEqual(version);
        await reader.close();
      });

      test('never lies in the future, whatever an authorizer says', async () => {
        const { ref, version } = await minted();
        await store.recordUse([{ keyId: version.keyId, ageMs: -hour }]);
        expect((await store.readKey(ref.uid)).versions).toMatchObject([{ firstUsedAt: now, lastUsedAt: now }]);
      });

      test('lies at most a day back, so that a made-up use reaches no further', async () => {
        const { ref, version } = await minted();
        await store.recordUse([{ keyId: version.keyId, ageMs: 1e15, by: 'curl' }]);
        const at = now - 24 * hour;
        expect((await store.readKey(ref.uid)).versions).toMatchObject([{ firstUsedAt: at, lastUsedAt: at, usedBy: [{ at }] }]);
      });

      test('of many is one call, which ignores those that nobody knows and makes no revision', async () => {
        const [one, other] = [await minted(), await minted()];
        const used = [one.version.keyId, 'nobody', other.version.keyId].map((keyId) => ({ keyId, ageMs: 0 }));
        const before = await store.latestRevision();
        await Promise.all([store.recordUse(used), store.recordUse([...used].reverse()), store.recordUse([])]);
        expect(await store.latestRevision()).toBe(before);
        for (const { ref } of [one, other])
          expect((await store.readKey(ref.uid)).versions).toMatchObject([{ firstUsedAt: now, lastUsedAt: now }]);
      });

      test('does not follow a key into its next version', async () => {
        const first = await minted();
        await store.recordUse([{ keyId: first.version.keyId, ageMs: 0, by: 'curl' }]);
        await store.activate(first.ref.uid, first.version.keyId, undefined, testStart);
        const second = await minted({ ref: first.ref, version: { epoch: 2 } });
        const [, fresh] = (await store.readKey(first.ref.uid)).versions;
        expect(fresh).toEqual(second.version);
      });

      test('[S4-11] says by whom: each client once with its last instant, the newest first', async () => {
        const { ref, version } = await minted();
        const { keyId } = version;
        await store.recordUse([
          { keyId, ageMs: 30, by: 'curl/8, 10.0.1.0/24' },
          { keyId, ageMs: 10, by: 'billing, 10.0.2.0/24' },
          { keyId, ageMs: 20, by: 'curl/8, 10.0.1.0/24' },
          { keyId, ageMs: 5 },
        ]);
        const used = now;
        await passTime(minute);
        await store.recordUse([{ keyId, ageMs: 0, by: 'curl/8, 10.0.1.0/24' }]);
        expect((await store.readKey(ref.uid)).versions[0]?.usedBy).toEqual([
          { by: 'curl/8, 10.0.1.0/24', at: now },
          { by: 'billing, 10.0.2.0/24', at: used - 10 },
        ]);
        expect((await store.findByKeyId(keyId))?.version).not.toHaveProperty('usedBy');
      });

      test('keeps the eight newest clients, each as a short text', async () => {
        const { ref, version } = await minted();
        const clients = Array.from({ length: 10 }, (_, index) => `client-${index}`);
        await store.recordUse(clients.map((by, index) => ({ keyId: version.keyId, ageMs: 100 - index, by })));
        const kept = (await store.readKey(ref.uid)).versions[0]?.usedBy?.map((one) => one.by);
        expect(kept).toEqual(clients.slice(2).reverse());
        await passTime(minute);
        await store.recordUse([{ keyId: version.keyId, ageMs: 0, by: 'x'.repeat(300) }]);
        expect((await store.readKey(ref.uid)).versions[0]?.usedBy?.[0]?.by).toBe('x'.repeat(200));
      });

      test('is written at most once a minute, but for the first eight clients, and for one not seen for an hour', async () => {
        const { ref, version } = await minted();
        const use = async (by: string) => {
          await store.recordUse([{ keyId: version.keyId, ageMs: 0, by }]);
          const [kept] = (await store.readKey(ref.uid)).versions;
          return [kept?.lastUsedAt, kept?.usedBy?.map((one) => one.by).join('')];
        };
        const first = now;
        expect(await use('a')).toEqual([first, 'a']);
        await passTime(minute - 1);
        expect(await use('a')).toEqual([first, 'a']);
        for (const [index, by] of [...'bcdefgh'].entries())
          expect(await use(by)).toEqual([now, `${'bcdefgh'.slice(0, index + 1)}a`]);
        await passTime(minute - 1);
        expect(await use('i')).toEqual([now - minute + 1, 'bcdefgha']);
        await passTime(1);
        expect(await use('i')).toEqual([now, 'ibcdefgh']);
        await passTime(60 * minute - 1);
        expect(await use('j')).toEqual([now, 'jibcdefg']);
        expect(await use('i')).toEqual([now, 'jibcdefg']);
        await passTime(1);
        expect(await use('i')).toEqual([now, 'ijbcdefg']);
      });

      test('by several clients at the same time loses none of them', async () => {
        const { ref, version } = await minted();
        const readers = ['a', 'b', 'c', 'd'].map((by) => ({ by, reader: database.open() }));
        await Promise.all(readers.map(({ by, reader }) => reader.recordUse([{ keyId: version.keyId, ageMs: 0, by }])));
        expect((await store.readKey(ref.uid)).versions[0]?.usedBy?.map((one) => one.by)).toEqual(['a', 'b', 'c', 'd']);
        await Promise.all(readers.map(({ reader }) => reader.close()));
      });
    });

    describe('is known', () => {
      test('through the instant that the slowest replica has written', async () => {
        expect(await store.readUsageHorizon()).toEqual({ kind: 'unknown', why: 'no replica' });
        const [fast, slow] = [randomUUID(), randomUUID()];
        await store.reportReplica({ id: fast, flushedThrough: now - 10, dropped: 0 });
        await store.reportReplica({ id: slow, flushedThrough: now - 5_000, dropped: 0 });
        expect(await store.readUsageHorizon()).toEqual({ kind: 'known', quietThrough: now - 5_000 });
        // Neither back, nor into the future.
        await store.reportReplica({ id: slow, flushedThrough: now - 7_000, dropped: 0 });
        expect(await store.readUsageHorizon()).toEqual({ kind: 'known', quietThrough: now - 5_000 });
        await store.reportReplica({ id: slow, flushedThrough: now + hour, dropped: 0 });
        expect(await store.readUsageHorizon()).toEqual({ kind: 'known', quietThrough: now - 10 });
      });

      test('not while a replica lags, until nobody has heard of it for an hour', async () => {
        const [one, killed] = [randomUUID(), randomUUID()];
        const report = (id: string) => store.reportReplica({ id, flushedThrough: now, dropped: 0 });
        await report(one);
        await report(killed);
        await passTime(minute);
        await report(one);
        expect(await store.readUsageHorizon()).toMatchObject({ kind: 'known' });
        await passTime(1);
        expect(await store.readUsageHorizon()).toEqual({ kind: 'unknown', why: 'lagging' });
        await passTime(hour - minute - 2);
        await report(one);
        expect(await store.readUsageHorizon()).toEqual({ kind: 'unknown', why: 'lagging' });
        await passTime(1);
        expect(await store.readUsageHorizon()).toEqual({ kind: 'known', quietThrough: now - 1 });
      });

      test('at once without a replica that signed off, and with it again when it reports', async () => {
        const [stays, leaves] = [randomUUID(), randomUUID()];
        await store.reportReplica({ id: stays, flushedThrough: now, dropped: 0 });
        await store.reportReplica({ id: leaves, flushedThrough: now - 9_000, dropped: 0 });
        await store.signOffReplica(leaves);
        expect(await store.readUsageHorizon()).toEqual({ kind: 'known', quietThrough: now });
        await store.reportReplica({ id: leaves, flushedThrough: now - 8_000, dropped: 0 });
        expect(await store.readUsageHorizon()).toEqual({ kind: 'known', quietThrough: now - 8_000 });
        await store.signOffReplica(leaves);
        await store.signOffReplica(stays);
        await store.signOffReplica('nobody');
        expect(await store.readUsageHorizon()).toEqual({ kind: 'unknown', why: 'no replica' });
      });

      test('not while more replicas report than are kept: made-up ones only delay, and none is refused', async () => {
        const real = randomUUID();
        await store.reportReplica({ id: real, flushedThrough: now, dropped: 0 });
        for (let count = 1; count < 256; count += 1)
          await store.reportReplica({ id: randomUUID(), flushedThrough: now, dropped: 0 });
        expect(await store.readUsageHorizon()).toMatchObject({ kind: 'known' });
        const late = randomUUID();
        await store.reportReplica({ id: late, flushedThrough: now, dropped: 0 });
        expect(await store.readUsageHorizon()).toEqual({ kind: 'unknown', why: 'dropping' });
        await passTime(hour + 1);
        for (const id of [real, late]) await store.reportReplica({ id, flushedThrough: now, dropped: 0 });
        expect(await store.readUsageHorizon()).toMatchObject({ kind: 'known' });
      });

      test('not for an hour after a replica dropped uses, also when it has left', async () => {
        const [stays, drops] = [randomUUID(), randomUUID()];
        const report = (id: string, dropped: number) => store.reportReplica({ id, flushedThrough: now, dropped });
        await report(stays, 0);
        await report(drops, 3);
        await store.signOffReplica(drops);
        expect(await store.readUsageHorizon()).toEqual({ kind: 'unknown', why: 'dropping' });
        await passTime(hour - 1);
        await report(stays, 0);
        expect(await store.readUsageHorizon()).toEqual({ kind: 'unknown', why: 'dropping' });
        await passTime(1);
        await report(stays, 0);
        expect(await store.readUsageHorizon()).toMatchObject({ kind: 'known' });
        await report(stays, 1);
        await passTime(hour);
        // The same number again is nothing new.
        await report(stays, 1);
        expect(await store.readUsageHorizon()).toMatchObject({ kind: 'known' });
      });
    });
  });
}

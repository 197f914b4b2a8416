import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import type { PruneBefore, Store } from '../../../operator/src/store/port.ts';
import { ownerRow } from '../../builders/clusterrows.ts';
import { keySettings, mintRequest, testStart, uniqueRef, uniqueTarget } from '../../builders/mintrequest.ts';
import type { StoreDatabase } from './suite.ts';

const hour = 3_600_000;
const day = 24 * hour;

/** What every store promises of the rows that it removes. */
export function retentionSuite(name: string, createDatabase: () => Promise<StoreDatabase>): void {
  describe(`${name}: retention`, () => {
    let database: StoreDatabase;
    let store: Store;
    let now = testStart;

    beforeAll(async () => {
      database = await createDatabase();
    });
    beforeEach(async () => {
      store = database.open();
      await store.takeFence();
      now += 1_000 * day;
      await database.setNow(now);
    });
    afterEach(() => store.close());
    afterAll(() => database.close());

    /** Everything that is older than this, as often as it takes. */
    async function pruneAll(before: Partial<PruneBefore> = {}) {
      const none = { feed: 0, audit: 0, ended: 0, deliveries: 0, ...before };
      const total: Record<string, number> = {};
      let next: number | undefined = 0;
      while (next !== undefined) {
        const pruned: Awaited<ReturnType<Store['prune']>> = await store.prune(none, next);
        for (const [table, rows] of Object.entries(pruned.rows)) if (rows > 0) total[table] = (total[table] ?? 0) + rows;
        ({ next } = pruned);
      }
      return total;
    }

    async function rotate(ref: ReturnType<typeof uniqueRef>, epoch: number, at: number, end?: 'retired' | 'revoked' | 'expired') {
      const request = mintRequest({ ref, version: { epoch, issuedAt: at }, now: at });
      expect(await store.mint(request)).toBe('done');
      const { keyId } = request.version;
      await store.activate(ref.uid, keyId, at + 2, at + 1);
      if (end !== undefined) await store.endVersions(ref.uid, [keyId], end, at + 2);
      return keyId;
    }

    test('of the feed goes up to the first row that is young enough, and never takes the last one', async () => {
      const ref = uniqueRef();
      await store.mint(mintRequest({ ref, now }));
      for (let count = 1; count <= 3; count += 1)
        await store.saveSettings(ref.uid, { settings: keySettings({ displayName: `Name ${count}` }) }, now + count * hour);
      const latest = await store.latestRevision();
      await pruneAll({ feed: now + 2 * hour });
      expect((await store.readFeed(0, 10)).map((row) => row.rev)).toEqual([latest - 1, latest]);
      expect(await pruneAll({ feed: now + day })).toEqual({ feed: 1 });
      expect((await store.readFeed(0, 10)).map((row) => row.rev)).toEqual([latest]);
      expect(await pruneAll({ feed: now + day })).toEqual({});
      await store.saveSettings(ref.uid, { settings: keySettings({ displayName: 'After' }) }, now + day);
      expect(await store.latestRevision()).toBe(latest + 1);
    });

    test('of ended versions changes nothing that the store answers of their ApiKey', async () => {
      const ref = uniqueRef();
      const expired = await rotate(ref, 1, now, 'expired');
      const revoked: string[] = [];
      for (let epoch = 2; epoch <= 20; epoch += 1) revoked.push(await rotate(ref, epoch, now + epoch * 10, 'revoked'));
      const retired = await rotate(ref, 21, now + 300, 'retired');
      const leaked = await rotate(ref, 22, now + 310);
      await database.setNow(now + 400);
      await store.revokeDirect(leaked, { actor: 'cli:ana', reason: 'KeyCompromise', close: false });
      const before = await store.readKey(ref.uid);
      expect(before).toMatchObject({ highestEpoch: 22, lastEnded: { keyId: leaked }, compromised: { keyId: leaked } });
      expect(await pruneAll({ ended: now - 1 })).toEqual({});
      // 20 revoked: the sixteen newest stay, which the one that leaked is among; and nobody asks for the one that was retired.
      expect(await pruneAll({ ended: now + day })).toEqual({ version: 5 });
      expect(await store.readKey(ref.uid)).toEqual(before);
      expect(await store.findByKeyId(retired)).toBeUndefined();
      expect(await store.findByKeyId(revoked[0] ?? '')).toBeUndefined();
      // 403, not 401.
      expect((await store.findByKeyId(expired))?.version.endedReason).toBe('expired');
      expect(await store.mint(mintRequest({ ref, version: { epoch: 22 } }))).toBe('already');
      expect(await store.mint(mintRequest({ ref, version: { epoch: 23 } }))).toBe('done');
    });

    test('keeps the sixteen most recently expired versions of an ApiKey, and the others only until they are old', async () => {
      const ref = uniqueRef();
      const expired: string[] = [];
      for (let epoch = 1; epoch <= 20; epoch += 1) expired.push(await rotate(ref, epoch, now + epoch * 10, 'expired'));
      await rotate(ref, 21, now + 300);
      const before = await store.readKey(ref.uid);
      expect(await pruneAll({ ended: now - 1 })).toEqual({});
      expect(await pruneAll({ ended: now + day })).toEqual({ version: 4 });
      expect(await store.readKey(ref.uid)).toEqual(before);
      const found = await store.findByKeyIds(expired);
      expect([...found.keys()].sort()).toEqual(expired.slice(4).sort());
    });

    test('of attempts keeps all of the newest number, which the pace of further ones is counted by', async () => {
      const ref = uniqueRef();
      for (const epoch of [1, 1, 2, 2, 2]) {
        const request = mintRequest({ ref, version: { epoch } });
        expect(await store.mint(request)).toBe('done');
        await store.endVersions(ref.uid, [request.version.keyId], 'abandoned', now);
      }
      expect(await pruneAll({ ended: now + day })).toMatchObject({ version: 2 });
      expect(await store.readKey(ref.uid)).toMatchObject({ highestEpoch: 2, attemptsOfHighestEpoch: 3, versions: [] });
    });

    test('of an ApiKey that was released takes everything, once its locations are empty', async () => {
      const ref = uniqueRef();
      const target = uniqueTarget();
      const request = mintRequest({ ref, targets: [target] });
      const { keyId } = request.version;
      await store.mint(request);
      const held = { location: target.location, keyId, providerVersion: '1', envelope: 'x' };
      await store.confirmDeliveries(ref.uid, [held], now);
      await store.endVersions(ref.uid, [keyId], 'expired', now);
      await store.releaseKey(ref.uid, now);
      // What must still be emptied is still to be found.
      await pruneAll({ ended: now + day, deliveries: now + day });
      const [left] = (await store.listWithdrawing(100)).filter((one) => one.ref.uid === ref.uid);
      expect(left?.location).toEqual(target.location);
      await store.finishWithdrawal(ref.uid, left?.id ?? '', now);
      expect(await pruneAll({ ended: now + day, deliveries: now - 1 })).toEqual({});
      expect(await pruneAll({ ended: now + day, deliveries: now + day })).toEqual({ delivery: 1, apikey: 1 });
      expect(await store.mint(mintRequest({ ref: uniqueRef(ref.name), targets: [target] }))).toBe('done');
    });

    test('of the audit takes nothing that is younger than 30 days, whatever it is told', async () => {
      const row = ownerRow();
      await store.saveOwner(row, now);
      await database.setNow(now + 30 * day);
      await pruneAll({ audit: now + 1_000 * day });
      expect(await store.readAudit({ subjectUid: row.uid }, 10)).toHaveLength(1);
      await database.setNow(now + 30 * day + 1);
      await pruneAll({ audit: now + 1_000 * day });
      expect(await store.readAudit({ subjectUid: row.uid }, 10)).toEqual([]);
    });

    test('is done without leading, and twice at the same time', async () => {
      const ref = uniqueRef();
      await rotate(ref, 1, now, 'retired');
      await rotate(ref, 2, now + 10, 'retired');
      const other = database.open();
      const before = { feed: 0, audit: 0, ended: now + day, deliveries: 0 };
      const pruned = await Promise.all([store.prune(before), other.prune(before)]);
      expect(pruned[0].rows.version + pruned[1].rows.version).toBe(1);
      await other.close();
    });
  });
}

import { randomUUID } from 'node:crypto';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import type { Instant } from '../../../operator/src/domain/time.ts';
import { FenceLost } from '../../../operator/src/store/port.ts';
import type { HeldValue, MintRequest, Store } from '../../../operator/src/store/port.ts';
import { keySettings, mintRequest, testStart, uniqueRef, uniqueTarget } from '../../builders/mintrequest.ts';
import type { MintRequestChanges } from '../../builders/mintrequest.ts';

/** One database of the implementation under test. */
export interface StoreDatabase {
  /** Another store on the same database, as another process would have. It has not taken the fence. */
  open(): Store;
  /** Sets what the database's clock says; the stores of other tests see it too. */
  setNow(now: Instant): Promise<void>;
  /** Puts so many keys of this owner there, past the store; their key ids. */
  fill(count: number, owner: { readonly uid: string; readonly name: string }): Promise<readonly string[]>;
  /** How many rows a piece of work wrote, by table; without the head of the feed. */
  rowsWrittenBy(work: () => Promise<void>): Promise<Readonly<Record<string, number>>>;
  close(): Promise<void>;
}

const later = testStart + 60_000;
const hour = 3_600_000;

/** What every store promises. The database is shared by all tests: each uses resources of its own. */
export function storeSuite(name: string, createDatabase: () => Promise<StoreDatabase>): void {
  describe(name, () => {
    let database: StoreDatabase;
    let store: Store;

    beforeAll(async () => {
      database = await createDatabase();
    });
    beforeEach(async () => {
      store = database.open();
      await store.takeFence();
    });
    afterEach(() => store.close());
    afterAll(() => database.close());

    /** Mints, and activates when asked. */
    async function minted(changes: MintRequestChanges = {}, activate = false): Promise<MintRequest> {
      const request = mintRequest(changes);
      expect(await store.mint(request)).toBe('done');
      if (activate) expect(await store.activate(request.ref.uid, request.version.keyId, later + hour, later)).toBe('done');
      return request;
    }

    /** The revisions that a piece of work took. */
    async function revisionsOf(work: () => Promise<unknown>): Promise<readonly string[]> {
      const before = (await store.readFeed(0, 100_000)).length;
      await work();
      return (await store.readFeed(before + 1, 100_000)).map((row) => row.subjectUid);
    }

    function held(request: MintRequest, keyId = request.version.keyId): readonly HeldValue[] {
      return request.targets.map(({ location }) => ({ location, keyId, providerVersion: '1', envelope: 'e1' }));
    }

    describe('identity', () => {
      test('keeps one installation id for all who open the database', async () => {
        const other = database.open();
        expect(await other.installationId()).toBe(await store.installationId());
        expect(await store.installationId()).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
        await other.close();
      });

      test('says which schema it has', async () => {
        expect(await store.schemaVersion()).toBeGreaterThan(0);
      });

      test('belongs to the first cluster that claims it', async () => {
        expect(await store.claimCluster('cluster-a')).toBe('ours');
        expect(await store.claimCluster('cluster-a')).toBe('ours');
        expect(await store.claimCluster('cluster-b')).toBe('other');
      });

      test('knows a wrong pepper under a known id', async () => {
        const id = randomUUID();
        expect(await store.checkPepper(id, Buffer.from('right'))).toBe('right');
        expect(await store.checkPepper(id, Buffer.from('right'))).toBe('right');
        expect(await store.checkPepper(id, Buffer.from('wrong'))).toBe('wrong');
        expect(await store.checkPepper(id, Buffer.from('longer'))).toBe('wrong');
      });
    });

    describe('mint', () => {
      test('[S2-6] remembers which owner the newest version is bound to, also when all have ended', async () => {
        expect((await store.readKey(randomUUID())).boundOwnerUid).toBeUndefined();
        const first = await minted({ version: { ownerUid: 'first-owner' } }, true);
        expect((await store.readKey(first.ref.uid)).boundOwnerUid).toBe('first-owner');
        const second = await minted({ ref: first.ref, version: { epoch: 2, ownerUid: 'second-owner' } });
        expect((await store.readKey(first.ref.uid)).boundOwnerUid).toBe('second-owner');
        const again = { version: { epoch: 2, ownerUid: 'third-owner' }, lostKeyIds: [second.version.keyId] };
        await minted({ ref: first.ref, ...again });
        expect((await store.readKey(first.ref.uid)).boundOwnerUid).toBe('third-owner');
        await store.revokeAll(first.ref.uid, { actor: 'operator', detail: 'test' }, later);
        expect((await store.readKey(first.ref.uid)).boundOwnerUid).toBe('third-owner');
      });

      test('keeps every member of the version, the settings and the intents', async () => {
        const target = uniqueTarget('vault');
        const settings = keySettings({
          clientApplication: 'billing',
          suspended: true,
          selections: {
            channels: ['b', 'a'],
            customerChannels: [{ customer: '42', channels: ['email'] }],
            rateLimit: { requests: 100, perMs: 60_000 },
          },
        });
        const request = await minted({
          settings,
          targets: [target],
          version: { cause: 'StoreBehind', epoch: 7, expiresAt: testStart + 123 },
        });
        const state = await store.readKey(request.ref.uid);
        expect(state.key).toEqual({ ref: request.ref, settings });
        expect(state.versions).toEqual([request.version]);
        expect(state).toMatchObject({ highestEpoch: 7, attemptsOfHighestEpoch: 1, revokedKeyIds: [] });
        expect(state.lastEnded).toBeUndefined();
        expect(state.deliveries).toEqual([
          {
            id: expect.any(String) as string,
            apiKeyUid: request.ref.uid,
            targetName: 'vault',
            location: target.location,
            intendedKeyId: request.version.keyId,
            state: 'live',
          },
        ]);
      });

      test('knows nothing of a key that was never minted', async () => {
        expect(await store.readKey(randomUUID())).toEqual({
          key: undefined,
          versions: [],
          highestEpoch: 0,
          attemptsOfHighestEpoch: 0,
          revokedKeyIds: [],
          deliveries: [],
        });
      });

      test('leaves a version without expiry without one', async () => {
        const request = mintRequest();
        const { expiresAt: _, ...forever } = request.version;
        await store.mint({ ...request, version: forever });
        expect((await store.readKey(request.ref.uid)).versions).toEqual([forever]);
      });

      test('is already done the second time', async () => {
        const request = await minted();
        expect(await revisionsOf(async () => expect(await store.mint(request)).toBe('already'))).toEqual([]);
        expect((await store.readKey(request.ref.uid)).versions).toHaveLength(1);
      });

      test('has at most one pending attempt', async () => {
        const first = await minted();
        expect(await store.mint(mintRequest({ ref: first.ref }))).toBe('already');
        expect(await store.mint(mintRequest({ ref: first.ref, version: { epoch: 2 } }))).toBe('already');
      });

      test('adds an attempt beside a lost one, which lives until its expiry', async () => {
        const first = await minted();
        const second = await minted({ ref: first.ref, lostKeyIds: [first.version.keyId] });
        const state = await store.readKey(first.ref.uid);
        expect(state.versions).toEqual([
          { ...first.version, state: 'retiring', lost: true, notAfter: first.version.expiresAt, retiringSince: testStart },
          second.version,
        ]);
        expect(state).toMatchObject({ highestEpoch: 1, attemptsOfHighestEpoch: 2 });
      });

      test('changes nothing when the lost attempt was activated meanwhile', async () => {
        const first = await minted({}, true);
        expect(await store.mint(mintRequest({ ref: first.ref, lostKeyIds: [first.version.keyId] }))).toBe('already');
        expect(await store.mint(mintRequest({ ref: first.ref, version: { epoch: 2 }, lostKeyIds: [first.version.keyId] }))).toBe(
          'already',
        );
        expect((await store.readKey(first.ref.uid)).versions).toMatchObject([{ state: 'active', lost: false }]);
      });

      test('starts no attempt of an epoch that was won, nor of an older one', async () => {
        const first = await minted({ version: { epoch: 3 } }, true);
        await store.endVersions(first.ref.uid, [first.version.keyId], 'revoked', later);
        expect(await store.mint(mintRequest({ ref: first.ref, version: { epoch: 3 } }))).toBe('already');
        expect(await store.mint(mintRequest({ ref: first.ref, version: { epoch: 2 } }))).toBe('already');
        expect(await store.mint(mintRequest({ ref: first.ref, version: { epoch: 4 } }))).toBe('done');
      });

      test('has one key id once in the whole store', async () => {
        const first = await minted();
        expect(await store.mint(mintRequest({ version: { keyId: first.version.keyId } }))).toBe('already');
      });

      test('gives one location to one ApiKey, and mints nothing for the other', async () => {
        const [ours, free] = [uniqueTarget(), uniqueTarget()];
        await minted({ targets: [ours] });
        const other = mintRequest({ targets: [free, ours] });
        expect(await store.mint(other)).toEqual({ kind: 'taken', location: ours.location });
        expect(await store.readKey(other.ref.uid)).toMatchObject({ key: undefined, versions: [], deliveries: [] });
        await minted({ targets: [free] });
      });

      test('mints nothing for a key that is revoked for good', async () => {
        const { ref } = await minted({}, true);
        await store.revokeAll(ref.uid, { actor: 'operator', revokedReason: 'KeyCompromise', detail: 'spec' }, later);
        expect(await store.mint(mintRequest({ ref, version: { epoch: 2 } }))).toBe('already');
      });
    });

    describe('activate', () => {
      test('makes the pending attempt the active version', async () => {
        const { ref, version } = await minted();
        expect(await store.activate(ref.uid, version.keyId, undefined, later)).toBe('done');
        expect((await store.readKey(ref.uid)).versions).toEqual([{ ...version, state: 'active', activatedAt: later }]);
      });

      test('is already done the second time, and for a version that is not pending', async () => {
        const { ref, version } = await minted({}, true);
        expect(await store.activate(ref.uid, version.keyId, undefined, later)).toBe('already');
        expect(await store.activate(ref.uid, 'nobody', later, later)).toBe('already');
        await store.endVersions(ref.uid, [version.keyId], 'revoked', later);
        expect(await store.activate(ref.uid, version.keyId, later, later)).toBe('already');
        expect(await store.activate(randomUUID(), version.keyId, undefined, later)).toBe('already');
      });

      test('gives the older active version its end in the same step, so that one is active at most', async () => {
        const first = await minted({}, true);
        const second = await minted({ ref: first.ref, version: { epoch: 2 } });
        expect(await store.activate(first.ref.uid, second.version.keyId, later + hour, later)).toBe('done');
        expect((await store.readKey(first.ref.uid)).versions).toMatchObject([
          { keyId: first.version.keyId, state: 'retiring', lost: false, notAfter: later + hour },
          { keyId: second.version.keyId, state: 'active' },
        ]);
      });

      test('never moves an end behind the expiry', async () => {
        const first = await minted({ version: { expiresAt: later + 1_000 } }, true);
        const second = await minted({ ref: first.ref, version: { epoch: 2 } });
        await store.activate(first.ref.uid, second.version.keyId, later + hour, later);
        expect((await store.readKey(first.ref.uid)).versions[0]).toMatchObject({ state: 'retiring', notAfter: later + 1_000 });
      });

      test('leaves no old version without an end', async () => {
        const first = await minted({}, true);
        const second = await minted({ ref: first.ref, version: { epoch: 2 } });
        expect(await store.activate(first.ref.uid, second.version.keyId, undefined, later)).toBe('already');
        expect((await store.readKey(first.ref.uid)).versions).toMatchObject([{ state: 'active' }, { state: 'pending' }]);
      });

      test('ends the lost attempts once the winner is there', async () => {
        const lost = await minted();
        const winner = await minted({ ref: lost.ref, lostKeyIds: [lost.version.keyId] });
        await store.activate(lost.ref.uid, winner.version.keyId, later + hour, later);
        expect((await store.readKey(lost.ref.uid)).versions).toMatchObject([
          { state: 'retiring', lost: true, notAfter: later + hour },
          { state: 'active' },
        ]);
      });
    });

    describe('ending', () => {
      test('ends versions with their reason, and says which ended last', async () => {
        const { ref, version } = await minted({}, true);
        expect(await store.endVersions(ref.uid, [version.keyId], 'expired', later)).toBe('done');
        const state = await store.readKey(ref.uid);
        expect(state).toMatchObject({ versions: [], highestEpoch: 1, attemptsOfHighestEpoch: 1, revokedKeyIds: [] });
        expect(state.lastEnded).toEqual({ keyId: version.keyId, reason: 'expired', at: later });
        expect(await store.endVersions(ref.uid, [version.keyId], 'retired', later)).toBe('already');
        expect(await store.endVersions(ref.uid, [], 'retired', later)).toBe('already');
        expect((await store.findByKeyId(version.keyId))?.version).toMatchObject({
          state: 'ended',
          endedReason: 'expired',
          endedAt: later,
        });
      });

      test('ends no version of another key', async () => {
        const [one, other] = [await minted(), await minted()];
        expect(await store.endVersions(one.ref.uid, [other.version.keyId], 'retired', later)).toBe('already');
        expect((await store.readKey(other.ref.uid)).versions).toHaveLength(1);
      });

      test('[S2-17] revokes every version in one step and closes the key for good', async () => {
        const first = await minted({}, true);
        const second = await minted({ ref: first.ref, version: { epoch: 2 } });
        const cause = { actor: 'cli:ana', revokedReason: 'KeyCompromise', detail: 'leaked' };
        expect(await revisionsOf(() => store.revokeAll(first.ref.uid, cause, later))).toEqual([first.ref.uid]);
        const state = await store.readKey(first.ref.uid);
        expect(state.versions).toEqual([]);
        expect(state.key?.revokedReason).toBe('KeyCompromise');
        expect(state.revokedKeyIds).toEqual([second.version.keyId, first.version.keyId]);
        expect(await store.revokeAll(first.ref.uid, cause, later)).toBe('already');
        expect((await store.readAudit({ keyId: first.version.keyId }, 1))[0]).toMatchObject({
          actor: 'cli:ana',
          action: 'revoke',
          detail: { cause: 'leaked', reason: 'KeyCompromise' },
        });
      });

      test('revokes without closing when no reason is given', async () => {
        const first = await minted({}, true);
        expect(await store.revokeAll(first.ref.uid, { actor: 'operator', detail: 'compromised' }, later)).toBe('done');
        expect((await store.readKey(first.ref.uid)).key?.revokedReason).toBeUndefined();
        await minted({ ref: first.ref, version: { epoch: 2 } });
      });

      test('remembers the last sixteen revoked key ids, newest first', async () => {
        const ref = uniqueRef();
        const keyIds: string[] = [];
        for (let epoch = 1; epoch <= 17; epoch += 1) {
          const { version } = await minted({ ref, version: { epoch } });
          await store.endVersions(ref.uid, [version.keyId], 'revoked', later + epoch);
          keyIds.unshift(version.keyId);
        }
        expect((await store.readKey(ref.uid)).revokedKeyIds).toEqual(keyIds.slice(0, 16));
      });
    });

    describe('settings', () => {
      test('[S3-10] saves what differs with one feed row, and the same again not at all', async () => {
        const {
          ref,
          applied: { settings },
        } = await minted();
        const changed = { ...settings, suspended: true, selections: { scopes: [], applications: ['shop-eu'] } };
        expect(
          await revisionsOf(async () => expect(await store.saveSettings(ref.uid, { settings: changed }, later)).toBe('done')),
        ).toEqual([ref.uid]);
        expect((await store.readKey(ref.uid)).key?.settings).toEqual(changed);
        const reordered = { ...changed, selections: { applications: ['shop-eu'], scopes: [] } };
        expect(
          await revisionsOf(async () =>
            expect(await store.saveSettings(ref.uid, { settings: reordered }, later)).toBe('already'),
          ),
        ).toEqual([]);
      });

      test('tells an absent client application from a present one', async () => {
        const {
          ref,
          applied: { settings },
        } = await minted();
        const withApplication = { ...settings, clientApplication: 'billing' };
        expect(await store.saveSettings(ref.uid, { settings: withApplication }, later)).toBe('done');
        expect(await store.saveSettings(ref.uid, { settings }, later)).toBe('done');
        expect((await store.readKey(ref.uid)).key?.settings).toEqual(settings);
      });

      test('saves nothing for an unknown key', async () => {
        expect(await store.saveSettings(randomUUID(), { settings: keySettings() }, later)).toBe('already');
      });
    });

    describe('deliveries', () => {
      test('records an intent before and what is held after a write', async () => {
        const request = await minted({ targets: [uniqueTarget(), uniqueTarget('copy')] });
        expect(await store.confirmDeliveries(request.ref.uid, held(request), later)).toBe('done');
        expect((await store.readKey(request.ref.uid)).deliveries).toMatchObject([
          {
            targetName: 'copy',
            heldKeyId: request.version.keyId,
            heldVersion: '1',
            heldEnvelope: 'e1',
            deliveredAt: later,
            state: 'live',
          },
          { targetName: 'local', heldKeyId: request.version.keyId },
        ]);
      });

      test('confirms nothing that another key id is intended for', async () => {
        const request = await minted({ targets: [uniqueTarget(), uniqueTarget()] });
        const [first] = held(request);
        const wrong = held(request, 'somebody').slice(1);
        expect(await store.confirmDeliveries(request.ref.uid, [...(first === undefined ? [] : [first]), ...wrong], later)).toBe(
          'already',
        );
        expect((await store.readKey(request.ref.uid)).deliveries.every((one) => one.heldKeyId === undefined)).toBe(true);
        expect(await store.confirmDeliveries(request.ref.uid, [], later)).toBe('already');
      });

      test('makes rows for new locations, and takes the same intent again', async () => {
        const request = await minted({}, true);
        const target = uniqueTarget('added');
        const intend = () => store.intend(request.ref, request.version.keyId, [target], later);
        expect(await intend()).toBe('done');
        expect(await intend()).toBe('done');
        expect((await store.readKey(request.ref.uid)).deliveries).toMatchObject([
          { targetName: 'added', intendedKeyId: request.version.keyId },
        ]);
      });

      test('intends no location of another ApiKey, and no version that has ended', async () => {
        const [one, other] = [await minted({ targets: [uniqueTarget()] }), await minted()];
        expect(await store.intend(other.ref, other.version.keyId, one.targets, later)).toEqual({
          kind: 'taken',
          location: one.targets[0]?.location,
        });
        await store.endVersions(other.ref.uid, [other.version.keyId], 'revoked', later);
        expect(await store.intend(other.ref, other.version.keyId, [uniqueTarget()], later)).toBe('already');
        expect((await store.readKey(other.ref.uid)).deliveries).toEqual([]);
      });

      test('withdraws in two steps, each once, and then the location is free', async () => {
        const request = await minted({ targets: [uniqueTarget()] });
        await store.confirmDeliveries(request.ref.uid, held(request), testStart);
        const [delivery] = (await store.readKey(request.ref.uid)).deliveries;
        const id = delivery?.id ?? '';
        expect(await store.finishWithdrawal(request.ref.uid, id, later)).toBe('already');
        expect(await store.beginWithdrawal(request.ref.uid, [id], later)).toBe('done');
        expect(await store.beginWithdrawal(request.ref.uid, [id], later)).toBe('already');
        const listed = (await store.listWithdrawing(1_000)).find((one) => one.id === id);
        expect(listed).toEqual({ ...delivery, state: 'withdrawing', withdrawingSince: later, ref: request.ref });
        expect(await store.mint(mintRequest({ targets: request.targets }))).toMatchObject({ kind: 'taken' });
        expect(await store.finishWithdrawal(request.ref.uid, id, later)).toBe('done');
        expect(await store.finishWithdrawal(request.ref.uid, id, later)).toBe('already');
        expect((await store.readKey(request.ref.uid)).deliveries).toEqual([]);
        await minted({ targets: request.targets });
      });

      test('lists withdrawals oldest first', async () => {
        const ids: string[] = [];
        for (const since of [later + 2, later + 1]) {
          const request = await minted({ targets: [uniqueTarget()] });
          const [delivery] = (await store.readKey(request.ref.uid)).deliveries;
          await store.beginWithdrawal(request.ref.uid, [delivery?.id ?? ''], since);
          ids.unshift(delivery?.id ?? '');
        }
        expect((await store.listWithdrawing(1_000)).map((one) => one.id).filter((id) => ids.includes(id))).toEqual(ids);
        expect(await store.listWithdrawing(1)).toHaveLength(1);
      });

      test('lists the withdrawals of one destination alone', async () => {
        const ids = new Map<string, string>();
        for (const destinationUid of [randomUUID(), randomUUID()]) {
          const target = uniqueTarget();
          const request = await minted({ targets: [{ ...target, location: { ...target.location, destinationUid } }] });
          const [delivery] = (await store.readKey(request.ref.uid)).deliveries;
          await store.beginWithdrawal(request.ref.uid, [delivery?.id ?? ''], later);
          ids.set(destinationUid, delivery?.id ?? '');
        }
        for (const [destinationUid, id] of ids)
          expect((await store.listWithdrawing(1_000, destinationUid)).map((one) => one.id)).toEqual([id]);
      });

      test('counts withdrawals by destination, until they are done', async () => {
        const target = uniqueTarget();
        const { ref } = await minted({ targets: [target] });
        const [delivery] = (await store.readKey(ref.uid)).deliveries;
        const counted = async () => (await store.countWithdrawing()).get(target.location.destinationUid) ?? 0;
        const before = await counted();
        await store.beginWithdrawal(ref.uid, [delivery?.id ?? ''], later);
        expect(await counted()).toBe(before + 1);
        await store.finishWithdrawal(ref.uid, delivery?.id ?? '', later);
        expect(await counted()).toBe(before);
      });

      test('revives a withdrawing location that is declared again', async () => {
        const request = await minted({ targets: [uniqueTarget()] });
        const [delivery] = (await store.readKey(request.ref.uid)).deliveries;
        await store.beginWithdrawal(request.ref.uid, [delivery?.id ?? ''], later);
        expect(await store.intend(request.ref, request.version.keyId, request.targets, later)).toBe('done');
        expect((await store.readKey(request.ref.uid)).deliveries).toEqual([delivery]);
        expect(await store.finishWithdrawal(request.ref.uid, delivery?.id ?? '', later)).toBe('already');
      });
    });

    describe('a resource that goes and comes', () => {
      test('[S2-16] keeps a name in use until every version has ended, and forgets its key ids with it', async () => {
        const { ref, version } = await minted({ targets: [uniqueTarget()] }, true);
        expect(await store.listKeys()).toContainEqual({ ref, unaccepted: false });
        expect(await store.releaseKey(ref.uid, later)).toBe('already');
        await store.revokeAll(ref.uid, { actor: 'operator', detail: 'deleted' }, later);
        expect(await revisionsOf(async () => expect(await store.releaseKey(ref.uid, later)).toBe('done'))).toEqual([ref.uid]);
        expect(await store.releaseKey(ref.uid, later)).toBe('already');
        expect(await store.listKeys()).not.toContainEqual(ref);
        expect(await store.findByKeyId(version.keyId)).toBeUndefined();
        expect(await store.readKey(ref.uid)).toMatchObject({
          key: undefined,
          deliveries: [{ state: 'withdrawing', withdrawingSince: later }],
        });
      });

      test('tells which keys with live versions are outside of some namespaces, and how many', async () => {
        const namespace = `left-${randomUUID()}`;
        const refs = ['a', 'b', 'c', 'ended', 'released'].map((name) => ({ namespace, name, uid: randomUUID() }));
        const keyIds: string[] = [];
        for (const ref of refs) {
          const request = mintRequest({ ref });
          keyIds.push(request.version.keyId);
          await store.mint(request);
        }
        for (const { uid } of refs.slice(3)) await store.revokeAll(uid, { actor: 'operator', detail: 'left' }, later);
        await store.releaseKey(refs[4]?.uid ?? '', later);
        const others = [...new Set((await store.listKeys()).map(({ ref }) => ref.namespace))].filter((one) => one !== namespace);
        expect(await store.listUnserved(others, 2)).toEqual({
          keys: [0, 1].map((at) => ({ ref: refs[at], keyIds: [keyIds[at]] })),
          total: 3,
        });
        expect(await store.listUnserved([...others, namespace], 2)).toEqual({ keys: [], total: 0 });
      });

      test('lets the sweeper finish after the release', async () => {
        const { ref } = await minted({ targets: [uniqueTarget()] });
        await store.revokeAll(ref.uid, { actor: 'operator', detail: 'deleted' }, later);
        await store.releaseKey(ref.uid, later);
        const [left] = (await store.listWithdrawing(1_000)).filter((one) => one.apiKeyUid === ref.uid);
        expect(left?.ref).toEqual(ref);
        expect(await store.finishWithdrawal(ref.uid, left?.id ?? '', later)).toBe('done');
      });

      test('gives a location that a released key left behind to the next one of its name, and to nobody else', async () => {
        const old = await minted({ targets: [uniqueTarget()] });
        await store.revokeAll(old.ref.uid, { actor: 'operator', detail: 'deleted' }, later);
        await store.releaseKey(old.ref.uid, later);
        expect(await store.mint(mintRequest({ targets: old.targets }))).toMatchObject({ kind: 'taken' });
        const next = await minted({ ref: uniqueRef(old.ref.name), targets: old.targets });
        expect((await store.readKey(next.ref.uid)).deliveries).toMatchObject([
          { state: 'live', intendedKeyId: next.version.keyId },
        ]);
        expect((await store.readKey(old.ref.uid)).deliveries).toEqual([]);
      });

      test('takes over the rows of a re-created resource in one step', async () => {
        const old = await minted({ targets: [uniqueTarget()] }, true);
        const ref = uniqueRef(old.ref.name);
        expect(await store.mint(mintRequest({ ref }))).toBe('already');
        expect(await revisionsOf(async () => expect(await store.takeOver(ref, keySettings(), later)).toBe('done'))).toEqual([
          old.ref.uid,
          ref.uid,
        ]);
        expect(await store.takeOver(ref, keySettings(), later)).toBe('already');
        const state = await store.readKey(ref.uid);
        expect(state.key?.ref).toEqual(ref);
        expect(state.versions).toMatchObject([{ apiKeyUid: ref.uid, keyId: old.version.keyId, state: 'active' }]);
        expect(state.deliveries).toMatchObject([{ apiKeyUid: ref.uid, location: old.targets[0]?.location }]);
        expect(await store.readKey(old.ref.uid)).toMatchObject({ key: undefined, versions: [], deliveries: [] });
        expect((await store.findByKeyId(old.version.keyId))?.key.ref).toEqual(ref);
      });

      test('does not close the new resource because the old one was revoked', async () => {
        const old = await minted({}, true);
        await store.revokeAll(old.ref.uid, { actor: 'operator', revokedReason: 'Superseded', detail: 'spec' }, later);
        const ref = uniqueRef(old.ref.name);
        await store.takeOver(ref, keySettings(), later);
        await minted({ ref, version: { epoch: 2 } });
      });
    });

    describe('feed and audit', () => {
      test('takes one revision for each change of a verdict, and none for other records', async () => {
        const request = mintRequest({ targets: [uniqueTarget()] });
        const { ref, version } = request;
        expect(await revisionsOf(() => store.mint(request))).toEqual([ref.uid]);
        expect(await revisionsOf(() => store.activate(ref.uid, version.keyId, undefined, later))).toEqual([ref.uid]);
        expect(await revisionsOf(() => store.intend(ref, version.keyId, request.targets, later))).toEqual([]);
        expect(await revisionsOf(() => store.confirmDeliveries(ref.uid, held(request), later))).toEqual([]);
        expect(await revisionsOf(() => store.endVersions(ref.uid, [version.keyId], 'retired', later))).toEqual([ref.uid]);
      });

      test('keeps revisions dense while twenty transactions run at once', async () => {
        const before = (await store.readFeed(0, 100_000)).length;
        const outcomes = await Promise.all(
          Array.from({ length: 20 }, () => store.mint(mintRequest({ targets: [uniqueTarget()] }))),
        );
        expect(outcomes).toEqual(Array.from({ length: 20 }, () => 'done'));
        const rows = await store.readFeed(0, 100_000);
        expect(rows.map((row) => row.rev)).toEqual(Array.from({ length: before + 20 }, (_, index) => index + 1));
        expect(new Set(rows.map((row) => row.id)).size).toBe(rows.length);
        expect(await store.readFeed(before + 3, 2)).toEqual(rows.slice(before + 2, before + 4));
      });

      test('lets exactly one of many who want the same win', async () => {
        const ref = uniqueRef();
        const target = uniqueTarget();
        const same = await Promise.all(Array.from({ length: 8 }, () => store.mint(mintRequest({ ref }))));
        expect(same.filter((outcome) => outcome === 'done')).toHaveLength(1);
        const place = await Promise.all(Array.from({ length: 8 }, () => store.mint(mintRequest({ targets: [target] }))));
        expect(place.filter((outcome) => outcome === 'done')).toHaveLength(1);
        expect(place.filter((outcome) => typeof outcome !== 'string')).toHaveLength(7);
      });

      test('writes who did what when, newest first, and no hash', async () => {
        const { ref, version } = await minted({}, true);
        const audit = await store.readAudit({ apiKeyUid: ref.uid }, 10);
        const by = { actor: 'operator', requestedBy: 'operator' };
        expect(audit).toEqual([
          { at: later, ...by, action: 'activate', apiKeyUid: ref.uid, keyId: version.keyId, detail: {} },
          {
            at: testStart,
            ...by,
            action: 'mint',
            apiKeyUid: ref.uid,
            keyId: version.keyId,
            detail: { epoch: 1, cause: 'Initial', pepper: 'p1' },
          },
        ]);
        expect(await store.readAudit({ keyId: version.keyId }, 1)).toEqual(audit.slice(0, 1));
      });

      test('writes neither audit nor feed for what did not happen', async () => {
        const { ref, version } = await minted({}, true);
        const before = await store.readAudit({ apiKeyUid: ref.uid }, 100);
        expect(await revisionsOf(() => store.activate(ref.uid, version.keyId, undefined, later))).toEqual([]);
        expect(await store.readAudit({ apiKeyUid: ref.uid }, 100)).toEqual(before);
      });
    });

    describe('leadership', () => {
      test('rises with every take-over', async () => {
        const first = await store.takeFence();
        expect(await store.takeFence()).toBe(first + 1);
      });

      test('shows when one last led, to the next one too', async () => {
        await store.beat();
        const led = (await store.lastBeatAt()) ?? 0;
        expect((await store.now()) - led).toBeLessThan(60_000);
        const other = database.open();
        await other.takeFence();
        await expect(store.beat()).rejects.toThrow(FenceLost);
        expect(await other.lastBeatAt()).toBe(led);
        await other.close();
      });

      test('lets a leader that was replaced change nothing any more, with or without a revision', async () => {
        const request = await minted({ targets: [uniqueTarget()] });
        const { ref, version } = request;
        const other = database.open();
        await other.takeFence();
        const before = await other.readKey(ref.uid);
        await expect(store.activate(ref.uid, version.keyId, undefined, later)).rejects.toThrow(FenceLost);
        await expect(store.confirmDeliveries(ref.uid, held(request), later)).rejects.toThrow(FenceLost);
        await expect(store.intend(ref, version.keyId, [uniqueTarget()], later)).rejects.toThrow(FenceLost);
        await expect(store.mint(mintRequest())).rejects.toThrow(FenceLost);
        expect(await other.readKey(ref.uid)).toEqual(before);
        expect(await other.readAudit({ apiKeyUid: ref.uid }, 10)).toHaveLength(1);
        expect(await other.activate(ref.uid, version.keyId, undefined, later)).toBe('done');
        await other.close();
      });

      test('lets a store that never led read, and change nothing', async () => {
        const { ref, version } = await minted();
        const reader = database.open();
        expect((await reader.findByKeyId(version.keyId))?.version).toEqual(version);
        await expect(reader.revokeAll(ref.uid, { actor: 'operator', detail: 'x' }, later)).rejects.toThrow(FenceLost);
        expect((await reader.readKey(ref.uid)).versions).toHaveLength(1);
        await reader.close();
      });
    });

    describe('verify', () => {
      test('finds a version with its key by key id, and nothing for an unknown one', async () => {
        const {
          ref,
          applied: { settings },
          version,
        } = await minted();
        expect(await store.findByKeyId(version.keyId)).toEqual({
          version,
          key: { ref, settings },
          owner: undefined,
          groups: [],
          catalog: undefined,
        });
        expect(await store.findByKeyId('nobody')).toBeUndefined();
      });

      test('finds many key ids at once as it finds each alone, and leaves unknown ones out', async () => {
        const [first, second] = [await minted(), await minted()];
        const keyIds = [first.version.keyId, 'nobody', second.version.keyId];
        const found = await store.findByKeyIds([...keyIds, first.version.keyId]);
        expect([...found.keys()].sort()).toEqual([first.version.keyId, second.version.keyId].sort());
        for (const keyId of keyIds) expect(found.get(keyId)).toEqual(await store.findByKeyId(keyId));
        expect((await store.findByKeyIds([])).size).toBe(0);
      });
    });
  });
}

import { randomUUID } from 'node:crypto';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { FenceLost } from '../../../operator/src/store/port.ts';
import { proofDigest } from '../../../operator/src/keys/hash.ts';
import type { Store } from '../../../operator/src/store/port.ts';
import { keySettings, mintRequest, testStart, uniqueRef, uniqueTarget } from '../../builders/mintrequest.ts';
import type { MintRequestChanges } from '../../builders/mintrequest.ts';
import type { StoreDatabase } from './suite.ts';

const later = testStart + 60_000;
const hour = 3_600_000;

/** What every store promises of a key's later life: requests, retirement, expiry, and revocation without an operator. */
export function lifecycleSuite(name: string, createDatabase: () => Promise<StoreDatabase>): void {
  describe(`${name}: lifecycle`, () => {
    let database: StoreDatabase;
    let store: Store;

    beforeAll(async () => {
      database = await createDatabase();
      await database.setNow(later);
    });
    beforeEach(async () => {
      store = database.open();
      await store.takeFence();
    });
    afterEach(() => store.close());
    afterAll(() => database.close());

    async function minted(changes: MintRequestChanges = {}, activate = false) {
      const request = mintRequest(changes);
      expect(await store.mint(request)).toBe('done');
      if (activate) expect(await store.activate(request.ref.uid, request.version.keyId, later + hour, later)).toBe('done');
      return request;
    }

    /** An old version that retires in an hour, and the active one. */
    async function rotated(changes: MintRequestChanges = {}) {
      const old = await minted(changes, true);
      const current = await minted({ ref: old.ref, version: { epoch: 2 } }, true);
      return { ref: old.ref, uid: old.ref.uid, old: old.version.keyId, current: current.version.keyId };
    }

    describe('keys whose resource is missing', () => {
      test('are dated by the first look, also for another process, until a look finds them', async () => {
        const [one, two] = [await minted(), await minted()].map(({ ref }) => ref);
        if (one === undefined || two === undefined) throw new Error('no keys');
        const both = [one.uid, two.uid];
        expect(await store.noteMissing({ missing: both, unsure: [] }, later)).toHaveLength(2);
        const other = database.open();
        expect(await other.noteMissing({ missing: [one.uid], unsure: [two.uid] }, later + hour)).toEqual([
          { ref: one, since: later },
        ]);
        expect(await other.noteMissing({ missing: both, unsure: [] }, later + hour)).toContainEqual({ ref: two, since: later });
        await other.noteMissing({ missing: [one.uid], unsure: [] }, later + hour);
        expect(await other.noteMissing({ missing: both, unsure: [] }, later + 2 * hour)).toContainEqual({
          ref: two,
          since: later + 2 * hour,
        });
        await other.close();
        expect(await store.noteMissing({ missing: [], unsure: [] }, later)).toEqual([]);
        expect(await store.listMissing()).toEqual([]);
      });

      test('are confirmed once, by somebody who leads nothing, and forgotten with their key', async () => {
        const { ref } = await minted();
        await store.noteMissing({ missing: [ref.uid, 'unknown'], unsure: [] }, later);
        const other = database.open();
        expect(await other.confirmMissing([ref.uid, 'nobody'], 'cli:ana')).toBe(1);
        expect(await other.confirmMissing([ref.uid], 'cli:eve')).toBe(0);
        await other.close();
        expect(await store.listMissing()).toEqual([{ ref, since: later, confirmedBy: 'cli:ana' }]);
        await store.revokeAll(ref.uid, { actor: 'operator', detail: 'gone' }, later);
        await store.releaseKey(ref.uid, later);
        expect(await store.listMissing()).toEqual([]);
      });
    });

    const read = (uid: string) => store.readKey(uid);
    const versionOf = async (uid: string, keyId: string) => (await read(uid)).versions.find((one) => one.keyId === keyId);

    /** The feed rows that a piece of work made. */
    async function rowsOf(work: () => Promise<unknown>) {
      const before = await store.latestRevision();
      await work();
      return store.readFeed(before + 1, 1_000);
    }

    describe('a request', () => {
      test('is handled with the mint that answers it, and what is not named stays', async () => {
        const request = { ...mintRequest(), handled: { rotate: 'a', compromised: 'all' } };
        expect(await store.mint(request)).toBe('done');
        const { uid } = request.ref;
        expect((await read(uid)).key?.handled).toEqual({ rotate: 'a', compromised: 'all' });
        await store.activate(uid, request.version.keyId, undefined, later);
        await store.mint({ ...mintRequest({ ref: request.ref, version: { epoch: 2 } }), handled: { rotate: 'b' } });
        expect((await read(uid)).key?.handled).toEqual({ rotate: 'b', compromised: 'all' });
        expect(await store.mint({ ...mintRequest({ ref: request.ref }), handled: { rotate: 'lost race' } })).toBe('already');
        expect((await read(uid)).key?.handled?.rotate).toBe('b');
      });

      test('is saved and forgotten by itself, with a line of audit and without a revision', async () => {
        const { ref } = await minted();
        const save = async () => {
          expect(await store.saveHandled(ref.uid, { rotate: 'now' }, later)).toBe('done');
          expect(await store.saveHandled(ref.uid, { rotate: 'now' }, later)).toBe('already');
        };
        expect(await rowsOf(save)).toEqual([]);
        expect((await read(ref.uid)).key?.handled).toEqual({ rotate: 'now' });
        expect(await store.saveHandled(ref.uid, { compromised: 'all' }, later)).toBe('done');
        expect((await read(ref.uid)).key?.handled).toEqual({ compromised: 'all' });
        expect(await store.saveHandled(ref.uid, {}, later)).toBe('done');
        expect((await read(ref.uid)).key).not.toHaveProperty('handled');
        const [, line] = await store.readAudit({ apiKeyUid: ref.uid }, 2);
        expect(line).toMatchObject({ action: 'handle', detail: { rotate: 'now → absent', compromised: 'absent → all' } });
        expect(await store.saveHandled(randomUUID(), { rotate: 'x' }, later)).toBe('already');
      });

      test('[S4-10] that names compromised versions ends them and is handled in one step', async () => {
        const { uid, old, current } = await rotated();
        const end = async () =>
          expect(await store.endVersions(uid, [old, current], 'revoked', later + 1, { compromised: 'all' })).toBe('done');
        expect(await rowsOf(end)).toMatchObject([{ subjectUid: uid }]);
        const state = await read(uid);
        expect(state.versions).toEqual([]);
        expect(state.key?.handled).toEqual({ compromised: 'all' });
        expect(state.compromised).toEqual({ keyId: current, at: later + 1, newest: true });
        const again = () => store.endVersions(uid, [old, current], 'revoked', later + 2, { compromised: 'all' });
        expect(await again()).toBe('already');
      });

      test('that names only ended versions is handled, and nobody has to hear of it', async () => {
        const { uid, old } = await rotated();
        await store.endVersions(uid, [old], 'retired', later);
        const end = async () => expect(await store.endVersions(uid, [old], 'revoked', later, { compromised: old })).toBe('done');
        expect(await rowsOf(end)).toEqual([]);
        expect(await read(uid)).toMatchObject({ key: { handled: { compromised: old } }, lastEnded: { reason: 'retired' } });
        expect((await read(uid)).compromised).toBeUndefined();
      });

      test('is handled for a re-created resource too, and for nobody who lost the fence', async () => {
        const { ref } = await minted({}, true);
        await store.saveHandled(ref.uid, { rotate: 'x' }, later);
        const next = uniqueRef(ref.name);
        await store.takeOver(next, keySettings(), later);
        expect((await read(next.uid)).key?.handled).toEqual({ rotate: 'x' });
        const other = database.open();
        await other.takeFence();
        await expect(store.saveHandled(next.uid, { rotate: 'y' }, later)).rejects.toThrow(FenceLost);
        await other.close();
      });
    });

    describe('a key without a living version', () => {
      test('ended as its newest version did, whichever was the last to end', async () => {
        const { uid, old, current } = await rotated();
        await store.endVersions(uid, [current], 'expired', later + 1);
        await store.endVersions(uid, [old], 'retired', later + 2);
        expect((await read(uid)).lastEnded).toEqual({ keyId: current, reason: 'expired', at: later + 1 });
      });

      test('keeps the generation of its ApiKey at the last expiry', async () => {
        const { uid, old, current } = await rotated();
        await store.endVersions(uid, [old], 'retired', later, undefined, undefined, 2);
        expect((await read(uid)).key).not.toHaveProperty('expiredGeneration');
        await store.endVersions(uid, [current], 'expired', later, undefined, undefined, 3);
        expect((await read(uid)).key?.expiredGeneration).toBe(3);
      });
    });

    describe('a compromise', () => {
      test('is remembered until another version is minted, also after a crash in between', async () => {
        const { ref, uid, old, current } = await rotated();
        await store.endVersions(uid, [old], 'revoked', later + 1, { compromised: old });
        expect((await read(uid)).compromised).toEqual({ keyId: old, at: later + 1, newest: false });
        await store.endVersions(uid, [current], 'revoked', later + 2, { compromised: current });
        expect((await read(uid)).compromised).toEqual({ keyId: current, at: later + 2, newest: true });
        const restarted = database.open();
        expect((await restarted.readKey(uid)).compromised?.keyId).toBe(current);
        await restarted.close();
        await minted({ ref, version: { epoch: 3, cause: 'Compromise' } });
        expect((await read(uid)).compromised).toBeUndefined();
      });

      test('is nothing that another end is', async () => {
        const { uid, old, current } = await rotated();
        await store.endVersions(uid, [old], 'retired', later);
        await store.endVersions(uid, [current], 'revoked', later);
        expect((await read(uid)).compromised).toBeUndefined();
      });
    });

    describe('a retiring version', () => {
      test('says since when', async () => {
        const { uid, old } = await rotated();
        expect(await versionOf(uid, old)).toMatchObject({ state: 'retiring', retiringSince: later, notAfter: later + hour });
      });

      test('that was a lost attempt keeps its beginning when the winner is activated', async () => {
        const lost = await minted();
        const winner = await minted({ ref: lost.ref, lostKeyIds: [lost.version.keyId], now: testStart + 5 });
        await store.activate(lost.ref.uid, winner.version.keyId, later + hour, later);
        expect(await versionOf(lost.ref.uid, lost.version.keyId)).toMatchObject({ retiringSince: testStart + 5 });
      });

      test('ends sooner when asked, with one revision and the change in the audit', async () => {
        const { uid, old, current } = await rotated();
        const sooner = later + 10_000;
        const bring = async () => {
          const ends = [
            { keyId: old, notAfter: sooner },
            { keyId: current, notAfter: sooner },
            { keyId: 'nobody', notAfter: sooner },
          ];
          expect(await store.bringForward(uid, ends, later)).toBe('done');
        };
        expect(await rowsOf(bring)).toMatchObject([{ subjectUid: uid }]);
        expect(await versionOf(uid, old)).toMatchObject({ state: 'retiring', notAfter: sooner, retiringSince: later });
        expect(await versionOf(uid, current)).not.toHaveProperty('notAfter');
        expect(await store.readAudit({ apiKeyUid: uid }, 1)).toMatchObject([
          {
            action: 'bring-forward',
            keyId: old,
            detail: { notAfter: '2026-01-01T01:01:00Z → 2026-01-01T00:01:10Z' },
          },
        ]);
        expect(await store.bringForward(uid, [{ keyId: old, notAfter: sooner }], later)).toBe('already');
      });

      test('never ends later than it would, never before now rounded up, and never after its expiry', async () => {
        const { uid, old } = await rotated({ version: { expiresAt: later + 30_000 } });
        const bring = (notAfter: number, now: number) => store.bringForward(uid, [{ keyId: old, notAfter }], now);
        expect(await bring(later + 2 * hour, later)).toBe('already');
        expect(await versionOf(uid, old)).toMatchObject({ notAfter: later + 30_000 });
        expect(await bring(testStart, later + 1)).toBe('done');
        expect(await versionOf(uid, old)).toMatchObject({ notAfter: later + 1_000 });
        expect(await bring(testStart, later + 1_001)).toBe('already');
      });

      test('is brought forward by one of many who want it', async () => {
        const { uid, old } = await rotated();
        const bring = () => store.bringForward(uid, [{ keyId: old, notAfter: later + 1_000 }], later);
        const outcomes = await Promise.all(Array.from({ length: 6 }, bring));
        expect(outcomes.filter((outcome) => outcome === 'done')).toHaveLength(1);
      });

      test('is left alone when it has ended, when the key is unknown, or without the fence', async () => {
        const { uid, old } = await rotated();
        const ends = [{ keyId: old, notAfter: later + 1_000 }];
        const other = database.open();
        await other.takeFence();
        await expect(store.bringForward(uid, ends, later)).rejects.toThrow(FenceLost);
        await other.close();
        await store.takeFence();
        await store.endVersions(uid, [old], 'revoked', later);
        expect(await store.bringForward(uid, ends, later)).toBe('already');
        expect(await store.bringForward(randomUUID(), ends, later)).toBe('already');
      });
    });

    describe('an expiry', () => {
      test('[S2-9] comes nearer or goes further for every version that lives, and the audit says from what to what', async () => {
        const { uid, old, current } = await rotated();
        const nearer = later + 10_000;
        const both = (expiresAt?: number) =>
          [old, current].map((keyId) => (expiresAt === undefined ? { keyId } : { keyId, expiresAt }));
        const set = async () => expect(await store.setExpiry(uid, both(nearer), later)).toBe('done');
        expect(await rowsOf(set)).toMatchObject([{ subjectUid: uid }]);
        // The end of the retirement was an hour away.
        expect(await versionOf(uid, old)).toMatchObject({ expiresAt: nearer, notAfter: nearer });
        expect(await versionOf(uid, current)).toMatchObject({ expiresAt: nearer });
        expect(await store.setExpiry(uid, both(nearer), later)).toBe('already');
        expect(await store.setExpiry(uid, both(later + 2 * hour), later)).toBe('done');
        expect(await versionOf(uid, old)).toMatchObject({ expiresAt: later + 2 * hour, notAfter: nearer });
        expect(await store.setExpiry(uid, both(), later)).toBe('done');
        expect(await versionOf(uid, current)).not.toHaveProperty('expiresAt');
        expect(await store.readAudit({ keyId: current }, 1)).toMatchObject([
          { action: 'set-expiry', detail: { expiresAt: '2026-01-01T02:01:00Z → never' } },
        ]);
      });

      test('of an ended version stays, and nobody else sets one', async () => {
        const { uid, old, current } = await rotated();
        const other = await minted();
        await store.endVersions(uid, [old], 'revoked', later);
        expect(await store.setExpiry(uid, [{ keyId: old, expiresAt: later + hour }], later)).toBe('already');
        expect(await store.setExpiry(uid, [{ keyId: other.version.keyId, expiresAt: later }], later)).toBe('already');
        expect((await store.findByKeyId(old))?.version.expiresAt).toBe(testStart + 24 * hour);
        const leader = database.open();
        await leader.takeFence();
        await expect(store.setExpiry(uid, [{ keyId: current, expiresAt: later }], later)).rejects.toThrow(FenceLost);
        await leader.close();
      });
    });

    describe('a direct revocation', () => {
      const leak = { actor: 'cli:ana', reason: 'KeyCompromise' };

      test('[S4-10] closes the ApiKey for good, with nobody leading', async () => {
        const { ref, uid, old, current } = await rotated();
        const reader = database.open();
        const revoke = async () => expect(await reader.revokeDirect(current, { ...leak, close: true })).toBe('revoked');
        const [row, ...none] = await rowsOf(revoke);
        expect(none).toEqual([]);
        expect(row).toMatchObject({ kind: 'ApiKey', subjectUid: uid });
        // So that the operator knows that it was somebody else.
        expect(row).not.toHaveProperty('fence');
        const state = await read(uid);
        expect(state).toMatchObject({ versions: [], key: { revokedReason: 'KeyCompromise' } });
        expect(state.revokedKeyIds).toEqual([current, old]);
        expect((await store.findByKeyId(old))?.version).toMatchObject({ endedReason: 'revoked', endedAt: later });
        const audit = await store.readAudit({ apiKeyUid: uid }, 3);
        expect(audit.map((line) => line.action)).toEqual(['close', 'revoke', 'revoke']);
        // The database knows the login; the caller gives the name.
        expect(audit.every((line) => line.actor.startsWith('login:') && line.at === later)).toBe(true);
        expect(audit[0]?.detail).toEqual({ cause: 'revoked in the store', reason: 'KeyCompromise', who: 'cli:ana' });
        expect(await store.mint(mintRequest({ ref, version: { epoch: 3 } }))).toBe('already');
        await reader.close();
      });

      test('takes the fence from nobody', async () => {
        const [one, other] = [await rotated(), await minted()];
        const reader = database.open();
        await reader.revokeDirect(one.current, { ...leak, close: true });
        await reader.close();
        const [row] = await rowsOf(() => store.activate(other.ref.uid, other.version.keyId, undefined, later));
        expect(row?.fence).toBeGreaterThan(0);
      });

      test('[S0-4] ends one version when it is to be replaced, and the next mint knows why', async () => {
        const { ref, uid, old, current } = await rotated();
        expect(await store.revokeDirect(current, { ...leak, close: false })).toBe('revoked');
        const state = await read(uid);
        expect(state.versions).toMatchObject([{ keyId: old, state: 'retiring' }]);
        expect(state.key).not.toHaveProperty('revokedReason');
        expect(state.compromised).toEqual({ keyId: current, at: later, newest: true });
        // An older one that follows does not hide it.
        expect(await store.revokeDirect(old, { ...leak, close: false })).toBe('revoked');
        expect((await read(uid)).compromised?.keyId).toBe(current);
        await minted({ ref, version: { epoch: 3 } });
        expect((await read(uid)).compromised).toBeUndefined();
      });

      test('is told when there is nothing to do, and changes nothing then', async () => {
        const { uid, old, current } = await rotated();
        await store.revokeDirect(old, { ...leak, close: false });
        const again = async () => {
          expect(await store.revokeDirect(old, { ...leak, close: false })).toBe('already');
          expect(await store.revokeDirect('nobody', { ...leak, close: true })).toBe('unknown');
        };
        expect(await rowsOf(again)).toEqual([]);
        // An ended version still names its ApiKey.
        expect(await store.revokeDirect(old, { ...leak, close: true })).toBe('revoked');
        expect((await store.findByKeyId(current))?.version.endedReason).toBe('revoked');
        expect(await store.revokeDirect(current, { ...leak, close: true })).toBe('already');
        const before = await store.readAudit({ apiKeyUid: uid }, 100);
        expect(await store.revokeDirect(current, { ...leak, reason: 'Superseded', close: true })).toBe('already');
        expect(await store.readAudit({ apiKeyUid: uid }, 100)).toEqual(before);
        await store.releaseKey(uid, later);
        expect(await store.revokeDirect(current, { ...leak, close: true })).toBe('already');
      });

      test('happens once when many ask for it, and never beside an activation', async () => {
        const first = await minted({}, true);
        const second = await minted({ ref: first.ref, version: { epoch: 2 }, targets: [uniqueTarget()] });
        const { uid } = first.ref;
        const revoke = () => store.revokeDirect(second.version.keyId, { ...leak, close: true });
        const [activated, ...revoked] = await Promise.all([
          store.activate(uid, second.version.keyId, later + hour, later),
          ...Array.from({ length: 5 }, revoke),
        ]);
        expect(['done', 'already']).toContain(activated);
        expect(revoked.filter((outcome) => outcome === 'revoked')).toHaveLength(1);
        expect((await read(uid)).versions).toEqual([]);
      });

      test('finds the ApiKey under its new uid after a take-over', async () => {
        const { ref, current } = await rotated();
        const next = uniqueRef(ref.name);
        await store.takeOver(next, keySettings(), later);
        expect(await store.revokeDirect(current, { ...leak, close: true })).toBe('revoked');
        expect((await read(next.uid)).key?.revokedReason).toBe('KeyCompromise');
      });
    });

    describe('the audit', () => {
      const ana = { manager: 'kubectl-edit', at: testStart - hour };

      test('says who asked, and when, as far as the API server tells', async () => {
        const request = mintRequest();
        const { uid } = request.ref;
        await store.mint({ ...request, requestedBy: { manager: 'argocd-controller' } });
        await store.activate(uid, request.version.keyId, undefined, later);
        await store.saveSettings(uid, { settings: { ...request.applied.settings, suspended: true } }, later, ana);
        await store.saveHandled(uid, { rotate: 'x' }, later, ana);
        await store.setExpiry(uid, [{ keyId: request.version.keyId, expiresAt: later + hour }], later, ana);
        await store.revokeAll(uid, { actor: 'operator', detail: 'the ApiKey was deleted', requestedBy: 'unknown' }, later);
        const audit = (await store.readAudit({ apiKeyUid: uid }, 20)).toReversed();
        expect(audit.map(({ action, requestedBy }) => [action, requestedBy])).toEqual([
          ['mint', { manager: 'argocd-controller' }],
          ['activate', 'operator'],
          ['edit', ana],
          ['handle', ana],
          ['set-expiry', ana],
          ['revoke', undefined],
        ]);
        expect(audit.every(({ actor }) => actor === 'operator')).toBe(true);
      });

      test('is not led astray by a field manager that calls itself operator', async () => {
        const request = mintRequest();
        await store.mint({ ...request, requestedBy: { manager: 'operator' } });
        expect((await store.readAudit({ apiKeyUid: request.ref.uid }, 1))[0]?.requestedBy).toEqual({ manager: 'operator' });
      });
    });

    describe('a revocation by proof', () => {
      const proofOf = (keyId: string) => Buffer.from(`the proof of ${keyId}`);
      const provable = async (ref = uniqueRef(), epoch = 1) => {
        const request = mintRequest({ ref, version: { epoch } });
        const { keyId } = request.version;
        expect(await store.mint({ ...request, revocationDigest: proofDigest(proofOf(keyId)) })).toBe('done');
        await store.activate(ref.uid, keyId, later + hour, later);
        return { uid: ref.uid, keyId };
      };

      test('ends that version alone, with nobody leading, and the next mint knows why', async () => {
        const ref = uniqueRef();
        const old = await provable(ref);
        const { uid, keyId } = await provable(ref, 2);
        const reader = database.open();
        const revoke = async () => expect(await reader.revokeProven(keyId, proofOf(keyId), 'KeyCompromise')).toBe('revoked');
        const [row, ...none] = await rowsOf(revoke);
        expect(none).toEqual([]);
        expect(row).toMatchObject({ kind: 'ApiKey', subjectUid: uid });
        expect(row).not.toHaveProperty('fence');
        const state = await read(uid);
        expect(state.versions).toMatchObject([{ keyId: old.keyId, state: 'retiring' }]);
        expect(state.key).not.toHaveProperty('revokedReason');
        expect(state.compromised?.keyId).toBe(keyId);
        expect(await store.readAudit({ keyId }, 1)).toMatchObject([
          { action: 'revoke', detail: { reason: 'KeyCompromise', who: 'proof of possession' } },
        ]);
        expect(await reader.revokeProven(keyId, proofOf(keyId), 'KeyCompromise')).toBe('already');
        await reader.close();
      });

      test('changes nothing without the right proof: not with the hash, not with the digest, not of a version without one', async () => {
        const { uid, keyId } = await provable();
        const other = await provable();
        const unprovable = await minted();
        const before = await read(uid);
        const hash = before.versions[0]?.hash ?? Buffer.alloc(32);
        const attempts = async () => {
          for (const proof of [hash, proofDigest(proofOf(keyId)), proofOf(other.keyId), Buffer.alloc(0), Buffer.alloc(32)])
            expect(await store.revokeProven(keyId, proof, 'KeyCompromise')).toBe('unknown');
          expect(await store.revokeProven('nobody', proofOf('nobody'), 'KeyCompromise')).toBe('unknown');
          const { keyId: bare, hash: bareHash } = unprovable.version;
          expect(await store.revokeProven(bare, bareHash, 'KeyCompromise')).toBe('unknown');
        };
        expect(await rowsOf(attempts)).toEqual([]);
        expect(await read(uid)).toEqual(before);
      });

      test('happens at most sixty times a minute, and again in the next one', async () => {
        // Past the minute that the other tests spent.
        const minute = later + 10 * 60_000;
        await database.setNow(minute);
        const keys = [];
        for (let count = 0; count < 62; count += 1) keys.push(await provable());
        const [late, last, ...first] = keys;
        for (const { keyId } of first) expect(await store.revokeProven(keyId, proofOf(keyId), 'Leaked')).toBe('revoked');
        const { uid = '', keyId = '' } = late ?? {};
        await expect(store.revokeProven(keyId, proofOf(keyId), 'Leaked')).rejects.toMatchObject({
          kind: 'waiting',
          reason: 'StoreUnavailable',
          message: expect.stringContaining('53400') as string,
        });
        expect((await read(uid)).versions).toMatchObject([{ keyId, state: 'active' }]);
        // Whoever knows the key id by another right is not held up.
        expect(await store.revokeDirect(last?.keyId ?? '', { actor: 'cli:ana', reason: 'Leaked', close: true })).toBe('revoked');
        await database.setNow(minute + 60_000);
        expect(await store.revokeProven(keyId, proofOf(keyId), 'Leaked')).toBe('revoked');
        await database.setNow(later);
      });
    });

    test('the newest revision is that of the last feed row', async () => {
      const own = await createDatabase();
      const fresh = own.open();
      expect(await fresh.latestRevision()).toBe(0);
      const fence = await fresh.takeFence();
      await fresh.mint(mintRequest());
      expect(await fresh.latestRevision()).toBe(1);
      expect(await fresh.readFeed(1, 10)).toMatchObject([{ rev: 1, fence }]);
      await fresh.close();
      await own.close();
    });
  });
}

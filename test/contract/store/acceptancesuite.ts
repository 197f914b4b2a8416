import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import type { ApiKeyRef } from '../../../operator/src/domain/key.ts';
import { FenceLost, neverAccepted } from '../../../operator/src/store/port.ts';
import type { AppliedSettings, KeySettings, RequestedBy, Store } from '../../../operator/src/store/port.ts';
import { keySettings, mintRequest, testStart, uniqueRef } from '../../builders/mintrequest.ts';
import type { StoreDatabase } from './suite.ts';

const later = testStart + 60_000;
const hour = 3_600_000;
const wider: KeySettings = keySettings({ selections: {} });
const accepted = { generation: 3, requests: '["now",null,null]', period: 'first' };

/** What every store promises of settings that are accepted or not, and of versions that another ApiKey takes over. */
export function acceptanceSuite(name: string, createDatabase: () => Promise<StoreDatabase>): void {
  describe(`${name}: acceptance`, () => {
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

    async function minted(ref = uniqueRef(), epoch = 1) {
      const request = mintRequest({ ref, version: { epoch } });
      expect(await store.mint(request)).toBe('done');
      expect(await store.activate(ref.uid, request.version.keyId, later + hour, later)).toBe('done');
      return { ref, keyId: request.version.keyId, settings: request.applied.settings };
    }

    const appliedOf = async (uid: string): Promise<unknown> => (await store.readKey(uid)).key;

    async function revisionsOf(work: () => Promise<unknown>): Promise<number> {
      const before = await store.latestRevision();
      await work();
      return (await store.latestRevision()) - before;
    }

    test('keeps proposed settings, a lost permission and the acceptance beside what applies, and lets go of them', async () => {
      const { ref, keyId, settings } = await minted();
      const held: AppliedSettings = { settings, proposed: { ...wider, suspended: true }, notPermitted: true, accepted };
      expect(await store.saveSettings(ref.uid, held, later)).toBe('done');
      expect(await appliedOf(ref.uid)).toEqual({ ref, ...held });
      const { accepted: _, ...shown } = held;
      expect((await store.findByKeyId(keyId))?.key).toEqual({ ref, ...shown });
      expect(await store.saveSettings(ref.uid, held, later)).toBe('already');
      expect(await store.saveSettings(ref.uid, { settings }, later)).toBe('done');
      expect(await appliedOf(ref.uid)).toEqual({ ref, settings });
    });

    test('takes a revision for what a verdict depends on, and none for an acceptance', async () => {
      const { ref, settings } = await minted();
      const save = (applied: AppliedSettings) => revisionsOf(() => store.saveSettings(ref.uid, applied, later));
      expect(await save({ settings, accepted })).toBe(0);
      expect(await save({ settings, accepted, proposed: wider })).toBe(1);
      expect(await save({ settings, accepted, notPermitted: true })).toBe(1);
      expect(await save({ settings: wider, accepted })).toBe(1);
    });

    test('keeps the terms with what was accepted, shows them to no verify request, and takes no revision for them', async () => {
      const ref = uniqueRef();
      const places = [{ name: 'local', secret: { name: 'x' } }];
      const terms = { generation: 3, paused: true, spec: { deliverTo: places, rotation: { every: '1h' } }, endsAt: later };
      const request = mintRequest({ ref });
      const { settings } = request.applied;
      await store.mint({ ...request, applied: { settings, accepted, terms } });
      expect(await appliedOf(ref.uid)).toEqual({ ref, settings, accepted, terms });
      expect((await store.findByKeyId(request.version.keyId))?.key).toEqual({ ref, settings });
      const next = { settings, accepted, terms: { ...terms, paused: false } };
      expect(await revisionsOf(() => store.saveSettings(ref.uid, next, later))).toBe(0);
      expect(await appliedOf(ref.uid)).toEqual({ ref, ...next });
      expect(await store.saveSettings(ref.uid, next, later)).toBe('already');
      const heir = uniqueRef(ref.name);
      await store.takeOver(heir, settings, later);
      expect(await appliedOf(heir.uid)).toEqual({ ref: heir, settings, proposed: settings, accepted: neverAccepted });
    });

    test('keeps the accepted places, shows them to no verify request, takes no revision for them, and keeps them at a take-over', async () => {
      const ref = uniqueRef();
      const request = mintRequest({ ref });
      const { settings } = request.applied;
      const places = { 'prod-vault': { since: later, place: 'a'.repeat(2_500) }, later: { since: later } };
      await store.mint({ ...request, applied: { settings, accepted, places } });
      expect(await appliedOf(ref.uid)).toEqual({ ref, settings, accepted, places });
      expect((await store.findByKeyId(request.version.keyId))?.key).toEqual({ ref, settings });
      const next = { settings, accepted, places: { later: { since: later, place: 'b'.repeat(64) } } };
      expect(await revisionsOf(() => store.saveSettings(ref.uid, next, later))).toBe(0);
      expect(await store.saveSettings(ref.uid, next, later)).toBe('already');
      const heir = uniqueRef(ref.name);
      await store.takeOver(heir, settings, later);
      expect(await appliedOf(heir.uid)).toMatchObject({ accepted: neverAccepted, places: next.places });
      await store.saveSettings(heir.uid, { settings, accepted }, later);
      expect(await appliedOf(heir.uid)).toEqual({ ref: heir, settings, accepted });
    });

    test('[S0-18] tells in the audit which places the first mint accepts, once', async () => {
      const request = { ...mintRequest(), requestedBy: { manager: 'argocd' } };
      const { ref, applied, version } = request;
      const place = '{"vault":{"address":"https://vault.example","mount":"secret"}}';
      const places = { vault: { since: later, place }, awaited: { since: later } };
      await store.mint({ ...request, applied: { ...applied, accepted, places } });
      await store.endVersions(ref.uid, [version.keyId], 'revoked', later);
      await store.mint({ ...mintRequest({ ref, version: { epoch: 2 } }), applied: { ...applied, accepted, places } });
      const lines = (await store.readAudit({ apiKeyUid: ref.uid }, 20)).filter(({ action }) => action === 'place');
      expect(lines).toMatchObject([
        { detail: { 'places.vault': `absent → ${place}` }, requestedBy: { manager: 'argocd' }, keyId: undefined },
      ]);
    });

    test('[S0-18] tells in the audit when a destination comes to mean another place, and by whose request', async () => {
      const { ref, settings } = await minted();
      const places = (digit: string, since = later) => ({ vault: { since, place: digit.repeat(64) } });
      const save = (applied: Partial<AppliedSettings>, requestedBy: RequestedBy = 'operator') =>
        store.saveSettings(ref.uid, { settings, accepted, ...applied }, later, requestedBy);
      const read = () => store.readAudit({ apiKeyUid: ref.uid }, 20);
      await save({ places: { vault: { since: later } } });
      const before = (await read()).length;
      await save({ places: places('a') }, { manager: 'kubectl-annotate' });
      await save({ places: places('a', later + 1) });
      await save({ places: places('b'), settings: wider });
      const lines = await read();
      expect(lines.slice(0, lines.length - before)).toMatchObject([
        { action: 'edit', detail: { 'places.vault': `${'a'.repeat(64)} → ${'b'.repeat(64)}` } },
        {
          action: 'place',
          detail: { 'places.vault': `absent → ${'a'.repeat(64)}` },
          requestedBy: { manager: 'kubectl-annotate' },
        },
      ]);
    });

    test('[S0-18] tells in the audit what was proposed, forbidden, and applied', async () => {
      const { ref, settings } = await minted();
      await store.saveSettings(ref.uid, { settings, proposed: { ...settings, accessType: 'Admin' } }, later);
      await store.saveSettings(ref.uid, { settings, proposed: { ...settings, accessType: 'Admin' }, notPermitted: true }, later);
      await store.saveSettings(ref.uid, { settings: { ...settings, accessType: 'Admin' } }, later);
      const rows = (await store.readAudit({ apiKeyUid: ref.uid }, 3)).map(({ action, detail }) => [action, detail]);
      expect(rows).toMatchObject([
        ['edit', { accessType: 'Integrations → Admin' }],
        ['forbid', { notPermitted: 'absent → true' }],
        ['propose', { 'proposed.accessType': 'Integrations → Admin' }],
      ]);
    });

    test('writes settings with the first version only: a later mint may have been planned before they were narrowed', async () => {
      const { ref, settings } = await minted();
      const narrow = { ...settings, suspended: true };
      await store.saveSettings(ref.uid, { settings: narrow }, later);
      await minted(ref, 2);
      expect(await appliedOf(ref.uid)).toMatchObject({ settings: narrow });
    });

    describe('a take-over', () => {
      test('gives no right: what applied goes on, the new settings are proposed, and nothing is accepted', async () => {
        const old = await minted();
        await store.saveSettings(old.ref.uid, { settings: old.settings, proposed: wider, notPermitted: true, accepted }, later);
        const next = uniqueRef(old.ref.name);
        const narrow = { ...wider, suspended: true };
        expect(await store.takeOver(next, narrow, later)).toBe('done');
        expect(await appliedOf(next.uid)).toEqual({
          ...{ ref: next, settings: old.settings, proposed: narrow, notPermitted: true, accepted: neverAccepted },
        });
        const states = [{ uid: next.uid, generation: accepted.generation, requests: accepted.requests }];
        expect(await store.carryAcceptances('second', states, later)).toBe(0);
      });

      test('keeps what was narrowed before it, and holds the old versions to each of that', async () => {
        const old = await minted();
        const one = { ...old.settings, selections: { channels: ['a'] } };
        const two = { ...old.settings, selections: { channels: ['b'] } };
        await store.saveSettings(old.ref.uid, { settings: old.settings, proposed: { ...two, earlier: [one] }, accepted }, later);
        const next = uniqueRef(old.ref.name);
        await store.takeOver(next, wider, later);
        const record = await store.findByKeyId(old.keyId);
        expect(record?.key.proposed).toEqual({ ...wider, earlier: [two, one] });
        expect(record?.ceilings).toEqual([old.settings, two, one]);
      });

      test('holds the old versions to what applied before, and those of the new ApiKey only to itself', async () => {
        const old = await minted();
        await store.saveSettings(old.ref.uid, { settings: old.settings, proposed: { ...old.settings, suspended: true } }, later);
        const next = uniqueRef(old.ref.name);
        await store.takeOver(next, wider, later);
        await store.saveSettings(next.uid, { settings: wider, accepted }, later);
        const record = await store.findByKeyId(old.keyId);
        expect(record?.key).toEqual({ ref: next, settings: wider });
        expect(record?.ceilings).toEqual([old.settings, { ...old.settings, suspended: true }]);
        const fresh = await minted(next, 2);
        expect((await store.findByKeyId(fresh.keyId))?.ceilings).toBeUndefined();
      });

      test('adds the ceilings of each ApiKey that was accepted, once, and one that allows nothing where nothing was permitted', async () => {
        const old = await minted();
        const [second, third, fourth, fifth] = [0, 1, 2, 3].map(() => uniqueRef(old.ref.name)) as [
          ...[ApiKeyRef, ApiKeyRef, ApiKeyRef, ApiKeyRef],
        ];
        await store.takeOver(second, wider, later);
        await store.saveSettings(second.uid, { settings: wider, accepted, notPermitted: true }, later);
        await store.takeOver(third, { ...wider, suspended: true }, later);
        // The third one goes before anybody accepts it.
        await store.takeOver(fourth, old.settings, later);
        await store.saveSettings(fourth.uid, { settings: old.settings, accepted }, later);
        await store.takeOver(fifth, wider, later);
        const record = await store.findByKeyId(old.keyId);
        expect(record?.ceilings).toEqual([old.settings, { ...wider, suspended: true }]);
        expect(record?.key.notPermitted).toBeUndefined();
        expect((await store.readKey(fifth.uid)).versions).toMatchObject([{ keyId: old.keyId, apiKeyUid: fifth.uid }]);
      });

      test('is to come for a uid without a row while another one has its name', async () => {
        const old = await minted();
        const next = uniqueRef(old.ref.name);
        const ofNext = async () => (await store.readKey(next.uid, next)).predecessor;
        expect(await ofNext()).toBe(old.ref.uid);
        expect((await store.readKey(old.ref.uid, old.ref)).predecessor).toBeUndefined();
        expect((await store.readKey(next.uid)).predecessor).toBeUndefined();
        await store.takeOver(next, wider, later);
        expect(await ofNext()).toBeUndefined();
        await store.revokeAll(next.uid, { actor: 'operator', detail: 'deleted' }, later);
        await store.releaseKey(next.uid, later);
        expect(await ofNext()).toBeUndefined();
        await minted(uniqueRef(old.ref.name));
        // It was here before: it takes nothing over from a later one.
        expect(await ofNext()).toBeUndefined();
      });

      test('gives what was minted before no later end, also beside a version of its own, and a nearer one', async () => {
        const old = await minted();
        const endOf = async () => (await store.readKey(next.uid)).versions.find(({ keyId }) => keyId === old.keyId)?.expiresAt;
        const next = uniqueRef(old.ref.name);
        const [before] = (await store.readKey(old.ref.uid)).versions;
        const bound = (before?.expiresAt ?? later) + hour;
        await store.takeOver(next, wider, later);
        const fresh = await minted(next, 2);
        expect((await store.readKey(next.uid)).versions.map(({ inherited }) => inherited)).toEqual([true, undefined]);
        for (const end of [{ expiresAt: bound }, {}])
          expect(await store.setExpiry(next.uid, [{ keyId: old.keyId, ...end }], later)).toBe('already');
        expect(await store.setExpiry(next.uid, [{ keyId: fresh.keyId, expiresAt: bound }], later)).toBe('done');
        expect(await endOf()).toBe(before?.expiresAt);
        expect(await store.setExpiry(next.uid, [{ keyId: old.keyId, expiresAt: later + hour }], later)).toBe('done');
        expect(await endOf()).toBe(later + hour);
      });

      test('leaves what was minted before as inherited until a version of its own is there, ended ones too', async () => {
        const old = await minted();
        const next = uniqueRef(old.ref.name);
        await store.endVersions(old.ref.uid, [old.keyId], 'expired', later);
        expect(await store.readKey(old.ref.uid)).toMatchObject({ lastEnded: { keyId: old.keyId } });
        await store.takeOver(next, wider, later);
        const inherited = await store.readKey(next.uid);
        expect(inherited).toMatchObject({ newestInherited: true, highestEpoch: 1 });
        expect(inherited.lastEnded).toBeUndefined();
        const fresh = await minted(next, 2);
        expect((await store.readKey(next.uid)).newestInherited).toBeUndefined();
        await store.endVersions(next.uid, [fresh.keyId], 'expired', later);
        expect((await store.readKey(next.uid)).lastEnded).toMatchObject({ keyId: fresh.keyId });
      });

      test('is listed as not accepted while it has live versions and nobody has accepted it', async () => {
        const [old, other] = [await minted(), await minted()];
        const [next, second] = [uniqueRef(old.ref.name), uniqueRef(other.ref.name)];
        const listed = async (uid: string) => (await store.listKeys()).find(({ ref }) => ref.uid === uid);
        expect(await listed(old.ref.uid)).toEqual({ ref: old.ref, unaccepted: false });
        await store.takeOver(next, wider, later);
        await store.takeOver(second, wider, later);
        expect(await listed(next.uid)).toEqual({ ref: next, unaccepted: true });
        await store.saveSettings(next.uid, { settings: wider, accepted }, later);
        await store.endVersions(second.uid, [other.keyId], 'revoked', later);
        expect(await listed(next.uid)).toMatchObject({ unaccepted: false });
        expect(await listed(second.uid)).toMatchObject({ unaccepted: false });
      });

      test('takes along since when the earlier one was missing, and who confirmed it', async () => {
        const old = await minted();
        const next = uniqueRef(old.ref.name);
        await store.noteMissing({ missing: [old.ref.uid], unsure: [] }, later);
        await store.confirmMissing([old.ref.uid], 'cli:ana');
        await store.takeOver(next, wider, later + hour);
        const found = { ref: next, since: later, confirmedBy: 'cli:ana' };
        expect(await store.listMissing()).toEqual([found]);
        expect(await store.noteMissing({ missing: [next.uid], unsure: [] }, later + hour)).toEqual([found]);
      });
    });

    test('keeps the last period of the admission policy, also for another leader', async () => {
      const first = { id: randomUUID(), since: later, identity: 'policy:1:binding:1' };
      await store.saveAdmission(first, later);
      const other = database.open();
      await other.takeFence();
      expect(await other.readAdmission()).toEqual(first);
      const second = { id: randomUUID(), since: later + hour, identity: 'policy:2:binding:1' };
      await other.saveAdmission(second, later);
      expect(await other.readAdmission()).toEqual(second);
      await other.close();
    });

    test('begins a period and changes acceptances for the leader alone', async () => {
      const { ref, settings } = await minted();
      await store.saveSettings(ref.uid, { settings, accepted }, later);
      const other = database.open();
      await other.takeFence();
      const period = { id: randomUUID(), since: later, identity: 'policy:9:binding:1' };
      const state = { uid: ref.uid, ...accepted };
      for (const one of [store, database.open()]) {
        await expect(one.saveAdmission(period, later)).rejects.toThrow(FenceLost);
        await expect(one.carryAcceptances('second', [state], later)).rejects.toThrow(FenceLost);
        if (one !== store) await one.close();
      }
      expect(await other.readAdmission()).not.toEqual(period);
      expect((await other.readKey(ref.uid)).key?.accepted).toEqual(accepted);
      await other.close();
    });

    test('carries acceptances of the very same state over into another period, and no other', async () => {
      const [same, edited, asked] = await Promise.all([minted(), minted(), minted()]);
      for (const one of [same, edited, asked]) await store.saveSettings(one.ref.uid, { settings: one.settings, accepted }, later);
      const { generation, requests } = accepted;
      const states = [
        { uid: same.ref.uid, generation, requests },
        { uid: edited.ref.uid, generation: generation + 1, requests },
        { uid: asked.ref.uid, generation, requests: '["later",null,null]' },
        { uid: 'nobody', generation, requests },
      ];
      expect(await revisionsOf(async () => expect(await store.carryAcceptances('second', states, later)).toBe(1))).toBe(0);
      expect(await appliedOf(same.ref.uid)).toMatchObject({ accepted: { ...accepted, period: 'second' } });
      expect(await appliedOf(edited.ref.uid)).toMatchObject({ accepted });
      expect(await appliedOf(asked.ref.uid)).toMatchObject({ accepted });
    });
  });
}

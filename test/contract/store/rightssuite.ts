import { randomUUID } from 'node:crypto';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import { FenceLost } from '../../../operator/src/store/port.ts';
import type { CatalogRow, GroupRow, OwnerRow, RightsKind, Store, Transition } from '../../../operator/src/store/port.ts';
import { catalogModel, catalogRow, grantRule, groupRow, ownerRow } from '../../builders/clusterrows.ts';
import { mintRequest, testStart, uniqueTarget } from '../../builders/mintrequest.ts';
import type { MintRequestChanges } from '../../builders/mintrequest.ts';
import type { StoreDatabase } from './suite.ts';

const later = testStart + 60_000;
const unique = (name: string) => `${name}-${randomUUID().slice(0, 8)}`;

/** One of the three cluster kinds, so that each promise is kept by all of them. */
interface Kind {
  readonly title: string;
  readonly feedKind: RightsKind;
  row(name: string, uid: string): CatalogRow | OwnerRow | GroupRow;
  /** The same resource with other content. */
  edited(name: string, uid: string): CatalogRow | OwnerRow | GroupRow;
  save(store: Store, row: CatalogRow | OwnerRow | GroupRow): Promise<Transition>;
  remove(store: Store, uid: string): Promise<Transition>;
  /** What the audit says of the edit. */
  readonly change: Readonly<Record<string, unknown>>;
}

const kinds: readonly Kind[] = [
  {
    title: 'a catalog',
    feedKind: 'ApiCatalog',
    row: (name, uid) => catalogRow({ name, uid }),
    edited: (name, uid) => catalogRow({ name, uid, model: catalogModel({ channels: ['email', 'push'] }) }),
    save: (store, row) => store.saveCatalog(row as CatalogRow, later),
    remove: (store, uid) => store.deleteCatalog(uid, later),
    change: { channels: '[email, marketing, sms] → [email, push]' },
  },
  {
    title: 'an owner',
    feedKind: 'KeyOwner',
    row: (name, uid) => ownerRow({ name, uid }),
    edited: (name, uid) => ownerRow({ name, uid, disabled: true }),
    save: (store, row) => store.saveOwner(row as OwnerRow, later),
    remove: (store, uid) => store.deleteOwner(uid, later),
    change: { disabled: 'false → true' },
  },
  {
    title: 'a group',
    feedKind: 'KeyOwnerGroup',
    row: (name, uid) => groupRow({ name, uid }),
    edited: (name, uid) => groupRow({ name, uid, rules: [grantRule({ admin: false, scopes: ['a', 'b'], endpoints: [] })] }),
    save: (store, row) => store.saveGroup(row as GroupRow, later),
    remove: (store, uid) => store.deleteGroup(uid, later),
    change: { 'rules.1.scopes': '[subscribers:read] → [a, b]' },
  },
];

/** What every store promises of catalogs, owners and groups. Each test uses resources of its own. */
export function rightsSuite(name: string, createDatabase: () => Promise<StoreDatabase>): void {
  describe(`${name}: rights`, () => {
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

    /** The feed entries that a piece of work made. */
    async function entriesOf(work: () => Promise<unknown>): Promise<readonly { kind: string; subjectUid: string }[]> {
      const before = (await store.readFeed(0, 100_000)).length;
      await work();
      return (await store.readFeed(before + 1, 100_000)).map(({ kind, subjectUid }) => ({ kind, subjectUid }));
    }

    async function minted(changes: MintRequestChanges = {}) {
      const request = mintRequest(changes);
      expect(await store.mint(request)).toBe('done');
      return request;
    }

    describe.each(kinds)('$title', (kind) => {
      test('is saved with one feed entry and one line of audit, and the same again not at all', async () => {
        const [name, uid] = [unique('row'), randomUUID()];
        const save = async () => expect(await kind.save(store, kind.row(name, uid))).toBe('done');
        expect(await entriesOf(save)).toEqual([{ kind: kind.feedKind, subjectUid: uid }]);
        const again = async () => expect(await kind.save(store, kind.row(name, uid))).toBe('already');
        expect(await entriesOf(again)).toEqual([]);
        expect(await store.readAudit({ subjectUid: uid }, 10)).toMatchObject([
          { at: later, actor: 'operator', action: 'create', subjectUid: uid, detail: { kind: kind.feedKind, name } },
        ]);
      });

      test('[S0-18] leaves in the audit what changed, from what to what, in names', async () => {
        const [name, uid] = [unique('row'), randomUUID()];
        await kind.save(store, kind.row(name, uid));
        const edit = async () => expect(await kind.save(store, kind.edited(name, uid))).toBe('done');
        expect(await entriesOf(edit)).toEqual([{ kind: kind.feedKind, subjectUid: uid }]);
        const [line] = await store.readAudit({ subjectUid: uid }, 1);
        expect(line).toMatchObject({ action: 'edit', detail: { kind: kind.feedKind, name, ...kind.change } });
        expect(line?.apiKeyUid).toBeUndefined();
      });

      test('is deleted once, and never comes back under its uid', async () => {
        const [name, uid] = [unique('row'), randomUUID()];
        expect(await kind.remove(store, uid)).toBe('already');
        await kind.save(store, kind.row(name, uid));
        const remove = async () => expect(await kind.remove(store, uid)).toBe('done');
        expect(await entriesOf(remove)).toEqual([{ kind: kind.feedKind, subjectUid: uid }]);
        expect(await kind.remove(store, uid)).toBe('already');
        expect(await kind.save(store, kind.edited(name, uid))).toBe('already');
        expect(await store.readAudit({ subjectUid: uid }, 1)).toMatchObject([{ action: 'delete', detail: { name } }]);
        expect(await kind.save(store, kind.row(name, randomUUID()))).toBe('done');
      });

      test('takes the place of an older one of its name in one step', async () => {
        const [name, old, next] = [unique('row'), randomUUID(), randomUUID()];
        await kind.save(store, kind.row(name, old));
        const replace = async () => expect(await kind.save(store, kind.row(name, next))).toBe('done');
        expect(await entriesOf(replace)).toEqual([
          { kind: kind.feedKind, subjectUid: old },
          { kind: kind.feedKind, subjectUid: next },
        ]);
        expect(await kind.remove(store, old)).toBe('already');
        expect(await kind.save(store, kind.edited(name, old))).toBe('already');
        expect(await store.readAudit({ subjectUid: old }, 1)).toMatchObject([{ action: 'delete' }]);
        expect(await kind.remove(store, next)).toBe('done');
      });

      test('is listed with its uid while it is in force, and only it under its name', async () => {
        const [name, uid] = [unique('row'), randomUUID()];
        await kind.save(store, kind.row(unique('row'), randomUUID()));
        expect(await store.listInForce(kind.feedKind, name)).toEqual([]);
        await kind.save(store, kind.row(name, uid));
        expect(await store.listInForce(kind.feedKind, name)).toEqual([{ uid, name }]);
        expect(await store.listInForce(kind.feedKind)).toContainEqual({ uid, name });
        await kind.remove(store, uid);
        expect(await store.listInForce(kind.feedKind, name)).toEqual([]);
        expect(await store.listInForce(kind.feedKind)).not.toContainEqual({ uid, name });
      });

      test('names the row that it wrote to the feed', async () => {
        const [name, uid] = [unique('row'), randomUUID()];
        await kind.save(store, kind.row(name, uid));
        const { rev = 0, id } = store.lastWritten() ?? {};
        expect(await store.readFeed(rev, 1)).toMatchObject([{ rev, id, kind: kind.feedKind, subjectUid: uid }]);
        // What changes nothing writes nothing.
        await kind.save(store, kind.row(name, uid));
        expect(store.lastWritten()).toEqual({ rev, id });
        await kind.remove(store, uid);
        expect(store.lastWritten()?.rev).toBeGreaterThan(rev);
      });

      test('is changed by nobody who has not the fence', async () => {
        const [name, uid] = [unique('row'), randomUUID()];
        await kind.save(store, kind.row(name, uid));
        const other = database.open();
        await expect(kind.save(other, kind.edited(name, uid))).rejects.toThrow(FenceLost);
        await other.takeFence();
        await expect(kind.save(store, kind.edited(name, uid))).rejects.toThrow(FenceLost);
        await expect(kind.remove(store, uid)).rejects.toThrow(FenceLost);
        expect(await kind.save(other, kind.row(name, uid))).toBe('already');
        await other.close();
      });

      test('is saved once when many try at the same time', async () => {
        const [name, uid] = [unique('row'), randomUUID()];
        const outcomes = await Promise.all(Array.from({ length: 6 }, () => kind.save(store, kind.row(name, uid))));
        expect(outcomes.filter((outcome) => outcome === 'done')).toHaveLength(1);
        expect(await store.readAudit({ subjectUid: uid }, 10)).toHaveLength(1);
      });
    });

    describe('an owner', () => {
      test('is the same whatever the order of its members', async () => {
        const row = ownerRow({ name: unique('owner'), groups: ['b', 'a'] });
        await store.saveOwner(row, later);
        const rules = row.rules.map((rule) => Object.fromEntries(Object.entries(rule).reverse()));
        const reordered = Object.fromEntries(Object.entries({ ...row, rules }).reverse()) as unknown as OwnerRow;
        expect(await store.saveOwner(reordered, later)).toBe('already');
      });

      test('[S1-3] of 10,000 keys changes in one row and one feed entry', async () => {
        const own = await createDatabase();
        const leader = own.open();
        await leader.takeFence();
        const owner = ownerRow({ name: 'everybody' });
        await leader.saveOwner(owner, testStart);
        const keyIds = await own.fill(10_000, owner);
        const feedBefore = (await leader.readFeed(0, 100_000)).length;
        const written = await own.rowsWrittenBy(async () => {
          expect(await leader.saveOwner({ ...owner, disabled: true }, later)).toBe('done');
        });
        expect(written).toEqual({ owner: 1, feed: 1, audit: 1 });
        expect(await leader.readFeed(feedBefore + 1, 10)).toMatchObject([{ kind: 'KeyOwner', subjectUid: owner.uid }]);
        for (const keyId of [keyIds[0], keyIds.at(-1)])
          expect((await leader.findByKeyId(keyId ?? ''))?.owner).toMatchObject({ uid: owner.uid, disabled: true });
        expect((await leader.countKeys()).byOwner.get('everybody')).toBe(10_000);
        await leader.close();
        await own.close();
      });
    });

    describe('verify', () => {
      test('has the owner of the bound uid, its groups and the catalog with every member', async () => {
        const [group, other] = [groupRow({ name: unique('b') }), groupRow({ name: unique('a'), rules: [] })];
        const owner = ownerRow({ name: unique('owner'), groups: [group.name, 'nobody', other.name] });
        const catalog = catalogRow({ name: unique('catalog') });
        const {
          version,
          ref,
          applied: { settings },
        } = await minted({
          settings: { owner: owner.name, catalog: catalog.name },
          version: { ownerUid: owner.uid },
        });
        const bare = { version, key: { ref, settings }, owner: undefined, groups: [], catalog: undefined };
        expect(await store.findByKeyId(version.keyId)).toEqual(bare);
        await store.saveCatalog(catalog, later);
        await store.saveGroup(other, later);
        await store.saveGroup(group, later);
        expect(await store.findByKeyId(version.keyId)).toEqual({ ...bare, catalog });
        await store.saveOwner(owner, later);
        expect(await store.findByKeyId(version.keyId)).toEqual({ ...bare, catalog, owner, groups: [group, other] });
      });

      test('gives every one of many keys its own owner and the catalog that they share, read for the first time or again', async () => {
        const catalog = catalogRow({ name: unique('catalog'), digest: randomUUID() });
        await store.saveCatalog(catalog, later);
        const owners = [ownerRow({ name: unique('owner') }), ownerRow({ name: unique('owner') })];
        const keyIds: string[] = [];
        for (const owner of owners) {
          await store.saveOwner(owner, later);
          const settings = { owner: owner.name, catalog: catalog.name };
          keyIds.push((await minted({ settings, version: { ownerUid: owner.uid } })).version.keyId);
        }
        for (let reading = 0; reading < 2; reading += 1) {
          const found = await store.findByKeyIds(keyIds);
          expect(keyIds.map((keyId) => found.get(keyId)?.owner)).toEqual(owners);
          expect(keyIds.map((keyId) => found.get(keyId)?.catalog)).toEqual([catalog, catalog]);
        }
      });

      test('[S2-6] finds no owner when it was deleted, nor when its name came back', async () => {
        const owner = ownerRow({ name: unique('owner') });
        await store.saveOwner(owner, later);
        const { version } = await minted({ settings: { owner: owner.name }, version: { ownerUid: owner.uid } });
        await store.deleteOwner(owner.uid, later);
        expect((await store.findByKeyId(version.keyId))?.owner).toBeUndefined();
        await store.saveOwner({ ...owner, uid: randomUUID() }, later);
        expect((await store.findByKeyId(version.keyId))?.owner).toBeUndefined();
      });

      test('finds another group of the same name, and none that was deleted', async () => {
        const group = groupRow({ name: unique('group') });
        const owner = ownerRow({ name: unique('owner'), groups: [group.name] });
        await store.saveGroup(group, later);
        await store.saveOwner(owner, later);
        const { version } = await minted({ version: { ownerUid: owner.uid } });
        const next = { ...group, uid: randomUUID() };
        await store.saveGroup(next, later);
        expect((await store.findByKeyId(version.keyId))?.groups).toEqual([next]);
        await store.deleteGroup(next.uid, later);
        expect((await store.findByKeyId(version.keyId))?.groups).toEqual([]);
      });

      test('has what a catalog says since its last edit, and nothing once it is deleted', async () => {
        const catalog = catalogRow({ name: unique('catalog') });
        await store.saveCatalog(catalog, later);
        const { version } = await minted({ settings: { catalog: catalog.name } });
        expect((await store.findByKeyId(version.keyId))?.catalog).toEqual(catalog);
        const shrunk = catalogRow({ ...catalog, digest: 'shrunk', model: catalogModel({ scopes: [], endpoints: [] }) });
        await store.saveCatalog(shrunk, later);
        expect((await store.findByKeyId(version.keyId))?.catalog).toEqual(shrunk);
        await store.saveCatalog(catalog, later);
        expect((await store.findByKeyId(version.keyId))?.catalog).toEqual(catalog);
        await store.deleteCatalog(catalog.uid, later);
        expect((await store.findByKeyId(version.keyId))?.catalog).toBeUndefined();
      });
    });

    describe('finding a catalog', () => {
      const at = (...hosts: readonly string[]) =>
        catalogRow({
          name: unique('catalog'),
          digest: randomUUID(),
          model: catalogModel({ requests: { hosts } }),
        });

      test('by host: the elder of two, the younger when the elder gives the host up', async () => {
        const host = `${unique('api')}.example.com`;
        const [elder, younger] = [at(host, 'other.example.com'), at(host)];
        await store.saveCatalog(elder, later);
        await store.saveCatalog(younger, later);
        await store.saveCatalog({ ...elder, digest: 'touched' }, later);
        expect(await store.findCatalog({ host })).toEqual({ ...elder, digest: 'touched' });
        await store.saveCatalog({ ...at('other.example.com'), uid: elder.uid, name: elder.name }, later);
        expect(await store.findCatalog({ host })).toEqual(younger);
        await store.deleteCatalog(younger.uid, later);
        expect(await store.findCatalog({ host })).toBeUndefined();
        expect(await store.findCatalog({ host: host.toUpperCase() })).toBeUndefined();
      });

      test('many by hosts and names at once: each once, the elder first', async () => {
        const host = `${unique('api')}.example.com`;
        const [elder, named, younger] = [at(host), at('another.example.com'), at(host)];
        for (const row of [elder, named, younger]) await store.saveCatalog(row, later);
        const asked = { hosts: [host, 'nobody.example.com'], names: [named.name, younger.name, 'nobody'] };
        expect(await store.findCatalogs(asked)).toEqual([elder, named, younger]);
        // A second reading, now that the models are known.
        expect(await store.findCatalogs(asked)).toEqual([elder, named, younger]);
        expect(await store.findCatalogs({ hosts: [], names: [] })).toEqual([]);
      });

      test('by name, as long as it is in force', async () => {
        const catalog = at('named.example.com');
        expect(await store.findCatalog({ name: catalog.name })).toBeUndefined();
        await store.saveCatalog(catalog, later);
        expect(await store.findCatalog({ name: catalog.name })).toEqual(catalog);
        await store.deleteCatalog(catalog.uid, later);
        expect(await store.findCatalog({ name: catalog.name })).toBeUndefined();
      });
    });

    test('counts the keys of catalogs, owners and destinations, and releases what is released', async () => {
      const [catalog, owner, destination] = [unique('catalog'), unique('owner'), randomUUID()];
      const target = () => ({ ...uniqueTarget(), location: { destinationUid: destination, path: unique('path') } });
      const one = await minted({ settings: { catalog, owner }, targets: [target(), target()] });
      await minted({ settings: { catalog, owner: unique('other') }, targets: [target()] });
      const before = await store.countKeys();
      expect([before.byCatalog.get(catalog), before.byOwner.get(owner), before.byDestination.get(destination)]).toEqual([
        2, 1, 2,
      ]);
      await store.revokeAll(one.ref.uid, { actor: 'operator', detail: 'deleted' }, later);
      await store.releaseKey(one.ref.uid, later);
      const released = await store.countKeys();
      expect([released.byCatalog.get(catalog), released.byOwner.get(owner)]).toEqual([1, undefined]);
      // Its values are still there: the destination may not go before they are withdrawn.
      expect(released.byDestination.get(destination)).toBe(2);
      for (const left of await store.listWithdrawing(1_000))
        if (left.apiKeyUid === one.ref.uid) await store.finishWithdrawal(one.ref.uid, left.id, later);
      expect((await store.countKeys()).byDestination.get(destination)).toBe(1);
    });

    test('[S0-18] an edit of a key leaves in the audit what changed, from what to what', async () => {
      const {
        ref,
        applied: { settings },
      } = await minted();
      const selections = { scopes: ['subscribers:read', 'campaigns:write'], channels: ['email'] };
      await store.saveSettings(ref.uid, { settings: { ...settings, accessType: 'Admin', selections } }, later);
      expect(await store.readAudit({ apiKeyUid: ref.uid }, 1)).toMatchObject([
        {
          action: 'edit',
          detail: {
            accessType: 'Integrations → Admin',
            scopes: '[subscribers:read] → [subscribers:read, campaigns:write]',
            channels: 'absent → [email]',
          },
        },
      ]);
    });
  });
}

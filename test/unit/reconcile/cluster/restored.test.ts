import { afterEach, describe, expect, it } from 'vitest';

import type { RightsKind } from '../../../../operator/src/store/port.ts';
import { Realm } from '../../../builders/realm.ts';
import { catalogSpec, everyRight } from '../../../builders/world.ts';

const running: Realm[] = [];

afterEach(async () => {
  for (const realm of running.splice(0)) await realm.engine.drain(1000);
});

/** A key that is Ready, of an owner in a group, with everything that it names in force. */
async function ready(): Promise<Realm> {
  const realm = await Realm.open({}, { feedPollMs: 1_000 });
  running.push(realm);
  await realm.create('KeyOwnerGroup', 'senders', { displayName: 'Senders', grants: [everyRight] });
  await realm.edit('KeyOwner', 'payments-team', { groups: ['senders'] });
  realm.world.createKey();
  await realm.quiet();
  await realm.advance(5_000);
  expect(realm.world.condition('Ready')).toBe('True Available');
  return realm;
}

/** The database as it was before `work`: a failover lost its tail, or a backup was restored. */
async function losing(realm: Realm, work: () => Promise<void>): Promise<void> {
  const { database } = realm.world.store;
  const before = structuredClone(database.rows);
  await work();
  database.rows = before;
}

describe('what a failover lost is written again', () => {
  it.each<[string, (realm: Realm) => Promise<void>, (record: Awaited<ReturnType<Realm['record']>>) => unknown, unknown]>([
    [
      'an owner that was disabled',
      (realm) => realm.edit('KeyOwner', 'payments-team', { disabled: true }),
      (record) => record?.owner?.disabled,
      true,
    ],
    [
      'an owner that was narrowed',
      (realm) => realm.edit('KeyOwner', 'payments-team', { grants: [] }),
      (record) => record?.owner?.rules,
      [],
    ],
    [
      'a group that was narrowed',
      (realm) => realm.edit('KeyOwnerGroup', 'senders', { grants: [] }),
      (record) => record?.groups.map(({ rules }) => rules),
      [[]],
    ],
    [
      'a catalog that was narrowed',
      (realm) => realm.edit('ApiCatalog', 'default', { endpoints: [] }),
      (record) => record?.catalog?.model.endpoints,
      [],
    ],
    [
      'a catalog that was narrowed, also when a later edit of it is invalid',
      async (realm) => {
        await realm.edit('ApiCatalog', 'default', { endpoints: [] });
        await realm.edit('ApiCatalog', 'default', { scopes: [{ name: 'read', endpoints: ['gone'] }] });
      },
      (record) => record?.catalog?.model.endpoints,
      [],
    ],
  ])('%s', async (_, edit, read, expected) => {
    const realm = await ready();
    await realm.edit('ApiCatalog', 'default', {
      endpoints: catalogSpec({ endpoints: [{ name: 'list', method: 'GET', path: '/v1/things' }] }).endpoints,
    });
    await realm.advance(2_000);
    expect(read(await realm.record())).not.toEqual(expected);
    await losing(realm, () => edit(realm));
    expect(read(await realm.record())).not.toEqual(expected);
    await realm.advance(2_000);
    expect(read(await realm.record())).toEqual(expected);
  });
});

describe('what a restore brings back is taken out again', () => {
  const objects: readonly (readonly [RightsKind, string])[] = [
    ['ApiCatalog', 'default'],
    ['KeyOwner', 'payments-team'],
    ['KeyOwnerGroup', 'senders'],
  ];

  it.each(objects)('by the operator that ran meanwhile: %s', async (kind, name) => {
    const realm = await ready();
    await losing(realm, async () => {
      await realm.remove(kind, name);
      expect(await realm.world.store.listInForce(kind)).toEqual([]);
    });
    expect(await realm.world.store.listInForce(kind)).toMatchObject([{ name }]);
    await realm.advance(2_000);
    expect(await realm.world.store.listInForce(kind)).toEqual([]);
  });

  it.each(objects)('by the operator that starts on it: %s', async (kind, name) => {
    const realm = await ready();
    await losing(realm, async () => {
      await realm.remove(kind, name);
      await realm.engine.drain(1000);
    });
    await realm.restart();
    expect(await realm.world.store.listInForce(kind)).toEqual([]);
  });
});

import { afterEach, describe, expect, it } from 'vitest';
import { stalled } from '../../../../operator/src/domain/failure.ts';
import { Realm } from '../../../builders/realm.ts';
import { catalogSpec, destinationSpec, everyRight, ownerSpec, secretPath, vaultPath } from '../../../builders/world.ts';

const running: Realm[] = [];

afterEach(async () => {
  for (const realm of running.splice(0)) await realm.engine.drain(1000);
});

const endpoints = [
  { name: 'list', method: 'GET', path: '/v1/campaigns' },
  { name: 'send', method: 'POST', path: '/v1/campaigns/{id}/send' },
  { name: 'app', method: 'GET', path: '/v1/apps/{app}', perApplication: true },
];
const rich = {
  accessTypes: [
    { name: 'Integrations', endpoints: 'All' },
    { name: 'Reading', endpoints: 'Listed', scopes: ['read'] },
  ],
  endpoints,
  scopes: [
    { name: 'read', endpoints: ['list', 'app'] },
    { name: 'write', endpoints: ['send'] },
  ],
  applications: [{ slug: 'shop-eu' }, { slug: 'shop-us' }],
  channels: [{ slug: 'email' }, { slug: 'sms' }],
  attributes: ['firstName', 'phone'],
  requests: { hosts: ['api.example.com'], application: { pathParam: 'app' } },
};

/** A realm with a catalog that has something to select from, and a key that is Ready. */
async function ready(changes: object = {}): Promise<Realm> {
  const realm = await Realm.open({ without: ['catalog'] });
  running.push(realm);
  await realm.create('ApiCatalog', 'default', { key: { prefix: 'acme', environment: 'live' }, ...rich });
  realm.world.createKey(changes);
  await realm.quiet();
  expect([realm.world.condition('Ready'), realm.keyMessage()]).toEqual(['True Available', expect.anything()]);
  return realm;
}

const keyName = { namespace: 'payments', name: 'billing' };

describe('a catalog', () => {
  it('comes into force when it is valid: store, finalizer, digest, and only then its keys', async () => {
    const realm = await ready();
    const stored = await realm.world.store.findCatalog({ host: 'api.example.com' });
    const catalog = realm.world.resources.peek('ApiCatalog', { name: 'default' });
    expect(catalog?.metadata.finalizers).toEqual(['keywright.dev/finalizer']);
    expect(catalog?.status?.digest).toBe(stored?.digest);
    expect(catalog?.status?.observedGeneration).toBe(1);
    expect(realm.ready('ApiCatalog', 'default')).toBe('True Available');
    expect(realm.kstatus('ApiCatalog', 'default')).toBe('Current');
    expect((await realm.record())?.catalog?.digest).toBe(stored?.digest);
  });

  it('keeps the last valid specification in force when an edit is invalid, also where the edit narrows', async () => {
    const realm = await ready({ channels: ['sms'] });
    const before = await realm.world.store.findCatalog({ name: 'default' });
    const value = realm.world.vault.value(vaultPath);
    await realm.edit('ApiCatalog', 'default', { channels: [], endpoints: [], accessTypes: [] });
    expect(realm.ready('ApiCatalog', 'default')).toBe('False InvalidSpec');
    expect(realm.kstatus('ApiCatalog', 'default')).toBe('Failed');
    expect(realm.message('ApiCatalog', 'default')).toContain('spec.scopes[0].endpoints[0]: the catalog has no endpoint list');
    expect(realm.message('ApiCatalog', 'default')).toContain('the last valid specification stays in force');
    expect(realm.world.resources.events).toContainEqual(
      expect.objectContaining({ kind: 'ApiCatalog', type: 'Warning', reason: 'InvalidSpec' }),
    );
    expect(await realm.world.store.findCatalog({ name: 'default' })).toEqual(before);
    // A new pass over the key is made with what is in force.
    await realm.edit('ApiKey', keyName, { displayName: 'another name' });
    expect(realm.world.condition('Ready')).toBe('True Available');
    expect(realm.world.status().effective?.channels).toEqual(['sms']);
    expect(realm.world.vault.value(vaultPath)).toBe(value);
    // Another operator knows it from the store.
    await realm.restart();
    await realm.edit('ApiKey', keyName, { displayName: 'a third name' });
    expect(realm.world.condition('Ready')).toBe('True Available');
    expect(realm.world.status().effective?.endpoints).toBe(3);
    // The next valid edit counts.
    await realm.edit('ApiCatalog', 'default', { ...catalogSpec(rich), channels: [{ slug: 'sms' }] });
    expect(realm.ready('ApiCatalog', 'default')).toBe('True Available');
    expect((await realm.world.store.findCatalog({ name: 'default' }))?.model.channels).toEqual(['sms']);
  });

  it('that was never valid is not in force, and its keys say so and wait', async () => {
    const realm = await Realm.open({ without: ['catalog'] });
    running.push(realm);
    await realm.create('ApiCatalog', 'default', { key: { prefix: 'acme', environment: 'live' }, ...rich, endpoints: [] });
    realm.world.createKey();
    await realm.quiet();
    expect(realm.world.condition('Ready')).toBe('False CatalogNotFound');
    expect(realm.world.condition('Stalled')).toMatch(/^False/);
    expect(realm.keyMessage()).toContain('is not in force');
    await realm.edit('ApiCatalog', 'default', { endpoints: catalogSpec({ endpoints }).endpoints });
    expect(realm.world.condition('Ready')).toBe('True Available');
  });

  it('has its host alone: the younger claimant serves nothing until the elder is gone', async () => {
    const realm = await ready();
    await realm.world.clock.advance(5000);
    const claim = { key: { prefix: 'other', environment: 'live' }, accessTypes: [{ name: 'Any', endpoints: 'All' }] };
    await realm.create('ApiCatalog', 'younger', { ...claim, requests: { hosts: ['api.example.com'] } });
    expect(realm.ready('ApiCatalog', 'younger')).toBe('False HostConflict');
    expect(realm.kstatus('ApiCatalog', 'younger')).toBe('Failed');
    expect(realm.message('ApiCatalog', 'younger')).toContain('api.example.com belongs to ApiCatalog default');
    expect(await realm.world.store.findCatalog({ name: 'younger' })).toBeUndefined();
    expect(realm.ready('ApiCatalog', 'default')).toBe('True Available');
    await realm.edit('ApiCatalog', 'default', { requests: { hosts: ['elsewhere.example.com'] } });
    expect(realm.ready('ApiCatalog', 'default')).toBe('True Available');
    expect(realm.ready('ApiCatalog', 'younger')).toBe('True Available');
    expect((await realm.world.store.findCatalog({ host: 'api.example.com' }))?.name).toBe('younger');
    // An elder that takes a host back has it; an edit of the younger that only claims one does not count.
    await realm.edit('ApiCatalog', 'younger', { requests: { hosts: ['api.example.com', 'elsewhere.example.com'] } });
    expect(realm.ready('ApiCatalog', 'younger')).toBe('False HostConflict');
    expect((await realm.world.store.findCatalog({ host: 'api.example.com' }))?.name).toBe('younger');
    await realm.remove('ApiCatalog', 'default');
    expect(realm.ready('ApiCatalog', 'younger')).toBe('True Available');
  });

  it('keeps its host when an older catalog claims it, also across a restart, until it gives the host up', async () => {
    const realm = await ready();
    await realm.world.clock.advance(5000);
    const { key, accessTypes } = {
      key: { prefix: 'other', environment: 'live' },
      accessTypes: [{ name: 'Any', endpoints: 'All' }],
    };
    await realm.create('ApiCatalog', 'younger', { key, accessTypes, requests: { hosts: ['young.example.com'] } });
    const claim = { requests: { hosts: ['api.example.com', 'young.example.com'], application: { pathParam: 'app' } } };
    await realm.edit('ApiCatalog', 'default', claim);
    const both = async () => [
      realm.ready('ApiCatalog', 'younger'),
      realm.ready('ApiCatalog', 'default'),
      (await realm.world.store.findCatalogs({ hosts: ['young.example.com'], names: [] })).map(({ name }) => name),
    ];
    expect(await both()).toEqual(['True Available', 'False HostConflict', ['younger']]);
    expect(realm.kstatus('ApiCatalog', 'default')).toBe('Failed');
    expect(realm.message('ApiCatalog', 'default')).toBe(
      'spec.requests.hosts[1]: young.example.com belongs to ApiCatalog younger, which has it in force; the last valid specification stays in force',
    );
    await realm.restart();
    expect(await both()).toEqual(['True Available', 'False HostConflict', ['younger']]);
    expect((await realm.world.store.findCatalog({ host: 'api.example.com' }))?.name).toBe('default');
    await realm.edit('ApiCatalog', 'younger', { requests: { hosts: ['other.example.com'] } });
    expect(await both()).toEqual(['True Available', 'True Available', ['default']]);
  });

  it('has its host alone when several claim one at once', async () => {
    const realm = await Realm.open({ without: ['catalog'] });
    running.push(realm);
    const spec = { key: { prefix: 'acme', environment: 'live' }, ...rich };
    const names = ['one', 'two', 'three', 'four'];
    for (const name of names) realm.world.resources.create('ApiCatalog', { metadata: { name }, spec: catalogSpec(spec) });
    await realm.quiet();
    const held = async () => await realm.world.store.findCatalogs({ hosts: ['api.example.com'], names: [] });
    const [holder] = await held();
    expect(await held()).toHaveLength(1);
    const available = names.filter((name) => realm.ready('ApiCatalog', name) === 'True Available');
    expect(available).toEqual([holder?.name]);
    // The next one gets it.
    await realm.remove('ApiCatalog', holder?.name ?? '');
    expect(await held()).toHaveLength(1);
    expect(await held()).not.toEqual([holder]);
  });

  it('takes no host that another one is about to have', async () => {
    const realm = await ready();
    const { store } = realm.world;
    await realm.world.clock.advance(5000);
    const save = store.saveCatalog.bind(store);
    let edited = false;
    store.saveCatalog = async (...given) => {
      if (!edited) {
        edited = true;
        // The elder claims it too, after the younger one was found to be alone.
        realm.world.resources.update('ApiCatalog', { name: 'default' }, (object) => ({
          ...object,
          spec: { ...(object.spec as object), requests: { hosts: ['new.example.com'] } },
        }));
        for (let turns = 0; turns < 50; turns += 1) await new Promise((resolve) => setImmediate(resolve));
      }
      return await save(...given);
    };
    await realm.create('ApiCatalog', 'younger', {
      ...{ key: { prefix: 'other', environment: 'live' }, accessTypes: [{ name: 'Any', endpoints: 'All' }] },
      requests: { hosts: ['new.example.com'] },
    });
    expect((await store.findCatalogs({ hosts: ['new.example.com'], names: [] })).map(({ name }) => name)).toEqual(['younger']);
    expect(realm.ready('ApiCatalog', 'default')).toBe('False HostConflict');
  });

  it('that was taken away by force keeps no host from another one', async () => {
    const realm = await ready();
    await realm.engine.drain(1000);
    const { resources } = realm.world;
    resources.update('ApiCatalog', { name: 'default' }, (object) => ({
      ...object,
      metadata: { ...object.metadata, finalizers: [] },
    }));
    resources.delete('ApiCatalog', { name: 'default' });
    // With its finalizer, so that nothing but the other one's end wakes it.
    const metadata = { name: 'next', finalizers: ['keywright.dev/finalizer'] };
    resources.create('ApiCatalog', { metadata, spec: catalogSpec({ requests: { hosts: ['api.example.com'] } }) });
    await realm.restart();
    expect(realm.ready('ApiCatalog', 'next')).toBe('True Available');
    expect((await realm.world.store.findCatalog({ host: 'api.example.com' }))?.name).toBe('next');
  });

  it('is out of the store before its finalizer goes, and its keys are unknown from then on', async () => {
    const realm = await ready();
    const order: string[] = [];
    realm.world.resources.afterEffect = ({ verb, kind }) => {
      if (verb === 'setFinalizers' && kind === 'ApiCatalog') order.push('finalizer');
    };
    realm.world.store.afterEffect = (transition) => {
      if (transition === 'deleteCatalog') order.push('store');
    };
    await realm.remove('ApiCatalog', 'default');
    expect(order).toEqual(['store', 'finalizer']);
    expect(realm.world.resources.peek('ApiCatalog', { name: 'default' })).toBeUndefined();
    expect((await realm.record())?.catalog).toBeUndefined();
    expect(realm.world.condition('Ready')).toBe('False CatalogNotFound');
  });

  it('that shrinks under live keys makes them InvalidSpec, naming what is gone, and gives no new value', async () => {
    const realm = await ready({ scopes: ['read', 'write'] });
    const value = realm.world.vault.value(vaultPath);
    await realm.edit('ApiCatalog', 'default', { scopes: [{ name: 'read', endpoints: ['list', 'app'] }] });
    expect(realm.world.condition('Ready')).toBe('False InvalidSpec');
    expect(realm.keyMessage()).toBe('spec.scopes[1]: catalog default has no scope write');
    expect(realm.world.vault.value(vaultPath)).toBe(value);
  });
});

describe('an owner', () => {
  it('is one row in the store, however many keys it has, and is left alone by a resync', async () => {
    const realm = await ready();
    await realm.advance(60_000);
    const { store, resources } = realm.world;
    const [writes, effects] = [store.writes, resources.effects.length];
    realm.world.resources.resync();
    await realm.restart();
    expect(store.writes).toBe(writes);
    expect(resources.effects.length).toBe(effects);
    await realm.edit('KeyOwner', 'payments-team', { grants: [{ ...everyRight, channels: ['email'] }] });
    expect(store.writes).toBe(writes + 1);
    expect(realm.world.status().effective).toMatchObject({ channels: ['email'], limitedBy: ['owner'] });
  });

  it('that is disabled makes its keys unusable, and enabled again they work, untouched [S2-4] [S2-6]', async () => {
    const realm = await ready();
    const value = realm.world.vault.value(vaultPath);
    await realm.edit('KeyOwner', 'payments-team', { disabled: true });
    expect(realm.world.condition('OwnerActive')).toBe('False OwnerDisabled');
    expect(realm.world.condition('Ready')).toBe('False OwnerDisabled');
    expect(realm.kstatus('KeyOwner', 'payments-team')).toBe('Current');
    expect((await realm.record())?.owner?.disabled).toBe(true);
    await realm.edit('KeyOwner', 'payments-team', { disabled: false });
    expect(realm.world.condition('Ready')).toBe('True Available');
    expect(realm.world.vault.value(vaultPath)).toBe(value);
    expect(realm.world.status().currentKey?.epoch).toBe(1);
  });

  it('that is deleted kills its keys at once, and a new one of its name does not revive them [S2-5] [S2-6]', async () => {
    const realm = await ready();
    const order: string[] = [];
    realm.world.resources.afterEffect = ({ verb, kind }) => {
      if (verb === 'setFinalizers' && kind === 'KeyOwner') order.push('finalizer');
    };
    realm.world.store.afterEffect = (transition) => {
      if (transition === 'deleteOwner') order.push('store');
    };
    await realm.remove('KeyOwner', 'payments-team');
    expect(order).toEqual(['store', 'finalizer']);
    expect((await realm.record())?.owner).toBeUndefined();
    expect(realm.world.condition('OwnerActive')).toBe('False OwnerNotFound');
    expect(realm.world.condition('Ready')).toBe('False OwnerNotFound');

    realm.world.createOwner();
    await realm.quiet();
    expect((await realm.record())?.owner).toBeUndefined();
    expect(realm.world.condition('OwnerActive')).toBe('False OwnerReplaced');
    expect(realm.world.condition('Ready')).toBe('False OwnerReplaced');
    expect(realm.world.condition('Stalled')).toBe('True OwnerReplaced');
    // Neither a lost value nor a restart brings it back.
    realm.world.vault.lose(vaultPath);
    realm.world.secret.lose(secretPath);
    await realm.restart();
    await realm.advance(7 * 3_600_000);
    expect(realm.world.vault.value(vaultPath)).toBeUndefined();
    expect(realm.world.condition('Ready')).toBe('False OwnerReplaced');
  });

  it('that was replaced is bound anew when the rotate annotation gets a new value, with its rights checked anew', async () => {
    const realm = await ready();
    const { resources } = realm.world;
    resources.annotate('ApiKey', keyName, { 'keywright.dev/rotate': 'before' });
    const old = await realm.record();
    await realm.remove('KeyOwner', 'payments-team');
    await realm.create('KeyOwner', 'payments-team', ownerSpec({ grants: [] }));
    expect(realm.world.status().lastHandledRotation).toBe('before');
    resources.annotate('ApiKey', keyName, { 'keywright.dev/rotate': 'after' });
    await realm.quiet();
    // The new owner may not hold such keys.
    expect(realm.world.condition('Ready')).toBe('False NotPermitted');
    await realm.edit('KeyOwner', 'payments-team', { grants: [everyRight] });
    expect(realm.world.condition('Ready')).toBe('True Available');
    expect(realm.world.status().currentKey?.epoch).toBe(2);
    expect(realm.world.status().lastHandledRotation).toBe('after');
    const record = await realm.record();
    expect(record?.version).toMatchObject({ cause: 'OwnerRebound', ownerUid: realm.owner().metadata.uid });
    expect(record?.owner?.name).toBe('payments-team');
    // The older version stays dead: its owner is gone.
    const older = await realm.world.store.findByKeyId(old?.version.keyId ?? '');
    expect(older?.owner).toBeUndefined();
    await realm.restart();
    expect(realm.world.status().currentKey?.epoch).toBe(2);
  });

  it('names what its rules and groups name in vain, and keeps the rest', async () => {
    const realm = await ready();
    await realm.edit('KeyOwner', 'payments-team', {
      groups: ['analysts'],
      grants: [everyRight, { ...everyRight, scopes: ['Read'], catalog: 'default' }],
    });
    expect(realm.ready('KeyOwner', 'payments-team')).toBe('False UnknownName');
    // It may still come: apply order must not matter.
    expect(realm.kstatus('KeyOwner', 'payments-team')).toBe('InProgress');
    expect(realm.message('KeyOwner', 'payments-team')).toContain('spec.groups[0]: KeyOwnerGroup analysts does not exist');
    expect(realm.message('KeyOwner', 'payments-team')).toContain('spec.grants[1].scopes: no scope Read in catalog default');
    expect(realm.world.condition('Ready')).toBe('True Available');
    await realm.edit('KeyOwner', 'payments-team', { grants: [everyRight] });
    await realm.create('KeyOwnerGroup', 'analysts', { displayName: 'Analysts', grants: [] });
    expect(realm.ready('KeyOwner', 'payments-team')).toBe('True Available');
  });

  it('says how many keys name it, at most once a minute', async () => {
    const realm = await ready();
    await realm.advance(60_000);
    const status = () => realm.owner().status;
    expect(status()?.keys).toEqual({ total: 1, ready: 1 });
    expect(realm.world.resources.peek('ApiCatalog', { name: 'default' })?.status?.keys).toBe(1);
    await realm.edit('ApiKey', keyName, { suspend: true });
    expect(status()?.keys).toEqual({ total: 1, ready: 1 });
    await realm.advance(60_000);
    expect(status()?.keys).toEqual({ total: 1, ready: 0 });
  });
});

describe('a group', () => {
  it('gives its rules to the keys of its members without touching them, and takes them when it goes [S1-1] [S1-3]', async () => {
    const realm = await ready();
    const value = realm.world.vault.value(vaultPath);
    await realm.edit('KeyOwner', 'payments-team', {
      grants: [{ ...everyRight, endpoints: [], scopes: ['read'] }],
      groups: ['senders'],
    });
    expect(realm.world.status().effective?.endpoints).toBe(2);
    await realm.create('KeyOwnerGroup', 'senders', {
      displayName: 'Senders',
      grants: [{ ...everyRight, scopes: ['write'], endpoints: [] }],
    });
    expect(realm.world.status().effective?.endpoints).toBe(3);
    expect((await realm.record())?.groups.map(({ name }) => name)).toEqual(['senders']);
    const writes = realm.world.store.writes;
    await realm.edit('KeyOwnerGroup', 'senders', { grants: [] });
    expect(realm.world.store.writes).toBe(writes + 1);
    expect(realm.world.status().effective?.endpoints).toBe(2);
    await realm.edit('KeyOwnerGroup', 'senders', { grants: [{ ...everyRight, scopes: ['write'] }] });
    // Deleted while it is used.
    await realm.remove('KeyOwnerGroup', 'senders');
    expect((await realm.record())?.groups).toEqual([]);
    expect(realm.world.status().effective?.endpoints).toBe(2);
    expect(realm.ready('KeyOwner', 'payments-team')).toBe('False UnknownName');
    expect(realm.world.vault.value(vaultPath)).toBe(value);
  });
});

describe('a destination', () => {
  it('is probed although its status names a probe in the future, and its status is corrected', async () => {
    const realm = await ready();
    const { resources } = realm.world;
    const status = () => resources.peek('KeyDestination', { name: 'prod-vault' })?.status;
    const told = status()?.lastCheckedAt;
    resources.update('KeyDestination', { name: 'prod-vault' }, (one) => ({
      ...one,
      status: { ...status(), lastCheckedAt: '2099-01-01T00:00:00Z' } as NonNullable<typeof one.status>,
    }));
    await realm.advance(300_000);
    expect(Date.parse(status()?.lastCheckedAt ?? '')).toBe(Date.parse(told ?? '') + 300_000);
  });

  it('is tried every five minutes, says why it fails, and is tried sooner then', async () => {
    const realm = await ready();
    const status = () => realm.world.resources.peek('KeyDestination', { name: 'prod-vault' })?.status;
    expect(realm.ready('KeyDestination', 'prod-vault')).toBe('True Available');
    const first = status()?.lastCheckedAt;
    realm.world.vault.failNext({ count: 3, operations: ['probe'] });
    await realm.advance(300_000);
    expect(realm.ready('KeyDestination', 'prod-vault')).toBe('False DestinationUnavailable');
    expect(realm.kstatus('KeyDestination', 'prod-vault')).toBe('InProgress');
    expect(status()?.lastCheckedAt).not.toBe(first);
    const effects = realm.world.resources.effects.length;
    await realm.advance(15_000);
    expect(realm.world.resources.effects.length).toBe(effects);
    await realm.advance(30_000);
    expect(realm.ready('KeyDestination', 'prod-vault')).toBe('True Available');
  });

  it('that answers again wakes the keys that wait for it', async () => {
    const realm = await ready();
    realm.world.vault.failNext({ count: 1000 });
    realm.world.updateKey({ deliverTo: [{ name: 'vault', destination: 'prod-vault', path: 'moved' }] });
    await realm.advance(310_000);
    expect(realm.ready('KeyDestination', 'prod-vault')).toBe('False DestinationUnavailable');
    expect(realm.world.condition('Ready')).toBe('False DestinationUnavailable');
    realm.world.vault.heal();
    await realm.advance(15_000);
    expect(realm.ready('KeyDestination', 'prod-vault')).toBe('True Available');
    expect(realm.world.condition('Ready')).toBe('True Available');
  });

  it('that no try can mend needs a person', async () => {
    const realm = await ready();
    realm.world.vault.failNext({ count: 1, operations: ['probe'], error: stalled('InvalidSpec', 'spec.vault is no place') });
    await realm.advance(300_000);
    expect(realm.ready('KeyDestination', 'prod-vault')).toBe('False InvalidSpec');
    expect(realm.kstatus('KeyDestination', 'prod-vault')).toBe('Failed');
  });

  it('stays while keys are delivered to it, and goes with the last one', async () => {
    const realm = await ready();
    await realm.remove('KeyDestination', 'prod-vault');
    expect(realm.ready('KeyDestination', 'prod-vault')).toBe('False Delivering');
    expect(realm.message('KeyDestination', 'prod-vault')).toContain('1 ApiKey is still delivered here');
    realm.world.updateKey({ deliverTo: [{ name: 'local', secret: { name: 'billing-api-key' } }] });
    await realm.quiet();
    expect(realm.world.vault.value(vaultPath)).toBeUndefined();
    await realm.advance(15_000);
    expect(realm.world.resources.peek('KeyDestination', { name: 'prod-vault' })).toBeUndefined();
  });

  it('gets its finalizer before anything can be lost', async () => {
    const realm = await Realm.open({ without: ['destination'] });
    running.push(realm);
    await realm.create('KeyDestination', 'prod-vault', destinationSpec(), { uid: 'vault-uid' });
    expect(realm.world.resources.peek('KeyDestination', { name: 'prod-vault' })?.metadata.finalizers).toHaveLength(1);
  });
});

describe('the rights of a key', () => {
  it('are spelled out in its status: type, selection and owner together [S2-13] [S3-3] [S4-3]', async () => {
    const realm = await ready({ scopes: ['read'], applications: ['shop-eu'], channels: ['email'], attributes: ['phone'] });
    expect(realm.world.status().effective).toEqual({
      endpoints: 1,
      scopes: ['read'],
      applications: ['shop-eu'],
      channels: ['email'],
      attributes: ['phone'],
      limitedBy: [],
    });
  });

  it('follow an edit of the live key in one transaction, with no new secret [S3-8] [S3-9] [S3-10]', async () => {
    const realm = await ready({ scopes: ['read'] });
    const value = realm.world.vault.value(vaultPath);
    const before = realm.world.store.writes;
    const feed = (await realm.world.store.readFeed(0, 1000)).length;
    realm.world.updateKey({
      displayName: 'Renamed',
      scopes: ['write'],
      applications: undefined,
      channels: ['sms'],
      attributes: ['phone'],
      rateLimit: { requests: 5, per: '60s' },
    });
    await realm.quiet();
    expect(realm.world.store.writes).toBe(before + 1);
    expect((await realm.world.store.readFeed(0, 1000)).length).toBe(feed + 1);
    expect((await realm.record())?.key.settings).toMatchObject({
      displayName: 'Renamed',
      selections: { scopes: ['write'], channels: ['sms'], attributes: ['phone'], rateLimit: { requests: 5, perMs: 60_000 } },
    });
    expect(realm.world.status().effective).toMatchObject({ endpoints: 1, scopes: ['write'], channels: ['sms'] });
    expect(realm.world.condition('Ready')).toBe('True Available');
    expect(realm.world.vault.value(vaultPath)).toBe(value);
    expect(realm.world.status().currentKey?.epoch).toBe(1);
  });

  it.each<[string, object, string]>([
    ['an unknown scope', { scopes: ['read', 'reads'] }, 'spec.scopes[1]: catalog default has no scope reads; did you mean read?'],
    ['an unknown endpoint [S2-13]', { endpoints: ['missing'] }, 'spec.endpoints[0]: catalog default has no endpoint missing'],
    [
      'an unknown application',
      { applications: ['shop-xx'] },
      'spec.applications[0]: catalog default has no application shop-xx; did you mean shop-eu?',
    ],
    ['an unknown channel', { channels: ['email', 'fax'] }, 'spec.channels[1]: catalog default has no channel fax'],
    [
      'an unknown channel of a customer',
      { customerChannels: [{ customer: '42', channels: ['fax'] }] },
      'spec.customerChannels[0].channels[0]: catalog default has no channel fax',
    ],
    [
      'an unknown attribute',
      { attributes: ['Phone'] },
      'spec.attributes[0]: catalog default has no attribute Phone; did you mean phone?',
    ],
    [
      'an endpoint that does not work per application beside applications [S2-11]',
      { applications: ['shop-eu'], endpoints: ['app', 'list'] },
      'spec.endpoints[1]: spec.applications is set, and endpoint list does not work per application',
    ],
    [
      'a scope of which nothing works per application [S2-11]',
      { applications: ['shop-eu'], scopes: ['write'] },
      'spec.scopes[0]: spec.applications is set, and no endpoint of scope write works per application',
    ],
    [
      'an endpoint beyond the access type [S0-12]',
      { accessType: 'Reading', endpoints: ['send'] },
      'spec.endpoints[0]: access type Reading does not reach endpoint send',
    ],
  ])('are InvalidSpec with field and value for %s, and nothing new is minted', async (_name, changes, message) => {
    const realm = await Realm.open({ without: ['catalog'] });
    running.push(realm);
    await realm.create('ApiCatalog', 'default', { key: { prefix: 'acme', environment: 'live' }, ...rich });
    realm.world.createKey(changes);
    await realm.quiet();
    expect(realm.world.condition('Stalled')).toBe('True InvalidSpec');
    expect(realm.keyMessage()).toBe(message);
    expect(realm.world.vault.value(vaultPath)).toBeUndefined();
  });

  it('are none when no rule of the owner holds the access type: NotPermitted, and the owner is not active for it', async () => {
    const realm = await ready();
    await realm.edit('KeyOwner', 'payments-team', { grants: [{ ...everyRight, accessTypes: ['Reading'] }] });
    expect(realm.world.condition('OwnerActive')).toBe('False NotPermitted');
    expect(realm.world.condition('Stalled')).toBe('True NotPermitted');
    expect(realm.keyMessage('OwnerActive')).toContain('Integrations');
    expect(realm.world.status().effective?.endpoints).toBe(0);
    await realm.edit('KeyOwner', 'payments-team', { grants: [everyRight] });
    expect(realm.world.condition('Ready')).toBe('True Available');
  });
});

describe('what is taken away by force while no operator runs', () => {
  it.each(['KeyOwner', 'ApiCatalog'] as const)('is out of the store when the next one starts: %s', async (kind) => {
    const realm = await ready();
    const name = kind === 'KeyOwner' ? 'payments-team' : 'default';
    await realm.engine.drain(1000);
    realm.world.resources.update(kind, { name }, (object) => ({ ...object, metadata: { ...object.metadata, finalizers: [] } }));
    realm.world.resources.delete(kind, { name });
    expect((await realm.record())?.[kind === 'KeyOwner' ? 'owner' : 'catalog']).toBeDefined();
    await realm.restart();
    expect((await realm.record())?.[kind === 'KeyOwner' ? 'owner' : 'catalog']).toBeUndefined();
    expect(realm.world.condition('Ready')).toBe(kind === 'KeyOwner' ? 'False OwnerNotFound' : 'False CatalogNotFound');
  });
});

describe('a store that does not answer', () => {
  it('brings nothing into force, and everything when it is back', async () => {
    const realm = await Realm.open();
    running.push(realm);
    realm.world.store.failNext(4);
    realm.world.createKey();
    await realm.create('KeyOwnerGroup', 'analysts', { displayName: 'Analysts', grants: [] });
    expect(realm.ready('KeyOwnerGroup', 'analysts')).toBe('absent');
    await realm.advance(61_000);
    expect(realm.ready('KeyOwnerGroup', 'analysts')).toBe('True Available');
    expect(realm.world.condition('Ready')).toBe('True Available');
  });
});

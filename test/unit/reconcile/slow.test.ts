import { afterEach, describe, expect, it } from 'vitest';
import { finalizer } from '../../../operator/src/api/meta.ts';
import { Failure } from '../../../operator/src/domain/failure.ts';
import { formatInstant } from '../../../operator/src/domain/time.ts';
import { isLive } from '../../../operator/src/domain/version.ts';
import { hardDeadlineMs } from '../../../operator/src/reconcile/traffic.ts';
import { createMetrics } from '../../../operator/src/telemetry/metrics.ts';
import { Realm } from '../../builders/realm.ts';
import { destinationSpec, keySpec, ownerSpec, World } from '../../builders/world.ts';
import { FakeDestination } from '../../harness/fakes/destination.ts';

const namespace = 'payments';
const onlyVault = [{ name: 'vault', destination: 'prod-vault' }];
/** As the realm's engine has it. */
const concurrency = 2;

const running: Realm[] = [];

afterEach(async () => {
  for (const { world, engine } of running.splice(0)) {
    world.vault.heal();
    for (const other of world.others.values()) other.heal();
    await engine.drain(1000);
  }
});

async function opened(): Promise<Realm> {
  const realm = await Realm.open();
  running.push(realm);
  return realm;
}

function create({ world }: Realm, name: string, deliverTo: object = onlyVault, metadata: object = {}): void {
  const spec = keySpec({ deliverTo, expiry: { after: '720h' } });
  world.resources.create('ApiKey', { metadata: { ...metadata, namespace, name }, spec });
}

/** What can happen without an answer of a destination, and without a moment that passes, has happened. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 400; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

function rotate({ world }: Realm, name: string): void {
  world.resources.annotate('ApiKey', { namespace, name }, { 'keywright.dev/rotate': 'please' });
}

function edit({ world }: Realm, name: string, changes: object): void {
  world.resources.update('ApiKey', { namespace, name }, (key) => ({ ...key, spec: { ...key.spec, ...changes } }));
}

function uidOf({ world }: Realm, name: string): string {
  return world.resources.peek('ApiKey', { namespace, name })?.metadata.uid ?? '';
}

/** What the store has committed of a key. */
function committed(realm: Realm, name: string) {
  const { keys, versions } = realm.world.store.database.rows;
  const uid = uidOf(realm, name);
  const now = realm.world.clock.now();
  const { settings, proposed, notPermitted } = keys.get(uid) ?? {};
  return { settings, proposed, notPermitted, live: versions.filter((one) => one.apiKeyUid === uid && isLive(one, now)) };
}

function readyOf({ world }: Realm, name: string): string {
  const status = world.resources.peek('ApiKey', { namespace, name })?.status;
  const ready = status?.conditions.find(({ type }) => type === 'Ready');
  return `${ready?.status ?? 'absent'} ${ready?.reason ?? ''}`;
}

/** Ready keys on a Vault that from now on answers reads and hangs on writes, of which each worker holds one. */
async function hangingOnWrites(names: readonly string[]): Promise<Realm> {
  const realm = await opened();
  for (const name of names) create(realm, name);
  await realm.quiet();
  for (const name of names) expect(readyOf(realm, name)).toBe('True Available');
  realm.world.vault.hang(['write', 'promote', 'withdraw']);
  for (const name of names.slice(0, concurrency)) rotate(realm, name);
  await settle();
  expect(realm.world.vault.pending).toBe(concurrency);
  return realm;
}

const soon = 60_000;

describe('[S4-10] what takes a right away, while every worker hangs in a write of its destination', () => {
  const ways: Readonly<Record<string, (realm: Realm, name: string) => void>> = {
    'spec.revoked': (realm, name) => {
      edit(realm, name, { revoked: { reason: 'KeyCompromise' } });
    },
    deletion: ({ world }, name) => {
      world.resources.delete('ApiKey', { namespace, name });
    },
    'the annotation compromised': ({ world }, name) => {
      world.resources.annotate('ApiKey', { namespace, name }, { 'keywright.dev/compromised': 'all' });
    },
    suspend: (realm, name) => {
      edit(realm, name, { suspend: true });
    },
    'a nearer expiry': (realm, name) => {
      edit(realm, name, { expiry: { at: formatInstant(realm.world.clock.now() + soon) } });
    },
    'narrowed rights': (realm, name) => {
      edit(realm, name, { accessType: 'Narrow' });
    },
    'a deletion of the namespace': ({ world }) => {
      world.resources.update('Namespace', { name: namespace }, (one) => ({
        ...one,
        metadata: { ...one.metadata, deletionTimestamp: formatInstant(world.clock.now()) },
      }));
    },
  };
  const isDone: Readonly<Record<string, (realm: Realm, name: string) => boolean>> = {
    suspend: (realm, name) => committed(realm, name).settings?.suspended === true,
    'a nearer expiry': (realm, name) => {
      const { live } = committed(realm, name);
      return live.length > 0 && live.every(({ expiresAt = Infinity }) => expiresAt <= realm.world.clock.now() + soon);
    },
    'a deletion of the namespace': (realm, name) => committed(realm, name).notPermitted === true,
    // The catalog has no such type: the edit is not valid, and narrows all the same.
    'narrowed rights': (realm, name) => committed(realm, name).proposed?.accessType === 'Narrow',
  };

  for (const [way, take] of Object.entries(ways)) {
    for (const which of ['hangs-0', 'other']) {
      it(`${way} of ${which === 'other' ? 'another key' : 'the very key that hangs'} is in the store without a moment that passes`, async () => {
        const realm = await hangingOnWrites(['hangs-0', 'hangs-1', 'other']);
        const before = committed(realm, which).live.length;
        expect(before).toBeGreaterThan(0);
        take(realm, which);
        await settle();
        const wanted = isDone[way] ?? (() => committed(realm, which).live.length === 0);
        expect(wanted(realm, which)).toBe(true);
        expect(realm.world.vault.pending).toBe(concurrency);
      });
    }
  }

  it('stays taken away when the hanging pass comes back with what it had read before', async () => {
    const realm = await hangingOnWrites(['hangs-0', 'hangs-1']);
    const suspended: (boolean | undefined)[] = [];
    edit(realm, 'hangs-0', { suspend: true });
    await settle();
    realm.world.store.afterEffect = () => {
      suspended.push(committed(realm, 'hangs-0').settings?.suspended);
    };
    realm.world.vault.heal();
    await realm.quiet();
    expect(suspended.length).toBeGreaterThan(0);
    expect(suspended).not.toContain(false);
    expect(readyOf(realm, 'hangs-0')).toBe('False Suspended');
  });

  it('mints nothing for a key that was deleted while its first look hung', async () => {
    const realm = await opened();
    realm.world.vault.hang(['readMark']);
    create(realm, 'new');
    await settle();
    const uid = uidOf(realm, 'new');
    realm.world.resources.delete('ApiKey', { namespace, name: 'new' });
    await settle();
    realm.world.vault.heal();
    await realm.quiet();
    expect(realm.world.store.database.rows.versions.filter((one) => one.apiKeyUid === uid)).toEqual([]);
  });

  it('is told by one event', async () => {
    const realm = await hangingOnWrites(['hangs-0', 'hangs-1', 'other']);
    for (const name of ['hangs-0', 'other']) edit(realm, name, { revoked: { reason: 'KeyCompromise' } });
    await settle();
    realm.world.vault.heal();
    await realm.quiet();
    for (const name of ['hangs-0', 'other']) {
      const told = realm.world.resources.events.filter((event) => event.name === name && event.reason === 'Revoked');
      expect(told).toHaveLength(1);
      expect(readyOf(realm, name)).toBe('False Revoked');
    }
  });

  it('is found by the list after a watch that broke, too', async () => {
    const realm = await hangingOnWrites(['hangs-0', 'hangs-1', 'other']);
    realm.world.resources.holdWatch();
    edit(realm, 'other', { suspend: true });
    await settle();
    expect(committed(realm, 'other').settings?.suspended).toBe(false);
    realm.world.resources.relist();
    await settle();
    expect(committed(realm, 'other').settings?.suspended).toBe(true);
  });

  it('is in the store when an owner is disabled, although the probes of many destinations hang', async () => {
    const realm = await opened();
    const hanging = new FakeDestination();
    hanging.hang();
    for (let at = 0; at < 8; at += 1) {
      realm.world.others.set(`slow-${at}`, hanging);
      realm.world.resources.create('KeyDestination', {
        metadata: { name: `slow-${at}`, uid: `slow-${at}`, finalizers: [finalizer] },
        spec: destinationSpec(),
      });
    }
    await settle();
    expect(hanging.pending).toBe(8);
    realm.world.resources.update('KeyOwner', { name: 'payments-team' }, (owner) => ({
      ...owner,
      spec: ownerSpec({ disabled: true }),
    }));
    await settle();
    expect([...realm.world.store.database.rows.owners.values()].map(({ row }) => row.disabled)).toEqual([true]);
    expect(hanging.pending).toBe(8);
  });
});

describe('an operator that stops while a destination hangs', () => {
  it('commits what takes rights away until its last pass, and gives the hanging calls two seconds', async () => {
    const realm = await hangingOnWrites(['hangs-0', 'hangs-1', 'other']);
    let drained: boolean | undefined;
    void realm.engine.drain(20_000).then((all) => (drained = all));
    for (const name of ['hangs-0', 'other']) edit(realm, name, { revoked: { reason: 'KeyCompromise' } });
    realm.world.resources.update('KeyOwner', { name: 'payments-team' }, (owner) => ({
      ...owner,
      spec: ownerSpec({ disabled: true }),
    }));
    await settle();
    for (const name of ['hangs-0', 'other']) expect(committed(realm, name).live).toEqual([]);
    expect([...realm.world.store.database.rows.owners.values()].map(({ row }) => row.disabled)).toEqual([true]);
    await realm.world.clock.advance(1_999);
    expect(drained).toBeUndefined();
    await realm.world.clock.advance(1);
    await settle();
    expect(drained).toBe(false);
    // The next leader's.
    edit(realm, 'hangs-1', { revoked: { reason: 'KeyCompromise' } });
    await settle();
    expect(committed(realm, 'hangs-1').live).not.toEqual([]);
  });

  it('waits no longer for probes of KeyDestinations', async () => {
    const realm = await opened();
    const hanging = new FakeDestination();
    hanging.hang();
    realm.world.others.set('slow', hanging);
    realm.world.resources.create('KeyDestination', {
      metadata: { name: 'slow', uid: 'slow', finalizers: [finalizer] },
      spec: destinationSpec(),
    });
    await settle();
    expect(hanging.pending).toBe(1);
    const drained = realm.engine.drain(20_000);
    await realm.world.clock.advance(2_000);
    expect(await drained).toBe(false);
  });
});

describe('a destination that hangs', () => {
  const many = Array.from({ length: 200 }, (_, at) => `key-${at}`);

  it('is called by a few at a time, and holds up no key of another destination', async () => {
    const realm = await opened();
    realm.world.vault.hang(['readMark', 'readValue', 'write']);
    for (const name of many) create(realm, name);
    create(realm, 'elsewhere', [{ name: 'local', secret: { name: 'elsewhere' } }]);
    await settle();
    expect(realm.world.vault.pending).toBe(concurrency);
    expect(readyOf(realm, 'elsewhere')).toBe('True Available');
  });

  it('shows in the metrics how many keys wait, and for what', async () => {
    const world = await World.open();
    const metrics = createMetrics();
    const realm = await Realm.over(world, { metrics: metrics.recorder });
    running.push(realm);
    realm.world.vault.hang(['readMark']);
    for (const name of many) create(realm, name);
    await settle();
    const { body } = await metrics.render();
    // All but those that call and those that wait at the destination.
    expect(body.split('\n')).toContain(`keywright_queue_depth{queue="set_aside"} ${many.length - concurrency - 32}`);
    expect(body.split('\n')).toContain('keywright_queue_depth{queue="full"} 0');
    expect(body.split('\n')).toContain('keywright_queue_depth{queue="safety"} 0');
  });

  it('has the keys that it kept waiting, those put aside too, delivered as soon as it answers', async () => {
    const realm = await opened();
    const { resources, vault } = realm.world;
    const read = resources.readLive.bind(resources);
    let passes = 0;
    resources.readLive = async (kind, ref) => {
      if (kind === 'ApiKey') passes += 1;
      return read(kind, ref);
    };
    vault.hang(['readMark']);
    for (const name of many) create(realm, name);
    await settle();
    vault.heal();
    await realm.quiet();
    expect(many.filter((name) => readyOf(realm, name) !== 'True Available')).toEqual([]);
    // Who is put aside begins once more, and not again and again: a read to begin with, and one after the finalizer. One more is
    // that of the safety pass.
    expect(passes).toBeLessThanOrEqual(5 * many.length);
  });

  it('is given up after its deadline, and its location closed until the call has ended', async () => {
    const realm = await hangingOnWrites(['hangs-0', 'hangs-1']);
    const { vault } = realm.world;
    await realm.world.clock.advance(hardDeadlineMs);
    await realm.quiet();
    expect(readyOf(realm, 'hangs-0')).toBe('True Available');
    const writes = vault.calls.write;
    // The server carries the late write out; the next pass finds it.
    vault.heal();
    await realm.advance(120_000);
    expect(vault.calls.write).toBe(writes + concurrency);
    const keyIds = committed(realm, 'hangs-0').live.filter(({ state }) => state === 'active');
    expect(vault.mark('secret/keywright/payments/hangs-0')?.keyId).toBe(keyIds[0]?.keyId);
  });

  it('on writes alone is found out by the calls, although its probe is answered, and told in its status', async () => {
    const names = many.slice(0, 20);
    const realm = await opened();
    for (const name of names) create(realm, name);
    await realm.quiet();
    const { vault } = realm.world;
    const delivered = vault.calls.write;
    vault.failNext({ count: 1_000_000, operations: ['write'], error: silence() });
    for (const name of names) rotate(realm, name);
    await realm.quiet();
    expect(realm.ready('KeyDestination', 'prod-vault')).toBe('False DestinationUnavailable');
    expect(realm.message('KeyDestination', 'prod-vault')).toMatch(
      /writes have had no answer since 2026-01-01T00:00:00Z, the next one is tried at 2026-01-01T00:0\d:\d\dZ: /,
    );
    const tried = vault.calls.write;
    expect(tried - delivered).toBeLessThanOrEqual(3 + concurrency);
    for (let minute = 0; minute < 60; minute += 1) await realm.advance(60_000);
    // One try at a time, at most once in two minutes when it has failed for long.
    expect(vault.calls.write - tried).toBeLessThanOrEqual(40);
    expect(vault.calls.write - tried).toBeGreaterThan(10);
    vault.heal();
    for (let seconds = 0; seconds < 180; seconds += 10) await realm.advance(10_000);
    expect(realm.ready('KeyDestination', 'prod-vault')).toBe('True Available');
    for (const name of names)
      expect(vault.mark(`secret/keywright/payments/${name}`)?.keyId).toBe(
        committed(realm, name).live.find(({ state }) => state === 'active')?.keyId,
      );
  });

  it('delays no withdrawal of another one', async () => {
    const realm = await opened();
    const hanging = new FakeDestination();
    realm.world.others.set('slow-uid', hanging);
    realm.world.resources.create('KeyDestination', {
      metadata: { name: 'slow', uid: 'slow-uid', finalizers: [finalizer] },
      spec: destinationSpec(),
    });
    // In this order the store lists what is to be emptied.
    create(realm, 'on-slow', [{ name: 'slow', destination: 'slow' }]);
    await realm.quiet();
    create(realm, 'on-vault');
    await realm.quiet();
    // Both are gone without an operator's doing, as after a namespace was torn down by force.
    for (const name of ['on-slow', 'on-vault']) {
      const uid = uidOf(realm, name);
      const ref = { namespace, name };
      realm.world.resources.update('ApiKey', ref, (key) => ({ ...key, metadata: { ...key.metadata, finalizers: [] } }));
      realm.world.resources.delete('ApiKey', ref);
      await realm.world.store.revokeAll(uid, { actor: 'test', detail: 'gone' }, realm.world.clock.now());
      await realm.world.store.releaseKey(uid, realm.world.clock.now());
    }
    hanging.hang(['readMark']);
    await realm.world.clock.advance(2_000);
    await settle();
    expect(hanging.pending).toBe(1);
    expect(realm.world.vault.paths()).toEqual([]);
  });
});

function silence(): Error {
  return new Failure({ kind: 'waiting', reason: 'DestinationUnavailable', message: 'it does not answer', unanswered: true });
}

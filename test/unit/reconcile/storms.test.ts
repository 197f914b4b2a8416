import { afterEach, describe, expect, it } from 'vitest';
import { waiting } from '../../../operator/src/domain/failure.ts';
import { Realm } from '../../builders/realm.ts';
import { awsSpec, keySpec, secretPath, vaultPath, World } from '../../builders/world.ts';
import type { FakeDestination } from '../../harness/fakes/destination.ts';

const running: Realm[] = [];
const secretRef = { namespace: 'payments', name: 'billing-api-key' };
const onlySecret = { deliverTo: [{ name: 'local', secret: { name: 'billing-api-key' } }] };
const onlyVault = { deliverTo: [{ name: 'vault', destination: 'prod-vault' }] };

afterEach(async () => {
  for (const realm of running.splice(0)) await realm.engine.drain(1000);
});

async function ready(spec: object = {}): Promise<Realm> {
  const realm = await Realm.open();
  running.push(realm);
  realm.world.createKey(spec);
  await realm.quiet();
  expect(realm.world.condition('Ready')).toBe('True Available');
  return realm;
}

/** All calls but those of probes. */
function callsOf({ calls }: FakeDestination): number {
  return calls.readMark + calls.readValue + calls.write + calls.promote + calls.withdraw;
}

function minted(world: World): number {
  return world.store.database.rows.versions.length;
}

/** The watch tells of the Secret, as it does of one that was delivered. */
function showSecret(world: World): void {
  const metadata = { labels: { 'app.kubernetes.io/managed-by': 'keywright' } };
  world.resources.putSecret(secretRef, { type: 'Opaque', data: {}, metadata });
}

/** The Secret goes, and its watch says so. */
function deleteSecret(world: World): void {
  world.secret.lose(secretPath);
  showSecret(world);
  world.resources.deleteSecret(secretRef);
}

describe('somebody who deletes the Secret in a loop', () => {
  it('costs no version while a sibling has the value, and few calls a minute', async () => {
    const realm = await ready();
    const { world } = realm;
    const value = world.vault.value(vaultPath);
    let most = 0;
    for (let minute = 0; minute < 10; minute += 1) {
      const before = callsOf(world.secret) + callsOf(world.vault);
      for (let round = 0; round < 20; round += 1) {
        deleteSecret(world);
        await realm.advance(3_000);
      }
      most = Math.max(most, callsOf(world.secret) + callsOf(world.vault) - before);
    }
    expect(most).toBeLessThanOrEqual(60);
    expect(minted(world)).toBe(1);
    await realm.advance(120_000);
    expect(world.secret.value(secretPath)).toBe(value);
  });

  it('costs few versions when no sibling has it, however long it goes on', async () => {
    const realm = await ready(onlySecret);
    const { world } = realm;
    for (let minute = 0; minute < 12 * 60; minute += 5) {
      deleteSecret(world);
      await realm.advance(5 * 60_000);
    }
    // One at once, then after 10, 20, 40 and 80 minutes; then it is stalled.
    expect(minted(world)).toBeLessThanOrEqual(6);
    expect(minted(world)).toBeGreaterThan(2);
  }, 60_000);
});

describe('a namespace that ends its Secrets first', () => {
  it('gets nothing minted and nothing written, although the watch of namespaces is late', async () => {
    const realm = await ready(onlySecret);
    const { world } = realm;
    const read = world.resources.readLive.bind(world.resources);
    const leaving = { name: 'payments', uid: 'ns', resourceVersion: '9', deletionTimestamp: '2026-01-01T00:00:00Z' };
    world.resources.readLive = (async (kind: 'Namespace', ref: { name: string }) =>
      kind === 'Namespace'
        ? { apiVersion: 'v1', kind, metadata: leaving, spec: {} }
        : read(kind, ref)) as typeof world.resources.readLive;
    const writes = world.secret.calls.write;
    deleteSecret(world);
    await realm.advance(60_000);
    expect(world.condition('Stalled')).toMatch(/^False/);
    expect(world.secret.calls.write).toBe(writes);
    expect(minted(world)).toBe(1);
  });
});

describe('a Vault that comes and goes', () => {
  it('costs each waiting key few versions and calls, by the hour', async () => {
    const realm = await Realm.open();
    running.push(realm);
    const { world } = realm;
    // It can be read, and swallows the calls that write.
    world.vault.failNext({ count: 1_000_000, operations: ['write'] });
    world.createKey(onlyVault);
    for (let minute = 0; minute < 12 * 60; minute += 10) await realm.advance(10 * 60_000);
    expect(minted(world)).toBeLessThanOrEqual(3 + 15);
    expect(callsOf(world.vault)).toBeLessThanOrEqual(12 * 60 * 2);
    world.vault.heal();
    await realm.advance(3_700_000);
    expect(world.condition('Ready')).toBe('True Available');
  }, 60_000);
});

describe('a destination that is down', () => {
  const many = 20;

  async function allWaiting(): Promise<Realm> {
    const realm = await Realm.open();
    running.push(realm);
    realm.world.vault.failNext({ count: 1_000_000 });
    for (let at = 0; at < many; at += 1)
      realm.world.resources.create('ApiKey', {
        metadata: { namespace: 'payments', name: `key-${at}` },
        spec: keySpec(onlyVault),
      });
    await realm.quiet();
    await realm.advance(15_000);
    expect(realm.ready('KeyDestination', 'prod-vault')).toBe('False DestinationUnavailable');
    return realm;
  }

  function readyKeys({ world }: Realm): number {
    const names = Array.from({ length: many }, (_, at) => ({ namespace: 'payments', name: `key-${at}` }));
    return names.filter((name) => {
      const conditions = world.resources.peek('ApiKey', name)?.status?.conditions ?? [];
      return conditions.some(({ type, status }) => type === 'Ready' && status === 'True');
    }).length;
  }

  it('is found so by the first call that fails, and then called by its probe alone', async () => {
    const realm = await allWaiting();
    const { vault } = realm.world;
    const [calls, probes] = [callsOf(vault), vault.calls.probe];
    await realm.advance(600_000);
    expect(callsOf(vault)).toBe(calls);
    expect(vault.calls.probe - probes).toBeLessThanOrEqual(600 / 15 + 1);
    expect(vault.calls.probe - probes).toBeGreaterThan(30);
  });

  it('wakes its keys when it heals, spread over half a minute, whatever they wait for', async () => {
    const realm = await allWaiting();
    realm.world.vault.heal();
    await realm.advance(15_000);
    const atOnce = readyKeys(realm);
    expect(atOnce).toBeLessThan(many / 2);
    await realm.advance(31_000);
    expect(readyKeys(realm)).toBe(many);
  });

  it('keeps a deletion no longer waiting than the deadline, and is emptied when it heals', async () => {
    const realm = await ready();
    const { world } = realm;
    world.vault.failNext({ count: 1_000_000 });
    world.resources.delete('ApiKey', world.name);
    await realm.advance(world.limits.withdrawDeadlineMs + 60_000);
    expect(world.key()).toBeUndefined();
    world.vault.heal();
    await realm.advance(120_000);
    expect(world.vault.paths()).toEqual([]);
  });
});

describe('a destination that asks for patience', () => {
  it('is not called before that, and the other destinations go on', async () => {
    const realm = await Realm.open();
    running.push(realm);
    const { world } = realm;
    const throttled = waiting('DestinationUnavailable', 'too many calls', 200_000);
    world.vault.failNext({ count: 1, operations: ['readMark'], error: throttled });
    world.createKey();
    await realm.quiet();
    expect(world.secret.value(secretPath)).toBeDefined();
    const calls = callsOf(world.vault);
    await realm.advance(190_000);
    expect(callsOf(world.vault)).toBe(calls);
    await realm.advance(15_000);
    expect(world.condition('Ready')).toBe('True Available');
    expect(world.vault.value(vaultPath)).toBe(world.secret.value(secretPath));
  });
});

describe('a start, a change of leaders, a resync', () => {
  it('call no destination when nothing is due', async () => {
    const realm = await ready();
    const { vault, secret } = realm.world;
    showSecret(realm.world);
    await realm.quiet();
    const before = [callsOf(vault), callsOf(secret), vault.calls.probe];
    await realm.restart();
    realm.world.resources.resync();
    await realm.advance(60_000);
    expect([callsOf(vault), callsOf(secret), vault.calls.probe]).toEqual(before);
  });

  it('finds that a Secret went while nobody listened', async () => {
    const realm = await ready();
    const { secret } = realm.world;
    secret.lose(secretPath);
    await realm.restart();
    realm.world.resources.resync();
    await realm.quiet();
    expect(await secret.readValue({ destinationUid: 'secret', path: secretPath })).toBeDefined();
    expect(minted(realm.world)).toBe(1);
  });
});

describe('a destination of AWS', () => {
  it('is compared every fourth time only', async () => {
    const world = await World.open({ without: ['destination'] });
    world.resources.create('KeyDestination', {
      metadata: { name: 'prod-vault', uid: 'vault-uid', finalizers: ['keywright.dev/finalizer'] },
      spec: awsSpec(),
    });
    const realm = await Realm.over(world);
    running.push(realm);
    world.createKey();
    await realm.quiet();
    expect(world.condition('Ready')).toBe('True Available');
    await realm.advance(1_000);
    const before = [callsOf(world.vault), callsOf(world.secret)];
    for (let hours = 0; hours < 24; hours += 6) await realm.advance(world.limits.driftIntervalMs);
    const [aws = 0, secret = 0] = [callsOf(world.vault) - (before[0] ?? 0), callsOf(world.secret) - (before[1] ?? 0)];
    expect(aws).toBeGreaterThan(0);
    expect(secret).toBe(4 * aws);
  });
});

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { Plaintext } from '../../../operator/src/domain/plaintext.ts';
import { Controller } from '../../../operator/src/reconcile/controller.ts';
import { FeedFollower } from '../../../operator/src/reconcile/feed.ts';
import { silentLog } from '../../../operator/src/telemetry/log.ts';
import { MemoryStore } from '../../harness/fakes/store.ts';
import { World, secretPath, vaultPath } from '../../builders/world.ts';

const hour = 3_600_000;
const leak = { actor: 'cli:ana', reason: 'KeyCompromise' };

let world: World;
let controller: Controller;
let feed: FeedFollower;

beforeEach(async () => {
  world = await World.open();
  world.createKey();
  controller = new Controller({ dependencies: world.deps, concurrency: 2, onFenceLost: () => {} });
  feed = new FeedFollower({
    ...{ store: world.store, clock: world.clock, log: silentLog, pollMs: 1_000 },
    onForeignChange: (uid) => {
      controller.wakeUid(uid);
    },
    onBreak: () => {
      controller.wakeAll();
    },
  });
  controller.listen();
  world.resources.resync();
  feed.start();
  controller.start();
  await settle();
  expect(world.condition('Ready')).toBe('True Available');
});
afterEach(async () => {
  feed.stop();
  await controller.drainFull(1_000, 1_000);
  await controller.drain(1_000);
});

/** Until the follower has polled and what it woke is done. */
async function settle(): Promise<void> {
  for (let count = 0; count < 5; count += 1) await world.clock.advance(1_000);
}

const keyId = (): string => world.status().currentKey?.id ?? '';
/** As the command line would: another process, which never led. */
const elsewhere = (): MemoryStore => new MemoryStore({ clock: world.clock, database: world.store.database });
const versions = () => world.store.database.rows.versions;

describe('a direct revocation, with the operator running', () => {
  it('by who holds the value of a key ends that version, and the next one is minted', async () => {
    const first = keyId();
    const value = world.secret.value(secretPath) ?? '';
    const proof = world.peppers.prove({ pepperId: 'p1' }, new Plaintext(value)) ?? Buffer.alloc(0);
    expect(await elsewhere().revokeProven(first, proof, 'KeyCompromise')).toBe('revoked');
    await settle();
    expect(versions()[0]).toMatchObject({ keyId: first, endedReason: 'revoked' });
    expect(keyId()).not.toBe(first);
    expect(world.condition('Ready')).toBe('True Available');
  });

  it('is followed: the status says Revoked, every location is emptied, and nothing is minted ever again [S4-10]', async () => {
    expect(await elsewhere().revokeDirect(keyId(), { ...leak, close: true })).toBe('revoked');
    await settle();
    expect(world.condition('Ready')).toBe('False Revoked');
    expect(world.condition('Stalled')).toBe('True Revoked');
    expect([world.vault.value(vaultPath), world.secret.value(secretPath)]).toEqual([undefined, undefined]);
    world.updateKey({ purpose: 'another one', accessType: 'Integrations' });
    await world.clock.advance(hour);
    expect(versions()).toMatchObject([{ state: 'ended', endedReason: 'revoked' }]);
    expect(world.condition('Ready')).toBe('False Revoked');
  });

  it('of one version is followed by another one in its place [S4-11]', async () => {
    const old = keyId();
    const value = world.vault.value(vaultPath);
    expect(await elsewhere().revokeDirect(old, { ...leak, close: false })).toBe('revoked');
    await settle();
    expect(world.condition('Ready')).toBe('True Available');
    expect(keyId()).not.toBe(old);
    expect(world.status().revokedKeyIds).toEqual([old]);
    expect(versions()).toMatchObject([
      { keyId: old, state: 'ended', endedReason: 'revoked' },
      { state: 'active', epoch: 2 },
    ]);
    expect(world.vault.value(vaultPath)).not.toBe(value);
    expect(world.secret.value(secretPath)).toBe(world.vault.value(vaultPath));
  });

  it('is found when the feed turns out to be another one', async () => {
    await elsewhere().revokeDirect(keyId(), { ...leak, close: true });
    world.store.database.rows.feed.splice(0);
    await settle();
    expect(world.condition('Ready')).toBe('False Revoked');
  });
});

import { describe, expect, it } from 'vitest';
import { Plaintext } from '../../../operator/src/domain/plaintext.ts';
import { transient } from '../../../operator/src/domain/failure.ts';
import { finalizer } from '../../../operator/src/api/meta.ts';
import { reconcile } from '../../../operator/src/reconcile/reconciler.ts';
import type { KeyState } from '../../../operator/src/store/port.ts';
import { isLive } from '../../../operator/src/domain/version.ts';
import { destinationSpec, keySpec, secretPath, vaultPath, World } from '../../builders/world.ts';

async function readyWorld(changes: Parameters<World['createKey']>[0] = {}): Promise<World> {
  const world = await World.open();
  world.createKey(changes);
  await world.pass();
  expect(world.condition('Ready')).toBe('True Available');
  return world;
}

async function stateOf(world: World): Promise<KeyState> {
  return world.store.readKey(world.key()?.metadata.uid ?? '');
}

function eventReasons(world: World): readonly string[] {
  return world.resources.events.map((event) => event.reason);
}

/** Somebody takes the finalizer away and deletes the resource: the operator never hears of a deletion. */
function removeByForce(world: World): void {
  world.resources.update('ApiKey', world.name, (key) => ({ ...key, metadata: { ...key.metadata, finalizers: [] } }));
  world.resources.delete('ApiKey', world.name);
  expect(world.key()).toBeUndefined();
}

describe('a resource that was removed by force and created again', () => {
  it('takes over what the earlier one had: its old version ends after the overlap, its locations are its own', async () => {
    const world = await readyWorld();
    const before = world.vault.value(vaultPath);
    removeByForce(world);
    world.createKey();
    await world.pass();
    expect(world.condition('Ready')).toBe('True Available');
    const { versions, deliveries } = await stateOf(world);
    expect(versions.map((version) => [version.epoch, version.state])).toEqual([
      [1, 'retiring'],
      [2, 'active'],
    ]);
    expect(deliveries).toHaveLength(2);
    expect(world.vault.value(vaultPath)).not.toBe(before);
    expect(world.vault.value(vaultPath)).toBe(world.secret.value(secretPath));
    expect(world.vault.mark(vaultPath)?.uid).toBe(world.key()?.metadata.uid);
  });

  it.each([[[]], [['vault' as const]]])(
    'restored with a new uid, its finalizer and no status, has a key at every place that authenticates at every moment; staged: %s',
    async (stages) => {
      const world = await World.open({ stages });
      world.createKey();
      await world.pass();
      removeByForce(world);
      const restored = world.createKey();
      world.resources.update('ApiKey', world.name, (key) => ({ ...key, metadata: { ...key.metadata, finalizers: [finalizer] } }));
      expect(restored.status).toBeUndefined();
      const authenticates = (value: string | undefined): boolean =>
        value !== undefined &&
        world.store.database.rows.versions.some(
          (version) => isLive(version, world.clock.now()) && world.peppers.matches(version, new Plaintext(value)) === true,
        );
      const broken: string[] = [];
      let effects = 0;
      const check = (): void => {
        effects += 1;
        if (!authenticates(world.vault.value(vaultPath))) broken.push('vault');
        if (!authenticates(world.secret.value(secretPath))) broken.push('secret');
      };
      world.store.afterEffect = check;
      world.vault.onStep = ({ phase }) => {
        if (phase === 'after') check();
      };
      world.secret.onStep = world.vault.onStep;
      await world.pass();
      expect(effects).toBeGreaterThan(3);
      expect(broken).toEqual([]);
      expect(world.condition('Ready')).toBe('True Available');
      expect(world.vault.mark(vaultPath)?.uid).toBe(world.key()?.metadata.uid);
      expect(world.vault.isStaged(vaultPath)).toBe(false);
    },
  );

  it('leaves nothing behind when it is deleted in its turn, also where the mark still shows the earlier uid', async () => {
    const world = await readyWorld();
    removeByForce(world);
    world.createKey();
    await world.pass();
    world.vault.changeMark(vaultPath, { uid: 'the-earlier-one' });
    world.resources.delete('ApiKey', world.name);
    await world.pass();
    expect(world.key()).toBeUndefined();
    expect(world.vault.paths()).toEqual([]);
    expect(world.secret.paths()).toEqual([]);
  });
});

describe('a KeyDestination that was removed by force', () => {
  /** As a backup tool or a person in a hurry does it: its finalizer is taken away first. */
  function removeDestination(world: World): void {
    world.resources.update('KeyDestination', { name: 'prod-vault' }, (found) => ({
      ...found,
      metadata: { ...found.metadata, finalizers: [] },
    }));
    world.resources.delete('KeyDestination', { name: 'prod-vault' });
  }

  async function placesOf(world: World): Promise<readonly string[]> {
    const { deliveries } = await stateOf(world);
    return deliveries.map(({ location, state }) => `${location.destinationUid} ${state}`).sort();
  }

  const leftBehind = (world: World) => world.resources.events.filter(({ message }) => message.includes('was not emptied'));

  it.each([['its keys were looked at meanwhile', true] as const, ['nobody looked', false] as const])(
    'and restored under a new uid, while %s: its values are known as ours, nothing is minted, and the old rows end',
    async (_, looked) => {
      const world = await readyWorld();
      const value = world.vault.value(vaultPath);
      removeDestination(world);
      if (looked) {
        await world.pass();
        expect(await placesOf(world)).toEqual(['secret live', 'vault-uid live']);
      }
      world.createDestination('restored-uid');
      const writes = world.vault.calls.write;
      await world.pass();
      expect(world.condition('Ready')).toBe('True Available');
      expect(world.vault.value(vaultPath)).toBe(value);
      expect(world.vault.calls.write).toBe(writes);
      expect((await stateOf(world)).versions.map(({ epoch, state }) => [epoch, state])).toEqual([[1, 'active']]);
      expect(await placesOf(world)).toEqual(['restored-uid live', 'secret live']);
      expect(leftBehind(world)).toEqual([]);
    },
  );

  it('and restored together with its ApiKey: one new epoch, every place under the new uids, and no old row', async () => {
    const world = await readyWorld();
    removeByForce(world);
    removeDestination(world);
    world.createDestination('restored-uid');
    world.createKey();
    await world.pass();
    expect(world.condition('Ready')).toBe('True Available');
    expect((await stateOf(world)).versions.map(({ epoch, state }) => [epoch, state])).toEqual([
      [1, 'retiring'],
      [2, 'active'],
    ]);
    expect(await placesOf(world)).toEqual(['restored-uid live', 'secret live']);
    expect(world.vault.mark(vaultPath)?.uid).toBe(world.key()?.metadata.uid);
    expect(leftBehind(world)).toEqual([]);
  });

  it('and restored empty: the value comes from a sibling, and without one a new version at once', async () => {
    for (const alone of [false, true]) {
      const world = await readyWorld(alone ? { deliverTo: [{ name: 'vault', destination: 'prod-vault' }] } : {});
      const value = world.vault.value(vaultPath);
      removeDestination(world);
      world.vault.lose(vaultPath);
      world.createDestination('restored-uid');
      await world.pass();
      expect(world.condition('Ready')).toBe('True Available');
      expect(world.vault.value(vaultPath) === value).toBe(!alone);
      expect((await stateOf(world)).highestEpoch).toBe(alone ? 2 : 1);
      expect((await placesOf(world)).includes('vault-uid withdrawing')).toBe(false);
    }
  });

  it('and restored: a key that is deleted before it was looked at again is emptied there all the same', async () => {
    const world = await readyWorld();
    removeDestination(world);
    world.createDestination('restored-uid');
    world.resources.delete('ApiKey', world.name);
    await world.pass();
    expect(world.key()).toBeUndefined();
    expect(world.vault.paths()).toEqual([]);
    expect(leftBehind(world)).toEqual([]);
    expect(await world.store.listWithdrawing(10)).toEqual([]);
  });

  it('and restored without being usable yet: what is there stays', async () => {
    const world = await readyWorld();
    const value = world.vault.value(vaultPath);
    removeDestination(world);
    world.resources.create('KeyDestination', { metadata: { name: 'prod-vault', uid: 'restored-uid' }, spec: destinationSpec() });
    await world.pass();
    await world.pass();
    expect(world.vault.value(vaultPath)).toBe(value);
    world.resources.update('KeyDestination', { name: 'prod-vault' }, (found) => ({
      ...found,
      metadata: { ...found.metadata, finalizers: [finalizer] },
    }));
    await world.pass();
    expect(world.condition('Ready')).toBe('True Available');
    expect(world.vault.value(vaultPath)).toBe(value);
    expect((await stateOf(world)).highestEpoch).toBe(1);
  });

  it('for good: the row ends when the user takes it out of the key, and an event names the place', async () => {
    const world = await readyWorld();
    removeDestination(world);
    world.updateKey({ deliverTo: [{ name: 'local', secret: { name: 'billing-api-key' } }] });
    // Only a server that says so proves that it is gone.
    world.resources.beforeCall = (call) => {
      if (call === 'list KeyDestination') throw transient('InternalError', 'the API server does not answer');
    };
    await world.pass();
    expect(await placesOf(world)).toEqual(['secret live', 'vault-uid withdrawing']);
    world.resources.beforeCall = undefined;
    await world.pass();
    expect(await placesOf(world)).toEqual(['secret live']);
    expect(leftBehind(world).map(({ message }) => message)).toEqual([expect.stringContaining(vaultPath)]);
    expect(world.condition('Ready')).toBe('True Available');
  });

  it('for good, and the ApiKey is deleted: nothing waits for it', async () => {
    const world = await readyWorld();
    removeDestination(world);
    world.resources.delete('ApiKey', world.name);
    await world.pass();
    expect(world.key()).toBeUndefined();
    expect(leftBehind(world)).toHaveLength(1);
    expect(await world.store.listWithdrawing(10)).toEqual([]);
  });
});

describe('a database that was restored from a backup', () => {
  it('never counts an epoch twice, and replaces what is delivered and unknown to it at once', async () => {
    const world = await readyWorld();
    const backup = structuredClone(world.store.database.rows);
    world.vault.lose(vaultPath);
    world.secret.lose(secretPath);
    await world.pass({ drift: true });
    expect(world.status().currentKey?.epoch).toBe(2);
    world.store.database.rows = backup;
    // No drift pass: what the status says is enough.
    await world.pass();
    const { versions } = await stateOf(world);
    const active = versions.find((version) => version.state === 'active');
    expect([active?.epoch, active?.cause]).toEqual([3, 'StoreBehind']);
    expect(eventReasons(world)).toContain('StoreBehind');
    expect(world.condition('Ready')).toBe('True Available');
    expect(world.vault.value(vaultPath)).toContain(active?.keyId);
  });

  it('does not bring a revoked key back to life', async () => {
    const world = await readyWorld();
    const backup = structuredClone(world.store.database.rows);
    const { uid } = world.key()?.metadata ?? { uid: '' };
    await world.store.revokeAll(uid, { actor: 'cli:on-call', detail: 'leaked' }, world.clock.now());
    await world.pass();
    const [revoked] = world.status().revokedKeyIds ?? [];
    expect(revoked).toBeDefined();
    world.store.database.rows = backup;
    await world.pass();
    expect((await world.store.findByKeyId(revoked ?? ''))?.version).toMatchObject({ state: 'ended', endedReason: 'revoked' });
  });
});

describe('an ApiKey that comes back from a backup, after its key was revoked and released', () => {
  it('is Stalled as Revoked, with the way out, and mints nothing', async () => {
    const world = await readyWorld();
    const { uid } = world.key()?.metadata ?? { uid: '' };
    await world.store.revokeAll(uid, { actor: 'operator', detail: 'its ApiKey is gone' }, world.clock.now());
    await world.store.releaseKey(uid, world.clock.now());
    await world.pass();
    expect([world.condition('Ready'), world.condition('Stalled')]).toEqual(['Unknown Revoked', 'True Revoked']);
    expect(world.status().conditions.find(({ type }) => type === 'Ready')?.message).toContain(
      'delete the ApiKey, and create it anew',
    );
    expect((await world.store.readKey(uid)).versions.filter(({ state }) => state !== 'ended')).toEqual([]);
  });
});

describe('an attempt that was lost', () => {
  it('ends after the overlap once another one has won, although nothing was active before', async () => {
    const world = await World.open();
    world.createKey({ rotation: { ...keySpec().rotation, retireOldKey: 'AfterOverlap' } });
    // The crash comes between the row and the first write.
    world.store.afterEffect = (operation) => {
      if (operation === 'mint') throw new Error('crash');
    };
    await expect(world.pass()).rejects.toThrow('crash');
    world.store.afterEffect = undefined;
    await world.pass();
    const { versions } = await stateOf(world);
    const lost = versions.find((version) => version.lost);
    expect(lost?.notAfter).toBe(world.clock.now() + 24 * 3_600_000);
    expect(versions.filter((version) => version.state === 'active')).toHaveLength(1);
  });

  it('is replaced three times at most, then after ten minutes, while something swallows what is written', async () => {
    const world = await World.open();
    world.createKey({ deliverTo: [{ name: 'vault', destination: 'prod-vault' }] });
    world.vault.onStep = (step) => {
      if (step.operation === 'write' && step.phase === 'after') world.vault.lose(step.path);
    };
    for (let round = 0; round < 5; round += 1) await world.pass();
    expect((await stateOf(world)).attemptsOfHighestEpoch).toBe(3);
    expect((await stateOf(world)).highestEpoch).toBe(1);
    await world.clock.advance(10 * 60_000);
    await world.pass();
    expect((await stateOf(world)).attemptsOfHighestEpoch).toBe(4);
    world.vault.heal();
    // Each further one takes twice as long.
    await world.clock.advance(10 * 60_000);
    await world.pass();
    expect((await stateOf(world)).attemptsOfHighestEpoch).toBe(4);
    await world.clock.advance(10 * 60_000);
    await world.pass();
    expect(world.condition('Ready')).toBe('True Available');
  });
});

describe('two ApiKeys that deliver to one location', () => {
  it('the second one mints nothing and says LocationTaken; the first one is left alone [S0-4]', async () => {
    const world = await readyWorld();
    const value = world.secret.value(secretPath);
    world.resources.create('ApiKey', {
      metadata: { namespace: 'payments', name: 'rival' },
      spec: keySpec({ deliverTo: [{ name: 'local', secret: { name: 'billing-api-key' } }] }),
    });
    const rival = world.resources.peek('ApiKey', { namespace: 'payments', name: 'rival' });
    if (rival !== undefined) await reconcile(world.deps, rival, 'none');
    const status = world.resources.peek('ApiKey', { namespace: 'payments', name: 'rival' })?.status;
    expect(status?.conditions.find((condition) => condition.type === 'Ready')).toMatchObject({
      reason: 'LocationTaken',
      message:
        'local: payments/billing-api-key holds a value with the mark of ApiKey billing; Keywright looks again within a minute',
    });
    expect(status?.conditions.find((condition) => condition.type === 'Stalled')?.status).toBe('True');
    expect((await world.store.readKey(rival?.metadata.uid ?? '')).versions).toEqual([]);
    expect(world.secret.value(secretPath)).toBe(value);
    await world.pass({ drift: true });
    expect(world.condition('Ready')).toBe('True Available');
  });
});

describe('an edited expiry', () => {
  it('by `at` ends the living version too, and for good', async () => {
    const world = await readyWorld();
    const next = world.clock.now() + 3_600_000;
    world.updateKey({ expiry: { at: new Date(next).toISOString() } });
    await world.pass();
    expect(world.condition('Ready')).toBe('True Available');
    await world.clock.advance(3_600_000);
    await world.pass();
    expect(world.condition('Ready')).toBe('False Expired');
    expect((await stateOf(world)).versions).toEqual([]);
    await world.clock.advance(24 * 3_600_000);
    await world.pass();
    expect((await stateOf(world)).highestEpoch).toBe(1);
  });

  it('by `after` counts from the next version', async () => {
    const world = await readyWorld();
    const [before] = (await stateOf(world)).versions;
    world.updateKey({ expiry: { after: '100h' } });
    await world.pass();
    expect((await stateOf(world)).versions[0]?.expiresAt).toBe(before?.expiresAt);
  });
});

describe('a leader that was paused', () => {
  it('changes no value with what it planned before another one took over', async () => {
    const world = await readyWorld();
    world.vault.lose(vaultPath);
    // The old leader has read the store and the locations; then it stands still before its write.
    const { deps } = world;
    let paused = true;
    const stale = {
      ...deps,
      destinations: {
        open: async (uid: string) => {
          const destination = await deps.destinations.open(uid);
          return new Proxy(destination, {
            get: (target, name): unknown => {
              const member: unknown = Reflect.get(target, name, target);
              if (typeof member !== 'function') return member;
              return async (...args: unknown[]): Promise<unknown> => {
                if (name === 'write' && paused) {
                  paused = false;
                  // Meanwhile the new leader repairs the loss, and the key rotates because both were lost.
                  world.secret.lose(secretPath);
                  await world.pass({ drift: true });
                  expect((await stateOf(world)).highestEpoch).toBe(2);
                }
                return Reflect.apply(member, target, args) as Promise<unknown>;
              };
            },
          });
        },
        close: () => deps.destinations.close(),
      },
    };
    const key = world.key();
    if (key !== undefined) await reconcile(stale, key, 'all');
    const { versions } = await stateOf(world);
    const active = versions.find((version) => version.state === 'active');
    expect(world.vault.value(vaultPath)).toContain(active?.keyId);
    expect(world.secret.value(secretPath)).toBe(world.vault.value(vaultPath));
    expect(active !== undefined && isLive(active, world.clock.now())).toBe(true);
  });
});

describe('a key that is moved away from a destination that is dead for good', () => {
  it('arrives at its new location within the delivery deadline, as a new version', async () => {
    const world = await readyWorld({ deliverTo: [{ name: 'vault', destination: 'prod-vault' }] });
    world.vault.failNext({ count: 1_000_000 });
    world.updateKey({ deliverTo: [{ name: 'local', secret: { name: 'billing-api-key' } }] });
    await world.pass();
    expect(world.condition('Delivered')).toMatch(/^False/);
    await world.clock.advance(world.limits.deliverDeadlineMs - 1000);
    await world.pass();
    expect((await stateOf(world)).highestEpoch).toBe(1);
    await world.clock.advance(1000);
    await world.pass();
    expect(world.condition('Ready')).toBe('True Available');
    const { versions } = await stateOf(world);
    expect(world.secret.value(secretPath)).toContain(versions.find((version) => version.state === 'active')?.keyId);
    world.vault.heal();
    await world.pass();
    expect(world.vault.paths()).toEqual([]);
  });
});

describe('a copy', () => {
  it('is not made from a value that somebody changed after it was looked at', async () => {
    const world = await readyWorld();
    world.vault.lose(vaultPath);
    let reads = 0;
    world.secret.onStep = (step) => {
      if (step.operation !== 'readValue' || step.phase !== 'before') return;
      reads += 1;
      if (reads === 2) world.secret.changeValue(secretPath, 'somebody typed here');
    };
    await world.pass({ drift: true });
    expect(reads).toBeGreaterThan(1);
    const { versions } = await stateOf(world);
    const active = versions.find((version) => version.state === 'active');
    expect(world.vault.value(vaultPath)).toContain(active?.keyId);
    expect(world.secret.value(secretPath)).toBe(world.vault.value(vaultPath));
    expect(world.condition('Ready')).toBe('True Available');
  });
});

describe('the finalizer', () => {
  it('is there before anything lives, and comes back when somebody takes it away', async () => {
    const world = await readyWorld();
    world.resources.update('ApiKey', world.name, (key) => ({ ...key, metadata: { ...key.metadata, finalizers: ['other/one'] } }));
    await world.pass();
    expect(world.key()?.metadata.finalizers).toEqual(['other/one', finalizer]);
  });

  it('of others is left to others, and the key is dead all the same', async () => {
    const world = await readyWorld();
    world.resources.update('ApiKey', world.name, (key) => ({
      ...key,
      metadata: { ...key.metadata, finalizers: [...(key.metadata.finalizers ?? []), 'other/one'] },
    }));
    const { uid } = world.key()?.metadata ?? { uid: '' };
    world.resources.delete('ApiKey', world.name);
    await world.pass();
    await world.pass();
    expect(world.key()?.metadata.finalizers).toEqual(['other/one']);
    expect((await world.store.readKey(uid)).versions).toEqual([]);
    expect(world.vault.paths()).toEqual([]);
  });
});

describe('a KeyDestination that is going', () => {
  async function leave(world: World): Promise<void> {
    world.resources.update('KeyDestination', { name: 'prod-vault' }, (found) => ({
      ...found,
      metadata: { ...found.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' },
    }));
    await world.pass();
  }

  it('keeps what is there, says so, and is emptied when the user takes it out of the key', async () => {
    const world = await readyWorld();
    await leave(world);
    expect(world.vault.value(vaultPath)).toBeDefined();
    expect(world.condition('Delivered')).toBe('False DestinationNotFound');
    expect(world.status().conditions.find(({ type }) => type === 'Ready')?.message).toContain('spec.deliverTo');
    world.updateKey({ deliverTo: [{ name: 'local', secret: { name: 'billing-api-key' } }] });
    await world.pass();
    expect(world.vault.paths()).toEqual([]);
    expect(world.condition('Ready')).toBe('True Available');
  });

  it('gets no value from a pass that had begun before, after its row is there to be counted', async () => {
    const world = await World.open();
    world.createKey();
    // The deletion comes to the cache between the intent and the write.
    world.store.afterEffect = (operation) => {
      if (operation !== 'mint') return;
      world.resources.delete('KeyDestination', { name: 'prod-vault' });
    };
    await world.pass();
    expect(world.resources.peek('KeyDestination', { name: 'prod-vault' })?.metadata.deletionTimestamp).toBeDefined();
    expect(world.vault.paths()).toEqual([]);
    expect((await world.store.countKeys()).byDestination.get('vault-uid')).toBe(1);
  });

  it('is not used before it has its finalizer', async () => {
    const world = await World.open({ without: ['destination'] });
    world.resources.create('KeyDestination', { metadata: { name: 'prod-vault', uid: 'vault-uid' }, spec: destinationSpec() });
    world.createKey();
    await world.pass();
    expect(world.vault.paths()).toEqual([]);
    expect(world.condition('Ready')).toBe('False DestinationNotFound');
  });
});

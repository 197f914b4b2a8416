import { describe, expect, it } from 'vitest';
import { transient } from '../../../operator/src/domain/failure.ts';
import { digestOf, goneAfterMs, Orphans } from '../../../operator/src/reconcile/orphans.ts';
import { formatInstant } from '../../../operator/src/domain/time.ts';
import { reconcile } from '../../../operator/src/reconcile/reconciler.ts';
import { sweepWithdrawals } from '../../../operator/src/reconcile/sweep.ts';
import { keySpec, World } from '../../builders/world.ts';

/** A world with so many Ready keys, each in a Secret of its own. */
async function worldOf(count: number): Promise<World> {
  const world = await World.open();
  for (let at = 0; at < count; at += 1) {
    const name = `key-${at}`;
    const key = world.resources.create('ApiKey', {
      metadata: { namespace: 'payments', name },
      spec: keySpec({ deliverTo: [{ name: 'local', secret: { name } }] }),
    });
    await reconcile(world.deps, key, 'none');
  }
  return world;
}

/** Somebody takes the finalizer away: no deletion is ever seen. */
function removeByForce(world: World, name: string): void {
  const ref = { namespace: 'payments', name };
  world.resources.update('ApiKey', ref, (key) => ({ ...key, metadata: { ...key.metadata, finalizers: [] } }));
  world.resources.delete('ApiKey', ref);
}

async function liveNames(world: World): Promise<readonly string[]> {
  return (await world.store.listKeys()).map(({ ref }) => ref.name);
}

describe('a key whose resource is gone without a deletion', () => {
  it('is revoked and withdrawn after two live reads eight minutes apart, and not before', async () => {
    const world = await worldOf(2);
    const orphans = new Orphans();
    removeByForce(world, 'key-0');
    expect(await orphans.sweep(world.deps)).toBe(0);
    await world.clock.advance(goneAfterMs - 1);
    expect(await orphans.sweep(world.deps)).toBe(0);
    await world.clock.advance(1);
    expect(await orphans.sweep(world.deps)).toBe(1);
    expect(await liveNames(world)).toEqual(['key-1']);
    await sweepWithdrawals(world.deps);
    expect(world.secret.paths()).toEqual(['payments/key-1']);
  });

  it('is left alone when only our list lacks it', async () => {
    const world = await worldOf(1);
    const orphans = new Orphans();
    const deps = { ...world.deps, resources: listless(world) };
    await orphans.sweep(deps);
    await world.clock.advance(goneAfterMs);
    expect(await orphans.sweep(deps)).toBe(0);
    expect(await liveNames(world)).toEqual(['key-0']);
  });

  it('is left alone while the API server cannot say, which begins no new count', async () => {
    const world = await worldOf(1);
    const orphans = new Orphans();
    removeByForce(world, 'key-0');
    await orphans.sweep(world.deps);
    world.resources.beforeCall = () => {
      throw transient('ConflictRetry', 'the API server does not answer');
    };
    await world.clock.advance(goneAfterMs);
    expect(await orphans.sweep(world.deps)).toBe(0);
    world.resources.beforeCall = undefined;
    expect(await orphans.sweep(world.deps)).toBe(1);
  });

  it('is revoked as soon when the operator restarts, or another one leads, before each look', async () => {
    const world = await worldOf(2);
    removeByForce(world, 'key-0');
    let ended = 0;
    for (let minute = 0; minute <= 8; minute += 1) {
      if (minute > 0) await world.clock.advance(60_000);
      ended += await new Orphans().sweep(world.deps);
    }
    expect(ended).toBe(1);
    expect(await liveNames(world)).toEqual(['key-1']);
  });

  it('is revoked in time although an ApiKey without a pass has its name', async () => {
    const world = await worldOf(1);
    const orphans = new Orphans();
    removeByForce(world, 'key-0');
    await orphans.sweep(world.deps);
    const spec = keySpec({ deliverTo: [{ name: 'local', secret: { name: 'key-0' } }] });
    world.resources.create('ApiKey', { metadata: { namespace: 'payments', name: 'key-0' }, spec });
    await world.clock.advance(goneAfterMs);
    expect(await orphans.sweep(world.deps)).toBe(1);
    expect(await liveNames(world)).toEqual([]);
  });

  it('is not revoked while the clock is wrong, unless somebody confirmed it; the count goes on', async () => {
    const world = await worldOf(3);
    const orphans = new Orphans();
    const said: unknown[] = [];
    const deps = { ...world.deps, log: { ...world.deps.log, warn: (_: string, fields: unknown) => void said.push(fields) } };
    removeByForce(world, 'key-0');
    removeByForce(world, 'key-1');
    await orphans.sweep(deps);
    const confirmed = (await world.store.listMissing()).filter(({ ref }) => ref.name === 'key-1');
    await world.store.confirmMissing(
      confirmed.map(({ ref }) => ref.uid),
      'cli:ana',
    );
    world.clockIsRight = false;
    await world.clock.advance(365 * 24 * 3_600_000);
    expect(await orphans.sweep({ ...deps, clockIsRight: () => false })).toBe(1);
    expect(await liveNames(world)).toEqual(['key-0', 'key-2']);
    expect(said).toContainEqual(expect.objectContaining({ reason: 'ClockWrong' }));
    expect(await orphans.sweep({ ...deps, clockIsRight: () => true })).toBe(1);
  });

  it('begins anew when its resource was seen meanwhile', async () => {
    const world = await worldOf(1);
    const orphans = new Orphans();
    const list = listless(world);
    await orphans.sweep({ ...world.deps, resources: missing(list) });
    await world.clock.advance(goneAfterMs - 1);
    await orphans.sweep(world.deps);
    await world.clock.advance(1);
    expect(await orphans.sweep({ ...world.deps, resources: missing(list) })).toBe(0);
  });

  it('is left to the resource that took its name', async () => {
    const world = await worldOf(1);
    const orphans = new Orphans();
    removeByForce(world, 'key-0');
    await orphans.sweep(world.deps);
    const spec = keySpec({ deliverTo: [{ name: 'local', secret: { name: 'key-0' } }] });
    const again = world.resources.create('ApiKey', { metadata: { namespace: 'payments', name: 'key-0' }, spec });
    await reconcile(world.deps, again, 'none');
    await world.clock.advance(goneAfterMs);
    expect(await orphans.sweep(world.deps)).toBe(0);
    expect((await world.store.readKey(again.metadata.uid)).versions.map((version) => version.state)).toEqual([
      'retiring',
      'active',
    ]);
  });
});

describe('many keys whose resources are gone at once', () => {
  /** 11 of 12, in two namespaces. */
  async function held() {
    const world = await worldOf(12);
    for (let at = 0; at < 11; at += 1) removeByForce(world, `key-${at}`);
    const said: string[] = [];
    const counts: unknown[] = [];
    const deps = {
      ...world.deps,
      log: { ...world.deps.log, error: (event: string) => void said.push(event) },
      metrics: { ...world.deps.metrics, missing: (sample: unknown) => void counts.push(sample) },
    };
    const orphans = new Orphans();
    const since = world.clock.now();
    await orphans.sweep(deps);
    await world.clock.advance(goneAfterMs);
    const told = () => world.resources.events.filter(({ reason }) => reason === 'OrphansHeld');
    return { world, orphans, deps, said, told, counts, since };
  }

  it('are not revoked, then it may be the list that is wrong: a metric, the log and an event in the namespace say so, once', async () => {
    const { world, orphans, deps, said, told, counts, since } = await held();
    expect(await orphans.sweep(deps)).toBe(0);
    expect(await liveNames(world)).toHaveLength(12);
    expect(said).toEqual(['too many keys lost their ApiKey: nothing is revoked']);
    expect(told()).toMatchObject([
      {
        ...{ kind: 'ApiKey', type: 'Warning', count: 1 },
        message: `gone without a deletion since ${formatInstant(since)}: key-0, key-1, key-10 and 8 more. 11 of 12 keys lost their ApiKey, so nothing is revoked. The keys keep working until the ApiKeys are applied again and accepted, or somebody confirms with "keywright orphans".`,
      },
    ]);
    expect(counts).toEqual([
      { waiting: 0, held: 11, heldSince: since },
      { waiting: 0, held: 11, heldSince: since },
    ]);
    await world.clock.advance(55 * 60_000);
    await orphans.sweep(deps);
    expect(told()).toMatchObject([{ count: 2 }]);
  });

  it('are revoked and withdrawn once they are confirmed, those alone that were seen', async () => {
    const { world, orphans, deps, counts } = await held();
    const seen = await world.store.listMissing();
    removeByForce(world, 'key-11');
    await world.store.confirmMissing(
      seen.map(({ ref }) => ref.uid),
      'cli:ana',
    );
    expect(await orphans.sweep(deps)).toBe(11);
    expect(await liveNames(world)).toEqual(['key-11']);
    await sweepWithdrawals(world.deps);
    expect(world.secret.paths()).toEqual(['payments/key-11']);
    expect(counts.at(-1)).toEqual({ waiting: 12, held: 0, heldSince: undefined });
    const ends = await world.store.readAudit({}, 1_000);
    expect(ends.filter(({ action }) => action === 'revoke').map(({ detail }) => detail)).toContainEqual(
      expect.objectContaining({ cause: 'its ApiKey is gone, confirmed by cli:ana' }),
    );
  });

  it('stay when their resource is there again at the look after the confirmation', async () => {
    const { world, orphans, deps } = await held();
    const seen = await world.store.listMissing();
    await world.store.confirmMissing(
      seen.map(({ ref }) => ref.uid),
      'cli:ana',
    );
    const spec = keySpec({ deliverTo: [{ name: 'local', secret: { name: 'key-0' } }] });
    const again = world.resources.create('ApiKey', { metadata: { namespace: 'payments', name: 'key-0' }, spec });
    await reconcile(world.deps, again, 'none');
    expect(await orphans.sweep(deps)).toBe(10);
    expect(await liveNames(world)).toEqual(['key-0', 'key-11']);
  });

  it('have a digest that means exactly them', async () => {
    const { world } = await held();
    const seen = await world.store.listMissing();
    expect(digestOf(seen)).toMatch(/^[0-9a-f]{8}$/);
    expect(digestOf([...seen].reverse())).toBe(digestOf(seen));
    expect(digestOf(seen.slice(1))).not.toBe(digestOf(seen));
  });
});

/** Resources where nothing of a name is found. */
function missing(resources: World['resources']): World['resources'] {
  return new Proxy(resources, {
    get: (target, name): unknown => {
      if (name === 'readLive') return async () => undefined;
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === 'function' ? (member.bind(target) as unknown) : member;
    },
  });
}

/** Resources whose list is empty although everything is there. */
function listless(world: World): World['resources'] {
  return new Proxy(world.resources, {
    get: (target, name): unknown => {
      if (name === 'list') return () => [];
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === 'function' ? (member.bind(target) as unknown) : member;
    },
  });
}

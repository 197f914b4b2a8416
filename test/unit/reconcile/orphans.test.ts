import { describe, expect, it } from 'vitest';
import { transient } from '../../../operator/src/domain/failure.ts';
import { goneAfterMs, Orphans } from '../../../operator/src/reconcile/orphans.ts';
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
  return (await world.store.listKeys()).map((ref) => ref.name);
}

describe('a key whose resource is gone without a deletion', () => {
  it('is revoked and withdrawn after two live reads ten minutes apart, and not before', async () => {
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

  it('is left alone while the API server cannot say', async () => {
    const world = await worldOf(1);
    const orphans = new Orphans();
    removeByForce(world, 'key-0');
    await orphans.sweep(world.deps);
    await world.clock.advance(goneAfterMs);
    world.resources.beforeCall = () => {
      throw transient('ConflictRetry', 'the API server does not answer');
    };
    expect(await orphans.sweep(world.deps)).toBe(0);
    // And the two reads must both have found nothing, with none between them that did not answer.
    world.resources.beforeCall = undefined;
    expect(await orphans.sweep(world.deps)).toBe(0);
  });

  it('is left to the resource that took its name', async () => {
    const world = await worldOf(1);
    const orphans = new Orphans();
    removeByForce(world, 'key-0');
    await orphans.sweep(world.deps);
    const spec = keySpec({ deliverTo: [{ name: 'local', secret: { name: 'key-0' } }] });
    const again = world.resources.create('ApiKey', { metadata: { namespace: 'payments', name: 'key-0' }, spec });
    await world.clock.advance(goneAfterMs);
    expect(await orphans.sweep(world.deps)).toBe(0);
    await reconcile(world.deps, again, 'none');
    expect((await world.store.readKey(again.metadata.uid)).versions.map((version) => version.state)).toEqual([
      'retiring',
      'active',
    ]);
  });

  it('is not revoked when many are missing together: then it is the list that is wrong', async () => {
    const world = await worldOf(12);
    const orphans = new Orphans();
    for (let at = 0; at < 11; at += 1) removeByForce(world, `key-${at}`);
    const said: string[] = [];
    const deps = { ...world.deps, log: { ...world.deps.log, error: (event: string) => void said.push(event) } };
    await orphans.sweep(deps);
    await world.clock.advance(goneAfterMs);
    expect(await orphans.sweep(deps)).toBe(0);
    expect(await liveNames(world)).toHaveLength(12);
    expect(said).not.toEqual([]);
  });
});

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

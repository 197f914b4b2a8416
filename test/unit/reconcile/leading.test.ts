import { describe, expect, it } from 'vitest';
import { transient, waiting } from '../../../operator/src/domain/failure.ts';
import { reconcile } from '../../../operator/src/reconcile/reconciler.ts';
import type { Dependencies } from '../../../operator/src/reconcile/dependencies.ts';
import { World } from '../../builders/world.ts';

/** A key that is Ready, in a process whose lease may have run out. */
async function pausedLeader(): Promise<{ readonly world: World; readonly deps: Dependencies }> {
  const world = await World.open();
  world.createKey();
  await world.pass();
  const assertLeading = (): never => {
    throw transient('ConflictRetry', 'the lease may have run out');
  };
  return { world, deps: { ...world.deps, assertLeading } };
}

async function pass(world: World, deps: Dependencies): Promise<void> {
  const key = world.key();
  if (key === undefined) throw new Error('the key is gone');
  await reconcile(deps, key, 'none').catch(() => undefined);
}

describe('a process that may not lead any more', () => {
  it('writes no status of what it sees', async () => {
    const { world, deps } = await pausedLeader();
    world.updateKey({ suspend: true });
    const before = world.status();
    await pass(world, deps);
    expect(world.status()).toEqual(before);
    await world.pass();
    expect(world.condition('Ready')).toBe('False Suspended');
  });

  it('writes no status of its own failures', async () => {
    const { world, deps } = await pausedLeader();
    const readKey = (): Promise<never> => Promise.reject(waiting('StoreUnavailable', 'the database does not answer'));
    const store = Object.create(deps.store, { readKey: { value: readKey } }) as Dependencies['store'];
    const before = world.status();
    await pass(world, { ...deps, store });
    expect(world.status()).toEqual(before);
    await pass(world, { ...world.deps, store });
    expect(world.condition('Ready')).toBe('Unknown StoreUnavailable');
  });
});

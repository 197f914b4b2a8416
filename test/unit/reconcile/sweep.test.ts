import { describe, expect, it } from 'vitest';
import { sweepWithdrawals } from '../../../operator/src/reconcile/sweep.ts';
import { secretPath, vaultPath, World } from '../../builders/world.ts';

/** A key that was deleted while its vault did not answer: the resource is gone, the dead value is not. */
async function leftBehind(): Promise<World> {
  const world = await World.open();
  world.createKey();
  await world.pass();
  world.vault.failNext({ count: 1000 });
  world.resources.delete('ApiKey', world.name);
  await world.pass();
  await world.clock.advance(world.limits.withdrawDeadlineMs);
  await world.pass();
  expect(world.key()).toBeUndefined();
  expect(world.vault.value(vaultPath)).toBeDefined();
  return world;
}

describe('the sweeper', () => {
  it('empties a location that answers again after its ApiKey is gone', async () => {
    const world = await leftBehind();
    expect(await sweepWithdrawals(world.deps)).toBe(1);
    expect(world.vault.value(vaultPath)).toBeDefined();
    world.vault.heal();
    expect(await sweepWithdrawals(world.deps)).toBe(0);
    expect(world.vault.paths()).toEqual([]);
    expect(await world.store.listWithdrawing(10)).toEqual([]);
  });

  it('says of each destination how many locations are left, until none is', async () => {
    const world = await leftBehind();
    const told: (readonly (readonly [string, number])[])[] = [];
    const metrics = { ...world.deps.metrics, withdrawing: (counts: ReadonlyMap<string, number>) => told.push([...counts]) };
    await sweepWithdrawals({ ...world.deps, metrics });
    world.vault.heal();
    await sweepWithdrawals({ ...world.deps, metrics });
    expect(told).toEqual([[['prod-vault', 1]], []]);
  });

  it('leaves a value alone that somebody else put there meanwhile', async () => {
    const world = await leftBehind();
    world.vault.heal();
    world.vault.lose(vaultPath);
    world.vault.putForeign(vaultPath, { password: 'theirs' });
    expect(await sweepWithdrawals(world.deps)).toBe(0);
    expect(world.vault.entries(vaultPath)).toEqual({ password: 'theirs' });
    expect(await world.store.listWithdrawing(10)).toEqual([]);
  });

  it('ends a row whose KeyDestination was removed by force, and says what may be left where', async () => {
    const world = await leftBehind();
    world.resources.update('KeyDestination', { name: 'prod-vault' }, ({ metadata, ...rest }) => ({
      ...rest,
      metadata: { ...metadata, finalizers: [] },
    }));
    world.resources.delete('KeyDestination', { name: 'prod-vault' });
    expect(await sweepWithdrawals(world.deps)).toBe(0);
    expect(await world.store.listWithdrawing(10)).toEqual([]);
    expect(world.resources.events.at(-1)).toMatchObject({
      type: 'Warning',
      reason: 'DestinationNotFound',
      message: expect.stringContaining(vaultPath) as unknown,
    });
  });

  it('leaves another installation alone', async () => {
    const world = await leftBehind();
    world.vault.heal();
    world.vault.changeMark(vaultPath, { installationId: 'another' });
    expect(await sweepWithdrawals(world.deps)).toBe(0);
    expect(world.vault.value(vaultPath)).toBeDefined();
  });

  it('removes a dead value under the mark of a still earlier resource of the name', async () => {
    const world = await leftBehind();
    world.vault.heal();
    world.vault.changeMark(vaultPath, { uid: 'an-earlier-resource' });
    await sweepWithdrawals(world.deps);
    expect(world.vault.paths()).toEqual([]);
  });

  it('never touches a value of the resource that took the name, however late it comes', async () => {
    const world = await leftBehind();
    world.vault.heal();
    // The new resource takes the place between the sweeper's list and its look.
    const deps = world.deps;
    const late = {
      ...deps,
      destinations: {
        open: async (uid: string) => {
          world.createKey();
          await world.pass();
          return deps.destinations.open(uid);
        },
        close: () => deps.destinations.close(),
      },
    };
    await sweepWithdrawals(late);
    expect(world.condition('Ready')).toBe('True Available');
    expect(world.vault.value(vaultPath)).toBe(world.secret.value(secretPath));
    await world.pass({ drift: true });
    expect(world.condition('Ready')).toBe('True Available');
  });

  it('goes on with the other rows when one location does not answer', async () => {
    const world = await leftBehind();
    world.createKey({ deliverTo: [{ name: 'local', secret: { name: 'billing-api-key' } }] });
    await world.pass();
    world.secret.failNext({ count: 1000 });
    world.resources.delete('ApiKey', world.name);
    await world.pass();
    await world.clock.advance(world.limits.withdrawDeadlineMs);
    await world.pass();
    expect(await world.store.listWithdrawing(10)).toHaveLength(2);
    world.secret.heal();
    expect(await sweepWithdrawals(world.deps)).toBe(1);
    expect(world.secret.paths()).toEqual([]);
  });

  it('stops when leadership is gone', async () => {
    const world = await leftBehind();
    world.vault.heal();
    const lost = new Error('not leading');
    const deps = {
      ...world.deps,
      assertLeading: () => {
        throw lost;
      },
    };
    await expect(sweepWithdrawals(deps)).rejects.toBe(lost);
    expect(world.vault.value(vaultPath)).toBeDefined();
  });
});

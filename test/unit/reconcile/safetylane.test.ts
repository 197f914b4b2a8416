import { expect, it } from 'vitest';
import { Precedence } from '../../../operator/src/reconcile/precedence.ts';
import { SafetyLane } from '../../../operator/src/reconcile/safetylane.ts';
import { World } from '../../builders/world.ts';

it('the safety lane remembers nothing of an ApiKey that goes during its pass', async () => {
  const world = await World.open();
  world.createKey();
  await world.pass();
  const key = 'payments/billing';
  const lane = new SafetyLane({
    ...{ dependencies: world.deps, store: world.store, precedence: new Precedence() },
    onPassed: () => {},
    onError: () => {},
  });
  const ask = async (reason: string, during: () => void): Promise<void> => {
    world.updateKey({ revoked: { reason } });
    world.store.afterEffect = during;
    const metadata = world.key()?.metadata;
    if (metadata !== undefined) lane.hear(key, metadata, false);
    while (!lane.idle()) await new Promise((resolve) => setImmediate(resolve));
  };
  lane.start();
  await ask('KeyCompromise', () => {
    lane.forget(key);
  });
  expect(world.store.database.rows.versions.map(({ state }) => state)).toEqual(['ended']);
  expect(lane.toldOf(key)).toEqual([]);
  await lane.drain(0);
});

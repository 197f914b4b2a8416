import { describe, expect, it } from 'vitest';
import type { ApiKeyStatus } from '../../../operator/src/api/kinds.ts';
import { annotations } from '../../../operator/src/api/meta.ts';
import { keySpec, secretPath, World } from '../../builders/world.ts';

// An attacker with the operator's token can write any status. docs/threat-model.md says what each member can do then.

async function readyWorld(changes: Parameters<World['createKey']>[0] = {}): Promise<World> {
  const world = await World.open();
  world.createKey(changes);
  await world.pass();
  expect(world.condition('Ready')).toBe('True Available');
  return world;
}

function forge(world: World, change: (status: ApiKeyStatus) => Partial<ApiKeyStatus>): void {
  world.resources.update('ApiKey', world.name, (key) => ({ ...key, status: { ...world.status(), ...change(world.status()) } }));
}

function annotate(world: World, name: string, value: string | undefined): void {
  world.resources.update('ApiKey', world.name, ({ metadata, ...key }) => {
    const { [name]: _, ...others } = metadata.annotations ?? {};
    return { ...key, metadata: { ...metadata, annotations: { ...others, ...(value === undefined ? {} : { [name]: value }) } } };
  });
}

async function stateOf(world: World, keyId: string): Promise<string | undefined> {
  return (await world.store.findByKeyId(keyId))?.version.state;
}

describe('a forged status', () => {
  it.each(['all', 'the key id'])('keeps no report of a compromise from ending what it names: %s', async (named) => {
    const world = await readyWorld();
    const first = world.status().currentKey?.id ?? '';
    const value = named === 'all' ? named : first;
    forge(world, () => ({ lastHandledCompromise: value }));
    annotate(world, annotations.compromised, value);
    await world.pass();
    expect(await stateOf(world, first)).toBe('ended');
    expect(world.status().currentKey?.epoch).toBe(2);
  });

  it('keeps no rotation from being done', async () => {
    const world = await readyWorld();
    forge(world, () => ({ lastHandledRotation: 'monday' }));
    annotate(world, annotations.rotate, 'monday');
    await world.pass();
    expect(world.status().currentKey?.epoch).toBe(2);
  });

  it('has what it says was handled corrected by one pass', async () => {
    const world = await readyWorld();
    const told = world.status();
    forge(world, () => ({ lastHandledCompromise: 'all', lastHandledRotation: 'monday' }));
    await world.pass();
    expect(world.status()).toEqual(told);
  });

  it('brings no key back that expired for good', async () => {
    const rotation = { ...keySpec().rotation, overlap: '1h', onExpiry: 'Expire' };
    const world = await readyWorld({ expiry: { after: '48h' }, rotation });
    await world.clock.advance(48 * 3_600_000);
    await world.pass();
    expect(world.condition('Expired')).toBe('True Expired');
    for (const change of [{ status: 'False', reason: 'Minting' }, { observedGeneration: 0 }] as const) {
      forge(world, ({ conditions }) => ({
        conditions: conditions.map((one) => (one.type === 'Expired' ? { ...one, ...change } : one)),
      }));
      await world.pass();
      expect(world.condition('Expired')).toBe('True Expired');
    }
    world.updateKey({ purpose: 'it is needed again' });
    await world.pass();
    expect(world.condition('Ready')).toBe('True Available');
  });

  it('has times in the future corrected by one pass', async () => {
    const world = await readyWorld();
    await world.store.recordUse([{ keyId: world.status().currentKey?.id ?? '', ageMs: 0 }]);
    await world.pass();
    const told = world.status();
    const future = '2099-01-01T00:00:00Z';
    forge(world, ({ conditions, currentKey }) => ({
      conditions: conditions.map((one) => ({ ...one, lastTransitionTime: future })),
      ...(currentKey === undefined ? {} : { currentKey: { ...currentKey, lastUsedAt: future } }),
    }));
    await world.pass();
    expect(world.status()).toEqual(told);
  });

  it('delays the repair of an entry beside the value by an hour at most, and never that of a value', async () => {
    const world = await readyWorld();
    const entries = world.secret.entries(secretPath);
    const pretend = () =>
      forge(world, ({ conditions }) => ({
        conditions: conditions.map((one) =>
          one.type === 'Reconciling'
            ? { ...one, status: 'True', reason: 'DestinationDrift', lastTransitionTime: '2000-01-01T00:00:00Z' }
            : one,
        ),
      }));
    pretend();
    world.secret.alter(secretPath, { header: 'of somebody else' });
    await world.pass({ drift: true });
    expect(world.condition('Delivered')).toBe('False DestinationDrift');
    await world.clock.advance(3_600_000);
    pretend();
    await world.pass({ drift: true });
    expect(world.secret.entries(secretPath)).toEqual(entries);
    pretend();
    world.secret.lose(secretPath);
    await world.pass({ drift: true });
    expect(world.secret.entries(secretPath)).toEqual(entries);
  });
});

describe('a database that is older than the requests of its keys', () => {
  it('answers a rotation by the one version that is minted because the store is behind', async () => {
    const world = await readyWorld();
    const backup = structuredClone(world.store.database.rows);
    annotate(world, annotations.rotate, 'monday');
    await world.pass();
    expect(world.status().currentKey?.epoch).toBe(2);
    world.store.database.rows = backup;
    for (let passes = 0; passes < 3; passes += 1) await world.pass();
    expect(world.status()).toMatchObject({ currentKey: { epoch: 3 }, lastHandledRotation: 'monday' });
  });

  it('ends again what a report named, and mints once for it', async () => {
    const world = await readyWorld();
    const backup = structuredClone(world.store.database.rows);
    const first = world.status().currentKey?.id ?? '';
    annotate(world, annotations.compromised, 'all');
    await world.pass();
    expect(world.status().currentKey?.epoch).toBe(2);
    world.store.database.rows = backup;
    for (let passes = 0; passes < 3; passes += 1) await world.pass();
    expect(await stateOf(world, first)).toBe('ended');
    expect(world.status()).toMatchObject({ currentKey: { epoch: 3 }, lastHandledCompromise: 'all' });
  });
});

import { expect, test } from 'vitest';
import type { ObjectMeta } from '../../../operator/src/api/meta.ts';
import { Precedence } from '../../../operator/src/reconcile/precedence.ts';
import { SafetyLane, refOf } from '../../../operator/src/reconcile/safetylane.ts';
import { World } from '../../builders/world.ts';

/** A lane over a world, with what it read and what it handed on to full passes, in order. */
async function laneOver(world: World) {
  const read: string[] = [];
  const passed: string[] = [];
  const resources = Object.create(world.resources, {
    readLive: {
      value: async (_kind: string, { name }: { readonly name: string }) => {
        read.push(name);
        return undefined;
      },
    },
  }) as World['resources'];
  const lane = new SafetyLane({
    dependencies: { ...world.deps, resources },
    store: world.store,
    precedence: new Precedence(),
    onPassed: (key) => passed.push(refOf(key).name),
    onError: (_key, error) => {
      throw error;
    },
  });
  const metadata = (namespace: string, name: string, generation: number): ObjectMeta => {
    return { namespace, name, uid: name, resourceVersion: String(generation), generation };
  };
  const edit = (name: string, generation = 2, namespace = 'payments'): boolean =>
    lane.hear(`${namespace}/${name}`, metadata(namespace, name, generation), generation === 1);
  const change = (name: string): void => {
    edit(name, 1);
    expect(edit(name)).toBe(true);
  };
  return { lane, read, passed, edit, change };
}

test('a key is revoked although all other connections to the database hang', async () => {
  const world = await World.open();
  world.createKey();
  await world.pass();
  const uid = world.key()?.metadata.uid ?? '';
  const hanging = (): Promise<never> => new Promise(() => {});
  const lane = new SafetyLane({
    dependencies: {
      ...world.deps,
      store: new Proxy(world.store, { get: () => hanging }),
      usageHorizon: hanging,
      destinations: { open: hanging, close: () => Promise.resolve() },
    },
    store: world.store,
    precedence: new Precedence(),
    onPassed: () => {},
    onError: () => {},
  });
  lane.start();
  const hear = (): void => {
    const metadata = world.key()?.metadata;
    if (metadata !== undefined) lane.hear('payments/billing', metadata, world.key()?.spec.revoked === undefined);
  };
  hear();
  world.updateKey({ revoked: { reason: 'KeyCompromise' } });
  hear();
  for (let turn = 0; turn < 200 && !lane.idle(); turn += 1) await world.clock.advance(0);
  expect((await world.store.readKey(uid)).versions).toEqual([]);
});

test('how long a change took is counted from its news to the pass that succeeds', async () => {
  const world = await World.open();
  const took: number[] = [];
  const metrics = { ...world.deps.metrics, safetyPassed: (ms: number) => took.push(ms) };
  world.createKey();
  const lane = new SafetyLane({
    dependencies: { ...world.deps, metrics },
    store: world.store,
    precedence: new Precedence(),
    onPassed: () => {},
    onError: () => {},
  });
  lane.start();
  const hear = (generation: number): void => {
    const metadata = world.key()?.metadata;
    if (metadata !== undefined) lane.hear('payments/billing', { ...metadata, generation }, generation === 1);
  };
  hear(1);
  world.store.failNext(2);
  hear(2);
  await world.clock.advance(500);
  hear(3);
  await world.clock.advance(2_500);
  // The second failure, and the second change, came at 500 ms.
  expect(took).toEqual([1_500]);
  await lane.drain(1_000);
});

const named = (prefix: string): readonly string[] => Array.from({ length: 20 }, (_, at) => `${prefix}-${at}`);
/** Passes that run at a time. */
const concurrency = 4;

test('a standby that begins to lead puts no fresh change behind those it has heard while another one led', async () => {
  const world = await World.open();
  const { lane, read, passed, edit, change } = await laneOver(world);
  edit('fresh', 1);
  for (const name of named('old')) change(name);
  await world.clock.advance(120_000);
  for (const name of named('recent')) change(name);
  await world.clock.advance(1_000);
  lane.start();
  edit('fresh');
  await world.clock.advance(0);
  // Behind those that had begun, and before all others.
  expect(read.indexOf('fresh')).toBe(concurrency);
  // In case the leader before did not live to handle them: the newest first.
  expect(read.filter((name) => name !== 'fresh')).toEqual(named('recent').toReversed());
  // A full pass finds what is older.
  expect(new Set(passed)).toEqual(new Set([...named('old'), ...named('recent'), 'fresh']));
  await lane.drain(1_000);
});

test('a change waits for no more than one ApiKey of each other namespace, however many have changed there', async () => {
  const world = await World.open();
  const { lane, read, edit, change } = await laneOver(world);
  lane.start();
  edit('fresh', 1, 'theirs');
  for (const name of named('flood')) change(name);
  edit('fresh', 2, 'theirs');
  await world.clock.advance(0);
  expect(read.indexOf('fresh')).toBe(concurrency + 1);
  await lane.drain(1_000);
});

test('a change waits for no more than one ApiKey of its namespace that changes again and again, however many there are', async () => {
  const world = await World.open();
  const { lane, read, edit, change } = await laneOver(world);
  lane.start();
  edit('fresh', 1);
  for (const name of named('flood')) change(name);
  await world.clock.advance(1_000);
  read.length = 0;
  for (const name of named('flood')) edit(name, 3);
  edit('fresh');
  await world.clock.advance(0);
  expect(read.indexOf('fresh')).toBe(concurrency + 1);
  await lane.drain(1_000);
});

test('the safety lane remembers nothing of an ApiKey that goes during its pass', async () => {
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

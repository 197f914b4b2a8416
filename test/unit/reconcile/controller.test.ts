import { afterEach, describe, expect, it } from 'vitest';
import type { ObjectRef } from '../../../operator/src/api/meta.ts';
import { formatInstant } from '../../../operator/src/domain/time.ts';
import { transient } from '../../../operator/src/domain/failure.ts';
import { Controller } from '../../../operator/src/reconcile/controller.ts';
import type { Dependencies } from '../../../operator/src/reconcile/dependencies.ts';
import type { LogFields } from '../../../operator/src/telemetry/log.ts';
import { silentLog } from '../../../operator/src/telemetry/log.ts';
import { silentMetrics } from '../../../operator/src/telemetry/metrics.ts';
import { keySpec, policyAway, secretPath, vaultPath, World } from '../../builders/world.ts';

const running: Controller[] = [];

afterEach(async () => {
  for (const controller of running.splice(0)) await stopped(controller);
});

async function stopped(controller: Controller): Promise<boolean> {
  return (await controller.drainFull(1000, 1000)) && (await controller.drain(1000));
}

/** A controller over a world, with what it did written down. */
class Run {
  /** The ApiKeys that were read for a pass, in order. */
  passes: string[] = [];
  readonly errors: LogFields[] = [];
  fenceLost = 0;
  readonly controller: Controller;
  readonly world: World;

  constructor(world: World, change: Partial<Dependencies> = {}) {
    this.world = world;
    const { resources } = world;
    const read = resources.readLive.bind(resources);
    const watched = new Proxy(resources, {
      get: (target, name): unknown => {
        if (name === 'readLive') {
          return async (kind: 'ApiKey', ref: ObjectRef): Promise<unknown> => {
            this.passes.push(ref.name);
            return read(kind, ref);
          };
        }
        const member: unknown = Reflect.get(target, name, target);
        return typeof member === 'function' ? (member.bind(target) as unknown) : member;
      },
    });
    const log = { ...silentLog, error: (_event: string, fields: LogFields = {}) => void this.errors.push(fields) };
    this.controller = new Controller({
      dependencies: { ...world.deps, resources: watched, log, ...change },
      concurrency: 2,
      onFenceLost: () => {
        this.fenceLost += 1;
      },
    });
    running.push(this.controller);
  }

  async start(): Promise<void> {
    this.controller.listen();
    this.world.resources.resync();
    this.controller.start();
    await this.quiet();
  }

  /** Until nothing is queued or in flight; what waits for an instant keeps waiting. */
  async quiet(): Promise<void> {
    for (let calm = 0, turns = 0; calm < 3; turns += 1) {
      if (turns > 5000) throw new Error('the controller does not come to rest');
      await new Promise((resolve) => setImmediate(resolve));
      calm = this.controller.idle() ? calm + 1 : 0;
    }
  }

  async advance(ms: number): Promise<void> {
    await this.world.clock.advance(ms);
    await this.quiet();
  }
}

async function started(change: Partial<Dependencies> = {}): Promise<Run> {
  const world = await World.open();
  world.createKey();
  const run = new Run(world, change);
  await run.start();
  run.passes = [];
  return run;
}

function createOther(world: World, name: string, owner = 'payments-team'): void {
  const spec = { ...keySpec({ deliverTo: [{ name: 'local', secret: { name } }] }), owner };
  world.resources.create('ApiKey', { metadata: { namespace: 'payments', name }, spec });
}

describe('the controller', () => {
  it('makes every key that it finds at the start Ready, and then rests', async () => {
    const run = await started();
    expect(run.world.condition('Ready')).toBe('True Available');
    await run.advance(59_000);
    expect(run.passes).toEqual([]);
  });

  it('looks at a key when its spec changes, and at no other', async () => {
    const run = await started();
    createOther(run.world, 'other');
    await run.quiet();
    run.passes = [];
    run.world.updateKey({ suspend: true });
    await run.quiet();
    expect(run.world.condition('Ready')).toBe('False Suspended');
    expect(new Set(run.passes)).toEqual(new Set(['billing']));
  });

  it('wakes exactly the keys that name a changed reference', async () => {
    const run = await started();
    run.world.resources.create('KeyOwner', {
      metadata: { name: 'other-team' },
      spec: { ...run.world.resources.peek('KeyOwner', { name: 'payments-team' })?.spec, type: 'Team' } as never,
    });
    createOther(run.world, 'other', 'other-team');
    await run.quiet();
    run.passes = [];
    run.world.resources.update('KeyOwner', { name: 'other-team' }, (owner) => ({
      ...owner,
      spec: { ...owner.spec, disabled: true },
    }));
    await run.quiet();
    expect(new Set(run.passes)).toEqual(new Set(['other']));
    run.passes = [];
    run.world.resources.update('ApiCatalog', { name: 'default' }, (catalog) => ({
      ...catalog,
      spec: { ...catalog.spec, channels: [{ slug: 'email' }] },
    }));
    await run.quiet();
    expect(new Set(run.passes)).toEqual(new Set(['billing', 'other']));
  });

  it('wakes nobody for a status written on a reference', async () => {
    const run = await started();
    const owner = run.world.resources.peek('KeyOwner', { name: 'payments-team' });
    if (owner === undefined) throw new Error('no owner');
    await run.world.resources.applyStatus('KeyOwner', owner.metadata, { conditions: [], keys: { total: 1, ready: 1 } });
    await run.quiet();
    expect(run.passes).toEqual([]);
  });

  it('does not wake itself without end by its own status writes', async () => {
    const run = await started();
    run.world.updateKey({ suspend: true });
    await run.quiet();
    expect(run.passes.length).toBeLessThanOrEqual(3);
  });

  it('goes on when a missing reference comes', async () => {
    const world = await World.open({ without: ['owner', 'destination'] });
    world.createKey();
    const run = new Run(world);
    await run.start();
    expect(world.condition('Ready')).toBe('False OwnerNotFound');
    world.createOwner();
    await run.quiet();
    expect(world.condition('Ready')).toBe('False DestinationNotFound');
    world.createDestination();
    await run.quiet();
    expect(world.condition('Ready')).toBe('True Available');
  });

  it('compares each location with the store once in an interval, although nothing changes', async () => {
    const run = await started();
    const value = run.world.vault.value(vaultPath);
    run.world.vault.lose(vaultPath);
    await run.advance(run.world.limits.driftIntervalMs);
    expect(run.world.vault.value(vaultPath)).toBe(value);
  });

  it('still owes a comparison that a failure stopped', async () => {
    const run = await started();
    const value = run.world.vault.value(vaultPath);
    run.world.vault.lose(vaultPath);
    run.world.store.failNext(1);
    await run.advance(run.world.limits.driftIntervalMs);
    await run.advance(2 * 60_000);
    expect(run.world.vault.value(vaultPath)).toBe(value);
  });

  it('tries a silent destination again within a minute or two', async () => {
    const world = await World.open();
    world.createKey();
    world.vault.failNext({ count: 1000 });
    const run = new Run(world);
    await run.start();
    expect(world.condition('Ready')).toBe('False DestinationUnavailable');
    world.vault.heal();
    await run.advance(61_000);
    expect(world.condition('Ready')).toBe('True Available');
  });

  it('empties what a deleted key left behind, by the minute', async () => {
    const run = await started();
    run.world.vault.failNext({ count: 1000 });
    run.world.resources.delete('ApiKey', run.world.name);
    await run.quiet();
    await run.advance(run.world.limits.withdrawDeadlineMs + 60_000);
    expect(run.world.key()).toBeUndefined();
    run.world.vault.heal();
    await run.advance(61_000);
    expect(run.world.vault.paths()).toEqual([]);
  });
});

describe('what a deleted key left behind', () => {
  it('is counted within seconds, and emptied within seconds when its destination heals', async () => {
    const counted: number[] = [];
    const withdrawing = (counts: ReadonlyMap<string, number>): void =>
      void counted.push([...counts.values()].reduce((sum, count) => sum + count, 0));
    const run = await started({ metrics: { ...silentMetrics, withdrawing } });
    const { world } = run;
    world.vault.failNext({ count: 1000 });
    world.resources.delete('ApiKey', world.name);
    await run.quiet();
    // Until its finalizer goes, and no further.
    for (let seconds = 0; world.key() !== undefined && seconds < 900; seconds += 1) await run.advance(1_000);
    expect(world.key()).toBeUndefined();
    counted.length = 0;
    await run.advance(2_000);
    expect([counted, world.vault.paths()]).toEqual([[1], [vaultPath]]);
    world.vault.heal();
    run.controller.wake(['KeyDestination/prod-vault']);
    await run.advance(2_000);
    expect([counted, world.vault.paths()]).toEqual([[1, 0], []]);
  });
});

describe('a change that comes while a back-off runs', () => {
  it.each(['before the pass', 'in the middle of the pass'])('is not put off by a conflict %s', async (when) => {
    const run = await started();
    const { world } = run;
    world.store.failNext(1, transient('StoreUnavailable', 'the database does not answer', 3_600_000));
    world.resources.update('KeyOwner', { name: 'payments-team' }, (owner) => ({
      ...owner,
      spec: { ...owner.spec, displayName: 'Another name' },
    }));
    await run.quiet();
    expect(world.status().failures?.retryAt).toBe(formatInstant(world.clock.now() + 3_600_000));
    const conflict = transient('ConflictRetry', 'somebody else was quicker');
    let refused = 0;
    const refuse = (): void => {
      refused += 1;
      world.resources.beforeCall = undefined;
      throw conflict;
    };
    if (when === 'before the pass') world.resources.beforeCall = refuse;
    else
      world.store.afterEffect = () => {
        world.store.afterEffect = undefined;
        refused += 1;
        throw conflict;
      };
    world.resources.update('KeyOwner', { name: 'payments-team' }, (owner) => ({
      ...owner,
      spec: { ...owner.spec, allowedNamespaces: { names: ['elsewhere'] } },
    }));
    await run.quiet();
    await run.advance(1_000);
    expect(refused).toBe(1);
    expect(world.status().failures).toBeUndefined();
  });
});

describe('a dead API server', () => {
  it('keeps no healed destination from being emptied of what deleted keys left behind', async () => {
    const run = await started();
    const { world } = run;
    createOther(world, 'gone');
    await run.quiet();
    world.vault.failNext({ count: 1000 });
    world.resources.delete('ApiKey', world.name);
    await run.quiet();
    await run.advance(world.limits.withdrawDeadlineMs + 60_000);
    expect([world.key(), world.vault.paths()]).toEqual([undefined, [vaultPath]]);
    const other = { namespace: 'payments', name: 'gone' };
    world.resources.update('ApiKey', other, (key) => ({ ...key, metadata: { ...key.metadata, finalizers: [] } }));
    world.resources.delete('ApiKey', other);
    await run.quiet();
    // The look for an orphan is not answered.
    world.resources.beforeCall = () => new Promise(() => {});
    world.vault.heal();
    await run.advance(61_000);
    await run.advance(61_000);
    expect(world.vault.paths()).toEqual([]);
  });
});

describe('a key that was removed by force', () => {
  it('is revoked and its locations are emptied within a quarter of an hour', async () => {
    const run = await started();
    const { world } = run;
    world.resources.update('ApiKey', world.name, (key) => ({ ...key, metadata: { ...key.metadata, finalizers: [] } }));
    world.resources.delete('ApiKey', world.name);
    for (let minutes = 0; minutes < 15; minutes += 1) await run.advance(60_000);
    expect(await world.store.listKeys()).toEqual([]);
    expect(world.vault.paths()).toEqual([]);
    expect(world.secret.paths()).toEqual([]);
  });
});

describe('a back-off in the status', () => {
  async function failing(): Promise<World> {
    const world = await World.open();
    world.createKey();
    world.store.failNext(1, transient('StoreUnavailable', 'the database does not answer', 300_000));
    await world.pass();
    expect(world.status().failures?.retryAt).toBe('2026-01-01T00:05:00Z');
    return world;
  }

  it('is honoured after a restart', async () => {
    const world = await failing();
    const run = new Run(world);
    await run.start();
    expect(world.condition('Ready')).toBe('Unknown StoreUnavailable');
    await run.advance(301_000);
    expect(world.condition('Ready')).toBe('True Available');
  });

  const forged = { count: 1_000_000, lastAt: '2026-01-01T00:00:00Z', retryAt: '2099-01-01T00:00:00Z' };

  it('that somebody forged delays no pass, and is corrected by one', async () => {
    const run = await started();
    const { world } = run;
    world.resources.update('ApiKey', world.name, (key) => ({ ...key, status: { ...world.status(), failures: forged } }));
    await run.quiet();
    expect(world.status().failures).toBeUndefined();
  });

  it('that is further away than any of ours does not count after a restart', async () => {
    const world = await failing();
    world.resources.update('ApiKey', world.name, (key) => ({ ...key, status: { ...world.status(), failures: forged } }));
    await new Run(world).start();
    expect(world.condition('Ready')).toBe('True Available');
  });

  it('does not count after a change of the spec, not even over a restart', async () => {
    const world = await failing();
    world.updateKey({ purpose: 'mended' });
    await new Run(world).start();
    expect(world.condition('Ready')).toBe('True Available');
  });

  it('does not count when a change comes while the process runs', async () => {
    const world = await failing();
    const run = new Run(world);
    await run.start();
    world.resources.annotate('ApiKey', world.name, { 'keywright.dev/paused': 'false' });
    await run.quiet();
    expect(world.condition('Ready')).toBe('True Available');
  });

  it('grows from failure to failure, and starts anew with a changed spec', async () => {
    const world = await World.open();
    world.createKey();
    const failure = transient('StoreUnavailable', 'the database does not answer');
    for (let count = 1; count <= 3; count += 1) {
      world.store.failNext(1, failure);
      await world.pass();
      expect(world.status().failures?.count).toBe(count);
    }
    world.updateKey({ purpose: 'mended' });
    world.store.failNext(1, failure);
    await world.pass();
    expect(world.status().failures?.count).toBe(1);
  });
});

describe('keys that waited for the same thing', () => {
  /** When each of so many keys was first looked at, in steps of that many milliseconds since the wake. */
  async function comeBack(count: number, stepMs: number, wake: (run: Run) => void): Promise<readonly number[]> {
    const world = await World.open();
    for (let at = 0; at < count; at += 1) createOther(world, `key-${at}`);
    world.admission = policyAway;
    const run = new Run(world);
    await run.start();
    await run.advance(1_000);
    run.passes = [];
    wake(run);
    const first = new Map<string, number>();
    for (let step = 0; step * stepMs < 31_000; step += 1) {
      await run.advance(step === 0 ? 0 : stepMs);
      for (const name of run.passes.filter((one) => one.startsWith('key-'))) first.set(name, first.get(name) ?? step);
      run.passes = [];
    }
    return [...first.values()];
  }

  it('are looked at when it is there again, ten in a second', async () => {
    const steps = await comeBack(25, 100, (run) => {
      run.controller.wakeWaiting('AdmissionPolicyMissing');
    });
    expect(steps).toEqual(Array.from({ length: 25 }, (_, at) => at));
  });

  it('come within half a minute, evenly, however many they are', async () => {
    const steps = await comeBack(360, 1_000, (run) => {
      run.controller.wakeWaiting('AdmissionPolicyMissing');
    });
    expect(steps).toHaveLength(360);
    for (let second = 0; second <= 30; second += 1)
      expect(steps.filter((step) => step === second).length, `second ${second}`).toBeLessThanOrEqual(13);
  });

  it('are left alone by another thing that is there again', async () => {
    const steps = await comeBack(3, 1_000, (run) => {
      run.controller.wakeWaiting('StoreUnavailable');
    });
    expect(steps).toEqual([]);
  });

  it('wait for it no more after they went on', async () => {
    const run = await started();
    // The safety pass and the pass after it; the former is tried again a second later.
    run.world.store.failNext(2);
    run.world.updateKey({ purpose: 'other' });
    await run.quiet();
    expect(run.world.condition('Ready')).toBe('Unknown StoreUnavailable');
    run.controller.wakeWaiting('StoreUnavailable');
    await run.advance(1_000);
    expect(run.world.condition('Ready')).toBe('True Available');
    run.passes = [];
    run.controller.wakeWaiting('StoreUnavailable');
    await run.advance(10_000);
    expect(run.passes).toEqual([]);
  });
});

describe('when something breaks', () => {
  it('says once that leadership was lost in the store, whatever the number of keys', async () => {
    const world = await World.open();
    for (const name of ['a', 'b', 'c']) createOther(world, name);
    const run = new Run(world);
    // Another process takes the lead.
    world.store.database.fence += 1;
    await run.start();
    await run.advance(10_000);
    expect(run.fenceLost).toBe(1);
    expect(world.store.database.rows.versions).toEqual([]);
    expect(world.secret.paths()).toEqual([]);
  });

  it('a defect in one key stops no other, its status says so, and its message is not logged', async () => {
    const world = await World.open();
    createOther(world, 'broken');
    world.createKey();
    const broken = world.resources.peek('ApiKey', { namespace: 'payments', name: 'broken' })?.metadata.uid;
    const { store } = world;
    let isBroken = true;
    const defective = new Proxy(store, {
      get: (target, name): unknown => {
        const member: unknown = Reflect.get(target, name, target);
        if (typeof member !== 'function') return member;
        return async (...args: unknown[]): Promise<unknown> => {
          if (isBroken && name === 'readKey' && args[0] === broken) throw new TypeError('acme_live_what_it_stumbled_over');
          return Reflect.apply(member, target, args) as Promise<unknown>;
        };
      },
    });
    const run = new Run(world, { store: defective });
    await run.start();
    expect(world.condition('Ready')).toBe('True Available');
    expect(run.errors[0]).toMatchObject({ apiKey: 'payments/broken', reason: 'InternalError', failure: 'TypeError' });
    expect(JSON.stringify(run.errors)).not.toContain('stumbled');
    expect(run.fenceLost).toBe(0);
    const readyOf = () =>
      world.resources
        .peek('ApiKey', { namespace: 'payments', name: 'broken' })
        ?.status?.conditions.find(({ type }) => type === 'Ready');
    const message = 'a defect in Keywright; the log of the operator has the details';
    expect(readyOf()).toMatchObject({ status: 'Unknown', reason: 'InternalError', message });
    isBroken = false;
    await run.advance(5_000);
    expect(readyOf()).toMatchObject({ status: 'True', reason: 'Available' });
  });

  it('an API server that does not answer is asked again, and the key goes on', async () => {
    const world = await World.open();
    world.createKey();
    const run = new Run(world);
    let failures = 3;
    world.resources.beforeCall = () => {
      if (failures === 0) return;
      failures -= 1;
      throw transient('ConflictRetry', 'the API server does not answer');
    };
    await run.start();
    await run.advance(10_000);
    expect(world.condition('Ready')).toBe('True Available');
  });

  it('drains what is in flight, and starts nothing afterwards', async () => {
    const run = await started();
    expect(await stopped(run.controller)).toBe(true);
    run.world.updateKey({ suspend: true });
    await run.advance(120_000);
    expect(run.passes).toEqual([]);
  });

  it.each([
    ['at once', 0],
    ['after a failure that came in between', 1],
  ])('gives back a Secret that somebody deleted, because its watch asks for a comparison: %s', async (_when, storeFailures) => {
    const world = await World.open();
    world.createKey();
    const labelled = { labels: { 'app.kubernetes.io/managed-by': 'keywright' } };
    const ref = { namespace: 'payments', name: 'billing-api-key' };
    world.resources.putSecret(ref, { type: 'Opaque', data: {}, metadata: labelled });
    const run = new Run(world);
    await run.start();
    const value = world.secret.value(secretPath);
    world.secret.lose(secretPath);
    world.store.failNext(storeFailures);
    world.resources.deleteSecret(ref);
    await run.quiet();
    await run.advance(2 * 60_000);
    expect(world.secret.value(secretPath)).toBe(value);
  });

  it.each(['as soon as it is there', 'before the look after the write'])(
    'writes a Secret six times a minute at most while somebody deletes it in a loop: %s',
    async (when) => {
      const run = await started();
      const { world } = run;
      const ref = { namespace: 'payments', name: 'billing-api-key' };
      const metadata = { labels: { 'app.kubernetes.io/managed-by': 'keywright' } };
      const before = world.secret.calls.write;
      const remove = (): void => {
        // Whatever the program does, the test ends.
        if (world.secret.calls.write - before > 30) return;
        world.secret.lose(secretPath);
        world.resources.putSecret(ref, { type: 'Opaque', data: {}, metadata });
        world.resources.deleteSecret(ref);
      };
      let isWritten = false;
      world.secret.onStep = ({ operation, phase }) => {
        if (operation === 'write' && phase === 'after') {
          isWritten = true;
          if (when === 'as soon as it is there') setImmediate(remove);
        } else if (operation.startsWith('read') && phase === 'before' && isWritten) {
          isWritten = false;
          if (when !== 'as soon as it is there') remove();
        }
      };
      remove();
      await run.quiet();
      for (let second = 0; second < 59; second += 1) await run.advance(1000);
      expect(world.secret.calls.write - before).toBeGreaterThan(1);
      expect(world.secret.calls.write - before).toBeLessThanOrEqual(6);
    },
  );
});

import { describe, expect, it } from 'vitest';
import { openKubernetesConsumers } from '../../../operator/src/consumers/kubernetes/kubernetes.ts';
import { restartedFor } from '../../../operator/src/consumers/port.ts';
import type { Dependencies } from '../../../operator/src/reconcile/dependencies.ts';
import { reconcile } from '../../../operator/src/reconcile/reconciler.ts';
import type { WorkloadRef } from '../../../operator/src/resources/port.ts';
import { policyAway, World } from '../../builders/world.ts';

const app: WorkloadRef = { kind: 'Deployment', namespace: 'payments', name: 'app' };
const spec = { consumers: [{ kind: 'Deployment', name: 'app', restart: true }] };
const rolled = { observedGeneration: 99, replicas: 1, updatedReplicas: 1, availableReplicas: 1 };

async function worldWithApp(): Promise<World> {
  const world = await World.open();
  world.resources.workloads.put(app, { kind: 'Deployment', spec: { replicas: 1, template: {} }, status: rolled });
  world.createKey(spec);
  return world;
}

async function pass(world: World, changes: Partial<Dependencies> = {}): Promise<void> {
  const key = world.key();
  if (key === undefined) throw new Error('there is no key');
  const consumers = openKubernetesConsumers(world.resources.workloads);
  await reconcile({ ...world.deps, consumers, ...changes }, key, 'none');
}

/** The key id that the workload was restarted for last, and how often it was changed. */
function restarted(world: World) {
  const found = world.resources.workloads.peek(app);
  return {
    keyId: found?.spec.template?.metadata?.annotations?.[restartedFor('billing')],
    times: (found?.metadata.generation ?? 1) - 1,
  };
}

describe('a consumer', () => {
  it('is restarted once for each version, in the pass that activated it [S4-6]', async () => {
    const world = await worldWithApp();
    await pass(world);
    const first = world.status().currentKey?.id;
    expect(restarted(world)).toEqual({ keyId: first, times: 1 });
    await pass(world);
    await pass(world);
    expect(restarted(world).times).toBe(1);
    world.resources.annotate('ApiKey', world.name, { 'keywright.dev/rotate': 'now' });
    await pass(world);
    expect(world.status().currentKey?.id).not.toBe(first);
    expect(restarted(world)).toEqual({ keyId: world.status().currentKey?.id, times: 2 });
  });

  it('is left alone by an operator that restarts none, and Adopted says so', async () => {
    const world = await worldWithApp();
    await world.pass();
    expect(restarted(world)).toEqual({ keyId: undefined, times: 0 });
    const adopted = world.status().conditions.find(({ type }) => type === 'Adopted');
    expect(adopted?.message).toContain('KEYWRIGHT_CONSUMERS is off');
  });

  it('is left alone while nothing may be minted', async () => {
    const world = await worldWithApp();
    await world.pass();
    await pass(world, { admission: { state: () => policyAway, check: () => Promise.resolve(policyAway) } });
    expect(restarted(world).times).toBe(0);
    await pass(world);
    expect(restarted(world).times).toBe(1);
  });

  it('is not restarted by a leader that lost its lease after the look', async () => {
    const world = await worldWithApp();
    await world.pass();
    let leading = true;
    const inner = openKubernetesConsumers(world.resources.workloads);
    const ended = pass(world, {
      consumers: {
        look: async (...given) => {
          leading = false;
          return inner.look(...given);
        },
        restart: (order) => inner.restart(order),
      },
      assertLeading: () => {
        if (!leading) throw new Error('the lease may have run out');
      },
    });
    await expect(ended).rejects.toThrow('the lease may have run out');
    expect(restarted(world).times).toBe(0);
  });

  it('that does not exist holds nothing up, and is restarted when it comes', async () => {
    const world = await World.open();
    world.createKey(spec);
    await pass(world);
    expect(world.condition('Ready')).toBe('True Available');
    expect(world.condition('Adopted')).toBe('False ConsumerNotFound');
    world.resources.workloads.put(app, { kind: 'Deployment', spec: { replicas: 1, template: {} }, status: rolled });
    await pass(world);
    expect(restarted(world).times).toBe(1);
  });
});

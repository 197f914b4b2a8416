import { describe, expect, it } from 'vitest';
import {
  consumersStatement,
  consumersToLookAt,
  consumersToRestart,
  restartsOf,
} from '../../../operator/src/consumers/adoption.ts';
import type { ConsumerSight, ConsumerState } from '../../../operator/src/consumers/adoption.ts';
import { openKubernetesConsumers } from '../../../operator/src/consumers/kubernetes/kubernetes.ts';
import { observeConsumer, restartConsumer } from '../../../operator/src/consumers/observe.ts';
import { restartedKeyId } from '../../../operator/src/consumers/port.ts';
import { waiting } from '../../../operator/src/domain/failure.ts';
import { FakeClock } from '../../harness/fakes/clock.ts';
import { FakeResources } from '../../harness/fakes/resources.ts';

const apiKey = { namespace: 'payments', name: 'billing' };
const consumer = { kind: 'Deployment', name: 'shop' } as const;
const ref = { ...consumer, namespace: apiKey.namespace };

/** An API server with the workload, and the rule of the plan: look, then restart, then look again. */
function world() {
  const clock = new FakeClock();
  const resources = new FakeResources(clock);
  const { workloads } = resources;
  workloads.put(ref, { kind: 'Deployment', spec: { replicas: 1, template: {} } });
  const consumers = openKubernetesConsumers(workloads);

  async function pass(keyId: string): Promise<readonly ConsumerState[]> {
    const now = clock.now();
    const due = restartsOf({
      consumers: [{ ...consumer, restart: true, restartAfterMs: 0 }],
      activatedAt: now,
      secrets: 'delivered',
    });
    let states: readonly ConsumerState[] = due.map((one) => ({ ...one, sight: { kind: 'unseen' } }));
    for (;;) {
      const [look] = consumersToLookAt(states, now);
      const [restart] = consumersToRestart(states, now);
      const which = look ?? restart;
      if (which === undefined) return states;
      const { sight: before } = states.find((one) => one.consumer === which) ?? { sight: undefined };
      const after: ConsumerSight =
        before?.kind === 'notAsked'
          ? await restartConsumer(consumers, { consumer: which, apiKey, keyId, observed: before.observed })
          : await observeConsumer(consumers, which, { namespace: apiKey.namespace, apiKeyName: apiKey.name, keyId });
      states = states.map((one) => (one.consumer === which ? { ...one, sight: after } : one));
    }
  }
  const patches = () => resources.effects.filter(({ verb }) => verb === 'annotateTemplate').length;
  const restartedFor = () => {
    const standing = workloads.peek(ref);
    return standing === undefined ? undefined : restartedKeyId(standing, apiKey.name);
  };
  return { resources, workloads, pass, patches, restartedFor };
}

describe('a pass over the consumers', () => {
  it('restarts each once for a version, and writes nothing when it is repeated', async () => {
    const { pass, patches, restartedFor } = world();
    expect(await pass('keyOne')).toMatchObject([{ sight: { kind: 'inProgress' } }]);
    await pass('keyOne');
    expect([restartedFor(), patches()]).toEqual(['keyOne', 1]);
    await pass('keyTwo');
    await pass('keyTwo');
    expect([restartedFor(), patches()]).toEqual(['keyTwo', 2]);
  });

  it('restarts once although a crash comes after the restart', async () => {
    const { resources, pass, patches, restartedFor } = world();
    resources.afterEffect = () => {
      throw new Error('crash');
    };
    await expect(pass('keyOne')).rejects.toThrow('crash');
    resources.afterEffect = undefined;
    await pass('keyOne');
    expect([restartedFor(), patches()]).toEqual(['keyOne', 1]);
  });

  it('sees a failure instead of failing, and says so', async () => {
    const { resources, pass } = world();
    resources.beforeCall = (call) => {
      if (call.startsWith('annotateTemplate')) throw waiting('NotPermitted', 'the role lacks patch');
    };
    const states = await pass('keyOne');
    expect(states).toMatchObject([{ sight: { kind: 'failed' } }]);
    expect(consumersStatement(states, 8e15)).toMatchObject({
      reason: 'NotPermitted',
      message: 'Deployment shop cannot be restarted or followed: the role lacks patch',
    });
  });

  it('ends although the workload changes before each restart', async () => {
    const { resources, workloads, pass, restartedFor } = world();
    resources.beforeCall = (call) => {
      if (call.startsWith('annotateTemplate')) workloads.change(ref, (one) => one);
    };
    expect(await pass('keyOne')).toMatchObject([{ sight: { kind: 'failed', failure: { reason: 'ConflictRetry' } } }]);
    expect(restartedFor()).toBeUndefined();
  });

  it('does not hide a defect', async () => {
    const { resources, pass } = world();
    resources.beforeCall = () => {
      throw new TypeError('defect');
    };
    await expect(pass('keyOne')).rejects.toThrow('defect');
  });
});

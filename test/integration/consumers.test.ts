import { afterAll, describe, expect, it } from 'vitest';
import { consumersStatement } from '../../operator/src/consumers/adoption.ts';
import type { ConsumerSight } from '../../operator/src/consumers/adoption.ts';
import { openKubernetesConsumers } from '../../operator/src/consumers/kubernetes/kubernetes.ts';
import { restartedFor } from '../../operator/src/consumers/port.ts';
import type { ConsumerRef, Consumers, RestartOutcome } from '../../operator/src/consumers/port.ts';
import { rolloutOf } from '../../operator/src/consumers/rollout.ts';
import type { Rollout } from '../../operator/src/consumers/rollout.ts';
import type { KubeResources } from '../../operator/src/resources/kube/resources.ts';
import type { WorkloadKind, WorkloadRef } from '../../operator/src/resources/port.ts';
import { openTestResources } from '../harness/kuberesources.ts';
import { useKube } from '../harness/parts.ts';
import { until } from '../harness/until.ts';
import { createWorkload, readyPods, workloadManifest, workloadPath } from '../harness/workloads.ts';

const kube = await useKube();
const opened: KubeResources[] = [];
const nodes: string[] = [];
afterAll(async () => {
  for (const resources of opened) await resources.close();
  for (const node of nodes) await kube.request('DELETE', `/api/v1/nodes/${node}`);
});

async function open(user = 'admin'): Promise<Consumers> {
  const resources = await openTestResources({ kubeconfig: kube.kubeconfig(user) });
  opened.push(resources);
  return openKubernetesConsumers(resources.workloads);
}

/** One workload, the operator's view of it, and the kubelet's part. */
class Bench {
  readonly ref: WorkloadRef;
  readonly consumer: ConsumerRef;
  readonly #consumers: Consumers;

  constructor(consumers: Consumers, ref: WorkloadRef) {
    this.#consumers = consumers;
    this.ref = ref;
    this.consumer = { kind: ref.kind, name: ref.name };
  }

  async rollout(keyId: string, apiKeyName = 'billing'): Promise<Rollout> {
    const workload = await this.#consumers.look(this.consumer, this.ref.namespace);
    return rolloutOf(workload, { apiKeyName, keyId });
  }

  /** What a pass does: look, and restart what was not restarted. */
  async pass(keyId: string, apiKeyName = 'billing'): Promise<RestartOutcome | Rollout['kind']> {
    const observed = await this.#consumers.look(this.consumer, this.ref.namespace);
    const rollout = rolloutOf(observed, { apiKeyName, keyId });
    if (rollout.kind !== 'notAsked' || observed === undefined) return rollout.kind;
    const apiKey = { namespace: this.ref.namespace, name: apiKeyName };
    return this.#consumers.restart({ consumer: this.consumer, apiKey, keyId, observed });
  }

  /** Plays the kubelet until the rollout is what is waited for. */
  async reaches(keyId: string, kind: Rollout['kind']): Promise<Rollout> {
    return until(
      async () => {
        await readyPods(kube, this.ref);
        const rollout = await this.rollout(keyId);
        return rollout.kind === kind ? rollout : undefined;
      },
      { deadlineMs: 45_000, what: `${kind} of ${this.ref.kind} ${this.ref.name}` },
    );
  }

  /** How often its pods had another template: the revisions that its controller has made. */
  async revisions(): Promise<number> {
    const { kind, namespace, name } = this.ref;
    const path = kind === 'Deployment' ? 'replicasets' : 'controllerrevisions';
    const answer = await kube.request('GET', `/apis/apps/v1/namespaces/${namespace}/${path}?labelSelector=app%3D${name}`);
    return (answer.body as { items: readonly unknown[] }).items.length;
  }
}

async function bench(kind: WorkloadKind, name: string, spec: Readonly<Record<string, unknown>> = {}): Promise<Bench> {
  const namespace = await kube.createNamespace('rollout');
  const ref = { kind, namespace, name };
  if (kind === 'DaemonSet') await addNodes(name, 2);
  await createWorkload(kube, ref, { pods: 2, spec });
  return new Bench(await open(), ref);
}

async function addNodes(label: string, count: number): Promise<void> {
  for (let at = 0; at < count; at += 1) {
    const name = `${label}-${at}`;
    const body = { apiVersion: 'v1', kind: 'Node', metadata: { name, labels: { 'test/pods': label } } };
    const answer = await kube.request('POST', '/api/v1/nodes', { body });
    if (answer.status !== 201) throw new Error(`node ${name}: ${JSON.stringify(answer.body)}`);
    nodes.push(name);
  }
}

/** Its first pods are up. */
async function settled(one: Bench): Promise<void> {
  await until(
    async () => {
      await readyPods(kube, one.ref);
      const { status } = (await kube.request('GET', workloadPath(one.ref))).body as {
        status?: { availableReplicas?: number; numberAvailable?: number };
      };
      return (status?.availableReplicas ?? status?.numberAvailable) === 2;
    },
    { deadlineMs: 45_000, what: `the pods of ${one.ref.kind} ${one.ref.name}` },
  );
}

const said = (one: Bench, sight: ConsumerSight) =>
  consumersStatement([{ consumer: one.consumer, due: { kind: 'at', at: 0 }, sight }], 1);

describe.each(['Deployment', 'StatefulSet', 'DaemonSet'] as const)('a %s', (kind) => {
  it('is restarted exactly once for each version, and its rollout is seen to begin and to end', async () => {
    const one = await bench(kind, `once-${kind.toLowerCase()}`);
    await settled(one);
    expect(await one.revisions()).toBe(1);
    expect(await one.pass('keyOne')).toBe('patched');
    expect(said(one, await one.rollout('keyOne'))).toMatchObject({ reason: 'RolloutInProgress' });
    // Passes that come in between, of this leader or the next, change nothing.
    const others = new Bench(await open(), one.ref);
    expect(await Promise.all([one.pass('keyOne'), others.pass('keyOne')])).not.toContain('patched');
    expect(said(one, await one.reaches('keyOne', 'complete'))).toBeUndefined();
    expect(await others.pass('keyOne')).toBe('complete');
    expect(await one.revisions()).toBe(2);

    expect(await one.pass('keyTwo')).toBe('patched');
    await one.reaches('keyTwo', 'complete');
    expect(await one.revisions()).toBe(3);
  });
});

describe('a Deployment', () => {
  it('is restarted once when several restart it at the same time', async () => {
    const one = await bench('Deployment', 'raced');
    await settled(one);
    const benches = await Promise.all([1, 2, 3, 4].map(async () => new Bench(await open(), one.ref)));
    const outcomes = await Promise.all(benches.map((each) => each.pass('keyOne')));
    expect(outcomes.filter((outcome) => outcome === 'patched')).toHaveLength(1);
    await one.reaches('keyOne', 'complete');
    expect(await one.revisions()).toBe(2);
  });

  it('of two ApiKeys comes to rest: each restarts it once, and neither undoes the other', async () => {
    const one = await bench('Deployment', 'shared');
    await settled(one);
    expect(await one.pass('keyOne', 'billing')).toBe('patched');
    expect(await one.pass('searchOne', 'search')).toBe('patched');
    await one.reaches('keyOne', 'complete');
    expect([await one.pass('keyOne', 'billing'), await one.pass('searchOne', 'search')]).toEqual(['complete', 'complete']);
    expect(await one.revisions()).toBe(3);
  });

  it('whose new pods never become ready is stuck after its progress deadline, and the old ones stay', async () => {
    const one = await bench('Deployment', 'broken', { progressDeadlineSeconds: 1, minReadySeconds: 0 });
    await settled(one);
    expect(await one.pass('keyOne')).toBe('patched');
    const stuck = await until(
      async () => {
        const rollout = await one.rollout('keyOne');
        return rollout.kind === 'stuck' ? rollout : undefined;
      },
      { deadlineMs: 45_000, what: 'the progress deadline' },
    );
    expect(stuck).toMatchObject({ pods: { wanted: 2 } });
    expect(said(one, stuck)).toMatchObject({ reason: 'RolloutStuck' });
    // It is not rolled out again for that, and ends when the pods are well.
    expect(await one.pass('keyOne')).toBe('stuck');
    await one.reaches('keyOne', 'complete');
    expect(await one.revisions()).toBe(2);
  });

  it('that is paused says so, and rolls out when it is resumed', async () => {
    const one = await bench('Deployment', 'paused', { paused: true });
    await until(async () => (await one.pass('keyOne')) === 'paused', { deadlineMs: 30_000, what: 'the pause' });
    expect(said(one, await one.rollout('keyOne'))).toMatchObject({ reason: 'RolloutStuck' });
    await kube.request('PATCH', workloadPath(one.ref), {
      body: { spec: { paused: false } },
      contentType: 'application/merge-patch+json',
    });
    await one.reaches('keyOne', 'complete');
  });

  it('without pods is complete', async () => {
    const one = await bench('Deployment', 'none', { replicas: 0 });
    expect(await one.pass('keyOne')).toBe('patched');
    await one.reaches('keyOne', 'complete');
  });

  it('that does not exist is told, and made once it is there', async () => {
    const namespace = await kube.createNamespace('rollout');
    const one = new Bench(await open(), { kind: 'Deployment', namespace, name: 'late' });
    expect(await one.pass('keyOne')).toBe('missing');
    expect(said(one, await one.rollout('keyOne'))).toEqual({
      status: 'False',
      reason: 'ConsumerNotFound',
      message: 'Deployment late does not exist',
    });
    await createWorkload(kube, one.ref, { pods: 1 });
    expect(await one.pass('keyOne')).toBe('patched');
  });

  it('that the operator may not read is told as not permitted, in our words', async () => {
    const one = await bench('Deployment', 'closed');
    const outsider = new Bench(await open('outsider'), one.ref);
    await expect(outsider.pass('keyOne')).rejects.toMatchObject({
      kind: 'waiting',
      reason: 'NotPermitted',
      message:
        'the API server does not let the operator get Deployment closed (403): its role for consumers, or a policy of the cluster',
    });
  });
});

describe('what the operator sees of a workload', () => {
  it('has nothing of its containers: passwords stand in their environment', async () => {
    const namespace = await kube.createNamespace('rollout');
    const ref = { kind: 'Deployment', namespace, name: 'private' } as const;
    const container = { name: 'main', image: 'example.com/app:1', env: [{ name: 'PASSWORD', value: 'hunter2' }] };
    const template = { metadata: { labels: { app: ref.name } }, spec: { containers: [container] } };
    await createWorkload(kube, ref, { pods: 0, spec: { template } });
    const workload = await (await open()).look(ref, namespace);
    expect(workload).toMatchObject({ kind: 'Deployment', spec: { replicas: 0 } });
    expect(JSON.stringify(workload)).not.toMatch(/hunter2|containers|managedFields/);
  });
});

describe('a strategy that waits for a person', () => {
  const remainder = { kind: 'byHand', pods: { wanted: 2 } };

  it('is told of a StatefulSet with OnDelete, until somebody has deleted its pods', async () => {
    const one = await bench('StatefulSet', 'ondelete', { updateStrategy: { type: 'OnDelete' } });
    await settled(one);
    await one.pass('keyOne');
    expect(await one.reaches('keyOne', 'byHand')).toMatchObject({ ...remainder, strategy: 'OnDelete' });
    for (const at of [0, 1]) await kube.request('DELETE', `/api/v1/namespaces/${one.ref.namespace}/pods/ondelete-${at}`);
    await one.reaches('keyOne', 'complete');
  });

  it('is told of a StatefulSet with a partition, until somebody has lowered it', async () => {
    const one = await bench('StatefulSet', 'parted', { updateStrategy: { rollingUpdate: { partition: 1 } } });
    await settled(one);
    await one.pass('keyOne');
    expect(await one.reaches('keyOne', 'byHand')).toMatchObject({ ...remainder, strategy: 'partition' });
    await kube.request('PATCH', workloadPath(one.ref), {
      body: { spec: { updateStrategy: { rollingUpdate: { partition: 0 } } } },
      contentType: 'application/merge-patch+json',
    });
    await one.reaches('keyOne', 'complete');
  });
});

describe('whoever else applies the workload', () => {
  const manifestOf = (one: Bench, annotations?: Readonly<Record<string, string>>) =>
    workloadManifest(one.ref, { pods: 2, ...(annotations === undefined ? {} : { annotations }) });
  const templateOf = async (one: Bench) => {
    const { metadata, spec } = (await kube.request('GET', workloadPath(one.ref))).body as {
      metadata: { generation: number; managedFields: { manager: string; fieldsV1: unknown }[] };
      spec: { template: { metadata: { annotations?: Record<string, string> } } };
    };
    return { metadata, annotations: spec.template.metadata.annotations };
  };
  const flags = { client: [], server: ['--server-side', '--field-manager=gitops'] } as const;

  it.each([
    ['client', 'no annotations', undefined],
    ['server', 'no annotations', undefined],
    ['client', 'annotations', { build: '7' }],
    ['server', 'annotations', { build: '7' }],
    ['client', 'an empty list of annotations', {}],
    ['server', 'an empty list of annotations', {}],
  ] as const)(
    'on the %s, with %s, sees no difference after a restart, and takes nothing away',
    async (side, _with, annotations) => {
      const namespace = await kube.createNamespace('gitops');
      const one = new Bench(await open(), { kind: 'Deployment', namespace, name: 'applied' });
      const apply = (verb: 'apply' | 'diff') =>
        kube.kubectl([verb, ...flags[side], '-f', '-'], { input: manifestOf(one, annotations), allowFailure: true });
      await apply('apply');
      expect(await one.pass('keyOne')).toBe('patched');
      const restarted = await templateOf(one);
      expect(restarted.annotations).toEqual({ ...annotations, [restartedFor('billing')]: 'keyOne' });

      expect(await apply('diff')).toMatchObject({ code: 0, stdout: '' });
      expect((await apply('apply')).code).toBe(0);
      const after = await templateOf(one);
      expect(after.annotations).toEqual(restarted.annotations);
      expect(after.metadata.generation).toBe(restarted.metadata.generation);
    },
  );

  it('keeps all fields but the one annotation', async () => {
    const namespace = await kube.createNamespace('gitops');
    const one = new Bench(await open(), { kind: 'Deployment', namespace, name: 'owned' });
    await kube.kubectl(['apply', ...flags.server, '-f', '-'], { input: manifestOf(one) });
    await one.pass('keyOne');
    const ours = (await templateOf(one)).metadata.managedFields.filter(({ manager }) => manager === 'keywright');
    const annotations = { '.': {}, [`f:${restartedFor('billing')}`]: {} };
    expect(ours.map(({ fieldsV1 }) => fieldsV1)).toEqual([
      { 'f:spec': { 'f:template': { 'f:metadata': { 'f:annotations': annotations } } } },
    ]);
  });
});

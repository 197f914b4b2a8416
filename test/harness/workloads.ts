import type { WorkloadRef } from '../../operator/src/resources/port.ts';
import type { Kube } from './kube.ts';

const plurals = { Deployment: 'deployments', StatefulSet: 'statefulsets', DaemonSet: 'daemonsets' } as const;

/** Where the API server has a workload. */
export function workloadPath({ kind, namespace, name }: WorkloadRef): string {
  return `/apis/apps/v1/namespaces/${namespace}/${plurals[kind]}/${name}`;
}

/** How a workload is made; a DaemonSet has its pods from the nodes with the label `test/pods` of this name. */
export interface WorkloadOptions {
  readonly pods: number;
  /** Annotations of the pod template; absent = the manifest does not name them. */
  readonly annotations?: Readonly<Record<string, string>>;
  /** Merged into the spec. */
  readonly spec?: Readonly<Record<string, unknown>>;
}

/** What `kubectl apply` would be given: one container, and the label `app` of the workload's name. */
export function workloadManifest(
  { kind, namespace, name }: WorkloadRef,
  { pods, annotations, spec = {} }: WorkloadOptions,
): object {
  const labels = { app: name };
  const template = {
    metadata: { labels, ...(annotations === undefined ? {} : { annotations }) },
    spec: {
      containers: [{ name: 'main', image: 'example.com/app:1' }],
      terminationGracePeriodSeconds: 0,
      ...(kind === 'DaemonSet' ? { nodeSelector: { 'test/pods': name }, tolerations: [{ operator: 'Exists' }] } : {}),
    },
  };
  return {
    apiVersion: 'apps/v1',
    kind,
    metadata: { namespace, name },
    spec: {
      selector: { matchLabels: labels },
      ...(kind === 'DaemonSet' ? {} : { replicas: pods }),
      ...(kind === 'StatefulSet' ? { serviceName: name } : {}),
      template,
      ...spec,
    },
  };
}

/** Makes a workload. */
export async function createWorkload(kube: Kube, ref: WorkloadRef, options: WorkloadOptions): Promise<void> {
  const path = workloadPath(ref).slice(0, -ref.name.length - 1);
  const answer = await kube.request('POST', path, { body: workloadManifest(ref, options) });
  if (answer.status !== 201) throw new Error(`${ref.kind} ${ref.name} refused: ${JSON.stringify(answer.body)}`);
}

interface Pod {
  readonly metadata: { readonly name: string; readonly deletionTimestamp?: string };
  readonly status?: { readonly phase?: string };
}

/** Plays the kubelet once: every pod of the workload that is not ready becomes ready. Returns how many there are. */
export async function readyPods(kube: Kube, { namespace, name }: WorkloadRef): Promise<number> {
  const pods = `/api/v1/namespaces/${namespace}/pods`;
  const { items } = (await kube.request('GET', `${pods}?labelSelector=app%3D${name}`)).body as { items: readonly Pod[] };
  const now = new Date().toISOString();
  for (const { metadata, status } of items) {
    if (status?.phase === 'Running' || metadata.deletionTimestamp !== undefined) continue;
    const conditions = ['Initialized', 'Ready', 'ContainersReady'].map((type) => ({
      type,
      status: 'True',
      lastTransitionTime: now,
    }));
    // It may be gone by now: then there is nothing to make ready.
    await kube.request('PATCH', `${pods}/${metadata.name}/status`, {
      body: { status: { phase: 'Running', conditions } },
      contentType: 'application/merge-patch+json',
    });
  }
  return items.length;
}

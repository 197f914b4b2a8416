import { restartedFor } from '../../operator/src/consumers/port.ts';
import type { Workload, WorkloadKind } from '../../operator/src/resources/port.ts';

/** The ApiKey and version that {@link workload} was restarted for. */
export const sought = { apiKeyName: 'billing', keyId: 'newKey' } as const;

/** A workload of three pods that was restarted for {@link sought}, whose controller has seen it and replaced no pod yet. */
export function workload(kind: WorkloadKind = 'Deployment'): Workload {
  const counts =
    kind === 'DaemonSet'
      ? { desiredNumberScheduled: 3, updatedNumberScheduled: 0, numberAvailable: 3 }
      : { replicas: 3, updatedReplicas: 0, availableReplicas: 3 };
  return {
    kind,
    metadata: { namespace: 'payments', name: 'billing', uid: 'u-1', resourceVersion: '7', generation: 2 },
    spec: {
      ...(kind === 'DaemonSet' ? {} : { replicas: 3 }),
      template: { metadata: { annotations: { [restartedFor(sought.apiKeyName)]: sought.keyId } } },
    },
    status: { observedGeneration: 2, ...counts },
  };
}

/** Every pod is a new one, and available. */
export function rolledOut(one: Workload): Workload {
  const counts = one.kind === 'DaemonSet' ? { updatedNumberScheduled: 3 } : { updatedReplicas: 3 };
  return withStatus(one, counts);
}

export function withStatus(one: Workload, status: Partial<NonNullable<Workload['status']>>): Workload {
  return { ...one, status: { ...one.status, ...status } };
}

export function withSpec(one: Workload, spec: Partial<Workload['spec']>): Workload {
  return { ...one, spec: { ...one.spec, ...spec } };
}

export function withMetadata(one: Workload, metadata: Partial<Workload['metadata']>): Workload {
  return { ...one, metadata: { ...one.metadata, ...metadata } };
}

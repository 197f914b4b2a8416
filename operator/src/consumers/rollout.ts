import type { Workload } from '../resources/port.ts';
import { restartedKeyId } from './port.ts';

/** How many pods a workload should have, how many of them have the present template, and how many can be used. */
export interface PodCounts {
  readonly wanted: number;
  readonly updated: number;
  readonly available: number;
}

/**
 * How far a workload has come on its way to one version.
 * - `missing`: there is none, or it is being deleted.
 * - `notAsked`: it was not restarted for this version; `observed` is what its restart is decided on.
 * - `inProgress`: its controller replaces the pods.
 * - `stuck`: its progress deadline has passed; only Deployments have one.
 * - `paused`: its controller replaces nothing until somebody resumes it.
 * - `byHand`: its controller replaces no more pods, by its update strategy: somebody deletes the rest, or lowers the partition.
 */
export type Rollout =
  | { readonly kind: 'missing' | 'paused' | 'complete' }
  | { readonly kind: 'notAsked'; readonly observed: Workload }
  | { readonly kind: 'inProgress' | 'stuck'; readonly pods: PodCounts }
  | { readonly kind: 'byHand'; readonly pods: PodCounts; readonly strategy: 'OnDelete' | 'partition' };

/** Which version, of which ApiKey, a workload should have been restarted for. */
export interface SoughtVersion {
  readonly apiKeyName: string;
  readonly keyId: string;
}

/**
 * Judges a workload as `kubectl rollout status` does (kubectl's `polymorphichelpers/rollout_status.go`), but for what that
 * leaves out: old pods under OnDelete or below a partition still hold the old value, so they are no end.
 */
export function rolloutOf(workload: Workload | undefined, { apiKeyName, keyId }: SoughtVersion): Rollout {
  if (workload === undefined || workload.metadata.deletionTimestamp !== undefined) return { kind: 'missing' };
  if (restartedKeyId(workload, apiKeyName) !== keyId) return { kind: 'notAsked', observed: workload };
  const { kind, metadata, spec, status } = workload;
  const pods = kind === 'DaemonSet' ? daemonPodsOf(workload) : replicasOf(workload);
  // Until its controller has seen the restart, the counts speak of the template before it.
  if ((status?.observedGeneration ?? 0) < (metadata.generation ?? 1)) return { kind: 'inProgress', pods };
  const old = kind === 'DaemonSet' ? 0 : (status?.replicas ?? 0) - pods.updated;
  if (pods.updated >= pods.wanted && pods.available >= pods.wanted && old <= 0) return { kind: 'complete' };
  if (kind === 'Deployment') {
    if (spec.paused === true) return { kind: 'paused' };
    const progressing = status?.conditions?.find((condition) => condition.type === 'Progressing');
    return { kind: progressing?.reason === 'ProgressDeadlineExceeded' ? 'stuck' : 'inProgress', pods };
  }
  const strategy = heldBackBy(workload, pods);
  return strategy === undefined ? { kind: 'inProgress', pods } : { kind: 'byHand', pods, strategy };
}

function replicasOf({ spec, status }: Workload): PodCounts {
  return {
    wanted: spec.replicas ?? 1,
    updated: status?.updatedReplicas ?? 0,
    available: status?.availableReplicas ?? 0,
  };
}

function daemonPodsOf({ status }: Workload): PodCounts {
  return {
    wanted: status?.desiredNumberScheduled ?? 0,
    updated: status?.updatedNumberScheduled ?? 0,
    available: status?.numberAvailable ?? 0,
  };
}

/** Why the controller of a StatefulSet or DaemonSet replaces no more pods, if that is so. */
function heldBackBy({ spec }: Workload, { wanted, updated }: PodCounts): 'OnDelete' | 'partition' | undefined {
  if (updated >= wanted) return undefined;
  if (spec.updateStrategy?.type === 'OnDelete') return 'OnDelete';
  const partition = spec.updateStrategy?.rollingUpdate?.partition ?? 0;
  return updated >= wanted - partition ? 'partition' : undefined;
}

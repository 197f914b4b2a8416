/** The statuses that kstatus tells of an object that is there. */
export type KStatus = 'InProgress' | 'Current' | 'Failed' | 'Terminating';

/** Of an object, what kstatus looks at. */
export interface KStatusObject {
  readonly metadata: { readonly generation?: number | undefined; readonly deletionTimestamp?: string | undefined };
  readonly status?:
    | {
        readonly observedGeneration?: number | undefined;
        readonly conditions?: readonly { readonly type: string; readonly status: string }[] | undefined;
      }
    | undefined;
}

/**
 * What Flux, `kpt` and others make of a custom resource: the rules of `Compute` in sigs.k8s.io/cli-utils
 * (pkg/kstatus/status, October 2025), in its order. A status without an observedGeneration is believed, so that only the
 * Ready=Unknown of the schema's default keeps a fresh object from being Current.
 */
export function kstatusOf({ metadata, status }: KStatusObject): KStatus {
  if (metadata.deletionTimestamp !== undefined) return 'Terminating';
  const { observedGeneration, conditions = [] } = status ?? {};
  if (observedGeneration !== undefined && metadata.generation !== undefined && observedGeneration !== metadata.generation)
    return 'InProgress';
  for (const condition of conditions) {
    if (condition.status !== 'True') continue;
    if (condition.type === 'Reconciling') return 'InProgress';
    if (condition.type === 'Stalled') return 'Failed';
  }
  const ready = conditions.find(({ type }) => type === 'Ready');
  return ready === undefined || ready.status === 'True' ? 'Current' : 'InProgress';
}

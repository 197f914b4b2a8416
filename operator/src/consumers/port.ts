import { group } from '../api/meta.ts';
import type { Workload, WorkloadKind } from '../resources/port.ts';

/** A workload that uses the value: an entry of `spec.consumers`, in the namespace of the ApiKey. */
export interface ConsumerRef {
  readonly kind: WorkloadKind;
  readonly name: string;
}

/** For which ApiKey a workload is looked at or restarted. */
export interface ConsumingKey {
  readonly namespace: string;
  readonly name: string;
}

/** A restart, and the picture of the workload that it was decided on. */
export interface RestartOrder {
  readonly consumer: ConsumerRef;
  readonly apiKey: ConsumingKey;
  /** The version that the workload is to read. */
  readonly keyId: string;
  readonly observed: Workload;
}

/**
 * What came of a restart. `already`: it was restarted for this version before. `missing`: the workload is not there.
 * `lost`: somebody restarted it for another version meanwhile, or it is another workload, or it changes too fast; look
 * again.
 */
export type RestartOutcome = 'patched' | 'already' | 'missing' | 'lost';

/** The workloads that use the values of ApiKeys. Every call has its own timeout and throws only `Failure`. */
export interface Consumers {
  /** The workload as it is now; `undefined` = there is none. */
  look(consumer: ConsumerRef, namespace: string): Promise<Workload | undefined>;
  /**
   * Restarts the workload by the annotation {@link restartedFor} of its pod template, on the condition that the
   * annotation is still the observed one. So a workload rolls once for a version, whoever crashes or leads, and a leader
   * that was paused never goes back to an older version.
   */
  restart(order: RestartOrder): Promise<RestartOutcome>;
}

/**
 * The annotation of a pod template whose value is the key id that the workload was last restarted for. Each ApiKey has
 * one of its own: with a common one, two keys of one workload would make each other roll it for ever. It stays when the
 * ApiKey goes, because taking it away would roll the workload once more.
 *
 * @example restartedFor('billing') // 'restarted-for.keywright.dev/billing'
 */
export function restartedFor(apiKeyName: string): string {
  return `restarted-for.${group}/${apiKeyName}`;
}

/** The key id that the workload was last restarted for on behalf of this ApiKey, if ever. */
export function restartedKeyId(workload: Workload, apiKeyName: string): string | undefined {
  return workload.spec.template?.metadata?.annotations?.[restartedFor(apiKeyName)];
}

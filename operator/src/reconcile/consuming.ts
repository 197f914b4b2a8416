import {
  areRolledOut,
  nextLookAt,
  restartsOf,
  wasAdopted,
  type ConsumerSight,
  type ConsumerState,
  type NamedConsumer,
} from '../consumers/adoption.ts';
import { observeConsumer, restartConsumer } from '../consumers/observe.ts';
import type { ConsumerRef } from '../consumers/port.ts';
import { durationMs } from '../domain/duration.ts';
import { secretDestinationUid } from '../domain/key.ts';
import type { Instant } from '../domain/time.ts';
import type { Action } from './action.ts';
import type { Dependencies } from './dependencies.ts';
import { activeVersion, type Observed } from './observed.ts';
import { holdsOneOf } from './verdict.ts';

/** What a step taught about workloads. */
export type WorkloadChanges = readonly (readonly [name: string, sight: ConsumerSight])[];

/** The name of a workload in `Observed.workloads`. */
export function workloadName({ kind, name }: ConsumerRef): string {
  return `${kind}/${name}`;
}

/** `spec.consumers`, with durations read. */
export function namedConsumers(o: Observed): readonly NamedConsumer[] {
  return (o.resource.spec.consumers ?? []).map(({ kind, name, restart, restartAfter }) => ({
    kind,
    name,
    restart,
    restartAfterMs: durationMs(restartAfter),
  }));
}

/**
 * The consumers that are to be restarted for the active version, and how far that has come. None without an active version, and
 * none when nobody restarts consumers. Once a version was called adopted its consumers are left alone.
 */
export function consumerStates(o: Observed): readonly ConsumerState[] {
  const active = activeVersion(o);
  const { workloads } = o;
  if (active === undefined || workloads === undefined) return [];
  const seen = { keyId: active.keyId, generation: o.resource.metadata.generation };
  const isDone = wasAdopted(o.resource.status, seen);
  const activatedAt = active.activatedAt ?? active.issuedAt;
  return restartsOf({ consumers: namedConsumers(o), activatedAt, secrets: secretsOf(o, active.keyId) }).map((one) => ({
    ...one,
    sight: isDone ? { kind: 'complete' } : (workloads.get(workloadName(one.consumer)) ?? { kind: 'unseen' }),
  }));
}

function secretsOf(o: Observed, keyId: string): 'none' | 'waiting' | 'delivered' {
  const secrets = o.targets.filter(({ location }) => location?.destinationUid === secretDestinationUid);
  if (secrets.length === 0) return 'none';
  return secrets.every((target) => holdsOneOf(o, target, [keyId])) ? 'delivered' : 'waiting';
}

/** Whether the rollouts prove that nobody holds an older value any more; false when nobody restarts consumers. */
export function isRolledOut(o: Observed): boolean {
  return o.workloads !== undefined && areRolledOut(namedConsumers(o), consumerStates(o));
}

/** When the consumers are to be looked at again. */
export function nextConsumerLook(o: Observed): Instant | undefined {
  return nextLookAt(consumerStates(o), o.now);
}

/** Looks at workloads, or restarts them on the picture that was taken of them. A failure is part of the picture. */
export async function attend(
  deps: Dependencies,
  o: Observed,
  action: Extract<Action, { kind: 'lookAtConsumers' | 'restartConsumers' }>,
): Promise<WorkloadChanges> {
  const { consumers } = deps;
  const active = activeVersion(o);
  if (consumers === undefined || active === undefined) return [];
  const { namespace, name } = o.ref;
  if (action.kind === 'lookAtConsumers') {
    const sought = { namespace, apiKeyName: name, keyId: active.keyId };
    return Promise.all(
      action.at.map(async (consumer) => [workloadName(consumer), await observeConsumer(consumers, consumer, sought)] as const),
    );
  }
  return Promise.all(
    action.at.map(async ({ consumer, observed }) => {
      deps.assertLeading();
      const order = { consumer, apiKey: { namespace, name }, keyId: active.keyId, observed };
      return [workloadName(consumer), await restartConsumer(consumers, order)] as const;
    }),
  );
}

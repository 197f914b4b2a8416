import type { ApiKeyStatus } from '../api/kinds.ts';
import type { Failure } from '../domain/failure.ts';
import type { Reason } from '../domain/reason.ts';
import { ceilToSecond, formatInstant } from '../domain/time.ts';
import type { Instant } from '../domain/time.ts';
import type { ConsumerRef } from './port.ts';
import type { PodCounts, Rollout } from './rollout.ts';

/** An entry of `spec.consumers`, as its schema has read it. */
export interface NamedConsumer extends ConsumerRef {
  readonly restart: boolean;
  readonly restartAfterMs: number;
}

/** What says when the consumers of an ApiKey are restarted for its active version. */
export interface Adopting {
  readonly consumers: readonly NamedConsumer[];
  readonly activatedAt: Instant;
  /** `none`: no target is a Secret. `waiting`: a Secret does not hold the active version yet. */
  readonly secrets: 'none' | 'waiting' | 'delivered';
}

/** When a consumer is restarted. `undelivered`: a Secret waits for the value. `unscheduled`: nobody said when. */
export type Due = { readonly kind: 'at'; readonly at: Instant } | { readonly kind: 'undelivered' | 'unscheduled' };

/** What a pass has seen of a workload; a failed patch counts as a failed look. */
export type ConsumerSight = Rollout | { readonly kind: 'unseen' } | { readonly kind: 'failed'; readonly failure: Failure };

/** A consumer that is to be restarted for the active version, and how far that has come. */
export interface ConsumerState {
  readonly consumer: ConsumerRef;
  readonly due: Due;
  readonly sight: ConsumerSight;
}

/** What the condition Adopted says as long as a rollout is missing. */
export interface RolloutStatement {
  readonly status: 'False';
  readonly reason: Reason;
  readonly message: string;
}

/**
 * When each consumer with `restart: true` is restarted. A Secret has the value when the version is activated; where
 * another tool brings it into the cluster, only `restartAfter` can say when that is done.
 */
export function restartsOf({ consumers, activatedAt, secrets }: Adopting): readonly Omit<ConsumerState, 'sight'>[] {
  return consumers
    .filter(({ restart }) => restart)
    .map(({ kind, name, restartAfterMs }) => ({ consumer: { kind, name }, due: dueOf(restartAfterMs) }));

  function dueOf(restartAfterMs: number): Due {
    if (secrets === 'waiting') return { kind: 'undelivered' };
    if (secrets === 'none' && restartAfterMs === 0) return { kind: 'unscheduled' };
    return { kind: 'at', at: ceilToSecond(activatedAt + restartAfterMs) };
  }
}

/** Due, and not looked at in this pass. */
export function consumersToLookAt(states: readonly ConsumerState[], now: Instant): readonly ConsumerRef[] {
  return states.filter(({ due, sight }) => isDue(due, now) && sight.kind === 'unseen').map(({ consumer }) => consumer);
}

/** Due, and seen not to have been restarted for this version. */
export function consumersToRestart(states: readonly ConsumerState[], now: Instant): readonly ConsumerRef[] {
  return states.filter(({ due, sight }) => isDue(due, now) && sight.kind === 'notAsked').map(({ consumer }) => consumer);
}

/**
 * Whether the rollouts prove that nobody holds the old value any more: every consumer that is named was restarted and is
 * complete. One that is not restarted proves nothing, nor does a list without consumers.
 */
export function areRolledOut(consumers: readonly NamedConsumer[], states: readonly ConsumerState[]): boolean {
  return (
    consumers.length > 0 &&
    consumers.every(({ kind, name }) =>
      states.some(({ consumer, sight }) => consumer.kind === kind && consumer.name === name && sight.kind === 'complete'),
    )
  );
}

/**
 * Whether the status already says that this version is adopted, for this specification. Then its consumers are left alone:
 * a tool that replaces whole objects, and so takes the annotation away, makes them roll by that, and not once more by us.
 */
export function wasAdopted(
  status: ApiKeyStatus | undefined,
  version: { keyId: string; generation: number | undefined },
): boolean {
  const adopted = status?.conditions?.find(({ type }) => type === 'Adopted');
  return (
    adopted?.status === 'True' && adopted.observedGeneration === version.generation && status?.currentKey?.id === version.keyId
  );
}

/** What Adopted adds where `KEYWRIGHT_CONSUMERS` is off and somebody asked for a restart: it holds nothing up. */
export function switchedOffMessage(consumers: readonly NamedConsumer[]): string | undefined {
  const names = consumers.filter(({ restart }) => restart).map(({ kind, name }) => `${kind} ${name}`);
  return names.length === 0 ? undefined : `KEYWRIGHT_CONSUMERS is off: not restarted: ${names.join(', ')}`;
}

const leastPauseMs = 5_000;
const longestPauseMs = 600_000;

/**
 * When the consumers are to be looked at again: at the instant of a restart, and after it in pauses of a quarter of the
 * time since, at least 5 s and at most 10 min. `undefined` = no instant would tell anything new.
 *
 * The cost: a rollout of five minutes is read 16 times, one of an hour 28 times; one that never ends six times an hour. So
 * 1,000 keys whose rollouts begin together make at most 200 reads a second for 20 s, and 1,000 that hang two a second.
 * Watches would be one connection for each workload, or every change of every workload of the cluster.
 */
export function nextLookAt(states: readonly ConsumerState[], now: Instant): Instant | undefined {
  const instants = states.flatMap(({ due, sight }) => {
    if (due.kind !== 'at' || sight.kind === 'complete') return [];
    if (due.at > now) return [due.at];
    const askedMs = sight.kind === 'failed' ? (sight.failure.retryAfterMs ?? 0) : 0;
    const pauseMs = Math.min(Math.max((now - due.at) / 4, leastPauseMs), longestPauseMs);
    return [ceilToSecond(now + Math.max(pauseMs, askedMs))];
  });
  return instants.length === 0 ? undefined : Math.min(...instants);
}

/** The most telling reason of several: what asks for a person comes before what only takes time. */
const order: readonly Reason[] = ['NotPermitted', 'ConsumerNotFound', 'RolloutStuck', 'InvalidSpec', 'RolloutInProgress'];

/**
 * The part of Adopted that the rollouts have: why it is False, each consumer in a sentence; `undefined` when all are
 * complete, or none is to be restarted, so that only the usage counts.
 */
export function consumersStatement(states: readonly ConsumerState[], now: Instant): RolloutStatement | undefined {
  const open = states.flatMap((state) => {
    const told = openPointOf(state, now);
    return told === undefined ? [] : [told];
  });
  if (open.length === 0) return undefined;
  const reason = order.find((one) => open.some((point) => point.reason === one)) ?? 'RolloutInProgress';
  return { status: 'False', reason, message: open.map(({ message }) => message).join('; ') };
}

interface OpenPoint {
  readonly reason: Reason;
  readonly message: string;
}

function openPointOf({ consumer, due, sight }: ConsumerState, now: Instant): OpenPoint | undefined {
  const who = `${consumer.kind} ${consumer.name}`;
  const point = (reason: Reason, rest: string): OpenPoint => ({ reason, message: `${who} ${rest}` });
  if (due.kind !== 'at') {
    const [reason, rest] = undue[due.kind];
    return point(reason, rest);
  }
  if (due.at > now) return point('RolloutInProgress', `is restarted at ${formatInstant(due.at)}`);
  switch (sight.kind) {
    case 'complete':
      return undefined;
    case 'unseen':
    case 'notAsked':
      return point('RolloutInProgress', 'is about to be restarted');
    case 'missing':
      return point('ConsumerNotFound', 'does not exist');
    case 'inProgress':
      return point('RolloutInProgress', `is rolling out: ${formatPods(sight.pods)}`);
    case 'stuck':
      return point('RolloutStuck', `has passed its progress deadline: ${formatPods(sight.pods)}`);
    case 'paused':
      return point('RolloutStuck', 'is paused: it rolls out when somebody resumes it');
    case 'byHand':
      return point('RolloutStuck', `waits for a person: ${formatPods(sight.pods)}, and ${heldBack[sight.strategy]}`);
    case 'failed': {
      const { reason, message } = sight.failure;
      return point(reason === 'NotPermitted' ? reason : 'RolloutInProgress', `cannot be restarted or followed: ${message}`);
    }
  }
}

const undue = {
  undelivered: ['RolloutInProgress', 'is restarted when every Secret of the ApiKey holds the current version'],
  unscheduled: [
    'InvalidSpec',
    'is not restarted: no target is a Secret, so restartAfter must say when it can read the new value',
  ],
} as const;

const heldBack = {
  OnDelete: 'by the update strategy OnDelete the others keep the old value until somebody deletes them',
  partition: 'by the partition of its update strategy the others keep the old value until somebody lowers it',
} as const;

function formatPods({ wanted, updated, available }: PodCounts): string {
  return `${updated} of ${wanted} pods are new, ${available} available`;
}

function isDue(due: Due, now: Instant): boolean {
  return due.kind === 'at' && due.at <= now;
}

import type { ApiKey, ApiKeyStatus } from '../api/kinds.ts';
import { Failure, transient } from '../domain/failure.ts';
import { formatRef } from '../domain/key.ts';
import type { Reason } from '../domain/reason.ts';
import { parseInstant, type Instant } from '../domain/time.ts';
import type { Delivery } from '../domain/version.ts';
import type { Next } from '../queue/queue.ts';
import type { EventRecord, StatusOutcome } from '../resources/port.ts';
import type { AdmissionState } from './acceptance.ts';
import type { Action, Plan } from './action.ts';
import type { Dependencies } from './dependencies.ts';
import { attend } from './consuming.ts';
import { newsOf, readyNews, storyOf, type Story } from './events.ts';
import { execute } from './execute.ts';
import { observe, withSights, type Sights, type WorkloadSights } from './observe.ts';
import { isCompared, isOutOfReach, openTargets, sightOf, successorOf, type Comparison, type Observed } from './observed.ts';
import { plan } from './plan.ts';
import { retryAt } from './retry.ts';
import { failedStatusOf, statusOf } from './status.ts';
import { newestExpiry } from './succession.ts';
import { tellLeftBehind, tellLeftElsewhere } from './vanished.ts';
import { readyOf } from './verdict.ts';
import { stalledRetryMs } from './wake.ts';

/** More steps in one pass than any life needs; then the item goes back into the queue. */
const maxSteps = 40;

/** What came of one pass. */
export interface Pass {
  readonly next: Next;
  /** Every location that was to be compared was looked at. */
  readonly compared: boolean;
  /** The ApiKey is Ready. */
  readonly ready: boolean;
  /** When the newest version expires or has expired; `never` also when it was revoked, absent = it is not known. */
  readonly expiresAt?: Instant | 'never';
  /** A change of the ApiKey is not accepted; absent = it is not known. */
  readonly held?: boolean;
  /** What it waits for, if it does. */
  readonly waitsFor?: Reason;
  /** The pass failed, and is not tried again before this, unless something changes. */
  readonly backOffUntil?: Instant;
  /** The resourceVersion of the status that it wrote; absent = it wrote none. */
  readonly toldAt?: string | undefined;
}

/**
 * One ApiKey, just read live, one pass: observe → plan → execute, until nothing is left to do now; then the status. `toldBefore`:
 * events that safety passes have recorded since the last status.
 */
export async function reconcile(
  deps: Dependencies,
  resource: ApiKey,
  compare: Comparison,
  toldBefore: Story = [],
): Promise<Pass> {
  const started = deps.clock.monotonicMs();
  try {
    const { observed, decided, told } = await runSteps(deps, resource, compare);
    const toldAt = await writeStatus(deps, observed, decided, [...toldBefore, ...told]);
    deps.edits.note(observed.ref);
    const { blocker } = decided;
    deps.metrics.reconciled({
      outcome: blocker?.kind ?? 'steady',
      reason: blocker?.reason ?? 'Steady',
      durationMs: deps.clock.monotonicMs() - started,
    });
    const next: Next = decided.wakeAt === undefined ? { kind: 'awaitChange' } : { kind: 'at', at: decided.wakeAt };
    const compared = openTargets(observed).every(
      (target) => !isCompared(compare, target) || sightOf(observed, target.location).reading !== undefined,
    );
    const ready = readyOf(observed, decided).status === 'True';
    const expiresAt = newestExpiry(observed);
    const held = observed.acceptance.kind === 'held';
    return {
      next,
      compared,
      ready,
      held,
      expiresAt,
      toldAt,
      ...(blocker?.kind === 'waiting' ? { waitsFor: blocker.reason } : {}),
    };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return await passOfFailure(deps, resource, error, started);
  }
}

/** What comes of a pass that failed: the status says why, and when it is tried again. */
export async function passOfFailure(deps: Dependencies, resource: ApiKey, failure: Failure, startedMs: number): Promise<Pass> {
  const { kind, reason } = failure;
  if (reason === 'ConflictRetry') return conflict;
  deps.metrics.reconciled({ outcome: kind, reason, durationMs: deps.clock.monotonicMs() - startedMs });
  const waiting = kind === 'waiting' ? { waitsFor: reason } : {};
  const failed = await fail(deps, resource, failure).catch((later: unknown) => {
    // The resource changed while this pass failed: its result is outdated.
    if (later instanceof Failure && later.reason === 'ConflictRetry') return undefined;
    throw later;
  });
  return failed === undefined ? conflict : { ...failed, compared: false, ready: false, ...waiting };
}

/** Another writer was faster: the next pass reads again. */
const conflict: Pass = { next: { kind: 'conflict' }, compared: false, ready: false };

async function runSteps(
  deps: Dependencies,
  first: ApiKey,
  compare: Comparison,
): Promise<{ readonly observed: Observed; readonly decided: Plan; readonly told: Story }> {
  const told: EventRecord[] = [];
  let last: { readonly before: Observed; readonly action: Action } | undefined;
  let resource = first;
  let sights: Sights = new Map();
  let workloads: WorkloadSights = new Map();
  // A namespace that ends deletes Secrets first, and the watch of Secrets may be ahead of that of namespaces.
  const readNamespace = () => deps.resources.readLive('Namespace', { name: first.metadata.namespace ?? '' });
  let namespace = compare === 'none' ? undefined : await readNamespace();
  let admission: AdmissionState | undefined;
  for (let step = 0; step < maxSteps; step += 1) {
    const observed = await observe(deps, resource, { sights, workloads, compare, namespace, admission });
    if (last !== undefined) told.push(...tell(deps, first, storyOf({ ...last, after: observed })));
    last = undefined;
    const decided = plan(observed);
    const { action } = decided;
    if (action === undefined) return { observed, decided, told };
    // The same for a pass that had begun before: what is lost on the way out of a namespace is not replaced.
    if (action.kind === 'mint' && action.cause === 'ValueLost' && !observed.namespaceTerminating) {
      namespace = await readNamespace();
      if (namespace?.metadata.deletionTimestamp !== undefined) continue;
    }
    last = { before: observed, action };
    deps.log.debug('step', { apiKey: formatRef(observed.ref), action: action.kind, message: decided.rule });
    if (action.kind === 'checkAdmission') {
      admission = await deps.admission.check();
      continue;
    }
    if (action.kind === 'lookAtConsumers' || action.kind === 'restartConsumers') {
      workloads = new Map([...workloads, ...(await attend(deps, observed, action))]);
      continue;
    }
    const changes = await execute(deps, observed, action);
    if (action.kind === 'finishWithdrawal') tellIfLeft(deps, observed, action.delivery);
    if (action.kind === 'removeFinalizer') return { observed, decided: { rule: decided.rule }, told };
    sights = withSights(sights, changes);
    if (action.kind !== 'addFinalizer') continue;
    resource = (await deps.resources.readLive('ApiKey', observed.ref)) ?? resource;
    // The resource may have changed after the check.
    admission = undefined;
  }
  throw transient('InternalError', `not finished after ${maxSteps} steps; will retry`);
}

/** Writes the status when it says something new; a resource on its last step has none any more. Gives the version that it made. */
async function writeStatus(deps: Dependencies, o: Observed, decided: Plan, told: Story): Promise<string | undefined> {
  if (o.resource.metadata.deletionTimestamp !== undefined && decided.blocker === undefined) return undefined;
  const status = statusOf(o, decided);
  if (sameStatus(o.resource.status, status)) return undefined;
  // A leader that was paused until another one worked would write what it knew back then.
  deps.assertLeading();
  deps.assertCurrent?.();
  announce(deps, o.resource, status, told);
  return versionOf(await deps.resources.applyStatus('ApiKey', o.resource.metadata, status));
}

function versionOf(outcome: StatusOutcome): string | undefined {
  return outcome === 'lost' ? undefined : outcome.resourceVersion;
}

async function fail(
  deps: Dependencies,
  resource: ApiKey,
  failure: Failure,
): Promise<Pick<Pass, 'next' | 'backOffUntil' | 'toldAt'>> {
  const now = deps.clock.now();
  // A changed spec starts anew: what failed before may be what was mended.
  const sameSpec = resource.status?.observedGeneration === resource.metadata.generation;
  const previous = sameSpec ? resource.status : withoutFailures(resource.status);
  const earlier = previous?.failures?.count ?? 0;
  const at = retryAt(failure, earlier, now, (deps.random(1)[0] ?? 0) / 256);
  const apiKey = formatRef({ namespace: resource.metadata.namespace ?? '', name: resource.metadata.name });
  deps.log.warn('reconcile failed', {
    apiKey,
    failure: failure.kind,
    reason: failure.reason,
    message: failure.message,
    retryInMs: at - now,
  });
  const status = failedStatusOf(previous, failure, { now, retryAt: at, generation: resource.metadata.generation });
  deps.assertLeading();
  deps.assertCurrent?.();
  announce(deps, resource, status, []);
  const toldAt = versionOf(await deps.resources.applyStatus('ApiKey', resource.metadata, status));
  return { next: { kind: 'at', at }, backOffUntil: at, toldAt };
}

function withoutFailures(status: ApiKeyStatus | undefined): ApiKeyStatus | undefined {
  if (status === undefined) return undefined;
  const { failures: _, ...rest } = status;
  return rest;
}

/** A place that nobody can empty any more: its destination is gone and has no successor, or has become another place. */
function tellIfLeft(deps: Dependencies, o: Observed, delivery: Delivery): void {
  if (isOutOfReach(o, delivery)) tellLeftElsewhere(deps, o.ref, delivery.location);
  const isLeft = sightOf(o, delivery.location).vanished === true && successorOf(o, delivery) === undefined;
  if (isLeft) tellLeftBehind(deps, o.ref, delivery.location);
}

/** Records what there is to tell; gives it back, so that the status does not tell it again. */
function tell(deps: Dependencies, resource: ApiKey, story: Story): Story {
  for (const event of story) deps.resources.recordEvent('ApiKey', resource.metadata, event);
  return story;
}

/** What the status begins to say: as events, and what becomes of Ready in the log too. */
function announce(deps: Dependencies, resource: ApiKey, status: ApiKeyStatus, told: Story): void {
  tell(deps, resource, newsOf(resource.status, status, told));
  const [ready] = readyNews(resource.status, status);
  if (ready === undefined) return;
  const apiKey = formatRef({ namespace: resource.metadata.namespace ?? '', name: resource.metadata.name });
  const { type, reason, message } = ready;
  if (type === 'Warning') deps.log.warn('not ready', { apiKey, reason, message });
  else deps.log.info(reason === 'Available' ? 'ready' : 'under way', { apiKey, reason, message });
}

/**
 * The instant until which an earlier process backed off, if it still counts. A changed spec resets it, and an instant further
 * away than any back-off of ours is forged.
 */
export function backOffUntil({ status, metadata }: ApiKey, now: Instant): Instant | undefined {
  if (status?.failures?.retryAt === undefined || status.observedGeneration !== metadata.generation) return undefined;
  const until = parseInstant(status.failures.retryAt);
  return until !== undefined && until <= now + stalledRetryMs ? until : undefined;
}

/** Whether two statuses say the same, whatever the order of members and entries. */
export function sameStatus(a: unknown, b: unknown): boolean {
  return JSON.stringify(ordered(a)) === JSON.stringify(ordered(b));
}

/** Members in one order, so that two texts can be compared; a server returns them in its own. */
function ordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ordered).sort((x, y) => (JSON.stringify(x) < JSON.stringify(y) ? -1 : 1));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value)
      .map(([name, member]) => [name, ordered(member)] as const)
      .sort(([x], [y]) => (x < y ? -1 : 1)),
  );
}

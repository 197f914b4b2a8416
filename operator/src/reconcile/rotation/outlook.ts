import { annotations } from '../../api/meta.ts';
import type { Instant } from '../../domain/time.ts';
import type { Version } from '../../domain/version.ts';
import type { UsageHorizon } from '../../store/horizon.ts';
import { nearerEnd } from '../../store/ends.ts';
import type { HandledRequests, VersionEnd } from '../../store/port.ts';
import { activeVersion, deliveryAt, liveVersions, type Observed } from '../observed.ts';
import { expiryNow } from '../validate.ts';
import { holdsOneOf } from '../verdict.ts';
import { stepOfPlanned, stepOfRequested, type Brakes, type RotationStep } from './begin.ts';
import { rotationDue, type RotationDue } from './due.ts';
import { retirementPolicyOf, rotationPolicyOf } from './policy.ts';
import { longestCompromisedRequest, longestRotateRequest, rememberedForm, requestOf, type Request } from './requests.ts';
import { retirementOf, type Retirement } from './retire.ts';
import { windowsOf } from './windows.ts';

/** What the observation of one key does not hold itself. */
export interface Evidence {
  readonly horizon: UsageHorizon;
  /** Every consumer was restarted and has rolled out. */
  readonly rolledOut: boolean;
  /** See `Brakes.writableAt`. */
  readonly writableAt?: Instant;
}

/** An old version, and what becomes of it. */
export interface Retiring {
  readonly version: Version;
  readonly retirement: Retirement;
}

/** Where a key stands between two rotations. Needs a spec that is valid: a schedule that cannot be read throws. */
export interface Outlook {
  /** Present = so the version is to be replaced by itself. */
  readonly due?: RotationDue;
  /** What becomes of the next rotation: one that was asked for counts before the planned one. */
  readonly step: RotationStep;
  /** Versions that are valid besides the active one. */
  readonly retiring: readonly Retiring[];
  /** Ends that are nearer than the store's. */
  readonly bringForward: readonly VersionEnd[];
  /** When something of this may change by time alone: always after now. */
  readonly wakeAt?: Instant;
}

/**
 * The requests that count as handled, from the store and never from the status: a forged status could make a compromise report,
 * or a request to rotate, count as answered. After a restore, what the store forgot is handled again: a report ends only what it
 * names, and the version that is minted because the store is behind answers a rotation.
 */
export function handledRequests(o: Observed): HandledRequests {
  return o.store.key?.handled ?? {};
}

function compromisedAsked(o: Observed): string | undefined {
  const value = o.resource.metadata.annotations?.[annotations.compromised];
  return value === undefined || value.length > longestCompromisedRequest ? value : rememberedForm(value);
}

/** The request annotations against what was handled. */
export function requestsOf(o: Observed): { readonly rotate: Request; readonly compromised: Request } {
  const asked = o.resource.metadata.annotations ?? {};
  const first = o.store.highestEpoch === 0;
  const handled = handledRequests(o);
  const { rotate } = annotations;
  return {
    rotate: requestOf({ present: asked[rotate], handled: handled.rotate, first, longest: longestRotateRequest }),
    compromised: requestOf({
      present: compromisedAsked(o),
      handled: handled.compromised,
      first,
      longest: longestCompromisedRequest,
    }),
  };
}

/**
 * What becomes of the versions that are valid besides the active one. Needs no valid spec and no catalog: without one only the
 * last moment of the successor is not known.
 */
export function retirementsOf(o: Observed, evidence: Evidence): Pick<Outlook, 'retiring' | 'bringForward'> {
  const active = activeVersion(o);
  if (active === undefined) return { retiring: [], bringForward: [] };
  const succession = { current: active, activatedAt: active.activatedAt ?? active.issuedAt };
  const deliveredAt = deliveredEverywhereAt(o, active);
  const retiring = liveVersions(o)
    .filter((version) => version.state === 'retiring')
    .map((version) => ({ version, retirement: endOfPredecessor(o, version, { ...succession, deliveredAt }, evidence) }));
  const bringForward = retiring
    .filter(({ version, retirement }) => nearerEnd(version, retirement.notAfter, o.now) !== undefined)
    .map(({ version, retirement }) => ({ keyId: version.keyId, notAfter: retirement.notAfter }));
  return { retiring, bringForward };
}

/** A version that takes or took the place of another. */
export interface Succession {
  readonly current: Version;
  readonly activatedAt: Instant;
  /** When the last location got it; absent = some location still lacks it. */
  readonly deliveredAt: Instant | undefined;
}

/** What becomes of `old`, a version that `succession` ends: see {@link retirementOf}. */
export function endOfPredecessor(
  o: Observed,
  old: Version,
  { current, activatedAt, deliveredAt }: Succession,
  evidence: Evidence,
): Retirement {
  const { spec } = o.resource;
  const policy = rotationPolicyOf(spec, expiryNow(o));
  const due = policy === undefined ? undefined : rotationDue(policy, { ...current, activatedAt }, o.ref.uid);
  const { horizon, rolledOut } = evidence;
  const input = {
    policy: retirementPolicyOf(spec),
    old,
    current: {
      activatedAt,
      ...(current.firstUsedAt === undefined ? {} : { firstUsedAt: current.firstUsedAt }),
      ...(due?.lastAt === undefined ? {} : { lastAt: due.lastAt }),
    },
    rolledOut,
    horizon,
    ...(deliveredAt === undefined ? {} : { deliveredAt }),
  };
  return retirementOf(input, o.now);
}

/** Gathers what the functions of this folder decide for one key; nothing is planned without an active version and a catalog. */
export function outlookOf(o: Observed, evidence: Evidence): Outlook {
  const policy = rotationPolicyOf(o.resource.spec, expiryNow(o));
  const active = activeVersion(o);
  if (policy === undefined || active === undefined) return { step: { kind: 'none' }, retiring: [], bringForward: [] };
  const due = rotationDue(policy, active, o.ref.uid);
  const { retiring, bringForward } = retirementsOf(o, evidence);
  const step = stepFor(o, due, evidence, retiring);
  const instants = retiring.map(({ retirement }) => (retirement.kind === 'waits' ? retirement.lookAt : retirement.notAfter));
  if (step.kind === 'wait') instants.push(step.wakeAt);
  const future = instants.filter((at) => at > o.now);
  const wake = future.length === 0 ? {} : { wakeAt: Math.min(...future) };
  return { ...(due === undefined ? {} : { due }), step, retiring, bringForward, ...wake };
}

function stepFor(o: Observed, due: RotationDue | undefined, evidence: Evidence, retiring: readonly Retiring[]): RotationStep {
  const ends = retiring
    .filter(({ version }) => !version.lost)
    .map(({ version, retirement }) => Math.min(retirement.notAfter, version.notAfter ?? Number.POSITIVE_INFINITY));
  const brakes: Brakes = {
    windows: windowsOf(o.resource.spec.rotation.windows),
    suspended: o.resource.spec.suspend,
    ...(ends.length === 0 ? {} : { olderEndsAt: Math.max(...ends) }),
    ...(evidence.writableAt === undefined ? {} : { writableAt: evidence.writableAt }),
  };
  const planned = stepOfPlanned(due, brakes, o.now);
  if (requestsOf(o).rotate.kind !== 'asked') return planned;
  const requested = stepOfRequested(brakes, o.now);
  return requested.kind === 'wait' && planned.kind === 'begin' ? planned : requested;
}

/** When the last location got the version, or `undefined` while one lacks it. */
function deliveredEverywhereAt(o: Observed, { keyId }: Version): Instant | undefined {
  if (!o.targets.every((target) => holdsOneOf(o, target, [keyId]))) return undefined;
  const rows = o.targets.flatMap(({ location }) => (location === undefined ? [] : (deliveryAt(o, location) ?? [])));
  return Math.max(0, ...rows.map((row) => row.deliveredAt ?? 0));
}

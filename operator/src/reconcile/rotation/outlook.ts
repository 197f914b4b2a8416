import { annotations } from '../../api/meta.ts';
import type { Instant } from '../../domain/time.ts';
import type { Version } from '../../domain/version.ts';
import type { UsageHorizon } from '../../store/horizon.ts';
import type { VersionEnd } from '../../store/port.ts';
import { activeVersion, deliveryAt, liveVersions, type Observed } from '../observed.ts';
import { holdsOneOf } from '../verdict.ts';
import { stepOfPlanned, stepOfRequested, type Brakes, type RotationStep } from './begin.ts';
import { rotationDue, type RotationDue } from './due.ts';
import { rotationPolicyOf, type RotationPolicy } from './policy.ts';
import { longestCompromisedRequest, longestRotateRequest, requestOf, type Request } from './requests.ts';
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

/** The request annotations against what was handled; the status counts where the store remembers nothing. */
export function requestsOf(o: Observed): { readonly rotate: Request; readonly compromised: Request } {
  const asked = o.resource.metadata.annotations ?? {};
  const first = o.store.highestEpoch === 0;
  const handled = o.store.key?.handled ?? {
    rotate: o.resource.status?.lastHandledRotation,
    compromised: o.resource.status?.lastHandledCompromise,
  };
  const { rotate, compromised } = annotations;
  return {
    rotate: requestOf({ present: asked[rotate], handled: handled.rotate, first, longest: longestRotateRequest }),
    compromised: requestOf({
      present: asked[compromised],
      handled: handled.compromised,
      first,
      longest: longestCompromisedRequest,
    }),
  };
}

/** Gathers what the functions of this folder decide for one key; nothing is planned without an active version and a catalog. */
export function outlookOf(o: Observed, evidence: Evidence): Outlook {
  const policy = rotationPolicyOf(o.resource.spec, o.catalog?.spec.policy);
  const active = activeVersion(o);
  if (policy === undefined || active === undefined) return { step: { kind: 'none' }, retiring: [], bringForward: [] };
  const due = rotationDue(policy, active, o.ref.uid);
  const retiring = retiringOf(o, { policy, active, due }, evidence);
  const step = stepFor(o, due, evidence, retiring);
  const bringForward = retiring
    .filter(({ version, retirement }) => retirement.notAfter < (version.notAfter ?? Number.POSITIVE_INFINITY))
    .map(({ version, retirement }) => ({ keyId: version.keyId, notAfter: retirement.notAfter }));
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

interface Succession {
  readonly policy: RotationPolicy;
  readonly active: Version;
  readonly due: RotationDue | undefined;
}

function retiringOf(o: Observed, { policy, active, due }: Succession, evidence: Evidence): readonly Retiring[] {
  const deliveredAt = deliveredEverywhereAt(o, active);
  const current = {
    activatedAt: active.activatedAt ?? active.issuedAt,
    ...(active.firstUsedAt === undefined ? {} : { firstUsedAt: active.firstUsedAt }),
    ...(due?.lastAt === undefined ? {} : { lastAt: due.lastAt }),
  };
  const { horizon, rolledOut } = evidence;
  const given = { policy, current, rolledOut, horizon, ...(deliveredAt === undefined ? {} : { deliveredAt }) };
  return liveVersions(o)
    .filter((version) => version.state === 'retiring')
    .map((version) => ({ version, retirement: retirementOf({ ...given, old: version }, o.now) }));
}

/** When the last location got the version, or `undefined` while one lacks it. */
function deliveredEverywhereAt(o: Observed, { keyId }: Version): Instant | undefined {
  if (!o.targets.every((target) => holdsOneOf(o, target, [keyId]))) return undefined;
  const rows = o.targets.flatMap(({ location }) => (location === undefined ? [] : (deliveryAt(o, location) ?? [])));
  return Math.max(0, ...rows.map((row) => row.deliveredAt ?? 0));
}

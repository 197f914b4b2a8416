import { ceilToSecond, type Instant } from '../../domain/time.ts';
import { useGrainMs, type Version } from '../../domain/version.ts';
import type { UsageHorizon } from '../../store/horizon.ts';
import type { RotationPolicy } from './policy.ts';

/** All that decides when an old version ends. */
export interface RetireInput {
  readonly policy: Pick<RotationPolicy, 'retireOldKey' | 'overlapMs' | 'quietPeriodMs' | 'maxOverlapMs'>;
  readonly old: Pick<Version, 'keyId' | 'lost' | 'lastUsedAt' | 'expiresAt'>;
  /** The version that took its place. */
  readonly current: {
    readonly activatedAt: Instant;
    readonly firstUsedAt?: Instant;
    /** When it must be replaced itself at the latest, see `RotationDue.lastAt`: more than two versions must not live. */
    readonly lastAt?: Instant;
  };
  /** When the last location got the new version; absent = some location still lacks it. */
  readonly deliveredAt?: Instant;
  /** All consumers that are restarted have rolled out; false also when there are none. */
  readonly rolledOut: boolean;
  readonly horizon: UsageHorizon;
}

/** Why an old version may end: told by status and event. */
export type EndCause = 'Unused' | 'OverlapOver' | 'MaxOverlap' | 'SuccessorDue' | 'ExpiryFirst';

/** What an old version that may not end yet waits for. */
export type WaitCause = 'Delivering' | 'OverlapRunning' | 'NotSeenYet' | 'UsageUnknown' | 'StillUsed';

/** What becomes of an old version. */
export type Retirement =
  /** It ends at `notAfter`, which may be now: nothing is waited for but the time. */
  | { readonly kind: 'ends'; readonly notAfter: Instant; readonly why: EndCause }
  /** It ends when what it waits for is there, and at `notAfter` at the latest; `lookAt` is when to ask again, after now. */
  | {
      readonly kind: 'waits';
      readonly notAfter: Instant;
      readonly latest: EndCause;
      readonly why: WaitCause;
      readonly lookAt: Instant;
    };

const shortestLookMs = 1_000;
const longestLookMs = 600_000;
/** How late the end of an unused version may be noticed, as a share of how long it was waited for. */
const latestShare = 0.01;

/**
 * When the old version ends. `AfterOverlap`: the overlap after the activation, or after the last location got the new one.
 * `WhenUnused`: not before that, the new one seen in use or every rollout complete, the old one quiet for the quiet period
 * as far as the record of use is complete. Neither waits longer than `maxOverlap`, the old version's expiry, or the last
 * moment of its successor (never before the overlap is over): a third version must not live, and the successor's own
 * replacement must not come late.
 *
 * The same function says what to write at the activation (`now` = then) and what to bring forward later; the store lets an
 * end only come nearer.
 */
export function retirementOf(input: RetireInput, now: Instant): Retirement {
  const { policy, old, current, deliveredAt } = input;
  const overlapEnd = ceilToSecond(Math.max(current.activatedAt, old.lost ? 0 : (deliveredAt ?? 0)) + policy.overlapMs);
  const { at: latestAt, why: latest } = latestEnd(input, overlapEnd);
  const ends = (notAfter: Instant, why: EndCause): Retirement =>
    notAfter <= latestAt
      ? { kind: 'ends', notAfter: Math.max(notAfter, ceilToSecond(now)), why }
      : { kind: 'ends', notAfter: latestAt, why: latest };
  if (latestAt <= now) return { kind: 'ends', notAfter: latestAt, why: latest };
  // A lost attempt is in no location: only who read it before is waited for.
  if (old.lost) return ends(overlapEnd, 'OverlapOver');
  if (deliveredAt !== undefined && policy.retireOldKey === 'AfterOverlap') return ends(overlapEnd, 'OverlapOver');
  const wait = waitOf(input, overlapEnd, now);
  if (wait === undefined) return ends(ceilToSecond(now), 'Unused');
  const lookAt = ceilToSecond(Math.min(latestAt, Math.max(wait.lookAt, now + shortestLookMs)));
  return { kind: 'waits', notAfter: latestAt, latest, why: wait.why, lookAt };
}

function latestEnd({ policy, old, current }: RetireInput, overlapEnd: Instant): { readonly at: Instant; readonly why: EndCause } {
  const byMaxOverlap = { at: ceilToSecond(current.activatedAt + policy.maxOverlapMs), why: 'MaxOverlap' as const };
  const candidates: { readonly at: Instant; readonly why: EndCause }[] = [byMaxOverlap];
  if (current.lastAt !== undefined) candidates.push({ at: Math.max(overlapEnd, current.lastAt), why: 'SuccessorDue' });
  if (old.expiresAt !== undefined) candidates.push({ at: ceilToSecond(old.expiresAt), why: 'ExpiryFirst' });
  return candidates.reduce((least, one) => (one.at < least.at ? one : least));
}

interface Wait {
  readonly why: WaitCause;
  readonly lookAt: Instant;
}

/** The first thing that is still missing, or `undefined` when the old version may end. */
function waitOf(input: RetireInput, overlapEnd: Instant, now: Instant): Wait | undefined {
  const { policy, old, current, horizon } = input;
  // A delivery and a rollout wake the key by themselves; use does not, and is asked for ever more rarely.
  const later = now + Math.min(longestLookMs, Math.max(policy.quietPeriodMs, (now - current.activatedAt) / 10));
  if (input.deliveredAt === undefined) return { why: 'Delivering', lookAt: later };
  if (now < overlapEnd) return { why: 'OverlapRunning', lookAt: overlapEnd };
  if (current.firstUsedAt === undefined && !input.rolledOut)
    return { why: horizon.kind === 'unknown' ? 'UsageUnknown' : 'NotSeenYet', lookAt: later };
  if (horizon.kind === 'unknown') return { why: 'UsageUnknown', lookAt: later };
  // Quiet before the new version was there says nothing of who has changed over to it.
  const lastUsedAt = old.lastUsedAt === undefined ? 0 : old.lastUsedAt + useGrainMs;
  const quietSince = Math.max(lastUsedAt, current.activatedAt);
  const missingMs = quietSince + policy.quietPeriodMs - horizon.quietThrough;
  if (missingMs <= 0) return undefined;
  // A short quiet period must not mean a look each second for days, at a version that is in use: it ends a little late.
  const pauseMs = Math.max(missingMs, (now - overlapEnd) * latestShare);
  return { why: 'StillUsed', lookAt: now + Math.min(pauseMs, longestLookMs) };
}

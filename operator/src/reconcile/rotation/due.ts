import { ceilToSecond, floorToSecond, type Instant } from '../../domain/time.ts';
import type { MintCause, Version } from '../../domain/version.ts';
import { phaseOf } from '../phase.ts';
import type { RotationPolicy } from './policy.ts';

/** A rotation that nobody asked for, before windows and other brakes. */
export interface RotationDue {
  /** Whole seconds, at least one after the activation. */
  readonly at: Instant;
  readonly cause: Extract<MintCause, 'Scheduled' | 'BeforeExpiry'>;
  /** See {@link lastMoment}. No window is waited for beyond it. */
  readonly lastAt?: Instant;
}

/** What is asked of the version that may be replaced. */
export type ActiveVersion = Pick<Version, 'issuedAt' | 'activatedAt' | 'expiresAt'>;

/** Without `every` and `beforeExpiry` a version is replaced when this part of its lifetime is over … */
const defaultShare = 2 / 3;
/** … and up to a tenth of that later, by its UID: keys that were declared together are not rotated together. */
const jitterShare = 0.1;
const longestMarginMs = 3_600_000;
/** A version whose delivery took most of its life is not replaced in the moment in which it is activated. */
const shortestMs = 1_000;

/**
 * The last instant at which a rotation may begin so that both versions are valid for the overlap: expiry − overlap − a
 * margin for minting and delivering of min(1 h, a tenth of the lifetime). `undefined` when the version has no end, or
 * when the next one would have the same end (`at`). When `after` was shortened, the shorter lifetime counts.
 */
export function lastMoment(policy: RotationPolicy, active: ActiveVersion): Instant | undefined {
  const { expiry, overlapMs } = policy;
  if (active.expiresAt === undefined || expiry.kind !== 'after') return undefined;
  const lifetimeMs = Math.min(active.expiresAt - active.issuedAt, expiry.lifetimeMs);
  return floorToSecond(active.expiresAt - overlapMs - Math.min(longestMarginMs, lifetimeMs / 10));
}

/**
 * When the active version is to be replaced, and why: the earlier of `every` since its activation and what keeps it from
 * expiring. `undefined` = never by itself: with `at` alone (the next version would end at the same instant), with `never`
 * and no `every`, and when the key is meant to end (`onExpiry: Expire` without a `beforeExpiry`). Does not depend on now.
 */
export function rotationDue(policy: RotationPolicy, active: ActiveVersion, uid: string): RotationDue | undefined {
  const activatedAt = active.activatedAt ?? active.issuedAt;
  const scheduled = scheduledAt(policy, active, uid);
  const saving = savingAt(policy, active, uid);
  const isScheduled = scheduled !== undefined && (saving === undefined || scheduled <= saving);
  const first = isScheduled ? scheduled : saving;
  if (first === undefined) return undefined;
  const at = Math.max(ceilToSecond(activatedAt) + shortestMs, first);
  if (active.expiresAt !== undefined && at >= active.expiresAt) return undefined;
  const lastAt = lastMoment(policy, active);
  return { at, cause: isScheduled ? 'Scheduled' : 'BeforeExpiry', ...(lastAt === undefined ? {} : { lastAt }) };
}

function scheduledAt({ everyMs, expiry }: RotationPolicy, active: ActiveVersion, uid: string): Instant | undefined {
  if (everyMs !== undefined) return ceilToSecond((active.activatedAt ?? active.issuedAt) + everyMs);
  // `after` was added to a key without an end, and counts from the next version: there must be a next one.
  if (expiry.kind === 'after' && active.expiresAt === undefined) return shareAt(active.issuedAt, expiry.lifetimeMs, uid);
  return undefined;
}

/**
 * The rotation that keeps the key from expiring. Not before the new version would outlive the old one by the overlap
 * (an `after` that was shortened), and not after the last moment; where a lifetime just over two overlaps leaves no room for
 * both, the last moment counts, because a workload needs the overlap.
 */
function savingAt(policy: RotationPolicy, active: ActiveVersion, uid: string): Instant | undefined {
  const { expiry, everyMs, beforeExpiryMs, onExpiry, overlapMs } = policy;
  const last = lastMoment(policy, active);
  if (last === undefined || active.expiresAt === undefined || expiry.kind !== 'after') return undefined;
  if (beforeExpiryMs === undefined && onExpiry === 'Expire') return undefined;
  const byShare = everyMs === undefined ? shareAt(active.issuedAt, active.expiresAt - active.issuedAt, uid) : last;
  const wanted = beforeExpiryMs === undefined ? byShare : active.expiresAt - beforeExpiryMs;
  const outlives = active.expiresAt + overlapMs - expiry.lifetimeMs;
  return Math.min(last, ceilToSecond(Math.max(wanted, outlives)));
}

function shareAt(issuedAt: Instant, lifetimeMs: number, uid: string): Instant {
  const jitter = (jitterShare * phaseOf(uid)) / 2 ** 32;
  return ceilToSecond(issuedAt + lifetimeMs * defaultShare * (1 + jitter));
}

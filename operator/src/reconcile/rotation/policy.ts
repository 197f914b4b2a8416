import type { ApiKeySpec } from '../../api/kinds.ts';
import type { MintingPolicy } from '../../domain/catalog.ts';
import { durationMs } from '../../domain/duration.ts';
import { ceilToSecond, parseInstant, type Instant } from '../../domain/time.ts';

/**
 * When versions end. `after`: each version lives so long, and an edit counts from the next version. `at` and `never` speak
 * of all versions, and count at once.
 */
export type Expiry =
  | { readonly kind: 'after'; readonly lifetimeMs: number }
  | { readonly kind: 'at'; readonly at: Instant }
  | { readonly kind: 'never' };

/** `spec.expiry` and `spec.rotation`, read: all that decides when a version is replaced and when the old one ends. */
export interface RotationPolicy {
  readonly expiry: Expiry;
  readonly onExpiry: 'Rotate' | 'Expire';
  readonly everyMs?: number;
  readonly beforeExpiryMs?: number;
  readonly retireOldKey: 'WhenUnused' | 'AfterOverlap';
  /** Both versions are valid at least this long. */
  readonly overlapMs: number;
  /** How long the old version must be unseen to count as unused. */
  readonly quietPeriodMs: number;
  /** The old version ends this long after the activation of the new one, whoever uses it. */
  readonly maxOverlapMs: number;
}

/** What the spec says of the end; without a word of its own the catalog's default, and `undefined` while there is no catalog. */
export function expiryOf(spec: ApiKeySpec, catalog: Pick<MintingPolicy, 'defaultExpiry'> | undefined): Expiry | undefined {
  const { expiry } = spec;
  if (expiry?.never === true) return { kind: 'never' };
  const at = expiry?.at === undefined ? undefined : parseInstant(expiry.at);
  if (at !== undefined) return { kind: 'at', at: ceilToSecond(at) };
  const after = expiry?.after ?? catalog?.defaultExpiry;
  return after === undefined ? undefined : { kind: 'after', lifetimeMs: durationMs(after) };
}

/** When a version that is minted at `now` expires; `undefined` = never. Ends are whole seconds, rounded up. */
export function expiryOfMinted(expiry: Expiry | undefined, now: Instant): Instant | undefined {
  switch (expiry?.kind) {
    case 'after':
      return ceilToSecond(now + expiry.lifetimeMs);
    case 'at':
      return expiry.at;
    case 'never':
    case undefined:
      return undefined;
  }
}

/**
 * The same for a key that also ends at this instant: once the instant comes before the end of a version that is minted now, only
 * the instant counts.
 */
export function endingBy(expiry: Expiry | undefined, end: Instant | undefined, now: Instant): Expiry | undefined {
  if (end === undefined || (expiryOfMinted(expiry, now) ?? Number.POSITIVE_INFINITY) <= end) return expiry;
  return { kind: 'at', at: end };
}

/** Reads an expiry that the schema has accepted; `undefined` without an `expiry`. */
export function rotationPolicyOf(spec: ApiKeySpec, expiry: Expiry | undefined): RotationPolicy | undefined {
  if (expiry === undefined) return undefined;
  const { every, beforeExpiry, onExpiry } = spec.rotation;
  return {
    expiry,
    onExpiry,
    ...retirementPolicyOf(spec),
    ...(every === undefined ? {} : { everyMs: durationMs(every) }),
    ...(beforeExpiry === undefined ? {} : { beforeExpiryMs: durationMs(beforeExpiry) }),
  };
}

/** What of {@link RotationPolicy} says when an old version ends. */
export function retirementPolicyOf({
  rotation,
}: ApiKeySpec): Pick<RotationPolicy, 'retireOldKey' | 'overlapMs' | 'quietPeriodMs' | 'maxOverlapMs'> {
  return {
    retireOldKey: rotation.retireOldKey,
    overlapMs: durationMs(rotation.overlap),
    quietPeriodMs: durationMs(rotation.quietPeriod),
    maxOverlapMs: durationMs(rotation.maxOverlap),
  };
}

import type { Instant } from '../../domain/time.ts';
import { isLive, type EndedReason, type Version } from '../../domain/version.ts';
import type { VersionExpiry } from '../../store/port.ts';
import type { Expiry } from './policy.ts';

/** What an edited `expiry` changes of versions that live. */
export interface ExpiryEdits {
  /** A nearer end is safety: it waits for no valid spec and no reference. */
  readonly nearer: readonly VersionExpiry[];
  /** A later end, or none, is a grant: only for a spec that is valid and allowed. */
  readonly later: readonly VersionExpiry[];
}

/**
 * `at` bounds all versions, and `never` lifts every end, at once; `after` counts from the next version and changes none.
 * What has expired stays so: whoever was refused must not be let in again without a new key.
 */
export function expiryEdits(expiry: Expiry | undefined, versions: readonly Version[], now: Instant): ExpiryEdits {
  if (expiry === undefined || expiry.kind === 'after') return { nearer: [], later: [] };
  const wanted = expiry.kind === 'at' ? expiry.at : undefined;
  const edited = versions.filter((version) => isLive(version, now) && version.expiresAt !== wanted);
  const isNearer = (version: Version) => endOf(wanted) < endOf(version.expiresAt);
  const asEdit = ({ keyId }: Version) => ({ keyId, ...(wanted === undefined ? {} : { expiresAt: wanted }) });
  return {
    nearer: edited.filter(isNearer).map(asEdit),
    later: edited.filter((version) => !isNearer(version)).map(asEdit),
  };
}

function endOf(expiresAt: Instant | undefined): Instant {
  return expiresAt ?? Number.POSITIVE_INFINITY;
}

/** What is asked before a key that has expired is minted anew. */
export interface Afterlife {
  readonly expiry: Expiry | undefined;
  readonly onExpiry: 'Rotate' | 'Expire';
  /** Why the version that ended last did; absent = none ended. */
  readonly lastEnded: EndedReason | undefined;
  /** The generation of the ApiKey when it expired; absent = it is unknown, or a change is held, which brings nothing back. */
  readonly expiredGeneration: number | undefined;
  readonly generation: number | undefined;
  /** A rotate request that was not handled yet. */
  readonly rotateAsked: boolean;
}

/** Why a key is over although nobody revoked it, or `undefined` when it may be minted. */
export type Terminal = 'AtHasPassed' | 'OnExpiryExpire';

/**
 * `at` in the past is the end until the spec says otherwise; with `onExpiry: Expire` an expiry is, until the spec or the rotate
 * request changes. The generation that the store kept at the expiry shows a change of the spec: a status cannot be trusted to
 * bring a key back.
 */
export function terminalOf(after: Afterlife, now: Instant): Terminal | undefined {
  if (after.expiry?.kind === 'at' && after.expiry.at <= now) return 'AtHasPassed';
  if (after.onExpiry !== 'Expire' || after.lastEnded !== 'expired') return undefined;
  return after.rotateAsked || isReturning(after) ? undefined : 'OnExpiryExpire';
}

/** Whether somebody changed the spec of a key since it expired. */
export function isReturning({ expiredGeneration, generation }: Pick<Afterlife, 'expiredGeneration' | 'generation'>): boolean {
  return expiredGeneration !== undefined && generation !== undefined && expiredGeneration !== generation;
}

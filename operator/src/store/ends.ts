import { ceilToSecond } from '../domain/time.ts';
import type { Instant } from '../domain/time.ts';
import type { Version } from '../domain/version.ts';

/**
 * The end that a retiring version gets when it is brought forward: never before `now` rounded up, never after its expiry.
 * `undefined` = it does not come nearer, or the version is not retiring.
 */
export function nearerEnd(
  version: Pick<Version, 'state' | 'notAfter' | 'expiresAt'>,
  wanted: Instant,
  now: Instant,
): Instant | undefined {
  if (version.state !== 'retiring') return undefined;
  const end = Math.min(Math.max(wanted, ceilToSecond(now)), version.expiresAt ?? Infinity);
  return end < (version.notAfter ?? Infinity) ? end : undefined;
}

/** The two instants that end a version by themselves. */
export type Ends = Pick<Version, 'expiresAt' | 'notAfter'>;

/**
 * What an edited expiry makes of a version's ends: the end of its retirement follows a nearer expiry, and stays for a later
 * one. A version of an earlier ApiKey gets no later expiry. `undefined` = nothing changes.
 */
export function endsAfterEdit(
  version: Pick<Version, 'state' | 'inherited'> & Ends,
  expiresAt: Instant | undefined,
): Ends | undefined {
  if (version.state === 'ended' || version.expiresAt === expiresAt) return undefined;
  if (version.inherited === true && (expiresAt ?? Infinity) > (version.expiresAt ?? Infinity)) return undefined;
  const { notAfter } = version;
  return {
    ...(expiresAt === undefined ? {} : { expiresAt }),
    ...(notAfter === undefined ? {} : { notAfter: Math.min(notAfter, expiresAt ?? Infinity) }),
  };
}

import { ceilToSecond, type Instant } from '../../domain/time.ts';
import type { Version } from '../../domain/version.ts';

const dayMs = 86_400_000;
/** How long before the expiry notice is given: 30, 7 and 1 days, of a short life each at most a third. */
const noticesBeforeMs = [30 * dayMs, 7 * dayMs, dayMs] as const;
const largestShare = 1 / 3;

/** One notice of an expiry. */
export interface Notice {
  /** Whole seconds. */
  readonly at: Instant;
  /** How long before the expiry, in milliseconds. */
  readonly beforeMs: number;
}

/** The notices of a version's expiry, first to last; those that fall on one instant are one. None without an expiry. */
export function noticesOf({ issuedAt, expiresAt }: Pick<Version, 'issuedAt' | 'expiresAt'>): readonly Notice[] {
  if (expiresAt === undefined) return [];
  const longestMs = Math.max(0, expiresAt - issuedAt) * largestShare;
  const notices = noticesBeforeMs.map((wantedMs) => {
    const at = ceilToSecond(expiresAt - Math.min(wantedMs, longestMs));
    return { at, beforeMs: expiresAt - at };
  });
  return notices.filter((notice, index) => notice.at !== notices[index - 1]?.at);
}

/** The notice that counts at `now`, the last one that was reached; `undefined` = none yet. */
export function noticeAt(version: Pick<Version, 'issuedAt' | 'expiresAt'>, now: Instant): Notice | undefined {
  return noticesOf(version).findLast((notice) => notice.at <= now);
}

/** When the next notice is due; `undefined` = none comes. */
export function nextNoticeAt(version: Pick<Version, 'issuedAt' | 'expiresAt'>, now: Instant): Instant | undefined {
  return noticesOf(version).find((notice) => notice.at > now)?.at;
}

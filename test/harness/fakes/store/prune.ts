import type { PruneBefore, Pruned } from '../../../../operator/src/store/port.ts';
import type { Version } from '../../../../operator/src/domain/version.ts';
import { readKey } from './reads.ts';
import { versionsOf } from './rows.ts';
import type { Rows } from './rows.ts';

const auditKeptMs = 30 * 86_400_000;

/** All at once, and but for rows of deleted catalogs, owners and groups, which the fake does not date. */
export function prune(rows: Rows, before: PruneBefore, now: number): Pruned {
  const counts = { delivery: 0, version: 0, apikey: 0, catalog: 0, owner: 0, owner_group: 0, feed: 0, audit: 0 };
  const keep = <T>(all: readonly T[], stays: (one: T) => boolean, table: keyof typeof counts): T[] => {
    const kept = all.filter(stays);
    counts[table] = all.length - kept.length;
    return kept;
  };
  rows.deliveries = keep(
    rows.deliveries,
    (one) => one.state !== 'gone' || (one.withdrawingSince ?? 0) >= before.deliveries,
    'delivery',
  );
  const stays = (one: Version): boolean => !isPrunable(rows, one, before);
  rows.versions = keep([...rows.versions], stays, 'version');
  const released = [...rows.keys].filter(
    ([uid, key]) =>
      (key.releasedAt ?? Infinity) < before.ended &&
      versionsOf(rows, uid).length === 0 &&
      !rows.deliveries.some((one) => one.apiKeyUid === uid),
  );
  for (const [uid] of released) rows.keys.delete(uid);
  counts.apikey = released.length;
  const young = rows.feed.find((row) => (row.at ?? 0) >= before.feed)?.rev ?? Infinity;
  const first = Math.min(young, rows.feed.at(-1)?.rev ?? 0);
  rows.feed = keep(rows.feed, (row) => row.rev >= first, 'feed');
  rows.audit = keep(rows.audit, (row) => row.at >= Math.min(before.audit, now - auditKeptMs), 'audit');
  return { rows: counts };
}

function isPrunable(rows: Rows, one: Version, before: PruneBefore): boolean {
  if (one.state !== 'ended' || (one.endedAt ?? Infinity) >= before.ended) return false;
  const key = rows.keys.get(one.apiKeyUid);
  if (key?.releasedAt !== undefined) return key.releasedAt < before.ended;
  const { highestEpoch, revokedKeyIds, lastEnded, compromised } = readKey(rows, one.apiKeyUid);
  const expired = versionsOf(rows, one.apiKeyUid).filter((each) => each.endedReason === 'expired');
  const recent = expired.sort((a, b) => (b.endedAt ?? 0) - (a.endedAt ?? 0)).slice(0, 16);
  const told = [...revokedKeyIds, ...recent.map((each) => each.keyId), lastEnded?.keyId, compromised?.keyId].includes(one.keyId);
  return one.epoch < highestEpoch && !told;
}

import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';

import type { Instant } from '../../domain/time.ts';
import type { PruneBefore, Pruned, PrunedTable } from '../port.ts';
import { at } from './tables.ts';
import { attempt } from './transaction.ts';
import type { StoreContext } from './transaction.ts';

/** The most rows of one table in one statement, which stays far below the statement timeout and holds locks only briefly. */
const most = 1_000;

/** See {@link Store.prune}. Each table has its own statement; children are removed before their parents. */
export async function prune(context: StoreContext, before: PruneBefore, after = 0): Promise<Pruned> {
  const run = (query: RawBuilder<unknown>) => attempt(context, 'prune', () => query.execute(context.db));
  const remove = async (query: RawBuilder<unknown>): Promise<number> => Number((await run(query)).numAffectedRows ?? 0);
  const delivery = await remove(goneDeliveries(before.deliveries));
  const versions = await pruneVersions(context, before.ended, after);
  const rows: Record<PrunedTable, number> = {
    delivery,
    version: versions.removed,
    apikey: await remove(releasedKeys(before.ended)),
    catalog: await remove(deletedRows('keywright.catalog', before.ended)),
    owner: await remove(deletedRows('keywright.owner', before.ended)),
    owner_group: await remove(deletedRows('keywright.owner_group', before.ended)),
    feed: await remove(oldFeed(before.feed)),
    audit: await pruneAudit(context, before.audit),
  };
  // After the last versions: it reads the whole table.
  const uses = versions.next === undefined ? await remove(usesOfNothing()) : 0;
  const isMore = uses >= most || Object.entries(rows).some(([table, count]) => table !== 'version' && count >= most);
  const next = versions.next ?? (isMore ? Number.MAX_SAFE_INTEGER : undefined);
  return { rows, ...(next === undefined ? {} : { next }) };
}

function goneDeliveries(before: Instant): RawBuilder<unknown> {
  return sql`
    delete from keywright.delivery where id in (
      select d.id from keywright.delivery d where d.state = 'gone' and d.withdrawing_since < ${at(before)}
      order by d.withdrawing_since limit ${most})`;
}

/**
 * Reads the next ended versions after a row number, whatever their age, so that one call does not read those that stay for ever
 * again and again. Of an ApiKey in use it keeps all attempts of the newest epoch, the newest ended version, the compromised one
 * that a mint must still replace, the sixteen most recently revoked, and as many expired ones (403, not 401).
 */
async function pruneVersions(
  context: StoreContext,
  before: Instant,
  after: number,
): Promise<{ readonly removed: number; readonly next: number | undefined }> {
  if (after >= Number.MAX_SAFE_INTEGER) return { removed: 0, next: undefined };
  const query = sql<{ seen: number; last: number | null; removed: number }>`
    with seen as materialized (
      select v.id, v.seq, v.apikey_uid, v.key_id, v.epoch, v.ended_at, v.ended_reason
      from keywright.version v where v.state = 'ended' and v.seq > ${after} order by v.seq limit ${most}
    ), old as (
      select s.id from seen s join keywright.apikey k on k.uid = s.apikey_uid
      where s.ended_at < ${at(before)} and (k.released_at < ${at(before)} or (
        k.released_at is null and s.key_id is distinct from k.compromised_key_id
        and s.epoch < (select max(v.epoch) from keywright.version v where v.apikey_uid = s.apikey_uid)
        and s.seq < (select max(v.seq) from keywright.version v where v.apikey_uid = s.apikey_uid and v.state = 'ended')
        and (s.ended_reason not in ('revoked', 'expired') or 16 <= (
          select count(*) from keywright.version v
          where v.apikey_uid = s.apikey_uid and v.ended_reason = s.ended_reason and (v.ended_at, v.seq) > (s.ended_at, s.seq)))))
    ), gone as (
      delete from keywright.version v using old where v.id = old.id and v.state = 'ended' returning v.id
    )
    select (select count(*) from seen)::int as seen, (select max(seq) from seen)::float8 as last,
      (select count(*) from gone)::int as removed`;
  const row = (await attempt(context, 'prune', () => query.execute(context.db))).rows[0];
  return { removed: row?.removed ?? 0, next: row?.seen === most ? (row.last ?? undefined) : undefined };
}

/** Authorizers write these rows and may hold locks on some: those are left for later. */
function usesOfNothing(): RawBuilder<unknown> {
  return sql`
    with gone as materialized (
      select u.key_id from keywright.version_use u
      where not exists (select from keywright.version v where v.key_id = u.key_id) limit ${most} for update skip locked)
    delete from keywright.version_use u using gone where u.key_id = gone.key_id`;
}

function releasedKeys(before: Instant): RawBuilder<unknown> {
  return sql`
    delete from keywright.apikey where uid in (
      select k.uid from keywright.apikey k
      where k.released_at < ${at(before)}
        and not exists (select from keywright.version v where v.apikey_uid = k.uid)
        and not exists (select from keywright.delivery d where d.apikey_uid = k.uid)
      order by k.released_at limit ${most})`;
}

function deletedRows(table: string, before: Instant): RawBuilder<unknown> {
  return sql`
    delete from ${sql.table(table)} where uid in (
      select r.uid from ${sql.table(table)} r where r.deleted_at < ${at(before)} limit ${most})`;
}

/** From the oldest up to the first that is young enough, so that there is no gap; never the last one. */
function oldFeed(before: Instant): RawBuilder<unknown> {
  return sql`
    delete from keywright.feed where rev in (
      select f.rev from keywright.feed f
      where f.rev < least(
        (select rev from keywright.feed_head),
        (select max(rev) from keywright.feed),
        (select young.rev from keywright.feed young where young.at >= ${at(before)} order by young.rev limit 1))
      order by f.rev limit ${most})`;
}

async function pruneAudit(context: StoreContext, before: Instant): Promise<number> {
  const query = sql<{ removed: number }>`select keywright.prune_audit(${before}::float8, ${most}) as removed`;
  return (await attempt(context, 'prune', () => query.execute(context.db))).rows[0]?.removed ?? 0;
}

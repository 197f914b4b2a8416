import { timingSafeEqual } from 'node:crypto';

import { sql } from 'kysely';

import type { Instant } from '../../domain/time.ts';
import { migrationNumber } from '../migrations/index.ts';
import { FenceLost } from '../port.ts';
import { DatabaseFault } from './fault.ts';
import { attempt } from './transaction.ts';
import type { StoreContext } from './transaction.ts';

/** See {@link Store.installationId}. */
export async function installationId(context: StoreContext): Promise<string> {
  const query = context.db.withSchema('keywright').selectFrom('installation').select('id');
  return (await attempt(context, 'installationId', () => query.executeTakeFirstOrThrow())).id;
}

/** See {@link Store.schemaVersion}. */
export async function schemaVersion(context: StoreContext): Promise<number> {
  const exists = sql<{ exists: boolean }>`select to_regclass('keywright.migration') is not null as exists`;
  if ((await attempt(context, 'schemaVersion', () => exists.execute(context.db))).rows[0]?.exists !== true) return 0;
  const names = sql<{ name: string }>`select name from keywright.migration`;
  const { rows } = await attempt(context, 'schemaVersion', () => names.execute(context.db));
  return Math.max(0, ...rows.map(({ name }) => migrationNumber(name)));
}

/** See {@link Store.claimCluster}. */
export async function claimCluster(context: StoreContext, clusterUid: string): Promise<'ours' | 'other'> {
  const installation = context.db.withSchema('keywright');
  const claimed = await attempt(context, 'claimCluster', async () => {
    await installation.updateTable('installation').set({ cluster_uid: clusterUid }).where('cluster_uid', 'is', null).execute();
    return await installation.selectFrom('installation').select('cluster_uid').executeTakeFirstOrThrow();
  });
  return claimed.cluster_uid === clusterUid ? 'ours' : 'other';
}

/** See {@link Store.checkPepper}. Reads first: a role that may only read can still compare. */
export async function checkPepper(context: StoreContext, pepperId: string, check: Uint8Array): Promise<'right' | 'wrong'> {
  const peppers = context.db.withSchema('keywright');
  const known = async (): Promise<Buffer | undefined> => {
    return (await peppers.selectFrom('pepper').select('check_value').where('id', '=', pepperId).executeTakeFirst())?.check_value;
  };
  const kept = await attempt(context, 'checkPepper', async () => {
    const before = await known();
    if (before !== undefined) return before;
    const row = { id: pepperId, check_value: Buffer.from(check) };
    await peppers
      .insertInto('pepper')
      .values(row)
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    return await known();
  });
  return kept !== undefined && kept.length === check.length && timingSafeEqual(kept, check) ? 'right' : 'wrong';
}

/** See {@link Store.takeFence}. */
export async function takeFence(context: StoreContext): Promise<number> {
  const query = sql<{ fence: number }>`update keywright.feed_head set fence = fence + 1 returning fence::float8 as fence`;
  const row = (await attempt(context, 'takeFence', () => query.execute(context.db))).rows[0];
  if (row === undefined) throw new DatabaseFault('defect', 'no feed head', false);
  return row.fence;
}

/** See {@link Store.beat}. */
export async function beat(context: StoreContext): Promise<void> {
  const fence = context.fence();
  if (fence === undefined) throw new FenceLost();
  const query = sql`
    update keywright.heartbeat set at = keywright.keywright_now(), fence = ${fence}, beats = beats + 1
    where ${fence} = (select h.fence from keywright.feed_head h)`;
  const { numAffectedRows } = await attempt(context, 'beat', () => query.execute(context.db));
  if (numAffectedRows !== 1n) throw new FenceLost();
}

/** See {@link Store.lastBeatAt}. */
export async function lastBeatAt(context: StoreContext): Promise<Instant | undefined> {
  const query = sql<{ at: number | null }>`select keywright.ms(h.at)::float8 as at from keywright.heartbeat h`;
  return (await attempt(context, 'lastBeatAt', () => query.execute(context.db))).rows[0]?.at ?? undefined;
}

/** See {@link Store.now}. */
export async function databaseNow(context: StoreContext): Promise<Instant> {
  const query = sql<{ now: number }>`select keywright.ms(keywright.keywright_now())::float8 as now`;
  const row = (await attempt(context, 'now', () => query.execute(context.db))).rows[0];
  if (row === undefined) throw new DatabaseFault('defect', 'no clock', false);
  return row.now;
}

import { sql } from 'kysely';

import { replicaMemoryMs, usageHorizon } from '../horizon.ts';
import type { ReplicaReport, ReplicaRow, UsageHorizon } from '../horizon.ts';
import type { Instant } from '../../domain/time.ts';
import type { UsedVersion } from '../port.ts';
import { present } from './rows.ts';
import { attempt } from './transaction.ts';
import type { StoreContext } from './transaction.ts';

/** See {@link Store.recordUse}. The same twice changes nothing more, so that it may be tried again. */
export async function recordUse(context: StoreContext, used: readonly UsedVersion[]): Promise<void> {
  if (used.length === 0) return;
  const { clock } = context;
  let firstTryMs: number | undefined;
  const [keyIds, clients] = [used.map((one) => one.keyId), used.map((one) => one.by ?? null)];
  await attempt(context, 'recordUse', () => {
    // A second try comes later, so that its ages are greater.
    const laterMs = firstTryMs === undefined ? 0 : clock.monotonicMs() - firstTryMs;
    firstTryMs ??= clock.monotonicMs();
    const ages = used.map((one) => one.ageMs + laterMs);
    return sql`select keywright.record_use(${keyIds}::text[], ${ages}::float8[], ${clients}::text[])`.execute(context.db);
  });
}

/** See {@link Store.reportReplica}. */
export async function reportReplica(context: StoreContext, { id, flushedThrough, dropped }: ReplicaReport): Promise<void> {
  const query = sql`select keywright.report_replica(${id}, ${flushedThrough}::float8, ${dropped}::bigint)`;
  await attempt(context, 'reportReplica', () => query.execute(context.db));
}

/** See {@link Store.signOffReplica}. */
export async function signOffReplica(context: StoreContext, id: string): Promise<void> {
  const query = sql`select keywright.sign_off_replica(${id})`;
  await attempt(context, 'signOffReplica', () => query.execute(context.db));
}

interface ReplicaJson {
  readonly seenAt: Instant;
  readonly flushedThrough: Instant;
  readonly droppedAt: Instant | null;
  readonly leftAt: Instant | null;
}

/** See {@link Store.readUsageHorizon}. */
export async function readUsageHorizon(context: StoreContext): Promise<UsageHorizon> {
  const query = sql<{ now: number; replicas: readonly ReplicaJson[] | null }>`
    select keywright.ms(clock.now)::float8 as now, (
      select json_agg(json_build_object('seenAt', keywright.ms(r.seen_at), 'flushedThrough', keywright.ms(r.flushed_through),
        'droppedAt', keywright.ms(r.dropped_at), 'leftAt', keywright.ms(r.left_at)))
      from keywright.replica r where r.seen_at > clock.now - ${replicaMemoryMs} * interval '1 millisecond') as replicas
    from (select keywright.keywright_now() as now offset 0) clock`;
  const row = (await attempt(context, 'readUsageHorizon', () => query.execute(context.db))).rows[0];
  if (row === undefined) throw new TypeError('one row without a row');
  const replicas = (row.replicas ?? []).map(({ seenAt, flushedThrough, ...rest }): ReplicaRow => {
    return { seenAt, flushedThrough, ...present(rest) };
  });
  return usageHorizon(replicas, row.now);
}

import { sql } from 'kysely';

import type { Instant } from '../../domain/time.ts';
import type { AcceptedState, AdmissionPeriod } from '../port.ts';
import { at } from './tables.ts';
import { attempt, transition } from './transaction.ts';
import type { StoreContext } from './transaction.ts';

/** See {@link Store.readAdmission}. */
export async function readAdmission(context: StoreContext): Promise<AdmissionPeriod | undefined> {
  const query = sql<AdmissionPeriod>`select period as id, keywright.ms(since) as since, identity from keywright.admission`;
  const { rows } = await attempt(context, 'readAdmission', () => query.execute(context.db));
  return rows.map((row) => ({ ...row, since: Number(row.since) }))[0];
}

/** See {@link Store.saveAdmission}. */
export async function saveAdmission(context: StoreContext, period: AdmissionPeriod, now: Instant): Promise<void> {
  await transition(context, 'saveAdmission', now, async (tx) => {
    await sql`
      insert into keywright.admission (identity, period, since) values (${period.identity}, ${period.id}, ${at(period.since)})
      on conflict (only_row) do update set identity = excluded.identity, period = excluded.period, since = excluded.since`.execute(
      tx,
    );
    return { revises: [], audit: [] };
  });
}

/** How many rows one statement updates. */
const batch = 1_000;

/** See {@link Store.carryAcceptances}. One transition for each batch. */
export async function carryAcceptances(
  context: StoreContext,
  period: string,
  accepted: readonly AcceptedState[],
  now: Instant,
): Promise<number> {
  let carried = 0;
  for (let from = 0; from < accepted.length; from += batch) {
    const part = accepted.slice(from, from + batch);
    await transition(context, 'carryAcceptances', now, async (tx) => {
      const { numAffectedRows } = await sql`
        update keywright.apikey k set accepted_period = ${period}
        from unnest(${part.map(({ uid }) => uid)}::text[], ${part.map(({ generation }) => generation)}::bigint[],
          ${part.map(({ requests }) => requests)}::text[]) as s (uid, generation, requests)
        where k.uid = s.uid and k.accepted_generation = s.generation and k.accepted_requests = s.requests
          and k.accepted_period is distinct from ${period}`.execute(tx);
      carried += Number(numAffectedRows ?? 0n);
      // No verdict depends on them.
      return { revises: [], audit: [] };
    });
  }
  return carried;
}

import { randomUUID } from 'node:crypto';

import { sql } from 'kysely';

import type { Instant } from '../../domain/time.ts';
import type { AcceptedState, AdmissionPeriod } from '../port.ts';
import { at } from './tables.ts';
import { transition } from './transaction.ts';
import type { StoreContext } from './transaction.ts';

/** See {@link Store.admissionPeriod}. */
export async function admissionPeriod(context: StoreContext, identity: string, since: Instant): Promise<AdmissionPeriod> {
  let found: AdmissionPeriod | undefined;
  await transition(context, 'admissionPeriod', since, async (tx) => {
    const { rows } = await sql<{ id: string; since: Instant }>`
      insert into keywright.admission as a (identity, period, since) values (${identity}, ${randomUUID()}, ${at(since)})
      on conflict (only_row) do update set
        identity = excluded.identity,
        period = case when a.identity = excluded.identity then a.period else excluded.period end,
        since = case when a.identity = excluded.identity then a.since else excluded.since end
      returning period as id, keywright.ms(since) as since`.execute(tx);
    found = rows.map((row) => ({ id: row.id, since: Number(row.since) }))[0];
    return { revises: [], audit: [] };
  });
  if (found === undefined) throw new TypeError('an upsert without a row');
  return found;
}

/** How many rows one statement updates. */
const batch = 1_000;

/** See {@link Store.carryAcceptances}. */
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
      return { revises: [], audit: [] };
    });
  }
  return carried;
}

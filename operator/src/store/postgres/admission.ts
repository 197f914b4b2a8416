import { sql } from 'kysely';

import type { Instant } from '../../domain/time.ts';
import type { AcceptedState, Acceptance, AdmissionPeriod, KeyRow } from '../port.ts';
import { wholeKeyJson, toKeyRow, type KeyJson } from './rows.ts';
import { at } from './tables.ts';
import { attempt, transition } from './transaction.ts';
import type { StoreContext, Tx } from './transaction.ts';

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

/** See {@link Store.keysWithoutAcceptance}. */
export async function keysWithoutAcceptance(context: StoreContext): Promise<readonly KeyRow[]> {
  const query = sql<{ key: KeyJson }>`select ${wholeKeyJson} as key from keywright.apikey k
    where k.accepted_generation is null and k.released_at is null`;
  const { rows } = await attempt(context, 'keysWithoutAcceptance', () => query.execute(context.db));
  return rows.map(({ key }) => toKeyRow(key));
}

/** See {@link Store.fillAcceptances}. */
export async function fillAcceptances(
  context: StoreContext,
  accepted: readonly (Acceptance & AcceptedState)[],
  now: Instant,
): Promise<void> {
  await inBatches(context, 'fillAcceptances', accepted, now, async (tx, part) => {
    await sql`
      update keywright.apikey k set accepted_generation = s.generation, accepted_requests = s.requests, accepted_period = s.period
      from unnest(${part.map(({ uid }) => uid)}::text[], ${part.map(({ generation }) => generation)}::bigint[],
        ${part.map(({ requests }) => requests)}::text[], ${part.map(({ period }) => period)}::text[])
        as s (uid, generation, requests, period)
      where k.uid = s.uid and k.accepted_generation is null`.execute(tx);
  });
}

/** See {@link Store.carryAcceptances}. */
export async function carryAcceptances(
  context: StoreContext,
  period: string,
  accepted: readonly AcceptedState[],
  now: Instant,
): Promise<number> {
  let carried = 0;
  await inBatches(context, 'carryAcceptances', accepted, now, async (tx, part) => {
    const { numAffectedRows } = await sql`
      update keywright.apikey k set accepted_period = ${period}
      from unnest(${part.map(({ uid }) => uid)}::text[], ${part.map(({ generation }) => generation)}::bigint[],
        ${part.map(({ requests }) => requests)}::text[]) as s (uid, generation, requests)
      where k.uid = s.uid and k.accepted_generation = s.generation and k.accepted_requests = s.requests
        and k.accepted_period is distinct from ${period}`.execute(tx);
    carried += Number(numAffectedRows ?? 0n);
  });
  return carried;
}

/** One transition for each batch of states. No verdict depends on them. */
async function inBatches<T>(
  context: StoreContext,
  operation: string,
  states: readonly T[],
  now: Instant,
  update: (tx: Tx, part: readonly T[]) => Promise<void>,
): Promise<void> {
  for (let from = 0; from < states.length; from += batch) {
    await transition(context, operation, now, async (tx) => {
      await update(tx, states.slice(from, from + batch));
      return { revises: [], audit: [] };
    });
  }
}

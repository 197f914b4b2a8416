import { sql } from 'kysely';

import type { ApiKeyRef } from '../../domain/key.ts';
import { formatLocation } from '../../domain/key.ts';
import type { Instant } from '../../domain/time.ts';
import { ceilingsOf, takenOver } from '../ceilings.ts';
import type { ClaimOutcome, HeldValue, KeySettings, MintRequest, RequestedBy, Transition } from '../port.ts';
import { claim, lockKey, plain } from './keys.ts';
import { appliedColumns, toKeyRow, wholeKeyJson } from './rows.ts';
import type { KeyJson } from './rows.ts';
import { at } from './tables.ts';
import { Abandon, transition } from './transaction.ts';
import type { AuditEntry, StoreContext, Tx } from './transaction.ts';

/** See {@link Store.intend}. */
export async function intend(
  context: StoreContext,
  ref: ApiKeyRef,
  keyId: string,
  targets: MintRequest['targets'],
  now: Instant,
): Promise<ClaimOutcome> {
  return await transition(context, 'intend', now, async (tx) => {
    await lockKey(tx, ref.uid);
    const version = await tx
      .withSchema('keywright')
      .selectFrom('version')
      .select('id')
      .where('apikey_uid', '=', ref.uid)
      .where('key_id', '=', keyId)
      .where('state', '<>', 'ended')
      .executeTakeFirst();
    if (version === undefined) throw new Abandon('already');
    await claim(tx, ref, keyId, targets);
    const audit = targets.map(({ targetName, location }): AuditEntry => {
      return { action: 'intend', apiKeyUid: ref.uid, keyId, detail: { target: targetName, location: formatLocation(location) } };
    });
    return { revises: [], audit };
  });
}

/** See {@link Store.confirmDeliveries}. */
export async function confirmDeliveries(
  context: StoreContext,
  uid: string,
  held: readonly HeldValue[],
  now: Instant,
): Promise<Transition> {
  if (held.length === 0) return 'already';
  const outcome = await transition(context, 'confirmDeliveries', now, async (tx) => {
    await lockKey(tx, uid, { released: true });
    for (const one of held) await confirm(tx, uid, one, now);
    const audit = held.map(({ location, keyId, providerVersion }): AuditEntry => {
      return {
        action: 'deliver',
        apiKeyUid: uid,
        keyId,
        detail: { location: formatLocation(location), version: providerVersion },
      };
    });
    return { revises: [], audit };
  });
  return plain(outcome);
}

async function confirm(tx: Tx, uid: string, held: HeldValue, now: Instant): Promise<void> {
  const written = await tx
    .withSchema('keywright')
    .updateTable('delivery')
    .set({ held_key_id: held.keyId, held_version: held.providerVersion, held_envelope: held.envelope, delivered_at: at(now) })
    .where('apikey_uid', '=', uid)
    .where('destination_uid', '=', held.location.destinationUid)
    .where('path', '=', held.location.path)
    .where('state', '<>', 'gone')
    .where('intended_key_id', '=', held.keyId)
    .executeTakeFirst();
  if (written.numUpdatedRows !== 1n) throw new Abandon('already');
}

/** See {@link Store.beginWithdrawal}. */
export async function beginWithdrawal(
  context: StoreContext,
  uid: string,
  deliveryIds: readonly string[],
  now: Instant,
  requestedBy?: RequestedBy,
): Promise<Transition> {
  if (deliveryIds.length === 0) return 'already';
  const outcome = await transition(context, 'beginWithdrawal', now, async (tx) => {
    await lockKey(tx, uid, { released: true });
    const audit = await withdraw(tx, uid, deliveryIds, now);
    if (audit.length === 0) throw new Abandon('already');
    return { revises: [], audit, requestedBy };
  });
  return plain(outcome);
}

/** live → withdrawing, of these rows or of all; what the audit says of it. */
async function withdraw(
  tx: Tx,
  uid: string,
  deliveryIds: readonly string[] | undefined,
  now: Instant,
): Promise<readonly AuditEntry[]> {
  const rows = await tx
    .withSchema('keywright')
    .updateTable('delivery')
    .set({ state: 'withdrawing', withdrawing_since: at(now) })
    .where('apikey_uid', '=', uid)
    .where('state', '=', 'live')
    .$if(deliveryIds !== undefined, (query) => query.where('id', 'in', [...(deliveryIds ?? [])]))
    .returning(['destination_uid', 'path', 'held_key_id'])
    .execute();
  return rows.map((row) => entry('withdraw', uid, row));
}

function entry(
  action: string,
  uid: string,
  row: { destination_uid: string; path: string; held_key_id: string | null },
): AuditEntry {
  const location = formatLocation({ destinationUid: row.destination_uid, path: row.path });
  return { action, apiKeyUid: uid, keyId: row.held_key_id ?? undefined, detail: { location } };
}

/** See {@link Store.finishWithdrawal}. */
export async function finishWithdrawal(
  context: StoreContext,
  uid: string,
  deliveryId: string,
  now: Instant,
): Promise<Transition> {
  const outcome = await transition(context, 'finishWithdrawal', now, async (tx) => {
    await lockKey(tx, uid, { released: true });
    const row = await tx
      .withSchema('keywright')
      .updateTable('delivery')
      .set({ state: 'gone' })
      .where('apikey_uid', '=', uid)
      .where('id', '=', deliveryId)
      .where('state', '=', 'withdrawing')
      .returning(['destination_uid', 'path', 'held_key_id'])
      .executeTakeFirst();
    if (row === undefined) throw new Abandon('already');
    return { revises: [], audit: [entry('withdrawn', uid, row)] };
  });
  return plain(outcome);
}

/** See {@link Store.takeOver}. */
export async function takeOver(context: StoreContext, ref: ApiKeyRef, proposed: KeySettings, now: Instant): Promise<Transition> {
  const outcome = await transition(context, 'takeOver', now, async (tx) => {
    const { rows } = await sql<{ key: KeyJson }>`
      select ${wholeKeyJson} as key from keywright.apikey k
      where k.namespace = ${ref.namespace} and k.name = ${ref.name} and k.released_at is null and k.uid <> ${ref.uid}
      for update`.execute(tx);
    const [old] = rows.map(({ key }) => toKeyRow(key));
    if (old === undefined) throw new Abandon('already');
    // Ended ones too: by its ceilings a version is known as one of an earlier ApiKey. A repeated one would only make verdicts slow.
    await sql`
      update keywright.version v set ceilings = v.ceilings || coalesce((
        select jsonb_agg(one) from jsonb_array_elements(${JSON.stringify(ceilingsOf(old))}::jsonb) one
        where not exists (select from jsonb_array_elements(v.ceilings) known where known = one)), '[]')
      where v.apikey_uid = ${old.ref.uid}`.execute(tx);
    // Versions and deliveries follow by their foreign keys. A closed old resource does not close the new one.
    const row = { uid: ref.uid, revoked_reason: null, ...appliedColumns(takenOver(old, proposed)) };
    await tx.withSchema('keywright').updateTable('apikey').set(row).where('uid', '=', old.ref.uid).execute();
    await sql`
      update keywright.missing_key set apikey_uid = ${ref.uid}
      where apikey_uid = ${old.ref.uid} and not exists (select from keywright.missing_key where apikey_uid = ${ref.uid})`.execute(
      tx,
    );
    const audit = { action: 'take-over', apiKeyUid: ref.uid, detail: { from: old.ref.uid } };
    return { revises: [old.ref.uid, ref.uid], audit: [audit] };
  });
  return plain(outcome);
}

/** See {@link Store.releaseKey}. */
export async function releaseKey(context: StoreContext, uid: string, now: Instant): Promise<Transition> {
  const outcome = await transition(context, 'releaseKey', now, async (tx) => {
    await lockKey(tx, uid);
    const released = await sql`
      update keywright.apikey set released_at = ${at(now)}
      where uid = ${uid} and not exists (select from keywright.version where apikey_uid = ${uid} and state <> 'ended')`.execute(
      tx,
    );
    if (released.numAffectedRows !== 1n) throw new Abandon('already');
    // Nobody would ever empty a location that stayed `live` without a resource.
    const left = await withdraw(tx, uid, undefined, now);
    return { revises: [uid], audit: [...left, { action: 'release', apiKeyUid: uid }] };
  });
  return plain(outcome);
}

import { sql } from 'kysely';

import type { ApiKeyRef, Location } from '../../domain/key.ts';
import { formatLocation } from '../../domain/key.ts';
import type { Instant } from '../../domain/time.ts';
import type { EndedReason } from '../../domain/version.ts';
import { settingsChange } from '../changes.ts';
import type { Actor, ClaimOutcome, KeySettings, MintRequest, Transition } from '../port.ts';
import { keyJson, settingsColumns, toKeyRow } from './rows.ts';
import type { KeyJson } from './rows.ts';
import { at, optionalAt } from './tables.ts';
import { Abandon, transition } from './transaction.ts';
import type { AuditEntry, StoreContext, Tx } from './transaction.ts';

type Target = MintRequest['targets'][number];

/** What the audit calls the end of a version. */
const endActions: Readonly<Record<EndedReason, string>> = {
  retired: 'retire',
  expired: 'expire',
  revoked: 'revoke',
  abandoned: 'abandon',
};

/** Locks the ApiKey's row: the first statement of every transition. A released or unknown one is `already`. */
export async function lockKey(
  tx: Tx,
  uid: string,
  options: { readonly released?: boolean } = {},
): Promise<{ readonly revokedReason: string | undefined }> {
  const row = await tx
    .withSchema('keywright')
    .selectFrom('apikey')
    .select(['revoked_reason as revokedReason', sql<boolean>`released_at is not null`.as('released')])
    .where('uid', '=', uid)
    .forUpdate()
    .executeTakeFirst();
  if (row === undefined || (row.released && options.released !== true)) throw new Abandon('already');
  return { revokedReason: row.revokedReason ?? undefined };
}

/** See {@link Store.mint}. */
export async function mint(context: StoreContext, request: MintRequest): Promise<ClaimOutcome> {
  const { ref, settings, version, now } = request;
  return await transition(context, 'mint', now, async (tx) => {
    const columns = settingsColumns(settings);
    await tx
      .withSchema('keywright')
      .insertInto('apikey')
      .values({ uid: ref.uid, namespace: ref.namespace, name: ref.name, ...columns, created_at: at(now) })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    const key = await lockKey(tx, ref.uid);
    if (key.revokedReason !== undefined) throw new Abandon('already');
    await tx.withSchema('keywright').updateTable('apikey').set(columns).where('uid', '=', ref.uid).execute();
    await setLostAside(tx, request);
    await requireNextAttempt(tx, ref.uid, version.epoch);
    await insertVersion(tx, request);
    await claim(tx, ref, version.keyId, request.targets);
    const lost = request.lostKeyIds.map((keyId): AuditEntry => ({ action: 'lose', apiKeyUid: ref.uid, keyId }));
    const detail = { epoch: version.epoch, cause: version.cause, pepper: version.pepperId };
    return { revises: [ref.uid], audit: [...lost, { action: 'mint', apiKeyUid: ref.uid, keyId: version.keyId, detail }] };
  });
}

async function setLostAside(tx: Tx, { ref, version, lostKeyIds }: MintRequest): Promise<void> {
  if (lostKeyIds.length === 0) return;
  const moved = await tx
    .withSchema('keywright')
    .updateTable('version')
    // A workload may hold it: it lives until its expiry, unless a winner is activated before.
    .set({ state: 'retiring', lost: true, not_after: sql`expires_at` })
    .where('apikey_uid', '=', ref.uid)
    .where('key_id', 'in', [...lostKeyIds])
    .where('epoch', '=', version.epoch)
    .where('state', '=', 'pending')
    .executeTakeFirst();
  if (Number(moved.numUpdatedRows) !== lostKeyIds.length) throw new Abandon('already');
}

/** A new epoch, or another attempt of the highest one while none of it has won; and no other attempt pending. */
async function requireNextAttempt(tx: Tx, uid: string, epoch: number): Promise<void> {
  const found = await sql<{ refused: boolean }>`
    select count(*) filter (where state = 'pending' or epoch > ${epoch} or (epoch = ${epoch} and activated_at is not null)) > 0 as refused
    from keywright.version where apikey_uid = ${uid}`.execute(tx);
  if (found.rows[0]?.refused !== false) throw new Abandon('already');
}

async function insertVersion(tx: Tx, { ref, version }: MintRequest): Promise<void> {
  const row = {
    id: version.id,
    apikey_uid: ref.uid,
    key_id: version.keyId,
    display: version.display,
    epoch: version.epoch,
    state: 'pending' as const,
    cause: version.cause,
    hash: Buffer.from(version.hash),
    pepper_id: version.pepperId,
    owner_uid: version.ownerUid,
    issued_at: at(version.issuedAt),
    expires_at: optionalAt(version.expiresAt),
  };
  await tx.withSchema('keywright').insertInto('version').values(row).execute();
}

/**
 * Records the intent to write `keyId` at these places, making rows where there are none. A row that a released ApiKey of
 * the same name left behind is taken over; another ApiKey's is `taken`. One order for all callers, or two ApiKeys that
 * want the same two locations would wait for each other.
 */
export async function claim(tx: Tx, ref: ApiKeyRef, keyId: string, targets: readonly Target[]): Promise<void> {
  for (const { targetName, location } of [...targets].sort((a, b) => compare(a.location, b.location))) {
    const claimed = await sql`
      insert into keywright.delivery as d (apikey_uid, target_name, destination_uid, path, intended_key_id)
      values (${ref.uid}, ${targetName}, ${location.destinationUid}, ${location.path}, ${keyId})
      on conflict (destination_uid, path) where state <> 'gone' do update
        set apikey_uid = excluded.apikey_uid, target_name = excluded.target_name, intended_key_id = excluded.intended_key_id,
            state = 'live', withdrawing_since = null
        where d.apikey_uid = excluded.apikey_uid or exists (
          select from keywright.apikey k
          where k.uid = d.apikey_uid and k.released_at is not null and k.namespace = ${ref.namespace} and k.name = ${ref.name})
      returning d.id`.execute(tx);
    if (claimed.rows.length === 0) throw new Abandon({ kind: 'taken', location });
  }
}

function compare(a: Location, b: Location): number {
  const [left, right] = [formatLocation(a), formatLocation(b)];
  return left < right ? -1 : left > right ? 1 : 0;
}

/** See {@link Store.activate}. */
export async function activate(
  context: StoreContext,
  uid: string,
  keyId: string,
  oldNotAfter: Instant | undefined,
  now: Instant,
): Promise<Transition> {
  const outcome = await transition(context, 'activate', now, async (tx) => {
    await lockKey(tx, uid);
    const versions = tx.withSchema('keywright');
    const old = await versions
      .selectFrom('version')
      .select(['key_id', sql<boolean>`epoch < (select epoch from keywright.version where key_id = ${keyId})`.as('older')])
      .where('apikey_uid', '=', uid)
      .where('state', '=', 'active')
      .executeTakeFirst();
    // An old version must have an end when a new one is there; a newer active one means that we planned on old news.
    if (old !== undefined && (!old.older || oldNotAfter === undefined)) throw new Abandon('already');
    // `least` skips nulls, so an end is never moved behind the expiry, nor behind an earlier end.
    if (oldNotAfter !== undefined) {
      await versions
        .updateTable('version')
        .set({ state: 'retiring', not_after: sql`least(${at(oldNotAfter)}, not_after, expires_at)` })
        .where('apikey_uid', '=', uid)
        .where((where) =>
          where.or([where('state', '=', 'active'), where.and([where('state', '=', 'retiring'), where('lost', '=', true)])]),
        )
        .execute();
    }
    const moved = await versions
      .updateTable('version')
      .set({ state: 'active', activated_at: at(now) })
      .where('apikey_uid', '=', uid)
      .where('key_id', '=', keyId)
      .where('state', '=', 'pending')
      .executeTakeFirst();
    if (moved.numUpdatedRows !== 1n) throw new Abandon('already');
    const replaced = old === undefined ? {} : { replaces: old.key_id };
    return { revises: [uid], audit: [{ action: 'activate', apiKeyUid: uid, keyId, detail: replaced }] };
  });
  return plain(outcome);
}

/** See {@link Store.endVersions}. */
export async function endVersions(
  context: StoreContext,
  uid: string,
  keyIds: readonly string[],
  reason: EndedReason,
  now: Instant,
): Promise<Transition> {
  if (keyIds.length === 0) return 'already';
  const outcome = await transition(context, 'endVersions', now, async (tx) => {
    await lockKey(tx, uid);
    const ended = await end(tx, uid, keyIds, reason, now);
    if (ended.length === 0) throw new Abandon('already');
    return { revises: [uid], audit: ended.map((keyId) => ({ action: endActions[reason], apiKeyUid: uid, keyId })) };
  });
  return plain(outcome);
}

async function end(
  tx: Tx,
  uid: string,
  keyIds: readonly string[] | undefined,
  reason: EndedReason,
  now: Instant,
): Promise<readonly string[]> {
  const rows = await tx
    .withSchema('keywright')
    .updateTable('version')
    .set({ state: 'ended', ended_reason: reason, ended_at: at(now) })
    .where('apikey_uid', '=', uid)
    .where('state', '<>', 'ended')
    .$if(keyIds !== undefined, (query) => query.where('key_id', 'in', [...(keyIds ?? [])]))
    .returning('key_id')
    .execute();
  return rows.map((row) => row.key_id);
}

/** See {@link Store.revokeAll}. */
export async function revokeAll(
  context: StoreContext,
  uid: string,
  cause: { readonly actor: Actor; readonly revokedReason?: string; readonly detail: string },
  now: Instant,
): Promise<Transition> {
  const outcome = await transition(context, 'revokeAll', now, async (tx) => {
    const key = await lockKey(tx, uid);
    const ended = await end(tx, uid, undefined, 'revoked', now);
    const closes = cause.revokedReason !== undefined && key.revokedReason === undefined;
    if (closes) {
      await tx
        .withSchema('keywright')
        .updateTable('apikey')
        .set({ revoked_reason: cause.revokedReason })
        .where('uid', '=', uid)
        .execute();
    }
    if (ended.length === 0 && !closes) throw new Abandon('already');
    const base = { apiKeyUid: uid, actor: cause.actor, detail: { cause: cause.detail, ...reasonDetail(cause.revokedReason) } };
    const closing: readonly AuditEntry[] = closes ? [{ ...base, action: 'close' }] : [];
    return { revises: [uid], audit: [...ended.map((keyId): AuditEntry => ({ ...base, action: 'revoke', keyId })), ...closing] };
  });
  return plain(outcome);
}

function reasonDetail(reason: string | undefined): Readonly<Record<string, string>> {
  return reason === undefined ? {} : { reason };
}

/** See {@link Store.saveSettings}. */
export async function saveSettings(context: StoreContext, uid: string, settings: KeySettings, now: Instant): Promise<Transition> {
  const outcome = await transition(context, 'saveSettings', now, async (tx) => {
    await lockKey(tx, uid);
    const known = await sql<{ key: KeyJson }>`select ${keyJson} as key from keywright.apikey k where k.uid = ${uid}`.execute(tx);
    const columns = settingsColumns(settings);
    const saved = await tx
      .withSchema('keywright')
      .updateTable('apikey')
      .set(columns)
      .where('uid', '=', uid)
      .where(
        sql<boolean>`(display_name, catalog, owner, access_type, client_application, suspended, selections) is distinct from
          (${columns.display_name}, ${columns.catalog}, ${columns.owner}, ${columns.access_type}, ${columns.client_application}::text,
           ${columns.suspended}::boolean, ${columns.selections}::jsonb)`,
      )
      .executeTakeFirst();
    if (saved.numUpdatedRows !== 1n) throw new Abandon('already');
    const detail = known.rows.map(({ key }) => settingsChange(toKeyRow(key).settings, settings));
    return { revises: [uid], audit: detail.map((one) => ({ action: 'edit', apiKeyUid: uid, detail: one })) };
  });
  return plain(outcome);
}

/** Only {@link claim} can say `taken`. */
export function plain(outcome: ClaimOutcome): Transition {
  if (typeof outcome === 'string') return outcome;
  throw new TypeError('a transition without claims came to a taken location');
}

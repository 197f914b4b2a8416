import { sql } from 'kysely';

import type { ApiKeyRef, Location } from '../../domain/key.ts';
import { formatLocation } from '../../domain/key.ts';
import type { Instant } from '../../domain/time.ts';
import { appliedChange, firstPlaces, handledChange } from '../changes.ts';
import type { AppliedSettings, ClaimOutcome, HandledRequests, MintRequest, RequestedBy, Transition } from '../port.ts';
import { appliedColumns, toKeyRow, wholeKeyJson } from './rows.ts';
import type { KeyJson } from './rows.ts';
import { at, optionalAt } from './tables.ts';
import { Abandon, transition } from './transaction.ts';
import type { AuditEntry, StoreContext, Tx } from './transaction.ts';

type Target = MintRequest['targets'][number];

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
  const { ref, applied, version, now } = request;
  return await transition(context, 'mint', now, async (tx) => {
    const inserted = await tx
      .withSchema('keywright')
      .insertInto('apikey')
      .values({ uid: ref.uid, namespace: ref.namespace, name: ref.name, ...appliedColumns(applied), created_at: at(now) })
      .onConflict((conflict) => conflict.doNothing())
      .executeTakeFirst();
    const key = await lockKey(tx, ref.uid);
    if (key.revokedReason !== undefined) throw new Abandon('already');
    const answered = { ...handledColumns(request.handled), compromised_key_id: null };
    // Does not write the settings again: this mint may have been planned before somebody narrowed them.
    await tx.withSchema('keywright').updateTable('apikey').set(answered).where('uid', '=', ref.uid).execute();
    await setLostAside(tx, request);
    await requireNextAttempt(tx, ref.uid, version.epoch);
    await insertVersion(tx, request);
    await claim(tx, ref, version.keyId, request.targets);
    const lost = request.lostKeyIds.map((keyId): AuditEntry => ({ action: 'lose', apiKeyUid: ref.uid, keyId }));
    const detail = { epoch: version.epoch, cause: version.cause, pepper: version.pepperId };
    const minted = { action: 'mint', apiKeyUid: ref.uid, keyId: version.keyId, detail };
    const places = inserted.numInsertedOrUpdatedRows === 1n ? firstPlaces(applied) : undefined;
    const placed = places === undefined ? [] : [{ action: 'place', apiKeyUid: ref.uid, detail: places }];
    return { revises: [ref.uid], audit: [...lost, ...placed, minted], requestedBy: request.requestedBy };
  });
}

async function setLostAside(tx: Tx, { ref, version, lostKeyIds, now }: MintRequest): Promise<void> {
  if (lostKeyIds.length === 0) return;
  const moved = await tx
    .withSchema('keywright')
    .updateTable('version')
    // A workload may hold it: it lives until its expiry, unless a winner is activated before.
    .set({ state: 'retiring', lost: true, not_after: sql`expires_at`, retiring_since: at(now) })
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

async function insertVersion(tx: Tx, { ref, version, revocationDigest }: MintRequest): Promise<void> {
  const row = {
    id: version.id,
    apikey_uid: ref.uid,
    key_id: version.keyId,
    display: version.display,
    epoch: version.epoch,
    state: 'pending' as const,
    cause: version.cause,
    hash: Buffer.from(version.hash),
    revocation_digest: revocationDigest === undefined ? null : Buffer.from(revocationDigest),
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
        .set({
          state: 'retiring',
          not_after: sql`least(${at(oldNotAfter)}, not_after, expires_at)`,
          retiring_since: sql`coalesce(retiring_since, ${at(now)})`,
        })
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

/** See {@link Store.saveSettings}. */
export async function saveSettings(
  context: StoreContext,
  uid: string,
  applied: AppliedSettings,
  now: Instant,
  requestedBy?: RequestedBy,
): Promise<Transition> {
  const outcome = await transition(context, 'saveSettings', now, async (tx) => {
    await lockKey(tx, uid);
    const query = sql<{ key: KeyJson }>`select ${wholeKeyJson} as key from keywright.apikey k where k.uid = ${uid}`;
    const { rows } = await query.execute(tx);
    const [known] = rows.map(({ key }) => toKeyRow(key));
    if (known === undefined) throw new Abandon('already');
    const change = appliedChange(known, applied);
    if (change.kind === 'none') throw new Abandon('already');
    await tx.withSchema('keywright').updateTable('apikey').set(appliedColumns(applied)).where('uid', '=', uid).execute();
    if (change.kind === 'acceptance') return { revises: [], audit: [] };
    const revises = change.kind === 'verdict' ? [uid] : [];
    return { revises, audit: [{ action: change.action, apiKeyUid: uid, detail: change.detail }], requestedBy };
  });
  return plain(outcome);
}

/** See {@link Store.saveHandled}. */
export async function saveHandled(
  context: StoreContext,
  uid: string,
  handled: HandledRequests,
  now: Instant,
  requestedBy?: RequestedBy,
): Promise<Transition> {
  const outcome = await transition(context, 'saveHandled', now, async (tx) => {
    await lockKey(tx, uid);
    const audit = await recordHandled(tx, uid, { rotate: undefined, compromised: undefined, ...handled });
    if (audit.length === 0) throw new Abandon('already');
    return { revises: [], audit, requestedBy };
  });
  return plain(outcome);
}

/** Members of {@link HandledRequests}; `undefined` = forget. */
type HandledEdit = { readonly [K in keyof HandledRequests]?: string | undefined };

function handledColumns(edit: HandledEdit | undefined) {
  return {
    ...(edit !== undefined && 'rotate' in edit ? { handled_rotate: edit.rotate ?? null } : {}),
    ...(edit !== undefined && 'compromised' in edit ? { handled_compromised: edit.compromised ?? null } : {}),
  };
}

/** Sets the members that are given; what the audit says of it, nothing when nothing differs. The key's row is locked. */
export async function recordHandled(tx: Tx, uid: string, edit: HandledEdit): Promise<readonly AuditEntry[]> {
  if (Object.keys(edit).length === 0) return [];
  const keys = tx.withSchema('keywright');
  const columns = ['handled_rotate', 'handled_compromised'] as const;
  const before = await keys.selectFrom('apikey').select(columns).where('uid', '=', uid).executeTakeFirstOrThrow();
  const detail = handledChange(handledOf(before), handledOf({ ...before, ...handledColumns(edit) }));
  if (Object.keys(detail).length === 0) return [];
  await keys.updateTable('apikey').set(handledColumns(edit)).where('uid', '=', uid).execute();
  return [{ action: 'handle', apiKeyUid: uid, detail }];
}

function handledOf(row: {
  readonly handled_rotate: string | null;
  readonly handled_compromised: string | null;
}): HandledRequests {
  return {
    ...(row.handled_rotate === null ? {} : { rotate: row.handled_rotate }),
    ...(row.handled_compromised === null ? {} : { compromised: row.handled_compromised }),
  };
}

/** Only {@link claim} can say `taken`. */
export function plain(outcome: ClaimOutcome): Transition {
  if (typeof outcome === 'string') return outcome;
  throw new TypeError('a transition without claims came to a taken location');
}

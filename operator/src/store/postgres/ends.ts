import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';

import { stalled } from '../../domain/failure.ts';
import type { Instant } from '../../domain/time.ts';
import type { EndedReason, Version } from '../../domain/version.ts';
import { instantChange } from '../changes.ts';
import { endsAfterEdit, nearerEnd } from '../ends.ts';
import type { Ends } from '../ends.ts';
import type {
  DirectRevocation,
  HandledRequests,
  RequestedBy,
  RevocationCause,
  RevocationOutcome,
  Transition,
  VersionEnd,
  VersionExpiry,
} from '../port.ts';
import { DatabaseFault } from './fault.ts';
import { lockKey, plain, recordHandled } from './keys.ts';
import { toVersion, versionJson } from './rows.ts';
import type { VersionJson } from './rows.ts';
import { at, optionalAt } from './tables.ts';
import { Abandon, attempt, transition } from './transaction.ts';
import type { AuditEntry, StoreContext, Tx } from './transaction.ts';

/** What the audit calls the end of a version. */
const endActions: Readonly<Record<EndedReason, string>> = {
  retired: 'retire',
  expired: 'expire',
  revoked: 'revoke',
  abandoned: 'abandon',
};

/** See {@link Store.bringForward}. */
export async function bringForward(
  context: StoreContext,
  uid: string,
  ends: readonly VersionEnd[],
  now: Instant,
): Promise<Transition> {
  const wanted = new Map(ends.map((one) => [one.keyId, one.notAfter]));
  return await editEnds(context, 'bringForward', { uid, keyIds: [...wanted.keys()], now }, (version) => {
    const notAfter = nearerEnd(version, wanted.get(version.keyId) ?? Infinity, now);
    if (notAfter === undefined) return undefined;
    const detail = instantChange('notAfter', version.notAfter, notAfter);
    return { ends: { ...version, notAfter }, entry: { action: 'bring-forward', detail } };
  });
}

/** See {@link Store.setExpiry}. */
export async function setExpiry(
  context: StoreContext,
  uid: string,
  expiries: readonly VersionExpiry[],
  now: Instant,
  requestedBy?: RequestedBy,
): Promise<Transition> {
  const wanted = new Map(expiries.map((one) => [one.keyId, one.expiresAt]));
  return await editEnds(context, 'setExpiry', { uid, keyIds: [...wanted.keys()], now, requestedBy }, (version) => {
    const ends = endsAfterEdit(version, wanted.get(version.keyId));
    if (ends === undefined) return undefined;
    const detail = instantChange('expiresAt', version.expiresAt, ends.expiresAt);
    return { ends, entry: { action: 'set-expiry', detail } };
  });
}

/** What an edit makes of one version; nothing = it stays as it is. */
type EndEdit = (version: Version) => { readonly ends: Ends; readonly entry: AuditEntry } | undefined;

interface EditedEnds {
  readonly uid: string;
  readonly keyIds: readonly string[];
  readonly now: Instant;
  readonly requestedBy?: RequestedBy | undefined;
}

async function editEnds(context: StoreContext, operation: string, which: EditedEnds, edit: EndEdit): Promise<Transition> {
  const { uid, keyIds, now, requestedBy } = which;
  const outcome = await transition(context, operation, now, async (tx) => {
    await lockKey(tx, uid);
    const { rows } = await sql<{ version: VersionJson }>`
      select ${versionJson} as version from keywright.version v
      where v.apikey_uid = ${uid} and v.state <> 'ended' and v.key_id = any(${[...keyIds]}::text[]) order by v.seq`.execute(tx);
    const audit: AuditEntry[] = [];
    for (const version of rows.map((row) => toVersion(row.version))) {
      const edited = edit(version);
      if (edited === undefined) continue;
      await setEnds(tx, version, edited.ends);
      audit.push({ ...edited.entry, apiKeyUid: uid, keyId: version.keyId });
    }
    if (audit.length === 0) throw new Abandon('already');
    return { revises: [uid], audit, requestedBy };
  });
  return plain(outcome);
}

async function setEnds(tx: Tx, version: Version, ends: Ends): Promise<void> {
  const written = await tx
    .withSchema('keywright')
    .updateTable('version')
    .set({ expires_at: optionalAt(ends.expiresAt), not_after: optionalAt(ends.notAfter) })
    .where('key_id', '=', version.keyId)
    .where('state', '=', version.state)
    .executeTakeFirst();
  if (written.numUpdatedRows !== 1n) throw new Abandon('already');
}

/** See {@link Store.endVersions}. */
export async function endVersions(
  context: StoreContext,
  uid: string,
  keyIds: readonly string[],
  reason: EndedReason,
  now: Instant,
  handled: HandledRequests = {},
  requestedBy?: RequestedBy,
  generation?: number,
): Promise<Transition> {
  const outcome = await transition(context, 'endVersions', now, async (tx) => {
    await lockKey(tx, uid);
    const ended = keyIds.length === 0 ? [] : await end(tx, uid, keyIds, reason, now);
    const requests = await recordHandled(tx, uid, handled);
    if (ended.length === 0 && requests.length === 0) throw new Abandon('already');
    if (reason === 'expired' && ended.length > 0 && generation !== undefined) await noteExpiry(tx, uid, generation);
    if (handled.compromised !== undefined && ended.length > 0) await noteCompromise(tx, uid, ended);
    const audit = ended.map((keyId): AuditEntry => ({ action: endActions[reason], apiKeyUid: uid, keyId }));
    return { revises: ended.length === 0 ? [] : [uid], audit: [...audit, ...requests], requestedBy };
  });
  return plain(outcome);
}

async function noteExpiry(tx: Tx, uid: string, generation: number): Promise<void> {
  const query = tx.withSchema('keywright').updateTable('apikey').set({ expired_generation: generation });
  await query.where('uid', '=', uid).execute();
}

/** Of what was compromised and not replaced yet, the newest is remembered. */
async function noteCompromise(tx: Tx, uid: string, keyIds: readonly string[]): Promise<void> {
  await sql`
    update keywright.apikey k set compromised_key_id = (
      select v.key_id from keywright.version v where v.key_id = k.compromised_key_id or v.key_id = any(${[...keyIds]}::text[])
      order by v.seq desc limit 1)
    where k.uid = ${uid}`.execute(tx);
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
export async function revokeAll(context: StoreContext, uid: string, cause: RevocationCause, now: Instant): Promise<Transition> {
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
    const revoked = ended.map((keyId): AuditEntry => ({ ...base, action: 'revoke', keyId }));
    return { revises: [uid], audit: [...revoked, ...closing], requestedBy: cause.requestedBy };
  });
  return plain(outcome);
}

function reasonDetail(reason: string | undefined): Readonly<Record<string, string>> {
  return reason === undefined ? {} : { reason };
}

/** See {@link Store.revokeDirect}. A repetition gives `already`, so a retry is safe. */
export async function revokeDirect(
  context: StoreContext,
  keyId: string,
  { actor, reason, close }: DirectRevocation,
): Promise<RevocationOutcome> {
  const call = sql`keywright.keywright_revoke(${keyId}, ${actor}, ${reason}, ${close})`;
  return await revocation(context, 'revokeDirect', call, "use one that has PostgreSQL's role keywright_responder");
}

/** See {@link Store.revokeProven}. A repetition gives `already`, so a retry is safe. */
export async function revokeProven(
  context: StoreContext,
  keyId: string,
  proof: Uint8Array,
  reason: string,
): Promise<RevocationOutcome> {
  const call = sql`keywright.revoke_proven(${keyId}, ${Buffer.from(proof)}, ${reason})`;
  return await revocation(context, 'revokeProven', call, 'run keywright migrate with the login that owns the schema');
}

/** `cure`: what to do about a login that may not call this. Trying again would never help, so that is `stalled`. */
async function revocation(
  context: StoreContext,
  operation: string,
  call: RawBuilder<unknown>,
  cure: string,
): Promise<RevocationOutcome> {
  const query = sql<{ outcome: RevocationOutcome }>`select ${call} as outcome`;
  const execute = () =>
    query.execute(context.db).catch((error: unknown) => {
      if (!(error instanceof DatabaseFault) || error.code !== '42501') throw error;
      throw stalled('StoreUnavailable', `this login of the database may not revoke like this: ${cure} (42501)`);
    });
  const row = (await attempt(context, operation, execute)).rows[0];
  if (row === undefined) throw new TypeError('a function without a result');
  return row.outcome;
}

import type { Instant } from '../../../../operator/src/domain/time.ts';
import type { EndedReason, Version } from '../../../../operator/src/domain/version.ts';
import { instantChange } from '../../../../operator/src/store/changes.ts';
import { endsAfterEdit, nearerEnd } from '../../../../operator/src/store/ends.ts';
import type { Ends } from '../../../../operator/src/store/ends.ts';
import type {
  DirectRevocation,
  HandledRequests,
  RevocationCause,
  VersionEnd,
  VersionExpiry,
} from '../../../../operator/src/store/port.ts';
import { recordHandled } from './keys.ts';
import { Abandon, existing, inheritedOf, inUse, optional, replace, versionsOf } from './rows.ts';
import type { Audited, Change, Rows } from './rows.ts';

export function bringForward(rows: Rows, uid: string, ends: readonly VersionEnd[], now: Instant): Change {
  return editEnds(rows, uid, (version) => {
    const wanted = ends.find((one) => one.keyId === version.keyId);
    const notAfter = wanted === undefined ? undefined : nearerEnd(version, wanted.notAfter, now);
    if (notAfter === undefined) return undefined;
    const detail = instantChange('notAfter', version.notAfter, notAfter);
    return { ends: { ...version, notAfter }, entry: { action: 'bring-forward', detail } };
  });
}

export function setExpiry(rows: Rows, uid: string, expiries: readonly VersionExpiry[]): Change {
  return editEnds(rows, uid, (version) => {
    const wanted = expiries.find((one) => one.keyId === version.keyId);
    const ends =
      wanted === undefined ? undefined : endsAfterEdit({ ...version, ...inheritedOf(rows, version) }, wanted.expiresAt);
    if (ends === undefined) return undefined;
    const detail = instantChange('expiresAt', version.expiresAt, ends.expiresAt);
    return { ends, entry: { action: 'set-expiry', detail } };
  });
}

type EndEdit = (version: Version) => { readonly ends: Ends; readonly entry: Audited } | undefined;

function editEnds(rows: Rows, uid: string, edit: EndEdit): Change {
  inUse(rows, uid);
  const audit: Audited[] = [];
  for (const version of versionsOf(rows, uid)) {
    const edited = edit(version);
    if (edited === undefined) continue;
    const { expiresAt: _e, notAfter: _n, ...kept } = version;
    const { expiresAt, notAfter } = edited.ends;
    replace(rows.versions, version, { ...kept, ...optional('expiresAt', expiresAt), ...optional('notAfter', notAfter) });
    audit.push({ ...edited.entry, keyId: version.keyId });
  }
  if (audit.length === 0) throw new Abandon('already');
  return { uid, revises: [uid], audit };
}

const endActions: Readonly<Record<EndedReason, string>> = {
  retired: 'retire',
  expired: 'expire',
  revoked: 'revoke',
  abandoned: 'abandon',
};

/** What {@link endVersions} is told. */
export interface Ending {
  readonly keyIds: readonly string[];
  readonly reason: EndedReason;
  readonly now: Instant;
  readonly handled: HandledRequests;
  readonly generation?: number;
}

export function endVersions(rows: Rows, uid: string, { keyIds, reason, now, handled, generation }: Ending): Change {
  const key = inUse(rows, uid);
  const ended = end(rows, uid, (one) => keyIds.includes(one.keyId), reason, now);
  const requests = recordHandled(rows, uid, { ...key.handled, ...handled });
  if (ended.length === 0 && requests.length === 0) throw new Abandon('already');
  if (handled.compromised !== undefined && ended.length > 0) noteCompromise(rows, uid, ended);
  if (reason === 'expired' && ended.length > 0 && generation !== undefined)
    rows.keys.set(uid, { ...existing(rows.keys, uid), expiredGeneration: generation });
  const audit = ended.map((keyId) => ({ action: endActions[reason], keyId }));
  return { uid, revises: ended.length === 0 ? [] : [uid], audit: [...audit, ...requests] };
}

/** Of what was compromised and not replaced yet, the newest is remembered. */
function noteCompromise(rows: Rows, uid: string, keyIds: readonly string[]): void {
  const key = existing(rows.keys, uid);
  const newest = versionsOf(rows, uid).findLast((one) => one.keyId === key.compromisedKeyId || keyIds.includes(one.keyId));
  rows.keys.set(uid, { ...key, ...optional('compromisedKeyId', newest?.keyId) });
}

export function revokeAll(rows: Rows, uid: string, cause: RevocationCause, now: Instant): Change {
  const key = inUse(rows, uid);
  const { actor, revokedReason } = cause;
  const ended = end(rows, uid, () => true, 'revoked', now);
  const closes = revokedReason !== undefined && key.revokedReason === undefined;
  if (closes) rows.keys.set(uid, { ...key, revokedReason });
  if (ended.length === 0 && !closes) throw new Abandon('already');
  const detail = { cause: cause.detail, ...optional('reason', revokedReason) };
  const audit = [
    ...ended.map((keyId) => ({ action: 'revoke', actor, keyId, detail })),
    ...(closes ? [{ action: 'close', actor, detail }] : []),
  ];
  return { uid, revises: [uid], audit };
}

export function revokeDirect(rows: Rows, uid: string, keyId: string, revocation: DirectRevocation, now: Instant): Change {
  const { actor: who, reason, close } = revocation;
  const actor = 'login:memory';
  const key = existing(rows.keys, uid);
  const ended = end(rows, uid, (one) => close || one.keyId === keyId, 'revoked', now);
  const closing = close && !key.released && key.revokedReason === undefined;
  if (!closing && ended.length === 0) throw new Abandon('already');
  if (closing) rows.keys.set(uid, { ...key, revokedReason: reason });
  else if (!close) noteCompromise(rows, uid, [keyId]);
  const detail = { cause: 'revoked in the store', reason, who };
  const audit = [
    ...ended.map((one) => ({ action: 'revoke', actor, keyId: one, detail })),
    ...(closing ? [{ action: 'close', actor, detail }] : []),
  ];
  return { uid, revises: [uid], audit };
}

function end(
  rows: Rows,
  uid: string,
  chosen: (version: Version) => boolean,
  endedReason: EndedReason,
  endedAt: Instant,
): readonly string[] {
  const found = versionsOf(rows, uid).filter((one) => one.state !== 'ended' && chosen(one));
  for (const one of found) replace(rows.versions, one, { ...one, state: 'ended', endedReason, endedAt });
  return found.map((one) => one.keyId);
}

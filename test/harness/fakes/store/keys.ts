import type { ApiKeyRef } from '../../../../operator/src/domain/key.ts';
import type { Instant } from '../../../../operator/src/domain/time.ts';
import { ceilingsOf, takenOver } from '../../../../operator/src/store/ceilings.ts';
import { appliedChange, firstPlaces, handledChange } from '../../../../operator/src/store/changes.ts';
import type {
  AcceptedState,
  AppliedSettings,
  HandledRequests,
  KeySettings,
  MintRequest,
} from '../../../../operator/src/store/port.ts';
import { claim, withdraw } from './deliveries.ts';
import { Abandon, canonical, inUse, optional, replace, sameName, versionsOf } from './rows.ts';
import type { Audited, Change, Rows, StoredKey } from './rows.ts';

export function mint(rows: Rows, request: MintRequest): Change {
  const { ref, applied, version, now } = request;
  const held = [...rows.keys.values()].some((key) => !key.released && key.ref.uid !== ref.uid && sameName(key.ref, ref));
  const key: StoredKey = rows.keys.get(ref.uid) ?? { ref, ...applied, released: false };
  if (held || key.released || key.revokedReason !== undefined) throw new Abandon('already');
  const { compromisedKeyId: _, ...kept } = key;
  const places = rows.keys.has(ref.uid) ? undefined : firstPlaces(applied);
  rows.keys.set(ref.uid, kept);
  recordHandled(rows, ref.uid, { ...key.handled, ...request.handled });
  const own = versionsOf(rows, ref.uid);
  const lost = own.filter(
    (one) => request.lostKeyIds.includes(one.keyId) && one.state === 'pending' && one.epoch === version.epoch,
  );
  if (lost.length !== request.lostKeyIds.length) throw new Abandon('already');
  const refused = own.some(
    (one) =>
      (one.state === 'pending' && !lost.includes(one)) ||
      one.epoch > version.epoch ||
      (one.epoch === version.epoch && one.activatedAt !== undefined),
  );
  if (refused || rows.versions.some((one) => one.keyId === version.keyId || one.id === version.id)) throw new Abandon('already');
  for (const one of lost) {
    const end = optional('notAfter', one.expiresAt);
    replace(rows.versions, one, { ...one, state: 'retiring', lost: true, retiringSince: now, ...end });
  }
  insertVersion(rows, request);
  claim(rows, ref, version.keyId, request.targets);
  const detail = { epoch: version.epoch, cause: version.cause, pepper: version.pepperId };
  const audit = [
    ...lost.map((one) => ({ action: 'lose', keyId: one.keyId })),
    ...(places === undefined ? [] : [{ action: 'place', detail: places }]),
    { action: 'mint', keyId: version.keyId, detail },
  ];
  return { uid: ref.uid, revises: [ref.uid], audit };
}

/** Of a version only what a mint decides is kept. */
function insertVersion(rows: Rows, { ref, version, revocationDigest }: MintRequest): void {
  const { activatedAt: _a, notAfter: _n, retiringSince: _r, endedAt: _e, endedReason: _er, ...rest } = version;
  const { firstUsedAt: _f, lastUsedAt: _l, usedBy: _u, ...fresh } = rest;
  rows.versions.push({ ...fresh, apiKeyUid: ref.uid, state: 'pending', lost: false, hash: Uint8Array.from(version.hash) });
  if (revocationDigest !== undefined) rows.revocationDigests.set(version.keyId, revocationDigest);
}

export function activate(rows: Rows, uid: string, keyId: string, oldNotAfter: Instant | undefined, now: Instant): Change {
  inUse(rows, uid);
  const own = versionsOf(rows, uid);
  const version = own.find((one) => one.keyId === keyId && one.state === 'pending');
  const old = own.find((one) => one.state === 'active');
  if (version === undefined || (old !== undefined && (old.epoch >= version.epoch || oldNotAfter === undefined)))
    throw new Abandon('already');
  if (oldNotAfter !== undefined) {
    for (const one of own.filter((other) => other.state === 'active' || (other.state === 'retiring' && other.lost))) {
      const notAfter = Math.min(oldNotAfter, one.notAfter ?? Infinity, one.expiresAt ?? Infinity);
      replace(rows.versions, one, { ...one, state: 'retiring', notAfter, retiringSince: one.retiringSince ?? now });
    }
  }
  replace(rows.versions, version, { ...version, state: 'active', activatedAt: now });
  const detail: Readonly<Record<string, string>> = old === undefined ? {} : { replaces: old.keyId };
  return { uid, revises: [uid], audit: [{ action: 'activate', keyId, detail }] };
}

export function saveSettings(rows: Rows, uid: string, applied: AppliedSettings): Change {
  const key = inUse(rows, uid);
  const change = appliedChange(key, applied);
  if (change.kind === 'none') throw new Abandon('already');
  rows.keys.set(uid, { ...withoutApplied(key), ...structuredClone(applied) });
  if (change.kind === 'acceptance') return { uid, revises: [], audit: [] };
  return { uid, revises: change.kind === 'verdict' ? [uid] : [], audit: [{ action: change.action, detail: change.detail }] };
}

type Kept = Omit<StoredKey, keyof AppliedSettings>;

function withoutApplied(key: StoredKey): Kept {
  const { settings: _s, proposed: _p, notPermitted: _n, accepted: _a, terms: _t, places: _pl, ...kept } = key;
  return kept;
}

export function carryAcceptances(rows: Rows, period: string, states: readonly AcceptedState[]): number {
  let carried = 0;
  for (const { uid, generation, requests } of states) {
    const key = rows.keys.get(uid);
    if (key?.accepted?.generation !== generation || key.accepted.requests !== requests || key.accepted.period === period)
      continue;
    rows.keys.set(uid, { ...key, accepted: { generation, requests, period } });
    carried += 1;
  }
  return carried;
}

export function saveHandled(rows: Rows, uid: string, handled: HandledRequests): Change {
  inUse(rows, uid);
  const audit = recordHandled(rows, uid, handled);
  if (audit.length === 0) throw new Abandon('already');
  return { uid, revises: [], audit };
}

/** Replaces what counts as handled; what the audit says of it, nothing when nothing differs. */
export function recordHandled(rows: Rows, uid: string, handled: HandledRequests): readonly Audited[] {
  const { handled: before = {}, ...key } = inUse(rows, uid);
  const detail = handledChange(before, handled);
  if (Object.keys(detail).length === 0) return [];
  rows.keys.set(uid, { ...key, ...(Object.keys(handled).length === 0 ? {} : { handled: { ...handled } }) });
  return [{ action: 'handle', detail }];
}

export function takeOver(rows: Rows, ref: ApiKeyRef, proposed: KeySettings): Change {
  const old = [...rows.keys.values()].find((key) => !key.released && key.ref.uid !== ref.uid && sameName(key.ref, ref));
  if (old === undefined || rows.keys.has(ref.uid)) throw new Abandon('already');
  const { revokedReason: _, ...kept } = withoutApplied(old);
  rows.keys.delete(old.ref.uid);
  rows.keys.set(ref.uid, { ...kept, ...takenOver(old, structuredClone(proposed)), ref });
  for (const one of versionsOf(rows, old.ref.uid)) {
    replace(rows.versions, one, { ...one, apiKeyUid: ref.uid });
    const known = rows.ceilings.get(one.keyId) ?? [];
    const more = ceilingsOf(old).filter((ceiling) => !known.some((other) => canonical(other) === canonical(ceiling)));
    rows.ceilings.set(one.keyId, [...known, ...more]);
  }
  const missing = rows.missing.get(old.ref.uid);
  if (missing !== undefined) rows.missing.set(ref.uid, missing);
  rows.missing.delete(old.ref.uid);
  for (const one of rows.deliveries.filter((other) => other.apiKeyUid === old.ref.uid))
    replace(rows.deliveries, one, { ...one, apiKeyUid: ref.uid });
  return { uid: ref.uid, revises: [old.ref.uid, ref.uid], audit: [{ action: 'take-over', detail: { from: old.ref.uid } }] };
}

export function releaseKey(rows: Rows, uid: string, now: Instant): Change {
  const key = inUse(rows, uid);
  if (versionsOf(rows, uid).some((one) => one.state !== 'ended')) throw new Abandon('already');
  rows.keys.set(uid, { ...key, released: true, releasedAt: now });
  return { uid, revises: [uid], audit: [...withdraw(rows, uid, () => true, now), { action: 'release' }] };
}

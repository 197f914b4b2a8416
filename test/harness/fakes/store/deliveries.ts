import { randomUUID } from 'node:crypto';

import { formatLocation } from '../../../../operator/src/domain/key.ts';
import type { ApiKeyRef } from '../../../../operator/src/domain/key.ts';
import type { Instant } from '../../../../operator/src/domain/time.ts';
import type { Delivery } from '../../../../operator/src/domain/version.ts';
import type { HeldValue, MintRequest } from '../../../../operator/src/store/port.ts';
import { Abandon, compare, existing, inUse, optional, replace, sameName, versionsOf } from './rows.ts';
import type { Audited, Change, Rows } from './rows.ts';

/** Records the intent to write `keyId` at these places; a place of another key abandons with `taken`. */
export function claim(rows: Rows, ref: ApiKeyRef, keyId: string, targets: MintRequest['targets']): void {
  for (const { targetName, location } of [...targets].sort((a, b) =>
    compare(formatLocation(a.location), formatLocation(b.location)),
  )) {
    const row = rows.deliveries.find((one) => one.state !== 'gone' && formatLocation(one.location) === formatLocation(location));
    if (row === undefined) {
      rows.deliveries.push({ id: randomUUID(), apiKeyUid: ref.uid, targetName, location, intendedKeyId: keyId, state: 'live' });
      continue;
    }
    const holder = existing(rows.keys, row.apiKeyUid);
    if (holder.ref.uid !== ref.uid && !(holder.released && sameName(holder.ref, ref)))
      throw new Abandon({ kind: 'taken', location });
    const { withdrawingSince: _, ...kept } = row;
    replace(rows.deliveries, row, { ...kept, apiKeyUid: ref.uid, targetName, intendedKeyId: keyId, state: 'live' });
  }
}

export function intend(rows: Rows, ref: ApiKeyRef, keyId: string, targets: MintRequest['targets']): Change {
  inUse(rows, ref.uid);
  if (!versionsOf(rows, ref.uid).some((one) => one.keyId === keyId && one.state !== 'ended')) throw new Abandon('already');
  claim(rows, ref, keyId, targets);
  const audit = targets.map(({ targetName, location }) => ({
    action: 'intend',
    keyId,
    detail: { target: targetName, location: formatLocation(location) },
  }));
  return { uid: ref.uid, revises: [], audit };
}

export function confirm(rows: Rows, uid: string, held: readonly HeldValue[], now: Instant): Change {
  if (held.length === 0) throw new Abandon('already');
  const audit = held.map(({ location, keyId, providerVersion, envelope }) => {
    const row = rows.deliveries.find(
      (one) => one.apiKeyUid === uid && formatLocation(one.location) === formatLocation(location) && one.state !== 'gone',
    );
    if (row?.intendedKeyId !== keyId) throw new Abandon('already');
    const written = { heldKeyId: keyId, heldVersion: providerVersion, heldEnvelope: envelope, deliveredAt: now };
    replace(rows.deliveries, row, { ...row, ...written });
    return { action: 'deliver', keyId, detail: { location: formatLocation(location), version: providerVersion } };
  });
  return { uid, revises: [], audit };
}

/** live → withdrawing, of those that are chosen; what the audit says of it. */
export function withdraw(
  rows: Rows,
  uid: string,
  chosen: (delivery: Delivery) => boolean,
  withdrawingSince: Instant,
): readonly Audited[] {
  const found = rows.deliveries.filter((one) => one.apiKeyUid === uid && one.state === 'live' && chosen(one));
  for (const one of found) replace(rows.deliveries, one, { ...one, state: 'withdrawing', withdrawingSince });
  return found.map((one) => ({
    action: 'withdraw',
    ...optional('keyId', one.heldKeyId),
    detail: { location: formatLocation(one.location) },
  }));
}

export function beginWithdrawal(rows: Rows, uid: string, deliveryIds: readonly string[], now: Instant): Change {
  const audit = withdraw(rows, uid, (one) => deliveryIds.includes(one.id), now);
  if (audit.length === 0) throw new Abandon('already');
  return { uid, revises: [], audit };
}

export function finishWithdrawal(rows: Rows, uid: string, deliveryId: string): Change {
  const row = rows.deliveries.find((one) => one.apiKeyUid === uid && one.id === deliveryId && one.state === 'withdrawing');
  if (row === undefined) throw new Abandon('already');
  replace(rows.deliveries, row, { ...row, state: 'gone' });
  const detail = { location: formatLocation(row.location) };
  return { uid, revises: [], audit: [{ action: 'withdrawn', ...optional('keyId', row.heldKeyId), detail }] };
}

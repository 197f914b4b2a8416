import { formatRef, type ApiKeyRef } from '../../../../operator/src/domain/key.ts';
import { neverAccepted } from '../../../../operator/src/store/port.ts';
import type {
  AuditFilter,
  AuditRow,
  KeyCounts,
  KeyRecord,
  KeyState,
  ListedKey,
  UnservedKeys,
} from '../../../../operator/src/store/port.ts';
import type { Version } from '../../../../operator/src/domain/version.ts';
import { inForce } from './cluster.ts';
import { compare, existing, inheritedOf, optional, publicKey, sameName, versionsOf } from './rows.ts';
import type { Rows, StoredKey } from './rows.ts';

export function readKey(rows: Rows, uid: string, name?: Pick<ApiKeyRef, 'namespace' | 'name'>): KeyState {
  const own = versionsOf(rows, uid);
  const highestEpoch = Math.max(0, ...own.map((one) => one.epoch));
  const ended = own
    .filter((one) => one.state === 'ended')
    .sort((a, b) => (b.endedAt ?? 0) - (a.endedAt ?? 0) || own.indexOf(b) - own.indexOf(a));
  const revoked = ended.filter((one) => one.endedReason === 'revoked').slice(0, 16);
  const newest = own.findLast((one) => one.epoch === highestEpoch);
  const key = rows.keys.get(uid);
  const inherits = (one: Version) => inheritedOf(rows, one).inherited === true;
  const named = [...rows.keys.values()].find((one) => !one.released && name !== undefined && sameName(one.ref, name));
  const last = own.at(-1);
  return {
    ...optional('predecessor', key === undefined ? named?.ref.uid : undefined),
    ...(last !== undefined && inherits(last) ? { newestInherited: true as const } : {}),
    key: key === undefined || key.released ? undefined : publicKey(key),
    versions: own
      .filter((one) => one.state !== 'ended')
      .map((one) => ({ ...one, ...inheritedOf(rows, one) }))
      .sort((a, b) => a.epoch - b.epoch),
    highestEpoch,
    ...(newest === undefined ? {} : { boundOwnerUid: newest.ownerUid }),
    attemptsOfHighestEpoch: own.filter((one) => one.epoch === highestEpoch).length,
    revokedKeyIds: revoked.map((one) => one.keyId),
    ...optional('lastEnded', lastEnded(own.findLast((one) => one.state === 'ended' && !inherits(one)))),
    ...optional('compromised', compromised(key, own)),
    deliveries: rows.deliveries
      .filter((one) => one.apiKeyUid === uid && one.state !== 'gone')
      .sort((a, b) => compare(a.targetName, b.targetName)),
  };
}

export function listUnserved(rows: Rows, namespaces: readonly string[], limit: number): UnservedKeys {
  const all = [...rows.keys.values()]
    .filter(({ ref, released }) => !released && !namespaces.includes(ref.namespace))
    .map(({ ref }) => ({ ref, keyIds: live(rows, ref.uid) }))
    .filter(({ keyIds }) => keyIds.length > 0)
    .sort((a, b) => (formatRef(a.ref) < formatRef(b.ref) ? -1 : 1));
  return { keys: all.slice(0, limit), total: all.length };
}

function live(rows: Rows, uid: string): readonly string[] {
  return versionsOf(rows, uid)
    .filter(({ state }) => state !== 'ended')
    .sort((a, b) => a.epoch - b.epoch)
    .map(({ keyId }) => keyId);
}

export function listKeys(rows: Rows): readonly ListedKey[] {
  const kept = [...rows.keys.values()].filter((key) => !key.released);
  return kept
    .map(({ ref, accepted }) => {
      const lives = versionsOf(rows, ref.uid).some((one) => one.state !== 'ended');
      return { ref, unaccepted: accepted?.period === neverAccepted.period && lives };
    })
    .sort((a, b) => compare(a.ref.namespace, b.ref.namespace) || compare(a.ref.name, b.ref.name));
}

function lastEnded(version: Version | undefined): KeyState['lastEnded'] {
  if (version?.endedReason === undefined || version.endedAt === undefined) return undefined;
  return { keyId: version.keyId, reason: version.endedReason, at: version.endedAt };
}

function compromised(key: StoredKey | undefined, own: readonly Version[]): KeyState['compromised'] {
  const version = own.find((one) => one.keyId === key?.compromisedKeyId && one.state === 'ended');
  if (version?.endedAt === undefined) return undefined;
  return { keyId: version.keyId, at: version.endedAt, newest: own.at(-1) === version };
}

export function findByKeyId({ keys, versions, ceilings, owners, groups, catalogs }: Rows, keyId: string): KeyRecord | undefined {
  const found = versions.find((one) => one.keyId === keyId);
  if (found === undefined) return undefined;
  const key = existing(keys, found.apiKeyUid);
  if (key.released) return undefined;
  const { firstUsedAt: _f, lastUsedAt: _l, usedBy: _u, ...version } = found;
  const { handled: _h, accepted: _a, terms: _terms, expiredGeneration: _expired, places: _places, ...row } = publicKey(key);
  const owner = inForce(owners).find((row) => row.uid === version.ownerUid);
  const known = inForce(groups);
  return {
    version,
    ...optional('ceilings', ceilings.get(keyId)),
    key: row,
    owner,
    groups: (owner?.groups ?? []).flatMap((name) => known.filter((row) => row.name === name)),
    catalog: inForce(catalogs).find((row) => row.name === key.settings.catalog),
  };
}

export function countKeys({ keys, deliveries }: Rows): KeyCounts {
  const kept = [...keys.values()].filter((key) => !key.released);
  const held = deliveries.filter((one) => one.state !== 'gone');
  const pairs = new Map(held.map((one) => [`${one.location.destinationUid}\n${one.apiKeyUid}`, one.location.destinationUid]));
  return {
    byCatalog: tally(kept.map((key) => key.settings.catalog)),
    byOwner: tally(kept.map((key) => key.settings.owner)),
    byDestination: tally([...pairs.values()]),
  };
}

function tally(names: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

export function readAudit({ audit }: Rows, filter: AuditFilter, limit: number): readonly AuditRow[] {
  const found = audit.filter(
    (row) =>
      (filter.apiKeyUid === undefined || row.apiKeyUid === filter.apiKeyUid) &&
      (filter.keyId === undefined || row.keyId === filter.keyId) &&
      (filter.subjectUid === undefined || row.subjectUid === filter.subjectUid),
  );
  return found.reverse().slice(0, limit);
}

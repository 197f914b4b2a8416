import { sql } from 'kysely';

import type { ApiKeyRef } from '../../domain/key.ts';
import type { Instant } from '../../domain/time.ts';
import type { EndedReason } from '../../domain/version.ts';
import type {
  AuditFilter,
  AuditRow,
  CatalogRow,
  FeedRow,
  GroupRow,
  InForceRow,
  KeyCounts,
  KeyRecord,
  KeySettings,
  KeyState,
  ListedKey,
  OwnerRow,
  Requester,
  RightsKind,
  UnservedKeys,
  WithdrawingDelivery,
} from '../port.ts';
import { neverAccepted } from '../port.ts';
import type { CatalogHeadJson } from './models.ts';
import {
  deliveryJson,
  groupJson,
  keyJson,
  ownerJson,
  present,
  toDelivery,
  toKeyRow,
  toVersion,
  usedVersionJson,
  versionJson,
  wholeKeyJson,
} from './rows.ts';
import type { DeliveryJson, KeyJson, VersionJson } from './rows.ts';
import { attempt } from './transaction.ts';
import type { StoreContext } from './transaction.ts';

interface KeyRecordJson {
  readonly version: VersionJson;
  readonly ceilings: readonly KeySettings[];
  readonly key: KeyJson;
  readonly catalog: CatalogHeadJson | null;
}

/** Each owner and group once, however many of the keys have it. */
interface KeyRecordsRow {
  readonly records: readonly KeyRecordJson[] | null;
  readonly owners: readonly OwnerRow[] | null;
  readonly groups: readonly GroupRow[] | null;
}

interface KeyStateRow {
  readonly key: KeyJson | null;
  readonly versions: readonly VersionJson[] | null;
  readonly predecessor: string | null;
  readonly newestInherited: boolean | null;
  readonly highestEpoch: number;
  readonly boundOwnerUid: string | null;
  readonly attempts: number;
  readonly revokedKeyIds: readonly string[] | null;
  readonly lastEnded: { readonly keyId: string; readonly reason: EndedReason; readonly at: Instant } | null;
  readonly compromised: { readonly keyId: string; readonly at: Instant; readonly newest: boolean } | null;
  readonly deliveries: readonly DeliveryJson[] | null;
}

/** See {@link Store.readKey}. One statement, so one snapshot and one round trip. */
export async function readKey(
  context: StoreContext,
  uid: string,
  name?: Pick<ApiKeyRef, 'namespace' | 'name'>,
): Promise<KeyState> {
  const query = sql<KeyStateRow>`
    select
      (select ${wholeKeyJson} from keywright.apikey k where k.uid = ${uid} and k.released_at is null) as key,
      (select json_agg(${usedVersionJson} order by v.epoch, v.seq) from keywright.version v
       left join keywright.version_use u on u.key_id = v.key_id where v.apikey_uid = ${uid} and v.state <> 'ended') as versions,
      (select k.uid from keywright.apikey k
       where k.namespace = ${name?.namespace ?? null} and k.name = ${name?.name ?? null} and k.released_at is null
         and not exists (select from keywright.apikey own where own.uid = ${uid})) as predecessor,
      (select v.ceilings <> '[]' from keywright.version v where v.apikey_uid = ${uid} order by v.seq desc limit 1) as "newestInherited",
      coalesce(top.epoch, 0) as "highestEpoch",
      (select v.owner_uid from keywright.version v where v.apikey_uid = ${uid} and v.epoch = top.epoch order by v.seq desc limit 1) as "boundOwnerUid",
      (select count(*)::int from keywright.version v where v.apikey_uid = ${uid} and v.epoch = top.epoch) as attempts,
      (select json_agg(r.key_id order by r.ended_at desc, r.seq desc) from (
         select v.key_id, v.ended_at, v.seq from keywright.version v where v.apikey_uid = ${uid} and v.ended_reason = 'revoked'
         order by v.ended_at desc, v.seq desc limit 16) r) as "revokedKeyIds",
      (select json_build_object('keyId', v.key_id, 'reason', v.ended_reason, 'at', keywright.ms(v.ended_at)) from keywright.version v
       where v.apikey_uid = ${uid} and v.state = 'ended' and v.ceilings = '[]' order by v.seq desc limit 1) as "lastEnded",
      (select json_build_object('keyId', v.key_id, 'at', keywright.ms(v.ended_at), 'newest', not exists (
         select from keywright.version w where w.apikey_uid = ${uid} and w.seq > v.seq))
       from keywright.version v join keywright.apikey k on k.uid = v.apikey_uid and k.compromised_key_id = v.key_id
       where v.apikey_uid = ${uid} and v.state = 'ended') as compromised,
      (select json_agg(${deliveryJson} order by d.target_name collate "C", d.seq) from keywright.delivery d where d.apikey_uid = ${uid} and d.state <> 'gone') as deliveries
    from (select max(epoch) as epoch from keywright.version where apikey_uid = ${uid}) top`;
  const row = (await attempt(context, 'readKey', () => query.execute(context.db))).rows[0];
  if (row === undefined) throw new TypeError('an aggregate without a row');
  return {
    key: row.key === null ? undefined : toKeyRow(row.key),
    versions: (row.versions ?? []).map(toVersion),
    ...present({ predecessor: row.predecessor }),
    ...(row.newestInherited === true ? { newestInherited: true as const } : {}),
    highestEpoch: row.highestEpoch,
    ...(row.boundOwnerUid === null ? {} : { boundOwnerUid: row.boundOwnerUid }),
    attemptsOfHighestEpoch: row.attempts,
    revokedKeyIds: row.revokedKeyIds ?? [],
    ...present({ lastEnded: row.lastEnded, compromised: row.compromised }),
    deliveries: (row.deliveries ?? []).map(toDelivery),
  };
}

/** See {@link Store.listKeys}. */
export async function listKeys(context: StoreContext): Promise<readonly ListedKey[]> {
  const query = sql<ListedKey>`
    select json_build_object('namespace', k.namespace, 'name', k.name, 'uid', k.uid) as ref,
      coalesce(k.accepted_period = ${neverAccepted.period}, false)
        and exists (select from keywright.version v where v.apikey_uid = k.uid and v.state <> 'ended') as unaccepted
    from keywright.apikey k where k.released_at is null order by k.namespace, k.name`;
  return (await attempt(context, 'listKeys', () => query.execute(context.db))).rows;
}

/** See {@link Store.listUnserved}. */
export async function listUnserved(context: StoreContext, namespaces: readonly string[], limit: number): Promise<UnservedKeys> {
  const query = sql<UnservedKeys['keys'][number] & { readonly total: number }>`
    select json_build_object('namespace', k.namespace, 'name', k.name, 'uid', k.uid) as ref, v.ids as "keyIds",
      (count(*) over ())::int as total
    from keywright.apikey k cross join lateral (
      select array_agg(key_id order by epoch, key_id) as ids
      from keywright.version where apikey_uid = k.uid and state <> 'ended') v
    where k.released_at is null and k.namespace <> all (${[...namespaces]}::text[]) and v.ids is not null
    order by k.namespace, k.name limit ${limit}`;
  const { rows } = await attempt(context, 'listUnserved', () => query.execute(context.db));
  return { keys: rows.map(({ ref, keyIds }) => ({ ref, keyIds })), total: rows[0]?.total ?? 0 };
}

/** See {@link Store.listWithdrawing}. */
export async function listWithdrawing(
  context: StoreContext,
  limit: number,
  destinationUid?: string,
): Promise<readonly WithdrawingDelivery[]> {
  const only = destinationUid ?? null;
  const query = sql<{ delivery: DeliveryJson; ref: ApiKeyRef; places: KeyJson['places'] }>`
    select ${deliveryJson} as delivery, json_build_object('namespace', k.namespace, 'name', k.name, 'uid', k.uid) as ref,
      k.accepted_places as places
    from keywright.delivery d join keywright.apikey k on k.uid = d.apikey_uid
    where d.state = 'withdrawing' and (${only}::text is null or d.destination_uid = ${only})
    order by d.withdrawing_since, d.seq limit ${limit}`;
  const { rows } = await attempt(context, 'listWithdrawing', () => query.execute(context.db));
  return rows.map(({ delivery, ref, places }) => ({ ...toDelivery(delivery), ref, ...present({ places: places ?? null }) }));
}

/** See {@link Store.countWithdrawing}. */
export async function countWithdrawing(context: StoreContext): Promise<ReadonlyMap<string, number>> {
  const query = sql<{ uid: string; rows: number }>`
    select destination_uid as uid, count(*)::int as rows from keywright.delivery where state = 'withdrawing' group by destination_uid`;
  const { rows } = await attempt(context, 'countWithdrawing', () => query.execute(context.db));
  return new Map(rows.map((row) => [row.uid, row.rows]));
}

/** See {@link Store.findByKeyId}. */
export async function findByKeyId(context: StoreContext, keyId: string): Promise<KeyRecord | undefined> {
  return (await findByKeyIds(context, [keyId])).get(keyId);
}

/**
 * See {@link Store.findByKeyIds}. One statement, so one snapshot. An owner may have megabytes of rules: were they read with each
 * key, a few hundred keys of one owner would take so long that every request of the batch fails, and more memory than there is.
 */
export async function findByKeyIds(context: StoreContext, keyIds: readonly string[]): Promise<ReadonlyMap<string, KeyRecord>> {
  const catalog = context.models.reading('c');
  const query = sql<KeyRecordsRow>`
    with found as materialized (
      select v.owner_uid, ${versionJson} as version, v.ceilings, ${keyJson} as key,
        case when c.uid is not null then ${catalog.json} end as catalog
      from keywright.version v
      join keywright.apikey k on k.uid = v.apikey_uid
      left join keywright.catalog c on c.name = k.catalog and c.deleted_at is null
      where v.key_id = any(${[...keyIds]}::text[]) and k.released_at is null
    ), owners as materialized (
      select o.* from keywright.owner o where o.deleted_at is null and o.uid in (select owner_uid from found)
    )
    select
      (select json_agg(json_build_object('version', version, 'ceilings', ceilings, 'key', key, 'catalog', catalog)) from found) as records,
      (select json_agg(${ownerJson('o')}) from owners o) as owners,
      (select json_agg(${groupJson('g')}) from keywright.owner_group g
       where g.deleted_at is null and g.name in (select jsonb_array_elements_text(o.groups) from owners o)) as groups`;
  const row = (await attempt(context, 'findByKeyIds', () => query.execute(context.db))).rows[0];
  const owners = new Map((row?.owners ?? []).map((owner) => [owner.uid, owner]));
  const groups = new Map((row?.groups ?? []).map((group) => [group.name, group]));
  const found = row?.records ?? [];
  for (const one of found) if (one.catalog !== null) catalog.learn(one.catalog);
  const records = found.map((one): KeyRecord => {
    const version = toVersion(one.version);
    const owner = owners.get(version.ownerUid);
    return {
      version,
      ...(one.ceilings.length === 0 ? {} : { ceilings: one.ceilings }),
      key: toKeyRow(one.key),
      owner,
      groups: (owner?.groups ?? []).flatMap((name) => groups.get(name) ?? []),
      catalog: one.catalog === null ? undefined : catalog.complete(one.catalog),
    };
  });
  return new Map(records.map((record) => [record.version.keyId, record]));
}

/** See {@link Store.findCatalog}. */
export async function findCatalog(
  context: StoreContext,
  by: { readonly host: string } | { readonly name: string },
): Promise<CatalogRow | undefined> {
  return (await findCatalogs(context, 'name' in by ? { hosts: [], names: [by.name] } : { hosts: [by.host], names: [] }))[0];
}

/** See {@link Store.findCatalogs}. */
export async function findCatalogs(
  context: StoreContext,
  { hosts, names }: { readonly hosts: readonly string[]; readonly names: readonly string[] },
): Promise<readonly CatalogRow[]> {
  const catalog = context.models.reading('c');
  const query = sql<{ catalog: CatalogHeadJson }>`
    select ${catalog.json} as catalog from keywright.catalog c
    where c.deleted_at is null and (c.name = any(${[...names]}::text[]) or c.hosts && ${[...hosts]}::text[]) order by c.seq`;
  const { rows } = await attempt(context, 'findCatalogs', () => query.execute(context.db));
  for (const row of rows) catalog.learn(row.catalog);
  return rows.map((row) => catalog.complete(row.catalog));
}

const rightsTables: Readonly<Record<RightsKind, string>> = {
  ApiCatalog: 'keywright.catalog',
  KeyOwner: 'keywright.owner',
  KeyOwnerGroup: 'keywright.owner_group',
};

/** See {@link Store.listInForce}. */
export async function listInForce(context: StoreContext, kind: RightsKind, name?: string): Promise<readonly InForceRow[]> {
  const only = name ?? null;
  const query = sql<InForceRow>`
    select uid, name from ${sql.table(rightsTables[kind])}
    where deleted_at is null and (${only}::text is null or name = ${only}) order by name`;
  return (await attempt(context, 'listInForce', () => query.execute(context.db))).rows;
}

/** See {@link Store.countKeys}. One statement, so one snapshot. */
export async function countKeys(context: StoreContext): Promise<KeyCounts> {
  const query = sql<{ by: keyof KeyCounts; name: string; keys: number }>`
    select 'byCatalog' as by, catalog as name, count(*)::int as keys from keywright.apikey where released_at is null group by catalog
    union all
    select 'byOwner', owner, count(*)::int from keywright.apikey where released_at is null group by owner
    union all
    select 'byDestination', destination_uid, count(distinct apikey_uid)::int from keywright.delivery where state <> 'gone' group by destination_uid`;
  const { rows } = await attempt(context, 'countKeys', () => query.execute(context.db));
  const counts = (by: keyof KeyCounts) => new Map(rows.filter((row) => row.by === by).map((row) => [row.name, row.keys]));
  return { byCatalog: counts('byCatalog'), byOwner: counts('byOwner'), byDestination: counts('byDestination') };
}

/** See {@link Store.readFeed}. */
export async function readFeed(context: StoreContext, from: number, limit: number): Promise<readonly FeedRow[]> {
  const query = sql<{ row: Omit<FeedRow, 'fence'> & { readonly fence: number | null } }>`
    select json_build_object('rev', rev, 'id', id, 'kind', kind, 'subjectUid', subject_uid, 'fence', fence) as row
    from keywright.feed where rev >= ${from} order by rev limit ${limit}`;
  const { rows } = await attempt(context, 'readFeed', () => query.execute(context.db));
  return rows.map(({ row: { fence, ...rest } }) => ({ ...rest, ...present({ fence }) }));
}

/** See {@link Store.latestRevision}. */
export async function latestRevision(context: StoreContext): Promise<number> {
  const query = sql<{ rev: number }>`select rev::float8 as rev from keywright.feed_head`;
  return (await attempt(context, 'latestRevision', () => query.execute(context.db))).rows[0]?.rev ?? 0;
}

interface AuditJson extends Omit<AuditRow, 'apiKeyUid' | 'keyId' | 'subjectUid' | 'requestedBy'> {
  readonly requestedBy: string | null;
  readonly requestedAt: Instant | null;
  readonly apiKeyUid: string | null;
  readonly keyId: string | null;
  readonly subjectUid: string | null;
}

/** See {@link Store.readAudit}. */
export async function readAudit(context: StoreContext, filter: AuditFilter, limit: number): Promise<readonly AuditRow[]> {
  const query = sql<{ row: AuditJson }>`
    select json_build_object('at', keywright.ms(at), 'actor', actor, 'action', action, 'apiKeyUid', apikey_uid, 'keyId', key_id,
      'subjectUid', subject_uid, 'detail', detail, 'requestedBy', requested_by, 'requestedAt', keywright.ms(requested_at)) as row
    from keywright.audit
    where (${filter.apiKeyUid ?? null}::text is null or apikey_uid = ${filter.apiKeyUid ?? null})
      and (${filter.keyId ?? null}::text is null or key_id = ${filter.keyId ?? null})
      and (${filter.subjectUid ?? null}::text is null or subject_uid = ${filter.subjectUid ?? null})
    order by seq desc limit ${limit}`;
  const { rows } = await attempt(context, 'readAudit', () => query.execute(context.db));
  return rows.map(({ row: { apiKeyUid, keyId, subjectUid, requestedBy, requestedAt, ...rest } }) => ({
    ...rest,
    apiKeyUid: apiKeyUid ?? undefined,
    keyId: keyId ?? undefined,
    ...(subjectUid === null ? {} : { subjectUid }),
    ...(requestedBy === null ? {} : { requestedBy: toRequester(requestedBy, requestedAt) }),
  }));
}

function toRequester(text: string, requestedAt: Instant | null): Requester | 'operator' {
  if (text === 'operator') return text;
  return { manager: text.replace(/^manager /, ''), ...(requestedAt === null ? {} : { at: requestedAt }) };
}

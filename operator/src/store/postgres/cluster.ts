import { isDeepStrictEqual } from 'node:util';

import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';

import type { Instant } from '../../domain/time.ts';
import { catalogChange, groupChange, ownerChange } from '../changes.ts';
import type { ChangeDetail } from '../changes.ts';
import type { CatalogRow, FeedRow, GroupRow, OwnerRow, RequestedBy, Transition } from '../port.ts';
import { plain } from './keys.ts';
import { catalogJson, groupJson, ownerJson } from './rows.ts';
import { at } from './tables.ts';
import { Abandon, transition } from './transaction.ts';
import type { AuditEntry, StoreContext, Tx } from './transaction.ts';

/** How rows of one cluster kind are read, compared, written and told of. In its SQL the table is `r`. */
interface ClusterTable<T extends { readonly uid: string; readonly name: string }> {
  readonly kind: FeedRow['kind'];
  readonly table: string;
  readonly json: RawBuilder<T>;
  readonly isSame: (known: T, row: T) => boolean;
  readonly write: (row: T, now: Instant) => RawBuilder<unknown>;
  readonly describe: (from: T | undefined, to: T | undefined) => ChangeDetail;
}

const catalogs: ClusterTable<CatalogRow> = {
  kind: 'ApiCatalog',
  table: 'keywright.catalog',
  // Without a model if the hosts, by which it is found, are not those of its model: then it is written again.
  json: sql`jsonb_set(${catalogJson('r')}::jsonb, '{model}',
    case when to_jsonb(r.hosts) = r.model #> '{requests,hosts}' then r.model else 'null' end)`,
  // Not only the digest: somebody with our login may have changed the model and not the digest.
  isSame: isDeepStrictEqual,
  write: ({ uid, name, digest, model }, now) => sql`
    insert into keywright.catalog (uid, name, digest, hosts, model, created_at)
    values (${uid}, ${name}, ${digest}, ${[...model.requests.hosts]}::text[], ${JSON.stringify(model)}::jsonb, ${at(now)})
    on conflict (uid) do update set name = excluded.name, digest = excluded.digest, hosts = excluded.hosts, model = excluded.model`,
  describe: catalogChange,
};

const owners: ClusterTable<OwnerRow> = {
  kind: 'KeyOwner',
  table: 'keywright.owner',
  json: ownerJson('r'),
  isSame: isDeepStrictEqual,
  write: ({ uid, name, disabled, groups, rules }, now) => sql`
    insert into keywright.owner (uid, name, disabled, groups, rules, created_at)
    values (${uid}, ${name}, ${disabled}, ${JSON.stringify(groups)}::jsonb, ${JSON.stringify(rules)}::jsonb, ${at(now)})
    on conflict (uid) do update set name = excluded.name, disabled = excluded.disabled, groups = excluded.groups, rules = excluded.rules`,
  describe: ownerChange,
};

const groups: ClusterTable<GroupRow> = {
  kind: 'KeyOwnerGroup',
  table: 'keywright.owner_group',
  json: groupJson('r'),
  isSame: isDeepStrictEqual,
  write: ({ uid, name, rules }, now) => sql`
    insert into keywright.owner_group (uid, name, rules, created_at)
    values (${uid}, ${name}, ${JSON.stringify(rules)}::jsonb, ${at(now)})
    on conflict (uid) do update set name = excluded.name, rules = excluded.rules`,
  describe: groupChange,
};

/** See {@link Store.saveCatalog}. */
export async function saveCatalog(
  context: StoreContext,
  row: CatalogRow,
  now: Instant,
  requestedBy?: RequestedBy,
): Promise<Transition> {
  return await save(context, catalogs, row, { operation: 'saveCatalog', now, requestedBy });
}

/** See {@link Store.deleteCatalog}. */
export async function deleteCatalog(context: StoreContext, uid: string, now: Instant): Promise<Transition> {
  return await remove(context, 'deleteCatalog', catalogs, uid, now);
}

/** See {@link Store.saveOwner}. */
export async function saveOwner(
  context: StoreContext,
  row: OwnerRow,
  now: Instant,
  requestedBy?: RequestedBy,
): Promise<Transition> {
  return await save(context, owners, row, { operation: 'saveOwner', now, requestedBy });
}

/** See {@link Store.deleteOwner}. */
export async function deleteOwner(context: StoreContext, uid: string, now: Instant): Promise<Transition> {
  return await remove(context, 'deleteOwner', owners, uid, now);
}

/** See {@link Store.saveGroup}. */
export async function saveGroup(
  context: StoreContext,
  row: GroupRow,
  now: Instant,
  requestedBy?: RequestedBy,
): Promise<Transition> {
  return await save(context, groups, row, { operation: 'saveGroup', now, requestedBy });
}

/** See {@link Store.deleteGroup}. */
export async function deleteGroup(context: StoreContext, uid: string, now: Instant): Promise<Transition> {
  return await remove(context, 'deleteGroup', groups, uid, now);
}

async function save<T extends { readonly uid: string; readonly name: string }>(
  context: StoreContext,
  table: ClusterTable<T>,
  row: T,
  change: { readonly operation: string; readonly now: Instant; readonly requestedBy: RequestedBy | undefined },
): Promise<Transition> {
  const { operation, now, requestedBy } = change;
  const outcome = await transition(context, operation, now, async (tx) => {
    // A row that does not exist yet cannot be locked, and any login of the database can take an advisory lock.
    await sql`select from keywright.installation for update`.execute(tx);
    const found = await lock(tx, table, sql`r.uid = ${row.uid} or (r.name = ${row.name} and r.deleted_at is null)`);
    const known = found.find((one) => one.row.uid === row.uid);
    if (known !== undefined && (known.deleted || table.isSame(known.row, row))) throw new Abandon('already');
    const replaced = found.filter((one) => one !== known).map((one) => one.row);
    // First: two rows of one name cannot be in force together.
    for (const other of replaced) await markDeleted(tx, table, other.uid, now);
    await table.write(row, now).execute(tx);
    const saved: AuditEntry = {
      action: known === undefined ? 'create' : 'edit',
      subjectUid: row.uid,
      detail: table.describe(known?.row, row),
    };
    return {
      kind: table.kind,
      revises: [...replaced.map((other) => other.uid), row.uid],
      audit: [...replaced.map((other) => deletion(table, other)), saved],
      requestedBy,
    };
  });
  return plain(outcome);
}

async function remove<T extends { readonly uid: string; readonly name: string }>(
  context: StoreContext,
  operation: string,
  table: ClusterTable<T>,
  uid: string,
  now: Instant,
): Promise<Transition> {
  const outcome = await transition(context, operation, now, async (tx) => {
    const [known] = await lock(tx, table, sql`r.uid = ${uid} and r.deleted_at is null`);
    if (known === undefined) throw new Abandon('already');
    await markDeleted(tx, table, uid, now);
    return { kind: table.kind, revises: [uid], audit: [deletion(table, known.row)] };
  });
  return plain(outcome);
}

async function lock<T extends { readonly uid: string; readonly name: string }>(
  tx: Tx,
  table: ClusterTable<T>,
  which: RawBuilder<unknown>,
): Promise<readonly { readonly row: T; readonly deleted: boolean }[]> {
  const found = await sql<{ row: T; deleted: boolean }>`
    select ${table.json} as row, r.deleted_at is not null as deleted
    from ${sql.table(table.table)} r where ${which} order by r.seq for update`.execute(tx);
  return found.rows;
}

async function markDeleted<T extends { readonly uid: string; readonly name: string }>(
  tx: Tx,
  table: ClusterTable<T>,
  uid: string,
  now: Instant,
): Promise<void> {
  await sql`update ${sql.table(table.table)} set deleted_at = ${at(now)} where uid = ${uid}`.execute(tx);
}

function deletion<T extends { readonly uid: string; readonly name: string }>(table: ClusterTable<T>, row: T): AuditEntry {
  return { action: 'delete', subjectUid: row.uid, detail: table.describe(row, undefined) };
}

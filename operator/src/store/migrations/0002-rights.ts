import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

const statements = [
  // Rows stay when their resource is deleted: a uid that is dead is known to be dead.
  `create table keywright.catalog (
     uid text primary key,
     seq bigint generated always as identity,
     name text not null,
     digest text not null,
     hosts text[] not null,
     model jsonb not null,
     created_at timestamptz not null,
     deleted_at timestamptz
   )`,
  `create unique index catalog_name_in_force on keywright.catalog (name) where deleted_at is null`,

  `create table keywright.owner (
     uid text primary key,
     seq bigint generated always as identity,
     name text not null,
     disabled boolean not null,
     groups jsonb not null,
     rules jsonb not null,
     created_at timestamptz not null,
     deleted_at timestamptz
   )`,
  `create unique index owner_name_in_force on keywright.owner (name) where deleted_at is null`,

  `create table keywright.owner_group (
     uid text primary key,
     seq bigint generated always as identity,
     name text not null,
     rules jsonb not null,
     created_at timestamptz not null,
     deleted_at timestamptz
   )`,
  `create unique index owner_group_name_in_force on keywright.owner_group (name) where deleted_at is null`,

  // The uid of the catalog, owner or group that changed.
  `alter table keywright.audit add column subject_uid text`,
  `create index audit_subject on keywright.audit (subject_uid, seq) where subject_uid is not null`,

  // Authorizers may say that versions were used, and change nothing else. Rows are locked in one order for all callers: two
  // that report the same keys would wait for each other. With the definer's rights a caller's search_path must not count.
  `create function keywright.record_use(key_ids text[], used_ms float8[]) returns void
     language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
     with used as (
       select key_id, to_timestamp(min(ms) / 1000) as earliest, to_timestamp(max(ms) / 1000) as latest
       from unnest(key_ids, used_ms) as u (key_id, ms) group by key_id
     ), locked as (
       select v.key_id from keywright.version v join used on used.key_id = v.key_id order by v.key_id for update of v
     )
     update keywright.version v
     set first_used_at = coalesce(v.first_used_at, used.earliest), last_used_at = greatest(v.last_used_at, used.latest)
     from used join locked on locked.key_id = used.key_id
     where v.key_id = used.key_id
       and (v.first_used_at is null or v.last_used_at is distinct from greatest(v.last_used_at, used.latest)) $$`,
  `revoke all on function keywright.record_use(text[], float8[]) from public`,
];

/** Catalogs, owners and groups; the audit of their changes; and use. */
export const rights: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of statements) await sql.raw(statement).execute(db);
  },
};

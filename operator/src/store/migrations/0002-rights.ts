import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

const statements = [
  // What many verdicts read together must have the form that they rely on, or one row would make all of them fail.
  // Rows stay when their resource is deleted: a uid that is dead is known to be dead.
  `create table keywright.catalog (
     uid text primary key,
     seq bigint generated always as identity,
     name text not null,
     digest text not null,
     hosts text[] not null,
     model jsonb not null check (coalesce(jsonb_typeof(model #> '{requests,hosts}'), '') = 'array'),
     created_at timestamptz not null,
     deleted_at timestamptz
   )`,
  `create unique index catalog_name_in_force on keywright.catalog (name) where deleted_at is null`,

  `create table keywright.owner (
     uid text primary key,
     seq bigint generated always as identity,
     name text not null,
     disabled boolean not null,
     groups jsonb not null check (jsonb_typeof(groups) = 'array'),
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
];

/** Catalogs, owners and groups; and the audit of their changes. */
export const rights: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of statements) await sql.raw(statement).execute(db);
  },
};

import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

// Plain SQL, one statement each, so that what an administrator reads here is what the database runs.
const statements = [
  // The one reader of the database's clock; tests replace it. Everything else takes its instants as parameters.
  `create function keywright.keywright_now() returns timestamptz language sql volatile as 'select clock_timestamp()'`,
  // Instants leave the database as milliseconds since 1970, independent of the session's time zone and format.
  // `stable`, because `extract` is: declared stricter than its body, a function is not inlined. No instant is beyond the years that
  // RFC 3339 has: otherwise, one row with `infinity` would make every query fail that reads it, also for all other rows.
  `create function keywright.ms(at timestamptz) returns bigint language sql stable parallel safe as $$
     select case when at is not null
       then least(greatest(extract(epoch from at) * 1000, -62167219200000), 253402300799999)::bigint end $$`,

  // One database = one cluster.
  `create table keywright.installation (
     singleton boolean primary key default true check (singleton),
     id uuid not null default gen_random_uuid(),
     cluster_uid text
   )`,
  `insert into keywright.installation default values`,

  // Revisions come from this one row: its lock makes them dense and ordered by commit. A sequence does neither.
  `create table keywright.feed_head (
     singleton boolean primary key default true check (singleton),
     rev bigint not null default 0,
     fence bigint not null default 0
   )`,
  `insert into keywright.feed_head default values`,
  `create table keywright.feed (
     rev bigint primary key,
     id uuid not null unique default gen_random_uuid(),
     kind text not null check (kind in ('ApiKey', 'KeyOwner', 'KeyOwnerGroup', 'ApiCatalog')),
     subject_uid text not null,
     at timestamptz not null
   )`,

  `create table keywright.pepper (
     id text primary key,
     check_value bytea not null
   )`,

  `create table keywright.apikey (
     uid text primary key,
     namespace text not null,
     name text not null,
     display_name text not null,
     catalog text not null,
     owner text not null,
     access_type text not null,
     client_application text,
     suspended boolean not null,
     selections jsonb not null,
     revoked_reason text,
     created_at timestamptz not null,
     released_at timestamptz
   )`,
  `create unique index apikey_name_in_use on keywright.apikey (namespace, name) where released_at is null`,

  // The uid moves along when a re-created resource takes over.
  `create table keywright.version (
     id uuid primary key,
     seq bigint generated always as identity,
     apikey_uid text not null references keywright.apikey (uid) on update cascade,
     key_id text not null constraint version_key_id unique,
     display text not null,
     epoch integer not null check (epoch > 0),
     state text not null check (state in ('pending', 'active', 'retiring', 'ended')),
     ended_reason text check (ended_reason in ('retired', 'expired', 'revoked', 'abandoned')),
     lost boolean not null default false,
     cause text not null,
     hash bytea not null check (octet_length(hash) = 32),
     pepper_id text not null,
     owner_uid text not null,
     issued_at timestamptz not null,
     activated_at timestamptz,
     expires_at timestamptz,
     not_after timestamptz,
     ended_at timestamptz,
     check ((state = 'ended') = (ended_reason is not null and ended_at is not null))
   )`,
  `create index version_apikey on keywright.version (apikey_uid, epoch)`,
  `create unique index version_one_active on keywright.version (apikey_uid) where state = 'active'`,
  `create unique index version_one_pending on keywright.version (apikey_uid) where state = 'pending'`,

  `create table keywright.delivery (
     id uuid primary key default gen_random_uuid(),
     seq bigint generated always as identity,
     apikey_uid text not null references keywright.apikey (uid) on update cascade,
     target_name text not null,
     destination_uid text not null,
     path text not null,
     held_key_id text,
     held_version text,
     held_envelope text,
     intended_key_id text,
     state text not null default 'live' check (state in ('live', 'withdrawing', 'gone')),
     delivered_at timestamptz,
     withdrawing_since timestamptz
   )`,
  `create index delivery_apikey on keywright.delivery (apikey_uid) where state <> 'gone'`,
  `create index delivery_withdrawing on keywright.delivery (withdrawing_since) where state = 'withdrawing'`,
  `create unique index delivery_one_per_location on keywright.delivery (destination_uid, path) where state <> 'gone'`,

  // No reference to apikey: the audit outlives the objects that it names. The database alone sets "seq" and "recorded_at", which
  // decide how long a row is kept; the writer sets "at".
  `create table keywright.audit (
     seq bigint generated always as identity primary key,
     recorded_at timestamptz not null default keywright.keywright_now(),
     at timestamptz not null,
     actor text not null,
     action text not null,
     apikey_uid text,
     key_id text,
     detail jsonb not null
   )`,
  `create index audit_apikey on keywright.audit (apikey_uid, seq)`,
  `create index audit_key_id on keywright.audit (key_id, seq)`,
];

/** Installation, feed, keys, versions, deliveries, peppers and audit. */
export const foundation: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of statements) await sql.raw(statement).execute(db);
  },
};

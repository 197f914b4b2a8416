import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/** A proof of possession instead of a key id, and a rate limit. */
const revocation = [
  // Revocations by proof in the current minute.
  `create table keywright.revocation_rate (
     minute timestamptz primary key,
     revocations integer not null
   )`,

  // For authorizers. An unknown key id and a wrong proof give the same answer. 53400 = configuration_limit_exceeded: the
  // transaction rolls back, the revocation included.
  `create function keywright.revoke_proven(revoked_key_id text, proof bytea, why text) returns text
     language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC' as $$
     declare
       this_minute timestamptz := date_trunc('minute', keywright.keywright_now());
       outcome text;
     begin
       if not exists (
         select from keywright.version v where v.key_id = revoked_key_id and v.revocation_digest = sha256(proof)
       ) then return 'unknown'; end if;
       outcome := keywright.keywright_revoke(revoked_key_id, 'proof of possession', why, false);
       if outcome = 'revoked' then
         delete from keywright.revocation_rate where minute < this_minute;
         insert into keywright.revocation_rate as r (minute, revocations) values (this_minute, 1)
         on conflict (minute) do update set revocations = r.revocations + 1 where r.revocations < 60;
         if not found then raise exception 'more than 60 revocations in a minute' using errcode = '53400'; end if;
       end if;
       return outcome;
     end $$`,
  `revoke all on function keywright.revoke_proven(text, bytea, text) from public`,
];

/** Bounds on what an authorizer may report. */
const use = [
  // Whether a report is worth a new row within the minute: it names a client for whom there is room, or one not seen for an hour.
  `create function keywright.has_news(kept jsonb, seen jsonb) returns boolean language sql immutable parallel safe as $$
     select exists (
       select from jsonb_array_elements(seen) s left join jsonb_array_elements(kept) k on k ->> 'by' = s ->> 'by'
       where case when k is null then jsonb_array_length(kept) < 8 else (s ->> 'at')::bigint - (k ->> 'at')::bigint >= 3600000 end) $$`,

  // Authorizers may report that versions were used, and change nothing else. A row is written again after a minute at the earliest, or
  // for news: each report would leave a dead row behind, as long as somebody keeps a snapshot open. They send ages, and the database computes the dates:
  // the clocks of authorizers do not count. At most 100,000 entries, each at most a day old. People see a client's name: control
  // characters and direction marks are removed, and it is never empty. All callers lock rows in one order: otherwise two that
  // report the same keys could wait for each other. With the definer's rights a caller's search_path must not count. 54000 =
  // program_limit_exceeded.
  `create function keywright.record_use(key_ids text[], ages_ms float8[], clients text[]) returns void
     language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
     begin
       if greatest(cardinality(key_ids), cardinality(ages_ms), cardinality(clients)) > 100000 then
         raise exception 'more than 100000 uses in one call' using errcode = '54000';
       end if;
       with clock as materialized (
         select keywright.keywright_now() as now
       ), seen as (
         select u.key_id, clock.now - least(greatest(u.age_ms, 0), 86400000) * interval '1 millisecond' as at,
           nullif(btrim(left(regexp_replace(u.client, '[\\u0001-\\u001f\\u007f-\\u009f\\u200b-\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ufeff]', '', 'g'), 200)), '') as client
         from unnest(key_ids, ages_ms, clients) as u (key_id, age_ms, client) cross join clock
         where u.key_id is not null and u.age_ms is not null
       ), used as (
         select key_id, min(at) as earliest, max(at) as latest,
           coalesce(jsonb_agg(jsonb_build_object('by', client, 'at', keywright.ms(at))) filter (where client is not null), '[]'::jsonb) as clients
         from seen group by key_id
       )
       insert into keywright.version_use as u (key_id, first_used_at, last_used_at, used_by)
       select used.key_id, used.earliest, used.latest,
         case when jsonb_array_length(used.clients) < 2 then used.clients else keywright.newest_clients('[]', used.clients) end
       from used join keywright.version v on v.key_id = used.key_id
       order by used.key_id
       on conflict (key_id) do update set last_used_at = greatest(u.last_used_at, excluded.last_used_at),
         used_by = keywright.newest_clients(u.used_by, excluded.used_by)
       where u.last_used_at <= excluded.last_used_at - interval '1 minute' or keywright.has_news(u.used_by, excluded.used_by);
     end $$`,
  `revoke all on function keywright.record_use(text[], float8[], text[]) from public`,
];

/** Who asked for a change; and an audit that nobody can change or erase. */
const audit = [
  // `operator`, or `manager <name>` and the instant at which the API server dates the field; absent = it does not say.
  `alter table keywright.audit add column requested_by text, add column requested_at timestamptz,
     add constraint audit_requested_by_check check (length(requested_by) <= 200) not valid`,

  // Binds the owner of the table, too, unless the owner drops the trigger.
  `create function keywright.refuse_audit_change() returns trigger
     language plpgsql set search_path = pg_catalog, pg_temp as $$
     begin
       if tg_op = 'DELETE' and old.recorded_at < keywright.keywright_now() - interval '30 days' then return old; end if;
       raise exception 'audit rows never change, and stay for 30 days at least' using errcode = '42501';
     end $$`,
  `create trigger audit_kept before update or delete on keywright.audit
     for each row execute function keywright.refuse_audit_change()`,
  `create trigger audit_not_truncated before truncate on keywright.audit
     for each statement execute function keywright.refuse_audit_change()`,

  // The only way for the operator's role to remove audit rows: the oldest ones, and none younger than 30 days. `seq` follows the
  // time and has an index already; nobody could revoke while one on "recorded_at" is built over a long audit.
  `create function keywright.prune_audit(before_ms float8, most integer) returns integer
     language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
     declare
       pruned integer;
     begin
       delete from keywright.audit where seq in (
         select a.seq
         from (select o.seq, o.recorded_at from keywright.audit o order by o.seq limit 10000) a
         where a.recorded_at < least(to_timestamp(before_ms / 1000), keywright.keywright_now() - interval '30 days')
         limit greatest(most, 0));
       get diagnostics pruned = row_count;
       return pruned;
     end $$`,
  `revoke all on function keywright.prune_audit(float8, integer) from public`,
];

const heartbeat = [
  // The leading operator writes it: a reader of an old heartbeat, or of fewer of them than
  // another server has, reads a server that the operator does not write to.
  `create table keywright.heartbeat (
     singleton boolean primary key default true check (singleton),
     at timestamptz,
     fence bigint,
     beats bigint not null default 0
   )`,
  `insert into keywright.heartbeat default values`,
];

/** Counters of the operator, which a thief of its login could set to a value after which nothing can be written any more. */
const counters = [
  // Each goes up by one, and the feed has the row of the present revision. Binds all but the owner, who could drop the triggers, and
  // the functions that run with its rights. A row of the feed that is dated ahead would keep older ones from being removed.
  `create function keywright.refuse_jump() returns trigger
     language plpgsql set search_path = pg_catalog, pg_temp as $$
     begin
       if pg_has_role((select c.relowner from pg_class c where c.oid = tg_relid), 'usage') then return new; end if;
       if tg_table_name = 'feed' then
         if new.rev = (select h.rev from keywright.feed_head h) then
           new.at := least(new.at, keywright.keywright_now() + interval '1 day');
           return new;
         end if;
       elsif tg_table_name = 'feed_head' then
         if (new.rev - old.rev, new.fence - old.fence) in ((1, 0), (0, 1)) then return new; end if;
       elsif new.beats - old.beats = 1 then
         new.at := keywright.keywright_now();
         return new;
       end if;
       raise exception 'revisions, fences and heartbeats are counted one by one' using errcode = '42501';
     end $$`,
  `create trigger heartbeat_counted before update on keywright.heartbeat for each row execute function keywright.refuse_jump()`,
  `create trigger feed_head_counted before update on keywright.feed_head for each row execute function keywright.refuse_jump()`,
  `create trigger feed_counted before insert on keywright.feed for each row execute function keywright.refuse_jump()`,
];

/** Last, because every verdict reads this table. */
const proof = [
  // SHA-256 of HMAC(pepper, "revoke" + token). A reader of the database, hashes included, cannot compute the preimage. A version
  // without one is revoked by its key id.
  `alter table keywright.version add column revocation_digest bytea,
     add constraint version_revocation_digest_check check (octet_length(revocation_digest) = 32) not valid`,
];

/**
 * Proof of possession, bounds on what an authorizer's login may do, an append-only audit that says who asked, and the operator's
 * heartbeat.
 */
export const trust: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of [...revocation, ...use, ...heartbeat, ...audit, ...counters, ...proof])
      await sql.raw(statement).execute(db);
  },
};

import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

const statements = [
  // The annotations that were handled, so that a lost status brings none of them back.
  `alter table keywright.apikey
     add column handled_rotate text check (length(handled_rotate) <= 253),
     add column handled_compromised text check (length(handled_compromised) <= 1024),
     add column compromised_key_id text`,
  `alter table keywright.version
     add column retiring_since timestamptz`,

  // Separate from "version": an authorizer's session can keep the rows that it reports locked, and must not block a revocation.
  // For the same reason there is no foreign key, whose check would lock the version.
  `create table keywright.version_use (
     key_id text primary key,
     first_used_at timestamptz not null,
     last_used_at timestamptz not null,
     used_by jsonb not null
   )`,

  // Who wrote a revision: absent = not an operator.
  `alter table keywright.feed add column fence bigint`,

  // The authorizers that report use. A row is as old as its last report.
  `create table keywright.replica (
     id text primary key check (length(id) <= 64),
     seen_at timestamptz not null,
     flushed_through timestamptz not null,
     dropped bigint not null,
     dropped_at timestamptz,
     left_at timestamptz
   )`,

  // One entry for each client with its last instant, the eight newest.
  `create function keywright.newest_clients(kept jsonb, seen jsonb) returns jsonb language sql immutable parallel safe as $$
     select coalesce(jsonb_agg(jsonb_build_object('by', c.client, 'at', c.at) order by c.at desc, c.client), '[]'::jsonb)
     from (
       select e ->> 'by' collate "C" as client, max((e ->> 'at')::bigint) as at
       from jsonb_array_elements(kept || seen) e group by 1 order by 2 desc, 1 limit 8
     ) c $$`,

  // At most 256 replicas. Beyond that, a new one is not refused, or a flood of false replicas would keep a real
  // authorizer from starting. Instead, one common row says that uses were dropped, so that nothing counts as unused. No lock that
  // a session could hold keeps another authorizer waiting; so a few more than 256 are possible. 22003 = out of range.
  `create function keywright.report_replica(replica_id text, through_ms float8, dropped_uses bigint) returns void
     language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
     declare
       moment timestamptz := keywright.keywright_now();
     begin
       -- NaN and the infinities are not in the range either: operators could not read them.
       if (through_ms between 0 and 1e14 and dropped_uses >= 0 and length(replica_id) between 1 and 200) is not true then
         raise exception 'not a report of an authorizer' using errcode = '22003';
       end if;
       delete from keywright.replica where id in (
         select r.id from keywright.replica r where r.seen_at < moment - interval '1 hour' and r.id <> replica_id
         for update skip locked);
       if not exists (select from keywright.replica r where r.id = replica_id) then
         if (select count(*) from keywright.replica r where r.id <> '(others)') >= 256 then
           insert into keywright.replica as r (id, seen_at, flushed_through, dropped, dropped_at)
           values ('(others)', moment, moment, 1, moment)
           on conflict (id) do update set seen_at = moment, flushed_through = moment, dropped = r.dropped + 1, dropped_at = moment,
             left_at = null;
           return;
         end if;
       end if;
       insert into keywright.replica as r (id, seen_at, flushed_through, dropped, dropped_at)
       values (replica_id, moment, least(to_timestamp(through_ms / 1000), moment), dropped_uses,
         case when dropped_uses > 0 then moment end)
       on conflict (id) do update set seen_at = excluded.seen_at,
         flushed_through = greatest(r.flushed_through, excluded.flushed_through), dropped = excluded.dropped,
         dropped_at = case when excluded.dropped > r.dropped then excluded.seen_at else r.dropped_at end, left_at = null;
     end $$`,
  `revoke all on function keywright.report_replica(text, float8, bigint) from public`,
  `create function keywright.sign_off_replica(replica_id text) returns void
     language sql volatile security definer set search_path = pg_catalog, pg_temp as
     'update keywright.replica set left_at = keywright.keywright_now() where id = replica_id'`,
  `revoke all on function keywright.sign_off_replica(text) from public`,

  // Revocation by accounts that may do nothing else, with the operator and the API server down. The same steps as the operator's
  // own revocation: the ApiKey's row first, then versions, audit, and the revision last. Its feed row has no fence, so that the
  // operator sees that somebody else wrote it. The actor is "login:" and the account that logged in, because the caller chooses
  // "who". People read both and the reason, so control characters and direction marks are removed.
  `create function keywright.keywright_revoke(revoked_key_id text, who text, why text, closes boolean) returns text
     language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
     declare
       subject text;
       closed_before text;
       closing boolean;
       moment timestamptz := keywright.keywright_now();
       account text := left('login:' || session_user, 200);
       told jsonb := jsonb_build_object('cause', 'revoked in the store', 'reason', why, 'who',
         left(regexp_replace(who, '[\\u0001-\\u001f\\u007f-\\u009f\\u200b-\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ufeff]', '', 'g'), 200));
       ended integer;
     begin
       if coalesce(told ->> 'who', '') = '' or coalesce(why, '') = '' then
         raise exception 'say who revokes, and why' using errcode = '22004';
       end if;
       if why !~ '^[A-Za-z0-9]{1,64}$' then
         raise exception 'a reason is one word' using errcode = '22023';
       end if;
       loop
         select k.uid, k.revoked_reason into subject, closed_before
         from keywright.version v join keywright.apikey k on k.uid = v.apikey_uid where v.key_id = revoked_key_id for update of k;
         exit when found;
         -- A take-over that was committed meanwhile changed the uid: look again.
         if not exists (select from keywright.version v where v.key_id = revoked_key_id) then return 'unknown'; end if;
       end loop;
       with gone as (
         update keywright.version v set state = 'ended', ended_reason = 'revoked', ended_at = moment
         where v.apikey_uid = subject and v.state <> 'ended' and (closes or v.key_id = revoked_key_id) returning v.key_id
       )
       insert into keywright.audit (at, actor, action, apikey_uid, key_id, detail)
       select moment, account, 'revoke', subject, gone.key_id, told from gone;
       get diagnostics ended = row_count;
       closing := closes and closed_before is null
         and exists (select from keywright.apikey k where k.uid = subject and k.released_at is null);
       if closing then
         update keywright.apikey k set revoked_reason = why where k.uid = subject;
         insert into keywright.audit (at, actor, action, apikey_uid, detail) values (moment, account, 'close', subject, told);
       elsif ended = 0 then
         return 'already';
       elsif not closes then
         update keywright.apikey k set compromised_key_id = (
           select v.key_id from keywright.version v where v.key_id in (k.compromised_key_id, revoked_key_id) order by v.seq desc limit 1)
         where k.uid = subject;
       end if;
       if current_setting('synchronous_commit') in ('off', 'local', 'remote_write') then
         perform set_config('synchronous_commit', 'on', true);
       end if;
       with head as (update keywright.feed_head set rev = rev + 1 returning rev)
       insert into keywright.feed (rev, kind, subject_uid, at) select head.rev, 'ApiKey', subject, moment from head;
       return 'revoked';
     end $$`,
  `revoke all on function keywright.keywright_revoke(text, text, text, boolean) from public`,
];

/** Requests handled, the beginning of a retirement, who uses a version, replicas, and revocation without the operator. */
export const lifecycle: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of statements) await sql.raw(statement).execute(db);
  },
};

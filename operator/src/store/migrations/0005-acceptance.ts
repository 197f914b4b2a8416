import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

const statements = [
  // The present period of the admission policy, one row at most.
  `create table keywright.admission (
     only_row boolean primary key default true check (only_row),
     identity text not null,
     period uuid not null,
     since timestamptz not null
   )`,

  // `proposed` and `not_permitted` only take away. `accepted_terms`: how a key goes on while a change of it is held;
  // `accepted_places`: which places the names of its KeyDestinations stand for; `expired_generation`: what a key that expired for good
  // comes back by is another generation than it had then.
  `alter table keywright.apikey
     add column proposed jsonb,
     add column not_permitted boolean not null default false,
     add column accepted_generation bigint,
     add column accepted_requests text,
     add column accepted_period text,
     add column accepted_terms jsonb,
     add column expired_generation bigint,
     add column accepted_places jsonb,
     add constraint apikey_accepted_requests_check check (length(accepted_requests) <= 2048) not valid`,

  // Settings of earlier ApiKeys of the same name; each must allow a request.
  `alter table keywright.version add column ceilings jsonb not null default '[]',
     add constraint version_ceilings_check check (jsonb_typeof(ceilings) = 'array') not valid`,
];

/** The accepted and the proposed state of each ApiKey, and the settings that still limit versions after a take-over. */
export const acceptance: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of statements) await sql.raw(statement).execute(db);
  },
};

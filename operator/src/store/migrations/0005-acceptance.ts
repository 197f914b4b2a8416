import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

const statements = [
  // The program before this one knows neither column and decides by `settings` alone, as it did.
  `alter table keywright.apikey
     add column proposed jsonb,
     add column not_permitted boolean not null default false,
     add column accepted_generation bigint,
     add column accepted_requests text check (length(accepted_requests) <= 2048),
     add column accepted_period text`,

  // Settings of earlier ApiKeys of the same name; a request must be allowed under each.
  `alter table keywright.version add column ceilings jsonb not null default '[]'`,

  // The period of the admission policy that runs, one row at most.
  `create table keywright.admission (
     only_row boolean primary key default true check (only_row),
     identity text not null,
     period uuid not null,
     since timestamptz not null
   )`,
];

/** What was accepted of each ApiKey, what was not, and what versions stay held to after a take-over. */
export const acceptance: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    for (const statement of statements) await sql.raw(statement).execute(db);
  },
};

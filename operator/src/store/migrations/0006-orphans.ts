import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

const statements = [
  // Keys whose ApiKey was not found, and since when: a restart or another leader continues the count. Has no foreign key to
  // `apikey`, whose uid changes when a resource of the same name takes the key over: the next look removes the row.
  `create table keywright.missing_key (
     apikey_uid text primary key check (length(apikey_uid) <= 253),
     since timestamptz not null,
     confirmed_by text check (length(confirmed_by) <= 64)
   )`,

  // For retention. Writers wait while an index is built; verdicts do not.
  `create index delivery_gone on keywright.delivery (withdrawing_since) where state = 'gone'`,
  `create index apikey_released on keywright.apikey (released_at) where released_at is not null`,
  `create index version_ended on keywright.version (seq) where state = 'ended'`,
];

/** Keys whose resource is gone without an observed deletion; and the indexes of retention. */
export const orphans: Migration = {
  up: async (db: Kysely<unknown>): Promise<void> => {
    for (const statement of statements) await sql.raw(statement).execute(db);
  },
};

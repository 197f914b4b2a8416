import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/** What a key that expired for good comes back by: another generation than it had then. */
export const afterlife: Migration = {
  up: async (db: Kysely<unknown>): Promise<void> => {
    await sql`alter table keywright.apikey add column expired_generation bigint`.execute(db);
  },
};

import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/** The generation at which a key expired for good: it comes back with another generation. */
export const afterlife: Migration = {
  up: async (db: Kysely<unknown>): Promise<void> => {
    await sql`alter table keywright.apikey add column expired_generation bigint`.execute(db);
  },
};

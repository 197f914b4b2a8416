import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/** Which places the names of KeyDestinations mean. The operator sets it at the next pass of a key. */
export const places: Migration = {
  up: async (db: Kysely<unknown>): Promise<void> => {
    await sql`alter table keywright.apikey add column accepted_places jsonb`.execute(db);
  },
};

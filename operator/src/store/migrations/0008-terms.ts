import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

/** How a key goes on while a change of it is held. The operator sets it at the next pass of a key without a held change. */
export const terms: Migration = {
  up: async (db: Kysely<unknown>): Promise<void> => {
    await sql`alter table keywright.apikey add column accepted_terms jsonb`.execute(db);
  },
};

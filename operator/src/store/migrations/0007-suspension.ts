import { sql } from 'kysely';
import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';

const statements = [
  // Authorizers of earlier programs know neither `proposed` nor `not_permitted`: for them, `suspended` also says what those two
  // take away. This is what the settings themselves say; null = the same as `suspended`.
  `alter table keywright.apikey add column own_suspended boolean`,
  `update keywright.apikey set own_suspended = false, suspended = true
   where not suspended and (not_permitted or (proposed ->> 'suspended')::boolean)`,
];

/** A key that is denied although its settings do not suspend it is denied by earlier programs, too. */
export const suspension: Migration = {
  up: async (db: Kysely<unknown>): Promise<void> => {
    for (const statement of statements) await sql.raw(statement).execute(db);
  },
};

import { sql } from 'kysely';
import type { Kysely } from 'kysely';

import { DatabaseFault } from './fault.ts';

/** Group roles without login: an administrator grants them to the accounts that the processes log in as. */
const roles = ['keywright_operator', 'keywright_authorizer'] as const;

const grants = [
  'grant usage on schema keywright to keywright_operator, keywright_authorizer',
  'grant select, insert, update, delete on all tables in schema keywright to keywright_operator',
  // What a verdict is made of; no audit, no deliveries, nothing to write but use and a revocation, by functions.
  'grant select on keywright.installation, keywright.feed_head, keywright.feed, keywright.pepper, keywright.apikey, keywright.version, keywright.migration, keywright.catalog, keywright.owner, keywright.owner_group to keywright_authorizer',
  'grant execute on function keywright.record_use(text[], float8[]), keywright.record_use(text[], float8[], text[]), keywright.report_replica(text, float8, bigint), keywright.sign_off_replica(text), keywright.keywright_revoke(text, text, text, boolean) to keywright_operator, keywright_authorizer',
];

/**
 * Makes the two roles and their grants, each where it is missing and we may. What we may not comes back as statements for
 * an administrator. A role that does not own the schema has nothing to say here. Roles belong to the whole server: another database may have made them, or make them right now.
 */
export async function grantRoles(db: Kysely<unknown>): Promise<readonly string[]> {
  if (!(await ownsSchema(db))) return [];
  const refused: string[] = [];
  const existing = await existingRoles(db);
  for (const role of roles) {
    if (!existing.has(role)) await tryStatement(db, `create role ${role} nologin`, refused);
  }
  const known = await existingRoles(db);
  for (const grant of grants) {
    if (roles.every((role) => known.has(role))) await tryStatement(db, grant, refused);
    else refused.push(`${grant};`);
  }
  return refused;
}

async function ownsSchema(db: Kysely<unknown>): Promise<boolean> {
  const { rows } = await sql<{ owns: boolean }>`
    select pg_has_role(current_user, nspowner, 'usage') as owns from pg_namespace where nspname = 'keywright'`.execute(db);
  return rows[0]?.owns === true;
}

async function existingRoles(db: Kysely<unknown>): Promise<ReadonlySet<string>> {
  const { rows } = await sql<{
    name: string;
  }>`select rolname as name from pg_roles where rolname in (${sql.join([...roles])})`.execute(db);
  return new Set(rows.map(({ name }) => name));
}

async function tryStatement(db: Kysely<unknown>, statement: string, refused: string[]): Promise<void> {
  try {
    await sql.raw(statement).execute(db);
  } catch (error) {
    if (!(error instanceof DatabaseFault)) throw error;
    // 42710, 23505: somebody made the role in this moment. 42501: not ours to do.
    if (error.code === '42710' || error.kind === 'unique') return;
    if (error.code !== '42501') throw error;
    refused.push(`${statement};`);
  }
}

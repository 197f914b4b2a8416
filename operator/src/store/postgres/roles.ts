import { sql } from 'kysely';
import type { Kysely } from 'kysely';

import { closingStatements } from './closing.ts';
import { DatabaseFault } from './fault.ts';

/**
 * Group roles without login: an administrator grants them to accounts. `keywright_operator` and `keywright_authorizer` are for
 * the accounts that the processes log in as, `keywright_responder` is for people who revoke keys by their ids.
 */
const roles = ['keywright_operator', 'keywright_authorizer', 'keywright_responder'] as const;

type RoleName = (typeof roles)[number];

/** The columns of an audit row that the operator sets; the database sets the others. */
const auditColumns = 'at, actor, requested_by, requested_at, action, apikey_uid, key_id, subject_uid, detail';

/** What each role may do. Only the owner may use a table or a function that no line names. */
const grants: Readonly<Record<RoleName, readonly string[]>> = {
  keywright_operator: [
    'grant usage on schema keywright',
    'grant select on keywright.migration, keywright.replica',
    'grant select, update on keywright.feed_head, keywright.heartbeat',
    'grant select on keywright.installation',
    // Not its id, which all marks beside delivered values name.
    'revoke update on keywright.installation from keywright_operator; grant update (cluster_uid) on keywright.installation',
    'grant select, update, delete on keywright.version_use',
    'grant select, insert on keywright.pepper',
    'grant select on keywright.audit',
    // One transaction: a right on the table includes all columns, and a running operator must never lack its own rights.
    `revoke insert on keywright.audit from keywright_operator; grant insert (${auditColumns}) on keywright.audit`,
    'grant select, insert, update on keywright.admission',
    'grant select, insert, delete on keywright.feed',
    'grant select, insert, update, delete on keywright.apikey, keywright.version, keywright.delivery, keywright.catalog, keywright.owner, keywright.owner_group, keywright.missing_key',
    'grant execute on function keywright.record_use(text[], float8[], text[]), keywright.report_replica(text, float8, bigint), keywright.sign_off_replica(text), keywright.keywright_revoke(text, text, text, boolean), keywright.revoke_proven(text, bytea, text), keywright.prune_audit(float8, integer)',
  ],
  // What a verdict needs: no audit, no deliveries. It writes only use, by functions, and locks no row that others need.
  keywright_authorizer: [
    'grant usage on schema keywright',
    'grant select on keywright.installation, keywright.feed_head, keywright.feed, keywright.pepper, keywright.apikey, keywright.version, keywright.migration, keywright.catalog, keywright.owner, keywright.owner_group, keywright.heartbeat',
    'grant execute on function keywright.record_use(text[], float8[], text[]), keywright.report_replica(text, float8, bigint), keywright.sign_off_replica(text)',
  ],
  // Reads nothing: it needs only a key id.
  keywright_responder: [
    'grant usage on schema keywright',
    'grant execute on function keywright.keywright_revoke(text, text, text, boolean)',
  ],
};

/** Grants of earlier versions that no role needs now. */
const revokes: Readonly<Partial<Record<RoleName, readonly string[]>>> = {
  keywright_operator: [
    'revoke update, delete on keywright.audit, keywright.pepper',
    'revoke update on keywright.feed',
    'revoke insert, delete on keywright.installation, keywright.feed_head',
    'revoke insert, update, delete on keywright.migration, keywright.replica',
    'revoke all on keywright.migration_lock',
    'revoke delete on keywright.admission',
    'revoke insert on keywright.version_use',
  ],
  keywright_authorizer: [
    'revoke execute on function keywright.keywright_revoke(text, text, text, boolean), keywright.revoke_proven(text, bytea, text)',
  ],
};

/**
 * Creates missing roles and grants, and closes the database to everybody else if it is ours alone, as far as we may. Returns the
 * statements that we may not run, for an administrator. Does nothing if we do not own the schema. Roles belong to the whole
 * server: another database may have made them, or may be making them right now.
 */
export async function grantRoles(db: Kysely<unknown>): Promise<readonly string[]> {
  if (!(await ownsSchema(db))) return [];
  const refused: string[] = [];
  const existing = await existingRoles(db);
  for (const role of roles) {
    if (!existing.has(role)) await tryStatement(db, `create role ${role} nologin`, refused);
  }
  const known = await existingRoles(db);
  for (const role of roles) {
    const statements = [
      ...grants[role].map((grant) => `${grant} to ${role}`),
      ...(revokes[role] ?? []).map((revoke) => `${revoke} from ${role}`),
    ];
    for (const statement of statements) {
      if (known.has(role)) await tryStatement(db, statement, refused);
      else refused.push(`${statement};`);
    }
  }
  // Without a role, no login could get access again.
  if (roles.every((role) => known.has(role))) {
    const closing = await closingStatements(db, roles);
    for (const statement of closing.ours) await tryStatement(db, statement, refused);
    refused.push(...closing.administrators.map((statement) => `${statement};`));
  }
  return refused;
}

/**
 * Other databases of the server in which the roles have rights. Roles belong to the whole server: each of our logins has its rights
 * there, too.
 */
export async function databasesWithRoles(db: Kysely<unknown>): Promise<readonly string[]> {
  const { rows } = await sql<{ name: string }>`
    select distinct d.datname as name from pg_shdepend s
    join pg_database d on d.oid = s.dbid and d.datname <> current_database() and not d.datistemplate
    join pg_roles r on r.oid = s.refobjid and r.rolname in (${sql.join([...roles])})
    where s.refclassid = 'pg_authid'::regclass and s.deptype = 'a' order by 1`.execute(db);
  return rows.map(({ name }) => name);
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

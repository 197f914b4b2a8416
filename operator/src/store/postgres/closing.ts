import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/** Functions that everybody may execute by default and could fill the disk with: large objects belong to no schema. */
const largeObjects = ['lo_creat(integer)', 'lo_create(oid)', 'lo_from_bytea(oid, bytea)'];

interface Openness {
  readonly database: string;
  readonly ours: boolean;
  readonly open: boolean;
  readonly superuser: boolean;
  readonly functions: readonly string[];
}

/**
 * The statements that close the database to all but its owner and these roles: no connections, no temporary tables, and no large
 * objects. None if the database is not ours alone: another login owns it, somebody else keeps tables there, or it is `postgres`,
 * which every server has for its administrators. Large objects need a superuser.
 */
export async function closingStatements(db: Kysely<unknown>, roles: readonly string[]): Promise<readonly string[]> {
  const { rows } = await sql<Openness>`
    select quote_ident(d.datname) as database, r.rolsuper as superuser,
      d.datdba = r.oid and d.datname <> 'postgres' and not d.datistemplate and not exists (
        select from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname not in ('keywright', 'information_schema') and n.nspname not like 'pg\\_%'
          and not exists (select from pg_depend e where e.classid = 'pg_class'::regclass and e.objid = c.oid and e.deptype = 'e')
      ) as ours,
      has_database_privilege('public', d.oid, 'connect') or has_database_privilege('public', d.oid, 'temporary') or exists (
        select from unnest(${[...roles]}::text[]) role where not has_database_privilege(role, d.oid, 'connect')) as open,
      array(select f from unnest(${largeObjects}::text[]) f
        where has_function_privilege('public', 'pg_catalog.' || f, 'execute')) as functions
    from pg_database d, pg_roles r where d.datname = current_database() and r.rolname = current_user`.execute(db);
  const [row] = rows;
  if (row === undefined || !row.ours) return [];
  const { database, open, superuser, functions } = row;
  return [
    // In this order, so that none of our logins is locked out in between.
    ...(open
      ? [
          `grant connect on database ${database} to ${roles.join(', ')}`,
          `revoke connect, temporary on database ${database} from public`,
        ]
      : []),
    ...(superuser ? functions.map((one) => `revoke execute on function pg_catalog.${one} from public`) : []),
  ];
}

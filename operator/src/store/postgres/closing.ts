import { sql } from 'kysely';
import type { Kysely } from 'kysely';

/**
 * Functions that everybody may execute by default, and that belong to no schema of ours. Large objects and messages of logical
 * decoding could fill the disk; advisory locks fill the lock table of the whole server, and then nobody can write.
 */
const harmful = '^(lo_(creat|create|from_bytea)|pg_logical_emit_message|pg_(try_)?advisory_(xact_)?lock(_shared)?)$';

interface Openness {
  readonly database: string;
  readonly ours: boolean;
  readonly open: boolean;
  readonly superuser: boolean;
  readonly functions: readonly string[];
}

/** The statements of {@link closingStatements}. */
export interface Closing {
  /** Those that the owner of the database may run. */
  readonly ours: readonly string[];
  /** Those that need a superuser, which we are not. */
  readonly administrators: readonly string[];
}

/**
 * The statements that close the database to all but its owner and these roles: no connections, no temporary tables, and no
 * functions that harm the whole server. None if the database is not ours alone: another login owns it, somebody else keeps tables
 * there, or it is `postgres`, which every server has for its administrators.
 */
export async function closingStatements(db: Kysely<unknown>, roles: readonly string[]): Promise<Closing> {
  const { rows } = await sql<Openness>`
    select quote_ident(d.datname) as database, r.rolsuper as superuser,
      d.datdba = r.oid and d.datname <> 'postgres' and not d.datistemplate and not exists (
        select from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname not in ('keywright', 'information_schema') and n.nspname not like 'pg\\_%'
          and not exists (select from pg_depend e where e.classid = 'pg_class'::regclass and e.objid = c.oid and e.deptype = 'e')
      ) as ours,
      has_database_privilege('public', d.oid, 'connect') or has_database_privilege('public', d.oid, 'temporary') or exists (
        select from unnest(${[...roles]}::text[]) role where not has_database_privilege(role, d.oid, 'connect')) as open,
      array(select format('pg_catalog.%I(%s)', p.proname, pg_get_function_identity_arguments(p.oid)) from pg_proc p
        where p.pronamespace = 'pg_catalog'::regnamespace and p.proname ~ ${harmful}
          and has_function_privilege('public', p.oid, 'execute') order by 1) as functions
    from pg_database d, pg_roles r where d.datname = current_database() and r.rolname = current_user`.execute(db);
  const [row] = rows;
  if (row === undefined || !row.ours) return { ours: [], administrators: [] };
  const { database, open, superuser, functions } = row;
  const restriction = functions.length === 0 ? [] : [`revoke execute on function ${functions.join(', ')} from public`];
  return {
    ours: [
      // In this order, so that none of our logins is locked out in between.
      ...(open
        ? [
            `grant connect on database ${database} to ${roles.join(', ')}`,
            `revoke connect, temporary on database ${database} from public`,
          ]
        : []),
      ...(superuser ? restriction : []),
    ],
    administrators: superuser ? [] : restriction,
  };
}

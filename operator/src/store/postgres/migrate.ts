import { Kysely, sql } from 'kysely';
import { Migrator } from 'kysely/migration';

import { waiting } from '../../domain/failure.ts';
import { silentLog } from '../../telemetry/log.ts';
import type { Log } from '../../telemetry/log.ts';
import { migrationNumber, migrations, programSchemaVersion } from '../migrations/index.ts';
import { DatabaseFault, storeUnavailable } from './fault.ts';
import { ensureLogins } from './logins.ts';
import type { Logins } from './logins.ts';
import { UnlockedDialect, withMigrationLock } from './migrationlock.ts';
import { WritablePool } from './pool.ts';
import type { DatabaseAddress, SessionLimits } from './session.ts';
import { databasesWithRoles, grantRoles } from './roles.ts';

/** What a migration came to. */
export interface MigrationOutcome {
  /** The schema version found; 0 for an empty database. */
  readonly from: number;
  /** The schema version left behind. Greater than the program's when a newer program was here: no error. */
  readonly to: number;
  /** Statements that our role may not run: an administrator has to, once. */
  readonly statements: readonly string[];
}

/** What {@link migrate} may be told besides the URL. */
export interface MigrateOptions extends Omit<DatabaseAddress, 'url'> {
  readonly log?: Log;
  /** Forgets whose database this is: the next cluster that claims it owns it. For a moved or restored cluster. */
  readonly adoptCluster?: boolean;
  /** Accounts to make; needs the right to create roles. */
  readonly logins?: Logins;
}

/**
 * While we wait for a table, all who would read it wait behind us, and a migration waits for two such tables at most: together less
 * than `storeLimits` lets a verdict wait. Building an index over a large table takes its time.
 */
const limits: SessionLimits = { lockMs: 900, statementMs: 120_000, idleInTransactionMs: 120_000, connectMs: 5_000 };
/** The pause after a wait in vain, in which verdicts go on undisturbed. */
const lockRetryMs = 10_000;

/**
 * Brings the database to this program's schema, one process at a time, each migration in its own transaction. Authorizers answer
 * throughout: it never waits long for a table that they read, but throws `waiting StoreUnavailable`, which says who uses the table
 * and when to try again. Throws that also like the store, and {@link LoginFault}. Several at the same time are safe; the later ones
 * find nothing to do.
 */
export async function migrate(url: string, options: MigrateOptions = {}): Promise<MigrationOutcome> {
  const { passwordFile, log = silentLog, adoptCluster = false, logins = {} } = options;
  const address: DatabaseAddress = { url, ...(passwordFile === undefined ? {} : { passwordFile }) };
  const db = new Kysely<unknown>({ dialect: new UnlockedDialect({ pool: new WritablePool({ address, limits, size: 2, log }) }) });
  try {
    return await withMigrationLock(db, async () => {
      const outcome = await migrateLocked(db, log);
      await ensureLogins(db, logins);
      if (adoptCluster) await sql`update keywright.installation set cluster_uid = null`.execute(db);
      return outcome;
    });
  } catch (error) {
    if (error instanceof DatabaseFault && (error.kind === 'unavailable' || error.kind === 'conflict'))
      throw storeUnavailable(error);
    throw error;
  } finally {
    await db.destroy();
  }
}

async function migrateLocked(db: Kysely<unknown>, log: Log): Promise<MigrationOutcome> {
  const from = await currentVersion(db);
  // Kysely's migrator calls a migration that it does not know a corruption: a newer program's schema never gets there.
  if (from > programSchemaVersion) {
    log.info('database schema is newer', { version: String(from) });
    return { from, to: from, statements: [] };
  }
  if (from < programSchemaVersion) {
    const migrator = new Migrator({
      db,
      provider: { getMigrations: async () => await Promise.resolve({ ...migrations }) },
      migrationTableSchema: 'keywright',
      migrationTableName: 'migration',
      migrationLockTableName: 'migration_lock',
    });
    for (let version = from; version < programSchemaVersion; version = await currentVersion(db)) {
      const { error, results = [] } = await migrator.migrateUp();
      if (error !== undefined)
        throw await migrationFailure(db, error, results.find((one) => one.status === 'Error')?.migrationName);
    }
    log.info('database schema migrated', { version: String(programSchemaVersion) });
  }
  const statements = await grantRoles(db);
  await warnOfOthers(db, log);
  return { from, to: programSchemaVersion, statements };
}

async function warnOfOthers(db: Kysely<unknown>, log: Log): Promise<void> {
  const others = await databasesWithRoles(db);
  if (others.length === 0) return;
  const message = `each login of this database has the same rights in ${others.slice(0, 5).join(', ')}, and vice versa; see "Database logins" in docs/how-to/install.md`;
  log.warn('other databases of the server have our roles', { count: others.length, message });
}

/** Names who holds up a migration that did not get its lock (55P03). */
async function migrationFailure(db: Kysely<unknown>, error: unknown, name = 'unknown'): Promise<Error> {
  if (!(error instanceof Error)) return new Error('the migration failed');
  if (!(error instanceof DatabaseFault) || error.code !== '55P03') return error;
  const users = await tableUsers(db);
  const who = users.length === 0 ? 'a table that another session uses' : `the end of transactions: ${users.join(', ')}`;
  return waiting('StoreUnavailable', `the migration ${name} waits for ${who}`, lockRetryMs);
}

/** Sessions that have our tables in use now. PostgreSQL shows us the names of programs of other logins, but not what they do. */
async function tableUsers(db: Kysely<unknown>): Promise<readonly string[]> {
  const { rows } = await sql<{ pid: number; program: string; tables: string }>`
    select l.pid, coalesce(nullif(a.application_name, ''), 'a program without a name') as program,
      string_agg(distinct c.relname, ', ' order by c.relname) as tables
    from pg_locks l
    join pg_class c on c.oid = l.relation and c.relkind = 'r' and c.relnamespace = 'keywright'::regnamespace
      and c.relname <> 'migration_lock'
    left join pg_stat_activity a on a.pid = l.pid
    where l.database = (select oid from pg_database where datname = current_database())
      and l.granted and l.pid <> pg_backend_pid()
    group by l.pid, a.application_name order by l.pid limit 5`.execute(db);
  return rows.map(({ pid, program, tables }) => `pid ${String(pid)} (${program}) uses ${tables}`);
}

async function currentVersion(db: Kysely<unknown>): Promise<number> {
  const table = await sql<{ exists: boolean }>`select to_regclass('keywright.migration') is not null as exists`.execute(db);
  if (table.rows[0]?.exists !== true) return 0;
  const { rows } = await sql<{ name: string }>`select name from keywright.migration`.execute(db);
  return Math.max(0, ...rows.map(({ name }) => migrationNumber(name)));
}

import { PostgresAdapter, PostgresDialect, sql } from 'kysely';
import type { Kysely } from 'kysely';

import { DatabaseFault } from './fault.ts';

/** How long another process may migrate. */
const otherMigrationMs = 60_000;

/**
 * Runs `work` while no other process migrates. It locks a table that only the owner of the schema may lock: every login of the
 * database can take an advisory lock, and could keep the operator from starting with it. An account that may not lock the table
 * cannot migrate either, and runs without the lock. `work` needs a connection of its own.
 */
export async function withMigrationLock<T>(db: Kysely<unknown>, work: () => Promise<T>): Promise<T> {
  await makeLockTable(db);
  const { rows } = await sql<{ may: boolean }>`
    select has_table_privilege('keywright.migration_lock', 'update') as may`.execute(db);
  if (rows[0]?.may !== true) return await work();
  return await db.transaction().execute(async (tx) => {
    // This session waits while the other one migrates.
    await sql`select set_config('lock_timeout', ${String(otherMigrationMs)}, true),
      set_config('idle_in_transaction_session_timeout', '0', true)`.execute(tx);
    // This mode conflicts with itself, but not with readers and writers of the table, such as the migrator.
    await sql`lock table keywright.migration_lock in share update exclusive mode`.execute(tx);
    return await work();
  });
}

/** As Kysely's migrator creates it, which runs after us. */
async function makeLockTable(db: Kysely<unknown>): Promise<void> {
  for (;;) {
    const { rows } = await sql<{ schema: boolean; table: boolean }>`
      select to_regnamespace('keywright') is not null as schema, exists (
        select from pg_class where relnamespace = to_regnamespace('keywright') and relname = 'migration_lock') as table`.execute(
      db,
    );
    if (rows[0]?.table === true) return;
    try {
      if (rows[0]?.schema !== true) await sql`create schema keywright`.execute(db);
      await sql`create table keywright.migration_lock (id varchar(255) primary key, is_locked integer default 0 not null)`.execute(
        db,
      );
    } catch (error) {
      // 23505, 42P06, 42P07, 42710 (the type of its rows): another process created it at the same moment.
      if (!(error instanceof DatabaseFault) || !['23505', '42P06', '42P07', '42710'].includes(error.code)) throw error;
    }
  }
}

/** Kysely's own lock of migrations is an advisory one. Use {@link withMigrationLock} instead. */
export class UnlockedDialect extends PostgresDialect {
  override createAdapter(): PostgresAdapter {
    return new UnlockedAdapter();
  }
}

class UnlockedAdapter extends PostgresAdapter {
  override async acquireMigrationLock(): Promise<void> {
    // Nothing to do.
  }

  override async releaseMigrationLock(): Promise<void> {
    // Nothing to do.
  }
}

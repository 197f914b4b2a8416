import { Kysely, PostgresDialect } from 'kysely';
import { Migrator } from 'kysely/migration';
import { Client } from 'pg';
import { expect, test } from 'vitest';

import { whenReachable } from '../../operator/src/commands/database.ts';
import { readConfig } from '../../operator/src/config.ts';
import { migrations, programSchemaVersion } from '../../operator/src/store/migrations/index.ts';
import { migrate } from '../../operator/src/store/postgres/migrate.ts';
import { WritablePool, storeLimits } from '../../operator/src/store/postgres/pool.ts';
import { silentLog } from '../../operator/src/telemetry/log.ts';
import type { LogFields } from '../../operator/src/telemetry/log.ts';
import { FakeClock } from '../harness/fakes/clock.ts';
import { usePostgres } from '../harness/parts.ts';
import { until } from '../harness/until.ts';

const postgres = await usePostgres();

/** A session with the limits of an authorizer's connection. */
async function connect(url: string, application_name: string, role?: string): Promise<Client> {
  const client = new Client({ connectionString: url, application_name, lock_timeout: storeLimits.lockMs });
  await client.connect();
  if (role !== undefined) await client.query(`set role ${role}`);
  return client;
}

/** A database as the first three migrations leave it. */
async function earlierDatabase(): Promise<string> {
  const { url } = await postgres.createDatabase({ migrated: false });
  const pool = new WritablePool({ address: { url }, limits: storeLimits, size: 2, log: silentLog });
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
  const names = { migrationTableSchema: 'keywright', migrationTableName: 'migration', migrationLockTableName: 'migration_lock' };
  const earlier = Object.fromEntries(Object.entries(migrations).slice(0, 3));
  const migrator = new Migrator({ db, provider: { getMigrations: () => Promise.resolve(earlier) }, ...names });
  expect((await migrator.migrateToLatest()).error).toBeUndefined();
  await db.destroy();
  return url;
}

test.each(['version', 'apikey', 'audit'])(
  'authorizers read on while a migration waits for a long reader of "%s", and it succeeds after that',
  async (table) => {
    const url = await earlierDatabase();
    const dump = await connect(url, 'pg_dump');
    const authorizer = await connect(url, 'authorizer');
    await dump.query(`begin; lock table keywright.${table} in access share mode`);

    const clock = new FakeClock();
    const lines: LogFields[] = [];
    const log = { ...silentLog, warn: (_event: string, fields: LogFields = {}) => lines.push(fields) };
    const context = {
      ...{ config: readConfig({}), clock, log, signal: new AbortController().signal, print: () => {} },
      environment: {
        ...{ kubeconfig: undefined, inPod: false, namespace: 'keywright-system', hostname: 'test', callerFolder: '/' },
        screen: { isTerminal: false, size: () => ({ columns: 80, rows: 24 }) },
      },
    };
    const migrated = whenReachable(context, () => migrate(url));

    let ended = false;
    void migrated.finally(() => (ended = true));
    const reads: number[] = [];
    const read = async (): Promise<void> => {
      const startedMs = performance.now();
      await authorizer.query('select 1 from keywright.version v join keywright.apikey k on k.uid = v.apikey_uid');
      reads.push(performance.now() - startedMs);
    };
    // One read after the other, through two attempts of the migration.
    for (const attempts of [1, 2]) {
      await until(
        async () => {
          await read();
          return lines.length >= attempts;
        },
        { what: `attempt ${String(attempts)}`, deadlineMs: 20_000 },
      );
      expect(lines.at(-1)).toMatchObject({ reason: 'StoreUnavailable', retryInMs: 10_000 });
      expect(lines.at(-1)?.message).toMatch(new RegExp(`the migration 000[45]-\\w+ waits for .*\\(pg_dump\\) uses .*${table}`));
      expect(ended).toBe(false);
      if (attempts === 1) await clock.advance(10_000);
    }
    expect(Math.max(...reads)).toBeLessThan(storeLimits.lockMs);

    await dump.query('commit');
    await clock.advance(10_000);
    expect(await migrated).toMatchObject({ to: programSchemaVersion });
    await read();
    await Promise.all([dump.end(), authorizer.end()]);
  },
);

test('no check of a migration scans a table that is in use', async () => {
  const url = await earlierDatabase();
  await migrate(url);
  const client = await connect(url, 'observer');
  const { rows } = await client.query<{ table: string }>(
    `select distinct conrelid::regclass::text as table from pg_constraint where contype = 'c' and not convalidated order by 1`,
  );
  expect(rows.map((row) => row.table)).toEqual(['keywright.apikey', 'keywright.audit', 'keywright.version']);
  await client.end();
});

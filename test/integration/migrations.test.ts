import { Kysely, PostgresDialect } from 'kysely';
import { Migrator } from 'kysely/migration';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { foundation } from '../../operator/src/store/migrations/0001-foundation.ts';
import { programSchemaVersion } from '../../operator/src/store/migrations/index.ts';
import { migrate } from '../../operator/src/store/postgres/migrate.ts';
import { WritablePool, storeLimits } from '../../operator/src/store/postgres/pool.ts';
import { silentLog } from '../../operator/src/telemetry/log.ts';
import { ownerRow } from '../builders/clusterrows.ts';
import { mintRequest, testStart } from '../builders/mintrequest.ts';
import { StoreScene } from '../harness/storescene.ts';

const scene = await StoreScene.open();
const { own, url, open, session } = scene;

beforeAll(async () => {
  await migrate(url);
});
afterAll(() => own.stop());

describe('migrations', () => {
  test('run once when several start at the same time', async () => {
    await session((client) => client.query('create database together'));
    const together = new URL(url);
    together.pathname = '/together';
    const outcomes = await Promise.all([migrate(together.href), migrate(together.href), migrate(together.href)]);
    expect(outcomes.map((outcome) => outcome.from).sort()).toEqual([0, outcomes[0].to, outcomes[0].to]);
  });

  test('hand the database to another cluster only when asked to', async () => {
    const store = open();
    expect(await store.claimCluster('first')).toBe('ours');
    await migrate(url);
    expect(await store.claimCluster('second')).toBe('other');
    await migrate(url, { adoptCluster: true });
    expect(await store.claimCluster('second')).toBe('ours');
    expect(await store.claimCluster('first')).toBe('other');
    await store.close();
  });

  test('leave the schema of a newer program alone, and the store works on it', async () => {
    await session((client) => client.query('create database newer'));
    const newer = new URL(url);
    newer.pathname = '/newer';
    await migrate(newer.href);
    const client = new Client({ connectionString: newer.href });
    await client.connect();
    await client.query(
      "insert into keywright.migration (name, timestamp) values ('9999-from-the-future', '2026-01-01T00:00:00Z')",
    );
    await client.end();
    expect(await migrate(newer.href)).toEqual({ from: 9999, to: 9999, statements: [] });
    const store = open({ url: newer.href });
    expect(await store.schemaVersion()).toBe(9999);
    await store.takeFence();
    expect(await store.mint(mintRequest())).toBe('done');
    await store.close();
  });

  test('give every database an installation id of its own', async () => {
    await session((client) => client.query('create database another'));
    const another = new URL(url);
    another.pathname = '/another';
    await migrate(another.href);
    const [here, there] = [open(), open({ url: another.href })];
    expect(await there.installationId()).not.toBe(await here.installationId());
    await Promise.all([here.close(), there.close()]);
  });

  test('bring a database of the first release along with its keys, and its program still writes', async () => {
    await session((client) => client.query('create database first_release'));
    const address = new URL(url);
    address.pathname = '/first_release';
    const request = mintRequest();
    const db = new Kysely<unknown>({
      dialect: new PostgresDialect({
        pool: new WritablePool({ address: { url: address.href }, limits: storeLimits, size: 2, log: silentLog }),
      }),
    });
    const migrator = new Migrator({
      db,
      provider: { getMigrations: () => Promise.resolve({ '0001-foundation': foundation }) },
      migrationTableSchema: 'keywright',
      migrationTableName: 'migration',
      migrationLockTableName: 'migration_lock',
    });
    expect((await migrator.migrateToLatest()).error).toBeUndefined();
    await db.destroy();
    const insertKey = `insert into keywright.apikey (uid, namespace, name, display_name, catalog, owner, access_type, suspended, selections, created_at)
      values ($1, 'payments', 'old', 'Old', 'default', 'payments-team', 'Integrations', false, '{}', now())`;
    const insertAudit = `insert into keywright.audit (at, actor, action, apikey_uid, key_id, detail) values (now(), 'operator', 'old', $1, null, '{}')`;
    await session((client) => client.query(insertKey, [request.ref.uid]), address.href);
    expect(await migrate(address.href)).toMatchObject({ from: 1, to: programSchemaVersion });
    await session((client) => client.query(insertAudit, [request.ref.uid]), address.href);
    const store = open({ url: address.href });
    expect((await store.listKeys()).map(({ ref }) => ref.uid)).toEqual([request.ref.uid]);
    expect(await store.readAudit({ apiKeyUid: request.ref.uid }, 10)).toMatchObject([{ action: 'old' }]);
    await store.takeFence();
    expect(await store.saveOwner(ownerRow(), testStart)).toBe('done');
    await store.close();
  });

  test('print the statements that their own role may not run', async () => {
    await session(async (client) => {
      await client.query("create role owner_only login password 'owner'");
      await client.query('create database owned owner owner_only');
      await client.query('drop owned by keywright_operator, keywright_authorizer');
    });
    const owned = new URL(url);
    owned.pathname = '/owned';
    owned.username = 'owner_only';
    owned.password = 'owner';
    await session(async (client) => {
      await client.query('alter role keywright_operator rename to keywright_operator_aside');
    });
    try {
      const outcome = await migrate(owned.href);
      expect(outcome.statements[0]).toBe('create role keywright_operator nologin;');
      expect(outcome.statements.join('\n')).toContain('to keywright_operator');
      const store = open({ url: owned.href });
      expect(await store.schemaVersion()).toBe(outcome.to);
      await store.close();
    } finally {
      await session((client) => client.query('alter role keywright_operator_aside rename to keywright_operator'));
    }
  });
});

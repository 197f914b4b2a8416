import { randomBytes } from 'node:crypto';

import { afterAll, beforeAll } from 'vitest';

import { systemClock } from '../../../operator/src/domain/time.ts';
import { openPostgresStore } from '../../../operator/src/store/postgres/store.ts';
import { silentLog } from '../../../operator/src/telemetry/log.ts';
import { usePostgres } from '../../harness/parts.ts';
import { session } from '../../harness/session.ts';
import { acceptanceSuite } from './acceptancesuite.ts';
import { lifecycleSuite } from './lifecyclesuite.ts';
import { retentionSuite } from './retentionsuite.ts';
import { rightsSuite } from './rightssuite.ts';
import { storeSuite } from './suite.ts';
import type { StoreDatabase } from './suite.ts';
import { useSuite } from './usesuite.ts';

const postgres = await usePostgres();
// The rights of the operator's role are enough for everything that the store promises.
const account = `operator_${randomBytes(6).toString('hex')}`;

beforeAll(async () => {
  const { url } = await postgres.createDatabase();
  await session(url, (client) => client.query(`create role ${account} login password '${account}' in role keywright_operator`));
});
afterAll(async () => {
  await session(postgres.url, (client) => client.query(`drop role ${account}`));
});

async function createDatabase(): Promise<StoreDatabase> {
  const { url } = await postgres.createDatabase();
  return {
    open: () => openPostgresStore({ url: operatorUrl(url), clock: systemClock, log: silentLog }),
    setNow: (now) =>
      session(url, async (client) => {
        const body = `select to_timestamp(${now}::float8 / 1000)`;
        await client.query(
          `create or replace function keywright.keywright_now() returns timestamptz language sql volatile as '${body}'`,
        );
      }),
    fill: (count, owner) => fill(url, count, owner),
    rowsWrittenBy: (work) => rowsWrittenBy(url, work),
    close: () => Promise.resolve(),
  };
}

function operatorUrl(url: string): string {
  const address = new URL(url);
  address.username = account;
  address.password = account;
  return address.href;
}

/** Rows straight into the tables: ten thousand mints would take half a minute. */
async function fill(
  url: string,
  count: number,
  owner: { readonly uid: string; readonly name: string },
): Promise<readonly string[]> {
  return await session(url, async (client) => {
    await client.query(
      `insert into keywright.apikey (uid, namespace, name, display_name, catalog, owner, access_type, suspended, selections, created_at)
       select 'fill-' || i, 'payments', 'fill-' || i, 'Fill', 'default', $2, 'Personal', false, '{}', now() from generate_series(1, $1::int) i`,
      [count, owner.name],
    );
    const filled = await client.query<{ key_id: string }>(
      `insert into keywright.version (id, apikey_uid, key_id, display, epoch, state, cause, hash, pepper_id, owner_uid, issued_at)
       select gen_random_uuid(), 'fill-' || i, 'fill' || i, 'acme_live_fill' || i, 1, 'active', 'Initial', sha256(i::text::bytea), 'p1', $2, now()
       from generate_series(1, $1::int) i returning key_id`,
      [count, owner.uid],
    );
    return filled.rows.map((row) => row.key_id);
  });
}

const tables = ['apikey', 'version', 'delivery', 'catalog', 'owner', 'owner_group', 'feed', 'audit'];

/** Counts the rows that carry a younger transaction id than ours. */
async function rowsWrittenBy(url: string, work: () => Promise<void>): Promise<Readonly<Record<string, number>>> {
  return await session(url, async (client) => {
    const before = await client.query<{ id: string }>('select txid_current() as id');
    await work();
    const counts: [string, number][] = [];
    for (const table of tables) {
      const written = `select count(*)::int as rows from keywright.${table} where xmin::text::bigint > $1`;
      counts.push([table, (await client.query<{ rows: number }>(written, [before.rows[0]?.id])).rows[0]?.rows ?? 0]);
    }
    return Object.fromEntries(counts.filter(([, rows]) => rows > 0));
  });
}

storeSuite('the store on PostgreSQL', createDatabase);
rightsSuite('the store on PostgreSQL', createDatabase);
lifecycleSuite('the store on PostgreSQL', createDatabase);
acceptanceSuite('the store on PostgreSQL', createDatabase);
useSuite('the store on PostgreSQL', createDatabase);
retentionSuite('the store on PostgreSQL', createDatabase);

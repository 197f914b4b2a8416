import { randomBytes } from 'node:crypto';

import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { migrate } from '../../operator/src/store/postgres/migrate.ts';
import { usePostgres } from '../harness/parts.ts';

const postgres = await usePostgres();
const suffix = randomBytes(6).toString('hex');
const members = ['operator', 'authorizer', 'responder'] as const;
const accounts = [...members, 'stranger', 'owner'] as const;
type Account = (typeof accounts)[number];
const accountOf = (who: Account): string => `closed_${who}_${suffix}`;

function urlOf(who: Account, database: string): string {
  const address = new URL(database);
  address.username = accountOf(who);
  address.password = accountOf(who);
  return address.href;
}

async function as<T extends object>(address: string, statement: string): Promise<readonly T[]> {
  const client = new Client({ connectionString: address });
  await client.connect();
  try {
    return (await client.query<T>(statement)).rows;
  } finally {
    await client.end();
  }
}

const databases: string[] = [];
/** Empty; owned by the account `owner`, or by the superuser. */
async function createDatabase(owner?: 'owner'): Promise<string> {
  const name = `closed_${randomBytes(6).toString('hex')}`;
  await as(postgres.url, `create database ${name} template template0 ${owner === undefined ? '' : `owner ${accountOf(owner)}`}`);
  databases.push(name);
  const address = new URL(postgres.url);
  address.pathname = `/${name}`;
  return address.href;
}

beforeAll(async () => {
  // Somebody migrated on this server before: the group roles are there.
  await postgres.createDatabase();
  for (const who of accounts) await as(postgres.url, `create role ${accountOf(who)} login password '${accountOf(who)}'`);
  for (const who of members) await as(postgres.url, `grant keywright_${who} to ${accountOf(who)}`);
});
afterAll(async () => {
  for (const name of databases) await as(postgres.url, `drop database ${name} with (force)`);
  for (const who of accounts) await as(postgres.url, `drop role ${accountOf(who)}`);
});

const refused = { code: '42501' };

describe('a database that belongs to the login that migrates it', () => {
  test('is closed to strangers, and to temporary tables of the roles; the roles connect', async () => {
    const url = await createDatabase('owner');
    for (let times = 1; times <= 2; times += 1) await migrate(urlOf('owner', url));
    await expect(as(urlOf('stranger', url), 'select')).rejects.toMatchObject(refused);
    for (const who of members) {
      expect(await as(urlOf(who, url), 'select 1 as one')).toEqual([{ one: 1 }]);
      await expect(as(urlOf(who, url), 'create temporary table filler (text text)')).rejects.toMatchObject(refused);
    }
    // An account that the owner let in keeps its access.
    await as(urlOf('owner', url), `grant connect on database ${new URL(url).pathname.slice(1)} to ${accountOf('stranger')}`);
    await migrate(urlOf('owner', url));
    expect(await as(urlOf('stranger', url), 'select 1 as one')).toEqual([{ one: 1 }]);
  });

  const harmful = [
    ...['lo_create(0)', 'lo_creat(-1)', `lo_from_bytea(0, 'x')`],
    ...[`pg_logical_emit_message(false, 'x', 'x')`, `pg_logical_emit_message(true, 'x', '\\x00'::bytea)`],
    ...['', 'try_'].flatMap((tries) =>
      ['lock(1)', 'lock(1, 1)', 'lock_shared(1)', 'xact_lock(1)', 'xact_lock_shared(1, 1)'].map(
        (name) => `pg_${tries}advisory_${name}`,
      ),
    ),
  ];

  test('has no large objects, advisory locks or messages of the roles, if that login is a superuser', async () => {
    const url = await createDatabase();
    expect(await migrate(url)).toMatchObject({ statements: [] });
    for (const who of members)
      for (const call of harmful) await expect(as(urlOf(who, url), `select ${call}`)).rejects.toMatchObject(refused);
  });

  test('says otherwise in one statement what a superuser has to revoke, until it is done', async () => {
    const url = await createDatabase('owner');
    const { statements } = await migrate(urlOf('owner', url));
    expect(statements).toHaveLength(1);
    for (const statement of statements) await as(url, statement);
    for (const call of harmful) await expect(as(urlOf('owner', url), `select ${call}`)).rejects.toMatchObject(refused);
    expect(await migrate(urlOf('owner', url))).toMatchObject({ statements: [] });
  });
});

describe('a database stays as open as it was', () => {
  const isOpen = async (url: string): Promise<void> => {
    expect(await as(urlOf('stranger', url), 'select 1 as one')).toEqual([{ one: 1 }]);
    await as(urlOf('stranger', url), 'create temporary table mine (text text)');
  };

  test('if others keep tables in it', async () => {
    const url = await createDatabase('owner');
    await as(urlOf('owner', url), 'create schema other; create table other.orders (id integer)');
    await migrate(urlOf('owner', url));
    await isOpen(url);
  });

  test('if another login owns it', async () => {
    const url = await createDatabase();
    await as(url, `grant create on database ${new URL(url).pathname.slice(1)} to ${accountOf('owner')}`);
    await migrate(urlOf('owner', url));
    await isOpen(url);
  });
});

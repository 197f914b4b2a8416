import { randomBytes } from 'node:crypto';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import { systemClock } from '../../operator/src/domain/time.ts';
import type { Store } from '../../operator/src/store/port.ts';
import { storeLimits } from '../../operator/src/store/postgres/pool.ts';
import { hostConfigs, takeBackSettings } from '../../operator/src/store/postgres/session.ts';
import { openPostgresStore } from '../../operator/src/store/postgres/store.ts';
import { silentLog } from '../../operator/src/telemetry/log.ts';
import { mintRequest } from '../builders/mintrequest.ts';
import { usePostgres } from '../harness/parts.ts';
import { until } from '../harness/until.ts';

const postgres = await usePostgres();
const { url } = await postgres.createDatabase();
const database = new URL(url).pathname.slice(1);
const account = `settings_${randomBytes(6).toString('hex')}`;

async function asSuperuser(statement: string): Promise<void> {
  const client = new Client({ connectionString: url, options: '-c default_transaction_read_only=off' });
  await client.connect();
  await client.query(statement).finally(() => client.end());
}

function urlOf(port?: number): string {
  const address = new URL(url);
  address.username = account;
  address.password = account;
  if (port !== undefined) address.port = String(port);
  return address.href;
}

const opened: Store[] = [];
function open(address: string): Store {
  const store = openPostgresStore({ url: address, clock: systemClock, log: silentLog });
  opened.push(store);
  return store;
}

beforeAll(() =>
  asSuperuser(
    `create role ${account} login password '${account}' in role keywright_operator, keywright_authorizer, keywright_responder, pg_read_all_settings`,
  ),
);
afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
  await asSuperuser(`alter role ${account} in database ${database} reset all`);
});
afterAll(() => asSuperuser(`drop role ${account}`));

/** What operator, authorizer and `revoke --direct` do, each with a value that a setting could spoil. */
async function expectToWork(store: Store): Promise<void> {
  await store.takeFence();
  const request = mintRequest({ settings: { displayName: 'Büro \\ NULL' } });
  const { keyId } = request.version;
  expect(await store.mint(request)).toBe('done');
  // Two transactions of one key: they would fail with another isolation level than ours.
  const now = systemClock.now();
  const activating = store.activate(request.ref.uid, keyId, undefined, request.now);
  expect(await Promise.all([activating, store.saveHandled(request.ref.uid, { rotate: 'x' }, request.now)])).toEqual([
    'done',
    'done',
  ]);
  const before = await store.now();
  await store.recordUse([
    { keyId, ageMs: 0 },
    { keyId, ageMs: 1_000, by: 'NULL' },
  ]);
  const { versions, key } = await store.readKey(request.ref.uid);
  expect(key?.settings).toEqual(request.applied.settings);
  expect(versions).toMatchObject([{ keyId, hash: request.version.hash, usedBy: [{ by: 'NULL' }] }]);
  expect(Math.abs((versions[0]?.lastUsedAt ?? 0) - before)).toBeLessThan(60_000);
  expect(Math.abs(before - now)).toBeLessThan(60_000);
  expect(await store.checkPepper(`p-${keyId}`, randomBytes(32))).toBe('right');
  expect(await store.revokeDirect(keyId, { actor: 'cli:ana', reason: 'KeyCompromise', close: true })).toBe('revoked');
  expect((await store.readAudit({ keyId }, 1))[0]?.action).toBe('revoke');
}

describe('what somebody left with a stolen login before its password was changed stops no program:', () => {
  test.each([
    "transaction_timeout = '1ms'",
    "statement_timeout = '1ms'",
    "lock_timeout = '1ms'",
    "idle_in_transaction_session_timeout = '1ms'",
    "idle_session_timeout = '1ms'",
    "tcp_user_timeout = '1ms'",
    'default_transaction_read_only = on',
    "default_transaction_isolation = 'serializable'",
    'default_transaction_deferrable = on',
    'search_path = nowhere',
    "local_preload_libraries = 'nothing_there'",
    'exit_on_error = on',
    'extra_float_digits = -15',
    'array_nulls = off',
    'transform_null_equals = on',
    'standard_conforming_strings = off',
    "bytea_output = 'escape'",
    "client_encoding = 'LATIN1'",
    "DateStyle = 'German'",
    "TimeZone = 'Asia/Kathmandu'",
    "client_min_messages = 'debug5'",
    'synchronous_commit = off',
    'role = keywright_operator',
    'role = keywright_authorizer',
    'role = keywright_responder',
    'role = pg_read_all_settings',
  ])('%s', async (setting) => {
    // With its own login, like a thief; and for one database, which has priority.
    const client = new Client({ connectionString: urlOf() });
    await client.connect();
    await client.query(`alter role ${account} in database ${database} set ${setting}`).finally(() => client.end());
    await expectToWork(open(urlOf()));
    // A survey sees the heartbeat, too.
    const { port } = postgres;
    const two = open(urlOf().replace(`:${port}/`, `:${port},127.0.0.1:${port}/`));
    await two.takeFence();
    await two.beat();
    expect((await two.surveyPrimary()).heartbeatAgeMs).toBeDefined();
  });
});

test('what somebody left with a stolen login fills no log of the server', async () => {
  const talkative = ['debug_print_parse', 'debug_print_rewritten', 'debug_print_plan', 'trace_notify', 'trace_sort', 'jit'];
  for (const setting of talkative) await asSuperuser(`alter role ${account} in database ${database} set ${setting} = on`);
  const [host] = hostConfigs({ url: urlOf() }, storeLimits);
  const client = new Client(host?.current);
  await client.connect();
  const { rows } = await client
    .query(`select name, setting from pg_settings where name = any($1)`, [talkative])
    .finally(() => client.end());
  expect(rows.map((row: { setting: string }) => row.setting)).toEqual(talkative.map(() => 'off'));
});

test('a role that an administrator set for a login, and that may do as much, stays', async () => {
  await asSuperuser(`create role ${account}_owner in role keywright_operator, keywright_authorizer, keywright_responder`);
  await asSuperuser(`grant ${account}_owner to ${account}`);
  await asSuperuser(`alter role ${account} in database ${database} set role = ${account}_owner`);
  const client = new Client({ connectionString: urlOf() });
  await client.connect();
  const who = async (): Promise<unknown> => (await client.query<{ who: string }>('select current_user as who')).rows[0]?.who;
  await takeBackSettings(client);
  expect(await who()).toBe(`${account}_owner`);
  await client.query('set role keywright_authorizer');
  await takeBackSettings(client);
  expect(await who()).toBe(account);
  await client.end();
  await asSuperuser(`drop role ${account}_owner`);
});

test('a database that an administrator made read-only is read, and not written to', async () => {
  await asSuperuser(`alter database ${database} set default_transaction_read_only = on`);
  try {
    const store = open(urlOf());
    expect(await store.now()).toBeGreaterThan(0);
    await expect(store.takeFence()).rejects.toMatchObject({ message: expect.stringContaining('25006') as string });
  } finally {
    await asSuperuser(`alter database ${database} reset all`);
  }
  await open(urlOf()).takeFence();
});

test('a database that was made read-only by a login that owns it is written to', async () => {
  await asSuperuser(`alter database ${database} owner to ${account}`);
  try {
    const client = new Client({ connectionString: urlOf() });
    await client.connect();
    await client.query(`alter database ${database} set default_transaction_read_only = on`).finally(() => client.end());
    await expectToWork(open(urlOf()));
  } finally {
    await asSuperuser(`alter database ${database} reset all`);
    await asSuperuser(`alter database ${database} owner to current_user`);
  }
});

/** In front of the real server, as one that does not know a setting yet: it says so of a connection that states it. */
class OlderServer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #unknown: string | undefined;

  private constructor(unknown: string) {
    this.#unknown = unknown;
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket
        .on('error', () => {})
        .on('close', () => this.#sockets.delete(socket))
        .once('data', (startup) => {
          if (this.#unknown === undefined || !startup.includes(this.#unknown)) this.#join(socket, startup);
          else socket.end(unknownSetting(this.#unknown));
        });
    });
  }

  static async without(unknown: string): Promise<OlderServer> {
    const older = new OlderServer(unknown);
    await new Promise<void>((resolve) => older.#server.listen(0, '127.0.0.1', resolve));
    return older;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** It is restarted, and knows the setting. */
  upgrade(): void {
    this.#unknown = undefined;
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(socket: Socket, startup: Buffer): void {
    const real = connect(postgres.port, postgres.host);
    real.on('error', () => {}).on('close', () => socket.destroy());
    socket.on('close', () => real.destroy());
    real.write(startup);
    socket.pipe(real).pipe(socket);
  }
}

function unknownSetting(name: string): Buffer {
  const fields = Buffer.from(`SFATAL\0VFATAL\0C42704\0Munrecognized configuration parameter "${name}"\0\0`);
  const head = Buffer.from([0x45, 0, 0, 0, 0]);
  head.writeInt32BE(fields.length + 4, 1);
  return Buffer.concat([head, fields]);
}

test('a server older than PostgreSQL 17, which knows no transaction_timeout, is used without it, as the only host and as one of two', async () => {
  const server = await OlderServer.without('transaction_timeout');
  const { port } = server;
  await expectToWork(open(urlOf(port)));
  const [one, two] = [open(urlOf(port)), open(urlOf(port).replace(`:${port}/`, `:${port},127.0.0.1:${port}/`))];
  await Promise.all(Array.from({ length: 8 }, () => one.now()));
  await expectToWork(two);
  expect(await two.surveyPrimary()).toMatchObject({ hosts: 2, answered: 1 });

  // Upgraded under the running programs, it is told what it knows now.
  server.upgrade();
  for (const store of [one, two]) await until(() => store.now().then(Boolean, () => false), { what: 'the connection' });
  await asSuperuser(`alter role ${account} in database ${database} set transaction_timeout = '1ms'`);
  for (const store of [one, two]) {
    await Promise.all(Array.from({ length: 8 }, () => store.now()));
    await expectToWork(store);
  }
  for (const store of opened.splice(0)) await store.close();
  await server.close();
});

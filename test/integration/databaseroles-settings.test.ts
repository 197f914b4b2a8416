import { randomBytes } from 'node:crypto';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';

import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import { systemClock } from '../../operator/src/domain/time.ts';
import type { Store } from '../../operator/src/store/port.ts';
import { openPostgresStore } from '../../operator/src/store/postgres/store.ts';
import { silentLog } from '../../operator/src/telemetry/log.ts';
import { mintRequest } from '../builders/mintrequest.ts';
import { usePostgres } from '../harness/parts.ts';

const postgres = await usePostgres();
const { url } = await postgres.createDatabase();
const database = new URL(url).pathname.slice(1);
const account = `settings_${randomBytes(6).toString('hex')}`;

async function asSuperuser(statement: string): Promise<void> {
  const client = new Client({ connectionString: url });
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
  asSuperuser(`create role ${account} login password '${account}' in role keywright_operator, keywright_authorizer`),
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
  ])('%s', async (setting) => {
    // With its own login, like a thief; and for one database, which has priority.
    const client = new Client({ connectionString: urlOf() });
    await client.connect();
    await client.query(`alter role ${account} in database ${database} set ${setting}`).finally(() => client.end());
    await expectToWork(open(urlOf()));
  });
});

/** In front of the real server, like one that does not know a setting yet: it refuses a connection that sets it. */
async function olderServer(unknown: string): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (startup) => {
      if (startup.includes(unknown)) {
        const fields = Buffer.from(`SFATAL\0VFATAL\0C42704\0Munrecognized configuration parameter "${unknown}"\0\0`);
        const head = Buffer.from([0x45, 0, 0, 0, 0]);
        head.writeInt32BE(fields.length + 4, 1);
        socket.end(Buffer.concat([head, fields]));
        return;
      }
      const real = connect(postgres.port, postgres.host);
      real.on('error', () => {}).on('close', () => socket.destroy());
      socket.on('close', () => real.destroy());
      real.write(startup);
      socket.pipe(real).pipe(socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

test('a server older than PostgreSQL 17, which knows no transaction_timeout, is used without it, as the only host and as one of two', async () => {
  const server = await olderServer('transaction_timeout');
  const { port } = server.address() as AddressInfo;
  await expectToWork(open(urlOf(port)));
  const [one, two] = [open(urlOf(port)), open(urlOf(port).replace(`:${port}/`, `:${port},127.0.0.1:${port}/`))];
  await Promise.all(Array.from({ length: 8 }, () => one.now()));
  await expectToWork(two);
  expect(await two.surveyPrimary()).toMatchObject({ hosts: 2, answered: 2 });
  for (const store of opened.splice(0)) await store.close();
  await new Promise((resolve) => server.close(resolve));
});

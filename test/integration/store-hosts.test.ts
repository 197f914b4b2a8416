import { writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { migrate } from '../../operator/src/store/postgres/migrate.ts';
import { storeLimits } from '../../operator/src/store/postgres/pool.ts';
import { mintRequest } from '../builders/mintrequest.ts';
import { ownPostgres } from '../harness/parts.ts';
import { freePort } from '../harness/ports.ts';
import { privateDir } from '../harness/process.ts';
import { StoreScene } from '../harness/storescene.ts';

const scene = await StoreScene.open();
const { own, url, open, session, kill, restart } = scene;
const unavailable = { kind: 'waiting', reason: 'StoreUnavailable' };

beforeAll(async () => {
  await migrate(url);
});
afterAll(() => own.stop());

test('a heartbeat that cannot be read for a moment does not make the primary one that never had any', async () => {
  await session((client) => client.query('create database beating'));
  const { host, port } = own.postgres;
  const beating = url.replace(/\/postgres$/, '/beating');
  await migrate(beating);
  const twice = beating.replace(`:${port}/`, `:${port},${host}:${port}/`);
  const store = open({ url: twice, limits: { ...storeLimits, lockMs: 200 } });
  await store.takeFence();
  for (let beat = 0; beat < 5; beat += 1) await store.beat();
  expect(await store.surveyPrimary()).toMatchObject({ answered: 1, superseded: false });
  await session(async (holder) => {
    await holder.query('begin');
    await holder.query('lock table keywright.heartbeat in access exclusive mode');
    expect(await store.surveyPrimary()).toMatchObject({ answered: 0, superseded: false });
    await holder.query('rollback');
  }, beating);
  expect(await store.surveyPrimary()).toMatchObject({ answered: 1, superseded: false });
  await store.close();
});

test('a host that is slow with each of its answers does not hold up the question whether the one in use is the primary', async () => {
  const { host, port } = own.postgres;
  const second = await ownPostgres();
  for (const each of [url, second.postgres.url])
    await session((client) => client.query("create role twice superuser login password 'twice'"), each);
  const sockets: Socket[] = [];
  const slow = createServer((near) => {
    const far = connect(second.postgres.port, host);
    sockets.push(
      near.on('error', () => {}),
      far.on('error', () => {}),
    );
    near.pipe(far);
    far.on('data', (bytes) => setTimeout(() => near.write(bytes), 1_200));
  });
  await new Promise<void>((resolve) => slow.listen(0, '127.0.0.1', resolve));
  const slowPort = (slow.address() as AddressInfo).port;
  const store = open({ url: `postgres://twice:twice@${host}:${port},127.0.0.1:${slowPort}/postgres` });
  try {
    // Each answer is within the limits of a connection and of a statement; all of them together take longer than a heartbeat may wait.
    expect(await store.surveyPrimary()).toMatchObject({ hosts: 2, answered: 1, superseded: false });
  } finally {
    await store.close();
    for (const socket of sockets) socket.destroy();
    slow.close();
    await second.stop();
  }
});

describe('how to log in', () => {
  test('waits with a wrong password, and takes up a corrected file without a restart', async () => {
    const passwordFile = join(privateDir('password'), 'password');
    writeFileSync(passwordFile, 'wrong\n');
    const bare = new URL(url);
    bare.password = '';
    const store = open({ url: bare.href, passwordFile });
    await expect(store.installationId()).rejects.toMatchObject({
      ...unavailable,
      message: expect.stringContaining('28P01') as string,
    });
    writeFileSync(passwordFile, `${own.postgres.password}\n`);
    expect(await store.installationId()).toMatch(/-/);
    await store.close();
  });

  test('waits while the database or its schema does not exist', async () => {
    const missing = new URL(url);
    missing.pathname = '/nowhere';
    const store = open({ url: missing.href });
    await expect(store.installationId()).rejects.toMatchObject({
      ...unavailable,
      message: expect.stringContaining('3D000') as string,
    });
    await session((client) => client.query('create database nowhere'));
    await expect(store.installationId()).rejects.toMatchObject({
      ...unavailable,
      message: expect.stringContaining('schema') as string,
    });
    expect(await store.schemaVersion()).toBe(0);
    await migrate(missing.href);
    expect(await store.installationId()).toMatch(/-/);
    await store.close();
  });

  test('passes over a host that is dead', async () => {
    const { port } = new URL(url);
    const store = open({ url: url.replace(`127.0.0.1:${port}`, `127.0.0.1:${await freePort()},127.0.0.1:${port}`) });
    await store.takeFence();
    expect(await store.mint(mintRequest())).toBe('done');
    await kill();
    await expect(store.installationId()).rejects.toMatchObject(unavailable);
    await restart();
    expect(await store.mint(mintRequest())).toBe('done');
    await store.close();
  });
});

describe('several hosts', () => {
  test('passes over one that refuses and does not hang up', async () => {
    const refusal = fatal('57P03', 'the database system is starting up');
    const held: Socket[] = [];
    const deaf = createServer({ allowHalfOpen: true }, (socket) => {
      held.push(socket.on('error', () => {}).once('data', () => socket.write(refusal)));
    });
    await new Promise<void>((resolve) => deaf.listen(0, '127.0.0.1', resolve));
    const { port } = deaf.address() as AddressInfo;
    const { host } = new URL(url);
    const store = open({ url: url.replace(host, `127.0.0.1:${port},${host}`) });
    expect(await store.installationId()).toMatch(/-/);
    await store.close();
    for (const socket of held) socket.destroy();
    deaf.close();
  });

  test('passes over a standby, and follows when it is promoted', async () => {
    const second = await ownPostgres();
    try {
      const urls = [second.postgres.url, url];
      for (const each of urls) await migrate(each);
      for (const each of urls) await session((client) => client.query("create role app superuser login password 'app'"), each);
      const ids = await Promise.all(urls.map(installationOf));
      const folder = await session(
        async (client) => (await client.query<{ data_directory: string }>('show data_directory')).rows[0]?.data_directory,
        second.postgres.url,
      );
      await second.server.stop();
      writeFileSync(join(folder ?? '', 'standby.signal'), '');
      await second.restart();

      const store = open({ url: `postgres://app:app@127.0.0.1:${second.postgres.port},127.0.0.1:${own.postgres.port}/postgres` });
      expect(await store.installationId()).toBe(ids[1]);
      await kill();
      await expect(store.installationId()).rejects.toMatchObject(unavailable);
      await session((client) => client.query('select pg_promote()'), second.postgres.url);
      expect(await store.installationId()).toBe(ids[0]);
      await store.takeFence();
      expect(await store.mint(mintRequest())).toBe('done');
      await store.close();
    } finally {
      await restart();
      await second.stop();
    }
  });
});

/** What a server says that takes no more connections (ErrorResponse, "Message Formats" of PostgreSQL's protocol). */
function fatal(code: string, message: string): Buffer {
  const fields = Buffer.from(`SFATAL\0C${code}\0M${message}\0\0`);
  const head = Buffer.alloc(5);
  head.write('E');
  head.writeInt32BE(fields.length + 4, 1);
  return Buffer.concat([head, fields]);
}

async function installationOf(address: string): Promise<string> {
  const store = open({ url: address });
  try {
    return await store.installationId();
  } finally {
    await store.close();
  }
}

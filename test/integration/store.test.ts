import { randomUUID } from 'node:crypto';
import { connect, createServer, type AddressInfo } from 'node:net';
import { inspect } from 'node:util';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { Failure } from '../../operator/src/domain/failure.ts';
import { migrate } from '../../operator/src/store/postgres/migrate.ts';
import { WritablePool, storeLimits } from '../../operator/src/store/postgres/pool.ts';
import { racedIndexes } from '../../operator/src/store/postgres/transaction.ts';
import { silentLog } from '../../operator/src/telemetry/log.ts';
import { catalogModel, catalogRow, grantRule, groupRow, ownerRow } from '../builders/clusterrows.ts';
import { mintRequest, testStart, uniqueTarget } from '../builders/mintrequest.ts';
import { StoreScene } from '../harness/storescene.ts';
import { until } from '../harness/until.ts';

const scene = await StoreScene.open();
const { own, url, open, session, kill, restart } = scene;
const unavailable = { kind: 'waiting', reason: 'StoreUnavailable' };

beforeAll(async () => {
  await migrate(url);
});
afterAll(() => own.stop());

/** Waits until so many sessions wait for a lock. */
async function lockWaiters(count: number): Promise<readonly number[]> {
  const waiting = "select pid from pg_stat_activity where wait_event_type = 'Lock' and application_name = 'keywright'";
  return await session(async (observer) => {
    return await until(async () => {
      const pids = (await observer.query<{ pid: number }>(waiting)).rows.map((row) => row.pid);
      return pids.length === count ? pids : undefined;
    });
  });
}

describe('a database in trouble', () => {
  test('waits while nobody listens, and works as soon as somebody does', async () => {
    const store = open();
    await store.takeFence();
    await kill();
    await expect(store.readKey('x')).rejects.toMatchObject(unavailable);
    await expect(store.mint(mintRequest())).rejects.toMatchObject(unavailable);
    await restart();
    expect((await store.readKey('x')).versions).toEqual([]);
    expect(await store.mint(mintRequest())).toBe('done');
    await store.close();
  });

  test('takes up new connections by itself when the server was restarted behind idle ones', async () => {
    const store = open();
    await Promise.all(Array.from({ length: 5 }, () => store.installationId()));
    const id = await store.installationId();
    await own.server.stop();
    await restart();
    expect(await Promise.all(Array.from({ length: 5 }, () => store.installationId()))).toEqual(
      Array.from({ length: 5 }, () => id),
    );
    await store.close();
  });

  test('leaves nothing of a transaction that was killed in its middle', async () => {
    const store = open();
    await store.takeFence();
    const request = mintRequest({ targets: [uniqueTarget()] });
    const headBefore = (await store.readFeed(0, 10_000)).length;
    await session(async (holder) => {
      // Held: the last row that the transaction needs, so that all of its work is done and uncommitted.
      await holder.query('begin');
      await holder.query('select from keywright.feed_head for update');
      const minting = store.mint(request);
      minting.catch(() => {});
      const [pid] = await lockWaiters(1);
      await session((other) => other.query('select pg_terminate_backend($1)', [pid]));
      // The first answer, not that of a second try: the transaction may have been committed.
      await expect(minting).rejects.toMatchObject({ ...unavailable, message: expect.stringContaining('57P01') as string });
    });
    expect(await store.readKey(request.ref.uid)).toMatchObject({ key: undefined, versions: [], deliveries: [] });
    expect(await store.readFeed(0, 10_000)).toHaveLength(headBefore);
    expect(await store.mint(request)).toBe('done');
    expect((await store.readFeed(0, 10_000)).map((row) => row.rev)).toEqual(
      Array.from({ length: headBefore + 1 }, (_, index) => index + 1),
    );
    await store.close();
  });

  test('gives up on a lock that somebody holds, and does the work once it is free', async () => {
    const store = open({ limits: { ...storeLimits, lockMs: 200 } });
    await store.takeFence();
    const request = mintRequest();
    await store.mint(request);
    const activate = () => store.activate(request.ref.uid, request.version.keyId, undefined, testStart);
    await session(async (holder) => {
      await holder.query('begin');
      await holder.query('select from keywright.apikey where uid = $1 for update', [request.ref.uid]);
      await expect(activate()).rejects.toMatchObject({ ...unavailable, message: expect.stringContaining('55P03') as string });
    });
    expect(await activate()).toBe('done');
    await store.close();
  });

  test('gives up on a server that has stopped answering, and goes on when it answers again', async () => {
    const store = open({ limits: { lockMs: 200, statementMs: 200, idleInTransactionMs: 1_000, connectMs: 500 } });
    await store.takeFence();
    await session(async (client) => {
      await client.query(
        `create or replace function keywright.keywright_now() returns timestamptz language sql volatile as 'select clock_timestamp() from pg_sleep(1)'`,
      );
    });
    await expect(store.now()).rejects.toMatchObject({ ...unavailable, message: expect.stringContaining('57014') as string });
    await session(async (client) => {
      await client.query(
        `create or replace function keywright.keywright_now() returns timestamptz language sql volatile as 'select clock_timestamp()'`,
      );
    });
    expect(Math.abs((await store.now()) - Date.now())).toBeLessThan(5_000);
    own.server.signal('SIGSTOP');
    const fresh = open({ limits: { lockMs: 200, statementMs: 200, idleInTransactionMs: 1_000, connectMs: 500 } });
    await expect(fresh.installationId()).rejects.toMatchObject(unavailable);
    own.server.signal('SIGCONT');
    expect(await fresh.installationId()).toBe(await store.installationId());
    await fresh.close();
    await store.close();
  });

  test('gives up on a session that hangs, and never hands it out again', async () => {
    const store = open({ poolSize: 1, limits: { ...storeLimits, statementMs: 100 } });
    const id = await store.installationId();
    const pid = await session(async (client) => {
      const { rows } = await client.query<{ pid: number }>(
        // The newest: a session of the test before may still be ending.
        "select pid from pg_stat_activity where application_name = 'keywright' order by backend_start desc",
      );
      return rows[0]?.pid ?? 0;
    });
    process.kill(pid, 'SIGSTOP');
    await expect(store.installationId()).rejects.toMatchObject(unavailable);
    expect(await store.installationId()).toBe(id);
    process.kill(pid, 'SIGCONT');
    await store.close();
  });

  test('survives that its own session is ended between two statements', async () => {
    const store = open({ poolSize: 1 });
    const id = await store.installationId();
    await session((client) =>
      client.query("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'keywright'"),
    );
    expect(await store.installationId()).toBe(id);
    await store.close();
  });
});

test('a borrowed connection that is lost between two statements is an error of the next one, not of the process', async () => {
  const pool = new WritablePool({ address: { url }, limits: storeLimits, size: 1, log: silentLog });
  const connection = await pool.connect();
  await session((client) =>
    client.query("select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'keywright'"),
  );
  await until(
    () =>
      connection.query('select 1', []).then(
        () => false,
        () => true,
      ),
    { what: 'the loss' },
  );
  connection.release();
  const next = await pool.connect();
  expect((await next.query<{ one: number }>('select 1 as one', [])).rows).toEqual([{ one: 1 }]);
  next.release();
  await pool.end();
});

test('a server that an administrator, or a full disk, made read-only is read, and not written to until it is writable again', async () => {
  const readOnly = (value: string) =>
    session(async (client) => {
      await client.query(`alter system set default_transaction_read_only = ${value}`);
      await client.query('select pg_reload_conf()');
    });
  const store = open();
  await store.takeFence();
  await readOnly('on');
  const refused = () =>
    store.takeFence().then(
      () => false,
      (error: unknown) => String(error).includes('25006'),
    );
  try {
    await until(refused, { what: 'the reload' });
    expect(await store.installationId()).toMatch(/-/);
  } finally {
    await readOnly('off');
  }
  const written = () =>
    store.takeFence().then(
      () => true,
      () => false,
    );
  await until(written, { what: 'the next reload' });
  await store.close();
});

describe('a change', () => {
  test('knows a repetition by unique indexes that are there', async () => {
    const { rows } = await session((client) =>
      client.query<{ name: string }>(
        "select i.relname as name from pg_index x join pg_class i on i.oid = x.indexrelid where x.indisunique and i.relnamespace = 'keywright'::regnamespace",
      ),
    );
    expect(rows.map(({ name }) => name)).toEqual(expect.arrayContaining([...racedIndexes]));
  });

  test('that breaks a rule of the schema is a defect, whose message quotes no row', async () => {
    const store = open();
    await store.takeFence();
    const hash = Uint8Array.from({ length: 31 }, () => 0xab);
    const error = await store.mint(mintRequest({ version: { hash } })).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(Error);
    expect(error).not.toBeInstanceOf(Failure);
    expect(inspect(error, { depth: 10, showHidden: true })).toContain('23514');
    expect(inspect(error, { depth: 10, showHidden: true })).not.toContain('abab');
    await store.close();
  });

  test('of a verdict is durable although the database is set to be lax, and a stricter setting stays', async () => {
    await session(async (client) => {
      await client.query('create table public.commits (level text)');
      await client.query(`create function public.note_level() returns trigger language plpgsql as
        'begin insert into public.commits values (current_setting(''synchronous_commit'')); return null; end'`);
      await client.query('create trigger note after insert on keywright.feed execute function public.note_level()');
    });
    for (const level of ['off', 'remote_apply']) {
      await session((client) => client.query(`alter database postgres set synchronous_commit = ${level}`));
      const store = open();
      await store.takeFence();
      const request = mintRequest();
      await store.mint(request);
      await store.revokeDirect(request.version.keyId, { actor: 'cli:ana', reason: 'Unspecified', close: true });
      await store.close();
    }
    const levels = await session((client) => client.query<{ level: string }>('select level from public.commits'));
    expect(levels.rows.map((row) => row.level)).toEqual(['on', 'on', 'remote_apply', 'remote_apply']);
    await session(async (client) => {
      await client.query('alter database postgres reset synchronous_commit');
      await client.query('drop trigger note on keywright.feed');
    });
  });

  test('[S2-17] of a key waits for the one before it: no version is minted past a revocation under way', async () => {
    const store = open();
    await store.takeFence();
    const { ref, version } = mintRequest();
    await store.mint(mintRequest({ ref, version: { keyId: version.keyId } }));
    await store.activate(ref.uid, version.keyId, undefined, testStart);
    const [revoked, minted] = await session(async (holder) => {
      await holder.query('begin');
      await holder.query('select from keywright.feed_head for update');
      const revoking = store.revokeAll(ref.uid, { actor: 'operator', revokedReason: 'KeyCompromise', detail: 'spec' }, testStart);
      await lockWaiters(1);
      const minting = store.mint(mintRequest({ ref, version: { epoch: 2 } }));
      await lockWaiters(2);
      await holder.query('rollback');
      return await Promise.all([revoking, minting]);
    });
    expect(revoked).toBe('done');
    expect(minted).toBe('already');
    expect((await store.readKey(ref.uid)).versions).toEqual([]);
    await store.close();
  });

  test('[S2-17] of a key waits for a direct revocation under way, which ends what a mint before it made', async () => {
    const store = open();
    await store.takeFence();
    const { ref, version } = mintRequest();
    await store.mint(mintRequest({ ref, version: { keyId: version.keyId } }));
    await store.activate(ref.uid, version.keyId, undefined, testStart);
    const outcomes = await session(async (holder) => {
      await holder.query('begin');
      await holder.query('select from keywright.feed_head for update');
      const before = store.mint(mintRequest({ ref, version: { epoch: 2 } }));
      await lockWaiters(1);
      const revoking = store.revokeDirect(version.keyId, { actor: 'cli:ana', reason: 'KeyCompromise', close: true });
      await lockWaiters(2);
      const after = store.mint(mintRequest({ ref, version: { epoch: 3 } }));
      await lockWaiters(3);
      await holder.query('rollback');
      return await Promise.all([before, revoking, after]);
    });
    expect(outcomes).toEqual(['done', 'revoked', 'already']);
    expect((await store.readKey(ref.uid)).versions).toEqual([]);
    await store.close();
  });

  test('of a key by a direct revocation finds it although a take-over changed its uid meanwhile', async () => {
    const store = open();
    await store.takeFence();
    const { ref, version } = mintRequest();
    await store.mint(mintRequest({ ref, version: { keyId: version.keyId } }));
    const next = `${ref.uid}-next`;
    const outcome = await session(async (holder) => {
      await holder.query('begin');
      await holder.query('update keywright.apikey set uid = $2 where uid = $1', [ref.uid, next]);
      const revoking = store.revokeDirect(version.keyId, { actor: 'cli:ana', reason: 'KeyCompromise', close: true });
      await lockWaiters(1);
      await holder.query('commit');
      return await revoking;
    });
    expect(outcome).toBe('revoked');
    expect(await store.readKey(next)).toMatchObject({ versions: [], key: { revokedReason: 'KeyCompromise' } });
    await store.close();
  });

  test('of an owner that is not there yet waits for the one before it', async () => {
    const store = open();
    await store.takeFence();
    const row = ownerRow({ name: 'twice' });
    const outcomes = await session(async (holder) => {
      await holder.query('begin');
      await holder.query('select from keywright.feed_head for update');
      const first = store.saveOwner(row, testStart);
      await lockWaiters(1);
      const others = [store.saveOwner(row, testStart), store.saveOwner({ ...row, disabled: true }, testStart)];
      await lockWaiters(3);
      await holder.query('rollback');
      return await Promise.all([first, ...others]);
    });
    expect(outcomes[0]).toBe('done');
    const actions = (await store.readAudit({ subjectUid: row.uid }, 10)).map((line) => line.action).reverse();
    expect(actions[0]).toBe('create');
    expect(new Set(actions.slice(1))).toEqual(new Set(['edit']));
    await store.close();
  });

  test('waits for a free connection only so long', async () => {
    const store = open({ poolSize: 1, limits: { ...storeLimits, connectMs: 200, lockMs: 2_000 } });
    await store.takeFence();
    const request = mintRequest();
    await store.mint(request);
    await session(async (holder) => {
      await holder.query('begin');
      await holder.query('select from keywright.apikey where uid = $1 for update', [request.ref.uid]);
      const blocked = store.activate(request.ref.uid, request.version.keyId, undefined, testStart);
      await expect(store.installationId()).rejects.toMatchObject({
        ...unavailable,
        message: expect.stringContaining('busy') as string,
      });
      await holder.query('rollback');
      expect(await blocked).toBe('done');
    });
    await store.close();
  });
});

describe('a catalog', () => {
  test('is read in full once, again after an edit, and rightly however many there are', async () => {
    const store = open();
    await store.takeFence();
    const rows = Array.from({ length: 70 }, (_, index) =>
      catalogRow({ name: `many-${index}`, model: catalogModel({ requests: { hosts: [`many-${index}.example.com`] } }) }),
    );
    for (const row of rows) await store.saveCatalog(row, testStart);
    for (let round = 0; round < 2; round += 1) {
      for (const row of rows) expect(await store.findCatalog({ host: row.model.requests.hosts[0] ?? '' })).toEqual(row);
    }
    const last = rows[69] ?? catalogRow();
    const read = await store.findCatalog({ name: last.name });
    expect((await store.findCatalog({ name: last.name }))?.model).toBe(read?.model);
    const edited = catalogRow({ uid: last.uid, name: last.name, model: catalogModel({ channels: [] }) });
    const other = open();
    await other.takeFence();
    await other.saveCatalog(edited, testStart);
    expect(await store.findCatalog({ name: last.name })).toEqual(edited);
    await other.close();
    await store.close();
  });
});

test('the rules of an owner and its groups are read once, however many of its keys are looked up at the same time', async () => {
  let received = 0;
  const proxy = createServer((socket) => {
    const server = connect(own.postgres.port, own.postgres.host);
    for (const end of [socket, server]) end.on('error', () => {});
    server.on('data', ({ length }) => {
      received += length;
    });
    socket.pipe(server).pipe(socket);
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const address = url.replace(`:${own.postgres.port}/`, `:${(proxy.address() as AddressInfo).port}/`);
  const [writer, reader] = [open(), open({ url: address })];
  await writer.takeFence();
  const rules = [grantRule({ scopes: Array.from({ length: 2_000 }, () => randomUUID()) })];
  const group = groupRow({ name: randomUUID(), rules });
  const owner = ownerRow({ name: randomUUID(), rules, groups: [group.name] });
  await writer.saveGroup(group, testStart);
  await writer.saveOwner(owner, testStart);
  const requests = Array.from({ length: 50 }, () => mintRequest({ version: { ownerUid: owner.uid } }));
  for (const request of requests) expect(await writer.mint(request)).toBe('done');
  const keyIds = requests.map(({ version }) => version.keyId);
  const read = async (asked: readonly string[]): Promise<number> => {
    received = 0;
    const found = await reader.findByKeyIds(asked);
    for (const keyId of asked) expect(found.get(keyId)).toMatchObject({ owner, groups: [group] });
    return received;
  };
  const forOne = await read(keyIds.slice(0, 1));
  expect(await read(keyIds)).toBeLessThan(2 * forOne);
  await writer.close();
  await reader.close();
  proxy.close();
});

describe('a catalog that somebody changed in the database under its digest', () => {
  const [wide, narrow] = [catalogModel(), catalogModel({ scopes: [] })];

  test.each([
    ['has its model', 'model', JSON.stringify(wide)],
    ['has its model, which is only a part of one', 'model', '{"requests":{"hosts":[]}}'],
    ['has its hosts', 'hosts', '{other.example.com}'],
  ])('%s written again, which every reader sees', async (_title, column, value) => {
    const [store, reader] = [open(), open()];
    await store.takeFence();
    const row = catalogRow({ name: `tampered-${randomUUID()}`, model: narrow });
    await store.saveCatalog(row, testStart);
    await session((client) => client.query(`update keywright.catalog set ${column} = $1 where uid = $2`, [value, row.uid]));
    // It has read what is there now, if that is a model.
    await reader.findCatalog({ name: row.name }).catch(() => {});
    expect(await store.saveCatalog(row, testStart)).toBe('done');
    expect(await reader.findCatalog({ name: row.name })).toEqual(row);
    expect(
      await session((client) => client.query('select hosts from keywright.catalog where uid = $1', [row.uid])),
    ).toMatchObject({ rows: [{ hosts: row.model.requests.hosts }] });
    expect(await store.saveCatalog(row, testStart)).toBe('already');
    await store.deleteCatalog(row.uid, testStart);
    await store.close();
    await reader.close();
  });
});

describe('a reader', () => {
  test('with the authorizer role finds keys, rights and catalogs, records use and compares peppers', async () => {
    await session((client) => client.query("create role reader login password 'reader' in role keywright_authorizer"));
    await session((client) => client.query('grant usage on schema keywright to keywright_authorizer'));
    await migrate(url);
    const writer = open();
    await writer.takeFence();
    const group = groupRow({ name: 'readers' });
    const owner = ownerRow({ name: 'reader', groups: [group.name] });
    const catalog = catalogRow({ name: 'read' });
    const request = mintRequest({ settings: { catalog: catalog.name }, version: { ownerUid: owner.uid } });
    await writer.mint(request);
    await writer.saveOwner(owner, testStart);
    await writer.saveGroup(group, testStart);
    await writer.saveCatalog(catalog, testStart);
    await writer.checkPepper('reader-test', Buffer.from('right'));
    const readerUrl = new URL(url);
    readerUrl.username = 'reader';
    readerUrl.password = 'reader';
    const reader = open({ url: readerUrl.href });
    const found = await reader.findByKeyId(request.version.keyId);
    expect(found).toMatchObject({ version: request.version, owner, groups: [group], catalog });
    expect(await reader.findCatalog({ name: catalog.name })).toEqual(catalog);
    await reader.recordUse([{ keyId: request.version.keyId, ageMs: 0, by: 'curl' }]);
    const usedBy = [{ by: 'curl', at: expect.any(Number) as number }];
    expect((await writer.readKey(request.ref.uid)).versions).toMatchObject([{ usedBy }]);
    await reader.reportReplica({ id: 'reader', flushedThrough: await reader.now(), dropped: 0 });
    expect(await writer.readUsageHorizon()).toMatchObject({ kind: 'known' });
    await reader.signOffReplica('reader');
    expect(await writer.readUsageHorizon()).toEqual({ kind: 'unknown', why: 'no replica' });
    expect(await reader.checkPepper('reader-test', Buffer.from('wrong'))).toBe('wrong');
    expect(await reader.installationId()).toBe(await writer.installationId());
    await expect(reader.takeFence()).rejects.toMatchObject(unavailable);
    expect((await migrate(readerUrl.href)).statements).toEqual([]);
    await Promise.all([reader.close(), writer.close()]);
  });
});

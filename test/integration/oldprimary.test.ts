import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { join } from 'node:path';

import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { createAuthorize, type Authorize } from '../../operator/src/authorize/authorize.ts';
import { Freshness } from '../../operator/src/authorize/freshness.ts';
import { heartbeatNote } from '../../operator/src/commands/heartbeatnote.ts';
import { systemClock } from '../../operator/src/domain/time.ts';
import { mintToken } from '../../operator/src/keys/mint.ts';
import type { Store } from '../../operator/src/store/port.ts';
import { provenForMs, type HeartbeatRule } from '../../operator/src/store/primary.ts';
import { migrate } from '../../operator/src/store/postgres/migrate.ts';
import { openPostgresStore, openPostgresStores } from '../../operator/src/store/postgres/store.ts';
import { silentLog } from '../../operator/src/telemetry/log.ts';
import { silentMetrics } from '../../operator/src/telemetry/metrics.ts';
import { authRequest } from '../builders/authrequest.ts';
import { catalogRow, ownerRow } from '../builders/clusterrows.ts';
import { testPeppers } from '../builders/keyrecord.ts';
import { mintRequest } from '../builders/mintrequest.ts';
import { ownPostgres } from '../harness/parts.ts';
import { startStandby, type OwnPostgres } from '../harness/postgres.ts';
import { until } from '../harness/until.ts';

/** A road to a server that can be cut, or be slow to begin. */
class Road {
  delayMs = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #end: OwnPostgres;
  #isCut = false;

  private constructor(server: Server, end: OwnPostgres) {
    this.#server = server;
    this.#end = end;
  }

  static async to(end: OwnPostgres): Promise<Road> {
    const server = createServer((socket) => {
      road.#join(socket, connect(road.#end.postgres.port, '127.0.0.1'));
    });
    const road: Road = new Road(server, end);
    await new Promise<void>((resolve) => road.#server.listen(0, '127.0.0.1', resolve));
    return road;
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend(): void {
    this.#isCut = false;
  }

  /** As a name that comes to lead to another server: the connections that there are end. */
  leadTo(end: OwnPostgres): void {
    this.#end = end;
    this.cut();
    this.mend();
  }

  close(): void {
    this.cut();
    this.#server.close();
  }

  #join(from: Socket, to: Socket): void {
    for (const socket of [from, to]) {
      this.#sockets.add(socket);
      socket
        .on('error', () => {})
        .on('close', () => {
          this.#sockets.delete(socket);
          from.destroy();
          to.destroy();
        });
    }
    if (this.#isCut) from.destroy();
    else
      void systemClock.sleep(this.delayMs).then(() => {
        from.pipe(to).pipe(from);
      });
  }
}

const maxStalenessMs = 4_000;
const old = await ownPostgres();
await migrate(old.postgres.url);
const fresh = await startStandby(old);
const roads = {
  operator: [await Road.to(old), await Road.to(fresh)],
  authorizer: [await Road.to(old), await Road.to(fresh)],
  reaching: [await Road.to(old), await Road.to(fresh)],
  successor: [await Road.to(old), await Road.to(fresh)],
  third: [await Road.to(old), await Road.to(fresh)],
  single: [await Road.to(old)],
  twice: [await Road.to(old), await Road.to(old)],
} as const;
const catalog = catalogRow();
const owner = ownerRow();
const stop = new AbortController();
let operator: Store;
let leader: Store;
let beats = true;

function urlOver(hosts: readonly string[]): string {
  return `postgres://postgres:${old.postgres.password}@${hosts.join(',')}/postgres`;
}

function optionsOver(hosts: readonly string[]) {
  const limits = { lockMs: 1_000, statementMs: 1_000, idleInTransactionMs: 1_000, connectMs: 1_000 };
  return { url: urlOver(hosts), clock: systemClock, log: silentLog, limits };
}

function open(hosts: readonly string[]): Store {
  return openPostgresStore(optionsOver(hosts));
}

interface Authorizer {
  readonly store: Store;
  readonly authorize: Authorize;
  readonly freshness: Freshness;
}

const authorizers: Authorizer[] = [];
const successors: Store[] = [];

/** As `keywright authorizer` puts it together. */
async function authorizerOver(roadsOf: readonly Road[], rule: HeartbeatRule): Promise<Authorizer> {
  const store = open(roadsOf.map((road) => road.host));
  const parts = { store, clock: systemClock, log: silentLog };
  const freshness = new Freshness({ ...parts, rule, maxStalenessMs });
  await freshness.start(stop.signal);
  const authorize = createAuthorize({
    ...parts,
    peppers: testPeppers,
    metrics: silentMetrics,
    blocked: () => freshness.blocked(),
  });
  authorizers.push({ store, authorize, freshness });
  return { store, authorize, freshness };
}

async function issue() {
  const { token, keyId, display } = mintToken({ prefix: 'acme', environment: 'live', random: randomBytes });
  const now = systemClock.now();
  const version = { keyId, display, ownerUid: owner.uid, expiresAt: now + 3_600_000, ...testPeppers.hash(token) };
  const request = mintRequest({ now, version });
  expect(await operator.mint(request)).toBe('done');
  expect(await operator.activate(request.ref.uid, keyId, undefined, now)).toBe('done');
  const ask = async ({ authorize }: Authorizer): Promise<string> => {
    const verdict = await authorize(authRequest({ credential: token }));
    return verdict.allowed ? 'allowed' : verdict.code;
  };
  return { uid: request.ref.uid, ask };
}

const sql = async (server: OwnPostgres, statement: string): Promise<readonly object[]> => {
  const client = new Client({ connectionString: server.postgres.url });
  await client.connect();
  return (await client.query<object>(statement).finally(() => client.end())).rows;
};

/** The leader's heartbeat, quicker than in earnest. */
async function beatForEver(): Promise<void> {
  while (!stop.signal.aborted) {
    if (beats) await leader.beat().catch(() => {});
    await systemClock.sleep(500, stop.signal).catch(() => {});
  }
}

beforeAll(async () => {
  operator = open(roads.operator.map((road) => road.host));
  leader = operator;
  await operator.takeFence();
  await operator.saveCatalog(catalog, systemClock.now());
  await operator.saveOwner(owner, systemClock.now());
  await operator.beat();
  void beatForEver();
});

afterAll(async () => {
  stop.abort();
  for (const { store } of authorizers) await store.close();
  for (const store of successors) await store.close();
  await operator.close();
  for (const road of Object.values(roads).flat()) road.close();
  await fresh.stop();
  await old.stop();
});

const [toOld, toFresh] = roads.authorizer;

async function passed(ms: number, check: () => Promise<void>): Promise<void> {
  const sinceMs = systemClock.monotonicMs();
  const isOver = async () => {
    await check();
    return systemClock.monotonicMs() - sinceMs > ms;
  };
  await until(isOver, { what: 'time', deadlineMs: ms + 20_000 });
}

test('an authorizer with a single host decides nothing by a standby that its name has come to lead to', async () => {
  const key = await issue();
  const [name] = roads.single;
  const single = await authorizerOver([name], 'auto');
  expect(await key.ask(single)).toBe('allowed');
  await until(async () => (await sql(fresh, `select from keywright.version where apikey_uid = '${key.uid}'`)).length > 0, {
    what: 'the replication',
    deadlineMs: 20_000,
  });
  await sql(fresh, 'select pg_wal_replay_pause()');
  try {
    name.leadTo(fresh);
    await operator.revokeAll(key.uid, { actor: 'operator', revokedReason: 'KeyCompromise', detail: 'a test' }, systemClock.now());
    expect(await key.ask(single)).toBe('authorizer_stale');
    name.leadTo(old);
    expect(await key.ask(single)).toBe('key_invalid');
  } finally {
    await sql(fresh, 'select pg_wal_replay_resume()');
  }
});

/** All of it is one story: a promotion cannot be taken back. */
test(
  'an authorizer denies what was revoked after a promotion when it reaches the old primary alone, by however many names, moves when it reaches both, an operator that is down stops nobody, the safety passes of one that reaches both move with it, nobody goes back to the old primary while the new one is away or slow, and an old primary that is promoted twice wins nobody back',
  { timeout: 240_000 },
  async () => {
    const key = await issue();
    const isolated = await authorizerOver(roads.authorizer, 'auto');
    const twice = await authorizerOver([...roads.twice, toFresh], 'auto');
    const reaching = await authorizerOver(roads.reaching, 'auto');
    const trusting = await authorizerOver([toOld], 'auto');
    const single = await authorizerOver([toOld], 'on');
    const successor = openPostgresStores(optionsOver(roads.successor.map((road) => road.host)));
    successors.push(successor.store, successor.apart);
    for (const store of [successor.store, successor.apart]) expect((await store.readKey(key.uid)).versions).toHaveLength(1);

    // The operator is down: most hosts answer, and none of them was promoted.
    beats = false;
    await until(() => single.freshness.blocked() !== undefined, { what: 'the end of the last heartbeat', deadlineMs: 20_000 });
    expect(await key.ask(single)).toBe('authorizer_stale');
    for (const one of [isolated, twice]) expect(await key.ask(one)).toBe('allowed');
    expect(isolated.freshness.isReady()).toBe(true);
    beats = true;
    await until(async () => (await key.ask(single)) === 'allowed', { what: 'the next heartbeat', deadlineMs: 20_000 });

    // The standby is down: the operator writes where the authorizer reads.
    toFresh.cut();
    const since = systemClock.monotonicMs();
    await until(() => systemClock.monotonicMs() - since > 2 * maxStalenessMs, { what: 'time', deadlineMs: 20_000 });
    expect(await key.ask(isolated)).toBe('allowed');
    expect(isolated.freshness.isReady()).toBe(true);

    // The old primary lives on, cut off from the operator, and the new one is cut off from this authorizer.
    roads.operator[0].cut();
    await sql(fresh, 'select pg_promote()');
    const cause = { actor: 'operator', revokedReason: 'KeyCompromise', detail: 'a test' };
    const revoke = () => operator.revokeAll(key.uid, cause, systemClock.now()).catch(() => undefined);
    await until(revoke, { what: 'the revocation', deadlineMs: 20_000 });
    // What it reads is the old truth, with which one host and no required heartbeat goes on: the documented limit.
    expect(await key.ask(trusting)).toBe('allowed');
    await until(() => isolated.freshness.blocked() !== undefined, { what: 'the end of the proof', deadlineMs: 30_000 });
    expect(await key.ask(isolated)).toBe('authorizer_stale');
    expect(isolated.freshness.isReady()).toBe(false);
    await until(async () => (await key.ask(twice)) === 'authorizer_stale', { what: 'that of two names', deadlineMs: 30_000 });
    await until(async () => (await key.ask(single)) === 'authorizer_stale', { what: 'the other one', deadlineMs: 30_000 });
    expect(await key.ask(trusting)).toBe('allowed');

    // Who reaches both has moved by itself, though the old one still accepts writes and comes first.
    await until(async () => (await key.ask(reaching)) === 'key_invalid', { what: 'the move', deadlineMs: 30_000 });
    expect(reaching.freshness.isReady()).toBe(true);
    const another = open([`127.0.0.1:${old.postgres.port}`, `127.0.0.1:${fresh.postgres.port}`]);
    expect(await another.readKey(key.uid)).toMatchObject({ versions: [] });
    await another.close();

    // And who was cut off comes back.
    toFresh.mend();
    await until(async () => (await key.ask(isolated)) === 'key_invalid', { what: 'the return', deadlineMs: 30_000 });
    const last = await issue();
    expect(await last.ask(isolated)).toBe('allowed');

    // An operator that reaches both has kept its connections to the old one, those of its safety passes too.
    expect(await successor.apart.readKey(last.uid)).toMatchObject({ versions: [] });
    await successor.store.surveyPrimary();
    await successor.store.takeFence();
    leader = successor.store;
    await successor.apart.revokeAll(last.uid, cause, systemClock.now());
    expect(await last.ask(isolated)).toBe('key_invalid');

    // The new one is away from authorizers that reach the old one, and no operator beats.
    const strict = await authorizerOver(roads.reaching, 'on');
    const all = [isolated, reaching, strict];
    const denied = async () => {
      for (const one of all) expect(['key_invalid', 'authorizer_stale']).toContain(await key.ask(one));
    };
    await until(async () => (await key.ask(strict)) === 'key_invalid', { what: 'its proof', deadlineMs: 20_000 });
    const beatsOf = async (server: OwnPostgres) =>
      await sql(server, 'select beats, h.fence from keywright.heartbeat, keywright.feed_head h');
    const atOld = await beatsOf(old);
    beats = false;
    for (const road of [toFresh, roads.reaching[1]]) road.cut();
    await passed(maxStalenessMs, denied);
    for (const one of all) expect(await key.ask(one)).toBe('authorizer_stale');

    // Then it is away from everybody: the operator does not go back either.
    roads.successor[1].cut();
    beats = true;
    await passed(maxStalenessMs, denied);
    await expect(successor.apart.readKey(last.uid)).rejects.toThrow('lacks what was written to another one');
    expect(await beatsOf(old)).toEqual(atOld);
    for (const road of [toFresh, roads.reaching[1], roads.successor[1]]) road.mend();
    for (const one of all)
      await until(async () => (await key.ask(one)) === 'key_invalid', { what: 'the end of the outage', deadlineMs: 30_000 });
    expect(await beatsOf(old)).toEqual(atOld);

    // An operator that starts and remembers nothing waits for a server that is slow.
    const thirdHosts = roads.third.map((road) => road.host);
    const limits = { lockMs: 1_000, statementMs: 1_000, idleInTransactionMs: 1_000, connectMs: 5_000 };
    const third = openPostgresStores({ ...optionsOver(thirdHosts), limits });
    successors.push(third.store, third.apart);
    roads.third[1].delayMs = 1_300;
    expect(await third.store.readKey(key.uid)).toMatchObject({ versions: [] });
    // And one that finds the note of the last leader waits for one that is away.
    roads.third[1].cut();
    const fourth = openPostgresStores(optionsOver(thirdHosts));
    successors.push(fourth.store, fourth.apart);
    expect((await fourth.store.readKey(key.uid)).versions).not.toEqual([]);
    heartbeatNote(fourth.memory, silentLog).taken(heartbeatNote(successor.memory, silentLog).text());
    await expect(fourth.store.takeFence()).rejects.toThrow('lacks what was written to another one');
    expect(await beatsOf(old)).toEqual(atOld);

    // One that lets nobody in is not away: that the others answer proves nothing.
    for (const server of [old, fresh]) await sql(server, `create role crowded login password 'crowded'`);
    await sql(fresh, 'alter role crowded connection limit 0');
    const [oldHost, freshHost] = [old, fresh].map(({ postgres }) => `127.0.0.1:${String(postgres.port)}`);
    const crowdedUrl = `postgres://crowded:crowded@${[oldHost, oldHost, freshHost].join(',')}/postgres`;
    const crowded = openPostgresStore({ ...optionsOver([]), url: crowdedUrl });
    successors.push(crowded);
    const survey = await crowded.surveyPrimary();
    expect(survey).toMatchObject({ hosts: 3, answered: 2, contested: true });
    expect(provenForMs(survey, 'auto', maxStalenessMs)).toBeUndefined();

    // Somebody makes the old one a standby without a primary, and promotes it twice: its timeline is the latest, its data is
    // still old.
    for (const timeline of [2, 3]) {
      await old.server.stop();
      writeFileSync(join(old.dataFolder, 'standby.signal'), '');
      await old.restart();
      await sql(old, 'select pg_promote()');
      expect(
        await sql(old, `select pg_walfile_name(pg_current_wal_lsn()) like '${String(timeline).padStart(8, '0')}%' as it`),
      ).toEqual([{ it: true }]);
    }
    const both = open([`127.0.0.1:${old.postgres.port}`, `127.0.0.1:${fresh.postgres.port}`]);
    successors.push(both);
    expect(await both.readKey(key.uid)).toMatchObject({ versions: [] });
    for (const store of [both, successor.store]) expect(await store.surveyPrimary()).toMatchObject({ superseded: false });
    const promotedMs = systemClock.monotonicMs();
    await until(() => systemClock.monotonicMs() - promotedMs > maxStalenessMs, { what: 'surveys', deadlineMs: 20_000 });
    for (const one of [reaching, isolated]) expect(await key.ask(one)).toBe('key_invalid');
    // An authorizer that reaches only this one has no proof.
    expect(await key.ask(single)).toBe('authorizer_stale');

    // The new one is lost, and a person confirms that the old one is to be used: then an operator writes there, and all follow.
    beats = false;
    for (const road of [toFresh, roads.reaching[1]]) road.cut();
    heartbeatNote(fourth.memory, silentLog).removed();
    await fourth.store.takeFence();
    leader = fourth.store;
    beats = true;
    await until(async () => (await key.ask(single)) === 'allowed', { what: 'the next heartbeat', deadlineMs: 20_000 });
    await until(async () => (await key.ask(strict)) === 'allowed', { what: 'the others', deadlineMs: 60_000 });
  },
);

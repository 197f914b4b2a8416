import { readFileSync } from 'node:fs';

import pg from 'pg';
import type { Pool } from 'undici';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createAuthorize } from '../../operator/src/authorize/authorize.ts';
import type { Plaintext } from '../../operator/src/domain/plaintext.ts';
import { systemClock } from '../../operator/src/domain/time.ts';
import type { Clock } from '../../operator/src/domain/time.ts';
import { PepperRing } from '../../operator/src/keys/pepper.ts';
import type { Listener } from '../../operator/src/server/listener.ts';
import { healthLimits } from '../../operator/src/server/connections.ts';
import { noProtection } from '../../operator/src/server/protection.ts';
import { startHealthServer, startVerifyServer } from '../../operator/src/server/start.ts';
import type { Store } from '../../operator/src/store/port.ts';
import { openPostgresStore } from '../../operator/src/store/postgres/store.ts';
import { silentLog } from '../../operator/src/telemetry/log.ts';
import { createMetrics } from '../../operator/src/telemetry/metrics.ts';
import { Issuer } from '../harness/issuer.ts';
import type { Issued } from '../harness/issuer.ts';
import { startLoops } from '../harness/loops.ts';
import { usePostgres } from '../harness/parts.ts';
import { makePeppersFile } from '../harness/program.ts';
import { until } from '../harness/until.ts';

const postgres = await usePostgres();
const { url: databaseUrl } = await postgres.createDatabase();
const peppersFile = makePeppersFile();
const floodSource = '192.0.2.66';
const goodSource = '198.51.100.7';
/** How slow the machine is must not matter: nothing but an empty lane or a hanging database ends a wait. */
const patience = { deadlineMs: 150_000 };
const limits = { lockMs: 120_000, statementMs: 120_000, idleInTransactionMs: 120_000, connectMs: 120_000 };
const neverLate: Clock = {
  ...systemClock,
  sleep: (_ms, signal) => new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason as Error))),
};

/** How often an operation was called, and how many calls were under way at once at most. */
interface Calls {
  made: number;
  running: number;
  most: number;
}

/** An authorizer as the command builds it, over a store whose calls are counted. */
class Authorizer {
  readonly calls: Readonly<Record<'findByKeyIds' | 'schemaVersion', Calls>>;
  readonly #stores: readonly Store[];
  readonly #verify: Listener;
  readonly #health: Listener;

  private constructor(
    calls: Authorizer['calls'],
    stores: readonly Store[],
    listeners: { readonly verify: Listener; readonly health: Listener },
  ) {
    this.calls = calls;
    this.#stores = stores;
    this.#verify = listeners.verify;
    this.#health = listeners.health;
  }

  /** `poolSize`: of verdicts; `timeoutMs`: how long one waits for the store. */
  static async start(options: { readonly poolSize?: number; readonly timeoutMs: number }): Promise<Authorizer> {
    const { poolSize = 10, timeoutMs } = options;
    const common = { clock: systemClock, log: silentLog };
    const address = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;
    const store = openPostgresStore({ ...common, url: databaseUrl, poolSize, limits });
    const probed = openPostgresStore({ ...common, url: databaseUrl, poolSize: 1, limits });
    const calls: Authorizer['calls'] = {
      findByKeyIds: { made: 0, running: 0, most: 0 },
      schemaVersion: { made: 0, running: 0, most: 0 },
    };
    const counted = async <T>(of: Calls, call: () => Promise<T>): Promise<T> => {
      of.made += 1;
      of.running += 1;
      of.most = Math.max(of.most, of.running);
      return await call().finally(() => (of.running -= 1));
    };
    const metrics = createMetrics();
    const authorize = createAuthorize({
      ...{ ...common, timeoutMs, metrics: metrics.recorder },
      peppers: PepperRing.parse(readFileSync(peppersFile, 'utf8')),
      store: {
        findByKeyIds: (keyIds) => counted(calls.findByKeyIds, () => store.findByKeyIds(keyIds)),
        findCatalogs: (by) => store.findCatalogs(by),
      },
    });
    const isWell = async (): Promise<boolean> => (await counted(calls.schemaVersion, () => probed.schemaVersion())) > 0;
    const verifyServer = await startVerifyServer({
      ...{ ...common, address, protection: noProtection, authorize },
      ...{ metrics: metrics.recorder, maxConnections: 4_096 },
    });
    const ready = [{ name: 'store', isWell }];
    const health = await startHealthServer({ address, log: silentLog, live: [], ready, metrics, clock: neverLate });
    return new Authorizer(calls, [store, probed], { verify: verifyServer, health });
  }

  get url(): string {
    return this.#verify.url;
  }

  get healthUrl(): string {
    return this.#health.url;
  }

  async ask(token: Plaintext, sourceIp = goodSource): Promise<string> {
    const about = { host: 'api.example.com', method: 'GET', path: '/v1/subscribers', scheme: 'https', sourceIp };
    const body = JSON.stringify({ key: token.reveal(), request: about });
    const answer = await request(`${this.url}/v1/verify`, { method: 'POST', body });
    const verdict = (await answer.body.json()) as { readonly allowed: boolean; readonly code?: string };
    return verdict.allowed ? 'allowed' : (verdict.code ?? '');
  }

  async readiness(): Promise<number> {
    const answer = await request(`${this.healthUrl}/readyz`);
    await answer.body.dump();
    return answer.statusCode;
  }

  async stop(): Promise<void> {
    await Promise.all([this.#verify, this.#health].map((listener) => listener.close(1_000)));
    await Promise.all(this.#stores.map((store) => store.close()));
  }
}

let issuer: Issuer;
let authorizer: Authorizer;
let good: Issued;

beforeAll(async () => {
  issuer = await Issuer.open({ databaseUrl, peppersFile });
  authorizer = await Authorizer.start({ timeoutMs: 120_000 });
  good = await issuer.issue();
  expect(await authorizer.ask(good.token)).toBe('allowed');
});
afterAll(async () => {
  await authorizer.stop();
  await issuer.close();
});

/** One refusal of a key that nobody knows. */
async function askUnknown(pool: Pool): Promise<void> {
  const about = { host: 'api.example.com', method: 'GET', path: '/v1/subscribers', scheme: 'https', sourceIp: floodSource };
  const body = JSON.stringify({ key: issuer.stranger().token.reveal(), request: about });
  const answer = await pool.request({ path: '/v1/verify', method: 'POST', body });
  expect(await answer.body.json()).toMatchObject({ allowed: false });
}

describe('a flood of well-formed unknown keys from one source', () => {
  test('takes no verdict from good keys of another, not even from one that was never seen, nor the replica out of service; and asks the store at most 50 times a second', async () => {
    const fresh = await Promise.all(Array.from({ length: 10 }, () => issuer.issue()));
    const { calls } = authorizer;
    const before = calls.findByKeyIds.made;
    const startedMs = performance.now();
    const flood = startLoops(authorizer.url, 500, askUnknown);
    const verdicts: string[] = [];
    const ready: number[] = [];
    try {
      await until(() => flood.answered >= 500, { ...patience, what: 'the flood to be under way' });
      const askAll = async (tokens: readonly Plaintext[]): Promise<void> => {
        for (const token of tokens) verdicts.push(await authorizer.ask(token));
      };
      const probe = async (): Promise<void> => {
        while (verdicts.length < 30) ready.push(await authorizer.readiness());
      };
      const again = Array.from({ length: 10 }, () => good.token);
      await Promise.all([askAll(again), askAll(again), askAll(fresh.map(({ token }) => token)), probe()]);
    } finally {
      await flood.stop();
    }
    expect(verdicts).toEqual(Array.from({ length: 30 }, () => 'allowed'));
    expect(new Set(ready)).toEqual(new Set([200]));
    // A query for each of the good verdicts at most, and one for all others together each 20 ms.
    const elapsedMs = performance.now() - startedMs;
    expect(calls.findByKeyIds.made - before).toBeLessThanOrEqual(30 + elapsedMs / 20 + 2);
    expect(calls.findByKeyIds.most).toBeLessThanOrEqual(4);
  });

  test('makes its own network hear rate_limited, and no other', async () => {
    const flood = startLoops(authorizer.url, 50, askUnknown);
    try {
      const askAsFlood = (): Promise<string> => authorizer.ask(issuer.stranger().token, floodSource);
      await until(async () => (await askAsFlood()) === 'rate_limited', { ...patience, what: 'the limit' });
      expect(await authorizer.ask(issuer.stranger().token)).toBe('key_invalid');
      expect(await authorizer.ask(good.token, floodSource)).toBe('allowed');
    } finally {
      await flood.stop();
    }
  });
});

describe('probes', () => {
  test('400 loops on /readyz ask the store once at a time and no more than once a second, and verdicts go on', async () => {
    const { schemaVersion } = authorizer.calls;
    const before = schemaVersion.made;
    const startedMs = performance.now();
    const loops = startLoops(
      authorizer.healthUrl,
      400,
      async (pool) => {
        const answer = await pool.request({ path: '/readyz', method: 'GET' });
        await answer.body.dump();
        expect(answer.statusCode).toBe(200);
      },
      healthLimits.unprovenPerSource,
    );
    try {
      await until(() => loops.answered >= 2_000, { ...patience, what: 'many probes' });
      for (let asked = 0; asked < 5; asked += 1) expect(await authorizer.ask(good.token)).toBe('allowed');
    } finally {
      await loops.stop();
    }
    const elapsedMs = performance.now() - startedMs;
    expect(schemaVersion.made - before).toBeLessThanOrEqual(elapsedMs / 1_000 + 2);
    expect(schemaVersion.most).toBe(1);
  });

  test('are answered while every look-up of a verdict hangs in the database', async () => {
    // All connections of verdicts hang: the probe has its own.
    const hung = await Authorizer.start({ poolSize: 4, timeoutMs: 500 });
    expect(await hung.ask(good.token)).toBe('allowed');
    const [blocker, observer] = [new pg.Client(databaseUrl), new pg.Client(databaseUrl)];
    await Promise.all([blocker.connect(), observer.connect()]);
    try {
      await blocker.query('BEGIN; LOCK TABLE keywright.version, keywright.catalog IN ACCESS EXCLUSIVE MODE');
      const tokens = Array.from({ length: 30 }, (_, at) => (at % 2 === 0 ? good.token : issuer.stranger().token));
      const hanging = tokens.map((token) => hung.ask(token));
      await until(async () => (await waitingFor(observer)) === 4, { ...patience, what: 'connections that wait for the lock' });
      expect(await hung.readiness()).toBe(200);
      expect(new Set(await Promise.all(hanging))).toEqual(new Set(['authorizer_stale']));
      await blocker.query('ROLLBACK');
      await until(async () => (await hung.ask(good.token)) === 'allowed', { ...patience, what: 'a verdict after the lock' });
    } finally {
      await Promise.all([blocker.end(), observer.end()]);
      await hung.stop();
    }
  });

  async function waitingFor(client: pg.Client): Promise<number> {
    const found = await client.query<{ waiting: number }>(
      "select count(*)::int as waiting from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
    );
    return found.rows[0]?.waiting ?? 0;
  }
});

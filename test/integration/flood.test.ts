import pg from 'pg';
import type { Pool } from 'undici';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import type { Plaintext } from '../../operator/src/domain/plaintext.ts';
import { Issuer } from '../harness/issuer.ts';
import type { Issued } from '../harness/issuer.ts';
import { startLoops } from '../harness/loops.ts';
import { usePostgres } from '../harness/parts.ts';
import { makePeppersFile, startAuthorizer, verify } from '../harness/program.ts';
import type { AuthorizerProgram } from '../harness/program.ts';
import { until } from '../harness/until.ts';

const postgres = await usePostgres();
const { url: databaseUrl } = await postgres.createDatabase();
const peppersFile = makePeppersFile();
const floodSource = '192.0.2.66';
const goodSource = '198.51.100.7';

let issuer: Issuer;
let authorizer: AuthorizerProgram;
let good: Issued;

beforeAll(async () => {
  issuer = await Issuer.open({ databaseUrl, peppersFile });
  authorizer = await startAuthorizer({ databaseUrl, peppersFile, env: { KEYWRIGHT_LOG_LEVEL: 'warn' } });
  good = await issuer.issue();
  expect(await ask(good.token)).toBe('allowed');
});
afterAll(async () => {
  await authorizer.stop();
  await issuer.close();
});

async function ask(token: Plaintext, sourceIp = goodSource): Promise<string> {
  const answer = await verify(authorizer.url, token.reveal(), { path: '/v1/subscribers', sourceIp });
  return answer.allowed ? 'allowed' : (answer.code ?? '');
}

const readiness = async (): Promise<number> => {
  const answer = await request(`${authorizer.healthUrl}/readyz`);
  await answer.body.dump();
  return answer.statusCode;
};

/** A sample of the metrics page; 0 while there is none. */
async function sample(name: string): Promise<number> {
  const page = await (await request(`${authorizer.healthUrl}/metrics`)).body.text();
  const line = page.split('\n').find((one) => one.startsWith(`${name} `));
  return Number(line?.slice(name.length) ?? 0);
}

const calls = (operation: string): Promise<number> =>
  sample(`keywright_store_call_duration_seconds_count{operation="${operation}",outcome="ok"}`);

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
    const before = await calls('findByKeyIds');
    const startedMs = performance.now();
    const flood = startLoops(authorizer.url, 500, askUnknown);
    await until(() => flood.answered >= 500, { what: 'the flood to be under way' });
    const verdicts: string[] = [];
    const ready: number[] = [];
    const askAll = async (tokens: readonly Plaintext[]): Promise<void> => {
      for (const token of tokens) verdicts.push(await ask(token));
    };
    const probe = async (): Promise<void> => {
      while (verdicts.length < 50) ready.push(await readiness());
    };
    await Promise.all([
      askAll(Array.from({ length: 20 }, () => good.token)),
      askAll(Array.from({ length: 20 }, () => good.token)),
      askAll(fresh.map(({ token }) => token)),
      probe(),
    ]);
    await flood.stop();
    const elapsedMs = performance.now() - startedMs;
    expect(verdicts).toEqual(Array.from({ length: 50 }, () => 'allowed'));
    expect(new Set(ready)).toEqual(new Set([200]));
    await until(async () => (await sample('keywright_verify_duration_seconds_count')) > flood.answered + 50, {
      what: 'the last verdicts in the metrics',
    });
    // A query for each of the good verdicts at most, and one for all others together each 20 ms.
    expect((await calls('findByKeyIds')) - before).toBeLessThanOrEqual(50 + elapsedMs / 20 + 2);
  });

  test('makes its own network hear rate_limited, and no other', async () => {
    const flood = startLoops(authorizer.url, 50, askUnknown);
    await until(async () => (await ask(issuer.stranger().token, floodSource)) === 'rate_limited', { what: 'the limit' });
    expect(await ask(issuer.stranger().token)).toBe('key_invalid');
    expect(await ask(good.token, floodSource)).toBe('allowed');
    await flood.stop();
  });
});

describe('probes', () => {
  test('400 loops on /readyz ask the store no more than once a second, and verdicts go on', async () => {
    const before = await calls('schemaVersion');
    const startedMs = performance.now();
    const loops = startLoops(authorizer.healthUrl, 400, async (pool) => {
      const answer = await pool.request({ path: '/readyz', method: 'GET' });
      await answer.body.dump();
      expect(answer.statusCode).toBe(200);
    });
    await until(() => loops.answered >= 4_000, { what: 'many probes' });
    for (let asked = 0; asked < 20; asked += 1) expect(await ask(good.token)).toBe('allowed');
    await loops.stop();
    const elapsedMs = performance.now() - startedMs;
    expect((await calls('schemaVersion')) - before).toBeLessThanOrEqual(elapsedMs / 1_000 + 2);
  });

  test('are answered while every look-up of a verdict hangs in the database', async () => {
    const blocker = new pg.Client({ connectionString: databaseUrl });
    await blocker.connect();
    await blocker.query('BEGIN; LOCK TABLE keywright.version IN ACCESS EXCLUSIVE MODE');
    const hanging = Array.from({ length: 30 }, () => ask(good.token));
    hanging.push(...Array.from({ length: 30 }, () => ask(issuer.stranger().token)));
    await until(async () => (await waitingFor(blocker)) >= 2, { what: 'look-ups that wait for the lock' });
    expect(await readiness()).toBe(200);
    expect(new Set(await Promise.all(hanging))).toEqual(new Set(['authorizer_stale']));
    expect(await readiness()).toBe(200);
    await blocker.end();
    await until(async () => (await ask(good.token)) === 'allowed', { what: 'a verdict after the lock' });
  });

  async function waitingFor(client: pg.Client): Promise<number> {
    const found = await client.query<{ waiting: number }>(
      "select count(*)::int as waiting from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
    );
    return found.rows[0]?.waiting ?? 0;
  }
});

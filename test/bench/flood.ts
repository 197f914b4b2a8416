import { connect } from 'node:net';

import type { Pool } from 'undici';
import { request } from 'undici';

import { migrate } from '../../operator/src/store/postgres/migrate.ts';
import { silentLog } from '../../operator/src/telemetry/log.ts';
import { Issuer } from '../harness/issuer.ts';
import { startLoops } from '../harness/loops.ts';
import type { Loops } from '../harness/loops.ts';
import { startPostgres } from '../harness/postgres.ts';
import { makePeppersFile, startAuthorizer, verify } from '../harness/program.ts';
import type { AuthorizerProgram } from '../harness/program.ts';
import { ascending, quantile } from './statistics.ts';

const verdicts = 500;
const clients = 4;

/**
 * What verdicts of a good key take, and whether they are right, while others load the authorizer: nothing, 500 loops of unknown
 * keys from one network, 100 loops of packets with 2,000 requests each, 400 loops of probes. Prints a table; `false` = a verdict
 * was not `allowed`, or a probe failed.
 */
export async function benchFlood(print: (line: string) => void): Promise<boolean> {
  const postgres = await startPostgres();
  const { url: databaseUrl } = postgres.postgres;
  const peppersFile = makePeppersFile();
  await migrate(databaseUrl, { log: silentLog });
  const issuer = await Issuer.open({ databaseUrl, peppersFile });
  // All of them have one address here, for which the listener would keep only a quarter: its connection limits are measured
  // elsewhere.
  const env = { KEYWRIGHT_LOG_LEVEL: 'warn', KEYWRIGHT_MAX_CONNECTIONS: '4096' };
  const authorizer = await startAuthorizer({ databaseUrl, peppersFile, env });
  try {
    const key = (await issuer.issue()).token.reveal();
    const cases: readonly (readonly [string, () => Loops | undefined])[] = [
      ['nothing else', () => undefined],
      ['500 loops of unknown keys', () => startLoops(authorizer.url, 500, (pool) => askUnknown(pool, issuer))],
      ['100 loops of packets', () => startPackets(authorizer.url, 100)],
      ['32 of them on /readyz', () => startPackets(`${authorizer.healthUrl}/readyz`, 32)],
      ['400 loops on /readyz', () => startLoops(authorizer.healthUrl, 400, askReadiness, 32)],
    ];
    print('beside                       p50 ms   p99 ms   allowed   look-ups/s   of the load, answers/s');
    let right = true;
    for (const [name, start] of cases) {
      const lookups = await count(authorizer, 'findByKeyIds');
      const loops = start();
      const startedMs = performance.now();
      const { times, allowed } = await measure(authorizer, key);
      const seconds = (performance.now() - startedMs) / 1_000;
      const answered = loops?.answered ?? 0;
      await loops?.stop();
      const asked = ((await count(authorizer, 'findByKeyIds')) - lookups) / seconds;
      const sorted = ascending(times);
      const figures = [quantile(sorted, 0.5).toFixed(1), quantile(sorted, 0.99).toFixed(1), `${allowed}/${times.length}`];
      const [p50 = '', p99 = '', share = ''] = figures;
      print(
        `${name.padEnd(27)}${p50.padStart(8)}${p99.padStart(9)}${share.padStart(12)}${asked.toFixed(0).padStart(11)}${(answered / seconds).toFixed(0).padStart(25)}`,
      );
      right &&= allowed === times.length;
    }
    print(`goal of every verdict allowed: ${right ? 'met' : 'missed'}`);
    return right;
  } finally {
    await authorizer.stop();
    await issuer.close();
    await postgres.stop();
  }
}

async function measure(
  authorizer: AuthorizerProgram,
  key: string,
): Promise<{ readonly times: readonly number[]; readonly allowed: number }> {
  const times: number[] = [];
  let [left, allowed] = [verdicts, 0];
  const client = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const startedMs = performance.now();
      const answer = await verify(authorizer.url, key, { path: '/v1/subscribers', sourceIp: '198.51.100.7' });
      times.push(performance.now() - startedMs);
      if (answer.allowed) allowed += 1;
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  return { times, allowed };
}

async function askUnknown(pool: Pool, issuer: Issuer): Promise<void> {
  const about = { host: 'api.example.com', method: 'GET', path: '/v1/subscribers', scheme: 'https', sourceIp: '192.0.2.66' };
  const body = JSON.stringify({ key: issuer.stranger().token.reveal(), request: about });
  const answer = await pool.request({ path: '/v1/verify', method: 'POST', body });
  await answer.body.dump();
}

/** Starts `count` loops that each connect, send 2,000 requests in one packet, and start again when they are cut. */
function startPackets(url: string, count: number): Loops {
  const { hostname, port, pathname } = new URL(url);
  const packet = Buffer.from(`GET ${pathname} HTTP/1.1\r\nHost: a\r\n\r\n`.repeat(2_000));
  const state = { answered: 0, isStopped: false };
  const loop = async (): Promise<void> => {
    while (!state.isStopped) {
      const socket = connect({ host: hostname, port: Number(port) });
      socket.on('error', () => {}).resume();
      socket.write(packet);
      await new Promise((resolve) => socket.once('close', resolve));
      state.answered += 1;
    }
  };
  const all = Promise.all(Array.from({ length: count }, loop));
  return {
    get answered() {
      return state.answered;
    },
    stop: async () => {
      state.isStopped = true;
      await all;
    },
  };
}

async function askReadiness(pool: Pool): Promise<void> {
  const answer = await pool.request({ path: '/readyz', method: 'GET' });
  await answer.body.dump();
  if (answer.statusCode !== 200) throw new Error(`a probe was answered ${answer.statusCode}`);
}

async function count(authorizer: AuthorizerProgram, operation: string): Promise<number> {
  const page = await (await request(`${authorizer.healthUrl}/metrics`)).body.text();
  const name = `keywright_store_call_duration_seconds_count{operation="${operation}",outcome="ok"} `;
  return Number(
    page
      .split('\n')
      .find((line) => line.startsWith(name))
      ?.slice(name.length) ?? 0,
  );
}

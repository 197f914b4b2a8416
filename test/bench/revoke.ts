import { randomBytes } from 'node:crypto';
import { createAuthorize } from '../../operator/src/authorize/authorize.ts';
import { systemClock } from '../../operator/src/domain/time.ts';
import { mintToken } from '../../operator/src/keys/mint.ts';
import { PepperRing } from '../../operator/src/keys/pepper.ts';
import { migrate } from '../../operator/src/store/postgres/migrate.ts';
import { openPostgresStore } from '../../operator/src/store/postgres/store.ts';
import { silentLog } from '../../operator/src/telemetry/log.ts';
import { silentMetrics } from '../../operator/src/telemetry/metrics.ts';
import { authRequest } from '../builders/authrequest.ts';
import { catalogRow, ownerRow } from '../builders/clusterrows.ts';
import { mintRequest } from '../builders/mintrequest.ts';
import { startPostgres } from '../harness/postgres.ts';
import { benchTarpits } from './tarpits.ts';

/** What is aimed at for 99 of 100 revocations, in milliseconds; see docs/lifecycle.md. */
const goalMs = 100;
const revocations = 300;
/** Requests under way at one time with the key that is revoked. */
const callers = 4;

/**
 * How long a revoked key is still let in: from the moment in which the store says that the revocation is committed to the
 * beginning of the last request that was allowed, and, as the longest that it can have been, from the moment in which it was
 * asked to. A real PostgreSQL, an authorizer with connections of its own. Then what {@link benchTarpits} measures. Prints tables;
 * `false` = a goal was missed.
 */
export async function benchRevoke(print: (line: string) => void): Promise<boolean> {
  const verdicts = await benchVerdicts(print);
  print('');
  return (await benchTarpits(print)) && verdicts;
}

async function benchVerdicts(print: (line: string) => void): Promise<boolean> {
  const postgres = await startPostgres();
  try {
    const { url } = postgres.postgres;
    await migrate(url, { log: silentLog });
    return report(await measure(url), print);
  } finally {
    await postgres.stop();
  }
}

/** One revocation. Times in milliseconds. */
interface Sample {
  readonly afterAskingMs: number;
  readonly afterCommitMs: number;
}

async function measure(url: string): Promise<readonly Sample[]> {
  const peppers = PepperRing.parse(JSON.stringify({ current: 'p1', peppers: { p1: randomBytes(32).toString('base64') } }));
  const [operator, reader] = [openStore(url), openStore(url)];
  const authorize = createAuthorize({ store: reader, peppers, clock: systemClock, log: silentLog, metrics: silentMetrics });
  try {
    await operator.takeFence();
    const owner = ownerRow();
    await operator.saveCatalog(catalogRow(), systemClock.now());
    await operator.saveOwner(owner, systemClock.now());
    const samples: Sample[] = [];
    for (let at = 0; at < revocations; at += 1) {
      const minted = mintToken({ prefix: 'acme', environment: 'live', random: randomBytes });
      const { keyId, display, token } = minted;
      const now = systemClock.now();
      const request = mintRequest({ now, version: { keyId, display, ...peppers.hash(token), ownerUid: owner.uid } });
      await operator.mint(request);
      await operator.activate(request.ref.uid, keyId, undefined, now);
      const ask = async (): Promise<string> => {
        const verdict = await authorize(authRequest({ credential: token }));
        return verdict.allowed ? 'allowed' : verdict.code;
      };
      samples.push(
        await revokeUnderLoad(ask, () => operator.revokeDirect(keyId, { actor: 'cli:bench', reason: 'Superseded', close: true })),
      );
    }
    return samples;
  } finally {
    await operator.close();
    await reader.close();
  }
}

function openStore(url: string): ReturnType<typeof openPostgresStore> {
  return openPostgresStore({ url, clock: systemClock, log: silentLog });
}

async function revokeUnderLoad(ask: () => Promise<string>, revoke: () => Promise<unknown>): Promise<Sample> {
  const first = await ask();
  if (first !== 'allowed') throw new Error(`the key is not allowed before its revocation: ${first}`);
  let lastAllowedAt = 0;
  const callUntilRefused = async (): Promise<void> => {
    for (;;) {
      const startedAt = performance.now();
      if ((await ask()) !== 'allowed') return;
      lastAllowedAt = Math.max(lastAllowedAt, startedAt);
    }
  };
  const calls = Array.from({ length: callers }, callUntilRefused);
  const askedAt = performance.now();
  await revoke();
  const committedAt = performance.now();
  await Promise.all(calls);
  return { afterAskingMs: Math.max(0, lastAllowedAt - askedAt), afterCommitMs: Math.max(0, lastAllowedAt - committedAt) };
}

function report(samples: readonly Sample[], print: (line: string) => void): boolean {
  const rows: readonly (readonly [string, readonly number[]])[] = [
    ['after the answer that it is committed', samples.map(({ afterCommitMs }) => afterCommitMs)],
    ['after it was asked for', samples.map(({ afterAskingMs }) => afterAskingMs)],
  ];
  print(`${samples.length} revocations; the last request that was allowed began     p50 ms   p99 ms`);
  for (const [name, values] of rows)
    print(`${name.padEnd(58)}${shareOf(values, 0.5).padStart(8)} ${shareOf(values, 0.99).padStart(8)}`);
  const met = Number(shareOf(rows[0]?.[1] ?? [], 0.99)) <= goalMs;
  print(`goal of ${goalMs} ms for 99 of 100: ${met ? 'met' : 'missed'}`);
  return met;
}

function shareOf(values: readonly number[], share: number): string {
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(1);
}

import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { createAuthorize } from '../../operator/src/authorize/authorize.ts';
import type { Authorize, AuthorizeLimits } from '../../operator/src/authorize/authorize.ts';
import { Plaintext } from '../../operator/src/domain/plaintext.ts';
import { systemClock } from '../../operator/src/domain/time.ts';
import { PepperRing } from '../../operator/src/keys/pepper.ts';
import { formatToken, parseToken } from '../../operator/src/keys/token.ts';
import { migrate } from '../../operator/src/store/postgres/migrate.ts';
import { openPostgresStore } from '../../operator/src/store/postgres/store.ts';
import { silentLog } from '../../operator/src/telemetry/log.ts';
import { silentMetrics } from '../../operator/src/telemetry/metrics.ts';
import { authRequest } from '../builders/authrequest.ts';
import { Issuer } from '../harness/issuer.ts';
import type { Issued } from '../harness/issuer.ts';
import { startPostgres } from '../harness/postgres.ts';
import { privateDir } from '../harness/process.ts';
import { areaUnderCurve, medianOf } from './statistics.ts';

/** How far the area under the curve may be from 0.5, which is "cannot be told apart". */
const goalArea = 0.01;
/** Interleaved pairs of an unknown id and each other kind. */
const rounds = 20_000;
const callers = 200;
/** Pairs of the control, one at a time: what would show without the step. */
const controlRounds = 2_000;
const keysOfAKind = 50;

/** A kind of refused key: each call gives one. */
type Kinds = ReadonlyMap<string, () => Plaintext>;
const unknown = 'unknown id';

/**
 * Whether the time of a refusal tells why a well-formed key was refused: against a real PostgreSQL, each kind against an unknown
 * id, interleaved in random order. Prints the median difference of the pairs and the area under the ROC curve with their 95 %
 * intervals; and, as a control that the measurement sees what there is, the same without the step that refusals wait for.
 * `false` = a kind could be told apart.
 */
export async function benchDenials(print: (line: string) => void): Promise<boolean> {
  const postgres = await startPostgres();
  try {
    const databaseUrl = postgres.postgres.url;
    await migrate(databaseUrl, { log: silentLog });
    const peppers = { test: randomBytes(32).toString('base64'), older: randomBytes(32).toString('base64') };
    const peppersFile = join(privateDir('peppers'), 'peppers.json');
    writeFileSync(peppersFile, JSON.stringify({ current: 'test', peppers }), { mode: 0o600 });
    const issuer = await Issuer.open({ databaseUrl, peppersFile });
    const store = openPostgresStore({ url: databaseUrl, clock: systemClock, log: silentLog });
    const open = (limits: AuthorizeLimits): Authorize =>
      createAuthorize({
        ...{ store, clock: systemClock, log: silentLog, metrics: silentMetrics, limits },
        peppers: PepperRing.parse(JSON.stringify({ current: 'test', peppers })),
      });
    try {
      const kinds = await makeKinds(issuer, PepperRing.parse(JSON.stringify({ current: 'older', peppers })));
      print(`control, ${controlRounds} pairs one at a time, without the step:`);
      report(await measure(open({ refusalStepMs: 0, spacingMs: 0 }), kinds, { rounds: controlRounds, callers: 1 }), print);
      print(`as it is, ${rounds} pairs, ${callers} at a time:`);
      return report(await measure(open({}), kinds, { rounds, callers }), print);
    } finally {
      await store.close();
      await issuer.close();
    }
  } finally {
    await postgres.stop();
  }
}

async function makeKinds(issuer: Issuer, older: PepperRing): Promise<Kinds> {
  const { store, now } = issuer;
  const some = async (prepare: (issued: Issued) => Promise<unknown>, ring?: PepperRing): Promise<() => Plaintext> => {
    const made: Issued[] = [];
    for (let at = 0; at < keysOfAKind; at += 1) {
      const issued = await issuer.issue(ring === undefined ? {} : { ring });
      await prepare(issued);
      made.push(issued);
    }
    let next = 0;
    return () => (made[next++ % made.length] ?? issuer.stranger()).token;
  };
  const wrongly = (one: () => Plaintext) => (): Plaintext => {
    const { prefix = '', environment = '', keyId = '' } = parseToken(one()) ?? {};
    return formatToken({ prefix, environment, keyId, secret: new Plaintext(randomBytes(16).toString('hex')) });
  };
  const nothing = (): Promise<void> => Promise.resolve();
  const revoke = ({ ref }: Issued): Promise<unknown> => store.revokeAll(ref.uid, { actor: 'operator', detail: 'bench' }, now);
  const retire = ({ ref, keyId }: Issued): Promise<unknown> => store.endVersions(ref.uid, [keyId], 'retired', now);
  return new Map([
    [unknown, () => issuer.stranger().token],
    ['wrong secret', wrongly(await some(nothing))],
    ['revoked', await some(revoke)],
    ['retired', await some(retire)],
    ['older pepper, wrong secret', wrongly(await some(nothing, older))],
    ['older pepper, revoked', await some(revoke, older)],
  ]);
}

type Times = ReadonlyMap<string, number[]>;

async function measure(
  authorize: Authorize,
  kinds: Kinds,
  size: { readonly rounds: number; readonly callers: number },
): Promise<Times> {
  const times: Times = new Map([...kinds.keys()].map((kind) => [kind, []]));
  let left = size.rounds;
  const caller = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const round = new Map<string, number>();
      for (const kind of shuffled([...kinds.keys()])) round.set(kind, await timeOf(authorize, kinds.get(kind)));
      for (const [kind, ms] of round) times.get(kind)?.push(ms);
    }
  };
  await Promise.all(Array.from({ length: size.callers }, caller));
  return times;
}

async function timeOf(authorize: Authorize, make: (() => Plaintext) | undefined): Promise<number> {
  if (make === undefined) throw new Error('no such kind');
  const request = authRequest({ credential: make() });
  const startedMs = performance.now();
  const verdict = await authorize(request);
  const tookMs = performance.now() - startedMs;
  if (verdict.allowed || verdict.code !== 'key_invalid') throw new Error('a key that should be refused was not');
  return tookMs;
}

function report(times: Times, print: (line: string) => void): boolean {
  const base = times.get(unknown) ?? [];
  print('kind                          median ms   difference from unknown id, µs   area under the curve');
  let met = true;
  for (const [kind, values] of times) {
    const columns = [kind.padEnd(28), medianOf(values).value.toFixed(3).padStart(10)];
    if (kind !== unknown) {
      const difference = medianOf(values.map((value, at) => (value - (base[at] ?? Number.NaN)) * 1_000));
      const area = areaUnderCurve(base, values);
      const [low, high] = [difference.low.toFixed(0), difference.high.toFixed(0)];
      columns.push(`${difference.value.toFixed(0).padStart(10)}  [${low}, ${high}]`.padEnd(33));
      columns.push(`${area.value.toFixed(4)}  [${area.low.toFixed(4)}, ${area.high.toFixed(4)}]`);
      met &&= Math.abs(area.value - 0.5) <= goalArea;
    }
    print(columns.join('  '));
  }
  print(`goal of 0.5 ± ${goalArea}: ${met ? 'met' : 'missed'}`);
  return met;
}

function shuffled<T>(values: T[]): readonly T[] {
  for (let at = values.length - 1; at > 0; at -= 1) {
    const other = Math.floor(Math.random() * (at + 1));
    const [one, two] = [values[at] as T, values[other] as T];
    values[at] = two;
    values[other] = one;
  }
  return values;
}

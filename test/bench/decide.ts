import { compileCatalog } from '../../operator/src/authorize/catalog.ts';
import { decide } from '../../operator/src/authorize/decide.ts';
import type { Lookup } from '../../operator/src/authorize/lookup.ts';
import { proveKey } from '../../operator/src/authorize/provenkey.ts';
import type { AuthRequest } from '../../operator/src/authorize/request.ts';
import type { CatalogModel, Scope } from '../../operator/src/domain/catalog.ts';
import { authRequest } from '../builders/authrequest.ts';
import { catalogModel, catalogRow, grantRule, ownerRow } from '../builders/clusterrows.ts';
import { endpointAt } from '../builders/endpoints.ts';
import { keyRecord } from '../builders/keyrecord.ts';

const now = Date.parse('2026-03-01T00:00:00Z');
/** What is aimed at: this many verdicts a second on one core, and no more than this loss from the smallest to the largest. */
const goal = { perSecond: 1_000_000, loss: 0.1 };
/** How many different keys and requests go round, so that no branch predictor learns one of them by heart. */
const variety = { keys: 16, requests: 512 };
/** Short and many: on a busy machine only the undisturbed ones tell. */
const roundMs = 150;
const rounds = 24;

/** What a run found for one size of catalog. */
interface Measured {
  readonly endpoints: number;
  /** Of the best round: the others were disturbed. */
  readonly perSecond: number;
  readonly allowed: number;
}

/**
 * Verdicts per second on one core: look-up done, key proven, catalog and rights compiled, as an authorizer with its index
 * holds them. Every second endpoint works per application; keys select a scope, owners have five rules; requests name
 * channels and attributes, and one in eight is refused. Prints a table; `false` = a goal was missed.
 */
export function benchDecide(print: (line: string) => void): boolean {
  // 2,000 is the most that a catalog may declare; beyond it the matcher alone is asked to stay flat.
  const sizes = [1, 500, 2_000, 5_000];
  const cases = sizes.map((size) => ({ size, run: prepare(size) }));
  const best = new Map<number, Measured>();
  // Interleaved, so that a slow minute of the machine strikes all sizes alike; the first round warms up.
  for (let round = 0; round <= rounds; round += 1) {
    for (const { size, run } of cases) {
      const measured = measure(size, run);
      if (round > 0 && measured.perSecond > (best.get(size)?.perSecond ?? 0)) best.set(size, measured);
    }
  }
  return report([...best.values()], print);
}

function report(results: readonly Measured[], print: (line: string) => void): boolean {
  const base = results[0]?.perSecond ?? 1;
  print('endpoints   verdicts/s   of the smallest   allowed');
  for (const { endpoints, perSecond, allowed } of results) {
    const columns = [endpoints.toLocaleString('en').padStart(9), Math.round(perSecond).toLocaleString('en').padStart(12)];
    print(`${columns.join(' ')}   ${(perSecond / base).toFixed(2).padStart(15)}   ${(allowed * 100).toFixed(0).padStart(6)}%`);
  }
  const slow = results.filter(({ perSecond }) => perSecond < goal.perSecond);
  const uneven = results.filter(({ perSecond }) => perSecond < base * (1 - goal.loss));
  print(slow.length === 0 ? 'goal of 1,000,000/s: met' : `goal of 1,000,000/s: missed with ${sizesOf(slow)} endpoints`);
  print(
    uneven.length === 0
      ? 'goal of 10 % loss at most: met'
      : `goal of 10 % loss at most: missed with ${sizesOf(uneven)} endpoints`,
  );
  return slow.length + uneven.length === 0;
}

function sizesOf(results: readonly Measured[]): string {
  return results.map(({ endpoints }) => String(endpoints)).join(', ');
}

interface Prepared {
  readonly found: readonly Lookup[];
  readonly requests: readonly AuthRequest[];
}

function prepare(size: number): Prepared {
  const model = modelOf(size);
  const row = catalogRow({ uid: 'catalog-1', model });
  const catalog = compileCatalog(row);
  const found = Array.from({ length: variety.keys }, (_, seed): Lookup => {
    const { record } = keyRecord({
      seed: seed + 1,
      catalog: row,
      owner: ownerRow({ uid: 'owner-1', rules: rulesOf() }),
      settings: { accessType: 'Admin', selections: { scopes: ['everything'], channels: ['email', 'sms'] } },
    });
    return { kind: 'known', keyId: record.version.keyId, catalog, key: proveKey(record, catalog) };
  });
  return { found, requests: Array.from({ length: variety.requests }, (_, at) => requestOf(size, at)) };
}

/** Three levels of literals, then parameters, as a large API has them. */
function pathOf(number: number): string {
  const base = `/v1/area-${String(number % 20)}/things-${String(number)}`;
  return number % 2 === 0 ? `/v1/apps/{app}/area-${String(number % 20)}/things-${String(number)}/{id}` : `${base}/{id}`;
}

function modelOf(size: number): CatalogModel {
  const endpoints = Array.from({ length: size }, (_, number) =>
    endpointAt('GET', pathOf(number), `endpoint-${String(number)}`, { perApplication: number % 2 === 0 }),
  );
  const names = endpoints.map((endpoint) => endpoint.name);
  const scopes: Scope[] = [
    { name: 'everything', endpoints: names },
    { name: 'few', endpoints: names.slice(0, 10) },
  ];
  return catalogModel({ endpoints, scopes });
}

function rulesOf(): ReturnType<typeof grantRule>[] {
  return [
    grantRule({ scopes: ['everything'], endpoints: [], applications: ['shop-eu', 'shop-us'], channels: ['email', 'sms'] }),
    grantRule({ scopes: ['few'], endpoints: [], channels: ['marketing'] }),
    grantRule({ scopes: [], endpoints: ['endpoint-0'] }),
    grantRule({ catalog: 'other' }),
    grantRule({ scopes: [], endpoints: [], accessTypes: ['Admin'] }),
  ];
}

function requestOf(size: number, at: number): AuthRequest {
  // Spread over the whole catalog, whatever its size.
  const number = Math.floor((at / variety.requests) * size);
  const application = at % 3 === 0 ? 'shop-eu' : 'shop-us';
  const path = pathOf(number)
    .replace('{app}', application)
    .replace('{id}', String(at * 7_919));
  return authRequest({
    // Cut from a longer text, as a target is that came over the network: no two requests share one string.
    path: Buffer.from(at % 8 === 0 ? `${path}/none` : `${path}?page=1`).toString('latin1'),
    ...(at % 4 === 1 ? { targetChannels: ['sms'] } : {}),
    ...(at % 4 === 2 ? { attributes: ['email'] } : {}),
  });
}

/** By the thread's own processor time: what others do on the machine meanwhile is not counted. */
function measure(endpoints: number, { found, requests }: Prepared): Measured {
  let verdicts = 0;
  let allowed = 0;
  const started = process.threadCpuUsage();
  let tookMs = 0;
  while (tookMs < roundMs) {
    for (let at = 0; at < requests.length; at += 1) {
      const request = requests[at];
      const key = found[at % found.length];
      if (request === undefined || key === undefined) continue;
      if (decide(key, request, now).allowed) allowed += 1;
      verdicts += 1;
    }
    const spent = process.threadCpuUsage(started);
    tookMs = (spent.user + spent.system) / 1000;
  }
  return { endpoints, perSecond: (verdicts / tookMs) * 1000, allowed: allowed / verdicts };
}

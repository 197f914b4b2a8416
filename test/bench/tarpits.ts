import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { annotations, finalizer } from '../../operator/src/api/meta.ts';
import type { ApiKeyRef } from '../../operator/src/domain/key.ts';
import { systemClock } from '../../operator/src/domain/time.ts';
import { migrate } from '../../operator/src/store/postgres/migrate.ts';
import { openPostgresStore } from '../../operator/src/store/postgres/store.ts';
import { silentLog } from '../../operator/src/telemetry/log.ts';
import { mintRequest } from '../builders/mintrequest.ts';
import { startControlPlane } from '../harness/controlplane.ts';
import { FaultProxy } from '../harness/faultproxy.ts';
import { startOpenBao, type OpenBaoHandle } from '../harness/openbao.ts';
import { startPostgres } from '../harness/postgres.ts';
import { makePeppersFile, startOperator } from '../harness/program.ts';
import { Scene, type SeenKey } from '../harness/scene.ts';
import { until } from '../harness/until.ts';

/** What is promised from the write of a revocation to its commit, in milliseconds. */
const goals = { p99: 1_000, most: 3_000 };
const revocations = 600;
/** One revocation in so many milliseconds. */
const everyMs = 200;
/** Afterwards, so many keys are reported compromised at one time, as after a leak. */
const burst = 60;
/** A failing key is asked to rotate each so many milliseconds: often enough that the calls to the tarpits never end. */
const nagEveryMs = 250;
/** Keys that are failing, spread over the tarpits. */
const failing = 200;
/** Keys that are delivered to the OpenBao that works. */
const delivered = 800;
/** Calls of the bench to the API server at one time. */
const atOnce = 16;
const namespace = 'bench';

/** How many ApiKeys there are, 10,000 unless `KEYWRIGHT_BENCH_KEYS` says otherwise. */
function keysInAll(): number {
  return Number(process.env['KEYWRIGHT_BENCH_KEYS'] ?? 10_000);
}

type Take = (scene: Scene, name: string) => Promise<unknown>;

const path = (name: string): string => `/apis/keywright.dev/v1alpha1/namespaces/${namespace}/apikeys/${name}`;

/** A way to take a right away, with the line of the audit that its commit writes. */
interface Way {
  readonly audit: string;
  readonly take: Take;
}

const compromised: Way = {
  audit: 'revoke',
  take: (scene, name) => scene.annotate(namespace, name, { 'keywright.dev/compromised': 'all' }),
};

const ways: readonly [Way, ...Way[]] = [
  { audit: 'revoke', take: (scene, name) => scene.changeKey(namespace, name, { revoked: { reason: 'KeyCompromise' } }) },
  { audit: 'revoke', take: (scene, name) => scene.kube.request('DELETE', path(name)) },
  compromised,
  { audit: 'edit', take: (scene, name) => scene.changeKey(namespace, name, { suspend: true }) },
  { audit: 'edit', take: (scene, name) => scene.changeKey(namespace, name, { allowedSources: ['10.0.0.0/8'] }) },
  {
    audit: 'set-expiry',
    take: (scene, name) => scene.changeKey(namespace, name, { expiry: { at: new Date(Date.now() + 3_600_000).toISOString() } }),
  },
];

/**
 * From the API write of a revocation to its commit, with 10,000 ApiKeys of which 200 are failing: a real kube-apiserver, a real
 * PostgreSQL, a real OpenBao, and the operator as a process of its own. To keep the bench short, 1,000 of the keys are minted and
 * delivered by the operator; the versions of the other 9,000 are put into the store beforehand, and their ApiKeys are paused, so
 * that they are watched, listed and revoked like the rest, and cost no delivery. Besides the OpenBao that works there are four that do
 * not: dead, silent, slow, and hanging on writes alone; the keys on them are asked to rotate all the time, so that their calls
 * never end. The clock starts before the request is sent, and stops when another session of the database sees the audit row of
 * the commit, so that it shows a little more than the truth. Prints a table; `false` = the goal was missed.
 */
export async function benchTarpits(print: (line: string) => void): Promise<boolean> {
  const [postgres, plane, bao] = [await startPostgres(), await startControlPlane({ controllers: false }), await startOpenBao()];
  const tarpits = await Tarpits.start(bao.openbao);
  const database = new pg.Client({ connectionString: postgres.postgres.url });
  try {
    const { url } = postgres.postgres;
    await migrate(url, { log: silentLog });
    await database.connect();
    const scene = new Scene(plane.kube);
    const names = await declare(scene, { openbao: bao.openbao, tarpits, url }, print);
    const operator = await startOperator({
      databaseUrl: url,
      peppersFile: makePeppersFile(),
      kubeconfig: plane.kube.kubeconfig(),
      env: { KEYWRIGHT_LEADER_ELECTION: 'off', KEYWRIGHT_NAMESPACES: namespace, KEYWRIGHT_LOG_LEVEL: 'warn' },
    });
    try {
      await whenDelivered(database, names, print);
      await tarpits.begin();
      const stop = new AbortController();
      const nagging = nag(scene, names.failing, stop.signal);
      // Until each tarpit has met its keys.
      await delay(5_000);
      const planned = plan(names);
      const single = await revokeMany({ scene, database, names }, planned.single);
      const atOnce = await revokeMany({ scene, database, names }, planned.burst);
      stop.abort();
      await nagging;
      return report({ single, atOnce }, tarpits, names, print);
    } finally {
      await operator.stop();
    }
  } finally {
    await database.end();
    await tarpits.stop();
    await plane.kube.close();
    await Promise.all([plane.stop(), postgres.stop(), bao.stop()]);
  }
}

interface Names {
  /** Delivered, or in the store alone. */
  readonly well: readonly string[];
  readonly failing: readonly string[];
}

/** Four Vaults that keep a caller waiting, each in its way; they work until {@link Tarpits.begin}. */
class Tarpits {
  readonly proxies: Readonly<Record<string, FaultProxy>>;
  readonly #slow: Server;

  private constructor(proxies: Readonly<Record<string, FaultProxy>>, slow: Server) {
    this.proxies = proxies;
    this.#slow = slow;
  }

  static async start(openbao: OpenBaoHandle): Promise<Tarpits> {
    const through = await slowServer(openbao.address, () => slowMs.now);
    return new Tarpits(
      {
        dead: await FaultProxy.start(openbao.address),
        silent: await FaultProxy.start(openbao.address),
        slow: await FaultProxy.start(`http://127.0.0.1:${(through.address() as AddressInfo).port}`),
        hanging: await FaultProxy.start(openbao.address),
      },
      through,
    );
  }

  async begin(): Promise<void> {
    slowMs.now = 4_000;
    const { dead, silent, hanging } = this.proxies;
    await dead?.become({ kind: 'closed' });
    await silent?.become({ kind: 'silent' });
    await hanging?.become({ kind: 'silent' }, ({ method, path: at }) => method !== 'GET' && at.startsWith('/v1/secret/'));
  }

  async stop(): Promise<void> {
    await Promise.all(Object.values(this.proxies).map((proxy) => proxy.stop()));
    this.#slow.closeAllConnections();
    await new Promise((resolve) => this.#slow.close(resolve));
  }
}

const slowMs = { now: 0 };

/** Hands each call on after a while. */
async function slowServer(target: string, ms: () => number): Promise<Server> {
  const server = createServer((incoming, response) => {
    void (async () => {
      const chunks: Buffer[] = [];
      for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk);
      await delay(ms());
      const { method = 'GET', url = '/', headers } = incoming;
      const token = headers['x-vault-token'];
      const answer = await fetch(`${target}${url}`, {
        method,
        headers: { 'content-type': 'application/json', ...(typeof token === 'string' ? { 'x-vault-token': token } : {}) },
        ...(chunks.length === 0 ? {} : { body: Buffer.concat(chunks) }),
      });
      response.writeHead(answer.status, { 'content-type': 'application/json' }).end(Buffer.from(await answer.arrayBuffer()));
    })().catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

interface Places {
  readonly openbao: OpenBaoHandle;
  readonly tarpits: Tarpits;
  /** Of the database. */
  readonly url: string;
}

async function declare(scene: Scene, { openbao, tarpits, url }: Places, print: (line: string) => void): Promise<Names> {
  await scene.prepare();
  await scene.kube.request('POST', '/api/v1/namespaces', {
    body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
  });
  await scene.declareVault('well', openbao.address, openbao.rootToken);
  const kinds = Object.entries(tarpits.proxies);
  for (const [name, proxy] of kinds) await scene.declareVault(name, proxy.address, openbao.rootToken);
  const stored = Array.from({ length: keysInAll() - failing - delivered }, (_, at) => `stored-${at}`);
  const well = Array.from({ length: delivered }, (_, at) => `well-${at}`);
  const names: Names = {
    // Mixed, so that revocations are of both.
    well: stored.flatMap((name, at) => [name, ...well.slice(...slot(at, stored.length, well.length))]),
    failing: Array.from({ length: failing }, (_, at) => `${kinds[at % kinds.length]?.[0] ?? ''}-${at}`),
  };
  const startedMs = performance.now();
  const refs: ApiKeyRef[] = [];
  await each([...names.well, ...names.failing], async (name) => {
    const uid = await patiently(() => create(scene, name));
    if (name.startsWith('stored-')) refs.push({ namespace, name, uid });
  });
  print(`${keysInAll()} ApiKeys created in ${seconds(startedMs)} s`);
  const owner = (await scene.kube.request('GET', '/apis/keywright.dev/v1alpha1/keyowners/everybody')).body as SeenKey;
  await store(refs, owner.metadata.uid, url);
  print(`${refs.length} of them put into the store`);
  return names;
}

/** Of `many` entries the share that belongs to the one at `at` of `count`. */
function slot(at: number, count: number, many: number): readonly [number, number] {
  return [Math.floor((at * many) / count), Math.floor(((at + 1) * many) / count)];
}

/** Creates an ApiKey, unless an earlier try did; gives its uid. */
async function create(scene: Scene, name: string): Promise<string> {
  const found = await scene.readKey(namespace, name);
  if (found !== undefined) return found.metadata.uid;
  const isStored = name.startsWith('stored-');
  const destination = isStored ? 'well' : (name.split('-')[0] ?? '');
  const key = scene.key(namespace, name, [{ name: 'vault', destination }]) as { readonly metadata: object };
  const paused = { annotations: { [annotations.paused]: 'true' }, finalizers: [finalizer] };
  const body = isStored ? { ...key, metadata: { ...key.metadata, ...paused } } : key;
  const answer = await scene.kube.request('POST', path(''), { body });
  if (answer.status !== 201) throw new Error(`not created: ${JSON.stringify(answer.body)}`);
  return (answer.body as SeenKey).metadata.uid;
}

/** Gives each of these ApiKeys an active version. */
async function store(refs: readonly ApiKeyRef[], ownerUid: string, url: string): Promise<void> {
  const opened = openPostgresStore({ url, clock: systemClock, log: silentLog });
  try {
    await opened.takeFence();
    const queue = refs.values();
    const worker = async (): Promise<void> => {
      for (const ref of queue) {
        const now = systemClock.now();
        const settings = { displayName: ref.name, owner: 'everybody', selections: {} };
        const request = mintRequest({ ref, now, settings, version: { ownerUid, expiresAt: now + 90 * 86_400_000 } });
        await opened.mint(request);
        await opened.activate(ref.uid, request.version.keyId, undefined, now);
      }
    };
    await Promise.all(Array.from({ length: 8 }, worker));
  } finally {
    await opened.close();
  }
}

async function each(names: readonly string[], work: (name: string) => Promise<unknown>): Promise<void> {
  const queue = names.values();
  const worker = async (): Promise<void> => {
    for (const name of queue) await work(name);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

/** The API server shares the machine with everything else that is measured here, and may be late. */
async function patiently<T>(call: () => Promise<T>): Promise<T> {
  for (let left = 5; ; left -= 1) {
    try {
      return await call();
    } catch (error) {
      if (left === 0) throw error;
      await delay(1_000);
    }
  }
}

async function whenDelivered(database: pg.Client, names: Names, print: (line: string) => void): Promise<void> {
  const startedMs = performance.now();
  const wanted = names.well.length + names.failing.length;
  await until(
    async () => {
      const found = await database.query<{ count: number }>(
        `select count(*)::int as count from keywright.version where state = 'active'`,
      );
      return found.rows[0]?.count === wanted;
    },
    { what: 'all keys delivered', deadlineMs: 3_600_000, everyMs: 1_000 },
  );
  print(`${delivered + failing} keys minted and delivered in ${seconds(startedMs)} s`);
}

/** Asks the failing keys for a new version again and again: each of their passes calls its tarpit. */
async function nag(scene: Scene, names: readonly string[], signal: AbortSignal): Promise<void> {
  for (let round = 0; !signal.aborted; round += 1) {
    for (const name of names) {
      if (signal.aborted) return;
      await scene.annotate(namespace, name, { 'keywright.dev/rotate': `round-${round}` }).catch(() => undefined);
      await delay(nagEveryMs);
    }
  }
}

/** One revocation that is to be measured. */
interface Planned {
  readonly name: string;
  readonly way: Way;
  /** From the start, in milliseconds. */
  readonly atMs: number;
}

/** Each key once. Of those that are revoked one by one, each tenth is failing. */
function plan(names: Names): { readonly single: readonly Planned[]; readonly burst: readonly Planned[] } {
  const count = Math.min(revocations, names.well.length - burst);
  const well = spread(names.well, Math.ceil((count * 9) / 10) + burst);
  const failed = spread(names.failing, Math.floor(count / 10));
  const single = Array.from({ length: count }, (_, at): Planned => {
    return { name: (at % 10 === 9 ? failed : well).shift() ?? '', way: ways[at % ways.length] ?? ways[0], atMs: at * everyMs };
  });
  return { single, burst: well.slice(0, burst).map((name) => ({ name, way: compromised, atMs: 0 })) };
}

async function revokeMany(
  { scene, database, names }: { readonly scene: Scene; readonly database: pg.Client; readonly names: Names },
  planned: readonly Planned[],
): Promise<readonly Sample[]> {
  const uids = new Map<string, string>();
  await each(
    planned.map(({ name }) => name),
    async (name) => {
      uids.set(name, (await patiently(() => scene.readKey(namespace, name)))?.metadata.uid ?? '');
    },
  );
  const commits = new Commits(database);
  await commits.begin();
  const asked = planned.map(async ({ name, way, atMs }): Promise<Sample> => {
    await delay(atMs);
    const sentMs = performance.now();
    const committed = commits.next(uids.get(name) ?? '', way.audit);
    await patiently(() => way.take(scene, name));
    return { isFailing: names.failing.includes(name), ms: (await committed) - sentMs };
  });
  const samples = await Promise.all(asked);
  commits.end();
  return samples;
}

function spread(names: readonly string[], count: number): string[] {
  return Array.from({ length: count }, (_, at) => names[Math.floor((at * names.length) / count)] ?? '');
}

/** The commits that the audit shows, read again and again over a connection of its own. */
class Commits {
  readonly #database: pg.Client;
  readonly #awaited = new Map<string, (atMs: number) => void>();
  readonly #stop = new AbortController();
  #last = '0';

  constructor(database: pg.Client) {
    this.#database = database;
  }

  async begin(): Promise<void> {
    const found = await this.#database.query<{ seq: string }>('select coalesce(max(seq), 0)::text as seq from keywright.audit');
    this.#last = found.rows[0]?.seq ?? '0';
    void this.#follow();
  }

  /** When the next line of this kind is there for the ApiKey, by `performance.now()`. */
  next(uid: string, action: string): Promise<number> {
    return new Promise((resolve) => this.#awaited.set(`${uid} ${action}`, resolve));
  }

  end(): void {
    this.#stop.abort();
  }

  async #fresh(): Promise<readonly { seq: string; uid: string; action: string }[]> {
    try {
      const { rows } = await this.#database.query<{ seq: string; uid: string; action: string }>(
        `select seq::text as seq, apikey_uid as uid, action from keywright.audit where seq > $1::bigint order by seq`,
        [this.#last],
      );
      return rows;
    } catch (error) {
      // The bench has failed, and says why.
      if (!this.#stop.signal.aborted) this.#stop.abort(error);
      return [];
    }
  }

  async #follow(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const rows = await this.#fresh();
      const seenMs = performance.now();
      for (const { uid, action } of rows) {
        this.#awaited.get(`${uid} ${action}`)?.(seenMs);
        this.#awaited.delete(`${uid} ${action}`);
      }
      // A row of an earlier number may be committed later: the last ones are read again.
      const last = rows.at(-1)?.seq;
      if (last !== undefined) this.#last = String(Math.max(Number(this.#last), Number(last) - 200));
      await delay(2);
    }
  }
}

interface Sample {
  readonly isFailing: boolean;
  readonly ms: number;
}

interface Samples {
  readonly single: readonly Sample[];
  /** Of the burst. */
  readonly atOnce: readonly Sample[];
}

function report({ single, atOnce: together }: Samples, tarpits: Tarpits, names: Names, print: (line: string) => void): boolean {
  const calls = Object.entries(tarpits.proxies).map(([name, proxy]) => `${name} ${proxy.calls}`);
  print(`calls that the tarpits met: ${calls.join(', ')}`);
  print(
    `${single.length} revocations, one each ${everyMs} ms, and ${together.length} at once, among ` +
      `${names.well.length + names.failing.length} keys, ${names.failing.length} of them failing`,
  );
  print('from the API write to the commit            p50 ms   p99 ms   max ms');
  const rows = [
    ['one by one', single],
    ['of keys that work', single.filter(({ isFailing }) => !isFailing)],
    ['of keys that fail', single.filter(({ isFailing }) => isFailing)],
    ['at once', together],
  ] as const;
  for (const [name, of] of rows) {
    const ms = of.map((one) => one.ms);
    print(`${name.padEnd(40)}${[0.5, 0.99, 1].map((share) => shareOf(ms, share).toFixed(0).padStart(9)).join('')}`);
  }
  const ms = single.map((one) => one.ms);
  const all = [...ms, ...together.map((one) => one.ms)];
  const met = shareOf(ms, 0.99) <= goals.p99 && shareOf(all, 1) <= goals.most;
  print(`goal of ${goals.p99} ms for 99 of 100 one by one and ${goals.most} ms for all: ${met ? 'met' : 'missed'}`);
  return met;
}

function shareOf(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

function seconds(startedMs: number): string {
  return ((performance.now() - startedMs) / 1000).toFixed(0);
}

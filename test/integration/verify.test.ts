import { randomBytes, randomUUID } from 'node:crypto';

import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { createAuthorize } from '../../operator/src/authorize/authorize.ts';
import { Usage } from '../../operator/src/authorize/usage.ts';
import type { ApiKeyRef } from '../../operator/src/domain/key.ts';
import type { Plaintext } from '../../operator/src/domain/plaintext.ts';
import { systemClock } from '../../operator/src/domain/time.ts';
import { mintToken } from '../../operator/src/keys/mint.ts';
import type { Listener } from '../../operator/src/server/listener.ts';
import { noProtection } from '../../operator/src/server/protection.ts';
import { startVerifyServer } from '../../operator/src/server/start.ts';
import { migrate } from '../../operator/src/store/postgres/migrate.ts';
import { openPostgresStore } from '../../operator/src/store/postgres/store.ts';
import type { AppliedSettings, Store } from '../../operator/src/store/port.ts';
import { silentLog } from '../../operator/src/telemetry/log.ts';
import { silentMetrics } from '../../operator/src/telemetry/metrics.ts';
import { catalogModel, catalogRow, grantRule, groupRow, ownerRow } from '../builders/clusterrows.ts';
import { testPeppers } from '../builders/keyrecord.ts';
import { keySettings, mintRequest } from '../builders/mintrequest.ts';
import { MemoryStore } from '../harness/fakes/store.ts';
import { ownPostgres } from '../harness/parts.ts';
import { until } from '../harness/until.ts';

const now = Date.now();
const hourMs = 3_600_000;
const catalog = catalogRow({ uid: 'catalog-1' });
const owner = ownerRow({ uid: 'owner-1' });
const own = await ownPostgres();
afterAll(own.stop);

/** An ApiKey in the store, and the value that its client would present. */
interface Issued {
  readonly ref: ApiKeyRef;
  readonly keyId: string;
  readonly token: Plaintext;
}

/** One authorizer: its verify API over a store. */
class Authorizer {
  readonly store: Store;
  readonly #listener: Listener;
  readonly #usage: Usage;

  private constructor(store: Store, listener: Listener, usage: Usage) {
    this.store = store;
    this.#listener = listener;
    this.#usage = usage;
  }

  static async start(store: Store): Promise<Authorizer> {
    await store.takeFence();
    await store.saveCatalog(catalog, now);
    await store.saveOwner(owner, now);
    const common = { clock: systemClock, log: silentLog };
    const usage = new Usage({ ...common, store, metrics: silentMetrics, replicaId: randomUUID(), flushMs: 20 });
    await usage.start();
    const authorize = createAuthorize({
      ...common,
      store,
      usage,
      peppers: testPeppers,
      timeoutMs: 1_000,
      metrics: silentMetrics,
    });
    const address = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;
    const shared = { ...common, metrics: silentMetrics, maxConnections: 2_048 };
    const listener = await startVerifyServer({ ...shared, address, protection: noProtection, authorize });
    return new Authorizer(store, listener, usage);
  }

  async issue(changes: { readonly expiresAt?: number } = {}): Promise<Issued> {
    const { token, keyId, display } = mintToken({ prefix: 'acme', environment: 'live', random: randomBytes });
    const expiresAt = changes.expiresAt ?? now + hourMs;
    const request = mintRequest({
      now: now - hourMs,
      version: { keyId, display, expiresAt, ownerUid: owner.uid, ...testPeppers.hash(token) },
    });
    expect(await this.store.mint(request)).toBe('done');
    return { ref: request.ref, keyId, token };
  }

  /** `allowed <endpoint>`, or status and code of what it is not. */
  async ask(token: Plaintext, changes: object = {}): Promise<string> {
    const request = { host: 'api.example.com', method: 'GET', path: '/v1/subscribers', scheme: 'https', ...changes };
    const body = JSON.stringify({ key: token.reveal(), request });
    const response = await fetch(`${this.#listener.url}/v1/verify`, { method: 'POST', body });
    const verdict = (await response.json()) as { readonly [member: string]: unknown };
    return verdict['allowed'] === true
      ? `allowed ${String(verdict['endpoint'])}`
      : `${String(verdict['status'])} ${String(verdict['code'])}`;
  }

  async stop(): Promise<void> {
    await this.#listener.close(1_000);
    await this.#usage.close();
    await this.store.close();
  }
}

const alive = 'allowed list-subscribers';
const dead = '401 key_invalid';

describe.each<[string, () => Promise<Store>]>([
  ['memory', () => Promise.resolve(new MemoryStore({ clock: systemClock }))],
  [
    'PostgreSQL',
    async () => {
      await migrate(own.postgres.url);
      return openPostgresStore({ url: own.postgres.url, clock: systemClock, log: silentLog });
    },
  ],
])('verify straight on the store (%s)', (_title, open) => {
  let authorizer: Authorizer;
  beforeAll(async () => {
    authorizer = await Authorizer.start(await open());
  });
  afterAll(async () => {
    await authorizer.stop();
  });

  test('a key is alive from its mint, before and after its activation', async () => {
    const { token, ref, keyId } = await authorizer.issue();
    expect(await authorizer.ask(token)).toBe(alive);
    expect(await authorizer.store.activate(ref.uid, keyId, undefined, now)).toBe('done');
    expect(await authorizer.ask(token)).toBe(alive);
  });

  test('revoking one key kills it at once, and no other [S4-10] [S0-4]', async () => {
    const [first, second] = [await authorizer.issue(), await authorizer.issue()];
    await authorizer.store.revokeAll(first.ref.uid, { actor: 'operator', detail: 'deleted' }, now);
    expect(await authorizer.ask(first.token)).toBe(dead);
    expect(await authorizer.ask(second.token)).toBe(alive);
  });

  test('a suspended key says so, and lives again when it is resumed', async () => {
    const { token, ref } = await authorizer.issue();
    await authorizer.store.saveSettings(ref.uid, { settings: keySettings({ suspended: true }) }, now);
    expect(await authorizer.ask(token)).toBe('403 key_suspended');
    await authorizer.store.saveSettings(ref.uid, { settings: keySettings() }, now);
    expect(await authorizer.ask(token)).toBe(alive);
  });

  test('a held change denies what it takes away, as each one that was held before it does, and a lost permission denies all', async () => {
    const { token, ref } = await authorizer.issue();
    const settings = keySettings();
    const none = keySettings({ selections: { scopes: [] } });
    const askUnder = async (applied: Omit<AppliedSettings, 'settings'>): Promise<string> => {
      await authorizer.store.saveSettings(ref.uid, { settings, ...applied }, now);
      return await authorizer.ask(token);
    };
    expect(await askUnder({ proposed: keySettings({ suspended: true }) })).toBe('403 key_suspended');
    expect(await askUnder({ proposed: { ...settings, earlier: [keySettings({ suspended: true })] } })).toBe('403 key_suspended');
    expect(await askUnder({ proposed: none })).toBe('403 endpoint_not_allowed');
    expect(await askUnder({ proposed: { ...settings, earlier: [none] } })).toBe('403 endpoint_not_allowed');
    expect(await askUnder({ notPermitted: true })).toBe('403 access_type_not_allowed');
    expect(await askUnder({ proposed: keySettings({ displayName: 'another' }) })).toBe(alive);
    expect(await askUnder({})).toBe(alive);
  });

  test('an expired key is refused as expired, until its ApiKey is gone [S2-19]', async () => {
    const { token, ref, keyId } = await authorizer.issue({ expiresAt: now - 1_000 });
    expect(await authorizer.ask(token)).toBe('403 key_expired');
    await authorizer.store.endVersions(ref.uid, [keyId], 'expired', now);
    expect(await authorizer.ask(token)).toBe('403 key_expired');
    expect(await authorizer.store.releaseKey(ref.uid, now)).toBe('done');
    expect(await authorizer.ask(token)).toBe(dead);
  });

  test('follows the owner, its groups and the catalog on the next request, without touching the key [S1-2] [S1-3] [S2-6]', async () => {
    const { store } = authorizer;
    const { token } = await authorizer.issue();
    const read = { accessTypes: ['Integrations'], scopes: ['subscribers:read'], endpoints: [] };
    await store.saveOwner({ ...owner, groups: ['readers'], rules: [] }, now);
    expect(await authorizer.ask(token)).toBe('403 access_type_not_allowed');
    await store.saveGroup(groupRow({ uid: 'group-1', name: 'readers', rules: [grantRule(read)] }), now);
    expect(await authorizer.ask(token)).toBe(alive);
    await store.saveGroup(groupRow({ uid: 'group-1', name: 'readers', rules: [grantRule({ ...read, scopes: [] })] }), now);
    expect(await authorizer.ask(token)).toBe('403 endpoint_not_allowed');
    await store.saveOwner({ ...owner, disabled: true }, now);
    expect(await authorizer.ask(token)).toBe('403 owner_inactive');
    await store.saveOwner(owner, now);
    expect(await authorizer.ask(token)).toBe(alive);
    const model = catalogModel({ scopes: [] });
    await store.saveCatalog(catalogRow({ ...catalog, digest: 'without scopes', model }), now);
    expect(await authorizer.ask(token)).toBe('403 endpoint_not_allowed');
    await store.saveCatalog(catalog, now);
    expect(await authorizer.ask(token)).toBe(alive);
    expect(await authorizer.ask(token, { host: 'other.example.com' })).toBe(dead);
  });

  test('records the use of a proven key, and of no other [S0-26] [S4-6]', async () => {
    const { token, ref } = await authorizer.issue();
    const other = await authorizer.issue();
    await authorizer.ask(token);
    const lastUsedAt = async (uid: string): Promise<number | undefined> =>
      (await authorizer.store.readKey(uid)).versions[0]?.lastUsedAt;
    await until(async () => (await lastUsedAt(ref.uid)) !== undefined, { what: 'the use to be recorded' });
    expect(await lastUsedAt(other.ref.uid)).toBeUndefined();
  });

  test('a key that the store has never seen is invalid', async () => {
    expect(await authorizer.ask(mintToken({ prefix: 'acme', environment: 'live', random: randomBytes }).token)).toBe(dead);
  });
});

describe('verify when the database fails', () => {
  const stale = '503 authorizer_stale';
  let authorizer: Authorizer;
  let issued: Issued;
  beforeAll(async () => {
    await migrate(own.postgres.url);
    authorizer = await Authorizer.start(openPostgresStore({ url: own.postgres.url, clock: systemClock, log: silentLog }));
    issued = await authorizer.issue();
  });
  afterAll(async () => {
    await authorizer.stop();
  });

  test('is authorizer_stale within its time limit when an answer hangs, never a 401, and heals alone', async () => {
    const blocker = new pg.Client({ connectionString: own.postgres.url });
    await blocker.connect();
    await blocker.query('BEGIN; LOCK TABLE keywright.version IN ACCESS EXCLUSIVE MODE');
    const askedMs = performance.now();
    expect(await authorizer.ask(issued.token)).toBe(stale);
    expect(performance.now() - askedMs).toBeLessThan(1_900);
    await blocker.end();
    await until(async () => (await authorizer.ask(issued.token)) === alive, { what: 'an answer after the lock' });
  });

  test('is authorizer_stale while the database is dead, never a 401, and heals alone', async () => {
    await own.server.kill();
    expect(await authorizer.ask(issued.token)).toBe(stale);
    await own.restart();
    await until(async () => (await authorizer.ask(issued.token)) === alive, {
      deadlineMs: 20_000,
      what: 'an answer after the restart',
    });
  });
});

import { describe, expect, test } from 'vitest';

import { createAuthorize } from '../../../operator/src/authorize/authorize.ts';
import type { Authorize, AuthorizeLimits } from '../../../operator/src/authorize/authorize.ts';
import { RecentSet } from '../../../operator/src/authorize/recent.ts';
import { RefusalLimit } from '../../../operator/src/authorize/refusallimit.ts';
import type { AuthRequest } from '../../../operator/src/authorize/request.ts';
import type { Verdict } from '../../../operator/src/authorize/verdict.ts';
import { Plaintext } from '../../../operator/src/domain/plaintext.ts';
import { PepperRing } from '../../../operator/src/keys/pepper.ts';
import type { HashedToken, Match, Peppers } from '../../../operator/src/keys/pepper.ts';
import { formatToken, parseToken } from '../../../operator/src/keys/token.ts';
import type { KeyRecord, Store } from '../../../operator/src/store/port.ts';
import { silentLog } from '../../../operator/src/telemetry/log.ts';
import { createMetrics } from '../../../operator/src/telemetry/metrics.ts';
import type { MetricsRegistry } from '../../../operator/src/telemetry/metrics.ts';
import { authRequest } from '../../builders/authrequest.ts';
import { catalogRow } from '../../builders/clusterrows.ts';
import { keyRecord } from '../../builders/keyrecord.ts';
import type { KeyRecordChanges } from '../../builders/keyrecord.ts';
import { FakeClock } from '../../harness/fakes/clock.ts';

const catalog = catalogRow({ uid: 'catalog-1' });
const sourceIp = '192.0.2.7';
const pepper = (byte: number): string => Buffer.alloc(32, byte).toString('base64');
const ring = PepperRing.parse(JSON.stringify({ current: 'test', peppers: { test: pepper(1), older: pepper(2) } }));
const olderRing = PepperRing.parse(JSON.stringify({ current: 'older', peppers: { older: pepper(2) } }));

/** An authorizer over a store that a test holds open or answers. */
class Scene {
  readonly clock = new FakeClock();
  readonly stored = new Map<string, KeyRecord>();
  /** Hashes that were made, and queries that were sent. */
  readonly work = { hashes: 0, keyQueries: 0, catalogQueries: 0 };
  readonly metrics: MetricsRegistry = createMetrics();
  readonly authorize: Authorize;
  /** Key ids of each query for keys. */
  readonly queries: (readonly string[])[] = [];
  #answers: Promise<void> = Promise.resolve();

  constructor(limits: AuthorizeLimits = {}) {
    const store: Pick<Store, 'findByKeyIds' | 'findCatalogs'> = {
      findByKeyIds: async (keyIds) => {
        this.work.keyQueries += 1;
        this.queries.push(keyIds);
        await this.#answers;
        return new Map([...this.stored].filter(([keyId]) => keyIds.includes(keyId)));
      },
      findCatalogs: async () => {
        this.work.catalogQueries += 1;
        await this.#answers;
        return [catalog];
      },
    };
    const peppers: Peppers = {
      hash: (token): HashedToken => this.#hashed(() => ring.hash(token)),
      matches: (version, token): Match => this.#hashed(() => ring.matches(version, token)),
      prove: (version, token) => ring.prove(version, token),
    };
    const { clock } = this;
    this.authorize = createAuthorize({
      ...{ store, peppers, clock, log: silentLog, metrics: this.metrics.recorder },
      limits: { spacingMs: 0, refusalStepMs: 0, ...limits },
    });
  }

  keep(changes: KeyRecordChanges & { readonly seed: number }): Plaintext {
    const { record, token } = keyRecord({ catalog, ...changes });
    this.stored.set(record.version.keyId, record);
    return token;
  }

  /** The store answers nothing until the returned function is called. */
  hold(): () => void {
    let release = (): void => {};
    this.#answers = new Promise((resolve) => (release = resolve));
    return release;
  }

  async ask(credential: Plaintext, changes: Partial<AuthRequest> = {}): Promise<string> {
    return codeOf(await this.authorize(authRequest({ credential, sourceIp, ...changes })));
  }

  #hashed<T>(make: () => T): T {
    this.work.hashes += 1;
    return make();
  }
}

function codeOf(verdict: Verdict): string {
  return verdict.allowed ? 'allowed' : verdict.code;
}

const stranger = (seed: number): Plaintext => keyRecord({ seed }).token;

/** A well-formed token of the same key id. */
function withOtherSecret(token: Plaintext): Plaintext {
  const { prefix = '', environment = '', keyId = '' } = parseToken(token) ?? {};
  return formatToken({ prefix, environment, keyId, secret: new Plaintext('0'.repeat(32)) });
}

/** Every way in which a well-formed key is refused, as a key that is presented to a scene. */
const classes: readonly (readonly [string, (scene: Scene) => Plaintext])[] = [
  ['an unknown id', () => stranger(2)],
  ['a wrong secret', (scene) => withOtherSecret(scene.keep({ seed: 3 }))],
  ['a revoked version', (scene) => scene.keep({ seed: 4, version: { state: 'ended', endedReason: 'revoked' } })],
  ['a retired version', (scene) => scene.keep({ seed: 5, version: { state: 'ended', endedReason: 'retired' } })],
  ['a version past its overlap', (scene) => scene.keep({ seed: 6, version: { notAfter: 1 } })],
  ['a closed key', (scene) => scene.keep({ seed: 7, key: { revokedReason: 'leaked' } })],
  [
    'a version of an older pepper that was revoked',
    (scene) => scene.keep({ seed: 8, peppers: olderRing, version: { state: 'ended', endedReason: 'revoked' } }),
  ],
  ['a key of another catalog', (scene) => scene.keep({ seed: 9, catalog: catalogRow({ uid: 'catalog-2', name: 'default' }) })],
  ['a key whose catalog is gone', (scene) => scene.keep({ seed: 10, catalog: undefined })],
];

describe('the refusal of a well-formed key', () => {
  test.each(classes)('costs the same hashes and queries for %s', async (_title, make) => {
    const scene = new Scene();
    const token = make(scene);
    expect(await scene.ask(token)).toBe('key_invalid');
    expect(scene.work).toEqual({ hashes: 2, keyQueries: 1, catalogQueries: 1 });
  });

  test.each(classes)('is heard at one and the same step after the request, for %s', async (_title, make) => {
    const scene = new Scene({ refusalStepMs: 50 });
    const token = make(scene);
    const heard: string[] = [];
    const release = scene.hold();
    void scene.ask(token).then((code) => heard.push(code));
    await scene.clock.advance(30);
    release();
    await scene.clock.advance(19);
    expect(heard).toEqual([]);
    await scene.clock.advance(1);
    expect(heard).toEqual(['key_invalid']);
  });

  test('is heard at the next whole step when the store was slow', async () => {
    const scene = new Scene({ refusalStepMs: 50 });
    const heard: string[] = [];
    const release = scene.hold();
    void scene.ask(stranger(2)).then((code) => heard.push(code));
    await scene.clock.advance(60);
    release();
    await scene.clock.advance(39);
    expect(heard).toEqual([]);
    await scene.clock.advance(1);
    expect(heard).toEqual(['key_invalid']);
  });

  test('waits for as many steps as the slowest look-up of late needed, and for one when that is long ago', async () => {
    const scene = new Scene({ refusalStepMs: 50 });
    const hearAfter = async (heldMs: number): Promise<number> => {
      const startedMs = scene.clock.monotonicMs();
      let heardAtMs: number | undefined;
      const release = scene.hold();
      void scene.ask(stranger(2)).then(() => (heardAtMs = scene.clock.monotonicMs()));
      await scene.clock.advance(heldMs);
      release();
      while (heardAtMs === undefined) await scene.clock.advance(1);
      return heardAtMs - startedMs;
    };
    expect(await hearAfter(10)).toBe(50);
    expect(await hearAfter(120)).toBe(150);
    expect(await hearAfter(10)).toBe(150);
    expect(await hearAfter(60)).toBe(150);
    await scene.clock.advance(3_000);
    expect(await hearAfter(10)).toBe(50);
    // One that hangs does not hold up the next ones for as long.
    expect(await hearAfter(880)).toBe(900);
    expect(await hearAfter(10)).toBe(300);
  });

  test('waits for its step also right after a revocation, when the key was proven a moment ago', async () => {
    const scene = new Scene({ refusalStepMs: 50 });
    const token = scene.keep({ seed: 1 });
    expect(await scene.ask(token)).toBe('allowed');
    scene.keep({ seed: 1, version: { state: 'ended', endedReason: 'revoked' } });
    const heard: string[] = [];
    void scene.ask(token).then((code) => heard.push(code));
    await scene.clock.advance(49);
    expect(heard).toEqual([]);
    await scene.clock.advance(1);
    expect(heard).toEqual(['key_invalid']);
  });

  test('is the only answer that waits: an allow and every other denial are heard at once', async () => {
    const scene = new Scene({ refusalStepMs: 50 });
    expect(await scene.ask(scene.keep({ seed: 1 }))).toBe('allowed');
    expect(await scene.ask(scene.keep({ seed: 2, settings: { suspended: true } }))).toBe('key_suspended');
    expect(await scene.ask(scene.keep({ seed: 3 }), { path: '/nowhere' })).toBe('endpoint_not_allowed');
    expect(scene.clock.monotonicMs()).toBe(0);
  });
});

describe('the limit of refusals', () => {
  const limits = { refusalsPerSecond: 1 };

  test.each(classes)('turns refusals of one network into rate_limited, the same for %s', async (_title, make) => {
    const scene = new Scene(limits);
    const token = make(scene);
    const heard: string[] = [];
    for (let asked = 0; asked < 12; asked += 1) heard.push(await scene.ask(token));
    expect(heard).toEqual([...Array.from({ length: 10 }, () => 'key_invalid'), 'rate_limited', 'rate_limited']);
    await scene.clock.advance(1_000);
    expect([await scene.ask(token), await scene.ask(token)]).toEqual(['key_invalid', 'rate_limited']);
    expect((await scene.metrics.render()).body).toContain('keywright_verify_limited_total 3');
  });

  async function spend(scene: Scene, changes: Partial<AuthRequest> = {}): Promise<void> {
    for (let asked = 0; asked < 10; asked += 1) expect(await scene.ask(stranger(100 + asked), changes)).toBe('key_invalid');
  }

  test('leaves other networks alone, and good keys of the same network', async () => {
    const scene = new Scene(limits);
    await spend(scene);
    expect(await scene.ask(stranger(2))).toBe('rate_limited');
    expect(await scene.ask(stranger(2), { sourceIp: '192.0.2.200' })).toBe('rate_limited');
    expect(await scene.ask(stranger(2), { sourceIp: '192.0.3.7' })).toBe('key_invalid');
    expect(await scene.ask(scene.keep({ seed: 1 }))).toBe('allowed');
  });

  test('never counts what the network is not to blame for: a denial of a known key, garbage, nothing at all', async () => {
    const scene = new Scene(limits);
    const suspended = scene.keep({ seed: 1, settings: { suspended: true } });
    for (let asked = 0; asked < 30; asked += 1) {
      expect(await scene.ask(suspended)).toBe('key_suspended');
      expect(codeOf(await scene.authorize(authRequest({ credential: 'malformed', sourceIp })))).toBe('key_invalid');
      expect(codeOf(await scene.authorize(authRequest({ sourceIp })))).toBe('key_missing');
    }
    expect(await scene.ask(stranger(2))).toBe('key_invalid');
  });

  test.each([undefined, '', 'unknown', '10.1'])(
    'does not limit a source that the caller does not name (%j): a gateway does not pay for its clients',
    async (unknown) => {
      const scene = new Scene(limits);
      for (let asked = 0; asked < 100; asked += 1)
        expect(await scene.ask(stranger(asked + 2), { sourceIp: unknown })).toBe('key_invalid');
    },
  );
});

describe('the lanes to the store', () => {
  const lanes = { proven: 2, new: 2, limited: 1 };

  test('unknown keys share one query at a time, however many ask', async () => {
    const scene = new Scene();
    const release = scene.hold();
    const asked = Array.from({ length: 300 }, (_, at) => scene.ask(stranger(at + 2), { sourceIp: undefined }));
    await scene.clock.advance(0);
    const more = Array.from({ length: 300 }, (_, at) => scene.ask(stranger(at + 302), { sourceIp: undefined }));
    await scene.clock.advance(0);
    expect(scene.work).toMatchObject({ keyQueries: 1, catalogQueries: 1 });
    release();
    await scene.clock.advance(0);
    expect(new Set(await Promise.all([...asked, ...more]))).toEqual(new Set(['key_invalid']));
    expect(scene.work).toMatchObject({ keyQueries: 2, catalogQueries: 2 });
  });

  test('a proven key passes while unknown ones fill their lane, which sheds the rest as authorizer_stale', async () => {
    const scene = new Scene({ lanes });
    const good = scene.keep({ seed: 1 });
    expect(await scene.ask(good)).toBe('allowed');
    const release = scene.hold();
    const waiting = [2, 3, 4].map((seed) => scene.ask(stranger(seed), { sourceIp: undefined }));
    await scene.clock.advance(0);
    waiting.push(...[5, 6].map((seed) => scene.ask(stranger(seed), { sourceIp: undefined })));
    expect(await scene.ask(stranger(7), { sourceIp: undefined })).toBe('authorizer_stale');
    // Its own lane: a query of its own goes out at once.
    const allowed = scene.ask(good);
    await scene.clock.advance(0);
    expect(scene.queries.at(-1)).toEqual([keyRecord({ seed: 1 }).record.version.keyId]);
    release();
    expect(await allowed).toBe('allowed');
    await Promise.all(waiting);
    expect((await scene.metrics.render()).body).toMatch(/keywright_verify_shed_total{lane="new"} [1-9]/);
  });

  test('a wrong secret under the id of a proven key does not enter its lane', async () => {
    const scene = new Scene({ lanes });
    const good = scene.keep({ seed: 1 });
    expect(await scene.ask(good)).toBe('allowed');
    const release = scene.hold();
    const unknown = scene.ask(stranger(2), { sourceIp: undefined });
    await scene.clock.advance(0);
    const before = scene.work.keyQueries;
    const refused = scene.ask(withOtherSecret(good), { sourceIp: undefined });
    await scene.clock.advance(0);
    expect(scene.work.keyQueries).toBe(before);
    release();
    expect([await unknown, await refused]).toEqual(['key_invalid', 'key_invalid']);
  });

  test('a network over its limit waits behind all others, and hears rate_limited when its lane is full', async () => {
    const scene = new Scene({ lanes, refusalsPerSecond: 1 });
    for (let asked = 0; asked < 10; asked += 1) await scene.ask(stranger(100 + asked));
    const release = scene.hold();
    const first = scene.ask(stranger(2), { sourceIp: undefined });
    await scene.clock.advance(0);
    const limited = scene.ask(stranger(3));
    expect(await scene.ask(stranger(4))).toBe('rate_limited');
    const other = scene.ask(stranger(5), { sourceIp: '198.51.100.1' });
    release();
    await scene.clock.advance(0);
    expect([await first, await limited, await other]).toEqual(['key_invalid', 'rate_limited', 'key_invalid']);
    const ids = [5, 3].map((seed) => keyRecord({ seed }).record.version.keyId);
    expect(scene.queries.at(-1)).toEqual(ids);
    expect((await scene.metrics.render()).body).toContain('keywright_verify_shed_total{lane="limited"} 1');
  });

  test('a revocation counts for a proven key at once: nothing of an answer is kept', async () => {
    const scene = new Scene();
    const good = scene.keep({ seed: 1 });
    expect(await scene.ask(good)).toBe('allowed');
    scene.keep({ seed: 1, key: { revokedReason: 'leaked' } });
    expect(await scene.ask(good)).toBe('key_invalid');
  });
});

describe('what is remembered', () => {
  test('is bounded: the eldest text is forgotten', () => {
    const set = new RecentSet(2);
    for (const text of ['a', 'b', 'a', 'c']) set.add(text);
    expect(['a', 'b', 'c'].map((text) => set.has(text))).toEqual([true, false, true]);
    set.delete('a');
    expect(set.has('a')).toBe(false);
  });

  test('is bounded: of very many networks the one refused longest ago begins anew', () => {
    const clock = new FakeClock();
    const limit = new RefusalLimit(clock, 1);
    const spendAll = (ip: string): void => {
      for (let spent = 0; spent < 10; spent += 1) limit.spend(ip);
    };
    spendAll('192.0.2.1');
    expect(limit.isSpent('192.0.2.1')).toBe(true);
    for (let network = 0; network < 10_000; network += 1) limit.spend(`10.${network >> 8}.${network & 255}.1`);
    expect(limit.isSpent('192.0.2.1')).toBe(false);
  });

  test.each([
    ['192.0.2.1', '192.0.2.255', true],
    ['192.0.2.1', '192.0.3.1', false],
    ['192.0.2.1', '::ffff:192.0.2.9', true],
    ['2001:db8:0:1::1', '2001:db8:0:1:ffff::1', true],
    ['2001:db8:0:1::1', '2001:db8:0:2::1', false],
  ])('%s and %s are one network: %s', (one, other, same) => {
    const limit = new RefusalLimit(new FakeClock(), 1);
    for (let spent = 0; spent < 10; spent += 1) limit.spend(one);
    expect(limit.isSpent(other)).toBe(same);
  });
});

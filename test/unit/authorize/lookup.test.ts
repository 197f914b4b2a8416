import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { createAuthorize } from '../../../operator/src/authorize/authorize.ts';
import { CatalogCache } from '../../../operator/src/authorize/catalog.ts';
import { parseHost } from '../../../operator/src/authorize/host.ts';
import { lookup, readCredential } from '../../../operator/src/authorize/lookup.ts';
import type { Lookup, LookupSources } from '../../../operator/src/authorize/lookup.ts';
import { StoreReads } from '../../../operator/src/authorize/reads.ts';
import type { AuthRequest } from '../../../operator/src/authorize/request.ts';
import { waiting } from '../../../operator/src/domain/failure.ts';
import { Plaintext } from '../../../operator/src/domain/plaintext.ts';
import { mintToken } from '../../../operator/src/keys/mint.ts';
import { PepperRing } from '../../../operator/src/keys/pepper.ts';
import type { KeyRecord, Store } from '../../../operator/src/store/port.ts';
import { silentLog } from '../../../operator/src/telemetry/log.ts';
import { silentMetrics } from '../../../operator/src/telemetry/metrics.ts';
import { createLog } from '../../../operator/src/telemetry/pino.ts';
import { authRequest } from '../../builders/authrequest.ts';
import { catalogModel, catalogRow } from '../../builders/clusterrows.ts';
import { keyRecord, seededBytes, testPeppers } from '../../builders/keyrecord.ts';
import { FakeClock } from '../../harness/fakes/clock.ts';

const catalog = catalogRow({ uid: 'catalog-1' });
const { record, token } = keyRecord({ catalog });

/** What a test gives a look-up and an authorizer: a store that answers from `find`, and a clock that stands still. */
interface TestSources extends LookupSources {
  readonly store: Pick<Store, 'findByKeyIds' | 'findCatalogs'>;
  readonly clock: FakeClock;
  /** What the store was asked for. */
  readonly asked: string[];
}

function sources(find: (keyId: string) => Promise<KeyRecord | undefined>): TestSources {
  const asked: string[] = [];
  const findByKeyIds: Store['findByKeyIds'] = async (keyIds) => {
    asked.push(...keyIds);
    const found = await Promise.all(keyIds.map(async (keyId) => [keyId, await find(keyId)] as const));
    return new Map(found.flatMap(([keyId, one]) => (one === undefined ? [] : [[keyId, one] as const])));
  };
  const findCatalogs: Store['findCatalogs'] = ({ hosts, names }) => {
    asked.push(...hosts, ...names);
    const found = names.includes(catalog.name) || catalog.model.requests.hosts.some((host) => hosts.includes(host));
    return Promise.resolve(found ? [catalog] : []);
  };
  const store = { findByKeyIds, findCatalogs };
  const clock = new FakeClock();
  const reads = new StoreReads({ store, clock, spacingMs: 0 });
  return { store, reads, peppers: testPeppers, clock, catalogs: new CatalogCache(), timeoutMs: 2_000, asked };
}

async function present(
  credential: AuthRequest['credential'],
  from: LookupSources,
  changes: Partial<AuthRequest> = {},
): Promise<Lookup> {
  const found = await lookup(readCredential(credential, from.peppers), 'new', authRequest({ ...changes, credential }), from);
  if (found === 'shed') throw new Error('the lane was full');
  return found;
}

const holding = (): TestSources => sources((keyId) => Promise.resolve(keyId === record.version.keyId ? record : undefined));

describe('lookup', () => {
  test('finds the record that the whole token proves', async () => {
    const { catalogs: cache, ...from } = holding();
    const compiled = cache.get(catalog);
    expect(await present(token, { ...from, catalogs: cache })).toMatchObject({
      kind: 'known',
      keyId: record.version.keyId,
      catalog: compiled,
      key: { record, catalog: compiled },
    });
  });

  test('takes no value and an empty one as nothing presented', async () => {
    expect(await present(undefined, holding())).toEqual({ kind: 'missing' });
    expect(await present(new Plaintext(''), holding())).toEqual({ kind: 'missing' });
  });

  test('refuses what is no token without asking the store', async () => {
    const from = holding();
    await fc.assert(
      fc.asyncProperty(fc.string({ minLength: 1 }), async (text) => {
        expect(await present(new Plaintext(text), from)).toEqual({ kind: 'unknown' });
      }),
    );
    expect(await present('malformed', from)).toEqual({ kind: 'unknown' });
    expect(from.asked).toEqual([]);
  });

  test('answers an unknown id and a wrong secret alike', async () => {
    const stranger = mintToken({ prefix: 'acme', environment: 'live', random: seededBytes(99) });
    const impostor = keyRecord({ seed: 5 });
    const from = sources(() =>
      Promise.resolve({ ...record, version: { ...record.version, keyId: impostor.record.version.keyId } }),
    );
    const unknown = { kind: 'unknown', catalog: expect.objectContaining({ uid: catalog.uid }) as unknown };
    expect(await present(stranger.token, holding())).toEqual(unknown);
    expect(await present(impostor.token, from)).toEqual(unknown);
  });

  test('is stale when this process lacks the pepper of the version', async () => {
    const other = PepperRing.parse(
      JSON.stringify({ current: 'later', peppers: { later: Buffer.alloc(32, 2).toString('base64') } }),
    );
    expect(await present(token, { ...holding(), peppers: other })).toMatchObject({
      kind: 'stale',
      error: { message: expect.stringContaining('pepper') as unknown },
    });
  });

  test('is stale when the store fails', async () => {
    const error = waiting('StoreUnavailable', 'the database does not answer');
    expect(
      await present(
        token,
        sources(() => Promise.reject(error)),
      ),
    ).toEqual({ kind: 'stale', error });
  });

  test('is stale when the store does not answer in time, and leaves no timer behind otherwise', async () => {
    const silent = sources(() => new Promise(() => {}));
    const answer = present(token, silent);
    await silent.clock.advance(2_000);
    expect(await answer).toMatchObject({ kind: 'stale', error: { reason: 'StoreUnavailable' } });
    const quick = holding();
    await present(token, quick);
    expect(quick.clock.sleepers()).toBe(0);
  });

  describe('finds the catalog that a request addresses', () => {
    const addressed = async (changes: Partial<AuthRequest>): Promise<string | undefined> => {
      const found = await present(token, holding(), changes);
      return found.kind === 'known' ? found.catalog?.name : found.kind;
    };

    test.each<[string, string | undefined, string | undefined]>([
      ['api.example.com', undefined, 'default'],
      ['API.Example.COM', undefined, 'default'],
      ['api.example.com:8443', undefined, 'default'],
      ['api.example.com.', undefined, 'default'],
      ['api.example.com.:443', undefined, 'default'],
      ['api.example.com', 'default', 'default'],
      ['other.example.com', undefined, undefined],
      ['other.example.com', 'default', undefined],
      ['api.example.com', 'other', undefined],
      ['sub.api.example.com', undefined, undefined],
      ['api.example.com..', undefined, undefined],
      ['api.example.com:', undefined, undefined],
      ['api.example.com:80:80', undefined, undefined],
      ['user@api.example.com', undefined, undefined],
      ['api.example.com/x', undefined, undefined],
      ['*.example.com', undefined, undefined],
      ['*', undefined, undefined],
      ['', undefined, undefined],
      ['', 'default', undefined],
      ['api.example.com\n', undefined, undefined],
    ])('host %j, named %j: %s', async (host, named, expected) => {
      expect(await addressed({ host, catalog: named })).toBe(expected);
    });

    test('and folds no letters beyond ASCII: a Kelvin sign is no k', () => {
      expect(parseHost('\u212aey.example.com')).toBeUndefined();
      expect(parseHost('\u0130.example.com')).toBeUndefined();
    });

    test('for what is no token only when its policy matters: over plain HTTP', async () => {
      const from = holding();
      expect(await present(undefined, from, { scheme: 'http' })).toMatchObject({ kind: 'missing', catalog: { name: 'default' } });
      expect(await present('malformed', from, { scheme: 'http', host: 'h' })).toEqual({ kind: 'unknown' });
      expect(from.asked).toEqual(['api.example.com', 'h']);
    });

    test('and compiles it once for equal contents', async () => {
      const from = holding();
      const [first, second] = [await present(token, from), await present(token, from)];
      if (first.kind !== 'known' || second.kind !== 'known') throw new Error('not known');
      expect(second.catalog).toBe(first.catalog);
      expect(second.key?.catalog).toBe(first.catalog);
    });
  });
});

describe('the catalogs that are kept', () => {
  test('are as many as allowed, and another content or name is another catalog', () => {
    const cache = new CatalogCache(2);
    const rows = ['a', 'b', 'c'].map((name) => catalogRow({ uid: name, name }));
    const [a, b, c] = rows.map((row) => cache.get(row));
    expect(rows.map((row) => cache.get(row) === { a, b, c }[row.name as 'a'])).toEqual([false, false, false]);
    const [last] = rows.slice(-1);
    if (last === undefined) throw new Error('no row');
    expect(cache.get(last)).toBe(cache.get({ ...last }));
    expect(cache.get({ ...last, digest: 'other' })).not.toBe(cache.get(last));
    expect(cache.get({ ...last, name: 'renamed' }).name).toBe('renamed');
    // Somebody may have changed the model in the store, and somebody else changed it back.
    expect(cache.get({ ...last, model: catalogModel({ channels: [] }) }).index.model.channels).toEqual([]);
    expect(cache.get(last).index.model).toBe(last.model);
  });
});

describe('authorize', () => {
  const request = authRequest({ credential: token });

  test('never logs the presented key, and counts by code only', async () => {
    const lines: string[] = [];
    const log = createLog({ level: 'trace', destination: { write: (line) => void lines.push(line) } });
    const samples: unknown[] = [];
    const leaking = sources(() => Promise.reject(new Error(`no row for ${token.reveal()}`)));
    const counted = { ...silentMetrics, verified: (sample: unknown) => void samples.push(sample) };
    const verdict = await createAuthorize({ ...leaking, log, metrics: counted })(request);
    expect(verdict).toEqual({ allowed: false, code: 'authorizer_stale' });
    expect(samples).toEqual([{ code: 'authorizer_stale', durationMs: 0 }]);
    expect(lines).toHaveLength(1);
    expect(lines.join('')).not.toContain(token.reveal());
    expect(lines.join('')).not.toContain('no row');
  });

  test('tells of trouble once in ten seconds, with a count, and when it is over', async () => {
    let healthy = false;
    const failing = sources(() =>
      healthy ? Promise.resolve(record) : Promise.reject(waiting('StoreUnavailable', 'the database does not answer')),
    );
    const lines: string[] = [];
    const log = createLog({ level: 'info', destination: { write: (line) => void lines.push(line) } });
    const authorize = createAuthorize({ ...failing, log, metrics: silentMetrics, limits: { spacingMs: 0 } });
    const told = (): unknown[] => lines.splice(0).map((line) => JSON.parse(line) as unknown);
    for (let asked = 0; asked < 5; asked += 1) await authorize(request);
    expect(told()).toMatchObject([{ level: 'warn', reason: 'StoreUnavailable', count: 1 }]);
    await failing.clock.advance(10_000);
    await authorize(request);
    expect(told()).toMatchObject([{ level: 'warn', count: 6 }]);
    healthy = true;
    await authorize(request);
    await authorize(request);
    expect(told()).toMatchObject([{ level: 'info', event: 'verify answers again', count: 6 }]);
  });

  test('notes the use of a proven key, whatever the verdict, and of nothing else', async () => {
    const noted: [string, string | undefined][] = [];
    const usage = { note: (keyId: string, by?: string): void => void noted.push([keyId, by]) };
    const limits = { refusalStepMs: 0, spacingMs: 0 };
    const from = { ...holding(), log: silentLog, metrics: silentMetrics, usage, limits };
    const authorize = createAuthorize(from);
    expect((await authorize(request)).allowed).toBe(true);
    expect((await authorize({ ...request, path: '/nowhere' })).allowed).toBe(false);
    await authorize({ ...request, credential: undefined });
    await authorize({ ...request, sourceIp: '10.20.3.4', userAgent: 'curl/8.5.0' });
    await authorize({ ...request, credential: keyRecord({ seed: 5 }).token });
    const { keyId } = record.version;
    const application = record.key.settings.clientApplication;
    const known = [application, 'curl/8.5.0', '10.20.3.0/24'].filter((part) => part !== undefined).join(', ');
    expect(noted).toEqual([
      [keyId, application],
      [keyId, application],
      [keyId, known],
    ]);
  });
});

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';

import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { createAuthorize } from '../../../operator/src/authorize/authorize.ts';
import type { Authorize } from '../../../operator/src/authorize/authorize.ts';
import { systemClock } from '../../../operator/src/domain/time.ts';
import { hasCallerToken } from '../../../operator/src/server/callers.ts';
import { limitsOf } from '../../../operator/src/server/connections.ts';
import { InFlight } from '../../../operator/src/server/inflight.ts';
import { startListener } from '../../../operator/src/server/listener.ts';
import { noProtection } from '../../../operator/src/server/protection.ts';
import { startVerifyServer } from '../../../operator/src/server/start.ts';
import type { Listener } from '../../../operator/src/server/listener.ts';
import { verifyHandler } from '../../../operator/src/server/verify.ts';
import type { KeyRecord, Store } from '../../../operator/src/store/port.ts';
import { createMetrics, silentMetrics } from '../../../operator/src/telemetry/metrics.ts';
import { silentLog } from '../../../operator/src/telemetry/log.ts';
import { createLog } from '../../../operator/src/telemetry/pino.ts';
import { catalogModel, catalogRow } from '../../builders/clusterrows.ts';
import { keyRecord, testPeppers } from '../../builders/keyrecord.ts';
import type { KeyRecordChanges } from '../../builders/keyrecord.ts';

const catalog = catalogRow({ uid: 'catalog-1' });
const { record, token } = keyRecord({ catalog });
const request = { host: 'api.example.com', method: 'GET', path: '/v1/subscribers', scheme: 'https' };

let stored: Map<string, KeyRecord>;
let storeFails: boolean;
let lines: string[];
let listener: Listener;
const metrics = createMetrics();

beforeEach(async () => {
  stored = new Map([[record.version.keyId, record]]);
  storeFails = false;
  lines = [];
  const log = createLog({ level: 'trace', destination: { write: (line) => void lines.push(line) } });
  const findCatalogs: Store['findCatalogs'] = ({ hosts }) =>
    Promise.resolve(catalog.model.requests.hosts.some((host) => hosts.includes(host)) ? [catalog] : []);
  const findByKeyIds: Store['findByKeyIds'] = (keyIds) =>
    storeFails
      ? Promise.reject(new Error('down'))
      : Promise.resolve(new Map([...stored].filter(([keyId]) => keyIds.includes(keyId))));
  const store = { findByKeyIds, findCatalogs };
  const authorize = createAuthorize({
    store,
    peppers: testPeppers,
    clock: systemClock,
    timeoutMs: 2_000,
    log,
    metrics: metrics.recorder,
  });
  listener = await startVerifyServer({
    address: { kind: 'tcp', host: '127.0.0.1', port: 0 },
    protection: noProtection,
    authorize,
    clock: systemClock,
    log,
    metrics: metrics.recorder,
    maxConnections: 64,
  });
});
afterEach(async () => {
  await listener.close(1_000);
});

async function post(
  path: string,
  body: string | Buffer,
  headers: Record<string, string> = {},
): Promise<{ status: number; type: string | null; text: string; body: unknown }> {
  const response = await fetch(`${listener.url}${path}`, {
    method: 'POST',
    body: typeof body === 'string' ? body : new Uint8Array(body),
    headers,
  });
  const text = await response.text();
  return { status: response.status, type: response.headers.get('content-type'), text, body: JSON.parse(text) as unknown };
}

const verify = (body: unknown): ReturnType<typeof post> => post('/v1/verify', JSON.stringify(body));

describe('POST /v1/verify', () => {
  test('answers a request that may pass with everything its API needs to know [S0-1] [S0-2]', async () => {
    stored.set(
      record.version.keyId,
      keyRecord({
        catalog,
        version: { expiresAt: Date.parse('2099-01-01T00:00:00.5Z') },
        settings: { clientApplication: 'billing', selections: { channels: ['sms', 'email'] } },
      }).record,
    );
    const path = '/v1/apps/shop-eu/subscribers/7?expand=1';
    expect((await verify({ key: token.reveal(), request: { ...request, path } })).body).toEqual({
      allowed: true,
      keyId: record.version.keyId,
      apiKey: 'payments/billing-sync',
      owner: 'ana',
      clientApplication: 'billing',
      accessType: 'Personal',
      catalog: 'default',
      environment: 'live',
      endpoint: 'get-subscriber',
      channels: ['email', 'sms'],
      attributes: 'All',
      applications: 'All',
      requestApplication: 'shop-eu',
      expiresAt: '2099-01-01T00:00:00Z',
    });
  });

  test.each([
    ['https', true],
    ['WSS', true],
    ['wss', true],
    ['ws', false],
    ['Http', false],
    ['ftp', false],
  ])('takes the scheme %s for HTTPS: %s', async (scheme, isSecure) => {
    expect((await verify({ key: token.reveal(), request: { ...request, scheme } })).body).toMatchObject(
      isSecure ? { allowed: true } : { code: 'https_required' },
    );
  });

  test('takes the absolute form of a target for its path', async () => {
    const asked = (path: string): ReturnType<typeof post> => verify({ key: token.reveal(), request: { ...request, path } });
    expect((await asked('https://api.example.com:443/v1/subscribers?x')).body).toMatchObject({ endpoint: 'list-subscribers' });
    expect((await asked('https://other.example.com/v1/subscribers')).body).toMatchObject({ code: 'endpoint_not_allowed' });
  });

  test('names a source that is not an address, and takes one with a port', async () => {
    stored.set(
      record.version.keyId,
      keyRecord({ catalog, settings: { selections: { allowedSources: ['192.0.2.0/24'] } } }).record,
    );
    const from = async (sourceIp: string): Promise<unknown> =>
      (await verify({ key: token.reveal(), request: { ...request, sourceIp } })).body;
    expect(await from('192.0.2.7:4711')).toMatchObject({ allowed: true });
    expect(await from('localhost')).toMatchObject({
      ...{ status: 403, code: 'source_not_allowed' },
      detail: 'The source address of the request is not an IP address.',
    });
  });

  test('leaves out what does not apply, and says never where nothing ends the key', async () => {
    const { body } = await verify({ key: token.reveal(), request });
    expect(body).toMatchObject({ allowed: true, endpoint: 'list-subscribers', expiresAt: 'never' });
    expect(Object.keys(body as object)).not.toContain('requestApplication');
    expect(Object.keys(body as object)).not.toContain('clientApplication');
  });

  const strict = catalogRow({ uid: 'catalog-1', model: catalogModel({ policy: { expiredStatus: 401, requireHttps: true } }) });
  test.each<[code: string, status: number, changes: KeyRecordChanges, request: Record<string, unknown>, detail: string]>([
    ['https_required', 403, {}, { scheme: 'http' }, 'The request must use HTTPS.'],
    ['key_expired', 403, { version: { expiresAt: 1 } }, {}, 'The API key has expired.'],
    ['key_expired', 401, { version: { expiresAt: 1 }, catalog: strict }, {}, 'The API key has expired.'],
    ['key_suspended', 403, { settings: { suspended: true } }, {}, 'The API key is suspended.'],
    ['owner_inactive', 403, { owner: undefined }, {}, 'The owner of the API key is not active.'],
    ['access_type_not_allowed', 403, { settings: { accessType: 'Gone' } }, {}, 'The access type of the API key is not allowed.'],
    [
      'source_not_allowed',
      403,
      { settings: { selections: { allowedSources: ['10.0.0.0/8'] } } },
      {},
      'The API key may not be used from this address.',
    ],
    ['endpoint_not_allowed', 403, {}, { path: '/v1/nowhere' }, 'The API key does not give access to this endpoint.'],
    [
      ...(['endpoint_not_allowed', 403, {}, { path: '/v1/subscribers/' }] as const),
      'The path of the request has an empty segment, such as "//" or a "/" at its end, so it gives access to no endpoint.',
    ],
    ['endpoint_not_allowed', 403, {}, { upgrade: true }, 'The API key does not give access to this endpoint.'],
    [
      'application_not_allowed',
      403,
      {},
      { path: '/v1/apps/other/subscribers/7' },
      'The API key does not give access to this application.',
    ],
    [
      'channel_not_assigned',
      403,
      {},
      { targetChannels: ['fax', 'sms', 'Not A Slug'] },
      'The API key does not give access to these channels: fax, ….',
    ],
    ['attribute_not_allowed', 403, {}, { attributes: ['iban'] }, 'The API key does not give access to all of these attributes.'],
    ['invalid_request', 422, {}, { customer: '007' }, 'The customer is not spelled as the API documents it.'],
    [
      'invalid_request',
      422,
      {},
      { targetChannels: [] },
      'The list of target channels is empty; omit it for all assigned channels.',
    ],
  ])('answers %s as %i', async (code, status, changes, asked, detail) => {
    stored.set(record.version.keyId, keyRecord({ catalog, ...changes }).record);
    const { body } = await verify({ key: token.reveal(), request: { ...request, ...asked } });
    expect(body).toMatchObject({ allowed: false, status, code, detail });
    // Before the key is proven to the request's own catalog nothing of its record leaves.
    expect('keyId' in (body as object)).toBe(code !== 'https_required');
  });

  test('names every channel that is not assigned, and says so in words [S3-17] [S3-18]', async () => {
    stored.set(record.version.keyId, keyRecord({ catalog, settings: { selections: { channels: ['email'] } } }).record);
    expect(
      (await verify({ key: token.reveal(), request: { ...request, targetChannels: ['email', 'sms', 'fax'] } })).body,
    ).toEqual({
      allowed: false,
      status: 403,
      code: 'channel_not_assigned',
      detail: 'The API key does not give access to these channels: sms, fax.',
      violatingChannels: ['sms', 'fax'],
      keyId: record.version.keyId,
    });
  });

  test('follows the record: suspended, then expired, then revoked', async () => {
    const ask = async (next: KeyRecord): Promise<unknown> => {
      stored.set(record.version.keyId, next);
      return (await verify({ key: token.reveal(), request })).body;
    };
    expect(await ask(keyRecord({ catalog, settings: { suspended: true } }).record)).toMatchObject({
      status: 403,
      code: 'key_suspended',
    });
    expect(await ask(keyRecord({ catalog, version: { expiresAt: 1 } }).record)).toMatchObject({
      status: 403,
      code: 'key_expired',
    });
    expect(await ask(keyRecord({ catalog, version: { state: 'ended', endedReason: 'revoked' } }).record)).toMatchObject({
      status: 401,
      code: 'key_invalid',
    });
  });

  test('answers malformed, unknown, wrong secret, revoked and another catalog byte for byte alike, and nothing of the record leaves', async () => {
    const answers = new Set<string>();
    const swap = (text: string): string => (text === 'a' ? 'b' : 'a');
    answers.add((await verify({ key: 'nonsense', request })).text);
    answers.add((await verify({ key: 42, request })).text);
    answers.add((await verify({ key: null, request })).text);
    answers.add((await verify({ key: token.reveal().replace(/.$/, swap), request })).text);
    answers.add((await verify({ key: keyRecord({ seed: 7 }).token.reveal(), request })).text);
    const stranger = keyRecord({ seed: 8 });
    stored.set(stranger.record.version.keyId, {
      ...record,
      version: { ...record.version, display: stranger.record.version.display },
    });
    answers.add((await verify({ key: stranger.token.reveal(), request })).text);
    stored.set(record.version.keyId, keyRecord({ catalog, key: { revokedReason: 'leaked' } }).record);
    answers.add((await verify({ key: token.reveal(), request })).text);
    stored.set(record.version.keyId, record);
    answers.add((await verify({ key: token.reveal(), request: { ...request, host: 'other.example.com' } })).text);
    answers.add((await verify({ key: token.reveal(), catalog: 'other', request })).text);
    stored.set(record.version.keyId, keyRecord({ catalog: undefined }).record);
    answers.add((await verify({ key: token.reveal(), request })).text);
    expect([...answers]).toEqual(['{"allowed":false,"status":401,"code":"key_invalid","detail":"The API key is not valid."}']);
  });

  test.each([[{}], [{ key: '' }]])('an absent or empty key is key_missing: %j', async (part) => {
    expect(await verify({ ...part, request })).toMatchObject({ status: 200, body: { status: 401, code: 'key_missing' } });
  });

  test.each<[string, unknown, string]>([
    ['an unknown member', { key: 'k', request, extra: 1 }, 'The body has an unknown member, "extra".'],
    [
      'an unknown member of the request',
      { key: 'k', request: { ...request, verb: 'GET' } },
      '"request" has an unknown member, "verb".',
    ],
    ['no request', { key: 'k' }, '"request" is missing or not an object.'],
    ['no host', { key: 'k', request: { method: 'GET', path: '/' } }, '"request.host" is missing or not a string.'],
    [
      'channels that are no list',
      { request: { ...request, targetChannels: 'marketing' } },
      '"request.targetChannels" is missing or not an array.',
    ],
    [
      'a channel that is no text',
      { request: { ...request, targetChannels: [1] } },
      '"request.targetChannels[0]" is missing or not a string.',
    ],
    [
      'more faults than fit on a stack',
      { request: { ...request, attributes: Array.from({ length: 30_000 }, () => 1) } },
      '"request.attributes[0]" is missing or not a string.',
    ],
    [
      'NUL in a list',
      { request: { ...request, attributes: ['email', '\0'] } },
      '"request.attributes[1]" contains NUL or an unpaired surrogate.',
    ],
    ['a list', [], 'The body is missing or not an object.'],
  ])('refuses %s with a problem that names it', async (_title, body, detail) => {
    expect(await verify(body)).toMatchObject({
      status: 400,
      type: 'application/problem+json',
      body: { type: 'about:blank', title: 'Bad Request', status: 400, detail },
    });
  });

  test('refuses a member called __proto__', async () => {
    expect(await post('/v1/verify', `{"request":${JSON.stringify(request)},"__proto__":{"key":"x"}}`)).toMatchObject({
      status: 400,
    });
  });

  test.each<[string, () => string | Buffer]>([
    ['a body that is cut off behind the key', () => `{"key":"${token.reveal()}"`],
    ['a body that is only the key', () => token.reveal()],
    ['the key as the name of a member', () => JSON.stringify({ [token.reveal()]: 1, request })],
    [
      'a body that is not UTF-8',
      () =>
        Buffer.concat([
          Buffer.from(`{"key":"${token.reveal()}`),
          Buffer.from([0xff, 0xfe]),
          Buffer.from(`","request":${JSON.stringify(request)}}`),
        ]),
    ],
    ['nothing', () => ''],
  ])('refuses %s without repeating the key, in the answer or the log [S3-1]', async (_title, body) => {
    const answer = await post('/v1/verify', body());
    expect(answer).toMatchObject({ status: 400, type: 'application/problem+json' });
    expect(answer.text + lines.join('')).not.toContain(token.reveal().slice(10, 40));
  });

  test.each([
    ['the key', `{"key":"a","request":${JSON.stringify(request)},"key":"b"}`],
    ['the request', `{"request":{},"request":${JSON.stringify(request)}}`],
    ['a member of the request', `{"request":{"host":"a","method":"GET","path":"/","p\\u0061th":"/x"}}`],
    ['a member deep within', `{"key":[{"a":{"b":[{"c":1,"c":1}]}}],"request":${JSON.stringify(request)}}`],
  ])('refuses a body that names %s twice', async (_what, body) => {
    expect(await post('/v1/verify', body)).toMatchObject({ status: 400, body: { detail: 'The body names a member twice.' } });
    expect(await post('/v1/verify/batch', `{"requests":[${body}]}`)).toMatchObject({ status: 400 });
  });

  test('refuses a body over 64 KiB, announced or not, and answers the next request', async () => {
    const tooLong = JSON.stringify({ key: 'k', request: { ...request, path: `/${'a'.repeat(64 * 1024)}` } });
    const detail = 'The body is larger than 64 KiB.';
    const body = { type: 'about:blank', title: 'Content Too Large', status: 413, detail };
    expect(await post('/v1/verify', tooLong)).toMatchObject({ status: 413, type: 'application/problem+json', body });
    const chunks = ['{"key":"', ...Array.from({ length: 70 }, () => 'a'.repeat(1_024))];
    expect(await postChunks(chunks)).toEqual({ status: 413, type: 'application/problem+json', text: JSON.stringify(body) });
    const justFits = JSON.stringify({ key: 'k', request: { ...request, path: `/${'a'.repeat(63 * 1024)}` } });
    expect(await post('/v1/verify', justFits)).toMatchObject({ status: 200 });
  });

  test('refuses a body in more than 1,024 pieces, however small they are', async () => {
    expect(await postChunks(Array.from({ length: 1_100 }, () => ' '))).toMatchObject({
      status: 400,
      text: expect.stringContaining('more than 1024 pieces') as unknown,
    });
  });

  test('says when to try again, where that may help', async () => {
    storeFails = true;
    expect((await verify({ key: token.reveal(), request })).body).toEqual({
      allowed: false,
      status: 503,
      code: 'authorizer_stale',
      detail: 'The authorizer cannot decide now; try again.',
      retryAfterSeconds: 1,
    });
  });

  test('refuses a compressed body', async () => {
    expect(await post('/v1/verify', '{}', { 'content-encoding': 'gzip' })).toMatchObject({ status: 415 });
  });

  test('never logs a key that it was asked about', async () => {
    await verify({ key: token.reveal(), request });
    await verify({ key: token.reveal(), request, extra: token.reveal() });
    stored.clear();
    await verify({ key: token.reveal(), request });
    const page = await metrics.render();
    expect(lines.join('') + page.body).not.toContain(token.reveal().slice(-38));
    expect(page.body).not.toContain(record.version.keyId);
  });
});

function postChunks(
  chunks: readonly string[],
  path = '/v1/verify',
): Promise<{ status: number | undefined; type: string | undefined; text: string }> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest(`${listener.url}${path}`, { method: 'POST' }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode, type: response.headers['content-type'], text }));
    });
    sent.on('error', reject);
    // Never ended: the answer must come while the body is still being sent.
    for (const chunk of chunks) sent.write(chunk);
  });
}

describe('a caller that must prove itself', () => {
  const callerTokens = new Map([['gateway', createHash('sha256').update('right', 'utf8').digest()]]);
  let guarded: Listener;
  beforeEach(async () => {
    const authorize: Authorize = () => Promise.resolve({ allowed: false, code: 'key_missing' });
    guarded = await startListener({
      name: 'verify',
      address: { kind: 'tcp', host: '127.0.0.1', port: 0 },
      limits: limitsOf(64, { tls: false }),
      isAdmitted: (request) => hasCallerToken(request, callerTokens),
      handler: verifyHandler({ authorize, log: silentLog, metrics: silentMetrics, inFlight: new InFlight(1024 * 1024) }),
      clock: systemClock,
      log: silentLog,
      metrics: silentMetrics,
    });
  });
  afterEach(async () => {
    await guarded.close(1_000);
  });

  /** The status of an answer to raw bytes: clients of Node refuse to send some of them. */
  async function statusOf(target: Buffer, headers: Buffer): Promise<number> {
    const socket = connect({ host: '127.0.0.1', port: guarded.address.kind === 'tcp' ? guarded.address.port : 0 });
    const body = JSON.stringify({ request });
    const head = (text: string): Buffer => Buffer.from(text, 'latin1');
    socket.write(
      Buffer.concat([
        ...[head('POST '), target, head(' HTTP/1.1\r\nhost: here\r\nconnection: close\r\n'), headers],
        head(`content-length: ${body.length}\r\n\r\n${body}`),
      ]),
    );
    let text = '';
    for await (const chunk of socket as AsyncIterable<Buffer>) text += chunk.toString('latin1');
    return Number(/^HTTP\/1\.1 ([0-9]{3})/.exec(text)?.[1]);
  }

  const path = Buffer.from('/v1/verify');
  const header = (name: string, value: Uint8Array): Buffer =>
    Buffer.concat([Buffer.from(`${name}: `), value, Buffer.from('\r\n')]);

  test('is let in by its token, and by no other bytes in that header, in any header or in the URL: never a 5xx', async () => {
    expect(await statusOf(path, header('keywright-caller', Buffer.from('right')))).toBe(200);
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 20 }),
      fc.constantFrom(...['right\0', 'right, right', '\ufeffright', '__proto__'].map((text) => Buffer.from(text))),
    );
    const name = fc.constantFrom('keywright-caller', 'content-encoding', 'content-type', '__proto__', 'x-anything');
    await fc.assert(
      fc.asyncProperty(name, bytes, async (sent, value) => {
        expect([400, 401]).toContain(await statusOf(path, header(sent, value)));
        expect([200, 400, 404, 415]).toContain(
          await statusOf(
            Buffer.concat([path, Buffer.from('?'), value]),
            Buffer.concat([header('keywright-caller', Buffer.from('right')), header('x-anything', value)]),
          ),
        );
      }),
      { numRuns: 100 },
    );
  });
});

describe('POST /v1/verify/batch', () => {
  const batch = (requests: readonly unknown[]): ReturnType<typeof post> => post('/v1/verify/batch', JSON.stringify({ requests }));

  test('answers each request in its place', async () => {
    const answer = await batch([{ key: token.reveal(), request }, { request }, { key: 'nonsense', request }]);
    expect(answer).toMatchObject({
      status: 200,
      body: { results: [{ allowed: true }, { code: 'key_missing' }, { code: 'key_invalid' }] },
    });
  });

  test('takes 100 requests and refuses 101, and none', async () => {
    expect(await batch(Array.from({ length: 100 }, () => ({ request })))).toMatchObject({ status: 200 });
    expect(await batch(Array.from({ length: 101 }, () => ({ request })))).toMatchObject({
      status: 400,
      body: { detail: '"requests" has more than 100 entries.' },
    });
    expect(await batch([])).toMatchObject({ status: 400, body: { detail: '"requests" is empty.' } });
  });

  /** As a gateway in front of a website sends it. */
  const full = {
    key: token.reveal(),
    catalog: 'default',
    request: {
      ...{ host: 'api.example.com', method: 'POST', scheme: 'https', sourceIp: '2001:db8:85a3:8d3:1319:8a2e:370:7348' },
      path: `/v1/campaigns?${'a'.repeat(106)}`,
      userAgent:
        'Mozilla/5.0 (Linux; Android 14; Pixel 8 Pro Build/UQ1A.240205.004; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/121.0.6167.178 Mobile Safari/537.36',
      targetChannels: Array.from({ length: 5 }, (_, at) => `newsletter-of-the-month-for-region-${at}`),
      attributes: Array.from({ length: 10 }, (_, at) => `billingAddressLineOfTheHousehold${at}`),
    },
  };

  test('takes 100 full requests, and refuses more than 256 KiB, announced or not', async () => {
    expect(full.request.path).toHaveLength(120);
    const answer = await batch(Array.from({ length: 100 }, () => full));
    expect(answer).toMatchObject({ status: 200, body: { results: Array.from({ length: 100 }, () => ({ allowed: false })) } });
    const filled = (length: number): string => JSON.stringify({ requests: [{ request }] }).padEnd(length);
    expect(await post('/v1/verify/batch', filled(256 * 1024))).toMatchObject({ status: 200 });
    const detail = 'The body is larger than 256 KiB.';
    const body = { type: 'about:blank', title: 'Content Too Large', status: 413, detail };
    expect(await post('/v1/verify/batch', filled(256 * 1024 + 1))).toMatchObject({ status: 413, body });
    const chunks = Array.from({ length: 270 }, () => ' '.repeat(1_024));
    expect(await postChunks(chunks, '/v1/verify/batch')).toMatchObject({ status: 413, text: JSON.stringify(body) });
  });

  test.each(['targetChannels', 'attributes'])('names the first fault of very many in %s', async (list) => {
    const faulty = { ...request, [list]: Array.from({ length: 130_000 }, () => 1) };
    expect(await batch([{ request: faulty }])).toMatchObject({
      status: 400,
      body: { detail: `"requests[0].request.${list}[0]" is missing or not a string.` },
    });
  });

  test('refuses very many requests or members with one sentence', async () => {
    expect(await batch(Array.from({ length: 80_000 }, () => ({})))).toMatchObject({ status: 400 });
    const members = Object.fromEntries(Array.from({ length: 20_000 }, (_, at) => [`m${at}`, 1]));
    expect(await batch([{ request, ...members }])).toMatchObject({
      status: 400,
      body: { detail: '"requests[0]" has an unknown member, "m0".' },
    });
  });

  test('one faulty request refuses the whole batch, and is named', async () => {
    expect(await batch([{ request }, { request: { ...request, method: 1 } }])).toMatchObject({
      status: 400,
      body: { detail: '"requests[1].request.method" is missing or not a string.' },
    });
  });
});

describe('other requests', () => {
  test('another method is 405 and says which one is served', async () => {
    const response = await fetch(`${listener.url}/v1/verify`);
    expect([response.status, response.headers.get('allow'), response.headers.get('content-type')]).toEqual([
      405,
      'POST',
      'application/problem+json',
    ]);
  });

  test('another path is 404', async () => {
    expect(await post('/v1/verify/', '{}')).toMatchObject({ status: 404, type: 'application/problem+json' });
  });

  test('a client that hangs up in the middle of its body is no error of ours, and the next one is served', async () => {
    const port = listener.address.kind === 'tcp' ? listener.address.port : 0;
    const socket = connect({ host: '127.0.0.1', port });
    await once(socket, 'connect');
    socket.write('POST /v1/verify HTTP/1.1\r\nhost: h\r\ncontent-length: 100\r\n\r\n{"key":');
    socket.destroy();
    await once(socket, 'close');
    expect(await verify({ request })).toMatchObject({ body: { code: 'key_missing' } });
    await listener.close(1_000);
    expect(lines).toEqual([]);
  });

  test('a head over 8 KiB is cut off', async () => {
    const response = await fetch(`${listener.url}/v1/verify`, {
      method: 'POST',
      body: '{}',
      headers: { 'x-long': 'a'.repeat(9 * 1024) },
    });
    expect(response.status).toBe(400);
  });
});

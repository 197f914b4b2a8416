import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';

import fc from 'fast-check';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import type { Plaintext } from '../../operator/src/domain/plaintext.ts';
import { Plaintext as Secret } from '../../operator/src/domain/plaintext.ts';
import { PepperRing } from '../../operator/src/keys/pepper.ts';
import { formatToken, parseToken } from '../../operator/src/keys/token.ts';
import { Issuer } from '../harness/issuer.ts';
import { usePostgres } from '../harness/parts.ts';
import { makePeppersFile, startAuthorizer } from '../harness/program.ts';
import type { AuthorizerProgram } from '../harness/program.ts';

const postgres = await usePostgres();
const { url: databaseUrl } = await postgres.createDatabase();
const peppersFile = makePeppersFile();
const olderPepper = randomBytes(32).toString('base64');
const ring = JSON.parse(readFileSync(peppersFile, 'utf8')) as { readonly current: string; readonly peppers: object };
writeFileSync(peppersFile, JSON.stringify({ ...ring, peppers: { ...ring.peppers, older: olderPepper } }));
const older = PepperRing.parse(JSON.stringify({ current: 'older', peppers: { older: olderPepper } }));

let issuer: Issuer;
let authorizer: AuthorizerProgram;
beforeAll(async () => {
  issuer = await Issuer.open({ databaseUrl, peppersFile });
  authorizer = await startAuthorizer({ databaseUrl, peppersFile, env: { KEYWRIGHT_REFUSALS_PER_SECOND: '1' } });
});
afterAll(async () => {
  await authorizer.stop();
  await issuer.close();
});

const about = { host: 'api.example.com', method: 'GET', path: '/v1/subscribers', scheme: 'https' };

/** The bytes of an answer as they come over the connection; only the clock's hand in `Date` is taken out. */
async function rawAnswer(key: string, changes: object = {}): Promise<string> {
  const { hostname, port } = new URL(authorizer.url);
  const body = JSON.stringify({ key, request: { ...about, ...changes } });
  const head = `POST /v1/verify HTTP/1.1\r\nhost: here\r\nconnection: close\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n`;
  const chunks: Buffer[] = [];
  const socket = connect(Number(port), hostname);
  socket.write(head + body);
  for await (const chunk of socket as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks)
    .toString('latin1')
    .replace(/^date: .*$/im, 'date: (taken out)');
}

function withOtherSecret(token: Plaintext): string {
  const { prefix = '', environment = '', keyId = '' } = parseToken(token) ?? {};
  return formatToken({ prefix, environment, keyId, secret: new Secret('0'.repeat(32)) }).reveal();
}

/** Every way in which a well-formed key is refused. */
async function refusedKeys(): Promise<ReadonlyMap<string, string>> {
  const { store, now } = issuer;
  const keys = new Map([['an unknown id', issuer.stranger().token.reveal()]]);
  keys.set('a wrong secret', withOtherSecret((await issuer.issue()).token));
  const revoked = await issuer.issue();
  await store.revokeAll(revoked.ref.uid, { actor: 'operator', detail: 'test' }, now);
  keys.set('revoked', revoked.token.reveal());
  const direct = await issuer.issue();
  expect(await store.revokeDirect(direct.keyId, { actor: 'cli:test', reason: 'Superseded', close: true })).toBe('revoked');
  keys.set('revoked directly', direct.token.reveal());
  const retired = await issuer.issue();
  expect(await store.endVersions(retired.ref.uid, [retired.keyId], 'retired', now)).toBe('done');
  keys.set('retired', retired.token.reveal());
  const retiredOlder = await issuer.issue({ ring: older });
  expect(await store.endVersions(retiredOlder.ref.uid, [retiredOlder.keyId], 'retired', now)).toBe('done');
  keys.set('retired, of an older pepper', retiredOlder.token.reveal());
  keys.set('a wrong secret, of an older pepper', withOtherSecret((await issuer.issue({ ring: older })).token));
  const released = await issuer.issue();
  await store.endVersions(released.ref.uid, [released.keyId], 'revoked', now);
  expect(await store.releaseKey(released.ref.uid, now)).toBe('done');
  keys.set('of an ApiKey that is gone', released.token.reveal());
  return keys;
}

describe('the refusal of a well-formed key', () => {
  test('has the same bytes, head and body, whether the id is unknown, the secret wrong, or the version revoked or retired', async () => {
    const answers = new Map<string, string>();
    for (const [title, key] of await refusedKeys()) answers.set(title, await rawAnswer(key));
    // A good key under a host of no catalog of ours.
    answers.set('of another catalog', await rawAnswer((await issuer.issue()).token.reveal(), { host: 'other.example.com' }));
    const unknown = answers.get('an unknown id') ?? '';
    expect(unknown).toContain('{"allowed":false,"status":401,"code":"key_invalid","detail":"The API key is not valid."}');
    expect(Object.fromEntries(answers)).toEqual(Object.fromEntries([...answers.keys()].map((title) => [title, unknown])));
  });

  test('has the same bytes also when its network has had too many', async () => {
    const sourceIp = '192.0.2.1';
    const keys = await refusedKeys();
    const refused = await rawAnswer(issuer.stranger().token.reveal(), { sourceIp });
    const spent = await Promise.all(Array.from({ length: 40 }, () => rawAnswer(issuer.stranger().token.reveal(), { sourceIp })));
    const limited = spent.find((answer) => answer.includes('"code":"rate_limited"')) ?? '';
    expect(limited).toContain('"status":429');
    for (const key of keys.values()) {
      const heard = new Set<string>();
      // One refusal a second is free again.
      while (!heard.has(limited) && heard.size < 2) heard.add(await rawAnswer(key, { sourceIp }));
      expect([refused, limited]).toEqual(expect.arrayContaining([...heard]));
      expect([...heard]).toContain(limited);
    }
  });
});

/** Text that some part of a program takes for something else than text. */
const strange = fc.oneof(
  fc.constantFrom('\0', 'a\0b', '\ud800', '\udfff\ud800', 'x\udc00', '\ufeff', '\ufeffdefault', '\u202e', '\uffff', '\u{1f600}'),
  fc.constantFrom(
    '__proto__',
    'constructor',
    'toString',
    '',
    ' ',
    '%00',
    '\\u0000',
    '\r\nx: y',
    "'; --",
    '${x}',
    '\u0130',
    '\u2028',
  ),
  fc.constantFrom('x'.repeat(20_000), '\0'.repeat(5_000), '\ud83d'.repeat(3_000), '\u{1f600}'.repeat(64 * 1024)),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ unit: fc.nat(0xffff).map((code) => String.fromCharCode(code)), maxLength: 20 }),
);
/** Values of any type, with members of any name. */
const anything = fc.oneof({ weight: 6, arbitrary: strange }, { weight: 1, arbitrary: fc.jsonValue({ noUnicodeString: false }) });
const list = fc.oneof(fc.array(strange, { maxLength: 4 }), anything);

const members = {
  host: fc.oneof(fc.constant('api.example.com'), anything),
  method: fc.oneof(fc.constant('GET'), anything),
  path: fc.oneof(
    fc.constant('/v1/subscribers'),
    strange.map((text) => `/v1/${text}`),
    anything,
  ),
  scheme: fc.oneof(fc.constant('https'), fc.constant('http'), anything),
  application: anything,
  customer: anything,
  targetChannels: list,
  attributes: list,
  sourceIp: anything,
  userAgent: anything,
};

describe('text of every kind in every member', () => {
  let key: string;
  beforeAll(async () => {
    key = (await issuer.issue()).token.reveal();
  });

  const post = async (path: string, body: string | Buffer): Promise<{ readonly status: number; readonly text: string }> => {
    const answer = await request(`${authorizer.url}${path}`, { method: 'POST', body });
    return { status: answer.statusCode, text: await answer.body.text() };
  };

  /** What must hold of any answer: a 400, a 413, or a verdict that was really taken. */
  const judge = (answer: { readonly status: number; readonly text: string }): void => {
    expect([200, 400, 413]).toContain(answer.status);
    expect(answer.text).not.toMatch(/authorizer_stale|"status":5/);
  };

  test.each(['\0', 'a\0', '\ud800', '\udc00x'])('%j is a 400 that names the member, and in the key a refusal', async (bad) => {
    const cases: [string, object][] = [
      ['catalog', { key, catalog: bad, request: about }],
      ...['host', 'method', 'path', 'scheme', 'application', 'customer', 'sourceIp', 'userAgent'].map(
        (member): [string, object] => [`request.${member}`, { key, request: { ...about, [member]: bad } }],
      ),
      ['request.targetChannels[1]', { key, request: { ...about, targetChannels: ['sms', bad] } }],
      ['request.attributes[0]', { key, request: { ...about, attributes: [bad] } }],
    ];
    for (const [member, body] of cases) {
      const answer = await post('/v1/verify', JSON.stringify(body));
      expect(answer.status).toBe(400);
      expect(JSON.parse(answer.text)).toMatchObject({ detail: `"${member}" contains NUL or an unpaired surrogate.` });
    }
    for (const shown of [bad, `${key}${bad}`, `${bad}${key}`]) {
      const answer = await post('/v1/verify', JSON.stringify({ key: shown, request: about }));
      expect(JSON.parse(answer.text)).toMatchObject({ allowed: false, code: 'key_invalid' });
    }
  });

  test('never is a 5xx, and never keeps a verdict from being taken', async () => {
    const body = fc.record(
      {
        key: fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: anything }),
        catalog: fc.oneof(fc.constant('default'), anything),
        request: fc.oneof(
          { weight: 8, arbitrary: fc.record(members, { requiredKeys: ['host', 'method', 'path'] }) },
          { weight: 1, arbitrary: anything },
        ),
      },
      { requiredKeys: ['request'] },
    );
    await fc.assert(
      fc.asyncProperty(body, async (generated) => {
        // Mostly the good key, so that the later rules are reached as well.
        judge(await post('/v1/verify', JSON.stringify({ ...generated, key: generated.key ?? key })));
      }),
      { numRuns: 300 },
    );
  });

  test('one member at a time, with everything else as it should be, never is a 5xx', async () => {
    const one = fc.constantFrom(...(Object.keys(members) as (keyof typeof members)[]), 'catalog' as const);
    await fc.assert(
      fc.asyncProperty(one, strange, fc.boolean(), async (member, text, asList) => {
        const value = asList ? [text] : text;
        const body =
          member === 'catalog' ? { key, catalog: value, request: about } : { key, request: { ...about, [member]: value } };
        judge(await post('/v1/verify', JSON.stringify(body)));
        judge(await post('/v1/verify/batch', JSON.stringify({ requests: [body, { request: about }] })));
      }),
      { numRuns: 200 },
    );
  });

  test('as the name of a member, on every level, never is a 5xx', async () => {
    const name = fc.oneof(fc.constant('__proto__'), strange);
    await fc.assert(
      fc.asyncProperty(name, anything, fc.nat(2), async (member, value, level) => {
        const extra = `,${JSON.stringify(member)}:${JSON.stringify(value)}}`;
        const withExtra = (object: object): string => JSON.stringify(object).slice(0, -1) + extra;
        const inner = `{"key":${JSON.stringify(key)},"request":${level === 1 ? withExtra(about) : JSON.stringify(about)}}`;
        judge(await post('/v1/verify', level === 0 ? inner.slice(0, -1) + extra : inner));
        judge(await post('/v1/verify/batch', `{"requests":[${inner}]${level === 2 ? extra : '}'}`));
      }),
      { numRuns: 100 },
    );
  });

  test('as raw bytes never is a 5xx', async () => {
    const whole = JSON.stringify({ key, catalog: 'default', request: about });
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length), fc.uint8Array({ minLength: 1, maxLength: 4 }), async (at, bytes) => {
        judge(await post('/v1/verify', Buffer.concat([Buffer.from(whole.slice(0, at)), bytes, Buffer.from(whole.slice(at))])));
      }),
      { numRuns: 100 },
    );
    expect(JSON.parse((await post('/v1/verify', whole)).text)).toMatchObject({ allowed: true });
  });
});

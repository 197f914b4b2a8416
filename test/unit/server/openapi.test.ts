import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createConfig, lintFromString } from '@redocly/openapi-core';
import openapiTypes, { astToString } from 'openapi-typescript';
import ts from 'typescript';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { createAuthorize } from '../../../operator/src/authorize/authorize.ts';
import { denyCodes } from '../../../operator/src/authorize/verdict.ts';
import { systemClock } from '../../../operator/src/domain/time.ts';
import { allowedSchema, deniedSchema, problemSchema } from '../../../operator/src/server/answers.ts';
import { codes } from '../../../operator/src/server/codes.ts';
import { examples } from '../../../operator/src/server/examples.ts';
import type { Listener } from '../../../operator/src/server/listener.ts';
import { openApiDocument, problemTable } from '../../../operator/src/server/openapi.ts';
import { problemStatuses } from '../../../operator/src/server/problems.ts';
import { startVerifyServer } from '../../../operator/src/server/start.ts';
import { silentLog } from '../../../operator/src/telemetry/log.ts';
import { silentMetrics } from '../../../operator/src/telemetry/metrics.ts';
import { catalogRow } from '../../builders/clusterrows.ts';
import { keyRecord, testPeppers } from '../../builders/keyrecord.ts';

const now = Date.parse('2026-12-01T00:00:00Z');
const catalog = catalogRow({ uid: 'catalog-1' });
/** The key of the examples. */
const { record, token } = keyRecord({
  catalog,
  version: { expiresAt: Date.parse('2027-03-01T00:00:00Z') },
  settings: { clientApplication: 'billing', selections: { channels: ['email', 'sms'] } },
});

let listener: Listener;
let storeFails: boolean;
beforeEach(async () => {
  storeFails = false;
  const authorize = createAuthorize({
    store: {
      findByKeyIds: (keyIds) =>
        Promise.resolve(new Map(keyIds.includes(record.version.keyId) ? [[record.version.keyId, record]] : [])),
      findCatalogs: () => (storeFails ? Promise.reject(new Error('down')) : Promise.resolve([catalog])),
    },
    ...{ peppers: testPeppers, clock: systemClock, log: silentLog, metrics: silentMetrics, verifyNow: () => now },
  });
  const digest = createHash('sha256').update('right', 'utf8').digest();
  listener = await startVerifyServer({
    ...{ address: { kind: 'tcp', host: '127.0.0.1', port: 0 }, authorize, clock: systemClock, log: silentLog },
    protection: {
      ...{ keyPair: undefined, clientCa: undefined },
      callerTokens: { value: new Map([['gateway', digest]]), onChange: () => {} },
    },
    ...{ metrics: silentMetrics, maxConnections: 64 },
  });
});
afterEach(async () => {
  await listener.close(1_000);
});

interface Answer {
  readonly status: number;
  readonly type: string | null;
  readonly text: string;
  readonly body: unknown;
}

async function ask(path: string, init: RequestInit & { readonly caller?: string } = {}): Promise<Answer> {
  const { caller = 'right', ...rest } = init;
  const response = await fetch(`${listener.url}${path}`, { ...rest, headers: { ...rest.headers, 'keywright-caller': caller } });
  const text = await response.text();
  const type = response.headers.get('content-type');
  return { status: response.status, type, text, body: text === '' ? undefined : (JSON.parse(text) as unknown) };
}

const post = (path: string, body: unknown): Promise<Answer> =>
  ask(path, { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) });

describe('GET /openapi.json', () => {
  test('is the document, to a caller who proves who it is', async () => {
    const answer = await ask('/openapi.json');
    expect(answer).toMatchObject({ status: 200, type: 'application/json' });
    expect(answer.body).toEqual(JSON.parse(JSON.stringify(openApiDocument())));
    expect((await ask('/openapi.json?again')).text).toBe(answer.text);
  });

  test('tells others what any path tells them', async () => {
    const refused = await ask('/openapi.json', { caller: 'wrong' });
    expect(refused).toMatchObject({ status: 401, type: 'application/problem+json' });
    expect(refused.text).toBe((await ask('/v1/verify', { method: 'POST', body: '{}', caller: 'wrong' })).text);
  });

  test('serves no other method, and says so', async () => {
    const response = await fetch(`${listener.url}/openapi.json`, { method: 'POST', body: '{}' });
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET']);
  });
});

describe('the document', () => {
  const document = openApiDocument();
  const lint = async (source: object): Promise<readonly string[]> => {
    const rules = { 'no-identical-paths': 'error', 'no-unresolved-refs': 'error', struct: 'error' } as const;
    const more = {
      'no-invalid-media-type-examples': 'error',
      'operation-operationId-unique': 'error',
      'spec-components-invalid-map-name': 'error',
    } as const;
    const config = await createConfig({ rules: { ...rules, ...more, 'security-defined': 'error' } });
    const found = await lintFromString({ source: JSON.stringify(source), absoluteRef: 'openapi.json', config });
    return found.map(({ ruleId, message }) => `${ruleId}: ${message}`);
  };

  test('follows the rules of OpenAPI 3.1, and its examples fit its schemas', async () => {
    expect(await lint(document)).toEqual([]);
  });

  test.each([
    ['a response without a description', /"description":"There is nothing at this path[^"]*",/, ''],
    ['a schema that is missing', '"Problem":{', '"Other":{'],
    ['a way to prove oneself that is not of OpenAPI', '"mutualTLS"', '"certificate"'],
    ['an example that does not fit', '"targetChannels":["email","marketing"]', '"targetChannels":"email"'],
  ])('would not pass with %s', async (_what, right, wrong) => {
    const text = JSON.stringify(document);
    const spoilt = text.replace(right, wrong);
    expect(spoilt).not.toBe(text);
    expect(await lint(JSON.parse(spoilt) as object)).not.toEqual([]);
  });

  test('describes every member', () => {
    const schemas = document.components.schemas as Readonly<Record<string, { properties?: Record<string, Described> }>>;
    interface Described {
      readonly description?: string;
    }
    const all = Object.entries(schemas).flatMap(([name, { properties = {} }]) =>
      Object.entries(properties).map(([member, of]) => ({ at: `${name}.${member}`, is: of.description ?? '' })),
    );
    expect(all.length).toBeGreaterThan(35);
    expect(all.filter(({ is }) => is === '')).toEqual([]);
  });

  test('names every code and every problem', () => {
    expect(Object.keys(codes)).toEqual([...denyCodes]);
    expect(document.components.schemas['Denied']).toMatchObject({ properties: { code: { enum: denyCodes } } });
    for (const code of denyCodes) expect(document.paths['/v1/verify'].post.description).toContain(`- \`${code}\` (`);
    expect(Object.values(problemTable).map(({ problem }) => problem.status)).toEqual(problemStatuses);
  });

  test('gives types that a client compiles against, and that refuse a wrong client', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'keywright-openapi-'));
    try {
      await writeFile(join(folder, 'api.ts'), astToString(await openapiTypes(JSON.stringify(document))));
      await writeFile(join(folder, 'client.ts'), client);
      const options: ts.CompilerOptions = {
        ...{ strict: true, noEmit: true, skipLibCheck: true, types: [], lib: ['lib.es2022.d.ts', 'lib.dom.d.ts'] },
        ...{ target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler },
      };
      const program = ts.createProgram([join(folder, 'client.ts')], options);
      const faults = ts.getPreEmitDiagnostics(program);
      expect(faults.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' '))).toEqual([]);
    } finally {
      await rm(folder, { recursive: true });
    }
  }, 60_000);

  const client = `
    import type { components, paths } from './api';
    type Operation = paths['/v1/verify']['post'];
    type Body = Operation['requestBody']['content']['application/json'];
    type Verdict = Operation['responses'][200]['content']['application/json'];
    async function verify(url: string, token: string, body: Body): Promise<Verdict> {
      const headers = { 'keywright-caller': token };
      const response = await fetch(url + '/v1/verify', { method: 'POST', headers, body: JSON.stringify(body) });
      if (response.status !== 200) throw new Error(((await response.json()) as components['schemas']['Problem']).detail);
      return (await response.json()) as Verdict;
    }
    export async function mayPass(key: string): Promise<string> {
      const verdict = await verify('http://127.0.0.1:8080', 'token', { key, request: { host: 'h', method: 'GET', path: '/', upgrade: true } });
      if (verdict.allowed) return verdict.channels === 'All' ? verdict.expiresAt : verdict.channels.join();
      const status: 401 | 403 | 422 | 429 | 503 = verdict.status;
      return verdict.code === 'key_missing' ? 'none' : String(status + (verdict.retryAfterSeconds ?? 0));
    }
    // @ts-expect-error: the host is required
    export const without: Body = { request: { method: 'GET', path: '/' } };
    // @ts-expect-error: no such code
    export const code: components['schemas']['Denied']['code'] = 'key_lost';
  `;
});

describe('real answers', () => {
  /** With every member known: the schemas themselves let later members through. */
  function check(verdict: unknown): void {
    const { allowed } = verdict as { readonly allowed: boolean };
    expect((allowed ? allowedSchema : deniedSchema).strict().parse(verdict)).toEqual(verdict);
  }
  const request = { host: 'api.example.com', method: 'GET', path: '/v1/subscribers', scheme: 'https' };
  const key = token.reveal();

  test('are as documented: verdicts', async () => {
    const asked = [
      { key, request },
      { key, request: { ...request, path: '/v1/apps/shop-eu/subscribers/7', attributes: ['email'] } },
      { key, request: { ...request, method: 'POST', path: '/v1/campaigns', targetChannels: ['fax'] } },
      { key, request: { ...request, customer: '007' } },
      { key: 'nonsense', request },
      { request },
    ];
    for (const body of asked) check((await post('/v1/verify', body)).body);
    const { results } = (await post('/v1/verify/batch', { requests: asked })).body as { readonly results: readonly unknown[] };
    expect(results).toHaveLength(asked.length);
    results.forEach(check);
    storeFails = true;
    const stale = (await post('/v1/verify', { key, request })).body;
    check(stale);
    expect(stale).toMatchObject({ retryAfterSeconds: 1 });
  });

  test('are as documented: problems', async () => {
    const answers = {
      BadRequest: await post('/v1/verify', { request: { ...request, host: undefined } }),
      Unauthorized: await ask('/v1/verify', { method: 'POST', body: '{}', caller: 'wrong' }),
      NotFound: await post('/v1/other', {}),
      MethodNotAllowed: await ask('/v1/verify'),
      ContentTooLarge: await post('/v1/verify', ' '.repeat(64 * 1024 + 1)),
      UnsupportedMediaType: await ask('/v1/verify', { method: 'POST', body: '{}', headers: { 'content-encoding': 'br' } }),
      LengthRequired: await askWith({ 'transfer-encoding': 'chunked' }),
      ExpectationFailed: await askWith({ expect: 'more', 'content-length': '0' }),
    };
    for (const [name, { status, type, body }] of Object.entries(answers)) {
      const { problem } = problemTable[name] ?? {};
      expect(problemSchema.strict().parse(body)).toEqual(body);
      expect([status, type, body]).toEqual([
        problem?.status,
        'application/problem+json',
        { type: 'about:blank', title: problem?.title, status: problem?.status, detail: problem?.detail },
      ]);
    }
  });

  /** A request of a caller without a proof, with a head that `fetch` refuses to send. */
  function askWith(headers: Readonly<Record<string, string>>): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const sent = httpRequest(`${listener.url}/v1/verify`, { method: 'POST', headers }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        const { statusCode: status = 0, headers: answered } = response;
        response.on('end', () =>
          resolve({ status, type: answered['content-type'] ?? null, text, body: JSON.parse(text) as unknown }),
        );
      });
      sent.on('error', reject);
      sent.end();
    });
  }
});

describe('docs/reference/verify.md', () => {
  test('shows exchanges that are real', async () => {
    const page = await readFile(join(import.meta.dirname, '../../../docs/reference/verify.md'), 'utf8');
    const shown = [...page.matchAll(/`POST (\S+)`\n\n```json\n(.*?)```\n\nThe answer:\n\n```json\n(.*?)```/gs)];
    expect(shown).toHaveLength(Object.keys(examples).length);
    for (const [, path = '', body = '', answer = ''] of shown)
      expect(await post(path, body)).toMatchObject({ status: 200, body: JSON.parse(answer) as unknown });
  });
});

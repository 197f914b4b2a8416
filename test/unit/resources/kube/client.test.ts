import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { Failure } from '../../../../operator/src/domain/failure.ts';
import { systemClock } from '../../../../operator/src/domain/time.ts';
import type { Access } from '../../../../operator/src/resources/kube/access.ts';
import { KubeClient } from '../../../../operator/src/resources/kube/client.ts';
import type { KubeRequest } from '../../../../operator/src/resources/kube/client.ts';
import { KubeFault } from '../../../../operator/src/resources/kube/fault.ts';
import { certificate } from '../../../builders/certificate.ts';

type Handler = (request: IncomingMessage, response: ServerResponse, call: number) => void;

const open: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

/** A client of a server that answers as the test says. */
async function clientOf(handler: Handler) {
  let calls = 0;
  const server: Server = createServer((request, response) => {
    calls += 1;
    handler(request, response, calls);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const told: string[] = [];
  let token = 'old';
  const client = new KubeClient({
    clock: systemClock,
    onCall: (verb, kind, code) => told.push(`${verb} ${kind} ${code}`),
    access: {
      current: () =>
        Promise.resolve({
          origin: `http://127.0.0.1:${String(port)}`,
          basePath: '/prefix',
          proxyUrl: undefined,
          headers: { authorization: `Bearer ${token}` },
          tls: {},
          connectionKey: 'one',
        }),
      invalidate: () => (token = 'new'),
    },
  });
  open.push(async () => {
    await client.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { client, told, calls: () => calls, server };
}

const get: KubeRequest = { verb: 'get', kind: 'ApiKey', path: '/apis/x', query: { a: 'b c' }, timeoutMs: 300 };
const failureOf = async (work: Promise<unknown>): Promise<Failure> => {
  const failure = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(failure).toBeInstanceOf(Failure);
  return failure as Failure;
};
const json = (response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}) => {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
};

describe('the API client', () => {
  it('sends path, query, credentials and body as they are, and keeps unknown fields', async () => {
    const seen: unknown[] = [];
    const { client, told } = await clientOf((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        seen.push([request.method, request.url, request.headers['content-type'], request.headers.authorization, body]);
        json(response, 200, { 'x-kubernetes-unknown': 1 });
      });
    });
    expect(await client.send(get)).toEqual({
      status: 200,
      body: { 'x-kubernetes-unknown': 1 },
      date: expect.any(Number) as number,
    });
    await client.send({ verb: 'apply', kind: 'ApiKey', path: '/y', body: { a: 1 } });
    expect(seen).toEqual([
      ['GET', '/prefix/apis/x?a=b+c', undefined, 'Bearer old', ''],
      ['PATCH', '/prefix/y', 'application/apply-patch+yaml', 'Bearer old', '{"a":1}'],
    ]);
    expect(told).toEqual(['get ApiKey 200', 'apply ApiKey 200']);
  });

  it.each([404, 409, 422])('hands out %d as an answer', async (status) => {
    const { client, calls } = await clientOf((_request, response) => json(response, status, { code: status }));
    expect(await client.send(get)).toEqual({ status, body: { code: status }, date: expect.any(Number) as number });
    expect(calls()).toBe(1);
  });

  it('takes new credentials once when the server does not accept the old ones', async () => {
    const { client, calls } = await clientOf((request, response) => {
      json(response, request.headers.authorization === 'Bearer new' ? 200 : 401, {});
    });
    expect((await client.send(get)).status).toBe(200);
    expect(calls()).toBe(2);
    const refused = await clientOf((_request, response) => json(response, 401, {}));
    expect(await failureOf(refused.client.send(get))).toMatchObject({ kind: 'waiting' });
    expect(refused.calls()).toBe(2);
  });

  it.each([429, 500, 503])('tries %d again, three times at most', async (status) => {
    const healed = await clientOf((_request, response, call) => json(response, call === 1 ? status : 200, {}));
    expect((await healed.client.send({ ...get, timeoutMs: 5_000 })).status).toBe(200);
    const { client, calls } = await clientOf((_request, response) => json(response, status, {}));
    expect(await failureOf(client.send({ ...get, timeoutMs: 5_000 }))).toMatchObject({ kind: 'transient' });
    expect(calls()).toBe(3);
  });

  it('tells the Retry-After of a server that wants more patience than the call has', async () => {
    const { client, calls } = await clientOf((_request, response) => json(response, 429, {}, { 'retry-after': '30' }));
    expect(await failureOf(client.send(get))).toMatchObject({ kind: 'transient', retryAfterMs: 30_000 });
    expect(calls()).toBe(1);
  });

  it('waits for rights, and does not quote the server', async () => {
    const { client } = await clientOf((_request, response) => json(response, 403, { message: 'secret text' }));
    const failure = await failureOf(client.send(get));
    expect(failure).toMatchObject({ kind: 'waiting' });
    expect(failure.message).not.toContain('secret text');
    expect(failure.cause).toBeUndefined();
  });

  it('knows a namespace that is being deleted', async () => {
    const { client } = await clientOf((_request, response) =>
      json(response, 403, { details: { causes: [{ reason: 'NamespaceTerminating', field: 'metadata.namespace' }] } }),
    );
    expect(await failureOf(client.send({ ...get, verb: 'create' }))).toMatchObject({
      kind: 'waiting',
      reason: 'NamespaceTerminating',
    });
  });

  it.each<[string, Handler]>([
    ['hangs', () => undefined],
    ['hangs half way', (_request, response) => response.writeHead(200).write('{"a":')],
    ['answers with a page', (_request, response) => response.end('<html>')],
    ['hangs up', (request) => request.socket.destroy()],
    [
      'hangs up half way',
      (request, response) => response.writeHead(200, { 'content-length': '100' }).write('{', () => request.socket.destroy()),
    ],
  ])('fails within its time when the server %s', async (_title, handler) => {
    const { client } = await clientOf(handler);
    expect(await failureOf(client.send(get))).toMatchObject({ kind: 'transient' });
  });

  it('fails when nobody listens', async () => {
    const { client, server, told } = await clientOf(() => undefined);
    await new Promise((resolve) => server.close(resolve));
    expect(await failureOf(client.send(get))).toMatchObject({
      kind: 'transient',
      message: expect.stringContaining('refused') as string,
    });
    expect(told[0]).toBe('get ApiKey refused');
  });

  it('ends what is in flight on closing, and opens nothing afterwards', async () => {
    const { client, calls } = await clientOf(() => undefined);
    const inFlight = client.send({ ...get, timeoutMs: 10_000 });
    const failure = failureOf(inFlight);
    await expect.poll(calls).toBe(1);
    await client.close();
    expect(await failure).toMatchObject({ kind: 'transient' });
    expect(await failureOf(client.send(get))).toMatchObject({ kind: 'transient' });
    expect(calls()).toBe(1);
  });

  it('gives the values of a watch one by one, over chunks that cut anywhere', async () => {
    const bytes = Buffer.from('{"n":1}\n\n{"n":"ä€😀"}\n{"n":3');
    const { client } = await clientOf((_request, response) => {
      response.writeHead(200);
      const writeFrom = (at: number): void => {
        if (at >= bytes.length) response.end();
        else response.write(bytes.subarray(at, at + 1), () => setImmediate(writeFrom, at + 1));
      };
      writeFrom(0);
    });
    const values: unknown[] = [];
    for await (const value of await client.watch({ ...get, verb: 'watch' }, new AbortController().signal)) values.push(value);
    expect(values).toEqual([{ n: 1 }, { n: 'ä€😀' }]);
  });

  it('throws the status of a watch that is refused, and ends one that is aborted', async () => {
    const refused = await clientOf((_request, response) => json(response, 410, {}));
    const signal = new AbortController().signal;
    await expect(refused.client.watch({ ...get, verb: 'watch' }, signal)).rejects.toMatchObject({ code: 410 });
    const { client } = await clientOf((_request, response) => response.writeHead(200).write('{"n":1}\n'));
    const abort = new AbortController();
    const work = (async () => {
      for await (const _value of await client.watch({ ...get, verb: 'watch' }, abort.signal)) abort.abort();
    })();
    await expect(work).rejects.toThrow();
  });

  it('calls a watch with rubbish in it broken', async () => {
    const { client } = await clientOf((_request, response) => response.end('{"n":1}\nrubbish\n'));
    const values: unknown[] = [];
    const work = (async () => {
      for await (const value of await client.watch({ ...get, verb: 'watch' }, new AbortController().signal)) values.push(value);
    })();
    await expect(work).rejects.toEqual(new KubeFault('broken'));
    expect(values).toEqual([{ n: 1 }]);
  });
});

it('presents a token of somebody else without anything of ours: no certificate, no header', async () => {
  const authority = certificate('keywright test CA');
  const { cert, key } = certificate('api', authority);
  const seen: unknown[] = [];
  const server = createTlsServer({ cert, key, requestCert: true, rejectUnauthorized: false }, (request, response) => {
    const peer = (request.socket as TLSSocket).getPeerCertificate();
    seen.push([Object.keys(peer).length, request.headers.authorization, request.headers['impersonate-user'], request.url]);
    response.writeHead(401).end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const ours = certificate('operator');
  const access: Access = {
    origin: `https://127.0.0.1:${String(port)}`,
    basePath: '',
    proxyUrl: undefined,
    headers: { authorization: 'Bearer ours', 'impersonate-user': 'admin' },
    tls: { ca: authority.cert, cert: ours.cert, key: ours.key },
    connectionKey: 'one',
  };
  const client = new KubeClient({ clock: systemClock, access: { current: async () => access, invalidate: () => undefined } });
  try {
    await expect(client.sendRaw(get)).rejects.toMatchObject({ code: 401 });
    seen.length = 0;
    expect(await client.statusAs('theirs', { verb: 'create', kind: 'SelfSubjectReview', path: '/review' })).toBe(401);
    expect(seen).toEqual([[0, 'Bearer theirs', undefined, '/review']]);
  } finally {
    await client.close();
    server.closeAllConnections();
    server.close();
  }
});

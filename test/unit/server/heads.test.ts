import diagnostics from 'node:diagnostics_channel';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { systemClock } from '../../../operator/src/domain/time.ts';
import { limitsOf } from '../../../operator/src/server/connections.ts';
import { startListener } from '../../../operator/src/server/listener.ts';
import type { Listener } from '../../../operator/src/server/listener.ts';
import { startHealthServer } from '../../../operator/src/server/start.ts';
import { silentLog } from '../../../operator/src/telemetry/log.ts';
import { createMetrics } from '../../../operator/src/telemetry/metrics.ts';
import { certificate } from '../../builders/certificate.ts';

const address = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;
const authority = certificate('authority');
const server = certificate('server', authority);

let listeners: Listener[];
let sockets: Socket[];
/** Heads that the parser has turned into a request, in the whole process. */
let parsed: number;
const count = (): void => void (parsed += 1);
beforeEach(() => {
  [listeners, sockets, parsed] = [[], [], 0];
  diagnostics.subscribe('http.server.request.start', count);
});
afterEach(async () => {
  diagnostics.unsubscribe('http.server.request.start', count);
  for (const socket of sockets) socket.destroy();
  await Promise.all(listeners.map((listener) => listener.close(0)));
});

/** Admits senders of `keywright-caller: good`; answers 200 or 401, with the length of the body. */
async function startVerify(tls?: { readonly cert: string; readonly key: string }): Promise<Listener> {
  const listener = await startListener({
    ...{ name: 'verify', address, limits: limitsOf(64, { tls: false }), clock: systemClock, log: silentLog },
    ...(tls === undefined ? {} : { tls }),
    metrics: createMetrics().recorder,
    isAdmitted: (request) => request.headers['keywright-caller'] === 'good',
    handler: async (request, response, { admitted }) => {
      let length = 0;
      if (admitted) for await (const chunk of request as AsyncIterable<Buffer>) length += chunk.length;
      response.statusCode = admitted ? 200 : 401;
      response.end(String(length));
    },
  });
  listeners.push(listener);
  return listener;
}

async function startHealth(): Promise<Listener> {
  const listener = await startHealthServer({
    ...{ address, live: [], ready: [], metrics: createMetrics(), clock: systemClock, log: silentLog },
  });
  listeners.push(listener);
  return listener;
}

/** Sends bytes in one piece; resolves to all that comes back until the server ends the connection. */
async function send(listener: Listener, bytes: string, isTls = false): Promise<string> {
  const { port } = listener.address as { port: number };
  const to = { port, host: '127.0.0.1', allowHalfOpen: true };
  const socket = isTls ? connectTls({ ...to, ca: authority.cert }) : connect(to);
  sockets.push(socket);
  await once(socket, isTls ? 'secureConnect' : 'connect');
  socket.write(bytes, 'latin1');
  let text = '';
  return await new Promise((resolve) => {
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
    socket.on('end', () => socket.destroy());
    socket.on('close', () => resolve(text));
  });
}

const statusOf = (answer: string): number => Number(/^HTTP\/1\.1 ([0-9]{3})/.exec(answer)?.[1]);
const head = (...lines: readonly string[]): string => `${lines.join('\r\n')}\r\n\r\n`;
const tiny = head('GET / HTTP/1.1', 'Host: a');

describe('a packet of thousands of tiny requests', () => {
  test.each([
    ['the verify API', () => startVerify(), false],
    ['the verify API with TLS', () => startVerify({ cert: server.cert, key: server.key }), true],
    ['health and metrics', startHealth, false],
  ])('is parsed no further than its connection may have requests: at %s', async (_what, start, isTls) => {
    const listener = await start();
    await send(listener, tiny.repeat(2_000), isTls);
    expect(parsed).toBeLessThanOrEqual(4);
  });

  test.each([
    ['without a host', head('GET / HTTP/1.1')],
    ['with an expectation', head('GET / HTTP/1.1', 'Host: a', 'Expect: nothing')],
    ['for a tunnel', head('CONNECT a:443 HTTP/1.1', 'Host: a')],
    ['for another protocol', head('GET / HTTP/1.1', 'Host: a', 'Connection: upgrade, close', 'Upgrade: websocket')],
    ['with an empty body', head('POST / HTTP/1.1', 'Host: a', 'Content-Length: 0')],
    ['with a body of chunks', `${head('POST / HTTP/1.1', 'Host: a', 'Transfer-Encoding: chunked')}0\r\n\r\n`],
  ])('is no way around that %s', async (_what, request) => {
    await send(await startVerify(), request.repeat(500));
    expect(parsed).toBeLessThanOrEqual(4);
  });

  test('lets a few pipelined requests through, and answers them in order', async () => {
    const close = head('GET / HTTP/1.1', 'Host: a', 'Connection: close', 'keywright-caller: good');
    const answers = await send(await startVerify(), tiny.repeat(2) + close);
    expect(answers.match(/HTTP\/1\.1 [0-9]{3}/g)).toEqual(['HTTP/1.1 401', 'HTTP/1.1 401', 'HTTP/1.1 200']);
  });
});

describe('a body of thousands of chunks', () => {
  const chunked = (...lines: readonly string[]): string =>
    head('POST /v1/verify HTTP/1.1', 'Host: a', 'Transfer-Encoding: chunked', ...lines) + '1\r\na\r\n'.repeat(100) + '0\r\n\r\n';

  test('is not even parsed from a sender that is not admitted, or where no body is expected', async () => {
    for (const listener of [await startVerify(), await startHealth()])
      expect(await send(listener, chunked())).toMatch(/^HTTP\/1\.1 411 [^]*"A body needs a Content-Length here\."/);
    expect(parsed).toBe(0);
  });

  test('may be sent by an admitted caller', async () => {
    const answer = await send(await startVerify(), chunked('Keywright-Caller: good', 'Connection: close'));
    expect(answer).toMatch(/^HTTP\/1\.1 200 [^]*\r\n\r\n100$/);
  });
});

describe('a head that two parties could read differently', () => {
  test.each([
    ['two hosts', ['Host: a', 'Host: b']],
    ['the same host twice', ['Host: a', 'hOST: a']],
    ['no host', []],
    ['a host that is none', ['Host: a b']],
    ['a host and a path', ['Host: a/b']],
    ['two caller tokens', ['Host: a', 'Keywright-Caller: good', 'Keywright-Caller: good']],
    ['two authorizations', ['Host: a', 'Authorization: Bearer a', 'Authorization: Bearer b']],
    ['two types', ['Host: a', 'Content-Type: application/json', 'Content-Type: text/plain']],
    ['two lengths', ['Host: a', 'Content-Length: 1', 'Content-Length: 2']],
    ['the same length twice', ['Host: a', 'Content-Length: 0', 'Content-Length: 0']],
    ['a length and chunks', ['Host: a', 'Content-Length: 1', 'Transfer-Encoding: chunked']],
    ['two codings of the transfer', ['Host: a', 'Transfer-Encoding: identity', 'Transfer-Encoding: chunked']],
    ['two codings of the content', ['Host: a', 'Content-Encoding: identity', 'Content-Encoding: gzip']],
  ])('is a 400: %s', async (_what, lines) => {
    const bytes = head('POST / HTTP/1.1', ...lines, 'Connection: close');
    for (const listener of [await startVerify(), await startHealth()]) expect(statusOf(await send(listener, bytes))).toBe(400);
  });

  test('is refused with the name of the header, not its value', async () => {
    const answer = await send(
      await startVerify(),
      head('GET / HTTP/1.1', 'Host: a', 'Authorization: xyzzy', 'Authorization: xyzzy'),
    );
    expect(answer).toContain('"The header authorization comes more than once."');
    expect(answer).not.toContain('xyzzy');
  });

  test.each(['a', 'a:80', '127.0.0.1:8080', '[::1]:8080', 'kw_authorizer.ns.svc', ''])(
    'is none with the host %j',
    async (host) => {
      const answer = await send(await startVerify(), head('GET / HTTP/1.1', `Host: ${host}`, 'Connection: close'));
      expect(statusOf(answer)).toBe(401);
    },
  );

  test('may lack a host in HTTP/1.0', async () => {
    expect(statusOf(await send(await startVerify(), head('GET / HTTP/1.0')))).toBe(401);
  });
});

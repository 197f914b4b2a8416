import { once } from 'node:events';
import { link, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import type { ServerResponse } from 'node:http';
import { connect, createServer as createSocketServer } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { systemClock } from '../../../operator/src/domain/time.ts';
import { formatAddress, isLocalAddress, parseAddress } from '../../../operator/src/server/address.ts';
import type { ListenAddress } from '../../../operator/src/server/address.ts';
import { limitsOf } from '../../../operator/src/server/connections.ts';
import { startListener } from '../../../operator/src/server/listener.ts';
import type { Handler, Listener, ListenerInput } from '../../../operator/src/server/listener.ts';
import { startHealthServer } from '../../../operator/src/server/start.ts';
import { silentLog } from '../../../operator/src/telemetry/log.ts';
import { createMetrics, silentMetrics } from '../../../operator/src/telemetry/metrics.ts';
import type { MetricsPage } from '../../../operator/src/telemetry/metrics.ts';
import { createLog } from '../../../operator/src/telemetry/pino.ts';
import { certificate } from '../../builders/certificate.ts';
import { FakeClock } from '../../harness/fakes/clock.ts';
import { until } from '../../harness/until.ts';

const loopback: ListenAddress = { kind: 'tcp', host: '127.0.0.1', port: 0 };
const hello: Handler = (_request, response) => {
  response.end('hello');
};

const plain = {
  name: 'verify',
  limits: limitsOf(64, { tls: false }),
  clock: systemClock,
  log: silentLog,
  metrics: silentMetrics,
} as const;

let folder: string;
let open: Listener[];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keywright-listener-'));
  open = [];
});
afterEach(async () => {
  await Promise.all(open.map((listener) => listener.close(0)));
  await rm(folder, { recursive: true });
});

async function start(address: ListenAddress, handler: Handler, log = silentLog): Promise<Listener> {
  const listener = await startListener({ ...plain, address, handler, log });
  open.push(listener);
  return listener;
}

describe('an address', () => {
  test.each<[string, ListenAddress, boolean]>([
    [':9090', { kind: 'tcp', host: undefined, port: 9090 }, false],
    ['127.0.0.1:8080', { kind: 'tcp', host: '127.0.0.1', port: 8080 }, true],
    ['127.8.9.1:1', { kind: 'tcp', host: '127.8.9.1', port: 1 }, true],
    ['[::1]:8080', { kind: 'tcp', host: '::1', port: 8080 }, true],
    ['[::]:8080', { kind: 'tcp', host: '::', port: 8080 }, false],
    ['localhost:0', { kind: 'tcp', host: 'localhost', port: 0 }, true],
    ['0.0.0.0:80', { kind: 'tcp', host: '0.0.0.0', port: 80 }, false],
    ['127.0.0.1.example.com:80', { kind: 'tcp', host: '127.0.0.1.example.com', port: 80 }, false],
    ['unix:/run/kw.sock', { kind: 'unix', path: '/run/kw.sock' }, true],
  ])('%s is read, written back, and known as local or not', (text, address, local) => {
    expect(parseAddress(text)).toEqual(address);
    expect(formatAddress(address)).toBe(text);
    expect(isLocalAddress(address)).toBe(local);
  });

  test.each(['', '8080', ':', ':x', ':65536', '::1:80', 'host', 'unix:', 'unix:x', 'http://h:1', 'a b:1'])(
    '%j is none',
    (text) => {
      expect(parseAddress(text)).toBeUndefined();
    },
  );
});

describe('a listener', () => {
  test('says where it really listens', async () => {
    const listener = await start(loopback, hello);
    expect(listener.address).not.toEqual(loopback);
    expect(await (await fetch(listener.url)).text()).toBe('hello');
  });

  test('lets a running request end when it is closed, and takes no new one', async () => {
    let answer: ServerResponse | undefined;
    let arrived = (): void => {};
    const arrival = new Promise<void>((resolve) => (arrived = resolve));
    const listener = await start(loopback, (_request, response) => {
      answer = response;
      arrived();
    });
    const reply = fetch(listener.url).then((response) => response.text());
    await arrival;
    const closed = listener.close(10_000);
    await expect(fetch(listener.url)).rejects.toThrow();
    answer?.end('late');
    expect(await reply).toBe('late');
    await closed;
  });

  test('cuts a request that does not end within the drain time', async () => {
    const clock = new FakeClock();
    let arrived = (): void => {};
    const arrival = new Promise<void>((resolve) => (arrived = resolve));
    const listener = await startListener({ ...plain, address: loopback, handler: () => arrived(), clock });
    const cut = expect(fetch(listener.url)).rejects.toThrow();
    await arrival;
    const closed = listener.close(5_000);
    await clock.advance(5_000);
    await closed;
    await cut;
  });

  test('loses no request of a busy client while it ends: it tells him to leave before it closes', async () => {
    const clock = new FakeClock();
    const listener = await startListener({ ...plain, address: loopback, handler: hello, clock });
    const { port } = listener.address as { port: number };
    const socket = connect(port, '127.0.0.1').setEncoding('utf8');
    const ask = async (): Promise<string> => {
      socket.write('GET / HTTP/1.1\r\nhost: here\r\n\r\n');
      const [answer] = (await once(socket, 'data')) as [string];
      return /connection: .*/i.exec(answer)?.[0] ?? '';
    };
    expect(await ask()).toMatch(/keep-alive/);
    const closed = listener.close(5_000, 1_000);
    expect(await ask()).toMatch(/close/);
    // Nobody is left to wait for, though no time has passed.
    await closed;
  });

  test('waits no longer than it was told for a client who is silent', async () => {
    const clock = new FakeClock();
    const listener = await startListener({ ...plain, address: loopback, handler: hello, clock });
    const { port } = listener.address as { port: number };
    const socket = connect(port, '127.0.0.1');
    socket.write('GET / HTTP/1.1\r\nhost: here\r\n\r\n');
    await once(socket, 'data');
    const ended = once(socket, 'close');
    const closed = listener.close(5_000, 1_000);
    await clock.advance(1_000);
    await Promise.all([closed, ended]);
  });

  test('answers 500 without the text of an error, and logs it without that text', async () => {
    const lines: string[] = [];
    const log = createLog({ level: 'trace', destination: { write: (line) => void lines.push(line) } });
    const listener = await start(loopback, () => Promise.reject(new TypeError('the secret is xyzzy')), log);
    const response = await fetch(listener.url);
    expect(response.status).toBe(500);
    expect((await response.text()) + lines.join('')).not.toContain('xyzzy');
    expect(lines.join('')).toContain('TypeError');
  });

  test('rejects when the address is taken', async () => {
    const first = await start(loopback, hello);
    await expect(start(first.address, hello)).rejects.toThrow('EADDRINUSE');
  });
});

describe('a listener within its bounds', () => {
  const halfHead = 'POST /v1/verify HTTP/1.1\r\nhost: here\r\nx-long: ';
  const token = 'keywright-caller: good\r\n';
  const whole = (headers = ''): string => `GET / HTTP/1.1\r\nhost: here\r\n${headers}\r\n`;

  let sockets: Socket[];
  let drops: string[];
  beforeEach(() => {
    sockets = [];
    drops = [];
  });
  afterEach(() => {
    for (const socket of sockets) socket.destroy();
  });

  /** Four unproven ones in all, two of one address; two proven ones. Who has the token may ask. */
  async function bounded(changes: Partial<ListenerInput> = {}): Promise<Listener> {
    const listener = await startListener({
      ...plain,
      address: loopback,
      limits: { proven: 2, unproven: 4, unprovenPerSource: 2, pipelined: 3 },
      isAdmitted: (request) => request.headers['keywright-caller'] === 'good',
      metrics: { connectionDropped: ({ cause }) => void drops.push(cause) },
      handler: (_request, response, { admitted }) => {
        response.statusCode = admitted ? 200 : 401;
        response.end();
      },
      ...changes,
    });
    open.push(listener);
    return listener;
  }

  async function connectTo(listener: Listener, localAddress = '127.0.0.1'): Promise<Socket> {
    const { port } = listener.address as { port: number };
    // Like an attacker's, it closes nothing by itself.
    const socket = connect({ port, host: '127.0.0.1', localAddress, allowHalfOpen: true }).setEncoding('utf8');
    sockets.push(socket);
    socket.on('error', () => {});
    await once(socket, 'connect');
    return socket;
  }

  const closed = (socket: Socket): Promise<unknown> =>
    new Promise((resolve) =>
      socket
        .on('end', () => resolve(undefined))
        .on('close', () => resolve(undefined))
        .resume(),
    );

  async function ask(socket: Socket, headers = ''): Promise<string> {
    socket.write(whole(headers));
    const [text] = (await once(socket, 'data')) as [string];
    return /^HTTP.1.1 ([0-9]+)[^]*?\nconnection: ([a-z-]+)/i.exec(text)?.slice(1).join(' ') ?? text;
  }

  test('drops the oldest connections of a source that sends no whole head, and answers who does, from there and elsewhere', async () => {
    const listener = await bounded();
    const held = [];
    for (let count = 0; count < 4; count += 1) {
      const socket = await connectTo(listener, '127.0.0.3');
      socket.write(halfHead);
      held.push({ socket, end: closed(socket) });
    }
    await Promise.all(held.slice(0, 2).map(({ end }) => end));
    expect(await ask(await connectTo(listener, '127.0.0.2'), token)).toBe('200 keep-alive');
    expect(await ask(await connectTo(listener, '127.0.0.3'), token)).toBe('200 keep-alive');
    expect(drops).toEqual(['displaced', 'displaced', 'displaced']);
  });

  test('keeps a proven connection through any number of others, and closes the next proven ones with their answer', async () => {
    const listener = await bounded();
    const gateway = await connectTo(listener);
    expect(await ask(gateway, token)).toBe('200 keep-alive');
    expect(await ask(await connectTo(listener), token)).toBe('200 keep-alive');
    for (let count = 0; count < 20; count += 1) await connectTo(listener, `127.0.0.${3 + (count % 5)}`);
    expect(await ask(gateway, token)).toBe('200 keep-alive');
    expect(await ask(await connectTo(listener, '127.0.0.9'), token)).toBe('200 close');
  });

  test('a caller who is refused is proven no more', async () => {
    const listener = await bounded();
    const once = await connectTo(listener, '127.0.0.3');
    expect([await ask(once, token), await ask(once)]).toEqual(['200 keep-alive', '401 keep-alive']);
    const end = closed(once);
    await connectTo(listener, '127.0.0.3');
    await connectTo(listener, '127.0.0.3');
    await end;
  });

  test('lets go of a connection whose client takes too long for a head and never closes its half', async () => {
    const listener = await bounded({ timeouts: { headersTimeout: 50, requestTimeout: 100 } });
    const socket = await connectTo(listener, '127.0.0.3');
    socket.write(halfHead);
    const end = closed(socket);
    await end;
    // What is left of it would be one of the two that this address may have, and the one to go.
    const others = [await connectTo(listener, '127.0.0.3'), await connectTo(listener, '127.0.0.3')];
    expect(await ask(others[0] as Socket)).toContain('401');
    expect(drops).toEqual([]);
  });

  test('cuts a client that sends a body too slowly, and one that does not read its answer', async () => {
    const ends: string[] = [];
    const listener = await bounded({
      timeouts: { headersTimeout: 50, requestTimeout: 100, timeout: 100 },
      handler: async (request, response) => {
        const what = request.method === 'POST' ? 'body' : 'answer';
        response.once('close', () => ends.push(what));
        if (what === 'answer') response.end(Buffer.alloc(32 * 1024 * 1024));
        else for await (const chunk of request) void chunk;
      },
    });
    const [sender, reader] = [await connectTo(listener), await connectTo(listener, '127.0.0.2')];
    sender.write('POST / HTTP/1.1\r\nhost: here\r\nkeywright-caller: good\r\ncontent-length: 100\r\n\r\nx');
    reader.write(whole(token));
    await until(() => ends.length === 2, { what: 'both to be cut' });
    expect([...ends].sort()).toEqual(['answer', 'body']);
  });

  test('cuts a connection that piles up requests without an answer', async () => {
    let arrived = 0;
    const listener = await bounded({ handler: () => void (arrived += 1) });
    const socket = await connectTo(listener);
    const end = closed(socket);
    socket.write(whole(token).repeat(1_000));
    await end;
    expect([arrived, drops]).toEqual([3, ['pipelined']]);
  });

  test('takes no upgrade and no tunnel', async () => {
    const listener = await bounded();
    const upgrade = 'connection: upgrade\r\nupgrade: websocket\r\n';
    expect(await ask(await connectTo(listener), token + upgrade)).toContain('200');
    const tunnel = await connectTo(listener);
    tunnel.write('CONNECT example.com:443 HTTP/1.1\r\nhost: example.com\r\n\r\n');
    await closed(tunnel);
  });

  test('refuses a head of more than a hundred lines', async () => {
    const listener = await bounded();
    const lines = (count: number): string => Array.from({ length: count }, (_, index) => `x${index}: y\r\n`).join('');
    expect(await ask(await connectTo(listener), lines(90) + token)).toContain('200');
    expect(await ask(await connectTo(listener), lines(200) + token)).toContain('400');
  });

  describe('with TLS', () => {
    const authority = certificate('authority');
    const server = certificate('server', authority);
    const tls = { cert: server.cert, key: server.key };

    test('cuts a client that does not finish a handshake in time', async () => {
      const listener = await bounded({ tls, timeouts: { handshakeTimeout: 50 } });
      await closed(await connectTo(listener));
    });

    test('counts connections from before their handshake to their end', async () => {
      const listener = await bounded({ tls });
      const { port } = listener.address as { port: number };
      const secure = async (): Promise<Socket> => {
        const plainSocket = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.3' });
        const socket = connectTls({ socket: plainSocket, host: '127.0.0.1', ca: authority.cert });
        sockets.push(socket.setEncoding('utf8').on('error', () => {}));
        await once(socket, 'secureConnect');
        return socket;
      };
      const [silent, idle] = [await connectTo(listener, '127.0.0.3'), await secure()];
      const gone = closed(silent);
      expect(await ask(await secure(), token)).toBe('200 keep-alive');
      await gone;
      idle.destroy();
      await once(idle, 'close');
      // Both places are free again, as soon as the server has seen that too.
      await until(
        async () => {
          drops = [];
          for (const socket of [await secure(), await secure()]) expect(await ask(socket)).toContain('401');
          return drops.length === 0;
        },
        { what: 'both places to be free' },
      );
    });
  });
});

describe('a Unix socket', () => {
  const get = (socketPath: string): Promise<string> =>
    new Promise((resolve, reject) => {
      httpRequest({ socketPath, path: '/' }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.on('end', () => resolve(text));
      })
        .on('error', reject)
        .end();
    });

  test('serves our user and group only', async () => {
    const path = join(folder, 'kw.sock');
    await start({ kind: 'unix', path }, hello);
    expect(await get(path)).toBe('hello');
    expect((await stat(path)).mode & 0o777).toBe(0o660);
  });

  test('that somebody still serves is not taken', async () => {
    const path = join(folder, 'kw.sock');
    await start({ kind: 'unix', path }, hello);
    await expect(start({ kind: 'unix', path }, hello)).rejects.toThrow('EADDRINUSE');
    expect(await get(path)).toBe('hello');
  });

  test('that a killed process left is replaced, and another file is not', async () => {
    const path = join(folder, 'kw.sock');
    await leaveDeadSocket(path);
    await start({ kind: 'unix', path }, hello);
    expect(await get(path)).toBe('hello');
    const other = join(folder, 'notes.txt');
    await writeFile(other, 'mine');
    await expect(start({ kind: 'unix', path: other }, hello)).rejects.toThrow();
    expect((await stat(other)).size).toBe(4);
  });

  /** A closed server removes its socket, so that a link keeps what a kill would leave. */
  async function leaveDeadSocket(path: string): Promise<void> {
    const server = createSocketServer();
    await new Promise<void>((resolve) => server.listen(`${path}.first`, resolve));
    await link(`${path}.first`, path);
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
});

describe('the health listener', () => {
  const clock = new FakeClock();
  let storeIsWell: () => boolean | Promise<boolean>;
  let url: string;
  beforeEach(async () => {
    storeIsWell = () => true;
    const metrics = createMetrics();
    metrics.recorder.verified({ code: 'key_invalid', durationMs: 2 });
    const listener = await startHealthServer({
      address: loopback,
      live: [],
      ready: [
        { name: 'sync', isWell: () => true },
        { name: 'store', isWell: () => storeIsWell() },
      ],
      metrics,
      clock,
      log: silentLog,
    });
    open.push({
      ...listener,
      close: async () => await Promise.all([listener.close(1_000), clock.advance(1_000)]).then(() => {}),
    });
    url = listener.url;
  });
  const get = async (path: string): Promise<readonly [number, string]> => {
    const response = await fetch(`${url}${path}`);
    return [response.status, await response.text()];
  };

  test('is live and ready when all checks are well', async () => {
    expect(await get('/healthz')).toEqual([200, 'ok\n']);
    expect(await get('/readyz?verbose')).toEqual([200, '[+] sync\n[+] store\nok\n']);
  });

  test('is live but not ready when one says no or fails, and names it', async () => {
    for (const answer of [() => false, () => Promise.reject(new Error('no')), () => Promise.resolve(false)]) {
      storeIsWell = answer;
      expect(await get('/readyz')).toEqual([503, '[+] sync\n[-] store\nnot ok\n']);
      expect((await get('/healthz'))[0]).toBe(200);
    }
  });

  test('takes no answer in time as a no', async () => {
    let asked = (): void => {};
    const asking = new Promise<void>((resolve) => (asked = resolve));
    storeIsWell = () => {
      asked();
      return new Promise<boolean>(() => {});
    };
    const answer = get('/readyz');
    await asking;
    await clock.advance(800);
    expect((await answer)[0]).toBe(503);
  });

  test('answers a probe while a stranger holds as many connections as he likes', async () => {
    const { port } = new URL(url);
    const held = Array.from({ length: 100 }, () => connect({ port: Number(port), host: '127.0.0.1', localAddress: '127.0.0.3' }));
    await Promise.all(
      held.map((socket) =>
        once(
          socket.on('error', () => {}),
          'connect',
        ),
      ),
    );
    expect((await get('/readyz'))[0]).toBe(200);
    expect((await get('/metrics'))[1]).toContain('keywright_connections_dropped_total{listener="health",cause="displaced"} 68');
    for (const socket of held) socket.destroy();
  });

  test('asks each check once for all who ask at the same time, and once a second', async () => {
    let [asked, answer] = [0, (_well: boolean): void => {}];
    storeIsWell = () => {
      asked += 1;
      return new Promise((resolve) => (answer = resolve));
    };
    const answers = Array.from({ length: 30 }, () => get('/readyz'));
    await until(() => asked > 0, { what: 'the first question' });
    answer(true);
    for (const [status] of await Promise.all(answers)) expect(status).toBe(200);
    // Well again in a moment, but this second's answer is known.
    storeIsWell = () => {
      asked += 1;
      return false;
    };
    await clock.advance(999);
    expect((await get('/readyz'))[0]).toBe(200);
    expect(asked).toBe(1);
    await clock.advance(1);
    expect((await get('/readyz'))[0]).toBe(503);
    expect(asked).toBe(2);
  });

  test('never asks a check a second time while it hangs', async () => {
    let [asked, answer] = [0, (_well: boolean): void => {}];
    storeIsWell = () => {
      asked += 1;
      return new Promise((resolve) => (answer = resolve));
    };
    for (let probe = 0; probe < 3; probe += 1) {
      const late = get('/readyz');
      await until(() => clock.sleepers() > 0, { what: 'the limit of the check' });
      await clock.advance(800);
      expect((await late)[0]).toBe(503);
      await clock.advance(1_000);
    }
    expect(asked).toBe(1);
    storeIsWell = () => true;
    answer(true);
    expect((await get('/readyz'))[0]).toBe(200);
  });

  test('renders the page of metrics once a second, however many scrape it', async () => {
    let [rendered, release] = [0, (): void => {}];
    const gate = new Promise<void>((resolve) => (release = resolve));
    const render = async (): Promise<MetricsPage> => {
      rendered += 1;
      await gate;
      return { contentType: 'text/plain', body: String(rendered) };
    };
    const api = { live: [], ready: [], metrics: { ...createMetrics(), render }, clock, log: silentLog };
    const listener = await startHealthServer({ address: loopback, ...api });
    open.push(listener);
    const scrape = async (): Promise<string> => await (await fetch(`${listener.url}/metrics`)).text();
    const scraped = Array.from({ length: 20 }, scrape);
    await until(() => rendered > 0, { what: 'the first rendering' });
    // Answered after the scrapes that came before it.
    await fetch(listener.url);
    release();
    expect(new Set(await Promise.all(scraped))).toEqual(new Set(['1']));
    await clock.advance(1_000);
    expect(await scrape()).toBe('2');
  });

  test('shows metrics in the text format', async () => {
    const response = await fetch(`${url}/metrics`);
    expect(response.headers.get('content-type')).toContain('text/plain');
    expect(await response.text()).toContain('keywright_verify_verdicts_total{code="key_invalid"} 1');
  });

  test('serves nothing else', async () => {
    expect((await get('/'))[0]).toBe(404);
    expect((await fetch(`${url}/metrics`, { method: 'POST' })).status).toBe(405);
  });
});

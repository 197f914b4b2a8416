import { randomBytes } from 'node:crypto';
import { createServer, request as sendPlain } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { request as sendSecure } from 'node:https';
import type { AddressInfo } from 'node:net';

/**
 * How a server is broken.
 * - `status`: answers with this number and a page of text, or with what `body` makes of that text.
 * - `lateStatus`: hands every call on, then answers with the number all the same where method and path begin so.
 * - `as`: hands the call on under these headers instead of the caller's: another login, with the true server's answer.
 * - `garbage`: 200 without JSON. `json`: 200 with JSON of another shape.
 * - `silent`: takes the call and never answers. `trickle`: answers at once, one byte at a time, without an end.
 * - `reset`: ends the connection. `lost`: hands the call on, and ends the connection instead of answering.
 * - `truncated`: half of the true answer. `huge`: 200 with 64 MiB of text.
 * - `redirect`: sends the caller to another server, which counts who comes.
 * - `closed`: nobody listens.
 */
export type Mood =
  | { readonly kind: 'well' }
  | {
      readonly kind: 'status';
      readonly code: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: (quote: string) => string;
    }
  | { readonly kind: 'lateStatus'; readonly code: number; readonly call: string }
  | { readonly kind: 'as'; readonly headers: Readonly<Record<string, string>> }
  | { readonly kind: 'json'; readonly body: unknown }
  | { readonly kind: 'garbage' | 'silent' | 'trickle' | 'reset' | 'lost' | 'truncated' | 'huge' | 'redirect' | 'closed' };

/** Which calls a mood is for; the others are handed on as if all were well. */
export type Picked = (call: {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
}) => boolean;

/** How much a `huge` answer holds, in bytes. */
export const hugeBytes = 64 * 1024 * 1024;
const hugeChunk = Buffer.alloc(64 * 1024, 'x');
const trickleMs = 50;
/** Headers of one connection, not of the answer. */
const hopByHop = ['connection', 'keep-alive', 'transfer-encoding', 'content-length'];

/**
 * A broken server in front of a well one, for HTTP: a Vault, an API server, AWS. It listens in plain HTTP on loopback,
 * whatever the true one speaks, and leaves the Host header alone, because AWS signatures cover it. Its error pages hold
 * {@link canary} and quote the request back, headers, value and all, as some proxies do.
 */
export class FaultProxy {
  /** What its error pages say: found in an error, event or log, somebody repeated a provider's text. */
  readonly canary = `provider-canary-${randomBytes(8).toString('hex')}`;
  readonly #target: URL;
  readonly #ca: string | undefined;
  readonly #elsewhere: Server;
  readonly #port: number;
  #server: Server | undefined;
  #mood: Mood = { kind: 'well' };
  #picked: Picked = () => true;
  #calls = 0;
  #strayed = 0;
  #sentBytes = 0;
  /** By the number of the call: those that nobody answers and whose caller has not given up. */
  readonly #hanging = new Set<number>();

  private constructor(target: URL, ca: string | undefined, server: Server, elsewhere: Server) {
    this.#target = target;
    this.#ca = ca;
    this.#server = server;
    this.#elsewhere = elsewhere;
    this.#port = portOf(server);
  }

  /** Starts it on loopback, well. `ca` (PEM) is whom to believe about the target, when that speaks TLS. */
  static async start(target: string, ca?: string): Promise<FaultProxy> {
    const server = createServer();
    await listen(server, 0);
    const elsewhere = createServer();
    await listen(elsewhere, 0);
    const proxy = new FaultProxy(new URL(target), ca, server, elsewhere);
    elsewhere.on('request', (_request, response) => {
      proxy.#strayed += 1;
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
    proxy.#attach(server);
    return proxy;
  }

  get address(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Requests that came in so far, whatever was made of them. */
  get calls(): number {
    return this.#calls;
  }

  /** Requests that followed a redirect, with whatever they carried. */
  get strayed(): number {
    return this.#strayed;
  }

  /** The numbers of the calls that a `silent` mood keeps waiting now, in their order. */
  get hanging(): readonly number[] {
    return [...this.#hanging];
  }

  /** Bytes of `huge` answers that were written so far. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  /** Changes what comes next, for the calls that are picked (default all). */
  async become(mood: Mood, picked: Picked = () => true): Promise<void> {
    this.#mood = mood;
    this.#picked = picked;
    // What hangs from before is cut off, as a restart of the server would.
    this.#server?.closeAllConnections();
    if (mood.kind === 'closed') await this.#unlisten();
    else if (this.#server === undefined) {
      const server = createServer();
      this.#attach(server);
      await listen(server, this.#port);
      this.#server = server;
    }
  }

  async stop(): Promise<void> {
    await Promise.all([this.#unlisten(), close(this.#elsewhere)]);
  }

  async #unlisten(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server !== undefined) await close(server);
  }

  #attach(server: Server): void {
    server.on('request', (incoming, response) => {
      this.#calls += 1;
      void this.#answer(incoming, response, this.#calls).catch(() => response.destroy());
    });
  }

  async #answer(incoming: IncomingMessage, response: ServerResponse, number: number): Promise<void> {
    const { method = '', url: path = '', headers } = incoming;
    const mood: Mood = this.#picked({ method, path, headers }) ? this.#mood : { kind: 'well' };
    const body = await readAll(incoming);
    const quote = `<html>${this.canary}: the request was ${method} ${path} ${JSON.stringify(headers)} ${body.toString()}</html>`;
    switch (mood.kind) {
      case 'well':
        return this.#handOn(incoming, body, response);
      case 'as':
        Object.assign(incoming.headers, mood.headers);
        return this.#handOn(incoming, body, response);
      case 'lateStatus': {
        const late = `${method} ${path}`.startsWith(mood.call);
        if (!late) return this.#handOn(incoming, body, response);
        await readAll(await this.#forward(incoming, body));
        return page(response, mood.code, quote);
      }
      case 'lost':
        await readAll(await this.#forward(incoming, body));
        return cut(response);
      case 'truncated':
        return truncate(await this.#forward(incoming, body), response);
      case 'status':
        return page(response, mood.code, mood.body?.(quote) ?? quote, mood.headers);
      case 'garbage':
        return page(response, 200, quote);
      case 'json':
        return page(response, 200, JSON.stringify(mood.body), { 'content-type': 'application/json' });
      case 'redirect':
        return page(response, 307, quote, { location: `http://127.0.0.1:${portOf(this.#elsewhere)}${path}` });
      case 'reset':
        return cut(response);
      case 'huge':
        return this.#flood(response);
      case 'trickle':
        return trickle(response);
      case 'silent':
      case 'closed':
        return this.#keepWaiting(response, number);
    }
  }

  /** Passes the answer on as it comes, so that a watch works through the proxy. */
  async #handOn(incoming: IncomingMessage, body: Buffer, response: ServerResponse): Promise<void> {
    const answer = await this.#forward(incoming, body);
    response.once('close', () => answer.destroy());
    answer.once('error', () => response.destroy());
    response.writeHead(answer.statusCode ?? 502, headersOf(answer));
    response.flushHeaders();
    answer.pipe(response);
  }

  #forward(incoming: IncomingMessage, body: Buffer): Promise<IncomingMessage> {
    const { method = 'GET', url = '/', headers } = incoming;
    const send = this.#target.protocol === 'https:' ? sendSecure : sendPlain;
    return new Promise((resolve, reject) => {
      const call = send(
        { host: this.#target.hostname, port: this.#target.port, path: url, method, headers, ca: this.#ca, agent: false },
        resolve,
      );
      call.once('error', reject);
      call.end(body);
    });
  }

  #keepWaiting(response: ServerResponse, number: number): void {
    this.#hanging.add(number);
    response.once('close', () => this.#hanging.delete(number));
    if (response.destroyed) this.#hanging.delete(number);
  }

  async #flood(response: ServerResponse): Promise<void> {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.write(`"${this.canary}`);
    for (let sent = 0; sent < hugeBytes && !response.destroyed; sent += hugeChunk.length) {
      this.#sentBytes += hugeChunk.length;
      if (!response.write(hugeChunk)) await drained(response);
    }
    response.end('"');
  }
}

function page(response: ServerResponse, code: number, text: string, headers: Readonly<Record<string, string>> = {}): void {
  response.writeHead(code, { 'content-type': 'text/html', ...headers }).end(text);
}

function cut(response: ServerResponse): void {
  const { socket } = response;
  if (socket === null) response.destroy();
  else socket.resetAndDestroy();
}

/** Half of an answer under the length of the whole. One without a body is cut off instead. */
async function truncate(answer: IncomingMessage, response: ServerResponse): Promise<void> {
  const whole = await readAll(answer);
  if (whole.length === 0) return cut(response);
  response.writeHead(answer.statusCode ?? 502, { ...headersOf(answer), 'content-length': String(whole.length) });
  response.write(whole.subarray(0, Math.floor(whole.length / 2)), () => response.socket?.destroy());
}

function trickle(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.write('{"data":"');
  const timer = setInterval(() => response.write('x'), trickleMs);
  response.once('close', () => clearInterval(timer));
}

function headersOf(answer: IncomingMessage): IncomingMessage['headers'] {
  return Object.fromEntries(Object.entries(answer.headers).filter(([name]) => !hopByHop.includes(name)));
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.on('drain', done);
    response.on('close', done);
  });
}

async function readAll(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

async function listen(server: Server, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject);
      resolve();
    });
  });
}

async function close(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

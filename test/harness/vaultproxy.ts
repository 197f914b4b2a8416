import { createServer, request as send } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * How a Vault server is broken. `status`: answers with this number and a page of text. `garbage`: 200 without JSON.
 * `silent`: takes the call and never answers. `lateStatus`: hands every call on, then answers
 * with the number all the same where method and path begin so. `closed`: nobody listens.
 */
export type Mood =
  | { readonly kind: 'well' }
  | { readonly kind: 'status'; readonly code: number }
  | { readonly kind: 'lateStatus'; readonly code: number; readonly call: string }
  | { readonly kind: 'garbage' }
  | { readonly kind: 'silent' }
  | { readonly kind: 'closed' };

/** A broken Vault in front of a well one. Its error pages quote the request back, as some proxies do. */
export class VaultProxy {
  readonly #target: string;
  readonly #port: number;
  #server: Server | undefined;
  #mood: Mood = { kind: 'well' };
  #calls = 0;

  private constructor(target: string, server: Server) {
    this.#target = target;
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
  }

  /** Starts it on loopback, well. */
  static async start(target: string): Promise<VaultProxy> {
    const server = createServer();
    await listen(server, 0);
    const proxy = new VaultProxy(target, server);
    proxy.#attach(server);
    return proxy;
  }

  get address(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Requests that came in so far. */
  get calls(): number {
    return this.#calls;
  }

  async become(mood: Mood): Promise<void> {
    this.#mood = mood;
    // What hangs from before is cut off, as a restart of the server would.
    this.#server?.closeAllConnections();
    if (mood.kind === 'closed') await this.stop();
    else if (this.#server === undefined) {
      this.#server = createServer();
      this.#attach(this.#server);
      await listen(this.#server, this.#port);
    }
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  }

  #attach(server: Server): void {
    server.on('request', (incoming, response) => {
      this.#calls += 1;
      void this.#answer(incoming, response).catch(() => response.destroy());
    });
  }

  async #answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const mood = this.#mood;
    const body = await readAll(incoming);
    const quote = `<html>the request was ${incoming.method ?? ''} ${JSON.stringify(incoming.headers)} ${body.toString()}</html>`;
    if (mood.kind === 'silent') return;
    if (mood.kind === 'garbage') response.writeHead(200, { 'content-type': 'text/html' }).end(quote);
    else if (mood.kind === 'status') response.writeHead(mood.code, { 'content-type': 'text/html' }).end(quote);
    else {
      const { status, text } = await this.#forward(incoming, body);
      const spoiled = mood.kind === 'lateStatus' && `${incoming.method} ${incoming.url}`.startsWith(mood.call);
      response.writeHead(spoiled ? mood.code : status, { 'content-type': 'application/json' }).end(spoiled ? quote : text);
    }
  }

  #forward(incoming: IncomingMessage, body: Buffer): Promise<{ readonly status: number; readonly text: Buffer }> {
    return new Promise((resolve, reject) => {
      const { method = 'GET', url = '/', headers } = incoming;
      const call = send(
        new URL(url, this.#target),
        { method, headers: { ...headers, host: new URL(this.#target).host } },
        (answer) => {
          readAll(answer).then((text) => resolve({ status: answer.statusCode ?? 502, text }), reject);
        },
      );
      call.once('error', reject);
      call.end(body);
    });
  }
}

async function readAll(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
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

import { chmod, lstat, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerOptions, ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { connect, type Socket } from 'node:net';

import type { Clock } from '../domain/time.ts';
import type { Log } from '../telemetry/log.ts';
import { formatAddress } from './address.ts';
import type { ListenAddress } from './address.ts';
import { respondProblem } from './respond.ts';

/** Answers one request. What it throws becomes a 500 without a text of its own. */
export type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void> | void;

/** PEM texts. With `clientCa` a peer is asked for a certificate, and must show one when `clientRequired`. */
export interface TlsMaterial {
  readonly cert: string;
  readonly key: string;
  readonly clientCa?: string;
  readonly clientRequired?: boolean;
}

/** What {@link startListener} needs. */
export interface ListenerInput {
  readonly address: ListenAddress;
  readonly tls?: TlsMaterial;
  readonly handler: Handler;
  readonly clock: Clock;
  readonly log: Log;
}

/** A server that listens. */
export interface Listener {
  /** Where it really listens: port 0 was replaced by the one that was given. */
  readonly address: ListenAddress;
  /** `http://127.0.0.1:8080`, for messages and tests; for a Unix socket its path. */
  readonly url: string;
  /**
   * Answers on for at most `lingerMs` (0 without), and tells whoever asks to leave (`Connection: close`, RFC 9112 section
   * 9.6): a busy client loses no request to a connection that ends under it. Then takes no new connection, lets what runs end
   * within `drainMs` (10,000 without), and cuts. Resolves when all is closed.
   */
  readonly close: (drainMs?: number, lingerMs?: number) => Promise<void>;
}

/** Slow or endless senders are cut: a request has 5 s for its head and 15 s in all, and a head of at most 16 KiB. */
const options: ServerOptions = {
  headersTimeout: 5_000,
  requestTimeout: 15_000,
  keepAliveTimeout: 60_000,
  connectionsCheckingInterval: 1_000,
  maxHeaderSize: 16 * 1024,
};

/** Starts one HTTP or HTTPS server. Rejects when the address cannot be had. */
export async function startListener(input: ListenerInput): Promise<Listener> {
  const { address, tls, clock } = input;
  const server = tls === undefined ? createServer(options) : createTlsServer({ ...options, ...tlsOptions(tls) });
  const clients = new Clients(server);
  server.on('request', (request, response) => {
    if (clients.areLeaving) response.setHeader('connection', 'close');
    // A client keeps its connection for the next request; while we close, it is idle as soon as its answer is out.
    response.once('close', () => {
      if (!server.listening) server.closeIdleConnections();
    });
    void handle(input, request, response);
  });
  server.on('clientError', (_error, socket) => {
    // Node's error carries the raw packet; nothing of it is logged or sent back.
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
    else socket.destroy();
  });
  await listen(server, address);
  const actual = actualAddress(server, address);
  return {
    address: actual,
    url: formatUrl(actual, tls !== undefined),
    close: async (drainMs = 10_000, lingerMs = 0) => {
      await clients.leave(clock, lingerMs);
      await close(server, clock, drainMs);
    },
  };
}

async function handle(input: ListenerInput, request: IncomingMessage, response: ServerResponse): Promise<void> {
  response.on('error', () => {});
  try {
    await input.handler(request, response);
  } catch (error) {
    // A client that hung up in the middle of its body is nobody's fault; everything else is a defect of ours.
    if (!request.complete && request.destroyed) return;
    input.log.error('request failed', { failure: error instanceof Error ? error.name : 'unknown', reason: 'InternalError' });
    if (response.headersSent) response.destroy();
    else
      respondProblem(response, { status: 500, title: 'Internal Server Error', detail: 'The request failed; the log says more.' });
  }
}

function tlsOptions(tls: TlsMaterial): object {
  const server = { cert: tls.cert, key: tls.key, minVersion: 'TLSv1.2' };
  if (tls.clientCa === undefined) return server;
  return { ...server, ca: tls.clientCa, requestCert: true, rejectUnauthorized: tls.clientRequired === true };
}

async function listen(server: Server, address: ListenAddress): Promise<void> {
  if (address.kind === 'unix') await removeDeadSocket(address.path);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(
      address.kind === 'unix'
        ? { path: address.path }
        : { port: address.port, ...(address.host === undefined ? {} : { host: address.host }) },
      () => {
        server.off('error', reject);
        resolve();
      },
    );
  });
  // Whoever may open the socket is believed, so that only our user and group may.
  if (address.kind === 'unix') await chmod(address.path, 0o660);
}

/** A killed process leaves its socket file; one that still answers is somebody's, and listening fails then. */
async function removeDeadSocket(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found?.isSocket() !== true) return;
  const answers = await new Promise<boolean>((resolve) => {
    const socket = connect({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => {
      resolve(false);
    });
  });
  if (!answers) await rm(path, { force: true });
}

function actualAddress(server: Server, address: ListenAddress): ListenAddress {
  const bound = server.address();
  return address.kind === 'tcp' && typeof bound === 'object' && bound !== null ? { ...address, port: bound.port } : address;
}

function formatUrl(address: ListenAddress, tls: boolean): string {
  if (address.kind === 'unix') return formatAddress(address);
  return `${tls ? 'https' : 'http'}://${formatAddress({ ...address, host: address.host ?? '127.0.0.1' })}`;
}

/** The connections of a server, and whether they are asked to end. */
class Clients {
  areLeaving = false;
  readonly #open = new Set<Socket>();
  readonly #gone = new AbortController();

  constructor(server: Server) {
    server.on('connection', (socket) => {
      this.#open.add(socket);
      socket.once('close', () => {
        this.#open.delete(socket);
        if (this.areLeaving && this.#open.size === 0) this.#gone.abort();
      });
    });
  }

  /** Resolves when the last has gone, or in time. */
  async leave(clock: Clock, withinMs: number): Promise<void> {
    this.areLeaving = true;
    if (withinMs === 0 || this.#open.size === 0) return;
    await clock.sleep(withinMs, this.#gone.signal).catch(() => {});
  }
}

async function close(server: Server, clock: Clock, drainMs: number): Promise<void> {
  const closed = new AbortController();
  const done = new Promise<void>((resolve) => {
    server.close(() => {
      closed.abort();
      resolve();
    });
  });
  server.closeIdleConnections();
  const late = clock.sleep(drainMs, closed.signal).then(
    () => {
      server.closeAllConnections();
    },
    () => {},
  );
  await Promise.all([done, late]);
}

import { chmod, lstat, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerOptions, ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { connect } from 'node:net';
import { Server as TlsServer, TLSSocket } from 'node:tls';

import type { Clock } from '../domain/time.ts';
import type { Log } from '../telemetry/log.ts';
import type { ListenerName, Metrics } from '../telemetry/metrics.ts';
import { formatAddress } from './address.ts';
import type { ListenAddress } from './address.ts';
import type { ConnectionLimits } from './connections.ts';
import { Gate } from './gate.ts';
import type { Sender } from './gate.ts';
import { headLimits, judgedBy } from './heads.ts';
import { Peers } from './peers.ts';
import { failed } from './problems.ts';
import { respondProblem } from './respond.ts';
import { tlsOptions, type TlsMaterial } from './tls.ts';

/** Answers one request. An exception becomes a 500 without details. */
export type Handler = (request: IncomingMessage, response: ServerResponse, sender: Sender) => Promise<void> | void;

/** What {@link startListener} needs. */
export interface ListenerInput {
  readonly name: ListenerName;
  readonly address: ListenAddress;
  readonly tls?: TlsMaterial;
  readonly limits: ConnectionLimits;
  /**
   * Whether the sender of a request may ask; `certified` = the connection has a valid client certificate. A connection whose
   * request is not admitted ends after the answer. Absent: everybody may ask, and no connection becomes a proven one.
   */
  readonly isAdmitted?: (request: IncomingMessage, certified: boolean) => boolean;
  readonly handler: Handler;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Pick<Metrics, 'connectionDropped'>;
  /** Timeouts other than the default, in milliseconds. */
  readonly timeouts?: Partial<typeof timeouts>;
}

/** A server that listens. */
export interface Listener {
  /** Where it really listens: port 0 was replaced by the one that was given. */
  readonly address: ListenAddress;
  /** `http://127.0.0.1:8080`, for messages and tests; for a Unix socket its path. */
  readonly url: string;
  /** Uses other material for new connections. Only for a listener that was started with TLS. */
  readonly setTls: (tls: TlsMaterial) => void;
  /** Client certificates accepted before this call are no longer valid: their connections end after the answers in progress. */
  readonly distrustCertificates: () => void;
  /**
   * Answers on for at most `lingerMs` (0 without), and tells whoever asks to leave (`Connection: close`, RFC 9112 section
   * 9.6): a busy client loses no request to a connection that ends under it. Then takes no new connection, lets what runs end
   * within `drainMs` (10,000 without), and cuts. Resolves when all is closed.
   */
  readonly close: (drainMs?: number, lingerMs?: number) => Promise<void>;
}

/** How long a client may take, in milliseconds; the server cuts a slower connection. */
const timeouts = {
  /** For a TLS handshake. */
  handshakeTimeout: 5_000,
  /** From the connection, or the first byte of a request, to the end of its head. */
  headersTimeout: 5_000,
  /** To the end of its body. */
  requestTimeout: 15_000,
  /** Between two requests. */
  keepAliveTimeout: 60_000,
  /** Without a byte in either direction during an answer: for a client that does not read it. */
  timeout: 30_000,
};

/** The maximum size of a request's head, in bytes, and of its header lines: a caller sends a few hundred bytes. */
const options: ServerOptions = {
  ...{ connectionsCheckingInterval: 1_000, requireHostHeader: false },
  maxHeaderSize: headLimits.bytes,
};

/** Starts one HTTP or HTTPS server. Rejects when the address cannot be had. */
export async function startListener(input: ListenerInput): Promise<Listener> {
  const { address, tls, clock } = input;
  const gate = new Gate(input.isAdmitted !== undefined);
  const server = createHttpServer(input, gate);
  const peers = new Peers(server, input);
  gate.open(peers);
  server.on('request', (request, response) => {
    const { peer, sender } = gate.admission(request);
    if (peers.areLeaving || peer.isLeaving) response.setHeader('connection', 'close');
    peers.follow(peer, response);
    response.once('close', () => {
      // A client keeps its connection for the next request; while we are closing, it is idle as soon as its answer is sent.
      if (!server.listening) server.closeIdleConnections();
    });
    void handle(input, request, response, sender);
  });
  server.on('upgrade', (request) => {
    gate.end(request);
  });
  server.on('clientError', (_error, socket) => {
    // Node's error contains the raw packet; do not log it or send it back. Destroy the socket instead of only ending it: a client
    // that keeps its half open would otherwise hold the connection for ever.
    const isSecured = !(socket instanceof TLSSocket) || peers.of(socket) !== undefined;
    if (socket.writable && isSecured) socket.write('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
    socket.destroy();
  });
  await listen(server, address);
  const actual = actualAddress(server, address);
  return {
    address: actual,
    url: formatUrl(actual, tls !== undefined),
    setTls: (material) => {
      if (!(server instanceof TlsServer)) throw new TypeError('the listener has no TLS');
      server.setSecureContext(tlsOptions(material));
    },
    distrustCertificates: () => {
      peers.distrustCertificates();
    },
    close: async (drainMs = 10_000, lingerMs = 0) => {
      await peers.leave(clock, lingerMs);
      await close(server, clock, drainMs);
    },
  };
}

function createHttpServer(input: ListenerInput, gate: Gate): Server {
  const all = { ...options, ...timeouts, ...input.timeouts, ...judgedBy((request) => gate.judge(request)) };
  const server = input.tls === undefined ? createServer(all) : createTlsServer({ ...all, ...tlsOptions(input.tls) });
  server.timeout = all.timeout;
  server.maxHeadersCount = headLimits.lines;
  // The connection limits act long before this; it bounds what arrives in one turn of the event loop.
  server.maxConnections = 2 * (input.limits.proven + input.limits.unproven);
  return server;
}

async function handle(input: ListenerInput, request: IncomingMessage, response: ServerResponse, sender: Sender): Promise<void> {
  response.on('error', () => {});
  try {
    await input.handler(request, response, sender);
  } catch (error) {
    // A client that hung up in the middle of its body is nobody's fault; everything else is a defect of ours.
    if (!request.complete && request.destroyed) return;
    input.log.error('request failed', { failure: error instanceof Error ? error.name : 'unknown', reason: 'InternalError' });
    if (response.headersSent) response.destroy();
    else respondProblem(response, failed);
  }
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

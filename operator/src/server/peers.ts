import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import { Server as TlsServer, type TLSSocket } from 'node:tls';

import type { Clock, Instant } from '../domain/time.ts';
import { Connections, sourceOf, type Connection } from './connections.ts';
import type { ListenerInput } from './listener.ts';
import { certifiedUntil } from './tls.ts';

/** One connection: its sockets, and what its client has proven. */
export interface Peer {
  readonly connection: Connection;
  /** The socket that requests come from: the TLS one, once its handshake is over. */
  socket: Socket;
  /** How often certificates had been distrusted when it began; its context is of that time. */
  readonly epoch: number;
  /** When its client certificate expires; absent = none that counts. */
  certifiedUntil: Instant | undefined;
  /** It ends as soon as no request waits for an answer. */
  isLeaving: boolean;
}

type PeersInput = Pick<ListenerInput, 'name' | 'limits' | 'isAdmitted' | 'clock' | 'log' | 'metrics'>;

/** At most one line of the log in this time tells of connections that found no room, in milliseconds. */
const logEveryMs = 60_000;

/** The connections of a server: kept within bounds, judged once each, and asked to end. */
export class Peers {
  areLeaving = false;
  readonly #input: PeersInput;
  readonly #hasTls: boolean;
  readonly #connections: Connections;
  readonly #open = new Set<Peer>();
  readonly #bySocket = new WeakMap<Socket, Peer>();
  /** Connections whose TLS handshake is not over, by their two ends: node:tls does not say which socket a TLS socket is made of. */
  readonly #handshakes = new Map<string, Peer>();
  readonly #gone = new AbortController();
  #epoch = 0;
  #dropped = 0;
  #loggedMs: number | undefined;

  constructor(server: Server, input: PeersInput) {
    this.#input = input;
    this.#hasTls = server instanceof TlsServer;
    this.#connections = new Connections(input.limits, (cause) => {
      input.metrics.connectionDropped({ listener: input.name, cause });
      this.#logDrop();
    });
    server.on('connection', (socket) => {
      this.#take(socket);
    });
    server.on('secureConnection', (socket: TLSSocket) => {
      this.#secure(socket);
    });
  }

  /** The connection of a socket; `undefined` when it found no room, or, for a TLS socket, is still in its handshake. */
  of(socket: Socket): Peer | undefined {
    return this.#bySocket.get(socket);
  }

  /** A request has arrived. False when it has no answer to expect, because its connection is cut. */
  begin(peer: Peer): boolean {
    const isTaken = this.#connections.begin(peer.connection);
    if (!isTaken) peer.socket.destroy();
    return isTaken;
  }

  /** Whether the sender of the request may ask; see {@link ListenerInput.isAdmitted}. */
  judge(peer: Peer, request: IncomingMessage): boolean {
    const { isAdmitted, clock } = this.#input;
    if (isAdmitted === undefined) return true;
    const isCertified = peer.certifiedUntil !== undefined && clock.now() < peer.certifiedUntil;
    const admitted = isAdmitted(request, isCertified);
    if (!admitted) this.#connections.unprove(peer.connection);
    // Nobody who may ask is turned away for want of room; the connection just ends with the answer.
    else if (!this.#connections.prove(peer.connection)) peer.isLeaving = true;
    return admitted;
  }

  /** An answer is out. */
  end(peer: Peer): void {
    this.#connections.end(peer.connection);
    this.#endIfDone(peer);
  }

  /** Ends the connections whose certificate was accepted until now, or is being checked. */
  distrustCertificates(): void {
    this.#epoch += 1;
    for (const peer of [...this.#open]) {
      if (peer.certifiedUntil === undefined) continue;
      peer.certifiedUntil = undefined;
      this.#connections.unprove(peer.connection);
      peer.isLeaving = true;
      this.#endIfDone(peer);
    }
  }

  /** Asks all to end. Resolves when the last has gone, or in time. */
  async leave(clock: Clock, withinMs: number): Promise<void> {
    this.areLeaving = true;
    if (withinMs === 0 || this.#open.size === 0) return;
    await clock.sleep(withinMs, this.#gone.signal).catch(() => {});
  }

  #take(socket: Socket): void {
    // Its client hung up already.
    if (socket.destroyed) return;
    const connection = this.#connections.open(sourceOf(socket.remoteAddress), () => {
      peer?.socket.destroy();
    });
    const peer =
      connection === undefined
        ? undefined
        : { connection, socket, epoch: this.#epoch, certifiedUntil: undefined, isLeaving: false };
    if (peer === undefined) {
      socket.destroy();
      return;
    }
    const ends = endsOf(socket);
    this.#open.add(peer);
    if (this.#hasTls) this.#handshakes.set(ends, peer);
    else this.#bySocket.set(socket, peer);
    socket.once('close', () => {
      this.#open.delete(peer);
      if (this.#handshakes.get(ends) === peer) this.#handshakes.delete(ends);
      this.#connections.close(peer.connection);
      if (this.areLeaving && this.#open.size === 0) this.#gone.abort();
    });
  }

  #secure(socket: TLSSocket): void {
    const ends = endsOf(socket);
    const peer = this.#handshakes.get(ends);
    if (peer === undefined) {
      socket.destroy();
      return;
    }
    this.#handshakes.delete(ends);
    this.#bySocket.set(socket, peer);
    peer.socket = socket;
    // A handshake that began before the authorities changed was judged by the old ones.
    if (peer.epoch === this.#epoch) peer.certifiedUntil = certifiedUntil(socket);
  }

  #endIfDone(peer: Peer): void {
    if (peer.isLeaving && peer.connection.unanswered === 0) peer.socket.destroySoon();
  }

  #logDrop(): void {
    const { clock, log, name } = this.#input;
    this.#dropped += 1;
    const nowMs = clock.monotonicMs();
    if (this.#loggedMs !== undefined && nowMs - this.#loggedMs < logEveryMs) return;
    log.warn('connections dropped: too many at once', { name, count: this.#dropped });
    this.#dropped = 0;
    this.#loggedMs = nowMs;
  }
}

function endsOf({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${remoteAddress ?? ''} ${String(remotePort)} ${localAddress ?? ''}`;
}

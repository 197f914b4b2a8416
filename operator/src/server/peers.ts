import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Server as TlsServer, type TLSSocket } from 'node:tls';

import type { Clock } from '../domain/time.ts';
import { Connections, sourceOf, type Connection } from './connections.ts';
import type { ListenerInput } from './listener.ts';
import { certificateOf } from './tls.ts';
import type { ClientCertificate } from './tls.ts';

/** One connection: its sockets, and what its client has proven. */
export interface Peer {
  readonly connection: Connection;
  /** The socket of the requests: the TLS socket, once its handshake is over. */
  socket: Socket;
  /** How many times certificates had been distrusted when it began; its TLS context dates from then. */
  readonly epoch: number;
  /** Absent = it showed no valid one. */
  certificate: ClientCertificate | undefined;
  /** The answers that were not sent yet. */
  readonly responses: Set<ServerResponse>;
  /** Whether it ends as soon as no request waits for an answer. */
  isLeaving: boolean;
}

type PeersInput = Pick<ListenerInput, 'name' | 'limits' | 'isAdmitted' | 'clock' | 'log' | 'metrics'>;

/** The minimum time between two log lines about connections that found no room, in milliseconds. */
const logEveryMs = 60_000;

/** The connections of a server: keeps them within bounds, admits their requests, and ends them. */
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

  /** The connection of a socket; `undefined` = it found no room, or it is a TLS socket that is still in its handshake. */
  of(socket: Socket): Peer | undefined {
    return this.#bySocket.get(socket);
  }

  /** A request has arrived. False = it gets no answer, because its connection was cut. */
  begin(peer: Peer): boolean {
    const isTaken = this.#connections.begin(peer.connection);
    if (!isTaken) peer.socket.destroy();
    return isTaken;
  }

  /** Whether the sender of the request may ask; see {@link ListenerInput.isAdmitted}. */
  judge(peer: Peer, request: IncomingMessage): boolean {
    const { isAdmitted, clock } = this.#input;
    if (isAdmitted === undefined) return true;
    const isCertified = peer.certificate !== undefined && clock.now() < peer.certificate.validUntil;
    const admitted = isAdmitted(request, isCertified);
    if (!admitted) this.#connections.unprove(peer.connection);
    // For lack of room, no admitted request is refused: the connection only ends after the answer.
    else if (!this.#connections.prove(peer.connection)) peer.isLeaving = true;
    return admitted;
  }

  /** Follows an answer until it emits `close`: until it has been sent, or never will be. */
  follow(peer: Peer, response: ServerResponse): void {
    peer.responses.add(response);
    response.once('close', () => {
      peer.responses.delete(response);
      this.#connections.end(peer.connection);
      this.#endIfDone(peer);
    });
  }

  /** Ends the connections whose certificate has been accepted so far, or is being checked. */
  distrustCertificates(): void {
    this.#epoch += 1;
    for (const peer of [...this.#open]) {
      if (peer.certificate === undefined) continue;
      peer.certificate = undefined;
      this.#connections.unprove(peer.connection);
      peer.isLeaving = true;
      this.#endIfDone(peer);
    }
  }

  /** Asks all connections to end. Resolves when the last one has ended, or after the time limit. */
  async leave(clock: Clock, withinMs: number): Promise<void> {
    this.areLeaving = true;
    if (withinMs === 0 || this.#open.size === 0) return;
    await clock.sleep(withinMs, this.#gone.signal).catch(() => {});
  }

  #take(socket: Socket): void {
    // The client has already hung up.
    if (socket.destroyed) return;
    const connection = this.#connections.open(sourceOf(socket.remoteAddress), () => {
      peer?.socket.destroy();
    });
    const peer =
      connection === undefined
        ? undefined
        : {
            connection,
            socket,
            epoch: this.#epoch,
            certificate: undefined,
            responses: new Set<ServerResponse>(),
            isLeaving: false,
          };
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
      // node:http notifies only the answer whose turn it is, not those after it.
      for (const response of [...peer.responses]) response.emit('close');
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
    // A handshake that began before the CAs changed was checked against the old ones.
    if (peer.epoch === this.#epoch) peer.certificate = certificateOf(socket);
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

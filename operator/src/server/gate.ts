import type { IncomingMessage } from 'node:http';

import { faultOf, isChunked } from './heads.ts';
import type { Peer, Peers } from './peers.ts';
import { lengthRequired } from './problems.ts';
import type { Problem } from './problems.ts';
import { endWithProblem } from './respond.ts';

/** Who sent a request that goes on to the handler. */
export interface Sender {
  /** The result of the listener's `isAdmitted`. */
  readonly admitted: boolean;
  /** Whose share of the memory the request uses: that of a client certificate, or of the source of the connection. */
  readonly client: string;
}

/** A request that goes on, and its connection. */
export interface Admission {
  readonly peer: Peer;
  readonly sender: Sender;
}

/** Decides on each request at its head: the handler gets it, or it ends the connection, and nothing after its head is parsed. */
export class Gate {
  /** Whether admitted callers, and they alone, may send bodies of unknown length. */
  readonly #hasCallers: boolean;
  readonly #admissions = new WeakMap<IncomingMessage, Admission>();
  /** The answer to a request that stops here; without an entry, there is none. */
  readonly #problems = new WeakMap<IncomingMessage, Problem>();
  #peers: Peers | undefined;

  constructor(hasCallers: boolean) {
    this.#hasCallers = hasCallers;
  }

  /** Sets the peers that send the requests. The server that has the peers needs the gate first. */
  open(peers: Peers): void {
    this.#peers = peers;
  }

  /** Whether the request goes on to the handler. */
  judge(request: IncomingMessage): boolean {
    const peer = this.#peers?.of(request.socket);
    const isFirst = peer?.connection.unanswered === 0;
    if (peer === undefined || this.#peers?.begin(peer) !== true) return this.#stop(request);
    const fault = faultOf(request);
    // While earlier requests have no answer, the client would take this answer for that of the first one.
    if (fault !== undefined) return this.#stop(request, isFirst ? fault : undefined);
    const admitted = this.#peers.judge(peer, request);
    if (isChunked(request) && !(this.#hasCallers && admitted)) return this.#stop(request, isFirst ? lengthRequired : undefined);
    this.#admissions.set(request, {
      peer,
      sender: { admitted, client: peer.certificate?.fingerprint ?? peer.connection.source },
    });
    return true;
  }

  /** The decision on a request that goes on. */
  admission(request: IncomingMessage): Admission {
    const found = this.#admissions.get(request);
    if (found === undefined) throw new TypeError('the request was not judged');
    return found;
  }

  /** Ends the connection of a request that does not go on. */
  end(request: IncomingMessage): void {
    const { socket } = request;
    const problem = this.#problems.get(request);
    // The server has let go of the socket, and of its errors and time limits.
    socket.on('error', () => {});
    if (problem === undefined || !socket.writable) socket.destroy();
    else {
      socket.once('timeout', () => socket.destroy());
      endWithProblem(socket, problem);
    }
  }

  #stop(request: IncomingMessage, problem?: Problem): false {
    if (problem !== undefined) this.#problems.set(request, problem);
    return false;
  }
}

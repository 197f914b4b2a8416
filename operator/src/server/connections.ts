import ipaddr from 'ipaddr.js';

import type { ConnectionDropCause } from '../telemetry/metrics.ts';

/**
 * How many connections a listener keeps at once. Connections of callers that have proven themselves are counted apart, so
 * that strangers take no place of theirs.
 */
export interface ConnectionLimits {
  /** Connections on which the last request was an admitted one. */
  readonly proven: number;
  /** All others: in a handshake, without a whole request, or with a refused one. */
  readonly unproven: number;
  /** Of the latter, those of one source ({@link sourceOf}). */
  readonly unprovenPerSource: number;
  /** Requests of one connection that wait for their answer: more than any client pipelines. */
  readonly pipelined: number;
}

/**
 * The limits of a listener with callers: half of `total` is for connections that have proven nothing yet, because every
 * connection begins so and a gateway opens many at once; a quarter for those of one source.
 */
export function limitsOf(total: number): ConnectionLimits {
  const unproven = Math.ceil(total / 2);
  return { proven: total - unproven, unproven, unprovenPerSource: Math.ceil(total / 4), pipelined: 16 };
}

/** The limits of a listener without callers: room for probes and scrapers. */
export const healthLimits: ConnectionLimits = { proven: 0, unproven: 128, unprovenPerSource: 32, pipelined: 4 };

/** One connection, as the accounting sees it. */
export interface Connection {
  readonly source: string;
  /** Whether its last request was admitted and it holds a place among the proven ones. */
  readonly proven: boolean;
  /** How many of its requests wait for an answer. */
  readonly unanswered: number;
}

interface Entry extends Connection {
  proven: boolean;
  unanswered: number;
  /** Displaced or closed: counted no more. */
  gone: boolean;
  readonly drop: () => void;
}

/** The unproven connections of one source. */
interface Source {
  count: number;
  /** Those without a request in work, the one that waits longest first: a set keeps the order of insertion. */
  readonly waiting: Set<Entry>;
}

/**
 * The connections of one listener, kept within {@link ConnectionLimits}. When there is no room for a new one, the one
 * that has waited longest for a whole request goes: a client that means to ask has sent its request by then, and one that
 * only holds the connection loses it to the next client.
 */
export class Connections {
  readonly #limits: ConnectionLimits;
  readonly #onDrop: (cause: ConnectionDropCause) => void;
  readonly #sources = new Map<string, Source>();
  #unproven = 0;
  #proven = 0;

  constructor(limits: ConnectionLimits, onDrop: (cause: ConnectionDropCause) => void) {
    this.#limits = limits;
    this.#onDrop = onDrop;
  }

  /** How many there are now. */
  get size(): number {
    return this.#unproven + this.#proven;
  }

  /** Takes in a new connection, which `drop` ends; `undefined` when there is no room for it, and it must be ended. */
  open(source: string, drop: () => void): Connection | undefined {
    if (!this.#makeRoom(source)) {
      this.#onDrop('refused');
      return undefined;
    }
    const entry: Entry = { source, proven: false, unanswered: 0, gone: false, drop };
    this.#countUnproven(entry);
    return entry;
  }

  /** A whole head has arrived. False when too many requests wait for an answer: the connection must be ended. */
  begin(connection: Connection): boolean {
    const entry = connection as Entry;
    if (entry.gone) return false;
    if (entry.unanswered >= this.#limits.pipelined) {
      this.#onDrop('pipelined');
      return false;
    }
    entry.unanswered += 1;
    this.#sources.get(entry.source)?.waiting.delete(entry);
    return true;
  }

  /** An answer is out, or will never be. */
  end(connection: Connection): void {
    const entry = connection as Entry;
    entry.unanswered -= 1;
    if (entry.unanswered === 0 && !entry.proven && !entry.gone) this.#sources.get(entry.source)?.waiting.add(entry);
  }

  /** A request was admitted. False when there is no place among the proven ones: the connection must end with its answer. */
  prove(connection: Connection): boolean {
    const entry = connection as Entry;
    if (entry.proven) return true;
    if (entry.gone || this.#proven >= this.#limits.proven) return false;
    this.#forgetUnproven(entry);
    entry.proven = true;
    this.#proven += 1;
    return true;
  }

  /** A request was refused, or what proved the caller counts no more. */
  unprove(connection: Connection): void {
    const entry = connection as Entry;
    if (entry.gone || !entry.proven) return;
    this.#proven -= 1;
    entry.proven = false;
    this.#countUnproven(entry);
  }

  /** The connection has ended. */
  close(connection: Connection): void {
    const entry = connection as Entry;
    if (entry.gone) return;
    entry.gone = true;
    if (entry.proven) this.#proven -= 1;
    else this.#forgetUnproven(entry);
  }

  #makeRoom(source: string): boolean {
    const own = this.#sources.get(source);
    if (own !== undefined && own.count >= this.#limits.unprovenPerSource) return this.#displace(own);
    if (this.#unproven < this.#limits.unproven) return true;
    let fullest: Source | undefined;
    for (const one of this.#sources.values()) {
      if (one.waiting.size > (fullest?.waiting.size ?? 0)) fullest = one;
    }
    return fullest !== undefined && this.#displace(fullest);
  }

  #displace(source: Source): boolean {
    const [longest] = source.waiting;
    if (longest === undefined) return false;
    // Its place is free at once, and not only when its socket is gone.
    this.close(longest);
    this.#onDrop('displaced');
    longest.drop();
    return true;
  }

  #countUnproven(entry: Entry): void {
    const source = this.#sources.get(entry.source) ?? { count: 0, waiting: new Set() };
    this.#sources.set(entry.source, source);
    source.count += 1;
    if (entry.unanswered === 0) source.waiting.add(entry);
    this.#unproven += 1;
  }

  #forgetUnproven(entry: Entry): void {
    const source = this.#sources.get(entry.source);
    if (source === undefined) return;
    source.waiting.delete(entry);
    source.count -= 1;
    this.#unproven -= 1;
    if (source.count === 0) this.#sources.delete(entry.source);
  }
}

/**
 * Whom a connection counts for: an IPv4 address, or the /64 network of an IPv6 address, of which one host has as many
 * addresses as it likes (RFC 4291 section 2.5.4). Peers of a Unix socket, which have no address, are one source.
 */
export function sourceOf(address: string | undefined): string {
  if (address === undefined || !ipaddr.isValid(address)) return '';
  // `process` also turns an IPv4-mapped IPv6 address into the IPv4 one.
  const parsed = ipaddr.process(address);
  if (parsed.kind() === 'ipv4') return parsed.toString();
  return `${Buffer.from(parsed.toByteArray().slice(0, 8)).toString('hex')}/64`;
}

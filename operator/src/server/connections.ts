import ipaddr from 'ipaddr.js';

import type { ConnectionDropCause } from '../telemetry/metrics.ts';

/**
 * How many connections a listener keeps at once. Connections of callers that have proven themselves are counted separately, so
 * that strangers cannot take their places.
 */
export interface ConnectionLimits {
  /** Connections whose last request was admitted. */
  readonly proven: number;
  /** All others: in a handshake, without a whole request, or with a refused one. */
  readonly unproven: number;
  /** Of the latter, those of one source ({@link sourceOf}). */
  readonly unprovenPerSource: number;
  /**
   * The maximum number of unanswered requests on one connection; clients that do not pipeline have one. The parser stops at the
   * next one.
   */
  readonly pipelined: number;
}

/** See {@link ConnectionLimits.pipelined}. */
export const mostPipelined = 4;

/**
 * The limits of a listener with callers: half of `total` is for connections that have proven nothing yet, because every
 * connection begins like that and a gateway opens many at once. With TLS it is a quarter: OpenSSL takes a ClientHello of 128 KiB,
 * and an unfinished one of that length takes some 350 KiB of memory. One source gets half of that.
 */
export function limitsOf(total: number, { tls }: { readonly tls: boolean }): ConnectionLimits {
  const unproven = Math.ceil(total / (tls ? 4 : 2));
  return { proven: Math.floor(total / 2), unproven, unprovenPerSource: Math.ceil(unproven / 2), pipelined: mostPipelined };
}

/** The limits of a listener without callers: room for probes and scrapers. */
export const healthLimits: ConnectionLimits = { proven: 0, unproven: 128, unprovenPerSource: 32, pipelined: mostPipelined };

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
  /** Displaced or closed: no longer counted. */
  gone: boolean;
  readonly drop: () => void;
}

/** The unproven connections of one source. */
interface Source {
  count: number;
  /** Those without a request in progress, the longest-waiting one first: a set keeps the order of insertion. */
  readonly waiting: Set<Entry>;
}

/**
 * The connections of one listener, kept within {@link ConnectionLimits}. When there is no room for a new one, it closes the one
 * that has waited longest for a whole request: a real client has sent its request by then, and one that only holds the connection
 * loses it to the next client.
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

  /** The present number of connections. */
  get size(): number {
    return this.#unproven + this.#proven;
  }

  /** Adds a new connection; `drop` closes it later. `undefined` = there is no room: the caller must close it. */
  open(source: string, drop: () => void): Connection | undefined {
    if (!this.#makeRoom(source)) {
      this.#onDrop('refused');
      return undefined;
    }
    const entry: Entry = { source, proven: false, unanswered: 0, gone: false, drop };
    this.#countUnproven(entry);
    return entry;
  }

  /** A whole head has arrived. False = too many requests wait for an answer: the caller must close the connection. */
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

  /** An answer was sent, or never will be. */
  end(connection: Connection): void {
    const entry = connection as Entry;
    entry.unanswered -= 1;
    if (entry.unanswered === 0 && !entry.proven && !entry.gone) this.#sources.get(entry.source)?.waiting.add(entry);
  }

  /** A request was admitted. False = there is no place among the proven ones: the connection must end after its answer. */
  prove(connection: Connection): boolean {
    const entry = connection as Entry;
    if (entry.proven) return true;
    if (entry.gone || this.#proven >= this.#limits.proven) return false;
    this.#forgetUnproven(entry);
    entry.proven = true;
    this.#proven += 1;
    return true;
  }

  /** A request was refused, or the caller's proof is no longer valid. */
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
    // Frees its place at once, not only when the socket is closed.
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
 * The source of a connection: an IPv4 address, or the /64 network of an IPv6 address, because a host can use any address of its
 * /64 (RFC 4291 section 2.5.4). Peers of a Unix socket, which have no address, are one source.
 */
export function sourceOf(address: string | undefined): string {
  if (address === undefined || !ipaddr.isValid(address)) return '';
  // `process` also turns an IPv4-mapped IPv6 address into the IPv4 one.
  const parsed = ipaddr.process(address);
  if (parsed.kind() === 'ipv4') return parsed.toString();
  return `${Buffer.from(parsed.toByteArray().slice(0, 8)).toString('hex')}/64`;
}

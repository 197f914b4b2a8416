/** One request and its answer, for the accounting. */
export interface Exchange {
  /** Takes `bytes` more for an arriving body or an answer. False = there is no room, and nothing was taken. */
  take(bytes: number): boolean;
  /** We are working, not the client: the request is not displaced. */
  working(): void;
  /** The answer is on its way, and the client has to read it. */
  sending(): void;
  /** The request is over, or holds nothing any more. Twice is once. */
  close(): void;
}

interface Entry {
  readonly client: Client;
  readonly drop: () => void;
  bytes: number;
  /** Whether the client has to send, or to read, before we go on. */
  waits: boolean;
  /** Displaced or closed: no longer counted. */
  gone: boolean;
  closed: boolean;
}

/** What one client holds. */
interface Client {
  bytes: number;
  /** How many of its requests are open. */
  open: number;
  /**
   * Those that wait for the client and hold something, the longest-waiting one first: a set keeps the order of insertion. To drop
   * one that holds nothing would make no room.
   */
  readonly waiting: Set<Entry>;
}

/** The cost of a piece of a body in addition to its bytes: its buffer is a separate object, on and off the heap. */
const pieceCost = 512;

/**
 * The bytes that the bodies and answers of a listener hold, kept within a limit. When there is no more room, it takes the client
 * that holds most, and drops the request that this client has kept waiting longest: a real client has sent its body, and read its
 * answer, by then, and one client cannot take the room of the others. It drops nothing for a request that would still not fit.
 */
export class InFlight {
  readonly #limit: number;
  readonly #clients = new Map<string, Client>();
  #bytes = 0;

  /** `limit` in bytes. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** What is held now, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Adds a request of a client; `drop` ends its connection later. */
  open(name: string, drop: () => void): Exchange {
    const client = this.#clients.get(name) ?? { bytes: 0, open: 0, waiting: new Set() };
    this.#clients.set(name, client);
    client.open += 1;
    const entry: Entry = { client, drop, bytes: 0, waits: true, gone: false, closed: false };
    return {
      take: (bytes) => this.#take(entry, bytes + pieceCost),
      working: () => {
        setWaits(entry, false);
      },
      sending: () => {
        setWaits(entry, true);
      },
      close: () => {
        if (!entry.closed) this.#close(entry, name);
      },
    };
  }

  #take(entry: Entry, bytes: number): boolean {
    const dropped = entry.gone ? undefined : this.#victims(entry, this.#bytes + bytes - this.#limit);
    if (dropped === undefined) return false;
    for (const one of dropped) {
      this.#free(one);
      one.drop();
    }
    this.#hold(entry, bytes);
    return true;
  }

  /** Those to drop so that `bytes` become free for this request; `undefined` = that many do not become free. */
  #victims(entry: Entry, bytes: number): readonly Entry[] | undefined {
    if (bytes <= 0) return [];
    const clients = [...this.#clients.values()].map(({ bytes: held, waiting }) => {
      return { held, left: waiting.size, queue: waiting.values() };
    });
    const victims: Entry[] = [];
    for (let free = 0; free < bytes;) {
      const [first, ...others] = clients.filter(({ left }) => left > 0);
      if (first === undefined) return undefined;
      const fullest = others.reduce((most, client) => (client.held > most.held ? client : most), first);
      const { value: longest } = fullest.queue.next();
      if (longest === undefined || longest === entry) return undefined;
      fullest.left -= 1;
      fullest.held -= longest.bytes;
      free += longest.bytes;
      victims.push(longest);
    }
    return victims;
  }

  /** Counts `bytes` more for it, or fewer if they are negative. */
  #hold(entry: Entry, bytes: number): void {
    entry.bytes += bytes;
    entry.client.bytes += bytes;
    this.#bytes += bytes;
    list(entry);
  }

  /** Frees its room immediately, not only when its connection has ended. */
  #free(entry: Entry): void {
    entry.gone = true;
    this.#hold(entry, -entry.bytes);
  }

  #close(entry: Entry, name: string): void {
    this.#free(entry);
    entry.closed = true;
    entry.client.open -= 1;
    if (entry.client.open === 0) this.#clients.delete(name);
  }
}

function setWaits(entry: Entry, waits: boolean): void {
  entry.waits = waits;
  list(entry);
}

function list(entry: Entry): void {
  if (entry.waits && entry.bytes > 0) entry.client.waiting.add(entry);
  else entry.client.waiting.delete(entry);
}

import type { Clock, Instant } from '../domain/time.ts';
import type { Log } from '../telemetry/log.ts';
import type { Store } from '../store/port.ts';

/** What {@link Usage} needs. */
export interface UsageParts {
  readonly store: Pick<Store, 'recordUse'>;
  readonly clock: Clock;
  readonly log: Log;
  /** The longest time between a use and its write, in milliseconds (5,000 without). */
  readonly flushMs?: number;
  /** How many different key ids may wait for a write (10,000 without); further ones are dropped and counted. */
  readonly limit?: number;
}

const defaultFlushMs = 5_000;
const defaultLimit = 10_000;

/**
 * Tells the store which versions were seen in use, in batches and behind the verdicts: no request waits for it, and one that
 * cannot be written is tried with the next batch.
 */
export class Usage {
  readonly #parts: UsageParts;
  readonly #closing = new AbortController();
  #lastUsed = new Map<string, Instant>();
  #timer: Promise<void> | undefined;
  #writing: Promise<void> = Promise.resolve();
  #dropped = 0;
  #failing = false;

  constructor(parts: UsageParts) {
    this.#parts = parts;
  }

  /** Uses that were not kept, since the start. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Notes that a version's value was presented. Call it only when the hash matched. */
  note(keyId: string, at: Instant): void {
    this.#keep(keyId, at);
    this.#timer ??= this.#flushLater();
  }

  /** Writes what waits, and ends. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#timer;
    await this.#flush();
  }

  async #flushLater(): Promise<void> {
    const { clock, flushMs = defaultFlushMs } = this.#parts;
    // Aborted = closing, which flushes itself.
    await clock.sleep(flushMs, this.#closing.signal).catch(() => {});
    this.#timer = undefined;
    if (!this.#closing.signal.aborted) await this.#flush();
  }

  /** One write at a time: a slow store must not pile them up. */
  async #flush(): Promise<void> {
    this.#writing = this.#writing.then(() => this.#write());
    await this.#writing;
  }

  async #write(): Promise<void> {
    if (this.#lastUsed.size === 0) return;
    const used = this.#lastUsed;
    this.#lastUsed = new Map();
    try {
      await this.#parts.store.recordUse([...used].map(([keyId, at]) => ({ keyId, at })));
      this.#failing = false;
    } catch {
      for (const [keyId, at] of used) this.#keep(keyId, at);
      // Once per trouble; an outage of the store is told by who needs its answer.
      if (!this.#failing) this.#parts.log.warn('use of keys not recorded', { count: used.size });
      this.#failing = true;
      if (!this.#closing.signal.aborted) this.#timer ??= this.#flushLater();
    }
  }

  #keep(keyId: string, at: Instant): void {
    const known = this.#lastUsed.get(keyId);
    if (known === undefined && this.#lastUsed.size >= (this.#parts.limit ?? defaultLimit)) {
      this.#dropped += 1;
      return;
    }
    if (known === undefined || known < at) this.#lastUsed.set(keyId, at);
  }
}

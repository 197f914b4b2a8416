import type { Clock } from '../domain/time.ts';
import type { Store, UsedVersion } from '../store/port.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';

/** What {@link Usage} needs. */
export interface UsageParts {
  readonly store: Pick<Store, 'now' | 'recordUse' | 'reportReplica' | 'signOffReplica'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Pick<Metrics, 'usageDropped'>;
  /** Random for each process. */
  readonly replicaId: string;
  /** The longest time between a use and its write, in milliseconds (5,000 without). */
  readonly flushMs?: number;
  /** How many different key ids may wait for a write (10,000 without); further ones are dropped and counted. */
  readonly limit?: number;
}

const defaultFlushMs = 5_000;
const defaultLimit = 10_000;
/** As many as the store keeps of one version. */
const clientsKept = 8;
/** Stands for a use of which nobody knows by whom. */
const nobodyKnown = '';

/** Uses that wait for a write: key id → client → when, on the monotonic clock. The client used last is the last entry. */
type Waiting = Map<string, Map<string, number>>;

/**
 * Tells the store which versions were seen in use and by whom, in batches and behind the verdicts: no request waits for it,
 * and one that cannot be written is tried with the next batch. After each batch it says through which instant its record is
 * complete, so that an unused version is told from one whose use nobody has written yet.
 */
export class Usage {
  readonly #parts: UsageParts;
  readonly #closing = new AbortController();
  #waiting: Waiting = new Map();
  #running: Promise<void> | undefined;
  #dropped = 0;
  #failing = false;

  constructor(parts: UsageParts) {
    this.#parts = parts;
  }

  /** Uses that were not kept, since the start. */
  get dropped(): number {
    return this.#dropped;
  }

  /**
   * Reports for the first time, and then writes again and again. Call it before the first verdict: until the store knows of
   * this process, it takes the others' record for complete. Rejects with a Failure, and may be called again then.
   */
  async start(): Promise<void> {
    await this.#report(await this.#parts.store.now());
    this.#running ??= this.#flushForEver();
  }

  /** Notes that a version's value was presented just now. Call it only when the hash matched. `by`: see `VersionUse.by`. */
  note(keyId: string, by: string = nobodyKnown): void {
    this.#keep(keyId, by, this.#parts.clock.monotonicMs());
  }

  /** Writes what waits, signs off when all was written, and ends. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
    if (!(await this.#flush())) return;
    // Without a farewell we count as lagging for an hour, which is no harm but a delay.
    await this.#parts.store.signOffReplica(this.#parts.replicaId).catch(() => {});
  }

  async #flushForEver(): Promise<void> {
    const { clock, flushMs = defaultFlushMs } = this.#parts;
    const { signal } = this.#closing;
    for (;;) {
      // Aborted = closing, which flushes itself.
      await clock.sleep(flushMs, signal).catch(() => {});
      if (signal.aborted) return;
      await this.#flush();
    }
  }

  /** Whether everything that waited was written and reported. */
  async #flush(): Promise<boolean> {
    const { store, log } = this.#parts;
    let cut: Waiting = new Map();
    try {
      // Asked before the batch is cut: every use that the database would date before this instant is in it.
      const through = await store.now();
      cut = this.#waiting;
      this.#waiting = new Map();
      if (cut.size > 0) await store.recordUse(this.#batch(cut));
      cut = new Map();
      await this.#report(through);
      this.#failing = false;
      return true;
    } catch {
      for (const [keyId, clients] of cut) for (const [by, usedMs] of clients) this.#keep(keyId, by, usedMs);
      // Once per trouble; an outage of the store is told by who needs its answer.
      if (!this.#failing) log.warn('use of keys not recorded', { count: this.#waiting.size });
      this.#failing = true;
      return false;
    }
  }

  #batch(waiting: Waiting): readonly UsedVersion[] {
    const nowMs = this.#parts.clock.monotonicMs();
    return [...waiting].flatMap(([keyId, clients]) =>
      [...clients].map(([by, usedMs]): UsedVersion => {
        const use = { keyId, ageMs: Math.max(0, nowMs - usedMs) };
        return by === nobodyKnown ? use : { ...use, by };
      }),
    );
  }

  async #report(flushedThrough: number): Promise<void> {
    const { store, replicaId } = this.#parts;
    await store.reportReplica({ id: replicaId, flushedThrough, dropped: this.#dropped });
  }

  #keep(keyId: string, by: string, usedMs: number): void {
    const known = this.#waiting.get(keyId);
    if (known === undefined && this.#waiting.size >= (this.#parts.limit ?? defaultLimit)) {
      this.#dropped += 1;
      this.#parts.metrics.usageDropped();
      return;
    }
    const clients = known ?? new Map<string, number>();
    const latest = Math.max(usedMs, clients.get(by) ?? 0);
    clients.delete(by);
    clients.set(by, latest);
    const [oldest] = clients.keys();
    if (clients.size > clientsKept && oldest !== undefined) clients.delete(oldest);
    this.#waiting.set(keyId, clients);
  }
}

import type { ObjectMeta, ObjectRef } from '../api/meta.ts';
import { Failure } from '../domain/failure.ts';
import { WorkQueue, type Next } from '../queue/queue.ts';
import type { Store } from '../store/port.ts';
import type { Dependencies } from './dependencies.ts';
import type { Story } from './events.ts';
import type { Precedence } from './precedence.ts';
import { reconcileSafety } from './safetypass.ts';
import { askedBy } from './signatures.ts';

/** What a {@link SafetyLane} needs. */
export interface SafetyLaneInit {
  readonly dependencies: Dependencies;
  /** The store, with its own connections. */
  readonly store: Store;
  readonly precedence: Precedence;
  /** Called after a safety pass, whether it succeeded or not, or instead of one: a full pass must follow. */
  readonly onPassed: (key: string) => void;
  readonly onError: (key: string, error: unknown) => void;
}

/** How many safety passes run at a time. */
const concurrency = 4;
/** The pause after a failed pass: the database or the API server did not answer. */
const retryMs = 1_000;
/** No rule of a safety pass asks for it, and reading it would wait for the connections of others. */
const usageHorizon: Dependencies['usageHorizon'] = () => Promise.resolve({ kind: 'unknown', why: 'lagging' });
/** An ApiKey whose last pass is not longer ago changes again and again: others of its namespace do not wait for it. In milliseconds. */
const againWithinMs = 600_000;
/** How far back from its start a lane looks, in milliseconds: longer than a change of leaders takes. */
const backlogMs = 60_000;

/**
 * The queue of ApiKeys that somebody has just changed. Each gets a safety pass ({@link reconcileSafety}) before anything else,
 * even while a full pass over it hangs in a call to a destination, with workers and database connections that deliveries do not
 * use. Namespaces take turns, and in each those that have just had a pass with the others: so nobody delays a revocation elsewhere by
 * changing many ApiKeys, nor, in the same namespace, that of an ApiKey which nobody has touched lately by changing others again.
 */
export class SafetyLane {
  readonly #init: SafetyLaneInit;
  readonly #queue: WorkQueue<string>;
  /** What each ApiKey asked for at its last watch event. */
  readonly #heard = new Map<string, string>();
  /** What was heard before the start, and when by the monotonic clock, the last one last. */
  readonly #backlog = new Map<string, number>();
  #started = false;
  /** Since when changes wait for a safety pass to succeed, by the monotonic clock. */
  readonly #waiting = new Map<string, number>();
  /** When an ApiKey last had a pass, by the monotonic clock. */
  readonly #passed = new Map<string, number>();
  /** Events recorded since the last status write. */
  readonly #told = new Map<string, Story>();

  constructor(init: SafetyLaneInit) {
    const { onError } = init;
    this.#init = init;
    this.#queue = new WorkQueue<string>({
      ...{ clock: init.dependencies.clock, concurrency, onError },
      handle: (key) => this.#handle(key),
      groupOf: (key) => this.#groupOf(key),
    });
  }

  /**
   * Takes a watch event of an ApiKey. Returns whether the ApiKey asks for something other than before: then a safety pass is
   * queued. A new one may have taken the name of an ApiKey whose versions still live. Of those that the first list shows
   * (`initial`) that is left to the first full pass.
   */
  hear(key: string, metadata: ObjectMeta, initial: boolean): boolean {
    const before = this.#heard.get(key);
    const asks = askedBy(metadata);
    this.#heard.set(key, asks);
    if (before === asks || (before === undefined && initial)) return false;
    if (!this.#started) this.#collect(key);
    else if (before === undefined) {
      // It most often has nothing to take away: thousands at once go behind a revocation.
      this.#queue.add(key, { priority: 'low' });
    } else {
      this.#waits(key, this.#init.dependencies.clock.monotonicMs());
      this.#queue.add(key);
    }
    return true;
  }

  /** The namespace changed, which may take rights from the ApiKey. Changes of an ApiKey itself go first. */
  look(key: string): void {
    if (this.#started) this.#queue.add(key, { priority: 'low' });
  }

  /**
   * Begins to work. What came before goes behind what comes from now on: a standby has heard all changes since it started, and
   * the leader before it has handled them. Only the last minute gets safety passes, the newest change first, in case that leader
   * did not live to handle them; the first full passes find what is older.
   */
  start(): void {
    const since = this.#init.dependencies.clock.monotonicMs() - backlogMs;
    for (const [key, heardMs] of [...this.#backlog].reverse()) {
      if (heardMs >= since) this.#queue.add(key, { priority: 'low' });
      else this.#init.onPassed(key);
    }
    this.#backlog.clear();
    this.#started = true;
    this.#queue.start();
  }

  #groupOf(key: string): string {
    const { namespace = '' } = refOf(key);
    const passedMs = this.#passed.get(key) ?? Number.NEGATIVE_INFINITY;
    const isAgain = this.#init.dependencies.clock.monotonicMs() - passedMs < againWithinMs;
    return `${namespace}/${isAgain ? 'again' : ''}`;
  }

  #waits(key: string, sinceMs: number): void {
    this.#waiting.set(key, Math.min(sinceMs, this.#waiting.get(key) ?? sinceMs));
  }

  #collect(key: string): void {
    this.#backlog.delete(key);
    this.#backlog.set(key, this.#init.dependencies.clock.monotonicMs());
  }

  /** See {@link WorkQueue.drain}. */
  drain(timeoutMs: number): Promise<boolean> {
    return this.#queue.drain(timeoutMs);
  }

  idle(): boolean {
    return this.#queue.idle();
  }

  depth(): number {
    return this.#queue.depth();
  }

  inFlight(): number {
    return this.#queue.inFlight();
  }

  nextAt(): number | undefined {
    return this.#queue.nextAt();
  }

  /** The events that the next status of this ApiKey need not record again. */
  toldOf(key: string): Story {
    return this.#told.get(key) ?? [];
  }

  /** Call it after a status write that takes these events into account. */
  forgetTold(key: string, told: Story): void {
    if (this.#told.get(key) === told) this.#told.delete(key);
  }

  /** The ApiKey is gone. */
  forget(key: string): void {
    this.#heard.delete(key);
    this.#backlog.delete(key);
    this.#waiting.delete(key);
    this.#told.delete(key);
    this.#passed.delete(key);
  }

  async #handle(key: string): Promise<Next> {
    const { dependencies, store, precedence, onPassed } = this.#init;
    const { clock, log, metrics } = dependencies;
    const reading = precedence.begin(key);
    // Taken before the read: a change that comes later waits for another pass.
    const sinceMs = this.#waiting.get(key);
    this.#waiting.delete(key);
    try {
      const resource = await dependencies.resources.readLive('ApiKey', refOf(key));
      if (resource !== undefined) {
        reading.note(resource.metadata);
        const told = await reading.act(() => reconcileSafety({ ...dependencies, store, usageHorizon }, resource));
        // Unless the ApiKey is gone meanwhile: nothing would ever forget it.
        if (told.length > 0 && this.#heard.has(key)) this.#told.set(key, [...this.toldOf(key), ...told]);
      }
      if (this.#heard.has(key)) this.#passed.set(key, clock.monotonicMs());
      if (sinceMs !== undefined) metrics.safetyPassed(clock.monotonicMs() - sinceMs);
      return { kind: 'awaitChange' };
    } catch (error) {
      if (sinceMs !== undefined) this.#waits(key, sinceMs);
      if (!(error instanceof Failure)) throw error;
      if (error.reason === 'ConflictRetry') return { kind: 'conflict' };
      log.warn('safety pass not finished', { apiKey: key, reason: error.reason, message: error.message });
      return { kind: 'at', at: clock.now() + retryMs };
    } finally {
      reading.end();
      onPassed(key);
    }
  }
}

/** `<namespace>/<name>` as a reference. */
export function refOf(key: string): ObjectRef {
  const [namespace = '', name = ''] = key.split('/');
  return { namespace, name };
}

import type { Clock, Instant } from '../domain/time.ts';
import { Schedule } from './schedule.ts';
import { Turns } from './turns.ts';
import { Workers, type Worker } from './workers.ts';

/** `low` is for what nobody waits for: first lists and resyncs. It is never starved, see {@link promotedAfterMs}. */
export type Priority = 'high' | 'low';

/**
 * What a handled key waits for. `conflict`: another writer was quicker; the key comes again after a delay that grows
 * while the conflicts last. Both others end that growth.
 */
export type Next =
  { readonly kind: 'awaitChange' } | { readonly kind: 'at'; readonly at: Instant } | { readonly kind: 'conflict' };

/** What a {@link WorkQueue} is made of. */
export interface WorkQueueInit<K> {
  readonly clock: Clock;
  /**
   * How many keys are handled at a time, from 1, not counting those that are {@link Worker.away}. One key never runs twice at
   * once.
   */
  readonly concurrency: number;
  /** Must not throw; if it does, `onError` is told and the key comes again as after a conflict. */
  readonly handle: (key: K, worker: Worker) => Promise<Next>;
  readonly onError: (key: K, error: unknown) => void;
  /** The group of a key that becomes ready: the groups take turns. Absent = all keys in the order in which they come. */
  readonly groupOf?: (key: K) => string;
}

/** A ready key of low priority takes turns with those of high priority that came so much later. */
export const promotedAfterMs = 30_000;
/** client-go's per-item back-off. */
const conflictBaseMs = 5;
const conflictMaxMs = 1_000_000;
/** A wait is never longer, so that a jump of the wall clock shows within a minute. */
const longestSleepMs = 60_000;

/**
 * Keys that need work: each at most once in the queue and once in flight; a key added while it is in flight runs again
 * afterwards. Delays follow the wall clock when they were given as instants, the monotonic one when they are back-offs.
 * Keys are compared as in a Map: use strings.
 */
export class WorkQueue<K> {
  readonly #init: WorkQueueInit<K>;
  /** Ready keys, with the monotonic time when they became that. */
  readonly #ready: Readonly<Record<Priority, Turns<K>>> = { high: new Turns(), low: new Turns() };
  /** As {@link WorkQueue.resume} says. */
  readonly #resumed = new Map<K, number>();
  #tookResumed = false;
  #tookPromoted = false;
  readonly #instants = new Schedule<K>();
  readonly #backOffs = new Schedule<K>();
  /** Keys whose instants were all asked for at low priority. */
  readonly #lowInstants = new Set<K>();
  readonly #running = new Set<K>();
  readonly #workers: Workers;
  /** Added while running: the priority to run again with. */
  readonly #again = new Map<K, Priority>();
  readonly #conflicts = new Map<K, number>();
  #started = false;
  #draining = false;
  #sleep: { readonly untilMs: number; readonly abort: AbortController } | undefined;
  /** Called at each step towards the end of a drain. */
  #onDrainStep: (() => void) | undefined;

  constructor(init: WorkQueueInit<K>) {
    this.#init = init;
    this.#workers = new Workers({
      count: init.concurrency,
      onFree: () => {
        this.#turn();
        this.#onDrainStep?.();
      },
    });
  }

  /** Says that a key needs work, now or at an instant; of several instants the earliest counts. */
  add(key: K, options: { readonly priority?: Priority; readonly at?: Instant } = {}): void {
    if (this.#draining) return;
    const { priority = 'high', at } = options;
    if (at !== undefined && at > this.#init.clock.now()) this.#addAt(key, at, priority);
    else this.#addReady(key, priority);
    this.#turn();
  }

  /**
   * A key that began and was set aside continues: before all keys that have not begun, but not twice in a row while others are
   * ready. If it is in flight, it runs again, as with {@link add}.
   */
  resume(key: K): void {
    if (this.#draining) return;
    if (this.#running.has(key)) this.#again.set(key, 'high');
    else {
      this.#ready.high.delete(key);
      this.#ready.low.delete(key);
      this.#resumed.set(key, this.#init.clock.monotonicMs());
    }
    this.#turn();
  }

  /** Before it keys are only collected. */
  start(): void {
    this.#started = true;
    this.#turn();
  }

  /**
   * Starts nothing new and waits for what is in flight: for `timeoutMs` at most, and for keys that are {@link Worker.away} only
   * for `awayMs`. Returns false if something was still in flight then.
   */
  async drain(timeoutMs: number, awayMs = timeoutMs): Promise<boolean> {
    this.#draining = true;
    this.#sleep?.abort.abort();
    const { clock } = this.#init;
    const { promise: over, resolve: end } = Promise.withResolvers<undefined>();
    let waitsForAway = true;
    this.#onDrainStep = () => {
      if (this.#running.size === 0 || (!waitsForAway && this.#workers.areIdle())) end(undefined);
    };
    const ended = new AbortController();
    const after = (ms: number, act: () => void): void => {
      // Aborted = the drain is over.
      clock.sleep(ms, ended.signal).then(act, () => undefined);
    };
    after(timeoutMs, () => {
      end(undefined);
    });
    after(awayMs, () => {
      waitsForAway = false;
      this.#onDrainStep?.();
    });
    this.#onDrainStep();
    await over;
    ended.abort();
    return this.#running.size === 0;
  }

  /** Nothing is ready and nothing in flight; keys may still wait for an instant or a back-off. */
  idle(): boolean {
    return this.depth() === 0 && this.#running.size === 0;
  }

  /** Keys ready and not started. */
  depth(): number {
    return this.#ready.high.size + this.#ready.low.size + this.#resumed.size;
  }

  inFlight(): number {
    return this.#running.size;
  }

  /** When the next waiting key is due, by the wall clock. */
  nextAt(): Instant | undefined {
    const backOff = this.#backOffs.next();
    const { clock } = this.#init;
    const instants = [this.#instants.next(), backOff === undefined ? undefined : clock.now() + backOff - clock.monotonicMs()];
    const known = instants.filter((one) => one !== undefined);
    return known.length === 0 ? undefined : Math.min(...known);
  }

  #addAt(key: K, at: Instant, priority: Priority): void {
    if (priority === 'high') this.#lowInstants.delete(key);
    else if (this.#instants.dueOf(key) === undefined) this.#lowInstants.add(key);
    this.#instants.set(key, at);
  }

  #addReady(key: K, priority: Priority): void {
    if (this.#running.has(key)) {
      if (priority === 'high' || !this.#again.has(key)) this.#again.set(key, priority);
      return;
    }
    if (this.#ready.high.has(key) || this.#resumed.has(key)) return;
    if (this.#ready.low.has(key) && priority === 'low') return;
    this.#ready.low.delete(key);
    const { clock, groupOf } = this.#init;
    this.#ready[priority].add(key, groupOf?.(key) ?? '', clock.monotonicMs());
  }

  /** Moves what is due to the ready ones, starts what may start, and sleeps until the next instant. */
  #turn(): void {
    if (!this.#started || this.#draining) return;
    const { clock } = this.#init;
    for (let key = this.#instants.takeDue(clock.now()); key !== undefined; key = this.#instants.takeDue(clock.now())) {
      this.#addReady(key, this.#lowInstants.delete(key) ? 'low' : 'high');
    }
    for (
      let key = this.#backOffs.takeDue(clock.monotonicMs());
      key !== undefined;
      key = this.#backOffs.takeDue(clock.monotonicMs())
    ) {
      this.#addReady(key, 'high');
    }
    for (let key = this.#takeReady(); key !== undefined; key = this.#takeReady()) void this.#run(key);
    this.#sleepUntilNext();
  }

  #takeReady(): K | undefined {
    if (!this.#workers.isFree()) return undefined;
    const [resumed] = this.#resumed.keys();
    const others = this.#ready.high.size + this.#ready.low.size;
    this.#tookResumed = resumed !== undefined && (others === 0 || !this.#tookResumed);
    if (!this.#tookResumed || resumed === undefined) return this.#takeNew();
    this.#resumed.delete(resumed);
    return resumed;
  }

  /** A key that has not begun. Those of low priority take turns with newer ones of high priority. */
  #takeNew(): K | undefined {
    const { high, low } = this.#ready;
    const [[, highSince] = [], [, lowSince] = []] = [high.head(), low.head()];
    if (highSince === undefined || lowSince === undefined) return (highSince === undefined ? low : high).take();
    this.#tookPromoted = lowSince + promotedAfterMs <= highSince && !this.#tookPromoted;
    return (this.#tookPromoted ? low : high).take();
  }

  async #run(key: K): Promise<void> {
    const { handle, onError } = this.#init;
    const worker = this.#workers.take();
    this.#running.add(key);
    // What the key waited for is looked at now; the answer says anew what it waits for.
    this.#dropDelays(key);
    let next: Next;
    try {
      next = await handle(key, worker);
    } catch (error) {
      onError(key, error);
      next = { kind: 'conflict' };
    }
    this.#running.delete(key);
    this.#settle(key, next);
    worker.end();
    this.#turn();
    this.#onDrainStep?.();
  }

  #settle(key: K, next: Next): void {
    if (next.kind === 'conflict') {
      const conflicts = this.#conflicts.get(key) ?? 0;
      this.#conflicts.set(key, conflicts + 1);
      this.#backOffs.set(key, this.#init.clock.monotonicMs() + conflictDelayMs(conflicts));
    } else {
      this.#conflicts.delete(key);
    }
    const again = this.#again.get(key);
    this.#again.delete(key);
    if (again !== undefined) this.#addReady(key, again);
    if (next.kind !== 'at') return;
    if (next.at > this.#init.clock.now()) this.#addAt(key, next.at, 'high');
    else this.#addReady(key, 'high');
  }

  #dropDelays(key: K): void {
    this.#instants.delete(key);
    this.#backOffs.delete(key);
    this.#lowInstants.delete(key);
  }

  #sleepUntilNext(): void {
    const { clock } = this.#init;
    const next = this.nextAt();
    if (next === undefined) return;
    const ms = Math.min(Math.max(next - clock.now(), 1), longestSleepMs);
    const untilMs = clock.monotonicMs() + ms;
    if (this.#sleep !== undefined && this.#sleep.untilMs <= untilMs) return;
    this.#sleep?.abort.abort();
    const sleep = { untilMs, abort: new AbortController() };
    this.#sleep = sleep;
    clock.sleep(ms, sleep.abort.signal).then(
      () => {
        if (this.#sleep === sleep) this.#sleep = undefined;
        this.#turn();
      },
      () => undefined,
    );
  }
}

/** The delay after the n-th conflict in a row, counted from 0: 5 ms, 10 ms, … at most 1000 s. */
export function conflictDelayMs(conflicts: number): number {
  return Math.min(conflictBaseMs * 2 ** Math.min(conflicts, 30), conflictMaxMs);
}

import type { Clock } from '../../domain/time.ts';
import type { Log } from '../../telemetry/log.ts';
import { applyChange, replaceAll } from './cache.ts';
import type { Cache, Cached, Change } from './cache.ts';
import { KubeFault, faultOf } from './fault.ts';
import { BackOff, endingOf, nextPosition, startPosition } from './position.ts';
import type { Ending, Position } from './position.ts';

/** One page of a list. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly resourceVersion: string;
  /** Absent on the last page. */
  readonly next?: string;
}

/** One message of a watch; a bookmark carries only a version, and maybe says that the initial events are over. */
export type WatchMessage<T> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T }
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string; readonly endsInitialEvents: boolean }
  | { readonly type: 'ERROR'; readonly fault: KubeFault };

/** What a watch is asked for. */
export interface WatchQuery {
  readonly resourceVersion: string;
  /** The server sends everything there is first, then a bookmark that says so (WatchList). */
  readonly sendInitialEvents: boolean;
  /** When the server closes the watch. */
  readonly timeoutSeconds: number;
}

/** Lists and watches one kind, in one namespace or all. Throws {@link KubeFault} only. */
export interface WatchSource<T> {
  list(resourceVersion: string, next: string | undefined, signal: AbortSignal): Promise<Page<T>>;
  watch(query: WatchQuery, signal: AbortSignal): Promise<AsyncIterable<WatchMessage<T>>>;
}

export interface ReflectorInit<T> {
  /** For the log. */
  readonly kind: string;
  readonly source: WatchSource<T>;
  readonly clock: Clock;
  readonly log: Log;
  /** Numbers in [0, 1): spreads watches and retries. */
  readonly random: () => number;
  /** Told of every change, after the cache has it. `initial`: it comes from a list. */
  readonly onChange: (change: Change<T>, initial: boolean) => void;
}

/** Nothing for this long, and a server is held for one that does not know WatchList. */
const initialEventsIdleMs = 10_000;
const initialEventsLimitMs = 120_000;
/** A server sends a bookmark each minute; when two are missing, the connection is dead. */
const watchIdleMs = 150_000;
/** A watch that ends sooner is a fault of the server's (client-go's rule). */
const shortWatchMs = 1_000;
const leastWatchSeconds = 300;

/** What a step came to; after `next` the position is set already, and the next step follows at once. */
type StepEnd = Ending | 'next';

/** How long a stream may be silent, and last, before it is given up; instants are monotonic milliseconds. */
interface Patience {
  silentSinceMs: number;
  idleMs: number;
  untilMs: number;
}

/** Keeps a cache equal to the server, through every kind of fault, with client-go's manners. */
export class Reflector<T extends Cached> {
  /** The objects, by `namespace/name`. Complete once {@link Reflector.synced} has resolved. */
  readonly cache: Cache<T> = new Map();
  /** Resolves when everything was listed once. */
  readonly synced: Promise<void>;
  readonly #init: ReflectorInit<T>;
  readonly #backOff: BackOff;
  readonly #markSynced: () => void;
  #position: Position = startPosition;
  /** For the log. */
  #lastFault = '';
  #isServed = true;
  /** Until this server has shown that it does not know WatchList. */
  #useWatchList = true;

  constructor(init: ReflectorInit<T>) {
    this.#init = init;
    this.#backOff = new BackOff(init.random);
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.synced = promise.then(() => undefined);
    this.#markSynced = () => {
      resolve(undefined);
    };
  }

  /** False while the server says that it does not have the kind: its CRD was deleted. */
  get isServed(): boolean {
    return this.#isServed;
  }

  /** Runs until `signal` is aborted; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log, kind } = this.#init;
    while (!isAborted(signal)) {
      const startedMs = clock.monotonicMs();
      const end = await this.#step(signal);
      if (isAborted(signal)) return;
      if (end === 'next') continue;
      this.#position = nextPosition(this.#position, end);
      if (end === 'ended' && clock.monotonicMs() - startedMs >= shortWatchMs) continue;
      const retryInMs = this.#backOff.nextMs(clock.monotonicMs());
      log.warn('watch interrupted', {
        kind,
        failure: end === 'ended' ? 'too short' : this.#lastFault,
        retryInMs: Math.round(retryInMs),
      });
      await clock.sleep(retryInMs, signal).catch(() => undefined);
    }
  }

  /** One list or one watch, until its end. */
  async #step(signal: AbortSignal): Promise<StepEnd> {
    // Everything that a step opens ends with it, also when it ends by an error.
    const step = new AbortController();
    const either = AbortSignal.any([signal, step.signal]);
    try {
      if (this.#position.kind === 'watch') return await this.#watch(either, step);
      if (this.#useWatchList) return await this.#watchList(either, step);
      return await this.#list(either);
    } catch (error) {
      const fault = faultOf(error);
      this.#lastFault = String(fault.code);
      if (fault.code === 404) this.#isServed = false;
      return endingOf(fault);
    } finally {
      step.abort();
    }
  }

  async #list(signal: AbortSignal): Promise<StepEnd> {
    const { source } = this.#init;
    const objects: T[] = [];
    let page = await source.list(this.#position.resourceVersion, undefined, signal);
    objects.push(...page.items);
    while (page.next !== undefined) {
      page = await source.list('', page.next, signal);
      objects.push(...page.items);
    }
    this.#replace(objects, page.resourceVersion);
    return 'next';
  }

  async #watch(signal: AbortSignal, step: AbortController): Promise<StepEnd> {
    const timeoutSeconds = this.#timeoutSeconds();
    const patience = this.#patience(watchIdleMs, timeoutSeconds * 1000 + watchIdleMs);
    void this.#guard(patience, step);
    const query = { resourceVersion: this.#position.resourceVersion, sendInitialEvents: false, timeoutSeconds };
    const stream = await this.#init.source.watch(query, signal);
    this.#isServed = true;
    for await (const message of stream) {
      patience.silentSinceMs = this.#init.clock.monotonicMs();
      this.#follow(message);
    }
    return 'ended';
  }

  /** A list as a stream, then the watch on it: no copy of everything on the server, and no page that may expire. */
  async #watchList(signal: AbortSignal, step: AbortController): Promise<StepEnd> {
    const { clock, source } = this.#init;
    const timeoutSeconds = this.#timeoutSeconds();
    const patience = this.#patience(initialEventsIdleMs, initialEventsLimitMs);
    const query = { resourceVersion: this.#position.resourceVersion, sendInitialEvents: true, timeoutSeconds };
    /** Objects so far; `undefined` once the list is complete. */
    let listed: Cache<T> | undefined = new Map();
    try {
      const stream = await source.watch(query, signal);
      patience.silentSinceMs = clock.monotonicMs();
      void this.#guard(patience, step);
      for await (const message of stream) {
        patience.silentSinceMs = clock.monotonicMs();
        if (listed === undefined) this.#follow(message);
        else if (message.type === 'ERROR') throw message.fault;
        else if (message.type !== 'BOOKMARK') applyChange(listed, message);
        else if (message.endsInitialEvents) {
          this.#replace([...listed.values()], message.resourceVersion);
          listed = undefined;
          Object.assign(patience, this.#patience(watchIdleMs, timeoutSeconds * 1000 + watchIdleMs));
        }
      }
    } catch (error) {
      const { code } = faultOf(error);
      const isRefused = code === 400 || code === 422;
      // Silence instead of the closing bookmark: an old server has taken it for an ordinary watch.
      if (listed === undefined || !(isRefused || step.signal.aborted)) throw error;
      this.#init.log.info('list by pages', { kind: this.#init.kind });
      this.#useWatchList = false;
      return 'next';
    }
    if (listed !== undefined) throw new KubeFault('broken');
    return 'ended';
  }

  /** Takes one message of a watch that stands on a complete list. */
  #follow(message: WatchMessage<T>): void {
    if (message.type === 'ERROR') throw message.fault;
    if (message.type === 'BOOKMARK') {
      this.#position = { kind: 'watch', resourceVersion: message.resourceVersion };
      return;
    }
    const changes = applyChange(this.cache, message);
    this.#position = { kind: 'watch', resourceVersion: message.object.metadata.resourceVersion };
    for (const change of changes) this.#init.onChange(change, false);
  }

  #replace(objects: readonly T[], resourceVersion: string): void {
    const changes = replaceAll(this.cache, objects);
    this.#position = { kind: 'watch', resourceVersion };
    for (const change of changes) this.#init.onChange(change, true);
    this.#isServed = true;
    this.#markSynced();
  }

  #patience(idleMs: number, lastsMs: number): Patience {
    const nowMs = this.#init.clock.monotonicMs();
    return { silentSinceMs: nowMs, idleMs, untilMs: nowMs + lastsMs };
  }

  /** Ends the step when its patience is over. One timer for each stream, not one for each message. */
  async #guard(patience: Patience, step: AbortController): Promise<void> {
    const { clock } = this.#init;
    while (!isAborted(step.signal)) {
      const endMs = Math.min(patience.silentSinceMs + patience.idleMs, patience.untilMs);
      const leftMs = endMs - clock.monotonicMs();
      if (leftMs <= 0) step.abort();
      else await clock.sleep(leftMs, step.signal).catch(() => undefined);
    }
  }

  /** Between 5 and 10 minutes, so that the watches of many clients do not end together. */
  #timeoutSeconds(): number {
    return Math.floor(leastWatchSeconds * (1 + this.#init.random()));
  }
}

/** A call, because the compiler believes that a signal's state does not change while one awaits. */
function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}

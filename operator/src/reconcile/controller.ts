import type { ApiKey } from '../api/kinds.ts';
import { Failure, transient } from '../domain/failure.ts';
import type { Reason } from '../domain/reason.ts';
import type { Instant } from '../domain/time.ts';
import { WorkQueue, type Next, type Priority } from '../queue/queue.ts';
import type { Worker } from '../queue/workers.ts';
import type { ResourceEvent } from '../resources/port.ts';
import { FenceLost, type Store } from '../store/port.ts';
import type { Backlog } from '../telemetry/metrics.ts';
import { Comparisons } from './comparisons.ts';
import { Defects } from './defects.ts';
import type { Dependencies } from './dependencies.ts';
import { Dependents, type Dependency } from './dependents.ts';
import { Echoes } from './echoes.ts';
import type { Comparison } from './observed.ts';
import { Orphans } from './orphans.ts';
import { Outages } from './outages.ts';
import { Precedence, type Reading } from './precedence.ts';
import { backOffUntil, passOfFailure, reconcile, type Pass } from './reconciler.ts';
import { retryAt } from './retry.ts';
import { SafetyLane, refOf } from './safetylane.ts';
import { signatureOf } from './signatures.ts';
import { Withdrawals } from './sweep.ts';
import { Crowded, Traffic } from './traffic.ts';
import { Unserved } from './unserved.ts';

/** What a pass found of one ApiKey. */
export interface Found extends Pick<Pass, 'ready' | 'held' | 'expiresAt'> {
  readonly owner: string;
}

/** What a {@link Controller} is made of besides its ports. */
export interface ControllerInit {
  readonly dependencies: Dependencies;
  /** How many ApiKeys are reconciled at a time, and how many calls go to each destination at a time. */
  readonly concurrency: number;
  /** What is known about destinations that do not answer; absent = the controller keeps its own. */
  readonly outages?: Outages;
  /** The store for safety passes, with its own connections; absent = they share the others' connections. */
  readonly safetyStore?: Store;
  /** Leadership is gone: the process must end. Called once. */
  readonly onFenceLost: () => void;
  /** What a pass found, for counts and metrics; without `found` the ApiKey is gone. */
  readonly onPass?: (apiKey: string, found: Found | undefined) => void;
  /** A pass ended because something is not there: {@link Controller.wakeWaiting} goes on when it is. */
  readonly onWaiting?: (reason: Reason) => void;
}

const sweepEveryMs = 60_000;
/** After something that a sweep has to do with, so that one is enough for many. */
const sweepSoonMs = 2_000;
/**
 * A key that was set aside is invited when there is room; without an invitation it comes back after this time, in milliseconds.
 */
const parkedForMs = 60_000;
/** Keys that waited for one thing come back so far apart, and all of them within the longest spread. */
const wakeApartMs = 100;
const longestSpreadMs = 30_000;

/** What the status says about an error that is not a Failure. The error's own message may quote values, so it is never shown. */
const defect = transient('InternalError', 'a defect in Keywright; the log of the operator has the details');

/**
 * Turns changes into passes: every event becomes the names of the ApiKeys that it concerns, and the queue works them
 * off, each once at a time. Of an ApiKey only its metadata and its dependencies are remembered here.
 *
 * A change of an ApiKey first goes through the {@link SafetyLane}: removed rights reach the store whatever destinations do, even
 * while a full pass over the same ApiKey hangs.
 */
export class Controller {
  readonly #deps: Dependencies;
  readonly #init: ControllerInit;
  readonly #queue: WorkQueue<string>;
  readonly #safety: SafetyLane;
  readonly #precedence = new Precedence();
  readonly #traffic: Traffic;
  readonly #dependents = new Dependents();
  /** What an object said when it last mattered, so that our own status writes do not wake its dependents. */
  readonly #signatures = new Map<string, string>();
  readonly #comparisons: Comparisons;
  readonly #echoes = new Echoes();
  /** Keys that a change speaks for: their persisted back-off does not count. */
  readonly #changed = new Set<string>();
  /** Until when a key whose last pass failed is left alone. A status can be forged, so it is read only before the first pass. */
  readonly #backOffs = new Map<string, Instant>();
  /** What the last pass of a key waited for. */
  readonly #waiting = new Map<string, Reason>();
  #unsubscribe: (() => void) | undefined;
  readonly #orphans = new Orphans();
  readonly #unserved = new Unserved();
  readonly #withdrawals: Withdrawals;
  readonly #stop = new AbortController();
  /** Ends the pause before the next sweep early. */
  #hurry = new AbortController();
  readonly #defects: Defects;

  constructor(init: ControllerInit) {
    this.#init = init;
    this.#deps = init.dependencies;
    this.#comparisons = new Comparisons(this.#deps.clock.now());
    this.#defects = new Defects(this.#deps.log, init.onFenceLost);
    const { clock } = this.#deps;
    const { concurrency, outages = new Outages(clock) } = init;
    this.#traffic = new Traffic({ clock, outages, concurrency, assertLeading: this.#deps.assertLeading });
    this.#traffic.onRoom((key) => {
      this.#changed.add(key);
      this.#queue.resume(key);
    });
    this.#withdrawals = new Withdrawals({ ...this.#deps, destinations: this.#traffic.guard(this.#deps.destinations) });
    const onError = (key: string, error: unknown): void => {
      this.#report(key, error);
    };
    this.#queue = new WorkQueue<string>({
      ...{ clock, concurrency, onError },
      handle: (key, worker) => this.#attempt(key, worker),
    });
    this.#safety = new SafetyLane({
      ...{ dependencies: this.#deps, store: init.safetyStore ?? this.#deps.store, precedence: this.#precedence, onError },
      onPassed: (key) => {
        this.#queue.add(key);
      },
    });
  }

  /** Listens from now on. Call it before the resources start, so that no first event is missed. */
  listen(): void {
    this.#unsubscribe = this.#deps.resources.subscribe((event) => {
      this.#onEvent(event);
    });
  }

  /** Begins to work: after the first lists, so that a missing reference is really missing. */
  start(): void {
    this.#safety.start();
    this.#queue.start();
    this.#inBackground(this.#unserved.look(this.#deps));
    void this.#sweepForEver();
  }

  /**
   * Ends the full passes and sweeps, see {@link WorkQueue.drain}; safety passes go on. False if a full pass did not end in time:
   * what it leaves is what a crash leaves.
   */
  async drainFull(timeoutMs: number, awayMs: number): Promise<boolean> {
    this.#stop.abort();
    return await this.#queue.drain(timeoutMs, awayMs);
  }

  /** Ends the safety passes too; call it after {@link drainFull}. */
  async drain(timeoutMs: number): Promise<boolean> {
    this.#unsubscribe?.();
    return await this.#safety.drain(timeoutMs);
  }

  /** What is in force changed: who named it is looked at. A destination that heals is not met by all its keys at once. */
  wake(dependencies: readonly Dependency[]): void {
    for (const dependency of dependencies) {
      const keys = this.#dependents.of(dependency);
      if (!dependency.startsWith('KeyDestination/')) {
        for (const key of keys) this.#wakeKey(key);
        continue;
      }
      this.#wakeSpread(keys);
      // What was left behind there may have no key any more.
      this.#hurry.abort();
    }
  }

  /** What these keys waited for is there again. */
  wakeWaiting(reason: Reason): void {
    this.#wakeSpread([...this.#waiting].flatMap(([key, waitsFor]) => (waitsFor === reason ? [key] : [])));
  }

  /** Their statuses are out of date. */
  wakeKeys(keys: readonly string[]): void {
    this.#wakeSpread(keys);
  }

  #wakeSpread(keys: readonly string[]): void {
    const now = this.#deps.clock.now();
    const apartMs = Math.min(wakeApartMs, longestSpreadMs / keys.length);
    for (const [at, key] of keys.entries()) this.#wakeKey(key, now + Math.floor(at * apartMs));
  }

  /** Whatever back-off it has. */
  #wakeKey(key: string, at?: Instant): void {
    this.#changed.add(key);
    this.#queue.add(key, at === undefined ? {} : { at });
  }

  /** What the store has of this ApiKey was changed by somebody else; one that no resource declares is the sweeper's. */
  wakeUid(uid: string): void {
    const found = this.#deps.resources.list('ApiKey').find((metadata) => metadata.uid === uid);
    if (found === undefined) return;
    this.#changed.add(nameOf(found));
    this.#queue.add(nameOf(found), { priority: 'high' });
  }

  /** Anything in the store may be another than it was: every ApiKey is looked at, behind what is urgent. */
  wakeAll(): void {
    for (const metadata of this.#deps.resources.list('ApiKey')) {
      this.#changed.add(nameOf(metadata));
      this.#queue.add(nameOf(metadata), { priority: 'low' });
    }
  }

  /** Nothing is queued or in flight: what is left waits for a later instant or a change. */
  idle(): boolean {
    return this.#queue.idle() && this.#safety.idle();
  }

  /** ApiKeys that wait for their turn now. */
  depth(): number {
    return this.#queue.depth() + this.#safety.depth();
  }

  /** The same by what they wait for. */
  backlog(): Backlog {
    return { full: this.#queue.depth(), safety: this.#safety.depth(), setAside: this.#traffic.parked() };
  }

  /** When the next of the ApiKeys that wait for an instant is due; `undefined` = none waits for one. */
  nextAt(): Instant | undefined {
    const instants = [this.#queue.nextAt(), this.#safety.nextAt()].filter((at) => at !== undefined);
    return instants.length === 0 ? undefined : Math.min(...instants);
  }

  /** ApiKeys that are worked at this moment. */
  inFlight(): number {
    return this.#queue.inFlight() + this.#safety.inFlight();
  }

  #onEvent(event: ResourceEvent): void {
    const { kind, metadata, type } = event;
    const changed = this.#noteChange(event);
    if (kind === 'ApiKey') {
      const key = nameOf(metadata);
      if (type === 'delete') {
        this.#forget(key);
        // It may have left something behind.
        this.#hurry.abort();
      }
      const isNews = changed && !event.initial;
      if (isNews) this.#changed.add(key);
      if (type !== 'delete' && this.#safety.hear(key, metadata, event.initial)) {
        // Also for changes that a new list shows after the watch broke. A full pass follows.
        this.#changed.add(key);
        return;
      }
      if (!changed && !event.initial && !this.#echoes.hear(key, metadata.resourceVersion)) return;
      this.#queue.add(key, { priority: isNews ? 'high' : 'low' });
      return;
    }
    if (!changed) return;
    const dependency: Dependency = `${kind}/${kind === 'Secret' ? nameOf(metadata) : metadata.name}`;
    for (const key of this.#dependents.of(dependency)) {
      const at = kind === 'Secret' ? this.#askToCompare(key) : undefined;
      if (at === undefined) this.#changed.add(key);
      // Its labels permit keys, and its deletion ends them: no destination may delay that.
      if (kind === 'Namespace' && !event.initial) this.#safety.look(key);
      this.#queue.add(key, { priority: priorityOf(event), ...(at === undefined ? {} : { at }) });
    }
  }

  /** A Secret changed; gives the instant at which that may be looked at, when it is not now. */
  #askToCompare(key: string): Instant | undefined {
    this.#comparisons.ask(key);
    const now = this.#deps.clock.now();
    const at = this.#comparisons.askedAt(key, now);
    return at !== undefined && at > now ? at : undefined;
  }

  /** Whether the event says anything that a plan could depend on: a status write of ours does not. */
  #noteChange({ kind, metadata, type }: ResourceEvent): boolean {
    const id = `${kind}/${nameOf(metadata)}`;
    const signature = type === 'delete' ? '' : signatureOf(kind, metadata);
    const before = this.#signatures.get(id) ?? '';
    if (type === 'delete') this.#signatures.delete(id);
    else this.#signatures.set(id, signature);
    return before !== signature;
  }

  #forget(key: string): void {
    this.#dependents.forget(key);
    this.#comparisons.forget(key);
    this.#echoes.forget(key);
    this.#deps.edits.forget(key);
    this.#changed.delete(key);
    this.#backOffs.delete(key);
    this.#waiting.delete(key);
    this.#safety.forget(key);
    this.#traffic.forget(key);
  }

  /** A failure outside the pass (the API server does not answer) is tried again like one inside it. */
  async #attempt(key: string, worker: Worker): Promise<Next> {
    try {
      const next = await this.#handle(key, worker);
      // It was let in, and did not come to its end: the next pass goes on whatever back-off the status tells.
      if (next.kind === 'conflict') this.#changed.add(key);
      return next;
    } catch (error) {
      const { clock, log, random } = this.#deps;
      if (error instanceof Crowded) {
        this.#traffic.park(key, error);
        return { kind: 'at', at: clock.now() + parkedForMs };
      }
      if (!(error instanceof Failure)) throw error;
      if (error.reason === 'ConflictRetry') {
        this.#changed.add(key);
        return { kind: 'conflict' };
      }
      log.warn('pass not finished', { apiKey: key, failure: error.kind, reason: error.reason, message: error.message });
      this.#changed.add(key);
      return { kind: 'at', at: retryAt(error, 0, clock.now(), (random(1)[0] ?? 0) / 256) };
    }
  }

  /**
   * A Secret went while nobody listened, or before the first look at its key: the watch knows that it is not there, and nobody
   * will say so again.
   */
  #lacksSecret({ status }: ApiKey, dependencies: readonly Dependency[]): boolean {
    if (status?.currentKey?.activatedAt === undefined) return false;
    return dependencies.some((dependency) => dependency.startsWith('Secret/') && !this.#signatures.has(dependency));
  }

  async #handle(key: string, worker: Worker): Promise<Next> {
    const { clock, limits, resources } = this.#deps;
    const now = clock.now();
    const changed = this.#changed.delete(key);
    const reading = this.#precedence.begin(key);
    try {
      const resource = await resources.readLive('ApiKey', refOf(key));
      if (resource === undefined) {
        this.#forget(key);
        this.#init.onPass?.(key, undefined);
        return { kind: 'awaitChange' };
      }
      reading.note(resource.metadata);
      const dependencies = dependenciesOf(resource);
      const isKnown = this.#dependents.knows(key);
      if (!isKnown && this.#lacksSecret(resource, dependencies)) this.#comparisons.ask(key);
      // Before the pass, so that a change during it wakes the key again.
      this.#dependents.record(key, dependencies);
      if (!isKnown) this.#backOff(key, backOffUntil(resource, now));
      const until = changed ? undefined : this.#backOffs.get(key);
      if (until !== undefined && until > now) return { kind: 'at', at: until };
      const compare = this.#comparisons.begin({ name: key, uid: resource.metadata.uid }, limits.driftIntervalMs, now);
      const next = await this.#passOver(key, resource, { compare, worker, reading });
      return this.#notAfter(next, this.#comparisons.askedAt(key, clock.now()));
    } finally {
      reading.end();
    }
  }

  async #passOver(key: string, resource: ApiKey, how: HowToPass): Promise<Next> {
    const { compare } = how;
    const now = this.#deps.clock.now();
    let isCompared = false;
    try {
      const { next, compared, waitsFor, backOffUntil: until, ...found } = await this.#pass(key, resource, how);
      isCompared = compared;
      this.#backOff(key, until);
      if (waitsFor === undefined) this.#waiting.delete(key);
      else {
        this.#waiting.set(key, waitsFor);
        this.#init.onWaiting?.(waitsFor);
      }
      this.#init.onPass?.(key, { owner: resource.spec.owner, ...found });
      return next;
    } finally {
      this.#comparisons.end(key, compare, isCompared, now);
    }
  }

  async #pass(key: string, resource: ApiKey, { compare, worker, reading }: HowToPass): Promise<Omit<Pass, 'toldAt'>> {
    let written: string | undefined;
    const startedMs = this.#deps.clock.monotonicMs();
    const toldBefore = this.#safety.toldOf(key);
    const visit = this.#traffic.visit(this.#deps.destinations, key, worker);
    const deps: Dependencies = {
      ...this.#deps,
      store: reading.guard(this.#deps.store),
      destinations: visit.destinations,
      assertCurrent: () => {
        reading.assertCurrent();
      },
    };
    this.#echoes.begin(key);
    try {
      const { toldAt, ...found } = await reconcile(deps, resource, compare, toldBefore);
      written = toldAt;
      if (found.next.kind !== 'conflict') this.#safety.forgetTold(key, toldBefore);
      return found;
    } catch (error) {
      if (error instanceof Failure || error instanceof Crowded || error instanceof FenceLost) throw error;
      this.#report(key, error);
      const { toldAt, ...failed } = await passOfFailure(deps, resource, defect, startedMs);
      written = toldAt;
      return failed;
    } finally {
      visit.end();
      if (this.#echoes.end(key, written)) this.#queue.add(key, { priority: 'low' });
    }
  }

  #backOff(key: string, until: Instant | undefined): void {
    if (until === undefined) this.#backOffs.delete(key);
    else this.#backOffs.set(key, until);
  }

  /** A comparison that was asked for and must wait is not forgotten over what the pass itself waits for. */
  #notAfter(next: Next, at: Instant | undefined): Next {
    if (at === undefined || next.kind === 'conflict') return next;
    return { kind: 'at', at: next.kind === 'at' ? Math.min(next.at, at) : at };
  }

  #report(key: string, error: unknown): void {
    if (this.#defects.report(error, { apiKey: key }) === 'fence lost') this.#stop.abort();
  }

  async #sweepForEver(): Promise<void> {
    const { clock } = this.#deps;
    const stop = this.#stop.signal;
    while (!stop.aborted) {
      try {
        const { signal } = this.#hurry;
        // Aborted = sooner.
        await clock.sleep(sweepEveryMs, AbortSignal.any([stop, signal])).catch(() => {});
        if (signal.aborted) await clock.sleep(sweepSoonMs, stop);
        if (stop.aborted) return;
        this.#hurry = new AbortController();
        // Neither waits for the other: one needs the API server, the other a destination.
        this.#inBackground(this.#sweepOrphans());
        this.#inBackground(this.#withdrawals.sweep());
        this.#inBackground(this.#unserved.look(this.#deps));
      } catch (error) {
        this.#noteSweepFault(error);
      }
    }
  }

  async #sweepOrphans(): Promise<void> {
    const ended = await this.#orphans.sweep(this.#deps, (uid) => {
      this.wakeUid(uid);
    });
    // What they leave behind is to be emptied now.
    if (ended > 0) this.#hurry.abort();
  }

  #inBackground(sweep: Promise<unknown>): void {
    void sweep.catch((error: unknown) => {
      this.#noteSweepFault(error);
    });
  }

  #noteSweepFault(error: unknown): void {
    if (this.#stop.signal.aborted) return;
    if (error instanceof Failure) this.#deps.log.warn('sweep put off', { reason: error.reason, message: error.message });
    else this.#report('sweep', error);
  }
}

/** How to make a pass. */
interface HowToPass {
  readonly compare: Comparison;
  readonly worker: Worker;
  readonly reading: Reading;
}

function nameOf(metadata: { readonly namespace?: string; readonly name: string }): string {
  return `${metadata.namespace ?? ''}/${metadata.name}`;
}

function priorityOf(event: ResourceEvent): Priority {
  return event.initial ? 'low' : 'high';
}

function dependenciesOf(resource: ApiKey): readonly Dependency[] {
  const { spec, metadata } = resource;
  const targets = spec.deliverTo.map((target): Dependency =>
    target.secret === undefined
      ? `KeyDestination/${target.destination ?? ''}`
      : `Secret/${metadata.namespace ?? ''}/${target.secret.name}`,
  );
  return [`ApiCatalog/${spec.catalog}`, `KeyOwner/${spec.owner}`, `Namespace/${metadata.namespace ?? ''}`, ...targets];
}

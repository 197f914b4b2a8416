import { Failure } from '../../domain/failure.ts';
import { WorkQueue, type Next, type Priority } from '../../queue/queue.ts';
import type { ResourceEvent } from '../../resources/port.ts';
import { Defects } from '../defects.ts';
import type { Dependencies } from '../dependencies.ts';
import type { Dependency } from '../dependents.ts';
import type { References } from '../references.ts';
import type { RightsKind } from '../../store/port.ts';
import { retryAt } from '../retry.ts';
import { signatureOf } from '../signatures.ts';
import { Counts } from './counts.ts';
import type { ClusterDependencies, ClusterKind } from './handling.ts';
import { InForce } from './inforce.ts';
import { passOver } from './pass.ts';

/** What a {@link ClusterController} is made of besides its ports. */
export interface ClusterControllerInit {
  readonly dependencies: Omit<ClusterDependencies, 'inForce' | 'counts'> & Pick<Dependencies, 'random'>;
  /** What is in force changed: the ApiKeys that named it are to be looked at. */
  readonly onChanged: (dependencies: readonly Dependency[]) => void;
  /** Leadership is gone: the process must end. Called once. */
  readonly onFenceLost: () => void;
}

/** Those that keys depend on come first, so that a start says nothing that the next moment takes back. */
const kinds: readonly ClusterKind[] = ['ApiCatalog', 'KeyOwnerGroup', 'KeyOwner', 'KeyDestination'];
/** Not an object: the counting of keys, at most once a minute. */
const counting = 'counts';
/** Of these the store has rows. */
const rightsKinds = ['ApiCatalog', 'KeyOwnerGroup', 'KeyOwner'] as const satisfies readonly RightsKind[];
/** Not an object: the search for rows in the store whose object went while nobody looked. */
const strays = 'strays';
const concurrency = 4;
/**
 * How many KeyDestinations are probed at a time; one that hangs must not delay the others, and least of all the removal of a
 * right.
 */
const probeConcurrency = 16;
/** The database is asked again sooner than another dependency: everything waits for it. */
const storeRetryMs = 5_000;

/**
 * Brings catalogs, owners and groups into force (valid, then committed to the store, then told to the ApiKeys), tries
 * destinations, and writes the status of all four kinds.
 */
export class ClusterController {
  /** What ApiKeys are planned with. */
  readonly references: References;
  readonly #init: ClusterControllerInit;
  readonly #deps: ClusterDependencies;
  readonly #queue: WorkQueue<string>;
  /** The queue of ApiCatalogs, one at a time: two must not take one host. */
  readonly #catalogs: WorkQueue<string>;
  /** The queue of KeyDestinations: their passes call servers that may hang. */
  readonly #probes: WorkQueue<string>;
  readonly #signatures = new Map<string, string>();
  readonly #failures = new Map<string, number>();
  /** What was there at the start and is not in force yet. */
  readonly #outstanding = new Set<string>();
  readonly #settled: Promise<void>;
  #settle: () => void = () => {};
  #unsubscribe: (() => void) | undefined;
  readonly #defects: Defects;

  constructor(init: ClusterControllerInit) {
    this.#init = init;
    const { store, clock } = init.dependencies;
    this.#defects = new Defects(init.dependencies.log, init.onFenceLost);
    const inForce = new InForce();
    this.references = inForce;
    this.#deps = { ...init.dependencies, inForce, counts: new Counts(store, clock) };
    this.#settled = new Promise((resolve) => {
      this.#settle = resolve;
    });
    const work = {
      clock,
      handle: (item: string) => this.#attempt(item),
      onError: (item: string, error: unknown) => {
        this.#report(item, error);
      },
    };
    this.#queue = new WorkQueue<string>({ ...work, concurrency });
    this.#catalogs = new WorkQueue<string>({ ...work, concurrency: 1 });
    this.#probes = new WorkQueue<string>({ ...work, concurrency: probeConcurrency });
  }

  /** Listens from now on. Call it before the resources start. */
  listen(): void {
    this.#deps.outages.onSuspect((uid) => {
      this.#suspect(uid);
    });
    this.#deps.outages.onTurn((uid) => {
      const name = this.#destinationName(uid);
      if (name !== undefined) this.#add(`KeyDestination/${name}`);
    });
    this.#unsubscribe = this.#deps.resources.subscribe((event) => {
      this.#onEvent(event);
    });
  }

  /** Begins to work: after the first lists. */
  start(): void {
    for (const kind of kinds) {
      for (const { name } of this.#deps.resources.list(kind)) {
        if (kind !== 'KeyDestination') this.#outstanding.add(`${kind}/${name}`);
        this.#add(`${kind}/${name}`);
      }
    }
    if (this.#outstanding.size === 0) this.#settle();
    this.#queue.add(strays, { priority: 'low' });
    for (const queue of this.#queues()) queue.start();
  }

  /** The store may be an older one: what is declared is written again, and what nobody declares is taken out. */
  wakeAll(): void {
    for (const kind of rightsKinds) for (const { name } of this.#deps.resources.list(kind)) this.#add(`${kind}/${name}`);
    this.#queue.add(strays);
  }

  /** Everything that was there at the start was looked at, with a database that answered. */
  settled(): Promise<void> {
    return this.#settled;
  }

  /** What a pass over an ApiKey found, for the counts; without `found` the key is gone. */
  noteKey(apiKey: string, found: { readonly owner: string; readonly ready: boolean } | undefined): void {
    if (this.#deps.counts.note(apiKey, found)) this.#queue.add(counting, { at: this.#deps.counts.nextAt(), priority: 'low' });
  }

  /** Ends the probes: false if one did not end in time. Catalogs, owners and groups are still brought into force. */
  drainProbes(timeoutMs: number): Promise<boolean> {
    return this.#probes.drain(timeoutMs);
  }

  /** Ends all other work; call it after {@link drainProbes}. */
  async drain(timeoutMs: number): Promise<boolean> {
    this.#unsubscribe?.();
    const drained = await Promise.all([this.#queue, this.#catalogs].map((queue) => queue.drain(timeoutMs)));
    return drained.every(Boolean);
  }

  idle(): boolean {
    return this.#queues().every((queue) => queue.idle());
  }

  depth(): number {
    return this.#queues().reduce((sum, queue) => sum + queue.depth(), 0);
  }

  inFlight(): number {
    return this.#queues().reduce((sum, queue) => sum + queue.inFlight(), 0);
  }

  #add(item: string, options: Parameters<WorkQueue<string>['add']>[1] = {}): void {
    const [kind] = item.split('/');
    const queue = kind === 'KeyDestination' ? this.#probes : kind === 'ApiCatalog' ? this.#catalogs : this.#queue;
    queue.add(item, options);
  }

  #queues(): readonly WorkQueue<string>[] {
    return [this.#queue, this.#catalogs, this.#probes];
  }

  #destinationName(uid: string): string | undefined {
    return this.#deps.resources.list('KeyDestination').find((one) => one.uid === uid)?.name;
  }

  #onEvent(event: ResourceEvent): void {
    const { kind, metadata, type } = event;
    if (!isClusterKind(kind)) return;
    const item = `${kind}/${metadata.name}`;
    const signature = type === 'delete' ? '' : signatureOf(kind, metadata);
    if ((this.#signatures.get(item) ?? '') === signature) return;
    if (type === 'delete') this.#signatures.delete(item);
    else this.#signatures.set(item, signature);
    this.#failures.delete(item);
    const priority: Priority = event.initial ? 'low' : 'high';
    this.#add(item, { priority });
    // A first list brings everybody anyway.
    if (event.initial) return;
    for (const other of this.#concerned(kind, metadata.name)) this.#add(other, { priority });
  }

  /** A key's own call failed: a probe finds out whether that is the whole destination. */
  #suspect(uid: string): void {
    const metadata = this.#deps.resources.list('KeyDestination').find((one) => one.uid === uid);
    if (metadata === undefined) return;
    const at = this.#deps.outages.probeAt({ uid, generation: metadata.generation });
    this.#add(`KeyDestination/${metadata.name}`, { at });
  }

  /** Objects of these kinds whose own status speaks of another one. */
  #concerned(kind: ClusterKind, name: string): readonly string[] {
    const { resources } = this.#deps;
    const those = <K extends ClusterKind>(
      of: K,
      speaks: (found: NonNullable<ReturnType<typeof resources.get<K>>>) => boolean,
    ): readonly string[] =>
      resources.list(of).flatMap((metadata) => {
        const found = resources.get(of, metadata);
        return found !== undefined && speaks(found) ? [`${of}/${metadata.name}`] : [];
      });
    if (kind === 'KeyOwnerGroup') return those('KeyOwner', ({ spec }) => spec.groups.includes(name));
    if (kind !== 'ApiCatalog') return [];
    return [
      // A host may have become free, or be claimed.
      ...those('ApiCatalog', ({ metadata }) => metadata.name !== name),
      ...those('KeyOwnerGroup', ({ spec }) => spec.grants.some(({ catalog }) => catalog === name)),
      ...those('KeyOwner', ({ spec }) => spec.grants.some(({ catalog }) => catalog === name)),
    ];
  }

  /** A failure is tried again; what was in force meanwhile stays so. */
  async #attempt(item: string): Promise<Next> {
    try {
      const next = await this.#handle(item);
      this.#failures.delete(item);
      this.#finish(item);
      return next;
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      if (error.reason === 'ConflictRetry') return { kind: 'conflict' };
      if (error.reason !== 'StoreUnavailable') this.#finish(item);
      return { kind: 'at', at: this.#retry(item, error) };
    }
  }

  #retry(item: string, failure: Failure): number {
    const { clock, log } = this.#deps;
    const { random } = this.#init.dependencies;
    const earlier = this.#failures.get(item) ?? 0;
    this.#failures.set(item, earlier + 1);
    const [kind = '', name = ''] = item.split('/');
    log.warn('pass not finished', { kind, name, failure: failure.kind, reason: failure.reason, message: failure.message });
    const now = clock.now();
    if (failure.reason === 'StoreUnavailable') return now + Math.max(failure.retryAfterMs ?? 0, storeRetryMs);
    return retryAt(failure, earlier, now, (random(1)[0] ?? 0) / 256);
  }

  async #handle(item: string): Promise<Next> {
    if (item === counting) return this.#count();
    if (item === strays) return this.#findStrays();
    const [kind = '', name = ''] = item.split('/');
    if (!isClusterKind(kind)) throw new RangeError(`no cluster kind: ${kind}`);
    const { next, changed } = await passOver(this.#deps, kind, name);
    if (changed.length > 0) this.#tell(kind, name, changed);
    return next;
  }

  #tell(kind: ClusterKind, name: string, changed: readonly Dependency[]): void {
    const members = kind === 'KeyOwnerGroup' ? this.#deps.inForce.membersOf(name) : [];
    this.#init.onChanged([...changed, ...members.map((owner): Dependency => `KeyOwner/${owner}`)]);
    // What is in force is another than when they were looked at.
    for (const other of this.#concerned(kind, name)) this.#add(other, { priority: 'low' });
  }

  /** What was taken away by force while no operator ran, or came back with an older database, is still in the store. */
  async #findStrays(): Promise<Next> {
    const { store, resources } = this.#deps;
    for (const kind of rightsKinds) {
      const declared = new Set(resources.list(kind).map(({ name }) => name));
      for (const { name } of await store.listInForce(kind)) if (!declared.has(name)) this.#add(`${kind}/${name}`);
    }
    return { kind: 'awaitChange' };
  }

  async #count(): Promise<Next> {
    const { counts, resources, inForce } = this.#deps;
    const { owners, catalogs, destinations } = await counts.refresh();
    const uids = new Set(destinations);
    const moved = new Set(owners);
    const groups = new Set(owners.flatMap((name) => inForce.owner(name)?.spec.groups ?? []));
    const items = [
      ...catalogs.map((name) => `ApiCatalog/${name}`),
      ...[...moved].map((name) => `KeyOwner/${name}`),
      ...[...groups].map((name) => `KeyOwnerGroup/${name}`),
      ...resources
        .list('KeyDestination')
        .filter(({ uid }) => uids.has(uid))
        .map(({ name }) => `KeyDestination/${name}`),
    ];
    for (const item of items) this.#add(item, { priority: 'low' });
    return { kind: 'awaitChange' };
  }

  #finish(item: string): void {
    this.#outstanding.delete(item);
    if (this.#outstanding.size === 0) this.#settle();
  }

  #report(item: string, error: unknown): void {
    const [kind = '', name = ''] = item.split('/');
    // One object's defect must not keep the keys of the others waiting.
    if (this.#defects.report(error, { kind, name }) === 'defect') this.#finish(item);
  }
}

function isClusterKind(kind: string): kind is ClusterKind {
  return kinds.some((one) => one === kind);
}

import { isDeepStrictEqual } from 'node:util';
import type { KubeObject, ObjectMeta, ObjectRef } from '../../../operator/src/api/meta.ts';
import { stalled, transient } from '../../../operator/src/domain/failure.ts';
import { formatInstant } from '../../../operator/src/domain/time.ts';
import type { Clock } from '../../../operator/src/domain/time.ts';
import type {
  EventRecord,
  Kinds,
  ResourceEvent,
  Resources,
  SecretManifest,
  SecretObject,
  Secrets,
  StatusOutcome,
  WatchedKind,
  WorkloadKind,
} from '../../../operator/src/resources/port.ts';
import { FakeWorkloads } from './workloads.ts';

/** One write that the fake was asked for. */
export interface Effect {
  readonly verb: 'setFinalizers' | 'applyStatus' | 'writeSecret' | 'removeSecret' | 'annotateTemplate';
  readonly kind: WatchedKind | 'Secret' | WorkloadKind;
  readonly name: string;
}

/** An event as it stands after folding. */
export interface RecordedEvent extends EventRecord {
  readonly kind: WatchedKind;
  readonly uid: string;
  readonly name: string;
  readonly count: number;
}

/** What a test says of a new object; the fake adds uid, resourceVersion, generation and instants, as a server does. */
export interface NewObject<Spec = unknown, Status = unknown> {
  readonly metadata: Partial<ObjectMeta> & { readonly name: string };
  readonly spec: Spec;
  readonly status?: Status;
}

type Observed = { readonly uid: string; readonly resourceVersion: string };
type Name = { readonly namespace: string; readonly name: string };
type Stored = KubeObject | SecretObject;

const managedLabel = 'app.kubernetes.io/managed-by';
const kinds = ['Namespace', 'ApiCatalog', 'KeyOwnerGroup', 'KeyOwner', 'KeyDestination', 'ApiKey'] as const;

/**
 * An API server in memory: uids, resourceVersions, generations, finalizers, terminating namespaces, watches. The cache
 * that {@link FakeResources.get} and `list` read follows at once, or lags while {@link FakeResources.holdWatch} is on.
 * Objects that are handed out are copies.
 */
export class FakeResources implements Resources {
  readonly secrets: Secrets;
  readonly workloads: FakeWorkloads;
  /** All calls that reached for a write, whatever came of them: a no-change resync must add none. */
  readonly effects: Effect[] = [];
  readonly events: RecordedEvent[] = [];
  /** Called before every call of the port that reaches for the server; throw a Failure to be unreachable. */
  beforeCall: ((call: string) => void | Promise<void>) | undefined;
  /** Called after every write that took effect; throw to crash the caller there. */
  afterEffect: ((effect: Effect) => void | Promise<void>) | undefined;

  readonly #clock: Clock;
  readonly #server = new Map<string, Stored>();
  readonly #cache = new Map<string, ObjectMeta | KubeObject>();
  readonly #listeners = new Set<(event: ResourceEvent) => void>();
  #held: { readonly event: ResourceEvent; readonly apply: () => void }[] | undefined;
  #started = false;
  #lastVersion = 0;
  #lastUid = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.secrets = {
      read: (ref) => this.#readSecret(ref),
      readMetadata: async (ref) => (await this.#readSecret(ref))?.metadata,
      write: (manifest, observed) => this.#writeSecret(manifest, observed),
      remove: (ref, observed) => this.#removeSecret(ref, observed),
    };
    this.workloads = new FakeWorkloads({
      newIdentity: () => this.#newIdentity(),
      nextVersion: () => this.#nextVersion(),
      beforeRead: async (kind) => this.beforeCall?.(`read ${kind}`),
      effect: async ({ kind, name }, write) => {
        const effect = await this.#begin('annotateTemplate', kind, name);
        const outcome = write();
        if (outcome === 'written') await this.afterEffect?.(effect);
        return outcome;
      },
    });
  }

  // What a test does to the server.

  /** `kubectl create`. Throws when the object exists. */
  create<K extends WatchedKind>(kind: K, object: NewObject<Kinds[K]['spec'], Kinds[K]['status']>): Kinds[K] {
    const { metadata } = object;
    if (this.#server.has(keyOf(kind, metadata))) throw new Error(`${kind} ${metadata.name} exists`);
    const stored = {
      ...object,
      apiVersion: kind === 'Namespace' ? 'v1' : 'keywright.dev/v1alpha1',
      kind,
      metadata: { generation: 1, ...this.#newIdentity(), ...metadata },
    };
    this.#put(kind, stored);
    return structuredClone(stored) as unknown as Kinds[K];
  }

  /** `kubectl edit`: a changed spec bumps the generation; changed metadata does not. Throws when there is none. */
  update<K extends WatchedKind>(kind: K, ref: ObjectRef, change: (object: Kinds[K]) => unknown): Kinds[K] {
    const old = this.#object(kind, ref);
    if (old === undefined) throw new Error(`no ${kind} ${ref.name}`);
    const next = change(structuredClone(old) as Kinds[K]) as KubeObject;
    const specChanged = !isDeepStrictEqual(next.spec, old.spec);
    const generation = (old.metadata.generation ?? 1) + (specChanged ? 1 : 0);
    this.#put(kind, {
      ...next,
      metadata: { ...next.metadata, uid: old.metadata.uid, generation, resourceVersion: this.#nextVersion() },
    });
    return structuredClone(this.#object(kind, ref)) as Kinds[K];
  }

  /** Adds to or replaces annotations, as `kubectl annotate` does; `undefined` removes one. */
  annotate(kind: WatchedKind, ref: ObjectRef, annotations: Readonly<Record<string, string | undefined>>): void {
    this.update(kind, ref, (object) => {
      const merged = Object.entries({ ...object.metadata.annotations, ...annotations }).filter(
        ([, value]) => value !== undefined,
      );
      return { ...object, metadata: { ...object.metadata, annotations: Object.fromEntries(merged) } };
    });
  }

  /**
   * `kubectl delete`: with finalizers the object is only marked. A Namespace takes what is in it along, and goes with
   * the last ApiKey.
   */
  delete(kind: WatchedKind, ref: ObjectRef): void {
    const object = this.#object(kind, ref);
    if (object === undefined) throw new Error(`no ${kind} ${ref.name}`);
    if (kind === 'Namespace') this.#terminate(object);
    else if ((object.metadata.finalizers ?? []).length > 0) this.#mark(kind, object);
    else this.#drop(kind, object);
  }

  /** Somebody else's Secret, or somebody's change to ours. */
  putSecret(ref: Name, secret: Omit<SecretObject, 'metadata'> & { readonly metadata?: Partial<ObjectMeta> }): SecretObject {
    const old = this.#secret(ref);
    const metadata = {
      ...(old?.metadata ?? this.#newIdentity()),
      ...secret.metadata,
      ...ref,
      resourceVersion: this.#nextVersion(),
    };
    const stored: SecretObject = { ...secret, metadata };
    this.#put('Secret', stored);
    return structuredClone(stored);
  }

  /** Somebody deletes a Secret. */
  deleteSecret(ref: Name): void {
    const old = this.#secret(ref);
    if (old !== undefined) this.#drop('Secret', old);
  }

  /** What stands on the server now, without counting as a call. */
  peek<K extends WatchedKind>(kind: K, ref: ObjectRef): Kinds[K] | undefined {
    return structuredClone(this.#object(kind, ref)) as Kinds[K] | undefined;
  }

  /** The same for a Secret. */
  peekSecret(ref: Name): SecretObject | undefined {
    return structuredClone(this.#secret(ref));
  }

  /** From now on the cache lags behind the server. */
  holdWatch(): void {
    this.#held ??= [];
  }

  /** The cache catches up. */
  releaseWatch(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const { event, apply } of held) {
      apply();
      this.#emit(event);
    }
  }

  /** The watch that was held broke: what happened meanwhile shows in a new list alone. */
  relist(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const { event, apply } of held) {
      apply();
      if (event.type === 'delete') this.#emit({ ...event, initial: true });
    }
    this.resync();
  }

  /** Sends every object again as an initial event: what a relist does. */
  resync(): void {
    for (const kind of [...kinds, 'Secret'] as const) {
      for (const metadata of this.#metadataOf(kind)) this.#emit({ kind, type: 'upsert', metadata, initial: true });
    }
  }

  // The port.

  start(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    this.#started = true;
    this.resync();
    return Promise.resolve();
  }

  subscribe(listener: (event: ResourceEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get<K extends Exclude<WatchedKind, 'ApiKey'>>(kind: K, ref: ObjectRef): Kinds[K] | undefined {
    return structuredClone(this.#cache.get(keyOf(kind, ref))) as unknown as Kinds[K] | undefined;
  }

  list(kind: WatchedKind): readonly ObjectMeta[] {
    return structuredClone(this.#metadataOf(kind));
  }

  async readLive<K extends WatchedKind>(kind: K, ref: ObjectRef): Promise<Kinds[K] | undefined> {
    await this.beforeCall?.(`read ${kind}`);
    return this.peek(kind, ref);
  }

  async listLive(kind: Exclude<WatchedKind, 'ApiKey'>): Promise<readonly ObjectMeta[]> {
    await this.beforeCall?.(`list ${kind}`);
    return [...this.#server.values()].flatMap((stored) =>
      'kind' in stored && stored.kind === kind ? [structuredClone(stored.metadata)] : [],
    );
  }

  async setFinalizers(kind: WatchedKind, metadata: ObjectMeta, finalizers: readonly string[]): Promise<'written' | 'lost'> {
    const effect = await this.#begin('setFinalizers', kind, metadata.name);
    const object = this.#object(kind, metadata);
    if (object === undefined || !isSame(object.metadata, metadata)) return 'lost';
    const added = finalizers.filter((one) => !(object.metadata.finalizers ?? []).includes(one));
    // A server refuses new finalizers on what is being deleted: the caller's picture is out of date.
    if (object.metadata.deletionTimestamp !== undefined && added.length > 0) return 'lost';
    const next = {
      ...object,
      metadata: { ...object.metadata, finalizers: [...finalizers], resourceVersion: this.#nextVersion() },
    };
    if (object.metadata.deletionTimestamp !== undefined && finalizers.length === 0) this.#drop(kind, next);
    else if (!isDeepStrictEqual(object.metadata.finalizers ?? [], finalizers)) this.#put(kind, next);
    await this.afterEffect?.(effect);
    return 'written';
  }

  async applyStatus(kind: WatchedKind, metadata: ObjectMeta, status: unknown): Promise<StatusOutcome> {
    const effect = await this.#begin('applyStatus', kind, metadata.name);
    const object = this.#object(kind, metadata);
    if (object === undefined || object.metadata.uid !== metadata.uid) return 'lost';
    // As on a server, an apply that changes nothing makes no new version and no watch event.
    let { resourceVersion } = object.metadata;
    if (!isDeepStrictEqual(object.status, status)) {
      resourceVersion = this.#nextVersion();
      this.#put(kind, { ...object, status: structuredClone(status), metadata: { ...object.metadata, resourceVersion } });
    }
    await this.afterEffect?.(effect);
    return { resourceVersion };
  }

  recordEvent(kind: WatchedKind, metadata: ObjectMeta, event: EventRecord): void {
    const at = this.events.findIndex(
      (one) =>
        one.uid === metadata.uid && one.type === event.type && one.reason === event.reason && one.message === event.message,
    );
    const old = this.events[at];
    if (old === undefined) this.events.push({ ...event, kind, uid: metadata.uid, name: metadata.name, count: 1 });
    else this.events[at] = { ...old, count: old.count + 1 };
  }

  async #readSecret(ref: Name): Promise<SecretObject | undefined> {
    await this.beforeCall?.('read Secret');
    return this.peekSecret(ref);
  }

  async #writeSecret(manifest: SecretManifest, observed: Observed | undefined) {
    const effect = await this.#begin('writeSecret', 'Secret', manifest.name);
    const old = this.#secret(manifest);
    if (observed === undefined ? old !== undefined : old === undefined || !isSame(old.metadata, observed))
      return { kind: 'lost' } as const;
    if (old === undefined && this.#object('Namespace', { name: manifest.namespace })?.metadata.deletionTimestamp !== undefined) {
      throw transient('NamespaceTerminating', `namespace ${manifest.namespace} is being deleted`);
    }
    if (old !== undefined && old.type !== manifest.type)
      throw stalled('DestinationUnavailable', 'the type of a Secret cannot be changed');
    const object: SecretObject = {
      type: manifest.type,
      // Apply merges: what others added stays.
      data: { ...old?.data, ...manifest.data },
      metadata: {
        ...(old?.metadata ?? { ...this.#newIdentity(), namespace: manifest.namespace, name: manifest.name }),
        labels: { ...old?.metadata.labels, ...manifest.labels },
        annotations: { ...old?.metadata.annotations, ...manifest.annotations },
        ownerReferences: [...manifest.ownerReferences],
        resourceVersion: this.#nextVersion(),
      },
    };
    this.#put('Secret', object);
    await this.afterEffect?.(effect);
    return { kind: 'written', object: structuredClone(object) } as const;
  }

  async #removeSecret(ref: Name, observed: Observed): Promise<'removed' | 'lost'> {
    const effect = await this.#begin('removeSecret', 'Secret', ref.name);
    const old = this.#secret(ref);
    if (old !== undefined && !isSame(old.metadata, observed)) return 'lost';
    if (old !== undefined) this.#drop('Secret', old);
    await this.afterEffect?.(effect);
    return 'removed';
  }

  // The server behind it.

  async #begin(verb: Effect['verb'], kind: Effect['kind'], name: string): Promise<Effect> {
    await this.beforeCall?.(`${verb} ${kind}`);
    const effect: Effect = { verb, kind, name };
    this.effects.push(effect);
    return effect;
  }

  #terminate(namespace: KubeObject): void {
    const { name } = namespace.metadata;
    if (namespace.metadata.deletionTimestamp === undefined) this.#mark('Namespace', namespace);
    for (const metadata of this.#stored('Secret', name)) this.deleteSecret({ namespace: name, name: metadata.name });
    for (const metadata of this.#stored('ApiKey', name)) {
      if (metadata.deletionTimestamp === undefined) this.delete('ApiKey', metadata);
    }
    this.#finishNamespace(name);
  }

  #finishNamespace(name: string): void {
    const namespace = this.#object('Namespace', { name });
    if (namespace?.metadata.deletionTimestamp === undefined || this.#stored('ApiKey', name).length > 0) return;
    this.#drop('Namespace', namespace);
  }

  #mark(kind: WatchedKind, object: KubeObject): void {
    if (object.metadata.deletionTimestamp !== undefined) return;
    // A server bumps the generation here too.
    const generation = (object.metadata.generation ?? 1) + 1;
    const deletionTimestamp = formatInstant(this.#clock.now());
    this.#put(kind, {
      ...object,
      metadata: { ...object.metadata, generation, deletionTimestamp, resourceVersion: this.#nextVersion() },
    });
  }

  #put(kind: WatchedKind | 'Secret', object: Stored): void {
    const stored = structuredClone(object);
    const key = keyOf(kind, stored.metadata);
    const wasManaged = this.#server.get(key)?.metadata.labels?.[managedLabel] === 'keywright';
    this.#server.set(key, stored);
    const { metadata } = stored;
    if (kind !== 'Secret') {
      this.#deliver({ kind, type: 'upsert', metadata, initial: false }, () => {
        this.#cache.set(key, kind === 'ApiKey' ? metadata : (stored as KubeObject));
      });
    } else if (metadata.labels?.[managedLabel] === 'keywright') {
      this.#deliver({ kind, type: 'upsert', metadata, initial: false }, () => this.#cache.set(key, metadata));
    } else if (wasManaged) {
      // A watch by label sees an object that loses the label as deleted.
      this.#deliver({ kind, type: 'delete', metadata, initial: false }, () => this.#cache.delete(key));
    }
  }

  #drop(kind: WatchedKind | 'Secret', object: Stored): void {
    const key = keyOf(kind, object.metadata);
    this.#server.delete(key);
    const metadata = { ...object.metadata, resourceVersion: this.#nextVersion() };
    if (kind !== 'Secret' || metadata.labels?.[managedLabel] === 'keywright') {
      this.#deliver({ kind, type: 'delete', metadata, initial: false }, () => this.#cache.delete(key));
    }
    if (kind === 'ApiKey' && metadata.namespace !== undefined) this.#finishNamespace(metadata.namespace);
  }

  #deliver(event: ResourceEvent, apply: () => void): void {
    if (this.#held !== undefined) {
      this.#held.push({ event, apply });
      return;
    }
    apply();
    this.#emit(event);
  }

  #emit(event: ResourceEvent): void {
    if (!this.#started) return;
    for (const listener of this.#listeners) listener(structuredClone(event));
  }

  #object(kind: WatchedKind, ref: ObjectRef): KubeObject | undefined {
    return this.#server.get(keyOf(kind, ref)) as KubeObject | undefined;
  }

  #secret(ref: Name): SecretObject | undefined {
    return this.#server.get(keyOf('Secret', ref));
  }

  #stored(kind: WatchedKind | 'Secret', namespace: string): ObjectMeta[] {
    return [...this.#server].filter(([key]) => key.startsWith(`${kind}:${namespace}/`)).map(([, object]) => object.metadata);
  }

  #metadataOf(kind: WatchedKind | 'Secret'): ObjectMeta[] {
    const entries = [...this.#cache].filter(([key]) => key.startsWith(`${kind}:`)).map(([, entry]) => entry);
    return entries.map((entry) => ('metadata' in entry ? entry.metadata : entry));
  }

  #newIdentity() {
    this.#lastUid += 1;
    const uid = `00000000-0000-4000-8000-${String(this.#lastUid).padStart(12, '0')}`;
    return { uid, resourceVersion: this.#nextVersion(), creationTimestamp: formatInstant(this.#clock.now()) };
  }

  #nextVersion(): string {
    this.#lastVersion += 1;
    return String(this.#lastVersion);
  }
}

function keyOf(kind: WatchedKind | 'Secret', ref: ObjectRef): string {
  return `${kind}:${ref.namespace ?? ''}/${ref.name}`;
}

function isSame(actual: ObjectMeta, observed: Observed): boolean {
  return actual.uid === observed.uid && actual.resourceVersion === observed.resourceVersion;
}

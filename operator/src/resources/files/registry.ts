import { isDeepStrictEqual } from 'node:util';

import type { KubeObject, ObjectMeta, ObjectRef } from '../../api/meta.ts';
import { transient } from '../../domain/failure.ts';
import type { Log } from '../../telemetry/log.ts';
import type { EventRecord, Kinds, ResourceEvent, StatusOutcome, WatchedKind } from '../port.ts';
import { formatId } from './content.ts';
import { namespaceLabels } from './core.ts';
import { formatName } from './declared.ts';
import type { ObjectStore, Unversioned } from './objects.ts';
import { asStored } from './takeover.ts';

/**
 * The objects of the folder as the rest of the program sees them: reads, events, and the writes that are not for people. What is
 * declared comes in by {@link put} and {@link remove}, inside of {@link alone}.
 */
export class Registry {
  /** Whether events are those of the first look. */
  starting = true;
  readonly #objects: ObjectStore;
  readonly #log: Log;
  readonly #dataFolder: string;
  readonly #listeners = new Set<(event: ResourceEvent) => void>();
  readonly #events = new Map<string, number>();
  #writing: Promise<unknown> = Promise.resolve();

  constructor(objects: ObjectStore, { log, dataFolder }: { readonly log: Log; readonly dataFolder: string }) {
    this.#objects = objects;
    this.#log = log;
    this.#dataFolder = dataFolder;
  }

  subscribe(listener: (event: ResourceEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  get<K extends Exclude<WatchedKind, 'ApiKey'>>(kind: K, ref: ObjectRef): Kinds[K] | undefined {
    return this.#find(kind, ref);
  }

  list(kind: WatchedKind): readonly ObjectMeta[] {
    return this.objects(kind).map(({ metadata }) => metadata);
  }

  async readLive<K extends WatchedKind>(kind: K, ref: ObjectRef): Promise<Kinds[K] | undefined> {
    return this.#find(kind, ref);
  }

  async listLive(kind: WatchedKind): Promise<readonly ObjectMeta[]> {
    return this.list(kind);
  }

  objects<K extends WatchedKind>(kind: K): readonly Kinds[K][] {
    const found = this.#objects.all().filter((object) => object.kind === kind);
    return sortedByName(kind === 'Namespace' ? this.#withImpliedNamespaces(found) : found) as readonly Kinds[K][];
  }

  everything(): readonly KubeObject[] {
    return this.#objects.all();
  }

  async idle(): Promise<void> {
    await this.#writing;
  }

  setFinalizers(kind: WatchedKind, metadata: ObjectMeta, finalizers: readonly string[]): Promise<'written' | 'lost'> {
    return this.#write(async () => {
      const object = this.#objects.get(formatId(kind, metadata));
      if (object?.metadata.uid !== metadata.uid || object.metadata.resourceVersion !== metadata.resourceVersion) return 'lost';
      const leaving = object.metadata.deletionTimestamp !== undefined;
      // As the API server has it: what is being deleted can only lose finalizers.
      if (leaving && finalizers.some((one) => object.metadata.finalizers?.includes(one) !== true)) return 'lost';
      if (leaving && finalizers.length === 0) await this.remove(object);
      else await this.put({ ...object, metadata: { ...object.metadata, finalizers } });
      return 'written';
    });
  }

  applyStatus(kind: WatchedKind, metadata: ObjectMeta, status: unknown): Promise<StatusOutcome> {
    return this.#write(async () => {
      const id = formatId(kind, metadata);
      const object = this.#objects.get(id);
      if (object?.metadata.uid !== metadata.uid) return 'lost';
      const plain = asStored(status);
      if (!isDeepStrictEqual(plain, object.status)) await this.put({ ...object, status: plain });
      return { resourceVersion: (this.#objects.get(id) ?? object).metadata.resourceVersion };
    });
  }

  recordEvent(kind: WatchedKind, metadata: ObjectMeta, { type, reason, message }: EventRecord): void {
    const key = `${metadata.uid} ${reason} ${message}`;
    const count = (this.#events.get(key) ?? 0) + 1;
    if (this.#events.size > 1_000) this.#events.clear();
    this.#events.set(key, count);
    // Events only go to the log: the first of its kind at its own level, repeats at the level debug.
    const level = count > 1 ? 'debug' : type === 'Warning' ? 'warn' : 'info';
    this.#log[level]('event', { kind, name: formatName(formatId(kind, metadata)), reason, message, count });
  }

  async put(object: Unversioned): Promise<void> {
    const stored = await this.#objects.put(object);
    this.emit(stored.kind as WatchedKind, 'upsert', stored.metadata);
  }

  async remove(object: KubeObject): Promise<void> {
    await this.#objects.remove(object);
    // A namespace without a document is still a namespace: only its labels went.
    const implied = object.kind === 'Namespace' ? impliedNamespace(object.metadata.name).metadata : undefined;
    this.emit(object.kind as WatchedKind, implied === undefined ? 'delete' : 'upsert', implied ?? object.metadata);
  }

  #find<K extends WatchedKind>(kind: K, ref: ObjectRef): Kinds[K] | undefined {
    const found = this.#objects.get(formatId(kind, ref));
    return (found ?? (kind === 'Namespace' ? impliedNamespace(ref.name) : undefined)) as Kinds[K] | undefined;
  }

  #withImpliedNamespaces(documents: readonly KubeObject[]): readonly KubeObject[] {
    const names = new Set(
      this.#objects.all().flatMap(({ metadata: { namespace } }) => (namespace === undefined ? [] : [namespace])),
    );
    for (const { metadata } of documents) names.delete(metadata.name);
    return [...documents, ...[...names].map(impliedNamespace)];
  }

  emit(kind: ResourceEvent['kind'], type: ResourceEvent['type'], metadata: ObjectMeta): void {
    for (const listener of this.#listeners) listener({ kind, type, metadata, initial: this.starting });
  }

  /** The same for a caller of the port, who knows only failures. */
  async #write<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await this.alone(work);
    } catch {
      throw transient('InternalError', `the data folder ${this.#dataFolder} cannot be written`);
    }
  }

  /** One writer at a time: what was read stays true until it is written. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#writing.then(work);
    this.#writing = done.catch(() => {});
    return done;
  }
}

function sortedByName(objects: readonly KubeObject[]): readonly KubeObject[] {
  const named = objects.map((object) => [`${object.metadata.namespace ?? ''}/${object.metadata.name}`, object] as const);
  return named.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, object]) => object);
}

function impliedNamespace(name: string): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, uid: `namespace-${name}`, resourceVersion: '0', labels: namespaceLabels(name) },
    spec: {},
  };
}

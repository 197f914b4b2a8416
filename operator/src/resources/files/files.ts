import { realpath } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';

import type { KubeObject, ObjectMeta, ObjectRef } from '../../api/meta.ts';
import { transient } from '../../domain/failure.ts';
import type { Clock } from '../../domain/time.ts';
import type { Log } from '../../telemetry/log.ts';
import type { EventRecord, Kinds, ResourceEvent, Resources, StatusOutcome, WatchedKind } from '../port.ts';
import { Absence, absenceMs } from './absence.ts';
import { namespaceLabels } from './core.ts';
import { declare, formatName } from './declared.ts';
import type { Declaration, Declared, Fault } from './declared.ts';
import { formatId } from './content.ts';
import { FaultList } from './faults.ts';
import { ManifestFolder } from './folder.ts';
import { ObjectStore } from './objects.ts';
import type { Unversioned } from './objects.ts';
import type { ManifestParser } from './parser.ts';
import { ManifestSecrets } from './secrets.ts';
import { asStored, create, findMissing, isUncertain, markDeleted, sourceOf, update } from './takeover.ts';

/** A little more than {@link absenceMs}, so that a timer that fires early does not cost a third look. */
const lookEveryMs = absenceMs + 20;
const lookAgainMs = 120;
/** How long the start waits for files that are being written or parsed; then it goes on with the others. */
const firstLooksMs = 5_000;
/** How many objects one look writes, so that a file of thousands does not delay a deletion by more than about a second. */
const takenOverAtOnce = 100;

/** What {@link openFilesResources} needs. */
export interface FilesInput {
  readonly manifestsFolder: string;
  readonly dataFolder: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Objects of another manifests folder that this one lacks are deleted, not kept. */
  readonly prune: boolean;
  /** Closed by the caller, after the signal of `start` is aborted. */
  readonly parser: ManifestParser;
}

/** The resources port over a folder, and what the standalone mode shows of it. */
export interface FilesResources extends Resources {
  /** What does not count now, and why. */
  faults(): readonly Fault[];
  /** Complete looks at the folder since the start, with nothing being written meanwhile. */
  scansCompleted(): number;
  /** All objects of a kind as they are now, with spec and status. */
  objects<K extends WatchedKind>(kind: K): readonly Kinds[K][];
  /** Resolves when nothing is being written to the data folder any more. */
  idle(): Promise<void>;
}

/** Opens the objects under `<data>/status`. Looks at the manifests only after {@link Resources.start}. */
export async function openFilesResources(input: FilesInput): Promise<FilesResources> {
  const objects = await ObjectStore.load(join(input.dataFolder, 'status'));
  const skipped = await realpath(input.dataFolder);
  const root = resolve(input.manifestsFolder);
  return new Files(input, root, objects, new ManifestFolder({ root, skipped, clock: input.clock, parser: input.parser }));
}

class Files implements FilesResources {
  readonly secrets: ManifestSecrets;
  readonly #input: FilesInput;
  readonly #root: string;
  readonly #objects: ObjectStore;
  readonly #folder: ManifestFolder;
  readonly #absence = new Absence();
  readonly #listeners = new Set<(event: ResourceEvent) => void>();
  readonly #events = new Map<string, number>();
  readonly #faults: FaultList;
  /** What was last taken over, so that an unchanged document costs nothing. */
  readonly #takenOver = new WeakMap<Declaration['document'], { readonly spec: unknown; readonly metadata: unknown }>();
  #lastWritten: string | undefined;
  #scansCompleted = 0;
  #starting = true;
  #writing: Promise<unknown> = Promise.resolve();

  constructor(input: FilesInput, root: string, objects: ObjectStore, folder: ManifestFolder) {
    this.#input = input;
    this.#root = root;
    this.#objects = objects;
    this.#folder = folder;
    this.#faults = new FaultList(input.log);
    this.secrets = new ManifestSecrets(() => objects.nextVersion());
  }

  async start(signal: AbortSignal): Promise<void> {
    const { clock } = this.#input;
    for (const object of inOrder(this.#objects.all())) this.#emit(object.kind as WatchedKind, 'upsert', object.metadata);
    const startedMs = clock.monotonicMs();
    do {
      signal.throwIfAborted();
      if (await this.#look()) break;
      await clock.sleep(lookAgainMs, signal);
    } while (clock.monotonicMs() - startedMs < firstLooksMs);
    this.#starting = false;
    void this.#watch(signal);
  }

  async #watch(signal: AbortSignal): Promise<void> {
    let settled = true;
    while (!signal.aborted) {
      try {
        await this.#input.clock.sleep(settled ? lookEveryMs : lookAgainMs, signal);
      } catch {
        return;
      }
      settled = await this.#look();
    }
  }

  async #look(): Promise<boolean> {
    try {
      return await this.#scan();
    } catch {
      // A full disk, say: each object is taken over whole or not at all, and the next look tries again.
      this.#input.log.error('manifests not taken over', {
        message: 'the data folder cannot be written',
        file: this.#input.dataFolder,
      });
      return false;
    }
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

  faults(): readonly Fault[] {
    return this.#faults.current();
  }

  scansCompleted(): number {
    return this.#scansCompleted;
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
      if (leaving && finalizers.length === 0) await this.#remove(object);
      else await this.#put({ ...object, metadata: { ...object.metadata, finalizers } });
      return 'written';
    });
  }

  applyStatus(kind: WatchedKind, metadata: ObjectMeta, status: unknown): Promise<StatusOutcome> {
    return this.#write(async () => {
      const id = formatId(kind, metadata);
      const object = this.#objects.get(id);
      if (object?.metadata.uid !== metadata.uid) return 'lost';
      const plain = asStored(status);
      if (!isDeepStrictEqual(plain, object.status)) await this.#put({ ...object, status: plain });
      return { resourceVersion: (this.#objects.get(id) ?? object).metadata.resourceVersion };
    });
  }

  recordEvent(kind: WatchedKind, metadata: ObjectMeta, { type, reason, message }: EventRecord): void {
    const key = `${metadata.uid} ${reason} ${message}`;
    const count = (this.#events.get(key) ?? 0) + 1;
    if (this.#events.size > 1_000) this.#events.clear();
    this.#events.set(key, count);
    // There is no place for events but the log: the first of its kind is told, repeats only to who wants to know all.
    const level = count > 1 ? 'debug' : type === 'Warning' ? 'warn' : 'info';
    this.#input.log[level]('event', { kind, name: formatName(formatId(kind, metadata)), reason, message, count });
  }

  /**
   * Makes a look and takes it over. False if something was being written or is left for the next look: then look again soon.
   * However long the look takes, it blocks no writer; deletions come first.
   */
  async #scan(): Promise<boolean> {
    const sources = new Set(this.#objects.all().flatMap((object) => this.#sourceOf(object) ?? []));
    for (const { path } of this.secrets.sources()) sources.add(path);
    const glance = await this.#folder.glance(sources);
    if (glance !== undefined) await this.#takeOver(declare(this.#root, glance.look), ({ path }) => glance.changed.has(path));
    const declared = declare(this.#root, await this.#folder.look(sources));
    // Only some of thousands are shown: those that keep an object alive come first.
    const faults: Fault[] = [...(await this.#deleteMissing(declared)), ...declared.faults, ...this.#unreadableFaults()];
    const { faults: refused, left } = await this.#takeOver(declared, () => true);
    faults.push(...refused);
    this.#faults.report(faults, this.#input.clock.monotonicMs());
    const settled = declared.settled && left > 0;
    if (settled) this.#scansCompleted += 1;
    return settled;
  }

  /** Applies the changes of some declarations; `left` = how many more objects it may write. */
  async #takeOver(
    declared: Declared,
    isMeant: (declaration: Declaration) => boolean,
  ): Promise<{ readonly faults: readonly Fault[]; readonly left: number }> {
    const faults: Fault[] = [];
    let left = takenOverAtOnce;
    for (const [id, declaration] of this.#inTurn(declared.declarations)) {
      if (!isMeant(declaration) || this.#isTakenOver(id, declaration)) continue;
      const { faults: refused, written } = await this.#alone(() => this.#accept(id, declaration, declared));
      faults.push(...refused);
      if (written) this.#lastWritten = id;
      if (written && (left -= 1) === 0) break;
      // Comparing thousands of objects takes long: let others have their turn after each.
      await new Promise((resolve) => setImmediate(resolve));
    }
    return { faults, left };
  }

  /**
   * Changes of known objects before new ones, beginning after those that the last look wrote, so that none waits for all others.
   */
  #inTurn(declarations: Declared['declarations']): readonly (readonly [string, Declaration])[] {
    const all = [...declarations];
    const last = all.findIndex(([id]) => id === this.#lastWritten);
    const turned = [...all.slice(last + 1), ...all.slice(0, last + 1)];
    const isThere = ([id]: readonly [string, Declaration]): boolean => this.#objects.get(id) !== undefined;
    return [...turned.filter(isThere), ...turned.filter((one) => !isThere(one))];
  }

  /** Whether nothing has changed since this document was taken over. */
  #isTakenOver(id: string, { document }: Declaration): boolean {
    const before = this.#takenOver.get(document);
    const object = this.#objects.get(id);
    return object !== undefined && before !== undefined && before.spec === object.spec && before.metadata === object.metadata;
  }

  async #accept(
    id: string,
    declaration: Declaration,
    { held }: Declared,
  ): Promise<{ readonly faults: readonly Fault[]; readonly written: boolean }> {
    const { document, path } = declaration;
    if (document.type === 'secret') {
      const metadata = this.secrets.accept(document.secret, path);
      if (metadata !== undefined) this.#emit('Secret', 'upsert', metadata);
      return { faults: [], written: false };
    }
    const old = this.#objects.get(id);
    const ofObject = { ...declaration, document };
    if (old === undefined) {
      if (this.#objects.unreadableFile(id) !== undefined) return { faults: [], written: false };
      await this.#put(create(ofObject, this.#input.clock.now()));
      return { faults: [], written: true };
    }
    const { put, faults } = update(old, ofObject, { root: this.#root, source: this.#sourceOf(old), held });
    if (put !== undefined) await this.#put(put);
    // Every look decides anew about objects that were refused, are held or are being deleted.
    else if (faults.length === 0 && this.#sourceOf(old) === path && old.metadata.deletionTimestamp === undefined)
      this.#takenOver.set(document, { spec: old.spec, metadata: old.metadata });
    return { faults, written: put !== undefined };
  }

  async #deleteMissing(declared: Declared): Promise<readonly Fault[]> {
    const { clock, prune } = this.#input;
    const { ids, faults } = findMissing(this.#objects.all(), declared, {
      root: this.#root,
      prune,
      sourceOf: (object) => this.#sourceOf(object),
    });
    const secrets = this.secrets
      .sources()
      .filter(({ id, path }) => !declared.named.has(id) && !declared.blind && !isUncertain(path, declared.uncertain));
    const complete = declared.doubtful.length === 0 && !declared.blind && !declared.cut;
    const held: Fault[] = [];
    const absent = this.#absence.observe([...ids, ...secrets.map((one) => one.id)], complete, clock.monotonicMs());
    const mentioned = absent.length === 0 ? undefined : await this.#folder.mentions(declared.doubtful, absent.map(nameIn));
    for (const id of absent) {
      const where = mentioned?.get(nameIn(id));
      if (where === undefined) await this.#alone(() => this.#delete(id));
      else held.push(heldBack(id, relative(this.#root, where)));
    }
    return [...faults, ...held];
  }

  /** The file that an object comes from, by the path as given. */
  #sourceOf(object: KubeObject): string | undefined {
    const source = sourceOf(object);
    return source === undefined ? undefined : this.#folder.identify(source);
  }

  async #delete(id: string): Promise<void> {
    const secret = this.secrets.forget(id);
    if (secret !== undefined) this.#emit('Secret', 'delete', secret);
    const object = this.#objects.get(id);
    if (object === undefined) return;
    this.#input.log.info('manifest deleted', { kind: object.kind, name: formatName(id) });
    if ((object.metadata.finalizers ?? []).length === 0) await this.#remove(object);
    else await this.#put(markDeleted(object, this.#input.clock.now()));
  }

  async #put(object: Unversioned): Promise<void> {
    const stored = await this.#objects.put(object);
    this.#emit(stored.kind as WatchedKind, 'upsert', stored.metadata);
  }

  async #remove(object: KubeObject): Promise<void> {
    await this.#objects.remove(object);
    // A namespace without a document is still a namespace: only its labels went.
    const implied = object.kind === 'Namespace' ? impliedNamespace(object.metadata.name).metadata : undefined;
    this.#emit(object.kind as WatchedKind, implied === undefined ? 'delete' : 'upsert', implied ?? object.metadata);
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

  #unreadableFaults(): readonly Fault[] {
    return this.#objects.unreadable().map((id) => ({
      file: this.#objects.unreadableFile(id) ?? id,
      message: `cannot be read, so ${formatName(id)} is left alone; repair the file, or delete it and start again: then it is a new object`,
      level: 'error',
    }));
  }

  #emit(kind: ResourceEvent['kind'], type: ResourceEvent['type'], metadata: ObjectMeta): void {
    for (const listener of this.#listeners) listener({ kind, type, metadata, initial: this.#starting });
  }

  /** The same for a caller of the port, who knows only failures. */
  async #write<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await this.#alone(work);
    } catch {
      throw transient('InternalError', `the data folder ${this.#input.dataFolder} cannot be written`);
    }
  }

  /** One writer at a time: what was read stays true until it is written. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#writing.then(work);
    this.#writing = done.catch(() => {});
    return done;
  }
}

function nameIn(id: string): string {
  return id.slice(id.lastIndexOf('/') + 1);
}

function heldBack(id: string, file: string): Fault {
  const message = `${formatName(id)} was removed from the folder, but this unreadable file mentions it: it stays until the file is repaired or removed`;
  return { file, message, level: 'error' };
}

const order = ['Namespace', 'ApiCatalog', 'KeyOwnerGroup', 'KeyOwner', 'KeyDestination', 'ApiKey'];

/** What others refer to first. */
function inOrder(objects: readonly KubeObject[]): readonly KubeObject[] {
  return objects.toSorted((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
}

function sortedByName(objects: readonly KubeObject[]): readonly KubeObject[] {
  const nameOf = ({ metadata: { namespace = '', name } }: KubeObject): string => `${namespace}/${name}`;
  return objects.toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
}

function impliedNamespace(name: string): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, uid: `namespace-${name}`, resourceVersion: '0', labels: namespaceLabels(name) },
    spec: {},
  };
}

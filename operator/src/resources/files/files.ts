import { realpath } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';

import type { KubeObject } from '../../api/meta.ts';
import type { Clock } from '../../domain/time.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Kinds, Resources, WatchedKind } from '../port.ts';
import { absenceMs } from './absence.ts';
import { Applier } from './applier.ts';
import { formatId } from './content.ts';
import { declare, formatName } from './declared.ts';
import type { Declared, Fault } from './declared.ts';
import { Deletions, heldBack, tellKept } from './deletions.ts';
import type { Present } from './deletions.ts';
import { FaultList } from './faults.ts';
import { ManifestFolder } from './folder.ts';
import { KnownFolders } from './knownfolders.ts';
import { ObjectStore } from './objects.ts';
import type { ManifestParser } from './parser.ts';
import { Registry } from './registry.ts';
import { ManifestSecrets } from './secrets.ts';
import { markDeleted, sourceOf } from './takeover.ts';

/** A little more than {@link absenceMs}, so that a timer that fires early does not cost a third look. */
const lookEveryMs = absenceMs + 20;
const lookAgainMs = 120;
/** How long the start waits for files that are being written or parsed; then it goes on with the others. */
const firstLooksMs = 5_000;

/** What {@link openFilesResources} needs. */
export interface FilesInput {
  readonly manifestsFolder: string;
  readonly dataFolder: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Objects of another manifests folder that this one lacks are deleted, not kept. */
  readonly prune: boolean;
  /** How long a manifest must be absent before its object is deleted. */
  readonly deletionGraceMs: number;
  /** Closed by the caller, after the signal of `start` is aborted. */
  readonly parser: ManifestParser;
}

/** The resources port over a folder, and what the standalone mode shows of it. */
export interface FilesResources extends Resources {
  /** What does not count now, and why; and what is about to be deleted. */
  faults(): readonly Fault[];
  /** Complete looks at the folder since the start, with nothing being written meanwhile. */
  scansCompleted(): number;
  /** How many objects are absent and will be deleted, unless they come back. */
  deletionsWaiting(): number;
  /** All objects of a kind as they are now, with spec and status. */
  objects<K extends WatchedKind>(kind: K): readonly Kinds[K][];
  /** All objects of all kinds, in no order. */
  everything(): readonly KubeObject[];
  /** Resolves when nothing is being written to the data folder any more. */
  idle(): Promise<void>;
}

/** Opens the objects under `<data>/status`. Looks at the manifests only after {@link Resources.start}. */
export async function openFilesResources(input: FilesInput): Promise<FilesResources> {
  const objects = await ObjectStore.load(join(input.dataFolder, 'status'));
  const skipped = await realpath(input.dataFolder);
  const known = await KnownFolders.load(input.dataFolder, resolve(input.manifestsFolder));
  return new Files(input, { objects, skipped, known });
}

interface Opened {
  readonly objects: ObjectStore;
  /** The real path of the data folder. */
  readonly skipped: string;
  readonly known: KnownFolders;
}

/** Looks at the folder again and again, and takes over what it declares. */
class Files extends Registry implements FilesResources {
  readonly secrets: ManifestSecrets;
  readonly #input: FilesInput;
  readonly #root: string;
  readonly #objects: ObjectStore;
  readonly #folder: ManifestFolder;
  readonly #known: KnownFolders;
  readonly #deletions: Deletions;
  readonly #faults: FaultList;
  readonly #applier: Applier;
  #scansCompleted = 0;
  #deletionsWaiting = 0;

  constructor(input: FilesInput, { objects, skipped, known }: Opened) {
    super(objects, input);
    const { clock, parser, prune, deletionGraceMs: graceMs } = input;
    this.#input = input;
    this.#root = resolve(input.manifestsFolder);
    this.#objects = objects;
    this.#known = known;
    this.#folder = new ManifestFolder({ root: this.#root, skipped, clock, parser });
    this.#deletions = new Deletions({ root: this.#root, prune, graceMs });
    this.#faults = new FaultList(input.log);
    this.secrets = new ManifestSecrets(() => objects.nextVersion());
    const sourceOfObject = (object: KubeObject): string | undefined => this.#sourceOf(object);
    this.#applier = new Applier({ root: this.#root, clock, objects, secrets: this.secrets, registry: this, sourceOfObject });
  }

  async start(signal: AbortSignal): Promise<void> {
    const { clock } = this.#input;
    for (const object of inOrder(this.#objects.all())) this.emit(object.kind as WatchedKind, 'upsert', object.metadata);
    const startedMs = clock.monotonicMs();
    do {
      signal.throwIfAborted();
      if (await this.#look()) break;
      await clock.sleep(lookAgainMs, signal);
    } while (clock.monotonicMs() - startedMs < firstLooksMs);
    this.starting = false;
    void this.#watch(signal);
  }

  faults(): readonly Fault[] {
    return this.#faults.current();
  }

  scansCompleted(): number {
    return this.#scansCompleted;
  }

  deletionsWaiting(): number {
    return this.#deletionsWaiting;
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

  /**
   * Makes a look and takes it over. False if something was being written or is left for the next look: then look again soon.
   * However long the look takes, it blocks no writer; deletions come first.
   */
  async #scan(): Promise<boolean> {
    const sources = new Set(this.#present().flatMap(({ source }) => source ?? []));
    const glance = await this.#folder.glance(sources);
    if (glance !== undefined) await this.#applier.apply(declare(this.#root, glance.look), ({ path }) => glance.changed.has(path));
    const look = await this.#folder.look(sources);
    const checked = await this.#known.check(look, sources);
    const declared = declare(this.#root, this.#input.prune ? look : checked);
    // Only some of thousands are shown: those that keep an object alive come first.
    const faults: Fault[] = [...(await this.#deleteMissing(declared)), ...this.#unreadableFaults()];
    const { faults: refused, left } = await this.#applier.apply(declared, () => true);
    faults.push(...refused);
    this.#faults.report(faults, this.#input.clock.monotonicMs());
    const settled = declared.settled && left > 0;
    if (settled) this.#scansCompleted += 1;
    return settled;
  }

  /** What is there now, and is not leaving. */
  #present(): readonly Present[] {
    const objects = this.#objects.all().filter(({ metadata }) => metadata.deletionTimestamp === undefined);
    return [
      ...objects.map((object) => ({ id: formatId(object.kind, object.metadata), source: this.#sourceOf(object) })),
      ...this.secrets.sources().map(({ id, path }) => ({ id, source: path })),
    ];
  }

  /** The file that an object comes from, by the path as given. */
  #sourceOf(object: KubeObject): string | undefined {
    const source = sourceOf(object);
    return source === undefined ? undefined : this.#folder.identify(source);
  }

  /** Deletes what is absent for long enough; all faults of the look, and what waits. */
  async #deleteMissing(declared: Declared): Promise<readonly Fault[]> {
    const { clock } = this.#input;
    const now = { at: clock.now(), monotonicMs: clock.monotonicMs() };
    const { gone, waiting, faults, kept } = this.#deletions.observe(this.#present(), declared, now);
    const held: Fault[] = [];
    const mentioned = gone.length === 0 ? undefined : await this.#folder.mentions(declared.doubtful, gone.map(nameIn));
    for (const id of gone) {
      const where = mentioned?.get(nameIn(id));
      if (where === undefined) await this.alone(() => this.#delete(id));
      else held.push(heldBack(id, relative(this.#root, where)));
    }
    // After the deletions: until then they wait.
    this.#deletionsWaiting = waiting;
    return [...held, ...faults, ...tellKept(declared.faults, kept, this.#root)];
  }

  async #delete(id: string): Promise<void> {
    const secret = this.secrets.forget(id);
    if (secret !== undefined) this.emit('Secret', 'delete', secret);
    const object = this.#objects.get(id);
    if (object === undefined) return;
    this.#input.log.info('manifest deleted', { kind: object.kind, name: formatName(id) });
    if ((object.metadata.finalizers ?? []).length === 0) await this.remove(object);
    else await this.put(markDeleted(object, this.#input.clock.now()));
  }

  #unreadableFaults(): readonly Fault[] {
    return this.#objects.unreadable().map((id) => ({
      file: this.#objects.unreadableFile(id) ?? id,
      message: `cannot be read, so ${formatName(id)} is left alone; repair the file, or delete it and start again: then it is a new object`,
      level: 'error',
    }));
  }
}

function nameIn(id: string): string {
  return id.slice(id.lastIndexOf('/') + 1);
}

const order = ['Namespace', 'ApiCatalog', 'KeyOwnerGroup', 'KeyOwner', 'KeyDestination', 'ApiKey'];

/** What others refer to first. */
function inOrder(objects: readonly KubeObject[]): readonly KubeObject[] {
  return objects.toSorted((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
}

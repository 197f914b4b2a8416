import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { parse, stringify } from 'yaml';
import * as z from 'zod';

import type { KubeObject, ObjectMeta } from '../../api/meta.ts';
import { formatId } from './content.ts';
import { removeDurably, writeDurably } from './durable.ts';

/** Loose: what is not looked at here, the status above all, comes back as it was written. */
const storedSchema = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), namespace: z.string().optional(), uid: z.string(), resourceVersion: z.string() }),
  spec: z.unknown(),
});

/** The maximum length of an object that is written as YAML, in characters. */
const yamlLimit = 32_768;

/** An object before it has its resourceVersion. */
export type Unversioned = Omit<KubeObject, 'metadata'> & { readonly metadata: Omit<ObjectMeta, 'resourceVersion'> };

/**
 * The objects of the standalone mode: `status/<Kind>/<namespace or _cluster>/<name>.yaml`, each the whole object with
 * its status, written as one step. What is in memory is what is on the disk: the disk first.
 */
export class ObjectStore {
  readonly #folder: string;
  readonly #objects = new Map<string, KubeObject>();
  readonly #unreadable: ReadonlySet<string>;
  #lastVersion: number;

  private constructor(folder: string, objects: readonly KubeObject[], unreadable: ReadonlySet<string>) {
    this.#folder = folder;
    this.#unreadable = unreadable;
    for (const object of objects) this.#objects.set(formatId(object.kind, object.metadata), object);
    this.#lastVersion = Math.max(0, ...objects.map(({ metadata }) => Number(metadata.resourceVersion) || 0));
  }

  /** Reads the folder, made when it is missing. Files that are none of ours are left alone. */
  static async load(folder: string): Promise<ObjectStore> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const objects: KubeObject[] = [];
    const unreadable = new Set<string>();
    for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      if (/^\.[0-9a-f]{12}\.tmp$/.test(entry.name)) await rm(path, { force: true });
      if (entry.name.startsWith('.') || !entry.name.endsWith('.yaml')) continue;
      const id = relative(folder, path).slice(0, -'.yaml'.length).split(sep).join('/');
      const object = await readObject(path);
      if (object !== undefined && formatId(object.kind, object.metadata) === id) objects.push(object);
      else if (id.split('/').length === 3) unreadable.add(id);
    }
    return new ObjectStore(folder, objects, unreadable);
  }

  get(id: string): KubeObject | undefined {
    return this.#objects.get(id);
  }

  all(): readonly KubeObject[] {
    return [...this.#objects.values()];
  }

  /** The file under `status/` of an object that cannot be read: its uid is in there, so it is not made anew. */
  unreadableFile(id: string): string | undefined {
    return this.#unreadable.has(id) ? this.#pathOf(id) : undefined;
  }

  unreadable(): readonly string[] {
    return [...this.#unreadable];
  }

  /** Writes an object under the next resourceVersion. */
  async put(object: Unversioned): Promise<KubeObject> {
    const resourceVersion = this.nextVersion();
    const stored: KubeObject = { ...object, metadata: { ...object.metadata, resourceVersion } };
    const id = formatId(stored.kind, stored.metadata);
    await writeDurably(this.#pathOf(id), format(stored), { mode: 0o600, folderMode: 0o700 });
    this.#objects.set(id, stored);
    return stored;
  }

  /** Removes an object with its file. */
  async remove(object: KubeObject): Promise<void> {
    const id = formatId(object.kind, object.metadata);
    await removeDurably(this.#pathOf(id));
    this.#objects.delete(id);
  }

  /** One counter for all objects. Versions are only ever compared together with a uid. */
  nextVersion(): string {
    this.#lastVersion += 1;
    return String(this.#lastVersion);
  }

  #pathOf(id: string): string {
    return `${join(this.#folder, ...id.split('/'))}.yaml`;
  }
}

/**
 * YAML for people. A large object becomes JSON, which is YAML too: the YAML printer would block everything else for half a
 * second.
 */
function format(object: KubeObject): string {
  const json = JSON.stringify(object, undefined, 1);
  return json.length > yamlLimit ? json : stringify(object, { lineWidth: 0 });
}

async function readObject(path: string): Promise<KubeObject | undefined> {
  try {
    const result = storedSchema.safeParse(parseStored(await readFile(path, 'utf8')));
    return result.success ? (result.data as KubeObject) : undefined;
  } catch {
    return undefined;
  }
}

function parseStored(text: string): unknown {
  return text.startsWith('{') ? JSON.parse(text) : parse(text, { logLevel: 'silent' });
}

import { mkdir, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { privateDir } from './process.ts';

type Entries = Readonly<Record<string, string>>;

/** What happened to a mount: a new content was there to be had, and then it was mounted. */
export interface Swap {
  readonly seenAt: number;
  readonly swappedAt: number;
}

/**
 * kubelet's part, because no kubelet runs beside a test's API server: a directory in the layout of kubelet's atomic writer
 * (pkg/volume/util/atomic_writer.go) that follows a Secret, each change `delayMs` late. Instants are of `performance.now()`.
 */
export class LateMount {
  readonly directory = privateDir('mount');
  readonly swaps: Swap[] = [];
  /** Called when another content is there to be had. */
  onSeen: (() => void) | undefined;
  readonly #read: () => Promise<Entries | undefined>;
  readonly #delayMs: number;
  #mounted = '';
  #count = 0;
  #going = true;
  #loop: Promise<void> = Promise.resolve();

  private constructor(read: () => Promise<Entries | undefined>, delayMs: number) {
    this.#read = read;
    this.#delayMs = delayMs;
  }

  /** Mounts the Secret, which has to be there, and follows it from then on. */
  static async start(read: () => Promise<Entries | undefined>, delayMs: number): Promise<LateMount> {
    const mount = new LateMount(read, delayMs);
    await mount.#swap((await read()) ?? {});
    mount.#loop = mount.#follow();
    return mount;
  }

  async stop(): Promise<void> {
    this.#going = false;
    await this.#loop;
    await rm(this.directory, { recursive: true, force: true });
  }

  async #follow(): Promise<void> {
    while (this.#going) {
      const entries = await this.#read();
      if (entries !== undefined && JSON.stringify(entries) !== this.#mounted) {
        const seenAt = performance.now();
        this.onSeen?.();
        await pause(this.#delayMs);
        await this.#swap(entries);
        this.swaps.push({ seenAt, swappedAt: performance.now() });
      }
      await pause(100);
    }
  }

  async #swap(entries: Entries): Promise<void> {
    const at = (...names: string[]) => join(this.directory, ...names);
    const generation = `..2026_01_01_00_00_00.${String((this.#count += 1))}`;
    await mkdir(at(generation));
    for (const [name, text] of Object.entries(entries)) await writeFile(at(generation, name), text);
    await symlink(generation, at('..data_tmp'));
    await rename(at('..data_tmp'), at('..data'));
    const there = await readdir(this.directory);
    for (const name of Object.keys(entries)) if (!there.includes(name)) await symlink(join('..data', name), at(name));
    for (const name of there) if (name.startsWith('..2') && name !== generation) await rm(at(name), { recursive: true });
    this.#mounted = JSON.stringify(entries);
  }
}

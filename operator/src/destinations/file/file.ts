import { access, constants, mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure, waiting } from '../../domain/failure.ts';
import type { Location } from '../../domain/key.ts';
import { isCode } from '../../domain/systemcode.ts';
import type { Clock } from '../../domain/time.ts';
import type { Mark } from '../../domain/version.ts';
import { refuseForeign } from '../condition.ts';
import { parseSecretLocation } from '../location.ts';
import type { DeliveredRecord, DeliveredValue, Destination, Reading, WriteOutcome } from '../port.ts';
import { entryNames, foundValue, revealEntries } from '../record.ts';
import { inspectFolder, readEntry, removeGeneration, writeGeneration, type FolderContent } from './generation.ts';
import { withLock } from './lock.ts';

/** What a file destination is opened with. */
export interface FileDestinationOptions {
  /** `<data>/secrets`; made when it is not there. */
  readonly folder: string;
  readonly clock: Clock;
}

/** Opens a folder as a destination: `<folder>/<namespace>/<secret name>/<entry>`, readable by this user alone. */
export function openFileDestination(options: FileDestinationOptions): Destination {
  return new FileDestination(options.folder, options.clock);
}

/**
 * `secret:` targets of the standalone mode, in the layout of a Secret that kubelet has mounted, so that a program
 * reads them in the same way. Mark and value are one generation folder, and one rename swaps it in.
 */
class FileDestination implements Destination {
  readonly #folder: string;
  readonly #clock: Clock;

  constructor(folder: string, clock: Clock) {
    this.#folder = folder;
    this.#clock = clock;
  }

  async readMark(location: Location): Promise<Reading> {
    const { folder } = this.#place(location);
    return classified(async () => readingOf(await inspectFolder(folder)));
  }

  async readValue(location: Location): Promise<DeliveredValue | undefined> {
    const { folder } = this.#place(location);
    return classified(async () => {
      const before = readingOf(await inspectFolder(folder));
      if (before.kind === 'absent') return undefined;
      const texts = await Promise.all(entryNames.map(async (name) => [name, await readEntry(folder, name)] as const));
      const reading = readingOf(await inspectFolder(folder));
      if (reading.revision !== before.revision) throw waiting('DestinationUnavailable', 'the value changed while it was read');
      return foundValue(Object.fromEntries(texts.filter(([, text]) => text !== undefined)), reading);
    });
  }

  async write(
    location: Location,
    record: DeliveredRecord,
    mark: Mark,
    observed: Reading,
    _attemptId: string,
  ): Promise<WriteOutcome> {
    refuseForeign(observed);
    const { folder } = this.#place(location);
    return this.#locked(location, async () => {
      if (readingOf(await inspectFolder(folder)).revision !== observed.revision) return { kind: 'lost' };
      const providerVersion = await writeGeneration(folder, revealEntries(record), mark, this.#clock.now());
      return { kind: 'written', providerVersion, reading: readingOf(await inspectFolder(folder)) };
    });
  }

  /** Readers get the new generation at once: there is nothing to promote, only to look whether it is still ours. */
  async promote(location: Location, _mark: Mark, observed: Reading): Promise<WriteOutcome> {
    const reading = await this.readMark(location);
    if (reading.kind !== 'marked' || reading.revision !== observed.revision) return { kind: 'lost' };
    return { kind: 'written', providerVersion: reading.providerVersion, reading };
  }

  async withdraw(location: Location, observed: Reading): Promise<'withdrawn' | 'lost'> {
    refuseForeign(observed);
    const { folder } = this.#place(location);
    return this.#locked(location, async () => {
      const content = await inspectFolder(folder);
      if (content.kind === 'empty') {
        // A write that stopped before its swap may have left a value that nobody reads.
        await removeGeneration(folder, undefined);
        return 'withdrawn';
      }
      if (content.kind === 'foreign' || readingOf(content).revision !== observed.revision) return 'lost';
      await removeGeneration(folder, content.generation);
      return 'withdrawn';
    });
  }

  async probe(): Promise<void> {
    await classified(async () => {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      if (!(await stat(this.#folder)).isDirectory())
        throw waiting('DestinationUnavailable', 'the folder of the secrets is no folder');
      await access(this.#folder, constants.R_OK | constants.W_OK | constants.X_OK);
    });
  }

  async close(): Promise<void> {
    // Nothing is held between calls.
  }

  #place(location: Location): { readonly folder: string; readonly lock: string; readonly parent: string } {
    const { namespace, name } = parseSecretLocation(location);
    const parent = join(this.#folder, namespace);
    return { folder: join(parent, name), lock: join(parent, `.${name}.lock`), parent };
  }

  /** The condition of a write is checked and the write made while no other process of ours can do either. */
  async #locked<T>(location: Location, work: () => Promise<T>): Promise<T> {
    const { lock, parent } = this.#place(location);
    return classified(async () => {
      await mkdir(parent, { recursive: true, mode: 0o700 });
      return withLock(lock, this.#clock, work);
    });
  }
}

function readingOf(content: FolderContent): Reading {
  if (content.kind === 'empty') return { kind: 'absent', revision: 'absent' };
  if (content.kind === 'foreign') return { kind: 'unmarked', revision: 'foreign' };
  const { mark, generation, intact } = content;
  const revision = `${generation}/${intact ? 'intact' : 'changed'}`;
  return { kind: 'marked', mark, carries: intact, providerVersion: generation, revision };
}

/** What the file system says, in our words: its own text names paths, and nothing else is lost. */
async function classified<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    // A fault without a code is not the system's but a defect of ours, and stays visible as one.
    if (error instanceof Failure || !(error instanceof Error && 'code' in error)) throw error;
    throw waiting('DestinationUnavailable', sentence(error));
  }
}

function sentence(error: unknown): string {
  if (isCode(error, 'EACCES', 'EPERM', 'EROFS')) return 'the folder of the secrets may not be written by this user';
  if (isCode(error, 'ENOSPC', 'EDQUOT')) return 'the disk with the folder of the secrets is full';
  if (isCode(error, 'ENOTDIR', 'EEXIST')) return 'a file stands where the folder of the secrets should be';
  return 'the folder of the secrets cannot be read or written';
}

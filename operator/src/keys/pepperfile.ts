import { readFile } from 'node:fs/promises';

import type { Plaintext } from '../domain/plaintext.ts';
import type { Clock } from '../domain/time.ts';
import type { Version } from '../domain/version.ts';
import { PepperFault, PepperRing } from './pepper.ts';
import type { HashedToken, Match, Peppers } from './pepper.ts';

/** Compares a pepper's check value with the store's; {@link Store.checkPepper} is one. */
export type CheckPepper = (pepperId: string, check: Uint8Array) => Promise<'right' | 'wrong'>;

/** What {@link PepperFile.open} needs. */
export interface PepperFileInput {
  readonly path: string;
  readonly check: CheckPepper;
}

/**
 * The peppers of a file that may change while we run: a mounted Secret in which somebody adds a pepper. A new content
 * counts only when it is whole and its check values are the store's; otherwise the last good ring stays.
 */
export class PepperFile implements Peppers {
  readonly #input: PepperFileInput;
  #text: string;
  #ring: PepperRing;

  private constructor(input: PepperFileInput, text: string, ring: PepperRing) {
    this.#input = input;
    this.#text = text;
    this.#ring = ring;
  }

  /** Reads the file for the first time. Throws {@link PepperFault} (exit 2), or what `check` throws. */
  static async open(input: PepperFileInput): Promise<PepperFile> {
    const text = await readText(input.path);
    return new PepperFile(input, text, await acceptRing(text, input.check));
  }

  /**
   * Reads the file again and takes over what is new. `changed` or `same`; throws {@link PepperFault}, or what `check`
   * throws, and keeps the last good ring then.
   */
  async refresh(): Promise<'changed' | 'same'> {
    const text = await readText(this.#input.path);
    if (text === this.#text) return 'same';
    this.#ring = await acceptRing(text, this.#input.check);
    this.#text = text;
    return 'changed';
  }

  hash(token: Plaintext): HashedToken {
    return this.#ring.hash(token);
  }

  matches(version: Pick<Version, 'pepperId' | 'hash'>, token: Plaintext): Match {
    return this.#ring.matches(version, token);
  }

  prove(version: Pick<Version, 'pepperId'>, token: Plaintext): Uint8Array | undefined {
    return this.#ring.prove(version, token);
  }
}

/** What {@link watchPeppers} tells. `failed` carries the error of one refresh; the next one comes anyway. */
export interface PepperWatch {
  readonly clock: Clock;
  readonly everyMs: number;
  readonly signal: AbortSignal;
  readonly onChange: () => void;
  readonly onFailure: (error: unknown) => void;
}

/**
 * Refreshes until aborted. By reading, not by file events: a mounted Secret changes through a symlink, which events of
 * the file itself do not show. Resolves when `signal` is aborted; never rejects.
 */
export async function watchPeppers(file: PepperFile, watch: PepperWatch): Promise<void> {
  while (!watch.signal.aborted) {
    try {
      await watch.clock.sleep(watch.everyMs, watch.signal);
    } catch {
      return;
    }
    try {
      if ((await file.refresh()) === 'changed') watch.onChange();
    } catch (error) {
      watch.onFailure(error);
    }
  }
}

/** Compares every pepper of a ring with the store. Throws {@link PepperFault} at the first one that is another. */
export async function checkRing(ring: PepperRing, check: CheckPepper): Promise<void> {
  for (const entry of ring.checks()) {
    if ((await check(entry.pepperId, entry.check)) === 'wrong') {
      throw new PepperFault(`the pepper "${entry.pepperId}" is not the one that this database knows by that id`);
    }
  }
}

async function acceptRing(text: string, check: CheckPepper): Promise<PepperRing> {
  const ring = PepperRing.parse(text);
  await checkRing(ring, check);
  return ring;
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    throw new PepperFault('the pepper file cannot be read');
  }
}

import type { Plaintext } from '../domain/plaintext.ts';
import type { Version } from '../domain/version.ts';
import { WatchedFile } from '../watchedfile.ts';
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
  /** The file to refresh and to watch. */
  readonly file: WatchedFile<PepperRing>;

  private constructor(file: WatchedFile<PepperRing>) {
    this.file = file;
  }

  /** Reads the file for the first time. Throws FileFault or {@link PepperFault} (exit 2), or what `check` throws. */
  static async open({ path, check }: PepperFileInput): Promise<PepperFile> {
    const accept = async ([text = '']: readonly string[]): Promise<PepperRing> => {
      try {
        const ring = PepperRing.parse(text);
        await checkRing(ring, check);
        return ring;
      } catch (error) {
        throw error instanceof PepperFault ? new PepperFault(`${path}: ${error.message}`) : error;
      }
    };
    return new PepperFile(await WatchedFile.open({ name: 'peppers', paths: [path], accept }));
  }

  hash(token: Plaintext): HashedToken {
    return this.file.value.hash(token);
  }

  matches(version: Pick<Version, 'pepperId' | 'hash'>, token: Plaintext): Match {
    return this.file.value.matches(version, token);
  }

  prove(version: Pick<Version, 'pepperId'>, token: Plaintext): Uint8Array | undefined {
    return this.file.value.prove(version, token);
  }
}

/** Compares every pepper of a ring with the store. Throws {@link PepperFault} at the first one that is another. */
async function checkRing(ring: PepperRing, check: CheckPepper): Promise<void> {
  for (const entry of ring.checks()) {
    if ((await check(entry.pepperId, entry.check)) === 'wrong') {
      throw new PepperFault(`the pepper "${entry.pepperId}" is not the one that this database knows by that id`);
    }
  }
}

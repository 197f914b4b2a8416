import type { Destination } from '../../../operator/src/destinations/port.ts';
import { waiting } from '../../../operator/src/domain/failure.ts';
import type { Location } from '../../../operator/src/domain/key.ts';

/** What is told of a destination's calls. */
export interface Watcher {
  /** Before each call; throws when the process that makes it is dead. */
  check(): void;
  /** After each change of what readers get. */
  took(effect: 'write' | 'withdraw', location: Location): Promise<void>;
}

/** Vault, answering or not; every other destination always answers. */
export class Outage {
  /** See {@link set}. */
  isDown = false;
  #isProved = false;

  /** From now on it is down, or answers again. */
  set(isDown: boolean): void {
    this.isDown = isDown;
    this.#isProved = false;
  }

  /** A real destination, with the outage in front of it. */
  watched(kind: string, destination: Destination, watcher: Watcher): Destination {
    const call = async <T>(make: () => Promise<T>): Promise<T> => {
      watcher.check();
      if (kind === 'vault' && this.isDown) throw waiting('DestinationUnavailable', 'the test took it down');
      return make();
    };
    return {
      readMark: (location) => call(() => destination.readMark(location)),
      readValue: (location) => call(() => destination.readValue(location)),
      promote: (...promotion) => call(() => destination.promote(...promotion)),
      close: () => destination.close(),
      // One proof of the real server after each change is enough for a year.
      probe: () =>
        call(async () => {
          if (!this.#isProved) await destination.probe();
          this.#isProved = true;
        }),
      write: (location, ...rest) =>
        call(async () => {
          const outcome = await destination.write(location, ...rest);
          if (outcome.kind === 'written') await watcher.took('write', location);
          return outcome;
        }),
      withdraw: (location, reading) =>
        call(async () => {
          const outcome = await destination.withdraw(location, reading);
          if (outcome === 'withdrawn') await watcher.took('withdraw', location);
          return outcome;
        }),
    };
  }
}

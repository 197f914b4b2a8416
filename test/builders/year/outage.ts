import type { Destination } from '../../../operator/src/destinations/port.ts';
import { unanswered, waiting } from '../../../operator/src/domain/failure.ts';
import type { Location } from '../../../operator/src/domain/key.ts';
import type { Clock, Instant } from '../../../operator/src/domain/time.ts';

/** Hears of a destination's calls. */
export interface Watcher {
  /** Before each call; throws when the process that makes it is dead. */
  check(): void;
  /** Runs a call to a real server. */
  call<T>(make: () => Promise<T>): Promise<T>;
  /** After each change of what readers get. */
  took(effect: 'write' | 'withdraw', location: Location): Promise<void>;
}

/** `hangs`: it answers probes and reads, and takes writes without an answer. */
export type VaultMood = 'well' | 'down' | 'hangs';

/** A write that hangs ends after this, as the deadline of the real adapter ends it, in milliseconds. */
const adapterDeadlineMs = 20_000;

/** Vault, answering or not; every other destination always answers. */
export class Outage {
  readonly #clock: Clock;
  #mood: VaultMood = 'well';
  #isProved = false;
  /** When each of the calls that hang now is given up. */
  readonly #givenUpAt = new Map<object, Instant>();
  /** When the last of the calls is given up that hung as Vault began to answer again. */
  #lastGivenUpAt = Number.NEGATIVE_INFINITY;
  /** Calls that hung so far. */
  hung = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether Vault is anything but well, or a call may fail that began while it was not. */
  get isUnwell(): boolean {
    return this.#mood !== 'well' || this.#clock.now() <= this.#lastGivenUpAt;
  }

  set(mood: VaultMood): void {
    this.#lastGivenUpAt = Math.max(...this.#givenUpAt.values());
    this.#mood = mood;
    this.#isProved = false;
  }

  /** When the first of the calls that hang now is given up. */
  nextAt(): Instant | undefined {
    return this.#givenUpAt.size === 0 ? undefined : Math.min(...this.#givenUpAt.values());
  }

  /** A real destination, with the outage in front of it. */
  watched(kind: string, destination: Destination, watcher: Watcher): Destination {
    const read = async <T>(make: () => Promise<T>): Promise<T> => {
      watcher.check();
      if (kind === 'vault' && this.#mood === 'down') throw waiting('DestinationUnavailable', 'the test took it down');
      return watcher.call(make);
    };
    const write = async <T>(make: () => Promise<T>): Promise<T> => {
      watcher.check();
      if (kind === 'vault' && this.#mood === 'hangs') await this.#hang();
      return read(make);
    };
    return {
      readMark: (location) => read(() => destination.readMark(location)),
      readValue: (location) => read(() => destination.readValue(location)),
      promote: (...promotion) => write(() => destination.promote(...promotion)),
      close: () => destination.close(),
      // One proof of the real server after each change is enough for a year.
      probe: () =>
        read(async () => {
          if (!this.#isProved) await destination.probe();
          this.#isProved = true;
        }),
      write: (location, ...rest) =>
        write(async () => {
          const outcome = await destination.write(location, ...rest);
          if (outcome.kind === 'written') await watcher.took('write', location);
          return outcome;
        }),
      withdraw: (location, reading) =>
        write(async () => {
          const outcome = await destination.withdraw(location, reading);
          if (outcome === 'withdrawn') await watcher.took('withdraw', location);
          return outcome;
        }),
    };
  }

  async #hang(): Promise<never> {
    this.hung += 1;
    const call = {};
    this.#givenUpAt.set(call, this.#clock.now() + adapterDeadlineMs);
    await this.#clock.sleep(adapterDeadlineMs);
    this.#givenUpAt.delete(call);
    throw unanswered('DestinationUnavailable', 'the write got no answer');
  }
}

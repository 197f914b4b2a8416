import type { Destination } from '../../../operator/src/destinations/port.ts';
import { waiting } from '../../../operator/src/domain/failure.ts';
import type { Location } from '../../../operator/src/domain/key.ts';
import type { Clock, Instant } from '../../../operator/src/domain/time.ts';
import { hardDeadlineMs } from '../../../operator/src/reconcile/traffic.ts';

/** What is told of a destination's calls. */
export interface Watcher {
  /** Before each call; throws when the process that makes it is dead. */
  check(): void;
  /** After each change of what readers get. */
  took(effect: 'write' | 'withdraw', location: Location): Promise<void>;
}

/** `hangs`: it answers probes and reads, and takes writes without an answer. */
export type VaultMood = 'well' | 'down' | 'hangs';

/** A call that hangs: until when its caller waits for it, and how to end it. */
interface Hanging {
  readonly until: Instant;
  readonly cut: () => void;
}

/** Vault, answering or not; every other destination always answers. */
export class Outage {
  readonly #clock: Clock;
  #mood: VaultMood = 'well';
  #isProved = false;
  readonly #hanging = new Set<Hanging>();
  /** Calls that hung so far. */
  hung = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** See {@link set}. */
  get isDown(): boolean {
    return this.#mood !== 'well';
  }

  set(mood: VaultMood): void {
    this.#mood = mood;
    this.#isProved = false;
  }

  /** The connections of the calls that hang are lost. */
  cut(): void {
    for (const one of this.#hanging) one.cut();
    this.#hanging.clear();
  }

  /** Calls that somebody still waits for. */
  awaited(): number {
    return this.#waiting().length;
  }

  /** When the first of these is given up. */
  nextAt(): Instant | undefined {
    const instants = this.#waiting().map(({ until }) => until);
    return instants.length === 0 ? undefined : Math.min(...instants);
  }

  #waiting(): readonly Hanging[] {
    return [...this.#hanging].filter(({ until }) => until > this.#clock.now());
  }

  async #hang(kind: string): Promise<void> {
    if (kind !== 'vault' || this.#mood !== 'hangs') return;
    this.hung += 1;
    await new Promise<void>((_resolve, reject) => {
      const cut = (): void => {
        reject(waiting('DestinationUnavailable', 'the connection was lost'));
      };
      this.#hanging.add({ until: this.#clock.now() + hardDeadlineMs, cut });
    });
  }

  /** A real destination, with the outage in front of it. */
  watched(kind: string, destination: Destination, watcher: Watcher): Destination {
    const call = async <T>(make: () => Promise<T>): Promise<T> => {
      watcher.check();
      if (kind === 'vault' && this.#mood === 'down') throw waiting('DestinationUnavailable', 'the test took it down');
      return make();
    };
    return {
      readMark: (location) => call(() => destination.readMark(location)),
      readValue: (location) => call(() => destination.readValue(location)),
      promote: (...promotion) =>
        call(async () => {
          await this.#hang(kind);
          return destination.promote(...promotion);
        }),
      close: () => destination.close(),
      // One proof of the real server after each change is enough for a year.
      probe: () =>
        call(async () => {
          if (!this.#isProved) await destination.probe();
          this.#isProved = true;
        }),
      write: (location, ...rest) =>
        call(async () => {
          await this.#hang(kind);
          const outcome = await destination.write(location, ...rest);
          if (outcome.kind === 'written') await watcher.took('write', location);
          return outcome;
        }),
      withdraw: (location, reading) =>
        call(async () => {
          await this.#hang(kind);
          const outcome = await destination.withdraw(location, reading);
          if (outcome === 'withdrawn') await watcher.took('withdraw', location);
          return outcome;
        }),
    };
  }
}

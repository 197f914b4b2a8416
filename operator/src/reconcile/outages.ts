import type { Destination, Destinations } from '../destinations/port.ts';
import { Failure, waiting } from '../domain/failure.ts';
import { secretDestinationUid } from '../domain/key.ts';
import type { Clock, Instant } from '../domain/time.ts';

/** A key that waits for a destination is woken when it heals; without that it looks again after this long, in milliseconds. */
export const outageRetryMs = 600_000;
/** A destination that asks for more patience than this, in milliseconds, is asked again all the same. */
const mostPatienceMs = 3_600_000;

/** A working destination is tried this often, and its status says when; in milliseconds. */
export const probeEveryMs = 300_000;
/** One that does not answer. */
export const retryEveryMs = 15_000;

interface Outage {
  readonly failure: Failure;
  /** Asked again then; absent = when the probe says that it heals. */
  readonly until?: Instant;
}

/** A destination, and which specification of it a probe was about. */
export interface Probed {
  readonly uid: string;
  readonly generation: number | undefined;
}

interface Probe {
  readonly at: Instant;
  readonly generation: number | undefined;
  readonly failure: Failure | undefined;
}

/**
 * What is known of destinations that do not answer: shared by all keys, so that one broken destination is one failure and not
 * one per key. While it lasts no key calls the destination; the probe alone does.
 */
export class Outages {
  readonly #clock: Clock;
  readonly #known = new Map<string, Outage>();
  readonly #probes = new Map<string, Probe>();
  readonly #suspected = new Set<string>();
  #onSuspect: (destinationUid: string) => void = () => {};

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Called when a key's own call failed: somebody should find out whether the destination as a whole is down. */
  onSuspect(listener: (destinationUid: string) => void): void {
    this.#onSuspect = listener;
  }

  /** What a probe came to; without a failure the destination answers. */
  note({ uid, generation }: Probed, failure: Failure | undefined): void {
    this.#probes.set(uid, { at: this.#clock.now(), generation, failure });
    this.#suspected.delete(uid);
    if (failure === undefined) this.#known.delete(uid);
    else this.#known.set(uid, { failure });
  }

  /** What a status of before this process says: a probe that is still fresh is not made again by a start. */
  recall({ uid, generation }: Probed, at: Instant): void {
    if (!this.#probes.has(uid)) this.#probes.set(uid, { at, generation, failure: undefined });
  }

  /** When the last probe was. */
  probedAt(destinationUid: string): Instant | undefined {
    return this.#probes.get(destinationUid)?.at;
  }

  /** The last probe's failure, if it failed. */
  probeFailure(destinationUid: string): Failure | undefined {
    return this.#probes.get(destinationUid)?.failure;
  }

  /** When the destination is to be probed next; an instant that has passed = now. */
  probeAt({ uid, generation }: Probed): Instant {
    const last = this.#probes.get(uid);
    if (last === undefined || last.generation !== generation) return this.#clock.now();
    if (last.failure !== undefined) return last.at + Math.max(retryEveryMs, last.failure.retryAfterMs ?? 0);
    return last.at + (this.#suspected.has(uid) ? retryEveryMs : probeEveryMs);
  }

  /** It is no more. */
  forget(destinationUid: string): void {
    this.#known.delete(destinationUid);
    this.#probes.delete(destinationUid);
    this.#suspected.delete(destinationUid);
  }

  /** What a call is answered with now, without being made. */
  failureAt(destinationUid: string): Failure | undefined {
    const known = this.#known.get(destinationUid);
    if (known === undefined) return undefined;
    const { failure, until } = known;
    if (until === undefined) return waiting(failure.reason, failure.message, outageRetryMs);
    const left = until - this.#clock.now();
    if (left > 0) return waiting(failure.reason, failure.message, left);
    this.#known.delete(destinationUid);
    return undefined;
  }

  /** The destinations as keys see them: what is known to be down, or has asked for patience, is not called. */
  guard(destinations: Destinations): Destinations {
    return {
      open: async (uid) => {
        this.#refuse(uid);
        return this.#guarded(uid, await this.#told(uid, () => destinations.open(uid)));
      },
      close: () => destinations.close(),
    };
  }

  #guarded(uid: string, destination: Destination): Destination {
    const call = <T>(make: () => Promise<T>): Promise<T> => {
      this.#refuse(uid);
      return this.#told(uid, make);
    };
    return {
      readMark: (location) => call(() => destination.readMark(location)),
      readValue: (location) => call(() => destination.readValue(location)),
      write: (...write) => call(() => destination.write(...write)),
      promote: (...promotion) => call(() => destination.promote(...promotion)),
      withdraw: (...withdrawal) => call(() => destination.withdraw(...withdrawal)),
      probe: () => destination.probe(),
      close: () => destination.close(),
    };
  }

  #refuse(uid: string): void {
    const failure = this.failureAt(uid);
    if (failure !== undefined) throw failure;
  }

  async #told<T>(uid: string, make: () => Promise<T>): Promise<T> {
    try {
      return await make();
    } catch (error) {
      if (error instanceof Failure && error.reason === 'DestinationUnavailable') this.#failed(uid, error);
      throw error;
    }
  }

  #failed(uid: string, failure: Failure): void {
    const { retryAfterMs } = failure;
    if (retryAfterMs !== undefined && !this.#known.has(uid))
      this.#known.set(uid, { failure, until: this.#clock.now() + Math.min(retryAfterMs, mostPatienceMs) });
    else if (uid !== secretDestinationUid && !this.#suspected.has(uid)) {
      this.#suspected.add(uid);
      this.#onSuspect(uid);
    }
  }
}

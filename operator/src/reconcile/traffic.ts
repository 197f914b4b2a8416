import type { Destination, Destinations } from '../destinations/port.ts';
import { unanswered, waiting } from '../domain/failure.ts';
import { formatLocation, secretDestinationUid, type Location } from '../domain/key.ts';
import type { Clock } from '../domain/time.ts';
import type { Worker } from '../queue/workers.ts';
import type { CallKind, Outages } from './outages.ts';

/** What {@link Traffic} needs. */
export interface TrafficInit {
  readonly clock: Clock;
  readonly outages: Outages;
  /** Calls under way at one time to each destination, from 1. */
  readonly concurrency: number;
}

/**
 * A call ends after this at the latest, in milliseconds, whatever its adapter does. Longer than the deadline that each adapter
 * sets itself for all requests of one call.
 */
export const hardDeadlineMs = 30_000;
/** Calls that wait for their turn at one destination; who comes then with a key that has not begun is put aside. */
const mostWaiting = 32;

/** No room at a destination for a key that has not begun: it is put aside until there is, see {@link Traffic.park}. */
export class Crowded extends Error {
  readonly destination: string;

  constructor(destination: string) {
    super('too many calls wait for this destination');
    this.name = 'Crowded';
    this.destination = destination;
  }
}

/** One destination's calls. */
interface Lane {
  running: number;
  readonly waiting: (() => void)[];
  /** Keys that were put aside, in their order. */
  readonly parked: Set<string>;
}

/**
 * A bulkhead before each destination: at most so many calls at one time, so that a slow one has its own keys to wait and nobody
 * else's. Who waits holds no worker. Secrets count by namespace: an admission webhook may hang for one of them.
 *
 * A call that is given up at its deadline still counts as under way until it ends, and its location is closed meanwhile: two
 * writers of one place would spoil each other's mark.
 */
export class Traffic {
  readonly #init: TrafficInit;
  readonly #lanes = new Map<string, Lane>();
  /** Locations with a call under way. */
  readonly #occupied = new Set<string>();
  #onRoom: (key: string) => void = () => {};

  constructor(init: TrafficInit) {
    this.#init = init;
  }

  /** Called when a key that was put aside may come again. */
  onRoom(listener: (key: string) => void): void {
    this.#onRoom = listener;
  }

  /** Puts a key aside until the destination has room again. */
  park(key: string, { destination }: Crowded): void {
    this.#laneOf(destination).parked.add(key);
    this.#invite(destination);
  }

  /**
   * The destinations as keys see them: what is known to be down is not called, what is crowded is waited for without a worker.
   * Without a worker (a sweep) nobody is put aside.
   */
  guard(destinations: Destinations, worker?: Worker): Destinations {
    const { outages } = this.#init;
    return {
      open: async (uid) => {
        outages.refuse(uid);
        try {
          return this.#guarded(uid, await destinations.open(uid), worker);
        } catch (error) {
          outages.noteFailure(uid, error);
          throw error;
        }
      },
      close: () => destinations.close(),
    };
  }

  #guarded(uid: string, destination: Destination, worker: Worker | undefined): Destination {
    const call = <T>(kind: CallKind, location: Location, make: () => Promise<T>): Promise<T> => {
      const passing = (): Promise<T> => this.#pass(uid, { kind, location, make, mayPark: worker !== undefined });
      return worker === undefined ? passing() : worker.away(passing);
    };
    return {
      readMark: (location) => call('read', location, () => destination.readMark(location)),
      readValue: (location) => call('read', location, () => destination.readValue(location)),
      write: (location, ...rest) => call('write', location, () => destination.write(location, ...rest)),
      promote: (location, ...rest) => call('write', location, () => destination.promote(location, ...rest)),
      withdraw: (location, ...rest) => call('write', location, () => destination.withdraw(location, ...rest)),
      probe: () => destination.probe(),
      close: () => destination.close(),
    };
  }

  async #pass<T>(uid: string, call: Call<T>): Promise<T> {
    const { outages } = this.#init;
    const lane = laneOf(call.location);
    const place = formatLocation(call.location);
    try {
      outages.refuse(uid);
      await this.#enter(lane, call);
    } finally {
      // Also who is refused makes room for the next one that was put aside.
      this.#invite(lane);
    }
    let ended: Promise<unknown> = Promise.resolve();
    try {
      if (this.#occupied.has(place))
        throw waiting('DestinationUnavailable', 'an earlier call to this location has not ended yet');
      return await outages.judge(uid, call.kind, () => {
        this.#occupied.add(place);
        const made = call.make().finally(() => this.#occupied.delete(place));
        ended = made.catch(() => undefined);
        return withinHardDeadline(this.#init.clock, made);
      });
    } finally {
      void ended.then(() => {
        this.#leave(lane);
      });
    }
  }

  async #enter(lane: string, { kind, mayPark }: Pick<Call<unknown>, 'kind' | 'mayPark'>): Promise<void> {
    const found = this.#laneOf(lane);
    if (found.running < this.#init.concurrency) {
      found.running += 1;
      return;
    }
    // A pass begins with reads. What it has begun to write it ends: a value that was minted is in its memory alone.
    if (mayPark && kind === 'read' && found.waiting.length >= mostWaiting) throw new Crowded(lane);
    await new Promise<void>((resolve) => {
      found.waiting.push(resolve);
    });
  }

  #leave(lane: string): void {
    const found = this.#laneOf(lane);
    const next = found.waiting.shift();
    if (next === undefined) found.running -= 1;
    else next();
    this.#invite(lane);
    if (found.running === 0 && found.parked.size === 0) this.#lanes.delete(lane);
  }

  /** One of those that were put aside, for each call that ends: so many more can wait. */
  #invite(lane: string): void {
    const found = this.#lanes.get(lane);
    if (found === undefined || found.waiting.length >= mostWaiting) return;
    const [first] = found.parked;
    if (first === undefined) return;
    found.parked.delete(first);
    this.#onRoom(first);
  }

  #laneOf(lane: string): Lane {
    const found = this.#lanes.get(lane) ?? { running: 0, waiting: [], parked: new Set() };
    this.#lanes.set(lane, found);
    return found;
  }
}

/** What comes of a call, or a Failure when it has not ended by {@link hardDeadlineMs}; what it does then nobody hears. */
export async function withinHardDeadline<T>(clock: Clock, made: Promise<T>): Promise<T> {
  const inTime = new AbortController();
  const late = clock.sleep(hardDeadlineMs, inTime.signal).then((): never => {
    throw unanswered('DestinationUnavailable', `the destination did not answer within ${hardDeadlineMs / 1000} s`);
  });
  try {
    return await Promise.race([made, late]);
  } finally {
    late.catch(() => undefined);
    inTime.abort();
  }
}

interface Call<T> {
  readonly kind: CallKind;
  readonly location: Location;
  readonly make: () => Promise<T>;
  readonly mayPark: boolean;
}

/** What calls to a location share with others, and may be held up by. */
export function laneOf({ destinationUid, path }: Location): string {
  return destinationUid === secretDestinationUid ? `${destinationUid}/${path.split('/')[0] ?? ''}` : destinationUid;
}

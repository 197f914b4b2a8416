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
/** Passes at one destination beyond those whose calls are under way; who comes then is put aside before it has begun. */
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
  /** Passes that are here now. */
  readonly inside: Set<Visit>;
  /** Keys that were put aside, in their order. */
  readonly parked: Set<string>;
  /** Keys for which a place is kept: they were invited, and have not come yet. */
  readonly invited: Set<string>;
}

/** One pass, on its way from destination to destination. */
interface Visit {
  readonly key: string;
  readonly worker: Worker;
  /** Calls under way, by lane. */
  readonly calls: Map<string, number>;
  /** Lanes that it was let into: it may come back. */
  readonly known: Set<string>;
  /** Where it takes a place. */
  home: string | undefined;
  hasEnded: boolean;
}

/** The destinations for one pass. */
export interface Guarded {
  readonly destinations: Destinations;
  /** The pass is over. */
  end(): void;
}

/**
 * A bulkhead before each destination: at most so many calls at one time, so that a slow one has its own keys to wait and nobody
 * else's. Who waits holds no worker; when too many wait, further keys are put aside, and invited one for each place that becomes
 * free. Secrets count by namespace: an admission webhook may hang for one of them.
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
   * The destinations as the pass over a key sees them: what is known to be down is not called, what is crowded is waited for
   * without a worker.
   */
  visit(destinations: Destinations, key: string, worker: Worker): Guarded {
    const visit: Visit = { key, worker, calls: new Map(), known: new Set(), home: undefined, hasEnded: false };
    return {
      destinations: this.#guard(destinations, visit),
      end: () => {
        visit.hasEnded = true;
        this.#moveHome(visit, undefined);
        this.#decline(key);
      },
    };
  }

  /** The ApiKey is gone: it comes nowhere any more. */
  forget(key: string): void {
    for (const lane of this.#lanes.values()) lane.parked.delete(key);
    this.#decline(key);
  }

  /** Where it was invited, and did not need to come in, somebody else is. */
  #decline(key: string): void {
    for (const [name, lane] of this.#lanes) {
      if (!lane.invited.delete(key)) continue;
      this.#invite(name);
      this.#tidy(name);
    }
  }

  /** The same for a sweep: it has few calls of its own, and is never put aside. */
  guard(destinations: Destinations): Destinations {
    return this.#guard(destinations, undefined);
  }

  #guard(destinations: Destinations, visit: Visit | undefined): Destinations {
    const { outages } = this.#init;
    return {
      open: async (uid) => {
        outages.refuse(uid);
        try {
          return this.#guarded(uid, await destinations.open(uid), visit);
        } catch (error) {
          outages.noteFailure(uid, error);
          throw error;
        }
      },
      close: () => destinations.close(),
    };
  }

  #guarded(uid: string, destination: Destination, visit: Visit | undefined): Destination {
    const call = <T>(kind: CallKind, location: Location, make: () => Promise<T>): Promise<T> =>
      this.#pass(uid, { kind, location, make, visit });
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
    this.#init.outages.refuse(uid);
    const { visit } = call;
    const lane = laneOf(call.location);
    if (visit === undefined) return this.#inTurn(uid, lane, call);
    this.#admit(lane, visit);
    visit.calls.set(lane, (visit.calls.get(lane) ?? 0) + 1);
    try {
      return await visit.worker.away(() => this.#inTurn(uid, lane, call));
    } finally {
      visit.calls.set(lane, (visit.calls.get(lane) ?? 1) - 1);
      // What still waits elsewhere takes its place there.
      const elsewhere = [...visit.calls].find(([, count]) => count > 0)?.[0];
      if (elsewhere !== undefined && !visit.hasEnded) this.#moveHome(visit, elsewhere);
    }
  }

  /** A pass is let in once, at its first call, and that is a look: what it has begun to write it can end. */
  #admit(name: string, visit: Visit): void {
    if (!visit.known.has(name)) {
      const { inside, parked, invited } = this.#laneOf(name);
      const isInvited = invited.delete(visit.key);
      parked.delete(visit.key);
      if (!isInvited && inside.size + invited.size >= this.#init.concurrency + mostWaiting) throw new Crowded(name);
      visit.known.add(name);
    }
    this.#moveHome(visit, name);
  }

  #moveHome(visit: Visit, name: string | undefined): void {
    const before = visit.home;
    if (before === name) return;
    visit.home = name;
    if (name !== undefined) this.#laneOf(name).inside.add(visit);
    if (before === undefined) return;
    this.#lanes.get(before)?.inside.delete(visit);
    this.#invite(before);
    this.#tidy(before);
  }

  /** Makes the call when it is its turn. */
  async #inTurn<T>(uid: string, lane: string, { kind, location, make }: Call<T>): Promise<T> {
    const { outages, clock } = this.#init;
    const place = formatLocation(location);
    await this.#enter(lane);
    let ended: Promise<unknown> = Promise.resolve();
    try {
      if (this.#occupied.has(place))
        throw waiting('DestinationUnavailable', 'an earlier call to this location has not ended yet');
      return await outages.judge(uid, kind, () => {
        this.#occupied.add(place);
        const made = make().finally(() => this.#occupied.delete(place));
        ended = made.catch(() => undefined);
        return withinHardDeadline(clock, made);
      });
    } finally {
      void ended.then(() => {
        this.#leave(lane);
      });
    }
  }

  async #enter(lane: string): Promise<void> {
    const found = this.#laneOf(lane);
    if (found.running < this.#init.concurrency) {
      found.running += 1;
      return;
    }
    await new Promise<void>((resolve) => {
      found.waiting.push(resolve);
    });
  }

  #leave(lane: string): void {
    const found = this.#laneOf(lane);
    const next = found.waiting.shift();
    if (next === undefined) found.running -= 1;
    else next();
    this.#tidy(lane);
  }

  /** As many of those that were put aside as there are places. */
  #invite(lane: string): void {
    const found = this.#lanes.get(lane);
    if (found === undefined) return;
    for (const key of found.parked) {
      if (found.inside.size + found.invited.size >= this.#init.concurrency + mostWaiting) return;
      found.parked.delete(key);
      found.invited.add(key);
      this.#onRoom(key);
    }
  }

  #tidy(lane: string): void {
    const found = this.#lanes.get(lane);
    if (found === undefined || found.running > 0) return;
    if (found.inside.size + found.parked.size + found.invited.size === 0) this.#lanes.delete(lane);
  }

  #laneOf(lane: string): Lane {
    const found = this.#lanes.get(lane) ?? {
      ...{ running: 0, waiting: [], inside: new Set<Visit>() },
      ...{ parked: new Set<string>(), invited: new Set<string>() },
    };
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
  /** Absent = a sweep's. */
  readonly visit: Visit | undefined;
}

/** What calls to a location share with others, and may be held up by. */
export function laneOf({ destinationUid, path }: Location): string {
  return destinationUid === secretDestinationUid ? `${destinationUid}/${path.split('/')[0] ?? ''}` : destinationUid;
}

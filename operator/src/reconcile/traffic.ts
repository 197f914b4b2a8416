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
  /** How many calls go to each destination at a time, from 1. */
  readonly concurrency: number;
  /** Throws if the lease may have run out: called right before each write, which may have waited for its turn for long. */
  readonly assertLeading: () => void;
}

/**
 * A call ends after this at the latest, in milliseconds, whatever its adapter does. Longer than the deadline that each adapter
 * itself sets for all requests of one call.
 */
export const hardDeadlineMs = 30_000;
/**
 * How many passes may wait at one destination besides those whose calls are under way; further keys are set aside before they
 * begin.
 */
const mostWaiting = 32;

/** There is no room at a destination for a key that has not begun: it is set aside until there is, see {@link Traffic.park}. */
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
  /** The passes that are here now. */
  readonly inside: Set<Visit>;
  /** Keys that were set aside, in order. */
  readonly parked: Set<string>;
  /** Keys with a reserved place: they were invited, and have not come yet. */
  readonly invited: Set<string>;
}

/** One pass, on its way from destination to destination. */
interface Visit {
  readonly key: string;
  readonly worker: Worker;
  /** Calls under way, by lane. */
  readonly calls: Map<string, number>;
  /** Lanes that have admitted it: it may come back. */
  readonly known: Set<string>;
  /** The lane in which it takes a place. */
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
 * A bulkhead before each destination: a bounded number of calls at a time, so that a slow destination delays only its own keys. A
 * waiting pass holds no worker. When too many wait, further keys are set aside; each place that becomes free invites one of them.
 * Secrets count by namespace, because an admission webhook may hang for one namespace.
 *
 * A call that was given up at its deadline counts as under way until it ends, and its location is closed meanwhile: two writers
 * at one place would spoil each other's mark.
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

  /** Called when a key that was set aside may come back. */
  onRoom(listener: (key: string) => void): void {
    this.#onRoom = listener;
  }

  /** How many keys are set aside. */
  parked(): number {
    return [...this.#lanes.values()].reduce((sum, { parked }) => sum + parked.size, 0);
  }

  /** Sets a key aside until the destination has room again. */
  park(key: string, { destination }: Crowded): void {
    this.#laneOf(destination).parked.add(key);
    this.#invite(destination);
  }

  /**
   * The destinations as the pass over a key sees them: it does not call a destination that is known to be down, and waits without
   * a worker for a crowded one.
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

  /** The ApiKey is gone: it needs no place any more. */
  forget(key: string): void {
    for (const lane of this.#lanes.values()) lane.parked.delete(key);
    this.#decline(key);
  }

  /** Passes its unused invitations on to other keys. */
  #decline(key: string): void {
    for (const [name, lane] of this.#lanes) {
      if (!lane.invited.delete(key)) continue;
      this.#invite(name);
      this.#tidy(name);
    }
  }

  /** The same for a sweep, which makes few calls and is never set aside. */
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
      // A pass that still waits elsewhere takes its place there.
      const elsewhere = [...visit.calls].find(([, count]) => count > 0)?.[0];
      if (elsewhere !== undefined && !visit.hasEnded) this.#moveHome(visit, elsewhere);
    }
  }

  /** A pass is admitted once, at its first call, which is a read: so it can finish what it begins to write. */
  #admit(name: string, visit: Visit): void {
    if (!visit.known.has(name)) {
      const { inside, parked, invited } = this.#laneOf(name);
      const isInvited = invited.delete(visit.key);
      if (!isInvited && inside.size + invited.size >= this.#init.concurrency + mostWaiting) throw new Crowded(name);
      // Only now: a key that was set aside and tries in between keeps its place.
      parked.delete(visit.key);
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

  /** Makes the call in its turn. */
  async #inTurn<T>(uid: string, lane: string, { kind, location, make }: Call<T>): Promise<T> {
    const { outages, clock } = this.#init;
    const place = formatLocation(location);
    await this.#enter(lane);
    let ended: Promise<unknown> = Promise.resolve();
    try {
      if (this.#occupied.has(place))
        throw waiting('DestinationUnavailable', 'an earlier call to this location has not ended yet');
      if (kind === 'write') this.#init.assertLeading();
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

  /** Invites as many set-aside keys as there are places. */
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

/** The result of a call, or a Failure if it has not ended by {@link hardDeadlineMs}; its later result is ignored. */
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
  /** Absent = the call of a sweep. */
  readonly visit: Visit | undefined;
}

/** The lane of a location: its calls share a limit, and may wait for each other. */
export function laneOf({ destinationUid, path }: Location): string {
  return destinationUid === secretDestinationUid ? `${destinationUid}/${path.split('/')[0] ?? ''}` : destinationUid;
}

import { Failure, waiting } from '../domain/failure.ts';
import { secretDestinationUid, type ApiKeyRef } from '../domain/key.ts';
import type { Mark } from '../domain/version.ts';
import type { Store } from '../store/port.ts';
import type { Dependencies } from './dependencies.ts';
import { laneOf } from './traffic.ts';
import { isMovedAway, isVanished, tellLeftBehind, tellLeftElsewhere } from './vanished.ts';

/** The most rows of one destination in one sweep: more than a cluster leaves behind. */
const mostRows = 10_000;
/** How many locations of one destination are emptied at a time. */
const atOnce = 4;

type Row = Awaited<ReturnType<Store['listWithdrawing']>>[number];

function isOurs(installationId: string, ref: ApiKeyRef, mark: Mark): boolean {
  return mark.installationId === installationId && mark.namespace === ref.namespace && mark.name === ref.name;
}

/**
 * The sweeps over withdrawals whose resource is gone: a location that did not answer while its ApiKey was deleted is emptied when
 * it answers again. Only the store's rows are followed, and only a mark of the row's own ApiKey is acted on. A row whose
 * KeyDestination no longer exists ends, too. Each destination has its own sweep, so that a hanging one delays no other
 * withdrawals.
 */
export class Withdrawals {
  readonly #deps: Dependencies;
  /** Lanes whose sweep has not ended. */
  readonly #sweeping = new Set<string>();

  constructor(deps: Dependencies) {
    this.#deps = deps;
  }

  /**
   * Sweeps the destinations that no earlier sweep is still working on. Resolves, once this sweep ends, with the number of its
   * rows that are left; callers need not wait for it. Throws the error of the first sweep that failed.
   */
  async sweep(): Promise<number> {
    const { store, metrics } = this.#deps;
    const counts = await store.countWithdrawing();
    const swept = await Promise.allSettled([...counts.keys()].map((uid) => this.#sweepDestination(uid)));
    metrics.withdrawing(counts.size === 0 ? new Map() : await leftoversOf(this.#deps));
    return swept.reduce((sum, one) => {
      if (one.status === 'rejected') throw one.reason;
      return sum + one.value;
    }, 0);
  }

  async #sweepDestination(uid: string): Promise<number> {
    const { store, resources } = this.#deps;
    const live = new Set(resources.list('ApiKey').map((metadata) => metadata.uid));
    const rows = (await store.listWithdrawing(mostRows, uid)).filter((row) => !live.has(row.apiKeyUid));
    const left = await Promise.all(
      [...Map.groupBy(rows, ({ location }) => laneOf(location))].map((group) => this.#sweepLane(...group)),
    );
    return left.reduce((sum, one) => sum + one, 0);
  }

  async #sweepLane(lane: string, rows: readonly Row[]): Promise<number> {
    if (this.#sweeping.has(lane)) return rows.length;
    this.#sweeping.add(lane);
    try {
      return await emptyLocations(this.#deps, rows);
    } finally {
      this.#sweeping.delete(lane);
    }
  }
}

/** Runs one sweep over everything to its end; returns how many rows are left. */
export function sweepWithdrawals(deps: Dependencies): Promise<number> {
  return new Withdrawals(deps).sweep();
}

/** What is still to be emptied, those of live ApiKeys included, by the destination's name. */
async function leftoversOf({ store, resources }: Dependencies): Promise<ReadonlyMap<string, number>> {
  const names = new Map(resources.list('KeyDestination').map(({ uid, name }) => [uid, name]));
  const counts = await store.countWithdrawing();
  return new Map([...counts].map(([uid, count]) => [uid === secretDestinationUid ? 'Secret' : (names.get(uid) ?? uid), count]));
}

/** Empties a few locations at a time; returns how many are left. */
async function emptyLocations(deps: Dependencies, rows: readonly Row[]): Promise<number> {
  const queue = rows.values();
  let left = 0;
  const failures: Failure[] = [];
  const worker = async (): Promise<void> => {
    for (const row of queue) {
      const outcome = await emptyLocation(deps, row);
      if (outcome !== 'ended') left += 1;
      if (outcome instanceof Failure) failures.push(outcome);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  // A destination that is down is logged once, not once per key.
  const [failure] = failures;
  if (failure !== undefined)
    deps.log.warn('not withdrawn yet', { count: failures.length, reason: failure.reason, message: failure.message });
  return left;
}

/** `ended`: the row has ended. `lost`: the location changed after it was read. A Failure: why it could not be emptied now. */
async function emptyLocation(deps: Dependencies, row: Row): Promise<'ended' | 'lost' | Failure> {
  try {
    deps.assertLeading();
    const moved = () => isMovedAway(deps, row.location.destinationUid, row.places);
    if (moved()) return await giveUp(deps, row);
    const destination = await deps.destinations.open(row.location.destinationUid);
    const reading = await destination.readMark(row.location);
    // Read after the mark: a new resource of this name takes the row over before it writes there.
    const rows = (await deps.store.readKey(row.apiKeyUid)).deliveries;
    if (!rows.some((one) => one.id === row.id && one.state === 'withdrawing')) return 'ended';
    if (moved()) return 'lost';
    const ours = reading.kind === 'marked' && isOurs(deps.installationId, row.ref, reading.mark);
    if (ours && (await destination.withdraw(row.location, reading)) === 'lost') return 'lost';
    await deps.store.finishWithdrawal(row.apiKeyUid, row.id, deps.clock.now());
    return 'ended';
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    if (!(await isVanished(deps, row.location.destinationUid))) return error;
    await deps.store.finishWithdrawal(row.apiKeyUid, row.id, deps.clock.now());
    tellLeftBehind(deps, row.ref, row.location);
    return 'ended';
  }
}

/** A row whose KeyDestination has become another place: it may become the accepted one again, until the deadline. */
async function giveUp(deps: Dependencies, row: Row): Promise<'ended' | Failure> {
  const now = deps.clock.now();
  if (now < (row.withdrawingSince ?? now) + deps.limits.withdrawDeadlineMs)
    return waiting('DestinationUnconfirmed', 'the KeyDestination is another place than the one that was accepted');
  const ended = await deps.store.finishWithdrawal(row.apiKeyUid, row.id, now);
  // Else a new resource of this name has taken the row over.
  if (ended === 'done') tellLeftElsewhere(deps, row.ref, row.location);
  return 'ended';
}

import { Failure } from '../domain/failure.ts';
import { secretDestinationUid, type ApiKeyRef } from '../domain/key.ts';
import type { Mark } from '../domain/version.ts';
import type { Store } from '../store/port.ts';
import type { Dependencies } from './dependencies.ts';
import { isVanished, tellLeftBehind } from './vanished.ts';

/** Rows of one sweep: more than a cluster leaves behind, so that those of a dead destination do not keep the others waiting. */
const mostRows = 10_000;

function isOurs(installationId: string, ref: ApiKeyRef, mark: Mark): boolean {
  return mark.installationId === installationId && mark.namespace === ref.namespace && mark.name === ref.name;
}

/**
 * The safety pass over withdrawals whose resource is gone: a location that did not answer while its ApiKey was deleted
 * is emptied when it answers again. Only the store's rows are followed, and only a mark of the row's own ApiKey is acted
 * on. A row whose KeyDestination is no more ends too. Returns how many rows are left.
 */
export async function sweepWithdrawals(deps: Dependencies): Promise<number> {
  const rows = await deps.store.listWithdrawing(mostRows);
  const left = await emptyLocations(deps, rows);
  deps.metrics.withdrawing(rows.length === 0 ? new Map() : await leftoversOf(deps));
  return left;
}

/** What is still to be emptied, those of live ApiKeys included, by the destination's name. */
async function leftoversOf({ store, resources }: Dependencies): Promise<ReadonlyMap<string, number>> {
  const names = new Map(resources.list('KeyDestination').map(({ uid, name }) => [uid, name]));
  const counts = await store.countWithdrawing();
  return new Map([...counts].map(([uid, count]) => [uid === secretDestinationUid ? 'Secret' : (names.get(uid) ?? uid), count]));
}

async function emptyLocations(deps: Dependencies, rows: Awaited<ReturnType<Store['listWithdrawing']>>): Promise<number> {
  const live = new Set(deps.resources.list('ApiKey').map((metadata) => metadata.uid));
  let left = 0;
  /** By destination: one that is down is told of once, and not once per key. */
  const failed = new Map<string, { readonly count: number; readonly failure: Failure }>();
  for (const row of rows) {
    if (live.has(row.apiKeyUid)) continue;
    try {
      deps.assertLeading();
      const destination = await deps.destinations.open(row.location.destinationUid);
      const reading = await destination.readMark(row.location);
      // Read after the mark: a new resource of this name takes the row over before it writes there.
      const rows = (await deps.store.readKey(row.apiKeyUid)).deliveries;
      if (!rows.some((one) => one.id === row.id && one.state === 'withdrawing')) continue;
      const ours = reading.kind === 'marked' && isOurs(deps.installationId, row.ref, reading.mark);
      const outcome = ours ? await destination.withdraw(row.location, reading) : 'withdrawn';
      if (outcome === 'withdrawn') await deps.store.finishWithdrawal(row.apiKeyUid, row.id, deps.clock.now());
      else left += 1;
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      if (await isVanished(deps, row.location.destinationUid)) {
        await deps.store.finishWithdrawal(row.apiKeyUid, row.id, deps.clock.now());
        tellLeftBehind(deps, row.ref, row.location);
        continue;
      }
      left += 1;
      const { destinationUid } = row.location;
      failed.set(destinationUid, { count: (failed.get(destinationUid)?.count ?? 0) + 1, failure: error });
    }
  }
  for (const { count, failure } of failed.values())
    deps.log.warn('not withdrawn yet', { count, reason: failure.reason, message: failure.message });
  return left;
}

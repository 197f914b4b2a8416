import { Failure } from '../domain/failure.ts';
import type { ApiKeyRef } from '../domain/key.ts';
import type { Mark } from '../domain/version.ts';
import type { Dependencies } from './dependencies.ts';
import { isVanished, tellLeftBehind } from './vanished.ts';

const batchSize = 100;

function isOurs(installationId: string, ref: ApiKeyRef, mark: Mark): boolean {
  return mark.installationId === installationId && mark.namespace === ref.namespace && mark.name === ref.name;
}

/**
 * The safety pass over withdrawals whose resource is gone: a location that did not answer while its ApiKey was deleted
 * is emptied when it answers again. Only the store's rows are followed, and only a mark of the row's own ApiKey is acted
 * on. A row whose KeyDestination is no more ends too. Returns how many rows are left.
 */
export async function sweepWithdrawals(deps: Dependencies): Promise<number> {
  const rows = await deps.store.listWithdrawing(batchSize);
  const live = new Set(deps.resources.list('ApiKey').map((metadata) => metadata.uid));
  let left = 0;
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
      deps.log.warn('not withdrawn yet', { location: row.location.path, reason: error.reason, message: error.message });
    }
  }
  return left;
}

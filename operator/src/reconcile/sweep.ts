import type { Dependencies } from './dependencies.ts';
import { Failure } from '../domain/failure.ts';

const batchSize = 100;

/**
 * The safety pass over withdrawals whose resource is gone: a location that did not answer while its ApiKey was deleted
 * is emptied when it answers again. Only the store's rows are followed, and only a mark that shows the row's own uid is
 * acted on. Returns how many rows are left.
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
      const ours = reading.kind === 'marked' && reading.mark.installationId === deps.installationId && reading.mark.uid === row.apiKeyUid;
      const outcome = ours ? await destination.withdraw(row.location, reading) : 'withdrawn';
      if (outcome === 'withdrawn') await deps.store.finishWithdrawal(row.apiKeyUid, row.id, deps.clock.now());
      else left += 1;
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      left += 1;
      deps.log.warn('not withdrawn yet', { location: row.location.path, reason: error.reason, message: error.message });
    }
  }
  return left;
}

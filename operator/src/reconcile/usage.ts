import type { Clock } from '../domain/time.ts';
import type { UsageHorizon } from '../store/horizon.ts';
import type { Store } from '../store/port.ts';

/** How long one reading serves all keys, in milliseconds. */
const freshMs = 2_000;

/**
 * Reads how far the record of use is complete, once for all keys that ask at about the same time. A reading stays true: what
 * was known to be quiet until then was quiet until then.
 */
export function sharedUsageHorizon(store: Pick<Store, 'readUsageHorizon'>, clock: Clock): () => Promise<UsageHorizon> {
  let last: { readonly atMs: number; readonly reading: Promise<UsageHorizon> } | undefined;
  return async () => {
    const nowMs = clock.monotonicMs();
    if (last === undefined || nowMs - last.atMs >= freshMs) last = { atMs: nowMs, reading: store.readUsageHorizon() };
    const current = last;
    try {
      return await current.reading;
    } catch (error) {
      if (last === current) last = undefined;
      throw error;
    }
  };
}

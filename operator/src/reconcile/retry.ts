import type { Failure } from '../domain/failure.ts';
import type { Instant } from '../domain/time.ts';
import { stalledRetryMs, waitingRetryMs } from './wake.ts';

const firstTransientMs = 1_000;
const lastTransientMs = 600_000;

/**
 * When a failed pass is tried again: the one place that turns the three kinds of failure into an instant. `chance` is
 * in [0, 1): transient delays are spread by up to a half, so that keys that failed together do not return together.
 */
export function retryAt(failure: Failure, earlierFailures: number, now: Instant, chance: number): Instant {
  const least = failure.retryAfterMs ?? 0;
  switch (failure.kind) {
    case 'stalled':
      return now + Math.max(least, stalledRetryMs);
    case 'waiting':
      return now + Math.max(least, failure.retryAfterMs === undefined ? waitingRetryMs : 1);
    case 'transient': {
      const delay = Math.min(firstTransientMs * 2 ** Math.min(earlierFailures, 20), lastTransientMs);
      return now + Math.max(least, Math.round(delay * (1 + chance / 2)));
    }
  }
}

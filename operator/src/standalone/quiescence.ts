/** What `--once` looks at. */
export interface Activity {
  /** Complete looks at the manifests folder since the start. */
  readonly scansCompleted: number;
  /** How many objects are absent and will be deleted soon. */
  readonly deletionsWaiting: number;
  /** Something waits in the queue now; what is due at a later instant, as a retry, or on a change does not count. */
  readonly queued: number;
  /** Something is being reconciled. */
  readonly inFlight: number;
  /** Milliseconds since the start. */
  readonly elapsedMs: number;
}

/** After this `--once` prints what it has. */
export const onceLimitMs = 60_000;

/** Two looks, because a deletion counts only after the second. */
const scansNeeded = 2;

/**
 * Whether `--once` is done: `quiet` when the folder was seen twice, no deletion waits for its time and nothing is left that could
 * be done now, `late` when that took too long.
 */
export function decideOnce({
  scansCompleted,
  deletionsWaiting,
  queued,
  inFlight,
  elapsedMs,
}: Activity): 'busy' | 'quiet' | 'late' {
  if (scansCompleted >= scansNeeded && deletionsWaiting === 0 && queued === 0 && inFlight === 0) return 'quiet';
  return elapsedMs >= onceLimitMs ? 'late' : 'busy';
}

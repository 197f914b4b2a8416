import type { KubeFault } from './fault.ts';

/**
 * Where a reflector stands. `list`: it needs a complete list, not older than `resourceVersion` (empty = the newest).
 * `watch`: its cache is complete up to `resourceVersion` and follows from there.
 */
export interface Position {
  readonly kind: 'list' | 'watch';
  readonly resourceVersion: string;
}

/** Where every reflector starts: a list of what stands in etcd now, because "not in my cache" must mean something. */
export const startPosition: Position = { kind: 'list', resourceVersion: '' };

/**
 * Why a list or watch came to its end.
 * - `ended`: the server closed the watch as agreed.
 * - `unreachable`: refused, broken off, timed out or throttled (429): nothing is known to be lost.
 * - `expired`: the server does not know our version any more (410), or not yet (a restored etcd is behind us).
 * - `refused`: everything else.
 */
export type Ending = 'ended' | 'unreachable' | 'expired' | 'refused';

/** Reads the ending from a fault. */
export function endingOf(fault: KubeFault): Ending {
  if (fault.code === 410 || fault.causes.includes('ResourceVersionTooLarge')) return 'expired';
  if (typeof fault.code === 'string' || fault.code === 429) return 'unreachable';
  return 'refused';
}

/** Where to go on. The rules are client-go's: an API server that comes back must not be met by lists from everybody. */
export function nextPosition(position: Position, ending: Ending): Position {
  switch (ending) {
    case 'ended':
    case 'unreachable':
      return position;
    case 'expired':
      return { kind: 'list', resourceVersion: '' };
    case 'refused':
      return { kind: 'list', resourceVersion: position.resourceVersion };
  }
}

const firstDelayMs = 800;
const longestDelayMs = 30_000;
const resetAfterMs = 120_000;

/** client-go's back-off of a reflector: 800 ms, doubled up to 30 s, each with up to 100 % on top, reset after 2 quiet minutes. */
export class BackOff {
  readonly #random: () => number;
  #delayMs = firstDelayMs;
  #lastMs = -Infinity;

  /** `random` gives numbers in [0, 1). */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** The delay before the next try; `nowMs` is monotonic. */
  nextMs(nowMs: number): number {
    if (nowMs - this.#lastMs > resetAfterMs) this.#delayMs = firstDelayMs;
    this.#lastMs = nowMs;
    const delayMs = this.#delayMs * (1 + this.#random());
    this.#delayMs = Math.min(this.#delayMs * 2, longestDelayMs);
    return delayMs;
  }
}

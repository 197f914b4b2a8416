import { formatRef, type ApiKeyRef } from '../domain/key.ts';
import type { Instant } from '../domain/time.ts';

/**
 * When an edit that a pass sees was made at the earliest. Nothing else tells: everybody who may write anything of an object can move
 * the times in its `managedFields`. An operator that leads sees each edit within seconds; what its first pass over an ApiKey finds
 * may be as old as the last moment in which an operator led.
 */
export class EditTimes {
  /** The uids of the ApiKeys that a pass has looked at, by name. */
  readonly #seen = new Map<string, string>();
  #lastLedAt: Instant = 0;
  /** When the store was last known to answer; absent = it does not matter. */
  #lastAliveAt: Instant | undefined;

  /** Begins to lead; `lastLedAt` is when an operator last did. */
  begin(lastLedAt: Instant): void {
    this.#lastLedAt = lastLedAt;
  }

  earliest(ref: ApiKeyRef, now: Instant): Instant {
    const isSeen = this.#seen.get(formatRef(ref)) === ref.uid;
    return Math.min(isSeen ? (this.#lastAliveAt ?? now) : this.#lastLedAt, now);
  }

  /** The store answers: without it, no pass sees anything. */
  alive(at: Instant): void {
    this.#lastAliveAt = at;
  }

  /** A full pass over the ApiKey has succeeded. */
  note(ref: ApiKeyRef): void {
    this.#seen.set(formatRef(ref), ref.uid);
  }

  /** The ApiKey of this `namespace/name` is gone. */
  forget(key: string): void {
    this.#seen.delete(key);
  }
}

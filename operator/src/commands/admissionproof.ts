import type { Instant } from '../domain/time.ts';

/**
 * How long the policy must be seen to act before it is relied on. One refusal proves it for the API server that gave it: others
 * look for new policies once a second, behind a watch. A new text of a policy, and one that was removed and made again, refuse the
 * probe before and after: they are in force a moment after they can be read, if the API server and etcd work meanwhile.
 */
const settlesInMs = 5_000;
/** Whoever is silent for longer may have stood still: an API server that is stopped takes in no policy. */
const longestSilenceMs = 3_000;
/** More refusals than this prove no more. */
const refusalsApartMs = 250;

/** One look at the policy, with a probe after it. */
export interface Round {
  /** Before the policy was read, by the own monotonic clock. */
  readonly startedMs: number;
  /** When it was read. */
  readonly readMs: number;
  /** When the probe was refused. */
  readonly endedMs: number;
  /** The same by the API server's clock, in whole seconds. */
  readonly serverTime: Instant;
}

/**
 * The proof that a policy is in force: refusals over {@link settlesInMs}, between which the API server was never silent for long. It
 * counts from the last of them. An API server stamps an object before the policy judges it, so that what it stamps after a
 * refusal was judged, however long anybody stood still meanwhile.
 */
export class AdmissionProof {
  #run: { readonly fromMs: number; readonly heard: Round } | undefined;
  #since: Instant | undefined;

  /** Since when the policy is proved to be in force, by the API server's clock; `undefined` = not yet. */
  since(): Instant | undefined {
    return this.#since;
  }

  /** Whether another refusal would help now. */
  isWanted(nowMs: number): boolean {
    return this.#since === undefined && (this.#run === undefined || nowMs - this.#run.heard.endedMs >= refusalsApartMs);
  }

  /** The probe was refused in this round. */
  refused(round: Round): void {
    if (this.#since !== undefined) return;
    // Each answer was made between its question and its arrival: so nobody was silent for longer than these.
    const last = this.#run?.heard;
    const silentMs = Math.max(round.endedMs - round.startedMs, last === undefined ? 0 : round.readMs - last.readMs);
    const fromMs = silentMs > longestSilenceMs ? undefined : this.#run?.fromMs;
    this.#run = { fromMs: fromMs ?? round.endedMs, heard: round };
    if (round.startedMs - this.#run.fromMs >= settlesInMs) this.#since = round.serverTime;
  }

  /** The probe was not refused, or nobody answered: it begins anew. */
  failed(): void {
    this.#run = undefined;
  }
}

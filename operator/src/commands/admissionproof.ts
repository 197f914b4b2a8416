import type { Instant } from '../domain/time.ts';

/**
 * How long the policy must be seen to act before the operator relies on it. One refusal proves it only for the API server that
 * gave it: others look for new policies once a second, with a watch. When a policy gets a new text, or is removed and created
 * again, the probe is refused before and after: the new text is in force a moment after it can be read, if the API server and
 * etcd work meanwhile.
 */
const settlesInMs = 5_000;
/** An API server that is silent for longer may have stopped: a stopped one does not load a new policy. */
const longestSilenceMs = 3_000;
/** More refusals than this prove no more. */
const refusalsApartMs = 250;

/** One look at the policy, with a probe after it. */
export interface Round {
  /** Before the policy was read, by this process's monotonic clock. */
  readonly startedMs: number;
  /** When it was read. */
  readonly readMs: number;
  /** When the probe was refused. */
  readonly endedMs: number;
  /** The same by the API server's clock, in whole seconds. */
  readonly serverTime: Instant;
}

/**
 * The proof that a policy is in force: refusals over {@link settlesInMs}, between which the API server was never silent for long.
 * It counts from the last of them. An API server stamps an object before the policy judges it, so that everything that it stamps
 * after a refusal was checked, however long any of them stalled meanwhile.
 */
export class AdmissionProof {
  #run: { readonly fromMs: number; readonly heard: Round } | undefined;
  #since: Instant | undefined;

  /** Since when the policy has been proved to be in force, by the API server's clock; `undefined` = not yet. */
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
    // Each answer was given between its request and its arrival: so no silence was longer than these times.
    const last = this.#run?.heard;
    const silentMs = Math.max(round.endedMs - round.startedMs, last === undefined ? 0 : round.readMs - last.readMs);
    const fromMs = silentMs > longestSilenceMs ? undefined : this.#run?.fromMs;
    this.#run = { fromMs: fromMs ?? round.endedMs, heard: round };
    if (round.startedMs - this.#run.fromMs >= settlesInMs) this.#since = round.serverTime;
  }

  /** The probe was not refused, or there was no answer: the proof starts again. */
  failed(): void {
    this.#run = undefined;
  }
}

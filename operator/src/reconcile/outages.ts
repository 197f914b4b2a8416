import { Failure, waiting } from '../domain/failure.ts';
import { secretDestinationUid } from '../domain/key.ts';
import { formatInstant, type Clock, type Instant } from '../domain/time.ts';
import { Breaker } from './breaker.ts';

/** A key that waits for a destination is woken when it heals; without that it looks again after this long, in milliseconds. */
export const outageRetryMs = 600_000;
/** A destination that asks for more patience than this, in milliseconds, is asked again all the same. */
const mostPatienceMs = 3_600_000;

/** A working destination is tried this often, and its status says when; in milliseconds. */
export const probeEveryMs = 300_000;
/** One that does not answer. */
export const retryEveryMs = 15_000;

interface Outage {
  readonly failure: Failure;
  /** Asked again then; absent = when the probe says that it heals. */
  readonly until?: Instant;
}

/** A destination, and which specification of it a probe was about. */
export interface Probed {
  readonly uid: string;
  readonly generation: number | undefined;
}

interface Probe {
  readonly at: Instant;
  readonly generation: number | undefined;
  readonly failure: Failure | undefined;
}

/** The kinds of calls that are judged separately: a server may answer one kind and hang on the other. */
export type CallKind = 'read' | 'write';

const callKinds: readonly CallKind[] = ['write', 'read'];

/**
 * What is known of destinations that do not answer: shared by all keys, so that one broken destination is one failure and not one
 * per key. Two things are judged: the probe (while it fails, no key calls the destination), and the calls of the keys themselves,
 * reads and writes separately, because a server may answer probes and hang on writes.
 */
export class Outages {
  readonly #clock: Clock;
  readonly #breakers = new Map<string, Breaker>();
  /** Destinations whose calls are answered again, and whose keys have not been woken yet. */
  readonly #mended = new Set<string>();
  readonly #known = new Map<string, Outage>();
  readonly #probes = new Map<string, Probe>();
  readonly #suspected = new Set<string>();
  #onSuspect: (destinationUid: string) => void = () => {};
  #onTurn: (destinationUid: string) => void = () => {};

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Called when a key's own call failed: somebody should find out whether the destination as a whole is down. */
  onSuspect(listener: (destinationUid: string) => void): void {
    this.#onSuspect = listener;
  }

  /** Called when the calls of keys start to be refused, or are made again: the status of the destination must say so. */
  onTurn(listener: (destinationUid: string) => void): void {
    this.#onTurn = listener;
  }

  /** What a probe came to; without a failure the destination answers. */
  note({ uid, generation }: Probed, failure: Failure | undefined): void {
    const last = this.#probes.get(uid);
    const isOther = last !== undefined && last.generation !== generation;
    // What is known about its calls concerns another server, or another time.
    if (isOther || (failure === undefined && last?.failure !== undefined)) this.#forgetCalls(uid);
    this.#probes.set(uid, { at: this.#clock.now(), generation, failure });
    this.#suspected.delete(uid);
    if (failure === undefined) this.#known.delete(uid);
    else this.#known.set(uid, { failure });
  }

  /** What a status of before this process says: a probe that is still fresh is not made again by a start. */
  recall({ uid, generation }: Probed, at: Instant): void {
    if (!this.#probes.has(uid)) this.#probes.set(uid, { at, generation, failure: undefined });
  }

  /** When the last probe was. */
  probedAt(destinationUid: string): Instant | undefined {
    return this.#probes.get(destinationUid)?.at;
  }

  /** The last probe's failure, if it failed. */
  probeFailure(destinationUid: string): Failure | undefined {
    return this.#probes.get(destinationUid)?.failure;
  }

  /** When the destination is to be probed next; an instant that has passed = now. */
  probeAt({ uid, generation }: Probed): Instant {
    const last = this.#probes.get(uid);
    if (last === undefined || last.generation !== generation) return this.#clock.now();
    if (last.failure !== undefined) return last.at + Math.max(retryEveryMs, last.failure.retryAfterMs ?? 0);
    return last.at + (this.#suspected.has(uid) ? retryEveryMs : probeEveryMs);
  }

  /** It is no more. */
  forget(destinationUid: string): void {
    this.#known.delete(destinationUid);
    this.#probes.delete(destinationUid);
    this.#suspected.delete(destinationUid);
    this.#forgetCalls(destinationUid);
    this.#mended.delete(destinationUid);
  }

  /** Why the calls of keys are refused although the probe is answered; `undefined` = they are made. */
  callFailure(destinationUid: string): Failure | undefined {
    for (const kind of callKinds) {
      const shut = this.#breakers.get(`${kind} ${destinationUid}`)?.shut;
      if (shut === undefined) continue;
      const { reason, message } = shut.failure;
      const when = `since ${formatInstant(shut.since)}, the next one is tried at ${formatInstant(shut.tryAt)}`;
      return waiting(reason, `${kind}s have had no answer ${when}: ${message}`);
    }
    return undefined;
  }

  /** Whether calls are answered again since the last call of this method. */
  takeMended(destinationUid: string): boolean {
    return this.#mended.delete(destinationUid);
  }

  /** What a call is answered with now, without being made. */
  failureAt(destinationUid: string): Failure | undefined {
    const known = this.#known.get(destinationUid);
    if (known === undefined) return undefined;
    const { failure, until } = known;
    if (until === undefined) return waiting(failure.reason, failure.message, outageRetryMs);
    const left = until - this.#clock.now();
    if (left > 0) return waiting(failure.reason, failure.message, left);
    this.#known.delete(destinationUid);
    return undefined;
  }

  /**
   * Throws the failure that a call would get now, without making it. While writes get no answer, reads are refused, too: a key
   * that could read would mint, and its value would be lost on the way.
   */
  refuse(uid: string): void {
    const failure = this.failureAt(uid) ?? this.#refusal(uid);
    if (failure !== undefined) throw failure;
  }

  /** Makes a call for a key, unless calls are refused by now, and judges the destination by the result. */
  async judge<T>(uid: string, kind: CallKind, make: () => Promise<T>): Promise<T> {
    this.refuse(uid);
    const breaker = this.#breakerOf(uid, kind);
    breaker?.begin();
    try {
      const result = await make();
      if (breaker?.answered() === true) this.#mend(uid);
      return result;
    } catch (error) {
      const isSilent = error instanceof Failure && error.unanswered;
      if (!isSilent) {
        // A refusal is an answer.
        if (!(error instanceof Failure)) breaker?.undecided();
        else if (breaker?.answered() === true) this.#mend(uid);
      } else if (breaker?.unanswered(error, this.#clock.now()) === true) this.#onTurn(uid);
      this.noteFailure(uid, error);
      throw error;
    }
  }

  /** Something failed at the destination: a probe finds out whether all of it is down. */
  noteFailure(uid: string, error: unknown): void {
    if (!(error instanceof Failure) || error.reason !== 'DestinationUnavailable') return;
    const { retryAfterMs } = error;
    if (retryAfterMs !== undefined && !this.#known.has(uid))
      this.#known.set(uid, { failure: error, until: this.#clock.now() + Math.min(retryAfterMs, mostPatienceMs) });
    else if (uid !== secretDestinationUid && !this.#suspected.has(uid)) {
      this.#suspected.add(uid);
      this.#onSuspect(uid);
    }
  }

  #forgetCalls(uid: string): void {
    if (this.callFailure(uid) !== undefined) this.#mended.add(uid);
    for (const kind of callKinds) this.#breakers.delete(`${kind} ${uid}`);
  }

  #refusal(uid: string): Failure | undefined {
    const now = this.#clock.now();
    for (const kind of callKinds) {
      const breaker = this.#breakers.get(`${kind} ${uid}`);
      if (breaker?.shut === undefined || !breaker.isRefusing(now)) continue;
      const { reason, message } = breaker.shut.failure;
      return waiting(reason, message, breaker.patience(now, outageRetryMs));
    }
    return undefined;
  }

  #mend(uid: string): void {
    this.#mended.add(uid);
    this.#onTurn(uid);
  }

  /** The API server has no breaker: a hanging call may be due to one namespace's admission webhook. */
  #breakerOf(uid: string, kind: CallKind): Breaker | undefined {
    if (uid === secretDestinationUid) return undefined;
    const id = `${kind} ${uid}`;
    const breaker = this.#breakers.get(id) ?? new Breaker();
    this.#breakers.set(id, breaker);
    return breaker;
  }
}

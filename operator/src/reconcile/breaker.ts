import type { Failure } from '../domain/failure.ts';
import type { Instant } from '../domain/time.ts';

/** So many calls in a row without an answer, and no further one is made for a while. */
const strikes = 3;
/** Before the next try, in milliseconds; doubled with each try that fails. */
const firstPauseMs = 15_000;
const longestPauseMs = 120_000;
/** Those that were refused come back so far apart, in milliseconds, one after the other: any of them may make the next try. */
const apartMs = 5_000;

interface Shut {
  /** The last failure. */
  readonly failure: Failure;
  readonly since: Instant;
  /** The next try is made by the first call from then on. */
  readonly tryAt: Instant;
  readonly pauseMs: number;
}

/**
 * A circuit breaker for one kind of calls to one destination. Calls that get no answer, several in a row, shut it: who comes
 * then is refused at once instead of waiting for one more timeout. After a pause one call is let through; its answer opens
 * the breaker again.
 */
export class Breaker {
  #inARow = 0;
  #shut: Shut | undefined;
  #isTrying = false;
  /** Callers that were refused since the last try. */
  #refused = 0;

  /** The failure that shut it, and since when; `undefined` = open for calls. */
  get shut(): Pick<Shut, 'failure' | 'since'> | undefined {
    return this.#shut;
  }

  /** Whether a call would be refused now. */
  isRefusing(now: Instant): boolean {
    return this.#shut !== undefined && (this.#isTrying || now < this.#shut.tryAt);
  }

  /** A call is about to be made that would not be refused: it is the try, if there is to be one. */
  begin(): void {
    this.#isTrying = this.#shut !== undefined;
  }

  /** How long a caller that is refused is to wait, in milliseconds, unless it is woken because the breaker opened; at most `mostMs`. */
  patience(now: Instant, mostMs: number): number {
    const waitMs = Math.max((this.#shut?.tryAt ?? now) - now, 1_000) + this.#refused * apartMs;
    this.#refused += 1;
    return Math.min(waitMs, mostMs);
  }

  /** A call was answered. Gives whether that opened the breaker. */
  answered(): boolean {
    const wasShut = this.#shut !== undefined;
    this.#inARow = 0;
    this.#shut = undefined;
    this.#isTrying = false;
    return wasShut;
  }

  /** A call was not answered. Gives whether that shut the breaker. */
  unanswered(failure: Failure, now: Instant): boolean {
    this.#inARow += 1;
    const before = this.#shut;
    if (before === undefined && this.#inARow < strikes) return false;
    // Calls that were under way when it was shut say nothing new.
    if (before !== undefined && !this.#isTrying) return false;
    this.#isTrying = false;
    const pauseMs = before === undefined ? firstPauseMs : Math.min(2 * before.pauseMs, longestPauseMs);
    this.#refused = 0;
    this.#shut = { failure, since: before?.since ?? now, tryAt: now + pauseMs, pauseMs };
    return before === undefined;
  }

  /** A call ended without saying anything of the destination: another one makes the try. */
  undecided(): void {
    this.#isTrying = false;
  }
}

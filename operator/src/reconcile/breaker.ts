import type { Failure } from '../domain/failure.ts';
import type { Instant } from '../domain/time.ts';

/** This many calls in a row without an answer trip the breaker. */
const strikes = 3;
/** The pause before the next try, in milliseconds; doubles with each failed try. */
const firstPauseMs = 15_000;
const longestPauseMs = 120_000;
/** Refused callers come back this far apart, in milliseconds, one after the other: any of them may make the next try. */
const apartMs = 5_000;

interface Shut {
  /** The last failure. */
  readonly failure: Failure;
  readonly since: Instant;
  /** The first call from then on is the next try. */
  readonly tryAt: Instant;
  readonly pauseMs: number;
}

/**
 * A circuit breaker for one kind of calls to one destination. Several calls in a row without an answer trip it (`shut`): it then
 * refuses further callers at once, instead of letting each wait for a timeout. After a pause it lets one call through; an answer
 * resets it.
 */
export class Breaker {
  #inARow = 0;
  #shut: Shut | undefined;
  #isTrying = false;
  /** Callers refused since the last try. */
  #refused = 0;

  /** The failure that tripped it, since when, and when it tries next; `undefined` = calls go through. */
  get shut(): Pick<Shut, 'failure' | 'since' | 'tryAt'> | undefined {
    return this.#shut;
  }

  /** Whether a call would be refused now. */
  isRefusing(now: Instant): boolean {
    return this.#shut !== undefined && (this.#isTrying || now < this.#shut.tryAt);
  }

  /** Call it before a call that is not refused: if the breaker is tripped, that call is the try. */
  begin(): void {
    this.#isTrying = this.#shut !== undefined;
  }

  /** How long a refused caller waits, in milliseconds, unless a reset of the breaker wakes it earlier; at most `mostMs`. */
  patience(now: Instant, mostMs: number): number {
    const waitMs = Math.max((this.#shut?.tryAt ?? now) - now, 1_000) + this.#refused * apartMs;
    this.#refused += 1;
    return Math.min(waitMs, mostMs);
  }

  /** A call was answered. Returns whether that reset the breaker. */
  answered(): boolean {
    const wasShut = this.#shut !== undefined;
    this.#inARow = 0;
    this.#shut = undefined;
    this.#isTrying = false;
    return wasShut;
  }

  /** A call was not answered. Returns whether that tripped the breaker. */
  unanswered(failure: Failure, now: Instant): boolean {
    this.#inARow += 1;
    const before = this.#shut;
    if (before === undefined && this.#inARow < strikes) return false;
    // Calls that were under way when it tripped say nothing new.
    if (before !== undefined && !this.#isTrying) return false;
    this.#isTrying = false;
    const pauseMs = before === undefined ? firstPauseMs : Math.min(2 * before.pauseMs, longestPauseMs);
    this.#refused = 0;
    this.#shut = { failure, since: before?.since ?? now, tryAt: now + pauseMs, pauseMs };
    return before === undefined;
  }

  /** A call ended without a result about the destination: another one makes the try. */
  undecided(): void {
    this.#isTrying = false;
  }
}

import type { Reason } from './reason.ts';

/**
 * What a failure asks for. `stalled`: a person must act; looked at again on a change, and hourly. `waiting`: a known
 * dependency is not there; its own event wakes us, else a minute. `transient`: tried again with a growing delay.
 */
export type FailureKind = 'stalled' | 'waiting' | 'transient';

/**
 * Details of a failure for the log and the metric only. Authors of KeyDestinations read statuses and events, and could learn
 * there which addresses of our network answer, and how.
 */
export interface FailureDetail {
  readonly class: 'unreachable' | 'timeout' | 'certificate' | 'answer' | 'credential';
  /** In our own words, too: no address, no value, no text of a server. */
  readonly text: string;
}

/** What {@link Failure} is made of. */
export interface FailureInit {
  readonly kind: FailureKind;
  readonly reason: Reason;
  /** Our own sentence. Never a provider's text: it may quote the value that was sent. */
  readonly message: string;
  /** The least time to wait before the next try, in milliseconds, when the other side said so. */
  readonly retryAfterMs?: number;
  readonly detail?: FailureDetail;
  /** The other side gave no reliable answer: it was silent, unreachable or broken. A refusal is an answer. */
  readonly unanswered?: true;
}

/**
 * The only error that crosses a port. Adapters classify what their provider says and drop it: the provider's error is
 * never attached as `cause`, because some (node-vault's) carry the request with value and token.
 */
export class Failure extends Error {
  readonly kind: FailureKind;
  readonly reason: Reason;
  readonly retryAfterMs: number | undefined;
  readonly detail: FailureDetail | undefined;
  /** See {@link FailureInit.unanswered}. */
  readonly unanswered: boolean;

  constructor(init: FailureInit) {
    super(init.message);
    this.name = 'Failure';
    this.kind = init.kind;
    this.reason = init.reason;
    this.retryAfterMs = init.retryAfterMs;
    this.detail = init.detail;
    this.unanswered = init.unanswered === true;
  }
}

/** A dependency that is not there now. */
export function waiting(reason: Reason, message: string, retryAfterMs?: number): Failure {
  return new Failure({ kind: 'waiting', reason, message, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
}

/** A dependency that gave no reliable answer. */
export function unanswered(reason: Reason, message: string): Failure {
  return new Failure({ kind: 'waiting', reason, message, unanswered: true });
}

/** Something that only a person can change. */
export function stalled(reason: Reason, message: string): Failure {
  return new Failure({ kind: 'stalled', reason, message });
}

/** Something that a later try may cure. */
export function transient(reason: Reason, message: string, retryAfterMs?: number): Failure {
  return new Failure({ kind: 'transient', reason, message, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
}

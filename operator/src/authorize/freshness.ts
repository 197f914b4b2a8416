import { waiting, type Failure } from '../domain/failure.ts';
import type { Clock } from '../domain/time.ts';
import type { Store } from '../store/port.ts';
import { provenForMs, type HeartbeatRule } from '../store/primary.ts';
import type { Log } from '../telemetry/log.ts';

/** What {@link Freshness} needs. */
export interface FreshnessInit {
  readonly store: Pick<Store, 'surveyPrimary'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly rule: HeartbeatRule;
  /** How long a proof counts, in milliseconds. */
  readonly maxStalenessMs: number;
}

/** How often to look for a proof, in milliseconds; at least four times in the life of one. */
const everyMs = 5_000;

const unproven: Failure = waiting(
  'StoreUnavailable',
  'this may not be the primary of the database: the operator does not write to it, and another was promoted, or most hosts do not answer',
);

/**
 * Whether this process reads the database that the operator writes to. An old primary may go on running, cut off from the new
 * one: an authorizer that still reaches it would for ever allow keys that were revoked meanwhile. See `store/primary` for what
 * counts as a proof.
 */
export class Freshness {
  readonly #init: FreshnessInit;
  /** On the monotonic clock. */
  #provenUntilMs = Number.NEGATIVE_INFINITY;
  #wasProven = false;
  #reachesFew = false;
  #isTold = false;

  constructor(init: FreshnessInit) {
    this.#init = init;
  }

  /** Looks for the first proof, which may fail, and then repeatedly until the signal is aborted. */
  async start(signal: AbortSignal): Promise<void> {
    await this.look();
    void this.#lookForEver(signal);
  }

  /** Why the authorizer must not decide now; `undefined` = it may. */
  blocked(): Failure | undefined {
    return this.#leftMs() > 0 ? undefined : unproven;
  }

  /**
   * False before the first proof. Later, false after half of the time until {@link blocked}, if this process reaches some hosts but
   * not most: others may reach the rest, and traffic goes there before this process refuses it. What keeps the proof from all
   * authorizers alike (no host answers, no operator leads) takes none of them out of service.
   */
  isReady(): boolean {
    return this.#wasProven && (!this.#reachesFew || this.#isFresh());
  }

  #isFresh(): boolean {
    return this.#leftMs() > this.#init.maxStalenessMs / 2;
  }

  /** Looks once; never rejects. */
  async look(): Promise<void> {
    const { store, clock, rule, maxStalenessMs } = this.#init;
    // Counts from the question, not from the answer: the answer only says what was true when it was asked.
    let askedMs = clock.monotonicMs();
    let survey = await store.surveyPrimary();
    if (survey.superseded) {
      this.#provenUntilMs = Number.NEGATIVE_INFINITY;
      // The store has switched to another host, or to none.
      askedMs = clock.monotonicMs();
      survey = await store.surveyPrimary();
    }
    const provenMs = provenForMs(survey, rule, maxStalenessMs);
    if (provenMs !== undefined) this.#provenUntilMs = Math.max(this.#provenUntilMs, askedMs + provenMs);
    this.#wasProven ||= provenMs !== undefined;
    this.#reachesFew = survey.answered > 0 && survey.answered * 2 <= survey.hosts;
    this.#tell();
  }

  #leftMs(): number {
    return this.#provenUntilMs - this.#init.clock.monotonicMs();
  }

  async #lookForEver(signal: AbortSignal): Promise<void> {
    const { clock, maxStalenessMs } = this.#init;
    // A single host stays trusted for ever.
    while (this.#provenUntilMs !== Infinity) {
      await clock.sleep(Math.min(everyMs, maxStalenessMs / 4), signal).catch(() => {});
      if (signal.aborted) return;
      await this.look();
    }
  }

  #tell(): void {
    const { log } = this.#init;
    const isUnproven = !this.#isFresh();
    if (isUnproven === this.#isTold) return;
    this.#isTold = isUnproven;
    if (isUnproven) log.warn('the primary of the database is not proven', { reason: unproven.reason, message: unproven.message });
    else log.info('the primary of the database is proven');
  }
}

import { waiting, type Failure } from '../domain/failure.ts';
import type { Clock } from '../domain/time.ts';
import type { Store } from '../store/port.ts';
import { provenForMs, type HeartbeatRule } from '../store/primary.ts';
import type { Log } from '../telemetry/log.ts';

/** What {@link Freshness} needs. */
export interface FreshnessInit {
  readonly store: Pick<Store, 'surveyPrimary' | 'primarySelection'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly rule: HeartbeatRule;
  /** How long a proof counts, in milliseconds. */
  readonly maxStalenessMs: number;
}

/** How often to look for a proof, in milliseconds; at least four times in the life of one. */
const everyMs = 5_000;
const minPauseMs = 500;

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
  /** On the monotonic clock, and of which server: see `PrimarySurvey.selection`. */
  #provenUntilMs = Number.NEGATIVE_INFINITY;
  #selection: number | undefined;
  #looking: Promise<void> | undefined;
  /** When the last look ended that a request began, on the monotonic clock. */
  #lookedMs = Number.NEGATIVE_INFINITY;
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

  /** Why the authorizer must not decide now; `undefined` = it may. Looks at once if another server is read than the proven one. */
  blocked(): Failure | undefined {
    if (this.#leftMs() > 0) return undefined;
    const { clock } = this.#init;
    // Each look connects to every host: requests must not cause more of them than a recovering host can handle.
    if (this.#isOther() && clock.monotonicMs() - this.#lookedMs >= minPauseMs)
      this.#looking ??= this.look().finally(() => {
        this.#looking = undefined;
        this.#lookedMs = clock.monotonicMs();
      });
    return unproven;
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
    if (survey.selection !== undefined && survey.selection !== this.#selection) {
      this.#provenUntilMs = Number.NEGATIVE_INFINITY;
      this.#selection = survey.selection;
    }
    if (provenMs !== undefined) this.#provenUntilMs = Math.max(this.#provenUntilMs, askedMs + provenMs);
    this.#wasProven ||= provenMs !== undefined;
    this.#reachesFew = survey.answered > 0 && survey.answered * 2 <= survey.hosts;
    this.#tell();
  }

  #leftMs(): number {
    return this.#isOther() ? 0 : this.#provenUntilMs - this.#init.clock.monotonicMs();
  }

  /** What is proven of one server says nothing about the next one. A single host is trusted whatever it leads to. */
  #isOther(): boolean {
    return this.#provenUntilMs !== Infinity && this.#init.store.primarySelection() !== this.#selection;
  }

  async #lookForEver(signal: AbortSignal): Promise<void> {
    const { clock, maxStalenessMs } = this.#init;
    let tookMs = 0;
    // A single host stays trusted for ever.
    while (this.#provenUntilMs !== Infinity) {
      // A host that hangs makes a look long, and the next one must not be late for that.
      const pauseMs = Math.max(Math.min(everyMs, maxStalenessMs / 4) - tookMs, minPauseMs);
      await clock.sleep(pauseMs, signal).catch(() => {});
      if (signal.aborted) return;
      const startedMs = clock.monotonicMs();
      await this.look();
      tookMs = clock.monotonicMs() - startedMs;
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

import { Failure } from '../domain/failure.ts';
import { reasons } from '../domain/reason.ts';
import type { Clock } from '../domain/time.ts';
import type { Log } from '../telemetry/log.ts';

/** What an {@link AdmissionGate} needs. */
export interface AdmissionGateInit {
  readonly mode: 'required' | 'off';
  /** Whether the admission policy and its binding are there. */
  readonly lookUp: () => Promise<boolean>;
  readonly clock: Clock;
  readonly log: Log;
}

const lookUpEveryMs = 60_000;
/** While it is missing whoever installs it waits. */
const lookUpMissingEveryMs = 5_000;

/**
 * Whether anything new may be minted: with `required` only while the admission policy and its binding exist, looked up
 * at the start and each minute, more often while they are missing. Not knowing counts as no: without the policy anybody
 * who may write an ApiKey grants himself what he likes.
 */
export class AdmissionGate {
  readonly #init: AdmissionGateInit;
  #present: boolean | undefined;

  constructor(init: AdmissionGateInit) {
    this.#init = init;
  }

  isOpen(): boolean {
    return this.#init.mode === 'off' || this.#present === true;
  }

  /** Looks once, then goes on looking until the signal is aborted. */
  async start(signal: AbortSignal): Promise<void> {
    if (this.#init.mode === 'off') return;
    await this.#look();
    void this.#lookForEver(signal);
  }

  async #lookForEver(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#init.clock.sleep(this.#present === true ? lookUpEveryMs : lookUpMissingEveryMs, signal).catch(() => undefined);
      if (!signal.aborted) await this.#look();
    }
  }

  async #look(): Promise<void> {
    const { lookUp, log } = this.#init;
    try {
      const present = await lookUp();
      if (present !== this.#present) this.#tell(present);
      this.#present = present;
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      log.warn('admission policy not looked up', { reason: error.reason, message: error.message });
    }
  }

  #tell(present: boolean): void {
    const { log } = this.#init;
    if (present) log.info('admission policy found');
    else log.error('admission policy missing', { reason: 'AdmissionPolicyMissing', message: reasons.AdmissionPolicyMissing });
  }
}

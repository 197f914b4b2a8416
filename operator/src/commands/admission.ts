import { inspectAdmission } from '../api/admission/inspect.ts';
import type { ObjectMeta } from '../api/meta.ts';
import { Failure } from '../domain/failure.ts';
import { parseInstant, type Clock, type Instant } from '../domain/time.ts';
import type { AdmissionState } from '../reconcile/acceptance.ts';
import type { Dependencies } from '../reconcile/dependencies.ts';
import type { AdmissionPeriod } from '../store/port.ts';
import type { Log } from '../telemetry/log.ts';

/** For modes without a policy: only the person who started the program declares keys. */
export const noAdmission: Dependencies['admission'] = {
  state: () => ({ kind: 'notRequired' }),
  check: () => Promise.resolve({ kind: 'notRequired' }),
};

/** The admission policy and its binding as the API server has them now; `undefined` = absent. */
export interface AdmissionObjects {
  readonly policy: unknown;
  readonly binding: unknown;
  /** When the API server answered, by its own clock; `undefined` = it did not say. */
  readonly serverTime: Instant | undefined;
}

/** What an {@link AdmissionGate} needs. */
export interface AdmissionGateInit {
  readonly mode: 'required' | 'off';
  readonly lookUp: () => Promise<AdmissionObjects>;
  /** See {@link Store.admissionPeriod}. */
  readonly periodOf: (identity: string, since: Instant) => Promise<AdmissionPeriod>;
  /** Called when a new period has begun, before anybody else learns of it. */
  readonly onPeriod: (period: string) => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
}

const checkEveryMs = 60_000;
/** While the policy is not in force, somebody waits for it: check more often. */
const checkAwayEveryMs = 5_000;
/** A policy takes effect on every API server a moment after its creation, and creation times are whole seconds. */
const effectiveAfterMs = 1_000;

/**
 * Watches over the admission policy: whether it is in force, since when, and in which period. It compares the content of both
 * objects with what it expects, and fails closed: no answer counts as a no, because without the policy, anybody with write access
 * to an ApiKey can grant any right.
 */
export class AdmissionGate {
  readonly #init: AdmissionGateInit;
  #state: AdmissionState;
  #known: { readonly identity: string; readonly period: AdmissionPeriod } | undefined;
  #running: Promise<AdmissionState> | undefined;
  #next: Promise<AdmissionState> | undefined;

  constructor(init: AdmissionGateInit) {
    this.#init = init;
    this.#state =
      init.mode === 'off'
        ? { kind: 'notRequired' }
        : { kind: 'notInForce', since: init.clock.now(), why: 'it has not been checked yet' };
  }

  /** The result of the last check. */
  state(): AdmissionState {
    return this.#state;
  }

  /** A check that begins after this call; callers that arrive during a check share the next one. Never rejects with a Failure. */
  check(): Promise<AdmissionState> {
    if (this.#init.mode === 'off') return Promise.resolve(this.#state);
    if (this.#running === undefined) return this.#run();
    this.#next ??= this.#running.then(
      () => this.#runNext(),
      () => this.#runNext(),
    );
    return this.#next;
  }

  /** Checks once, then goes on until the signal is aborted. */
  async start(signal: AbortSignal): Promise<void> {
    if (this.#init.mode === 'off') return;
    await this.check();
    void this.#checkForEver(signal);
  }

  async #checkForEver(signal: AbortSignal): Promise<void> {
    const { clock } = this.#init;
    let checkedAtMs = clock.monotonicMs();
    while (!signal.aborted) {
      // Sleeps in short steps: meanwhile, a check for an edit may find that the policy is gone.
      await clock.sleep(checkAwayEveryMs, signal).catch(() => undefined);
      const isDue = this.#state.kind !== 'inForce' || clock.monotonicMs() - checkedAtMs >= checkEveryMs;
      if (signal.aborted || !isDue) continue;
      await this.check();
      checkedAtMs = clock.monotonicMs();
    }
  }

  #runNext(): Promise<AdmissionState> {
    this.#next = undefined;
    return this.#run();
  }

  #run(): Promise<AdmissionState> {
    const running = this.#look().finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
    return running;
  }

  async #look(): Promise<AdmissionState> {
    try {
      const objects = await this.#init.lookUp();
      const found = inspectAdmission(objects.policy, objects.binding);
      return found.kind === 'inForce' ? await this.#inForce(found.identity, objects) : this.#notInForce(found.why);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      return this.#notInForce(`it cannot be checked: ${error.message}`);
    }
  }

  async #inForce(identity: string, objects: AdmissionObjects): Promise<AdmissionState> {
    const { periodOf, onPeriod, log, clock } = this.#init;
    let known = this.#known;
    if (known?.identity !== identity) {
      known = { identity, period: await periodOf(identity, sinceOf(objects, clock.now())) };
      await onPeriod(known.period.id);
      this.#known = known;
    }
    const { id: period, since } = known.period;
    if (this.#state.kind !== 'inForce') log.info('admission policy in force');
    this.#state = { kind: 'inForce', period, since };
    return this.#state;
  }

  #notInForce(why: string): AdmissionState {
    const since = this.#state.kind === 'notInForce' ? this.#state.since : this.#init.clock.now();
    const isNews = this.#state.kind !== 'notInForce' || this.#state.why !== why;
    this.#state = { kind: 'notInForce', since, why };
    if (isNews) this.#init.log.error('admission policy not in force', { reason: 'AdmissionPolicyMissing', message: why });
    return this.#state;
  }
}

/**
 * Since when the present policy and binding are certainly in force, by the API server's clock: for objects that nobody edited,
 * since their creation; otherwise, since now.
 */
function sinceOf({ policy, binding, serverTime }: AdmissionObjects, now: Instant): Instant {
  const metadata = [policy, binding].map((object) => (object as { metadata?: Partial<ObjectMeta> } | undefined)?.metadata);
  const created = metadata.map((one) => (one?.generation === 1 ? parseInstant(one.creationTimestamp ?? '') : undefined));
  const known = created.filter((at) => at !== undefined);
  const since = known.length === metadata.length ? Math.max(...known) : (serverTime ?? now);
  return since + effectiveAfterMs;
}

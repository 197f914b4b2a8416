import { inspectAdmission, isContinuation } from '../api/admission/inspect.ts';
import { Failure } from '../domain/failure.ts';
import { formatInstant, type Clock } from '../domain/time.ts';
import type { AdmissionState } from '../reconcile/acceptance.ts';
import { Defects } from '../reconcile/defects.ts';
import type { Dependencies } from '../reconcile/dependencies.ts';
import type { PolicyPair, ProbeAnswer } from '../resources/kube/admission.ts';
import type { AdmissionPeriod, Store } from '../store/port.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { AdmissionProof } from './admissionproof.ts';

/** For modes without a policy: only the person who started the program declares keys. */
export const noAdmission: Dependencies['admission'] = {
  state: () => ({ kind: 'notRequired' }),
  check: () => Promise.resolve({ kind: 'notRequired' }),
};

/** What an {@link AdmissionGate} needs. */
export interface AdmissionGateInit {
  readonly mode: 'required' | 'off';
  readonly lookUp: () => Promise<PolicyPair>;
  /** Sends the API server a request that the policy refuses. */
  readonly probe: () => Promise<ProbeAnswer>;
  readonly store: Pick<Store, 'readAdmission' | 'saveAdmission'>;
  /** Carries the acceptances of keys that have not changed over into a period: see `carryOver` in `acceptances.ts`. */
  readonly carryOver: (period: string) => Promise<void>;
  /** The id of a new period. */
  readonly newId: () => string;
  /** Another process leads. */
  readonly onFenceLost: () => void;
  readonly metrics: Pick<Metrics, 'admission'>;
  readonly clock: Clock;
  readonly log: Log;
}

const checkEveryMs = 60_000;
/** While the policy is not in force, somebody waits for it: check more often. */
const checkAwayEveryMs = 5_000;
/** A policy takes effect within seconds; its proof needs a refusal every few seconds: see `admissionproof.ts`. */
const checkComingEveryMs = 500;
/** How often the log repeats that the policy is not in force. */
const sayEveryMs = 3_600_000;

/** Why no period runs although the policy exists. */
interface NoPeriod {
  readonly why: string;
  /** `info`: this ends by itself. */
  readonly level: 'info' | 'error';
}

const takesEffect: NoPeriod = { level: 'info', why: 'it took effect just now: the operator relies on it in a few seconds' };
const noEffect: NoPeriod = {
  level: 'error',
  why: 'it has no effect on the API server: it did not refuse a dry run that it must refuse',
};
const noTime: NoPeriod = {
  level: 'error',
  why: 'the API server sends no Date header, so nothing shows since when the policy acts',
};
/**
 * Watches over the admission policy: whether it is in force, since when, and in which period. It compares the content of both
 * objects with what it expects, and fails closed: no answer counts as a no, because without the policy, anybody with write access
 * to an ApiKey can grant any right. A period begins when it is proved that the policy acts (see {@link AdmissionProof}), and the
 * acceptances of unchanged keys were carried over into it. Nobody waits for that: until then, the policy is not in force.
 */
export class AdmissionGate {
  readonly #init: AdmissionGateInit;
  readonly #defects: Defects;
  #state: AdmissionState;
  /** The last period that this process found in force, as the store has it. */
  #last: AdmissionPeriod | undefined;
  /** The period that begins next, when it is proved. */
  #coming: (Pick<AdmissionPeriod, 'id' | 'identity'> & { readonly proof: AdmissionProof }) | undefined;
  /** The period that acceptances were carried over into by this process. */
  #carried: string | undefined;
  #carrying: Promise<void> | undefined;
  #isChecked = false;
  /** Ends the sleep between two checks. */
  #rouse = new AbortController();
  #saidAtMs = 0;
  #running: Promise<AdmissionState> | undefined;
  #next: Promise<AdmissionState> | undefined;

  constructor(init: AdmissionGateInit) {
    this.#init = init;
    this.#defects = new Defects(init.log, init.onFenceLost);
    this.#state =
      init.mode === 'off'
        ? { kind: 'notRequired' }
        : { kind: 'notInForce', since: init.clock.now(), why: 'it has not been checked yet' };
  }

  /** The result of the last check. */
  state(): AdmissionState {
    return this.#state;
  }

  /** Whether a period may begin within seconds: what is created before that is held. */
  isSettling(): boolean {
    return this.#state.kind === 'notInForce' && (!this.#isChecked || this.#coming !== undefined);
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
    await this.#checkAndReport();
    this.#isChecked = true;
    void this.#checkForEver(signal);
  }

  async #checkForEver(signal: AbortSignal): Promise<void> {
    const { clock } = this.#init;
    let checkedAtMs = clock.monotonicMs();
    while (!signal.aborted) {
      // Sleeps in short steps: meanwhile, a check for an edit may find that the policy is gone.
      const sleepMs = this.#coming === undefined ? checkAwayEveryMs : checkComingEveryMs;
      this.#rouse = new AbortController();
      await clock.sleep(sleepMs, AbortSignal.any([signal, this.#rouse.signal])).catch(() => undefined);
      const isDue = this.#state.kind !== 'inForce' || clock.monotonicMs() - checkedAtMs >= checkEveryMs;
      if (signal.aborted || !isDue) continue;
      await this.#checkAndReport();
      checkedAtMs = clock.monotonicMs();
    }
  }

  async #checkAndReport(): Promise<void> {
    try {
      await this.check();
    } catch (error) {
      this.#defects.report(error, {});
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
    const startedMs = this.#init.clock.monotonicMs();
    try {
      const objects = await this.#init.lookUp();
      const found = inspectAdmission(objects.policy, objects.binding);
      if (found.kind === 'notInForce') {
        this.#coming = undefined;
        return this.#notInForce(found.why, 'error');
      }
      const period = await this.#periodOf(found.identity, objects, startedMs);
      return 'why' in period ? this.#notInForce(period.why, period.level) : this.#inForce(period);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      this.#coming?.proof.failed();
      return this.#notInForce(`it cannot be checked: ${error.message}`, 'error');
    }
  }

  /** The period that runs, or why none does yet. */
  async #periodOf(identity: string, { serverTime }: PolicyPair, startedMs: number): Promise<AdmissionPeriod | NoPeriod> {
    const { store, newId } = this.#init;
    if (this.#last?.identity === identity) return this.#last;
    if (this.#coming?.identity !== identity) {
      const last = this.#last ?? (await store.readAdmission());
      if (last !== undefined && isContinuation(last.identity, identity)) return await this.#enter({ ...last, identity });
      this.#coming = { id: newId(), identity, proof: new AdmissionProof() };
      this.#rouse.abort();
    }
    const { id, proof } = this.#coming;
    const since = proof.since();
    if (since === undefined) return await this.#prove(proof, startedMs);
    // Creation times are whole seconds, and this second does not count: a user who sees the period begin may create a key
    // immediately.
    if (serverTime === undefined || serverTime <= since) return takesEffect;
    if (this.#carried === id) return await this.#enter({ id, since, identity });
    this.#carry(id);
    return { level: 'info', why: 'the operator relies on it as soon as earlier acceptances are carried over' };
  }

  /** One round of the proof; the answer is why the policy is not relied on yet. */
  async #prove(proof: AdmissionProof, startedMs: number): Promise<NoPeriod> {
    const { probe, clock } = this.#init;
    if (!proof.isWanted(clock.monotonicMs())) return takesEffect;
    const readMs = clock.monotonicMs();
    const answer = await probe();
    if (answer.kind === 'passed') {
      proof.failed();
      return noEffect;
    }
    const { serverTime } = answer;
    if (serverTime === undefined) return noTime;
    proof.refused({ startedMs, readMs, endedMs: clock.monotonicMs(), serverTime });
    return takesEffect;
  }

  async #enter(period: AdmissionPeriod): Promise<AdmissionPeriod> {
    await this.#init.store.saveAdmission(period, this.#init.clock.now());
    this.#last = period;
    this.#coming = undefined;
    return period;
  }

  /** In the background: it reads every ApiKey. A later look tries again what fails. */
  #carry(period: string): void {
    this.#carrying ??= this.#carryOver(period).finally(() => {
      this.#carrying = undefined;
    });
  }

  async #carryOver(period: string): Promise<void> {
    const { carryOver, log } = this.#init;
    try {
      await carryOver(period);
      this.#carried = period;
      if (this.#state.kind !== 'inForce') await this.check();
    } catch (error) {
      if (!(error instanceof Failure)) this.#defects.report(error, {});
      else log.warn('acceptances not carried over', { reason: error.reason, message: error.message });
    }
  }

  #inForce({ id, since }: AdmissionPeriod): AdmissionState {
    const { log, metrics } = this.#init;
    // An earlier process may have stopped before it had done so, or have required no policy.
    if (this.#carried !== id) this.#carry(id);
    if (this.#state.kind !== 'inForce') log.info('admission policy in force');
    this.#state = { kind: 'inForce', period: id, since };
    metrics.admission(undefined);
    return this.#state;
  }

  #notInForce(why: string, level: 'info' | 'error'): AdmissionState {
    const { clock, log, metrics } = this.#init;
    const since = this.#state.kind === 'notInForce' ? this.#state.since : clock.now();
    const isNews = this.#state.kind !== 'notInForce' || this.#state.why !== why;
    this.#state = { kind: 'notInForce', since, why };
    metrics.admission(since);
    if (!isNews && clock.monotonicMs() - this.#saidAtMs < sayEveryMs) return this.#state;
    this.#saidAtMs = clock.monotonicMs();
    log[level]('admission policy not in force', {
      reason: 'AdmissionPolicyMissing',
      message: `since ${formatInstant(since)}: ${why}`,
    });
    return this.#state;
  }
}

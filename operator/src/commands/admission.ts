import { inspectAdmission, isContinuation } from '../api/admission/inspect.ts';
import type { ObjectMeta } from '../api/meta.ts';
import { Failure } from '../domain/failure.ts';
import { formatInstant, parseInstant, within, type Clock, type Instant } from '../domain/time.ts';
import type { AdmissionState } from '../reconcile/acceptance.ts';
import { Defects } from '../reconcile/defects.ts';
import type { Dependencies } from '../reconcile/dependencies.ts';
import type { AdmissionPeriod, Store } from '../store/port.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';

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
/** A policy that is there takes effect in seconds. */
const checkComingEveryMs = 1_000;
/** How often the log repeats that the policy is not in force. */
const sayEveryMs = 3_600_000;
/** A start waits for the first period to begin, but not for long: narrowing must begin. */
const startWithinMs = 5_000;
/**
 * A policy takes effect on every API server a moment after its creation: each looks for new policies once a second, behind a
 * watch. Creation times are whole seconds.
 */
const effectiveAfterMs = 5_000;

/**
 * Watches over the admission policy: whether it is in force, since when, and in which period. It compares the content of both
 * objects with what it expects, and fails closed: no answer counts as a no, because without the policy, anybody with write access
 * to an ApiKey can grant any right. A period begins when the policy has certainly taken effect on every API server, and the
 * acceptances of unchanged keys were carried over into it. Nobody waits for that: until then, the policy is not in force.
 */
export class AdmissionGate {
  readonly #init: AdmissionGateInit;
  readonly #defects: Defects;
  #state: AdmissionState;
  /** The last period that this process found in force, as the store has it. */
  #last: AdmissionPeriod | undefined;
  /** The period that begins next. */
  #coming: AdmissionPeriod | undefined;
  /** The period that acceptances were carried over into by this process. */
  #carried: string | undefined;
  #carrying: Promise<void> | undefined;
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
    if (this.#state.kind !== 'inForce' && this.#carrying !== undefined)
      await within(this.#init.clock, startWithinMs, this.#carrying);
    void this.#checkForEver(signal);
  }

  async #checkForEver(signal: AbortSignal): Promise<void> {
    const { clock } = this.#init;
    let checkedAtMs = clock.monotonicMs();
    while (!signal.aborted) {
      // Sleeps in short steps: meanwhile, a check for an edit may find that the policy is gone.
      await clock.sleep(this.#coming === undefined ? checkAwayEveryMs : checkComingEveryMs, signal).catch(() => undefined);
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
    try {
      const objects = await this.#init.lookUp();
      const found = inspectAdmission(objects.policy, objects.binding);
      if (found.kind === 'notInForce') {
        this.#coming = undefined;
        return this.#notInForce(found.why, 'error');
      }
      const period = await this.#periodOf(found.identity, objects);
      return typeof period === 'string' ? this.#notInForce(period, 'info') : this.#inForce(period);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      return this.#notInForce(`it cannot be checked: ${error.message}`, 'error');
    }
  }

  /** The period that runs, or why none does yet. */
  async #periodOf(identity: string, objects: AdmissionObjects): Promise<AdmissionPeriod | string> {
    const { store, clock, newId } = this.#init;
    if (this.#last?.identity === identity) return this.#last;
    const now = objects.serverTime ?? clock.now();
    if (this.#coming?.identity !== identity) {
      const last = this.#last ?? (await store.readAdmission());
      if (last !== undefined && isContinuation(last.identity, identity)) return await this.#enter({ ...last, identity });
      this.#coming = { id: newId(), since: sinceOf(objects, now), identity };
    }
    const { id, since } = this.#coming;
    // Creation times are whole seconds: what is created in this second counts.
    if (now <= since) return `it took effect just now, and is relied on from ${formatInstant(since + 1_000)} on`;
    if (this.#carried === id) return await this.#enter(this.#coming);
    this.#carry(id);
    return 'it is relied on as soon as what was accepted before is carried over';
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

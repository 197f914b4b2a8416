import { randomUUID } from 'node:crypto';
import { admissionPolicy, admissionPolicyBinding } from '../../../operator/src/api/admission/policy.ts';
import { carryOver, type AcceptancesInit } from '../../../operator/src/commands/acceptances.ts';
import { AdmissionGate } from '../../../operator/src/commands/admission.ts';
import type { AdmissionState } from '../../../operator/src/reconcile/acceptance.ts';
import { floorToSecond, formatInstant, type Clock, type Instant } from '../../../operator/src/domain/time.ts';
import type { PolicyPair, ProbeAnswer } from '../../../operator/src/resources/kube/admission.ts';
import type { Store } from '../../../operator/src/store/port.ts';
import { silentLog } from '../../../operator/src/telemetry/log.ts';
import { silentMetrics } from '../../../operator/src/telemetry/metrics.ts';

/** The admission policy of a world, as its API server has it: there from the beginning. */
export class YearPolicy {
  readonly #clock: Clock;
  /** How many there were, and since when there is one now. */
  #made = 0;
  #since: Instant | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.make();
  }

  /** Somebody applies it anew. */
  make(): void {
    this.#made += 1;
    this.#since = this.#clock.now();
  }

  /** Somebody deletes it, with its binding. */
  remove(): void {
    this.#since = undefined;
  }

  /** Whether a gate has yet to prove that the policy acts: it asks about every second, and a longer silence begins the proof anew. */
  isAwaited(state: AdmissionState): boolean {
    return this.#since !== undefined && state.kind !== 'inForce';
  }

  /** A gate as the program opens it. */
  openGate(store: Store, resources: AcceptancesInit['resources'], onFenceLost: () => void): AdmissionGate {
    const clock = this.#clock;
    return new AdmissionGate({
      mode: 'required',
      lookUp: () => Promise.resolve(this.#objects()),
      probe: () => Promise.resolve(this.#answer()),
      carryOver: (period) => carryOver({ resources, store, clock }, period),
      ...{ store, newId: randomUUID, onFenceLost, metrics: silentMetrics, clock, log: silentLog },
    });
  }

  #answer(): ProbeAnswer {
    return this.#since === undefined ? { kind: 'passed' } : { kind: 'refused', serverTime: floorToSecond(this.#clock.now()) };
  }

  #objects(): PolicyPair {
    const serverTime = floorToSecond(this.#clock.now());
    if (this.#since === undefined) return { policy: undefined, binding: undefined, serverTime };
    const creationTimestamp = formatInstant(this.#since);
    const served = (object: object) => ({
      ...object,
      metadata: { name: 'keywright', uid: `policy-${this.#made}`, generation: 1, creationTimestamp },
    });
    return { policy: served(admissionPolicy()), binding: served(admissionPolicyBinding()), serverTime };
  }
}

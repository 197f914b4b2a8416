import type { Consumers } from '../consumers/port.ts';
import type { Destinations } from '../destinations/port.ts';
import type { Clock } from '../domain/time.ts';
import type { RandomSource } from '../keys/mint.ts';
import type { Peppers } from '../keys/pepper.ts';
import type { Resources } from '../resources/port.ts';
import type { UsageHorizon } from '../store/horizon.ts';
import type { Store } from '../store/port.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { AdmissionState } from './acceptance.ts';
import type { EditTimes } from './edittimes.ts';
import type { Limits } from './observed.ts';
import type { References } from './references.ts';

/** Everything that a reconcile may touch: ports and sources of time, chance and ids. */
export interface Dependencies {
  readonly resources: Resources;
  /** Catalogs and owners as they are in force, which may be another state than what is declared. */
  readonly references: References;
  readonly store: Store;
  readonly destinations: Destinations;
  /** Absent = no consumer is restarted. */
  readonly consumers?: Consumers;
  /** How far the record of use is complete; may be some seconds old, which only makes it say less. */
  readonly usageHorizon: () => Promise<UsageHorizon>;
  /** The namespaces whose ApiKeys are served; absent = all. */
  readonly namespaces?: readonly string[];
  /** The namespaces whose Secrets may be delivered to; absent = all. */
  readonly secretNamespaces?: readonly string[];
  readonly peppers: Peppers;
  readonly random: RandomSource;
  /** A new uuid. */
  readonly newId: () => string;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Pick<Metrics, 'reconciled' | 'minted' | 'withdrawing' | 'missing' | 'unserved' | 'safetyPassed'>;
  readonly limits: Limits;
  /** How long a key lives on after its resource is gone without a deletion, in milliseconds; default: see `orphans.ts`. */
  readonly orphanAfterMs?: number;
  readonly installationId: string;
  /** The last known state, and a check that begins after the call; a failed check gives `notInForce`. */
  readonly admission: { readonly state: () => AdmissionState; readonly check: () => Promise<AdmissionState> };
  readonly edits: EditTimes;
  /** False while the time is not known well enough to mint or retire by it. */
  readonly clockIsRight: () => boolean;
  /** Throws when the lease may have run out: called before every effect outside this process. */
  readonly assertLeading: () => void;
  /** Throws if this pass has read an outdated ApiKey, see `Precedence`; absent = no other pass works on it meanwhile. */
  readonly assertCurrent?: () => void;
}

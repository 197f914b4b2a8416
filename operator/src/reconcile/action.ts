import type { ConsumerRef } from '../consumers/port.ts';
import type { Reading } from '../destinations/port.ts';
import type { Location } from '../domain/key.ts';
import type { Instant } from '../domain/time.ts';
import type { Delivery, EndedReason, MintCause, Version } from '../domain/version.ts';
import type { Workload } from '../resources/port.ts';
import type { AppliedSettings, HandledRequests, KeySettings, VersionEnd, VersionExpiry } from '../store/port.ts';
import type { Blocker, OpenTarget } from './observed.ts';

/** A target and what was seen there: the condition of the write. */
export interface WriteTarget extends OpenTarget {
  readonly reading: Reading;
}

/** One step. All but `look` and `checkAdmission` have an effect; every one may be repeated after a crash at any point of it. */
export type Action =
  /** Look at locations: their marks, or their values and marks. */
  | { readonly kind: 'look'; readonly at: readonly Location[]; readonly depth: 'mark' | 'value' }
  | { readonly kind: 'addFinalizer' }
  | { readonly kind: 'removeFinalizer' }
  /** Revoke every version; with a reason, for good. */
  | { readonly kind: 'revokeAll'; readonly revokedReason?: string; readonly detail: string }
  /** Check whether the admission policy is in force now, after the read of the resource. */
  | { readonly kind: 'checkAdmission' }
  /** Take over the rows of an earlier ApiKey of this name; these settings only narrow them until they are accepted. */
  | { readonly kind: 'takeOver'; readonly proposed: KeySettings }
  | { readonly kind: 'saveSettings'; readonly applied: AppliedSettings }
  | {
      readonly kind: 'endVersions';
      readonly keyIds: readonly string[];
      readonly reason: EndedReason;
      /** The request that this answers, recorded with it. */
      readonly handled?: HandledRequests;
    }
  /** What counts as handled of the request annotations, as a whole. */
  | { readonly kind: 'saveHandled'; readonly handled: HandledRequests }
  | { readonly kind: 'setExpiry'; readonly expiries: readonly VersionExpiry[] }
  | { readonly kind: 'bringForward'; readonly ends: readonly VersionEnd[] }
  | { readonly kind: 'beginWithdrawal'; readonly deliveries: readonly Delivery[] }
  /** Empty a location that still shows our mark. */
  | { readonly kind: 'withdraw'; readonly delivery: Delivery; readonly reading: Reading }
  /** Nothing of this row's is there any more. */
  | { readonly kind: 'finishWithdrawal'; readonly delivery: Delivery }
  | { readonly kind: 'releaseKey' }
  /** Mint an attempt, record its intents, write it to every target, forget the value. */
  | {
      readonly kind: 'mint';
      readonly epoch: number;
      readonly cause: MintCause;
      readonly expiresAt: Instant | undefined;
      readonly targets: readonly WriteTarget[];
      readonly lostKeyIds: readonly string[];
      /** Only for the first version of a resource: later ones find it in the store. */
      readonly applied: AppliedSettings;
      /** As for `copy`. */
      readonly publish: boolean;
      /** Requests that this mint answers, recorded with it. */
      readonly handled?: HandledRequests;
    }
  /**
   * Write the value that stands at `from` (checked by its hash) to other places, or to the same one with a right mark and
   * envelope. `publish`: readers are to get the version now, so that a value that a provider only staged is promoted before
   * it counts as delivered.
   */
  | {
      readonly kind: 'copy';
      readonly version: Version;
      readonly from: Location;
      readonly to: readonly WriteTarget[];
      readonly publish: boolean;
    }
  /** Record what was seen to be held: a crash came between a write and its confirmation. */
  | { readonly kind: 'confirm'; readonly version: Version; readonly at: readonly WriteTarget[] }
  | { readonly kind: 'activate'; readonly version: Version; readonly oldNotAfter: Instant | undefined }
  /** Look at workloads that use the active version. */
  | { readonly kind: 'lookAtConsumers'; readonly at: readonly ConsumerRef[] }
  /** Restart workloads for the active version, on what was observed of them. */
  | {
      readonly kind: 'restartConsumers';
      readonly at: readonly { readonly consumer: ConsumerRef; readonly observed: Workload }[];
    };

/** What a rule says: do this, or nothing can be done now because of that. */
export type Decision = { readonly kind: 'do'; readonly action: Action } | { readonly kind: 'hold'; readonly blocker: Blocker };

/** What comes of a plan. Without an action: await a change, or look again at `wakeAt`. */
export interface Plan {
  /** The rule that decided, for logs and golden files. */
  readonly rule: string;
  readonly action?: Action;
  readonly blocker?: Blocker;
  readonly wakeAt?: Instant;
}

/**
 * What must not be done by a wrong clock: it dates new versions, and ends others because their time has come. A revocation needs
 * no time, and neither do copies, settings and withdrawals.
 */
export function needsRightClock(action: Action): boolean {
  switch (action.kind) {
    case 'mint':
    case 'activate':
    case 'bringForward':
      return true;
    case 'endVersions':
      return action.reason !== 'revoked';
    default:
      return false;
  }
}

export function act(action: Action): Decision {
  return { kind: 'do', action };
}

export function hold(kind: Blocker['kind'], reason: Blocker['reason'], message: string): Decision {
  return { kind: 'hold', blocker: { kind, reason, message } };
}

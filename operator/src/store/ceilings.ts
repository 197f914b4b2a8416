import { neverAccepted } from './port.ts';
import type { AppliedSettings, KeySettings } from './port.ts';

/**
 * The settings that still limit the live versions of an ApiKey after another one takes its place. Settings that were no longer
 * permitted allow nothing there either. An ApiKey that was never accepted leaves none behind: all its versions are of earlier
 * ones, whose settings limit them already, and somebody who creates it again and again adds nothing.
 */
export function ceilingsOf({ settings, proposed, notPermitted, accepted }: AppliedSettings): readonly KeySettings[] {
  if (accepted?.period === neverAccepted.period) return [];
  const last = notPermitted === true ? { ...settings, suspended: true } : settings;
  return proposed === undefined ? [last] : [last, proposed];
}

/** What applies after a take-over: nothing of the new ApiKey but what it narrows, until it is accepted. */
export function takenOver({ settings, proposed: before, notPermitted }: AppliedSettings, proposed: KeySettings): AppliedSettings {
  return {
    settings,
    proposed: stillSuspended(proposed, before),
    ...(notPermitted === undefined ? {} : { notPermitted }),
    accepted: neverAccepted,
  };
}

/**
 * A proposal after an earlier one, of which nobody accepted either: it lifts no suspension. Otherwise, whoever may write the ApiKey
 * while no policy checks it could take back a suspension that was written before.
 */
export function stillSuspended(proposed: KeySettings, before: KeySettings | undefined): KeySettings {
  return before?.suspended === true ? { ...proposed, suspended: true } : proposed;
}

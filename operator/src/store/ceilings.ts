import type { AppliedSettings, KeySettings } from './port.ts';

/**
 * The settings that still limit the live versions of an ApiKey after another one takes its place. Settings that were no longer
 * permitted allow nothing there either.
 */
export function ceilingsOf({ settings, proposed, notPermitted }: AppliedSettings): readonly KeySettings[] {
  const last = notPermitted === true ? { ...settings, suspended: true } : settings;
  return proposed === undefined ? [last] : [last, proposed];
}

import type { AppliedSettings, KeySettings } from './port.ts';

/**
 * What the live versions of an ApiKey stay held to when another one takes its place. Settings that were not permitted any more allow
 * nothing there either.
 */
export function ceilingsOf({ settings, proposed, notPermitted }: AppliedSettings): readonly KeySettings[] {
  const last = notPermitted === true ? { ...settings, suspended: true } : settings;
  return proposed === undefined ? [last] : [last, proposed];
}

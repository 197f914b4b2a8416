const pattern = /^(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?$/;

/** The grammar of a duration in a manifest or a variable: Go's, in hours, minutes and seconds (`1h30m`), 2–20 characters. RE2-safe. */
export const durationPattern = '^([0-9]+h)?([0-9]+m)?([0-9]+s)?$';

/**
 * `1h30m` → milliseconds. `undefined` when the text is no duration.
 *
 * @example parseDurationMs('1h30m') // 5_400_000
 */
export function parseDurationMs(text: string): number | undefined {
  const match = pattern.exec(text);
  if (match === null || text.length < 2 || text.length > 20) return undefined;
  const [, hours = '0', minutes = '0', seconds = '0'] = match;
  return ((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1000;
}

/** Milliseconds of a duration that a schema has already accepted. */
export function durationMs(text: string): number {
  const ms = parseDurationMs(text);
  if (ms === undefined) throw new RangeError(`not a duration: ${text}`);
  return ms;
}

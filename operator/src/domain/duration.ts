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

/**
 * Milliseconds as a person reads them, rounded up to whole seconds; days from two days on, and at most two units.
 *
 * @example spellDuration(5_400_000) // '1h30m'
 */
export function spellDuration(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  const hours = Math.floor(seconds / 3600);
  const parts = [
    [hours < 48 ? 0 : Math.floor(hours / 24), 'd'],
    [hours < 48 ? hours : hours % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ] as const;
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return '0s';
  return parts
    .slice(first, first + 2)
    .flatMap(([count, unit]) => (count === 0 ? [] : [`${count}${unit}`]))
    .join('');
}

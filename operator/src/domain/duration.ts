/** The units of a duration, in the order in which they stand, in seconds. A day has 24 hours, a week seven days. */
const units = { w: 604_800, d: 86_400, h: 3_600, m: 60, s: 1 } as const;

const grammar = Object.keys(units).map((unit) => `([0-9]{1,10}${unit})?`);

/**
 * The grammar of a duration in a manifest or a variable: Go's, with weeks and days as Prometheus has them (`90d`, `1h30m`), 2–20
 * characters. RE2-safe.
 */
export const durationPattern = `^${grammar.join('')}$`;

const pattern = new RegExp(durationPattern);

/** CEL for the seconds of the text `self`, which matches {@link durationPattern}. */
export const durationSecondsCel = `[${Object.keys(units)
  .map((unit) => `'${unit}'`)
  .join(', ')}].map(u, int('0' + self.find('[0-9]+' + u).replace(u, '')) * {${Object.entries(units)
  .map(([unit, seconds]) => `'${unit}': ${seconds}`)
  .join(', ')}}[u]).sum()`;

/**
 * `1h30m` → milliseconds. `undefined` when the text is no duration.
 *
 * @example parseDurationMs('1h30m') // 5_400_000
 */
export function parseDurationMs(text: string): number | undefined {
  const match = pattern.exec(text);
  if (match === null || text.length < 2 || text.length > 20) return undefined;
  const seconds = Object.values(units).map((unit, at) => unit * Number.parseInt(match[at + 1] ?? '0', 10));
  return 1000 * seconds.reduce((sum, one) => sum + one, 0);
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

import { setTimeout as delay } from 'node:timers/promises';
import { inspect } from 'node:util';

/** How long and how often {@link until} looks. */
export interface UntilOptions {
  /** How long to look before giving up on a machine of one's own, in milliseconds; see {@link patience}. Default 10,000. */
  readonly deadlineMs?: number;
  /** The deadline belongs to what is tested: it is the same on every machine. */
  readonly isExact?: boolean;
  /** The pause between two looks, in milliseconds. Default 50. */
  readonly everyMs?: number;
  /** What is waited for; begins the error's message. */
  readonly what?: string;
}

/**
 * How many times longer a deadline is where the machine is shared, as in CI. A deadline is no promise of the product: it only ends a
 * test that would wait for ever. What must come within a time is measured by the test itself.
 */
export const patience = process.env['CI'] === 'true' ? 3 : 1;

/**
 * Looks at a real part again and again until `condition` returns something truthy, and returns that. An error thrown by
 * the condition counts as "not yet". After the deadline the error names what was seen last.
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  options: UntilOptions = {},
): Promise<Exclude<T, false | null | undefined | 0 | ''>> {
  const { everyMs = 50, what = 'the condition', isExact = false } = options;
  const deadlineMs = (options.deadlineMs ?? 10_000) * (isExact ? 1 : patience);
  const end = performance.now() + deadlineMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await condition();
      if (value) return value as Exclude<T, false | null | undefined | 0 | ''>;
      last = value;
    } catch (error) {
      last = error;
    }
    if (performance.now() >= end) break;
    await delay(everyMs);
  }
  throw new Error(`${what} did not come within ${deadlineMs} ms; last seen: ${inspect(last, { depth: 6 })}`);
}

import { setTimeout as delay } from 'node:timers/promises';
import { inspect } from 'node:util';

/** How long and how often {@link until} looks. */
export interface UntilOptions {
  /** How long to look before giving up, in milliseconds. Default 10,000. */
  readonly deadlineMs?: number;
  /** The pause between two looks, in milliseconds. Default 50. */
  readonly everyMs?: number;
  /** What is waited for; begins the error's message. */
  readonly what?: string;
}

/**
 * Looks at a real part again and again until `condition` returns something truthy, and returns that. An error thrown by
 * the condition counts as "not yet". After the deadline the error names what was seen last.
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  options: UntilOptions = {},
): Promise<Exclude<T, false | null | undefined | 0 | ''>> {
  const { deadlineMs = 10_000, everyMs = 50, what = 'the condition' } = options;
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

import { setTimeout as delay } from 'node:timers/promises';

/** Milliseconds since 1970-01-01T00:00:00Z. */
export type Instant = number;

/** The source of time. The only real one is {@link systemClock}; tests pass their own. */
export interface Clock {
  /** The wall clock. */
  now(): Instant;
  /** Milliseconds from an arbitrary start; never goes back. */
  monotonicMs(): number;
  /** Resolves after `ms`; rejects with the signal's reason when aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: async (ms, signal) => {
    await delay(ms, undefined, signal === undefined ? {} : { signal });
  },
};

/** What the work gives, or `undefined` if that takes longer; the work goes on. */
export async function within<T>(clock: Clock, ms: number, work: Promise<T>): Promise<T | undefined> {
  const done = new AbortController();
  const late = clock.sleep(ms, done.signal).then(
    () => undefined,
    () => undefined,
  );
  try {
    return await Promise.race([work, late]);
  } finally {
    done.abort();
  }
}

/** RFC 3339 has four digits for a year, and an offset may lead out of them: 9999-12-31T23:59:59-12:00. */
const [earliest, latest] = [Date.parse('0000-01-01T00:00:00Z'), Date.parse('9999-12-31T23:59:59Z')];

/** RFC 3339 in whole seconds and UTC, as Kubernetes writes a `Time`. Fractions are cut off. */
export function formatInstant(at: Instant): string {
  return `${new Date(Math.min(Math.max(at, earliest), latest)).toISOString().slice(0, 19)}Z`;
}

/** RFC 3339 → instant; `undefined` when the text is no instant. */
export function parseInstant(text: string): Instant | undefined {
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : at;
}

/** The same of a text that anybody may have written, such as a status: an instant that is still to come was not observed. */
export function parsePastInstant(text: string | undefined, now: Instant): Instant | undefined {
  const at = parseInstant(text ?? '');
  return at !== undefined && at <= now ? at : undefined;
}

/** Rounds an end up to a whole second, so that a lifetime is never shorter than was asked for. */
export function ceilToSecond(at: Instant): Instant {
  return Math.ceil(at / 1000) * 1000;
}

/** Rounds down to a whole second: for what must have happened by then. */
export function floorToSecond(at: Instant): Instant {
  return Math.floor(at / 1000) * 1000;
}

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ceilToSecond, formatInstant, parseInstant, systemClock } from '../../../operator/src/domain/time.ts';

describe('an instant', () => {
  it('is written as Kubernetes writes a Time, fractions cut off, and read back', () => {
    expect(formatInstant(Date.parse('2026-01-01T12:34:56.999Z'))).toBe('2026-01-01T12:34:56Z');
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4_000_000_000 }), (seconds) => {
        expect(parseInstant(formatInstant(seconds * 1000))).toBe(seconds * 1000);
      }),
    );
  });

  it('is written within the years that RFC 3339 has, although an offset leads out of them', () => {
    expect(formatInstant(Date.parse('9999-12-31T23:59:59-12:00'))).toBe('9999-12-31T23:59:59Z');
    expect(formatInstant(Date.parse('0000-01-01T00:00:00+12:00'))).toBe('0000-01-01T00:00:00Z');
  });

  it('is read with any offset, and is nothing else', () => {
    expect(parseInstant('2026-01-01T02:00:00+02:00')).toBe(Date.parse('2026-01-01T00:00:00Z'));
    expect(parseInstant('tomorrow')).toBeUndefined();
    expect(parseInstant('')).toBeUndefined();
  });

  it('that ends something is rounded up, never down', () => {
    expect([ceilToSecond(1000), ceilToSecond(1001), ceilToSecond(1999)]).toEqual([1000, 2000, 2000]);
  });
});

describe('the clock of the machine', () => {
  it('ends a sleep at once when it is aborted', async () => {
    await expect(systemClock.sleep(3_600_000, AbortSignal.abort(new Error('stop')))).rejects.toThrow();
  });

  it('has a monotonic time that does not go back', () => {
    const first = systemClock.monotonicMs();
    expect(systemClock.monotonicMs()).toBeGreaterThanOrEqual(first);
  });
});

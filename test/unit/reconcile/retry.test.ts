import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { stalled, transient, waiting } from '../../../operator/src/domain/failure.ts';
import { retryAt } from '../../../operator/src/reconcile/retry.ts';

const now = 1_000_000;
const after = (failure: Parameters<typeof retryAt>[0], earlier = 0, chance = 0) => retryAt(failure, earlier, now, chance) - now;

describe('a failed pass is tried again', () => {
  it('hourly while a person must act', () => {
    expect(after(stalled('InvalidSpec', 'x'), 7)).toBe(3_600_000);
  });

  it('after a minute while something known is missing, or sooner when the other side said so', () => {
    expect(after(waiting('StoreUnavailable', 'x'))).toBe(60_000);
    expect(after(waiting('StoreUnavailable', 'x', 5_000))).toBe(5_000);
    expect(after(waiting('StoreUnavailable', 'x', 300_000))).toBe(300_000);
  });

  it('with a delay that doubles from one second to ten minutes', () => {
    const delays = [0, 1, 2, 9, 10, 5000].map((earlier) => after(transient('InternalError', 'x'), earlier));
    expect(delays).toEqual([1_000, 2_000, 4_000, 512_000, 600_000, 600_000]);
  });

  it('never sooner than was asked for, never at once, and spread by up to a half', () => {
    fc.assert(
      fc.property(fc.nat(40), fc.double({ min: 0, max: 0.999, noNaN: true }), fc.nat(1_000_000), (earlier, chance, least) => {
        const plain = after(transient('InternalError', 'x'), earlier);
        const spread = after(transient('InternalError', 'x', least), earlier, chance);
        expect(spread).toBeGreaterThanOrEqual(Math.max(plain, least));
        expect(spread).toBeLessThanOrEqual(Math.max(plain * 1.5, least));
      }),
    );
    for (const failure of [
      waiting('StoreUnavailable', 'x', 0),
      transient('InternalError', 'x', 0),
      stalled('InvalidSpec', 'x'),
    ]) {
      expect(after(failure)).toBeGreaterThan(0);
    }
  });
});

import { describe, expect, it } from 'vitest';
import { isLive } from '../../../operator/src/domain/version.ts';

describe('a version', () => {
  it.each(['pending', 'active', 'retiring'] as const)('authenticates while it is %s', (state) => {
    expect(isLive({ state }, 0)).toBe(true);
  });

  it('authenticates never again once it has ended', () => {
    expect(isLive({ state: 'ended' }, 0)).toBe(false);
    expect(isLive({ state: 'ended', expiresAt: 100, notAfter: 100 }, 0)).toBe(false);
  });

  it.each(['expiresAt', 'notAfter'] as const)('ends exactly at its %s, also when nobody has recorded that [S2-19]', (end) => {
    expect(isLive({ state: 'retiring', [end]: 1000 }, 999)).toBe(true);
    expect(isLive({ state: 'retiring', [end]: 1000 }, 1000)).toBe(false);
  });

  it('ends at the earlier of both', () => {
    expect(isLive({ state: 'retiring', expiresAt: 1000, notAfter: 500 }, 700)).toBe(false);
    expect(isLive({ state: 'retiring', expiresAt: 500, notAfter: 1000 }, 700)).toBe(false);
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nextNoticeAt, noticeAt, noticesOf } from '../../../../operator/src/reconcile/rotation/notices.ts';
import { at, start } from '../../../builders/rotation.ts';

function version(lifetime: string) {
  return { issuedAt: start, expiresAt: at(lifetime) };
}

describe('notice of an expiry [S1-15]', () => {
  it.each([
    ['30, 7 and 1 days before it', '8760h', ['8040h', '8592h', '8736h']],
    ['at a third of a short life instead of 30 days', '720h', ['480h', '552h', '696h']],
    ['at a third of a shorter life instead of 7 days', '480h', ['320h', '456h']],
    ['once when a third of the life is less than a day', '12h', ['8h']],
  ] as const)('is given %s', (_what, lifetime, instants) => {
    expect(noticesOf(version(lifetime)).map((notice) => notice.at)).toEqual(instants.map(at));
  });

  it('is not given when nothing expires', () => {
    expect(noticesOf({ issuedAt: start })).toEqual([]);
    expect(nextNoticeAt({ issuedAt: start }, start)).toBeUndefined();
  });

  it('counts one after the other', () => {
    const year = version('8760h');
    expect(noticeAt(year, at('8040h') - 1)).toBeUndefined();
    expect(noticeAt(year, at('8040h'))).toMatchObject({ at: at('8040h'), beforeMs: 30 * 86_400_000 });
    expect(noticeAt(year, at('8592h'))?.beforeMs).toBe(7 * 86_400_000);
    expect(noticeAt(year, at('9999h'))?.beforeMs).toBe(86_400_000);
    expect(nextNoticeAt(year, start)).toBe(at('8040h'));
    expect(nextNoticeAt(year, at('8592h'))).toBe(at('8736h'));
    expect(nextNoticeAt(year, at('8736h'))).toBeUndefined();
  });

  it('comes at whole seconds, in order, within the last third of the life', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4e9 }), (seconds) => {
        const expiresAt = start + seconds * 1000;
        const instants = noticesOf({ issuedAt: start, expiresAt }).map((notice) => notice.at);
        expect(instants.length).toBeGreaterThan(0);
        expect(instants).toEqual([...new Set(instants)].sort((a, b) => a - b));
        for (const instant of instants) {
          expect(instant % 1000).toBe(0);
          expect(instant).toBeLessThanOrEqual(expiresAt);
          expect(instant).toBeGreaterThanOrEqual(start + (seconds * 1000 * 2) / 3 - 1);
        }
      }),
    );
  });
});

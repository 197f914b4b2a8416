import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { driftInstantAfter, nextInstant } from '../../../operator/src/reconcile/wake.ts';
import { observed } from '../../builders/observed.ts';

const hourMs = 3_600_000;
const minuteMs = 60_000;

function wakesAfter(given: Parameters<typeof observed>[0]): number | undefined {
  const o = observed(given);
  const at = nextInstant(o);
  return at === undefined ? undefined : at - o.now;
}

describe('the instant of the next comparison', () => {
  it('comes after the given one, within one interval, at the same phase for ever', () => {
    fc.assert(
      fc.property(
        fc.uuid(),
        fc.integer({ min: 1, max: 48 * hourMs }),
        fc.integer({ min: 0, max: 4e12 }),
        (uid, interval, after) => {
          const at = driftInstantAfter(uid, interval, after);
          expect(at).toBeGreaterThan(after);
          expect(at - after).toBeLessThanOrEqual(interval);
          expect(driftInstantAfter(uid, interval, at)).toBe(at + interval);
        },
      ),
    );
  });

  it('differs from key to key, so that a fleet does not come at once', () => {
    const uids = ['0a000000-1', '1b000000-1', '2c000000-1', '3d000000-1', '4e000000-1'];
    expect(new Set(uids.map((uid) => driftInstantAfter(uid, 6 * hourMs, 0))).size).toBe(uids.length);
  });

  it('exists for a uid that is no UUID', () => {
    expect(driftInstantAfter('key-uid', hourMs, 0)).toBe(hourMs);
  });
});

describe('a key that is left alone is looked at again', () => {
  it('at the next comparison when nothing else comes first', () => {
    expect(wakesAfter({})).toBe(6 * hourMs);
  });

  it.each([
    ['its expiry', { versions: [{ epoch: 1, state: 'active', expires: '2h' }] }, 2 * hourMs],
    [
      'the end of the old version',
      {
        versions: [
          { epoch: 1, state: 'retiring', notAfter: '90m' },
          { epoch: 2, state: 'active' },
        ],
        deliveries: [
          { at: 'vault', holds: 'K2' },
          { at: 'local', holds: 'K2' },
        ],
      },
      90 * minuteMs,
    ],
    ['the delivery deadline of an attempt', { versions: [{ epoch: 1, state: 'pending', issued: '-50m' }] }, 10 * minuteMs],
    ['an expiry.at that comes before what the versions say', { spec: { expiry: { at: '2026-01-01T03:00:00Z' } } }, 3 * hourMs],
    ['a minute after a silent location', { sights: { vault: 'failed' } }, minuteMs],
    [
      'a minute while a location is not empty yet',
      { deliveries: [{ at: 'vault', state: 'withdrawing', since: '-1m' }] },
      minuteMs,
    ],
    ['the withdraw deadline', { deliveries: [{ at: 'vault', state: 'withdrawing', since: '-9m30s' }] }, 30_000],
    [
      'the end of the brake on minting',
      { versions: [{ epoch: 2, state: 'active', cause: 'ValueLost', issued: '-4m', used: '-4m' }] },
      6 * minuteMs,
    ],
  ] as const)('at %s', (_what, given, ms) => {
    expect(wakesAfter(given)).toBe(ms);
  });

  it('at no instant that has passed', () => {
    expect(
      wakesAfter({ deliveries: [], versions: [{ epoch: 1, state: 'pending', issued: '-2h', expires: 'never' }] }),
    ).toBeUndefined();
  });
});

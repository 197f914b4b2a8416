import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { durationMs } from '../../../../operator/src/domain/duration.ts';
import { lastMoment, rotationDue, type ActiveVersion } from '../../../../operator/src/reconcile/rotation/due.ts';
import { expiryOfMinted, type RotationPolicy } from '../../../../operator/src/reconcile/rotation/policy.ts';
import { at, livingKeys, rotationPolicy, start } from '../../../builders/rotation.ts';

const noJitter = '00000000-0000-4000-8000-000000000000';
const mostJitter = 'ffffffff-0000-4000-8000-000000000000';

function after(lifetime: string): RotationPolicy['expiry'] {
  return { kind: 'after', lifetimeMs: durationMs(lifetime) };
}

/** An active version that was minted at the start; it expires so long after, or never. */
function version(expires: string | undefined): ActiveVersion {
  return { issuedAt: start, activatedAt: start, ...(expires === undefined ? {} : { expiresAt: at(expires) }) };
}

describe('a rotation is due', () => {
  it.each([
    ['every so often since the activation', { everyMs: durationMs('720h') }, '8760h', '720h', 'Scheduled'],
    ['so long before the expiry', { beforeExpiryMs: durationMs('240h') }, '8760h', '8520h', 'BeforeExpiry'],
    [
      'at the earlier of both, when that is the schedule',
      { everyMs: durationMs('720h'), beforeExpiryMs: durationMs('240h') },
      '8760h',
      '720h',
      'Scheduled',
    ],
    [
      'at the earlier of both, when that is the expiry',
      { everyMs: durationMs('8600h'), beforeExpiryMs: durationMs('240h') },
      '8760h',
      '8520h',
      'BeforeExpiry',
    ],
    ['at two thirds of the lifetime when nothing is said', {}, '8760h', '5840h', 'BeforeExpiry'],
    ['at the last moment when the schedule would come later', { everyMs: durationMs('9000h') }, '8760h', '8735h', 'BeforeExpiry'],
    [
      'at the last moment when beforeExpiry leaves no overlap',
      { beforeExpiryMs: durationMs('1h') },
      '8760h',
      '8735h',
      'BeforeExpiry',
    ],
    ['every second if that is asked for: other brakes hold it', { everyMs: 1000 }, '8760h', '1s', 'Scheduled'],
    [
      'by the schedule alone when the key is meant to end',
      { everyMs: durationMs('720h'), onExpiry: 'Expire' },
      '8760h',
      '720h',
      'Scheduled',
    ],
    [
      'before the expiry when that was asked for, whatever follows an expiry',
      { beforeExpiryMs: durationMs('240h'), onExpiry: 'Expire' },
      '8760h',
      '8520h',
      'BeforeExpiry',
    ],
    ['when `after` was added to a key without an end', { expiry: after('48h') }, undefined, '32h', 'Scheduled'],
    [
      'by the schedule when every version ends at one instant',
      { expiry: { kind: 'at', at: at('8760h') }, everyMs: durationMs('720h') },
      '8760h',
      '720h',
      'Scheduled',
    ],
    [
      'by the schedule when no version ends',
      { expiry: { kind: 'never' }, everyMs: durationMs('720h') },
      undefined,
      '720h',
      'Scheduled',
    ],
    [
      'not before the next version outlives the present one, when `after` was shortened',
      { expiry: after('100h'), overlapMs: durationMs('2h') },
      '8760h',
      '8662h',
      'BeforeExpiry',
    ],
  ] as const)('%s', (_what, changes, expires, due, cause) => {
    const found = rotationDue(rotationPolicy(changes), version(expires), noJitter);
    expect(found).toMatchObject({ at: at(due), cause });
  });

  it.each([
    ['`at` alone: the next version would end with the present one', { expiry: { kind: 'at', at: at('8760h') } }, '8760h'],
    ['`at` with beforeExpiry', { expiry: { kind: 'at', at: at('8760h') }, beforeExpiryMs: durationMs('240h') }, '8760h'],
    ['a schedule that comes after `at`', { expiry: { kind: 'at', at: at('24h') }, everyMs: durationMs('48h') }, '24h'],
    ['a key that never expires and has no schedule', { expiry: { kind: 'never' } }, undefined],
    ['a key that is meant to end', { onExpiry: 'Expire' }, '8760h'],
    ['a key that is meant to end before its schedule', { onExpiry: 'Expire', everyMs: durationMs('9000h') }, '8760h'],
  ] as const)('never by itself with %s', (_what, changes, expires) => {
    expect(rotationDue(rotationPolicy(changes), version(expires), noJitter)).toBeUndefined();
  });

  it('up to a tenth later than two thirds of the lifetime, by the UID', () => {
    const policy = rotationPolicy({ expiry: after('720h') });
    const due = (uid: string) => rotationDue(policy, version('720h'), uid)?.at ?? 0;
    expect(due(noJitter)).toBe(at('480h'));
    expect(due(mostJitter)).toBeLessThanOrEqual(at('528h'));
    expect(due(mostJitter)).toBeGreaterThan(at('527h'));
    fc.assert(
      fc.property(fc.uuid(), (uid) => {
        expect(due(uid)).toBe(due(uid));
        expect(due(uid)).toBeGreaterThanOrEqual(at('480h'));
        expect(due(uid)).toBeLessThanOrEqual(at('528h'));
      }),
    );
    const uids = Array.from({ length: 16 }, (_, digit) => `${digit.toString(16)}000${noJitter.slice(4)}`);
    expect(new Set(uids.map(due)).size).toBe(uids.length);
  });

  it('a second after the activation at the soonest, when the delivery took longer than anybody thought', () => {
    const late = { ...version('48h'), activatedAt: at('40h') + 1 };
    expect(rotationDue(rotationPolicy({ expiry: after('48h') }), late, noJitter)?.at).toBe(at('40h') + 2000);
  });

  it('never before the activation, never after the last moment, at a whole second, and with a successor that lives on', () => {
    fc.assert(
      fc.property(livingKeys, fc.uuid(), ({ policy, active, lifetimeMs }, uid) => {
        const due = rotationDue(policy, active, uid);
        const last = lastMoment(policy, active);
        if (due === undefined || last === undefined) throw new Error('a key with `after` is always rotated');
        expect(due.at % 1000).toBe(0);
        expect(due.at).toBeGreaterThanOrEqual((active.activatedAt ?? Number.NaN) + 1000);
        expect(due.at).toBeLessThanOrEqual(Math.max(last, (active.activatedAt ?? 0) + 1999));
        expect(last).toBeLessThanOrEqual((active.expiresAt ?? 0) - policy.overlapMs - Math.min(3_600_000, lifetimeMs / 10));
        if (due.cause === 'Scheduled' || due.at > last) return;
        const outlivesMs = (expiryOfMinted(policy.expiry, due.at) ?? 0) - (active.expiresAt ?? 0);
        const marginMs = Math.min(3_600_000, lifetimeMs / 10) + 1000;
        expect(outlivesMs).toBeGreaterThanOrEqual(policy.overlapMs - marginMs);
      }),
    );
  });
});

describe('the last moment', () => {
  it('leaves the overlap and a margin of an hour, or of a tenth of a short life', () => {
    expect(lastMoment(rotationPolicy(), version('8760h'))).toBe(at('8735h'));
    const short = rotationPolicy({ expiry: after('100s'), overlapMs: durationMs('20s') });
    expect(lastMoment(short, version('100s'))).toBe(at('70s'));
  });

  it('comes only for a version whose successor ends later', () => {
    expect(lastMoment(rotationPolicy(), version(undefined))).toBeUndefined();
    expect(lastMoment(rotationPolicy({ expiry: { kind: 'at', at: at('24h') } }), version('24h'))).toBeUndefined();
  });
});

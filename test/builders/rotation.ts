import fc from 'fast-check';
import { durationMs } from '../../operator/src/domain/duration.ts';
import type { Instant } from '../../operator/src/domain/time.ts';
import type { ActiveVersion } from '../../operator/src/reconcile/rotation/due.ts';
import type { RotationPolicy } from '../../operator/src/reconcile/rotation/policy.ts';
import type { WindowSpec } from '../../operator/src/reconcile/rotation/windows.ts';

/** The instant that the examples count from. */
export const start: Instant = Date.parse('2026-01-01T00:00:00Z');

/** `-24h` or `1h30m` from {@link start}. */
export function at(text: string): Instant {
  return text.startsWith('-') ? start - durationMs(text.slice(1)) : start + durationMs(text);
}

/** A policy as the defaults make it, for a key of one year. */
export function rotationPolicy(changes: Partial<RotationPolicy> = {}): RotationPolicy {
  return {
    expiry: { kind: 'after', lifetimeMs: durationMs('8760h') },
    onExpiry: 'Rotate',
    retireOldKey: 'WhenUnused',
    overlapMs: durationMs('24h'),
    quietPeriodMs: durationMs('10m'),
    maxOverlapMs: durationMs('168h'),
    ...changes,
  };
}

/** Time zones that change their clocks in different ways: both hemispheres, half an hour, at midnight, in Ramadan, not at all. */
export const zones = [
  'UTC',
  'Europe/Berlin',
  'America/New_York',
  'America/St_Johns',
  'America/Santiago',
  'Australia/Lord_Howe',
  'Africa/Casablanca',
  'Asia/Beirut',
  'Asia/Kathmandu',
  'Pacific/Chatham',
] as const;

const secondsUpTo = (most: number) => fc.integer({ min: 0, max: most }).map((seconds) => seconds * 1000);

/** A policy with `after` that validation accepts, a version of it, and the lifetime of that version. */
export const livingKeys = fc
  .record({
    lifetimeMs: fc.oneof(fc.integer({ min: 10, max: 3600 }), fc.integer({ min: 3600, max: 40_000_000 })).map((s) => s * 1000),
    overlapShare: fc.double({ min: 0, max: 0.5, noNaN: true }),
    everyMs: fc.option(fc.integer({ min: 1, max: 10_000_000 }).map((s) => s * 1000)),
    beforeShare: fc.option(fc.double({ min: 0.001, max: 0.999, noNaN: true })),
    longerMs: secondsUpTo(1_000_000),
    quietPeriodMs: secondsUpTo(7200),
    issuedAt: secondsUpTo(500_000_000).map((ms) => start + ms),
    deliveringMs: fc.integer({ min: 0, max: 3000 }),
    retireOldKey: fc.constantFrom('WhenUnused' as const, 'AfterOverlap' as const),
  })
  .map(({ lifetimeMs, overlapShare, everyMs, beforeShare, longerMs, issuedAt, deliveringMs, quietPeriodMs, retireOldKey }) => {
    const overlapMs = Math.floor((lifetimeMs * overlapShare) / 1000) * 1000;
    const policy = rotationPolicy({
      expiry: { kind: 'after', lifetimeMs },
      overlapMs,
      maxOverlapMs: overlapMs + longerMs,
      quietPeriodMs,
      retireOldKey,
      ...(everyMs === null ? {} : { everyMs }),
      ...(beforeShare === null ? {} : { beforeExpiryMs: Math.floor((lifetimeMs * beforeShare) / 1000) * 1000 }),
    });
    const active: ActiveVersion = { issuedAt, activatedAt: issuedAt + deliveringMs, expiresAt: issuedAt + lifetimeMs };
    return { policy, active, lifetimeMs };
  });

/** Windows that open at least once a month, in any zone. */
export const windowSpecs: fc.Arbitrary<WindowSpec> = fc
  .record({
    minute: fc.oneof(fc.integer({ min: 0, max: 59 }).map(String), fc.constant('*/20')),
    hour: fc.oneof(fc.integer({ min: 0, max: 23 }).map(String), fc.constant('*')),
    days: fc.constantFrom('* * *', '* * 6', '1 * *', '* * 1-5', 'L * *', '* * 0#1'),
    timezone: fc.constantFrom(...zones),
    hours: fc.integer({ min: 1, max: 48 }),
  })
  .map(({ minute, hour, days, timezone, hours }) => ({ schedule: `${minute} ${hour} ${days}`, duration: `${hours}h`, timezone }));

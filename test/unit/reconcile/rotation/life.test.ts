import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ceilToSecond, type Instant } from '../../../../operator/src/domain/time.ts';
import { stepOfPlanned } from '../../../../operator/src/reconcile/rotation/begin.ts';
import { rotationDue } from '../../../../operator/src/reconcile/rotation/due.ts';
import type { RotationPolicy } from '../../../../operator/src/reconcile/rotation/policy.ts';
import { retirementOf } from '../../../../operator/src/reconcile/rotation/retire.ts';
import { windowsOf, type WindowSpec } from '../../../../operator/src/reconcile/rotation/windows.ts';
import { livingKeys, start, windowSpecs } from '../../../builders/rotation.ts';

/** One version in a life: what the store would hold of it. */
interface Lived {
  readonly issuedAt: Instant;
  readonly activatedAt: Instant;
  readonly expiresAt: Instant;
  endsAt: Instant;
}

const uid = '7f3a9c00-0000-4000-8000-000000000000';

/**
 * Lives through `rotations`, waking only when told to. Each rotation mints and delivers at once; nothing is ever known of
 * use (`blind`), or nobody uses an old version and the new one is seen at once.
 */
function live(policy: RotationPolicy, specs: readonly WindowSpec[], rotations: number, blind: boolean): readonly Lived[] {
  if (policy.expiry.kind !== 'after') throw new Error('this life is for keys with `after`');
  const { lifetimeMs } = policy.expiry;
  const windows = windowsOf(specs);
  const mint = (at: Instant): Lived => {
    const expiresAt = ceilToSecond(at + lifetimeMs);
    return { issuedAt: at, activatedAt: at, expiresAt, endsAt: expiresAt };
  };
  let current = mint(start);
  const versions = [current];
  let old: Lived | undefined;
  for (let now = start, wakes = 0; versions.length <= rotations; wakes += 1) {
    if (wakes > 20_000) throw new Error('wakes without end');
    const due = rotationDue(policy, current, uid);
    let lookAt = Number.POSITIVE_INFINITY;
    if (old !== undefined && old.endsAt > now) {
      const horizon = blind ? ({ kind: 'unknown', why: 'lagging' } as const) : ({ kind: 'known', quietThrough: now } as const);
      const seen = blind ? {} : { firstUsedAt: current.activatedAt };
      const successor = {
        ...seen,
        activatedAt: current.activatedAt,
        ...(due?.lastAt === undefined ? {} : { lastAt: due.lastAt }),
      };
      const from = { policy, old: { keyId: 'K', lost: false, expiresAt: old.expiresAt }, current: successor };
      const found = retirementOf({ ...from, deliveredAt: current.activatedAt, rolledOut: false, horizon }, now);
      old.endsAt = Math.min(old.endsAt, found.notAfter);
      // Who is blind would look in vain: the end comes by itself.
      if (found.kind === 'waits' && !blind) lookAt = found.lookAt;
    }
    const older = old !== undefined && old.endsAt > now ? { olderEndsAt: old.endsAt } : {};
    const step = stepOfPlanned(due, { windows, suspended: false, ...older }, now);
    if (step.kind === 'begin') {
      old = current;
      current = mint(now);
      versions.push(current);
      continue;
    }
    if (step.kind !== 'wait') throw new Error(`a life that does not go on: ${step.kind}`);
    now = Math.min(step.wakeAt, lookAt);
  }
  return versions;
}

describe('a key that nobody looks after', () => {
  it.each([
    ['that is seen to be adopted', false],
    ['of which nothing is known', true],
  ])('%s is never without a valid version, overlaps as promised, and never has three', (_what, blind) => {
    const windows = fc.array(windowSpecs, { maxLength: 1 });
    fc.assert(
      fc.property(livingKeys, windows, ({ policy }, specs) => {
        const versions = live(policy, specs, 4, blind);
        for (const [index, version] of versions.entries()) {
          const [next, afterNext] = versions.slice(index + 1);
          if (next === undefined) continue;
          expect(next.activatedAt).toBeGreaterThan(version.activatedAt);
          // The old one is still valid for the overlap when the new one is there.
          expect(version.endsAt - next.activatedAt).toBeGreaterThanOrEqual(policy.overlapMs - 1000);
          expect(version.endsAt).toBeLessThanOrEqual(version.expiresAt);
          if (afterNext !== undefined) expect(version.endsAt).toBeLessThanOrEqual(afterNext.activatedAt);
        }
      }),
      { numRuns: 40 },
    );
  });
});

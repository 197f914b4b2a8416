import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { retirementOf, type RetireInput, type Retirement } from '../../../../operator/src/reconcile/rotation/retire.ts';
import { at, rotationPolicy, start } from '../../../builders/rotation.ts';

type Changes = Partial<Omit<RetireInput, 'policy' | 'old' | 'current'>> & {
  /** Nobody has used the new version yet. */
  readonly unseen?: true;
  readonly policy?: Partial<RetireInput['policy']>;
  readonly old?: Partial<RetireInput['old']>;
  readonly current?: Partial<RetireInput['current']>;
};

/** A new version was activated at the start and is everywhere; it was seen, and the old one was last used an hour later. */
function input({ policy, old, current, unseen, ...rest }: Changes = {}): RetireInput {
  return {
    policy: rotationPolicy(policy),
    old: { keyId: 'K1', lost: false, lastUsedAt: at('1h'), expiresAt: at('2000h'), ...old },
    current: { activatedAt: start, ...(unseen === true ? {} : { firstUsedAt: at('1m') }), ...current },
    deliveredAt: start,
    rolledOut: false,
    horizon: { kind: 'known', quietThrough: at('9000h') },
    ...rest,
  };
}

const unknown = { kind: 'unknown', why: 'lagging' } as const;
/** The same without what the case leaves out. */
function without(given: RetireInput, member: 'deliveredAt'): RetireInput {
  const { [member]: _left, ...rest } = given;
  return rest;
}

describe('an old version by AfterOverlap', () => {
  const policy = { retireOldKey: 'AfterOverlap' } as const;

  it('ends when the overlap since the activation is over, used or not', () => {
    const given = input({ policy, horizon: unknown });
    expect(retirementOf(given, start)).toEqual({ kind: 'ends', notAfter: at('24h'), why: 'OverlapOver' });
    expect(retirementOf(given, at('30h'))).toEqual({ kind: 'ends', notAfter: at('30h'), why: 'OverlapOver' });
  });

  it('keeps its overlap from the last location that got the new version', () => {
    expect(retirementOf(input({ policy, deliveredAt: at('5h') }), at('5h'))).toMatchObject({ notAfter: at('29h') });
  });

  it('waits for a location that lacks the new version, and no longer than maxOverlap', () => {
    const given = without(input({ policy }), 'deliveredAt');
    expect(retirementOf(given, at('30h'))).toMatchObject({
      kind: 'waits',
      why: 'Delivering',
      notAfter: at('168h'),
      latest: 'MaxOverlap',
    });
    expect(retirementOf(given, at('168h'))).toEqual({ kind: 'ends', notAfter: at('168h'), why: 'MaxOverlap' });
  });
});

describe('an old version by WhenUnused', () => {
  it('ends when the overlap is over, the new one was seen and the old one is quiet', () => {
    expect(retirementOf(input(), at('24h'))).toEqual({ kind: 'ends', notAfter: at('24h'), why: 'Unused' });
    expect(retirementOf(input(), at('25h') + 1)).toEqual({ kind: 'ends', notAfter: at('25h') + 1000, why: 'Unused' });
  });

  it.each([
    ['a location that lacks the new version', without(input(), 'deliveredAt'), 'Delivering'],
    ['the overlap, counted from the last location', input({ deliveredAt: at('20h') }), 'OverlapRunning'],
    ['the first use of the new version', input({ unseen: true }), 'NotSeenYet'],
    ['the record of use, when the new version is not seen', input({ horizon: unknown, unseen: true }), 'UsageUnknown'],
    ['a complete record of use', input({ horizon: unknown }), 'UsageUnknown'],
    [
      'the quiet period since the last use',
      input({ old: { lastUsedAt: at('29h55m') }, horizon: { kind: 'known', quietThrough: at('30h') } }),
      'StillUsed',
    ],
    [
      'the record of use to reach the quiet period',
      input({ horizon: { kind: 'known', quietThrough: at('1h9m59s') } }),
      'StillUsed',
    ],
    [
      'quiet that came after the activation',
      input({ old: { lastUsedAt: at('-99h') }, horizon: { kind: 'known', quietThrough: at('9m59s') } }),
      'StillUsed',
    ],
  ] as const)('waits for %s', (_what, given, why) => {
    const found = retirementOf(given, at('30h'));
    expect(found).toMatchObject({ kind: 'waits', why, notAfter: at('168h'), latest: 'MaxOverlap' });
    expect(found.kind === 'waits' && found.lookAt > at('30h') && found.lookAt <= at('168h')).toBe(true);
  });

  it('takes complete rollouts for the first use of the new version', () => {
    const given = input({ rolledOut: true, unseen: true });
    expect(retirementOf(given, at('24h'))).toMatchObject({ kind: 'ends', why: 'Unused' });
  });

  it('is asked again exactly when it may be quiet, if nobody uses it any more', () => {
    // A use is known to the minute.
    const given = input({ old: { lastUsedAt: at('29h59m') }, horizon: { kind: 'known', quietThrough: at('30h') } });
    expect(retirementOf(given, at('30h'))).toMatchObject({ why: 'StillUsed', lookAt: at('30h10m') });
  });

  it('is not asked for each second when it stays in use and the quiet period is short', () => {
    const policy = { quietPeriodMs: 1_000 };
    const used = (time: string) =>
      input({ policy, old: { lastUsedAt: at(time) }, horizon: { kind: 'known', quietThrough: at(time) } });
    expect(retirementOf(used('24h10s'), at('24h10s'))).toMatchObject({ why: 'StillUsed', lookAt: at('24h1m11s') });
    expect(retirementOf(used('34h'), at('34h'))).toMatchObject({ why: 'StillUsed', lookAt: at('34h6m') });
  });

  it('ends at maxOverlap whoever uses it', () => {
    const given = input({ horizon: unknown, old: { lastUsedAt: at('168h') } });
    expect(retirementOf(given, at('168h'))).toEqual({ kind: 'ends', notAfter: at('168h'), why: 'MaxOverlap' });
  });

  it('never outlives its expiry', () => {
    const given = input({ horizon: unknown, old: { expiresAt: at('40h') } });
    expect(retirementOf(given, at('30h'))).toMatchObject({ kind: 'waits', notAfter: at('40h'), latest: 'ExpiryFirst' });
    const early = input({ policy: { retireOldKey: 'AfterOverlap' }, old: { expiresAt: at('10h') } });
    expect(retirementOf(early, start)).toEqual({ kind: 'ends', notAfter: at('10h'), why: 'ExpiryFirst' });
  });

  it('makes room when the version after it must be replaced, but not before the overlap is over', () => {
    const given = (last: string) => input({ horizon: unknown, current: { lastAt: at(last) } });
    expect(retirementOf(given('60h'), at('30h'))).toMatchObject({ kind: 'waits', notAfter: at('60h'), latest: 'SuccessorDue' });
    expect(retirementOf(given('60h'), at('60h'))).toEqual({ kind: 'ends', notAfter: at('60h'), why: 'SuccessorDue' });
    expect(retirementOf(given('10h'), at('12h'))).toMatchObject({ kind: 'waits', notAfter: at('24h') });
  });
});

describe('an attempt whose value is in no location', () => {
  it('ends an overlap after the winner was activated, whatever the others wait for', () => {
    const given = without(input({ old: { lost: true }, horizon: unknown }), 'deliveredAt');
    expect(retirementOf(given, at('1h'))).toEqual({ kind: 'ends', notAfter: at('24h'), why: 'OverlapOver' });
    expect(retirementOf(input({ old: { lost: true }, deliveredAt: at('20h') }), at('1h')).notAfter).toBe(at('24h'));
  });
});

describe('any old version', () => {
  const seconds = (most: number) => fc.integer({ min: 0, max: most }).map((count) => start + count * 1000);
  const inputs = fc
    .record({
      overlap: fc.integer({ min: 0, max: 100_000 }),
      longer: fc.integer({ min: 0, max: 500_000 }),
      quiet: fc.integer({ min: 0, max: 10_000 }),
      retireOldKey: fc.constantFrom('WhenUnused' as const, 'AfterOverlap' as const),
      lost: fc.boolean(),
      lastUsedAt: fc.option(seconds(700_000)),
      expiresAt: fc.option(seconds(700_000)),
      firstUsedAt: fc.option(seconds(700_000)),
      lastAt: fc.option(seconds(700_000)),
      deliveredAt: fc.option(seconds(100_000)),
      rolledOut: fc.boolean(),
      quietThrough: fc.option(seconds(700_000)),
    })
    .map((given): RetireInput => {
      const present = <T extends object>(value: T): T =>
        Object.fromEntries(Object.entries(value).filter(([, member]) => member !== null)) as T;
      const { overlap, longer, quiet, retireOldKey, lost, lastUsedAt, expiresAt, firstUsedAt, lastAt, deliveredAt } = given;
      return present({
        policy: { retireOldKey, overlapMs: overlap * 1000, maxOverlapMs: (overlap + longer) * 1000, quietPeriodMs: quiet * 1000 },
        old: present({ keyId: 'K1', lost, lastUsedAt, expiresAt }),
        current: present({ activatedAt: start, firstUsedAt, lastAt }),
        deliveredAt,
        rolledOut: given.rolledOut,
        horizon: given.quietThrough === null ? unknown : { kind: 'known', quietThrough: given.quietThrough },
      }) as RetireInput;
    });

  it('ends at a whole second, never past maxOverlap or its expiry, and not within the overlap unless it expires', () => {
    fc.assert(
      fc.property(inputs, fc.integer({ min: 0, max: 7e8 }), (given, ms) => {
        const now = start + ms;
        const found = retirementOf(given, now);
        const expiresAt = given.old.expiresAt ?? Number.POSITIVE_INFINITY;
        const { overlapMs, maxOverlapMs } = given.policy;
        expect(found.notAfter % 1000).toBe(0);
        expect(found.notAfter).toBeLessThanOrEqual(Math.min(start + maxOverlapMs, expiresAt));
        expect(found.notAfter).toBeGreaterThanOrEqual(Math.min(start + overlapMs, expiresAt));
        if (found.kind === 'waits') {
          expect(found.lookAt).toBeGreaterThan(now);
          expect(found.lookAt).toBeLessThanOrEqual(found.notAfter);
        } else if (found.why === 'Unused') {
          expect(given.horizon.kind).toBe('known');
          expect(given.deliveredAt).toBeDefined();
          expect(given.current.firstUsedAt !== undefined || given.rolledOut).toBe(true);
        }
      }),
    );
  });

  it('ends within a bounded number of looks, whoever uses it and however late the authorizers report', () => {
    fc.assert(
      fc.property(inputs, fc.integer({ min: 0, max: 60 }), (given, lagSeconds) => {
        let now = start;
        let looks = 0;
        const look = (): Retirement => retirementOf(seenAt(given, now, lagSeconds * 1000), now);
        for (let found = look(); found.kind === 'waits'; found = look()) {
          now = found.lookAt;
          looks += 1;
          if (looks > 2000) throw new Error('no end');
        }
      }),
      { numRuns: 300 },
    );
  });
});

/** What is known of it at an instant: nothing of what is to come, and of its use, which goes on until the last one, what was reported. */
function seenAt(given: RetireInput, now: number, lagMs: number): RetireInput {
  const { old, current, deliveredAt, horizon, ...rest } = given;
  const { lastUsedAt, ...oldRest } = old;
  const { firstUsedAt, ...currentRest } = current;
  const reported = now - lagMs;
  return {
    ...rest,
    old: { ...oldRest, ...(lastUsedAt === undefined ? {} : { lastUsedAt: Math.min(lastUsedAt, reported) }) },
    current: { ...currentRest, ...(firstUsedAt !== undefined && firstUsedAt <= reported ? { firstUsedAt } : {}) },
    ...(deliveredAt !== undefined && deliveredAt <= now ? { deliveredAt } : {}),
    horizon: horizon.kind === 'known' ? { kind: 'known', quietThrough: reported } : horizon,
  };
}

import { describe, expect, it } from 'vitest';
import type { RotationStep } from '../../../../operator/src/reconcile/rotation/begin.ts';
import type { Retirement } from '../../../../operator/src/reconcile/rotation/retire.ts';
import {
  adoptedOf,
  expiringOf,
  nextExpiringAt,
  rotatingOf,
  sentenceOfOld,
  type ExpiryOutlook,
} from '../../../../operator/src/reconcile/rotation/statements.ts';
import { no, yes } from '../../../../operator/src/reconcile/verdict.ts';
import { at, start } from '../../../builders/rotation.ts';

const known = { kind: 'known', quietThrough: start } as const;

function wait(why: 'NotDue' | 'OverlapRunning' | 'OutsideWindow', begins = '10h'): RotationStep {
  return { kind: 'wait', cause: 'Scheduled', why, dueAt: at('10h'), beginsAt: at(begins), wakeAt: at(begins) };
}

describe('Adopted', () => {
  it('is true once the version was seen and every rollout is complete', () => {
    expect(adoptedOf({ firstUsedAt: start }, known, undefined)).toMatchObject({ status: 'True', reason: 'SeenInUse' });
    expect(adoptedOf({ firstUsedAt: start }, known, yes('SeenInUse'))).toMatchObject({ status: 'True' });
    expect(adoptedOf({ firstUsedAt: start }, known, no('RolloutInProgress', '1 of 3'))).toEqual(
      no('RolloutInProgress', '1 of 3'),
    );
  });

  it('tells not seen from not known', () => {
    expect(adoptedOf({}, known, undefined)).toMatchObject({ status: 'False', reason: 'NotSeenYet' });
    const blind = adoptedOf({}, { kind: 'unknown', why: 'lagging' }, undefined);
    expect(blind).toMatchObject({ status: 'Unknown', reason: 'UsageUnknown' });
    expect(blind.message).toContain('behind');
  });
});

describe('Rotating', () => {
  const ends: Retirement = { kind: 'ends', notAfter: at('24h'), why: 'OverlapOver' };

  it('is true from the mint to the end of the old version, with the cause', () => {
    const step = wait('NotDue');
    expect(rotatingOf({ pending: { keyId: 'K2', cause: 'Requested' }, step })).toMatchObject({
      status: 'True',
      reason: 'Requested',
    });
    const replaced = { cause: 'Scheduled', old: { keyId: 'K1' }, retirement: ends } as const;
    expect(rotatingOf({ replaced, step })).toMatchObject({ status: 'True', reason: 'Scheduled' });
  });

  it('says what a request that came meanwhile waits for', () => {
    const replaced = { cause: 'Requested', old: { keyId: 'K1' }, retirement: ends } as const;
    const [beginsAt, wakeAt] = [at('24h'), at('24h')];
    const asked = { kind: 'wait', cause: 'Requested', why: 'OverlapRunning', beginsAt, wakeAt } as const;
    expect(rotatingOf({ replaced, step: asked }).message).toContain(
      'Another rotation was asked for; it begins when the old version has ended, at 2026-01-02T00:00:00Z at the latest.',
    );
    const suspended = { kind: 'suspended', cause: 'Requested' } as const;
    expect(rotatingOf({ replaced, step: suspended }).message).toContain('it waits while the key is suspended');
    expect(rotatingOf({ replaced, step: wait('OverlapRunning', '24h') }).message).not.toContain('Another');
  });

  it.each([
    ['when the next one is due', wait('NotDue'), 'Steady', '2026-01-01T10:00:00Z'],
    ['what window it waits for', wait('OutsideWindow', '26h'), 'OutsideWindow', '2026-01-02T02:00:00Z'],
    ['that the old version must end first', wait('OverlapRunning', '20h'), 'OverlapRunning', '2026-01-01T20:00:00Z'],
    ['that it waits while suspended', { kind: 'suspended', cause: 'Scheduled', dueAt: at('10h') }, 'Suspended', '10:00'],
    ['since when it is due', { kind: 'begin', cause: 'BeforeExpiry', dueAt: at('10h') }, 'BeforeExpiry', '10:00'],
    ['that none is planned', { kind: 'none' }, 'Steady', 'No rotation'],
    ['that somebody asked, without an instant of its own', { kind: 'begin', cause: 'Requested' }, 'Requested', 'asked for'],
  ] as const)('says otherwise %s', (_what, step, reason, text) => {
    const found = rotatingOf({ step });
    expect(found).toMatchObject({ status: 'False', reason });
    expect(found.message).toContain(text);
  });
});

describe('the sentence about an old version', () => {
  const used = (by: string, when: string) => ({ by, at: at(when) });
  const stillUsed: Retirement = { kind: 'waits', notAfter: at('168h'), latest: 'MaxOverlap', why: 'StillUsed', lookAt: at('1h') };

  it('says until when, and why', () => {
    expect(sentenceOfOld({ keyId: 'K1' }, { kind: 'ends', notAfter: at('24h'), why: 'Unused' })).toBe(
      'The old version K1 is valid until 2026-01-02T00:00:00Z: it is not used any more.',
    );
    expect(sentenceOfOld({ keyId: 'K1' }, { ...stillUsed, why: 'NotSeenYet' })).toContain(
      'at the latest: the new version has not',
    );
  });

  it('says who still uses it, and stays the same when they use it again', () => {
    const first = sentenceOfOld({ keyId: 'K1', usedBy: [used('curl', '2h'), used('billing', '1h')] }, stillUsed);
    const later = sentenceOfOld(
      { keyId: 'K1', usedBy: [used('billing', '9h'), used('curl', '8h')] },
      { ...stillUsed, lookAt: at('9h') },
    );
    expect(first).toContain('it is used by billing; curl.');
    expect(later).toBe(first);
  });
});

describe('Expiring', () => {
  const year: ExpiryOutlook = {
    active: { keyId: 'K1', issuedAt: start, expiresAt: at('8760h') },
    step: { kind: 'none' },
    overlapMs: 24 * 3_600_000,
    contactEmail: 'payments@example.com',
  };
  const rotated: ExpiryOutlook = { ...year, step: { ...wait('OutsideWindow'), beginsAt: at('8700h') } as RotationStep };

  it('is true from the first notice on, names the contact, and says more at each notice [S1-15] [S0-7]', () => {
    expect(expiringOf(year, at('8040h') - 1).status).toBe('False');
    const texts = ['8040h', '8592h', '8736h'].map((text) => expiringOf(year, at(text)));
    for (const text of texts) expect(text).toMatchObject({ status: 'True', reason: 'Expiring' });
    expect(texts.map(({ message }) => /in (\S+) or less/.exec(message)?.[1])).toEqual(['30d', '7d', '24h']);
    expect(texts[0]?.message).toContain('payments@example.com');
    expect(expiringOf(year, at('8100h'))).toEqual(texts[0]);
  });

  it('is false while a rotation comes first', () => {
    expect(expiringOf(rotated, at('8650h')).status).toBe('False');
    expect(expiringOf({ ...year, active: { keyId: 'K1', issuedAt: start } }, at('8650h')).status).toBe('False');
  });

  it('is true when the rotation waits for a person, is late, or comes after the expiry', () => {
    const suspended = expiringOf({ ...year, step: { kind: 'suspended', cause: 'BeforeExpiry', dueAt: at('1h') } }, at('8650h'));
    expect(suspended).toMatchObject({ status: 'True' });
    expect(suspended.message).toContain('suspended');
    const late = expiringOf({ ...year, step: { kind: 'begin', cause: 'BeforeExpiry', dueAt: at('8700h') } }, at('8736h'));
    expect(late.message).toContain('late');
    const after = { ...rotated, step: { ...rotated.step, beginsAt: at('8760h') } as RotationStep };
    expect(expiringOf(after, at('8650h')).status).toBe('True');
  });

  it('is looked at again at each notice and when a rotation would be late', () => {
    const instants: number[] = [];
    for (let now = nextExpiringAt(year, start); now !== undefined; now = nextExpiringAt(year, now)) instants.push(now);
    expect(instants).toEqual(['8040h', '8592h', '8736h'].map(at));
    expect(nextExpiringAt({ ...year, overlapMs: 3_600_000 }, at('8736h'))).toBe(at('8759h'));
    expect(nextExpiringAt({ ...year, active: { keyId: 'K1', issuedAt: start } }, start)).toBeUndefined();
  });
});

import { describe, expect, test } from 'vitest';

import { decide } from '../../../operator/src/authorize/decide.ts';
import type { Verdict } from '../../../operator/src/authorize/verdict.ts';
import type { KeyRecordChanges } from '../../builders/keyrecord.ts';
import { keyRecord } from '../../builders/keyrecord.ts';

const now = Date.parse('2026-03-01T00:00:00Z');
const past = now - 1;
const { keyId } = keyRecord().record.version;

function decideKnown(changes: KeyRecordChanges, catalog?: string): Verdict {
  return decide({ kind: 'known', record: keyRecord(changes).record }, { catalog }, now);
}

describe('decide', () => {
  test('says key_missing when nothing was presented', () => {
    expect(decide({ kind: 'missing' }, { catalog: undefined }, now)).toEqual({ allowed: false, code: 'key_missing' });
  });

  test('says authorizer_stale, never 401, when nothing can be said about the key', () => {
    expect(decide({ kind: 'stale', error: undefined }, { catalog: undefined }, now)).toEqual({
      allowed: false,
      code: 'authorizer_stale',
    });
  });

  test('denies a key that is alive by its rights, and names it', () => {
    expect(decideKnown({})).toEqual({ allowed: false, code: 'endpoint_not_allowed', keyId });
  });

  test.each<[string, KeyRecordChanges]>([
    ['is pending', { version: { state: 'pending' } }],
    ['is retiring and not past its end', { version: { state: 'retiring', notAfter: now + 1 } }],
    ['expires later', { version: { expiresAt: now + 1 } }],
  ])('a version that %s is alive', (_title, changes) => {
    expect(decideKnown(changes)).toEqual({ allowed: false, code: 'endpoint_not_allowed', keyId });
  });

  const dead: readonly [string, KeyRecordChanges][] = [
    ['revoked [S4-10]', { version: { state: 'ended', endedReason: 'revoked' } }],
    ['retired', { version: { state: 'ended', endedReason: 'retired' } }],
    ['abandoned', { version: { state: 'ended', endedReason: 'abandoned' } }],
    ['past its overlap', { version: { state: 'retiring', notAfter: now } }],
    ['past its overlap and its expiry', { version: { state: 'retiring', notAfter: past, expiresAt: past } }],
    ['of a key that was revoked for good', { key: { revokedReason: 'leaked' } }],
    [
      'expired, of a key that was revoked for good',
      { version: { state: 'ended', endedReason: 'expired' }, key: { revokedReason: 'leaked' } },
    ],
    ['ended without a reason', { version: { state: 'ended' } }],
  ];
  test.each(dead)('a version that is %s answers exactly as an unknown one', (_title, changes) => {
    const unknown = decide({ kind: 'unknown' }, { catalog: undefined }, now);
    expect(unknown).toEqual({ allowed: false, code: 'key_invalid' });
    expect(decideKnown(changes)).toEqual(unknown);
    expect(decideKnown({ ...changes, settings: { suspended: true } })).toEqual(unknown);
  });

  test('a key of another catalog than the caller named answers as an unknown one', () => {
    expect(decideKnown({}, 'other')).toEqual({ allowed: false, code: 'key_invalid' });
    expect(decideKnown({}, 'default')).toMatchObject({ code: 'endpoint_not_allowed' });
  });

  test('an expired version stays known [S1-12]: at its instant, and after it was ended', () => {
    expect(decideKnown({ version: { expiresAt: now } })).toEqual({ allowed: false, code: 'key_expired', keyId });
    expect(decideKnown({ version: { state: 'ended', endedReason: 'expired', expiresAt: past } })).toEqual({
      allowed: false,
      code: 'key_expired',
      keyId,
    });
  });

  test('a suspended key says so, and an expired one says expired first', () => {
    expect(decideKnown({ settings: { suspended: true } })).toEqual({ allowed: false, code: 'key_suspended', keyId });
    expect(decideKnown({ settings: { suspended: true }, version: { expiresAt: past } })).toMatchObject({ code: 'key_expired' });
  });
});

import { describe, expect, it } from 'vitest';
import type { Condition } from '../../../../operator/src/api/kinds.ts';
import type { Version, VersionState } from '../../../../operator/src/domain/version.ts';
import { expiryEdits, isReturning, terminalOf, type Afterlife } from '../../../../operator/src/reconcile/rotation/lifespan.ts';
import { at, start } from '../../../builders/rotation.ts';

function version(keyId: string, expires: string | undefined, state: VersionState = 'active'): Version {
  const always = { id: keyId, apiKeyUid: 'uid', display: keyId, epoch: 1, lost: false, cause: 'Initial', pepperId: 'p' } as const;
  const given = { keyId, state, hash: new Uint8Array(32), ownerUid: 'owner', issuedAt: at('-24h') };
  return { ...always, ...given, ...(expires === undefined ? {} : { expiresAt: at(expires) }) };
}

describe('an edit of the expiry', () => {
  const versions = [version('old', '10h', 'retiring'), version('new', '20h')];

  it('by `at` bounds every live version at once, nearer and later told apart', () => {
    expect(expiryEdits({ kind: 'at', at: at('15h') }, versions, start)).toEqual({
      nearer: [{ keyId: 'new', expiresAt: at('15h') }],
      later: [{ keyId: 'old', expiresAt: at('15h') }],
    });
    expect(expiryEdits({ kind: 'at', at: at('15h') }, [version('endless', undefined)], start).nearer).toHaveLength(1);
  });

  it('by `never` lifts every end at once', () => {
    expect(expiryEdits({ kind: 'never' }, versions, start)).toEqual({ nearer: [], later: [{ keyId: 'old' }, { keyId: 'new' }] });
  });

  it('by `after` counts from the next version', () => {
    expect(expiryEdits({ kind: 'after', lifetimeMs: 1000 }, versions, start)).toEqual({ nearer: [], later: [] });
    expect(expiryEdits(undefined, versions, start)).toEqual({ nearer: [], later: [] });
  });

  it('changes nothing twice', () => {
    expect(expiryEdits({ kind: 'at', at: at('20h') }, [version('new', '20h')], start)).toEqual({ nearer: [], later: [] });
  });

  it('never lets in again what has expired [S2-19]', () => {
    const over = [version('expired', '0s'), version('ended', '20h', 'ended'), { ...version('retired', '20h'), notAfter: start }];
    expect(expiryEdits({ kind: 'at', at: at('99h') }, over, start)).toEqual({ nearer: [], later: [] });
    expect(expiryEdits({ kind: 'never' }, over, start)).toEqual({ nearer: [], later: [] });
  });
});

describe('a key that has expired', () => {
  function told(status: 'True' | 'False', reason: 'Expired' | 'Steady' | 'Minting', observedGeneration?: number): Condition {
    const always = { type: 'Expired', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' } as const;
    return { ...always, status, reason, ...(observedGeneration === undefined ? {} : { observedGeneration }) };
  }

  function afterlife(changes: Partial<Afterlife>): Afterlife {
    const expiry = { kind: 'after', lifetimeMs: 1000 } as const;
    return { expiry, onExpiry: 'Expire', lastEnded: 'expired', told: undefined, generation: 3, rotateAsked: false, ...changes };
  }

  it.each([
    ['is minted anew by default', { onExpiry: 'Rotate' }, undefined],
    ['is over for good where that was asked for', {}, 'OnExpiryExpire'],
    ['is over when the status was not yet told', { told: told('False', 'Steady', 3) }, 'OnExpiryExpire'],
    ['stays over while nobody changes it', { told: told('True', 'Expired', 3) }, 'OnExpiryExpire'],
    ['comes back when its spec changes', { told: told('True', 'Expired', 2) }, undefined],
    ['still comes back after a pass that could not mint', { told: told('False', 'Minting', 3) }, undefined],
    ['comes back when a rotation is asked for', { told: told('True', 'Expired', 3), rotateAsked: true }, undefined],
    ['stays over when nobody knows what was told', { told: told('True', 'Expired') }, 'OnExpiryExpire'],
    ['is over while `at` has passed', { onExpiry: 'Rotate', expiry: { kind: 'at', at: start } }, 'AtHasPassed'],
    [
      'is not brought back by a rotate request while `at` has passed',
      { rotateAsked: true, expiry: { kind: 'at', at: start } },
      'AtHasPassed',
    ],
    ['comes back with a later `at`', { onExpiry: 'Rotate', expiry: { kind: 'at', at: at('1h') } }, undefined],
    ['is another matter than one that was revoked', { lastEnded: 'revoked' }, undefined],
  ] as const)('%s', (_what, changes, found) => {
    expect(terminalOf(afterlife(changes), start)).toBe(found);
  });

  it('is not taken for one that comes back when it only was minted', () => {
    expect(isReturning({ told: told('False', 'Steady', 2), generation: 3 })).toBe(false);
    expect(isReturning({ told: undefined, generation: 3 })).toBe(false);
  });
});

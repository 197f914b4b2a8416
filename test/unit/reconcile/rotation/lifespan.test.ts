import { describe, expect, it } from 'vitest';
import type { Version, VersionState } from '../../../../operator/src/domain/version.ts';
import { expiryEdits, terminalOf, type Afterlife } from '../../../../operator/src/reconcile/rotation/lifespan.ts';
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
  function afterlife(changes: Partial<Afterlife>): Afterlife {
    const expiry = { kind: 'after', lifetimeMs: 1000 } as const;
    return {
      expiry,
      onExpiry: 'Expire',
      lastEnded: 'expired',
      expiredGeneration: 3,
      generation: 3,
      rotateAsked: false,
      ...changes,
    };
  }

  it.each([
    ['is minted anew by default', { onExpiry: 'Rotate' }, undefined],
    ['is over for good where that was asked for', {}, 'OnExpiryExpire'],
    ['comes back when its spec changes', { expiredGeneration: 2 }, undefined],
    ['comes back when a rotation is asked for', { rotateAsked: true }, undefined],
    ['stays over when nobody knows at which generation it expired', { expiredGeneration: undefined }, 'OnExpiryExpire'],
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
});

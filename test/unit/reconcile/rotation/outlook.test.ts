import { describe, expect, it } from 'vitest';
import { durationMs } from '../../../../operator/src/domain/duration.ts';
import type { Observed } from '../../../../operator/src/reconcile/observed.ts';
import { outlookOf, requestsOf, type Evidence } from '../../../../operator/src/reconcile/rotation/outlook.ts';
import { observed, type ObservedCase } from '../../../builders/observed.ts';

const rotation = { overlap: '24h', maxOverlap: '168h', retireOldKey: 'WhenUnused', onExpiry: 'Rotate', quietPeriod: '10m' };
const blind: Evidence = { horizon: { kind: 'unknown', why: 'no replica' }, rolledOut: false };
const rotate = 'keywright.dev/rotate';

/** K2 was activated just now and is everywhere; K1 ends by maxOverlap. */
const overlapping: ObservedCase = {
  versions: [
    { epoch: 1, state: 'retiring', notAfter: '168h' },
    { epoch: 2, state: 'active', issued: '0s' },
  ],
  deliveries: [
    { at: 'vault', holds: 'K2' },
    { at: 'local', holds: 'K2' },
  ],
};

function outlook(given: ObservedCase, evidence = blind) {
  const o = observed(given);
  return { ...outlookOf(o, evidence), after: (text: string) => o.now + durationMs(text) };
}

/** The same a while later. */
function later(o: Observed, text: string): Observed {
  return { ...o, now: o.now + durationMs(text) };
}

describe('the outlook of a key', () => {
  it('that has one version is its next rotation', () => {
    const found = outlook({});
    // Two thirds of a year; the version is a day old, and the UID of the tests has no jitter.
    expect(found.step).toMatchObject({ kind: 'wait', why: 'NotDue', cause: 'BeforeExpiry', beginsAt: found.after('5816h') });
    expect(found).toMatchObject({ retiring: [], bringForward: [], wakeAt: found.after('5816h') });
  });

  it('in an overlap brings the old end forward when nothing else is waited for', () => {
    const found = outlook({ ...overlapping, spec: { rotation: { ...rotation, retireOldKey: 'AfterOverlap' } } });
    expect(found.bringForward).toEqual([{ keyId: 'K1', notAfter: found.after('24h') }]);
    expect(found.wakeAt).toBe(found.after('24h'));
  });

  it('in an overlap leaves the old end while it cannot be known who uses it, and looks again', () => {
    const found = outlook(overlapping);
    expect(found.bringForward).toEqual([]);
    expect(found.retiring[0]).toMatchObject({ version: { keyId: 'K1' }, retirement: { kind: 'waits', why: 'OverlapRunning' } });
    expect(found.wakeAt).toBe(found.after('24h'));
  });

  it('in an overlap waits for a location that still has the old value', () => {
    const deliveries = [
      { at: 'vault', holds: 'K1' },
      { at: 'local', holds: 'K2' },
    ];
    const given = { ...overlapping, deliveries, spec: { rotation: { ...rotation, retireOldKey: 'AfterOverlap' } } };
    expect(outlook(given)).toMatchObject({ bringForward: [], retiring: [{ retirement: { kind: 'waits', why: 'Delivering' } }] });
  });

  it('ends the old version once the new one is seen and the old one is quiet', () => {
    const seen = observed(overlapping);
    const versions = seen.store.versions.map((one) => (one.state === 'active' ? { ...one, firstUsedAt: seen.now } : one));
    const o = later({ ...seen, store: { ...seen.store, versions } }, '24h');
    const found = outlookOf(o, { ...blind, horizon: { kind: 'known', quietThrough: o.now } });
    expect(found.bringForward).toEqual([{ keyId: 'K1', notAfter: o.now }]);
    expect(outlookOf(o, blind).bringForward).toEqual([]);
  });

  it('puts a rotation off while the old version lives, but not for a lost attempt', () => {
    const every = { spec: { rotation: { ...rotation, every: '1s' } } };
    const [old, current] = observed({ ...overlapping, ...every }).store.versions;
    expect(old?.keyId).toBe('K1');
    const o = later(observed({ ...overlapping, ...every }), '10s');
    expect(outlookOf(o, blind).step).toMatchObject({ kind: 'wait', why: 'OverlapRunning' });
    const lost = [...(old === undefined ? [] : [{ ...old, lost: true }]), ...(current === undefined ? [] : [current])];
    expect(outlookOf({ ...o, store: { ...o.store, versions: lost } }, blind).step).toMatchObject({ kind: 'begin' });
  });

  it('is a rotation at once when somebody asked for it, and once only', () => {
    const asked: ObservedCase = { annotations: { [rotate]: 'now' } };
    expect(outlook(asked).step).toEqual({ kind: 'begin', cause: 'Requested' });
    expect(outlook({ ...asked, handled: { rotate: 'now' } }).step).toMatchObject({ kind: 'wait', cause: 'BeforeExpiry' });
    expect(outlook({ ...asked, spec: { suspend: true } }).step).toEqual({ kind: 'suspended', cause: 'Requested' });
  });

  it('is nothing without a version or a catalog', () => {
    for (const given of [{ fresh: true }, { missing: ['catalog' as const] }])
      expect(outlook(given)).toMatchObject({ step: { kind: 'none' }, retiring: [], bringForward: [] });
  });
});

describe('the requests of a key', () => {
  it('count as handled when they were there at the first mint', () => {
    const annotations = { [rotate]: 'a', 'keywright.dev/compromised': 'all' };
    expect(requestsOf(observed({ fresh: true, annotations }))).toEqual({
      rotate: { kind: 'remember', value: 'a' },
      compromised: { kind: 'remember', value: 'all' },
    });
    expect(requestsOf(observed({ annotations })).compromised).toEqual({ kind: 'asked', value: 'all' });
  });

  it('are remembered by the store, whatever the status says', () => {
    const annotations = { [rotate]: 'b', 'keywright.dev/compromised': 'all' };
    const told = { handledRotation: 'b', handledCompromise: 'all' };
    const handled = { rotate: 'b', compromised: 'all' };
    expect(requestsOf(observed({ annotations, status: told }))).toEqual({
      rotate: { kind: 'asked', value: 'b' },
      compromised: { kind: 'asked', value: 'all' },
    });
    expect(requestsOf(observed({ annotations, handled, status: { handledRotation: 'a' } }))).toEqual({
      rotate: { kind: 'none' },
      compromised: { kind: 'none' },
    });
  });
});

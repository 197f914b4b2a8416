import { describe, expect, it } from 'vitest';
import { expiryOfNext, validate, validatePermission } from '../../../operator/src/reconcile/validate.ts';
import { observed, type ObservedCase } from '../../builders/observed.ts';

const rotation = { overlap: '24h', maxOverlap: '168h', retireOldKey: 'WhenUnused', onExpiry: 'Rotate', quietPeriod: '10m' };
const window = { schedule: '0 2 * * 6', duration: '4h', timezone: 'Europe/Berlin' };

describe('a spec that contradicts its catalog or itself', () => {
  it.each([
    ['an unknown access type', { spec: { accessType: 'NoSuchType' } }, 'spec.accessType', 'NoSuchType'],
    ['no contact where the catalog wants one', { spec: { contactEmail: undefined } }, 'spec.contactEmail', 'default'],
    ['no end where the catalog forbids that', { spec: { expiry: { never: true } } }, 'spec.expiry.never', 'forbids'],
    ['a longer life than the catalog allows', { spec: { expiry: { after: '17521h' } } }, 'spec.expiry.after', '17520h'],
    ['a later end than the catalog allows', { spec: { expiry: { at: '2028-01-01T00:00:00Z' } } }, 'spec.expiry.at', '17520h'],
    ['an overlap over maxOverlap', { spec: { rotation: { ...rotation, overlap: '169h' } } }, 'spec.rotation.overlap', '168h'],
    ['an overlap under the least', { spec: { rotation: { ...rotation, overlap: '4m59s' } } }, 'spec.rotation.overlap', '5m'],
    ['an overlap over half of the life', { spec: { expiry: { after: '47h59m' } } }, 'spec.rotation.overlap', 'half'],
    ['such an overlap by the default expiry', { catalog: { policy: { defaultExpiry: '47h' } } }, 'spec.rotation.overlap', 'half'],
    [
      'a rotation before it was minted',
      { spec: { expiry: { after: '720h' }, rotation: { ...rotation, beforeExpiry: '720h' } } },
      'spec.rotation.beforeExpiry',
      '720h',
    ],
    [
      'a window that never opens',
      { spec: { rotation: { ...rotation, windows: [window, { ...window, schedule: '0 0 31 2 *' }] } } },
      'spec.rotation.windows[1].schedule',
      '0 0 31 2 *',
    ],
    [
      'a window in no time zone',
      { spec: { rotation: { ...rotation, windows: [{ ...window, timezone: 'Mars/Olympus' }] } } },
      'spec.rotation.windows[0].timezone',
      'Mars/Olympus',
    ],
  ] as const)('is told its field and value: %s', (_what, given, field, value) => {
    const fault = validate(observed(given));
    expect(fault).toMatchObject({ kind: 'stalled', reason: 'InvalidSpec' });
    expect(fault?.message.startsWith(`${field}: `)).toBe(true);
    expect(fault?.message).toContain(value);
  });

  it.each([
    ['the usual key', {}],
    ['a life of exactly two overlaps', { spec: { expiry: { after: '48h' } } }],
    [
      'no contact where none is required',
      { spec: { contactEmail: undefined }, catalog: { policy: { requireContactEmail: false } } },
    ],
    ['no end where that is allowed', { spec: { expiry: { never: true } }, catalog: { policy: { neverExpires: 'Allowed' } } }],
    ['the latest end that is allowed', { spec: { expiry: { at: '2027-12-31T00:00:00Z' } } }],
    ['a rotation every second: the overlap is its brake', { spec: { rotation: { ...rotation, every: '1s' } } }],
    [
      'windows of all kinds',
      { spec: { rotation: { ...rotation, windows: [window, { ...window, schedule: '*/5 * 29 2 1#5' }] } } },
    ],
    ['an end that does not rotate, however near', { spec: { expiry: { at: '2026-01-01T01:00:00Z' } } }],
  ] as const)('is distinguished from a valid one: %s', (_what, given) => {
    expect(validate(observed(given as ObservedCase))).toBeUndefined();
  });
});

describe('an owner and an access type', () => {
  it('are used only where they allow it, and the message says which one does not', () => {
    const owner = validatePermission(observed({ owner: { allowedNamespaces: {} } }));
    expect(owner).toMatchObject({ kind: 'stalled', reason: 'NotPermitted' });
    expect(owner?.message).toMatch(/^spec\.owner: .*payments-team.*payments/);
    const types = [{ name: 'Integrations', endpoints: 'All', namespaces: { names: ['elsewhere'] } }];
    expect(validatePermission(observed({ catalog: { accessTypes: types } }))?.message).toMatch(/^spec\.accessType: Integrations/);
    expect(validatePermission(observed({}))).toBeUndefined();
  });
});

describe('the expiry of the next version', () => {
  it('counts from its mint, is the given instant, or never comes; ends are whole seconds, rounded up', () => {
    const o = observed({ spec: { expiry: { after: '48h' } } });
    expect(expiryOfNext({ ...o, now: o.now + 1 })).toBe(o.now + 48 * 3_600_000 + 1000);
    expect(expiryOfNext(observed({ spec: { expiry: { at: '2026-06-01T00:00:00Z' } } }))).toBe(Date.parse('2026-06-01T00:00:00Z'));
    expect(expiryOfNext(observed({ spec: { expiry: { never: true } } }))).toBeUndefined();
  });

  it('is one year by default [S1-11]', () => {
    const o = observed({});
    expect(expiryOfNext(o)).toBe(o.now + 8760 * 3_600_000);
  });
});

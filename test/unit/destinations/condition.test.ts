import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatMark, parseMark } from '../../../operator/src/destinations/condition.ts';
import { maxEpoch, unknownVersion, type Mark } from '../../../operator/src/domain/version.ts';

const mark: Mark = {
  installationId: 'installation-1',
  namespace: 'payments',
  name: 'billing',
  uid: 'uid-1',
  keyId: '7mQ2kR9xW4tL',
  epoch: 3,
  envelope: '0123456789abcdef',
};
const texts = formatMark(mark);
const whose = { installationId: 'installation-1', namespace: 'payments', name: 'billing', uid: 'uid-1' };

describe('a mark', () => {
  it('comes back as it was written, up to the largest epoch', () => {
    for (const epoch of [1, 999_999_999, 1_000_000_000, maxEpoch])
      expect(parseMark(formatMark({ ...mark, epoch }))).toEqual({ ...mark, epoch });
  });

  it.each(['0', '-1', '1e9', '01', '2147483648', '99999999999', '', ' 3', '3.0', 'NaN', '９', '\u0000'])(
    'with the epoch %j is ours still, of a version that nobody knows',
    (epoch) => {
      expect(parseMark({ ...texts, epoch })).toEqual({ ...whose, ...unknownVersion });
    },
  );

  it.each([
    ['key-id', ''],
    ['key-id', 'a'.repeat(65)],
    ['key-id', '../../etc'],
    ['key-id', 7],
    ['envelope', 'x'.repeat(262_144)],
    ['envelope', '"><script>'],
    ['envelope', undefined],
  ])('with the %s %j is ours still, of a version that nobody knows', (member, text) => {
    expect(parseMark({ ...texts, [member]: text })).toEqual({ ...whose, ...unknownVersion });
  });

  it.each(['installation', 'namespace', 'name', 'uid'])('that does not say its %s, or too much of it, is none', (member) => {
    for (const text of [undefined, '', 7, 'x'.repeat(254)]) expect(parseMark({ ...texts, [member]: text })).toBeUndefined();
  });

  it('has bounded members, whatever anybody writes', () => {
    const anything = fc.oneof(fc.string(), fc.integer(), fc.constant(undefined), fc.string({ minLength: 200, maxLength: 400 }));
    const members = fc.record({
      ...{ installation: anything, namespace: anything, name: anything, uid: anything },
      ...{ 'key-id': anything, epoch: fc.oneof(anything, fc.nat().map(String)), envelope: anything },
    });
    fc.assert(
      fc.property(members, (given) => {
        const parsed = parseMark(given);
        if (parsed === undefined) return;
        expect(Number.isSafeInteger(parsed.epoch) && parsed.epoch >= 1 && parsed.epoch <= maxEpoch).toBe(true);
        for (const text of Object.values(parsed)) expect(String(text).length).toBeLessThanOrEqual(253);
      }),
    );
  });
});

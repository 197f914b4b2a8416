import fc from 'fast-check';
import { expect, it } from 'vitest';
import { formatVersionId, parseVersionId, speaksOf } from '../../../../operator/src/destinations/aws/versionid.ts';

const letters = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const marks = fc.record({
  keyId: fc.string({ unit: fc.constantFrom(...letters), minLength: 12, maxLength: 12 }),
  epoch: fc.integer({ min: 1, max: 999_999_999 }),
  envelope: fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: 16, maxLength: 16 }),
});
const overs = fc.option(fc.string(), { nil: undefined });

it('gives back what it says of a version, in as many characters as AWS takes', () => {
  fc.assert(
    fc.property(marks, overs, (mark, over) => {
      const id = formatVersionId(mark, over);
      expect(id).toMatch(/^[A-Za-z0-9-]{32,64}$/);
      expect(parseVersionId(id)).toEqual(mark);
      expect(speaksOf(id, mark)).toBe(true);
    }),
  );
});

it('is the same for the same value over the same one, and another for every difference', () => {
  const mark = { keyId: '7mQ2kR9xW4tL', epoch: 3, envelope: '0123456789abcdef' };
  expect(formatVersionId(mark, undefined)).toBe('7mQ2kR9xW4tL-000000003-0123456789abcdef-e3b0c442');
  expect(formatVersionId(mark, 'before')).toBe(formatVersionId(mark, 'before'));
  const others = [
    formatVersionId(mark, 'before'),
    formatVersionId({ ...mark, epoch: 4 }, undefined),
    formatVersionId({ ...mark, envelope: 'f123456789abcdef' }, undefined),
    formatVersionId({ ...mark, keyId: '8mQ2kR9xW4tL' }, undefined),
  ];
  expect(new Set([formatVersionId(mark, undefined), ...others]).size).toBe(5);
  for (const other of others.slice(1)) expect(speaksOf(other, mark)).toBe(false);
});

it.each([
  undefined,
  '',
  '7c4a8d09-ca37-62af-61e5-9520943dc264',
  '7mQ2kR9xW4tL-000000000-0123456789abcdef-e3b0c442',
  '7mQ2kR9xW4tL-3-0123456789abcdef-e3b0c442',
  'x7mQ2kR9xW4tL-000000003-0123456789abcdef-e3b0c442',
  '7mQ2kR9xW4tL-000000003-0123456789abcdef-e3b0c442\n',
])('takes %j for nobody of ours', (id) => {
  expect(parseVersionId(id)).toBeUndefined();
});

it('refuses a mark that does not fit, instead of writing what nobody can read back', () => {
  const mark = { keyId: 'short', epoch: 1, envelope: '0123456789abcdef' };
  expect(() => formatVersionId(mark, undefined)).toThrow('does not fit');
});

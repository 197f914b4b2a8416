import { expect, test } from 'vitest';
import { coverage } from '../../../scripts/coverage.ts';

const requirements = [
  { id: 'S2-1', text: 'one' },
  { id: 'S2-17', text: 'two' },
];

test('a requirement is tested when a title names it in brackets', () => {
  const tests = [{ file: 'a.test.ts', text: `test('[S2-17] a deleted key is refused at once', () => {});` }];
  expect(coverage(requirements, tests).untested).toEqual([{ id: 'S2-1', text: 'one' }]);
});

test('one title may name several', () => {
  const tests = [{ file: 'a.test.ts', text: `test('[S2-1, S2-17] both', () => {});` }];
  expect(coverage(requirements, tests)).toEqual({ untested: [], unknown: [] });
});

test('a mention outside brackets proves nothing', () => {
  expect(coverage(requirements, [{ file: 'a.test.ts', text: '// S2-1 and S2-17' }]).untested).toEqual(requirements);
});

test('an id that nobody asks for is named with its file', () => {
  const tests = [{ file: 'a.test.ts', text: `test('[S2-170] more', () => {});` }];
  expect(coverage(requirements, tests).unknown).toEqual([{ id: 'S2-170', file: 'a.test.ts' }]);
});

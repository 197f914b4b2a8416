import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { JsonFault, parseJson } from '../../../operator/src/domain/json.ts';

const kindOf = (text: string): string => {
  try {
    parseJson(text);
  } catch (error) {
    return error instanceof JsonFault ? error.kind : 'another error';
  }
  return 'read';
};

describe('a text of JSON', () => {
  test('is read as by JSON.parse when each member is named once', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.integer({ min: 0, max: 2 }), (value, indent) => {
        const text = JSON.stringify(value, undefined, indent);
        expect(parseJson(text)).toEqual(JSON.parse(text));
      }),
    );
  });

  test('is ambiguous when any of its objects names a member twice', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue(), { minKeys: 1 }), fc.jsonValue(), fc.nat(), (value, other, at) => {
        const names = Object.keys(value);
        const name = JSON.stringify(names[at % names.length]);
        const twice = `${JSON.stringify(value).slice(0, -1)},${name}:${JSON.stringify(other)}}`;
        expect(kindOf(twice)).toBe('ambiguous');
        expect(kindOf(`[{"a":${twice}}]`)).toBe('ambiguous');
      }),
    );
  });

  test.each([
    ['{"a":1,"\\u0061":2}', 'ambiguous'],
    ['{"__proto__":1,"__proto__":2}', 'ambiguous'],
    ['{"":{},"":{}}', 'ambiguous'],
    ['{"a":{"a":{"a":1}}}', 'read'],
    ['{"__proto__":1}', 'read'],
    ['{"a:b":":","\\"":"\\\\","c":"\\":\\""}', 'read'],
    ['[{"a":1},{"a":2}]', 'read'],
    ['":"', 'read'],
    ['{"a":1', 'malformed'],
    ['', 'malformed'],
  ])('%s is %s', (text, kind) => {
    expect(kindOf(text)).toBe(kind);
  });

  test('may nest deeper than a stack', () => {
    expect(kindOf(`${'['.repeat(30_000)}{"a":1}${']'.repeat(30_000)}`)).toBe('read');
  });

  test('is never quoted by the error', () => {
    expect(() => parseJson('{"secret":"xyzzy","secret":1}')).toThrow(/^names a member twice$/);
    expect(() => parseJson('xyzzy')).toThrow(/^is not JSON$/);
  });
});

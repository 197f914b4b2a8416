import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { Plaintext } from '../../../operator/src/domain/plaintext.ts';
import { drawText, mintToken } from '../../../operator/src/keys/mint.ts';
import { alphabet, formatCheck, formatToken, parseToken } from '../../../operator/src/keys/token.ts';

const known = 'acme_live_0123456789AB_abcdefghijklmnopqrstuvwxyzABCDEF330Tz5';
const base62 = (length: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...alphabet), minLength: length, maxLength: length });
const part = fc.stringMatching(/^[a-z][a-z0-9]{1,15}$/);
const content = fc.record({ prefix: part, environment: part, keyId: base62(12), secret: base62(32) });

function counting(): (size: number) => Uint8Array {
  let next = 0;
  return (size) => Uint8Array.from({ length: size }, () => next++ % 256);
}

describe('the token format', () => {
  test('has the CRC-32/ISO-HDLC check of its ASCII bytes, in base62, padded to six', () => {
    expect(formatCheck('123456789')).toBe('3jZRME');
    expect(formatCheck('')).toBe('000000');
  });

  test('gives the token that another implementation of the format gives', () => {
    const token = formatToken({
      prefix: 'acme',
      environment: 'live',
      keyId: '0123456789AB',
      secret: new Plaintext('abcdefghijklmnopqrstuvwxyzABCDEF'),
    });
    expect(token.reveal()).toBe(known);
  });

  test('every token that is formatted is parsed back to its public parts', () => {
    fc.assert(
      fc.property(content, ({ prefix, environment, keyId, secret }) => {
        const token = formatToken({ prefix, environment, keyId, secret: new Plaintext(secret) });
        expect(parseToken(token)).toEqual({ prefix, environment, keyId, display: `${prefix}_${environment}_${keyId}` });
      }),
    );
  });

  test('a token with one character changed is not parsed', () => {
    fc.assert(
      fc.property(
        content,
        fc.nat(),
        fc.constantFrom(...alphabet, '_', ' ', '.', 'é'),
        ({ prefix, environment, keyId, secret }, at, other) => {
          const text = formatToken({ prefix, environment, keyId, secret: new Plaintext(secret) }).reveal();
          const index = at % text.length;
          fc.pre(text[index] !== other);
          expect(parseToken(new Plaintext(text.slice(0, index) + other + text.slice(index + 1)))).toBeUndefined();
        },
      ),
    );
  });

  test('no text from outside makes the parser throw', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: fc.constantFrom(...alphabet, '_') })), (text) => {
        expect(parseToken(new Plaintext(text))).toBeUndefined();
      }),
    );
  });

  test.each([
    ['nothing', ''],
    ['only the prefix', 'acme_live_'],
    ['a token with a space before it', ` ${known}`],
    ['a token with a line end after it', `${known}\n`],
    ['two tokens', `${known},${known}`],
    ['a token in another case', known.toUpperCase()],
    ['a very long text', `${known}${'a'.repeat(1_000_000)}`],
    ['a token without its environment', known.replace('_live', '')],
  ])('refuses %s', (_title, text) => {
    expect(parseToken(new Plaintext(text))).toBeUndefined();
  });

  test('refuses to make a token with a prefix that no parser would take', () => {
    expect(() =>
      formatToken({ prefix: 'Acme', environment: 'live', keyId: '0'.repeat(12), secret: new Plaintext('0'.repeat(32)) }),
    ).toThrow(RangeError);
  });
});

describe('minting', () => {
  test('gives a token that parses to the key id and display that are stored', () => {
    const minted = mintToken({ prefix: 'acme', environment: 'live', random: counting() });
    expect(parseToken(minted.token)).toMatchObject({ keyId: minted.keyId, display: minted.display });
    expect(minted.display).toBe(`acme_live_${minted.keyId}`);
  });

  test('draws every character of the alphabet equally often from evenly spread bytes', () => {
    const text = drawText(62 * 40, counting());
    const counts = new Map<string, number>();
    for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1);
    expect([...counts.values()]).toEqual(Array.from({ length: 62 }, () => 40));
  });

  test('never uses a byte that would make some characters likelier', () => {
    const bytes = [248, 255, 250, 0, 61, 62, 247];
    const text = drawText(4, (size) => Uint8Array.from(bytes.splice(0, size)));
    expect(text).toBe('0z0z');
  });

  test('refuses a random source that gives nothing usable', () => {
    expect(() => drawText(12, (size) => new Uint8Array(size).fill(255))).toThrow('no usable bytes');
    expect(() => drawText(12, () => new Uint8Array(0))).toThrow('no usable bytes');
  });
});

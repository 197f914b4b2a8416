import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { isAddress, isWithin, networkOf, parseNetworks } from '../../../operator/src/authorize/source.ts';

const port = fc.integer({ min: 0, max: 65_535 });
const zone = fc.stringMatching(/^[A-Za-z0-9._~-]{1,15}$/);

describe('the address of a client', () => {
  test('is the same with a port', () => {
    fc.assert(
      fc.property(fc.ipV4(), port, (address, number) => {
        const withPort = `${address}:${number}`;
        expect(isWithin(parseNetworks([`${address}/32`]), withPort)).toBe(true);
        expect(networkOf(withPort)).toBe(networkOf(address));
      }),
    );
  });

  test('is the same in brackets, with a port, a zone, and both', () => {
    fc.assert(
      fc.property(fc.ipV6(), port, zone, (address, number, name) => {
        // Also what fast-check writes and we refuse, such as the retired `::10.0.0.1`.
        const isOne = isAddress(address);
        const itself = parseNetworks([`${address}/${networkOf(address)?.includes('.') === true ? 32 : 128}`]);
        const all = [`[${address}]`, `[${address}]:${number}`, `${address}%${name}`, `[${address}%${name}]:${number}`];
        for (const written of all) {
          expect([isAddress(written), isWithin(itself, written)]).toEqual([isOne, isOne]);
          expect(networkOf(written, 64)).toBe(networkOf(address, 64));
        }
      }),
    );
  });

  test('is not one with anything else beside it, and then belongs to no network', () => {
    fc.assert(
      fc.property(fc.ipV4(), fc.constantFrom('x', '[', ']', ':', '%', ' ', '/24', ', 10.0.0.1'), (address, more) => {
        for (const text of [`${address}${more}`, `${more}${address}`])
          expect([isAddress(text), networkOf(text)]).toEqual([false, undefined]);
      }),
    );
  });

  test('is read in no time, however long the text is', () => {
    for (const text of ['[' + ':'.repeat(100_000), '1'.repeat(100_000) + ':', ':'.repeat(100_000) + '%'])
      expect(isAddress(text)).toBe(false);
  });
});

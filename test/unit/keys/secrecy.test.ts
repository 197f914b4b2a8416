import { format, inspect } from 'node:util';

import { describe, expect, test } from 'vitest';

import { mintToken } from '../../../operator/src/keys/mint.ts';
import { PepperRing } from '../../../operator/src/keys/pepper.ts';

const random = (size: number): Uint8Array => Uint8Array.from({ length: size }, (_, index) => (index * 37) % 248);
const minted = mintToken({ prefix: 'acme', environment: 'live', random });
const pepper = Buffer.alloc(32, 0x5a);
const ring = PepperRing.parse(JSON.stringify({ current: 'a', peppers: { a: pepper.toString('base64') } }));

const printings: readonly (readonly [string, (value: unknown) => string])[] = [
  ['JSON', (value) => JSON.stringify({ value })],
  ['String()', (value) => String(value)],
  ['a template', (value) => `${value as string}`],
  ['inspect', (value) => inspect(value, { depth: 10, showHidden: true, getters: true })],
  ['inspect without its custom form', (value) => inspect(value, { depth: 10, customInspect: false })],
  ['console formatting', (value) => format('%s %o %j %O', value, value, value, value)],
  ['concatenation', (value) => '' + (value as string)],
  ['a copy of its members', (value) => JSON.stringify({ ...(value as object) })],
];

describe('a minted token [S3-1]', () => {
  test.each(printings)('does not show in %s', (_title, print) => {
    const secret = minted.token.reveal().slice(minted.display.length + 1);
    expect(print(minted.token)).not.toContain(secret);
    expect(print(minted)).not.toContain(secret);
    expect(print(new Error('failed', { cause: minted }))).not.toContain(secret);
  });

  test('prints as [redacted] where it is printed itself', () => {
    expect(String(minted.token)).toBe('[redacted]');
    expect(JSON.stringify(minted.token)).toBe('"[redacted]"');
    expect(inspect(minted.token)).toBe('[redacted]');
  });
});

describe('a pepper ring', () => {
  test.each(printings)('does not show its peppers in %s', (_title, print) => {
    for (const encoding of ['base64', 'hex', 'latin1'] as const) expect(print(ring)).not.toContain(pepper.toString(encoding));
  });
});

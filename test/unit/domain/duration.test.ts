import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { durationMs, durationPattern, parseDurationMs, spellDuration } from '../../../operator/src/domain/duration.ts';

describe('a duration', () => {
  it.each([
    ['1h30m', 5_400_000],
    ['90s', 90_000],
    ['0s', 0],
    ['876000h', 3_153_600_000_000],
    ['1h1s', 3_601_000],
    ['90d', 7_776_000_000],
    ['1w2d3h', 788_400_000],
    ['007s', 7_000],
  ])('is read in weeks, days, hours, minutes and seconds: %s', (text, ms) => {
    expect(parseDurationMs(text)).toBe(ms);
  });

  it.each([
    '',
    's',
    '1',
    '1 week',
    '1y',
    '1d1w',
    '-1h',
    '1.5h',
    '1m1h',
    '1h ',
    'h1',
    '1h1h',
    '100ms',
    '1234567890h1234567890s',
    '12345678901s',
  ])('is nothing else: %j', (text) => {
    expect(parseDurationMs(text)).toBeUndefined();
    expect(() => durationMs(text)).toThrow(RangeError);
  });

  it('accepts by parser exactly what the pattern of the manifests accepts', () => {
    const pattern = new RegExp(durationPattern);
    const texts = fc.oneof(
      fc.string({ unit: fc.constantFrom('1', '0', 'w', 'd', 'h', 'm', 's', ' '), maxLength: 22 }),
      fc.string({ maxLength: 22 }),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const accepted = pattern.test(text) && text.length >= 2 && text.length <= 20;
        expect(parseDurationMs(text) !== undefined).toBe(accepted);
      }),
    );
  });
});

describe('a duration as people read it', () => {
  it.each([
    [0, '0s'],
    [1, '1s'],
    [61_000, '1m1s'],
    [5_400_000, '1h30m'],
    [86_400_000, '24h'],
    [7 * 86_400_000, '7d'],
    [30 * 86_400_000 + 3_600_000 + 1000, '30d1h'],
    [172_800_000 + 1000, '2d'],
  ])('has at most two units, and is never shorter than a second: %d ms', (ms, text) => {
    expect(spellDuration(ms)).toBe(text);
  });
});

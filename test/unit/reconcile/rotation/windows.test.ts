import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ceilToSecond, type Instant } from '../../../../operator/src/domain/time.ts';
import {
  isOpen,
  nextOpen,
  windowFault,
  windowsOf,
  type WindowSpec,
} from '../../../../operator/src/reconcile/rotation/windows.ts';
import { start, windowSpecs, zones } from '../../../builders/rotation.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

function berlin(schedule: string, duration = '1h'): WindowSpec {
  return { schedule, duration, timezone: 'Europe/Berlin' };
}

function openings(spec: WindowSpec, from: string, count: number): readonly string[] {
  const windows = windowsOf([spec]);
  const found: string[] = [];
  let cursor: Instant = Date.parse(from);
  while (found.length < count) {
    cursor = nextOpen(windows, cursor) ?? Number.NaN;
    found.push(new Date(cursor).toISOString().slice(0, 16));
    while (isOpen(windows, cursor)) cursor += 60_000;
  }
  return found;
}

/** A change of the clocks: `at` is the first instant with the new offset. Offsets in milliseconds east of UTC. */
interface Change {
  readonly at: Instant;
  readonly before: number;
  readonly after: number;
}

/** The changes of three years, by the runtime's own time zone data: what the library is measured against. */
function changesOf(timezone: string): readonly Change[] {
  const format = new Intl.DateTimeFormat('sv-SE', { timeZone: timezone, dateStyle: 'short', timeStyle: 'short' });
  const offsetAt = (at: Instant) => Date.parse(`${format.format(at).replace(' ', 'T')}Z`) - at;
  const offsets = Array.from({ length: 3 * 365 }, (_, day) => offsetAt(start + day * dayMs));
  return offsets.flatMap((after, day) => {
    const before = offsets[day - 1] ?? after;
    if (before === after) return [];
    let [low, high] = [start + (day - 1) * dayMs, start + day * dayMs];
    while (high - low > 60_000) {
      const middle = low + Math.floor((high - low) / 120_000) * 60_000;
      if (offsetAt(middle) === before) low = middle;
      else high = middle;
    }
    return [{ at: high, before, after }];
  });
}

/** When the wall clock first shows this time on the day; where the day lacks it, the end of the gap. */
function firstShown(localTime: number, { at, before, after }: Change): Instant {
  if (localTime - before < at) return localTime - before;
  return Math.max(at, localTime - after);
}

describe('a window', () => {
  it('is open from an instant of its schedule for its duration of real time, in its own time zone', () => {
    const windows = windowsOf([berlin('0 2 * * 6', '4h')]);
    const opens = Date.parse('2026-06-06T00:00:00Z');
    expect(nextOpen(windows, Date.parse('2026-06-01T00:00:00Z'))).toBe(opens);
    expect([-1, 0, 1, 4 * hourMs - 1, 4 * hourMs].map((ms) => isOpen(windows, opens + ms))).toEqual([
      false,
      true,
      true,
      true,
      false,
    ]);
    expect(nextOpen(windows, opens + 5)).toBe(opens + 5);
    expect(nextOpen(windows, opens + 4 * hourMs)).toBe(opens + 7 * dayMs);
  });

  it('that is longer than its interval never closes', () => {
    const windows = windowsOf([berlin('0 * * * *', '2h')]);
    for (let at = start; at < start + dayMs; at += 7 * 60_000) expect(isOpen(windows, at)).toBe(true);
  });

  it('opens after the gap when the clocks go forward over its time, and stays open as long as ever', () => {
    expect(openings(berlin('30 2 * * *'), '2026-03-28T00:00:00Z', 3)).toEqual([
      '2026-03-28T01:30',
      '2026-03-29T01:00',
      '2026-03-30T00:30',
    ]);
    const windows = windowsOf([berlin('30 2 * * *')]);
    expect(isOpen(windows, Date.parse('2026-03-29T01:59:59Z'))).toBe(true);
    expect(isOpen(windows, Date.parse('2026-03-29T02:00:00Z'))).toBe(false);
  });

  it('at a fixed time opens once when the clocks go back over it', () => {
    expect(openings(berlin('30 2 * * *', '10m'), '2026-10-24T00:00:00Z', 3)).toEqual([
      '2026-10-24T00:30',
      '2026-10-25T00:30',
      '2026-10-26T01:30',
    ]);
  });

  it('of every hour opens in both hours that have one name', () => {
    expect(openings(berlin('0 * * * *', '1m'), '2026-10-24T23:30:00Z', 3)).toEqual([
      '2026-10-25T00:00',
      '2026-10-25T01:00',
      '2026-10-25T02:00',
    ]);
  });

  it('among several is enough: the union of all counts, and none at all means any time', () => {
    fc.assert(
      fc.property(fc.array(windowSpecs, { maxLength: 3 }), fc.integer({ min: 0, max: 1e9 }), (specs, seconds) => {
        const at = start + seconds * 1000;
        const each = specs.map((spec) => windowsOf([spec]));
        const all = windowsOf(specs);
        expect(isOpen(all, at)).toBe(specs.length === 0 || each.some((one) => isOpen(one, at)));
        const first = specs.length === 0 ? at : Math.min(...each.map((one) => nextOpen(one, at) ?? Number.NaN));
        expect(nextOpen(all, at)).toBe(first);
      }),
      { numRuns: 60 },
    );
  });

  it('opens where nextOpen says, and nowhere before', () => {
    fc.assert(
      fc.property(
        windowSpecs,
        fc.integer({ min: 0, max: 1e12 }),
        fc.double({ min: 0, max: 1 - 1e-9, noNaN: true }),
        (spec, ms, share) => {
          const windows = windowsOf([spec]);
          const from = start + ms;
          const opens = nextOpen(windows, from) ?? Number.NaN;
          expect(opens).toBeGreaterThanOrEqual(from);
          expect(isOpen(windows, opens)).toBe(true);
          if (opens === from) return;
          expect(opens).toBe(ceilToSecond(opens));
          expect(isOpen(windows, from + Math.floor((opens - from) * share))).toBe(false);
        },
      ),
      { numRuns: 100 },
    );
  });
});

describe('the library that reads schedules', () => {
  it.each(zones)('agrees with the time zone data of the runtime around every change of the clocks: %s', (timezone) => {
    for (const change of changesOf(timezone)) {
      const noon = Math.floor((change.at + change.before) / dayMs) * dayMs + dayMs / 2;
      for (const time of ['00:00', '00:30', '01:30', '02:00', '02:15', '02:45', '23:30']) {
        const [hour = 0, minute = 0] = time.split(':').map(Number);
        const windows = windowsOf([{ schedule: `${minute} ${hour} * * *`, duration: '1m', timezone }]);
        // The day before, the day itself, the day after: each day has the window once, whatever the clocks do.
        for (const day of [-1, 0, 1]) {
          const midnight = noon - dayMs / 2 + day * dayMs;
          const wanted = firstShown(midnight + (hour * 60 + minute) * 60_000, change);
          const found = nextOpen(windows, wanted - 20 * hourMs) ?? Number.NaN;
          expect(new Date(found).toISOString(), `${timezone} ${time}`).toBe(new Date(wanted).toISOString());
          expect(nextOpen(windows, wanted + 60_000)).toBeGreaterThan(wanted + 22 * hourMs);
        }
      }
    }
  });

  it('has changes of the clocks to be measured at', () => {
    expect(zones.flatMap(changesOf).length).toBeGreaterThan(30);
  });
});

describe('a window that cannot be', () => {
  const good = berlin('0 2 * * 6');

  it.each([
    ['31 February', { schedule: '0 0 31 2 *' }, 'schedule', 'never opens'],
    ['the 31st of months that are shorter', { schedule: '0 0 31 2,4,6,9,11 *' }, 'schedule', 'never opens'],
    ['minute 60', { schedule: '60 2 * * *' }, 'schedule', 'five fields'],
    ['weekday 8', { schedule: '0 2 * * 8' }, 'schedule', 'five fields'],
    ['words', { schedule: 'at two in the morning' }, 'schedule', 'five fields'],
    ['six fields', { schedule: '0 0 2 * * 6' }, 'schedule', 'five fields'],
    ['a planet', { timezone: 'Mars/Olympus' }, 'timezone', 'Mars/Olympus'],
  ] as const)('is named with its place: %s', (_what, change, member, text) => {
    const fault = windowFault([good, { ...good, ...change }], start);
    expect(fault).toMatchObject({ index: 1, member });
    expect(fault?.message).toContain(text);
  });

  it('is told from one that opens seldom', () => {
    for (const schedule of ['0 0 29 2 *', '0 0 L 2 *', '0 0 * 2 1#5', '59 23 31 12 *'])
      expect(windowFault([berlin(schedule)], start)).toBeUndefined();
    expect(windowFault(undefined, start)).toBeUndefined();
  });

  it('is found out for any text that the manifest lets through, and nothing else is thrown', () => {
    const field = fc.oneof(
      fc.constantFrom('*', '*/5', '31', '0', '1-5', '2#5', 'L', '15W', 'LW', '?', 'FEB', 'MON', '*/0', '9-1', '1,,2', '-', '/'),
      fc.string({ unit: fc.constantFrom(...'0123456789*,/#?LW-'), minLength: 1, maxLength: 6 }),
    );
    const schedules = fc.array(field, { minLength: 5, maxLength: 5 }).map((fields) => fields.join(' '));
    fc.assert(
      fc.property(schedules, fc.constantFrom(...zones), (schedule, timezone) => {
        const spec = { schedule, duration: '1h', timezone };
        if (windowFault([spec], start) === undefined) expect(nextOpen(windowsOf([spec]), start)).toBeGreaterThanOrEqual(start);
      }),
      { numRuns: 200 },
    );
  });
});

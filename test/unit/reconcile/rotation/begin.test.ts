import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Instant } from '../../../../operator/src/domain/time.ts';
import {
  nextRotationAt,
  stepOfPlanned,
  stepOfRequested,
  type Brakes,
  type RotationStep,
} from '../../../../operator/src/reconcile/rotation/begin.ts';
import type { RotationDue } from '../../../../operator/src/reconcile/rotation/due.ts';
import { windowsOf } from '../../../../operator/src/reconcile/rotation/windows.ts';
import { at, start, windowSpecs } from '../../../builders/rotation.ts';

const free: Brakes = { windows: [], suspended: false };
/** Open from 02:00 to 04:00 UTC each day; the start is a midnight. */
const nightly = windowsOf([{ schedule: '0 2 * * *', duration: '2h', timezone: 'UTC' }]);

function due(dueAt: string, last?: string): RotationDue {
  return { at: at(dueAt), cause: 'Scheduled', ...(last === undefined ? {} : { lastAt: at(last) }) };
}

/** When it begins, as this step sees it: now, or the instant it names. */
function begins(step: RotationStep, now: Instant): Instant {
  return step.kind === 'begin' ? now : step.kind === 'wait' ? step.beginsAt : Number.NaN;
}

describe('a planned rotation', () => {
  it('waits until it is due, and begins then', () => {
    expect(stepOfPlanned(due('10h'), free, at('9h'))).toEqual({
      kind: 'wait',
      cause: 'Scheduled',
      why: 'NotDue',
      dueAt: at('10h'),
      beginsAt: at('10h'),
      wakeAt: at('10h'),
    });
    expect(stepOfPlanned(due('10h'), free, at('10h'))).toEqual({ kind: 'begin', cause: 'Scheduled', dueAt: at('10h') });
    expect(stepOfPlanned(undefined, free, at('10h'))).toEqual({ kind: 'none' });
  });

  it('waits for its window, and says so', () => {
    const brakes = { ...free, windows: nightly };
    const wait = { kind: 'wait', why: 'OutsideWindow', beginsAt: at('26h'), wakeAt: at('26h') };
    expect(stepOfPlanned(due('10h'), brakes, at('10h'))).toMatchObject(wait);
    expect(stepOfPlanned(due('10h'), brakes, at('9h'))).toMatchObject({ why: 'NotDue', beginsAt: at('26h'), wakeAt: at('10h') });
    expect(stepOfPlanned(due('10h'), brakes, at('27h'))).toMatchObject({ kind: 'begin' });
    expect(stepOfPlanned(due('10h'), brakes, at('28h'))).toMatchObject({ kind: 'wait', beginsAt: at('50h') });
  });

  it('waits for no window that opens after the last moment', () => {
    const brakes = { ...free, windows: nightly };
    expect(stepOfPlanned(due('10h', '25h'), brakes, at('10h'))).toMatchObject({ kind: 'begin' });
    expect(stepOfPlanned(due('10h', '26h'), brakes, at('10h'))).toMatchObject({ kind: 'wait', beginsAt: at('26h') });
    expect(stepOfPlanned(due('10h', '40h'), brakes, at('28h'))).toMatchObject({ kind: 'begin' });
  });

  it('waits while two versions live, and then for its window', () => {
    const brakes = { ...free, olderEndsAt: at('20h') };
    const wait = { kind: 'wait', why: 'OverlapRunning', beginsAt: at('20h'), wakeAt: at('20h') };
    expect(stepOfPlanned(due('10h', '12h'), brakes, at('11h'))).toMatchObject(wait);
    expect(stepOfPlanned(due('10h'), { ...brakes, windows: nightly }, at('11h'))).toMatchObject({
      why: 'OverlapRunning',
      beginsAt: at('26h'),
      wakeAt: at('20h'),
    });
    expect(stepOfPlanned(due('10h'), brakes, at('20h'))).toMatchObject({ kind: 'begin' });
  });

  it('waits for a provider that takes few writes, unless the key would expire', () => {
    const brakes = { ...free, writableAt: at('20h') };
    expect(stepOfPlanned(due('10h'), brakes, at('11h'))).toMatchObject({ why: 'WriteInterval', beginsAt: at('20h') });
    expect(stepOfPlanned(due('10h', '12h'), brakes, at('11h'))).toMatchObject({ why: 'WriteInterval', beginsAt: at('12h') });
    expect(stepOfPlanned(due('10h', '12h'), brakes, at('13h'))).toMatchObject({ kind: 'begin' });
  });

  it('waits while the key is suspended, for nobody knows how long', () => {
    const step = stepOfPlanned(due('10h', '12h'), { ...free, suspended: true }, at('13h'));
    expect(step).toEqual({ kind: 'suspended', cause: 'Scheduled', dueAt: at('10h') });
    expect(nextRotationAt(step)).toBeUndefined();
  });

  it('is announced for the instant at which it will begin, and keeps the one at which it was due', () => {
    const brakes = { ...free, windows: nightly };
    expect(nextRotationAt(stepOfPlanned(due('10h'), brakes, at('9h')))).toBe(at('26h'));
    expect(nextRotationAt(stepOfPlanned(due('10h'), free, at('99h')))).toBe(at('10h'));
    expect(nextRotationAt({ kind: 'none' })).toBeUndefined();
    expect(nextRotationAt(stepOfRequested(free, at('99h')))).toBeUndefined();
  });
});

describe('a rotation that was asked for', () => {
  it('waits for no window, but while two versions live and while the key is suspended', () => {
    const windows = nightly;
    expect(stepOfRequested({ ...free, windows }, at('10h'))).toMatchObject({ kind: 'begin', cause: 'Requested' });
    expect(stepOfRequested({ ...free, windows, olderEndsAt: at('11h') }, at('10h'))).toMatchObject({
      kind: 'wait',
      why: 'OverlapRunning',
      beginsAt: at('11h'),
    });
    expect(stepOfRequested({ ...free, suspended: true }, at('10h'))).toMatchObject({ kind: 'suspended' });
  });
});

describe('whatever holds a rotation up', () => {
  const minutes = fc.integer({ min: 0, max: 60 * 24 * 400 }).map((count) => start + count * 60_000);
  const situations = fc.record({
    due: fc.record({ at: minutes, lastAfterMs: fc.option(fc.integer({ min: 0, max: 4e9 })) }),
    windows: fc.array(windowSpecs, { maxLength: 2 }),
    olderEndsAt: fc.option(minutes),
    writableAt: fc.option(minutes),
  });

  function situation(given: typeof situations extends fc.Arbitrary<infer T> ? T : never): {
    rotation: RotationDue;
    brakes: Brakes;
  } {
    const { at: dueAt, lastAfterMs } = given.due;
    return {
      rotation: { at: dueAt, cause: 'BeforeExpiry', ...(lastAfterMs === null ? {} : { lastAt: dueAt + lastAfterMs }) },
      brakes: {
        windows: windowsOf(given.windows),
        suspended: false,
        ...(given.olderEndsAt === null ? {} : { olderEndsAt: given.olderEndsAt }),
        ...(given.writableAt === null ? {} : { writableAt: given.writableAt }),
      },
    };
  }

  it('is over at an instant that only moves away from the past, and never beyond the last moment for a window', () => {
    fc.assert(
      fc.property(situations, minutes, fc.integer({ min: 0, max: 1e10 }), (given, now, laterMs) => {
        const { rotation, brakes } = situation(given);
        const step = stepOfPlanned(rotation, brakes, now);
        const first = begins(step, now);
        expect(begins(stepOfPlanned(rotation, brakes, now + laterMs), now + laterMs)).toBeGreaterThanOrEqual(first);
        expect(first).toBeGreaterThanOrEqual(rotation.at > now ? rotation.at : now);
        if (rotation.lastAt === undefined) return;
        expect(first).toBeLessThanOrEqual(Math.max(rotation.lastAt, now, brakes.olderEndsAt ?? 0) + 999);
      }),
      { numRuns: 150 },
    );
  });

  it('is looked at after now, and ends: who wakes as told begins at the announced instant', () => {
    fc.assert(
      fc.property(situations, minutes, (given, from) => {
        const { rotation, brakes } = situation(given);
        let now = from;
        let step = stepOfPlanned(rotation, brakes, now);
        const announced = begins(step, now);
        for (let looks = 0; step.kind === 'wait'; looks += 1) {
          expect(step.wakeAt).toBeGreaterThan(now);
          expect(step.wakeAt % 1000).toBe(0);
          expect(looks).toBeLessThan(4);
          now = step.wakeAt;
          step = stepOfPlanned(rotation, brakes, now);
        }
        expect(step.kind).toBe('begin');
        expect(now).toBe(announced);
      }),
      { numRuns: 150 },
    );
  });
});

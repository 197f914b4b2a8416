import { expect, test } from 'vitest';

import type { HostView } from '../../../operator/src/store/primary.ts';
import { PrimaryMemory } from '../../../operator/src/store/primarymemory.ts';
import { FakeClock } from '../../harness/fakes/clock.ts';

const silent: HostView = { kind: 'silent' };

function remembering() {
  const clock = new FakeClock();
  const memory = new PrimaryMemory(clock);
  const last = (beats: number) => ({ beats, at: clock.now(), ageMs: 0 });
  const primary = (beats: number) => ({ kind: 'primary', system: '1', timeline: 1, last: last(beats) }) as const;
  const look = (...views: readonly HostView[]) =>
    memory.watched(views, clock.monotonicMs()).map((view) => {
      if (!('last' in view)) return view.kind;
      return [view.last.stillMs, view.last.hasGrown];
    });
  return { clock, memory, primary, last, look };
}

test('tells for how long a count stands still, and whether it grew while somebody looked', async () => {
  const { clock, primary, look } = remembering();
  expect(look(primary(7), silent)).toEqual([[0, false], 'silent']);
  await clock.advance(5_000);
  expect(look(primary(7), primary(3))).toEqual([
    [5_000, false],
    [0, false],
  ]);
  await clock.advance(5_000);
  expect(look(primary(8), primary(3))).toEqual([
    [0, true],
    [5_000, false],
  ]);
  await clock.advance(5_000);
  expect(look(primary(8), silent)).toEqual([[5_000, true], 'silent']);
});

test('takes no count for grown that was not looked at, that shrank, or that a standby repeats', async () => {
  const { clock, primary, last, look } = remembering();
  const standby = (beats: number): HostView => ({ kind: 'standby', last: last(beats) });
  look(primary(7), primary(7), standby(1), standby(1));
  await clock.advance(5_000);
  look(silent, primary(6), standby(2), standby(2));
  await clock.advance(11_000);
  const grown = look(primary(9), primary(6), standby(3), primary(3)).map((one) => one[1]);
  expect(grown).toEqual([false, false, false, false]);
});

test('remembers the primary that was used last, which grows older', async () => {
  const { clock, memory, primary } = remembering();
  expect(memory.remembered()).toBeUndefined();
  memory.use(primary(7), clock.monotonicMs());
  await clock.advance(9_000);
  expect(memory.remembered()).toMatchObject({ system: '1', timeline: 1, last: { beats: 7, ageMs: 9_000 } });
});

test('takes over what another process remembered, and forgets; both ask for another choice', async () => {
  const { clock, memory, primary } = remembering();
  memory.use(primary(7), clock.monotonicMs());
  const note = memory.note();
  await clock.advance(60_000);
  const next = new PrimaryMemory(clock);
  expect(next.restores).toBe(0);
  next.restore(note);
  expect(next.remembered()).toMatchObject({ last: { beats: 7, ageMs: 60_000 } });
  next.restore(undefined);
  expect([next.remembered(), next.note(), next.restores]).toEqual([undefined, undefined, 2]);
});

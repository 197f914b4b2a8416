import { expect, test } from 'vitest';

import { heartbeatNote } from '../../../operator/src/commands/heartbeatnote.ts';
import { PrimaryMemory } from '../../../operator/src/store/primarymemory.ts';
import { silentLog, type Log } from '../../../operator/src/telemetry/log.ts';
import { FakeClock } from '../../harness/fakes/clock.ts';

function operator(clock: FakeClock) {
  const memory = new PrimaryMemory(clock);
  const told: string[] = [];
  const log: Log = { ...silentLog, error: (event) => told.push(event), warn: (event) => told.push(event) };
  return { memory, told, note: heartbeatNote(memory, log) };
}

test('the next operator knows what the last one wrote, until somebody removes the annotation', async () => {
  const clock = new FakeClock();
  const [one, next] = [operator(clock), operator(clock)];
  expect(one.note.text()).toBeUndefined();
  const last = { beats: 7, at: clock.now(), ageMs: 0 };
  one.memory.use({ kind: 'primary', system: '18446744073709551615', timeline: 3, last }, clock.monotonicMs());
  await clock.advance(30_000);
  next.note.taken(one.note.text());
  expect(next.memory.remembered()).toEqual({
    ...{ system: '18446744073709551615', timeline: 3 },
    last: { beats: 7, at: last.at, ageMs: 30_000, stillMs: 0 },
  });
  next.note.removed();
  expect(next.memory.remembered()).toBeUndefined();
});

test('a note that is not ours says nothing about the primary, and the log names it', () => {
  const { memory, note, told } = operator(new FakeClock());
  for (const text of [undefined, '', 'null', '{"beats":1}']) {
    note.taken(text);
    expect(memory.remembered()).toBeUndefined();
  }
  expect(told).toEqual(Array.from({ length: 3 }, () => 'annotation of the Lease not readable'));
});

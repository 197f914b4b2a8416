import { expect, it } from 'vitest';
import { openNotes } from '../../../../operator/src/destinations/aws/notes.ts';
import type { SecretState } from '../../../../operator/src/destinations/aws/state.ts';
import { FakeClock } from '../../../harness/fakes/clock.ts';

const state = (arn: string): SecretState => ({
  arn,
  owner: undefined,
  current: undefined,
  pending: undefined,
  earlier: undefined,
  deleted: false,
  tagged: true,
});

it('gives back the newest note until it is dropped or half a minute old', async () => {
  const clock = new FakeClock();
  const notes = openNotes(clock);
  notes.keep('a', state('arn:1'));
  notes.keep('b', state('arn:2'));
  notes.keep('a', state('arn:3'));
  expect(notes.of('a')?.arn).toBe('arn:3');
  notes.drop('a');
  expect(notes.of('a')).toBeUndefined();
  await clock.advance(29_999);
  expect(notes.of('b')?.arn).toBe('arn:2');
  await clock.advance(1);
  expect(notes.of('b')).toBeUndefined();
});

import { expect, it } from 'vitest';
import { crowdedOut, type Naming } from '../../../../operator/src/resources/files/crowd.ts';

const naming = (path: string, objects: number, hasPlace = false): Naming => ({ path, objects, hasPlace });

it('leaves out what is new before what has its place, and the largest first', () => {
  expect(crowdedOut([naming('new', 1), naming('old', 19_999, true)])).toEqual(new Set());
  expect(crowdedOut([naming('new', 2), naming('old', 19_999, true)])).toEqual(new Set(['new']));
  expect(crowdedOut([naming('grown', 20_000, true), naming('old', 1, true)])).toEqual(new Set(['grown']));
  expect(crowdedOut([naming('grown', 20_000, true), naming('old', 1, true), naming('new', 1)])).toEqual(new Set(['grown']));
});

import { expect, it } from 'vitest';
import { KubeFault } from '../../../../operator/src/resources/kube/fault.ts';
import { BackOff, endingOf, nextPosition } from '../../../../operator/src/resources/kube/position.ts';

it('doubles the delay from 800 ms to 30 s, adds up to as much again, and starts anew after two quiet minutes', () => {
  const plain = new BackOff(() => 0);
  const delays = [0, 1, 2, 3, 4, 5, 6, 7].map((at) => plain.nextMs(at * 1000));
  expect(delays).toEqual([800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]);
  expect(plain.nextMs(7_000 + 120_000)).toBe(30_000);
  expect(plain.nextMs(7_000 + 120_000 + 120_001)).toBe(800);
  expect(new BackOff(() => 0.999).nextMs(0)).toBeCloseTo(1599.2);
});

it.each([
  ['refused', 'watch', '7'],
  ['broken', 'watch', '7'],
  ['timeout', 'watch', '7'],
  [429, 'watch', '7'],
  [500, 'list', '7'],
  [403, 'list', '7'],
  [410, 'list', ''],
] as const)('after %s goes on with a %s from version "%s"', (code, kind, resourceVersion) => {
  const next = nextPosition({ kind: 'watch', resourceVersion: '7' }, endingOf(new KubeFault(code)));
  expect(next).toEqual({ kind, resourceVersion });
});

it('lists from the newest when the server is behind us, as after a restored etcd', () => {
  const fault = new KubeFault(504, undefined, ['ResourceVersionTooLarge']);
  expect(nextPosition({ kind: 'list', resourceVersion: '900' }, endingOf(fault))).toEqual({ kind: 'list', resourceVersion: '' });
});

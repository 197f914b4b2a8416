import { expect, it } from 'vitest';
import { applyChange, replaceAll } from '../../../../operator/src/resources/kube/cache.ts';
import type { Cache, Cached } from '../../../../operator/src/resources/kube/cache.ts';

const object = (name: string, uid: string, resourceVersion: string): Cached => ({
  metadata: { namespace: 'payments', name, uid, resourceVersion },
});
const cacheOf = (...objects: Cached[]): Cache<Cached> => new Map(objects.map((one) => [`payments/${one.metadata.name}`, one]));

it('tells that the old object is gone when a watch shows another one of its name', () => {
  const [old, other] = [object('a', 'one', '1'), object('a', 'two', '5')];
  const cache = cacheOf(old);
  expect(applyChange(cache, { type: 'MODIFIED', object: other })).toEqual([
    { type: 'delete', object: old },
    { type: 'upsert', object: other },
  ]);
  expect([...cache.values()]).toEqual([other]);
});

it('does not take the late news of an old deletion for that of the new object', () => {
  const cache = cacheOf(object('a', 'two', '5'));
  expect(applyChange(cache, { type: 'DELETED', object: object('a', 'one', '3') })).toEqual([]);
  expect(cache.size).toBe(1);
});

it('takes from a list only what differs', () => {
  const [same, changed, gone, added] = [
    object('a', 'a', '1'),
    object('b', 'b', '4'),
    object('c', 'c', '3'),
    object('d', 'd', '5'),
  ];
  const cache = cacheOf(same, object('b', 'b', '2'), gone);
  expect(replaceAll(cache, [same, changed, added])).toEqual([
    { type: 'delete', object: gone },
    { type: 'upsert', object: changed },
    { type: 'upsert', object: added },
  ]);
  expect([...cache.keys()].sort()).toEqual(['payments/a', 'payments/b', 'payments/d']);
});

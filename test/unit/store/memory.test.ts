import { expect, test } from 'vitest';

import { Failure } from '../../../operator/src/domain/failure.ts';
import { mintRequest } from '../../builders/mintrequest.ts';
import { FakeClock } from '../../harness/fakes/clock.ts';
import { MemoryStore } from '../../harness/fakes/store.ts';

const newStore = async (): Promise<MemoryStore> => {
  const store = new MemoryStore({ clock: new FakeClock() });
  await store.takeFence();
  return store;
};

test('fails as often as it was told, before anything happens', async () => {
  const store = await newStore();
  const request = mintRequest();
  store.failNext(2);
  await expect(store.mint(request)).rejects.toThrow(Failure);
  await expect(store.readKey(request.ref.uid)).rejects.toThrow(Failure);
  expect((await store.readKey(request.ref.uid)).key).toBeUndefined();
});

test('crashes after an effect, and keeps the effect', async () => {
  const store = await newStore();
  const request = mintRequest();
  store.afterEffect = (operation) => {
    throw new Error(`crash after ${operation}`);
  };
  await expect(store.mint(request)).rejects.toThrow('crash after mint');
  store.afterEffect = undefined;
  expect((await store.readKey(request.ref.uid)).versions).toHaveLength(1);
});

test('counts writes, and lets nobody change a row through what was read', async () => {
  const store = await newStore();
  const request = mintRequest();
  await store.mint(request);
  const [version] = (await store.readKey(request.ref.uid)).versions;
  version?.hash.fill(0);
  expect((await store.readKey(request.ref.uid)).versions).toEqual([request.version]);
  await store.mint(request);
  expect(store.writes).toBe(1);
  expect(store.calls.get('mint')).toBe(2);
});

import { FakeClock } from '../../harness/fakes/clock.ts';
import { MemoryDatabase, MemoryStore } from '../../harness/fakes/store.ts';
import { storeSuite } from './suite.ts';

storeSuite('the store in memory', async () => {
  const database = new MemoryDatabase();
  const clock = new FakeClock();
  return await Promise.resolve({ open: () => new MemoryStore({ clock, database }), close: () => Promise.resolve() });
});

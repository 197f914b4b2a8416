import { FakeDestination } from '../../harness/fakes/destination.ts';
import { destinationContract } from './suite.ts';

destinationContract('a destination in memory', async () => {
  const destination = new FakeDestination();
  let count = 0;
  return {
    destination,
    marksShowChanges: true,
    owner: { namespace: 'payments', name: 'billing', uid: 'uid-1' },
    fresh: () => ({ destinationUid: 'memory', path: `payments/place-${(count += 1)}` }),
    close: () => destination.close(),
    stranger: {
      put: async ({ path }) => {
        destination.putForeign(path);
      },
      change: async ({ path }, apiKey) => {
        destination.overwrite(path, apiKey);
      },
      changeMark: async ({ path }, installationId) => {
        destination.changeMark(path, { installationId });
      },
      remove: async ({ path }) => {
        destination.lose(path);
      },
      read: async ({ path }) => destination.entries(path),
    },
  };
});

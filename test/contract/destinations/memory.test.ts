import { FakeDestination } from '../../harness/fakes/destination.ts';
import { destinationContract, edited, type Subject } from './suite.ts';

async function open(stages: boolean): Promise<Subject> {
  const destination = new FakeDestination({ stages });
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
      edit: async ({ path }, entries) => {
        destination.edit(path, (found) => edited(found, entries));
      },
      changeMark: async ({ path }, installationId) => {
        destination.changeMark(path, { installationId });
      },
      poison: async ({ path }) => {
        destination.changeMark(path, { keyId: 'poisoned', epoch: 999_999_999, envelope: 'poisoned' });
      },
      remove: async ({ path }) => {
        destination.lose(path);
      },
      read: async ({ path }) => destination.entries(path),
    },
  };
}

destinationContract('a destination in memory', () => open(false));
destinationContract('a destination in memory that stages, as AWS does', () => open(true));

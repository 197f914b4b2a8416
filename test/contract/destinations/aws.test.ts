import { openAwsDestination, type AwsSpec } from '../../../operator/src/destinations/aws/aws.ts';
import type { Destination } from '../../../operator/src/destinations/port.ts';
import { Plaintext } from '../../../operator/src/domain/plaintext.ts';
import { systemClock } from '../../../operator/src/domain/time.ts';
import { awsStranger, type AwsCall } from '../../harness/aws.ts';
import { AwsFake } from '../../harness/awsfake/awsfake.ts';
import { destinationContract, type Stranger, type Subject } from './suite.ts';

interface Place {
  readonly endpoint: string;
  readonly region: string;
  readonly keys: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

function open({ endpoint, region, keys }: Place, change: Partial<AwsSpec> = {}): Promise<Destination> {
  const entries = new Map([
    ['access-key-id', keys.accessKeyId],
    ['secret-access-key', keys.secretAccessKey],
  ]);
  return openAwsDestination({
    spec: {
      region,
      endpoint,
      name: 'keywright/{namespace}/{name}',
      auth: { secretRef: { name: 'aws' } },
      recoveryWindow: '168h',
      ...change,
    },
    environment: {},
    readSecret: async (_name, entry) => {
      const text = entries.get(entry);
      return text === undefined ? undefined : new Plaintext(text);
    },
    clock: systemClock,
  });
}

/** What others do in the account, by locations. */
function strangerOf(call: AwsCall): Stranger {
  const stranger = awsStranger(call);
  return {
    put: ({ path }) => stranger.put(path, JSON.stringify({ password: 'not ours' })),
    change: ({ path }, apiKey) => stranger.change(path, JSON.stringify({ 'api-key': apiKey })),
    remove: ({ path }) => stranger.remove(path),
    read: async ({ path }) => {
      const text = await stranger.read(path);
      return text === undefined ? undefined : (JSON.parse(text) as Record<string, string>);
    },
  };
}

function subjectOf(destination: Destination, call: AwsCall, base: string, end: () => Promise<void>): Subject {
  let count = 0;
  return {
    destination,
    stranger: strangerOf(call),
    marksShowChanges: true,
    owner: { namespace: 'payments', name: 'billing', uid: 'uid-1' },
    fresh: () => ({ destinationUid: 'aws', path: `keywright/${base}/place-${(count += 1)}` }),
    close: async () => {
      await destination.close();
      await end();
    },
  };
}

destinationContract('AWS Secrets Manager, by its documentation', async () => {
  const fake = await AwsFake.open();
  const destination = await open({ endpoint: fake.endpoint, region: fake.region, keys: fake.identities.createUser() });
  return subjectOf(
    destination,
    (action, input) => fake.call(action, input),
    'payments',
    () => fake.close(),
  );
});

import type { Destination } from '../../../operator/src/destinations/port.ts';
import { awsStranger, type AwsCall } from '../../harness/aws.ts';
import { AwsFake } from '../../harness/awsfake/awsfake.ts';
import { FaultProxy, type Mood } from '../../harness/faultproxy.ts';
import { useMoto } from '../../harness/parts.ts';
import { breakHttp, type HttpDialect } from './breakhttp.ts';
import { destinationFaults, strangersSay, type FaultTable } from './faults.ts';
import { openAws } from './openaws.ts';
import { destinationContract, edited, type Stranger, type Subject } from './suite.ts';

const forged = 'poisonpoison-999999999-0123456789abcdef-01234567';

/** What others do in the account, by locations. */
function strangerOf(call: AwsCall): Stranger {
  const stranger = awsStranger(call);
  return {
    put: ({ path }) => stranger.put(path, JSON.stringify({ password: 'not ours' })),
    change: ({ path }, apiKey) => stranger.change(path, JSON.stringify({ 'api-key': apiKey })),
    edit: async ({ path }, entries) => {
      const found = JSON.parse((await stranger.read(path)) ?? '') as Record<string, string>;
      await stranger.change(path, JSON.stringify(edited(found, entries)));
    },
    changeMark: async ({ path }, installationId) => {
      await call('TagResource', { SecretId: path, Tags: [{ Key: 'keywright.dev/installation', Value: installationId }] });
    },
    // A VersionId is what its writer asks for: one of our form, of the largest epoch that fits.
    poison: async ({ path }) => {
      const SecretString = await stranger.read(path);
      await call('PutSecretValue', { SecretId: path, SecretString, ClientRequestToken: forged });
    },
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
  const destination = await openAws({ endpoint: fake.endpoint, region: fake.region, keys: fake.identities.createUser() });
  return subjectOf(
    destination,
    (action, input) => fake.call(action, input),
    'payments',
    () => fake.close(),
  );
});

const moto = await useMoto();
destinationContract('AWS Secrets Manager, as moto plays it', async () => {
  const { endpoint, region, credentials } = moto;
  const destination = await openAws({ endpoint, region, keys: credentials });
  return subjectOf(destination, moto.call, moto.uniqueName(), async () => undefined);
});

const table: FaultTable = {
  calls: ['readMark', 'readValue', 'create', 'replace', 'promote', 'withdraw', 'probe'],
  faults: {
    ...strangersSay({ message: /: no trustworthy answer from AWS; the log of the operator has the cause$/ }),
    failed: { message: /AWS failed \(500\)$/ },
    throttled: { message: /AWS limits our rate$/, retryAfterMs: 7_000 },
    denied: { message: /AWS denies secretsmanager:[A-Z]\w+/ },
    expired: { message: /AWS does not accept our credentials$/ },
    full: { message: /a quota of AWS Secrets Manager is reached$/, calls: ['create', 'replace'] },
  },
  oversized: { bytes: 70_000, kind: 'stalled', message: /larger than the 65,536 bytes/ },
  lostAnswers: true,
};

/** An error of the JSON protocol whose message quotes the request. */
const refusal = (type: string, code = 400, headers: Readonly<Record<string, string>> = {}): Mood => ({
  kind: 'status',
  code,
  headers: { 'content-type': 'application/x-amz-json-1.1', ...headers },
  body: (quote) => JSON.stringify({ __type: type, Message: quote }),
});
const dialect: HttpDialect = {
  failed: refusal('InternalServiceError', 500),
  throttled: refusal('ThrottlingException', 400, { 'retry-after': '7' }),
  denied: refusal('AccessDeniedException'),
  expired: refusal('ExpiredTokenException'),
  full: refusal('LimitExceededException'),
  changes: ({ headers }) => !/\.(Describe|Get)/.test(String(headers['x-amz-target'])),
};

destinationFaults('AWS Secrets Manager', table, async () => {
  const fake = await AwsFake.open();
  const proxy = await FaultProxy.start(fake.endpoint);
  const keys = fake.identities.createUser();
  const timeoutMs = 2_000;
  const destination = await openAws({ endpoint: proxy.address, region: fake.region, keys, timeoutMs });
  let count = 0;
  return {
    destination,
    timeoutMs,
    owner: { namespace: 'payments', name: 'billing', uid: 'uid-1' },
    fresh: () => ({ destinationUid: 'aws', path: `keywright/payments/place-${(count += 1)}` }),
    break: (fault) => breakHttp(proxy, fault, dialect),
    heal: () => proxy.become({ kind: 'well' }),
    calls: () => proxy.calls,
    mostCalls: 3,
    hidden: [
      proxy.address.slice('http://'.length),
      proxy.canary,
      keys.accessKeyId,
      keys.secretAccessKey,
      fake.account,
      'AWS4-HMAC',
    ],
    close: async () => {
      await destination.close();
      await proxy.stop();
      await fake.close();
    },
  };
});

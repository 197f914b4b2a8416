import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { openAwsDestination } from '../../../operator/src/destinations/aws/aws.ts';
import type { AwsAuthSpec, AwsEnvironment, IsAccepted } from '../../../operator/src/destinations/aws/login.ts';
import type { Destination } from '../../../operator/src/destinations/port.ts';
import { Plaintext } from '../../../operator/src/domain/plaintext.ts';
import { systemClock, type Clock } from '../../../operator/src/domain/time.ts';
import { permitAws } from '../../builders/credential.ts';
import { AwsFake } from '../../harness/awsfake/awsfake.ts';
import type { Credentials } from '../../harness/awsfake/identities.ts';

const location = { destinationUid: 'aws', path: 'keywright/payments/billing' };
const opened: Destination[] = [];
let aws: AwsFake;
let folder: string;
let tokenFile: string;
let webIdentity: string;
let ownRole: string;
let aheadMs: number;

/** The machine's clock, which a test sets ahead; no pause takes time. */
const clock: Clock = {
  now: () => systemClock.now() + aheadMs,
  monotonicMs: () => systemClock.monotonicMs() + aheadMs,
  sleep: async () => undefined,
};
const minuteMs = 60_000;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keywright-aws-'));
  tokenFile = join(folder, 'token');
});
beforeEach(async () => {
  aheadMs = 0;
  aws = await AwsFake.open();
  webIdentity = aws.identities.issueWebIdentity();
  await writeFile(tokenFile, `${webIdentity}\n`);
  ownRole = aws.identities.createRole({ name: 'keywright-operator', webIdentity: true });
});
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const destination of opened.splice(0)) await destination.close();
  await aws.close();
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Asked {
  readonly auth: AwsAuthSpec;
  readonly environment?: AwsEnvironment;
  readonly secret?: () => Partial<Credentials> | undefined;
  readonly isAccepted?: IsAccepted;
}

async function open({ auth, environment = {}, secret = () => undefined, isAccepted }: Asked): Promise<Destination> {
  const destination = await openAwsDestination({
    spec: {
      region: aws.region,
      endpoint: aws.endpoint,
      stsEndpoint: aws.endpoint,
      name: 'keywright/{namespace}/{name}',
      auth,
      recoveryWindow: '168h',
    },
    environment,
    rules: permitAws(aws.endpoint),
    isAccepted,
    readCredential: async (name) => (entry) => {
      const found = name === 'aws' ? secret() : undefined;
      const entries = new Map([
        ['access-key-id', found?.accessKeyId],
        ['secret-access-key', found?.secretAccessKey],
        ['session-token', found?.sessionToken],
      ]);
      const text = entries.get(entry);
      return text === undefined ? undefined : new Plaintext(`${text}\n`);
    },
    clock,
  });
  opened.push(destination);
  return destination;
}

const irsa = (): AwsEnvironment => ({ roleArn: ownRole, webIdentityTokenFile: tokenFile });
const isAbsent = async (destination: Destination) => expect((await destination.readMark(location)).kind).toBe('absent');

async function ahead(ms: number): Promise<void> {
  aheadMs += ms;
  aws.advance(ms);
}

it('takes the role of the ServiceAccount, with one login for all who ask at once', async () => {
  const destination = await open({ auth: { irsa: {} }, environment: irsa() });
  await Promise.all([isAbsent(destination), isAbsent(destination), destination.probe()]);
  await isAbsent(destination);
  expect(aws.calls('AssumeRoleWithWebIdentity')).toBe(1);
});

it('renews a session five minutes before its end, with the token that is there then', async () => {
  const destination = await open({ auth: { irsa: {} }, environment: irsa() });
  await isAbsent(destination);
  aws.identities.expireWebIdentity(webIdentity);
  await writeFile(tokenFile, aws.identities.issueWebIdentity());
  await ahead(54 * minuteMs);
  await isAbsent(destination);
  expect(aws.calls('AssumeRoleWithWebIdentity')).toBe(1);
  await ahead(2 * minuteMs);
  await isAbsent(destination);
  expect(aws.calls('AssumeRoleWithWebIdentity')).toBe(2);
});

it('uses a session to its end while STS does not give another one', async () => {
  const destination = await open({ auth: { irsa: {} }, environment: irsa() });
  await isAbsent(destination);
  const fault = aws.fault('AssumeRoleWithWebIdentity', { kind: 'page', status: 503 });
  await ahead(56 * minuteMs);
  await isAbsent(destination);
  await ahead(5 * minuteMs);
  await expect(destination.readMark(location)).rejects.toThrow('AWS failed (503)');
  fault.lift();
  await isAbsent(destination);
});

it('takes another session at once when AWS refuses one, and tries only once more', async () => {
  const destination = await open({ auth: { irsa: {} }, environment: irsa() });
  await isAbsent(destination);
  aws.identities.endSessions();
  aws.forgetCalls();
  await isAbsent(destination);
  expect(aws.log.map(({ action }) => action)).toEqual(['DescribeSecret', 'AssumeRoleWithWebIdentity', 'DescribeSecret']);
  aws.fault('DescribeSecret', { kind: 'error', code: 'ExpiredTokenException' });
  aws.forgetCalls();
  await expect(destination.readMark(location)).rejects.toMatchObject({
    kind: 'waiting',
    reason: 'DestinationUnavailable',
    message: 'AWS does not accept our credentials',
  });
  expect(aws.calls('DescribeSecret')).toBe(2);
});

it.each<[string, () => unknown, string]>([
  ['an expired token', () => aws.identities.expireWebIdentity(webIdentity), 'AWS does not accept our credentials'],
  [
    'a token of an unknown issuer',
    () => writeFile(tokenFile, 'eyJzdHJhbmdlcg'),
    'AWS STS does not accept the token of the ServiceAccount',
  ],
  [
    'a role that does not trust us',
    () => (ownRole = aws.identities.createRole({ name: 'other' })),
    'AWS denies sts:AssumeRoleWithWebIdentity',
  ],
  ['no token', () => (tokenFile = join(folder, 'nothing')), 'the token of the ServiceAccount for AWS cannot be read'],
])('says in our words that there is %s', async (_what, spoil, sentence) => {
  const before = tokenFile;
  await spoil();
  const destination = await open({ auth: { irsa: {} }, environment: irsa() });
  tokenFile = before;
  const failure = await destination.readMark(location).then(
    () => undefined,
    (error: unknown) => error as Error,
  );
  expect(failure).toMatchObject({ kind: 'waiting', reason: 'DestinationUnavailable' });
  expect(failure?.message).toContain(sentence);
  expect(inspect(failure, { depth: 9, showHidden: true })).not.toContain(webIdentity);
});

it('assumes a role with the role of the ServiceAccount and the external id', async () => {
  const roleArn = aws.identities.createRole({ name: 'keywright', externalId: 'keywright-payments' });
  const destination = await open({ auth: { roleArn, externalId: 'keywright-payments' }, environment: irsa() });
  await isAbsent(destination);
  await isAbsent(destination);
  expect(aws.log.map(({ action }) => action)).toEqual([
    'AssumeRoleWithWebIdentity',
    'AssumeRole',
    'DescribeSecret',
    'DescribeSecret',
  ]);
  const other = await open({ auth: { roleArn, externalId: 'another' }, environment: irsa() });
  await expect(other.readMark(location)).rejects.toThrow('AWS denies sts:AssumeRole: the trust policy of the role');
});

it('takes access keys from a Secret, and a changed one at once when the old one is refused', async () => {
  let keys = aws.identities.createUser();
  const destination = await open({ auth: { secretRef: { name: 'aws' } }, secret: () => keys });
  await isAbsent(destination);
  aws.identities.end(keys.accessKeyId);
  await expect(destination.readMark(location)).rejects.toThrow('AWS does not accept our credentials');
  keys = aws.identities.createUser();
  await isAbsent(destination);
});

it('takes changed access keys within a minute', async () => {
  const keys = [aws.identities.createUser(), aws.identities.createUser()];
  let now = 0;
  const destination = await open({ auth: { secretRef: { name: 'aws' } }, secret: () => keys[now] });
  await isAbsent(destination);
  now = 1;
  await isAbsent(destination);
  await ahead(61_000);
  await isAbsent(destination);
  expect(aws.log.map(({ accessKeyId }) => accessKeyId)).toEqual([0, 0, 1].map((at) => keys[at]?.accessKeyId));
});

it('names a Secret that holds no access keys', async () => {
  const destination = await open({ auth: { secretRef: { name: 'aws' } }, secret: () => ({ accessKeyId: 'AKIA' }) });
  await expect(destination.probe()).rejects.toThrow(
    'the Secret aws cannot be used here: it needs the label keywright.dev/credential: aws and access-key-id and secret-access-key',
  );
});

it('takes nothing from the environment of a shell, and no other login than the one that is asked for', async () => {
  const trap = createServer((_request, response) => response.writeHead(500).end());
  const met = vi.fn();
  trap.on('connection', met);
  const url = await listen(trap);
  const keys = aws.identities.createUser();
  await writeFile(
    join(folder, 'config'),
    `[default]\nregion = us-east-1\nendpoint_url = ${url}\nsts_regional_endpoints = legacy\n`,
  );
  const shell = {
    AWS_ACCESS_KEY_ID: keys.accessKeyId,
    AWS_SECRET_ACCESS_KEY: keys.secretAccessKey,
    AWS_REGION: 'us-east-1',
    AWS_DEFAULT_REGION: 'us-east-1',
    AWS_ENDPOINT_URL: url,
    AWS_ENDPOINT_URL_SECRETS_MANAGER: url,
    AWS_ENDPOINT_URL_STS: url,
    AWS_EC2_METADATA_SERVICE_ENDPOINT: url,
    AWS_CONFIG_FILE: join(folder, 'config'),
    AWS_SHARED_CREDENTIALS_FILE: join(folder, 'config'),
    AWS_MAX_ATTEMPTS: '10',
    AWS_RETRY_MODE: 'adaptive',
    AWS_USE_FIPS_ENDPOINT: 'true',
    AWS_USE_DUALSTACK_ENDPOINT: 'true',
    AWS_SDK_UA_APP_ID: 'shell',
    HTTP_PROXY: url,
    HTTPS_PROXY: url,
  };
  for (const [name, text] of Object.entries(shell)) vi.stubEnv(name, text);
  try {
    const nobody = await open({ auth: { irsa: {} } });
    await expect(nobody.readMark(location)).rejects.toMatchObject({ kind: 'stalled', reason: 'InvalidSpec' });
    expect(aws.calls()).toBe(0);
    const destination = await open({ auth: { irsa: {} }, environment: irsa() });
    await isAbsent(destination);
    const failing = aws.fault('DescribeSecret', { kind: 'page', status: 500 });
    await expect(destination.readMark(location)).rejects.toThrow('AWS failed (500)');
    expect(failing.met).toBe(2);
    expect(met).not.toHaveBeenCalled();
  } finally {
    trap.close();
  }
});

it('takes the role of a Pod Identity association from its agent', async () => {
  const { arn: _arn, expiresAt, ...session } = aws.identities.assumeRoleWithWebIdentity(webIdentity, ownRole, 'pod');
  const asked: unknown[] = [];
  const agent = createServer((request, response) => {
    asked.push(request.headers.authorization);
    const { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: Token } = session;
    response.end(JSON.stringify({ AccessKeyId, SecretAccessKey, Token, Expiration: new Date(expiresAt).toISOString() }));
  });
  const containerCredentialsUri = `${await listen(agent)}/v1/credentials`;
  try {
    const environment = { containerCredentialsUri, containerTokenFile: tokenFile };
    const destination = await open({ auth: { irsa: {} }, environment });
    await isAbsent(destination);
    await isAbsent(destination);
    expect(asked).toEqual([webIdentity]);
    const elsewhere = { ...environment, containerCredentialsUri: 'http://credentials.example.com/' };
    const stray = await open({ auth: { irsa: {} }, environment: elsewhere });
    await expect(stray.probe()).rejects.toMatchObject({ kind: 'stalled', reason: 'InvalidSpec' });
  } finally {
    agent.close();
    agent.closeAllConnections();
  }
});

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

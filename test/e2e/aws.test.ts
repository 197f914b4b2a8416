import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { awsStranger, type AwsStranger } from '../harness/aws.ts';
import { AwsFake } from '../harness/awsfake/awsfake.ts';
import { ownControlPlane, useMoto, useOpenBao, usePostgres } from '../harness/parts.ts';
import { fingerprint, makePeppersFile, startAuthorizer, startOperator, verify } from '../harness/program.ts';
import type { AuthorizerProgram, Program } from '../harness/program.ts';
import { operatorNamespace, Scene, type DeliverTo } from '../harness/scene.ts';
import { until } from '../harness/until.ts';

const plane = await ownControlPlane();
const openbao = await useOpenBao();
const moto = await useMoto();
const fake = await AwsFake.open();
const scene = new Scene(plane.kube);
const { url: databaseUrl } = await (await usePostgres()).createDatabase();
const namespaces = ['three', 'counted', 'renewed', 'hand'] as const;
const options = {
  databaseUrl,
  peppersFile: makePeppersFile(),
  kubeconfig: plane.kube.kubeconfig(),
  env: {
    KEYWRIGHT_LEADER_ELECTION: 'off',
    KEYWRIGHT_NAMESPACES: namespaces.join(','),
    KEYWRIGHT_AWS_ENDPOINTS: `${moto.endpoint},${fake.endpoint}`,
  },
};
const inMoto = awsStranger((action, input) => moto.call(action, input));
const inFake = awsStranger((action, input) => fake.call(action, input));
const motoName = moto.uniqueName().toLowerCase();
let operator: Program;
let authorizer: AuthorizerProgram;

const comes = { deadlineMs: 45_000, everyMs: 100 };

async function inAws(aws: AwsStranger, name: string): Promise<string | undefined> {
  const text = await aws.read(`keywright/${name}`);
  return text === undefined ? undefined : (JSON.parse(text) as Record<string, string>)['api-key'];
}

async function inVault(path: string): Promise<string | undefined> {
  const answer = (await openbao.call('GET', `secret/data/keywright/${path}`)) as
    { data?: { data?: Record<string, string> } } | undefined;
  return answer?.data?.data?.['api-key'];
}

async function inSecret(namespace: string, name: string): Promise<string | undefined> {
  return (await scene.readSecret(namespace, name))?.['api-key'];
}

async function ready(namespace: string, name: string): Promise<void> {
  await until(() => scene.isReady(namespace, name), { what: `${namespace}/${name} Ready`, ...comes });
}

/** What was asked of AWS about one secret; the probe asks about another name. */
function callsAbout(name: string): readonly string[] {
  return fake.log.filter(({ secretId }) => secretId?.includes(name) === true).map(({ action }) => action);
}

beforeAll(async () => {
  await scene.prepare();
  for (const name of namespaces) await plane.kube.request('POST', '/api/v1/namespaces', { body: { metadata: { name } } });
  await scene.declareVault('vault', openbao.address, openbao.rootToken);
  await scene.declareAws(motoName, moto, moto.credentials);
  await scene.declareAws('strict', fake, fake.identities.createUser());
  operator = await startOperator(options);
  authorizer = await startAuthorizer(options);
});

afterAll(async () => {
  await Promise.all([operator.stop(), authorizer.stop()]);
  await fake.close();
  await plane.kube.close();
  await plane.stop();
});

describe('keys in AWS Secrets Manager', () => {
  it(
    'delivers one key to Vault, AWS and a Secret, refuses it and empties all three when it is deleted [S0-20]',
    {
      timeout: 120_000,
    },
    async () => {
      const everywhere: DeliverTo[] = [
        { name: 'vault', destination: 'vault' },
        { name: 'aws', destination: motoName },
        { name: 'strict', destination: 'strict' },
        { name: 'local', secret: { name: 'three' } },
      ];
      await scene.createKey('three', 'three', everywhere);
      await ready('three', 'three');
      const value = await inSecret('three', 'three');
      const places = [
        () => inVault('vault/three/three'),
        () => inAws(inMoto, `${motoName}/three/three`),
        () => inAws(inFake, 'strict/three/three'),
      ];
      for (const read of places) expect(fingerprint(await read())).toBe(fingerprint(value));
      expect((await verify(authorizer.url, value ?? '')).code).toBe('endpoint_not_allowed');

      await scene.deleteKey('three', 'three');
      await until(async () => (await scene.readKey('three', 'three')) === undefined, { what: 'the key away', ...comes });
      expect((await verify(authorizer.url, value ?? '')).code).toBe('key_invalid');
      for (const read of places) expect(await read()).toBeUndefined();
      // A window of seven days, in which a new key of this name takes the secret over again.
      expect((await inFake.describe('keywright/strict/three/three'))?.DeletedDate).toBeDefined();
      await scene.createKey('three', 'three', everywhere);
      await ready('three', 'three');
      const second = await inSecret('three', 'three');
      expect(fingerprint(second)).not.toBe(fingerprint(value));
      for (const read of places) expect(fingerprint(await read())).toBe(fingerprint(second));
    },
  );

  it(
    'asks three times for a first version, and nothing when nothing changes, also after a restart',
    {
      timeout: 120_000,
    },
    async () => {
      await scene.createKey('counted', 'counted', [{ name: 'aws', destination: 'strict' }]);
      await ready('counted', 'counted');
      expect(callsAbout('counted/counted')).toEqual(['DescribeSecret', 'CreateSecret', 'GetSecretValue']);
      await scene.touch('counted', 'counted');
      await operator.stop();
      operator = await startOperator(options);
      // What comes after it in the queue is done: so this one was looked at.
      await scene.createKey('counted', 'later', [{ name: 'local', secret: { name: 'later' } }]);
      await ready('counted', 'later');
      await scene.changeKey('counted', 'counted', { purpose: 'something else to say' });
      await until(
        async () => {
          const { stdout } = await plane.kube.kubectl(['get', 'apikey', 'counted', '-n', 'counted', '-o', 'json']);
          const { metadata, status } = JSON.parse(stdout) as {
            metadata: { generation: number };
            status: { observedGeneration: number };
          };
          return metadata.generation === status.observedGeneration;
        },
        { what: 'the new generation in the status', ...comes },
      );
      expect(callsAbout('counted/counted')).toHaveLength(3);
    },
  );

  it('goes on with a new access key as soon as its Secret has it', async () => {
    const old = fake.identities.createUser();
    await scene.declareAws('renewed', fake, old);
    await scene.createKey('renewed', 'before', [{ name: 'aws', destination: 'renewed' }]);
    await ready('renewed', 'before');
    const next = fake.identities.createUser();
    fake.identities.end(old.accessKeyId);
    const data = Object.entries({ 'access-key-id': next.accessKeyId, 'secret-access-key': next.secretAccessKey });
    await plane.kube.request('PATCH', `/api/v1/namespaces/${operatorNamespace}/secrets/aws-renewed`, {
      body: { data: Object.fromEntries(data.map(([name, text]) => [name, Buffer.from(text).toString('base64')])) },
      contentType: 'application/merge-patch+json',
    });
    await scene.createKey('renewed', 'after', [{ name: 'aws', destination: 'renewed' }]);
    await ready('renewed', 'after');
    expect(await inAws(inFake, 'renewed/renewed/after')).toBeDefined();
  });

  it('leaves a secret of somebody else alone, and says whose place it is', async () => {
    await inFake.put('keywright/strict/hand/hand', 'theirs');
    await scene.createKey('hand', 'hand', [
      { name: 'aws', destination: 'strict' },
      { name: 'local', secret: { name: 'hand' } },
    ]);
    await until(async () => (await scene.verdict('hand', 'hand', 'Stalled')) === 'True ForeignValue', {
      what: 'ForeignValue',
      ...comes,
    });
    expect(await inFake.read('keywright/strict/hand/hand')).toBe('theirs');
    await scene.deleteKey('hand', 'hand');
    await until(async () => (await scene.readKey('hand', 'hand')) === undefined, { what: 'the key away', ...comes });
    expect(await inFake.read('keywright/strict/hand/hand')).toBe('theirs');
  });
});

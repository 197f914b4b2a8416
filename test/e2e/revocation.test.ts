import pg from 'pg';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { awsStranger } from '../harness/aws.ts';
import { AwsFake } from '../harness/awsfake/awsfake.ts';
import { FaultProxy } from '../harness/faultproxy.ts';
import { ownControlPlane, useOpenBao, usePostgres } from '../harness/parts.ts';
import { makePeppersFile, runProgram, startAuthorizer, startOperator, verify } from '../harness/program.ts';
import type { AuthorizerProgram, Program } from '../harness/program.ts';
import { Scene } from '../harness/scene.ts';
import { until } from '../harness/until.ts';

const plane = await ownControlPlane();
const openbao = await useOpenBao();
const postgres = await usePostgres();
const aws = await AwsFake.open();
const scene = new Scene(plane.kube);
const { url: databaseUrl } = await postgres.createDatabase();
const peppersFile = makePeppersFile();
const inAws = awsStranger((action, input) => aws.call(action, input));
const namespaces = ['alive', 'ending', 'direct'] as const;
const proxies: FaultProxy[] = [];
const programs: Program[] = [];
let authorizer: AuthorizerProgram;
let operator: Program;

const comes = { deadlineMs: 60_000, everyMs: 100 };
/** The same for what a probe of a destination must find out first. */
const heals = { deadlineMs: 120_000, everyMs: 250 };

async function start(): Promise<Program> {
  const env = {
    KEYWRIGHT_LEADER_ELECTION: 'off',
    KEYWRIGHT_NAMESPACES: namespaces.join(','),
    KEYWRIGHT_WITHDRAW_DEADLINE: '2s',
    KEYWRIGHT_AWS_ENDPOINTS: proxies.map(({ address }) => address).join(','),
  };
  const started = await startOperator({ databaseUrl, peppersFile, kubeconfig: plane.kube.kubeconfig(), env });
  programs.push(started);
  return started;
}

beforeAll(async () => {
  await scene.prepare();
  for (const name of namespaces) await plane.kube.request('POST', '/api/v1/namespaces', { body: { metadata: { name } } });
  const [vault, secretsManager] = [await FaultProxy.start(openbao.address), await FaultProxy.start(aws.endpoint)];
  proxies.push(vault, secretsManager);
  await scene.declareVault('vault', vault.address, openbao.rootToken);
  await scene.declareAws('aws', { endpoint: secretsManager.address, region: aws.region }, aws.identities.createUser());
  operator = await start();
  authorizer = await startAuthorizer({ databaseUrl, peppersFile });
  programs.push(authorizer);
});

afterAll(async () => {
  await Promise.all(programs.map((one) => one.stop()));
  await Promise.all(proxies.map((one) => one.stop()));
  await aws.close();
  await plane.kube.close();
  await plane.stop();
});

/** A key in Vault, in AWS and in a Secret, once it is Ready; gives its value. */
async function issued(namespace: (typeof namespaces)[number], name: string): Promise<string> {
  await scene.createKey(namespace, name, [
    { name: 'vault', destination: 'vault' },
    { name: 'aws', destination: 'aws' },
    { name: 'local', secret: { name } },
  ]);
  await until(() => scene.isReady(namespace, name), { what: `${namespace}/${name} Ready`, ...comes });
  const value = (await scene.readSecret(namespace, name))?.['api-key'] ?? '';
  // Known and right: the catalog of the scene has no endpoints.
  expect(await codeOf(value)).toBe('endpoint_not_allowed');
  return value;
}

async function codeOf(value: string): Promise<string | undefined> {
  return (await verify(authorizer.url, value)).code;
}

async function says(value: string, code: string): Promise<void> {
  await until(async () => (await codeOf(value)) === code, { what: code, ...comes });
}

/** Of Vault and AWS, those that still hold a value of this key. */
async function placesOf(namespace: string, name: string): Promise<readonly string[]> {
  const found = (await openbao.call('GET', `secret/data/keywright/vault/${namespace}/${name}`)) as
    { data?: { data?: object | null } } | undefined;
  const held = { vault: found?.data?.data ?? undefined, aws: await inAws.read(`keywright/aws/${namespace}/${name}`) };
  return Object.entries(held).flatMap(([place, value]) => (value === undefined ? [] : [place]));
}

async function empty(namespace: string, name: string): Promise<void> {
  await until(async () => (await placesOf(namespace, name)).length === 0, { what: `${namespace}/${name} emptied`, ...heals });
}

/** What the operator still has to empty, by destination, as `aws 2, vault 2`. */
async function leftovers(): Promise<string> {
  const page = await (await request(`${operator.healthUrl}/metrics`)).body.text();
  const lines = page.matchAll(/^keywright_deliveries_withdrawing\{destination="([^"]+)"\} (\d+)$/gm);
  return [...lines]
    .map(([, destination, count]) => `${destination} ${count}`)
    .sort()
    .join(', ');
}

async function countVersions(namespace: string): Promise<number> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ count: number }>(
      'select count(*)::int as count from keywright.version v join keywright.apikey k on k.uid = v.apikey_uid where k.namespace = $1',
      [namespace],
    );
    return rows[0]?.count ?? -1;
  } finally {
    await client.end();
  }
}

async function outOfReach(): Promise<void> {
  for (const proxy of proxies) await proxy.become({ kind: 'closed' });
}

async function backAgain(): Promise<void> {
  for (const proxy of proxies) await proxy.become({ kind: 'well' });
}

describe('with every destination out of reach', () => {
  it('refuses what is revoked, suspended, compromised or deleted, and empties the places later [S2-16] [S2-17] [S4-10]', async () => {
    const names = ['revoked', 'suspended', 'leaked', 'deleted'];
    const [revoked = '', suspended = '', leaked = '', deleted = ''] = await Promise.all(
      names.map((name) => issued('alive', name)),
    );
    await outOfReach();
    await scene.changeKey('alive', 'revoked', { revoked: { reason: 'KeyCompromise' } });
    await scene.changeKey('alive', 'suspended', { suspend: true });
    await scene.annotate('alive', 'leaked', { 'keywright.dev/compromised': 'all' });
    await scene.deleteKey('alive', 'deleted');
    await says(revoked, 'key_invalid');
    await says(suspended, 'key_suspended');
    await says(leaked, 'key_invalid');
    await says(deleted, 'key_invalid');
    for (const name of ['revoked', 'deleted']) expect(await placesOf('alive', name)).toEqual(['vault', 'aws']);

    // A suspension can be taken back, a revocation cannot.
    await scene.changeKey('alive', 'suspended', { suspend: false });
    await says(suspended, 'endpoint_not_allowed');
    await expect(scene.changeKey('alive', 'revoked', { revoked: null })).rejects.toThrow('a revocation is final');
    await until(async () => (await scene.verdict('alive', 'revoked')) === 'False Revoked', { what: 'Revoked', ...comes });

    // Who waits for its destinations waits for the deadline only, and what is left there is counted.
    await until(async () => (await scene.readKey('alive', 'deleted')) === undefined, {
      what: 'the deleted one away',
      ...comes,
    });
    await until(async () => (await leftovers()) === 'aws 2, vault 2', { what: 'the leftovers', ...heals });

    // The compromised one goes on where it can be delivered.
    const next = await until(
      async () => {
        const found = (await scene.readSecret('alive', 'leaked'))?.['api-key'];
        return found === leaked ? undefined : found;
      },
      { what: 'another value', ...comes },
    );
    await says(next, 'endpoint_not_allowed');

    await backAgain();
    for (const name of ['revoked', 'deleted']) await empty('alive', name);
    await until(() => scene.isReady('alive', 'leaked'), { what: 'the compromised one Ready', ...heals });
    expect(await scene.verdict('alive', 'revoked', 'Stalled')).toBe('True Revoked');
    for (const value of [revoked, leaked, deleted]) expect(await codeOf(value)).toBe('key_invalid');
  });

  it('a namespace ends, its values are dead, and what it left is emptied later [S2-17]', async () => {
    const values = await Promise.all(['a', 'b'].map((name) => issued('ending', name)));
    await outOfReach();
    await plane.kube.request('DELETE', '/api/v1/namespaces/ending');
    await until(async () => (await plane.kube.request('GET', '/api/v1/namespaces/ending')).status === 404, {
      what: 'the namespace away',
      ...heals,
    });
    for (const value of values) expect(await codeOf(value)).toBe('key_invalid');
    for (const name of ['a', 'b']) expect(await placesOf('ending', name)).toEqual(['vault', 'aws']);
    await until(async () => (await leftovers()) === 'aws 2, vault 2', { what: 'the leftovers', ...heals });
    await backAgain();
    for (const name of ['a', 'b']) await empty('ending', name);
    await until(async () => (await leftovers()) === '', { what: 'no leftovers', ...heals });
  });
});

describe('with the operator and the API server down', () => {
  it('a direct revocation is refused at once; the operator follows, and never mints again [S2-17] [S4-10]', async () => {
    const value = await issued('direct', 'key');
    const keyId = (await scene.readKey('direct', 'key'))?.status?.currentKey?.id ?? '';
    const minted = await countVersions('direct');
    await operator.stop();
    await plane.apiServer.kill();

    const ended = await runProgram(['revoke', '--direct', keyId], { KEYWRIGHT_DATABASE_URL: databaseUrl });
    expect(ended).toMatchObject({ code: 0, stderr: '' });
    expect(await codeOf(value)).toBe('key_invalid');
    expect(await placesOf('direct', 'key')).toEqual(['vault', 'aws']);

    await plane.restartApiServer();
    operator = await start();
    await until(async () => (await scene.verdict('direct', 'key')) === 'False Revoked', { what: 'Revoked', ...heals });
    await empty('direct', 'key');
    await until(async () => (await scene.readSecret('direct', 'key')) === undefined, { what: 'the Secret away', ...comes });
    await scene.touch('direct', 'key');
    await scene.annotate('direct', 'key', { 'keywright.dev/rotate': 'please' });
    await until(async () => (await scene.verdict('direct', 'key', 'Stalled')) === 'True Revoked', {
      what: 'Stalled',
      ...comes,
    });
    expect(await countVersions('direct')).toBe(minted);
    expect(await codeOf(value)).toBe('key_invalid');
  });
});

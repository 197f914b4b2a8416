import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parse } from 'yaml';
import { docsBlock } from '../builders/guide.ts';
import { guideBlock } from '../builders/vaultguide.ts';
import { obtain } from '../harness/binaries.ts';
import { Client } from '../harness/client.ts';
import { LateMount } from '../harness/mount.ts';
import { noteUse, ownControlPlane, useOpenBao, usePostgres } from '../harness/parts.ts';
import { freePort } from '../harness/ports.ts';
import { privateDir } from '../harness/process.ts';
import {
  makePeppersFile,
  startAuthorizer,
  startOperator,
  verify,
  type AuthorizerProgram,
  type Program,
} from '../harness/program.ts';
import { findPython } from '../harness/python.ts';
import { Scene, type DeliverTo } from '../harness/scene.ts';
import { checkout } from '../harness/standalone.ts';
import { until } from '../harness/until.ts';

const plane = await ownControlPlane({ controllers: false });
const openbao = await useOpenBao();
const postgres = await usePostgres();
const python = findPython('the reader in Python');
await noteUse(python.version);
const { kube } = plane;
const scene = new Scene(kube);
const guide = 'how-to/use-a-key-in-a-workload';
const examples = join(checkout, 'examples', 'workload');
const stops: (() => Promise<void>)[] = [];
let authorizer: AuthorizerProgram;

interface Manifest {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly deliverTo: readonly DeliverTo[]; readonly [member: string]: unknown };
}
const example = (file: string) => parse(readFileSync(join(examples, file), 'utf8')) as unknown;
const key = example('apikey.yaml') as Manifest;
const { name } = key.metadata;
const comes = { deadlineMs: 60_000, everyMs: 50 };

/** How late the mounted Secret and the file of the agent follow, and how long the old key is good besides the new one. */
const [delayMs, renderInterval, overlap] = [3000, '4s', '10s'];

beforeAll(async () => {
  await scene.prepare();
  await kube.kubectl(['create', 'namespace', 'payments']);
  await scene.declareVault('prod-vault', openbao.address, openbao.rootToken);
  await kube.kubectl(['patch', 'apicatalog', 'default', '--type=merge', '-p', JSON.stringify({ spec: catalogChange })]);
  const grants = [{ catalog: 'default', accessTypes: ['Integrations'], endpoints: ['*'] }];
  const allowedNamespaces = { names: ['payments'] };
  await scene.declare('KeyOwner', 'payments-team', { type: 'Team', displayName: 'Payments', allowedNamespaces, grants });
  const { url: databaseUrl } = await postgres.createDatabase();
  const peppersFile = makePeppersFile();
  const env = { KEYWRIGHT_LEADER_ELECTION: 'off', KEYWRIGHT_NAMESPACES: 'payments' };
  const programs: readonly Program[] = [
    (authorizer = await startAuthorizer({ databaseUrl, peppersFile })),
    await startOperator({ databaseUrl, peppersFile, kubeconfig: kube.kubeconfig(), env }),
  ];
  stops.push(...programs.map((one) => () => one.stop()));
  await kube.kubectl(['apply', '-f', '-'], {
    input: { ...key, spec: { ...key.spec, rotation: { overlap, maxOverlap: '1h', retireOldKey: 'AfterOverlap' } } },
  });
  await until(() => scene.isReady('payments', name), { what: 'the key', ...comes });
});

const catalogChange = {
  endpoints: [{ name: 'list-subscribers', method: 'GET', path: '/v1/subscribers' }],
  policy: { minOverlap: '1s' },
};

afterAll(async () => {
  for (const stop of stops.reverse()) await stop();
  await kube.close();
  await plane.stop();
});

it('mounts the Secret that the key is delivered to, by a Deployment as by a ServiceBinding', async () => {
  const deployment = example('deployment.yaml') as {
    spec: { template: { spec: { volumes: { secret: { secretName: string } }[]; containers: { env: object[] }[] } } };
  };
  await kube.kubectl(['apply', '--dry-run=server', '--validate=strict', '-f', join(examples, 'deployment.yaml')]);
  // The guide shows a part of it.
  expect(deployment.spec.template).toMatchObject(parse(docsBlock(guide, 'yaml mount')) as object);
  const [volume] = deployment.spec.template.spec.volumes;
  const secret = volume?.secret.secretName ?? '';
  // What the Service Binding specification asks of a service and its Secret.
  expect((await scene.readKey('payments', name))?.status).toMatchObject({ binding: { name: secret } });
  const { body } = await kube.request('GET', `/api/v1/namespaces/payments/secrets/${secret}`);
  const entries = (await scene.readSecret('payments', secret)) ?? {};
  expect(body).toMatchObject({ type: `servicebinding.io/${entries['type'] ?? ''}` });
  expect(entries).toMatchObject({ type: 'api-key', provider: 'keywright' });
  for (const entry of Object.keys(entries)) expect(entry).toMatch(/^[a-z0-9.-]{1,253}$/);
  const binding = example('service-binding.yaml') as { spec: { service: object; workload: object } };
  expect(binding).toEqual(parse(docsBlock(guide, 'yaml binding')));
  expect(binding.spec).toMatchObject({
    service: { apiVersion: 'keywright.dev/v1alpha1', kind: 'ApiKey', name },
    workload: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'billing' },
  });
});

it('is refused no call when kubelet and Vault Agent bring the new key late, but within the overlap', async () => {
  const apiPort = await freePort();
  const url = `http://127.0.0.1:${apiPort}/v1/subscribers`;
  const run = (file: string, args: readonly string[]): Client => {
    const client = new Client(file, args);
    stops.push(() => client.stop());
    return client;
  };
  const mount = await LateMount.start(() => scene.readSecret('payments', 'billing-api-key'), delayMs);
  stops.push(() => mount.stop());
  const agent = await startAgent(run);
  const api = run(process.execPath, [join(examples, 'api.mjs'), String(apiPort), authorizer.url]);
  await until(() => api.lines.length > 0, { what: 'the API' });
  const [node, main] = [join(examples, 'node', 'main.mjs'), join(examples, 'python', 'main.py')];
  const readers = [
    run(process.execPath, [node, mount.directory, url]),
    run(python.path, [main, mount.directory, url]),
    run(process.execPath, [node, agent.directory, url]),
  ];
  const all = (id: string) =>
    until(() => readers.every(({ allowed }) => allowed.has(id)), { what: `calls with ${id}`, ...comes });
  const current = async () => (await scene.readKey('payments', name))?.status?.currentKey;
  const old = (await current())?.id ?? '';
  const oldValue = (await scene.readSecret('payments', 'billing-api-key'))?.['api-key'] ?? '';
  await all(old);

  /** How far each reader of the mount was when the new key was there to be had. */
  let atSeen: readonly number[] = [];
  const mounted = readers.slice(0, 2);
  mount.onSeen = () => (atSeen = mounted.map(({ lines }) => lines.length));
  await scene.annotate('payments', name, { 'keywright.dev/rotate': 'monday' });
  const next = await until(async () => {
    const { id = '', activatedAt } = (await current()) ?? {};
    return id !== old && activatedAt !== undefined && id;
  }, comes);
  await all(next);
  await until(async () => !(await verify(authorizer.url, oldValue)).keyId, { what: 'the end of the old key', ...comes });
  // Some calls more, with nothing but the new key.
  const after = api.lines.length;
  await until(() => api.lines.length > after + 10, { what: 'further calls', ...comes });

  for (const client of [api, ...readers]) expect(client.complaints).toEqual([]);
  // Each used the old key for a while after the new one was there: the delay was real. When the agent looks is its affair.
  for (const [at, { lines }] of mounted.entries()) expect(lines.slice(atSeen[at])).toContain(`allowed ${old}`);
  expect(mount.swaps.map(({ seenAt, swappedAt }) => swappedAt - seenAt >= delayMs)).toEqual([true]);
});

interface Agent {
  readonly directory: string;
  /** How often it has looked into Vault. */
  readonly looks: () => number;
}

/** The agent of the guide, with a login and places of the test. */
async function startAgent(run: (file: string, args: readonly string[]) => Client): Promise<Agent> {
  const dir = privateDir('agent');
  const directory = join(dir, 'rendered');
  mkdirSync(directory);
  // The KeyDestination of the scene has a folder of its own.
  const path = ['keywright/payments/billing-sync', `keywright/prod-vault/payments/${name}`] as const;
  await openbao.call('POST', 'sys/policies/acl/workload', { policy: guideBlock('hcl reader').replaceAll(...path) });
  const made = await openbao.call('POST', 'auth/token/create', { policies: ['workload'], no_default_policy: false });
  writeFileSync(join(dir, 'token'), (made as { auth: { client_token: string } }).auth.client_token, { mode: 0o600 });
  const config = docsBlock(guide, 'hcl agent')
    .replaceAll(...path)
    .replace('/etc/billing-api-key', directory)
    .replace('"1m"', `"${renderInterval}"`);
  writeFileSync(
    join(dir, 'agent.hcl'),
    `vault { address = "${openbao.address}" }
auto_auth {
  method "token_file" { config = { token_file_path = "${join(dir, 'token')}" } }
}
${config}`,
  );
  const agent = run(await obtain('bao'), ['agent', `-config=${join(dir, 'agent.hcl')}`, '-log-level=debug']);
  const looks = () => agent.printed.split('(runner) all templates rendered').length - 1;
  await until(() => looks() > 0, { what: 'the first file of the agent', ...comes });
  return { directory, looks };
}

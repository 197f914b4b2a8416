import { createServer, request as forward } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import pg from 'pg';
import { credentialMetadata } from '../builders/credential.ts';
import { ownControlPlane, useOpenBao, usePostgres } from '../harness/parts.ts';
import { applyAll, applyPermissions, bind, bindEverywhere } from '../harness/permissions.ts';
import { freePort } from '../harness/ports.ts';
import { makePeppersFile, startOperator, type Program } from '../harness/program.ts';
import { operatorNamespace, Scene } from '../harness/scene.ts';
import { until } from '../harness/until.ts';

/** May do everything with KeyDestinations; may only read ApiKeys, or write what needs none of our rights. */
const thief = 'thief';
const plane = await ownControlPlane({ users: [{ name: thief }] });
const { kube } = plane;
const openbao = await useOpenBao();
const database = await (await usePostgres()).createDatabase();
const scene = new Scene(kube);
const api = '/apis/keywright.dev/v1alpha1';
const merge = 'application/merge-patch+json';
let operator: Program;
let namespace = '';

/** The requests to the thief's server. It answers like a Vault that takes every value, because it forwards to one. */
const received: string[] = [];
const server = createServer((incoming, outgoing) => {
  const parts: Buffer[] = [];
  incoming.on('data', (part: Buffer) => parts.push(part));
  incoming.on('end', () => {
    const body = Buffer.concat(parts);
    received.push(body.toString());
    const { method = '', headers } = incoming;
    const onward = forward(`${openbao.address}${incoming.url ?? ''}`, { method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    onward.on('error', () => outgoing.destroy());
    onward.end(body);
  });
});
let theirs = '';

const values = () => received.filter((body) => body.includes('api-key'));

/** A KeyDestination, by the thief, at his own server. */
async function takeName(name: string): Promise<void> {
  const body = {
    apiVersion: 'keywright.dev/v1alpha1',
    kind: 'KeyDestination',
    metadata: { name },
    spec: {
      allowedNamespaces: { all: true },
      vault: {
        address: theirs,
        mount: 'secret',
        path: `taken/${name}/{namespace}/{name}`,
        auth: { token: { secretRef: { name: 'theirs', key: 'token' } } },
      },
    },
  };
  const answer = await kube.request('POST', `${api}/keydestinations`, { body, user: thief });
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
}

async function removeByForce(name: string): Promise<void> {
  const path = `${api}/keydestinations/${name}`;
  await kube.request('DELETE', path, { user: thief });
  await kube.request('PATCH', path, { body: { metadata: { finalizers: null } }, contentType: merge, user: thief });
  await until(async () => (await kube.request('GET', path)).status === 404, { what: `${name} gone` });
}

const annotate = async (name: string, annotations: object, user?: string) =>
  kube.request('PATCH', `${api}/namespaces/${namespace}/apikeys/${name}`, {
    body: { metadata: { annotations } },
    contentType: merge,
    ...(user === undefined ? {} : { user }),
  });

const says = async (name: string, wanted: string, type = 'Ready'): Promise<string> =>
  until(
    async () => {
      const found = await scene.condition(namespace, name, type);
      return found !== undefined && `${found.status} ${found.reason}` === wanted ? found.message : undefined;
    },
    { what: `${name} ${type} ${wanted}`, deadlineMs: 60_000 },
  );

beforeAll(async () => {
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  theirs = `http://127.0.0.1:${String(port)}`;
  await applyPermissions(kube);
  await scene.prepare({ namespace: false });
  namespace = await kube.createNamespace('victims');
  const resources = ['keydestinations'];
  const rules = [{ apiGroups: ['keywright.dev'], resources, verbs: ['create', 'get', 'list', 'patch', 'update', 'delete'] }];
  await applyAll(kube, [{ apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name: thief }, rules }]);
  await bindEverywhere(kube, { kind: 'User', name: thief }, thief);
  await bind(kube, namespace, { kind: 'User', name: thief }, [
    { apiGroups: ['keywright.dev'], resources: ['apikeys'], verbs: ['get', 'patch'] },
  ]);
  await scene.createSecret(operatorNamespace, 'theirs', { token: openbao.rootToken }, credentialMetadata('vault-token', theirs));
  operator = await startOperator({
    databaseUrl: database.url,
    peppersFile: makePeppersFile(),
    kubeconfig: kube.kubeconfig(),
    env: { KEYWRIGHT_ADMISSION: 'required', KEYWRIGHT_LEADER_ELECTION: 'off' },
  });
});

afterAll(async () => {
  await operator.stop();
  server.closeAllConnections();
  server.close();
  await kube.close();
  await plane.stop();
});

describe('an author of KeyDestinations without rights on ApiKeys', () => {
  it('gets no value by deleting one that keys deliver to and creating its name anew at his own server', async () => {
    await scene.declareVault('first', openbao.address, openbao.rootToken);
    await scene.createKey(namespace, 'copied', [
      { name: 'local', secret: { name: 'copied' } },
      { name: 'vault', destination: 'first' },
    ]);
    await scene.createKey(namespace, 'alone', [{ name: 'vault', destination: 'first' }]);
    for (const name of ['copied', 'alone']) await says(name, 'True Available');
    const before = (await scene.readSecret(namespace, 'copied'))?.['api-key'] ?? '';
    await removeByForce('first');
    await takeName('first');
    for (const name of ['copied', 'alone']) await says(name, 'False DestinationUnconfirmed');
    await says('copied', 'True DestinationUnconfirmed', 'Stalled');
    // A rotation leaves it out, too.
    expect((await annotate('copied', { 'keywright.dev/rotate': 'now' })).status).toBe(200);
    const rotated = await until(
      async () => {
        const value = (await scene.readSecret(namespace, 'copied'))?.['api-key'];
        return value === undefined || value === before ? undefined : value;
      },
      { what: 'the rotation', deadlineMs: 60_000 },
    );
    await until(async () => (await scene.readKey(namespace, 'copied'))?.status?.currentKey?.epoch === 2, { what: 'epoch 2' });
    expect(values()).toEqual([]);
    // The thief knows what to write, but may not write it.
    const message = await says('copied', 'False DestinationUnconfirmed');
    const value = /keywright\.dev\/confirm=([0-9a-f]{16})/.exec(message)?.[1];
    const refused = await annotate('copied', { 'keywright.dev/confirm': value }, thief);
    expect([refused.status, JSON.stringify(refused.body)]).toEqual([403, expect.stringContaining('has no right to') as unknown]);
    expect(values()).toEqual([]);
    expect((await annotate('copied', { 'keywright.dev/confirm': value })).status).toBe(200);
    await says('copied', 'True Available');
    expect(values().some((body) => body.includes(rotated))).toBe(true);
    expect(values().some((body) => body.includes(before))).toBe(false);
    await says('alone', 'False DestinationUnconfirmed');
  });

  it('gets none by a name that an ApiKey has waited for longer than an hour', async () => {
    received.length = 0;
    await scene.createKey(namespace, 'waits', [
      { name: 'local', secret: { name: 'waits' } },
      { name: 'vault', destination: 'later' },
    ]);
    await says('waits', 'False DestinationNotFound');
    // An hour later, by the clock of the operator that accepted the name.
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    const aged = await client.query(
      `update keywright.apikey set accepted_places = jsonb_set(accepted_places, '{later,since}',
         to_jsonb((accepted_places->'later'->>'since')::bigint - 3660000)) where namespace = $1 and name = 'waits'`,
      [namespace],
    );
    await client.end();
    expect(aged.rowCount).toBe(1);
    await takeName('later');
    expect(await says('waits', 'False DestinationUnconfirmed')).toContain(
      'was created more than an hour after it was named here',
    );
    expect(values()).toEqual([]);
    await removeByForce('later');
    await says('waits', 'False DestinationNotFound');
  });
});

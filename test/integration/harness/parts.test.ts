import pg from 'pg';
import { expect, test } from 'vitest';
import { useKube, useOpenBao, usePostgres } from '../../harness/parts.ts';
import { until } from '../../harness/until.ts';

const kube = await useKube();
const openbao = await useOpenBao();
const postgres = await usePostgres();

test('the API server knows its administrator and gives an outsider nothing', async () => {
  const namespace = await kube.createNamespace();
  const path = `/api/v1/namespaces/${namespace}/configmaps`;
  expect((await kube.request('GET', path)).status).toBe(200);
  expect((await kube.request('GET', path, { user: 'outsider' })).status).toBe(403);
});

test('kubectl applies what it is given, and tells why it failed', async () => {
  const namespace = await kube.createNamespace();
  const input = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'one', namespace }, data: { a: 'b' } };
  await kube.kubectl(['apply', '-f', '-'], { input });
  const { stdout } = await kube.kubectl(['-n', namespace, 'get', 'configmap', 'one', '-o', 'jsonpath={.data.a}']);
  expect(stdout).toBe('b');
  await expect(kube.kubectl(['-n', namespace, 'get', 'configmap', 'two'])).rejects.toThrow('"two" not found');
});

test('the controllers remove a deleted namespace with all it holds', async () => {
  const namespace = await kube.createNamespace();
  await kube.request('DELETE', `/api/v1/namespaces/${namespace}`);
  await until(async () => (await kube.request('GET', `/api/v1/namespaces/${namespace}`)).status === 404, { deadlineMs: 20_000 });
});

test('OpenBao keeps versions of a secret', async () => {
  const path = `secret/data/${openbao.uniquePath()}`;
  expect(await openbao.call('GET', path)).toBeUndefined();
  await openbao.call('POST', path, { data: { a: 'b' } });
  expect(await openbao.call('GET', path)).toMatchObject({ data: { data: { a: 'b' }, metadata: { version: 1 } } });
});

test('PostgreSQL gives each test file a database of its own, and checks passwords', async () => {
  const { url, name } = await postgres.createDatabase({ migrated: false });
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const found = await client.query<{ name: string }>('SELECT current_database() AS name');
  await client.end();
  expect(found.rows).toEqual([{ name }]);
  const stranger = new pg.Client({ connectionString: url.replace(postgres.password, 'wrong') });
  await expect(stranger.connect()).rejects.toThrow('password authentication failed');
});

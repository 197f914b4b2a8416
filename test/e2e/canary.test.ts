import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import pg from 'pg';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Canary, Place } from '../harness/canary.ts';
import { clusterPlaces, databasePlaces, filePlaces, findCanaries, place, vaultPlaces } from '../harness/canary.ts';
import { ownControlPlane, useOpenBao, usePostgres } from '../harness/parts.ts';
import { fingerprint, makePeppersFile, startAuthorizer, startOperator, startUp, verify } from '../harness/program.ts';
import type { AuthorizerProgram, Program, UpProgram } from '../harness/program.ts';
import { Scene } from '../harness/scene.ts';
import { until } from '../harness/until.ts';
import { FaultProxy } from '../harness/faultproxy.ts';

/** Everything that may make a library talkative. */
const talkative = { KEYWRIGHT_LOG_LEVEL: 'trace', DEBUG: '*', NODE_DEBUG: 'undici,fetch', VAULT_DEBUG: '1' };

/** Error answers of a verify API to requests that carry the key where it does not belong. */
async function wrongQuestions(url: string, key: string): Promise<Place> {
  const changed = `${key.slice(0, -1)}${key.endsWith('a') ? 'b' : 'a'}`;
  const questions = [
    ['POST', '/v1/verify', JSON.stringify({ key, request: { host: 'api.example.com', method: 'GET', path: '/v1/campaigns' } })],
    ['POST', '/v1/verify', JSON.stringify({ key: changed, request: { host: 'api.example.com', method: 'GET', path: '/' } })],
    ['POST', '/v1/verify', JSON.stringify({ key, [key]: key, request: { host: key, method: key, path: key, scheme: key } })],
    ['POST', '/v1/verify', `{"key": "${key}", "request": `],
    ['POST', '/v1/verify', JSON.stringify({ key: [key], request: key })],
    [
      'POST',
      '/v1/verify',
      JSON.stringify({ key: `${key},${key}`, request: { host: 'h', method: 'GET', path: '/', scheme: 'https' } }),
    ],
    ['POST', '/v1/verify/batch', JSON.stringify({ requests: [{ key }, { key: changed }], more: key })],
    ['GET', `/v1/verify?key=${key}`, undefined],
    ['POST', `/${key}`, key],
    ['PUT', '/v1/verify', key],
  ] as const;
  const answers: string[] = [];
  for (const [method, path, body] of questions) {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${key}`, 'x-api-key': key };
    const answer = await request(`${url}${path}`, { method, headers, ...(body === undefined ? {} : { body }) });
    answers.push(`${answer.statusCode} ${JSON.stringify(answer.headers)} ${await answer.body.text()}`);
  }
  return place(`error answers of ${url}`, answers.join('\n'));
}

const quickstart = join(import.meta.dirname, '..', '..', 'examples', 'quickstart');
const plane = await ownControlPlane();
const openbao = await useOpenBao();
const database = await (await usePostgres()).createDatabase({ migrated: false });
const scene = new Scene(plane.kube);
const canaries: Canary[] = [];
const asked: Place[] = [];
let proxy: FaultProxy;
let operator: Program;
let restarted: Program;
let authorizer: AuthorizerProgram;
let up: UpProgram;
/** Also when one that should follow did not start. */
const running: { stop(): Promise<unknown> }[] = [];

function note(label: string, value: string | undefined): string {
  if (value === undefined) throw new Error(`${label} holds no value`);
  canaries.push({ label, value });
  return value;
}

async function inVault(path: string): Promise<string | undefined> {
  const answer = (await openbao.call('GET', `secret/data/${path}`)) as { data: { data: Record<string, string> } } | undefined;
  return answer?.data.data['api-key'];
}

async function becomesReady(namespace: string, name: string): Promise<void> {
  await until(() => scene.isReady(namespace, name), { what: `${name} Ready`, deadlineMs: 30_000 });
}

beforeAll(async () => {
  await scene.prepare();
  proxy = await FaultProxy.start(openbao.address);
  await scene.declareVault('canary-vault', openbao.address, openbao.rootToken);
  await scene.declareVault('canary-broken', proxy.address, openbao.rootToken);
  const options = {
    databaseUrl: database.url,
    peppersFile: makePeppersFile(),
    kubeconfig: plane.kube.kubeconfig(),
    env: talkative,
  };
  operator = await startOperator(options);
  running.push(operator);
  authorizer = await startAuthorizer(options);
  running.push(authorizer);
  await live(options);
  await liveStandalone();
});

afterAll(async () => {
  for (const started of running) await started.stop();
  await proxy.stop();
  await plane.kube.close();
  await plane.stop();
});

/** A cluster's life: minted, lost and copied, lost everywhere, refused by a broken Vault, verified, deleted, restarted. */
async function live(options: Parameters<typeof startOperator>[0]): Promise<void> {
  const namespace = await plane.kube.createNamespace('canary');
  const both = (name: string) => [
    { name: 'vault', destination: 'canary-vault' },
    { name: 'local', secret: { name } },
  ];
  await scene.createKey(namespace, 'kept', both('kept'));
  await scene.createKey(namespace, 'gone', both('gone'));
  await scene.createKey(namespace, 'lost', [{ name: 'local', secret: { name: 'lost' } }]);
  await proxy.become({ kind: 'lateStatus', code: 500, call: 'POST /v1/secret/data/' });
  await scene.createKey(namespace, 'late', [
    { name: 'vault', destination: 'canary-broken' },
    { name: 'local', secret: { name: 'late' } },
  ]);
  for (const name of ['kept', 'gone', 'lost']) await becomesReady(namespace, name);
  const kept = note('kept', (await scene.readSecret(namespace, 'kept'))?.['api-key']);
  const gone = note('gone', (await scene.readSecret(namespace, 'gone'))?.['api-key']);
  note('lost', (await scene.readSecret(namespace, 'lost'))?.['api-key']);

  const late = await until(() => scene.readSecret(namespace, 'late'), { what: 'the Secret of late' });
  const lateKey = note('late', late['api-key']);
  await until(() => operator.log().includes('status 500 without an error of Vault'), { what: 'the failed write' });
  // The broken Vault has the value, said 500, and quoted it.
  expect(fingerprint(await inVault(`keywright/canary-broken/${namespace}/late`))).toBe(fingerprint(lateKey));

  await scene.deleteSecret(namespace, 'kept');
  await until(() => scene.readSecret(namespace, 'kept'), { what: 'the copied Secret' });
  await scene.deleteSecret(namespace, 'lost');
  note('lost, anew', (await until(() => scene.readSecret(namespace, 'lost'), { what: 'a new value' }))['api-key']);

  for (const key of [kept, gone]) asked.push(await wrongQuestions(authorizer.url, key));
  expect(await verify(authorizer.url, kept)).toMatchObject({ code: 'endpoint_not_allowed' });

  await scene.deleteKey(namespace, 'gone');
  await until(async () => (await scene.readKey(namespace, 'gone')) === undefined, { what: 'the deletion' });
  expect(await inVault(`keywright/canary-vault/${namespace}/gone`)).toBeUndefined();

  await proxy.become({ kind: 'well' });
  await operator.stop();
  restarted = await startOperator(options);
  running.push(restarted);
  await scene.touch(namespace, 'late');
  await becomesReady(namespace, 'late');
}

/** The same without a cluster: minted, lost, one manifest broken, verified. */
async function liveStandalone(): Promise<void> {
  const names = readdirSync(quickstart);
  up = await startUp(Object.fromEntries(names.map((name) => [name, readFileSync(join(quickstart, name), 'utf8')])), talkative);
  running.push(up);
  const values = await until(
    () => {
      const found = filePlaces(join(up.data, 'secrets')).filter(({ name }) => name.endsWith('/api-key'));
      return found.length > 0 ? found : undefined;
    },
    { what: 'a delivered file', deadlineMs: 30_000 },
  );
  for (const { name, content } of values)
    asked.push(await wrongQuestions(up.url, note(`standalone ${name}`, content.toString())));
}

async function everyPlace(): Promise<readonly Place[]> {
  const programs = [operator, restarted, authorizer];
  const pages = await Promise.all(
    [restarted, authorizer].map(async (one) => {
      const page = await request(`${one.healthUrl}/metrics`);
      return place(`metrics of ${one.name}`, await page.body.text());
    }),
  );
  return [
    ...(await databasePlaces(database.url)),
    ...(await clusterPlaces(plane.kube)),
    ...(await vaultPlaces(openbao)),
    ...programs.map((one) => place(`log of ${one.name}`, one.log())),
    ...pages,
    ...asked,
    place('output of up', up.printed()),
    ...filePlaces(up.data, [join(up.data, 'secrets')]),
  ];
}

describe('a minted value', () => {
  it('is nowhere but in its destinations: not in database, objects, events, logs, metrics, errors or files [S1-8] [S0-20] [S2-15] [S3-5]', async () => {
    expect(canaries.length).toBeGreaterThanOrEqual(6);
    const places = await everyPlace();
    for (const expected of [
      'table keywright.version',
      'objects of the cluster',
      'log of operator',
      'metrics of authorizer',
      'keywright.log',
    ]) {
      expect(places.find(({ name }) => name.includes(expected))?.content.length, expected).toBeGreaterThan(100);
    }
    expect(places.some(({ name }) => name.includes('/pg_wal/'))).toBe(true);
    expect(findCanaries(places, canaries)).toEqual([]);
  });

  it('is not left in the files of a database that was killed', async () => {
    await up.kill();
    const files = filePlaces(up.data, [join(up.data, 'secrets')]);
    expect(files.some(({ name }) => name.includes('/pg_wal/'))).toBe(true);
    expect(findCanaries(files, canaries)).toEqual([]);
  });

  it('would be found: one planted in a table, an object, a log and a file of the database is named, in whatever form', async () => {
    const value = `acme_live_abcdefghijkl_${'Q7'.repeat(16)}abcdef`;
    const planted: Canary = { label: 'planted', value };
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    await client.query('create table public.planted (value bytea)');
    await client.query('insert into public.planted values ($1)', [Buffer.from(value)]);
    await client.end();
    const body = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'planted' },
      data: { a: Buffer.from(`x${value}`).toString('base64') },
    };
    await plane.kube.request('POST', '/api/v1/namespaces/default/configmaps', { body });
    const file = join(up.data, 'postgres', 'deep', 'planted');
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, Buffer.concat([Buffer.alloc(9_000, 1), Buffer.from(value), Buffer.alloc(9_000, 2)]));
    const found = findCanaries([...(await everyPlace()), place('log of planted', `{"url":"/v1?key=${value}"}`)], [planted]).join(
      '\n',
    );
    for (const expected of [
      'table public.planted: planted as hex',
      'objects of the cluster: planted as base64',
      'log of planted: planted as text',
      'deep/planted: planted as text',
    ]) {
      expect(found).toContain(expected);
    }
  });
});

import { isDeepStrictEqual } from 'node:util';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ownControlPlane, useOpenBao, usePostgres, type TestDatabase } from '../harness/parts.ts';
import { fingerprint, makePeppersFile, startAuthorizer, startOperator, verify } from '../harness/program.ts';
import type { AuthorizerProgram, Program } from '../harness/program.ts';
import { Scene, type DeliverTo } from '../harness/scene.ts';
import { until } from '../harness/until.ts';

const plane = await ownControlPlane();
const openbao = await useOpenBao();
const postgres = await usePostgres();
const scene = new Scene(plane.kube);
const peppersFile = makePeppersFile();
const started: Program[] = [];
const comes = { deadlineMs: 60_000, everyMs: 100 };

async function startFor(namespace: string, databaseUrl: string): Promise<Program> {
  const operator = await startOperator({
    databaseUrl,
    peppersFile,
    kubeconfig: plane.kube.kubeconfig(),
    env: { KEYWRIGHT_LEADER_ELECTION: 'off', KEYWRIGHT_NAMESPACES: namespace },
  });
  started.push(operator);
  return operator;
}

async function serve(databaseUrl: string): Promise<AuthorizerProgram> {
  const authorizer = await startAuthorizer({ databaseUrl, peppersFile });
  started.push(authorizer);
  return authorizer;
}

async function inVault(path: string, destination = 'vault'): Promise<string | undefined> {
  const answer = (await openbao.call('GET', `secret/data/keywright/${destination}/${path}`)) as
    { data?: { data?: Record<string, string> } } | undefined;
  return answer?.data?.data?.['api-key'];
}

async function inSecret(namespace: string, name: string): Promise<string | undefined> {
  return (await scene.readSecret(namespace, name))?.['api-key'];
}

async function ready(namespace: string, name: string): Promise<void> {
  await until(() => scene.isReady(namespace, name), { what: `${namespace}/${name} Ready`, ...comes });
}

async function lives({ url }: AuthorizerProgram, value: string | undefined): Promise<boolean> {
  return (await verify(url, value ?? '')).code === 'endpoint_not_allowed';
}

/** The destinations that the rows of deliveries name, but for those that are over. */
async function placesIn(url: string): Promise<readonly string[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<{ uid: string }>(
      "select destination_uid as uid from keywright.delivery where state <> 'gone' order by destination_uid = 'secret'",
    );
    return rows.map(({ uid }) => uid);
  } finally {
    await client.end();
  }
}

/** A copy of a database that nobody is connected to: what a backup of this moment would bring back. */
async function backUp({ name, url }: TestDatabase): Promise<string> {
  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  try {
    await until(
      async () => {
        await client.query(`create database ${name}_backup template ${name}`);
        return true;
      },
      { what: 'the backup', ...comes },
    );
  } finally {
    await client.end();
  }
  return url.replace(new RegExp(`${name}$`), `${name}_backup`);
}

beforeAll(async () => {
  await scene.prepare();
  for (const name of ['velero', 'behind', 'rebuilt'])
    await plane.kube.request('POST', '/api/v1/namespaces', { body: { metadata: { name } } });
  await scene.declareVault('vault', openbao.address, openbao.rootToken);
});

afterAll(async () => {
  await Promise.all(started.map((one) => one.stop()));
  await plane.kube.close();
  await plane.stop();
});

describe.concurrent('after a restore', () => {
  it(
    'of the cluster, with new UIDs and no status: the workload always finds a key that authenticates, and every place is ours',
    {
      timeout: 180_000,
    },
    async () => {
      const { url } = await postgres.createDatabase();
      const first = await startFor('velero', url);
      const authorizer = await serve(url);
      const both: DeliverTo[] = [
        { name: 'vault', destination: 'vault' },
        { name: 'local', secret: { name: 'velero' } },
      ];
      await scene.createKey('velero', 'velero', both);
      await ready('velero', 'velero');
      const uid = (await scene.readKey('velero', 'velero'))?.metadata.uid;
      await first.stop();
      await scene.deleteKey('velero', 'velero');
      await scene.stripFinalizers('velero', 'velero');
      await until(async () => (await scene.readKey('velero', 'velero')) === undefined, { what: 'the key away', ...comes });
      // The Secret goes with its owner; what lies in Vault stays.
      await until(async () => (await inSecret('velero', 'velero')) === undefined, { what: 'the Secret away', ...comes });
      expect(await lives(authorizer, await inVault('velero/velero'))).toBe(true);

      await scene.createKey('velero', 'velero', both);
      await startFor('velero', url);
      await until(
        async () => {
          // A workload that re-reads its place at any moment.
          expect(await lives(authorizer, await inVault('velero/velero'))).toBe(true);
          return scene.isReady('velero', 'velero');
        },
        { what: 'velero Ready', ...comes },
      );
      expect((await scene.readKey('velero', 'velero'))?.metadata.uid).not.toBe(uid);
      const value = await inSecret('velero', 'velero');
      expect(fingerprint(await inVault('velero/velero'))).toBe(fingerprint(value));
      expect(await lives(authorizer, value)).toBe(true);
      await scene.deleteKey('velero', 'velero');
      await until(async () => (await inVault('velero/velero')) === undefined, { what: 'Vault emptied', ...comes });
      expect(await lives(authorizer, value)).toBe(false);
    },
  );

  it(
    'of a KeyDestination, alone or with its ApiKey, under new UIDs: what is there stays ours, and no row names the old one',
    {
      timeout: 180_000,
    },
    async () => {
      const { url } = await postgres.createDatabase();
      await scene.declareVault('rebuilt', openbao.address, openbao.rootToken);
      let operator = await startFor('rebuilt', url);
      const authorizer = await serve(url);
      const both: DeliverTo[] = [
        { name: 'vault', destination: 'rebuilt' },
        { name: 'local', secret: { name: 'rebuilt' } },
      ];
      await scene.createKey('rebuilt', 'rebuilt', both);
      await ready('rebuilt', 'rebuilt');
      const value = await inVault('rebuilt/rebuilt', 'rebuilt');
      await operator.stop();

      const alone = await scene.restoreDestination('rebuilt');
      operator = await startFor('rebuilt', url);
      await until(async () => isDeepStrictEqual(await placesIn(url), [alone.after, 'secret']), {
        what: 'the rows of the new KeyDestination alone',
        ...comes,
      });
      await ready('rebuilt', 'rebuilt');
      expect(fingerprint(await inVault('rebuilt/rebuilt', 'rebuilt'))).toBe(fingerprint(value));
      expect((await scene.readKey('rebuilt', 'rebuilt'))?.status?.currentKey?.epoch).toBe(1);
      await operator.stop();

      await scene.deleteKey('rebuilt', 'rebuilt');
      await scene.stripFinalizers('rebuilt', 'rebuilt');
      await until(async () => (await scene.readKey('rebuilt', 'rebuilt')) === undefined, { what: 'the key away', ...comes });
      const together = await scene.restoreDestination('rebuilt');
      await scene.createKey('rebuilt', 'rebuilt', both);
      operator = await startFor('rebuilt', url);
      await until(
        async () => {
          expect(await lives(authorizer, await inVault('rebuilt/rebuilt', 'rebuilt'))).toBe(true);
          return scene.isReady('rebuilt', 'rebuilt');
        },
        { what: 'rebuilt Ready', ...comes },
      );
      expect((await scene.readKey('rebuilt', 'rebuilt'))?.status?.currentKey?.epoch).toBe(2);
      expect(await placesIn(url)).toEqual([together.after, 'secret']);
      const last = await inSecret('rebuilt', 'rebuilt');
      expect(fingerprint(await inVault('rebuilt/rebuilt', 'rebuilt'))).toBe(fingerprint(last));
      await scene.deleteKey('rebuilt', 'rebuilt');
      await until(async () => (await inVault('rebuilt/rebuilt', 'rebuilt')) === undefined, { what: 'Vault emptied', ...comes });
      expect(await lives(authorizer, last)).toBe(false);
    },
  );

  it(
    'of the database: what was minted since is replaced under a higher epoch, and what was revoked since stays revoked',
    {
      timeout: 180_000,
    },
    async () => {
      const database = await postgres.createDatabase();
      let operator = await startFor('behind', database.url);
      await scene.createKey('behind', 'renewed', [{ name: 'local', secret: { name: 'renewed' } }]);
      await scene.createKey('behind', 'revoked', [{ name: 'local', secret: { name: 'revoked' } }]);
      for (const name of ['renewed', 'revoked']) await ready('behind', name);
      const dead = await inSecret('behind', 'revoked');
      await operator.stop();
      const backup = await backUp(database);

      operator = await startFor('behind', database.url);
      const old = await inSecret('behind', 'renewed');
      await scene.deleteSecret('behind', 'renewed');
      await until(
        async () => {
          const value = await inSecret('behind', 'renewed');
          return value !== undefined && fingerprint(value) !== fingerprint(old);
        },
        { what: 'a second version', ...comes },
      );
      await ready('behind', 'renewed');
      await until(async () => (await scene.readKey('behind', 'renewed'))?.status?.currentKey?.epoch === 2, {
        what: 'epoch 2',
        ...comes,
      });
      await scene.changeKey('behind', 'revoked', { revoked: { reason: 'KeyCompromise' } });
      await until(async () => (await inSecret('behind', 'revoked')) === undefined, { what: 'the revoked Secret away', ...comes });
      await operator.stop();

      await startFor('behind', backup);
      const authorizer = await serve(backup);
      await until(async () => (await scene.readKey('behind', 'renewed'))?.status?.currentKey?.epoch === 3, {
        what: 'epoch 3',
        ...comes,
      });
      await ready('behind', 'renewed');
      expect(await lives(authorizer, await inSecret('behind', 'renewed'))).toBe(true);
      await until(
        async () => {
          const { stdout } = await plane.kube.kubectl(['get', 'events', '-n', 'behind', '-o', 'json']);
          return stdout.includes('"StoreBehind"');
        },
        { what: 'the event', ...comes },
      );
      await until(async () => !(await lives(authorizer, dead)), { what: 'the revoked key refused', ...comes });
      expect(await scene.verdict('behind', 'revoked')).toBe('False Revoked');
    },
  );
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { request } from 'undici';
import { ownControlPlane, usePostgres } from '../harness/parts.ts';
import { makePeppersFile, runProgram, startAuthorizer, startOperator, verify } from '../harness/program.ts';
import type { AuthorizerProgram, Program } from '../harness/program.ts';
import { Scene } from '../harness/scene.ts';
import { until } from '../harness/until.ts';

const plane = await ownControlPlane();
const postgres = await usePostgres();
const scene = new Scene(plane.kube);
const namespace = 'stripped';
const comes = { deadlineMs: 90_000, everyMs: 200 };
const peppersFile = makePeppersFile();
const databaseUrl = (await postgres.createDatabase()).url;
let operator: Program;
let authorizer: AuthorizerProgram;

const names = Array.from({ length: 13 }, (_, at) => `key-${at}`);
const values = new Map<string, string>();

async function startOne(served = namespace): Promise<Program> {
  return await startOperator({
    databaseUrl,
    peppersFile,
    kubeconfig: plane.kube.kubeconfig(),
    env: { KEYWRIGHT_LEADER_ELECTION: 'off', KEYWRIGHT_NAMESPACES: served, KEYWRIGHT_ORPHAN_AFTER: '10s' },
  });
}

/** What `finalizers: null` and `delete` do, without a moment in which the operator could see a deletion. */
async function strip(name: string): Promise<void> {
  await scene.stripFinalizers(namespace, name);
  await scene.deleteKey(namespace, name);
  await until(async () => (await scene.readKey(namespace, name)) === undefined, { what: `${name} gone`, ...comes });
}

const codeOf = async (name: string) => (await verify(authorizer.url, values.get(name) ?? '')).code;
const orphans = (...args: string[]) =>
  runProgram(['orphans', ...args], { KEYWRIGHT_DATABASE_URL: databaseUrl, KEYWRIGHT_NAMESPACES: namespace });

beforeAll(async () => {
  await scene.prepare();
  await plane.kube.request('POST', '/api/v1/namespaces', { body: { metadata: { name: namespace } } });
  operator = await startOne();
  authorizer = await startAuthorizer({ databaseUrl, peppersFile });
  for (const name of names) await scene.createKey(namespace, name, [{ name: 'local', secret: { name } }]);
  for (const name of names) {
    await until(() => scene.isReady(namespace, name), { what: `${name} Ready`, ...comes });
    values.set(name, (await scene.readSecret(namespace, name))?.['api-key'] ?? '');
  }
});

afterAll(async () => {
  await operator.stop();
  await authorizer.stop();
  await plane.kube.close();
  await plane.stop();
});

describe('an ApiKey whose finalizer was taken away and which was deleted', () => {
  it('is revoked although the operator restarts before its time is over', async () => {
    await operator.stop();
    // It comes back for a single key alone: the key was stripped while nobody looked.
    await scene.stripFinalizers(namespace, 'key-12');
    await scene.deleteKey(namespace, 'key-12');
    operator = await startOne();
    await until(async () => /key-12 {2}gone since/.test((await orphans()).stdout), { what: 'the first look', ...comes });
    expect(await codeOf('key-12')).toBe('endpoint_not_allowed');
    await operator.stop();
    operator = await startOne();
    await until(async () => (await codeOf('key-12')) === 'key_invalid', {
      what: 'the revocation',
      deadlineMs: 150_000,
      everyMs: 500,
    });
    expect((await orphans()).stdout).toBe('every key in a namespace that the operator serves has its ApiKey\n');
  });

  it(
    'is held when many go at once, which a metric, an event and the command say, until it is confirmed',
    { timeout: 400_000 },
    async () => {
      const stripped = names.slice(0, 11);
      for (const name of stripped) await strip(name);
      await until(async () => (await metric('keywright_orphans{state="held"}')) === 11, { what: 'the metric', ...comes });
      expect(await metric('keywright_orphans_held_since_timestamp_seconds')).toBeGreaterThan(1_700_000_000);
      const events = () => plane.kube.request('GET', `/apis/events.k8s.io/v1/namespaces/${namespace}/events?limit=500`);
      await until(async () => JSON.stringify((await events()).body).includes('OrphansHeld'), { what: 'the event', ...comes });
      for (const name of stripped) expect(await codeOf(name)).toBe('endpoint_not_allowed');

      const listed = await orphans();
      expect(listed.stdout.match(/^stripped\/key-\d+ {2}gone since \S+ {2}held until it is confirmed/gm)).toHaveLength(11);
      const digest = /--confirm ([0-9a-f]{8})$/m.exec(listed.stdout)?.[1] ?? '';
      const wrong = digest === '00000000' ? '11111111' : '00000000';
      expect(await orphans('--confirm', wrong)).toMatchObject({
        code: 1,
        stdout: expect.stringContaining('nothing was changed') as string,
      });
      expect((await orphans('--confirm', 'x')).code).toBe(2);
      expect((await orphans('--namespace', 'another')).stdout).toBe(
        'every key in a namespace that the operator serves has its ApiKey\n',
      );
      expect(await orphans('--confirm', digest)).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/^11 confirmed/) as string,
      });
      for (const name of stripped) {
        await until(async () => (await codeOf(name)) === 'key_invalid', {
          what: `${name} revoked`,
          deadlineMs: 150_000,
          everyMs: 500,
        });
        await until(async () => (await scene.readSecret(namespace, name)) === undefined, { what: `${name} withdrawn`, ...comes });
      }
      expect(await codeOf('key-11')).toBe('endpoint_not_allowed');
      await until(async () => (await metric('keywright_orphans{state="held"}')) === 0, {
        what: 'the metric',
        deadlineMs: 150_000,
        everyMs: 500,
      });
    },
  );
});

describe('the value of an ApiKey whose finalizer was taken away and which was deleted', () => {
  it.each([
    ['as revoked', 'again-revoked', { revoked: { reason: 'KeyCompromise' } }],
    [
      'as revoked, for an owner that does not exist',
      'again-ownerless',
      { revoked: { reason: 'KeyCompromise' }, owner: 'nobody' },
    ],
    ['as suspended, with a spec that is not valid', 'again-invalid', { suspend: true, accessType: 'NoSuchType' }],
  ])('is refused within seconds when its name comes back %s', async (_, name, spec) => {
    const deliverTo = [{ name: 'local', secret: { name } }];
    await scene.createKey(namespace, name, deliverTo);
    await until(() => scene.isReady(namespace, name), { what: `${name} Ready`, ...comes });
    values.set(name, (await scene.readSecret(namespace, name))?.['api-key'] ?? '');
    await strip(name);
    expect(await codeOf(name)).toBe('endpoint_not_allowed');
    await scene.createKey(namespace, name, deliverTo, spec);
    // The operator looks for orphans by the minute, and revokes none of them sooner than ten seconds after its first look.
    await until(async () => (await codeOf(name)) !== 'endpoint_not_allowed', {
      what: 'the refusal',
      deadlineMs: 5_000,
      isExact: true,
      everyMs: 50,
    });
    expect(['key_invalid', 'key_suspended', 'key_not_permitted']).toContain(await codeOf(name));
  });
});

async function metric(name: string): Promise<number | undefined> {
  const page = await (await request(`${operator.healthUrl}/metrics`)).body.text();
  const line = page.split('\n').find((one) => one.startsWith(`${name} `));
  return line === undefined ? undefined : Number(line.slice(name.length + 1));
}

describe('a key in a namespace that the operator does not serve any more', () => {
  it('is named by the log, a metric and the command, which ends its value with the database alone', async () => {
    await scene.createKey(namespace, 'left', [{ name: 'local', secret: { name: 'left' } }]);
    await until(() => scene.isReady(namespace, 'left'), { what: 'left Ready', ...comes });
    values.set('left', (await scene.readSecret(namespace, 'left'))?.['api-key'] ?? '');
    await operator.stop();
    operator = await startOne('elsewhere');
    await scene.changeKey(namespace, 'left', { revoked: { reason: 'KeyCompromise' } });
    await until(() => operator.log().includes('keys in namespaces that are not served'), { what: 'the log', ...comes });
    expect(operator.log()).toContain(`${namespace}/left`);
    await until(async () => ((await metric('keywright_keys_unserved')) ?? 0) > 0, { what: 'the metric', ...comes });
    const env = { KEYWRIGHT_DATABASE_URL: databaseUrl, KEYWRIGHT_NAMESPACES: 'elsewhere' };
    const { stdout } = await runProgram(['orphans'], env);
    const keyId = new RegExp(`^${namespace}/left  not served  (\\w+)$`, 'm').exec(stdout)?.[1] ?? '';
    expect(stdout).toContain('revocations and deletions there have no effect');
    expect(await codeOf('left')).toBe('endpoint_not_allowed');
    await runProgram(['revoke', '--direct', keyId], env);
    await until(async () => (await codeOf('left')) === 'key_invalid', { what: 'the end of left', ...comes });
  });
});

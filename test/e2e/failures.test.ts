import { readFileSync } from 'node:fs';
import pg from 'pg';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ownControlPlane, ownPostgres, useOpenBao, usePostgres } from '../harness/parts.ts';
import { applyPolicy } from '../harness/permissions.ts';
import { fingerprint, makePeppersFile, startAuthorizer, startOperator, verify } from '../harness/program.ts';
import type { AuthorizerProgram, Program } from '../harness/program.ts';
import { Scene } from '../harness/scene.ts';
import { until } from '../harness/until.ts';
import { FaultProxy, type Mood } from '../harness/faultproxy.ts';

/** How long a waiting key is left alone when nothing wakes it, and some time for a slow machine. */
const healsWithinMs = 75_000;
/** The same for one that is woken: sooner than it would look by itself. */
const wokenWithinMs = 45_000;

const plane = await ownControlPlane();
const openbao = await useOpenBao();
const scene = new Scene(plane.kube);
const shared = await usePostgres();
const own = await ownPostgres();
const started: Program[] = [];

/** An operator of some namespaces with a database of its own, so that the stories below run side by side. */
async function startFor(
  namespaces: readonly string[],
  databaseUrl: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Program> {
  const peppersFile = env['KEYWRIGHT_PEPPERS_FILE'] ?? makePeppersFile();
  const operator = await startOperator({
    databaseUrl,
    peppersFile,
    kubeconfig: plane.kube.kubeconfig(),
    env: { KEYWRIGHT_LEADER_ELECTION: 'off', KEYWRIGHT_NAMESPACES: namespaces.join(','), ...env },
  });
  started.push(operator);
  return operator;
}

/** To the database's server and each of its sessions, which are processes of their own. */
function signalAll(name: NodeJS.Signals): void {
  const { pid } = own.server;
  const sessions = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
  for (const one of [String(pid), ...sessions]) {
    try {
      process.kill(Number(one), name);
    } catch {
      // That session has ended.
    }
  }
}

async function query<T extends object>(url: string, text: string, values: readonly unknown[] = []): Promise<readonly T[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<T>(text, [...values])).rows;
  } finally {
    await client.end();
  }
}

async function versionsOf(url: string, namespace: string, name: string): Promise<number> {
  const rows = await query<{ count: number }>(
    url,
    'select count(*)::int as count from keywright.version v join keywright.apikey k on k.uid = v.apikey_uid where k.namespace = $1 and k.name = $2',
    [namespace, name],
  );
  return rows[0]?.count ?? -1;
}

beforeAll(async () => {
  await scene.prepare();
});

afterAll(async () => {
  signalAll('SIGCONT');
  await Promise.all(started.map((one) => one.stop()));
  await own.stop();
  await plane.kube.close();
  await plane.stop();
});

describe.concurrent('what fails is named in our words, costs few calls and no version, and heals alone', () => {
  it('a Vault that denies, fails, talks nonsense, is silent, or is not there', async () => {
    const body = (quote: string) => JSON.stringify({ errors: [quote] });
    const untrusted = 'no trustworthy answer from the Vault server; the log of the operator has the cause';
    const moods: Readonly<Record<string, readonly [Mood, string]>> = {
      denies: [{ kind: 'status', code: 403, body }, 'the Vault server denies us access (403)'],
      fails: [{ kind: 'status', code: 500, body }, 'the Vault server failed (500)'],
      babbles: [{ kind: 'garbage' }, untrusted],
      silent: [{ kind: 'silent' }, untrusted],
      closed: [{ kind: 'closed' }, untrusted],
    };
    const namespace = await plane.kube.createNamespace('vault');
    const { url } = await shared.createDatabase();
    const peppersFile = makePeppersFile();
    const operator = await startFor([namespace], url, { KEYWRIGHT_PEPPERS_FILE: peppersFile });
    const proxies = new Map<string, FaultProxy>();
    for (const [name, [mood]] of Object.entries(moods)) {
      const proxy = await FaultProxy.start(openbao.address);
      proxies.set(name, proxy);
      await proxy.become(mood);
      await scene.declareVault(`v-${name}`, proxy.address, openbao.rootToken);
      await scene.createKey(namespace, `only-${name}`, [{ name: 'vault', destination: `v-${name}` }]);
      await scene.createKey(namespace, `both-${name}`, [
        { name: 'vault', destination: `v-${name}` },
        { name: 'local', secret: { name } },
      ]);
    }
    const first = new Map<string, string | undefined>();
    for (const [name, [, sentence]] of Object.entries(moods)) {
      // A silent server is given up after 10 s, twice.
      const deadlineMs = 45_000;
      for (const key of [`only-${name}`, `both-${name}`]) {
        const ready = await until(
          async () => {
            const condition = await scene.condition(namespace, key, 'Ready');
            return condition?.reason === 'DestinationUnavailable' ? condition : undefined;
          },
          { what: `${key} DestinationUnavailable`, deadlineMs },
        );
        expect(ready).toMatchObject({ status: 'False', message: `vault: ${sentence}` });
        expect(await scene.verdict(namespace, key, 'Stalled')).toMatch(/^False /);
      }
      expect(operator.log()).toContain(`"message":"vault: ${sentence}","event":"not ready"`);
      // What cannot be looked at gets nothing; where a sibling answers, one version waits.
      expect(await versionsOf(url, namespace, `only-${name}`)).toBe(0);
      expect(await versionsOf(url, namespace, `both-${name}`)).toBe(1);
      first.set(name, fingerprint((await scene.readSecret(namespace, name))?.['api-key']));
      expect(first.get(name)).toBeDefined();
    }
    // Two keys, each looked at once or twice with one repetition, and the destination tried each 15 s: no storm.
    for (const [name, proxy] of proxies) expect(proxy.calls, name).toBeLessThanOrEqual(28);

    for (const proxy of proxies.values()) await proxy.become({ kind: 'well' });
    const authorizer: AuthorizerProgram = await startAuthorizer({ databaseUrl: url, peppersFile });
    started.push(authorizer);
    for (const name of Object.keys(moods)) {
      for (const key of [`only-${name}`, `both-${name}`]) {
        await until(() => scene.isReady(namespace, key), { what: `${key} Ready`, deadlineMs: healsWithinMs, everyMs: 250 });
        expect(await versionsOf(url, namespace, key)).toBe(1);
      }
      const value = (await scene.readSecret(namespace, name))?.['api-key'] ?? '';
      expect(fingerprint(value)).toBe(first.get(name));
      expect(await verify(authorizer.url, value)).toMatchObject({ code: 'endpoint_not_allowed' });
    }
    for (const proxy of proxies.values()) await proxy.stop();
  });

  it('a database that dies in a transaction, is stopped, frozen, and comes back', async () => {
    const namespace = await plane.kube.createNamespace('database');
    const { url } = own.postgres;
    const peppersFile = makePeppersFile();
    const operator = await startFor([namespace], url, { KEYWRIGHT_PEPPERS_FILE: peppersFile });
    const authorizer = await startAuthorizer({ databaseUrl: url, peppersFile });
    started.push(authorizer);
    const create = (name: string): Promise<void> => scene.createKey(namespace, name, [{ name: 'local', secret: { name } }]);
    const unavailable = async (name: string): Promise<void> => {
      await until(async () => (await scene.verdict(namespace, name)) === 'Unknown StoreUnavailable', {
        what: `${name} StoreUnavailable`,
        deadlineMs: 30_000,
      });
    };
    await create('steady');
    await until(() => scene.isReady(namespace, 'steady'), { what: 'steady Ready' });
    const value = (await scene.readSecret(namespace, 'steady'))?.['api-key'] ?? '';
    const isReady = async (program: Program): Promise<boolean> =>
      (await request(`${program.healthUrl}/readyz`)).statusCode === 200;

    // Killed while several keys are being minted: whatever was in a transaction is cut off.
    const crowd = ['a', 'b', 'c', 'd'];
    await Promise.all(crowd.map(create));
    await until(async () => (await versionsOf(url, namespace, 'a')) > 0, { what: 'a mint', everyMs: 5 });
    await own.server.kill();
    await scene.touch(namespace, 'steady');
    await unavailable('steady');
    expect(await verify(authorizer.url, value)).toMatchObject({ allowed: false, status: 503, code: 'authorizer_stale' });
    await until(async () => !(await isReady(operator)), { what: 'the operator not ready' });
    // All authorizers have this database: it takes none of them out of service, and gateways read 503 with Retry-After.
    expect(await isReady(authorizer)).toBe(true);
    for (const program of [operator, authorizer]) expect((await request(`${program.healthUrl}/healthz`)).statusCode).toBe(200);
    await own.restart();
    await until(async () => (await verify(authorizer.url, value)).code === 'endpoint_not_allowed', { what: 'the authorizer' });

    // Frozen: it takes connections and calls, and answers nothing.
    signalAll('SIGSTOP');
    await create('late');
    const askedMs = performance.now();
    expect(await verify(authorizer.url, value)).toMatchObject({ code: 'authorizer_stale' });
    expect(performance.now() - askedMs).toBeLessThan(5_000);
    signalAll('SIGCONT');
    await until(async () => (await verify(authorizer.url, value)).code === 'endpoint_not_allowed', {
      what: 'the authorizer',
      deadlineMs: 20_000,
    });

    for (const name of ['steady', 'late', ...crowd]) {
      await until(() => scene.isReady(namespace, name), { what: `${name} Ready`, deadlineMs: wokenWithinMs, everyMs: 250 });
      expect(await versionsOf(url, namespace, name), name).toBe(1);
      const key = (await scene.readSecret(namespace, name))?.['api-key'] ?? '';
      expect(await verify(authorizer.url, key)).toMatchObject({ code: 'endpoint_not_allowed' });
    }
    for (const program of [operator, authorizer]) expect(await isReady(program)).toBe(true);
  });

  it('an admission policy that is required and not there: nothing is minted until it is, and somebody confirms', async () => {
    const namespace = await plane.kube.createNamespace('admission');
    const { url } = await shared.createDatabase();
    const operator = await startFor([namespace], url, { KEYWRIGHT_ADMISSION: 'required' });
    await scene.createKey(namespace, 'guarded', [{ name: 'local', secret: { name: 'guarded' } }]);
    await until(async () => (await scene.verdict(namespace, 'guarded')) === 'False AdmissionPolicyMissing', {
      what: 'AdmissionPolicyMissing',
    });
    expect(operator.log()).toContain('"event":"admission policy not in force"');
    const policies = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolic';
    const rule = { apiGroups: ['keywright.dev'], apiVersions: ['*'], operations: ['CREATE'], resources: ['apikeys'] };
    await plane.kube.request('POST', `${policies}ies`, {
      body: {
        apiVersion: 'admissionregistration.k8s.io/v1',
        kind: 'ValidatingAdmissionPolicy',
        metadata: { name: 'keywright' },
        spec: { matchConstraints: { resourceRules: [rule] }, validations: [{ expression: 'true' }] },
      },
    });
    await plane.kube.request('POST', `${policies}ybindings`, {
      body: {
        apiVersion: 'admissionregistration.k8s.io/v1',
        kind: 'ValidatingAdmissionPolicyBinding',
        metadata: { name: 'keywright' },
        spec: { policyName: 'keywright', validationActions: ['Deny'] },
      },
    });
    // A policy of that name with another text guards nothing.
    await scene.touch(namespace, 'guarded');
    expect(await versionsOf(url, namespace, 'guarded')).toBeLessThanOrEqual(0);
    for (const kind of ['ybindings', 'ies']) await plane.kube.request('DELETE', `${policies}${kind}/keywright`);
    await applyPolicy(plane.kube);
    const said = await until(
      async () => /confirm=([0-9a-f]{16})/.exec((await scene.condition(namespace, 'guarded', 'Ready'))?.message ?? '')?.[1],
      {
        what: 'the value that confirms',
        deadlineMs: wokenWithinMs,
        everyMs: 250,
      },
    );
    await plane.kube.kubectl(['annotate', 'ak', 'guarded', '-n', namespace, `keywright.dev/confirm=${said}`]);
    await until(() => scene.isReady(namespace, 'guarded'), { what: 'guarded Ready', deadlineMs: wokenWithinMs, everyMs: 250 });
    expect(await versionsOf(url, namespace, 'guarded')).toBe(1);
    for (const kind of ['ybindings', 'ies']) await plane.kube.request('DELETE', `${policies}${kind}/keywright`);
  });
});

describe('the API server', () => {
  it('that is restarted and frozen is waited for, and what was declared meanwhile comes', async () => {
    const namespace = await plane.kube.createNamespace('server');
    const { url } = await shared.createDatabase();
    const peppersFile = makePeppersFile();
    const operator = await startFor([namespace], url, { KEYWRIGHT_PEPPERS_FILE: peppersFile });
    await scene.createKey(namespace, 'before', [{ name: 'local', secret: { name: 'before' } }]);
    await until(() => scene.isReady(namespace, 'before'), { what: 'before Ready' });
    await plane.apiServer.kill();
    await until(() => operator.log().includes('watch interrupted'), { what: 'the log line' });
    expect((await request(`${operator.healthUrl}/healthz`)).statusCode).toBe(200);
    await plane.restartApiServer();
    await scene.createKey(namespace, 'after', [{ name: 'local', secret: { name: 'after' } }]);
    await until(() => scene.isReady(namespace, 'after'), { what: 'after Ready', deadlineMs: 45_000 });

    // Frozen while keys are worked on: calls are sent, and nothing answers.
    const crowd = Array.from({ length: 10 }, (_, at) => `crowd-${at}`);
    const seen = operator.log().length;
    for (const name of crowd) await scene.createKey(namespace, name, [{ name: 'local', secret: { name } }]);
    plane.apiServer.signal('SIGSTOP');
    await until(() => /pass not finished|reconcile failed/.test(operator.log().slice(seen)), {
      what: 'a call given up',
      deadlineMs: 45_000,
    });
    plane.apiServer.signal('SIGCONT');
    const authorizer = await startAuthorizer({ databaseUrl: url, peppersFile });
    started.push(authorizer);
    for (const name of crowd) {
      await until(() => scene.isReady(namespace, name), { what: `${name} Ready`, deadlineMs: 45_000 });
      // Whose Secret was asked for and not answered may have lost that attempt: the next one replaces it, once.
      expect(await versionsOf(url, namespace, name)).toBeLessThanOrEqual(2);
      const key = (await scene.readSecret(namespace, name))?.['api-key'] ?? '';
      expect(await verify(authorizer.url, key)).toMatchObject({ code: 'endpoint_not_allowed' });
    }
    await scene.deleteSecret(namespace, 'before');
    await until(() => scene.readSecret(namespace, 'before'), { what: 'the Secret', deadlineMs: 45_000 });
    expect(operator.log()).not.toContain('"event":"defect"');
  });

  it('refuses what the schema forbids, and names the field', async () => {
    const namespace = await plane.kube.createNamespace('schema');
    const local = [{ name: 'local', secret: { name: 'a' } }];
    const cases: readonly (readonly [more: object, field: string])[] = [
      [{ displayName: 'x'.repeat(101) }, 'spec.displayName'],
      [{ channels: [] }, 'spec.channels'],
      [{ expiry: { after: '24h', never: true } }, 'spec.expiry'],
      [{ contactEmail: 'nobody' }, 'spec.contactEmail'],
      [{ expiry: { after: '1 week' } }, 'spec.expiry.after'],
      [{ deliverTo: [{ name: 'v', destination: 'vault', path: '../other' }] }, 'spec.deliverTo[0].path'],
      [{ deliverTo: [] }, 'spec.deliverTo'],
      [{ nonsense: 1 }, 'spec.nonsense'],
    ];
    for (const [more, field] of cases) {
      const input = scene.key(namespace, 'bad', local, more);
      const { code, stderr } = await plane.kube.kubectl(['apply', '--validate=strict', '-f', '-'], { input, allowFailure: true });
      expect([code, stderr]).toEqual([1, expect.stringContaining(field)]);
    }
  });
});

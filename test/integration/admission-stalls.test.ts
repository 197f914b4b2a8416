import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { admissionPolicyName } from '../../operator/src/api/admission/policy.ts';
import { probeLease, probeMessage } from '../../operator/src/api/admission/probe.ts';
import { operatorRoleName } from '../../operator/src/api/admission/roles.ts';
import { apiVersion } from '../../operator/src/api/meta.ts';
import type { Kube } from '../harness/kube.ts';
import { ownControlPlane, usePostgres } from '../harness/parts.ts';
import { applyAll, applyPermissions, bind, bindOperator, withServiceAccount } from '../harness/permissions.ts';
import { makePeppersFile, startOperator, type Program } from '../harness/program.ts';
import { until } from '../harness/until.ts';

const system = 'keywright-system';
const plane = await ownControlPlane({ users: [{ name: 'author' }], controllers: false });
const database = await (await usePostgres()).createDatabase({ migrated: false });
let kube: Kube = plane.kube;
let operator: Program;
let namespace = '';

const policies = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies';
const keys = () => `/apis/${apiVersion}/namespaces/${namespace}/apikeys`;
const key = (name: string) => ({
  apiVersion,
  kind: 'ApiKey',
  metadata: { name },
  spec: {
    displayName: name,
    catalog: 'default',
    owner: 'team',
    accessType: 'Integrations',
    deliverTo: [{ name: 'local', secret: { name } }],
  },
});
const create = async (name: string, user: string, query = '') =>
  (await kube.request('POST', `${keys()}${query}`, { body: key(name), user })).status;
const reasonOf = async (name: string): Promise<string | undefined> => {
  const { body } = await kube.request('GET', `${keys()}/${name}`);
  const { status } = body as { status?: { conditions?: readonly { readonly type: string; readonly reason: string }[] } };
  return status?.conditions?.find(({ type }) => type === 'Ready')?.reason;
};

beforeAll(async () => {
  await applyPermissions(kube, { operatorNamespace: system });
  namespace = await kube.createNamespace('stalls');
  kube = await withServiceAccount(kube, system, operatorRoleName);
  await bindOperator(kube, system, { kind: 'ServiceAccount', name: operatorRoleName, namespace: system });
  await bind(kube, namespace, { kind: 'User', name: 'author' }, [
    { apiGroups: ['keywright.dev'], resources: ['apikeys'], verbs: ['get', 'list', 'create', 'update', 'patch', 'delete'] },
  ]);
  const catalog = {
    key: { prefix: 'acme', environment: 'live' },
    accessTypes: [{ name: 'Integrations', endpoints: 'All' }],
    endpoints: [{ name: 'list-things', method: 'GET', path: '/v1/things' }],
    policy: { requireContactEmail: false, neverExpires: 'Allowed' },
  };
  const team = {
    type: 'Team',
    displayName: 'team',
    allowedNamespaces: { names: [namespace] },
    grants: [{ catalog: 'default', accessTypes: ['*'], endpoints: ['*'] }],
  };
  await applyAll(kube, [
    { apiVersion, kind: 'ApiCatalog', metadata: { name: 'default' }, spec: catalog },
    { apiVersion, kind: 'KeyOwner', metadata: { name: 'team' }, spec: team },
  ]);
  operator = await startOperator({
    databaseUrl: database.url,
    peppersFile: makePeppersFile(),
    kubeconfig: kube.kubeconfig(operatorRoleName),
    // A leader that cannot renew its Lease stops; this one must go on.
    env: { KEYWRIGHT_ADMISSION: 'required', KEYWRIGHT_LEADER_ELECTION: 'off' },
  });
});

afterAll(async () => {
  for (const part of [plane.etcd, plane.apiServer]) part.signal('SIGCONT');
  await operator.stop();
  await kube.close();
  await plane.stop();
});

/** Removes the policy; returns what creates it again. */
async function withoutPolicy(): Promise<() => Promise<number>> {
  const { spec, metadata } = (await kube.request('GET', `${policies}/${admissionPolicyName}`)).body as {
    readonly spec: object;
    readonly metadata: { readonly labels: object };
  };
  await kube.request('DELETE', `${policies}/${admissionPolicyName}`);
  await until(async () => (await create('dry', 'author', '?dryRun=All')) === 201, { what: 'no policy that acts' });
  const body = {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicy',
    metadata: { name: admissionPolicyName, labels: metadata.labels },
    spec,
  };
  return async () => (await kube.request('POST', policies, { body })).status;
}

/** Creates keys as fast as possible until it is stopped; gives the names that the API server accepted. */
function hammer(prefix: string): () => Promise<readonly string[]> {
  const made: string[] = [];
  let goesOn = true;
  const one = async (worker: number): Promise<void> => {
    for (let at = 0; goesOn; at += 1) {
      const name = `${prefix}-${worker}-${at}`;
      if ((await create(name, 'author').catch(() => 0)) === 201) made.push(name);
    }
  };
  const all = [0, 1, 2].map(one);
  return async () => {
    goesOn = false;
    await Promise.all(all);
    return made;
  };
}

/** Longer than the operator waits for an existing policy to settle. */
async function standStill(): Promise<void> {
  const from = performance.now();
  await until(() => performance.now() - from > 6_500, { what: 'the end of the stall', deadlineMs: 10_000 });
}

/** Waits until a user who may create a key gets one again. */
async function inForceAgain(prefix: string): Promise<void> {
  let at = 0;
  await until(
    async () => {
      const name = `${prefix}-witness-${(at += 1)}`;
      await create(name, 'admin');
      const isSettled = async () => {
        const reason = await reasonOf(name);
        if (reason !== 'Available' && reason !== 'AdmissionPolicyMissing') throw new Error(`${name}: ${reason}`);
        return reason;
      };
      return (await until(isSettled, { what: `a verdict on ${name}`, deadlineMs: 20_000 })) === 'Available';
    },
    { what: 'the policy in force again', deadlineMs: 60_000, everyMs: 1_000 },
  );
}

async function expectHeld(names: readonly string[]): Promise<void> {
  for (const name of names) {
    await until(async () => (await reasonOf(name)) === 'AdmissionPolicyMissing', { what: `${name} is held`, deadlineMs: 20_000 });
    expect((await kube.request('GET', `/api/v1/namespaces/${namespace}/secrets/${name}`)).status).toBe(404);
  }
}

describe('an author without our verbs who creates keys while', () => {
  it('the policy is written and etcd stands still gets none of them', async () => {
    const make = await withoutPolicy();
    plane.etcd.signal('SIGSTOP');
    // Its creation time is from before the stall, and those of the keys are from its end.
    const made = make();
    await standStill();
    const stop = hammer('etcd');
    const probed = performance.now();
    await until(() => performance.now() - probed > 300, { what: 'creates in flight' });
    plane.etcd.signal('SIGCONT');
    expect(await made).toBe(201);
    await until(async () => (await create('dry', 'author', '?dryRun=All')) === 403, { what: 'the policy acts' });
    const names = await stop();
    expect(names.length).toBeGreaterThan(0);
    await inForceAgain('etcd');
    await expectHeld(names);
  });

  it('the API server stands still right after it took the policy gets none of them', async () => {
    const make = await withoutPolicy();
    expect(await make()).toBe(201);
    plane.apiServer.signal('SIGSTOP');
    const stop = hammer('frozen');
    await standStill();
    plane.apiServer.signal('SIGCONT');
    await until(async () => (await create('dry', 'author', '?dryRun=All')) === 403, { what: 'the policy acts' });
    const names = await stop();
    expect(names.length).toBeGreaterThan(0);
    await inForceAgain('frozen');
    await expectHeld(names);
  });
});

describe('the probe of the admission policy', () => {
  const probe = (name: string, user = 'admin') => {
    const lease = probeLease(system);
    const body = { ...lease, metadata: { ...(lease['metadata'] as object), name } };
    return kube.request('POST', `/apis/coordination.k8s.io/v1/namespaces/${system}/leases?dryRun=All`, { body, user });
  };

  it('is refused by name for every user, and no other Lease is refused', async () => {
    const { name } = probeLease(system)['metadata'] as { readonly name: string };
    for (const user of ['admin', operatorRoleName]) {
      const { status, body } = await probe(name, user);
      expect([status, (body as { readonly message: string }).message]).toEqual([422, expect.stringContaining(probeMessage)]);
      // Nothing but the probe's own validation is about a Lease.
      expect((body as { details: { causes: readonly unknown[] } }).details.causes).toHaveLength(1);
    }
    expect((await probe('another')).status).toBe(201);
  });
});

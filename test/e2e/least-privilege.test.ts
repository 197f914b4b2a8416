import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ChartValues } from '../../scripts/chart/values.ts';
import { objectsOf } from '../harness/chart.ts';
import type { AuditedRequest } from '../harness/controlplane.ts';
import { Installation } from '../harness/installation.ts';
import { ownControlPlane, useOpenBao, usePostgres } from '../harness/parts.ts';
import { describePermit, permits, permitsOf, type Permit } from '../harness/permits.ts';
import { Scene } from '../harness/scene.ts';
import { until } from '../harness/until.ts';
import { createWorkload, readyPods, workloadPath } from '../harness/workloads.ts';

const plane = await ownControlPlane({ crds: false, audit: true });
const { kube } = plane;
const openbao = await useOpenBao();
const { url } = await (await usePostgres()).createDatabase({ migrated: false });
const scene = new Scene(kube);
const account = 'system:serviceaccount:keywright-system:keywright-operator';
const vaultMount = openbao.uniquePath();
const workloads = (['Deployment', 'StatefulSet', 'DaemonSet'] as const).map((kind) => ({
  kind,
  namespace: 'payments',
  name: `billing-${kind.toLowerCase()}`,
}));
let here: Installation;

/** Nothing is everywhere that can be somewhere. */
const values: ChartValues = {
  database: { url },
  namespaces: { names: ['payments', 'vaulted'] },
  secrets: { names: ['payments'] },
  consumers: { names: ['payments'] },
  loginSecrets: ['token-second'],
  // In a Pod loopback is the Pod, but for this test's Vault.
  destinations: { insecure: [openbao.address] },
  authorizer: { replicas: 1 },
  operator: { replicas: 1, leaseDuration: '5s' },
};

/** What no story of a minute brings about, and which test does. */
const exempt: readonly (readonly [RegExp, string])[] = [
  [/^list /, 'an API server that does not stream lists: integration/kube-watch.test.ts'],
  [/^update apikeys\.keywright\.dev\/finalizers/, 'no request, but asked for by the admission policy: see the table below'],
  [/^patch events\./, 'an event that comes again after a minute: unit/resources/kube/events.test.ts'],
];

beforeAll(async () => {
  for (const name of ['payments', 'vaulted']) await kube.kubectl(['create', 'namespace', name]);
  here = await Installation.open(kube);
  await letVaultAskWhoLogsIn();
  await here.apply('install', values);
  await scene.prepare({ namespace: false });
});

afterAll(async () => {
  await here.close();
  await kube.close();
  await plane.stop();
});

/** As docs/destinations/vault.md has it, with Vault's own interface. */
async function letVaultAskWhoLogsIn(): Promise<void> {
  await kube.kubectl(['create', 'serviceaccount', 'vault-reviewer', '-n', here.namespace]);
  const binding = ['create', 'clusterrolebinding', 'vault-reviewer', '--clusterrole=system:auth-delegator'];
  await kube.kubectl([...binding, `--serviceaccount=${here.namespace}:vault-reviewer`]);
  const token = await kube.kubectl(['create', 'token', 'vault-reviewer', '-n', here.namespace]);
  await openbao.call('POST', `sys/auth/${vaultMount}`, { type: 'kubernetes' });
  await openbao.call('POST', `auth/${vaultMount}/config`, {
    kubernetes_host: kube.url,
    kubernetes_ca_cert: kube.handle.ca,
    token_reviewer_jwt: token.stdout.trim(),
    disable_local_ca_jwt: true,
  });
  const capabilities = ['create', 'read', 'update', 'patch', 'delete', 'list'];
  await openbao.call('PUT', `sys/policies/acl/${vaultMount}`, {
    policy: `path "secret/*" { capabilities = ${JSON.stringify(capabilities)} }\npath "sys/capabilities-self" { capabilities = ["update"] }`,
  });
  await openbao.call('POST', `auth/${vaultMount}/role/keywright`, {
    audience: openbao.address,
    bound_service_account_names: 'keywright-vault',
    bound_service_account_namespaces: here.namespace,
    token_policies: vaultMount,
  });
}

const becomes = (name: string, wanted: string, namespace = 'payments', type = 'Ready') =>
  until(async () => (await scene.verdict(namespace, name, type)) === wanted, {
    what: `${type} of ${name}: ${wanted}`,
    deadlineMs: 40_000,
  });

/** One of everything that the operator does in a cluster. */
async function liveThroughEverything(): Promise<void> {
  const auth = { kubernetes: { role: 'keywright', mount: vaultMount } };
  const path = `${vaultMount}/{namespace}/{name}`;
  await scene.declare('KeyDestination', 'vault', {
    allowedNamespaces: { all: true },
    vault: { address: openbao.address, mount: 'secret', path, auth },
  });
  // Logs in with a token of a Secret, which the operator may read because a value names it.
  await scene.declareVault('second', openbao.address, openbao.rootToken);
  await scene.declare('KeyOwnerGroup', 'group', { displayName: 'Group' });
  for (const workload of workloads) await createWorkload(kube, workload, { pods: 1 });
  await scene.createKey(
    'payments',
    'billing',
    [
      { name: 'local', secret: { name: 'billing' } },
      { name: 'vault', destination: 'vault' },
      { name: 'second', destination: 'second' },
    ],
    {
      consumers: workloads.map(({ kind, name }) => ({ kind, name, restart: true })),
      rotation: { overlap: '5m', maxOverlap: '1h' },
    },
  );
  await scene.createKey('vaulted', 'only', [{ name: 'vault', destination: 'vault' }]);
  await becomes('only', 'True Available', 'vaulted');
  await becomes('billing', 'True Available');

  // A lost Secret comes back, one that was changed is put right, a restart rolls the workload.
  await scene.deleteSecret('payments', 'billing');
  await until(() => scene.readSecret('payments', 'billing'), { what: 'the lost Secret', deadlineMs: 20_000 });
  await scene.annotate('payments', 'billing', { 'keywright.dev/rotate': 'now' });
  await until(async () => (await scene.readKey('payments', 'billing'))?.status?.currentKey?.epoch === 2, {
    what: 'a rotation',
    deadlineMs: 20_000,
  });
  for (const workload of workloads)
    await until(() => isRestarted(workload), { what: `a restart of ${workload.kind}`, deadlineMs: 20_000 });
  await scene.changeKey('payments', 'billing', { suspend: true });
  await becomes('billing', 'False Suspended');

  // What is taken out of the list is taken away, and so is everything that is deleted; catalogs and owners go behind.
  await scene.changeKey('payments', 'billing', { deliverTo: [{ name: 'vault', destination: 'vault' }] });
  await until(async () => (await scene.readSecret('payments', 'billing')) === undefined, {
    what: 'a withdrawal',
    deadlineMs: 20_000,
  });
  await scene.deleteKey('payments', 'billing');
  await scene.deleteKey('vaulted', 'only');
  const all = ['keydestinations', 'keyowners', 'keyownergroups', 'apicatalogs'];
  await kube.kubectl(['delete', 'apikeys', '--all', '--all-namespaces', '--timeout=30s']);
  await kube.kubectl(['delete', all.join(','), '--all', '--timeout=30s']);
}

async function isRestarted(workload: (typeof workloads)[number]): Promise<boolean> {
  for (const one of workloads) await readyPods(kube, one);
  const { spec } = (await kube.request('GET', workloadPath(workload))).body as {
    spec: { template: { metadata: { annotations?: object } } };
  };
  return Object.keys(spec.template.metadata.annotations ?? {}).length > 0;
}

async function rendered(): Promise<readonly Permit[]> {
  const { stdout } = await here.run(['get', 'manifest', 'keywright', '--namespace', here.namespace]);
  return permitsOf(objectsOf(stdout)).filter(({ role }) => role.includes('keywright-operator'));
}

const ours = (requests: readonly AuditedRequest[]) => requests.filter(({ user }) => user.username === account);

describe('the operator under exactly the roles that the chart renders', () => {
  it('does everything that it does, is refused nothing, and has no right that it does not use', async () => {
    await liveThroughEverything();
    const requests = ours(plane.audited());
    const refused = requests.filter(({ responseStatus }) => responseStatus?.code === 403 || responseStatus?.code === 401);
    expect(refused).toEqual([]);

    const given = await rendered();
    const unused = given.filter((permit) => !requests.some((request) => permits(permit, request)));
    const unexplained = unused.map(describePermit).filter((one) => !exempt.some(([which]) => which.test(one)));
    expect(unexplained).toEqual([]);
    // With any one of them taken away, something of the story would have been refused.
    const used = given.filter((permit) => !unused.includes(permit));
    for (const permit of used) {
      const others = given.filter((one) => one !== permit);
      const lost = requests.filter((request) => permits(permit, request) && !others.some((one) => permits(one, request)));
      expect([describePermit(permit), lost.length > 0]).toEqual([describePermit(permit), true]);
    }
  });

  it.each<readonly [string, string, string, RegExp, string]>([
    ['keywright-operator-secrets', 'secrets', 'create', /^False DestinationUnavailable$/, 'secrets'],
    ['keywright-operator-keys', 'apikeys/status', 'patch', /^Unknown Pending$/, 'apikeys/status'],
    ['keywright-operator-keys', 'apikeys/finalizers', 'update', /^Unknown InternalError$/, 'apikeys'],
  ])('fails without one of them: %s, %s, %s', async (role, resource, verb, verdict, refused) => {
    await scene.prepare({ namespace: false }).catch(() => undefined);
    const path = `/apis/rbac.authorization.k8s.io/v1/clusterroles/${role}`;
    const { rules } = (await kube.request('GET', path)).body as { rules: readonly { resources: string[]; verbs: string[] }[] };
    const without = rules
      .map((rule) => (rule.resources.includes(resource) ? { ...rule, verbs: rule.verbs.filter((one) => one !== verb) } : rule))
      .filter(({ verbs }) => verbs.length > 0);
    const set = async (wanted: unknown) => {
      const answer = await kube.request('PATCH', path, { body: { rules: wanted }, contentType: 'application/merge-patch+json' });
      expect(answer.status).toBe(200);
    };
    await set(without);
    try {
      await scene.createKey('payments', `without-${verb}`, [{ name: 'local', secret: { name: `without-${verb}` } }]);
      const isRefused = ({ responseStatus, objectRef }: AuditedRequest) =>
        responseStatus?.code === 403 &&
        `${objectRef?.resource}${objectRef?.subresource === undefined ? '' : '/'}${objectRef?.subresource ?? ''}` === refused;
      await until(() => ours(plane.audited()).some(isRefused), { what: 'a refusal', deadlineMs: 30_000 });
      // What was refused is told a moment later.
      const said = async () => {
        const seen = await scene.verdict('payments', `without-${verb}`);
        if (!verdict.test(seen)) throw new Error(seen);
        return true;
      };
      await until(said, { what: `the verdict ${verdict.source}`, deadlineMs: 30_000 });
    } finally {
      await set(rules);
    }
  });
});

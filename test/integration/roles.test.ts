import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { apiKinds, kindTable, type ApiKind } from '../../operator/src/api/kinds.ts';
import { apiVersion } from '../../operator/src/api/meta.ts';
import { leadRole } from '../../scripts/permissions.ts';
import { ownControlPlane } from '../harness/parts.ts';
import { applyAll, applyPermissions, bind, bindEverywhere, bindOperator, type Subject } from '../harness/permissions.ts';
import { until } from '../harness/until.ts';
import { manifest } from '../unit/api/cases.ts';

const roles = ['admin', 'grantor', 'responder', 'viewer', 'operator'] as const;
type Role = (typeof roles)[number];
const userOf = (role: Role | 'lead' | 'editor') => `the-${role}`;
const subjectOf = (role: Role | 'lead' | 'editor'): Subject => ({ kind: 'User', name: userOf(role) });

const plane = await ownControlPlane({ users: [...roles, 'lead', 'editor'].map((role) => ({ name: userOf(role as Role) })) });
const { kube } = plane;
let namespace = '';
let elsewhere = '';

beforeAll(async () => {
  await applyPermissions(kube, { operatorNamespace: 'keywright-system' });
  namespace = await kube.createNamespace('roles');
  elsewhere = await kube.createNamespace('elsewhere');
  // As a cluster would: those who run it everywhere, those who use it in their namespace.
  for (const role of ['admin', 'viewer'] as const) await bindEverywhere(kube, subjectOf(role), `keywright-${role}`);
  for (const role of ['grantor', 'responder'] as const) await bind(kube, namespace, subjectOf(role), `keywright-${role}`);
  await bind(kube, namespace, subjectOf('editor'), 'admin');
  await bindOperator(kube, 'keywright-system', subjectOf('operator'));
  for (const kind of apiKinds) {
    const answer = await kube.request('POST', collection(kind), { body: manifest(kind, {}, 'present', namespace) });
    expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  }
});

afterAll(async () => {
  await kube.close();
  await plane.stop();
});

function collection(kind: ApiKind, where = namespace): string {
  const { plural, scope } = kindTable[kind];
  return `/apis/${apiVersion}/${scope === 'Namespaced' ? `namespaces/${where}/` : ''}${plural}`;
}

/** What `kubectl auth can-i` asks: `grant apicatalogs.keywright.dev/accesstypes default:Admin`, in a namespace or not. */
async function can(user: string, question: string, where: string | undefined): Promise<boolean> {
  const [verb = '', resource = '', name] = question.split(' ');
  const [qualified = '', subresource] = resource.split('/');
  const [plural, ...group] = qualified.split('.');
  const resourceAttributes = { verb, group: group.join('.'), resource: plural, subresource, name, namespace: where };
  const body = { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview', spec: { resourceAttributes } };
  const answer = await kube.request('POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', { body, user });
  return (answer.body as { status: { allowed: boolean } }).status.allowed;
}

const keys = 'apikeys.keywright.dev';
const plurals = apiKinds.map((kind) => `${kindTable[kind].plural}.keywright.dev`);
const each = (verbs: readonly string[], resources: readonly string[]) =>
  verbs.flatMap((verb) => resources.map((resource) => `${verb} ${resource}`));
const reading = ['get', 'list', 'watch'];
const writing = ['create', 'update', 'patch', 'delete'];
const granting = [
  'grant apicatalogs.keywright.dev/accesstypes default:Admin',
  'own keyowners.keywright.dev payments-team',
  'deliver keydestinations.keywright.dev prod-vault',
  'deliver keydestinations.keywright.dev/secrets billing-api-key',
];
const responding = each(['revoke', 'rotate'], [keys]);
const status = each(
  ['update', 'patch'],
  plurals.map((plural) => `${plural}/status`),
);
/** What is nobody's business but the cluster's. */
const foreign = [
  ...each([...reading, 'create'], ['events', 'events.events.k8s.io']),
  ...each(['get', 'list', 'create'], ['secrets', 'configmaps', 'pods', 'serviceaccounts/token']),
  ...each(['create', 'bind', 'escalate'], ['roles.rbac.authorization.k8s.io', 'clusterroles.rbac.authorization.k8s.io']),
  ...each(['impersonate'], ['users', 'groups', 'serviceaccounts']),
  ...each(['patch'], ['deployments.apps', 'namespaces', 'customresourcedefinitions.apiextensions.k8s.io']),
  ...each(['update', 'delete'], ['validatingadmissionpolicies.admissionregistration.k8s.io keywright']),
];
const finalizing = each(
  ['update'],
  plurals.map((plural) => `${plural}/finalizers`),
);
const everything = [
  ...new Set([...finalizing, ...each([...reading, ...writing], plurals), ...granting, ...responding, ...status, ...foreign]),
];

/** What each role may do, where it is bound; everything else of the list above it may not. */
const allowed: Readonly<Record<Role, readonly string[]>> = {
  admin: [...each([...reading, ...writing], plurals), ...granting, ...responding],
  // In a namespace: also the cluster's kinds, but only as far as the rights of a namespace reach.
  grantor: [...each(reading, plurals), ...each(writing, [keys]), ...granting],
  // It sees why, too: the events, and what a key names.
  responder: [
    ...each(reading, [...plurals, 'events', 'events.events.k8s.io']),
    ...each(['update', 'patch'], [keys]),
    ...responding,
  ],
  viewer: each(reading, plurals),
  operator: [
    ...each([...reading, 'patch'], plurals),
    ...status.filter((one) => one.startsWith('patch')),
    'update apikeys.keywright.dev/finalizers',
    ...each(['get', 'list', 'create'], ['secrets']),
    'create events.events.k8s.io',
  ],
};

describe.each(roles)('keywright-%s', (role) => {
  it('[S2-1] may do what it is for, and nothing else', async () => {
    const granted: string[] = [];
    for (const question of everything) if (await can(userOf(role), question, namespace)) granted.push(question);
    expect(granted.sort()).toEqual([...allowed[role]].sort());
  });
});

describe('a role that is bound in a namespace', () => {
  it.each(['grantor', 'responder'] as const)('ends there: %s', async (role) => {
    for (const question of everything) {
      expect([question, await can(userOf(role), question, elsewhere)]).toEqual([question, false]);
      expect([question, await can(userOf(role), question, undefined)]).toEqual([question, false]);
    }
  });

  it('[S2-1] is not given by view, edit or admin of that namespace', async () => {
    const user = userOf('editor');
    // The role that Kubernetes itself aggregates is filled by a controller.
    await until(() => can(user, 'create configmaps', namespace), { what: 'the role admin', deadlineMs: 30_000 });
    for (const question of [...each([...reading, ...writing], [keys]), ...granting, ...responding, ...status]) {
      expect([question, await can(user, question, namespace)]).toEqual([question, false]);
    }
    expect((await kube.request('GET', collection('ApiKey'), { user })).status).toBe(403);
  });
});

describe('the API server', () => {
  it.each(apiKinds)('lets administrators write %s, and viewers only read it', async (kind) => {
    const body = manifest(kind, {}, 'made', namespace);
    const made = `${collection(kind)}/made`;
    const change = { body: { metadata: { labels: { a: 'b' } } }, contentType: 'application/merge-patch+json' };
    for (const user of [userOf('viewer'), 'outsider']) {
      expect((await kube.request('POST', collection(kind), { body, user })).status).toBe(403);
    }
    const user = userOf('admin');
    expect((await kube.request('POST', collection(kind), { body, user })).status).toBe(201);
    expect((await kube.request('GET', collection(kind), { user: userOf('viewer') })).status).toBe(200);
    expect((await kube.request('GET', collection(kind), { user: 'outsider' })).status).toBe(403);
    for (const one of ['viewer', 'grantor', 'responder'] as const) {
      const answer = await kube.request('PATCH', made, { ...change, user: userOf(one) });
      expect([one, answer.status]).toEqual([one, kind === 'ApiKey' && one !== 'viewer' ? 200 : 403]);
      const gone = await kube.request('DELETE', `${made}?dryRun=All`, { user: userOf(one) });
      expect([one, gone.status]).toEqual([one, kind === 'ApiKey' && one === 'grantor' ? 200 : 403]);
    }
    for (const one of ['admin', 'grantor', 'responder', 'viewer'] as const) {
      const answer = await kube.request('PATCH', `${made}/status`, {
        body: {},
        contentType: change.contentType,
        user: userOf(one),
      });
      expect([one, answer.status]).toEqual([one, 403]);
    }
    expect((await kube.request('PATCH', made, { ...change, user })).status).toBe(200);
    expect((await kube.request('DELETE', made, { user })).status).toBe(200);
  });

  it('lets the operator hold one Lease, in its own namespace', async () => {
    const user = userOf('operator');
    const lease = 'leases.coordination.k8s.io';
    for (const question of [`create ${lease}`, `get ${lease} keywright-operator`, `patch ${lease} keywright-operator`]) {
      expect([question, await can(user, question, 'keywright-system')]).toEqual([question, true]);
      expect([question, await can(user, question, namespace)]).toEqual([question, false]);
    }
    for (const question of [`get ${lease} other`, `patch ${lease} other`, `delete ${lease} keywright-operator`]) {
      expect([question, await can(user, question, 'keywright-system')]).toEqual([question, false]);
    }
  });

  it('lets the operator restart workloads where its role for consumers is bound, and do nothing else with them', async () => {
    const user = userOf('operator');
    const workloads = ['deployments.apps', 'statefulsets.apps', 'daemonsets.apps'];
    const questions = each([...reading, ...writing], workloads);
    for (const question of questions) expect([question, await can(user, question, namespace)]).toEqual([question, false]);
    await bind(kube, namespace, subjectOf('operator'), 'keywright-operator-consumers');
    const granted = each(['get', 'patch'], workloads);
    for (const question of questions) {
      expect([question, await can(user, question, namespace)]).toEqual([question, granted.includes(question)]);
      expect([question, await can(user, question, elsewhere)]).toEqual([question, false]);
    }
  });

  it('takes the role of the reference as it stands there', async () => {
    const own = { ...leadRole, metadata: { ...leadRole.metadata, namespace } };
    const subjects = [{ apiGroup: 'rbac.authorization.k8s.io', ...subjectOf('lead') }];
    const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: leadRole.metadata.name };
    const rbac = { apiVersion: leadRole.apiVersion };
    await applyAll(kube, [own, { ...rbac, kind: 'RoleBinding', metadata: own.metadata, subjects, roleRef }]);
    const user = userOf('lead');
    const deliverTo = [
      { name: 'a', destination: 'prod-vault' },
      { name: 'b', secret: { name: 'billing-api-key' } },
    ];
    const fine = manifest('ApiKey', { 'spec.deliverTo': deliverTo }, 'led', namespace);
    expect(await kube.request('POST', collection('ApiKey'), { body: fine, user })).toMatchObject({ status: 201 });
    const wider = manifest('ApiKey', { 'spec.accessType': 'Admin' }, 'wider', namespace);
    expect(await kube.request('POST', collection('ApiKey'), { body: wider, user })).toMatchObject({ status: 403 });
  });

  it('answers kubectl auth can-i, as the reference says', async () => {
    const ask = [
      'auth',
      'can-i',
      'grant',
      'apicatalogs.keywright.dev/default:Admin',
      '--subresource=accesstypes',
      '-n',
      namespace,
    ];
    expect((await kube.kubectl(ask, { user: userOf('grantor') })).stdout.trim()).toBe('yes');
    expect((await kube.kubectl(ask, { user: userOf('responder'), allowFailure: true })).stdout.trim()).toBe('no');
  });
});

describe('the list of keys', () => {
  beforeAll(async () => {
    for (const [name, owner, accessType, clientApplication, where] of [
      ['one', 'ana', 'Personal', 'shop', namespace],
      ['two', 'ana', 'Integrations', 'crm', elsewhere],
      ['three', 'ben', 'Personal', 'shop', elsewhere],
    ] as const) {
      const edits = { 'spec.owner': owner, 'spec.accessType': accessType, 'spec.clientApplication': clientApplication };
      await applyAll(kube, [manifest('ApiKey', edits, name, where)]);
    }
  });

  it.each([
    ['spec.owner=ana', ['one', 'two']],
    ['spec.owner=ana,spec.accessType=Personal', ['one']],
    ['spec.owner!=ana,spec.accessType=Personal', ['three']],
    ['spec.clientApplication=shop', ['one', 'three']],
    ['spec.catalog=other', []],
  ])('[S3-11] [S0-21] [S1-13] is narrowed by kubectl --field-selector %s, over all namespaces', async (selector, names) => {
    const args = ['get', 'ak', '-A', '--field-selector', selector, '-o', 'jsonpath={.items[*].metadata.name}'];
    const { stdout } = await kube.kubectl(args, { user: userOf('viewer') });
    expect(
      stdout
        .split(' ')
        .filter((name) => name !== '')
        .sort(),
    ).toEqual([...names].sort());
  });

  it('[S3-11] shows owner and access type, and is closed to who may see one namespace only', async () => {
    const { stdout } = await kube.kubectl(['get', 'apikeys', '-A'], { user: userOf('viewer') });
    expect(stdout).toMatch(/^NAMESPACE\s+NAME\s+READY\s+REASON\s+OWNER\s+ACCESS\s+KEY\s+EXPIRES\s+LAST USED\s+AGE\n/);
    expect(stdout).toMatch(new RegExp(`${elsewhere}\\s+three\\s+Unknown\\s+Pending\\s+ben\\s+Personal`));
    const all = await kube.kubectl(['get', 'apikeys', '-A'], { user: userOf('responder'), allowFailure: true });
    expect(all.stderr).toContain('cannot list resource "apikeys"');
    const own = await kube.kubectl(['get', 'apikeys', '-n', namespace, '-o', 'name'], { user: userOf('responder') });
    expect(own.stdout).toContain('apikey.keywright.dev/one');
  });

  it.each(apiKinds)('prints the columns of %s, by its short name', async (kind) => {
    const { shortNames, columns } = kindTable[kind];
    const { stdout } = await kube.kubectl(['get', ...shortNames, '-n', namespace], { user: userOf('viewer') });
    const shown = columns.filter(({ priority }) => priority === undefined).map(({ name }) => name.toUpperCase());
    expect((stdout.split('\n')[0] ?? '').trim().split(/\s{2,}/)).toEqual(['NAME', ...shown]);
  });

  it('knows all five kinds by their category', async () => {
    const { stdout } = await kube.kubectl(['get', 'keywright', '-n', namespace, '-o', 'name'], { user: userOf('viewer') });
    for (const kind of apiKinds) expect(stdout).toContain(`${kindTable[kind].singular}.keywright.dev/present`);
  });
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { operatorPolicyName } from '../../operator/src/api/admission/operatorpolicy.ts';
import { operatorServiceAccountName } from '../../operator/src/api/admission/account.ts';
import { apiKinds, kindTable, type ApiKind } from '../../operator/src/api/kinds.ts';
import { apiVersion, finalizer } from '../../operator/src/api/meta.ts';
import { appliers, crowd } from '../builders/appliers.ts';
import type { Kube, KubeAnswer } from '../harness/kube.ts';
import { ownControlPlane } from '../harness/parts.ts';
import { applyPermissions, bind, bindEverywhere, bindOperator, withServiceAccount } from '../harness/permissions.ts';
import { until } from '../harness/until.ts';
import { manifest } from '../unit/api/cases.ts';

const system = 'keywright-system';
const operator = operatorServiceAccountName;
const plane = await ownControlPlane({ controllers: false });
let kube: Kube = plane.kube;
let namespace = '';

beforeAll(async () => {
  await applyPermissions(kube, { operatorNamespace: system });
  namespace = await kube.createNamespace('stolen');
  for (const name of [operator, 'other']) kube = await withServiceAccount(kube, system, name);
  await bindOperator(kube, system, { kind: 'ServiceAccount', name: operator, namespace: system });
  // More than any operator has: the policy holds whatever RBAC lets through.
  for (const name of [operator, 'other']) {
    await bindEverywhere(kube, { kind: 'ServiceAccount', name, namespace: system }, 'keywright-admin');
    await bind(kube, namespace, { kind: 'ServiceAccount', name, namespace: system }, [
      { apiGroups: ['apps'], resources: ['deployments'], verbs: ['patch'] },
    ]);
  }
  for (const kind of apiKinds) {
    const metadata = {
      finalizers: ['example.com/other'],
      labels: { team: 'payments' },
      annotations: { 'example.com/note': 'x' },
    };
    const body = { ...manifest(kind, {}, 'present', namespace) };
    body['metadata'] = { ...(body['metadata'] as object), ...metadata };
    expect((await kube.request('POST', collection(kind), { body })).status).toBe(201);
  }
  const probe = () => patch(operator, 'KeyOwner', { metadata: { labels: { probe: 'x' } } }, '?dryRun=All');
  await until(async () => (await probe()).status === 403, { what: "the policy for the operator's account" });
});

afterAll(async () => {
  await kube.close();
  await plane.stop();
});

function collection(kind: ApiKind): string {
  const { plural, scope } = kindTable[kind];
  return `/apis/${apiVersion}/${scope === 'Namespaced' ? `namespaces/${namespace}/` : ''}${plural}`;
}

const patch = (user: string, kind: ApiKind, body: object, query = '') =>
  kube.request('PATCH', `${collection(kind)}/present${query}`, { body, user, contentType: 'application/merge-patch+json' });
const messageOf = ({ body }: KubeAnswer) => (body as { message?: string }).message ?? '';

/** Changes of the spec of each kind that a thief would make, or the author of the object. */
const specs: Readonly<Record<ApiKind, readonly object[]>> = {
  ApiKey: [{ suspend: true }, { scopes: ['a'] }, { revoked: {} }],
  ApiCatalog: [{ accessTypes: [{ name: 'Integrations', endpoints: 'All' }] }, { policy: { requireContactEmail: false } }],
  KeyOwner: [
    { grants: [{ catalog: 'default', accessTypes: ['*'], endpoints: ['*'] }] },
    { allowedNamespaces: { names: ['theirs'], all: null } },
    { disabled: true },
  ],
  KeyOwnerGroup: [{ grants: [{ catalog: 'default', accessTypes: ['*'], endpoints: ['*'] }] }, { displayName: 'Other' }],
  KeyDestination: [
    { vault: { auth: { token: { secretRef: { name: 'theirs' } } } } },
    { allowedNamespaces: { names: ['theirs'], all: null } },
  ],
};

describe("whoever holds a token of the operator's account, whatever RBAC lets through", () => {
  it.each(apiKinds.flatMap((kind) => specs[kind].map((spec) => ({ kind, spec }))))(
    'writes no spec: $kind $spec',
    async ({ kind, spec }) => {
      const answer = await patch(operator, kind, { spec }, '?dryRun=All');
      expect([answer.status, messageOf(answer)]).toEqual([
        403,
        expect.stringContaining(`'${operatorPolicyName}' denied request: the operator changes no spec`),
      ]);
      const others = await patch('other', kind, { spec }, '?dryRun=All');
      expect(others.status, messageOf(others)).toBe(200);
    },
  );

  it.each<readonly [string, object, string]>([
    ['labels', { labels: { team: 'theirs' } }, 'changes no labels'],
    ['annotations', { annotations: { 'example.com/note': null } }, 'changes no labels and no annotations'],
    ['requests', { annotations: { 'keywright.dev/rotate': 'now' } }, 'changes no labels and no annotations'],
    [
      'ownerReferences',
      { ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'ghost', uid: '00000000-0000-4000-8000-000000000000' }] },
      'changes no ownerReferences',
    ],
    ['generateName', { generateName: 'theirs-' }, 'changes no other metadata'],
    ['finalizers of others', { finalizers: [finalizer] }, `changes no finalizer but ${finalizer}`],
  ])('writes no metadata but its finalizer: %s', async (_what, metadata, says) => {
    for (const kind of apiKinds) {
      // What has no meaning on the other kinds is nobody's business there.
      const answer = await patch(operator, kind, { metadata }, '?dryRun=All');
      expect([kind, answer.status, messageOf(answer)]).toEqual([kind, 403, expect.stringContaining(says)]);
      const others = await patch('other', kind, { metadata }, '?dryRun=All');
      expect([kind, others.status, messageOf(others)]).toEqual([kind, 200, '']);
    }
  });

  /** Fields of each kind's spec that give a right, as managers own them. */
  const rightsOf: Readonly<Record<ApiKind, object>> = {
    ApiKey: { 'f:accessType': {} },
    ApiCatalog: { 'f:accessTypes': {} },
    KeyOwner: { 'f:grants': {} },
    KeyOwnerGroup: { 'f:grants': {} },
    KeyDestination: { 'f:allowedNamespaces': { 'f:names': {} } },
  };

  it.each(apiKinds)('makes nobody a second owner of a right, so that one removal is enough: %s', async (kind) => {
    for (const manager of ['ghost', 'keywright']) {
      const { body } = await kube.request('GET', `${collection(kind)}/present`);
      const { managedFields } = (body as { metadata: { managedFields: readonly object[] } }).metadata;
      const ghost = { manager, operation: 'Update', apiVersion, time: '2024-01-01T00:00:00Z', fieldsType: 'FieldsV1' };
      for (const fieldsV1 of [{ 'f:spec': rightsOf[kind] }, { 'f:metadata': { 'f:labels': { 'f:team': {} } } }]) {
        const metadata = { managedFields: [...managedFields, { ...ghost, fieldsV1 }] };
        const answer = await patch(operator, kind, { metadata }, '?fieldManager=keywright&dryRun=All');
        expect([answer.status, messageOf(answer)]).toEqual([
          403,
          expect.stringContaining('the operator changes no managedFields'),
        ]);
      }
      const none = await patch(operator, kind, { metadata: { managedFields: [{}] } }, '?fieldManager=keywright&dryRun=All');
      expect([none.status, messageOf(none)]).toEqual([403, expect.stringContaining('the operator changes no managedFields')]);
    }
  });

  it.each(apiKinds)('makes and deletes no %s', async (kind) => {
    const body = manifest(kind, {}, 'made', namespace);
    const answers = [
      await kube.request('POST', `${collection(kind)}?dryRun=All`, { body, user: operator }),
      await kube.request('DELETE', `${collection(kind)}/present?dryRun=All`, { user: operator }),
    ];
    for (const answer of answers)
      expect([answer.status, messageOf(answer)]).toEqual([
        403,
        expect.stringContaining('the operator creates and deletes no object'),
      ]);
  });
});

describe('the operator', () => {
  it.each(apiKinds)('writes its finalizer although others own it too, and eleven managers own fields: %s', async (kind) => {
    const url = `${collection(kind)}/present`;
    const applied = { apiVersion, kind, metadata: { name: 'present', finalizers: [finalizer] } };
    const contentType = 'application/apply-patch+yaml';
    const byOther = await kube.request('PATCH', `${url}?fieldManager=gitops&force=true`, {
      body: applied,
      user: 'other',
      contentType,
    });
    expect(byOther.status, messageOf(byOther)).toBe(200);
    for (let at = 0; at < 11; at += 1) {
      const label = { metadata: { labels: { [`label-${at}`]: 'x' } } };
      expect((await patch('other', kind, label, `?fieldManager=manager-${at}`)).status).toBe(200);
    }
    for (const finalizers of [['example.com/other'], ['example.com/other', finalizer], ['example.com/other']]) {
      const answer = await patch(operator, kind, { metadata: { finalizers } }, '?fieldManager=keywright');
      expect([answer.status, messageOf(answer)]).toEqual([200, '']);
    }
  });

  it.each(['ApiKey', 'KeyOwner'] as const)('sets and removes its finalizer of %s among hundreds of owners', async (kind) => {
    const url = `${collection(kind)}/crowded`;
    const { metadata, ...body } = manifest(kind, {}, 'crowded', namespace) as { metadata: object };
    const labels = { team: 'payments' };
    expect((await kube.request('POST', collection(kind), { body: { ...body, metadata: { ...metadata, labels } } })).status).toBe(
      201,
    );
    const contentType = 'application/merge-patch+json';
    const write = async (user: string, change: object) => {
      const answer = await kube.request('PATCH', `${url}?fieldManager=keywright`, {
        body: { metadata: change },
        user,
        contentType,
      });
      expect([answer.status, messageOf(answer)]).toEqual([200, '']);
      return (answer.body as { metadata: { managedFields: readonly object[] } }).metadata.managedFields;
    };
    const own = { 'f:labels': { 'f:team': {} } };
    const before = await write('other', { finalizers: [finalizer] });
    // At last, each of them loses our finalizer.
    for (const fields of [own, { ...own, 'f:finalizers': { [`v:"${finalizer}"`]: {} } }]) {
      const managedFields = [...before, ...appliers({ 'f:metadata': fields })];
      expect((await write('other', { managedFields })).length).toBeGreaterThan(crowd);
      for (const finalizers of [[], [finalizer], []]) await write(operator, { finalizers });
      await write('other', { finalizers: [finalizer] });
    }
  });

  it.each(apiKinds)('sets and removes its finalizer of %s, and writes its status', async (kind) => {
    for (const finalizers of [['example.com/other', finalizer], ['example.com/other']]) {
      const answer = await patch(operator, kind, { metadata: { finalizers } }, '?fieldManager=keywright');
      expect(answer.status, messageOf(answer)).toBe(200);
    }
    const status = { observedGeneration: 1 };
    const written = await kube.request('PATCH', `${collection(kind)}/present/status?fieldManager=keywright&force=true`, {
      body: { apiVersion, kind, metadata: { name: 'present' }, status },
      user: operator,
      contentType: 'application/apply-patch+yaml',
    });
    expect(written.status, messageOf(written)).toBe(200);
  });
});

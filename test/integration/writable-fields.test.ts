import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { operatorServiceAccountName } from '../../operator/src/api/admission/account.ts';
import { fieldRoles, type FieldRole } from '../../operator/src/api/admission/permissions.ts';
import { apiKinds, kindTable, type ApiKeySpec, type ApiKind } from '../../operator/src/api/kinds.ts';
import { annotations, apiVersion, finalizer } from '../../operator/src/api/meta.ts';
import { toStructural } from '../../operator/src/api/structural.ts';
import { settingsOf } from '../../operator/src/reconcile/settings.ts';
import { leavesOf } from '../builders/schemaleaves.ts';
import {
  fieldRows,
  metadataRows,
  samples,
  type Answer,
  type Decides,
  type FieldRow,
  type Patch,
} from '../builders/writablefields.ts';
import type { Kube, KubeAnswer } from '../harness/kube.ts';
import { ownControlPlane } from '../harness/parts.ts';
import { applyPermissions, bind, bindOperator, withServiceAccount } from '../harness/permissions.ts';
import { until } from '../harness/until.ts';

const system = 'keywright-system';
const operator = operatorServiceAccountName;
const plane = await ownControlPlane({ controllers: false, users: [{ name: 'writer' }] });
let kube: Kube = plane.kube;
let namespace = '';

beforeAll(async () => {
  await applyPermissions(kube, { operatorNamespace: system });
  namespace = await kube.createNamespace('fields');
  const verbs = ['get', 'list', 'create', 'update', 'patch', 'delete'];
  await bind(kube, namespace, { kind: 'User', name: 'writer' }, [
    { apiGroups: ['keywright.dev'], resources: ['apikeys'], verbs },
  ]);
  kube = await withServiceAccount(kube, system, operator);
  await bindOperator(kube, system, { kind: 'ServiceAccount', name: operator, namespace: system });
  await present('KeyOwnerGroup', 'probe', samples.KeyOwnerGroup);
  const probe = () => send('PATCH', 'KeyOwnerGroup', 'probe', { spec: { displayName: 'x' } }, operator);
  await until(async () => (await probe()).status === 403, { what: "the policy for the operator's account" });
});

afterAll(async () => {
  await kube.close();
  await plane.stop();
});

function path(kind: ApiKind, name = ''): string {
  const { plural, scope } = kindTable[kind];
  return `/apis/${apiVersion}/${scope === 'Namespaced' ? `namespaces/${namespace}/` : ''}${plural}${name === '' ? '' : `/${name}`}`;
}

const send = (method: 'PATCH' | 'PUT', kind: ApiKind, name: string, body: object, user: string) =>
  kube.request(method, `${path(kind, name)}?dryRun=All`, {
    body,
    user,
    contentType: method === 'PUT' ? 'application/json' : 'application/merge-patch+json',
  });
const messageOf = ({ body }: KubeAnswer) => (body as { message?: string }).message ?? '';

async function present(kind: ApiKind, name: string, spec: unknown, metadata: object = {}): Promise<LiveObject> {
  const body = { apiVersion, kind, metadata: { name, ...metadata }, spec };
  const answer = await kube.request('POST', `${path(kind)}?fieldValidation=Strict`, { body });
  expect(answer.status, messageOf(answer)).toBe(201);
  return answer.body as LiveObject;
}

interface LiveObject {
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly spec: Patch;
  readonly status?: unknown;
}

type Tree = Record<string, unknown>;

/** RFC 7386, for the objects of the table. */
function merged(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const result: Tree = { ...(typeof target === 'object' ? (target as Tree | null) : {}) };
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) Reflect.deleteProperty(result, name);
    else result[name] = merged(result[name], value);
  }
  return result;
}

/** A copy with another value at this field: of lists in the first entry that has it. */
function changed(tree: unknown, steps: readonly string[], value: unknown): unknown {
  const [step = '', ...rest] = steps;
  if (step === '') return value;
  if (step === '[]') {
    const items = tree as readonly unknown[];
    const at = items.findIndex((item) => has(item, rest));
    return items.with(at, changed(items[at], rest, value));
  }
  const members = tree as Tree;
  const name = step === '{}' ? (Object.keys(members)[0] ?? '') : step;
  return { ...members, [name]: changed(members[name], rest, value) };
}

function has(tree: unknown, [step = '', ...rest]: readonly string[]): boolean {
  if (step === '') return tree !== undefined;
  if (typeof tree !== 'object' || tree === null) return false;
  if (step === '[]') return (tree as readonly unknown[]).some((item) => has(item, rest));
  return step === '{}' ? Object.keys(tree).length > 0 : has((tree as Tree)[step], rest);
}

const stepsOf = (field: string) => field.replace('spec.', '').replaceAll('[]', '.[]').replaceAll('{}', '.{}').split('.');

/** The spec before and after the change of a row. */
function specsOf({ kind, field, before, to }: FieldRow): readonly [unknown, unknown] {
  const spec = merged(samples[kind], before);
  return [spec, 'patch' in to ? merged(spec, to.patch) : changed(spec, stepsOf(field), to.value)];
}

const statuses: Readonly<Record<Answer, readonly number[]>> = {
  refused: [403],
  immutable: [400, 409, 422],
  ignored: [200],
  allowed: [200],
};

describe('the table of fields', () => {
  it.each(apiKinds)('has one row for each field of %s, and no other', (kind) => {
    const fields = leavesOf(toStructural(kindTable[kind].spec), 'spec');
    const rows = fieldRows.filter((row) => row.kind === kind).map(({ field }) => field);
    expect([...rows].sort()).toEqual([...fields].sort());
  });

  it('has a row for each member of metadata that this API server knows, and each annotation of ours', async () => {
    const { body } = await kube.request('GET', `/openapi/v3/apis/${apiVersion}`);
    const { schemas } = (body as { components: { schemas: Record<string, { properties: object }> } }).components;
    const known = Object.keys(schemas['io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta']?.properties ?? {});
    expect([...new Set(metadataRows.map(({ member }) => member))].sort()).toEqual(known.sort());
    const named = metadataRows.filter(({ member }) => member === 'annotations').map(({ what }) => what);
    expect(named).toEqual(expect.arrayContaining(Object.values(annotations)));
  });

  it('lets nobody without verbs decide on a verdict, a value, a life or a workload', () => {
    const open = [...fieldRows, ...metadataRows].filter(({ answer }) => answer === 'allowed');
    const decided = new Set(open.flatMap(({ decides }) => decides));
    for (const one of ['verdict', 'value', 'life', 'workloads'] as const) expect(decided).not.toContain(one);
  });

  it('agrees with the roles of the fields, by which the policy asks', () => {
    const meant: Readonly<Record<FieldRole, readonly Decides[]>> = {
      rights: ['verdict', 'value', 'life'],
      description: ['shown'],
      delivery: ['value', 'shown'],
      consumer: ['workloads'],
      suspension: ['verdict'],
      revocation: ['life'],
    };
    for (const { field, decides } of fieldRows.filter(({ kind }) => kind === 'ApiKey')) {
      const [name = ''] = stepsOf(field);
      expect(meant[fieldRoles[name as keyof ApiKeySpec]]).toEqual(expect.arrayContaining([...decides]));
    }
  });
});

describe('a field of a spec', () => {
  it.each(fieldRows.map((row, at) => ({ ...row, row, name: `field-${at}` })))(
    '$kind $field: $answer to a writer without verbs; decides on $decides',
    async ({ row, kind, name, answer }) => {
      const [before, after] = specsOf(row);
      const live = await present(kind, name, before);
      const { spec: _old, ...rest } = live;
      const body = { ...rest, spec: merged(live.spec, patchBetween(before, after)) };
      const byWriter = await send('PUT', kind, name, body, 'writer');
      // Whoever has no right in the cluster does not get as far as the schema.
      const isForeign = kindTable[kind].scope === 'Cluster';
      expect(isForeign ? [403] : statuses[answer], messageOf(byWriter)).toContain(byWriter.status);
      const byAdmin = await send('PUT', kind, name, body, 'admin');
      expect(answer === 'immutable' ? statuses.immutable : [200], messageOf(byAdmin)).toContain(byAdmin.status);
      if (answer === 'immutable') return;
      const { spec } = byAdmin.body as LiveObject;
      expect(spec).not.toEqual(live.spec);
      if (kind === 'ApiKey') expectDecided(row, live.spec as unknown as ApiKeySpec, spec as unknown as ApiKeySpec);
      const byOperator = await send('PATCH', kind, name, { spec: patchBetween(before, after) }, operator);
      // Of an ApiKey the policy for everybody is the first to refuse.
      const refusal = kind === 'ApiKey' ? 'ValidatingAdmissionPolicy' : 'the operator changes no spec';
      expect([byOperator.status, messageOf(byOperator)]).toEqual([403, expect.stringContaining(refusal)]);
    },
  );
});

/** The merge patch from one spec to another. */
function patchBetween(before: unknown, after: unknown): object {
  const old = before as Tree;
  const next = after as Tree;
  const gone = Object.keys(old).filter((name) => !(name in next));
  return Object.fromEntries([
    ...gone.map((name) => [name, null]),
    ...Object.entries(next).map(([name, value]) => {
      const isTree = typeof value === 'object' && value !== null && !Array.isArray(value);
      return [name, isTree && typeof old[name] === 'object' ? patchBetween(old[name], value) : value];
    }),
  ]) as object;
}

/** What the store knows for its verdicts differs exactly where the row says so. */
function expectDecided({ decides }: FieldRow, before: ApiKeySpec, after: ApiKeySpec): void {
  const [old, next] = [before, after].map((spec) => {
    const { displayName: _shown, clientApplication: _too, ...settings } = settingsOf(spec);
    return JSON.stringify(settings);
  });
  expect(old !== next).toBe(decides.includes('verdict'));
}

describe('the metadata of an ApiKey', () => {
  it.each(metadataRows.map((row, at) => ({ ...row, row, name: `metadata-${at}` })))(
    '$member $what: $answer to a writer without verbs; decides on $decides',
    async ({ row, name, answer, member }) => {
      const before = { finalizers: [finalizer], labels: { team: 'a' }, annotations: { 'example.com/note': 'a' } };
      const live = await present('ApiKey', name, samples.ApiKey, before);
      const byWriter = await send('PATCH', 'ApiKey', name, { metadata: row.patch }, 'writer');
      expect(statuses[answer], messageOf(byWriter)).toContain(byWriter.status);
      if (answer !== 'allowed' && answer !== 'ignored') return;
      const { metadata, spec } = byWriter.body as LiveObject;
      expect(spec).toEqual(live.spec);
      const fields = [metadata[member], live.metadata[member]];
      if (answer === 'ignored') expect(fields[0]).toEqual(fields[1]);
      else expect(fields[0]).not.toEqual(fields[1]);
    },
  );

  it('does not change with the status, which a writer may not write', async () => {
    const live = await present('ApiKey', 'status', samples.ApiKey);
    const status = { currentKey: { id: 'x', epoch: 1 }, conditions: [] };
    const ignored = await send('PATCH', 'ApiKey', 'status', { status }, 'writer');
    expect([ignored.status, (ignored.body as LiveObject).status]).toEqual([200, live.status]);
    const refused = await kube.request('PATCH', `${path('ApiKey', 'status')}/status?dryRun=All`, {
      body: { status },
      user: 'writer',
      contentType: 'application/merge-patch+json',
    });
    expect(refused.status).toBe(403);
  });
});

describe('the metadata of the other kinds', () => {
  it.each(apiKinds.filter((kind) => kind !== 'ApiKey'))('is closed to a writer of ApiKeys: %s', async (kind) => {
    await present(kind, 'closed', samples[kind]);
    for (const { patch } of metadataRows)
      expect((await send('PATCH', kind, 'closed', { metadata: patch }, 'writer')).status).toBe(403);
  });
});

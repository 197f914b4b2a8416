import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { request } from 'undici';
import type { Condition } from '../../operator/src/api/kinds.ts';
import { ownControlPlane, usePostgres } from '../harness/parts.ts';
import { makePeppersFile, startAuthorizer, startOperator, type AuthorizerProgram, type Program } from '../harness/program.ts';
import { until } from '../harness/until.ts';

const plane = await ownControlPlane();
const { kube } = plane;
const database = await (await usePostgres()).createDatabase({ migrated: false });
const namespace = 'payments';
let operator: Program;
let authorizer: AuthorizerProgram;

const everything = {
  accessTypes: ['*'],
  scopes: ['*'],
  endpoints: ['*'],
  applications: ['*'],
  channels: ['*'],
  attributes: ['*'],
};
const catalogSpec = {
  key: { prefix: 'acme', environment: 'live' },
  accessTypes: [{ name: 'Any', endpoints: 'All' }],
  endpoints: [
    { name: 'list', method: 'GET', path: '/v1/campaigns' },
    { name: 'send', method: 'POST', path: '/v1/campaigns' },
  ],
  scopes: [
    { name: 'read', endpoints: ['list'] },
    { name: 'write', endpoints: ['send'] },
  ],
  channels: [{ slug: 'email' }, { slug: 'sms' }],
  requests: { hosts: ['api.example.com'] },
};

async function apply(kind: string, name: string, spec: object, metadata: object = {}): Promise<void> {
  const input = { apiVersion: 'keywright.dev/v1alpha1', kind, metadata: { ...metadata, name }, spec };
  await kube.kubectl(['apply', '-f', '-'], { input });
}

function applyOwner(name: string, changes: object = {}): Promise<void> {
  const spec = {
    type: 'Team',
    displayName: name,
    allowedNamespaces: { names: [namespace] },
    grants: [{ catalog: 'default', ...everything }],
  };
  return apply('KeyOwner', name, { ...spec, ...changes });
}

async function applyKey(name: string, owner: string, changes: object = {}): Promise<void> {
  const spec = {
    displayName: name,
    catalog: 'default',
    owner,
    contactEmail: 'team@example.com',
    accessType: 'Any',
    deliverTo: [{ name: 'local', secret: { name } }],
    ...changes,
  };
  await apply('ApiKey', name, spec, { namespace });
}

interface Live {
  readonly status?: { readonly conditions?: readonly Condition[]; readonly [member: string]: unknown };
}

async function live(plural: string, name: string): Promise<Live | undefined> {
  const { stdout } = await kube.kubectl(['get', plural, name, '-n', namespace, '-o', 'json'], { allowFailure: true });
  return stdout === '' ? undefined : (JSON.parse(stdout) as Live);
}

async function becomes(plural: string, name: string, wanted: string, type = 'Ready'): Promise<void> {
  let last = '';
  await until(
    async () => {
      const found = (await live(plural, name))?.status?.conditions?.find((condition) => condition.type === type);
      last = found === undefined ? 'absent' : `${found.status} ${found.reason}`;
      return last === wanted;
    },
    { what: `${plural}/${name} ${type} ${wanted}`, deadlineMs: 20_000 },
  );
}

async function valueOf(name: string): Promise<string> {
  const answer = await kube.request('GET', `/api/v1/namespaces/${namespace}/secrets/${name}`);
  return Buffer.from((answer.body as { data: Record<string, string> }).data['api-key'] ?? '', 'base64').toString();
}

async function verdict(key: string, method = 'GET', targetChannels?: readonly string[]): Promise<string> {
  const body = { key, request: { host: 'api.example.com', method, path: '/v1/campaigns', scheme: 'https', targetChannels } };
  const answer = await request(`${authorizer.url}/v1/verify`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(10_000),
  });
  const said = (await answer.body.json()) as { allowed: boolean; status?: number; code?: string };
  return said.allowed ? 'allowed' : `${said.status ?? 0} ${said.code ?? ''}`;
}

async function answers(key: string, wanted: string, method = 'GET', deadlineMs = 20_000): Promise<void> {
  await until(async () => (await verdict(key, method)) === wanted, { what: `${method}: ${wanted}`, deadlineMs });
}

beforeAll(async () => {
  for (const name of ['keywright-system', namespace]) await kube.kubectl(['create', 'namespace', name]);
  const options = { databaseUrl: database.url, peppersFile: makePeppersFile(), kubeconfig: kube.kubeconfig() };
  operator = await startOperator(options);
  authorizer = await startAuthorizer(options);
  await apply('ApiCatalog', 'default', catalogSpec);
});

afterAll(async () => {
  await operator.stop();
  await authorizer.stop();
  await kube.close();
  await plane.stop();
});

describe('the cluster kinds, on a real API server and PostgreSQL', () => {
  it('an owner that is disabled, deleted and created anew: dead on the next request, and revived by a request only [S2-4] [S2-5] [S2-6]', async () => {
    await applyOwner('ana');
    await applyKey('laptop', 'ana');
    await becomes('apikey', 'laptop', 'True Available');
    const first = await valueOf('laptop');
    expect(await verdict(first)).toBe('allowed');

    await applyOwner('ana', { disabled: true });
    await answers(first, '403 owner_inactive');
    await becomes('apikey', 'laptop', 'False OwnerDisabled', 'OwnerActive');
    await applyOwner('ana', { disabled: false });
    await answers(first, 'allowed');
    await becomes('apikey', 'laptop', 'True Available');

    await kube.kubectl(['delete', 'keyowner', 'ana', '--timeout=30s']);
    // The finalizer went after the store knew: nothing is waited for here.
    expect(await verdict(first)).toBe('403 owner_inactive');
    await becomes('apikey', 'laptop', 'False OwnerNotFound');
    await applyOwner('ana');
    await becomes('apikey', 'laptop', 'False OwnerReplaced');
    await becomes('apikey', 'laptop', 'True OwnerReplaced', 'Stalled');
    expect(await verdict(first)).toBe('403 owner_inactive');

    await kube.kubectl(['annotate', 'apikey', 'laptop', '-n', namespace, 'keywright.dev/rotate=after-ana-came-back']);
    await becomes('apikey', 'laptop', 'True Available');
    const second = await valueOf('laptop');
    expect(second === first).toBe(false);
    expect(await verdict(second)).toBe('allowed');
    expect(await verdict(first)).toBe('403 owner_inactive');
    expect((await live('apikey', 'laptop'))?.status?.['lastHandledRotation']).toBe('after-ana-came-back');
  });

  it('a group that changes, goes and is missed: its members follow at once, untouched [S1-2] [S1-3]', async () => {
    const reads = { catalog: 'default', ...everything, scopes: ['read'], endpoints: [] };
    await applyOwner('ben', { grants: [reads], groups: ['senders'] });
    await becomes('keyowner', 'ben', 'False UnknownName');
    await applyKey('report', 'ben');
    await becomes('apikey', 'report', 'True Available');
    const value = await valueOf('report');
    expect(await verdict(value, 'POST')).toBe('403 endpoint_not_allowed');
    await apply('KeyOwnerGroup', 'senders', { displayName: 'Senders', grants: [{ ...reads, scopes: ['write'] }] });
    await answers(value, 'allowed', 'POST');
    await becomes('keyowner', 'ben', 'True Available');
    await kube.kubectl(['delete', 'keyownergroup', 'senders', '--timeout=30s']);
    expect(await verdict(value, 'POST')).toBe('403 endpoint_not_allowed');
    expect(await verdict(value)).toBe('allowed');
    await becomes('keyowner', 'ben', 'False UnknownName');
    expect(await valueOf('report')).toBe(value);
  });

  it('an edit of a live key counts with no new secret [S3-8] [S3-9] [S3-10]', async () => {
    await applyOwner('carla');
    await applyKey('push', 'carla', { channels: ['email'] });
    await becomes('apikey', 'push', 'True Available');
    const value = await valueOf('push');
    expect(await verdict(value, 'GET', ['sms'])).toBe('403 channel_not_assigned');
    await applyKey('push', 'carla', { channels: ['sms'], scopes: ['read'], displayName: 'Renamed' });
    await until(async () => (await verdict(value, 'GET', ['sms'])) === 'allowed', { what: 'the new channel' });
    expect(await verdict(value, 'GET', ['email'])).toBe('403 channel_not_assigned');
    expect(await verdict(value, 'POST')).toBe('403 endpoint_not_allowed');
    expect(await valueOf('push')).toBe(value);
    await becomes('apikey', 'push', 'True Available');
    expect((await live('apikey', 'push'))?.status?.['effective']).toMatchObject({
      endpoints: 1,
      scopes: ['read'],
      channels: ['sms'],
    });
    // An unknown name grants nothing and is told; what else the edit says counts.
    await applyKey('push', 'carla', { channels: ['sms', 'fax'], scopes: ['read'] });
    await becomes('apikey', 'push', 'True InvalidSpec', 'Stalled');
    expect(await verdict(value, 'GET', ['fax'])).toBe('403 channel_not_assigned');
    expect(await verdict(value, 'GET', ['sms'])).toBe('allowed');
  });

  it('an invalid edit of a catalog that also narrows counts for nothing, and a younger one cannot have its host', async () => {
    await applyOwner('dora');
    await applyKey('robot', 'dora');
    await becomes('apikey', 'robot', 'True Available');
    const value = await valueOf('robot');
    const digest = (await live('apicatalog', 'default'))?.status?.['digest'];
    expect(digest).toMatch(/^[0-9a-f]{64}$/);
    await apply('ApiCatalog', 'default', { ...catalogSpec, endpoints: catalogSpec.endpoints.slice(1) });
    await becomes('apicatalog', 'default', 'False InvalidSpec');
    expect((await live('apicatalog', 'default'))?.status?.['digest']).toBe(digest);
    expect(await verdict(value)).toBe('allowed');
    // An event is written beside the status, not before it.
    await until(
      async () => {
        const { stdout } = await kube.kubectl(['get', 'events', '-A', '--field-selector', 'reason=InvalidSpec', '-o', 'json']);
        return stdout.includes('the catalog has no endpoint list');
      },
      { what: 'the event about the invalid catalog' },
    );
    await apply('ApiCatalog', 'younger', { ...catalogSpec, key: { prefix: 'young', environment: 'live' } });
    await becomes('apicatalog', 'younger', 'False HostConflict');
    expect(await verdict(value)).toBe('allowed');
    await apply('ApiCatalog', 'default', catalogSpec);
    await becomes('apicatalog', 'default', 'True Available');
    await kube.kubectl(['delete', 'apicatalog', 'default', '--timeout=30s']);
    expect(await verdict(value)).toBe('401 key_invalid');
    await becomes('apicatalog', 'younger', 'True Available');
    await becomes('apikey', 'robot', 'False CatalogNotFound');
  });
});

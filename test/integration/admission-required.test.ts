import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { admissionPolicyName } from '../../operator/src/api/admission/policy.ts';
import { leaseName, operatorRoleName } from '../../operator/src/api/admission/roles.ts';
import { apiVersion } from '../../operator/src/api/meta.ts';
import type { Kube } from '../harness/kube.ts';
import { ownControlPlane, usePostgres } from '../harness/parts.ts';
import { applyAll, applyPermissions, applyPolicy, bind, bindOperator, withServiceAccount } from '../harness/permissions.ts';
import { privateDir } from '../harness/process.ts';
import { makePeppersFile, startOperator, type Program } from '../harness/program.ts';
import { checkout } from '../harness/standalone.ts';
import { until } from '../harness/until.ts';

const system = 'keywright-system';
const plane = await ownControlPlane();
const database = await (await usePostgres()).createDatabase({ migrated: false });
const peppersFile = makePeppersFile();
let kube: Kube = plane.kube;
let operator: Program;
let namespace = '';
let elsewhere = '';
/** Every call of the operators and its answer, as `PATCH /apis/… 200`. */
const calls: string[] = [];
const certificate = (file: string) => readFileSync(join(kube.handle.dir, 'certificates', file));
// With the server's own certificate: whoever believes the one believes the other.
const door = createServer({ cert: certificate('apiserver.crt'), key: certificate('apiserver.key') }, (incoming, outgoing) => {
  const { method = '', url = '', headers } = incoming;
  const onward = request(`${kube.url}${url}`, { method, headers, ca: kube.handle.ca, agent: false }, (answer) => {
    calls.push(`${method} ${url} ${answer.statusCode}`);
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(outgoing);
  });
  for (const one of [onward, outgoing]) one.on('error', () => undefined);
  outgoing.on('close', () => onward.destroy());
  incoming.pipe(onward);
});

/** Starts the operator with its own ServiceAccount, through the door. */
async function start(): Promise<void> {
  const config = readFileSync(kube.kubeconfig(operatorRoleName), 'utf8');
  const address = `https://127.0.0.1:${(door.address() as AddressInfo).port}`;
  const kubeconfig = join(privateDir('door'), 'kubeconfig');
  writeFileSync(kubeconfig, config.replaceAll(kube.url, address), { mode: 0o600 });
  const env = { KEYWRIGHT_ADMISSION: 'required' };
  operator = await startOperator({ databaseUrl: database.url, peppersFile, kubeconfig, env });
}

/** The policy is looked up at the start: quicker than to wait for the minute. */
async function restart(): Promise<void> {
  await operator.stop();
  await start();
}

const key = (name: string, spec: object = {}, where = namespace) => ({
  apiVersion,
  kind: 'ApiKey',
  metadata: { name, namespace: where },
  spec: {
    displayName: name,
    catalog: 'default',
    owner: 'team',
    accessType: 'Integrations',
    deliverTo: [{ name: 'local', secret: { name } }],
    ...spec,
  },
});

const cluster = [
  {
    apiVersion,
    kind: 'ApiCatalog',
    metadata: { name: 'default' },
    spec: {
      key: { prefix: 'acme', environment: 'live' },
      accessTypes: [{ name: 'Integrations', endpoints: 'All' }],
      endpoints: ['things', 'others'].map((what) => ({ name: `list-${what}`, method: 'GET', path: `/v1/${what}` })),
      policy: { requireContactEmail: false, neverExpires: 'Allowed' },
    },
  },
  { apiVersion, kind: 'KeyOwnerGroup', metadata: { name: 'group' }, spec: { displayName: 'Group' } },
];
const owner = (name: string, namespaces: readonly string[]) => ({
  apiVersion,
  kind: 'KeyOwner',
  metadata: { name },
  spec: {
    type: 'Team',
    displayName: name,
    allowedNamespaces: { names: namespaces },
    grants: [{ catalog: 'default', accessTypes: ['*'], endpoints: ['*'] }],
  },
});
const destination = (name: string, namespaces: readonly string[]) => ({
  apiVersion,
  kind: 'KeyDestination',
  metadata: { name },
  spec: {
    allowedNamespaces: { names: namespaces },
    vault: { address: 'http://127.0.0.1:1', mount: 'secret', auth: { token: { secretRef: { name: 'none' } } } },
  },
});

interface Status {
  readonly metadata: { readonly finalizers?: readonly string[] };
  readonly status?: {
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly reason: string;
      readonly message: string;
    }[];
    readonly currentKey?: { readonly id: string; readonly epoch: number; readonly expiresAt?: string };
  };
}

async function read(name: string, where = namespace): Promise<Status> {
  return (await kube.request('GET', `/apis/${apiVersion}/namespaces/${where}/apikeys/${name}`)).body as Status;
}

/** Waits until Ready says this, as `True Available`. */
async function becomes(name: string, state: string, where = namespace): Promise<void> {
  const what = `${name}: ${state}`;
  await until(
    async () => {
      const ready = (await read(name, where)).status?.conditions?.find(({ type }) => type === 'Ready');
      const seen = `${ready?.status} ${ready?.reason}`;
      if (seen !== state) throw new Error(seen);
      return true;
    },
    { what, deadlineMs: 30_000 },
  );
}

/** The value of the annotation that confirms the present state, as the status names it. */
async function confirmation(name: string): Promise<string | undefined> {
  const ready = (await read(name)).status?.conditions?.find(({ type }) => type === 'Ready');
  return /keywright\.dev\/confirm=([0-9a-f]{16})/.exec(ready?.message ?? '')?.[1];
}

/** The command for the held key in the list that docs/operations.md says how to make. */
async function listedConfirmation(name: string): Promise<readonly string[]> {
  const page = readFileSync(join(checkout, 'docs', 'operations.md'), 'utf8');
  const [, columns = ''] = /^kubectl get apikeys -A -o (custom-columns=.*) \| grep keywright\.dev\/confirm=$/m.exec(page) ?? [];
  const { stdout } = await kube.kubectl(['get', 'apikeys', '-A', '-o', columns.replaceAll("'", '')]);
  const line = stdout.split('\n').find((one) => one.includes(` ${name} `)) ?? '';
  return (/kubectl (annotate .*)$/.exec(line)?.[1] ?? '').trim().split(' ');
}

const secretStatus = async (name: string, where = namespace) =>
  (await kube.request('GET', `/api/v1/namespaces/${where}/secrets/${name}`)).status;

const admissionRoot = '/apis/admissionregistration.k8s.io/v1';

async function removePolicy(): Promise<void> {
  for (const plural of ['validatingadmissionpolicybindings', 'validatingadmissionpolicies'])
    await kube.request('DELETE', `${admissionRoot}/${plural}/${admissionPolicyName}`);
}

/** What verdicts about the key are made under. */
async function applied(name: string) {
  const client = new Client({ connectionString: database.url });
  await client.connect();
  try {
    const { rows } = await client.query<{ suspended: boolean; endpoints: unknown; proposed: unknown }>(
      `select suspended, selections -> 'endpoints' as endpoints, proposed -> 'suspended' as proposed
       from keywright.apikey where namespace = $1 and name = $2 and released_at is null`,
      [namespace, name],
    );
    const [row] = rows;
    if (row === undefined) throw new Error(`the store has no ${name}`);
    return row;
  } finally {
    await client.end();
  }
}

beforeAll(async () => {
  await applyPermissions(kube, { policy: false, operatorNamespace: system });
  namespace = await kube.createNamespace('required');
  elsewhere = await kube.createNamespace('elsewhere');
  kube = await withServiceAccount(kube, system, operatorRoleName);
  const subject = { kind: 'ServiceAccount', name: operatorRoleName, namespace: system } as const;
  await bindOperator(kube, system, subject);
  await applyAll(kube, [...cluster, owner('team', [namespace])]);
  await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve));
  await start();
});

afterAll(async () => {
  await operator.stop();
  door.closeAllConnections();
  door.close();
  await kube.close();
  await plane.stop();
});

describe('the operator under its own role, with KEYWRIGHT_ADMISSION=required', () => {
  it('mints nothing while the policy is not there', async () => {
    await applyAll(kube, [key('early')]);
    await becomes('early', 'False AdmissionPolicyMissing');
    expect(await secretStatus('early')).toBe(404);
    expect((await read('early')).status).not.toHaveProperty('currentKey');
  });

  it('holds what was written meanwhile when the policy is there, and says who must do what', async () => {
    await applyPolicy(kube);
    await restart();
    await until(async () => (await confirmation('early')) !== undefined, { what: 'the value that confirms', deadlineMs: 30_000 });
    await becomes('early', 'False AdmissionPolicyMissing');
    expect(await secretStatus('early')).toBe(404);
  });

  it('mints it when somebody with all its rights confirms it, and for nobody else', async () => {
    kube = await withServiceAccount(kube, namespace, 'author');
    await bind(kube, namespace, { kind: 'ServiceAccount', name: 'author', namespace }, [
      { apiGroups: ['keywright.dev'], resources: ['apikeys'], verbs: ['get', 'list', 'create', 'update', 'patch', 'delete'] },
    ]);
    const confirm = await listedConfirmation('early');
    expect(confirm).toContain(`keywright.dev/confirm=${await confirmation('early')}`);
    const refused = await kube.kubectl(confirm, { user: 'author', allowFailure: true });
    expect(refused.stderr).toContain(`user "system:serviceaccount:${namespace}:author" has no right to`);
    await kube.kubectl(confirm);
    await becomes('early', 'True Available');
    expect(await secretStatus('early')).toBe(200);
  });

  it('[S0-5] [S1-6] serves who may grant, and sees nothing of what the policy refused', async () => {
    kube = await withServiceAccount(kube, namespace, 'pipeline');
    kube = await withServiceAccount(kube, namespace, 'writer');
    await bind(kube, namespace, { kind: 'ServiceAccount', name: 'pipeline', namespace }, 'keywright-grantor');
    await bind(kube, namespace, { kind: 'ServiceAccount', name: 'writer', namespace }, 'keywright-responder');
    await bind(kube, namespace, { kind: 'ServiceAccount', name: 'writer', namespace }, [
      { apiGroups: ['keywright.dev'], resources: ['apikeys'], verbs: ['create'] },
    ]);
    const apply = ['apply', '--server-side', '-f', '-'];
    await kube.kubectl(apply, { input: key('granted'), user: 'pipeline' });
    await becomes('granted', 'True Available');
    const refused = await kube.kubectl(apply, { input: key('refused'), user: 'writer', allowFailure: true });
    expect(refused.stderr).toContain(`user "system:serviceaccount:${namespace}:writer" has no right to "grant"`);
    expect(await secretStatus('refused')).toBe(404);
  });

  it('[S4-10] carries out what a responder asks for, and ends what is deleted', async () => {
    const patch = (name: string, spec: object) =>
      kube.kubectl(['patch', 'ak', name, '-n', namespace, '--type=merge', '-p', JSON.stringify({ spec })], { user: 'writer' });
    await patch('granted', { suspend: true });
    await becomes('granted', 'False Suspended');
    await patch('granted', { suspend: false });
    await becomes('granted', 'True Available');
    expect((await read('granted')).metadata.finalizers).toEqual(['keywright.dev/finalizer']);
    await kube.kubectl(['delete', 'ak', 'granted', '-n', namespace, '--timeout=30s'], { user: 'pipeline' });
    expect(await secretStatus('granted')).toBe(404);
    await kube.kubectl(['apply', '-f', '-'], { input: key('leaked'), user: 'pipeline' });
    await becomes('leaked', 'True Available');
    await patch('leaked', { revoked: { reason: 'KeyCompromise' } });
    await becomes('leaked', 'False Revoked');
    await until(async () => (await secretStatus('leaked')) === 404, { what: 'the end of the Secret' });
  });

  it('mints nothing for an owner or a destination that is not open to the namespace', async () => {
    await applyAll(kube, [
      owner('theirs', [elsewhere]),
      destination('theirs', [elsewhere]),
      key('their-owner', { owner: 'theirs' }),
      key('their-place', { deliverTo: [{ name: 'a', destination: 'theirs' }] }),
      key('team-elsewhere', {}, elsewhere),
    ]);
    await becomes('their-owner', 'False NotPermitted');
    await becomes('their-place', 'False NotPermitted');
    await becomes('team-elsewhere', 'False NotPermitted', elsewhere);
    for (const name of ['their-owner', 'their-place']) {
      expect((await read(name)).status).not.toHaveProperty('currentKey');
      expect(await secretStatus(name)).toBe(404);
    }
  });

  it.each([
    ['only audits', 'validatingadmissionpolicybindings', { spec: { validationActions: ['Audit'] } }],
    [
      'is ignored when it fails',
      'validatingadmissionpolicies',
      { spec: { failurePolicy: 'Ignore', validations: [{ expression: 'object.spec.nothing.at.all == 1' }] } },
    ],
    ['has another text', 'validatingadmissionpolicies', { spec: { validations: [{ expression: 'true' }] } }],
    [
      'leaves the namespace out',
      'validatingadmissionpolicies',
      { spec: { matchConstraints: { namespaceSelector: { matchLabels: { guarded: 'yes' } } } } },
    ],
  ])('gives an author without our verbs nothing while the policy %s', async (_, plural, weakened) => {
    const name = `guarded-${randomBytes(4).toString('hex')}`;
    const contentType = 'application/merge-patch+json';
    await applyAll(kube, [key(name, { endpoints: ['list-things'], expiry: { after: '100h' }, suspend: true })]);
    await becomes(name, 'False Suspended');
    const before = (await read(name)).status?.currentKey;
    const path = `${admissionRoot}/${plural}/${admissionPolicyName}`;
    expect((await kube.request('PATCH', path, { body: weakened, contentType })).status).toBe(200);
    const edit = { suspend: false, endpoints: ['list-things', 'list-others'], expiry: { after: null, never: true } };
    const deliverTo = [
      { name: 'local', secret: { name } },
      { name: 'mine', secret: { name: `${name}-mine` } },
    ];
    const body = { spec: { ...edit, deliverTo } };
    const own = `/apis/${apiVersion}/namespaces/${namespace}/apikeys/${name}`;
    await until(async () => (await kube.request('PATCH', own, { body, contentType, user: 'author' })).status === 200, {
      what: 'a policy that lets the author pass',
    });
    await becomes(name, 'False AdmissionPolicyMissing');
    await removePolicy();
    await applyPolicy(kube);
    await until(async () => (await confirmation(name)) !== undefined, { what: 'the policy seen again', deadlineMs: 30_000 });
    const stored = await applied(name);
    expect([stored.suspended, stored.endpoints, stored.proposed]).toEqual([true, ['list-things'], false]);
    expect((await read(name)).status?.currentKey).toEqual(before);
    expect([await secretStatus(`${name}-mine`), await secretStatus(name)]).toEqual([404, 200]);
    await kube.kubectl(await listedConfirmation(name));
    await becomes(name, 'True Available');
    expect(await secretStatus(`${name}-mine`)).toBe(200);
  });

  it('mints nothing new once the policy is away, also in place of what is lost, and ends what is deleted', async () => {
    await removePolicy();
    await restart();
    await applyAll(kube, [key('late')]);
    await becomes('late', 'False AdmissionPolicyMissing');
    expect(await secretStatus('late')).toBe(404);
    // The value is nowhere any more: only a new version could replace it.
    await kube.request('DELETE', `/api/v1/namespaces/${namespace}/secrets/early`);
    await becomes('early', 'False AdmissionPolicyMissing');
    await kube.kubectl(['delete', 'ak', 'early', '-n', namespace, '--timeout=30s']);
  });

  it('was refused nothing by the API server, and holds its Lease', async () => {
    expect(calls.filter((call) => call.endsWith(' 200')).length).toBeGreaterThan(20);
    expect(calls.filter((call) => / 40[13]$/.test(call))).toEqual([]);
    const path = `/apis/coordination.k8s.io/v1/namespaces/${system}/leases/${leaseName}`;
    const { body } = await kube.request('GET', path);
    expect((body as { spec: { holderIdentity: string } }).spec.holderIdentity).not.toBe('');
    // Events are written beside the status, not before it.
    await until(
      async () => {
        const { stdout } = await kube.kubectl(['get', 'events', '-n', namespace, '-o', 'jsonpath={.items[*].reason}']);
        return stdout.includes('AdmissionPolicyMissing') && stdout.includes('Minted');
      },
      { what: 'the events of both' },
    );
  });
});

import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ChartValues } from '../../scripts/chart/values.ts';
import type { HelmResult } from '../harness/helm.ts';
import { Installation } from '../harness/installation.ts';
import { ownControlPlane, usePostgres } from '../harness/parts.ts';
import { applyAll } from '../harness/permissions.ts';
import { fingerprint, runProgram } from '../harness/program.ts';
import { Scene } from '../harness/scene.ts';
import { until } from '../harness/until.ts';

const plane = await ownControlPlane({ crds: false });
const { kube } = plane;
const { url } = await (await usePostgres()).createDatabase({ migrated: false });
const scene = new Scene(kube);
const asked = { host: 'shop.example.com', path: '/v1/orders' };
const values: ChartValues = {
  database: { url },
  secrets: { selector: { 'keywright.dev/secrets': 'allowed' } },
  // So that nobody waits for a Lease for long.
  operator: { leaseDuration: '5s' },
};
let here: Installation;

beforeAll(async () => {
  await kube.kubectl(['create', 'namespace', 'payments']);
  await kube.kubectl(['label', 'namespace', 'payments', 'keywright.dev/secrets=allowed']);
  await kube.kubectl(['create', 'namespace', 'elsewhere']);
  here = await Installation.open(kube);
});

afterAll(async () => {
  await here.close();
  await kube.close();
  await plane.stop();
});

const valueOf = async () => (await scene.readSecret('payments', 'billing'))?.['api-key'] ?? '';

/** All that an upgrade must leave alone; values as fingerprints. */
async function state() {
  const key = await scene.readKey('payments', 'billing');
  const secret = await kube.request('GET', '/api/v1/namespaces/payments/secrets/billing');
  return {
    uid: key?.metadata.uid,
    current: [key?.status?.currentKey?.id, key?.status?.currentKey?.activatedAt],
    destinations: key?.status?.destinations,
    // Every write would change it.
    secretVersion: (secret.body as { metadata: { resourceVersion: string } }).metadata.resourceVersion,
    value: fingerprint(await valueOf()),
    peppers: fingerprint(await here.secretEntry('keywright-peppers', 'peppers.json')),
    callerToken: fingerprint(await here.secretEntry('keywright-callers', 'token')),
  };
}

/** Asks without a pause while something goes on; every answer must be yes. */
async function neverRefused(act: () => Promise<unknown>): Promise<void> {
  const value = await valueOf();
  const done = new AbortController();
  const refused: unknown[] = [];
  const asking = (async () => {
    while (!done.signal.aborted) {
      const answer = await here.verify(value, asked).catch((error: unknown) => ({ allowed: false, error }));
      if (!answer.allowed) refused.push(answer);
    }
  })();
  try {
    await act();
  } finally {
    done.abort();
    await asking;
  }
  expect(refused).toEqual([]);
}

async function revision(): Promise<{ readonly number: number; readonly status: string }> {
  const { stdout } = await here.run(['status', 'keywright', '--namespace', here.namespace, '-o', 'json']);
  const { version, info } = JSON.parse(stdout) as { version: number; info: { status: string } };
  return { number: version, status: info.status };
}

const group = { apiVersion: 'keywright.dev/v1alpha1' };
const keyNamed = (name: string, namespace = 'payments') =>
  scene.key(namespace, name, [{ name: 'local', secret: { name } }], { catalog: 'shop', owner: 'team', accessType: 'Service' });
const declared = [
  {
    ...group,
    kind: 'ApiCatalog',
    metadata: { name: 'shop' },
    spec: {
      key: { prefix: 'shop', environment: 'live' },
      accessTypes: [{ name: 'Service', endpoints: 'All' }],
      endpoints: [{ name: 'list-orders', method: 'GET', path: '/v1/orders' }],
      requests: { hosts: ['shop.example.com'] },
    },
  },
  {
    ...group,
    kind: 'KeyOwner',
    metadata: { name: 'team' },
    spec: {
      type: 'Team',
      displayName: 'Team',
      allowedNamespaces: { all: true },
      grants: [{ catalog: 'shop', accessTypes: ['Service'], endpoints: ['*'] }],
    },
  },
  keyNamed('billing'),
  keyNamed('billing', 'elsewhere'),
];

/** Brings about what each of the tests begins with, whatever went before: the release as declared, and a key that is Ready. */
async function installed(): Promise<HelmResult> {
  const result = await here.apply('upgrade', values, ['--install']);
  await applyAll(kube, declared);
  await until(() => scene.isReady('payments', 'billing'), { what: 'the key', deadlineMs: 30_000 });
  return result;
}

async function uninstalled(): Promise<void> {
  await here.run(['uninstall', 'keywright', '--namespace', here.namespace, '--wait', '--timeout', '60s']);
  await until(() => here.kubelet.running().length === 0, { what: 'the end of all Pods', deadlineMs: 60_000 });
}

describe('the chart in a cluster', () => {
  it('serves keys where it may, and answers gateways that prove themselves', async () => {
    const { stdout } = await installed();
    expect(stdout).toContain('kubectl -n keywright-system rollout status');
    expect([here.running('operator').length, here.running('authorizer').length]).toEqual([2, 2]);
    await until(async () => (await scene.verdict('elsewhere', 'billing')) === 'False NotPermitted', { what: 'the refusal' });
    expect(await here.verify(await valueOf(), asked)).toMatchObject({ allowed: true });
    // Behind the loopback of this test everybody is admitted; what the authorizer was given is what the gateway has.
    const [token, digests] = [
      await here.secretEntry('keywright-callers', 'token'),
      await here.secretEntry('keywright-callers', 'tokens.json'),
    ];
    expect(JSON.parse(digests)).toEqual({ gateway: createHash('sha256').update(token).digest('hex') });
  });

  it('changes nothing about live keys by an upgrade, and refuses none meanwhile', async () => {
    await installed();
    const before = await state();
    await neverRefused(() => here.apply('upgrade', { ...values, logLevel: 'debug' }));
    await here.logs('operator', '"leading"');
    expect(await state()).toEqual(before);
  });

  it('keeps serving through an upgrade that was killed half-way, and is rolled back', async () => {
    await installed();
    const before = await state();
    const { number } = await revision();
    const killed = new AbortController();
    const at = ['--namespace', here.namespace, '--wait', '--timeout', '90s'];
    await neverRefused(async () => {
      // A Secret that is not there: the new Pods never start.
      const broken = { ...values, database: { existingSecret: 'missing' } };
      const upgrade = here.run(['upgrade', 'keywright', here.chart, ...at], { values: broken, signal: killed.signal });
      await until(() => here.running('operator').length === 3, { what: 'a Pod of the upgrade', deadlineMs: 30_000 });
      killed.abort();
      await upgrade;
      expect(await revision()).toEqual({ number: number + 1, status: 'pending-upgrade' });
      await here.run(['rollback', 'keywright', String(number), ...at]);
    });
    expect(await revision()).toEqual({ number: number + 2, status: 'deployed' });
    expect(await state()).toEqual(before);
  });

  it('leaves the work to the operator before it while the CRDs are older, and says so', async () => {
    await installed();
    // As where an upgrade goes ahead without the CRDs, which stay those of an earlier version.
    const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/apikeys.keywright.dev';
    const { apiVersion, kind, metadata, spec } = (await kube.request('GET', path)).body as Crd;
    const { name, labels, annotations } = metadata;
    const current = { apiVersion, kind, metadata: { name, labels, annotations }, spec };
    const older = structuredClone(current);
    delete older.spec.versions[0]?.schema.openAPIV3Schema.properties['spec']?.properties['rateLimit'];
    const apply = (crd: object) => kube.kubectl(['apply', '--server-side', '--field-manager=helm', '-f', '-'], { input: crd });
    await apply(older);
    const upgrade = here.apply('upgrade', { ...values, crds: { install: false }, logLevel: 'debug' });
    await here.logs('operator', 'it lacks spec.rateLimit');
    expect((await here.verify(await valueOf(), asked)).allowed).toBe(true);
    await applyAll(kube, [keyNamed('later')]);
    await until(() => scene.isReady('payments', 'later'), { what: 'a key by the operator before', deadlineMs: 30_000 });
    await apply(current);
    await upgrade;
    expect((await revision()).status).toBe('deployed');
    expect(await scene.isReady('payments', 'billing')).toBe(true);
  });

  it('is uninstalled and installed again, and the keys live on', async () => {
    await installed();
    const before = await state();
    await uninstalled();
    expect(await state()).toEqual(before);
    await here.apply('install', values);
    await here.logs('operator', '"leading"');
    expect((await here.verify(await valueOf(), asked)).allowed).toBe(true);
    expect(await state()).toEqual(before);
  });

  it('releases what is left when asked: ApiKeys and CRDs can go without an operator, and values stay', async () => {
    await installed();
    const release = (...args: readonly string[]) => runProgram(['release', ...args], { KUBECONFIG: kube.kubeconfig() });
    const refused = await release();
    expect([refused.code, refused.stdout]).toEqual([1, expect.stringContaining('an operator works in keywright-system')]);
    await uninstalled();
    const dry = await release('--dry-run');
    for (const what of ['apikey payments/billing', 'secret payments/billing', 'keyowner team', 'apicatalog shop'])
      expect(dry.stdout).toContain(`would release ${what}\n`);
    const { code, stdout } = await release();
    // The uninstall takes the right to hand the Lease over before the operator can do it.
    const released = stdout.split('\n').filter((line) => !line.startsWith('an operator holds the Lease'));
    expect([code, released.join('\n')]).toEqual([0, dry.stdout.replaceAll('would release', 'released')]);

    const value = fingerprint(await valueOf());
    await kube.kubectl(['delete', 'keywright', '--all', '--all-namespaces', '--timeout=30s']);
    await kube.kubectl(['delete', 'crd', '-l', 'app.kubernetes.io/part-of=keywright', '--timeout=30s']);
    expect(fingerprint(await valueOf())).toBe(value);
    const { body } = await kube.request('GET', '/api/v1/namespaces/payments/secrets/billing');
    expect((body as { metadata: object }).metadata).not.toHaveProperty('ownerReferences');
  });
});

interface Node {
  properties: Record<string, Node>;
}
interface Crd {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels: object; readonly annotations: object };
  readonly spec: { readonly versions: readonly { readonly schema: { readonly openAPIV3Schema: Node } }[] };
}

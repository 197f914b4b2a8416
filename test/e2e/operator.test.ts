import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { credentialMetadata } from '../builders/credential.ts';
import type { OpenBao, TestDatabase } from '../harness/parts.ts';
import { ownControlPlane, useOpenBao, usePostgres } from '../harness/parts.ts';
import type { ControlPlane } from '../harness/controlplane.ts';
import type { Kube } from '../harness/kube.ts';
import {
  fingerprint,
  makePeppersFile,
  startAuthorizer,
  startOperator,
  verify,
  type AuthorizerProgram,
  type Program,
} from '../harness/program.ts';
import { Scene } from '../harness/scene.ts';
import { until } from '../harness/until.ts';

const samples = join(import.meta.dirname, '..', '..', 'crds', 'samples');
const plane: ControlPlane = await ownControlPlane();
const kube: Kube = plane.kube;
const scene = new Scene(kube);
const openbao: OpenBao = await useOpenBao();
const database: TestDatabase = await (await usePostgres()).createDatabase({ migrated: false });
// A killed leader is waited for: five seconds instead of fifteen.
const env = { KEYWRIGHT_LEASE_DURATION: '5s' };
const options = { databaseUrl: database.url, peppersFile: makePeppersFile(), kubeconfig: kube.kubeconfig(), env };
let operator: Program;
let authorizer: AuthorizerProgram;

/** The samples as a user would adapt them: their own Vault, their own paths. */
function sample(changes: Readonly<Record<string, string>> = {}): string {
  const all = readdirSync(samples)
    .sort()
    .map((file) => readFileSync(join(samples, file), 'utf8'));
  const adapted = Object.entries({ 'https://vault:8200': openbao.address, 'mount: secret': 'mount: secret', ...changes });
  return adapted.reduce((text, [from, to]) => text.replaceAll(from, to), all.join('\n---\n'));
}

async function readSecret(namespace: string, name: string): Promise<Readonly<Record<string, string>> | undefined> {
  const answer = await kube.request('GET', `/api/v1/namespaces/${namespace}/secrets/${name}`);
  if (answer.status === 404) return undefined;
  const { data } = answer.body as { data: Record<string, string> };
  return Object.fromEntries(Object.entries(data).map(([entry, value]) => [entry, Buffer.from(value, 'base64').toString()]));
}

async function readVault(path: string): Promise<Readonly<Record<string, string>> | undefined> {
  const answer = (await openbao.call('GET', `secret/data/${path}`)) as { data?: { data?: Record<string, string> } } | undefined;
  return answer?.data?.data;
}

async function storeToken(name: string): Promise<void> {
  const metadata = { name, namespace: 'keywright-system', ...credentialMetadata('vault-token', openbao.address) };
  const input = { apiVersion: 'v1', kind: 'Secret', metadata, stringData: { token: openbao.rootToken } };
  await kube.kubectl(['apply', '-f', '-'], { input });
}

async function waitReady(namespace: string, name: string): Promise<void> {
  await kube.kubectl(['wait', '--for=condition=Ready', `apikey/${name}`, '-n', namespace, '--timeout=30s']);
}

/** A KeyDestination `vault-<namespace>` for that namespace alone. */
function vaultFor(namespace: string, tokenSecret: string): object {
  return {
    apiVersion: 'keywright.dev/v1alpha1',
    kind: 'KeyDestination',
    metadata: { name: `vault-${namespace}` },
    spec: {
      allowedNamespaces: { names: [namespace] },
      vault: {
        address: openbao.address,
        mount: 'secret',
        path: 'keywright/{namespace}/{name}',
        auth: { token: { secretRef: { name: tokenSecret, key: 'token' } } },
      },
    },
  };
}

async function conditionOf(namespace: string, name: string, type: string): Promise<string> {
  const { stdout } = await kube.kubectl(['get', 'apikey', name, '-n', namespace, '-o', 'json'], { allowFailure: true });
  if (stdout === '') return 'gone';
  const object = JSON.parse(stdout) as { status?: { conditions?: { type: string; status: string; reason: string }[] } };
  const found = object.status?.conditions?.find((condition) => condition.type === type);
  return found === undefined ? 'absent' : `${found.status} ${found.reason}`;
}

beforeAll(async () => {
  for (const name of ['keywright-system', 'payments']) await kube.kubectl(['create', 'namespace', name]);
  await storeToken('vault-token');
  operator = await startOperator(options);
  authorizer = await startAuthorizer(options);
  const everybody = {
    apiVersion: 'keywright.dev/v1alpha1',
    kind: 'KeyOwner',
    metadata: { name: 'everybody' },
    spec: {
      type: 'Team',
      displayName: 'Everybody',
      email: 'team@example.com',
      allowedNamespaces: { all: true },
      grants: ['default', 'late'].map((catalog) => ({ catalog, accessTypes: ['*'] })),
    },
  };
  await kube.kubectl(['apply', '-f', '-'], { input: everybody });
  await kube.kubectl(['apply', '-f', join(samples, 'apicatalog.yaml')]);
});

afterAll(async () => {
  await operator.stop();
  await authorizer.stop();
  await kube.close();
  await plane.stop();
});

describe('the main job, on a real API server, PostgreSQL and Vault', () => {
  it('carries the samples from kubectl apply to a key that authenticates, and away again [S0-1] [S0-2] [S0-20] [S2-12] [S2-14] [S2-17]', async () => {
    await kube.kubectl(['apply', '-f', '-'], { input: sample() });
    await waitReady('payments', 'billing-sync');
    const secret = await readSecret('payments', 'billing-api-key');
    const vault = await readVault('keywright/payments/billing');
    expect(Object.keys(secret ?? {}).sort()).toEqual(['api-key', 'expires-at', 'header', 'key-id', 'provider', 'type']);
    expect(fingerprint(vault?.['api-key'])).toBe(fingerprint(secret?.['api-key']));
    expect(secret?.['header']).toBe(`Authorization: Bearer ${secret?.['api-key'] ?? ''}`);
    const key = secret?.['api-key'] ?? '';
    const asked = { path: '/v1/apps/shop-eu/subscribers', sourceIp: '10.20.0.7' };
    expect(await verify(authorizer.url, key, asked)).toMatchObject({ allowed: true, keyId: secret?.['key-id'] });

    const { stdout } = await kube.kubectl(['get', 'apikey', 'billing-sync', '-n', 'payments']);
    expect(stdout).toMatch(/^NAME\s+READY\s+REASON\s+OWNER\s+ACCESS\s+KEY\s+EXPIRES\s+LAST USED\s+AGE\n/);
    expect(stdout).toContain(`acme_live_${secret?.['key-id'] ?? ''}`);

    await kube.kubectl(['delete', 'apikey', 'billing-sync', '-n', 'payments', '--timeout=30s']);
    expect(await verify(authorizer.url, key)).toMatchObject({ allowed: false, status: 401, code: 'key_invalid' });
    expect(await readSecret('payments', 'billing-api-key')).toBeUndefined();
    expect(await readVault('keywright/payments/billing')).toBeUndefined();
  });

  it('waits for a catalog that is applied after the key', async () => {
    const namespace = await kube.createNamespace('order');
    const late = { ...scene.key(namespace, 'early', [{ name: 'local', secret: { name: 'early' } }]) };
    Object.assign((late as { spec: object }).spec, { catalog: 'late' });
    await kube.kubectl(['apply', '-f', '-'], { input: late });
    await until(async () => (await conditionOf(namespace, 'early', 'Ready')) === 'False CatalogNotFound', {
      what: 'CatalogNotFound',
    });
    const catalog = {
      apiVersion: 'keywright.dev/v1alpha1',
      kind: 'ApiCatalog',
      metadata: { name: 'late' },
      spec: { key: { prefix: 'late', environment: 'test' }, accessTypes: [{ name: 'Integrations', endpoints: 'All' }] },
    };
    await kube.kubectl(['apply', '-f', '-'], { input: catalog });
    await waitReady(namespace, 'early');
    expect((await readSecret(namespace, 'early'))?.['api-key']).toMatch(/^late_test_/);
  });

  it('never touches a Secret of somebody else at the name, and goes on when it is away', async () => {
    const namespace = await kube.createNamespace('foreign');
    await kube.kubectl(['create', 'secret', 'generic', 'taken', '-n', namespace, '--from-literal=password=theirs']);
    await kube.kubectl(['apply', '-f', '-'], {
      input: scene.key(namespace, 'mine', [{ name: 'local', secret: { name: 'taken' } }]),
    });
    await until(async () => (await conditionOf(namespace, 'mine', 'Stalled')) === 'True ForeignValue', { what: 'ForeignValue' });
    expect(await readSecret(namespace, 'taken')).toEqual({ password: 'theirs' });
    await kube.kubectl(['delete', 'secret', 'taken', '-n', namespace]);
    await kube.kubectl(['annotate', 'apikey', 'mine', '-n', namespace, 'look=again']);
    await waitReady(namespace, 'mine');
  });

  it('brings a Secret back that somebody deleted, with the same value where a sibling has it', async () => {
    const namespace = await kube.createNamespace('drift');
    await kube.kubectl(['apply', '-f', '-'], { input: vaultFor(namespace, 'vault-token') });
    const targets = [
      { name: 'vault', destination: `vault-${namespace}` },
      { name: 'local', secret: { name: 'value' } },
    ];
    await kube.kubectl(['apply', '-f', '-'], { input: scene.key(namespace, 'kept', targets) });
    await waitReady(namespace, 'kept');
    const before = await readSecret(namespace, 'value');
    await kube.kubectl(['delete', 'secret', 'value', '-n', namespace]);
    const after = await until(() => readSecret(namespace, 'value'), { what: 'the Secret' });
    expect(fingerprint(after['api-key'])).toBe(fingerprint(before?.['api-key']));
  });

  it('deletes a whole namespace, and every key in it is refused', async () => {
    const namespace = await kube.createNamespace('whole');
    await kube.kubectl(['apply', '-f', '-'], {
      input: scene.key(namespace, 'one', [{ name: 'local', secret: { name: 'one' } }]),
    });
    await kube.kubectl(['apply', '-f', '-'], {
      input: scene.key(namespace, 'two', [{ name: 'local', secret: { name: 'two' } }]),
    });
    await waitReady(namespace, 'one');
    await waitReady(namespace, 'two');
    const key = (await readSecret(namespace, 'one'))?.['api-key'] ?? '';
    await kube.kubectl(['delete', 'namespace', namespace, '--timeout=40s']);
    expect(await verify(authorizer.url, key)).toMatchObject({ code: 'key_invalid' });
  });

  it('reports what it does: metrics, health, and events that tell the story', async () => {
    const namespace = await kube.createNamespace('told');
    await kube.kubectl(['apply', '-f', '-'], {
      input: scene.key(namespace, 'told', [{ name: 'local', secret: { name: 'told' } }]),
    });
    await waitReady(namespace, 'told');
    const metrics = await (await fetch(`${operator.healthUrl}/metrics`)).text();
    expect(metrics).toMatch(/keywright_versions_minted_total\{cause="Initial"\} [1-9]/);
    const events = await until(
      async () => {
        const { stdout } = await kube.kubectl(['get', 'events', '-n', namespace, '-o', 'jsonpath={.items[*].reason}']);
        return stdout.includes('Available') ? stdout : undefined;
      },
      { what: 'the events' },
    );
    expect(events).toContain('Minted');
  });
});

describe('a kill at the worst moment', () => {
  it('finishes what was minted but not activated: one value, no second version', async () => {
    const namespace = await kube.createNamespace('kill');
    // Vault answers nothing yet: the key is minted, written to the Secret, and waits as pending.
    await kube.kubectl(['apply', '-f', '-'], { input: vaultFor(namespace, `token-${namespace}`) });
    const targets = [
      { name: 'vault', destination: `vault-${namespace}` },
      { name: 'local', secret: { name: 'value' } },
    ];
    await kube.kubectl(['apply', '-f', '-'], { input: scene.key(namespace, 'half', targets) });
    const written = await until(() => readSecret(namespace, 'value'), { what: 'the Secret' });
    expect(await conditionOf(namespace, 'half', 'Issued')).toMatch(/^(True Minted|absent)$/);
    await operator.kill();
    await storeToken(`token-${namespace}`);
    operator = await startOperator(options);
    await waitReady(namespace, 'half');
    expect(fingerprint((await readVault(`keywright/${namespace}/half`))?.['api-key'])).toBe(fingerprint(written['api-key']));
    const { stdout } = await kube.kubectl([
      'get',
      'apikey',
      'half',
      '-n',
      namespace,
      '-o',
      'jsonpath={.status.currentKey.epoch}',
    ]);
    expect(stdout).toBe('1');
  });

  it('loses nothing and leaves nothing when it is killed again and again while many keys come', async () => {
    const namespace = await kube.createNamespace('storm');
    const names = Array.from({ length: 12 }, (_, at) => `key-${at}`);
    const items = names.map((name) => scene.key(namespace, name, [{ name: 'local', secret: { name } }]));
    await kube.kubectl(['apply', '-f', '-'], { input: { apiVersion: 'v1', kind: 'List', items } });
    for (let round = 0; round < 3; round += 1) {
      const seen = operator.log().length;
      await until(() => operator.log().slice(seen).includes('"minted"') || round > 0, { what: 'a mint', deadlineMs: 5_000 });
      await operator.kill();
      operator = await startOperator(options);
    }
    await kube.kubectl(['wait', '--for=condition=Ready', 'apikey', '--all', '-n', namespace, '--timeout=60s']);
    for (const name of names) {
      const key = (await readSecret(namespace, name))?.['api-key'] ?? '';
      expect(await verify(authorizer.url, key)).toMatchObject({ code: 'endpoint_not_allowed' });
    }
  });
});

describe('the process', () => {
  it('stops on SIGTERM with exit code 0, having finished what it had begun', async () => {
    await operator.stop();
    expect(operator.log()).toContain('"drained"');
    operator = await startOperator(options);
  });

  it('stops with exit code 0 when the signal comes twice, as from a terminal through npm', async () => {
    operator.signal('SIGTERM');
    await operator.stop();
    operator = await startOperator(options);
  });
});

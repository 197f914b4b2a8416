import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ownControlPlane, useOpenBao, usePostgres } from '../harness/parts.ts';
import { fingerprint, makePeppersFile, startAuthorizer, startOperator, verify } from '../harness/program.ts';
import type { AuthorizerProgram, Program } from '../harness/program.ts';
import { Scene } from '../harness/scene.ts';
import { until } from '../harness/until.ts';

const plane = await ownControlPlane();
const openbao = await useOpenBao();
const postgres = await usePostgres();
const scene = new Scene(plane.kube);
const namespace = 'poisoned';
/** A watch starts at most six looks a minute: one change more waits until the minute is over. */
const comes = { deadlineMs: 90_000, everyMs: 100 };
let operator: Program;
let authorizer: AuthorizerProgram;

const vaultMetadata = 'secret/metadata/keywright/vault/poisoned/billing';
const secretPath = `/api/v1/namespaces/${namespace}/secrets/billing`;

async function readVault(): Promise<{ value: string | undefined; mark: Readonly<Record<string, string>> }> {
  const data = (await openbao.call('GET', 'secret/data/keywright/vault/poisoned/billing')) as
    { data: { data: Record<string, string> } } | undefined;
  const metadata = (await openbao.call('GET', vaultMetadata)) as { data: { custom_metadata: Record<string, string> } };
  return { value: data?.data.data['api-key'], mark: metadata.data.custom_metadata };
}

async function readSecret(): Promise<{ value: string | undefined; annotations: Readonly<Record<string, string>> }> {
  const { body } = await plane.kube.request('GET', secretPath);
  const { metadata } = body as { metadata: { annotations?: Record<string, string> } };
  return { value: (await scene.readSecret(namespace, 'billing'))?.['api-key'], annotations: metadata.annotations ?? {} };
}

async function poisonSecret(members: Readonly<Record<string, string>>): Promise<void> {
  const annotations = Object.fromEntries(Object.entries(members).map(([name, text]) => [`keywright.dev/${name}`, text]));
  await plane.kube.request('PATCH', secretPath, {
    body: { metadata: { annotations } },
    contentType: 'application/merge-patch+json',
  });
}

async function poisonVault(members: Readonly<Record<string, string>>): Promise<void> {
  const { mark } = await readVault();
  const changed = Object.fromEntries(Object.entries(members).map(([name, text]) => [`keywright-${name}`, text]));
  await openbao.call('POST', vaultMetadata, { custom_metadata: { ...mark, ...changed } });
}

/** The version that the status says is current. */
async function currentKey(): Promise<{ readonly id: string; readonly epoch: number } | undefined> {
  const { body } = await plane.kube.request('GET', `/apis/keywright.dev/v1alpha1/namespaces/${namespace}/apikeys/billing`);
  return (body as { status?: { currentKey?: { id: string; epoch: number } } }).status?.currentKey;
}

async function annotate(annotations: Readonly<Record<string, string>>): Promise<void> {
  await plane.kube.request('PATCH', `/apis/keywright.dev/v1alpha1/namespaces/${namespace}/apikeys/billing`, {
    body: { metadata: { annotations } },
    contentType: 'application/merge-patch+json',
  });
}

beforeAll(async () => {
  await scene.prepare();
  await plane.kube.request('POST', '/api/v1/namespaces', { body: { metadata: { name: namespace } } });
  await scene.declareVault('vault', openbao.address, openbao.rootToken);
  const peppersFile = makePeppersFile();
  const databaseUrl = (await postgres.createDatabase()).url;
  operator = await startOperator({
    databaseUrl,
    peppersFile,
    kubeconfig: plane.kube.kubeconfig(),
    env: { KEYWRIGHT_LEADER_ELECTION: 'off', KEYWRIGHT_NAMESPACES: namespace },
  });
  authorizer = await startAuthorizer({ databaseUrl, peppersFile });
  await scene.createKey(namespace, 'billing', [
    { name: 'vault', destination: 'vault', path: 'billing' },
    { name: 'local', secret: { name: 'billing' } },
  ]);
  await until(() => scene.isReady(namespace, 'billing'), { what: 'Ready', ...comes });
});

afterAll(async () => {
  await operator.stop();
  await authorizer.stop();
  await plane.kube.close();
  await plane.stop();
});

describe('who may edit the Secret, or the metadata in Vault, and writes into the mark', () => {
  const poisons: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
    ['the largest epoch of nine digits', { epoch: '999999999' }],
    ['an epoch that overflows', { epoch: '99999999999999999999' }],
    ['a key id that is none', { 'key-id': 'no key id' }],
    ['the name of another ApiKey', { name: 'another' }],
    ['another uid', { uid: 'another' }],
  ];
  it.each(poisons)('gains a repair of the Secret by %s: same value, no new version, no fault', async (_, poison) => {
    const before = await readSecret();
    await poisonSecret(poison);
    await until(
      async () => {
        const { annotations } = await readSecret();
        return Object.keys(poison).every(
          (name) => annotations[`keywright.dev/${name}`] === before.annotations[`keywright.dev/${name}`],
        );
      },
      { what: 'the repair', ...comes },
    );
    expect(fingerprint((await readSecret()).value)).toBe(fingerprint(before.value));
    await until(() => scene.isReady(namespace, 'billing'), { what: 'Ready', ...comes });
    expect((await currentKey())?.epoch).toBe(1);
  });

  it('moves no count: the next version is the second, delivered everywhere, under a right mark', async () => {
    const old = await readSecret();
    await poisonVault({ epoch: '999999999' });
    await annotate({ 'keywright.dev/rotate': '1' });
    await until(async () => (await currentKey())?.epoch === 2, { what: 'the second version', ...comes });
    await until(() => scene.isReady(namespace, 'billing'), { what: 'Ready', ...comes });
    const [vault, secret] = [await readVault(), await readSecret()];
    expect(vault.mark).toMatchObject({ 'keywright-epoch': '2' });
    expect(secret.annotations).toMatchObject({ 'keywright.dev/epoch': '2' });
    expect(fingerprint(vault.value)).toBe(fingerprint(secret.value));
    expect(fingerprint(vault.value)).not.toBe(fingerprint(old.value));
    expect((await verify(authorizer.url, vault.value ?? '')).code).toBe('endpoint_not_allowed');
  });

  it('does not keep a later version from Vault by a mark that cannot be read', async () => {
    await poisonVault({ epoch: '1e9', 'key-id': 'x y', envelope: '?' });
    // A compromise waits for no overlap.
    await annotate({ 'keywright.dev/compromised': (await currentKey())?.id ?? '' });
    await until(async () => (await readVault()).mark['keywright-epoch'] === '3', {
      what: 'the third version in Vault',
      ...comes,
    });
    await until(() => scene.isReady(namespace, 'billing'), { what: 'Ready', ...comes });
  });
});

import { ApiCatalog, ApiKey, KeyDestination, KeyOwner, type ApiKeyArgs, type ApiKeySpecArgs } from '@keywright/pulumi';
import { ConfigMap } from '@pulumi/kubernetes/core/v1/configMap.js';
import { Namespace } from '@pulumi/kubernetes/core/v1/namespace.js';
import { Secret } from '@pulumi/kubernetes/core/v1/secret.js';
import { ComponentResource } from '@pulumi/pulumi';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { docsBlock } from '../builders/guide.ts';
import { credentialMetadata } from '../builders/credential.ts';
import { callOpenBao } from '../harness/openbao.ts';
import { ownControlPlane, ownOpenBao, usePostgres } from '../harness/parts.ts';
import { makePeppersFile, startOperator, type Program } from '../harness/program.ts';
import { Pulumi } from '../harness/pulumi/pulumi.ts';
import { checkout } from '../harness/standalone.ts';
import { operatorNamespace, Scene } from '../harness/scene.ts';

const plane = await ownControlPlane();
const { kube } = plane;
const vault = await ownOpenBao();
const { url: databaseUrl } = await (await usePostgres()).createDatabase();
const pulumi = await Pulumi.open(kube);
const scene = new Scene(kube);
let operator: Program;

const spec: ApiKeySpecArgs = {
  displayName: 'Billing',
  catalog: 'shop',
  owner: 'team',
  contactEmail: 'team@example.com',
  accessType: 'Service',
  scopes: ['orders:read'],
  deliverTo: [{ name: 'vault', destination: 'vault' }],
};

/** What the platform team has in its own stack. */
function platform(): void {
  new Secret('vault-token', {
    metadata: {
      name: 'vault-token',
      namespace: operatorNamespace,
      ...credentialMetadata('vault-token', vault.openbao.address),
    },
    stringData: { token: vault.openbao.rootToken },
  });
  const scopes = [
    { name: 'orders:read', endpoints: ['list-orders'] },
    { name: 'orders:write', endpoints: ['list-orders'] },
  ];
  new ApiCatalog('shop', {
    spec: {
      key: { prefix: 'shop', environment: 'live' },
      accessTypes: [{ name: 'Service', endpoints: 'All' }],
      scopes,
      endpoints: [{ name: 'list-orders', method: 'GET', path: '/v1/orders' }],
      requests: { hosts: ['shop.example.com'] },
    },
  });
  for (const name of ['team', 'other'])
    new KeyOwner(name, {
      spec: {
        type: 'Team',
        displayName: name,
        allowedNamespaces: { all: true },
        grants: [{ catalog: 'shop', accessTypes: ['*'], scopes: ['*'] }],
      },
    });
  const auth = { token: { secretRef: { name: 'vault-token' } } };
  new KeyDestination('vault', {
    spec: { allowedNamespaces: { all: true }, vault: { address: vault.openbao.address, mount: 'secret', auth } },
  });
}

/** A stack of one ApiKey in a namespace of its own, whose arguments a test may change. */
async function teamStack(name: string, given: Partial<ApiKeyArgs> = {}) {
  const namespace = await kube.createNamespace('team');
  const state: { args: ApiKeyArgs } = { args: { spec, ...given } };
  const stack = await pulumi.stack(name, async () => {
    new ApiKey(
      'billing',
      { metadata: { namespace }, ...state.args },
      { customTimeouts: { create: '40s', update: '40s', delete: '40s' } },
    );
  });
  return {
    namespace,
    stack,
    state,
    set: (more: Partial<ApiKeySpecArgs>) => (state.args = { ...state.args, spec: { ...spec, ...more } }),
  };
}

/** What the engine said when it failed. */
async function failure(act: Promise<unknown>): Promise<string> {
  return await act.then(
    () => 'it did not fail',
    (error: unknown) => (error as Error).message,
  );
}

const valueIn = async (path: string) =>
  (
    (await callOpenBao(vault.openbao, 'GET', `secret/data/keywright/${path}`)) as
      { data?: { data?: Record<string, string> } } | undefined
  )?.data?.data?.['api-key'];
const uidOf = async (namespace: string) => (await scene.readKey(namespace, 'billing'))?.metadata.uid;

beforeAll(async () => {
  await kube.kubectl(['create', 'namespace', operatorNamespace]);
  operator = await startOperator({
    databaseUrl,
    peppersFile: makePeppersFile(),
    kubeconfig: kube.kubeconfig(),
    env: { KEYWRIGHT_LEADER_ELECTION: 'off', KEYWRIGHT_WITHDRAW_DEADLINE: '3s' },
  });
  await (await pulumi.stack('platform', async () => platform())).up();
});

afterAll(async () => {
  await operator.stop();
  await vault.stop();
  await kube.close();
  await plane.stop();
});

describe('a stack', () => {
  it('waits until its key is Ready, is changed in place, refreshes clean, keeps no value, and waits for its end', async () => {
    const { namespace, stack, set } = await teamStack('story');
    const up = await stack.up();
    expect(up.summary.resourceChanges).toEqual({ create: 2 });
    expect(await scene.verdict(namespace, 'billing')).toBe('True Available');
    const [uid, value] = [await uidOf(namespace), await valueIn(`${namespace}/billing`)];
    expect(value).toMatch(/^shop_live_/);

    set({ scopes: ['orders:read', 'orders:write'] });
    expect((await stack.up()).summary.resourceChanges).toEqual({ same: 1, update: 1 });
    expect(await uidOf(namespace)).toBe(uid);
    expect(await scene.verdict(namespace, 'billing')).toBe('True Available');
    expect(await valueIn(`${namespace}/billing`)).toBe(value);

    expect((await stack.refresh()).summary.resourceChanges).toEqual({ same: 2 });
    expect((await stack.preview()).changeSummary).toEqual({ same: 2 });
    const kept = pulumi.stored();
    expect(kept).toContain('"owner":"team"');
    expect(kept).not.toContain(value);
    expect(kept).not.toMatch(/shop_live_[0-9A-Za-z]{12}_/);

    await stack.destroy();
    expect(await scene.readKey(namespace, 'billing')).toBeUndefined();
    expect(await valueIn(`${namespace}/billing`)).toBeUndefined();
  });

  it('refuses another owner at the preview and names both ways out, and replaces only when it is asked to', async () => {
    const { namespace, stack, state, set } = await teamStack('owner');
    await stack.up();
    const uid = await uidOf(namespace);
    set({ owner: 'other' });
    for (const act of [() => stack.preview(), () => stack.up()]) {
      const said = await failure(act());
      expect(said).toContain(
        'spec.owner: field is immutable: to have another owner, delete this ApiKey, which ends its key, and apply it again (it was "team")',
      );
      expect(said).toContain('declare a second ApiKey beside this one');
      expect(said).toContain('set replace: "DeleteFirst"');
    }
    expect(await uidOf(namespace)).toBe(uid);

    state.args = { ...state.args, replace: 'DeleteFirst' };
    // A scope edit replaces nothing even so.
    state.args = { ...state.args, spec: { ...spec, purpose: 'reports' } };
    expect((await stack.up()).summary.resourceChanges).toEqual({ same: 1, update: 1 });
    expect(await uidOf(namespace)).toBe(uid);
    state.args = { ...state.args, spec: { ...spec, owner: 'other' } };
    expect((await stack.preview()).changeSummary).toMatchObject({ replace: 1 });
    expect((await stack.up()).summary.resourceChanges).toEqual({ same: 1, replace: 1 });
    expect(await uidOf(namespace)).not.toBe(uid);
    expect(await scene.verdict(namespace, 'billing')).toBe('True Available');
    await stack.destroy();
  });

  it('says what the field is when a value that came later cannot be right, and sends nothing', async () => {
    const namespace = await kube.createNamespace('later');
    const stack = await pulumi.stack('later', async () => {
      const settings = new ConfigMap('settings', { metadata: { name: 'settings', namespace }, data: { owner: 'Not A Name' } });
      const owner = settings.data.apply((data) => data['owner'] ?? '');
      new ApiKey('billing', { metadata: { namespace }, spec: { ...spec, owner } });
    });
    expect(await failure(stack.up())).toContain('spec.owner: must be an object name');
    expect(await scene.readKey(namespace, 'billing')).toBeUndefined();
    await stack.destroy();
  });

  it('previews what it does not know yet, and shows the rest', async () => {
    const name = `unknown-${process.pid}`;
    const stack = await pulumi.stack('unknown', async () => {
      const namespace = new Namespace('own', { metadata: { name } });
      // Known when it is made: the namespace is not there at the preview.
      const settings = new ConfigMap('settings', { metadata: { name: 'settings', namespace: namespace.metadata.name } });
      const purpose = settings.metadata.uid.apply((uid) => `for ${uid}`);
      new ApiKey('billing', { metadata: { namespace: namespace.metadata.name }, spec: { ...spec, purpose } });
    });
    expect((await stack.preview({ diff: true })).stdout).toMatch(/displayName\s*: "Billing"/);
    await stack.up();
    expect(await scene.verdict(name, 'billing')).toBe('True Available');
    await stack.destroy();
  });

  it('previews no replacement because of another part that is not known yet, and knows equal names apart', async () => {
    const namespace = await kube.createNamespace('known');
    const state = { isSecond: false };
    const stack = await pulumi.stack('known', async () => {
      const metadata = { namespace };
      const settings = new ConfigMap('settings', { metadata: { name: 'settings', namespace }, data: { owner: 'team' } });
      const owner = settings.data.apply((data) => data['owner'] ?? '');
      if (!state.isSecond) {
        new ApiKey('billing', { metadata, spec: { ...spec, owner }, replace: 'DeleteFirst' });
        return;
      }
      const more = new ConfigMap('more', { metadata: { name: 'more', namespace } });
      const purpose = more.metadata.uid.apply((uid) => `for ${uid}`);
      new ApiKey('billing', { metadata, spec: { ...spec, owner, purpose }, replace: 'DeleteFirst' });
      for (const type of ['One', 'Two']) {
        const parent = new ComponentResource(`test:index:${type}`, 'same');
        new ApiKey('child', { metadata: { namespace, name: `child-${type.toLowerCase()}` }, spec }, { parent });
      }
    });
    await stack.up();
    state.isSecond = true;
    expect((await stack.preview()).changeSummary).toEqual({ same: 2, update: 1, create: 5 });
    await stack.destroy();
  });

  it('shows the condition of a key that does not become Ready', async () => {
    const { stack, namespace } = await teamStack('failed', {
      spec: { ...spec, deliverTo: [{ name: 'far', destination: 'nowhere' }] },
    });
    const failing = await pulumi.stack('failed', async () => {
      const args = { metadata: { namespace }, spec: { ...spec, deliverTo: [{ name: 'far', destination: 'nowhere' }] } };
      // Long enough that the provider hears of the event before it gives up.
      new ApiKey('billing', args, { customTimeouts: { create: '8s' } });
    });
    const said = await failure(failing.up());
    expect(said).toContain('KeyDestination nowhere does not exist');
    expect(said).toContain('DestinationNotFound');
    await stack.destroy();
  });

  it('ends no key of another stack, nor its own when its resource has another name', async () => {
    const namespace = await kube.createNamespace('team');
    const state: { name: string; aliases: { name: string }[]; annotations: Record<string, string> } = {
      ...{ name: 'billing', aliases: [], annotations: {} },
    };
    const declare = async () => {
      const options = { aliases: state.aliases, customTimeouts: { create: '40s', update: '40s', delete: '40s' } };
      const { annotations } = state;
      new ApiKey(state.name, { metadata: { namespace, name: 'billing', annotations }, spec }, options);
    };
    const stack = await pulumi.stack('declared', declare);
    await stack.up();
    const uid = await uidOf(namespace);
    const conflict = '.metadata.annotations.pulumi.keywright.dev/declared-by';

    const second = await pulumi.stack('declared-again', declare);
    expect(await failure(second.up())).toContain(conflict);
    await second.destroy();
    state.name = 'billing-renamed';
    expect(await failure(stack.up())).toContain(conflict);
    expect(await scene.readKey(namespace, 'billing')).toMatchObject({ metadata: { uid } });
    expect(await scene.isReady(namespace, 'billing')).toBe(true);

    state.aliases = [{ name: 'billing' }];
    expect((await stack.up()).summary.resourceChanges).toEqual({ same: 1, update: 1 });
    expect(await scene.readKey(namespace, 'billing')).toMatchObject({
      metadata: {
        uid,
        annotations: {
          'pulumi.keywright.dev/declared-by': expect.stringMatching(
            /^urn:pulumi:declared::.*:ApiKey::billing-renamed$/,
          ) as string,
        },
      },
    });

    // Moved, as the README says.
    await pulumi.run(stack.workspace.workDir, [
      'state',
      'delete',
      '--yes',
      '--stack',
      'declared',
      'urn:pulumi:declared::keywright-test::kubernetes:keywright.dev/v1alpha1:ApiKey::billing-renamed',
    ]);
    state.annotations = { 'pulumi.com/patchForce': 'true' };
    await second.up();
    expect(await uidOf(namespace)).toBe(uid);
    await stack.destroy();
    expect(await scene.isReady(namespace, 'billing')).toBe(true);
    await second.destroy();
    expect(await uidOf(namespace)).toBeUndefined();
  });

  it('waits for a suspended key until its value is delivered', async () => {
    const { namespace, stack } = await teamStack('suspended', { spec: { ...spec, suspend: true } });
    await stack.up();
    expect(await scene.verdict(namespace, 'billing', 'Delivered')).toBe('True Current');
    expect(await scene.verdict(namespace, 'billing')).toBe('False Suspended');
    await stack.destroy();
  });

  it('is destroyed while Vault is down, and the key is dead', async () => {
    const doomed = await ownOpenBao();
    await scene.declareVault('doomed', doomed.openbao.address, doomed.openbao.rootToken);
    const { namespace, stack } = await teamStack('down', {
      spec: { ...spec, deliverTo: [{ name: 'vault', destination: 'doomed' }] },
    });
    await stack.up();
    await doomed.stop();
    await stack.destroy();
    expect(await scene.readKey(namespace, 'billing')).toBeUndefined();
  });
});

describe('another language', () => {
  it('uses the components: a program in YAML has a key, and what its workload mounts', async () => {
    const namespace = await kube.createNamespace('yaml');
    const folder = pulumi.project('yaml');
    const example = readFileSync(join(checkout, 'examples', 'pulumi-yaml', 'Pulumi.yaml'), 'utf8')
      .replace('../../pulumi/component', join(checkout, 'pulumi', 'component'))
      .replace('default: payments }', `default: ${namespace} }`)
      .replace('owner: payments-team', 'owner: team');
    writeFileSync(join(folder, 'Pulumi.yaml'), example);
    await pulumi.run(folder, ['stack', 'init', 'test']);
    await pulumi.run(folder, ['up', '--yes', '--skip-preview']);
    const { output } = await pulumi.run(folder, ['stack', 'output', '--json']);
    expect(JSON.parse(output.slice(output.indexOf('{')))).toEqual({
      volume: { name: 'exports-api-key', secret: { secretName: 'exports-api-key' } },
      volumeMount: { name: 'exports-api-key', mountPath: '/bindings/exports-api-key', readOnly: true },
      env: [
        { name: 'SERVICE_BINDING_ROOT', value: '/bindings' },
        { name: 'API_KEY_FILE', value: '/bindings/exports-api-key/api-key' },
      ],
    });
    const value = (await scene.readSecret(namespace, 'exports-api-key'))?.['api-key'] ?? '';
    expect(value).toMatch(/^shop_live_/);
    expect(pulumi.stored()).not.toContain(value);
    await pulumi.run(folder, ['destroy', '--yes', '--skip-preview']);
    expect(await scene.readSecret(namespace, 'exports-api-key')).toBeUndefined();
  });

  it('declares a key without anything of ours, as the guide says, and waits until it is Ready', async () => {
    const namespace = await kube.createNamespace('types');
    const folder = pulumi.project('types');
    const program = docsBlock('how-to/pulumi-other-languages', 'yaml types')
      .replace('namespace: payments', `namespace: ${namespace}`)
      .replace('owner: payments-team', 'owner: team');
    writeFileSync(join(folder, 'Pulumi.yaml'), `name: types\nruntime: yaml\n${program}`);
    await pulumi.run(folder, ['stack', 'init', 'test']);
    await pulumi.run(folder, ['up', '--yes', '--skip-preview']);
    expect(await scene.verdict(namespace, 'billing')).toBe('True Available');
    await pulumi.run(folder, ['destroy', '--yes', '--skip-preview']);
    expect(await scene.readSecret(namespace, 'billing-api-key')).toBeUndefined();
  });
});

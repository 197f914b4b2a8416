import { ApiCatalog, ApiKey, KeyDestination, KeyOwner, KeyOwnerGroup, type ApiKeySpecArgs } from '@keywright/pulumi';
import * as pulumi from '@pulumi/pulumi';
import { describe, expect, it } from 'vitest';
import { apiKeySpec as spec } from '../../builders/pulumispec.ts';
import { runMocked, settled } from '../../harness/pulumi/mocks.ts';

const waitFor = 'pulumi.com/waitFor';
const declaredBy = 'pulumi.keywright.dev/declared-by';
/** But for who declares it, which each object has. */
function annotationsOf(inputs: Readonly<Record<string, unknown>> | undefined) {
  const { annotations = {} } = (inputs?.['metadata'] ?? {}) as { annotations?: Readonly<Record<string, string>> };
  const { [declaredBy]: urn, ...others } = annotations;
  expect(urn).toMatch(/^urn:pulumi:/);
  return others;
}

describe('a resource', () => {
  it('has the token of the Kubernetes provider, so that a plain CustomResource becomes one without a replacement', async () => {
    const { registered } = await runMocked(() => {
      new ApiCatalog('shop', {
        spec: { key: { prefix: 'shop', environment: 'live' }, accessTypes: [{ name: 'Service', endpoints: 'All' }] },
      });
      new KeyOwner('team', { spec: { type: 'Team', displayName: 'Team' } });
      new KeyOwnerGroup('group', { spec: { displayName: 'Group' } });
      new KeyDestination('vault', {
        spec: { vault: { address: 'https://vault', mount: 'secret', auth: { kubernetes: { role: 'keywright' } } } },
      });
      new ApiKey('billing', { metadata: { namespace: 'payments' }, spec });
    });
    expect(registered.map(({ type, name }) => `${name} ${type}`).sort()).toEqual(
      ['ApiKey billing', 'ApiCatalog shop', 'KeyOwner team', 'KeyOwnerGroup group', 'KeyDestination vault']
        .map((one) => one.split(' '))
        .map(([kind, name]) => `${name} kubernetes:keywright.dev/v1alpha1:${kind}`)
        .sort(),
    );
  });

  it('sends what the program says, under the name of the resource or its own, without a random ending', async () => {
    const { find } = await runMocked(() => {
      new ApiKey('billing', { metadata: { namespace: 'payments', labels: { a: 'b' } }, spec });
      new ApiKey('Second One', { metadata: { name: 'second' }, spec });
    });
    expect(find('billing').inputs).toEqual({
      apiVersion: 'keywright.dev/v1alpha1',
      kind: 'ApiKey',
      metadata: {
        ...{ name: 'billing', namespace: 'payments', labels: { a: 'b' } },
        annotations: { [waitFor]: 'condition=Ready', [declaredBy]: expect.stringMatching(/ApiKey::billing$/) as string },
      },
      spec,
    });
    expect(find('Second One').inputs).toMatchObject({ metadata: { name: 'second' } });
  });

  it('says in the object which resource declares it, with its parents', async () => {
    const { find } = await runMocked(() => {
      const parent = new pulumi.ComponentResource('test:index:Parent', 'parent');
      new ApiKey('billing', { spec }, { parent });
    });
    expect(find('billing').inputs['metadata']).toMatchObject({
      annotations: {
        [declaredBy]: 'urn:pulumi:stack::project::test:index:Parent$kubernetes:keywright.dev/v1alpha1:ApiKey::billing',
      },
    });
  });

  it('gives back specification and status, none of which is secret', async () => {
    const { result } = await runMocked(async () => {
      const key = new ApiKey('billing', { spec });
      return { spec: await settled(key.spec), status: await settled(key.status), id: await settled(key.id) };
    });
    expect(result.spec).toMatchObject({ value: { owner: 'team' }, isSecret: false });
    expect(result.status).toMatchObject({ value: { conditions: [{ type: 'Ready', status: 'True' }] }, isSecret: false });
  });

  it('keeps a secret of the program secret, and so out of the state in plain text', async () => {
    const { result } = await runMocked(async () => {
      const key = new ApiKey('billing', { spec: { ...spec, purpose: pulumi.secret('classified') } });
      return settled(key.spec);
    });
    expect(result.isSecret).toBe(true);
  });

  it('is looked up by id, unchecked and without a wait', async () => {
    const { result, registered } = await runMocked(async () => {
      const found = ApiKey.get('found', 'payments/billing');
      const inTheirWay = ApiKey.get('also', { apiVersion: 'x', kind: 'y', id: 'payments/other' });
      await settled(inTheirWay.id);
      return { is: ApiKey.isInstance(found), isOther: KeyOwner.isInstance(found), is0: ApiKey.isInstance({}) };
    });
    expect(result).toEqual({ is: true, isOther: false, is0: false });
    expect(registered.map(({ type, id }) => [type, id])).toEqual([
      ['kubernetes:keywright.dev/v1alpha1:ApiKey', 'payments/billing'],
      ['kubernetes:keywright.dev/v1alpha1:ApiKey', 'payments/other'],
    ]);
  });

  it('takes parents, aliases and timeouts as every resource does', async () => {
    const { find } = await runMocked(() => {
      const parent = new pulumi.ComponentResource('test:index:Parent', 'parent');
      new ApiKey('billing', { spec }, { parent, aliases: [{ name: 'earlier' }], customTimeouts: { create: '2m' } });
    });
    const key = find('billing');
    expect(key.sent.parent).toContain('test:index:Parent::parent');
    expect(key.sent.aliases).toContain('earlier');
    expect(key.sent.customTimeouts).toEqual({ create: '2m' });
  });
});

describe('an update', () => {
  const annotationFor = async (args: Partial<ApiKeySpecArgs>, annotations?: Readonly<Record<string, pulumi.Input<string>>>) => {
    const { registered } = await runMocked(() => {
      const metadata = annotations === undefined ? {} : { metadata: { annotations } };
      new ApiKey('billing', { ...metadata, spec: { ...spec, ...args } });
    });
    return annotationsOf(registered[0]?.inputs);
  };

  it('waits until the object is Ready, or, while it is suspended, Delivered', async () => {
    expect(await annotationFor({})).toEqual({ [waitFor]: 'condition=Ready' });
    expect(await annotationFor({ suspend: true })).toEqual({ [waitFor]: 'condition=Delivered' });
    expect(await annotationFor({ suspend: pulumi.output(true) })).toEqual({ [waitFor]: 'condition=Delivered' });
    expect(await annotationFor({ suspend: pulumi.output(false) })).toEqual({ [waitFor]: 'condition=Ready' });
  });

  it('waits for what the program says itself, or not at all', async () => {
    expect(await annotationFor({}, { [waitFor]: 'condition=Issued' })).toEqual({ [waitFor]: 'condition=Issued' });
    expect(await annotationFor({}, { 'pulumi.com/skipAwait': 'true' })).toEqual({ 'pulumi.com/skipAwait': 'true' });
    expect(await annotationFor({}, { other: pulumi.output('x') })).toEqual({ other: 'x', [waitFor]: 'condition=Ready' });
  });

  it('finds the annotations also in metadata that come later', async () => {
    const { find } = await runMocked(() => {
      new ApiKey('billing', { metadata: pulumi.output({ annotations: { [waitFor]: 'condition=Issued' } }), spec });
      new ApiKey('other', { metadata: { annotations: pulumi.output({ a: 'b' }) }, spec });
    });
    expect(annotationsOf(find('billing').inputs)).toEqual({ [waitFor]: 'condition=Issued' });
    expect(annotationsOf(find('other').inputs)).toEqual({ a: 'b', [waitFor]: 'condition=Ready' });
  });
});

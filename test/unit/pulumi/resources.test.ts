import { ApiCatalog, ApiKey, KeyDestination, KeyOwner, KeyOwnerGroup, type ApiKeySpecArgs } from '@keywright/pulumi';
import * as pulumi from '@pulumi/pulumi';
import { describe, expect, it } from 'vitest';
import { refusedChange } from '../../../pulumi/src/replacement.ts';
import { checkedSpec } from '../../../pulumi/src/validation.ts';
import { runMocked, settled } from '../../harness/pulumi/mocks.ts';

const spec: ApiKeySpecArgs = {
  displayName: 'Billing',
  catalog: 'default',
  owner: 'team',
  contactEmail: 'team@example.com',
  accessType: 'Integrations',
  deliverTo: [{ name: 'local', secret: { name: 'billing' } }],
};
const waitFor = 'pulumi.com/waitFor';
const annotationsOf = (inputs: Readonly<Record<string, unknown>> | undefined) =>
  (inputs?.['metadata'] as { annotations?: Readonly<Record<string, string>> } | undefined)?.annotations;
const unknown = <T>(): pulumi.Output<T> => pulumi.output(pulumi.unknown) as unknown as pulumi.Output<T>;

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
      metadata: { name: 'billing', namespace: 'payments', labels: { a: 'b' }, annotations: { [waitFor]: 'condition=Ready' } },
      spec,
    });
    expect(find('Second One').inputs).toMatchObject({ metadata: { name: 'second' } });
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

describe('a specification that cannot be right', () => {
  const plainFaults = (args: object, name = 'billing') => runMocked(() => void new ApiKey(name, { spec: { ...spec, ...args } }));

  it.each<readonly [string, object, string]>([
    ['an unknown field', { scope: ['a'] }, 'spec.scope: is no known field'],
    ['a field of the wrong type', { scopes: 'a' }, 'spec.scopes: must be a list'],
    ['an empty selection', { channels: [] }, 'spec.channels: must not be empty'],
    ['a required field that is missing', { owner: undefined }, 'spec.owner: is required'],
    ['a bad text deep inside', { deliverTo: [{ name: 'v', destination: 'v', path: '../x' }] }, 'spec.deliverTo[0].path: must be'],
    [
      'values that contradict',
      { deliverTo: [{ name: 'v', destination: 'v', secret: { name: 's' } }] },
      'spec.deliverTo[0]: exactly one of destination, secret',
    ],
    ['two ends', { expiry: { after: '1h', never: true } }, 'spec.expiry: exactly one of after, at, never'],
  ])('throws in the constructor and names the field: %s', async (_what, args, message) => {
    await expect(plainFaults(args)).rejects.toThrow(`ApiKey "billing" cannot be declared:\n  ${message}`);
    await expect(plainFaults(args)).rejects.toBeInstanceOf(pulumi.RunError);
  });

  it('names every fault at once', async () => {
    await expect(plainFaults({ owner: undefined, accessType: 'small' })).rejects.toThrow(
      /spec\.owner: is required\n {2}spec\.accessType: /,
    );
  });

  it('refuses a name that Kubernetes would not take', async () => {
    await expect(plainFaults({}, 'Billing')).rejects.toThrow('metadata.name: "Billing" is no name of an object');
    const named = runMocked(() => void new ApiKey('billing', { metadata: { name: 'a_b' }, spec }));
    await expect(named).rejects.toThrow('metadata.name: "a_b" is no name');
  });

  it('refuses another word than DeleteFirst', async () => {
    const args = { spec, replace: 'deleteFirst' } as unknown as ConstructorParameters<typeof ApiKey>[1];
    await expect(runMocked(() => void new ApiKey('billing', args))).rejects.toThrow('replace: must be "DeleteFirst"');
  });

  it('checks the plain parts at once beside parts that come later', async () => {
    const args = { owner: pulumi.output('team'), accessType: 'small' };
    await expect(plainFaults(args)).rejects.toThrow(/^ApiKey "billing" cannot be declared:\n {2}spec\.accessType: [^\n]*$/);
  });

  // That a fault which shows later stops the engine is proved with the engine (test/e2e/pulumi.test.ts).
  it('keeps what is right as it is, whether it is plain or comes later', async () => {
    const subject = { kind: 'ApiKey', name: 'billing' } as const;
    const given = { ...spec, owner: pulumi.output('team'), scopes: [pulumi.output('a'), 'b'] };
    const checked = checkedSpec(subject, given);
    expect(checked).toMatchObject({ displayName: 'Billing', scopes: [{}, 'b'] });
    expect(await settled(pulumi.output(checked))).toMatchObject({ value: { ...spec, owner: 'team', scopes: ['a', 'b'] } });
    expect(checkedSpec(subject, spec)).toBe(spec);
  });

  it('waits for the update where a preview does not know a part, and shows the plain parts meanwhile', async () => {
    const { registered, find } = await runMocked(
      () => {
        new ApiKey('billing', { spec: { ...spec, owner: unknown<string>() } });
        new ApiKey('other', { spec: unknown<ApiKeySpecArgs>() });
      },
      { preview: true },
    );
    expect(find('billing').inputs['spec']).toMatchObject({ displayName: 'Billing', accessType: 'Integrations' });
    expect(registered.map(({ name }) => name).sort()).toEqual(['billing', 'other']);
  });
});

describe('a change of an immutable field', () => {
  const subject = { kind: 'ApiKey', name: 'billing' } as const;
  const inputsOf = (owner: unknown, more: object = {}) => ({ spec: { ...spec, owner, ...more } });

  it('is refused with the field, what it was, why, and both ways out', async () => {
    const error = await refusedChange(subject, inputsOf('team'), inputsOf('other'));
    expect(error?.message.split('\n')).toEqual([
      'ApiKey "billing" cannot be declared:',
      '  spec.owner: field is immutable: a key of another owner is another ApiKey (it was "team")',
      'Either declare a second ApiKey beside this one, let both live until everybody uses the new one, and remove this one then;',
      'or set replace: "DeleteFirst" on it: it is deleted first (its key is revoked at once) and made anew.',
    ]);
  });

  it('is none where the field stays, is not known yet, or was a secret of the program', async () => {
    expect(await refusedChange(subject, inputsOf('team'), inputsOf('team', { purpose: 'other' }))).toBeUndefined();
    expect(await refusedChange(subject, inputsOf('team'), inputsOf(pulumi.unknown))).toBeUndefined();
    expect(await refusedChange(subject, inputsOf(pulumi.secret('team')), inputsOf(pulumi.secret('team')))).toBeUndefined();
    expect(await refusedChange(subject, { spec: pulumi.secret(inputsOf('team').spec) }, inputsOf('other'))).toBeInstanceOf(Error);
  });

  it('is one where a field with a default is named for the first time', async () => {
    const at = (vault: object) => ({ spec: { vault: { address: 'https://vault', mount: 'secret', ...vault } } });
    const error = await refusedChange({ kind: 'KeyDestination', name: 'v' }, at({}), at({ path: 'x/{namespace}/{name}' }));
    expect(error?.message).toContain('spec.vault.path: field is immutable: moving keys needs a new KeyDestination');
  });

  it('replaces where the program asks for it, by the places of the fields', async () => {
    const { find } = await runMocked(() => {
      new ApiKey('replaced', { spec, replace: 'DeleteFirst' });
      const vault = { address: 'https://vault', mount: 'secret', auth: { kubernetes: { role: 'keywright' } } };
      new KeyDestination('vault', { spec: { vault }, replace: 'DeleteFirst' });
      const catalog = { key: { prefix: 'shop', environment: 'live' }, accessTypes: [{ name: 'A', endpoints: 'All' as const }] };
      new ApiCatalog('shop', { spec: catalog, replace: 'DeleteFirst' });
      new KeyOwner('team', { spec: { type: 'Team', displayName: 'Team' } });
    });
    const sent = ['replaced', 'vault', 'shop', 'team'].map((name) => find(name).sent);
    expect(sent.map(({ deleteBeforeReplace }) => deleteBeforeReplace)).toEqual([true, true, true, false]);
    expect(sent.map(({ replaceOnChanges }) => replaceOnChanges)).toEqual([
      ['spec.catalog', 'spec.owner'],
      [
        ...['spec.vault.address', 'spec.vault.mount', 'spec.vault.path', 'spec.vault.namespace'],
        ...['spec.aws.region', 'spec.aws.name', 'spec.aws.endpoint'],
      ],
      ['spec.key'],
      [],
    ]);
  });
});

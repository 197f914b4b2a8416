import { ApiKey, KeyOwner, type ApiKeySpecArgs } from '@keywright/pulumi';
import * as pulumi from '@pulumi/pulumi';
import { describe, expect, it } from 'vitest';
import { checkedSpec } from '../../../pulumi/src/validation.ts';
import { apiKeySpec as spec } from '../../builders/pulumispec.ts';
import { runMocked, settled, unknownOutput } from '../../harness/pulumi/mocks.ts';

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

  it('refuses a name that Kubernetes would not take, and says whose it is', async () => {
    await expect(plainFaults({}, 'Billing')).rejects.toThrow(
      /metadata\.name: must be of a-z, 0-9, .* \(it is "Billing", the name of the resource: set metadata\.name\)/,
    );
    const named = runMocked(() => void new ApiKey('billing', { metadata: { name: 'a_b' }, spec }));
    await expect(named).rejects.toThrow(/metadata\.name: must be of a-z, 0-9, .* \(it is "a_b"\)/);
  });

  it('refuses metadata that the kind has no place for', async () => {
    const team = { type: 'Team', displayName: 'Team' } as const;
    const inNamespace = runMocked(() => void new KeyOwner('team', { metadata: { namespace: 'payments' }, spec: team }));
    await expect(inNamespace).rejects.toThrow('metadata.namespace: must be left out: the kind belongs to no namespace');
    const labelled = { labels: { a: 1 } } as unknown as { labels: { a: string } };
    await expect(runMocked(() => void new ApiKey('billing', { metadata: labelled, spec }))).rejects.toThrow(
      'metadata.labels.a: must be a text',
    );
  });

  it('refuses arguments that would be lost', async () => {
    const args = { spec, deliverTo: [] } as unknown as ConstructorParameters<typeof ApiKey>[1];
    await expect(runMocked(() => void new ApiKey('billing', args))).rejects.toThrow('deliverTo: is no known argument');
  });

  it('refuses another word than DeleteFirst', async () => {
    const args = { spec, replace: 'deleteFirst' } as unknown as ConstructorParameters<typeof ApiKey>[1];
    await expect(runMocked(() => void new ApiKey('billing', args))).rejects.toThrow('replace: must be "DeleteFirst"');
  });

  it('checks the plain parts at once beside parts that come later', async () => {
    const args = { owner: pulumi.output('team'), accessType: 'small' };
    await expect(plainFaults(args)).rejects.toThrow(/^ApiKey "billing" cannot be declared:\n {2}spec\.accessType: [^\n]*$/);
  });

  const subject = { kind: 'ApiKey', name: 'billing' } as const;

  it('keeps what is right as it is, whether it is plain or comes later', async () => {
    const given = { ...spec, owner: pulumi.output('team'), scopes: [pulumi.output('a'), 'b'] };
    const checked = checkedSpec(subject, given);
    expect(checked).toMatchObject({ displayName: 'Billing', scopes: [{}, 'b'] });
    expect(await settled(pulumi.output(checked))).toMatchObject({ value: { ...spec, owner: 'team', scopes: ['a', 'b'] } });
    expect(checkedSpec(subject, spec)).toBe(spec);
  });

  // That it stops the engine is proved with the engine (test/e2e/pulumi.test.ts).
  it.each<readonly [string, object, string]>([
    ['a value of the wrong shape', { owner: pulumi.output('Not A Name') }, 'spec.owner: must be an object name'],
    ['a promise', { owner: Promise.resolve('Not A Name') }, 'spec.owner: must be an object name'],
    [
      'what lies deep in an output',
      { deliverTo: pulumi.output([{ name: 'v', path: 'x' }]) },
      'spec.deliverTo[0]: exactly one of',
    ],
    [
      'two outputs that contradict each other',
      { deliverTo: [{ name: 'v', destination: pulumi.output('v'), secret: pulumi.output({ name: 's' }) }] },
      'spec.deliverTo[0]: exactly one of destination, secret is needed',
    ],
    [
      'a fault beside what a preview does not know',
      { owner: pulumi.output('Not A Name'), purpose: unknownOutput() },
      'spec.owner: must be an object name',
    ],
    ['the whole specification', {}, 'spec.owner: must be an object name'],
  ])('names the field when the value is there: %s', async (what, args, message) => {
    const whole = { ...spec, owner: 'Not A Name' };
    const checked = checkedSpec(subject, what === 'the whole specification' ? pulumi.output(whole) : { ...spec, ...args });
    await expect(rejection(checked)).resolves.toContain(`ApiKey "billing" cannot be declared:\n  ${message}`);
  });

  it('leaves rules over several fields alone until the last of them is there', async () => {
    const target = { name: 'v', destination: pulumi.output('v'), secret: { name: 's' } };
    const checked = checkedSpec(subject, { ...spec, deliverTo: [target] });
    expect(await rejection(checked)).toContain('spec.deliverTo[0]: exactly one of destination, secret is needed');
  });

  it('does not know less at a preview because of one part that is not known', async () => {
    const { find } = await runMocked(
      () => void new ApiKey('billing', { spec: { ...spec, owner: pulumi.output('team'), purpose: unknownOutput<string>() } }),
      { preview: true },
    );
    expect(find('billing').inputs['spec']).toMatchObject({ owner: 'team', displayName: 'Billing' });
  });

  it('waits for the update where a preview does not know a part, and shows the plain parts meanwhile', async () => {
    const { registered, find } = await runMocked(
      () => {
        new ApiKey('billing', { spec: { ...spec, owner: unknownOutput<string>() } });
        new ApiKey('other', { spec: unknownOutput<ApiKeySpecArgs>() });
      },
      { preview: true },
    );
    expect(find('billing').inputs['spec']).toMatchObject({ displayName: 'Billing', accessType: 'Integrations' });
    expect(registered.map(({ name }) => name).sort()).toEqual(['billing', 'other']);
  });
});

/** What an input that may hold outputs was rejected with. */
async function rejection(input: pulumi.Input<object>): Promise<string> {
  const found: string[] = [];
  const awaited = (value: unknown): Promise<unknown>[] => {
    if (pulumi.Output.isInstance(value)) {
      const inner = value as unknown as Record<'isKnown' | 'isSecret', Promise<unknown>> &
        Record<'promise' | 'allResources', () => Promise<unknown>>;
      return [inner.isKnown, inner.isSecret, inner.promise(), inner.allResources()];
    }
    return typeof value === 'object' && value !== null ? Object.values(value).flatMap(awaited) : [];
  };
  for (const result of await Promise.allSettled(awaited(input)))
    if (result.status === 'rejected') found.push((result.reason as Error).message);
  return [...new Set(found)].join('\n');
}

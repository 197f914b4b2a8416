import { ApiCatalog, ApiKey, KeyDestination, KeyOwner } from '@keywright/pulumi';
import * as pulumi from '@pulumi/pulumi';
import { describe, expect, it } from 'vitest';
import { refusedChange } from '../../../pulumi/src/replacement.ts';
import { apiKeySpec as spec } from '../../builders/pulumispec.ts';
import { changeCases, manifest } from '../api/cases.ts';
import { runMocked } from '../../harness/pulumi/mocks.ts';

describe('a change that is not allowed', () => {
  const subject = { kind: 'ApiKey', name: 'billing' } as const;
  const inputsOf = (owner: unknown, more: object = {}) => ({ spec: { ...spec, owner, ...more } });

  it('is refused with the field, what it was, why, and both ways out', async () => {
    const error = await refusedChange(subject, inputsOf('team'), inputsOf('other'));
    expect(error?.message.split('\n')).toEqual([
      'ApiKey "billing" cannot be declared:',
      '  spec.owner: field is immutable: to have another owner, delete this ApiKey, which ends its key, and apply it again (it was "team")',
      'Either declare a second ApiKey beside this one, let both live until everybody uses the new one, and remove this one then;',
      'or set replace: "DeleteFirst" on it: it is deleted first (its key is revoked at once) and made anew.',
    ]);
  });

  it('is none where the field stays, is not known yet, or was a secret of the program', async () => {
    expect(await refusedChange(subject, inputsOf('team'), inputsOf('team', { purpose: 'other' }))).toBeUndefined();
    expect(await refusedChange(subject, inputsOf('team'), inputsOf(pulumi.unknown))).toBeUndefined();
    expect(await refusedChange(subject, inputsOf(pulumi.secret('team')), inputsOf(pulumi.secret('team')))).toBeUndefined();
  });

  it('is refused without a word of what was a secret of the program', async () => {
    for (const before of [inputsOf(pulumi.secret('team')), { spec: pulumi.secret(inputsOf('team').spec) }]) {
      const error = await refusedChange(subject, before, inputsOf('other'));
      expect(error?.message).toContain(
        'spec.owner: field is immutable: to have another owner, delete this ApiKey, which ends its key, and apply it again\n',
      );
      expect(error?.message).not.toContain('"team"');
    }
  });

  it('is none where a part of the field, or all around it, is not known yet', async () => {
    const catalog = { kind: 'ApiCatalog', name: 'shop' } as const;
    const before = { spec: { key: { prefix: 'shop', environment: 'live' } } };
    const partly = { spec: { key: { prefix: pulumi.unknown, environment: 'live' } } };
    expect(await refusedChange(catalog, before, partly)).toBeUndefined();
    expect(await refusedChange(catalog, before, { spec: pulumi.unknown })).toBeUndefined();
    expect(await refusedChange(subject, { spec: { ...spec, revoked: {} } }, { spec: pulumi.unknown })).toBeUndefined();
  });

  it.each(changeCases)('is what the API server refuses, no more and no less: $kind, $title', async (one) => {
    const error = await refusedChange(
      { kind: one.kind, name: 'x' },
      manifest(one.kind, one.before),
      manifest(one.kind, one.after),
    );
    expect(error?.message ?? 'nothing refused').toContain(one.refuses === undefined ? 'nothing refused' : `  ${one.refuses}`);
  });

  it('has no way out where there is none', async () => {
    const error = await refusedChange(subject, { spec: { ...spec, revoked: {} } }, { spec });
    expect(error?.message).toBe(
      'ApiKey "billing" cannot be declared:\n  spec.revoked: revoked cannot be removed: a revocation is final, declare another ApiKey',
    );
  });

  it('is one where a field with a default gets another value for the first time, and none where it gets the default', async () => {
    const destination = { kind: 'KeyDestination', name: 'v' } as const;
    const at = (vault: object) => ({ spec: { vault: { address: 'https://vault', mount: 'secret', ...vault } } });
    const error = await refusedChange(destination, at({}), at({ path: 'x/{namespace}/{name}' }));
    expect(error?.message).toContain('spec.vault.path: field is immutable: moving keys needs a new KeyDestination');
    expect(await refusedChange(destination, at({}), at({ path: 'keywright/{namespace}/{name}' }))).toBeUndefined();
  });

  it('is never a default that a program begins to name, also where it asks for replacements', async () => {
    const auth = { kubernetes: { role: 'keywright' } };
    const { find } = await runMocked(() => {
      const vault = { address: 'https://vault', mount: 'secret', auth };
      new KeyDestination('silent', { spec: { vault } });
      new KeyDestination('later', { spec: { vault: pulumi.output(vault) } });
      new KeyDestination('named', { spec: { vault: { ...vault, path: 'keywright/{namespace}/{name}' } } });
      new KeyDestination('aws', { spec: { aws: { region: 'eu-west-1', auth: { irsa: {} } } } });
    });
    const specs = ['silent', 'later', 'named'].map((name) => find(name).inputs['spec']);
    const complete = { vault: { address: 'https://vault', mount: 'secret', auth, path: 'keywright/{namespace}/{name}' } };
    expect(specs).toEqual([complete, complete, complete]);
    expect(find('aws').inputs['spec']).toEqual({
      aws: { region: 'eu-west-1', auth: { irsa: {} }, name: 'keywright/{namespace}/{name}' },
    });
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

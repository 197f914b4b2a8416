import { expect, it } from 'vitest';
import { parseSecretLocation, resolveLocation, secretLocation } from '../../../operator/src/destinations/location.ts';

const vault = (path: string, mount = 'secret') => ({
  metadata: { name: 'prod-vault', uid: 'uid-v' },
  spec: { vault: { mount, path } },
});
const key = { namespace: 'payments', name: 'billing-sync' };
const refusal = expect.objectContaining({ kind: 'stalled', reason: 'InvalidSpec' }) as unknown;

function refused(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    return error;
  }
}

it('puts namespace and name into the template', () => {
  expect(resolveLocation(vault('keywright/{namespace}/{name}'), key)).toEqual({
    destinationUid: 'uid-v',
    path: 'secret/keywright/payments/billing-sync',
  });
});

it('lets a path stand for the name', () => {
  expect(resolveLocation(vault('{namespace}/keys/{name}/v'), { ...key, path: 'a/b' }).path).toBe('secret/payments/keys/a/b/v');
});

it('names an AWS secret by its template alone', () => {
  const aws = { metadata: { name: 'aws', uid: 'uid-a' }, spec: { aws: { name: 'keywright/{namespace}/{name}' } } };
  expect(resolveLocation(aws, key).path).toBe('keywright/payments/billing-sync');
});

it.each([
  '{name}/{namespace}',
  'x-{namespace}/{name}',
  '{namespace}/x-{name}',
  '{namespace}',
  '{name}',
  '{namespace}/{name}/{name}',
  '/{namespace}/{name}',
  '{namespace}/../{name}',
  '{namespace}/{other}/{name}',
])('refuses the template %s, by which one tenant could reach another', (template) => {
  expect(refused(() => resolveLocation(vault(template), key))).toEqual(refusal);
});

it.each([
  '..',
  '../other',
  'a/../b',
  '%2e%2e',
  'a%2fb',
  '',
  '/a',
  'a/',
  'A',
  'a b',
  'a/b/c/d/e/f',
  '{namespace}',
  'x'.repeat(64),
])('refuses the path %j', (path) => {
  expect(refused(() => resolveLocation(vault('keywright/{namespace}/{name}'), { ...key, path }))).toEqual(refusal);
});

it.each(['..', 'a/../b', '/secret', 'secret/', 'a?b', 'a&#x2F;b'])('refuses the mount %s', (mount) => {
  expect(refused(() => resolveLocation(vault('{namespace}/{name}', mount), key))).toEqual(refusal);
});

it('places a secret target in the namespace of its key', () => {
  const location = secretLocation('payments', 'billing.api-key');
  expect(location).toEqual({ destinationUid: 'secret', path: 'payments/billing.api-key' });
  expect(parseSecretLocation(location)).toEqual({ namespace: 'payments', name: 'billing.api-key' });
});

it.each(['..', '.hidden', 'a/b', 'a..b', 'A', 'a_b', '', 'x'.repeat(254)])('refuses the Secret name %j', (name) => {
  expect(refused(() => secretLocation('payments', name))).toEqual(refusal);
});

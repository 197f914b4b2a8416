import { expect, it } from 'vitest';
import { credentialFault, hasShape, unusableCredential } from '../../../operator/src/destinations/credential.ts';
import type { SecretObject } from '../../../operator/src/resources/port.ts';
import { credentialMetadata } from '../../builders/credential.ts';

const server = 'https://vault.example.com:8200';
const identity = { namespace: 'keywright-system', name: 'vault-token', uid: 'u', resourceVersion: '1' };
const secret = (metadata: object, type?: string): SecretObject => ({
  metadata: { ...identity, ...metadata },
  ...(type === undefined ? {} : { type }),
  data: {},
});
const meant = credentialMetadata('vault-token', server);

it.each<[string, object, string | undefined]>([
  ['the server', { ...meant }, undefined],
  ['several servers', credentialMetadata('vault-token', `https://a, ${server} ,https://b`), undefined],
  ['the server in another spelling', credentialMetadata('vault-token', 'https://VAULT.example.com:8200'), undefined],
  ['no label', { annotations: meant.annotations }, 'it lacks the label keywright.dev/credential: vault-token'],
  ['the label for something else', credentialMetadata('aws', server), 'it lacks the label keywright.dev/credential: vault-token'],
  ['no server', credentialMetadata('vault-token'), 'its annotation keywright.dev/vault-address does not name the server'],
  [
    'another server',
    credentialMetadata('vault-token', 'https://vault.example.com'),
    'its annotation keywright.dev/vault-address does not name the server',
  ],
  [
    'a longer name',
    credentialMetadata('vault-token', `${server}0`),
    'its annotation keywright.dev/vault-address does not name the server',
  ],
])('a Secret that names %s may be sent only if it is meant for the server', (_what, metadata, fault) => {
  expect(credentialFault('vault-token', secret(metadata), { kind: 'vault-token', server })).toBe(fault);
});

it('a Secret without an annotation may be sent to a server that the installation lists, and never without the label', () => {
  const wanted = { kind: 'vault-token', server, isListed: true } as const;
  expect(credentialFault('vault-token', secret(credentialMetadata('vault-token')), wanted)).toBeUndefined();
  expect(credentialFault('vault-token', secret({}), wanted)).toBe('it lacks the label keywright.dev/credential: vault-token');
});

it.each(['keywright-peppers', 'keywright-database', 'keywright-postgres', 'keywright-callers'])(
  'never %s, whatever its label says',
  (name) => {
    expect(credentialFault(name, secret(meant), { kind: 'vault-token', server })).toBe('it is a Secret of the operator itself');
  },
);

it.each(['kubernetes.io/tls', 'kubernetes.io/service-account-token', 'helm.sh/release.v1', 'bootstrap.kubernetes.io/token'])(
  'never one of the type %s',
  (type) => {
    expect(credentialFault('x', secret(meant, type), { kind: 'vault-token', server })).toBe('its type is not Opaque');
    expect(credentialFault('x', secret(meant, 'Opaque'), { kind: 'vault-token', server })).toBeUndefined();
  },
);

it('says the same of a Secret that is not there and of one that is not meant for it', () => {
  const said = ['there is no such Secret', 'it lacks the label'].map((fault) =>
    unusableCredential('vault-token', { kind: 'vault-token', server }, 'a token of Vault under token', fault),
  );
  expect(new Set(said.map(({ message, kind, reason }) => `${kind} ${reason} ${message}`)).size).toBe(1);
  expect(said.map(({ detail }) => detail?.class)).toEqual(['credential', 'credential']);
});

it.each([
  ['vault-token', 'hvs.CAESIJlU02LQZq4BYkjdEtKBqDFKCfVkqPBNC1QdSZx1rLkFGh4KHGh2cy4', true],
  ['vault-token', 's.Ga5jyNq6kNfRMVQk2LY1j9iu', true],
  ['vault-token', 's.Ga5jyNq6kNfRMVQk2LY1j9iu.bKFh2', true],
  ['vault-token', 'root', false],
  ['vault-token', 'postgres://keywright:secret@db:5432/keywright', false],
  ['vault-token', '{"current":"1","peppers":{"1":"AAAA"}}', false],
  ['vault-token', 'V1StGXR8Z5jdHi6BmyTV1StGXR8Z5jdHi6BmyT12', false],
  ['vault-token', '-----BEGIN PRIVATE KEY-----', false],
  ['vault-token', 'eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlcm5ldGVzIn0.c2ln', false],
  ['vault-approle', '84896a0c-1347-aa90-a4f6-aca8b7558780', true],
  ['vault-approle', 'a pushed one', false],
  ['access-key-id', 'AKIAIOSFODNN7EXAMPLE', true],
  ['access-key-id', 'hvs.CAESIJlU02LQZq4BYkjdEtKB', false],
  ['secret-access-key', 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY', true],
  ['secret-access-key', 'short', false],
  ['session-token', 'postgres://keywright:secret@db:5432/keywright', false],
] as const)('the form of a %s: %s %s', (shape, text, expected) => {
  expect(hasShape(shape, text)).toBe(expected);
});

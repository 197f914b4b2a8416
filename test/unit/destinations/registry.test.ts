import { expect, it } from 'vitest';
import { openDestinations, type DestinationKind } from '../../../operator/src/destinations/registry.ts';
import type { KeyDestination, KeyDestinationSpec } from '../../../operator/src/api/kinds.ts';
import { FakeClock } from '../../harness/fakes/clock.ts';
import { FakeResources } from '../../harness/fakes/resources.ts';

const vault = (caBundle?: string): KeyDestinationSpec => ({
  allowedNamespaces: {},
  vault: {
    address: 'http://127.0.0.1:1',
    mount: 'secret',
    path: '{namespace}/{name}',
    auth: { token: { secretRef: { name: 'vault-token', key: 'token' } } },
    ...(caBundle === undefined ? {} : { caBundle }),
  },
});

function world() {
  const clock = new FakeClock();
  const resources = new FakeResources(clock);
  const opened: DestinationKind[] = [];
  const destinations = openDestinations({
    resources,
    mode: { kind: 'kubernetes' },
    clock,
    operatorNamespace: 'keywright-system',
    measure: (kind, destination) => {
      opened.push(kind);
      return destination;
    },
  });
  return { resources, destinations, opened };
}

const create = (resources: FakeResources, spec: KeyDestinationSpec): KeyDestination =>
  resources.create('KeyDestination', { metadata: { name: 'prod-vault' }, spec });

it('waits for a KeyDestination that does not exist', async () => {
  const { destinations } = world();
  await expect(destinations.open('uid-nobody')).rejects.toMatchObject({ kind: 'waiting', reason: 'DestinationNotFound' });
});

it('opens a KeyDestination once', async () => {
  const { resources, destinations, opened } = world();
  await resources.start(AbortSignal.timeout(1000));
  const { uid } = create(resources, vault()).metadata;
  const [first, second] = await Promise.all([destinations.open(uid), destinations.open(uid)]);
  expect(second).toBe(first);
  expect(await destinations.open(uid)).toBe(first);
  expect(opened).toEqual(['vault']);
  await destinations.close();
});

it('opens a changed KeyDestination anew', async () => {
  const { resources, destinations, opened } = world();
  await resources.start(AbortSignal.timeout(1000));
  const { uid } = create(resources, vault()).metadata;
  const first = await destinations.open(uid);
  resources.update('KeyDestination', { name: 'prod-vault' }, (object) => ({
    ...object,
    spec: vault('-----BEGIN CERTIFICATE-----'),
  }));
  expect(await destinations.open(uid)).not.toBe(first);
  expect(opened).toEqual(['vault', 'vault']);
  await destinations.close();
});

it('opens AWS', async () => {
  const { resources, destinations, opened } = world();
  await resources.start(AbortSignal.timeout(1000));
  const aws = { region: 'eu-west-1', name: '{namespace}/{name}', auth: { irsa: {} }, recoveryWindow: '168h' };
  const { uid } = create(resources, { allowedNamespaces: {}, aws }).metadata;
  const destination = await destinations.open(uid);
  expect(opened).toEqual(['aws']);
  // There is no ServiceAccount with a role here, and no other login is tried.
  await expect(destination.probe()).rejects.toMatchObject({ kind: 'stalled', reason: 'InvalidSpec' });
  await destinations.close();
});

it('opens Secrets for a secret target, without any KeyDestination', async () => {
  const { destinations, opened } = world();
  const secrets = await destinations.open('secret');
  expect(await secrets.readMark({ destinationUid: 'secret', path: 'payments/billing' })).toMatchObject({ kind: 'absent' });
  expect(opened).toEqual(['kubernetes']);
});

it('waits for the Secret with the login', async () => {
  const { resources, destinations } = world();
  await resources.start(AbortSignal.timeout(1000));
  const { uid } = create(resources, vault()).metadata;
  const destination = await destinations.open(uid);
  await expect(destination.probe()).rejects.toMatchObject({
    kind: 'waiting',
    reason: 'DestinationUnavailable',
    message:
      'the Secret vault-token cannot be used here: it needs the label keywright.dev/credential: vault-token, the annotation keywright.dev/vault-address: http://127.0.0.1:1 and a token of Vault under token',
  });
  await destinations.close();
});

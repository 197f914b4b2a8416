import { expect, it } from 'vitest';
import { openKubernetesDestination } from '../../../operator/src/destinations/kubernetes/kubernetes.ts';
import { composeRecord } from '../../../operator/src/destinations/record.ts';
import { Failure } from '../../../operator/src/domain/failure.ts';
import { Plaintext } from '../../../operator/src/domain/plaintext.ts';
import { FakeClock } from '../../harness/fakes/clock.ts';
import { FakeResources } from '../../harness/fakes/resources.ts';

const location = { destinationUid: 'secret', path: 'payments/billing' };
const mark = { installationId: 'i', namespace: 'payments', name: 'billing-sync', uid: 'u', keyId: 'k1', epoch: 3, envelope: 'e' };
const record = composeRecord({ token: new Plaintext('token-k1'), keyId: 'k1', expiresAt: undefined, headerName: 'X-API-Key' });

it('makes a Secret that names its owner and is found by label', async () => {
  const resources = new FakeResources(new FakeClock());
  const destination = openKubernetesDestination(resources.secrets);
  await destination.write(location, record, mark, await destination.readMark(location), 'a');
  expect(resources.peekSecret({ namespace: 'payments', name: 'billing' })).toMatchObject({
    type: 'servicebinding.io/api-key',
    metadata: {
      labels: { 'app.kubernetes.io/managed-by': 'keywright' },
      annotations: { 'keywright.dev/key-id': 'k1', 'keywright.dev/epoch': '3', 'keywright.dev/uid': 'u' },
      ownerReferences: [{ kind: 'ApiKey', name: 'billing-sync', uid: 'u', controller: true, blockOwnerDeletion: false }],
    },
  });
});

it('takes a Secret with half a mark for one of somebody else', async () => {
  const resources = new FakeResources(new FakeClock());
  const destination = openKubernetesDestination(resources.secrets);
  resources.putSecret(
    { namespace: 'payments', name: 'billing' },
    { metadata: { annotations: { 'keywright.dev/key-id': 'k1' } }, data: {} },
  );
  expect((await destination.readMark(location)).kind).toBe('unmarked');
});

it('tells every failure of the API server as its own', async () => {
  const resources = new FakeResources(new FakeClock());
  const destination = openKubernetesDestination(resources.secrets);
  resources.beforeCall = () => {
    throw new Failure({ kind: 'transient', reason: 'InternalError', message: 'the API server does not answer', retryAfterMs: 7 });
  };
  await expect(destination.readMark(location)).rejects.toMatchObject({
    kind: 'transient',
    reason: 'DestinationUnavailable',
    retryAfterMs: 7,
  });
});

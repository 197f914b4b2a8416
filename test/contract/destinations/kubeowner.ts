import type { Kube } from '../../harness/kube.ts';
import type { KeyRef } from './version.ts';

/** A real owner: the garbage collector takes away what belongs to an object that does not exist. */
export async function createOwner(kube: Kube, namespace: string): Promise<KeyRef> {
  const name = 'billing';
  const body = {
    apiVersion: 'keywright.dev/v1alpha1',
    kind: 'ApiKey',
    metadata: { name, namespace },
    spec: {
      displayName: 'Billing',
      catalog: 'default',
      owner: 'payments-team',
      accessType: 'Management',
      deliverTo: [{ name: 'local', secret: { name: 'billing' } }],
    },
  };
  const answer = await kube.request('POST', `/apis/keywright.dev/v1alpha1/namespaces/${namespace}/apikeys`, { body });
  if (answer.status !== 201) throw new Error(`ApiKey refused: ${JSON.stringify(answer.body)}`);
  return { namespace, name, uid: (answer.body as { metadata: { uid: string } }).metadata.uid };
}

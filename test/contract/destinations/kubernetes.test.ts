import { openKubernetesDestination } from '../../../operator/src/destinations/kubernetes/kubernetes.ts';
import type { Location } from '../../../operator/src/domain/key.ts';
import { systemClock } from '../../../operator/src/domain/time.ts';
import { openKubeResources } from '../../../operator/src/resources/kube/resources.ts';
import { silentLog } from '../../../operator/src/telemetry/log.ts';
import { useKube } from '../../harness/parts.ts';
import { destinationContract } from './suite.ts';

const kube = await useKube();

const at = (location: Location) => `/api/v1/namespaces/${location.path.split('/')[0]}/secrets`;
const one = (location: Location) => `${at(location)}/${location.path.split('/')[1]}`;
const encode = (text: string) => Buffer.from(text).toString('base64');

async function call(method: 'POST' | 'PATCH' | 'DELETE', path: string, body?: unknown): Promise<unknown> {
  const contentType = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
  const answer = await kube.request(method, path, { body, contentType });
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${JSON.stringify(answer.body)}`);
  return answer.body;
}

/** A real owner: the garbage collector takes away what belongs to an object that does not exist. */
async function createOwner(namespace: string): Promise<{ namespace: string; name: string; uid: string }> {
  const name = 'billing';
  const created = (await call('POST', `/apis/keywright.dev/v1alpha1/namespaces/${namespace}/apikeys`, {
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
  })) as { metadata: { uid: string } };
  return { namespace, name, uid: created.metadata.uid };
}

destinationContract('Secrets of an API server', async () => {
  const namespace = await kube.createNamespace();
  const resources = await openKubeResources({
    kubeconfig: kube.kubeconfig(),
    clock: systemClock,
    log: silentLog,
    identity: 'contract',
    random: Math.random,
  });
  let count = 0;
  return {
    destination: openKubernetesDestination(resources.secrets),
    marksShowChanges: false,
    owner: await createOwner(namespace),
    fresh: () => ({ destinationUid: 'secret', path: `${namespace}/place-${(count += 1)}` }),
    close: () => resources.close(),
    stranger: {
      put: async (location) => {
        const metadata = { name: location.path.split('/')[1] };
        await call('POST', at(location), { apiVersion: 'v1', kind: 'Secret', metadata, data: { password: encode('not ours') } });
      },
      change: async (location, apiKey) => {
        await call('PATCH', one(location), { data: { 'api-key': encode(apiKey) } });
      },
      remove: async (location) => {
        await call('DELETE', one(location));
      },
      read: async (location) => {
        const answer = await kube.request('GET', one(location));
        if (answer.status === 404) return undefined;
        const { data } = answer.body as { data: Record<string, string> };
        return Object.fromEntries(Object.entries(data).map(([name, text]) => [name, Buffer.from(text, 'base64').toString()]));
      },
    },
  };
});

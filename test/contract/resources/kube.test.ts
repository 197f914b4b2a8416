import type { ObjectRef } from '../../../operator/src/api/meta.ts';
import type { WatchedKind } from '../../../operator/src/resources/port.ts';
import { openTestResources } from '../../harness/kuberesources.ts';
import { useKube } from '../../harness/parts.ts';
import { resourcesContract } from './suite.ts';

const kube = await useKube();

const plurals: Readonly<Record<WatchedKind, string>> = {
  ApiKey: 'apikeys',
  ApiCatalog: 'apicatalogs',
  KeyOwner: 'keyowners',
  KeyOwnerGroup: 'keyownergroups',
  KeyDestination: 'keydestinations',
  Namespace: 'namespaces',
};

function collection(kind: WatchedKind, ref: { readonly namespace?: string }): string {
  const root = kind === 'Namespace' ? '/api/v1' : '/apis/keywright.dev/v1alpha1';
  return `${root}${ref.namespace === undefined ? '' : `/namespaces/${ref.namespace}`}/${plurals[kind]}`;
}

/** As kubectl would: over a connection of its own, with nothing of the adapter's in between. */
async function call(method: 'POST' | 'PATCH' | 'DELETE', path: string, body?: unknown): Promise<void> {
  const contentType = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
  const answer = await kube.request(method, path, { body, contentType });
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${JSON.stringify(answer.body)}`);
}

const secretsOf = (namespace: string) => `/api/v1/namespaces/${namespace}/secrets`;
const one = (kind: WatchedKind, ref: ObjectRef) => `${collection(kind, ref)}/${ref.name}`;

resourcesContract('resources of an API server', async () => {
  const resources = await openTestResources({ kubeconfig: kube.kubeconfig() });
  return {
    resources,
    namespace: await kube.createNamespace(),
    close: () => resources.close(),
    driver: {
      create: (kind, metadata, spec) =>
        call('POST', collection(kind, metadata), { apiVersion: 'keywright.dev/v1alpha1', kind, metadata, spec }),
      edit: (kind, ref, spec) => call('PATCH', one(kind, ref), { spec }),
      writeStatus: (kind, ref, status) => call('PATCH', `${one(kind, ref)}/status`, { status }),
      delete: (kind, ref) => call('DELETE', one(kind, ref)),
      createSecret: (ref, data) =>
        call('POST', secretsOf(ref.namespace), { apiVersion: 'v1', kind: 'Secret', metadata: ref, data }),
      changeSecret: (ref, data) => call('PATCH', `${secretsOf(ref.namespace)}/${ref.name}`, { data }),
      deleteSecret: (ref) => call('DELETE', `${secretsOf(ref.namespace)}/${ref.name}`),
    },
  };
});

import { apiVersion, group, version } from '../../api/meta.ts';
import type { ObjectRef } from '../../api/meta.ts';
import type { WatchedKind, WorkloadKind } from '../port.ts';

/** Where the API server has a kind, and how much of it we keep. */
export interface Endpoint {
  readonly apiVersion: string;
  readonly prefix: string;
  readonly plural: string;
  readonly isNamespaced: boolean;
  /** Watched as PartialObjectMetadata: neither the server sends nor the cache holds more. */
  readonly isPartial: boolean;
  /** What is watched of it; everything when absent. */
  readonly labelSelector?: string;
  /** Something selects its objects by their labels, so that the cache keeps these. */
  readonly hasSelectedLabels?: boolean;
  /** False: its annotations ask for nothing, and the cache keeps none of them. Default true. */
  readonly hasOwnAnnotations?: boolean;
}

const ours = { apiVersion, prefix: `/apis/${group}/${version}`, isPartial: false } as const;
const core = { apiVersion: 'v1', prefix: '/api/v1' } as const;

/** The kinds that are watched, in the order of their first use: what others refer to comes first. */
export const endpoints: Readonly<Record<WatchedKind | 'Secret', Endpoint>> = {
  Namespace: { ...core, plural: 'namespaces', isNamespaced: false, isPartial: false, hasSelectedLabels: true },
  ApiCatalog: { ...ours, plural: 'apicatalogs', isNamespaced: false },
  KeyOwnerGroup: { ...ours, plural: 'keyownergroups', isNamespaced: false },
  KeyOwner: { ...ours, plural: 'keyowners', isNamespaced: false },
  KeyDestination: { ...ours, plural: 'keydestinations', isNamespaced: false },
  Secret: {
    ...core,
    plural: 'secrets',
    isNamespaced: true,
    isPartial: true,
    hasOwnAnnotations: false,
    labelSelector: 'app.kubernetes.io/managed-by=keywright',
  },
  ApiKey: { ...ours, plural: 'apikeys', isNamespaced: true, isPartial: true },
};

const apps = { apiVersion: 'apps/v1', prefix: '/apis/apps/v1', isNamespaced: true, isPartial: false } as const;

/** The kinds that are read and patched one at a time, never watched. */
export const workloadEndpoints: Readonly<Record<WorkloadKind, Endpoint>> = {
  Deployment: { ...apps, plural: 'deployments' },
  StatefulSet: { ...apps, plural: 'statefulsets' },
  DaemonSet: { ...apps, plural: 'daemonsets' },
};

/** `/apis/keywright.dev/v1alpha1/namespaces/payments/apikeys`, or without a namespace the collection over all. */
export function collectionPath(endpoint: Endpoint, namespace: string | undefined): string {
  const inNamespace = endpoint.isNamespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  return `${endpoint.prefix}${inNamespace}/${endpoint.plural}`;
}

/** The path of one object. */
export function objectPath(endpoint: Endpoint, ref: ObjectRef): string {
  return `${collectionPath(endpoint, ref.namespace)}/${encodeURIComponent(ref.name)}`;
}

/** Accept headers that leave everything but the metadata away. */
export const partialObject = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1';
export const partialList = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1';

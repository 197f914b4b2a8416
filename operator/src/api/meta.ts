/** The group and version of all kinds. */
export const group = 'keywright.dev';
export const version = 'v1alpha1';
export const apiVersion = `${group}/${version}`;

/** The finalizer on every object whose deletion must reach the store first. */
export const finalizer = `${group}/finalizer`;

/** Who wrote a field, for server-side apply. */
export const fieldManager = 'keywright';

/** Annotations that ask for something on a live ApiKey, so that GitOps does not fight them. */
export const annotations = {
  rotate: `${group}/rotate`,
  compromised: `${group}/compromised`,
  paused: `${group}/paused`,
  /** Confirms what was written while the admission policy was not in force; the status names the value. */
  confirm: `${group}/confirm`,
} as const;

/**
 * Those of {@link annotations} that an object has, always in the same order. What reacts to annotations, or remembers them, looks
 * at no others: an author of an object may put any amount of data there without any right of ours.
 */
export function ownAnnotations(given: ObjectMeta['annotations'] = {}): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.values(annotations).flatMap((name) => {
      const value = given[name];
      return value === undefined ? [] : [[name, value] as const];
    }),
  );
}

/** The annotation in which kubectl and Argo CD keep the manifest that their next client-side apply compares with. */
export const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration';
/** The label of a Secret that a KeyDestination may log in with; its value says for which login: see `destinations/credential`. */
export const credentialLabel = `${group}/credential`;

/**
 * The ServiceAccount in the operator's namespace whose tokens log in to Vault. It has no rights: a leaked token of it is useless
 * at the API server.
 */
export const loginServiceAccountName = 'keywright-vault';

/** The parts of Kubernetes' ObjectMeta that we read. */
export interface ObjectMeta {
  readonly name: string;
  /** Absent on cluster kinds. */
  readonly namespace?: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly finalizers?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Who wrote which field last, see `api/managers`; on objects that were read live only. */
  readonly managedFields?: unknown;
}

/** An object of the API: ours or a Namespace. */
export interface KubeObject<Spec = unknown, Status = unknown> {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
  readonly spec: Spec;
  readonly status?: Status;
}

/** How an object is named; `namespace` is absent for cluster kinds. */
export interface ObjectRef {
  readonly namespace?: string;
  readonly name: string;
}

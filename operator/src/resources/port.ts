import type { ApiCatalog, ApiKey, ApiKeyStatus, KeyDestination, KeyOwner, KeyOwnerGroup } from '../api/kinds.ts';
import type { KubeObject, ObjectMeta, ObjectRef } from '../api/meta.ts';
import type { Plaintext } from '../domain/plaintext.ts';
import type { Reason } from '../domain/reason.ts';

/** A Namespace, as far as we read it: labels, and whether it is being deleted (`metadata.deletionTimestamp`). */
export type Namespace = KubeObject;

/** The kinds that the operator watches, by name. */
export interface Kinds {
  readonly ApiKey: ApiKey;
  readonly ApiCatalog: ApiCatalog;
  readonly KeyOwner: KeyOwner;
  readonly KeyOwnerGroup: KeyOwnerGroup;
  readonly KeyDestination: KeyDestination;
  readonly Namespace: Namespace;
}
export type WatchedKind = keyof Kinds;

/**
 * Something changed. For ApiKeys the cache holds metadata only; the object is read by {@link Resources.readLive}.
 * `initial` events come from a (re)list: they are worked off at low priority.
 */
export interface ResourceEvent {
  readonly kind: WatchedKind | 'Secret';
  readonly type: 'upsert' | 'delete';
  readonly metadata: ObjectMeta;
  readonly initial: boolean;
}

/** The version that the object has with its new status; `lost` = it is gone, or another one. */
export type StatusOutcome = { readonly resourceVersion: string } | 'lost';

/** What an event says about an object. `Warning` asks for a person. */
export interface EventRecord {
  readonly type: 'Normal' | 'Warning';
  readonly reason: Reason;
  /** One sentence; never a value, never a provider's text. */
  readonly message: string;
}

/** The metadata of a Secret that we read. */
export interface SecretMeta extends ObjectMeta {
  readonly ownerReferences?: readonly OwnerReference[];
}

/** A core/v1 Secret as we write it: all of `data` is base64. */
export interface SecretObject {
  readonly metadata: SecretMeta;
  readonly type?: string;
  readonly data?: Readonly<Record<string, string>>;
}
export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

/** What a Secret should be. Its entries are ours alone; labels and annotations of others stay. */
export interface SecretManifest {
  readonly namespace: string;
  readonly name: string;
  readonly type: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly ownerReferences: readonly OwnerReference[];
  /** Base64. */
  readonly data: Readonly<Record<string, string>>;
}

/** What a conditional write came to: `lost` = the object is not the one that was observed any more; look again. */
export type ConditionalWrite<T> = { readonly kind: 'written'; readonly object: T } | { readonly kind: 'lost' };

/** Secrets: read and written one at a time, never listed with their data. */
export interface Secrets {
  read(ref: { namespace: string; name: string }): Promise<SecretObject | undefined>;
  /** The same without `data`: for marks. */
  readMetadata(ref: { namespace: string; name: string }): Promise<SecretMeta | undefined>;
  /**
   * Creates when `observed` is undefined (an existing one = `lost`), else a forced server-side apply that carries the observed
   * uid and resourceVersion (409, or 422 on metadata.uid = `lost`). Without both, a forced apply would merge silently into a
   * foreign Secret. A second write removes entries that others added.
   */
  write(
    manifest: SecretManifest,
    observed: { uid: string; resourceVersion: string } | undefined,
  ): Promise<ConditionalWrite<SecretObject>>;
  /** Deletes with both as preconditions. An absent one is `written`: it is gone. */
  remove(
    ref: { namespace: string; name: string },
    observed: { uid: string; resourceVersion: string },
  ): Promise<'removed' | 'lost'>;
}

/** The kinds of workloads that use a value, of the API group apps/v1. */
export type WorkloadKind = 'Deployment' | 'StatefulSet' | 'DaemonSet';

/** Which workload. */
export interface WorkloadRef {
  readonly kind: WorkloadKind;
  readonly namespace: string;
  readonly name: string;
}

/** A workload, as far as we read it: the field names of apps/v1; which of them it has depends on its kind. */
export interface Workload {
  readonly kind: WorkloadKind;
  readonly metadata: ObjectMeta;
  readonly spec: {
    /** Absent on a DaemonSet, and where an older client wrote none: 1. */
    readonly replicas?: number;
    readonly paused?: boolean;
    readonly updateStrategy?: { readonly type?: string; readonly rollingUpdate?: { readonly partition?: number } | null };
    readonly template?: { readonly metadata?: { readonly annotations?: Readonly<Record<string, string>> | null } | null };
  };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly replicas?: number;
    readonly updatedReplicas?: number;
    readonly availableReplicas?: number;
    readonly desiredNumberScheduled?: number;
    readonly updatedNumberScheduled?: number;
    readonly numberAvailable?: number;
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly reason?: string }[];
  };
}

/**
 * Workloads: read and annotated one at a time, never listed or watched. A refusal (RBAC, an admission policy of the
 * cluster) is a failure of the reason NotPermitted.
 */
export interface Workloads {
  read(ref: WorkloadRef): Promise<Workload | undefined>;
  /**
   * Sets one annotation of the pod template, which rolls the workload out anew, on the condition that uid and
   * resourceVersion are still these; `lost` = it is another one by now, or gone.
   */
  annotateTemplate(
    ref: WorkloadRef,
    observed: { readonly uid: string; readonly resourceVersion: string },
    annotation: { readonly name: string; readonly value: string },
  ): Promise<'written' | 'lost'>;
}

/**
 * The one road to declared state: a Kubernetes API server (`kube/`) or a folder of manifests (`files/`).
 * Every call has its own timeout and throws only {@link Failure}.
 */
export interface Resources {
  /** Starts the watches; resolves when every kind was listed once. Rejects only when `signal` is aborted. */
  start(signal: AbortSignal): Promise<void>;
  /** Called for every change from now on; returns how to stop that. Subscribe before {@link start}. */
  subscribe(listener: (event: ResourceEvent) => void): () => void;
  /** From the cache: never for ApiKeys (use {@link list} for their metadata, {@link readLive} for the object). */
  get<K extends Exclude<WatchedKind, 'ApiKey'>>(kind: K, ref: ObjectRef): Kinds[K] | undefined;
  /** The metadata of all known ApiKeys, or the cached objects' metadata of another kind. */
  list(kind: WatchedKind): readonly ObjectMeta[];
  /** From the server or the folder, now. `undefined` = it does not exist. */
  readLive<K extends WatchedKind>(kind: K, ref: ObjectRef): Promise<Kinds[K] | undefined>;
  /** The metadata of all objects of a kind, from the server or the folder, now: what is not among them does not exist. */
  listLive(kind: WatchedKind): Promise<readonly ObjectMeta[]>;
  /** Replaces the finalizers, on the condition that uid and resourceVersion are still these. */
  setFinalizers(kind: WatchedKind, metadata: ObjectMeta, finalizers: readonly string[]): Promise<'written' | 'lost'>;
  /** Server-side apply of the whole status, conditional on the uid. */
  applyStatus(kind: 'ApiKey', metadata: ObjectMeta, status: ApiKeyStatus): Promise<StatusOutcome>;
  applyStatus(kind: Exclude<WatchedKind, 'ApiKey' | 'Namespace'>, metadata: ObjectMeta, status: unknown): Promise<StatusOutcome>;
  /** Best effort: a lost event is logged, never an error. Repeats are folded into one event with a count. */
  recordEvent(kind: WatchedKind, metadata: ObjectMeta, event: EventRecord): void;
  readonly secrets: Secrets;
  /** Absent where there are none: in a folder of manifests. */
  readonly workloads?: Workloads;
  /** Absent if nobody issues such tokens: in standalone mode. */
  readonly loginTokens?: LoginTokens;
}

/** The ServiceAccount and the audience of a token. */
export interface TokenWanted {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly audience: string;
}

/** Tokens of ServiceAccounts, for logins elsewhere. The API server itself accepts none of the tokens returned here. */
export interface LoginTokens {
  /**
   * A short-lived token that is valid for this audience only. Throws `stalled InvalidSpec` for the operator's own ServiceAccount
   * and for an audience that the API server itself accepts, `waiting` or `transient` if there is no token or no clear answer.
   */
  request(wanted: TokenWanted): Promise<Plaintext>;
  /** Whether the API server accepts this text as a token. Throws if it gives no clear answer. */
  isAccepted(token: string): Promise<boolean>;
}

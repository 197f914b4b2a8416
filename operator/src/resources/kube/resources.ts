import { setMaxListeners } from 'node:events';
import { operatorPolicyName } from '../../api/admission/operatorpolicy.ts';
import { admissionPolicyName } from '../../api/admission/policy.ts';
import type { ApiKind } from '../../api/kinds.ts';
import { apiVersion, fieldManager, group, type ObjectMeta, type ObjectRef } from '../../api/meta.ts';
import { stalled } from '../../domain/failure.ts';
import type { Clock } from '../../domain/time.ts';
import type { Log } from '../../telemetry/log.ts';
import type {
  EventRecord,
  Kinds,
  LoginTokens,
  ResourceEvent,
  Resources,
  SecretObject,
  Secrets,
  StatusOutcome,
  WatchedKind,
  Workloads,
} from '../port.ts';
import { loadAccess } from './access.ts';
import { probePolicy, readPolicy, type PolicyPair, type ProbeAnswer } from './admission.ts';
import { cacheKey } from './cache.ts';
import { KubeClient } from './client.ts';
import type { KubeAnswer, KubeClientInit } from './client.ts';
import { endpoints, objectPath, partialObject } from './endpoints.ts';
import { EventRecorder } from './events.ts';
import { KubeFault, causesOf, failureOf, faultOf } from './fault.ts';
import { LeaderElection, leasePath } from './leader.ts';
import type { LeaderElectionInit, LeaseSpec } from './leader.ts';
import { Reflector } from './reflector.ts';
import { isOtherUid, kubeSecrets } from './secrets.ts';
import { watchSource } from './source.ts';
import type { Kept, Scope } from './source.ts';
import { kubeWorkloads } from './workloads.ts';
import { kubeLoginTokens } from './tokens.ts';
import { withoutStrangers } from './strangers.ts';

/** What {@link openKubeResources} needs. */
export interface KubeResourcesInit {
  /** A path, or several as in `$KUBECONFIG`; absent = the Pod's ServiceAccount. */
  readonly kubeconfig?: string;
  /** The namespaces whose ApiKeys are watched; absent or empty = all. */
  readonly namespaces?: readonly string[];
  /** The namespaces whose Secrets are watched; empty = none, absent = those of the ApiKeys. */
  readonly secretNamespaces?: readonly string[];
  readonly clock: Clock;
  readonly log: Log;
  /** Which process this is, in events: the Pod's name. */
  readonly identity: string;
  /** Numbers in [0, 1), to spread watches and retries. */
  readonly random: () => number;
  /** Told of every call, for a metric. */
  readonly onCall?: KubeClientInit['onCall'];
  /** Deadline of one call, in milliseconds. Default 10 s. */
  readonly timeoutMs?: number;
}

/** The metadata of an object, with its owner references. */
export type OwnedMeta = SecretObject['metadata'];

interface ListScope extends Omit<Scope, 'kind' | 'endpoint'> {
  readonly kind: WatchedKind | 'Secret';
}

/** The port, and what only an API server has. */
export interface KubeResources extends Resources {
  readonly workloads: Workloads;
  readonly loginTokens: LoginTokens;
  /** The uid of the kube-system namespace: what tells one cluster from another. */
  clusterUid(): Promise<string>;
  /**
   * As {@link Resources.listLive}, with the finalizers and owner references of others; ApiKeys only of the watched namespaces,
   * Secrets of all namespaces but only our own.
   */
  listWhole(kind: WatchedKind | 'Secret'): Promise<readonly OwnedMeta[]>;
  /** Takes the ApiKeys out of the owner references of a Secret, on the condition that uid and resourceVersion are still these. */
  disown(secret: OwnedMeta): Promise<'written' | 'lost'>;
  /** The watched kinds that the API server does not have any more, because somebody deleted their CRDs. */
  missingKinds(): readonly string[];
  /** The CustomResourceDefinition of a kind as it is installed; `undefined` = there is none. */
  readCrd(kind: ApiKind): Promise<unknown>;
  /** The admission policy and its binding as they are now (`undefined` = absent), and the API server's clock. Throws Failure. */
  readAdmission(): Promise<PolicyPair>;
  /** The same for the policy that limits the operator's own account. Throws Failure. */
  readOperatorPolicy(): Promise<PolicyPair>;
  /** Whether the admission policy acts, by a dry run in this namespace. Throws Failure. */
  probeAdmission(namespace: string): Promise<ProbeAnswer>;
  /** How long the holder of a Lease may be silent before somebody else may take it, in milliseconds; `undefined` = nobody holds it. */
  leaseHeldFor(lease: { readonly namespace: string; readonly name: string }): Promise<number | undefined>;
  /** An election over a Lease of this API server. */
  elect(init: Omit<LeaderElectionInit, 'client' | 'clock' | 'log' | 'random'>): LeaderElection;
  /** Ends watches and connections. */
  close(): Promise<void>;
}

/** The object may change under a status write; more often than this in a row it is looked at again first. */
const statusTries = 3;
const kinds = Object.keys(endpoints) as (WatchedKind | 'Secret')[];

/** Declared state in a Kubernetes API server. Rejects with a plain error when the kubeconfig cannot be used. */
export async function openKubeResources(init: KubeResourcesInit): Promise<KubeResources> {
  const access = await loadAccess(init.kubeconfig, init.clock);
  const { clock, onCall, timeoutMs } = init;
  const options = { ...(onCall === undefined ? {} : { onCall }), ...(timeoutMs === undefined ? {} : { timeoutMs }) };
  return new ApiServer(init, new KubeClient({ access, clock, ...options }));
}

class ApiServer implements KubeResources {
  readonly secrets: Secrets;
  readonly workloads: Workloads;
  readonly loginTokens: LoginTokens;
  readonly #init: KubeResourcesInit;
  readonly #client: KubeClient;
  readonly #events: EventRecorder;
  readonly #reflectors: ReadonlyMap<WatchedKind | 'Secret', readonly Reflector<Kept>[]>;
  readonly #listeners = new Set<(event: ResourceEvent) => void>();
  readonly #stop = new AbortController();
  #running: Promise<unknown> = Promise.resolve();
  #election: LeaderElection | undefined;

  constructor(init: KubeResourcesInit, client: KubeClient) {
    this.#init = init;
    this.#client = client;
    this.secrets = kubeSecrets(client);
    this.workloads = kubeWorkloads(client);
    this.loginTokens = kubeLoginTokens(client);
    this.#events = new EventRecorder(client, init.clock, init.log, init.identity);
    this.#reflectors = new Map(kinds.map((kind) => [kind, this.#reflectorsOf(kind)]));
  }

  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const all = [...this.#reflectors.values()].flat();
    const either = AbortSignal.any([signal, this.#stop.signal]);
    // Each reflector listens, several times, by design.
    setMaxListeners(0, either);
    this.#running = Promise.all(all.map((reflector) => reflector.run(either)));
    const { promise: aborted, reject } = Promise.withResolvers<never>();
    const onAbort = () => {
      reject(either.reason as Error);
    };
    either.addEventListener('abort', onAbort, { once: true });
    try {
      await Promise.race([Promise.all(all.map((reflector) => reflector.synced)), aborted]);
    } finally {
      either.removeEventListener('abort', onAbort);
    }
  }

  missingKinds(): readonly string[] {
    return [...this.#reflectors].flatMap(([kind, all]) => (all.every(({ isServed }) => isServed) ? [] : [kind]));
  }

  subscribe(listener: (event: ResourceEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get<K extends Exclude<WatchedKind, 'ApiKey'>>(kind: K, ref: ObjectRef): Kinds[K] | undefined {
    const key = cacheKey(ref);
    for (const reflector of this.#reflectors.get(kind) ?? []) {
      const found = reflector.cache.get(key);
      if (found !== undefined) return found as unknown as Kinds[K];
    }
    return undefined;
  }

  list(kind: WatchedKind): readonly ObjectMeta[] {
    return (this.#reflectors.get(kind) ?? []).flatMap((reflector) => [...reflector.cache.values()].map((kept) => kept.metadata));
  }

  async readLive<K extends WatchedKind>(kind: K, ref: ObjectRef): Promise<Kinds[K] | undefined> {
    const answer = await this.#client.send({ verb: 'get', kind, path: objectPath(endpoints[kind], ref) });
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw failureOf(new KubeFault(answer.status), `get ${kind}`);
    return answer.body as Kinds[K];
  }

  listLive(kind: WatchedKind): Promise<readonly ObjectMeta[]> {
    return this.#listNow(kind, false);
  }

  listWhole(kind: WatchedKind | 'Secret'): Promise<readonly OwnedMeta[]> {
    return this.#listNow(kind, true);
  }

  async #listNow(kind: WatchedKind | 'Secret', isWhole: boolean): Promise<readonly OwnedMeta[]> {
    const { namespaces = [] } = this.#init;
    const places = kind === 'ApiKey' && namespaces.length > 0 ? namespaces : [undefined];
    const found = await Promise.all(places.map((namespace) => this.#listIn({ kind, namespace, isWhole })));
    return found.flat();
  }

  async #listIn({ kind, ...scope }: ListScope): Promise<readonly OwnedMeta[]> {
    const source = watchSource(this.#client, { kind, endpoint: endpoints[kind], ...scope });
    const found: OwnedMeta[] = [];
    let next: string | undefined;
    try {
      do {
        // Without a resourceVersion the server answers with what is committed, and not from its own cache.
        const page = await source.list('', next, this.#stop.signal);
        found.push(...page.items.map(({ metadata }) => metadata));
        ({ next } = page);
      } while (next !== undefined);
    } catch (error) {
      throw failureOf(faultOf(error), `list ${kind}`);
    }
    return found;
  }

  async disown(secret: OwnedMeta): Promise<'written' | 'lost'> {
    const { uid, resourceVersion, ownerReferences = [] } = secret;
    const others = ownerReferences.filter((owner) => owner.apiVersion !== apiVersion);
    const body = { metadata: { uid, resourceVersion, ownerReferences: others } };
    const path = objectPath(endpoints.Secret, secret);
    const answer = await this.#client.send({ verb: 'patch', kind: 'Secret', path, query: { fieldManager }, body });
    return conditionalOutcome(answer, 'disown a Secret');
  }

  async setFinalizers(kind: WatchedKind, metadata: ObjectMeta, finalizers: readonly string[]): Promise<'written' | 'lost'> {
    const { uid, resourceVersion } = metadata;
    const body = { metadata: { uid, resourceVersion, finalizers } };
    const query = { fieldManager };
    const answer = await this.#client.send({ verb: 'patch', kind, path: objectPath(endpoints[kind], metadata), query, body });
    return conditionalOutcome(answer, `set the finalizers of ${kind}`);
  }

  /**
   * The status subresource of a custom resource takes an apply with a foreign uid without a word; only the
   * resourceVersion is checked. So each try names a version, of an object whose uid was seen to be the right one.
   */
  async applyStatus(kind: WatchedKind, metadata: ObjectMeta, status: unknown): Promise<StatusOutcome> {
    const path = objectPath(endpoints[kind], metadata);
    let { resourceVersion } = metadata;
    for (let attempt = 1; ; attempt += 1) {
      const outcome = await this.#applyStatusAt(kind, { ...metadata, resourceVersion }, status);
      if (outcome !== 'lost' || attempt === statusTries) return outcome;
      // Whoever leads now may be the one that was quicker: its status is the newer one.
      if (this.#election?.holds() === false) return 'lost';
      // Another field of the object may have changed, which does not matter; or the object itself.
      const answer = await this.#client.send({ verb: 'get', kind, path, accept: partialObject });
      const current = answer.status === 200 ? (answer.body as { metadata: ObjectMeta }).metadata : undefined;
      if (current?.uid !== metadata.uid) return 'lost';
      ({ resourceVersion } = current);
    }
  }

  recordEvent(kind: WatchedKind, metadata: ObjectMeta, event: EventRecord): void {
    this.#events.record(kind, metadata, event);
  }

  async clusterUid(): Promise<string> {
    const namespace = await this.readLive('Namespace', { name: 'kube-system' });
    if (namespace === undefined) throw stalled('InternalError', 'the cluster has no namespace kube-system');
    return namespace.metadata.uid;
  }

  async readCrd(kind: ApiKind): Promise<unknown> {
    const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${endpoints[kind].plural}.${group}`;
    const answer = await this.#client.send({ verb: 'get', kind: 'CustomResourceDefinition', path });
    return answer.status === 200 ? answer.body : undefined;
  }

  async readAdmission(): Promise<PolicyPair> {
    return await readPolicy(this.#client, admissionPolicyName);
  }

  async readOperatorPolicy(): Promise<PolicyPair> {
    return await readPolicy(this.#client, operatorPolicyName);
  }

  async probeAdmission(namespace: string): Promise<ProbeAnswer> {
    return await probePolicy(this.#client, namespace);
  }

  async leaseHeldFor({ namespace, name }: { readonly namespace: string; readonly name: string }): Promise<number | undefined> {
    const path = leasePath(namespace, name);
    const answer = await this.#client.send({ verb: 'get', kind: 'Lease', path });
    const { spec } = (answer.status === 200 ? answer.body : {}) as { spec?: LeaseSpec };
    return (spec?.holderIdentity ?? '') === '' ? undefined : (spec?.leaseDurationSeconds ?? 0) * 1000;
  }

  elect(init: Omit<LeaderElectionInit, 'client' | 'clock' | 'log' | 'random'>): LeaderElection {
    const { clock, log, random } = this.#init;
    this.#election = new LeaderElection({ ...init, client: this.#client, clock, log, random });
    return this.#election;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await this.#events.close();
    await this.#client.close();
  }

  async #applyStatusAt(kind: WatchedKind, metadata: ObjectMeta, status: unknown): Promise<StatusOutcome> {
    const endpoint = endpoints[kind];
    const { name, namespace, uid, resourceVersion } = metadata;
    const body = {
      apiVersion: endpoint.apiVersion,
      kind,
      metadata: { name, uid, resourceVersion, ...(namespace === undefined ? {} : { namespace }) },
      status,
    };
    const path = `${objectPath(endpoint, metadata)}/status`;
    const what = `apply the status of ${kind}`;
    const answer = await this.#client.send({ verb: 'apply', kind, path, query: { fieldManager, force: 'true' }, body });
    if (conditionalOutcome(answer, what) === 'lost') return 'lost';
    const { metadata: written, status: found } = answer.body as { readonly metadata: ObjectMeta; readonly status?: unknown };
    const change = withoutStrangers(found ?? {}, status);
    if (change === undefined) return { resourceVersion: written.resourceVersion };
    const rest = { metadata: { uid, resourceVersion: written.resourceVersion }, status: change };
    const cleaned = await this.#client.send({ verb: 'patch', kind, path, query: { fieldManager }, body: rest });
    if (conditionalOutcome(cleaned, what) === 'lost') return 'lost';
    return { resourceVersion: (cleaned.body as { readonly metadata: ObjectMeta }).metadata.resourceVersion };
  }

  #reflectorsOf(kind: WatchedKind | 'Secret'): Reflector<Kept>[] {
    const { clock, log, random } = this.#init;
    const endpoint = endpoints[kind];
    return this.#scopesOf(kind).map(
      (namespace) =>
        new Reflector<Kept>({
          kind,
          source: watchSource(this.#client, { kind, endpoint, namespace }),
          clock,
          log,
          random,
          onChange: (change, initial) => {
            this.#tell({ kind, type: change.type, metadata: change.object.metadata, initial });
          },
        }),
    );
  }

  /** Where a kind is watched: in these namespaces, or (`undefined`) everywhere. */
  #scopesOf(kind: WatchedKind | 'Secret'): readonly (string | undefined)[] {
    const { namespaces = [], secretNamespaces } = this.#init;
    if (kind === 'Secret' && secretNamespaces !== undefined) return secretNamespaces;
    return endpoints[kind].isNamespaced && namespaces.length > 0 ? namespaces : [undefined];
  }

  #tell(event: ResourceEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}

/** 404 and 409: gone or another one; 422 on the uid or the finalizers: another one, or being deleted meanwhile. */
function conditionalOutcome(answer: KubeAnswer, what: string): 'written' | 'lost' {
  const { status } = answer;
  if (status < 300) return 'written';
  if (status === 404 || status === 409 || isOtherUid(answer) || isDeleting(answer)) return 'lost';
  throw failureOf(new KubeFault(status), what);
}

/** The server adds no finalizer to what is being deleted: 422, FieldValueForbidden on metadata.finalizers. */
function isDeleting(answer: KubeAnswer): boolean {
  return answer.status === 422 && causesOf(answer.body).some((cause) => cause.field === 'metadata.finalizers');
}

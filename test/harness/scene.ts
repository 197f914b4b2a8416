import { credentialMetadata } from '../builders/credential.ts';
import type { Kube } from './kube.ts';

/** One condition of an object's status. */
export interface SeenCondition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly lastTransitionTime: string;
}

/** Of an ApiKey, what tests look at. */
export interface SeenKey {
  readonly metadata: { readonly uid: string; readonly resourceVersion: string };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly conditions?: readonly SeenCondition[];
    readonly previousKey?: { readonly id: string; readonly notAfter?: string };
    readonly currentKey?: { readonly id: string; readonly epoch: number; readonly activatedAt?: string };
    readonly destinations?: readonly { readonly name: string; readonly keyId?: string; readonly reason?: string }[];
  };
}

/** Of a KeyDestination's status, what tests look at. */
export interface SeenDestinationStatus {
  readonly conditions?: readonly SeenCondition[];
  readonly keys?: number;
}

/** One entry of `spec.deliverTo`. */
export type DeliverTo =
  | { readonly name: string; readonly destination: string; readonly path?: string }
  | { readonly name: string; readonly secret: { readonly name: string } };

/** Where operators under test find the Secrets that a KeyDestination refers to. */
export const operatorNamespace = 'keywright-system';

const group = '/apis/keywright.dev/v1alpha1';
const plurals: Readonly<Record<string, string>> = {
  ApiCatalog: 'apicatalogs',
  KeyOwner: 'keyowners',
  KeyOwnerGroup: 'keyownergroups',
  KeyDestination: 'keydestinations',
};

/** A cluster in which keys can be declared: a catalog `default`, an owner `everybody`, and short ways to the rest. */
export class Scene {
  readonly kube: Kube;

  constructor(kube: Kube) {
    this.kube = kube;
  }

  /** Makes what every key refers to, and the operator's namespace unless it is there. */
  async prepare({ namespace = true } = {}): Promise<void> {
    const metadata = { name: operatorNamespace };
    if (namespace) await this.#create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata });
    await this.declare('ApiCatalog', 'default', {
      key: { prefix: 'acme', environment: 'live' },
      accessTypes: [{ name: 'Integrations', endpoints: 'All' }],
      // No endpoints: a living key is told apart by `endpoint_not_allowed`.
      requests: { hosts: ['api.example.com'] },
    });
    await this.declare('KeyOwner', 'everybody', {
      type: 'Team',
      displayName: 'Everybody',
      email: 'team@example.com',
      allowedNamespaces: { all: true },
      grants: [{ catalog: 'default', accessTypes: ['*'] }],
    });
  }

  /** Creates a cluster-wide object of ours. */
  async declare(kind: string, name: string, spec: object): Promise<void> {
    await this.#create(`${group}/${plurals[kind] ?? ''}`, {
      apiVersion: 'keywright.dev/v1alpha1',
      kind,
      metadata: { name },
      spec,
    });
  }

  /** A KeyDestination for this Vault, open to all namespaces; its token is made here too. */
  async declareVault(name: string, address: string, token: string): Promise<void> {
    await this.createSecret(operatorNamespace, `token-${name}`, { token }, credentialMetadata('vault-token', address));
    await this.declare('KeyDestination', name, {
      allowedNamespaces: { all: true },
      vault: {
        address,
        mount: 'secret',
        path: `keywright/${name}/{namespace}/{name}`,
        auth: { token: { secretRef: { name: `token-${name}`, key: 'token' } } },
      },
    });
  }

  /** A KeyDestination for this AWS endpoint, open to all namespaces; its access key is made here too. */
  async declareAws(
    name: string,
    aws: { readonly endpoint: string; readonly region: string },
    key: { readonly accessKeyId: string; readonly secretAccessKey: string },
  ): Promise<void> {
    await this.createSecret(
      operatorNamespace,
      `aws-${name}`,
      {
        'access-key-id': key.accessKeyId,
        'secret-access-key': key.secretAccessKey,
      },
      credentialMetadata('aws'),
    );
    await this.declare('KeyDestination', name, {
      allowedNamespaces: { all: true },
      aws: {
        region: aws.region,
        endpoint: aws.endpoint,
        name: `keywright/${name}/{namespace}/{name}`,
        auth: { secretRef: { name: `aws-${name}` } },
      },
    });
  }

  async createSecret(
    namespace: string,
    name: string,
    stringData: Readonly<Record<string, string>>,
    metadata: object = {},
  ): Promise<void> {
    await this.#create(`/api/v1/namespaces/${namespace}/secrets`, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name, ...metadata },
      stringData,
    });
  }

  /** Creates an ApiKey. */
  async createKey(namespace: string, name: string, deliverTo: readonly DeliverTo[], more: object = {}): Promise<void> {
    await this.#create(`${group}/namespaces/${namespace}/apikeys`, this.key(namespace, name, deliverTo, more));
  }

  key(namespace: string, name: string, deliverTo: readonly DeliverTo[], more: object = {}): object {
    return {
      apiVersion: 'keywright.dev/v1alpha1',
      kind: 'ApiKey',
      metadata: { name, namespace },
      spec: {
        displayName: name,
        catalog: 'default',
        owner: 'everybody',
        contactEmail: 'team@example.com',
        accessType: 'Integrations',
        deliverTo,
        ...more,
      },
    };
  }

  /** An ApiKey as it is now; `undefined` when it is gone. */
  async readKey(namespace: string, name: string): Promise<SeenKey | undefined> {
    const answer = await this.kube.request('GET', keyPath(namespace, name));
    return answer.status === 200 ? (answer.body as SeenKey) : undefined;
  }

  async condition(namespace: string, name: string, type: string): Promise<SeenCondition | undefined> {
    return (await this.readKey(namespace, name))?.status?.conditions?.find((condition) => condition.type === type);
  }

  /** As `True Available`; `absent` without the condition or the object. */
  async verdict(namespace: string, name: string, type = 'Ready'): Promise<string> {
    const condition = await this.condition(namespace, name, type);
    return condition === undefined ? 'absent' : `${condition.status} ${condition.reason}`;
  }

  async isReady(namespace: string, name: string): Promise<boolean> {
    return (await this.verdict(namespace, name)).startsWith('True ');
  }

  /** Changes an annotation, which makes the operator look at the key. */
  async touch(namespace: string, name: string): Promise<void> {
    await this.annotate(namespace, name, { touched: String(performance.now()) });
  }

  /** Changes annotations of an ApiKey; `null` takes one away. */
  async annotate(namespace: string, name: string, annotations: Readonly<Record<string, string | null>>): Promise<void> {
    const body = { metadata: { annotations } };
    const answer = await this.kube.request('PATCH', keyPath(namespace, name), {
      body,
      contentType: 'application/merge-patch+json',
    });
    if (answer.status !== 200) throw new Error(`annotation refused: ${JSON.stringify(answer.body)}`);
  }

  /** Changes members of an ApiKey's spec. */
  async changeKey(namespace: string, name: string, spec: object): Promise<void> {
    const answer = await this.kube.request('PATCH', keyPath(namespace, name), {
      body: { spec },
      contentType: 'application/merge-patch+json',
    });
    if (answer.status !== 200) throw new Error(`change refused: ${JSON.stringify(answer.body)}`);
  }

  /** Changes members of a KeyDestination's spec. */
  async changeDestination(name: string, spec: object): Promise<void> {
    const answer = await this.kube.request('PATCH', `${group}/keydestinations/${name}`, {
      body: { spec },
      contentType: 'application/merge-patch+json',
    });
    if (answer.status !== 200) throw new Error(`change refused: ${JSON.stringify(answer.body)}`);
  }

  async deleteDestination(name: string): Promise<void> {
    await this.kube.request('DELETE', `${group}/keydestinations/${name}`);
  }

  /**
   * Takes a KeyDestination away and makes it anew from its spec alone, as a backup tool does: another uid, no status, no
   * finalizer. For a time in which no operator works. Gives both uids.
   */
  async restoreDestination(name: string): Promise<{ readonly before: string; readonly after: string }> {
    const path = `${group}/keydestinations/${name}`;
    const kept = (await this.kube.request('GET', path)).body as { metadata: { uid: string }; spec: object };
    await this.deleteDestination(name);
    await this.kube.request('PATCH', path, {
      body: { metadata: { finalizers: null } },
      contentType: 'application/merge-patch+json',
    });
    if (await this.hasDestination(name)) throw new Error(`KeyDestination ${name} has not gone`);
    await this.declare('KeyDestination', name, kept.spec);
    const made = (await this.kube.request('GET', path)).body as { metadata: { uid: string } };
    return { before: kept.metadata.uid, after: made.metadata.uid };
  }

  /** Empty before the first look of an operator. */
  async destinationStatus(name: string): Promise<SeenDestinationStatus> {
    const { body } = await this.kube.request('GET', `${group}/keydestinations/${name}`);
    return (body as { readonly status?: SeenDestinationStatus } | undefined)?.status ?? {};
  }

  /** Whether the KeyDestination is there, being deleted or not. */
  async hasDestination(name: string): Promise<boolean> {
    return (await this.kube.request('GET', `${group}/keydestinations/${name}`)).status === 200;
  }

  /** As a backup tool leaves it, or a person in a hurry: without finalizers it goes at once. */
  async stripFinalizers(namespace: string, name: string): Promise<void> {
    await this.kube.request('PATCH', keyPath(namespace, name), {
      body: { metadata: { finalizers: null } },
      contentType: 'application/merge-patch+json',
    });
  }

  async deleteKey(namespace: string, name: string): Promise<void> {
    await this.kube.request('DELETE', keyPath(namespace, name));
  }

  /** The entries of a Secret; `undefined` when it is not there. */
  async readSecret(namespace: string, name: string): Promise<Readonly<Record<string, string>> | undefined> {
    const answer = await this.kube.request('GET', `/api/v1/namespaces/${namespace}/secrets/${name}`);
    if (answer.status !== 200) return undefined;
    const { data = {} } = answer.body as { data?: Record<string, string> };
    return Object.fromEntries(Object.entries(data).map(([entry, value]) => [entry, Buffer.from(value, 'base64').toString()]));
  }

  async deleteSecret(namespace: string, name: string): Promise<void> {
    await this.kube.request('DELETE', `/api/v1/namespaces/${namespace}/secrets/${name}`);
  }

  async #create(path: string, body: object): Promise<void> {
    const answer = await this.kube.request('POST', path, { body });
    if (answer.status !== 201) throw new Error(`${path} refused: ${JSON.stringify(answer.body)}`);
  }
}

function keyPath(namespace: string, name: string): string {
  return `${group}/namespaces/${namespace}/apikeys/${name}`;
}

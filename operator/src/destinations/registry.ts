import { Failure, stalled, waiting } from '../domain/failure.ts';
import { secretDestinationUid } from '../domain/key.ts';
import { Plaintext } from '../domain/plaintext.ts';
import type { Clock } from '../domain/time.ts';
import type { KeyDestination } from '../api/kinds.ts';
import { loginServiceAccountName } from '../api/meta.ts';
import type { Resources, SecretObject } from '../resources/port.ts';
import type { AwsEnvironment, IsAccepted } from './aws/login.ts';
import { credentialFault, unusableCredential } from './credential.ts';
import { withDeadline } from './deadline.ts';
import { noExtraEndpoints, type EndpointRules } from './endpoint.ts';
import { openFileDestination } from './file/file.ts';
import { openKubernetesDestination } from './kubernetes/kubernetes.ts';
import type { Destination, Destinations } from './port.ts';
import type { ReadCredential } from './readcredential.ts';
import type { RequestToken } from './vault/auth.ts';

/** The kinds of destinations, as metrics name them. */
export type DestinationKind = 'vault' | 'aws' | 'kubernetes' | 'file';

/** Where `secret:` targets go: Secrets of the cluster, or a folder in standalone mode. */
export type SecretMode = { readonly kind: 'kubernetes' } | { readonly kind: 'file'; readonly folder: string };

/** What the installation permits authors of KeyDestinations. */
export interface PermittedDestinations extends EndpointRules {
  /** The ServiceAccounts of the operator's namespace that may log in to Vault. KEYWRIGHT_LOGIN_SERVICE_ACCOUNTS. */
  readonly serviceAccounts: readonly string[];
}

const defaultPermitted: PermittedDestinations = { ...noExtraEndpoints, serviceAccounts: [loginServiceAccountName] };

/** What {@link openDestinations} needs. */
export interface DestinationsOptions {
  readonly resources: Pick<Resources, 'get' | 'list' | 'secrets' | 'loginTokens'>;
  readonly mode: SecretMode;
  readonly clock: Clock;
  /** Where `secretRef`s of KeyDestinations resolve; nowhere else. */
  readonly operatorNamespace: string;
  /** What the installation permits authors of KeyDestinations. Absent = the default. */
  readonly permitted?: PermittedDestinations | undefined;
  /** What the environment says of the role of the operator's ServiceAccount in AWS; absent = it has none. */
  readonly aws?: AwsEnvironment | undefined;
  /** Put around every destination that is opened, e.g. to count its calls. */
  readonly measure?: (kind: DestinationKind, destination: Destination, name: string) => Destination;
  /** Deadline of one request to a provider, in milliseconds; all requests of one call have twice that. Default 10 s. */
  readonly timeoutMs?: number;
}

const defaultTimeoutMs = 10_000;

interface Opened {
  readonly generation: number;
  readonly destination: Promise<Destination>;
}

/** Opens destinations on first use and keeps them: one per uid, replaced when the KeyDestination's spec changes. */
export function openDestinations(options: DestinationsOptions): Destinations {
  return new DestinationRegistry(options);
}

class DestinationRegistry implements Destinations {
  readonly #options: DestinationsOptions;
  readonly #opened = new Map<string, Opened>();

  constructor(options: DestinationsOptions) {
    this.#options = options;
  }

  async open(destinationUid: string): Promise<Destination> {
    if (destinationUid === secretDestinationUid) return this.#cached(destinationUid, 0, async () => this.#openSecrets());
    const found = this.#find(destinationUid);
    if (found === undefined) {
      await this.#forget(destinationUid);
      throw waiting('DestinationNotFound', 'the KeyDestination does not exist');
    }
    return this.#cached(destinationUid, found.metadata.generation ?? 0, () => this.#openProvider(found));
  }

  async close(): Promise<void> {
    for (const uid of [...this.#opened.keys()]) await this.#forget(uid);
  }

  #find(uid: string): KeyDestination | undefined {
    const { resources } = this.#options;
    const metadata = resources.list('KeyDestination').find((one) => one.uid === uid);
    const found = metadata === undefined ? undefined : resources.get('KeyDestination', { name: metadata.name });
    // Between the two look-ups another one may have taken the name.
    return found?.metadata.uid === uid ? found : undefined;
  }

  async #cached(uid: string, generation: number, open: () => Promise<Destination>): Promise<Destination> {
    const known = this.#opened.get(uid);
    if (known?.generation === generation) return known.destination;
    const opened: Opened = { generation, destination: open() };
    this.#opened.set(uid, opened);
    if (known !== undefined) closeQuietly(known);
    try {
      return await opened.destination;
    } catch (error) {
      // A failure is not kept: the next call tries again.
      if (this.#opened.get(uid) === opened) this.#opened.delete(uid);
      throw error;
    }
  }

  async #forget(uid: string): Promise<void> {
    const known = this.#opened.get(uid);
    if (known === undefined) return;
    this.#opened.delete(uid);
    await known.destination.then(
      (destination) => destination.close(),
      () => undefined,
    );
  }

  #openSecrets(): Destination {
    const { mode, resources, clock } = this.#options;
    if (mode.kind === 'kubernetes') return this.#measured('kubernetes', openKubernetesDestination(resources.secrets), 'Secret');
    return this.#measured('file', openFileDestination({ folder: mode.folder, clock }), 'Secret');
  }

  async #openProvider(found: KeyDestination): Promise<Destination> {
    const { vault, aws } = found.spec;
    const { name } = found.metadata;
    const { clock, resources, timeoutMs = defaultTimeoutMs, permitted: rules = defaultPermitted } = this.#options;
    const shared = { rules, clock, timeoutMs, readCredential: this.#readCredential };
    const bounded = (kind: DestinationKind, destination: Destination): Destination =>
      this.#measured(kind, withDeadline(destination, 2 * timeoutMs), name);
    if (vault !== undefined) {
      const { openVaultDestination } = await import('./vault/vault.ts');
      const requestToken = resources.loginTokens === undefined ? undefined : this.#requestToken;
      return bounded('vault', await openVaultDestination({ ...shared, spec: vault, requestToken }));
    }
    if (aws !== undefined) {
      const { openAwsDestination } = await import('./aws/aws.ts');
      const environment = this.#options.aws ?? {};
      const isAccepted = resources.loginTokens === undefined ? undefined : this.#isAccepted;
      return bounded('aws', await openAwsDestination({ ...shared, spec: aws, environment, isAccepted }));
    }
    throw stalled('InvalidSpec', `KeyDestination ${name} names no provider`);
  }

  #measured(kind: DestinationKind, destination: Destination, name: string): Destination {
    return this.#options.measure?.(kind, destination, name) ?? destination;
  }

  readonly #readCredential: ReadCredential = async (name, wanted, needed) => {
    const { resources, operatorNamespace } = this.#options;
    let secret: SecretObject | undefined;
    try {
      secret = await resources.secrets.read({ namespace: operatorNamespace, name });
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      throw waiting('DestinationUnavailable', `the Secret ${name} with the login cannot be read`);
    }
    const fault = credentialFault(name, secret, wanted);
    if (fault !== undefined) throw unusableCredential(name, wanted, needed, fault);
    return (entry) => {
      const encoded = secret?.data?.[entry];
      return encoded === undefined ? undefined : new Plaintext(Buffer.from(encoded, 'base64').toString('utf8'));
    };
  };

  readonly #requestToken: RequestToken = async (serviceAccount, audience) => {
    const { resources, operatorNamespace, permitted = defaultPermitted } = this.#options;
    if (!permitted.serviceAccounts.includes(serviceAccount) || resources.loginTokens === undefined) {
      throw stalled(
        'InvalidSpec',
        `the installation permits no tokens of the ServiceAccount ${serviceAccount}, only of ${permitted.serviceAccounts.join(', ')}`,
      );
    }
    return resources.loginTokens.request({ namespace: operatorNamespace, serviceAccount, audience });
  };

  readonly #isAccepted: IsAccepted = async (token) => {
    try {
      return (await this.#options.resources.loginTokens?.isAccepted(token)) === true;
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      throw waiting('DestinationUnavailable', error.message);
    }
  };
}

/** The calls in flight on the old instance end first; nobody waits for that. */
function closeQuietly(opened: Opened): void {
  opened.destination.then((destination) => destination.close()).catch(() => undefined);
}

import { Failure, stalled, waiting } from '../domain/failure.ts';
import { secretDestinationUid } from '../domain/key.ts';
import { Plaintext } from '../domain/plaintext.ts';
import type { Clock } from '../domain/time.ts';
import type { KeyDestination } from '../api/kinds.ts';
import type { Resources } from '../resources/port.ts';
import type { AwsEnvironment } from './aws/login.ts';
import { withDeadline } from './deadline.ts';
import { openFileDestination } from './file/file.ts';
import { openKubernetesDestination } from './kubernetes/kubernetes.ts';
import type { Destination, Destinations } from './port.ts';
import type { ReadSecret } from './readsecret.ts';

/** The kinds of destinations, as metrics name them. */
export type DestinationKind = 'vault' | 'aws' | 'kubernetes' | 'file';

/** Where `secret:` targets go: Secrets of the cluster, or a folder in standalone mode. */
export type SecretMode = { readonly kind: 'kubernetes' } | { readonly kind: 'file'; readonly folder: string };

/** What {@link openDestinations} needs. */
export interface DestinationsOptions {
  readonly resources: Pick<Resources, 'get' | 'list' | 'secrets' | 'requestToken'>;
  readonly mode: SecretMode;
  readonly clock: Clock;
  /** Where `secretRef`s of KeyDestinations resolve; nowhere else. */
  readonly operatorNamespace: string;
  /** What the environment says of the role of the operator's ServiceAccount in AWS; absent = it has none. */
  readonly aws?: AwsEnvironment | undefined;
  /** Put around every destination that is opened, e.g. to count its calls. */
  readonly measure?: (kind: DestinationKind, destination: Destination) => Destination;
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
    if (mode.kind === 'kubernetes') return this.#measured('kubernetes', openKubernetesDestination(resources.secrets));
    return this.#measured('file', openFileDestination({ folder: mode.folder, clock }));
  }

  async #openProvider(found: KeyDestination): Promise<Destination> {
    const { vault, aws } = found.spec;
    const { clock, resources, timeoutMs = defaultTimeoutMs } = this.#options;
    const bounded = (kind: DestinationKind, destination: Destination): Destination =>
      this.#measured(kind, withDeadline(destination, 2 * timeoutMs));
    const readSecret = this.#readSecret;
    if (vault !== undefined) {
      const { openVaultDestination } = await import('./vault/vault.ts');
      const requestToken = resources.requestToken?.bind(resources);
      return bounded('vault', await openVaultDestination({ spec: vault, readSecret, requestToken, clock, timeoutMs }));
    }
    if (aws !== undefined) {
      const { openAwsDestination } = await import('./aws/aws.ts');
      const environment = this.#options.aws ?? {};
      return bounded('aws', await openAwsDestination({ spec: aws, environment, readSecret, clock, timeoutMs }));
    }
    throw stalled('InvalidSpec', `KeyDestination ${found.metadata.name} names no provider`);
  }

  #measured(kind: DestinationKind, destination: Destination): Destination {
    return this.#options.measure?.(kind, destination) ?? destination;
  }

  readonly #readSecret: ReadSecret = async (name, entry) => {
    const { resources, operatorNamespace } = this.#options;
    try {
      const secret = await resources.secrets.read({ namespace: operatorNamespace, name });
      const encoded = secret?.data?.[entry];
      return encoded === undefined ? undefined : new Plaintext(Buffer.from(encoded, 'base64').toString('utf8'));
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      throw waiting('DestinationUnavailable', `the Secret ${name} with the login cannot be read`);
    }
  };
}

/** The calls in flight on the old instance end first; nobody waits for that. */
function closeQuietly(opened: Opened): void {
  opened.destination.then((destination) => destination.close()).catch(() => undefined);
}

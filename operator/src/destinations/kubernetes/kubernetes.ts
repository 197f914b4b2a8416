import { isDeepStrictEqual } from 'node:util';

import { apiVersion, group } from '../../api/meta.ts';
import { Failure } from '../../domain/failure.ts';
import type { Location } from '../../domain/key.ts';
import type { Mark } from '../../domain/version.ts';
import type { OwnerReference, SecretManifest, SecretMeta, Secrets } from '../../resources/port.ts';
import { formatMark, parseMark, refuseForeign } from '../condition.ts';
import { parseSecretLocation } from '../location.ts';
import type { DeliveredRecord, DeliveredValue, Destination, Reading, WriteOutcome } from '../port.ts';
import { foundValue, revealEntries } from '../record.ts';

/** The label by which our Secrets are watched. */
export const managedByLabel = { 'app.kubernetes.io/managed-by': 'keywright' } as const;

/** The type of our Secrets, from the Service Binding specification: `servicebinding.io/<type entry>`. */
export const secretType = 'servicebinding.io/api-key';

/** Opens the Secrets of a cluster as a destination. */
export function openKubernetesDestination(secrets: Secrets): Destination {
  return new KubernetesDestination(secrets);
}

/**
 * Secrets of the keys' own namespaces. Mark (annotations) and value are one object and one write, so a mark always
 * carries; that somebody edited the value by hand is seen only by reading it.
 */
class KubernetesDestination implements Destination {
  readonly #secrets: Secrets;

  constructor(secrets: Secrets) {
    this.#secrets = secrets;
  }

  async readMark(location: Location): Promise<Reading> {
    const ref = parseSecretLocation(location);
    return readingOf(await classified(() => this.#secrets.readMetadata(ref)));
  }

  async readValue(location: Location): Promise<DeliveredValue | undefined> {
    const ref = parseSecretLocation(location);
    const secret = await classified(() => this.#secrets.read(ref));
    if (secret === undefined) return undefined;
    const { data = {} } = secret;
    const reading = readingOf(secret.metadata);
    const texts = Object.fromEntries(Object.entries(data).map(([name, encoded]) => [name, textOf(encoded)]));
    return foundValue(
      texts,
      reading.kind === 'marked' && data['api-key'] === undefined ? { ...reading, carries: false } : reading,
    );
  }

  async write(
    location: Location,
    record: DeliveredRecord,
    mark: Mark,
    observed: Reading,
    _attemptId: string,
  ): Promise<WriteOutcome> {
    refuseForeign(observed);
    const ref = parseSecretLocation(location);
    const condition = observed.kind === 'absent' ? undefined : parseRevision(observed.revision);
    if (observed.kind !== 'absent' && condition === undefined) return { kind: 'lost' };
    const manifest = toManifest(ref, record, mark);
    const outcome = await classified(() => this.#secrets.write(manifest, condition));
    if (outcome.kind === 'lost') return { kind: 'lost' };
    const { metadata } = outcome.object;
    return { kind: 'written', providerVersion: metadata.resourceVersion, reading: readingOf(metadata) };
  }

  /** Readers get the Secret as it was written: there is nothing to promote, only to look whether it is still ours. */
  async promote(location: Location, _mark: Mark, observed: Reading): Promise<WriteOutcome> {
    const reading = await this.readMark(location);
    if (reading.kind !== 'marked' || reading.revision !== observed.revision) return { kind: 'lost' };
    return { kind: 'written', providerVersion: reading.providerVersion, reading };
  }

  async withdraw(location: Location, observed: Reading): Promise<'withdrawn' | 'lost'> {
    refuseForeign(observed);
    const ref = parseSecretLocation(location);
    const condition = observed.kind === 'absent' ? undefined : parseRevision(observed.revision);
    if (condition !== undefined) {
      if ((await classified(() => this.#secrets.remove(ref, condition))) === 'removed') return 'withdrawn';
    }
    // With nothing observed, or another object under the name: gone is gone, whoever removed it.
    return (await classified(() => this.#secrets.readMetadata(ref))) === undefined ? 'withdrawn' : 'lost';
  }

  /** The rights on Secrets are the operator's own role; whoever lacks them sees it at the first write. */
  async probe(): Promise<void> {
    // Nothing to log in to.
  }

  async close(): Promise<void> {
    // The connection belongs to the resources port.
  }
}

function toManifest(
  ref: { readonly namespace: string; readonly name: string },
  record: DeliveredRecord,
  mark: Mark,
): SecretManifest {
  const annotations = Object.entries(formatMark(mark)).map(([name, text]) => [`${group}/${name}`, text] as const);
  const data = Object.entries(revealEntries(record)).map(
    ([name, text]) => [name, Buffer.from(text, 'utf8').toString('base64')] as const,
  );
  return {
    ...ref,
    type: secretType,
    labels: managedByLabel,
    annotations: Object.fromEntries(annotations),
    ownerReferences: [ownerOf(mark)],
    data: Object.fromEntries(data),
  };
}

function ownerOf({ name, uid }: Mark): OwnerReference {
  // One controller per object: no other operator adopts the Secret. Blocking the owner's deletion would need the
  // right to set finalizers on ApiKeys, and our own finalizer does that already.
  return { apiVersion, kind: 'ApiKey', name, uid, controller: true, blockOwnerDeletion: false };
}

/**
 * Without our label, the watch does not see the Secret; without its owner, the Secret outlives the ApiKey in a namespace that the
 * operator no longer serves.
 */
function isDressed({ labels = {}, ownerReferences = [] }: SecretMeta, mark: Mark): boolean {
  const isLabelled = Object.entries(managedByLabel).every(([name, value]) => labels[name] === value);
  return isLabelled && ownerReferences.some((one) => isDeepStrictEqual(one, ownerOf(mark)));
}

/** `undefined` for bytes that are not text, and so not ours. */
function textOf(encoded: string): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(encoded, 'base64'));
  } catch {
    return undefined;
  }
}

function readingOf(metadata: SecretMeta | undefined): Reading {
  if (metadata === undefined) return { kind: 'absent', revision: 'absent' };
  const revision = `${metadata.uid}/${metadata.resourceVersion}`;
  const ours = Object.entries(metadata.annotations ?? {}).filter(([name]) => name.startsWith(`${group}/`));
  const mark = parseMark(Object.fromEntries(ours.map(([name, text]) => [name.slice(group.length + 1), text])));
  if (mark === undefined) return { kind: 'unmarked', revision };
  const dress = isDressed(metadata, mark) ? {} : ({ undressed: true } as const);
  return { kind: 'marked', mark, carries: true, ...dress, providerVersion: metadata.resourceVersion, revision };
}

function parseRevision(revision: string): { readonly uid: string; readonly resourceVersion: string } | undefined {
  const [uid, resourceVersion] = revision.split('/');
  return uid === undefined || resourceVersion === undefined ? undefined : { uid, resourceVersion };
}

/** A destination speaks of itself with one reason, whatever the port below calls its failure. */
async function classified<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (!(error instanceof Failure) || error.reason === 'DestinationUnavailable') throw error;
    const { kind, message, retryAfterMs } = error;
    throw new Failure({
      kind,
      reason: 'DestinationUnavailable',
      message,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    });
  }
}

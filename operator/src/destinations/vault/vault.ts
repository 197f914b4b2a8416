import { stalled, waiting } from '../../domain/failure.ts';
import type { Location } from '../../domain/key.ts';
import type { Clock } from '../../domain/time.ts';
import type { Mark } from '../../domain/version.ts';
import { refuseForeign } from '../condition.ts';
import { permitEndpoint, type EndpointRules } from '../endpoint.ts';
import { checkMount, parseSegments } from '../location.ts';
import type { DeliveredRecord, DeliveredValue, Destination, Reading, WriteOutcome } from '../port.ts';
import { foundValue, revealEntries } from '../record.ts';
import { openLogin, type CredentialSources, type VaultAuthSpec } from './auth.ts';
import { openVaultClient, type VaultClient } from './client.ts';
import { announcement, garbage, member, parseMetadata, readingOf, type Metadata } from './metadata.ts';
import { openVaultServer } from './server.ts';
import { openVaultSession } from './session.ts';

/** `spec.vault` of a KeyDestination, as far as it is read here. */
export interface VaultSpec {
  readonly address: string;
  readonly mount: string;
  /** The template of the paths; the probe asks for the rights below its fixed part. */
  readonly path: string;
  readonly namespace?: string | undefined;
  readonly caBundle?: string | undefined;
  readonly auth: VaultAuthSpec;
}

/** What a Vault destination is opened with. */
export interface VaultDestinationOptions extends CredentialSources {
  readonly spec: VaultSpec;
  /** What the installation permits. */
  readonly rules: EndpointRules;
  readonly clock: Clock;
  /** Deadline of one call. Default 10 s. */
  readonly timeoutMs?: number | undefined;
}

/** Opens a KV v2 mount of HashiCorp Vault or OpenBao. Nothing is sent yet; throws `stalled InvalidSpec`. */
export async function openVaultDestination(options: VaultDestinationOptions): Promise<Destination> {
  const { spec, clock, timeoutMs, rules } = options;
  const mount = checkMount(spec.mount, 'spec.vault');
  const endpoint = permitEndpoint(spec.address, 'spec.vault.address', rules);
  if (spec.namespace !== undefined) parseSegments(spec.namespace);
  const { address } = endpoint;
  if (address.endsWith('/v1')) throw stalled('InvalidSpec', 'spec.vault.address must not end with /v1');
  const login = openLogin(spec.auth, options, { address, isListed: rules.vaultAddresses.includes(address) });
  const { namespace, caBundle } = spec;
  const server = await openVaultServer({ endpoint, namespace, caBundle, timeoutMs });
  return new VaultDestination(openVaultClient(server, openVaultSession(server, login, clock), clock), mount, spec.path);
}

/**
 * A KV v2 mount. The mark is custom metadata of the path, and announces the version that it speaks of: it is written
 * first and says `cas + 1`, then the value is written with `cas`. A stop in between leaves a mark that announces a
 * version that does not exist, so it does not carry; the other order would leave a value of ours that looks like a
 * stranger's, and block the location for good.
 */
class VaultDestination implements Destination {
  readonly #client: VaultClient;
  readonly #mount: string;
  readonly #template: string;

  constructor(client: VaultClient, mount: string, template: string) {
    this.#client = client;
    this.#mount = mount;
    this.#template = template;
  }

  async readMark(location: Location): Promise<Reading> {
    return readingOf(await this.#metadata(this.#path(location)));
  }

  async readValue(location: Location): Promise<DeliveredValue | undefined> {
    const path = this.#path(location);
    const answer = await this.#client.read(`${this.#mount}/data/${path}`);
    // A deleted or destroyed version answers 404 as well.
    if (answer.kind === 'missing') return undefined;
    if (answer.kind === 'refused') throw refusedCall();
    const data = member(answer.body, 'data');
    const version = member(member(data, 'metadata'), 'version');
    const entries = member(data, 'data');
    if (typeof version !== 'number' || typeof entries !== 'object' || entries === null) throw garbage();
    // Two reads, so the mark may be that of a newer value; the version says whether it is.
    const metadata = await this.#metadata(path);
    if (metadata?.currentVersion !== version) throw waiting('DestinationUnavailable', 'the value changed while it was read');
    return foundValue(entries as Readonly<Record<string, unknown>>, readingOf(metadata));
  }

  async write(
    location: Location,
    record: DeliveredRecord,
    mark: Mark,
    observed: Reading,
    _attemptId: string,
  ): Promise<WriteOutcome> {
    refuseForeign(observed);
    const path = this.#path(location);
    // The announcement has no condition of its own: this look keeps a late writer from spoiling a newer mark.
    const before = await this.#metadata(path);
    if (readingOf(before).revision !== observed.revision) return { kind: 'lost' };
    const cas = before?.currentVersion ?? 0;
    const announced = await this.#client.write(`${this.#mount}/metadata/${path}`, {
      custom_metadata: announcement(mark, cas + 1),
    });
    if (announced.kind !== 'ok') throw refusedCall();
    const written = await this.#client.write(`${this.#mount}/data/${path}`, { data: revealEntries(record), options: { cas } });
    if (written.kind === 'refused' && isLostCondition(written.body)) return { kind: 'lost' };
    if (written.kind !== 'ok') throw refusedCall();
    if (member(member(written.body, 'data'), 'version') !== cas + 1) throw garbage();
    return this.#outcome(path, cas + 1);
  }

  /** Readers get the newest version at once: there is nothing to promote, only to look whether it is still ours. */
  async promote(location: Location, _mark: Mark, observed: Reading): Promise<WriteOutcome> {
    const reading = await this.readMark(location);
    if (reading.kind !== 'marked' || reading.revision !== observed.revision) return { kind: 'lost' };
    return { kind: 'written', providerVersion: reading.providerVersion, reading };
  }

  /**
   * Destroys the values, then removes the path. The removal has no condition in Vault, so the path is looked at once
   * more between the two: a value that somebody wrote meanwhile stays. A stop in between leaves our mark without a
   * value, which the next withdrawal removes.
   */
  async withdraw(location: Location, observed: Reading): Promise<'withdrawn' | 'lost'> {
    refuseForeign(observed);
    const path = this.#path(location);
    const before = await this.#metadata(path);
    if (before === undefined || isEmpty(before)) return 'withdrawn';
    if (readingOf(before).revision !== observed.revision) return 'lost';
    if (before.undestroyed.length > 0) {
      const destroyed = await this.#client.write(`${this.#mount}/destroy/${path}`, { versions: before.undestroyed });
      if (destroyed.kind === 'refused') throw refusedCall();
    }
    const after = await this.#metadata(path);
    if (after === undefined) return 'withdrawn';
    if (after.currentVersion !== before.currentVersion || after.createdTime !== before.createdTime) return 'lost';
    const removed = await this.#client.delete(`${this.#mount}/metadata/${path}`);
    if (removed.kind === 'refused') throw refusedCall();
    return 'withdrawn';
  }

  /** Login, and the rights that a delivery needs below the template, by asking for them: nothing is written. */
  async probe(): Promise<void> {
    const below = this.#template.replace('{namespace}', 'probe').replace('{name}', 'probe');
    const path = parseSegments(below).join('/');
    const needed = [
      // No `create`: the announcement has made the path, and without it a value would stand there unmarked.
      { path: `${this.#mount}/data/${path}`, rights: ['read', 'update'] },
      { path: `${this.#mount}/metadata/${path}`, rights: ['create', 'read', 'update', 'delete'] },
      { path: `${this.#mount}/destroy/${path}`, rights: ['update'] },
    ];
    const answer = await this.#client.write('sys/capabilities-self', { paths: needed.map((one) => one.path) });
    if (answer.kind !== 'ok') throw refusedCall();
    const data = member(answer.body, 'data') ?? answer.body;
    for (const one of needed) {
      const held = member(data, one.path);
      if (!Array.isArray(held)) throw garbage();
      const missing = held.includes('root') ? [] : one.rights.filter((right) => !held.includes(right));
      if (missing.length > 0) {
        const what = one.path.slice(this.#mount.length + 1).split('/')[0] ?? '';
        throw waiting('DestinationUnavailable', `the policy lacks ${missing.join(', ')} on ${this.#mount}/${what}/`);
      }
    }
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  /** `<mount>/<path>` → the path, every segment checked and encoded: node-vault joins paths as text, where `..` climbs. */
  #path(location: Location): string {
    const start = `${this.#mount}/`;
    if (!location.path.startsWith(start)) throw stalled('InvalidSpec', 'the location is not below the mount of its destination');
    return parseSegments(location.path.slice(start.length)).map(encodeURIComponent).join('/');
  }

  async #metadata(path: string): Promise<Metadata | undefined> {
    const answer = await this.#client.read(`${this.#mount}/metadata/${path}`);
    if (answer.kind === 'ok') return parseMetadata(answer.body);
    if (answer.kind === 'refused') throw refusedCall();
    // Vault's own 404 for an unknown path has an empty list; with a text in it, the mount itself is unknown.
    const errors = member(answer.body, 'errors');
    if (!Array.isArray(errors)) throw garbage();
    if (errors.length > 0)
      throw waiting('DestinationUnavailable', `the Vault server has no KV engine of version 2 mounted at ${this.#mount}`);
    return undefined;
  }

  async #outcome(path: string, version: number): Promise<WriteOutcome> {
    const reading = readingOf(await this.#metadata(path));
    return { kind: 'written', providerVersion: String(version), reading };
  }
}

/** Nothing was ever written, and nobody says anything about the path. */
function isEmpty(metadata: Metadata): boolean {
  return readingOf(metadata).kind === 'absent';
}

/** KV v2 says 400 for a lost condition and for a malformed request alike; only the text tells them apart. */
function isLostCondition(body: unknown): boolean {
  const errors = member(body, 'errors');
  return Array.isArray(errors) && errors.some((text) => typeof text === 'string' && text.includes('check-and-set'));
}

function refusedCall(): Error {
  return waiting('DestinationUnavailable', 'the Vault server refuses the call; is the mount a KV engine of version 2?');
}

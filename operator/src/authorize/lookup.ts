import { stalled, waiting } from '../domain/failure.ts';
import type { Plaintext } from '../domain/plaintext.ts';
import type { Clock } from '../domain/time.ts';
import type { Match, Peppers } from '../keys/pepper.ts';
import { isEmptyToken, parseToken } from '../keys/token.ts';
import type { TokenParts } from '../keys/token.ts';
import type { CatalogRow, KeyRecord, Store } from '../store/port.ts';
import type { CatalogCache, CompiledCatalog } from './catalog.ts';
import { normaliseHost } from './host.ts';
import { proveKey } from './provenkey.ts';
import type { ProvenKey } from './provenkey.ts';
import type { AuthRequest } from './request.ts';

/** What is known of a presented credential, and of the catalog that the request addresses (absent = none does). */
export type Lookup =
  /** Nothing was presented. */
  | { readonly kind: 'missing'; readonly catalog?: CompiledCatalog }
  /** Not a token of ours, an unknown key id, or another secret than the record's. */
  | { readonly kind: 'unknown'; readonly catalog?: CompiledCatalog }
  /** The store did not answer, or this process lacks the pepper: nothing can be said. */
  | { readonly kind: 'stale'; readonly error: unknown }
  /** The whole token is the record's. `key` is absent when the key's catalog is gone. */
  | { readonly kind: 'known'; readonly keyId: string; readonly catalog?: CompiledCatalog; readonly key?: ProvenKey };

/** What {@link lookup} asks. */
export interface LookupSources {
  readonly store: Pick<Store, 'findByKeyId' | 'findCatalog'>;
  readonly peppers: Peppers;
  readonly clock: Clock;
  readonly catalogs: CatalogCache;
  /** The longest wait for the store, in milliseconds (2,000 without): after it a gateway had better hear `authorizer_stale`. */
  readonly timeoutMs?: number;
}

const defaultTimeoutMs = 2_000;

/**
 * Finds the record that a credential proves, and the catalog that the request addresses. The value is hashed here, and goes
 * no further: neither the result nor an error carries it. Never throws: what went wrong is `stale`.
 */
export async function lookup(request: AuthRequest, sources: LookupSources): Promise<Lookup> {
  const presented = readCredential(request.credential);
  // Over HTTPS only a token asks for the catalog: without one its policy changes nothing.
  if (presented.kind !== 'token' && request.scheme === 'https') return presented;
  try {
    const answer = await inTime(ask(presented, request, sources), sources);
    if (answer === 'too late') return { kind: 'stale', error: waiting('StoreUnavailable', 'the store did not answer in time') };
    return answer;
  } catch (error) {
    return { kind: 'stale', error };
  }
}

type Presented =
  { readonly kind: 'missing' | 'unknown' } | { readonly kind: 'token'; readonly token: Plaintext; readonly parts: TokenParts };

function readCredential(credential: AuthRequest['credential']): Presented {
  if (credential === undefined) return { kind: 'missing' };
  if (credential === 'malformed') return { kind: 'unknown' };
  if (isEmptyToken(credential)) return { kind: 'missing' };
  const parts = parseToken(credential);
  return parts === undefined ? { kind: 'unknown' } : { kind: 'token', token: credential, parts };
}

async function ask(presented: Presented, request: AuthRequest, sources: LookupSources): Promise<Lookup> {
  const [row, record] = await Promise.all([
    findAddressed(request, sources.store),
    presented.kind === 'token' ? sources.store.findByKeyId(presented.parts.keyId) : undefined,
  ]);
  const addressed = row === undefined ? {} : { catalog: sources.catalogs.get(row) };
  if (presented.kind !== 'token') return { kind: presented.kind, ...addressed };
  const proof = prove(record, presented.parts.display, presented.token, sources.peppers);
  if (proof === 'unknown pepper') {
    const error = stalled('InvalidSpec', 'a pepper that a version was made with is not in the pepper file');
    return { kind: 'stale', error };
  }
  if (record === undefined || !proof) return { kind: 'unknown', ...addressed };
  const key = record.catalog === undefined ? {} : { key: proveKey(record, sources.catalogs.get(record.catalog)) };
  return { kind: 'known', keyId: record.version.keyId, ...addressed, ...key };
}

/** The catalog that the request names, when the host is one of its own; else the one that the host belongs to. */
async function findAddressed(
  request: Pick<AuthRequest, 'catalog' | 'host'>,
  store: Pick<Store, 'findCatalog'>,
): Promise<CatalogRow | undefined> {
  const host = normaliseHost(request.host);
  if (host === undefined) return undefined;
  if (request.catalog === undefined) return await store.findCatalog({ host });
  const named = await store.findCatalog({ name: request.catalog });
  return named?.model.requests.hosts.includes(host) === true ? named : undefined;
}

function prove(record: KeyRecord | undefined, display: string, token: Plaintext, peppers: Peppers): Match {
  if (record === undefined) {
    // An unknown id costs one hash too, so that the time of the answer does not tell ids that exist.
    peppers.hash(token);
    return false;
  }
  const match = peppers.matches(record.version, token);
  // The hash covers prefix and environment; a record that shows others is not to be trusted with an answer.
  return match === true ? record.version.display === display : match;
}

async function inTime<T>(answer: Promise<T>, sources: LookupSources): Promise<T | 'too late'> {
  const found = new AbortController();
  const late = sources.clock.sleep(sources.timeoutMs ?? defaultTimeoutMs, found.signal).then(
    () => 'too late' as const,
    () => 'too late' as const,
  );
  try {
    return await Promise.race([answer, late]);
  } finally {
    found.abort();
  }
}

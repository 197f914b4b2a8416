import { stalled, waiting } from '../domain/failure.ts';
import type { Plaintext } from '../domain/plaintext.ts';
import type { Clock } from '../domain/time.ts';
import { hashLength } from '../keys/hash.ts';
import type { HashedToken, Match, Peppers } from '../keys/pepper.ts';
import { isEmptyToken, parseToken } from '../keys/token.ts';
import type { TokenParts } from '../keys/token.ts';
import type { KeyRecord } from '../store/port.ts';
import type { CatalogCache, CompiledCatalog } from './catalog.ts';
import { parseHost } from './host.ts';
import { proveKey } from './provenkey.ts';
import type { ProvenKey } from './provenkey.ts';
import type { Answer, Lane, Question, StoreReads } from './reads.ts';
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
  readonly reads: Pick<StoreReads, 'ask'>;
  readonly peppers: Peppers;
  readonly clock: Clock;
  readonly catalogs: CatalogCache;
  /** The longest wait for the store, in milliseconds (2,000 without): after it a gateway had better hear `authorizer_stale`. */
  readonly timeoutMs?: number | undefined;
}

const defaultTimeoutMs = 2_000;

/** What was presented as the key, before the store is asked. */
export type Presented =
  | { readonly kind: 'missing' | 'unknown' }
  | { readonly kind: 'token'; readonly token: Plaintext; readonly parts: TokenParts; readonly hashed: HashedToken };

/** Reads the credential. Every well-formed token is hashed here once, whether its id exists or not. */
export function readCredential(credential: AuthRequest['credential'], peppers: Peppers): Presented {
  if (credential === undefined) return { kind: 'missing' };
  if (credential === 'malformed') return { kind: 'unknown' };
  if (isEmptyToken(credential)) return { kind: 'missing' };
  const parts = parseToken(credential);
  return parts === undefined
    ? { kind: 'unknown' }
    : { kind: 'token', token: credential, parts, hashed: peppers.hash(credential) };
}

/**
 * Finds the record that a credential proves, and the catalog that the request addresses. The value goes no further: neither the
 * result nor an error carries it. Never throws: a failure gives `stale`. `shed` = too many wait in this lane already.
 */
export async function lookup(
  presented: Presented,
  lane: Lane,
  request: AuthRequest,
  sources: LookupSources,
): Promise<Lookup | 'shed'> {
  // Over HTTPS only a token asks for the catalog: without one its policy changes nothing.
  if (presented.kind !== 'token' && request.scheme === 'https') return presented;
  const question = { ...addressOf(request), keyId: presented.kind === 'token' ? presented.parts.keyId : undefined };
  try {
    const answer = await askInTime(question, lane, sources);
    if (answer === 'shed') return answer;
    if (answer === 'too late') return { kind: 'stale', error: waiting('StoreUnavailable', 'the store did not answer in time') };
    const addressed = answer.catalog === undefined ? {} : { catalog: sources.catalogs.get(answer.catalog) };
    return presented.kind === 'token'
      ? proveToken(presented, answer.record, addressed, sources)
      : { kind: presented.kind, ...addressed };
  } catch (error) {
    return { kind: 'stale', error };
  }
}

type Token = Extract<Presented, { kind: 'token' }>;

function proveToken(
  presented: Token,
  record: KeyRecord | undefined,
  addressed: { readonly catalog?: CompiledCatalog },
  { peppers, catalogs }: LookupSources,
): Lookup {
  const proof = prove(record, presented, peppers);
  if (proof === 'unknown pepper') {
    const error = stalled('InvalidSpec', 'a pepper that a version was made with is not in the pepper file');
    return { kind: 'stale', error };
  }
  if (record === undefined || !proof) return { kind: 'unknown', ...addressed };
  const key = record.catalog === undefined ? {} : { key: proveKey(record, catalogs.get(record.catalog)) };
  return { kind: 'known', keyId: record.version.keyId, ...addressed, ...key };
}

/** No token has this hash. */
const noHash = new Uint8Array(hashLength);

/** Hashes and compares once more in every case, so that an unknown id costs as much as a known one. */
function prove(record: KeyRecord | undefined, { token, parts, hashed }: Token, peppers: Peppers): Match {
  const match = peppers.matches(record?.version ?? { pepperId: hashed.pepperId, hash: noHash }, token);
  // The hash covers prefix and environment; a record that shows others is not to be trusted with an answer.
  return match === true ? record?.version.display === parts.display : match;
}

/** What a Kubernetes object may be named (RFC 1123 subdomain). Nothing else reaches the store. */
const namePattern = /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/;

/** How the request addresses a catalog; leaves out a name or host that no catalog can have. */
function addressOf({ host, catalog }: Pick<AuthRequest, 'host' | 'catalog'>): Pick<Question, 'host' | 'catalog'> {
  const normalised = parseHost(host)?.name;
  const isPossible = normalised !== undefined && (catalog === undefined || namePattern.test(catalog));
  return isPossible ? { host: normalised, catalog } : { host: undefined, catalog: undefined };
}

async function askInTime(
  question: Question,
  lane: Lane,
  { reads, clock, timeoutMs = defaultTimeoutMs }: LookupSources,
): Promise<Answer | 'shed' | 'too late'> {
  const done = new AbortController();
  const answer = reads.ask(question, lane, done.signal);
  if (answer === undefined) return 'shed';
  const late = clock.sleep(timeoutMs, done.signal).then(
    () => 'too late' as const,
    () => 'too late' as const,
  );
  try {
    return await Promise.race([answer, late]);
  } finally {
    done.abort();
  }
}

import { stalled, waiting } from '../domain/failure.ts';
import type { Plaintext } from '../domain/plaintext.ts';
import type { Clock } from '../domain/time.ts';
import type { Peppers } from '../keys/pepper.ts';
import { isEmptyToken, parseToken } from '../keys/token.ts';
import type { KeyRecord, Store } from '../store/port.ts';

/** What is known of a presented credential. */
export type Lookup =
  /** Nothing was presented. */
  | { readonly kind: 'missing' }
  /** Not a token of ours, an unknown key id, or another secret than the record's. */
  | { readonly kind: 'unknown' }
  /** The store did not answer, or this process lacks the pepper: nothing can be said. */
  | { readonly kind: 'stale'; readonly error: unknown }
  /** The whole token is the record's. */
  | { readonly kind: 'known'; readonly record: KeyRecord };

/** What {@link lookup} asks. */
export interface LookupSources {
  readonly store: Pick<Store, 'findByKeyId'>;
  readonly peppers: Peppers;
  readonly clock: Clock;
  /** The longest wait for the store, in milliseconds (2,000 without): after it a gateway had better hear `authorizer_stale`. */
  readonly timeoutMs?: number;
}

const defaultTimeoutMs = 2_000;

/**
 * Finds the record that a credential proves. The value is hashed here, and goes no further: neither the result nor an
 * error carries it. Never throws: what went wrong is `stale`.
 */
export async function lookup(credential: Plaintext | undefined | 'malformed', sources: LookupSources): Promise<Lookup> {
  if (credential === undefined) return { kind: 'missing' };
  if (credential === 'malformed') return { kind: 'unknown' };
  if (isEmptyToken(credential)) return { kind: 'missing' };
  const parts = parseToken(credential);
  if (parts === undefined) return { kind: 'unknown' };
  try {
    const record = await findInTime(parts.keyId, sources);
    if (record === 'too late') return { kind: 'stale', error: waiting('StoreUnavailable', 'the store did not answer in time') };
    return match(record, parts.display, credential, sources.peppers);
  } catch (error) {
    return { kind: 'stale', error };
  }
}

function match(record: KeyRecord | undefined, display: string, credential: Plaintext, peppers: Peppers): Lookup {
  if (record === undefined) {
    // An unknown id costs one hash too, so that the time of the answer does not tell ids that exist.
    peppers.hash(credential);
    return { kind: 'unknown' };
  }
  const match = peppers.matches(record.version, credential);
  if (match === 'unknown pepper')
    return { kind: 'stale', error: stalled('InvalidSpec', 'a pepper that a version was made with is not in the pepper file') };
  // The hash covers prefix and environment; a record that shows others is not to be trusted with an answer.
  return match && record.version.display === display ? { kind: 'known', record } : { kind: 'unknown' };
}

async function findInTime(keyId: string, sources: LookupSources): Promise<KeyRecord | undefined | 'too late'> {
  const found = new AbortController();
  const late = sources.clock.sleep(sources.timeoutMs ?? defaultTimeoutMs, found.signal).then(
    () => 'too late' as const,
    () => undefined,
  );
  try {
    return await Promise.race([sources.store.findByKeyId(keyId), late]);
  } finally {
    found.abort();
  }
}

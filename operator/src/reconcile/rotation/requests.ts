import { isStorable } from '../../domain/text.ts';

/** Longer values of the request annotations are no request: the store keeps what it handled. In characters. */
export const longestRotateRequest = 253;
export const longestCompromisedRequest = 1024;

/** A request annotation against what was handled last. */
export type Request =
  | { readonly kind: 'none' }
  | { readonly kind: 'asked'; readonly value: string }
  /** Nothing to do, but what counts as handled changes: to `value`, or to nothing. */
  | { readonly kind: 'remember'; readonly value: string | undefined }
  /** Cannot be remembered, so nothing is done, and the status must say so: see {@link longestRotateRequest} and {@link isStorable}. */
  | { readonly kind: 'tooLong' | 'notStorable' };

/** What is known of one request annotation. */
export interface RequestSeen {
  /** The annotation's value. */
  readonly present: string | undefined;
  /** The requests that the store lists as handled. */
  readonly handled: string | undefined;
  /** Nothing was ever minted. */
  readonly first: boolean;
  /** In characters. */
  readonly longest: number;
}

/**
 * A value is handled once, compared as text; taking the annotation away forgets it, so that the same value may be used
 * again. One that was there at the first mint counts as handled.
 */
export function requestOf({ present, handled, first, longest }: RequestSeen): Request {
  if (present === handled) return { kind: 'none' };
  if (present === undefined) return { kind: 'remember', value: undefined };
  if (present.length > longest) return { kind: 'tooLong' };
  if (!isStorable(present)) return { kind: 'notStorable' };
  return first ? { kind: 'remember', value: present } : { kind: 'asked', value: present };
}

/** What `keywright.dev/compromised` names. */
export interface CompromiseRequest {
  /** Of the known versions, those that die. */
  readonly keyIds: readonly string[];
  /** Key ids that no live version of this ApiKey has: ended already, or of another key. */
  readonly unknown: readonly string[];
  /** Entries that are neither `all` nor a key id. They are counted, never quoted: somebody may have pasted the whole key. */
  readonly malformed: number;
}

const keyIdPattern = /^[0-9A-Za-z]{12}$/;

/**
 * The annotation as store and status may hold it: an entry that is no key id may be a whole key that somebody pasted, and
 * gives way to the word `malformed`. Nothing ever ends by such an entry, so nothing is lost with it.
 */
export function rememberedForm(value: string): string {
  return value.replaceAll(/[^,]+/g, (entry) => {
    const text = entry.trim();
    return text === '' || text === 'all' || keyIdPattern.test(text) ? entry : 'malformed';
  });
}

/**
 * Reads `<keyId>[,<keyId>] | all`; blanks around entries do not matter. What can be understood is acted on, whatever
 * stands beside it: a typing error must not keep a leaked key alive.
 */
export function parseCompromised(value: string, liveKeyIds: readonly string[]): CompromiseRequest {
  const entries = value.split(',').map((entry) => entry.trim());
  const named = new Set(entries.filter((entry) => keyIdPattern.test(entry)));
  const malformed = entries.filter((entry) => entry !== 'all' && !keyIdPattern.test(entry)).length;
  const unknown = [...named].filter((keyId) => !liveKeyIds.includes(keyId));
  const keyIds = entries.includes('all') ? liveKeyIds : liveKeyIds.filter((keyId) => named.has(keyId));
  return { keyIds, unknown, malformed };
}

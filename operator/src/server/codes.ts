import type { Denial, DenyCode, RequestFault } from '../authorize/verdict.ts';

/** Every HTTP status that a denial can be. */
export const denialStatuses = [401, 403, 422, 429, 503] as const;

/** What a denial is in HTTP. */
export interface CodeEntry {
  /** 401 comes with `WWW-Authenticate`, where the protocol has a place for it. */
  readonly status: (typeof denialStatuses)[number];
  /** One sentence for the client's developer; it says what was asked for, never what the record holds. */
  readonly detail: string;
  /** After how many seconds the same request may succeed; absent = trying again does not help. */
  readonly retryAfterSeconds?: number;
}

/** The one table from a denial to HTTP. A code without a row does not compile. */
export const codes: Readonly<Record<DenyCode, CodeEntry>> = {
  key_missing: { status: 401, detail: 'The request carries no API key.' },
  key_invalid: { status: 401, detail: 'The API key is not valid.' },
  https_required: { status: 403, detail: 'The request must use HTTPS.' },
  key_expired: { status: 403, detail: 'The API key has expired.' },
  key_suspended: { status: 403, detail: 'The API key is suspended.' },
  owner_inactive: { status: 403, detail: 'The owner of the API key is not active.' },
  access_type_not_allowed: { status: 403, detail: 'The access type of the API key is not allowed.' },
  source_not_allowed: { status: 403, detail: 'The API key may not be used from this address.' },
  endpoint_not_allowed: { status: 403, detail: 'The API key does not give access to this endpoint.' },
  application_not_allowed: { status: 403, detail: 'The API key does not give access to this application.' },
  channel_not_assigned: { status: 403, detail: 'The API key does not give access to all of these channels.' },
  attribute_not_allowed: { status: 403, detail: 'The API key does not give access to all of these attributes.' },
  invalid_request: { status: 422, detail: 'The request cannot be decided: a value that a rule needs is malformed.' },
  rate_limited: { status: 429, detail: 'Too many requests; try again later.', retryAfterSeconds: 1 },
  authorizer_stale: { status: 503, detail: 'The authorizer cannot decide now; try again.', retryAfterSeconds: 1 },
};

const faults: Readonly<Record<RequestFault, string>> = {
  customer: 'The customer is not spelled as the API documents it.',
  source: 'The source address of the request is not an IP address.',
  'target channels': 'The list of target channels is empty; omit it for all assigned channels.',
  'not a path': 'The target of the request is not a path.',
  'another origin': 'The target of the request names another host, port or scheme than the request itself.',
  character: refusedPath('has a character that must be percent-encoded'),
  fragment: refusedPath('contains "#"'),
  backslash: refusedPath('contains a backslash'),
  semicolon: refusedPath('contains ";"'),
  'incomplete escape': refusedPath('has a "%" without two hexadecimal digits'),
  'encoded control': refusedPath('has a percent-encoded control character'),
  'encoded delimiter': refusedPath('has a percent-encoded "/", "\\", ";", "?", "#" or "%"'),
  'not UTF-8': refusedPath('has percent-encoded bytes that are not UTF-8'),
  'empty segment': refusedPath('has an empty segment, such as "//" or a "/" at its end'),
  'dot segment': refusedPath('has a segment "." or ".."'),
};

/** Two programs could read such a path differently, so it leads nowhere. */
function refusedPath(why: string): string {
  return `The path of the request ${why}, so it gives access to no endpoint.`;
}

/** How many channels a sentence names; all of them are in the answer's own list. */
const namedMaxCount = 5;
const slugPattern = /^[a-z0-9][a-z0-9-]{0,62}$/;

/** The sentence for one denial: the table's, or a closer one that repeats only what the request named. */
export function detailOf({ code, fault, violatingChannels = [] }: Denial): string {
  if (fault !== undefined) return faults[fault];
  // Only what looks like a slug is repeated: a key that was sent in the wrong place must not come back in a sentence.
  const slugs = violatingChannels.filter((slug) => slugPattern.test(slug)).slice(0, namedMaxCount);
  if (slugs.length === 0) return codes[code].detail;
  const more = violatingChannels.length > slugs.length ? ', …' : '';
  return `The API key does not give access to these channels: ${slugs.join(', ')}${more}.`;
}

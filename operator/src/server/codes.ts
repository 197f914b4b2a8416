import type { DenyCode } from '../authorize/verdict.ts';

/** What a denial is in HTTP. */
export interface CodeEntry {
  /** 401 comes with `WWW-Authenticate`, where the protocol has a place for it. */
  readonly status: 401 | 403 | 422 | 429 | 503;
  /** One sentence for the client's developer; it says what was asked for, never what the record holds. */
  readonly detail: string;
}

/** The one table from a denial to HTTP. A code without a row does not compile. */
export const codes: Readonly<Record<DenyCode, CodeEntry>> = {
  key_missing: { status: 401, detail: 'The request carries no API key.' },
  key_invalid: { status: 401, detail: 'The API key is not valid.' },
  https_required: { status: 403, detail: 'The request must use HTTPS.' },
  key_expired: { status: 403, detail: 'The API key has expired.' },
  key_suspended: { status: 403, detail: 'The API key is suspended.' },
  owner_inactive: { status: 403, detail: 'The owner of the API key is not active.' },
  access_type_not_allowed: { status: 403, detail: 'The owner of the API key may not hold its access type.' },
  source_not_allowed: { status: 403, detail: 'The API key may not be used from this address.' },
  endpoint_not_allowed: { status: 403, detail: 'The API key does not give access to this endpoint.' },
  application_not_allowed: { status: 403, detail: 'The API key does not give access to this application.' },
  channel_not_assigned: { status: 403, detail: 'The API key does not give access to all of these channels.' },
  attribute_not_allowed: { status: 403, detail: 'The API key does not give access to all of these attributes.' },
  invalid_request: { status: 422, detail: 'The request cannot be decided: a value that a rule needs is malformed.' },
  rate_limited: { status: 429, detail: 'The API key has reached its rate limit.' },
  authorizer_stale: { status: 503, detail: 'The authorizer cannot decide now; try again.' },
};

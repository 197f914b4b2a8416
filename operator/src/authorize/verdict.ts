/** Every word that a denial can say. What each is in HTTP stands in the server's one table. */
export const denyCodes = [
  'key_missing',
  'key_invalid',
  'https_required',
  'key_expired',
  'key_suspended',
  'owner_inactive',
  'access_type_not_allowed',
  'source_not_allowed',
  'endpoint_not_allowed',
  'application_not_allowed',
  'channel_not_assigned',
  'attribute_not_allowed',
  'invalid_request',
  'rate_limited',
  'authorizer_stale',
] as const;

/** Why a request is denied. */
export type DenyCode = (typeof denyCodes)[number];

/** A denial. `keyId` is there only when the presented key was proven: nothing of a record leaves before that. */
export interface Denial {
  readonly allowed: false;
  readonly code: DenyCode;
  readonly keyId?: string;
}

/**
 * What a request came to. There is no way to build an allow yet: it needs the catalog and the owner's grants, and
 * without them the answer about rights is no.
 */
export type Verdict = Denial;

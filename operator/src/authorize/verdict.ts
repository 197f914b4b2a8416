import type { Names } from '../domain/grants.ts';
import type { Instant } from '../domain/time.ts';
import type { TargetFault } from './target.ts';

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

/** What of the request is malformed. */
export type RequestFault = 'customer' | 'target channels' | 'source' | TargetFault;

/** A denial. `keyId` is there only when the presented key was proven: nothing of a record leaves before that. */
export interface Denial {
  readonly allowed: false;
  readonly code: DenyCode;
  readonly keyId?: string;
  /** With `key_expired`: the HTTP status that the catalog chose for it. */
  readonly expiredStatus?: 401 | 403;
  /** With `channel_not_assigned`: which of the requested channels, in the order of the request, each once. */
  readonly violatingChannels?: readonly string[];
  /** With `invalid_request`; with `source_not_allowed` if the source is not an address, and `endpoint_not_allowed` if the target is refused. */
  readonly fault?: RequestFault;
}

/** What an allowed request may do, and as whom. */
export interface Grant {
  readonly keyId: string;
  /** `namespace/name` of the ApiKey. */
  readonly apiKey: string;
  readonly owner: string;
  readonly clientApplication: string | undefined;
  readonly accessType: string;
  readonly catalog: string;
  readonly environment: string;
  readonly endpoint: string;
  /** What the API may send to: the requested channels, or, when none were requested, the effective set, also an empty one. */
  readonly channels: Names;
  /** The requested attributes, or, when none were requested, the effective set. */
  readonly attributes: Names;
  /** The applications that the key may name on this endpoint. */
  readonly applications: Names;
  /** The application that the request names, on an endpoint that works per application. */
  readonly requestApplication: string | undefined;
  /** When the value stops working; `undefined` = never. */
  readonly expiresAt: Instant | undefined;
}

/**
 * A request that may pass. The private field keeps anything else than `new Allow` from being one, and `decide` is the only
 * file that says `new Allow` (a test looks): an allow exists only by construction.
 */
export class Allow {
  readonly allowed = true;
  readonly grant: Grant;
  readonly #decided = true;

  constructor(grant: Grant) {
    this.grant = grant;
  }

  /** Whether a value really is one, whatever its members say. */
  static is(value: object): value is Allow {
    return #decided in value && value.#decided;
  }
}

/** What a request came to. */
export type Verdict = Denial | Allow;

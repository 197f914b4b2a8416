import type { NamespaceSelection } from './namespaces.ts';

/** What an access type reaches: all endpoints, its listed scopes, whatever the owner has now, or what the key selects. */
export type TypeReach = 'All' | 'Listed' | 'Owner' | 'Selected';

/** One access type of a catalog. */
export interface AccessType {
  readonly name: string;
  readonly endpoints: TypeReach;
  /** The fixed allow-list of a `Listed` type. */
  readonly scopes: readonly string[];
  readonly admin: boolean;
  readonly transactional: boolean;
  /** The namespaces that such keys may live in; absent = any. No verdict depends on it. */
  readonly namespaces?: NamespaceSelection;
}

/** A named group of endpoints. */
export interface Scope {
  readonly name: string;
  readonly endpoints: readonly string[];
}

/** One endpoint: method, path template, and its flags. */
export interface Endpoint {
  readonly name: string;
  /** Upper case. */
  readonly method: string;
  /** Begins with `/`; a `{parameter}` takes one whole segment. */
  readonly path: string;
  readonly perApplication: boolean;
  readonly transactional: boolean;
  readonly admin: boolean;
  readonly upgrade: boolean;
  /** What one request takes from the rate limit, from 1. */
  readonly cost: number;
}

/** The one place where a request names its application. */
export type ApplicationPlace = { readonly pathParam: string } | { readonly header: string };

/**
 * One API product as verdicts need it: plain data, the same in the store, the authorizer and the reconciler. Names of
 * scopes, endpoints, slugs and attributes compare byte for byte; nothing is folded.
 */
export interface CatalogModel {
  readonly key: { readonly prefix: string; readonly environment: string };
  readonly accessTypes: readonly AccessType[];
  readonly scopes: readonly Scope[];
  readonly endpoints: readonly Endpoint[];
  readonly applications: readonly string[];
  readonly channels: readonly string[];
  readonly attributes: readonly string[];
  readonly requests: {
    /** Lower case, without port and final dot. */
    readonly hosts: readonly string[];
    readonly application?: ApplicationPlace;
    /** `pattern` is anchored: one spelling per customer. */
    readonly customer?: { readonly header: string; readonly pattern: string };
    readonly targetChannels?: { readonly jsonPath: string };
  };
  readonly credentials: {
    readonly headers: readonly { readonly name: string; readonly scheme?: string }[];
    readonly foreignBearer: 'Reject' | 'Ignore';
  };
  readonly policy: { readonly expiredStatus: 401 | 403; readonly requireHttps: boolean };
  /** What a key may ask for. No verdict depends on it; it is kept so that the last valid rules outlive an invalid edit. */
  readonly minting?: MintingPolicy;
}

/** What keys of a catalog may ask for. Lifetimes and overlaps are durations such as `8760h`. */
export interface MintingPolicy {
  readonly defaultExpiry: string;
  readonly maxExpiry: string;
  readonly neverExpires: 'Forbidden' | 'Allowed';
  readonly requireContactEmail: boolean;
  readonly minOverlap: string;
}

/**
 * One rule of an owner or a group. Each is evaluated alone, as in RBAC: lists of different rules never combine.
 * An empty list = none; the entry `*` = everything that the catalog lists now.
 */
export interface GrantRule {
  readonly catalog: string;
  readonly admin: boolean;
  readonly accessTypes: readonly string[];
  readonly scopes: readonly string[];
  readonly endpoints: readonly string[];
  readonly applications: readonly string[];
  readonly channels: readonly string[];
  readonly attributes: readonly string[];
}

/** What a key selects. Absent = not selected: everything that its type has, or nothing for a type that selects. */
export interface Selections {
  readonly scopes?: readonly string[];
  readonly endpoints?: readonly string[];
  readonly applications?: readonly string[];
  readonly channels?: readonly string[];
  readonly customerChannels?: readonly { readonly customer: string; readonly channels: readonly string[] }[];
  readonly attributes?: readonly string[];
  readonly rateLimit?: { readonly requests: number; readonly perMs: number };
  /** CIDR. */
  readonly allowedSources?: readonly string[];
}

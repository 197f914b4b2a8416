// Made by `npm run generate` from operator/src: edit there.
import type { CustomResourceGetOptions } from '@pulumi/kubernetes/apiextensions/customResource.js';
import type { meta as inputs } from '@pulumi/kubernetes/types/input.js';
import type { meta as outputs } from '@pulumi/kubernetes/types/output.js';
import type * as pulumi from '@pulumi/pulumi';
import type { Replacement } from '../replace.ts';
import { KeywrightResource } from '../resource.ts';

/** What the type reaches: All endpoints, the Listed scopes, whatever the Owner has now, or only what is Selected on the key. */
export const ApiCatalogAccessTypesEndpoints = {
  All: 'All',
  Listed: 'Listed',
  Owner: 'Owner',
  Selected: 'Selected',
} as const;
/** What the type reaches: All endpoints, the Listed scopes, whatever the Owner has now, or only what is Selected on the key. */
export type ApiCatalogAccessTypesEndpoints = (typeof ApiCatalogAccessTypesEndpoints)[keyof typeof ApiCatalogAccessTypesEndpoints];

/** How the label is compared: In, NotIn, Exists or DoesNotExist. */
export const ApiCatalogAccessTypesNamespacesSelectorMatchExpressionsOperator = {
  In: 'In',
  NotIn: 'NotIn',
  Exists: 'Exists',
  DoesNotExist: 'DoesNotExist',
} as const;
/** How the label is compared: In, NotIn, Exists or DoesNotExist. */
export type ApiCatalogAccessTypesNamespacesSelectorMatchExpressionsOperator = (typeof ApiCatalogAccessTypesNamespacesSelectorMatchExpressionsOperator)[keyof typeof ApiCatalogAccessTypesNamespacesSelectorMatchExpressionsOperator];

/** The HTTP method; HEAD follows GET unless it has an entry of its own. */
export const ApiCatalogEndpointsMethod = {
  GET: 'GET',
  HEAD: 'HEAD',
  POST: 'POST',
  PUT: 'PUT',
  PATCH: 'PATCH',
  DELETE: 'DELETE',
  OPTIONS: 'OPTIONS',
} as const;
/** The HTTP method; HEAD follows GET unless it has an entry of its own. */
export type ApiCatalogEndpointsMethod = (typeof ApiCatalogEndpointsMethod)[keyof typeof ApiCatalogEndpointsMethod];

/** What to do if a request has a bearer token that is not ours in addition to a key: Reject or Ignore; default Reject. */
export const ApiCatalogCredentialsForeignBearer = {
  Reject: 'Reject',
  Ignore: 'Ignore',
} as const;
/** What to do if a request has a bearer token that is not ours in addition to a key: Reject or Ignore; default Reject. */
export type ApiCatalogCredentialsForeignBearer = (typeof ApiCatalogCredentialsForeignBearer)[keyof typeof ApiCatalogCredentialsForeignBearer];

/** Whether a key may never expire: Forbidden or Allowed; default Forbidden. */
export const ApiCatalogPolicyNeverExpires = {
  Forbidden: 'Forbidden',
  Allowed: 'Allowed',
} as const;
/** Whether a key may never expire: Forbidden or Allowed; default Forbidden. */
export type ApiCatalogPolicyNeverExpires = (typeof ApiCatalogPolicyNeverExpires)[keyof typeof ApiCatalogPolicyNeverExpires];

/** What every key of the catalog begins with; immutable. */
export interface ApiCatalogKeyArgs {
  /** The first part of every key, 2 to 16 characters. */
  prefix: pulumi.Input<string>;
  /** The second part of every key, 2 to 16 characters. */
  environment: pulumi.Input<string>;
}

export interface ApiCatalogAccessTypesNamespacesSelectorMatchExpressionsArgs {
  /** The label that the requirement is about. */
  key: pulumi.Input<string>;
  /** How the label is compared: In, NotIn, Exists or DoesNotExist. */
  operator: pulumi.Input<ApiCatalogAccessTypesNamespacesSelectorMatchExpressionsOperator>;
  /** The values for In and NotIn, at most 50. */
  values?: pulumi.Input<pulumi.Input<string>[]> | undefined;
}

/** Namespaces by their labels; an empty selector means all of them. */
export interface ApiCatalogAccessTypesNamespacesSelectorArgs {
  /** Labels that a namespace must have, at most 20. */
  matchLabels?: pulumi.Input<{ [name: string]: pulumi.Input<string> }> | undefined;
  /** Requirements that a namespace must meet, all of them, at most 20. */
  matchExpressions?: pulumi.Input<pulumi.Input<ApiCatalogAccessTypesNamespacesSelectorMatchExpressionsArgs>[]> | undefined;
}

/** The namespaces that such keys may live in; default: any. */
export interface ApiCatalogAccessTypesNamespacesArgs {
  /** Namespaces by name, at most 200. */
  names?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** Namespaces by their labels; an empty selector means all of them. */
  selector?: pulumi.Input<ApiCatalogAccessTypesNamespacesSelectorArgs> | undefined;
}

export interface ApiCatalogAccessTypesArgs {
  /** The name that keys and grants use, at most 63 characters. */
  name: pulumi.Input<string>;
  /** What the type is for, at most 500 characters. */
  description?: pulumi.Input<string> | undefined;
  /** What the type reaches: All endpoints, the Listed scopes, whatever the Owner has now, or only what is Selected on the key. */
  endpoints: pulumi.Input<ApiCatalogAccessTypesEndpoints>;
  /** The fixed allow-list of a Listed type, 1 to 200 scopes. */
  scopes?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** Whether endpoints flagged admin are within reach, given the admin grant of the owner; default false. */
  admin?: pulumi.Input<boolean> | undefined;
  /** Whether endpoints flagged transactional are within reach; default false. */
  transactional?: pulumi.Input<boolean> | undefined;
  /** The namespaces that such keys may live in; default: any. */
  namespaces?: pulumi.Input<ApiCatalogAccessTypesNamespacesArgs> | undefined;
}

export interface ApiCatalogScopesArgs {
  /** The name that keys and grants use, at most 63 characters. */
  name: pulumi.Input<string>;
  /** What the scope is for, at most 500 characters. */
  description?: pulumi.Input<string> | undefined;
  /** The endpoints in the scope, 1 to 2000. */
  endpoints: pulumi.Input<pulumi.Input<string>[]>;
}

export interface ApiCatalogEndpointsArgs {
  /** The name that scopes, keys and grants use, at most 63 characters. */
  name: pulumi.Input<string>;
  /** The HTTP method; HEAD follows GET unless it has an entry of its own. */
  method: pulumi.Input<ApiCatalogEndpointsMethod>;
  /** The path template, at most 500 characters; a {parameter} takes one whole segment. Case counts, but a path that leads to another endpoint without regard to case is denied. */
  path: pulumi.Input<string>;
  /** Whether it works with one application; default false. */
  perApplication?: pulumi.Input<boolean> | undefined;
  /** Whether only transactional access types reach it; default false. */
  transactional?: pulumi.Input<boolean> | undefined;
  /** Whether only admin access types of an owner with the admin grant reach it; default false. */
  admin?: pulumi.Input<boolean> | undefined;
  /** Whether a protocol upgrade is allowed on it; default false. */
  upgrade?: pulumi.Input<boolean> | undefined;
  /** What one request takes from the rate limit, 1 to 1000; default 1. */
  cost?: pulumi.Input<number> | undefined;
}

export interface ApiCatalogApplicationsArgs {
  /** The slug of the application, at most 63 characters. */
  slug: pulumi.Input<string>;
}

export interface ApiCatalogChannelsArgs {
  /** The slug of the channel, at most 63 characters. */
  slug: pulumi.Input<string>;
}

/** The one place where a request names its application; default: nowhere. */
export interface ApiCatalogRequestsApplicationArgs {
  /** The path parameter that names it, at most 63 characters. */
  pathParam?: pulumi.Input<string> | undefined;
  /** The header that names it, at most 100 characters. */
  header?: pulumi.Input<string> | undefined;
}

/** Where a request names its customer; default: nowhere. */
export interface ApiCatalogRequestsCustomerArgs {
  /** The header that names it, at most 100 characters. */
  header: pulumi.Input<string>;
  /** The anchored pattern of a customer id, at most 200 characters; default ^(0|[1-9][0-9]*|[a-z][a-z0-9_-]*)$. */
  pattern?: pulumi.Input<string> | undefined;
}

/** Where a request names its target channels; default: nowhere. */
export interface ApiCatalogRequestsTargetChannelsArgs {
  /** The path of member names to a list in the JSON body, at most 200 characters. */
  jsonPath: pulumi.Input<string>;
}

/** How requests name what the rules ask for. */
export interface ApiCatalogRequestsArgs {
  /** The hosts of the API in lower case, without port, at most 50; a host belongs to one catalog. */
  hosts?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** The one place where a request names its application; default: nowhere. */
  application?: pulumi.Input<ApiCatalogRequestsApplicationArgs> | undefined;
  /** Where a request names its customer; default: nowhere. */
  customer?: pulumi.Input<ApiCatalogRequestsCustomerArgs> | undefined;
  /** Where a request names its target channels; default: nowhere. */
  targetChannels?: pulumi.Input<ApiCatalogRequestsTargetChannelsArgs> | undefined;
}

export interface ApiCatalogCredentialsHeadersArgs {
  /** The name of the header, at most 100 characters. */
  name: pulumi.Input<string>;
  /** The scheme before the key, at most 30 characters; default: the value is the key alone. */
  scheme?: pulumi.Input<string> | undefined;
}

/** Where a request carries its key. */
export interface ApiCatalogCredentialsArgs {
  /** The headers that a key may come in, 1 to 8, never a query parameter; the first one is the delivered header line. */
  headers?: pulumi.Input<pulumi.Input<ApiCatalogCredentialsHeadersArgs>[]> | undefined;
  /** What to do if a request has a bearer token that is not ours in addition to a key: Reject or Ignore; default Reject. */
  foreignBearer?: pulumi.Input<ApiCatalogCredentialsForeignBearer> | undefined;
}

/** What keys of this catalog may ask for. */
export interface ApiCatalogPolicyArgs {
  /** The lifetime of a key without expiry, as a duration from 1s to 876000h; default 8760h. */
  defaultExpiry?: pulumi.Input<string> | undefined;
  /** The longest lifetime that a key may ask for, as a duration from 1s to 876000h; default 17520h. */
  maxExpiry?: pulumi.Input<string> | undefined;
  /** Whether a key may never expire: Forbidden or Allowed; default Forbidden. */
  neverExpires?: pulumi.Input<ApiCatalogPolicyNeverExpires> | undefined;
  /** The HTTP status for an expired key: 401 or 403; default 403. */
  expiredStatus?: pulumi.Input<number> | undefined;
  /** Whether a key needs a contactEmail; default true. */
  requireContactEmail?: pulumi.Input<boolean> | undefined;
  /** The shortest overlap that a key may ask for, as a duration from 0s to 876000h; default 5m. */
  minOverlap?: pulumi.Input<string> | undefined;
  /** Whether a request over plain HTTP is refused; default true. */
  requireHttps?: pulumi.Input<boolean> | undefined;
}

/** What an ApiCatalog should be. */
export interface ApiCatalogSpecArgs {
  /** What every key of the catalog begins with; immutable. */
  key: pulumi.Input<ApiCatalogKeyArgs>;
  /** The access types that keys may have, 1 to 50. */
  accessTypes: pulumi.Input<pulumi.Input<ApiCatalogAccessTypesArgs>[]>;
  /** Named groups of endpoints, at most 2000; default: none. */
  scopes?: pulumi.Input<pulumi.Input<ApiCatalogScopesArgs>[]> | undefined;
  /** The endpoints of the API, at most 2000; default: none. */
  endpoints?: pulumi.Input<pulumi.Input<ApiCatalogEndpointsArgs>[]> | undefined;
  /** The tenant applications, at most 1000; default: none. */
  applications?: pulumi.Input<pulumi.Input<ApiCatalogApplicationsArgs>[]> | undefined;
  /** The channels, at most 1000; default: none. */
  channels?: pulumi.Input<pulumi.Input<ApiCatalogChannelsArgs>[]> | undefined;
  /** The response attributes, at most 200; default: none. */
  attributes?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** How requests name what the rules ask for. */
  requests?: pulumi.Input<ApiCatalogRequestsArgs> | undefined;
  /** Where a request carries its key. */
  credentials?: pulumi.Input<ApiCatalogCredentialsArgs> | undefined;
  /** What keys of this catalog may ask for. */
  policy?: pulumi.Input<ApiCatalogPolicyArgs> | undefined;
}

/** What every key of the catalog begins with; immutable. */
export interface ApiCatalogKey {
  /** The first part of every key, 2 to 16 characters. */
  readonly prefix: string;
  /** The second part of every key, 2 to 16 characters. */
  readonly environment: string;
}

export interface ApiCatalogAccessTypesNamespacesSelectorMatchExpressions {
  /** The label that the requirement is about. */
  readonly key: string;
  /** How the label is compared: In, NotIn, Exists or DoesNotExist. */
  readonly operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
  /** The values for In and NotIn, at most 50. */
  readonly values?: readonly string[] | undefined;
}

/** Namespaces by their labels; an empty selector means all of them. */
export interface ApiCatalogAccessTypesNamespacesSelector {
  /** Labels that a namespace must have, at most 20. */
  readonly matchLabels?: { readonly [name: string]: string } | undefined;
  /** Requirements that a namespace must meet, all of them, at most 20. */
  readonly matchExpressions?: readonly ApiCatalogAccessTypesNamespacesSelectorMatchExpressions[] | undefined;
}

/** The namespaces that such keys may live in; default: any. */
export interface ApiCatalogAccessTypesNamespaces {
  /** Namespaces by name, at most 200. */
  readonly names?: readonly string[] | undefined;
  /** Namespaces by their labels; an empty selector means all of them. */
  readonly selector?: ApiCatalogAccessTypesNamespacesSelector | undefined;
}

export interface ApiCatalogAccessTypes {
  /** The name that keys and grants use, at most 63 characters. */
  readonly name: string;
  /** What the type is for, at most 500 characters. */
  readonly description?: string | undefined;
  /** What the type reaches: All endpoints, the Listed scopes, whatever the Owner has now, or only what is Selected on the key. */
  readonly endpoints: "All" | "Listed" | "Owner" | "Selected";
  /** The fixed allow-list of a Listed type, 1 to 200 scopes. */
  readonly scopes?: readonly string[] | undefined;
  /** Whether endpoints flagged admin are within reach, given the admin grant of the owner; default false. */
  readonly admin: boolean;
  /** Whether endpoints flagged transactional are within reach; default false. */
  readonly transactional: boolean;
  /** The namespaces that such keys may live in; default: any. */
  readonly namespaces?: ApiCatalogAccessTypesNamespaces | undefined;
}

export interface ApiCatalogScopes {
  /** The name that keys and grants use, at most 63 characters. */
  readonly name: string;
  /** What the scope is for, at most 500 characters. */
  readonly description?: string | undefined;
  /** The endpoints in the scope, 1 to 2000. */
  readonly endpoints: readonly string[];
}

export interface ApiCatalogEndpoints {
  /** The name that scopes, keys and grants use, at most 63 characters. */
  readonly name: string;
  /** The HTTP method; HEAD follows GET unless it has an entry of its own. */
  readonly method: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS";
  /** The path template, at most 500 characters; a {parameter} takes one whole segment. Case counts, but a path that leads to another endpoint without regard to case is denied. */
  readonly path: string;
  /** Whether it works with one application; default false. */
  readonly perApplication: boolean;
  /** Whether only transactional access types reach it; default false. */
  readonly transactional: boolean;
  /** Whether only admin access types of an owner with the admin grant reach it; default false. */
  readonly admin: boolean;
  /** Whether a protocol upgrade is allowed on it; default false. */
  readonly upgrade: boolean;
  /** What one request takes from the rate limit, 1 to 1000; default 1. */
  readonly cost: number;
}

export interface ApiCatalogApplications {
  /** The slug of the application, at most 63 characters. */
  readonly slug: string;
}

export interface ApiCatalogChannels {
  /** The slug of the channel, at most 63 characters. */
  readonly slug: string;
}

/** The one place where a request names its application; default: nowhere. */
export interface ApiCatalogRequestsApplication {
  /** The path parameter that names it, at most 63 characters. */
  readonly pathParam?: string | undefined;
  /** The header that names it, at most 100 characters. */
  readonly header?: string | undefined;
}

/** Where a request names its customer; default: nowhere. */
export interface ApiCatalogRequestsCustomer {
  /** The header that names it, at most 100 characters. */
  readonly header: string;
  /** The anchored pattern of a customer id, at most 200 characters; default ^(0|[1-9][0-9]*|[a-z][a-z0-9_-]*)$. */
  readonly pattern: string;
}

/** Where a request names its target channels; default: nowhere. */
export interface ApiCatalogRequestsTargetChannels {
  /** The path of member names to a list in the JSON body, at most 200 characters. */
  readonly jsonPath: string;
}

/** How requests name what the rules ask for. */
export interface ApiCatalogRequests {
  /** The hosts of the API in lower case, without port, at most 50; a host belongs to one catalog. */
  readonly hosts: readonly string[];
  /** The one place where a request names its application; default: nowhere. */
  readonly application?: ApiCatalogRequestsApplication | undefined;
  /** Where a request names its customer; default: nowhere. */
  readonly customer?: ApiCatalogRequestsCustomer | undefined;
  /** Where a request names its target channels; default: nowhere. */
  readonly targetChannels?: ApiCatalogRequestsTargetChannels | undefined;
}

export interface ApiCatalogCredentialsHeaders {
  /** The name of the header, at most 100 characters. */
  readonly name: string;
  /** The scheme before the key, at most 30 characters; default: the value is the key alone. */
  readonly scheme?: string | undefined;
}

/** Where a request carries its key. */
export interface ApiCatalogCredentials {
  /** The headers that a key may come in, 1 to 8, never a query parameter; the first one is the delivered header line. */
  readonly headers: readonly ApiCatalogCredentialsHeaders[];
  /** What to do if a request has a bearer token that is not ours in addition to a key: Reject or Ignore; default Reject. */
  readonly foreignBearer: "Reject" | "Ignore";
}

/** What keys of this catalog may ask for. */
export interface ApiCatalogPolicy {
  /** The lifetime of a key without expiry, as a duration from 1s to 876000h; default 8760h. */
  readonly defaultExpiry: string;
  /** The longest lifetime that a key may ask for, as a duration from 1s to 876000h; default 17520h. */
  readonly maxExpiry: string;
  /** Whether a key may never expire: Forbidden or Allowed; default Forbidden. */
  readonly neverExpires: "Forbidden" | "Allowed";
  /** The HTTP status for an expired key: 401 or 403; default 403. */
  readonly expiredStatus: 401 | 403;
  /** Whether a key needs a contactEmail; default true. */
  readonly requireContactEmail: boolean;
  /** The shortest overlap that a key may ask for, as a duration from 0s to 876000h; default 5m. */
  readonly minOverlap: string;
  /** Whether a request over plain HTTP is refused; default true. */
  readonly requireHttps: boolean;
}

/** What an ApiCatalog should be, with its defaults. */
export interface ApiCatalogSpec {
  /** What every key of the catalog begins with; immutable. */
  readonly key: ApiCatalogKey;
  /** The access types that keys may have, 1 to 50. */
  readonly accessTypes: readonly ApiCatalogAccessTypes[];
  /** Named groups of endpoints, at most 2000; default: none. */
  readonly scopes: readonly ApiCatalogScopes[];
  /** The endpoints of the API, at most 2000; default: none. */
  readonly endpoints: readonly ApiCatalogEndpoints[];
  /** The tenant applications, at most 1000; default: none. */
  readonly applications: readonly ApiCatalogApplications[];
  /** The channels, at most 1000; default: none. */
  readonly channels: readonly ApiCatalogChannels[];
  /** The response attributes, at most 200; default: none. */
  readonly attributes: readonly string[];
  /** How requests name what the rules ask for. */
  readonly requests: ApiCatalogRequests;
  /** Where a request carries its key. */
  readonly credentials: ApiCatalogCredentials;
  /** What keys of this catalog may ask for. */
  readonly policy: ApiCatalogPolicy;
}

export interface ApiCatalogStatusConditions {
  /** What the condition is about. */
  readonly type: string;
  /** Whether it holds: True, False or Unknown. */
  readonly status: "True" | "False" | "Unknown";
  /** Why, in one word of the vocabulary that conditions, events, logs and metrics share. */
  readonly reason: string;
  /** Why, in a sentence, at most 4096 characters. */
  readonly message: string;
  /** The metadata.generation that the condition speaks of. */
  readonly observedGeneration?: number | undefined;
  /** When the status last changed; 1970-01-01T00:00:00Z before the first look. */
  readonly lastTransitionTime: string;
}

/** What an ApiCatalog is: only the operator writes it. */
export interface ApiCatalogStatus {
  /** The metadata.generation that the status speaks of. */
  readonly observedGeneration?: number | undefined;
  /** The state in conditions, one per type. */
  readonly conditions: readonly ApiCatalogStatusConditions[];
  /** How many ApiKeys name the catalog. */
  readonly keys?: number | undefined;
  /** The digest of the specification that authorizers should hold. */
  readonly digest?: string | undefined;
}

/** The arguments of an ApiCatalog. */
export interface ApiCatalogArgs {
  /** Name, namespace, labels and annotations. Without a name it is that of the resource; nothing is appended. */
  metadata?: pulumi.Input<inputs.v1.ObjectMeta> | undefined;
  /** What it should be. */
  spec: pulumi.Input<ApiCatalogSpecArgs>;
  /** What follows when an immutable field changes; without it such a change is refused. */
  replace?: Replacement | undefined;
}

/**
 * One API product: its endpoints, access types and scopes, what its keys look like and what they may ask for.
 *
 * By default an update waits until it is Ready; the annotation `pulumi.com/waitFor` or
 * `pulumi.com/skipAwait` says otherwise. 
 */
export class ApiCatalog extends KeywrightResource {
  /** What it is in Kubernetes. */
  declare readonly metadata: pulumi.Output<outputs.v1.ObjectMeta>;
  /** What it should be, with its defaults. */
  declare readonly spec: pulumi.Output<ApiCatalogSpec>;
  /** What it is, as far as the operator has looked. */
  declare readonly status: pulumi.Output<ApiCatalogStatus | undefined>;

  /**
   * One that exists already. `id` is its name.
   *
   * @param name The name of the resource in the program.
   */
  static override get(name: string, id: pulumi.Input<pulumi.ID>, opts?: pulumi.CustomResourceOptions): ApiCatalog;
  /** As every custom resource of `@pulumi/kubernetes` is looked up. */
  static override get(name: string, opts: CustomResourceGetOptions): ApiCatalog;
  static override get(
    name: string,
    idOrOptions: pulumi.Input<pulumi.ID> | CustomResourceGetOptions,
    opts?: pulumi.CustomResourceOptions,
  ): ApiCatalog {
    return new ApiCatalog(name, undefined as unknown as ApiCatalogArgs, KeywrightResource.optionsToGet(idOrOptions, opts));
  }

  /** Whether it is an ApiCatalog, also one of another copy of this package. */
  static override isInstance(candidate: unknown): candidate is ApiCatalog {
    return KeywrightResource.isOfKind(candidate, 'ApiCatalog');
  }

  /**
   * @param name The name of the resource in the program.
   * @param args Checked here as far as they are known; throws an error that names the fields at fault.
   */
  constructor(name: string, args: ApiCatalogArgs, opts?: pulumi.CustomResourceOptions) {
    super('ApiCatalog', name, args, opts);
  }
}

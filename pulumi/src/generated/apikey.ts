// Made by `npm run generate` from operator/src: edit there.
import type { CustomResourceGetOptions } from '@pulumi/kubernetes/apiextensions/customResource.js';
import type { meta as inputs } from '@pulumi/kubernetes/types/input.js';
import type { meta as outputs } from '@pulumi/kubernetes/types/output.js';
import type * as pulumi from '@pulumi/pulumi';
import type { Replacement } from '../replace.ts';
import { KeywrightResource } from '../resource.ts';

/** What follows when nothing lives because of expiry: Rotate mints anew, Expire mints nothing more until the spec changes or a rotation is asked for; default Rotate. */
export const ApiKeyRotationOnExpiry = {
  Rotate: 'Rotate',
  Expire: 'Expire',
} as const;
/** What follows when nothing lives because of expiry: Rotate mints anew, Expire mints nothing more until the spec changes or a rotation is asked for; default Rotate. */
export type ApiKeyRotationOnExpiry = (typeof ApiKeyRotationOnExpiry)[keyof typeof ApiKeyRotationOnExpiry];

/** When the old version ends: WhenUnused waits until it is no longer seen, AfterOverlap does not; default WhenUnused. */
export const ApiKeyRotationRetireOldKey = {
  WhenUnused: 'WhenUnused',
  AfterOverlap: 'AfterOverlap',
} as const;
/** When the old version ends: WhenUnused waits until it is no longer seen, AfterOverlap does not; default WhenUnused. */
export type ApiKeyRotationRetireOldKey = (typeof ApiKeyRotationRetireOldKey)[keyof typeof ApiKeyRotationRetireOldKey];

/** The kind of the workload: Deployment, StatefulSet or DaemonSet. */
export const ApiKeyConsumersKind = {
  Deployment: 'Deployment',
  StatefulSet: 'StatefulSet',
  DaemonSet: 'DaemonSet',
} as const;
/** The kind of the workload: Deployment, StatefulSet or DaemonSet. */
export type ApiKeyConsumersKind = (typeof ApiKeyConsumersKind)[keyof typeof ApiKeyConsumersKind];

/** Why: Unspecified, KeyCompromise, Superseded, CessationOfOperation or PrivilegeWithdrawn; default Unspecified. */
export const ApiKeyRevokedReason = {
  Unspecified: 'Unspecified',
  KeyCompromise: 'KeyCompromise',
  Superseded: 'Superseded',
  CessationOfOperation: 'CessationOfOperation',
  PrivilegeWithdrawn: 'PrivilegeWithdrawn',
} as const;
/** Why: Unspecified, KeyCompromise, Superseded, CessationOfOperation or PrivilegeWithdrawn; default Unspecified. */
export type ApiKeyRevokedReason = (typeof ApiKeyRevokedReason)[keyof typeof ApiKeyRevokedReason];

/** The third party that holds the key, if it is not the owner. */
export interface ApiKeyHolderArgs {
  /** The organization of the holder, at most 200 characters. */
  organization?: pulumi.Input<string> | undefined;
  /** The name of the holder, at most 200 characters. */
  name?: pulumi.Input<string> | undefined;
}

export interface ApiKeyCustomerChannelsArgs {
  /** The customer id, at most 64 characters. */
  customer: pulumi.Input<string>;
  /** The channels for that customer, 1 to 50. */
  channels: pulumi.Input<pulumi.Input<string>[]>;
}

/** When the key expires: after, at or never; default: defaultExpiry of the catalog. */
export interface ApiKeyExpiryArgs {
  /** How long each version lives, as a duration from 1s to 876000h; an edit counts from the next version. */
  after?: pulumi.Input<string> | undefined;
  /** When every version ends, as an RFC 3339 instant; an edit counts at once. */
  at?: pulumi.Input<string> | undefined;
  /** true = no version expires; the catalog may forbid it. */
  never?: pulumi.Input<boolean> | undefined;
}

export interface ApiKeyRotationWindowsArgs {
  /** When the window opens, as a cron schedule of five fields, at most 100 characters. */
  schedule: pulumi.Input<string>;
  /** How long it stays open, as a duration from 1m to 168h. */
  duration: pulumi.Input<string>;
  /** The IANA time zone of the schedule, at most 64 characters; default UTC. */
  timezone?: pulumi.Input<string> | undefined;
}

/** When and how versions are replaced. */
export interface ApiKeyRotationArgs {
  /** How long after its activation a version is replaced, as a duration from 1s to 876000h; default: at 2/3 of the lifetime. */
  every?: pulumi.Input<string> | undefined;
  /** How long before its expiry a version is replaced, as a duration from 1s to 876000h; with every, the earlier one counts. */
  beforeExpiry?: pulumi.Input<string> | undefined;
  /** What follows when nothing lives because of expiry: Rotate mints anew, Expire mints nothing more until the spec changes or a rotation is asked for; default Rotate. */
  onExpiry?: pulumi.Input<ApiKeyRotationOnExpiry> | undefined;
  /** How long the old and the new version are both valid at least, as a duration from 0s to 876000h; default 24h. */
  overlap?: pulumi.Input<string> | undefined;
  /** When the old version ends: WhenUnused waits until it is no longer seen, AfterOverlap does not; default WhenUnused. */
  retireOldKey?: pulumi.Input<ApiKeyRotationRetireOldKey> | undefined;
  /** How long the old version must be unseen to count as unused, as a duration from 0s to 876000h; default 10m. */
  quietPeriod?: pulumi.Input<string> | undefined;
  /** When the old version ends at the latest, counted from the activation of the new one, as a duration from 0s to 876000h; default 168h. */
  maxOverlap?: pulumi.Input<string> | undefined;
  /** When a planned rotation may begin, 1 to 8 windows; default: at any time. */
  windows?: pulumi.Input<pulumi.Input<ApiKeyRotationWindowsArgs>[]> | undefined;
}

/** One limit for the ApiKey, shared by its versions; default: none. */
export interface ApiKeyRateLimitArgs {
  /** Requests per period, 1 to 1000000000. */
  requests: pulumi.Input<number>;
  /** The period, as a duration from 1s to 24h. */
  per: pulumi.Input<string>;
}

/** A Kubernetes Secret in the namespace of the ApiKey; it needs no KeyDestination. */
export interface ApiKeyDeliverToSecretArgs {
  /** The name of the Secret, at most 63 characters. */
  name: pulumi.Input<string>;
}

export interface ApiKeyDeliverToArgs {
  /** The name of the entry within this ApiKey, at most 63 characters. */
  name: pulumi.Input<string>;
  /** The KeyDestination to deliver to, at most 63 characters. */
  destination?: pulumi.Input<string> | undefined;
  /** What replaces {name} in the destination's template, 1 to 5 segments; default: the name of the ApiKey. */
  path?: pulumi.Input<string> | undefined;
  /** A Kubernetes Secret in the namespace of the ApiKey; it needs no KeyDestination. */
  secret?: pulumi.Input<ApiKeyDeliverToSecretArgs> | undefined;
}

export interface ApiKeyConsumersArgs {
  /** The kind of the workload: Deployment, StatefulSet or DaemonSet. */
  kind: pulumi.Input<ApiKeyConsumersKind>;
  /** The name of the workload in the namespace of the ApiKey, at most 63 characters. */
  name: pulumi.Input<string>;
  /** Whether the workload is restarted after each activation; default false. */
  restart?: pulumi.Input<boolean> | undefined;
  /** How long after the activation it is restarted, as a duration from 0s to 24h; default 0s. */
  restartAfter?: pulumi.Input<string> | undefined;
}

/** Revokes the key for ever; cannot be removed. */
export interface ApiKeyRevokedArgs {
  /** Why: Unspecified, KeyCompromise, Superseded, CessationOfOperation or PrivilegeWithdrawn; default Unspecified. */
  reason?: pulumi.Input<ApiKeyRevokedReason> | undefined;
}

/** What an ApiKey should be. */
export interface ApiKeySpecArgs {
  /** The name that people know the key by, 1 to 100 characters. */
  displayName: pulumi.Input<string>;
  /** What the key is for, at most 500 characters. */
  purpose?: pulumi.Input<string> | undefined;
  /** The ApiCatalog that the key opens, at most 63 characters; immutable. */
  catalog: pulumi.Input<string>;
  /** The KeyOwner whose rights are the ceiling, at most 63 characters; immutable: another owner is another key. */
  owner: pulumi.Input<string>;
  /** The third party that holds the key, if it is not the owner. */
  holder?: pulumi.Input<ApiKeyHolderArgs> | undefined;
  /** The e-mail address that notices name, at most 254 characters; needed unless the catalog says otherwise. */
  contactEmail?: pulumi.Input<string> | undefined;
  /** The application that uses the key, at most 63 characters; one key per application. */
  clientApplication?: pulumi.Input<string> | undefined;
  /** The access type, by a name from the catalog, at most 63 characters. */
  accessType: pulumi.Input<string>;
  /** Scopes of the catalog that the key is narrowed to, 1 to 200; omitted = none for a type that selects, else all. */
  scopes?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** Single endpoints besides the scopes, 1 to 200; omitted = as for scopes. */
  endpoints?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** Tenant applications that the key may name, 1 to 200; omitted = all; with some, only endpoints that work per application remain. */
  applications?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** Channels that the key may send to, 1 to 200; omitted = all. */
  channels?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** Channels per customer id, 1 to 200 entries; a customer without an entry has the channels of the key. */
  customerChannels?: pulumi.Input<pulumi.Input<ApiKeyCustomerChannelsArgs>[]> | undefined;
  /** Response attributes that the key may see, 1 to 200; omitted = all. */
  attributes?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** When the key expires: after, at or never; default: defaultExpiry of the catalog. */
  expiry?: pulumi.Input<ApiKeyExpiryArgs> | undefined;
  /** When and how versions are replaced. */
  rotation?: pulumi.Input<ApiKeyRotationArgs> | undefined;
  /** One limit for the ApiKey, shared by its versions; default: none. */
  rateLimit?: pulumi.Input<ApiKeyRateLimitArgs> | undefined;
  /** Networks in CIDR notation that requests may come from, 1 to 50; default: any. */
  allowedSources?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** Where the value is delivered, 1 to 8 entries. */
  deliverTo: pulumi.Input<pulumi.Input<ApiKeyDeliverToArgs>[]>;
  /** Workloads that use the value, at most 8. */
  consumers?: pulumi.Input<pulumi.Input<ApiKeyConsumersArgs>[]> | undefined;
  /** true = every request is refused with key_suspended until it is false again; default false. */
  suspend?: pulumi.Input<boolean> | undefined;
  /** Revokes the key for ever; cannot be removed. */
  revoked?: pulumi.Input<ApiKeyRevokedArgs> | undefined;
}

/** The third party that holds the key, if it is not the owner. */
export interface ApiKeyHolder {
  /** The organization of the holder, at most 200 characters. */
  readonly organization?: string | undefined;
  /** The name of the holder, at most 200 characters. */
  readonly name?: string | undefined;
}

export interface ApiKeyCustomerChannels {
  /** The customer id, at most 64 characters. */
  readonly customer: string;
  /** The channels for that customer, 1 to 50. */
  readonly channels: readonly string[];
}

/** When the key expires: after, at or never; default: defaultExpiry of the catalog. */
export interface ApiKeyExpiry {
  /** How long each version lives, as a duration from 1s to 876000h; an edit counts from the next version. */
  readonly after?: string | undefined;
  /** When every version ends, as an RFC 3339 instant; an edit counts at once. */
  readonly at?: string | undefined;
  /** true = no version expires; the catalog may forbid it. */
  readonly never?: boolean | undefined;
}

export interface ApiKeyRotationWindows {
  /** When the window opens, as a cron schedule of five fields, at most 100 characters. */
  readonly schedule: string;
  /** How long it stays open, as a duration from 1m to 168h. */
  readonly duration: string;
  /** The IANA time zone of the schedule, at most 64 characters; default UTC. */
  readonly timezone: string;
}

/** When and how versions are replaced. */
export interface ApiKeyRotation {
  /** How long after its activation a version is replaced, as a duration from 1s to 876000h; default: at 2/3 of the lifetime. */
  readonly every?: string | undefined;
  /** How long before its expiry a version is replaced, as a duration from 1s to 876000h; with every, the earlier one counts. */
  readonly beforeExpiry?: string | undefined;
  /** What follows when nothing lives because of expiry: Rotate mints anew, Expire mints nothing more until the spec changes or a rotation is asked for; default Rotate. */
  readonly onExpiry: "Rotate" | "Expire";
  /** How long the old and the new version are both valid at least, as a duration from 0s to 876000h; default 24h. */
  readonly overlap: string;
  /** When the old version ends: WhenUnused waits until it is no longer seen, AfterOverlap does not; default WhenUnused. */
  readonly retireOldKey: "WhenUnused" | "AfterOverlap";
  /** How long the old version must be unseen to count as unused, as a duration from 0s to 876000h; default 10m. */
  readonly quietPeriod: string;
  /** When the old version ends at the latest, counted from the activation of the new one, as a duration from 0s to 876000h; default 168h. */
  readonly maxOverlap: string;
  /** When a planned rotation may begin, 1 to 8 windows; default: at any time. */
  readonly windows?: readonly ApiKeyRotationWindows[] | undefined;
}

/** One limit for the ApiKey, shared by its versions; default: none. */
export interface ApiKeyRateLimit {
  /** Requests per period, 1 to 1000000000. */
  readonly requests: number;
  /** The period, as a duration from 1s to 24h. */
  readonly per: string;
}

/** A Kubernetes Secret in the namespace of the ApiKey; it needs no KeyDestination. */
export interface ApiKeyDeliverToSecret {
  /** The name of the Secret, at most 63 characters. */
  readonly name: string;
}

export interface ApiKeyDeliverTo {
  /** The name of the entry within this ApiKey, at most 63 characters. */
  readonly name: string;
  /** The KeyDestination to deliver to, at most 63 characters. */
  readonly destination?: string | undefined;
  /** What replaces {name} in the destination's template, 1 to 5 segments; default: the name of the ApiKey. */
  readonly path?: string | undefined;
  /** A Kubernetes Secret in the namespace of the ApiKey; it needs no KeyDestination. */
  readonly secret?: ApiKeyDeliverToSecret | undefined;
}

export interface ApiKeyConsumers {
  /** The kind of the workload: Deployment, StatefulSet or DaemonSet. */
  readonly kind: "Deployment" | "StatefulSet" | "DaemonSet";
  /** The name of the workload in the namespace of the ApiKey, at most 63 characters. */
  readonly name: string;
  /** Whether the workload is restarted after each activation; default false. */
  readonly restart: boolean;
  /** How long after the activation it is restarted, as a duration from 0s to 24h; default 0s. */
  readonly restartAfter: string;
}

/** Revokes the key for ever; cannot be removed. */
export interface ApiKeyRevoked {
  /** Why: Unspecified, KeyCompromise, Superseded, CessationOfOperation or PrivilegeWithdrawn; default Unspecified. */
  readonly reason: "Unspecified" | "KeyCompromise" | "Superseded" | "CessationOfOperation" | "PrivilegeWithdrawn";
}

/** What an ApiKey should be, with its defaults. */
export interface ApiKeySpec {
  /** The name that people know the key by, 1 to 100 characters. */
  readonly displayName: string;
  /** What the key is for, at most 500 characters. */
  readonly purpose?: string | undefined;
  /** The ApiCatalog that the key opens, at most 63 characters; immutable. */
  readonly catalog: string;
  /** The KeyOwner whose rights are the ceiling, at most 63 characters; immutable: another owner is another key. */
  readonly owner: string;
  /** The third party that holds the key, if it is not the owner. */
  readonly holder?: ApiKeyHolder | undefined;
  /** The e-mail address that notices name, at most 254 characters; needed unless the catalog says otherwise. */
  readonly contactEmail?: string | undefined;
  /** The application that uses the key, at most 63 characters; one key per application. */
  readonly clientApplication?: string | undefined;
  /** The access type, by a name from the catalog, at most 63 characters. */
  readonly accessType: string;
  /** Scopes of the catalog that the key is narrowed to, 1 to 200; omitted = none for a type that selects, else all. */
  readonly scopes?: readonly string[] | undefined;
  /** Single endpoints besides the scopes, 1 to 200; omitted = as for scopes. */
  readonly endpoints?: readonly string[] | undefined;
  /** Tenant applications that the key may name, 1 to 200; omitted = all; with some, only endpoints that work per application remain. */
  readonly applications?: readonly string[] | undefined;
  /** Channels that the key may send to, 1 to 200; omitted = all. */
  readonly channels?: readonly string[] | undefined;
  /** Channels per customer id, 1 to 200 entries; a customer without an entry has the channels of the key. */
  readonly customerChannels?: readonly ApiKeyCustomerChannels[] | undefined;
  /** Response attributes that the key may see, 1 to 200; omitted = all. */
  readonly attributes?: readonly string[] | undefined;
  /** When the key expires: after, at or never; default: defaultExpiry of the catalog. */
  readonly expiry?: ApiKeyExpiry | undefined;
  /** When and how versions are replaced. */
  readonly rotation: ApiKeyRotation;
  /** One limit for the ApiKey, shared by its versions; default: none. */
  readonly rateLimit?: ApiKeyRateLimit | undefined;
  /** Networks in CIDR notation that requests may come from, 1 to 50; default: any. */
  readonly allowedSources?: readonly string[] | undefined;
  /** Where the value is delivered, 1 to 8 entries. */
  readonly deliverTo: readonly ApiKeyDeliverTo[];
  /** Workloads that use the value, at most 8. */
  readonly consumers?: readonly ApiKeyConsumers[] | undefined;
  /** true = every request is refused with key_suspended until it is false again; default false. */
  readonly suspend: boolean;
  /** Revokes the key for ever; cannot be removed. */
  readonly revoked?: ApiKeyRevoked | undefined;
}

export interface ApiKeyStatusConditions {
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

/** The version that workloads should use. */
export interface ApiKeyStatusCurrentKey {
  /** The key id, 12 characters. */
  readonly id: string;
  /** What may be shown of the key: prefix, environment and key id. */
  readonly display: string;
  /** The number of the version, from 1. */
  readonly epoch: number;
  /** When it was minted. */
  readonly issuedAt: string;
  /** When every destination was known to hold it. */
  readonly activatedAt?: string | undefined;
  /** When it expires; absent = never. */
  readonly expiresAt?: string | undefined;
  /** When it was first seen in use. */
  readonly firstUsedAt?: string | undefined;
  /** When it was last seen in use, at most hourly. */
  readonly lastUsedAt?: string | undefined;
  /** Who was last seen using it, at most 20. */
  readonly usedBy?: readonly string[] | undefined;
}

/** The older version, while both live. */
export interface ApiKeyStatusPreviousKey {
  /** The key id, 12 characters. */
  readonly id: string;
  /** The number of the version, from 1. */
  readonly epoch: number;
  /** When it ends at the latest. */
  readonly notAfter?: string | undefined;
  /** When it was last seen in use, at most hourly. */
  readonly lastUsedAt?: string | undefined;
  /** Who was last seen using it, at most 20. */
  readonly usedBy?: readonly string[] | undefined;
}

/** What the key may do: access type, selection and owner together. */
export interface ApiKeyStatusEffective {
  /** How many endpoints the key reaches. */
  readonly endpoints?: number | undefined;
  /** The scopes that count. */
  readonly scopes?: readonly string[] | undefined;
  /** The applications that count: All or a list. */
  readonly applications?: "All" | readonly string[] | undefined;
  /** The channels that count: All or a list. */
  readonly channels?: "All" | readonly string[] | undefined;
  /** The attributes that count: All or a list. */
  readonly attributes?: "All" | readonly string[] | undefined;
  /** What narrows the selection: owner, accessType or catalog. */
  readonly limitedBy?: readonly string[] | undefined;
}

export interface ApiKeyStatusDestinations {
  /** The entry of spec.deliverTo. */
  readonly name: string;
  /** Where the value lies. */
  readonly location: string;
  /** The key id of the value there. */
  readonly keyId?: string | undefined;
  /** The provider's version of the value there. */
  readonly version?: string | undefined;
  /** When the last write was confirmed. */
  readonly deliveredAt?: string | undefined;
  /** What is wrong there, in one word of the vocabulary; absent = nothing. */
  readonly reason?: string | undefined;
}

/** The Secret for the Service Binding convention, when one is delivered. */
export interface ApiKeyStatusBinding {
  /** The name of the Secret. */
  readonly name: string;
}

/** The back-off, kept here so that a restart does not retry everything at once. */
export interface ApiKeyStatusFailures {
  /** Failures in a row. */
  readonly count: number;
  /** When the last one was. */
  readonly lastAt?: string | undefined;
  /** When the next try is. */
  readonly retryAt?: string | undefined;
}

/** What an ApiKey is: only the operator writes it. */
export interface ApiKeyStatus {
  /** The metadata.generation that the status speaks of. */
  readonly observedGeneration?: number | undefined;
  /** The state in conditions, one per type. */
  readonly conditions: readonly ApiKeyStatusConditions[];
  /** The version that workloads should use. */
  readonly currentKey?: ApiKeyStatusCurrentKey | undefined;
  /** The older version, while both live. */
  readonly previousKey?: ApiKeyStatusPreviousKey | undefined;
  /** When the next planned rotation is due. */
  readonly nextRotationAt?: string | undefined;
  /** What the key may do: access type, selection and owner together. */
  readonly effective?: ApiKeyStatusEffective | undefined;
  /** What each destination holds, those that are being emptied included, at most 16. */
  readonly destinations?: readonly ApiKeyStatusDestinations[] | undefined;
  /** The Secret for the Service Binding convention, when one is delivered. */
  readonly binding?: ApiKeyStatusBinding | undefined;
  /** The value of the rotate annotation that was handled last. */
  readonly lastHandledRotation?: string | undefined;
  /** The value of the compromised annotation that was handled last. */
  readonly lastHandledCompromise?: string | undefined;
  /** The key ids revoked last, at most 16, so that a restored store revokes them again. */
  readonly revokedKeyIds?: readonly string[] | undefined;
  /** The back-off, kept here so that a restart does not retry everything at once. */
  readonly failures?: ApiKeyStatusFailures | undefined;
}

/** The arguments of an ApiKey. */
export interface ApiKeyArgs {
  /** Name, namespace, labels and annotations. Without a name it is that of the resource; nothing is appended. */
  metadata?: pulumi.Input<inputs.v1.ObjectMeta> | undefined;
  /** What it should be. */
  spec: pulumi.Input<ApiKeySpecArgs>;
  /** What follows when an immutable field changes; without it such a change is refused. */
  replace?: Replacement | undefined;
}

/**
 * An API key: who holds it, what it opens, and where its value is delivered.
 *
 * By default an update waits until it is Ready (with `suspend: true`: Delivered); the annotation `pulumi.com/waitFor` or
 * `pulumi.com/skipAwait` says otherwise. The value of the key is never among its outputs: only where it lies.
 */
export class ApiKey extends KeywrightResource {
  /** What it is in Kubernetes. */
  declare readonly metadata: pulumi.Output<outputs.v1.ObjectMeta>;
  /** What it should be, with its defaults. */
  declare readonly spec: pulumi.Output<ApiKeySpec>;
  /** What it is, as far as the operator has looked. */
  declare readonly status: pulumi.Output<ApiKeyStatus | undefined>;

  /**
   * One that exists already. `id` is `<namespace>/<name>`.
   *
   * @param name The name of the resource in the program.
   */
  static override get(name: string, id: pulumi.Input<pulumi.ID>, opts?: pulumi.CustomResourceOptions): ApiKey;
  /** As every custom resource of `@pulumi/kubernetes` is looked up. */
  static override get(name: string, opts: CustomResourceGetOptions): ApiKey;
  static override get(
    name: string,
    idOrOptions: pulumi.Input<pulumi.ID> | CustomResourceGetOptions,
    opts?: pulumi.CustomResourceOptions,
  ): ApiKey {
    return new ApiKey(name, undefined as unknown as ApiKeyArgs, KeywrightResource.optionsToGet(idOrOptions, opts));
  }

  /** Whether it is an ApiKey, also one of another copy of this package. */
  static override isInstance(candidate: unknown): candidate is ApiKey {
    return KeywrightResource.isOfKind(candidate, 'ApiKey');
  }

  /**
   * @param name The name of the resource in the program.
   * @param args Checked here as far as they are known; throws an error that names the fields at fault.
   */
  constructor(name: string, args: ApiKeyArgs, opts?: pulumi.CustomResourceOptions) {
    super('ApiKey', name, args, opts);
  }
}

// Made by `npm run generate` from operator/src: edit there.
import type * as pulumi from '@pulumi/pulumi';

/** The third party that holds the key, if it is not the owner. */
export interface WorkloadKeyHolderArgs {
  /** The organization of the holder, at most 200 characters. */
  organization?: pulumi.Input<string> | undefined;
  /** The name of the holder, at most 200 characters. */
  name?: pulumi.Input<string> | undefined;
}

export interface WorkloadKeyCustomerChannelsArgs {
  /** The customer id, at most 64 characters. */
  customer: pulumi.Input<string>;
  /** The channels for that customer, 1 to 50. */
  channels: pulumi.Input<pulumi.Input<string>[]>;
}

/** When the key expires: after, at or never; default: defaultExpiry of the catalog. */
export interface WorkloadKeyExpiryArgs {
  /** How long each version lives, as a duration from 1s to 876000h; an edit counts from the next version. */
  after?: pulumi.Input<string> | undefined;
  /** When every version ends, as an RFC 3339 instant; an edit counts at once. */
  at?: pulumi.Input<string> | undefined;
  /** true = no version expires; the catalog may forbid it. */
  never?: pulumi.Input<boolean> | undefined;
}

export interface WorkloadKeyRotationWindowsArgs {
  /** When the window opens, as a cron schedule of five fields, at most 100 characters. */
  schedule: pulumi.Input<string>;
  /** How long it stays open, as a duration from 1m to 168h. */
  duration: pulumi.Input<string>;
  /** The IANA time zone of the schedule, at most 64 characters; default UTC. */
  timezone?: pulumi.Input<string> | undefined;
}

/** When and how versions are replaced. */
export interface WorkloadKeyRotationArgs {
  /** How long after its activation a version is replaced, as a duration from 1s to 876000h; default: at 2/3 of the lifetime. */
  every?: pulumi.Input<string> | undefined;
  /** How long before its expiry a version is replaced, as a duration from 1s to 876000h; with every, the earlier one counts. */
  beforeExpiry?: pulumi.Input<string> | undefined;
  /** What follows when nothing lives because of expiry: Rotate mints anew, Expire mints nothing more until the spec changes or a rotation is asked for; default Rotate. */
  onExpiry?: pulumi.Input<string> | undefined;
  /** How long the old and the new version are both valid at least, as a duration from 0s to 876000h; default 24h. */
  overlap?: pulumi.Input<string> | undefined;
  /** When the old version ends: WhenUnused waits until it is no longer seen, AfterOverlap does not; default WhenUnused. */
  retireOldKey?: pulumi.Input<string> | undefined;
  /** How long the old version must be unseen to count as unused, as a duration from 0s to 876000h; default 10m. */
  quietPeriod?: pulumi.Input<string> | undefined;
  /** When the old version ends at the latest, counted from the activation of the new one, as a duration from 0s to 876000h; default 168h. */
  maxOverlap?: pulumi.Input<string> | undefined;
  /** When a planned rotation may begin, 1 to 8 windows; default: at any time. */
  windows?: pulumi.Input<pulumi.Input<WorkloadKeyRotationWindowsArgs>[]> | undefined;
}

/** One limit for the ApiKey, shared by its versions; default: none. */
export interface WorkloadKeyRateLimitArgs {
  /** Requests per period, 1 to 1000000000. */
  requests: pulumi.Input<number>;
  /** The period, as a duration from 1s to 24h. */
  per: pulumi.Input<string>;
}

export interface WorkloadKeyConsumersArgs {
  /** The kind of the workload: Deployment, StatefulSet or DaemonSet. */
  kind: pulumi.Input<string>;
  /** The name of the workload in the namespace of the ApiKey, at most 63 characters. */
  name: pulumi.Input<string>;
  /** Whether the workload is restarted after each activation; default false. */
  restart?: pulumi.Input<boolean> | undefined;
  /** How long after the activation it is restarted, as a duration from 0s to 24h; default 0s. */
  restartAfter?: pulumi.Input<string> | undefined;
}

/** Revokes the key for ever; cannot be removed. */
export interface WorkloadKeyRevokedArgs {
  /** Why: Unspecified, KeyCompromise, Superseded, CessationOfOperation or PrivilegeWithdrawn; default Unspecified. */
  reason?: pulumi.Input<string> | undefined;
}

/** What the ApiKey of a workload should be; it is delivered to a Secret. */
export interface WorkloadKeySpecArgs {
  /** The name that people know the key by, 1 to 100 characters. */
  displayName: pulumi.Input<string>;
  /** What the key is for, at most 500 characters. */
  purpose?: pulumi.Input<string> | undefined;
  /** The ApiCatalog that the key opens, at most 63 characters; immutable. */
  catalog: pulumi.Input<string>;
  /** The KeyOwner whose rights are the ceiling, at most 63 characters; immutable: another owner is another key. */
  owner: pulumi.Input<string>;
  /** The third party that holds the key, if it is not the owner. */
  holder?: pulumi.Input<WorkloadKeyHolderArgs> | undefined;
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
  customerChannels?: pulumi.Input<pulumi.Input<WorkloadKeyCustomerChannelsArgs>[]> | undefined;
  /** Response attributes that the key may see, 1 to 200; omitted = all. */
  attributes?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** When the key expires: after, at or never; default: defaultExpiry of the catalog. */
  expiry?: pulumi.Input<WorkloadKeyExpiryArgs> | undefined;
  /** When and how versions are replaced. */
  rotation?: pulumi.Input<WorkloadKeyRotationArgs> | undefined;
  /** One limit for the ApiKey, shared by its versions; default: none. */
  rateLimit?: pulumi.Input<WorkloadKeyRateLimitArgs> | undefined;
  /** Networks in CIDR notation that requests may come from, 1 to 50; default: any. */
  allowedSources?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** Workloads that use the value, at most 8. */
  consumers?: pulumi.Input<pulumi.Input<WorkloadKeyConsumersArgs>[]> | undefined;
  /** true = every request is refused with key_suspended until it is false again; default false. */
  suspend?: pulumi.Input<boolean> | undefined;
  /** Revokes the key for ever; cannot be removed. */
  revoked?: pulumi.Input<WorkloadKeyRevokedArgs> | undefined;
}

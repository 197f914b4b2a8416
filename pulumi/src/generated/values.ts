// Made by `npm run generate` from operator/src: edit there.
import type * as pulumi from '@pulumi/pulumi';

/** The image of the operator and the authorizer. Build it with the Containerfile of this repository. */
export interface KeywrightValuesImageArgs {
  /** The repository, with its registry if it has one. */
  repository?: pulumi.Input<string> | undefined;
  /** The tag; empty = the appVersion of the chart. */
  tag?: pulumi.Input<string> | undefined;
  /** sha256:…, which counts in place of the tag. */
  digest?: pulumi.Input<string> | undefined;
  /** When the node pulls it. */
  pullPolicy?: pulumi.Input<string> | undefined;
}

export interface KeywrightValuesImagePullSecretsArgs {
  name: pulumi.Input<string>;
}

/** The CustomResourceDefinitions. */
export interface KeywrightValuesCrdsArgs {
  /** Whether the CustomResourceDefinitions are installed and upgraded with the release. */
  install?: pulumi.Input<boolean> | undefined;
  /** Whether an uninstall leaves them. Without them every ApiKey is deleted. */
  keep?: pulumi.Input<boolean> | undefined;
}

/** Who may put which right into a key is checked by the API server itself. */
export interface KeywrightValuesAdmissionArgs {
  /** Whether the ValidatingAdmissionPolicy and its binding are installed with the release. */
  install?: pulumi.Input<boolean> | undefined;
  /** required = while the policy is not in force, or has changed, a change of an ApiKey can only narrow the key, until somebody with all the rights that creating it needs confirms it; off = anybody who can write an ApiKey can put any right into it. */
  mode?: pulumi.Input<string> | undefined;
}

/** Roles besides those of the operator. */
export interface KeywrightValuesRbacArgs {
  /** Whether keywright-admin, -grantor, -responder and -viewer are made. They are bound to nobody. */
  userRoles?: pulumi.Input<boolean> | undefined;
  /** Whether controllers of the Service Binding specification may read ApiKeys. */
  serviceBinding?: pulumi.Input<boolean> | undefined;
}

/** The namespaces whose ApiKeys are served; nothing = all. */
export interface KeywrightValuesNamespacesArgs {
  /** Namespaces by name. */
  names?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** Labels of namespaces, all of which must be there. Looked up in the cluster by each install and upgrade. */
  selector?: pulumi.Input<{ [name: string]: pulumi.Input<string> }> | undefined;
}

/** The namespaces whose Secrets keys may be delivered to: the operator can read all Secrets there. Nothing = none, and no right on Secrets. */
export interface KeywrightValuesSecretsArgs {
  /** Namespaces by name. */
  names?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** Labels of namespaces, all of which must be there. Looked up in the cluster by each install and upgrade. */
  selector?: pulumi.Input<{ [name: string]: pulumi.Input<string> }> | undefined;
  /** Every namespace, also those that come later. */
  all?: pulumi.Input<boolean> | undefined;
}

/** The namespaces whose workloads may be restarted for a new version: the operator can run anything there. Nothing = none. */
export interface KeywrightValuesConsumersArgs {
  /** Namespaces by name. */
  names?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** Labels of namespaces, all of which must be there. Looked up in the cluster by each install and upgrade. */
  selector?: pulumi.Input<{ [name: string]: pulumi.Input<string> }> | undefined;
  /** Every namespace, also those that come later. */
  all?: pulumi.Input<boolean> | undefined;
}

/** Servers that authors of KeyDestinations may use beyond the default. */
export interface KeywrightValuesDestinationsArgs {
  /** Vault servers, such as https://vault.example.com:8200, that may get credentials that other servers would also accept: tokens for any audience, Secrets without the annotation keywright.dev/vault-address. */
  vaultAddresses?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** What endpoint and stsEndpoint may name besides the endpoints of AWS itself: VPC endpoints without private DNS, test servers. */
  awsEndpoints?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** Servers that may use plain http, or be on the Pod's loopback (sidecars). */
  insecure?: pulumi.Input<pulumi.Input<string>[]> | undefined;
}

/** The database login of the authorizer. Set it: the login of the operator can change every key. */
export interface KeywrightValuesDatabaseAuthorizerArgs {
  /** A Secret with the URL of another database user for the authorizer: a member of the role keywright_authorizer. Empty = the URL of the operator, except with postgres.enabled. */
  existingSecret?: pulumi.Input<string> | undefined;
  /** Its entry. */
  existingSecretKey?: pulumi.Input<string> | undefined;
  /** A Secret with the password of that user, where its URL has none. */
  passwordSecret?: pulumi.Input<string> | undefined;
  /** Its entry. */
  passwordSecretKey?: pulumi.Input<string> | undefined;
}

/** The database login of migrations. */
export interface KeywrightValuesDatabaseMigrationArgs {
  /** A Secret with the URL of the database user that owns the schema. An init container of the operator migrates with it, and the operator itself can log in as a member of the role keywright_operator. Empty = the operator migrates. */
  existingSecret?: pulumi.Input<string> | undefined;
  /** Its entry. */
  existingSecretKey?: pulumi.Input<string> | undefined;
  /** A Secret with the password of that user, where its URL has none. */
  passwordSecret?: pulumi.Input<string> | undefined;
  /** Its entry. */
  passwordSecretKey?: pulumi.Input<string> | undefined;
}

/** The PostgreSQL database: exactly one of database.url, database.existingSecret and postgres.enabled. */
export interface KeywrightValuesDatabaseArgs {
  /** postgres://user:password@host:5432/database. It is kept in the Secret keywright-database, and in the record of the Helm release. */
  url?: pulumi.Input<string> | undefined;
  /** A Secret of the release namespace that holds the URL. */
  existingSecret?: pulumi.Input<string> | undefined;
  /** Its entry; CloudNativePG calls it uri. */
  existingSecretKey?: pulumi.Input<string> | undefined;
  /** A Secret with the password, where the URL has none. */
  passwordSecret?: pulumi.Input<string> | undefined;
  /** Its entry. */
  passwordSecretKey?: pulumi.Input<string> | undefined;
  /** The database login of the authorizer. Set it: the login of the operator can change every key. */
  authorizer?: pulumi.Input<KeywrightValuesDatabaseAuthorizerArgs> | undefined;
  /** The database login of migrations. */
  migration?: pulumi.Input<KeywrightValuesDatabaseMigrationArgs> | undefined;
}

/** Its image. */
export interface KeywrightValuesPostgresImageArgs {
  /** The repository, with its registry if it has one. */
  repository?: pulumi.Input<string> | undefined;
  /** The tag: the version of PostgreSQL. */
  tag?: pulumi.Input<string> | undefined;
  /** sha256:…, which counts in place of the tag. */
  digest?: pulumi.Input<string> | undefined;
  /** When the node pulls it. */
  pullPolicy?: pulumi.Input<string> | undefined;
}

/** Its volume, which outlives the release. */
export interface KeywrightValuesPostgresStorageArgs {
  /** How much. */
  size?: pulumi.Input<string> | undefined;
  /** The StorageClass. Empty = the cluster's default. */
  className?: pulumi.Input<string> | undefined;
}

/** Of its container. */
export interface KeywrightValuesPostgresResourcesArgs {
  /** What the scheduler sets aside. */
  requests?: pulumi.Input<{ [name: string]: pulumi.Input<any> }> | undefined;
  /** What the container may take. No limit of the processor: it would slow down verdicts. */
  limits?: pulumi.Input<{ [name: string]: pulumi.Input<any> }> | undefined;
}

/** A PostgreSQL for evaluation. */
export interface KeywrightValuesPostgresArgs {
  /** One PostgreSQL without a replica or a backup: to try Keywright out, and for nothing else. */
  enabled?: pulumi.Input<boolean> | undefined;
  /** Its image. */
  image?: pulumi.Input<KeywrightValuesPostgresImageArgs> | undefined;
  /** Its volume, which outlives the release. */
  storage?: pulumi.Input<KeywrightValuesPostgresStorageArgs> | undefined;
  /** Of its container. */
  resources?: pulumi.Input<KeywrightValuesPostgresResourcesArgs> | undefined;
}

/** The peppers that the hashes of keys are made with. Without them, no key authenticates: back them up, apart from the database. */
export interface KeywrightValuesPeppersArgs {
  /** A Secret with the entry peppers.json. Empty = the chart makes keywright-peppers, once. Where manifests are rendered without the cluster (Argo CD, helm template), make it yourself and name it here. */
  existingSecret?: pulumi.Input<string> | undefined;
}

/** Of the container. */
export interface KeywrightValuesOperatorResourcesArgs {
  /** What the scheduler sets aside. */
  requests?: pulumi.Input<{ [name: string]: pulumi.Input<any> }> | undefined;
  /** What the container may take. No limit of the processor: it would slow down verdicts. */
  limits?: pulumi.Input<{ [name: string]: pulumi.Input<any> }> | undefined;
}

/** The account is called keywright-operator: cloud roles name it. Vault roles name keywright-vault. */
export interface KeywrightValuesOperatorServiceAccountArgs {
  /** Annotations of the ServiceAccount, such as eks.amazonaws.com/role-arn. */
  annotations?: pulumi.Input<{ [name: string]: pulumi.Input<string> }> | undefined;
}

/** How long it keeps old rows in the database. */
export interface KeywrightValuesOperatorRetentionArgs {
  /** Of rows of the change feed, at least 1h. A follower that was away for longer reads everything. */
  feed?: pulumi.Input<string> | undefined;
  /** Of ended versions, and of rows of deleted resources, at least 24h. */
  versions?: pulumi.Input<string> | undefined;
  /** Of rows of locations that were emptied, at least 1h. */
  deliveries?: pulumi.Input<string> | undefined;
  /** Of the audit, at least 720h: the database never removes younger rows. */
  audit?: pulumi.Input<string> | undefined;
}

/** The operator: mints, delivers, rotates, repairs, revokes. */
export interface KeywrightValuesOperatorArgs {
  /** How many Pods. */
  replicas?: pulumi.Input<number> | undefined;
  /** Of the container. */
  resources?: pulumi.Input<KeywrightValuesOperatorResourcesArgs> | undefined;
  /** More environment variables of the container, as in a Pod. Names that begin with KEYWRIGHT_ are refused: use the values. */
  extraEnv?: pulumi.Input<pulumi.Input<{ [name: string]: pulumi.Input<any> }>[]> | undefined;
  /** More volumes of the Pod, such as certificates. */
  extraVolumes?: pulumi.Input<pulumi.Input<{ [name: string]: pulumi.Input<any> }>[]> | undefined;
  /** Where they are mounted. */
  extraVolumeMounts?: pulumi.Input<pulumi.Input<{ [name: string]: pulumi.Input<any> }>[]> | undefined;
  /** Annotations of the Pods. */
  podAnnotations?: pulumi.Input<{ [name: string]: pulumi.Input<string> }> | undefined;
  /** More labels of the Pods. Those of the chart itself are refused. */
  podLabels?: pulumi.Input<{ [name: string]: pulumi.Input<string> }> | undefined;
  /** The nodes that Pods may run on. */
  nodeSelector?: pulumi.Input<{ [name: string]: pulumi.Input<string> }> | undefined;
  /** The taints that they tolerate. */
  tolerations?: pulumi.Input<pulumi.Input<{ [name: string]: pulumi.Input<any> }>[]> | undefined;
  /** Where they would rather run. */
  affinity?: pulumi.Input<{ [name: string]: pulumi.Input<any> }> | undefined;
  /** How they are spread; nothing = over nodes and zones, as far as that works. */
  topologySpreadConstraints?: pulumi.Input<pulumi.Input<{ [name: string]: pulumi.Input<any> }>[]> | undefined;
  /** Their PriorityClass. */
  priorityClassName?: pulumi.Input<string> | undefined;
  /** The account is called keywright-operator: cloud roles name it. Vault roles name keywright-vault. */
  serviceAccount?: pulumi.Input<KeywrightValuesOperatorServiceAccountArgs> | undefined;
  /** How long a leader that fell silent is waited for, 5s to 10m. */
  leaseDuration?: pulumi.Input<string> | undefined;
  /** How many ApiKeys are reconciled at the same time, and how many calls go to one destination at the same time. */
  concurrency?: pulumi.Input<number> | undefined;
  /** How long the deletion of an ApiKey waits for a destination that does not answer. */
  withdrawDeadline?: pulumi.Input<string> | undefined;
  /** How long a new version waits for a destination that does not answer. */
  deliverDeadline?: pulumi.Input<string> | undefined;
  /** How often a destination is checked for changes by others. */
  driftInterval?: pulumi.Input<string> | undefined;
  /** How long a key lives on after its ApiKey vanished without a deletion (for example, its finalizer was removed), 10s to 24h. Up to a minute is added. */
  orphanAfter?: pulumi.Input<string> | undefined;
  /** How often it looks for direct revocations in the database, 1s to 1m. */
  feedPoll?: pulumi.Input<string> | undefined;
  /** How long it keeps old rows in the database. */
  retention?: pulumi.Input<KeywrightValuesOperatorRetentionArgs> | undefined;
}

/** Of the container. */
export interface KeywrightValuesAuthorizerResourcesArgs {
  /** What the scheduler sets aside. */
  requests?: pulumi.Input<{ [name: string]: pulumi.Input<any> }> | undefined;
  /** What the container may take. No limit of the processor: it would slow down verdicts. */
  limits?: pulumi.Input<{ [name: string]: pulumi.Input<any> }> | undefined;
}

/** The account has no right in the cluster, and its token is not mounted. */
export interface KeywrightValuesAuthorizerServiceAccountArgs {
  /** Annotations of the ServiceAccount, such as eks.amazonaws.com/role-arn. */
  annotations?: pulumi.Input<{ [name: string]: pulumi.Input<string> }> | undefined;
}

/** Who may ask: by a token in the header Keywright-Caller. */
export interface KeywrightValuesAuthorizerCallersArgs {
  /** A Secret with the entry tokens.json: {"<caller>":"<SHA-256 of its token, hex>"}. Empty = the chart makes keywright-callers, with one caller: gateway. */
  existingSecret?: pulumi.Input<string> | undefined;
}

/** TLS of the verify API. */
export interface KeywrightValuesAuthorizerTlsArgs {
  /** A Secret of type kubernetes.io/tls. Empty = plain HTTP. */
  existingSecret?: pulumi.Input<string> | undefined;
  /** A Secret with the entry ca.crt: callers with a client certificate of it need no token. */
  clientCaSecret?: pulumi.Input<string> | undefined;
}

/** The Service keywright-authorizer. */
export interface KeywrightValuesAuthorizerServiceArgs {
  /** The type of the Service. */
  type?: pulumi.Input<string> | undefined;
  /** Its port. */
  port?: pulumi.Input<number> | undefined;
  /** Its annotations. */
  annotations?: pulumi.Input<{ [name: string]: pulumi.Input<string> }> | undefined;
}

/** The authorizer: answers /v1/verify. */
export interface KeywrightValuesAuthorizerArgs {
  /** Whether the verify API is installed here. Off where it runs elsewhere, over the same database. */
  enabled?: pulumi.Input<boolean> | undefined;
  /** How many Pods. */
  replicas?: pulumi.Input<number> | undefined;
  /** Of the container. */
  resources?: pulumi.Input<KeywrightValuesAuthorizerResourcesArgs> | undefined;
  /** More environment variables of the container, as in a Pod. Names that begin with KEYWRIGHT_ are refused: use the values. */
  extraEnv?: pulumi.Input<pulumi.Input<{ [name: string]: pulumi.Input<any> }>[]> | undefined;
  /** More volumes of the Pod, such as certificates. */
  extraVolumes?: pulumi.Input<pulumi.Input<{ [name: string]: pulumi.Input<any> }>[]> | undefined;
  /** Where they are mounted. */
  extraVolumeMounts?: pulumi.Input<pulumi.Input<{ [name: string]: pulumi.Input<any> }>[]> | undefined;
  /** Annotations of the Pods. */
  podAnnotations?: pulumi.Input<{ [name: string]: pulumi.Input<string> }> | undefined;
  /** More labels of the Pods. Those of the chart itself are refused. */
  podLabels?: pulumi.Input<{ [name: string]: pulumi.Input<string> }> | undefined;
  /** The nodes that Pods may run on. */
  nodeSelector?: pulumi.Input<{ [name: string]: pulumi.Input<string> }> | undefined;
  /** The taints that they tolerate. */
  tolerations?: pulumi.Input<pulumi.Input<{ [name: string]: pulumi.Input<any> }>[]> | undefined;
  /** Where they would rather run. */
  affinity?: pulumi.Input<{ [name: string]: pulumi.Input<any> }> | undefined;
  /** How they are spread; nothing = over nodes and zones, as far as that works. */
  topologySpreadConstraints?: pulumi.Input<pulumi.Input<{ [name: string]: pulumi.Input<any> }>[]> | undefined;
  /** Their PriorityClass. */
  priorityClassName?: pulumi.Input<string> | undefined;
  /** The account has no right in the cluster, and its token is not mounted. */
  serviceAccount?: pulumi.Input<KeywrightValuesAuthorizerServiceAccountArgs> | undefined;
  /** How often it writes which keys were used, 1s to 30s. */
  usageFlush?: pulumi.Input<string> | undefined;
  /** The most connections that one Pod keeps open. Half of them are for callers that have proven themselves. All others may take half of the total, or with TLS a quarter, because an unfinished handshake takes much memory; one address gets at most half of those. All bodies and answers in progress together may take 16 KiB times this number. 1024 of the most expensive connections fit into the memory above. */
  maxConnections?: pulumi.Input<number> | undefined;
  /** How many refusals (key_invalid) a second one client network (/24, /64) gets in the long run, with a burst of ten times that; then rate_limited. */
  refusalsPerSecond?: pulumi.Input<number> | undefined;
  /** How long it decides without proof that it reads the primary of the database, 15s to 1h; then it answers authorizer_stale. */
  maxStaleness?: pulumi.Input<string> | undefined;
  /** What proves the primary (see maxStaleness). auto = the operator's heartbeat in the database, or most hosts of a URL with several; on = the heartbeat alone, also for a single host; off = none. */
  requireHeartbeat?: pulumi.Input<string> | undefined;
  /** Who may ask: by a token in the header Keywright-Caller. */
  callers?: pulumi.Input<KeywrightValuesAuthorizerCallersArgs> | undefined;
  /** TLS of the verify API. */
  tls?: pulumi.Input<KeywrightValuesAuthorizerTlsArgs> | undefined;
  /** The Service keywright-authorizer. */
  service?: pulumi.Input<KeywrightValuesAuthorizerServiceArgs> | undefined;
  /** How long a Pod that ends still answers, until everybody knows. */
  drainSeconds?: pulumi.Input<number> | undefined;
}

/** NetworkPolicies. */
export interface KeywrightValuesNetworkPolicyArgs {
  /** Whether NetworkPolicies close all ports but those that are served. */
  enabled?: pulumi.Input<boolean> | undefined;
  /** Who reaches the verify API, as `from` in a NetworkPolicy: your gateways and services. Nothing = the Pods of the release namespace alone. */
  callers?: pulumi.Input<pulumi.Input<{ [name: string]: pulumi.Input<any> }>[]> | undefined;
  /** Who reaches metrics and health, likewise: your Prometheus. A kubelet's probes always can. */
  scrapers?: pulumi.Input<pulumi.Input<{ [name: string]: pulumi.Input<any> }>[]> | undefined;
  /** Where the Pods may connect to, as `egress` rules in a NetworkPolicy; nothing = anywhere. They need DNS, the API server, the database, and your Vault or AWS. */
  egress?: pulumi.Input<pulumi.Input<{ [name: string]: pulumi.Input<any> }>[]> | undefined;
}

/** A ServiceMonitor for the Services of both. */
export interface KeywrightValuesServiceMonitorArgs {
  /** Whether it is made. It needs the CRDs of the Prometheus operator. */
  enabled?: pulumi.Input<boolean> | undefined;
  /** How often is scraped. */
  interval?: pulumi.Input<string> | undefined;
  /** Its labels, by which a Prometheus finds it. */
  labels?: pulumi.Input<{ [name: string]: pulumi.Input<string> }> | undefined;
}

/** A PodMonitor for the Pods of both, in place of the ServiceMonitor. */
export interface KeywrightValuesPodMonitorArgs {
  /** Whether it is made. It needs the CRDs of the Prometheus operator. */
  enabled?: pulumi.Input<boolean> | undefined;
  /** How often is scraped. */
  interval?: pulumi.Input<string> | undefined;
  /** Its labels, by which a Prometheus finds it. */
  labels?: pulumi.Input<{ [name: string]: pulumi.Input<string> }> | undefined;
}

/** The values of the Helm chart. */
export interface KeywrightValuesArgs {
  /** The image of the operator and the authorizer. Build it with the Containerfile of this repository. */
  image?: pulumi.Input<KeywrightValuesImageArgs> | undefined;
  /** Secrets with the credentials of its registry. */
  imagePullSecrets?: pulumi.Input<pulumi.Input<KeywrightValuesImagePullSecretsArgs>[]> | undefined;
  /** The least important line that is logged. */
  logLevel?: pulumi.Input<string> | undefined;
  /** The CustomResourceDefinitions. */
  crds?: pulumi.Input<KeywrightValuesCrdsArgs> | undefined;
  /** Who may put which right into a key is checked by the API server itself. */
  admission?: pulumi.Input<KeywrightValuesAdmissionArgs> | undefined;
  /** Roles besides those of the operator. */
  rbac?: pulumi.Input<KeywrightValuesRbacArgs> | undefined;
  /** The namespaces whose ApiKeys are served; nothing = all. */
  namespaces?: pulumi.Input<KeywrightValuesNamespacesArgs> | undefined;
  /** The namespaces whose Secrets keys may be delivered to: the operator can read all Secrets there. Nothing = none, and no right on Secrets. */
  secrets?: pulumi.Input<KeywrightValuesSecretsArgs> | undefined;
  /** The namespaces whose workloads may be restarted for a new version: the operator can run anything there. Nothing = none. */
  consumers?: pulumi.Input<KeywrightValuesConsumersArgs> | undefined;
  /** Secrets of the release namespace that KeyDestinations log in with (secretRef). The operator may read these alone. Each needs the label keywright.dev/credential. */
  loginSecrets?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** ServiceAccounts of the release namespace that KeyDestinations log in to Vault with (serviceAccountRef), besides keywright-vault. Give them no rights in the cluster. */
  loginServiceAccounts?: pulumi.Input<pulumi.Input<string>[]> | undefined;
  /** Servers that authors of KeyDestinations may use beyond the default. */
  destinations?: pulumi.Input<KeywrightValuesDestinationsArgs> | undefined;
  /** The PostgreSQL database: exactly one of database.url, database.existingSecret and postgres.enabled. */
  database?: pulumi.Input<KeywrightValuesDatabaseArgs> | undefined;
  /** A PostgreSQL for evaluation. */
  postgres?: pulumi.Input<KeywrightValuesPostgresArgs> | undefined;
  /** The peppers that the hashes of keys are made with. Without them, no key authenticates: back them up, apart from the database. */
  peppers?: pulumi.Input<KeywrightValuesPeppersArgs> | undefined;
  /** The operator: mints, delivers, rotates, repairs, revokes. */
  operator?: pulumi.Input<KeywrightValuesOperatorArgs> | undefined;
  /** The authorizer: answers /v1/verify. */
  authorizer?: pulumi.Input<KeywrightValuesAuthorizerArgs> | undefined;
  /** NetworkPolicies. */
  networkPolicy?: pulumi.Input<KeywrightValuesNetworkPolicyArgs> | undefined;
  /** A ServiceMonitor for the Services of both. */
  serviceMonitor?: pulumi.Input<KeywrightValuesServiceMonitorArgs> | undefined;
  /** A PodMonitor for the Pods of both, in place of the ServiceMonitor. */
  podMonitor?: pulumi.Input<KeywrightValuesPodMonitorArgs> | undefined;
  /** What a parent chart passes to all; not read here. */
  global?: pulumi.Input<{ [name: string]: any }> | undefined;
  /** For the condition of a parent chart; not read here. */
  enabled?: pulumi.Input<boolean> | undefined;
}

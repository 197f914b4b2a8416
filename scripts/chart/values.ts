import * as z from 'zod';
import { addressPattern, originPattern } from '../../operator/src/domain/serveraddress.ts';
import { durationPattern } from '../../operator/src/domain/duration.ts';
import { logLevels } from '../../operator/src/telemetry/pino.ts';

/**
 * The values of the Helm chart. From this one description come `values.yaml` with its comments, `values.schema.json` and the
 * reference. Every description reads as a comment above the value; an unknown value is an error.
 */

const objectNamePattern = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;
const namespacePattern = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** Empty means: not given. */
const optionalName = () =>
  z
    .string()
    .regex(new RegExp(`^$|${objectNamePattern.source}`))
    .default('');
const entryName = (fallback: string) =>
  z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,253}$/)
    .default(fallback);
const duration = (fallback: string) => z.string().regex(new RegExp(durationPattern)).default(fallback);
const port = (fallback: number) => z.int().min(1).max(65_535).default(fallback);
const texts = () => z.record(z.string(), z.string()).default({});
/** By resource: a text as `250m`, or a number. */
const quantities = () => z.record(z.string(), z.union([z.string(), z.number()]));
/** A part of a Pod that Kubernetes itself checks. */
const kubernetesObject = () => z.record(z.string(), z.unknown()).default({});
const kubernetesList = () => z.array(z.record(z.string(), z.unknown())).default([]);
const yes = () => z.boolean().default(true);
const no = () => z.boolean().default(false);

const names = () => z.array(z.string().regex(namespacePattern)).max(200).default([]);
const selector = () =>
  texts().describe('Labels of namespaces, all of which must be there. Looked up in the cluster by each install and upgrade.');

const image = (repository: string, tag: string, tagMeaning: string) =>
  z.strictObject({
    repository: z.string().min(1).default(repository).describe('The repository, with its registry if it has one.'),
    tag: z
      .string()
      .regex(/^[A-Za-z0-9._-]{0,128}$/)
      .default(tag)
      .describe(tagMeaning),
    digest: z
      .string()
      .regex(/^(sha256:[0-9a-f]{64})?$/)
      .default('')
      .describe('sha256:…, which counts in place of the tag.'),
    pullPolicy: z.enum(['Always', 'IfNotPresent', 'Never']).default('IfNotPresent').describe('When the node pulls it.'),
  });

const resources = (cpu: string, memory: string) =>
  z
    .strictObject({
      requests: quantities().default({ cpu, memory }).describe('What the scheduler sets aside.'),
      limits: quantities()
        .default({ memory })
        .describe('What the container may take. No limit of the processor: it would slow down verdicts.'),
    })
    .prefault({});

/** What both Deployments have in common. */
const pods = (options: { readonly cpu: string; readonly memory: string }) => ({
  replicas: z.int().min(1).max(50).default(2).describe('How many Pods.'),
  resources: resources(options.cpu, options.memory).describe('Of the container.'),
  extraEnv: kubernetesList().describe(
    'More environment variables of the container, as in a Pod. Names that begin with KEYWRIGHT_ are refused: use the values.',
  ),
  extraVolumes: kubernetesList().describe('More volumes of the Pod, such as certificates.'),
  extraVolumeMounts: kubernetesList().describe('Where they are mounted.'),
  podAnnotations: texts().describe('Annotations of the Pods.'),
  podLabels: texts().describe('More labels of the Pods. Those of the chart itself are refused.'),
  nodeSelector: texts().describe('The nodes that Pods may run on.'),
  tolerations: kubernetesList().describe('The taints that they tolerate.'),
  affinity: kubernetesObject().describe('Where they would rather run.'),
  topologySpreadConstraints: kubernetesList().describe(
    'How they are spread; nothing = over nodes and zones, as far as that works.',
  ),
  priorityClassName: optionalName().describe('Their PriorityClass.'),
});

const serviceAccount = () =>
  z
    .strictObject({
      annotations: texts().describe('Annotations of the ServiceAccount, such as eks.amazonaws.com/role-arn.'),
    })
    .prefault({});

const operator = z
  .strictObject({
    ...pods({ cpu: '50m', memory: '256Mi' }),
    serviceAccount: serviceAccount().describe(
      'The account is called keywright-operator: cloud roles name it. Vault roles name keywright-vault.',
    ),
    leaseDuration: duration('15s').describe('How long a leader that fell silent is waited for, 5s to 10m.'),
    concurrency: z
      .int()
      .min(1)
      .max(100)
      .default(8)
      .describe('How many ApiKeys are reconciled at the same time, and how many calls go to one destination at the same time.'),
    withdrawDeadline: duration('10m').describe(
      'How long the deletion of an ApiKey waits for a destination that does not answer.',
    ),
    deliverDeadline: duration('1h').describe('How long a new version waits for a destination that does not answer.'),
    driftInterval: duration('6h').describe('How often a destination is checked for changes by others.'),
    orphanAfter: duration('8m').describe(
      'How long a key lives on after its ApiKey vanished without a deletion (for example, its finalizer was removed), 10s to 24h. Up to a minute is added.',
    ),
    feedPoll: duration('1s').describe('How often it looks for direct revocations in the database, 1s to 1m.'),
    retention: z
      .strictObject({
        feed: duration('24h').describe(
          'Of rows of the change feed, at least 1h. A follower that was away for longer reads everything.',
        ),
        versions: duration('720h').describe('Of ended versions, and of rows of deleted resources, at least 24h.'),
        deliveries: duration('24h').describe('Of rows of locations that were emptied, at least 1h.'),
        audit: duration('9600h').describe('Of the audit, at least 720h: the database never removes younger rows.'),
      })
      .prefault({})
      .describe('How long it keeps old rows in the database.'),
  })
  .prefault({});

const authorizer = z
  .strictObject({
    enabled: yes().describe('Whether the verify API is installed here. Off where it runs elsewhere, over the same database.'),
    ...pods({ cpu: '100m', memory: '256Mi' }),
    serviceAccount: serviceAccount().describe('The account has no right in the cluster, and its token is not mounted.'),
    usageFlush: duration('5s').describe('How often it writes which keys were used, 1s to 30s.'),
    maxConnections: z
      .int()
      .min(64)
      .max(65_536)
      .default(1_024)
      .describe(
        'The most connections that one Pod keeps open. Half of them are for callers that have proven themselves. All others may take half of the total, or with TLS a quarter, because an unfinished handshake takes much memory; one address gets at most half of those. All bodies and answers in progress together may take 16 KiB times this number. 1024 of the most expensive connections fit into the memory above.',
      ),
    refusalsPerSecond: z
      .int()
      .min(1)
      .max(100_000)
      .default(10)
      .describe(
        'How many refusals (key_invalid) a second one client network (/24, /64) gets in the long run, with a burst of ten times that; then rate_limited.',
      ),
    maxStaleness: duration('60s').describe(
      'How long it decides without proof that it reads the primary of the database, 15s to 1h; then it answers authorizer_stale.',
    ),
    requireHeartbeat: z
      .enum(['auto', 'on', 'off'])
      .default('auto')
      .describe(
        "What proves the primary (see maxStaleness). auto = the operator's heartbeat in the database, or most hosts of a URL with several; on = the heartbeat alone, also for a single host; off = none.",
      ),
    callers: z
      .strictObject({
        existingSecret: optionalName().describe(
          'A Secret with the entry tokens.json: {"<caller>":"<SHA-256 of its token, hex>"}. Empty = the chart makes keywright-callers, with one caller: gateway.',
        ),
      })
      .prefault({})
      .describe('Who may ask: by a token in the header Keywright-Caller.'),
    tls: z
      .strictObject({
        existingSecret: optionalName().describe('A Secret of type kubernetes.io/tls. Empty = plain HTTP.'),
        clientCaSecret: optionalName().describe(
          'A Secret with the entry ca.crt: callers with a client certificate of it need no token.',
        ),
      })
      .prefault({})
      .describe('TLS of the verify API.'),
    service: z
      .strictObject({
        type: z.enum(['ClusterIP', 'NodePort', 'LoadBalancer']).default('ClusterIP').describe('The type of the Service.'),
        port: port(8080).describe('Its port.'),
        annotations: texts().describe('Its annotations.'),
      })
      .prefault({})
      .describe('The Service keywright-authorizer.'),
    drainSeconds: z.int().min(0).max(300).default(5).describe('How long a Pod that ends still answers, until everybody knows.'),
  })
  .prefault({});

const database = z
  .strictObject({
    url: z
      .string()
      .regex(/^$|^postgres(ql)?:\/\/\S+$/)
      .default('')
      .describe(
        'postgres://user:password@host:5432/database. It is kept in the Secret keywright-database, and in the record of the Helm release.',
      ),
    existingSecret: optionalName().describe('A Secret of the release namespace that holds the URL.'),
    existingSecretKey: entryName('url').describe('Its entry; CloudNativePG calls it uri.'),
    passwordSecret: optionalName().describe('A Secret with the password, where the URL has none.'),
    passwordSecretKey: entryName('password').describe('Its entry.'),
    authorizer: z
      .strictObject({
        existingSecret: optionalName().describe(
          'A Secret with the URL of another database user for the authorizer: a member of the role keywright_authorizer. Empty = the URL of the operator, except with postgres.enabled.',
        ),
        existingSecretKey: entryName('url').describe('Its entry.'),
        passwordSecret: optionalName().describe('A Secret with the password of that user, where its URL has none.'),
        passwordSecretKey: entryName('password').describe('Its entry.'),
      })
      .prefault({})
      .describe('The database login of the authorizer. Set it: the login of the operator can change every key.'),
    migration: z
      .strictObject({
        existingSecret: optionalName().describe(
          'A Secret with the URL of the database user that owns the schema. An init container of the operator migrates with it, and the operator itself can log in as a member of the role keywright_operator. Empty = the operator migrates.',
        ),
        existingSecretKey: entryName('url').describe('Its entry.'),
        passwordSecret: optionalName().describe('A Secret with the password of that user, where its URL has none.'),
        passwordSecretKey: entryName('password').describe('Its entry.'),
      })
      .prefault({})
      .describe('The database login of migrations.'),
  })
  .prefault({});

const postgres = z
  .strictObject({
    enabled: no().describe('One PostgreSQL without a replica or a backup: to try Keywright out, and for nothing else.'),
    image: image('postgres', '18', 'The tag: the version of PostgreSQL.').prefault({}).describe('Its image.'),
    storage: z
      .strictObject({
        size: z
          .string()
          .regex(/^[1-9][0-9]*(Mi|Gi|Ti)$/)
          .default('1Gi')
          .describe('How much.'),
        className: optionalName().describe("The StorageClass. Empty = the cluster's default."),
      })
      .prefault({})
      .describe('Its volume, which outlives the release.'),
    resources: resources('50m', '256Mi').describe('Of its container.'),
  })
  .prefault({});

const urls = (pattern: RegExp) => z.array(z.string().regex(pattern)).max(100).default([]);

const destinations = z
  .strictObject({
    vaultAddresses: urls(addressPattern).describe(
      'Vault servers, such as https://vault.example.com:8200, that may get credentials that other servers would also accept: tokens for any audience, Secrets without the annotation keywright.dev/vault-address.',
    ),
    awsEndpoints: urls(originPattern).describe(
      'What endpoint and stsEndpoint may name besides the endpoints of AWS itself: VPC endpoints without private DNS, test servers.',
    ),
    insecure: urls(originPattern).describe("Servers that may use plain http, or be on the Pod's loopback (sidecars)."),
  })
  .prefault({});

const monitor = () =>
  z
    .strictObject({
      enabled: no().describe('Whether it is made. It needs the CRDs of the Prometheus operator.'),
      interval: duration('30s').describe('How often is scraped.'),
      labels: texts().describe('Its labels, by which a Prometheus finds it.'),
    })
    .prefault({});

const networkPolicy = z
  .strictObject({
    enabled: yes().describe('Whether NetworkPolicies close all ports but those that are served.'),
    callers: kubernetesList().describe(
      'Who reaches the verify API, as `from` in a NetworkPolicy: your gateways and services. Nothing = the Pods of the release namespace alone.',
    ),
    scrapers: kubernetesList().describe(
      "Who reaches metrics and health, likewise: your Prometheus. A kubelet's probes always can.",
    ),
    egress: kubernetesList().describe(
      'Where the Pods may connect to, as `egress` rules in a NetworkPolicy; nothing = anywhere. They need DNS, the API server, the database, and your Vault or AWS.',
    ),
  })
  .prefault({});

/** The whole of `values.yaml`. */
export const chartValues = z.strictObject({
  image: image('keywright/keywright', '', 'The tag; empty = the appVersion of the chart.')
    .prefault({})
    .describe('The image of the operator and the authorizer. Build it with the Containerfile of this repository.'),
  imagePullSecrets: z
    .array(z.strictObject({ name: z.string().regex(objectNamePattern) }))
    .default([])
    .describe('Secrets with the credentials of its registry.'),
  logLevel: z.enum(logLevels).default('info').describe('The least important line that is logged.'),
  crds: z
    .strictObject({
      install: yes().describe('Whether the CustomResourceDefinitions are installed and upgraded with the release.'),
      keep: yes().describe('Whether an uninstall leaves them. Without them every ApiKey is deleted.'),
    })
    .prefault({})
    .describe('The CustomResourceDefinitions.'),
  admission: z
    .strictObject({
      install: yes().describe('Whether the ValidatingAdmissionPolicy and its binding are installed with the release.'),
      mode: z
        .enum(['required', 'off'])
        .default('required')
        .describe(
          'required = while the policy is not in force, or has changed, a change of an ApiKey can only narrow the key, until somebody with all the rights that creating it needs confirms it; off = anybody who can write an ApiKey can put any right into it.',
        ),
    })
    .prefault({})
    .describe('Who may put which right into a key is checked by the API server itself.'),
  rbac: z
    .strictObject({
      userRoles: yes().describe('Whether keywright-admin, -grantor, -responder and -viewer are made. They are bound to nobody.'),
      serviceBinding: yes().describe('Whether controllers of the Service Binding specification may read ApiKeys.'),
    })
    .prefault({})
    .describe('Roles besides those of the operator.'),
  namespaces: z
    .strictObject({ names: names().describe('Namespaces by name.'), selector: selector() })
    .prefault({})
    .describe('The namespaces whose ApiKeys are served; nothing = all.'),
  secrets: z
    .strictObject({
      names: names().describe('Namespaces by name.'),
      selector: selector(),
      all: no().describe('Every namespace, also those that come later.'),
    })
    .prefault({})
    .describe(
      'The namespaces whose Secrets keys may be delivered to: the operator can read all Secrets there. Nothing = none, and no right on Secrets.',
    ),
  consumers: z
    .strictObject({
      names: names().describe('Namespaces by name.'),
      selector: selector(),
      all: no().describe('Every namespace, also those that come later.'),
    })
    .prefault({})
    .describe(
      'The namespaces whose workloads may be restarted for a new version: the operator can run anything there. Nothing = none.',
    ),
  loginSecrets: z
    .array(z.string().regex(objectNamePattern))
    .max(100)
    .default([])
    .describe(
      'Secrets of the release namespace that KeyDestinations log in with (secretRef). The operator may read these alone. Each needs the label keywright.dev/credential.',
    ),
  loginServiceAccounts: z
    .array(z.string().regex(objectNamePattern))
    .max(20)
    .default([])
    .describe(
      'ServiceAccounts of the release namespace that KeyDestinations log in to Vault with (serviceAccountRef), besides keywright-vault. Give them no rights in the cluster.',
    ),
  destinations: destinations.describe('Servers that authors of KeyDestinations may use beyond the default.'),
  database: database.describe(
    'The PostgreSQL database: exactly one of database.url, database.existingSecret and postgres.enabled.',
  ),
  postgres: postgres.describe('A PostgreSQL for evaluation.'),
  peppers: z
    .strictObject({
      existingSecret: optionalName().describe(
        'A Secret with the entry peppers.json. Empty = the chart makes keywright-peppers, once. Where manifests are rendered without the cluster (Argo CD, helm template), make it yourself and name it here.',
      ),
    })
    .prefault({})
    .describe(
      'The peppers that the hashes of keys are made with. Without them, no key authenticates: back them up, apart from the database.',
    ),
  operator: operator.describe('The operator: mints, delivers, rotates, repairs, revokes.'),
  authorizer: authorizer.describe('The authorizer: answers /v1/verify.'),
  networkPolicy: networkPolicy.describe('NetworkPolicies.'),
  serviceMonitor: monitor().describe('A ServiceMonitor for the Services of both.'),
  podMonitor: monitor().describe('A PodMonitor for the Pods of both, in place of the ServiceMonitor.'),
});

/** What a user of the chart may give. */
export type ChartValues = z.input<typeof chartValues>;

/** The schema as it stands in `values.schema.json`. Helm passes `global` to every chart, and `enabled` to a subchart with a condition. */
export function valuesSchema(): object {
  const schema = z.toJSONSchema(chartValues, { target: 'draft-7', io: 'input' }) as { properties: object };
  return {
    ...schema,
    title: 'Values of the chart keywright',
    properties: {
      ...schema.properties,
      global: { type: 'object', description: 'What a parent chart passes to all; not read here.' },
      enabled: { type: 'boolean', description: 'For the condition of a parent chart; not read here.' },
    },
  };
}

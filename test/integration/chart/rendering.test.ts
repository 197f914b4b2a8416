import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { inspectAdmission } from '../../../operator/src/api/admission/inspect.ts';
import { admissionManifests } from '../../../operator/src/api/admission/manifests.ts';
import { operatorRoles, roleManifests } from '../../../operator/src/api/admission/roles.ts';
import { readConfig } from '../../../operator/src/config.ts';
import type { ChartValues } from '../../../scripts/chart/values.ts';
import { chartPath, render, type Rendered } from '../../harness/chart.ts';
import { Helm } from '../../harness/helm.ts';
import { ownControlPlane } from '../../harness/parts.ts';

const plane = await ownControlPlane({ controllers: false, crds: false });
const { kube } = plane;
const helm = await Helm.open();
const system = 'keywright-system';
const url = 'postgres://keywright@db.example.com/keywright';

/** What people install, from the least to the most. */
const matrix: Readonly<Record<string, ChartValues>> = {
  'a URL of a database alone': { database: { url } },
  'a Secret of a database alone': { database: { existingSecret: 'db' } },
  'a database to try it out': { postgres: { enabled: true, storage: { className: 'fast' } } },
  'Vault only, in one namespace': {
    database: { existingSecret: 'db', existingSecretKey: 'uri' },
    namespaces: { names: ['payments'] },
    loginSecrets: ['vault-approle'],
  },
  'as little as can be': {
    database: { url },
    ...{
      crds: { install: false },
      admission: { install: false, mode: 'off' },
      rbac: { userRoles: false, serviceBinding: false },
    },
    ...{ operator: { replicas: 1 }, authorizer: { enabled: false }, networkPolicy: { enabled: false } },
  },
  everything: {
    image: { repository: 'registry.example.com/keywright', digest: `sha256:${'a'.repeat(64)}`, pullPolicy: 'Always' },
    imagePullSecrets: [{ name: 'registry' }],
    logLevel: 'debug',
    crds: { keep: false },
    namespaces: { names: ['payments', 'shop'] },
    secrets: { names: ['payments'] },
    consumers: { all: true },
    loginSecrets: ['vault-token'],
    loginServiceAccounts: ['vault-b'],
    destinations: {
      vaultAddresses: ['https://vault.example.com:8200', 'https://vault.example.org'],
      awsEndpoints: ['https://vpce-1.sts.eu-west-1.vpce.amazonaws.com'],
      insecure: ['http://vault.vault:8200'],
    },
    database: {
      existingSecret: 'db',
      passwordSecret: 'db-password',
      authorizer: {
        existingSecret: 'db-authorizer',
        existingSecretKey: 'uri',
        ...{ passwordSecret: 'db-authorizer-password', passwordSecretKey: 'pw' },
      },
      migration: {
        ...{ existingSecret: 'db-owner', existingSecretKey: 'uri' },
        ...{ passwordSecret: 'db-owner-password', passwordSecretKey: 'pw' },
      },
    },
    peppers: { existingSecret: 'my-peppers' },
    operator: {
      replicas: 3,
      serviceAccount: { annotations: { 'eks.amazonaws.com/role-arn': 'arn:aws:iam::123456789012:role/keywright' } },
      ...{ leaseDuration: '30s', concurrency: 20, withdrawDeadline: '5m', deliverDeadline: '30m', driftInterval: '1h' },
      ...{ orphanAfter: '1h', feedPoll: '5s', retention: { feed: '48h', versions: '24h', deliveries: '1h', audit: '720h' } },
      resources: { limits: { cpu: 1, memory: '512Mi' } },
      extraEnv: [{ name: 'NODE_EXTRA_CA_CERTS', value: '/etc/ca/ca.crt' }],
      extraVolumes: [{ name: 'ca', configMap: { name: 'ca' } }],
      extraVolumeMounts: [{ name: 'ca', mountPath: '/etc/ca' }],
      podLabels: { team: 'platform' },
      podAnnotations: { 'example.com/note': 'x' },
      nodeSelector: { disk: 'ssd' },
      tolerations: [{ key: 'dedicated', operator: 'Exists' }],
      affinity: { nodeAffinity: {} },
      priorityClassName: 'system-cluster-critical',
      topologySpreadConstraints: [
        { maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule', labelSelector: { matchLabels: { a: 'b' } } },
      ],
    },
    authorizer: {
      callers: { existingSecret: 'my-callers' },
      tls: { existingSecret: 'tls', clientCaSecret: 'ca' },
      service: { type: 'LoadBalancer', port: 443, annotations: { 'example.com/internal': 'true' } },
      ...{
        drainSeconds: 0,
        usageFlush: '1s',
        maxConnections: 4_096,
        refusalsPerSecond: 100_000,
        maxStaleness: '30s',
        requireHeartbeat: 'on',
      },
    },
    networkPolicy: {
      callers: [{ namespaceSelector: { matchLabels: { gateway: 'true' } } }],
      scrapers: [{ podSelector: { matchLabels: { app: 'prometheus' } } }],
      egress: [{ ports: [{ protocol: 'TCP', port: 443 }] }],
    },
    serviceMonitor: { enabled: true, labels: { release: 'prometheus' } },
    global: { imageRegistry: 'ignored' },
  } as ChartValues,
};
const cases = Object.entries(matrix);

const rulesOf = (objects: readonly Rendered[]) => objects.flatMap(({ rules = [] }) => rules);
const podsOf = (objects: readonly Rendered[]) =>
  objects.flatMap(({ spec }) => (spec?.template === undefined ? [] : [spec.template]));
const namesOf = (objects: readonly Rendered[], kind: string) =>
  objects.filter((one) => one.kind === kind).map(({ metadata }) => metadata.name);
const find = (objects: readonly Rendered[], kind: string, name: string) =>
  objects.find((one) => one.kind === kind && one.metadata.name === name);

/** A NetworkPolicy, as far as it matters here. */
interface Policy {
  readonly spec: {
    readonly ingress: readonly { readonly ports: readonly { readonly port: string }[]; readonly from: unknown }[];
  };
}

/** The smallest that takes what the chart makes for the Prometheus operator. */
const monitorCrds = ['ServiceMonitor', 'PodMonitor'].map((kind) => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `${kind.toLowerCase()}s.monitoring.coreos.com` },
  spec: {
    group: 'monitoring.coreos.com',
    names: { kind, plural: `${kind.toLowerCase()}s` },
    scope: 'Namespaced',
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
      },
    ],
  },
}));

beforeAll(async () => {
  const namespaces = [system, 'payments', 'shop'].map((name) => ({
    apiVersion: 'v1',
    kind: 'Namespace',
    // What a cluster that takes security seriously says of it.
    metadata: { name, ...(name === system ? { labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } } : {}) },
  }));
  // A dry run makes no accounts, and a Pod is only taken with its own.
  const accounts = ['default', 'keywright-operator', 'keywright-authorizer'].map((name) => ({
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name, namespace: system },
  }));
  await kube.kubectl(['apply', '--server-side', '-f', '-'], {
    input: { apiVersion: 'v1', kind: 'List', items: [...namespaces, ...monitorCrds, ...accounts] },
  });
});

afterAll(async () => {
  await kube.close();
  await plane.stop();
});

describe.each(cases)('the chart with %s', (_title, values) => {
  it('is taken by the API server as it stands, without an unknown field, in a namespace of restricted Pods', async () => {
    const items = await render(helm, values);
    const apply = ['apply', '--server-side', '--dry-run=server', '--validate=strict', '-f', '-'];
    await kube.kubectl(apply, { input: { apiVersion: 'v1', kind: 'List', items } });
    for (const template of podsOf(items)) {
      // A StatefulSet brings the volumes of its claims.
      const volumes = [...(template.spec.volumes ?? []), { name: 'data', emptyDir: {} }];
      const pod = {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { ...template.metadata, name: 'probe' },
        spec: { ...template.spec, volumes },
      };
      const { status, body } = await kube.request('POST', `/api/v1/namespaces/${system}/pods?dryRun=All`, { body: pod });
      expect([status, JSON.stringify(body)]).toEqual([201, expect.anything()]);
    }
  });

  it('passes the linter', async () => {
    const { stdout } = await helm.run(['lint', '--strict', chartPath], { values });
    expect(stdout).toContain('0 chart(s) failed');
  });

  it('gives a wildcard in no rule, and no Service variables to its Pods', async () => {
    const objects = await render(helm, values);
    for (const { apiGroups, resources, verbs } of rulesOf(objects))
      for (const word of [...apiGroups, ...resources, ...verbs]) expect(word).not.toContain('*');
    for (const { spec } of podsOf(objects)) expect(spec.enableServiceLinks).toBe(false);
  });

  it('configures its programs with what they understand', async () => {
    for (const { spec } of podsOf(await render(helm, values))) {
      const [container] = spec.containers;
      if (container?.args === undefined) continue;
      const env = container.env ?? [];
      const known = env.filter(({ name }) => name.startsWith('KEYWRIGHT_'));
      const texts = known.map(({ name, value, valueFrom }) => [name, valueFrom === undefined ? value : url] as const);
      const config = readConfig(Object.fromEntries(texts), ['databaseUrl', 'peppersFile']);
      const mounted = (container.volumeMounts ?? []).map(({ mountPath }) => mountPath);
      const files = [
        config.peppersFile,
        config.callerTokensFile,
        config.tlsCertFile,
        config.clientCaFile,
        config.databasePasswordFile,
      ];
      for (const file of files.filter((one) => one !== undefined))
        expect(
          mounted.some((path) => file.startsWith(`${path}/`)),
          file,
        ).toBe(true);
    }
  });
});

async function notes(values: ChartValues): Promise<string> {
  const { stdout } = await helm.run(['install', 'keywright', chartPath, '--dry-run=client'], { values });
  return stdout.slice(stdout.indexOf('NOTES:'));
}

describe('the chart', () => {
  it('has the CRDs, the policy and the roles that the operator is made with, and nothing beside them', async () => {
    const objects = await render(helm, { database: { url }, secrets: { all: true }, consumers: { all: true } });
    const bare = (one: Rendered | object) => {
      const { metadata, ...rest } = one as Rendered;
      return { ...rest, name: metadata.name };
    };
    const wanted = ['apicatalogs', 'keyownergroups', 'keyowners', 'keydestinations', 'apikeys'].map(
      (plural) => parse(readFileSync(join(chartPath, '..', '..', 'crds', `keywright.dev_${plural}.yaml`), 'utf8')) as object,
    );
    const rendered = (kind: string) => objects.filter((one) => one.kind === kind).map(bare);
    const named = (one: object) => (one as { name: string }).name;
    const sorted = (all: readonly object[]) => [...all].sort((a, b) => named(a).localeCompare(named(b)));
    expect(sorted(rendered('CustomResourceDefinition'))).toEqual(sorted(wanted.map(bare)));
    const kinds = ['ValidatingAdmissionPolicy', 'ValidatingAdmissionPolicyBinding'];
    const byKind = (all: readonly object[]) => kinds.flatMap((of) => all.filter((one) => (one as Rendered).kind === of));
    const policies = byKind(objects);
    expect(policies.map(bare)).toEqual(byKind(admissionManifests(system)).map(bare));
    const live = (of: string) => {
      const { metadata, ...rest } = find(policies as Rendered[], of, 'keywright') ?? { metadata: {} };
      return { ...rest, metadata: { ...metadata, uid: of, generation: 1 } };
    };
    expect(inspectAdmission(...(kinds.map(live) as [object, object]))).toMatchObject({ kind: 'inForce' });
    expect(sorted([...rendered('ClusterRole'), ...rendered('Role')])).toEqual(sorted(roleManifests(system).map(bare)));
  });

  it.each(['a URL of a database alone', 'a Secret of a database alone'] as const)(
    'is complete with %s: budgets, policies, CRDs, and caller tokens of its own making',
    async (title) => {
      const objects = await render(helm, matrix[title] ?? {});
      for (const kind of ['PodDisruptionBudget', 'NetworkPolicy', 'Deployment'] as const)
        expect(namesOf(objects, kind).sort()).toEqual(['keywright-authorizer', 'keywright-operator']);
      expect(namesOf(objects, 'CustomResourceDefinition')).toHaveLength(5);
      expect(namesOf(objects, 'ValidatingAdmissionPolicyBinding')).toEqual(['keywright', 'keywright-operator']);
      const { data = {} } = find(objects, 'Secret', 'keywright-callers') ?? {};
      expect(Object.keys(data).sort()).toEqual(['token', 'tokens.json']);
    },
  );

  it('gives the operator no verb on Secrets, workloads or other namespaces that no value names', async () => {
    const least = await render(helm, { database: { url } });
    expect(
      rulesOf(least).filter(({ resources }) =>
        resources.some((one) => /secrets$|deployments/.test(one) && one !== 'keydestinations/secrets'),
      ),
    ).toEqual([]);
    const listed = await render(helm, {
      database: { url },
      namespaces: { names: ['payments', 'shop'] },
      secrets: { names: ['payments'] },
      consumers: { names: ['shop'] },
      loginSecrets: ['vault-token'],
    });
    const bound = listed.flatMap(({ kind, metadata, roleRef }) =>
      roleRef === undefined ? [] : [`${kind} ${metadata.namespace ?? '-'} ${roleRef.name}`],
    );
    expect(bound.sort()).toEqual([
      'ClusterRoleBinding - keywright-operator',
      'RoleBinding default keywright-operator-events',
      'RoleBinding keywright-system keywright-operator',
      'RoleBinding keywright-system keywright-operator-logins',
      'RoleBinding payments keywright-operator-keys',
      'RoleBinding payments keywright-operator-secrets',
      'RoleBinding shop keywright-operator-consumers',
      'RoleBinding shop keywright-operator-keys',
    ]);
    expect(find(listed, 'Role', 'keywright-operator-logins')?.rules).toEqual([
      { apiGroups: [''], resources: ['secrets'], resourceNames: ['vault-token'], verbs: ['get'] },
    ]);
    expect(operatorRoles.cluster.rules.flatMap(({ resources }) => resources)).not.toContain('secrets');
  });

  it('lets the operator request tokens of a ServiceAccount that nothing is bound to, and of those that a value names', async () => {
    const objects = await render(helm, { ...matrix['everything'], secrets: { all: true } });
    expect(find(objects, 'ServiceAccount', 'keywright-vault')).toMatchObject({ automountServiceAccountToken: false });
    const subjects = objects.flatMap((one) => ('subjects' in one ? (one.subjects as readonly { name: string }[]) : []));
    expect(new Set(subjects.map(({ name }) => name))).toEqual(new Set(['keywright-operator']));
    const users = podsOf(objects).map(({ spec }) => (spec as { serviceAccountName?: string }).serviceAccountName);
    expect(users).not.toContain('keywright-vault');
    const lent = rulesOf(objects)
      .filter(({ resources }) => resources.includes('serviceaccounts/token'))
      .map(({ resourceNames, verbs }) => [resourceNames, verbs]);
    expect(new Set(lent.map((one) => JSON.stringify(one)))).toEqual(
      new Set(['[["keywright-vault"],["create"]]', '[["vault-b"],["create"]]']),
    );
    const { env = [] } = find(objects, 'Deployment', 'keywright-operator')?.spec?.template?.spec.containers[0] ?? {};
    const texts = env.filter(({ value }) => value !== undefined).map(({ name, value }) => [name, value] as const);
    expect(readConfig(Object.fromEntries(texts.filter(([name]) => name.startsWith('KEYWRIGHT_'))))).toMatchObject({
      loginServiceAccounts: ['keywright-vault', 'vault-b'],
      vaultAddresses: ['https://vault.example.com:8200', 'https://vault.example.org'],
      awsEndpoints: ['https://vpce-1.sts.eu-west-1.vpce.amazonaws.com'],
      insecureDestinations: ['http://vault.vault:8200'],
    });
  });

  it('passes every period and limit that a value names to the program', async () => {
    const objects = await render(helm, matrix['everything'] ?? {});
    const configOf = (name: string) => {
      const { env = [] } = find(objects, 'Deployment', name)?.spec?.template?.spec.containers[0] ?? {};
      const texts = env.filter((one) => one.value !== undefined && one.name.startsWith('KEYWRIGHT_'));
      return readConfig(Object.fromEntries(texts.map(({ name: variable, value }) => [variable, value] as const)));
    };
    const hour = 3_600_000;
    expect(configOf('keywright-operator')).toMatchObject({
      ...{ orphanAfterMs: hour, feedPollMs: 5_000, feedRetentionMs: 48 * hour, versionRetentionMs: 24 * hour },
      ...{ deliveryRetentionMs: hour, auditRetentionMs: 720 * hour },
    });
    expect(configOf('keywright-authorizer')).toMatchObject({ refusalsPerSecond: 100_000, maxStalenessMs: 30_000 });
  });

  it('keeps to served namespaces what is meant for all of them', async () => {
    const objects = await render(helm, { database: { url }, namespaces: { names: ['payments'] }, secrets: { all: true } });
    expect(find(objects, 'ClusterRoleBinding', 'keywright-operator-secrets')).toBeUndefined();
    expect(find(objects, 'RoleBinding', 'keywright-operator-secrets')?.metadata.namespace).toBe('payments');
  });

  it('admits to the verify API and the metrics whom a value names, and without one the release namespace alone', async () => {
    const admitted = async (values: ChartValues) => {
      const objects = await render(helm, values);
      return ['keywright-operator', 'keywright-authorizer'].map((name) =>
        (find(objects, 'NetworkPolicy', name) as unknown as Policy).spec.ingress.map(({ ports, from }) => [ports[0]?.port, from]),
      );
    };
    const own = [{ podSelector: {} }];
    expect(await admitted({ database: { url } })).toEqual([
      [['metrics', own]],
      [
        ['metrics', own],
        ['http', own],
      ],
    ]);
    const callers = [{ namespaceSelector: { matchLabels: { gateway: 'true' } } }];
    const scrapers = [{ podSelector: { matchLabels: { app: 'prometheus' } } }];
    expect(await admitted({ database: { url }, networkPolicy: { callers, scrapers } })).toEqual([
      [['metrics', scrapers]],
      [
        ['metrics', scrapers],
        ['http', callers],
      ],
    ]);
  });

  it('marks what an uninstall must leave: the CRDs as long as somebody wants that, and what was made once', async () => {
    const kept = (objects: readonly Rendered[]) =>
      objects.filter(({ metadata }) => metadata.annotations?.['helm.sh/resource-policy'] === 'keep').map(({ kind }) => kind);
    const crds = Array.from({ length: 5 }, () => 'CustomResourceDefinition');
    expect(kept(await render(helm, { database: { url } })).sort()).toEqual([...crds, 'Secret', 'Secret']);
    expect(kept(await render(helm, { postgres: { enabled: true }, crds: { keep: false } }))).toEqual(
      Array.from({ length: 5 }, () => 'Secret'),
    );
  });
});

describe('the database logins', () => {
  /** For each container: the Secrets that it sees, as variable or file. */
  const secretsOf = async (values: ChartValues) => {
    const seen: Record<string, readonly string[]> = {};
    for (const { spec } of podsOf(await render(helm, values))) {
      for (const { name, env = [], volumeMounts = [] } of [...(spec.initContainers ?? []), ...spec.containers]) {
        const mounted = (spec.volumes ?? []).filter((volume) => volumeMounts.some((mount) => mount.name === volume.name));
        const texts = [JSON.stringify(env), JSON.stringify(mounted)].join();
        seen[name] = [...texts.matchAll(/"(?:secretName|name)":"((?:keywright-postgres|keywright-database|db)[a-z-]*)"/g)]
          .map((found) => found[1] ?? '')
          .sort();
      }
    }
    return seen;
  };

  it('of a database that the chart makes are three: the superuser is seen by the init container alone', async () => {
    const seen = await secretsOf({ postgres: { enabled: true } });
    expect(seen).toEqual({
      authorizer: ['keywright-postgres-authorizer'],
      database: ['keywright-postgres', 'keywright-postgres-authorizer', 'keywright-postgres-operator'],
      operator: ['keywright-postgres-operator'],
      postgres: ['keywright-postgres'],
    });
    const objects = await render(helm, { postgres: { enabled: true } });
    const users =
      Object.keys(seen).length > 0 ? namesOf(objects, 'Secret').filter((name) => name.startsWith('keywright-postgres')) : [];
    const urls = users.map((name) => Buffer.from(find(objects, 'Secret', name)?.data?.['url'] ?? '', 'base64').toString());
    expect(urls.map((one) => new URL(one).username)).toEqual([
      'keywright',
      'keywright_authorizer_login',
      'keywright_operator_login',
    ]);
    expect(new Set(urls.map((one) => new URL(one).password)).size).toBe(3);
  });

  it('of a database that the chart makes are limited: Pods have their connections, and others keep theirs', async () => {
    const limits = async (replicas: number) => {
      const objects = await render(helm, { postgres: { enabled: true }, authorizer: { replicas } });
      const spec = (kind: string, name: string) => find(objects, kind, name)?.spec?.template?.spec;
      const args = spec('Deployment', 'keywright-operator')?.initContainers?.[0]?.args ?? [];
      const server = spec('StatefulSet', 'keywright-postgres')?.containers[0]?.args;
      return { limit: args[args.indexOf('--authorizer-connections') + 1], server };
    };
    // PostgreSQL's default of 100 is enough.
    expect(await limits(2)).toEqual({ limit: '48', server: undefined });
    expect(await limits(10)).toEqual({ limit: '144', server: ['-c', 'max_connections=196'] });
  });

  it("of a database of yours: the authorizer never sees the operator's, or its password, when it has its own", async () => {
    const own = { existingSecret: 'db', passwordSecret: 'db-password' };
    expect(await secretsOf({ database: { ...own, authorizer: { existingSecret: 'db-authorizer' } } })).toEqual({
      authorizer: ['db-authorizer'],
      operator: ['db', 'db-password'],
    });
    expect(await secretsOf({ database: own })).toMatchObject({ authorizer: ['db', 'db-password'] });
    expect(await secretsOf({ database: { existingSecret: 'db', migration: { existingSecret: 'db-owner' } } })).toMatchObject({
      database: ['db-owner'],
      operator: ['db'],
    });
    const owner = { existingSecret: 'db-owner', passwordSecret: 'db-owner-password' };
    expect(await secretsOf({ database: { existingSecret: 'db', migration: owner } })).toMatchObject({
      database: ['db-owner', 'db-owner-password'],
      operator: ['db'],
    });
  });

  it('give the password of migrations to the init container as the file that it reads', async () => {
    const migration = { existingSecret: 'db-owner', passwordSecret: 'db-owner-password' };
    const objects = await render(helm, { database: { existingSecret: 'db', migration } });
    const spec = find(objects, 'Deployment', 'keywright-operator')?.spec?.template?.spec;
    const [init] = spec?.initContainers ?? [];
    expect(init?.env).toContainEqual({ name: 'KEYWRIGHT_DATABASE_PASSWORD_FILE', value: '/etc/keywright/migration/password' });
    expect(init?.volumeMounts).toEqual([{ name: 'migration', mountPath: '/etc/keywright/migration', readOnly: true }]);
  });

  it('are told of after an install when both programs share one', async () => {
    expect(await notes({ database: { url } })).toContain('The authorizer logs in to the database as the operator does');
    for (const values of [{ postgres: { enabled: true } }, { database: { url, authorizer: { existingSecret: 'db' } } }])
      expect(await notes(values)).not.toContain('as the operator does');
    const migrated = { database: { url, authorizer: { existingSecret: 'db' }, migration: { existingSecret: 'owner' } } };
    expect(await notes(migrated)).toContain('-c database');
    expect(await notes(migrated)).not.toContain('keywright migrate');
    // Without an init container, somebody must have made the roles before the logins work.
    expect(await notes({ database: { url, authorizer: { existingSecret: 'db' } } })).toContain('keywright migrate');
  });
});

describe('an admission mode of off', () => {
  it('is warned of after an install', async () => {
    expect(await notes({ database: { url }, admission: { mode: 'off' } })).toContain('WARNING: admission.mode is off.');
    expect(await notes({ database: { url } })).not.toContain('WARNING');
  });
});

describe('what cannot be right is refused, and named', () => {
  it.each<readonly [string, object, RegExp]>([
    ['no database', {}, /a database is needed: set database\.url, or database\.existingSecret, or .*postgres\.enabled/],
    [
      'two databases',
      { database: { url, existingSecret: 'x' } },
      /one database only: database\.url and database\.existingSecret/,
    ],
    ['a database and one to try out', { database: { url }, postgres: { enabled: true } }, /database\.url and postgres\.enabled/],
    ['an unknown value', { database: { url }, replicaCount: 3 }, /additional properties 'replicaCount' not allowed/],
    [
      'an unknown value, deep',
      { database: { url }, operator: { replica: 3 } },
      /\/operator.*additional properties 'replica' not allowed/s,
    ],
    ['a URL of another database', { database: { url: 'mysql://x' } }, /\/database\/url/],
    ['no duration', { database: { url }, operator: { leaseDuration: '15' } }, /\/operator\/leaseDuration/],
    ['no replica', { database: { url }, operator: { replicas: 0 } }, /\/operator\/replicas/],
    ['all and some', { database: { url }, secrets: { all: true, names: ['a'] } }, /secrets\.all contradicts secrets\.names/],
    [
      'names and labels',
      { database: { url }, namespaces: { names: ['a'], selector: { a: 'b' } } },
      /namespaces\.names contradicts/,
    ],
    [
      'Secrets where no key is served',
      { database: { url }, namespaces: { names: ['a'] }, secrets: { names: ['b'] } },
      /secrets: the ApiKeys of namespace b are not served/,
    ],
    [
      'labels without a cluster',
      { database: { url }, secrets: { selector: { a: 'b' } } },
      /secrets\.selector is looked up in the cluster/,
    ],
    ['a client CA without TLS', { database: { url }, authorizer: { tls: { clientCaSecret: 'x' } } }, /clientCaSecret needs/],
    [
      'two monitors',
      { database: { url }, serviceMonitor: { enabled: true }, podMonitor: { enabled: true } },
      /serviceMonitor\.enabled contradicts podMonitor\.enabled/,
    ],
    [
      'a load balancer that nobody may reach',
      { database: { url }, authorizer: { service: { type: 'LoadBalancer' } } },
      /service\.type=LoadBalancer needs networkPolicy\.callers/,
    ],
    [
      'a monitor that nobody may scrape for',
      { database: { url }, podMonitor: { enabled: true } },
      /podMonitor\.enabled needs networkPolicy\.scrapers: .* so a Prometheus elsewhere cannot scrape/,
    ],
    [
      'fewer connections than a gateway needs',
      { database: { url }, authorizer: { maxConnections: 10 } },
      /\/authorizer\/maxConnections/,
    ],
    [
      'a password for the database to try out',
      { postgres: { enabled: true }, database: { passwordSecret: 'x' } },
      /passwordSecret is for your own database and cannot be used with postgres\.enabled/,
    ],
    [
      'a Secret of its own to log in with',
      { database: { url }, peppers: { existingSecret: 'mine' }, loginSecrets: ['mine'] },
      /loginSecrets: mine is a Secret of Keywright itself/,
    ],
    [
      'the peppers to log in with',
      { database: { url }, loginSecrets: ['keywright-peppers'] },
      /loginSecrets: keywright-peppers is a Secret of Keywright itself/,
    ],
    [
      'the operator to log in as',
      { database: { url }, loginServiceAccounts: ['keywright-operator'] },
      /loginServiceAccounts: keywright-operator runs Keywright itself/,
    ],
    ['no origin', { database: { url }, destinations: { insecure: ['http://a/b'] } }, /\/destinations\/insecure\/0/],
    [
      'an own login for the database to try out',
      { postgres: { enabled: true }, database: { authorizer: { existingSecret: 'x' } } },
      /database\.authorizer is for your own database and cannot be used with postgres\.enabled/,
    ],
    [
      'an owner for the database to try out',
      { postgres: { enabled: true }, database: { migration: { existingSecret: 'x' } } },
      /database\.migration is for your own database and cannot be used with postgres\.enabled/,
    ],
    [
      'a password without a URL',
      { database: { url, authorizer: { passwordSecret: 'x' } } },
      /database\.authorizer\.passwordSecret needs/,
    ],
    [
      'a variable that would switch the policy off',
      { database: { url }, operator: { extraEnv: [{ name: 'KEYWRIGHT_ADMISSION', value: 'off' }] } },
      /operator\.extraEnv: KEYWRIGHT_ADMISSION would override the chart's values/,
    ],
    [
      'a variable that would override a value of the authorizer',
      { database: { url }, authorizer: { extraEnv: [{ name: 'A' }, { name: 'KEYWRIGHT_MAX_STALENESS', value: '1h' }] } },
      /authorizer\.extraEnv: KEYWRIGHT_MAX_STALENESS would override the chart/,
    ],
    [
      'the component as a label',
      { database: { url }, operator: { podLabels: { 'app.kubernetes.io/component': 'other' } } },
      /operator\.podLabels: app\.kubernetes\.io\/component is set by the chart/,
    ],
    [
      'the name as a label',
      { database: { url }, authorizer: { podLabels: { 'app.kubernetes.io/name': 'other' } } },
      /authorizer\.podLabels: app\.kubernetes\.io\/name is set by the chart/,
    ],
    [
      'a password of migrations without a URL',
      { database: { url, migration: { passwordSecret: 'x' } } },
      /database\.migration\.passwordSecret needs database\.migration\.existingSecret/,
    ],
    [
      'the password of migrations to log in with',
      { database: { url, migration: { existingSecret: 'a', passwordSecret: 'b' } }, loginSecrets: ['b'] },
      /loginSecrets: b is a Secret of Keywright itself/,
    ],
  ])('%s', async (_title, values, message) => {
    const { code, stderr } = await helm.run(['template', 'keywright', chartPath], { values, allowFailure: true });
    expect(code).not.toBe(0);
    expect(stderr).toMatch(message);
  });
});

describe('a duration', () => {
  /** What is too short, the least, the most, what is too long. */
  type Bounds = readonly [path: string, variable: string, short: string, least: string, most: string, long: string | undefined];
  const bounds: readonly Bounds[] = [
    ['operator.leaseDuration', 'LEASE_DURATION', '4s', '5s', '9m60s', '10m1s'],
    ['operator.orphanAfter', 'ORPHAN_AFTER', '09s', '010s', '1d', '9999h'],
    ['operator.feedPoll', 'FEED_POLL', '0s', '1s', '1m', '1m1s'],
    ['operator.retention.feed', 'FEED_RETENTION', '59m', '1h', '52w', undefined],
    ['operator.retention.versions', 'VERSION_RETENTION', '23h59m', '1d', '52w', undefined],
    ['operator.retention.deliveries', 'DELIVERY_RETENTION', '59m59s', '60m', '52w', undefined],
    ['operator.retention.audit', 'AUDIT_RETENTION', '29d', '30d', '520w', undefined],
    ['authorizer.usageFlush', 'USAGE_FLUSH', '0s', '1s', '30s', '31s'],
    ['authorizer.maxStaleness', 'MAX_STALENESS', '14s', '15s', '1h', '1h1s'],
  ];
  const valued = (path: string, value: string): object =>
    path.split('.').reduceRight<object | string>((inner, name) => ({ [name]: inner }), value) as object;

  it.each<Bounds>(bounds)(
    'of %s is refused beyond the bounds of the program',
    async (path, variable, short, _least, _most, long) => {
      for (const value of [short, long].filter((one) => one !== undefined)) {
        const values = { database: { url }, ...valued(path, value) };
        const { code, stderr } = await helm.run(['template', 'keywright', chartPath], { values, allowFailure: true });
        expect([code === 0, stderr]).toEqual([false, expect.stringContaining(`${path}: ${value} is not `)]);
        expect(() => readConfig({ [`KEYWRIGHT_${variable}`]: value })).toThrow(variable);
      }
    },
  );

  it.each(['least', 'most'] as const)('is accepted at the bounds of the program: the %s', async (end) => {
    const values: Record<string, object> = { operator: { retention: {} }, authorizer: {} };
    for (const [path, variable, , least, most] of bounds) {
      const value = end === 'least' ? least : most;
      const [component = '', ...inner] = path.split('.');
      const [name = '', entry] = inner;
      const part = values[component] as Record<string, unknown>;
      if (entry === undefined) part[name] = value;
      else (part[name] as Record<string, unknown>)[entry] = value;
      expect(() => readConfig({ [`KEYWRIGHT_${variable}`]: value })).not.toThrow();
    }
    expect(await render(helm, { database: { url }, ...values })).not.toEqual([]);
  });
});

describe('a rendering without the cluster', () => {
  it('makes other peppers each time, which the API server refuses: those that are there stay', async () => {
    const peppersOf = async () => find(await render(helm, { database: { url } }), 'Secret', 'keywright-peppers');
    const [first, second] = [await peppersOf(), await peppersOf()];
    const text = Buffer.from(first?.data?.['peppers.json'] ?? '', 'base64').toString();
    expect(JSON.parse(text)).toEqual({ current: '1', peppers: { '1': expect.stringMatching(/^[A-Za-z0-9+/]{43}=$/) as string } });
    expect(second?.data).not.toEqual(first?.data);
    const apply = ['apply', '--server-side', '--force-conflicts', '-f', '-'];
    await kube.kubectl(apply, { input: first ?? {} });
    const again = await kube.kubectl(apply, { input: second ?? {}, allowFailure: true });
    expect(again.stderr).toContain('field is immutable when `immutable` is set');
    const { body } = await kube.request('GET', `/api/v1/namespaces/${system}/secrets/keywright-peppers`);
    expect((body as Rendered).data).toEqual(first?.data);
  });
});

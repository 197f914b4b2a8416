import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { obtain } from './binaries.ts';
import { Kube } from './kube.ts';
import type { KubeHandle } from './kube.ts';
import { freePort } from './ports.ts';
import { privateDir, startServer } from './process.ts';
import type { ServerProcess } from './process.ts';
import { until } from './until.ts';

/** A user of the API server, known by a bearer token. */
export interface KubeUser {
  readonly name: string;
  readonly groups?: readonly string[];
}

/** How a control plane is made. */
export interface ControlPlaneOptions {
  /** Also start kube-controller-manager: namespaces go away, owner references are honoured, workloads roll. Default true. */
  readonly controllers?: boolean;
  /** Also apply what lies in crds/. Default true. */
  readonly crds?: boolean;
  /** Keep a record of every request, read by {@link ControlPlane.audited}. Default false. */
  readonly audit?: boolean;
  /** Users beside `admin` (system:masters) and `outsider` (no group, no right). */
  readonly users?: readonly KubeUser[];
}

/** One request of the audit record (audit.k8s.io/v1), as far as tests look at it. */
export interface AuditedRequest {
  readonly verb: string;
  readonly user: { readonly username: string };
  readonly objectRef?: {
    readonly apiGroup?: string;
    readonly resource: string;
    readonly subresource?: string;
    readonly namespace?: string;
    readonly name?: string;
  };
  readonly responseStatus?: { readonly code: number };
}

/** A control plane of one's own, for tests that stop, freeze or kill parts of it. */
export interface ControlPlane {
  readonly kube: Kube;
  readonly etcd: ServerProcess;
  readonly apiServer: ServerProcess;
  readonly controllerManager: ServerProcess | undefined;
  /** What was asked of the API server so far, where `audit` was wanted: each request once, when it was answered. */
  audited(): readonly AuditedRequest[];
  /** Starts the API server again on the same port and data, after it was stopped or killed. */
  restartApiServer(): Promise<ServerProcess>;
  /** Stops everything and removes its files. Harmless when done twice. */
  stop(): Promise<void>;
}

const CRDS = join(import.meta.dirname, '..', '..', 'crds');
const CONTROLLERS = [
  'namespace-controller',
  'garbage-collector-controller',
  'serviceaccount-controller',
  'root-ca-certificate-publisher-controller',
  'clusterrole-aggregation-controller',
  'validatingadmissionpolicy-status-controller',
  'deployment-controller',
  'replicaset-controller',
  'statefulset-controller',
  'daemonset-controller',
];

/**
 * Starts etcd, kube-apiserver and, unless unwanted, kube-controller-manager, and applies the CRDs.
 *
 * @throws {PartMissing} when a program cannot be had.
 */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const kubectl = await obtain('kubectl');
  const dir = privateDir('kube');
  const started: ServerProcess[] = [];
  const stop = async (): Promise<void> => {
    for (const server of started.reverse()) await server.stop();
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    const etcd = await startEtcd(dir);
    started.push(etcd.server);
    const port = await freePort();
    const tokens = writeCredentials(dir, options.users ?? []);
    const startApi = async (): Promise<ServerProcess> => {
      const server = await startApiServer(dir, etcd.url, port, options.audit === true);
      started.push(server);
      return server;
    };
    let apiServer = await startApi();
    const kube = await named(new Kube(writeHandle(dir, port, tokens, kubectl)));
    if (options.crds !== false) await applyCrds(kube);
    const controllerManager = options.controllers === false ? undefined : await startControllerManager(dir, kube);
    if (controllerManager !== undefined) started.push(controllerManager);
    return {
      kube,
      etcd: etcd.server,
      get apiServer() {
        return apiServer;
      },
      controllerManager,
      audited: () => readAudit(dir),
      restartApiServer: async () => (apiServer = await startApi()),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startEtcd(dir: string): Promise<{ server: ServerProcess; url: string }> {
  const command = await obtain('etcd');
  const url = `http://127.0.0.1:${await freePort()}`;
  const peer = `http://127.0.0.1:${await freePort()}`;
  const server = await startServer({
    name: 'etcd',
    command,
    dir,
    args: [
      `--data-dir=${join(dir, 'etcd')}`,
      `--listen-client-urls=${url}`,
      `--advertise-client-urls=${url}`,
      `--listen-peer-urls=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
      `--initial-cluster=default=${peer}`,
      '--unsafe-no-fsync',
      '--log-level=warn',
    ],
    ready: async () => (await fetch(`${url}/health`, { signal: AbortSignal.timeout(1000) })).ok,
  });
  return { server, url };
}

/** Writes the token file and the ServiceAccount key; returns the tokens by user. */
function writeCredentials(dir: string, users: readonly KubeUser[]): Record<string, string> {
  const all: KubeUser[] = [{ name: 'admin', groups: ['system:masters'] }, { name: 'outsider' }, ...users];
  const tokens = Object.fromEntries(all.map(({ name }) => [name, randomBytes(16).toString('hex')]));
  const lines = all.map(({ name, groups = [] }) => `${tokens[name]},${name},${name},"${groups.join(',')}"`);
  writeFileSync(join(dir, 'tokens.csv'), `${lines.join('\n')}\n`, { mode: 0o600 });
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  writeFileSync(join(dir, 'sa.key'), privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  writeFileSync(join(dir, 'sa.pub'), publicKey.export({ type: 'spki', format: 'pem' }));
  return tokens;
}

/** Watches are recorded when they begin, everything else when it was answered. */
const auditPolicy = {
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived'],
  rules: [
    { level: 'Metadata', verbs: ['watch'] },
    { level: 'Metadata', omitStages: ['ResponseStarted'] },
  ],
};

function readAudit(dir: string): readonly AuditedRequest[] {
  const file = join(dir, 'audit.log');
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as AuditedRequest);
}

async function startApiServer(dir: string, etcdUrl: string, port: number, audit: boolean): Promise<ServerProcess> {
  const certificates = join(dir, 'certificates');
  const policy = join(dir, 'audit-policy.json');
  if (audit) writeFileSync(policy, JSON.stringify(auditPolicy));
  return await startServer({
    name: 'kube-apiserver',
    command: await obtain('kube-apiserver'),
    dir,
    deadlineMs: 60_000,
    args: [
      `--etcd-servers=${etcdUrl}`,
      '--bind-address=127.0.0.1',
      '--advertise-address=127.0.0.1',
      '--endpoint-reconciler-type=none',
      `--secure-port=${port}`,
      `--cert-dir=${certificates}`,
      '--service-cluster-ip-range=10.0.0.0/24',
      `--token-auth-file=${join(dir, 'tokens.csv')}`,
      '--authorization-mode=RBAC',
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-signing-key-file=${join(dir, 'sa.key')}`,
      `--service-account-key-file=${join(dir, 'sa.pub')}`,
      ...(audit ? [`--audit-policy-file=${policy}`, `--audit-log-path=${join(dir, 'audit.log')}`] : []),
    ],
    ready: async () => {
      const ca = join(certificates, 'apiserver.crt');
      if (!existsSync(ca)) return false;
      const token = /^(\w+),admin,/m.exec(readFileSync(join(dir, 'tokens.csv'), 'utf8'))?.[1] ?? '';
      const probe = new Kube({
        version: '',
        url: `https://127.0.0.1:${port}`,
        ca: readFileSync(ca, 'utf8'),
        tokens: { admin: token },
        kubeconfigs: {},
        kubectl: '',
        dir,
      });
      try {
        return (await probe.request('GET', '/readyz')).status === 200;
      } finally {
        await probe.close();
      }
    },
  });
}

function writeHandle(dir: string, port: number, tokens: Record<string, string>, kubectl: string): KubeHandle {
  const url = `https://127.0.0.1:${port}`;
  // Self-signed: the certificate is its own authority.
  const ca = readFileSync(join(dir, 'certificates', 'apiserver.crt'), 'utf8');
  const kubeconfigs = Object.fromEntries(
    Object.entries(tokens).map(([user, token]) => {
      const path = join(dir, `${user}.kubeconfig`);
      const config = {
        apiVersion: 'v1',
        kind: 'Config',
        'current-context': 'test',
        clusters: [{ name: 'test', cluster: { server: url, 'certificate-authority-data': Buffer.from(ca).toString('base64') } }],
        users: [{ name: user, user: { token } }],
        contexts: [{ name: 'test', context: { cluster: 'test', user } }],
      };
      writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
      return [user, path];
    }),
  );
  return { version: '', url, ca, tokens, kubeconfigs, kubectl, dir };
}

/** With the version that the server itself tells: KUBEBUILDER_ASSETS may hold another one than ours. */
async function named(kube: Kube): Promise<Kube> {
  const { gitVersion = '' } = (await kube.request('GET', '/version')).body as { gitVersion?: string };
  await kube.close();
  return new Kube({ ...kube.handle, version: `kube-apiserver ${gitVersion.replace(/^v/, '')}` });
}

/** Raw, as they lie in the folder: a typed client would drop fields it does not know. */
async function applyCrds(kube: Kube): Promise<void> {
  if (!existsSync(CRDS)) return;
  const files = readdirSync(CRDS).filter((file) => /\.(ya?ml|json)$/.test(file));
  const documents = files.flatMap((file) =>
    parseAllDocuments(readFileSync(join(CRDS, file), 'utf8')).map((one) => one.toJS() as unknown),
  );
  const crds = documents.filter(isCrd);
  const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
  for (const crd of crds) {
    const answer = await kube.request('POST', path, { body: crd });
    if (answer.status !== 201) throw new Error(`CRD ${crd.metadata.name} refused: ${JSON.stringify(answer.body)}`);
  }
  for (const crd of crds) {
    await until(async () => isEstablished((await kube.request('GET', `${path}/${crd.metadata.name}`)).body), {
      what: `CRD ${crd.metadata.name}`,
    });
  }
}

function isCrd(document: unknown): document is { metadata: { name: string } } {
  return typeof document === 'object' && document !== null && 'kind' in document && document.kind === 'CustomResourceDefinition';
}

function isEstablished(body: unknown): boolean {
  const { conditions = [] } = (body as { status?: { conditions?: { type: string; status: string }[] } }).status ?? {};
  return conditions.some((one) => one.type === 'Established' && one.status === 'True');
}

/** After the CRDs: the garbage collector learns of later ones only at its next resync, 30 s on. */
async function startControllerManager(dir: string, kube: Kube): Promise<ServerProcess> {
  return await startServer({
    name: 'kube-controller-manager',
    command: await obtain('kube-controller-manager'),
    dir,
    args: [
      `--kubeconfig=${kube.kubeconfig('admin')}`,
      '--leader-elect=false',
      '--secure-port=0',
      '--use-service-account-credentials=false',
      `--root-ca-file=${join(dir, 'certificates', 'apiserver.crt')}`,
      `--service-account-private-key-file=${join(dir, 'sa.key')}`,
      `--controllers=${CONTROLLERS.join(',')}`,
    ],
    // It has no port: the ServiceAccount that it makes in the default namespace shows that its controllers run.
    ready: async () => (await kube.request('GET', '/api/v1/namespaces/default/serviceaccounts/default')).status === 200,
  });
}

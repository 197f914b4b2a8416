import { writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createServer as createTcpServer, type AddressInfo, type Server } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDestinations, type PermittedDestinations } from '../../operator/src/destinations/registry.ts';
import { noExtraEndpoints } from '../../operator/src/destinations/endpoint.ts';
import { systemClock } from '../../operator/src/domain/time.ts';
import { certificate } from '../builders/certificate.ts';
import { credentialMetadata, vaultToken } from '../builders/credential.ts';
import { openTestResources } from '../harness/kuberesources.ts';
import type { Kube } from '../harness/kube.ts';
import { ownControlPlane, usePostgres } from '../harness/parts.ts';
import { applyAll, applyPermissions, bindEverywhere, bindOperator, withServiceAccount } from '../harness/permissions.ts';
import { freePort } from '../harness/ports.ts';
import { privateDir } from '../harness/process.ts';
import { makePeppersFile, startOperator, type Program } from '../harness/program.ts';
import { operatorNamespace, Scene } from '../harness/scene.ts';
import { until } from '../harness/until.ts';

/** What the author of KeyDestinations is: may create and get them, and nothing else. */
const author = 'author';
const plane = await ownControlPlane({ users: [{ name: author }] });
const { kube } = plane;
const postgres = await usePostgres();
const scene = new Scene(kube);
const servers: Server[] = [];
const issuer = 'https://kubernetes.default.svc';
const elsewhere = 'https://vault.example.com:8200';
const secretsOfTheOperator = {
  peppers: '{"current":"1","peppers":{"1":"cGVwcGVyLWNhbmFyeS1wZXBwZXItY2FuYXJ5"}}',
  database: 'postgres://keywright:database-canary@keywright-postgres:5432/keywright',
  caller: 'callerCanary0000000000000000000000000000',
  other: vaultToken('unlabelled-canary'),
  foreign: vaultToken('foreign-canary'),
};
let account: Kube;
let operator: Program;

interface AuthorServer {
  readonly address: string;
  /** Whatever reached it, heads and bodies. */
  readonly received: string[];
}

/** A server of the author's, one a test: destinations of other tests go on. It answers as the most willing Vault. */
async function authorServer(): Promise<AuthorServer> {
  const received: string[] = [];
  const answer = JSON.stringify({ auth: { client_token: vaultToken('evil'), lease_duration: 3600, renewable: true }, data: {} });
  const take = async (request: IncomingMessage): Promise<void> => {
    let text = `${request.method ?? ''} ${request.url ?? ''} ${JSON.stringify(request.rawHeaders)} `;
    for await (const chunk of request) text += String(chunk);
    received.push(text);
  };
  const server = createServer((request, response) => {
    void take(request).then(() => response.writeHead(200, { 'content-type': 'application/json' }).end(answer));
  });
  return { address: `http://127.0.0.1:${await listen(server)}`, received };
}

async function listen(server: Server): Promise<number> {
  const port = await freePort();
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

const declareAsAuthor = async (name: string, spec: object): Promise<void> => {
  const body = { apiVersion: 'keywright.dev/v1alpha1', kind: 'KeyDestination', metadata: { name }, spec };
  const answer = await kube.request('POST', '/apis/keywright.dev/v1alpha1/keydestinations', { body, user: author });
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
};
const vaultAt = (address: string, auth: object, more: object = {}) => ({
  allowedNamespaces: { all: true },
  vault: { address, mount: 'secret', auth, ...more },
});
const awsAt = (more: object) => ({ allowedNamespaces: { all: true }, aws: { region: 'eu-west-1', auth: { irsa: {} }, ...more } });

/** What the author can see of one of his: reason and message of Ready, once there is one. */
async function said(name: string): Promise<string> {
  return until(
    async () => {
      const path = `/apis/keywright.dev/v1alpha1/keydestinations/${name}`;
      const { body } = await kube.request('GET', path, { user: author });
      const { status } = body as {
        status?: { conditions?: { type: string; status: string; reason: string; message: string }[] };
      };
      const ready = status?.conditions?.find(({ type, status: is }) => type === 'Ready' && is === 'False');
      return ready === undefined ? undefined : `${ready.reason}: ${ready.message}`;
    },
    { what: `the status of ${name}`, deadlineMs: 45_000 },
  );
}

async function tokenFor(serviceAccount: string, audiences: readonly string[]): Promise<string> {
  const path = `/api/v1/namespaces/${operatorNamespace}/serviceaccounts/${serviceAccount}/token`;
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { audiences } };
  const answer = await kube.request('POST', path, { body });
  return (answer.body as { status: { token: string } }).status.token;
}

/** The API server as the operator uses it, with its rights. */
const openAsOperator = () => openTestResources({ kubeconfig: account.kubeconfig('keywright-operator') });

/** Whether the API server lets the holder of a token in, as kubectl finds out. */
async function opensTheCluster(token: string): Promise<boolean> {
  const args = ['--token', token, '--server', kube.url, '--kubeconfig', '/dev/null', '--insecure-skip-tls-verify'];
  const { stdout, stderr } = await kube.kubectl([...args, 'auth', 'whoami', '-o', 'name'], { allowFailure: true });
  expect(`${stdout}${stderr}`).toMatch(/selfsubjectreview|Unauthorized|must be logged in/);
  return stdout !== '';
}

beforeAll(async () => {
  const { url } = await postgres.createDatabase({ migrated: false });
  await applyPermissions(kube, { policy: false });
  await scene.prepare({ namespace: false });
  account = await withServiceAccount(kube, operatorNamespace, 'keywright-operator');
  await bindOperator(kube, operatorNamespace, {
    kind: 'ServiceAccount',
    name: 'keywright-operator',
    namespace: operatorNamespace,
  });
  const rules = [{ apiGroups: ['keywright.dev'], resources: ['keydestinations'], verbs: ['create', 'get'] }];
  const role = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name: 'author' }, rules };
  await applyAll(kube, [role]);
  await bindEverywhere(kube, { kind: 'User', name: author }, 'author');
  const secret = (name: string, stringData: object, metadata: object = {}) => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: operatorNamespace, ...metadata },
    stringData,
  });
  await applyAll(kube, [
    secret('keywright-peppers', { 'peppers.json': secretsOfTheOperator.peppers }),
    secret('keywright-postgres', { url: secretsOfTheOperator.database }),
    // Even with the label, by somebody's mistake.
    secret('keywright-callers', { token: secretsOfTheOperator.caller }, credentialMetadata('vault-token')),
    secret('other', { token: secretsOfTheOperator.other }),
    secret('foreign', { token: secretsOfTheOperator.foreign }, credentialMetadata('vault-token', elsewhere)),
  ]);
  const tokenFile = join(privateDir('aws-token'), 'token');
  writeFileSync(tokenFile, await tokenFor('keywright-operator', ['sts.amazonaws.com']));
  operator = await startOperator({
    databaseUrl: url,
    peppersFile: makePeppersFile(),
    kubeconfig: account.kubeconfig('keywright-operator'),
    env: {
      KEYWRIGHT_LEADER_ELECTION: 'off',
      AWS_ROLE_ARN: 'arn:aws:iam::123456789012:role/keywright',
      AWS_WEB_IDENTITY_TOKEN_FILE: tokenFile,
    },
  });
});

afterAll(async () => {
  await operator.stop();
  for (const server of servers) server.close();
  await account.close();
  await kube.close();
  await plane.stop();
});

describe('whoever may create KeyDestinations, and nothing else, gets out of the operator', () => {
  it('no token for an audience of the API server, and reads why', async () => {
    const evil = await authorServer();
    await declareAsAuthor('issuer', vaultAt(evil.address, { kubernetes: { role: 'x', audience: issuer } }));
    expect(await said('issuer')).toBe(
      `InvalidSpec: spec.vault.auth.kubernetes.audience must be ${evil.address}: a token for another audience may be valid at another server; to permit it, list ${evil.address} in KEYWRIGHT_VAULT_ADDRESSES (chart: destinations.vaultAddresses)`,
    );
    expect(evil.received).toEqual([]);
  });

  it('no token of the ServiceAccount of the operator, nor of any that the installation does not lend', async () => {
    const evil = await authorServer();
    for (const name of ['keywright-operator', 'default'])
      await declareAsAuthor(`as-${name}`, vaultAt(evil.address, { kubernetes: { role: 'x', serviceAccountRef: { name } } }));
    for (const name of ['keywright-operator', 'default'])
      expect(await said(`as-${name}`)).toMatch(
        /^InvalidSpec: .*the installation permits no tokens of the ServiceAccount [a-z-]+, only of keywright-vault$/,
      );
    expect(evil.received).toEqual([]);
  });

  it('a token that is good for his own server alone, and of nobody who has rights', async () => {
    const evil = await authorServer();
    await declareAsAuthor('login', vaultAt(evil.address, { kubernetes: { role: 'x' } }));
    await said('login');
    const tokens = evil.received.flatMap((text) => text.match(/eyJ[\w-]+\.[\w-]+\.[\w-]+/g) ?? []);
    expect(tokens.length).toBeGreaterThan(0);
    for (const token of tokens) {
      const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as object;
      const sub = `system:serviceaccount:${operatorNamespace}:keywright-vault`;
      expect(claims).toMatchObject({ aud: [evil.address], sub });
      expect(await opensTheCluster(token)).toBe(false);
    }
    expect(await opensTheCluster(await tokenFor('keywright-vault', [issuer]))).toBe(true);
  });

  it('none of the Secrets that were not meant for his server, and does not learn which of them are there', async () => {
    const evil = await authorServer();
    const refs = {
      peppers: { name: 'keywright-peppers', key: 'peppers.json' },
      postgres: { name: 'keywright-postgres', key: 'url' },
      callers: { name: 'keywright-callers' },
      other: { name: 'other' },
      foreign: { name: 'foreign' },
      nothing: { name: 'nothing' },
    };
    for (const [name, secretRef] of Object.entries(refs)) {
      await declareAsAuthor(`token-${name}`, vaultAt(evil.address, { token: { secretRef } }));
      await declareAsAuthor(`approle-${name}`, vaultAt(evil.address, { appRole: { roleId: 'x', secretRef } }));
      await declareAsAuthor(`aws-${name}`, awsAt({ auth: { secretRef: { name: secretRef.name } } }));
    }
    for (const way of ['token', 'approle', 'aws']) {
      const sentences = await Promise.all(
        Object.entries(refs).map(async ([name, { name: secret, ...more }]) => {
          const key = 'key' in more ? more.key : { token: 'token', approle: 'secret-id', aws: '' }[way];
          return (await said(`${way}-${name}`)).replace(secret, '<name>').replace(`under ${key ?? ''}`, 'under <key>');
        }),
      );
      expect(new Set(sentences).size, sentences.join('\n')).toBe(1);
      expect(sentences[0]).toMatch(/^DestinationUnavailable: the Secret <name> cannot be used here: it needs the label /);
    }
    expect(evil.received).toEqual([]);
    // Who runs the operator learns it.
    expect(operator.log()).toContain('it is a Secret of the operator itself');
    expect(operator.log()).toContain('there is no such Secret');
    for (const text of Object.values(secretsOfTheOperator)) expect(operator.log()).not.toContain(text);
  });

  it('no web identity and no signed request at a host that the installation did not allow', async () => {
    const evil = await authorServer();
    await declareAsAuthor('sts', awsAt({ stsEndpoint: evil.address }));
    await declareAsAuthor('role', awsAt({ stsEndpoint: evil.address, auth: { roleArn: 'arn:aws:iam::666666666666:role/evil' } }));
    await declareAsAuthor('manager', awsAt({ endpoint: evil.address }));
    expect(await said('sts')).toMatch(/^InvalidSpec: spec\.aws\.stsEndpoint is not an AWS endpoint for eu-west-1; to permit it/);
    expect(await said('role')).toMatch(/^InvalidSpec: spec\.aws\.stsEndpoint is not an AWS endpoint/);
    expect(await said('manager')).toMatch(/^InvalidSpec: spec\.aws\.endpoint is not an AWS endpoint/);
    expect(evil.received).toEqual([]);
  });

  it('no login over plain HTTP, and none at a metadata service', async () => {
    await declareAsAuthor('plain', vaultAt('http://192.0.2.1:8200', { kubernetes: { role: 'x' } }));
    await declareAsAuthor('metadata', vaultAt('http://169.254.169.254', { kubernetes: { role: 'x' } }));
    expect(await said('plain')).toMatch(/^InvalidSpec: spec\.vault\.address must be https: plain HTTP shows credentials/);
    expect(await said('metadata')).toMatch(/^InvalidSpec: spec\.vault\.address must not be a link-local, metadata/);
  });

  it('one sentence for every address that is no Vault, whatever answers there', async () => {
    const evil = await authorServer();
    const { cert, key } = certificate('scanned');
    const page = 'canary of an internal page';
    const http = createServer((_request, response) => response.writeHead(403).end(page));
    const redirect = createServer((_request, response) =>
      response.writeHead(302, { location: `${evil.address}/redirected` }).end(page),
    );
    const tls = createTlsServer({ cert, key }, (_request, response) => response.end(page));
    const tcp = createTcpServer((socket) => socket.end('SSH-2.0-OpenSSH_9.9\r\n'));
    const mute = createTcpServer(() => undefined);
    const targets = {
      http: `http://127.0.0.1:${await listen(http)}`,
      redirect: `http://127.0.0.1:${await listen(redirect)}`,
      certificate: `https://127.0.0.1:${await listen(tls)}`,
      tcp: `http://127.0.0.1:${await listen(tcp)}`,
      mute: `http://127.0.0.1:${await listen(mute)}`,
      closed: `http://127.0.0.1:${await freePort()}`,
      unknown: 'https://no-such-host.invalid',
      health: operator.healthUrl,
      api: kube.url,
    };
    for (const [name, address] of Object.entries(targets))
      await declareAsAuthor(`scan-${name}`, vaultAt(address, { kubernetes: { role: 'x' } }));
    const sentences = await Promise.all(Object.keys(targets).map((name) => said(`scan-${name}`)));
    expect(new Set(sentences)).toEqual(
      new Set(['DestinationUnavailable: no trustworthy answer from the Vault server; the log of the operator has the cause']),
    );
    const events = JSON.stringify((await kube.request('GET', '/apis/events.k8s.io/v1/namespaces/default/events')).body);
    for (const hidden of ['ECONNREFUSED', 'ENOTFOUND', 'not trusted', 'in time', page]) expect(events).not.toContain(hidden);
    for (const cause of ['ECONNREFUSED', 'the certificate of the server is not trusted', 'did not answer in time', 'redirects'])
      expect(operator.log()).toContain(cause);
    expect(operator.log()).not.toContain(page);
    expect(evil.received).toEqual([]);
  });
});

describe('an installation that trusts a server with any audience', () => {
  const open = async (evil: AuthorServer, auth: object, permitted: Partial<PermittedDestinations>, environment: object = {}) => {
    const resources = await openAsOperator();
    const spec = 'aws' in auth ? awsAt(auth.aws as object) : vaultAt(evil.address, auth, { path: '{namespace}/{name}' });
    const metadata = { name: 'direct', uid: 'uid-direct', resourceVersion: '1', generation: 1 };
    const destinations = openDestinations({
      resources: {
        get: () =>
          ({
            metadata,
            spec: { ...spec, ...('aws' in spec ? { aws: { name: '{namespace}/{name}', ...spec.aws } } : {}) },
          }) as never,
        list: () => [metadata],
        secrets: resources.secrets,
        loginTokens: resources.loginTokens,
      },
      mode: { kind: 'kubernetes' },
      clock: systemClock,
      operatorNamespace,
      permitted: { ...noExtraEndpoints, serviceAccounts: ['keywright-vault'], ...permitted },
      aws: environment,
    });
    const outcome = await (await destinations.open('uid-direct')).probe().then(
      () => undefined,
      (error: unknown) => error,
    );
    await destinations.close();
    await resources.close();
    return outcome;
  };

  it('still sends it no token for an audience of the API server', async () => {
    const evil = await authorServer();
    const outcome = await open(evil, { kubernetes: { role: 'x', audience: issuer } }, { vaultAddresses: [evil.address] });
    expect(outcome).toMatchObject({
      kind: 'stalled',
      reason: 'InvalidSpec',
      message: `no login with spec.vault.auth.kubernetes: the API server of the cluster itself accepts tokens for the audience ${issuer}, so the operator sends none; use an audience that only the Vault server accepts`,
    });
    expect(evil.received).toEqual([]);
  });

  it('asks the API server itself, also about a token that says nothing of whom it is for', async () => {
    const resources = await openAsOperator();
    expect(await resources.loginTokens.isAccepted(kube.token(author))).toBe(true);
    expect(await resources.loginTokens.isAccepted('nobody')).toBe(false);
    await resources.close();
  });

  it('sends no token of its own ServiceAccount, even if that is listed', async () => {
    const evil = await authorServer();
    const auth = { kubernetes: { role: 'x', serviceAccountRef: { name: 'keywright-operator' } } };
    const outcome = await open(evil, auth, { serviceAccounts: ['keywright-operator'] });
    expect(outcome).toMatchObject({ kind: 'stalled', message: expect.stringContaining('the operator itself') as string });
    expect(evil.received).toEqual([]);
  });

  it('sends no web identity that the API server accepts, even to a host that is allowed', async () => {
    const evil = await authorServer();
    const webIdentityTokenFile = join(privateDir('aws-token'), 'token');
    const environment = { roleArn: 'arn:aws:iam::123456789012:role/keywright', webIdentityTokenFile };
    const aws = { stsEndpoint: evil.address, endpoint: evil.address };
    writeFileSync(webIdentityTokenFile, await tokenFor('keywright-operator', [issuer]));
    const outcome = await open(evil, { aws }, { awsEndpoints: [evil.address] }, environment);
    expect(outcome).toMatchObject({ kind: 'stalled', message: expect.stringContaining('so it is not sent') as string });
    expect(evil.received).toEqual([]);
    const harmless = await tokenFor('keywright-operator', ['sts.amazonaws.com']);
    writeFileSync(webIdentityTokenFile, harmless);
    await open(evil, { aws }, { awsEndpoints: [evil.address] }, environment);
    expect(evil.received.join()).toContain(harmless);
  });
});

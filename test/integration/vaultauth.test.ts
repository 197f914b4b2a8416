import { chmodSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { loginServiceAccount, operatorOwnRules, operatorRoles } from '../../operator/src/api/admission/roles.ts';
import { parseManifestObject } from '../../operator/src/api/parse.ts';
import type { CredentialKind } from '../../operator/src/destinations/credential.ts';
import { noExtraEndpoints } from '../../operator/src/destinations/endpoint.ts';
import type { Destination } from '../../operator/src/destinations/port.ts';
import { openDestinations } from '../../operator/src/destinations/registry.ts';
import { Failure } from '../../operator/src/domain/failure.ts';
import { systemClock } from '../../operator/src/domain/time.ts';
import { type KubeResources } from '../../operator/src/resources/kube/resources.ts';
import { certificate } from '../builders/certificate.ts';
import { credentialMetadata } from '../builders/credential.ts';
import { guideBlock } from '../builders/vaultguide.ts';
import { openTestResources } from '../harness/kuberesources.ts';
import { obtain } from '../harness/binaries.ts';
import { FakeResources } from '../harness/fakes/resources.ts';
import type { Kube } from '../harness/kube.ts';
import { callOpenBao } from '../harness/openbao.ts';
import { ownOpenBao, useKube } from '../harness/parts.ts';
import { applyAll, bind, withServiceAccount } from '../harness/permissions.ts';
import { privateDir } from '../harness/process.ts';
import { runShell } from '../harness/shell.ts';
import { until } from '../harness/until.ts';
import { put, version, written } from '../contract/destinations/version.ts';

const kube = await useKube();
const own = await ownOpenBao();
const dir = privateDir('vaultauth');
const owner = { namespace: 'payments', name: 'billing', uid: 'uid-1' };
const fakes = new FakeResources(systemClock);
let namespace = '';
let account: Kube;
let operator: KubeResources;
let destinations: ReturnType<typeof openDestinations>;
let count = 0;

const call = (method: string, path: string, body?: unknown) => callOpenBao(own.openbao, method, path, body);

/** Runs commands of the page as they stand, but for the namespace: the cluster is shared. */
const run = (label: string) => shell(guideBlock(label).replaceAll('keywright-system', namespace), label);

async function shell(commands: string, what: string): Promise<void> {
  const env = {
    KUBECONFIG: kube.kubeconfig(),
    KUBERNETES_URL: kube.url,
    VAULT_ADDR: own.openbao.address,
    VAULT_TOKEN: own.openbao.rootToken,
  };
  await runShell(commands, { cwd: dir, env, path: [dir] }).catch((error: unknown) => {
    throw new Error(`${what} of the page on Vault`, { cause: error });
  });
}

interface VaultChange {
  readonly address?: string;
  readonly namespace?: string;
  readonly caBundle?: string;
  readonly auth?: object;
}

/** The KeyDestination of the page, at our server, with changes. */
async function open(label: string, change: VaultChange = {}, at = destinations): Promise<Destination> {
  const document = parse(guideBlock(label)) as { metadata: object; spec: { vault: object } };
  const name = `vault-${(count += 1)}`;
  const vault = { ...document.spec.vault, address: own.openbao.address, ...change };
  const parsed = parseManifestObject('KeyDestination', {
    ...document,
    metadata: { ...document.metadata, name },
    spec: { ...document.spec, vault },
  });
  if (!parsed.ok) throw new Error(inspect(parsed.errors));
  const { metadata } = fakes.create('KeyDestination', { metadata: { name }, spec: parsed.object.spec });
  return at.open(metadata.uid);
}

const options = () => ({
  resources: {
    get: fakes.get.bind(fakes),
    list: fakes.list.bind(fakes),
    secrets: operator.secrets,
    loginTokens: operator.loginTokens,
  },
  mode: { kind: 'kubernetes' } as const,
  clock: systemClock,
  operatorNamespace: namespace,
});
const permitted = { ...noExtraEndpoints, serviceAccounts: ['keywright-vault'] };

/** A Secret that may be sent to our server. */
async function store(name: string, kind: CredentialKind, stringData: Readonly<Record<string, string>>): Promise<void> {
  const metadata = { name, namespace, ...credentialMetadata(kind, own.openbao.address) };
  await applyAll(kube, [{ apiVersion: 'v1', kind: 'Secret', metadata, stringData }]);
}

/** Writes, rotates, reads and withdraws a key. */
async function liveThrough(destination: Destination): Promise<void> {
  const location = { destinationUid: 'vault', path: `secret/keywright/payments/place-${(count += 1)}` };
  const reading = written(await put(destination, location, await destination.readMark(location), version(owner, 1)));
  const next = written(await put(destination, location, reading, version(owner, 2)));
  expect((await destination.readValue(location))?.apiKey?.reveal()).toBe(version(owner, 2).token);
  expect(await destination.withdraw(location, next)).toBe('withdrawn');
}

/** The accessors of the tokens that Kubernetes auth gave and that live. */
async function tokens(): Promise<readonly string[]> {
  const listed = (await call('GET', 'auth/token/accessors?list=true')) as { data: { keys: string[] } };
  const found: string[] = [];
  for (const accessor of listed.data.keys) {
    const token = (await call('POST', 'auth/token/lookup-accessor', { accessor })) as { data: { path: string } };
    if (token.data.path === 'auth/kubernetes/login') found.push(accessor);
  }
  return found;
}

async function revokeAll(): Promise<void> {
  for (const accessor of await tokens()) await call('POST', 'auth/token/revoke-accessor', { accessor });
}

async function failureOf(work: Promise<unknown>): Promise<Failure> {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof Failure)) throw new Error(`no Failure: ${inspect(error)}`);
  // Neither a token of Vault nor one of Kubernetes.
  expect(`${error.stack}${inspect(error, { depth: 9, showHidden: true })}`).not.toMatch(/\b[sb]\.[A-Za-z0-9]{20}|eyJ/);
  expect(error).toMatchObject({ kind: 'waiting', reason: 'DestinationUnavailable' });
  return error;
}

const tokenOf = (name: string) => ({ token: { secretRef: { name } } });
const appRoleOf = (roleId: string, name = 'vault-approle') => ({ appRole: { roleId, secretRef: { name } } });
const roleId = () => readFileSync(join(dir, 'role-id'), 'utf8').trim();

beforeAll(async () => {
  namespace = await kube.createNamespace('keywright');
  account = await withServiceAccount(kube, namespace, 'keywright-operator');
  const subject = { kind: 'ServiceAccount', name: 'keywright-operator', namespace } as const;
  await bind(kube, namespace, subject, [...operatorRoles.secrets.rules, ...operatorOwnRules]);
  await applyAll(kube, [loginServiceAccount(namespace)]);
  operator = await openTestResources({ kubeconfig: account.kubeconfig('keywright-operator') });
  await fakes.start(AbortSignal.timeout(1000));
  destinations = openDestinations(options());
  chmodSync(dir, 0o700);
  symlinkSync(await obtain('bao'), join(dir, 'vault'));
  symlinkSync(kube.handle.kubectl, join(dir, 'kubectl'));
  writeFileSync(join(dir, 'kubernetes-ca.pem'), kube.handle.ca);
  writeFileSync(join(dir, 'keywright.hcl'), guideBlock('hcl policy'));
  for (const label of ['sh policy', 'sh kubernetes', 'sh approle', 'sh token']) await run(label);
});

afterAll(async () => {
  await destinations.close();
  await operator.close();
  await account.close();
  await kube.close();
  await own.stop();
  rmSync(dir, { recursive: true, force: true });
});

describe('a login by Kubernetes auth', () => {
  it('delivers a key with what the page says, and nothing else', async () => {
    const destination = await open('yaml kubernetes');
    await destination.probe();
    await liveThrough(destination);
  });

  it('is one for all calls, and is revoked at the end', async () => {
    await revokeAll();
    const destination = await open('yaml kubernetes');
    await Promise.all(Array.from({ length: 8 }, () => destination.probe()));
    expect(await tokens()).toHaveLength(1);
    await destination.close();
    expect(await tokens()).toHaveLength(0);
  });

  it('is made again when its token is revoked under it, in the middle of things', async () => {
    const destination = await open('yaml kubernetes');
    await destination.probe();
    await revokeAll();
    await liveThrough(destination);
    expect(await tokens()).toHaveLength(1);
  });

  it('hands over a token that the API server itself does not accept', async () => {
    const audience = own.openbao.address;
    const wanted = { namespace, serviceAccount: 'keywright-vault', audience };
    const token = (await operator.loginTokens.request(wanted)).reveal();
    const payload = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { aud: string[]; sub: string };
    expect(payload).toMatchObject({ aud: [audience], sub: `system:serviceaccount:${namespace}:keywright-vault` });
    const args = ['--token', token, '--server', kube.url, '--kubeconfig', '/dev/null', 'auth', 'whoami'];
    const { stderr } = await kube.kubectl([...args, '--insecure-skip-tls-verify'], { allowFailure: true });
    expect(stderr).toMatch(/Unauthorized|must be logged in/);
  });

  it('is refused with another role, in our words', async () => {
    const destination = await open('yaml kubernetes', { auth: { kubernetes: { role: 'nobody' } } });
    const { message } = await failureOf(destination.probe());
    expect(message).toMatch(/^the Vault server refuses the login at kubernetes \(40[03]\); is its role nobody /);
  });

  it('is refused with another audience by a server that the installation lists', async () => {
    const trusting = openDestinations({ ...options(), permitted: { ...permitted, vaultAddresses: [own.openbao.address] } });
    const auth = { kubernetes: { role: 'keywright', audience: 'somebody-else' } };
    const destination = await open('yaml kubernetes', { auth }, trusting);
    expect((await failureOf(destination.probe())).message).toMatch(/^the Vault server refuses the login at kubernetes/);
    await trusting.close();
  });

  it('says so when nothing is mounted there', async () => {
    const destination = await open('yaml kubernetes', { auth: { kubernetes: { role: 'keywright', mount: 'elsewhere' } } });
    expect((await failureOf(destination.probe())).message).toMatch(/^the Vault server .* at elsewhere \(40[0-9]\)/);
  });

  it.each(['vault-reviewer', 'keywright-operator'])('is the only use of its role: no token of %s', async (other) => {
    const args = ['create', 'token', other, '--namespace', namespace];
    const refused = await account.kubectl(args, { user: 'keywright-operator', allowFailure: true });
    expect(refused.stderr).toContain(`serviceaccounts "${other}" is forbidden`);
  });

  it('is no login for a server that got it: the token is for that server alone', async () => {
    const stolen: string[] = [];
    const thief = createHttpServer((request, response) => {
      request.on('data', (chunk: Buffer) => stolen.push(chunk.toString()));
      request.on('end', () => response.writeHead(403).end('{"errors":["permission denied"]}'));
    });
    await new Promise<void>((resolve) => thief.listen(0, '127.0.0.1', resolve));
    const address = `http://127.0.0.1:${(thief.address() as AddressInfo).port}`;
    await failureOf((await open('yaml kubernetes', { address })).probe());
    thief.close();
    const { jwt } = JSON.parse(stolen[0] ?? '{}') as { jwt: string };
    await expect(call('POST', 'auth/kubernetes/login', { role: 'keywright', jwt })).rejects.toThrow(/: 40[03] /);
    // The same role takes the one that was made for it.
    const wanted = { namespace, serviceAccount: 'keywright-vault', audience: own.openbao.address };
    const ours = (await operator.loginTokens.request(wanted)).reveal();
    expect(await call('POST', 'auth/kubernetes/login', { role: 'keywright', jwt: ours })).toMatchObject({ auth: {} });
    await revokeAll();
  });

  it('is made with a kubeconfig as well: the ServiceAccount is named, and not that of the operator', async () => {
    const admin = await openTestResources({ kubeconfig: kube.kubeconfig() });
    const wanted = { namespace, serviceAccount: 'keywright-vault', audience: own.openbao.address };
    expect((await admin.loginTokens.request(wanted)).reveal()).toMatch(/^eyJ/);
    await admin.close();
  });
});

describe('a login by AppRole', () => {
  it('delivers a key with what the page says, and nothing else', async () => {
    const destination = await open('yaml approle', { auth: appRoleOf(roleId()) });
    await destination.probe();
    await liveThrough(destination);
  });

  it('is refused with a secret id that was destroyed, and made with the new one', async () => {
    const secret = { name: 'other-approle', namespace, ...credentialMetadata('vault-approle', own.openbao.address) };
    const write = (text: string) =>
      kube.kubectl(['apply', '-f', '-'], {
        input: { apiVersion: 'v1', kind: 'Secret', metadata: secret, stringData: { 'secret-id': text } },
      });
    await write('11111111-2222-3333-4444-555555555555');
    const destination = await open('yaml approle', { auth: appRoleOf(roleId(), secret.name) });
    expect((await failureOf(destination.probe())).message).toBe(
      'the Vault server refuses the login at approle (400); are role id and the secret id in the Secret other-approle valid?',
    );
    const made = (await call('POST', 'auth/approle/role/keywright/secret-id')) as { data: { secret_id: string } };
    await write(made.data.secret_id);
    await destination.probe();
  });
});

describe('a token', () => {
  it('delivers a key with what the page says, and nothing else', async () => {
    const destination = await open('yaml token');
    await destination.probe();
    await liveThrough(destination);
  });

  it('is renewed by its first use', async () => {
    const grant = { policies: ['keywright'], no_default_policy: true, period: '24h' };
    const made = (await call('POST', 'auth/token/create', grant)) as { auth: { client_token: string; accessor: string } };
    await store('fresh-token', 'vault-token', { token: made.auth.client_token });
    await (await open('yaml token', { auth: tokenOf('fresh-token') })).probe();
    const seen = (await call('POST', 'auth/token/lookup-accessor', { accessor: made.auth.accessor })) as {
      data: { last_renewal?: string };
    };
    expect(seen.data.last_renewal).toBeDefined();
  });
});

it('delivers into a Vault namespace, and logs in there', async () => {
  await call('POST', 'sys/namespaces/team-a', {});
  await call('POST', 'team-a/sys/mounts/secret', { type: 'kv', options: { version: '2' } });
  await call('POST', 'team-a/sys/policies/acl/keywright', { policy: guideBlock('hcl policy') });
  await call('POST', 'team-a/sys/auth/approle', { type: 'approle' });
  await call('POST', 'team-a/auth/approle/role/keywright', { token_policies: ['keywright'], token_no_default_policy: true });
  const role = (await call('GET', 'team-a/auth/approle/role/keywright/role-id')) as { data: { role_id: string } };
  const made = (await call('POST', 'team-a/auth/approle/role/keywright/secret-id')) as { data: { secret_id: string } };
  await store('team-a', 'vault-approle', { 'secret-id': made.data.secret_id });
  const destination = await open('yaml approle', { namespace: 'team-a', auth: appRoleOf(role.data.role_id, 'team-a') });
  // A mount of a new namespace is being upgraded for a moment.
  await until(
    async () => {
      await destination.probe();
      await liveThrough(destination);
      return true;
    },
    { what: 'the mount of the namespace' },
  );
  const location = { destinationUid: 'vault', path: 'secret/keywright/payments/in-team-a' };
  await put(destination, location, await destination.readMark(location), version(owner, 1));
  expect(await call('GET', 'team-a/secret/data/keywright/payments/in-team-a')).toBeDefined();
  expect(await call('GET', 'secret/data/keywright/payments/in-team-a')).toBeUndefined();
});

it('is read by a workload with the policy and the agent of the page', async () => {
  const destination = await open('yaml token');
  const location = { destinationUid: 'vault', path: 'secret/keywright/payments/billing-sync' };
  await put(destination, location, await destination.readMark(location), version(owner, 1));
  writeFileSync(join(dir, 'reader.hcl'), guideBlock('hcl reader'));
  writeFileSync(
    join(dir, 'agent.hcl'),
    `exit_after_auth = true
auto_auth {
  method "token_file" { config = { token_file_path = "reader" } }
}
${guideBlock('hcl agent')}`,
  );
  await shell(
    `vault policy write reader reader.hcl
vault token create -policy reader -field token > reader
unset VAULT_TOKEN
exec vault agent -config agent.hcl`,
    'the agent',
  );
  expect(readFileSync(join(dir, 'api-key'), 'utf8')).toBe(version(owner, 1).token);
});

it('checks the certificate of the server against the CA bundle', async () => {
  const authority = certificate('keywright test CA');
  const { cert, key } = certificate('vault', authority);
  const proxy = createServer({ cert, key }, (incoming, response) => {
    void (async () => {
      const chunks: Buffer[] = [];
      for await (const chunk of incoming) chunks.push(chunk as Buffer);
      const { method = 'GET', url = '/', headers } = incoming;
      const sent = Object.entries(headers).filter(([name]) => name.startsWith('x-vault') || name === 'content-type');
      const answer = await fetch(`${own.openbao.address}${url}`, {
        method,
        headers: Object.fromEntries(sent.map(([name, text]) => [name, String(text)])),
        ...(chunks.length === 0 ? {} : { body: Buffer.concat(chunks) }),
      });
      response.writeHead(answer.status, { 'content-type': 'application/json' }).end(await answer.text());
    })();
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  try {
    const address = `https://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    const both = `keywright.dev/vault-address=${own.openbao.address}, ${address}`;
    await kube.kubectl(['annotate', 'secret', 'vault-token', '--namespace', namespace, '--overwrite', both]);
    const trusting = await open('yaml token', { address, caBundle: authority.cert });
    await trusting.probe();
    await liveThrough(trusting);
    for (const change of [{}, { caBundle: certificate('another CA').cert }]) {
      const destination = await open('yaml token', { address, ...change });
      const failure = await failureOf(destination.probe());
      expect(failure.message).toMatch(/^no trustworthy answer from the Vault server/);
      expect(failure.detail).toMatchObject({ class: 'certificate' });
    }
    await trusting.close();
  } finally {
    proxy.closeAllConnections();
    proxy.close();
  }
});

it('waits for a sealed Vault, says so, and goes on when it is unsealed', async () => {
  const destination = await open('yaml kubernetes');
  await destination.probe();
  await call('POST', 'sys/seal');
  const sealed = 'the Vault server is sealed, and waits for somebody to unseal it (503)';
  expect((await failureOf(destination.probe())).message).toBe(sealed);
  expect((await failureOf((await open('yaml approle', { auth: appRoleOf(roleId()) })).probe())).message).toBe(sealed);
  const key = /Unseal Key: (\S+)/.exec(readFileSync(own.server.logFile, 'utf8'))?.[1];
  await call('POST', 'sys/unseal', { key });
  await until(async () => (await liveThrough(destination), true), { what: 'the unsealed server' });
});

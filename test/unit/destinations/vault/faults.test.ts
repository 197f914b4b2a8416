import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { afterEach, expect, it } from 'vitest';
import type { Destination } from '../../../../operator/src/destinations/port.ts';
import { composeRecord } from '../../../../operator/src/destinations/record.ts';
import { noExtraEndpoints } from '../../../../operator/src/destinations/endpoint.ts';
import { openVaultDestination } from '../../../../operator/src/destinations/vault/vault.ts';
import { Failure } from '../../../../operator/src/domain/failure.ts';
import { Plaintext } from '../../../../operator/src/domain/plaintext.ts';
import { systemClock } from '../../../../operator/src/domain/time.ts';
import { credentialOf, vaultToken } from '../../../builders/credential.ts';

const value = 'acme_live_canaryvalue';
const token = vaultToken('canarytoken');
const location = { destinationUid: 'vault', path: 'secret/keywright/payments/billing' };
const record = composeRecord({
  token: new Plaintext(value),
  keyId: 'k1',
  expiresAt: undefined,
  headerName: 'Authorization',
  headerScheme: 'Bearer',
});
const mark = { installationId: 'i', namespace: 'payments', name: 'billing', uid: 'u', keyId: 'k1', epoch: 1, envelope: 'e' };
const untrusted = 'no trustworthy answer from the Vault server; the log of the operator has the cause';
const absent = { kind: 'absent', revision: 'absent' } as const;

type Answer = (request: IncomingMessage, response: ServerResponse, body: string) => void;
/** The pause between two tries takes no time here. */
const impatient = { ...systemClock, sleep: async () => undefined };
const running: { server: Server; destination: Destination }[] = [];

afterEach(async () => {
  for (const { server, destination } of running.splice(0)) {
    server.closeAllConnections();
    server.close();
    await destination.close();
  }
});

async function against(answer: Answer, tokens: readonly string[] = [token]): Promise<Destination> {
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      // A token that is used as it is; how logins fail is told in session.test.ts.
      if (request.url === '/v1/auth/token/renew-self') response.writeHead(400).end('{"errors":["lease is not renewable"]}');
      else answer(request, response, body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return openAt(`http://127.0.0.1:${port}`, tokens, server);
}

async function openAt(address: string, tokens: readonly string[], server: Server): Promise<Destination> {
  const left = [...tokens];
  const destination = await openVaultDestination({
    spec: {
      address,
      mount: 'secret',
      path: 'keywright/{namespace}/{name}',
      auth: { token: { secretRef: { name: 'vault-token' } } },
    },
    rules: noExtraEndpoints,
    readCredential: credentialOf(() => (left.length > 1 ? left.shift() : left[0])),
    clock: impatient,
    timeoutMs: 300,
  });
  running.push({ server, destination });
  return destination;
}

const status =
  (code: number, body: string): Answer =>
  (_request, response) => {
    response.writeHead(code, { 'content-type': 'application/json' }).end(body);
  };
/** An empty path, until the value is to be written. */
const onWrite =
  (then: Answer): Answer =>
  (request, response, body) => {
    if (request.method === 'POST' && request.url?.includes('/data/') === true) then(request, response, body);
    else if (request.method === 'POST') response.writeHead(204).end();
    else response.writeHead(404).end('{"errors":[]}');
  };
const echo = (code: number): Answer =>
  onWrite((request, response, body) =>
    response.writeHead(code).end(JSON.stringify({ errors: [body, JSON.stringify(request.headers)] })),
  );

async function failureOf(call: Promise<unknown>): Promise<Failure> {
  const error: unknown = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof Failure)) throw new Error(`no Failure: ${inspect(error)}`);
  const printed = `${error.stack}${inspect(error, { depth: 9, showHidden: true })}${JSON.stringify(error)}`;
  expect(printed).not.toContain(value);
  expect(printed).not.toContain(token);
  expect(error.cause).toBeUndefined();
  return error;
}

const vaultSays = (code: number, ...errors: string[]) => status(code, JSON.stringify({ errors }));

it.each<[string, Answer, RegExp]>([
  ['denies us', vaultSays(403, 'permission denied'), /denies us access \(403\)/],
  ['fails', vaultSays(500, 'internal'), /failed \(500\)/],
  ['is sealed', vaultSays(503, 'Vault is sealed'), /is sealed, and waits for somebody to unseal it \(503\)/],
  ['is in maintenance', vaultSays(503), /is in maintenance \(503\)/],
  ['limits our rate', vaultSays(429, 'rate limit quota exceeded'), /limits our rate, or is a standby \(429\)/],
  ['copies another one', vaultSays(412, 'required index state not present'), /is behind another one/],
  ['is not initialised', vaultSays(501, 'Vault is not initialized'), /is not initialised \(501\)/],
  ['says something odd', vaultSays(418), /unexpected status \(418\)/],
  ['has no such mount', vaultSays(404, 'no handler for route'), /mounted at secret/],
])('calls a Vault that %s unavailable, in our words', async (_what, answer, message) => {
  const destination = await against(answer);
  for (const call of [() => destination.readMark(location), () => destination.withdraw(location, absent)]) {
    const failure = await failureOf(call());
    expect(failure).toMatchObject({ kind: 'waiting', reason: 'DestinationUnavailable' });
    expect(failure.message).toMatch(message);
  }
});

const nothingListens: Answer = () => undefined;

it.each<[string, Answer, string, RegExp]>([
  ['denies us like any server', status(403, 'Forbidden'), 'answer', /^status 403 without an error of Vault$/],
  ['denies us in another JSON', status(403, '{"errors":[{"code":1}]}'), 'answer', /^status 403 without/],
  ['fails', status(500, '<html>'), 'answer', /^status 500 without/],
  ['has a load balancer without it', status(503, '<html>'), 'answer', /^status 503 without .* from Vault it means that it/],
  ['limits our rate', status(429, ''), 'answer', /^status 429 without/],
  ['stands by for disasters', status(472, ''), 'answer', /is a standby for disasters, which serves no keys$/],
  [
    'redirects',
    (_, response) => response.writeHead(307, { location: 'http://127.0.0.1:1/' }).end(),
    'answer',
    /redirects elsewhere/,
  ],
  ['answers in HTML', status(200, '<html>login</html>'), 'answer', /not JSON/],
  ['answers with other JSON', status(200, '{"data":{"hello":1}}'), 'answer', /unknown shape/],
  ['answers with nothing', status(200, ''), 'answer', /unknown shape/],
  ['answers with too much', status(200, `"${'x'.repeat(1_100_000)}"`), 'answer', /too large/],
  ['knows no such place at all', status(404, 'nginx'), 'answer', /^status 404 without/],
  ['never answers', nothingListens, 'timeout', /in time/],
  ['hangs up', (request) => request.socket.destroy(), 'unreachable', /UND_ERR_SOCKET/],
  [
    'stops half way',
    (_, response) => response.writeHead(200, { 'content-length': '999' }).write('{"data":'),
    'timeout',
    /in time/,
  ],
])('says one sentence of a server that %s, and keeps the cause for the log', async (_what, answer, kind, cause) => {
  const destination = await against(answer);
  for (const call of [() => destination.readMark(location), () => destination.withdraw(location, absent)]) {
    const failure = await failureOf(call());
    expect(failure).toMatchObject({ kind: 'waiting', reason: 'DestinationUnavailable', retryAfterMs: undefined });
    expect(failure.message).toBe(untrusted);
    expect(failure.detail?.class).toBe(kind);
    expect(failure.detail?.text).toMatch(cause);
  }
});

it('says the same of a port that nobody listens on', async () => {
  const destination = await openAt('http://127.0.0.1:1', [token], createServer());
  const failure = await failureOf(destination.probe());
  expect(failure.message).toBe(untrusted);
  expect(failure.detail).toMatchObject({ class: 'unreachable', text: expect.stringContaining('ECONNREFUSED') as string });
});

it.each([400, 401, 403, 412, 500, 502])('leaks nothing of a write that the server repeats with status %i', async (code) => {
  const destination = await against(echo(code));
  const failure = await failureOf(destination.write(location, record, mark, absent, 'a'));
  expect(failure.reason).toBe('DestinationUnavailable');
});

it('leaks nothing of a write that is cut off', async () => {
  const destination = await against(onWrite((request) => request.socket.destroy()));
  expect((await failureOf(destination.write(location, record, mark, absent, 'a'))).message).toBe(untrusted);
});

it('believes no write that the server does not confirm by its version', async () => {
  const destination = await against(onWrite(status(200, '{"data":{"version":9}}')));
  expect((await failureOf(destination.write(location, record, mark, absent, 'a'))).message).toBe(untrusted);
});

it('tries a read twice, and a write once', async () => {
  const seen: string[] = [];
  const destination = await against((request, response) => {
    seen.push(request.method ?? '');
    response.writeHead(500).end();
  });
  await failureOf(destination.readMark(location));
  await failureOf(destination.probe());
  expect(seen).toEqual(['GET', 'GET', 'POST']);
});

it('reads the token again when the server refuses it', async () => {
  const next = vaultToken('next');
  const seen: unknown[] = [];
  const destination = await against(
    (request, response) => {
      seen.push(request.headers['x-vault-token']);
      if (request.headers['x-vault-token'] === next) response.writeHead(404).end('{"errors":[]}');
      else response.writeHead(403).end('{"errors":["permission denied"]}');
    },
    [token, next],
  );
  expect((await destination.readMark(location)).kind).toBe('absent');
  expect(seen).toEqual([token, next]);
});

it.each(['', 'two\nlines', 'a b', 'postgres://a:b@c/d', '{"peppers":{}}', 'x'.repeat(40)])(
  'waits for a Secret that holds a token, and sends no %j',
  async (text) => {
    let calls = 0;
    const destination = await against(() => (calls += 1), [text]);
    expect((await failureOf(destination.readMark(location))).message).toMatch(
      /^the Secret vault-token cannot be used here: it needs .* and a token of Vault under token$/,
    );
    expect(calls).toBe(0);
  },
);

it('names the rights that the policy lacks', async () => {
  const destination = await against((_request, response, body) => {
    const { paths } = JSON.parse(body) as { paths: string[] };
    const held = paths.map((path) => [path, path.includes('/metadata/') ? ['read'] : ['create', 'read', 'update', 'delete']]);
    response.writeHead(200).end(JSON.stringify({ data: Object.fromEntries(held) as unknown }));
  });
  expect((await failureOf(destination.probe())).message).toBe('the policy lacks create, update, delete on secret/metadata/');
});

it('logs in once more when it is denied, sends the call once more, and leaves it at that', async () => {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    request.resume();
    const isLogin = request.url === '/v1/auth/approle/login';
    seen.push(isLogin ? 'login' : String(request.headers['x-vault-token']));
    const auth = { client_token: `${token}-${seen.length}`, lease_duration: 3600, renewable: true };
    if (isLogin) response.writeHead(200).end(JSON.stringify({ auth }));
    else if (request.url?.endsWith('/revoke-self') === true) response.writeHead(204).end();
    else response.writeHead(403).end('{"errors":["permission denied"]}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const destination = await openVaultDestination({
    spec: {
      address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      mount: 'secret',
      path: 'keywright/{namespace}/{name}',
      auth: { appRole: { roleId: 'role-1', secretRef: { name: 'vault-approle' } } },
    },
    rules: noExtraEndpoints,
    readCredential: credentialOf(() => 'c0ffee00-1111-2222-3333-444444444444'),
    clock: impatient,
  });
  running.push({ server, destination });
  for (let call = 0; call < 3; call += 1) {
    expect((await failureOf(destination.probe())).message).toBe('the Vault server denies us access (403)');
  }
  const [first, second] = [`${token}-1`, `${token}-3`];
  expect(seen).toEqual(['login', first, 'login', second, second, second]);
  await destination.close();
  expect(seen.at(-1)).toBe(second);
});

import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, expect, it } from 'vitest';
import { noExtraEndpoints } from '../../../operator/src/destinations/endpoint.ts';
import { openVaultDestination } from '../../../operator/src/destinations/vault/vault.ts';
import { systemClock } from '../../../operator/src/domain/time.ts';
import { credentialOf } from '../../builders/credential.ts';
import { useOpenBao } from '../../harness/parts.ts';
import { put, version, written } from './version.ts';

// Names that somebody else chose: a KeyDestination can name everything that Vault accepts.
const openbao = await useOpenBao();
const mount = `KV-Platform/${openbao.uniquePath()}-Prod`;
const auth = `AppRole-${openbao.uniquePath()}`;
const namespace = `Team-${openbao.uniquePath()}`;
const inNamespace = { 'x-vault-namespace': namespace };
const paths: string[] = [];

/** A gateway with the server behind a path, as `https://gateway.example.com/Vault/eu-1`. */
const prefix = '/Vault/eu-1';
const gateway = createServer((incoming, outgoing) => {
  const path = incoming.url ?? '';
  paths.push(path);
  if (!path.startsWith(`${prefix}/v1/`)) {
    outgoing.writeHead(404).end();
    return;
  }
  const { method, headers } = incoming;
  const onward = request(`${openbao.address}${path.slice(prefix.length)}`, { method, headers }, (answer) => {
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(outgoing);
  });
  incoming.pipe(onward);
});
await new Promise<void>((resolve) => gateway.listen(0, '127.0.0.1', resolve));
afterAll(() => new Promise((resolve) => gateway.close(resolve)));
const address = `http://127.0.0.1:${(gateway.address() as AddressInfo).port}${prefix}`;

async function call(method: string, path: string, body?: object): Promise<unknown> {
  const headers = { 'x-vault-token': openbao.rootToken, ...inNamespace };
  const answer = await fetch(`${openbao.address}/v1/${path}`, { method, headers, ...(body && { body: JSON.stringify(body) }) });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return answer.status === 204 ? undefined : await answer.json();
}

it('delivers to a mount, by an auth mount, in a namespace and below a folder with capitals, behind a path', async () => {
  await openbao.call('POST', `sys/namespaces/${namespace}`);
  await call('POST', `sys/mounts/${mount}`, { type: 'kv', options: { version: '2' } });
  await call('POST', `sys/auth/${auth}`, { type: 'approle' });
  await call('POST', 'sys/policies/acl/keywright', {
    policy: `path "${mount}/*" { capabilities = ["create","read","update","delete"] }`,
  });
  await call('POST', `auth/${auth}/role/keywright`, { token_policies: ['keywright'] });
  const role = (await call('GET', `auth/${auth}/role/keywright/role-id`)) as { data: { role_id: string } };
  const secret = (await call('POST', `auth/${auth}/role/keywright/secret-id`)) as { data: { secret_id: string } };
  const destination = await openVaultDestination({
    spec: {
      address: `${address}/`,
      mount,
      namespace,
      path: 'Platform/API-Keys/{namespace}/{name}',
      auth: { appRole: { roleId: role.data.role_id, secretRef: { name: 'vault-approle' }, mount: auth } },
    },
    rules: noExtraEndpoints,
    readCredential: credentialOf(() => secret.data.secret_id),
    clock: systemClock,
  });
  await destination.probe();
  const location = { destinationUid: 'vault', path: `${mount}/Platform/API-Keys/payments/billing` };
  const first = version({ namespace: 'payments', name: 'billing', uid: 'uid-1' }, 1);
  const reading = written(await put(destination, location, await destination.readMark(location), first));
  expect((await destination.readValue(location))?.apiKey?.reveal()).toBe(first.token);
  const found = (await call('GET', `${mount}/data/Platform/API-Keys/payments/billing`)) as { data: { data: object } };
  expect(found.data.data).toMatchObject({ 'api-key': first.token });
  expect(await destination.withdraw(location, reading)).toBe('withdrawn');
  await destination.close();
  expect(paths.filter((path) => !path.startsWith(`${prefix}/v1/`))).toEqual([]);
});

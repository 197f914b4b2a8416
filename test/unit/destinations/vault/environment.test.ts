import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it, vi } from 'vitest';
import { composeRecord } from '../../../../operator/src/destinations/record.ts';
import { noExtraEndpoints } from '../../../../operator/src/destinations/endpoint.ts';
import { openVaultDestination } from '../../../../operator/src/destinations/vault/vault.ts';
import { Plaintext } from '../../../../operator/src/domain/plaintext.ts';
import { systemClock } from '../../../../operator/src/domain/time.ts';
import { credentialOf, vaultToken } from '../../../builders/credential.ts';

// A file of its own: the client library reads DEBUG once, when it is loaded, which is at the first opening.
it('ignores VAULT_*, proxies and DEBUG, and prints nothing', async () => {
  const elsewhere = 'from-the-environment';
  for (const name of ['VAULT_TOKEN', 'VAULT_NAMESPACE']) vi.stubEnv(name, elsewhere);
  vi.stubEnv('VAULT_PREFIX', `/${elsewhere}`);
  for (const name of ['VAULT_ADDR', 'HTTP_PROXY', 'http_proxy', 'ALL_PROXY']) vi.stubEnv(name, 'http://127.0.0.1:1');
  vi.stubEnv('DEBUG', '*');
  const printed = [vi.spyOn(process.stderr, 'write'), vi.spyOn(process.stdout, 'write')];
  const seen: unknown[] = [];
  const server = createServer((request, response) => {
    request.resume();
    seen.push([request.method, request.url, request.headers['x-vault-token'], request.headers['x-vault-namespace']]);
    if (request.method === 'GET') response.writeHead(404).end('{"errors":[]}');
    else response.writeHead(request.url?.endsWith('/renew-self') === true ? 400 : 500).end('{"errors":[]}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const destination = await openVaultDestination({
    spec: {
      address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      mount: 'secret',
      path: '{namespace}/{name}',
      auth: { token: { secretRef: { name: 'vault-token' } } },
    },
    rules: noExtraEndpoints,
    readCredential: credentialOf(() => vaultToken('the-right-token')),
    clock: systemClock,
  });
  const location = { destinationUid: 'vault', path: 'secret/payments/billing' };
  const mark = { installationId: 'i', namespace: 'payments', name: 'billing', uid: 'u', keyId: 'k', epoch: 1, envelope: 'e' };
  const record = composeRecord({
    token: new Plaintext('acme_live_k'),
    keyId: 'k',
    expiresAt: undefined,
    headerName: 'X-API-Key',
  });
  try {
    const observed = await destination.readMark(location);
    await expect(destination.write(location, record, mark, observed, 'a')).rejects.toThrow('failed (500)');
    const path = '/v1/secret/metadata/payments/billing';
    const calls = [['POST', '/v1/auth/token/renew-self'], ...['GET', 'GET', 'POST'].map((method) => [method, path])];
    expect(seen).toEqual(calls.map((call) => [...call, vaultToken('the-right-token'), undefined]));
    for (const spy of printed) expect(spy).not.toHaveBeenCalled();
  } finally {
    for (const spy of printed) spy.mockRestore();
    vi.unstubAllEnvs();
    await destination.close();
    server.closeAllConnections();
    server.close();
  }
});

import { noExtraEndpoints } from '../../../operator/src/destinations/endpoint.ts';
import { openVaultDestination } from '../../../operator/src/destinations/vault/vault.ts';
import type { Location } from '../../../operator/src/domain/key.ts';
import { systemClock } from '../../../operator/src/domain/time.ts';
import { credentialOf } from '../../builders/credential.ts';
import { guidePolicy } from '../../builders/vaultguide.ts';
import { useOpenBao } from '../../harness/parts.ts';
import { destinationContract, edited, poison } from './suite.ts';

const openbao = await useOpenBao();

async function changeMark(path: string, change: Readonly<Record<string, string>>): Promise<void> {
  const { data } = (await openbao.call('GET', `secret/metadata/${path}`)) as {
    data: { custom_metadata: Record<string, string> };
  };
  await openbao.call('POST', `secret/metadata/${path}`, { custom_metadata: { ...data.custom_metadata, ...change } });
}

destinationContract('a KV v2 mount of OpenBao, under the policy that the documentation asks for', async () => {
  const base = openbao.uniquePath();
  await openbao.call('POST', `sys/policies/acl/${base}`, { policy: guidePolicy(base) });
  const grant = { policies: [base], no_default_policy: true, ttl: '10m' };
  const login = (await openbao.call('POST', 'auth/token/create', grant)) as { auth: { client_token: string } };
  const below = (location: Location) => location.path.slice('secret/'.length);
  let count = 0;
  const destination = await openVaultDestination({
    spec: {
      address: openbao.address,
      mount: 'secret',
      path: `${base}/{namespace}/{name}`,
      auth: { token: { secretRef: { name: 'vault-token', key: 'token' } } },
    },
    rules: noExtraEndpoints,
    readCredential: credentialOf(() => login.auth.client_token),
    clock: systemClock,
  });
  return {
    destination,
    marksShowChanges: true,
    owner: { namespace: 'payments', name: 'billing', uid: 'uid-1' },
    fresh: () => ({ destinationUid: 'vault', path: `secret/${base}/payments/place-${(count += 1)}` }),
    close: () => destination.close(),
    stranger: {
      put: async (location) => {
        await openbao.call('POST', `secret/data/${below(location)}`, { data: { password: 'not ours' } });
      },
      change: async (location, apiKey) => {
        await openbao.call('POST', `secret/data/${below(location)}`, { data: { 'api-key': apiKey } });
      },
      edit: async (location, entries) => {
        const path = `secret/data/${below(location)}`;
        const { data } = (await openbao.call('GET', path)) as { data: { data: Record<string, string> } };
        await openbao.call('POST', path, { data: edited(data.data, entries) });
      },
      changeMark: (location, installationId) => changeMark(below(location), { 'keywright-installation': installationId }),
      poison: (location) =>
        changeMark(
          below(location),
          Object.fromEntries(Object.entries(poison).map(([name, text]) => [`keywright-${name}`, text])),
        ),
      remove: async (location) => {
        await openbao.call('DELETE', `secret/metadata/${below(location)}`);
      },
      read: async (location) => {
        const answer = (await openbao.call('GET', `secret/data/${below(location)}`)) as
          { data: { data: Record<string, string> } } | undefined;
        return answer?.data.data;
      },
    },
  };
});

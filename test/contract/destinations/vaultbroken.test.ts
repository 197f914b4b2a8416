import { noExtraEndpoints } from '../../../operator/src/destinations/endpoint.ts';
import { openVaultDestination } from '../../../operator/src/destinations/vault/vault.ts';
import { systemClock } from '../../../operator/src/domain/time.ts';
import { credentialOf } from '../../builders/credential.ts';
import { guidePolicy } from '../../builders/vaultguide.ts';
import { FaultProxy, type Mood } from '../../harness/faultproxy.ts';
import { useOpenBao } from '../../harness/parts.ts';
import { breakHttp, type HttpDialect } from './breakhttp.ts';
import { destinationFaults, strangersSay, type FaultTable } from './faults.ts';

const openbao = await useOpenBao();

const table: FaultTable = {
  calls: ['readMark', 'readValue', 'create', 'replace', 'promote', 'withdraw', 'probe'],
  faults: {
    ...strangersSay({
      kind: 'waiting',
      message: /: no trustworthy answer from the Vault server; the log of the operator has/,
    }),
    failed: { kind: 'waiting', message: /failed \(500\)$/ },
    throttled: { kind: 'waiting', message: /limits our rate/, retryAfterMs: 7_000 },
    denied: { kind: 'waiting', message: /denies us|refuses|lacks/ },
    expired: { kind: 'waiting', message: /denies us|refuses/ },
    full: 'the development server keeps its data in memory; a full one answers 5xx, as shown by "fails"',
  },
  oversized: 'a KV value may be as large as a request, 32 MiB by default, far above any key',
  lostAnswers: true,
};

const errors = (code: number, headers: Readonly<Record<string, string>> = {}): Mood => ({
  kind: 'status',
  code,
  headers: { 'content-type': 'application/json', ...headers },
  body: (quote) => JSON.stringify({ errors: [quote] }),
});

destinationFaults('a KV v2 mount of OpenBao', table, async () => {
  const base = openbao.uniquePath();
  const proxy = await FaultProxy.start(openbao.address);
  const login = async (policy: string) => {
    await openbao.call('POST', `sys/policies/acl/${base}`, { policy: guidePolicy(base) });
    const grant = { policies: [policy], no_default_policy: true, ttl: '10m' };
    const answer = (await openbao.call('POST', 'auth/token/create', grant)) as { auth: { client_token: string } };
    return answer.auth.client_token;
  };
  const [token, poor] = [await login(base), await login(`${base}-nothing`)];
  const dialect: HttpDialect = {
    failed: errors(500),
    throttled: errors(429, { 'retry-after': '7' }),
    // OpenBao's own answers: to a token without a policy, and to one that it does not know.
    denied: { kind: 'as', headers: { 'x-vault-token': poor } },
    expired: { kind: 'as', headers: { 'x-vault-token': 's.a-token-of-yesterday' } },
    full: { kind: 'well' },
    changes: ({ method, path }) => method !== 'GET' && !path.includes('/sys/'),
  };
  const timeoutMs = 3_000;
  const destination = await openVaultDestination({
    spec: {
      address: proxy.address,
      mount: 'secret',
      path: `${base}/{namespace}/{name}`,
      auth: { token: { secretRef: { name: 'vault-token', key: 'token' } } },
    },
    rules: noExtraEndpoints,
    readCredential: credentialOf(() => token),
    clock: systemClock,
    timeoutMs,
  });
  let count = 0;
  return {
    destination,
    timeoutMs,
    owner: { namespace: 'payments', name: 'billing', uid: 'uid-1' },
    fresh: () => ({ destinationUid: 'vault', path: `secret/${base}/payments/place-${(count += 1)}` }),
    break: (fault) => breakHttp(proxy, fault, dialect),
    heal: () => proxy.become({ kind: 'well' }),
    calls: () => proxy.calls,
    mostCalls: 4,
    hidden: [proxy.address.slice('http://'.length), proxy.canary, token, poor, 'permission denied'],
    close: async () => {
      await destination.close();
      await proxy.stop();
    },
  };
});

import { describe, expect, it } from 'vitest';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openKubernetesDestination } from '../../../operator/src/destinations/kubernetes/kubernetes.ts';
import type { Location } from '../../../operator/src/domain/key.ts';
import { openTestResources } from '../../harness/kuberesources.ts';
import { FaultProxy, type Mood } from '../../harness/faultproxy.ts';
import { useKube } from '../../harness/parts.ts';
import { privateDir } from '../../harness/process.ts';
import { breakHttp, type HttpDialect } from './breakhttp.ts';
import { destinationFaults, type FaultTable } from './faults.ts';
import { createOwner } from './kubeowner.ts';
import { destinationContract, poison } from './suite.ts';
import { put, version, written } from './version.ts';

const kube = await useKube();

const at = (location: Location) => `/api/v1/namespaces/${location.path.split('/')[0]}/secrets`;
const one = (location: Location) => `${at(location)}/${location.path.split('/')[1]}`;
const encode = (text: string) => Buffer.from(text).toString('base64');

async function call(method: 'POST' | 'PATCH' | 'DELETE', path: string, body?: unknown): Promise<unknown> {
  const contentType = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
  const answer = await kube.request(method, path, { body, contentType });
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${JSON.stringify(answer.body)}`);
  return answer.body;
}

destinationContract('Secrets of an API server', async () => {
  const namespace = await kube.createNamespace();
  const resources = await openTestResources({ kubeconfig: kube.kubeconfig() });
  let count = 0;
  return {
    destination: openKubernetesDestination(resources.secrets),
    marksShowChanges: false,
    owner: await createOwner(kube, namespace),
    fresh: () => ({ destinationUid: 'secret', path: `${namespace}/place-${(count += 1)}` }),
    close: () => resources.close(),
    stranger: {
      put: async (location) => {
        const metadata = { name: location.path.split('/')[1] };
        await call('POST', at(location), { apiVersion: 'v1', kind: 'Secret', metadata, data: { password: encode('not ours') } });
      },
      change: async (location, apiKey) => {
        await call('PATCH', one(location), { data: { 'api-key': encode(apiKey) } });
      },
      edit: async (location, entries) => {
        const data = Object.entries(entries).map(([name, text]) => [name, text === null ? null : encode(text)] as const);
        await call('PATCH', one(location), { data: Object.fromEntries(data) });
      },
      changeMark: async (location, installationId) => {
        await call('PATCH', one(location), { metadata: { annotations: { 'keywright.dev/installation': installationId } } });
      },
      poison: async (location) => {
        const annotations = Object.fromEntries(Object.entries(poison).map(([name, text]) => [`keywright.dev/${name}`, text]));
        await call('PATCH', one(location), { metadata: { annotations } });
      },
      remove: async (location) => {
        await call('DELETE', one(location));
      },
      read: async (location) => {
        const answer = await kube.request('GET', one(location));
        if (answer.status === 404) return undefined;
        const { data } = answer.body as { data: Record<string, string> };
        return Object.fromEntries(Object.entries(data).map(([name, text]) => [name, Buffer.from(text, 'base64').toString()]));
      },
    },
  };
});

describe('a Secret of ours', () => {
  it.each([
    ['label', { labels: { 'app.kubernetes.io/managed-by': 'Helm' } }],
    ['owner reference', { ownerReferences: null }],
  ])('shows that somebody changed its %s, and gets it back', async (_what, metadata) => {
    const namespace = await kube.createNamespace();
    const resources = await openTestResources({ kubeconfig: kube.kubeconfig() });
    const destination = openKubernetesDestination(resources.secrets);
    const location = { destinationUid: 'secret', path: `${namespace}/place` };
    const first = version(await createOwner(kube, namespace), 1);
    const before = written(await put(destination, location, await destination.readMark(location), first));
    expect(before).not.toHaveProperty('undressed');
    await call('PATCH', one(location), { metadata });
    const undressed = await destination.readMark(location);
    expect(undressed).toMatchObject({ kind: 'marked', carries: true, undressed: true });
    expect(written(await put(destination, location, undressed, first))).not.toHaveProperty('undressed');
    await resources.close();
  });
});

const outage = (how: string) => ({ kind: 'transient' as const, message: new RegExp(`cannot be reached to .+ \\(${how}\\)$`) });
const table: FaultTable = {
  // It has nothing of its own to probe: whether the API server is there, the operator knows from its watches.
  calls: ['readMark', 'readValue', 'create', 'replace', 'promote', 'withdraw'],
  faults: {
    refused: outage('refused'),
    silent: outage('timeout'),
    slow: outage('timeout'),
    reset: outage('broken'),
    truncated: outage('broken'),
    garbage: outage('broken'),
    otherJson: { kind: 'transient', message: /is no API server$/ },
    huge: outage('tooLarge|timeout'),
    redirect: { kind: 'stalled', message: /the API server refuses to .+ \(307\)$/ },
    failed: { kind: 'transient', message: /the API server cannot .+ now \(500\)$/ },
    throttled: { kind: 'transient', message: /the API server cannot .+ now \(429\)$/, retryAfterMs: 7_000 },
    denied: { kind: 'waiting', message: /does not let us .+ \(403\): look at our role$/ },
    expired: { kind: 'waiting', message: /does not let us .+ \(401\): look at our role$/ },
    full: 'a namespace has a quota, which is shown in kubernetesfaults.test.ts because it is for new Secrets alone',
  },
  oversized: { bytes: 600_000, kind: 'stalled', message: /the value is too large for a Secret$/ },
  lostAnswers: true,
};

/** A Status whose message quotes the request. */
const status = (code: number, headers: Readonly<Record<string, string>> = {}): Mood => ({
  kind: 'status',
  code,
  headers: { 'content-type': 'application/json', ...headers },
  body: (quote) => JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', message: quote, code }),
});
const dialect: HttpDialect = {
  failed: status(500),
  throttled: status(429, { 'retry-after': '7' }),
  // Its own answers: to a user without a right, and to nobody.
  denied: { kind: 'as', headers: { authorization: `Bearer ${kube.token('outsider')}` } },
  expired: { kind: 'as', headers: { authorization: 'Bearer a-token-of-yesterday' } },
  full: { kind: 'well' },
  changes: ({ method }) => method !== 'GET',
};

destinationFaults('Secrets of an API server', table, async () => {
  const namespace = await kube.createNamespace();
  const proxy = await FaultProxy.start(kube.url, kube.handle.ca);
  const timeoutMs = 3_000;
  const resources = await openTestResources({
    kubeconfig: proxiedKubeconfig(proxy),
    timeoutMs,
  });
  let count = 0;
  return {
    destination: openKubernetesDestination(resources.secrets),
    timeoutMs,
    owner: await createOwner(kube, namespace),
    fresh: () => ({ destinationUid: 'secret', path: `${namespace}/place-${(count += 1)}` }),
    break: (fault) => breakHttp(proxy, fault, dialect),
    heal: () => proxy.become({ kind: 'well' }),
    calls: () => proxy.calls,
    mostCalls: 3,
    hidden: [proxy.address.slice('http://'.length), proxy.canary, kube.token(), kube.token('outsider'), 'outsider'],
    close: async () => {
      await resources.close();
      await proxy.stop();
    },
  };
});

function proxiedKubeconfig(proxy: FaultProxy): string {
  const path = join(privateDir('proxied'), 'kubeconfig');
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    // Without it client-node takes no plain HTTP.
    clusters: [{ name: 'test', cluster: { server: proxy.address, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'admin', user: { token: kube.token() } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin' } }],
  };
  writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
  return path;
}

import { X509Certificate } from 'node:crypto';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { createServer as createHttpsServer } from 'node:https';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { afterAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../operator/src/domain/time.ts';
import { loadAccess } from '../../operator/src/resources/kube/access.ts';
import { KubeClient } from '../../operator/src/resources/kube/client.ts';
import { endpoints } from '../../operator/src/resources/kube/endpoints.ts';
import { KubeFault } from '../../operator/src/resources/kube/fault.ts';
import type { KubeResources } from '../../operator/src/resources/kube/resources.ts';
import { watchSource } from '../../operator/src/resources/kube/source.ts';
import { openTestResources } from '../harness/kuberesources.ts';
import { useKube } from '../harness/parts.ts';
import { privateDir } from '../harness/process.ts';
import { until } from '../harness/until.ts';

const kube = await useKube();
const dir = privateDir('kube-client');
const opened: KubeResources[] = [];
afterAll(async () => {
  for (const resources of opened) await resources.close();
});

interface Kubeconfig {
  readonly clusters: { cluster: Record<string, unknown> }[];
  readonly users: { user: Record<string, unknown> }[];
}

/** The admin's kubeconfig with another user, and maybe another address of the server. */
function kubeconfigWith(name: string, user: Record<string, unknown>, cluster: Record<string, unknown> = {}): string {
  const config = JSON.parse(readFileSync(kube.kubeconfig(), 'utf8')) as Kubeconfig;
  for (const one of config.users) one.user = user;
  for (const one of config.clusters) Object.assign(one.cluster, cluster);
  const path = join(dir, `${name}.kubeconfig`);
  writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
  return path;
}

async function open(kubeconfig: string, onCall?: (code: string) => void, namespaces?: readonly string[]): Promise<KubeResources> {
  const resources = await openTestResources({
    kubeconfig,
    ...(namespaces === undefined ? {} : { namespaces }),
    ...(onCall === undefined ? {} : { onCall: (_verb, _kind, code) => onCall(code) }),
  });
  opened.push(resources);
  return resources;
}

describe('the connection to an API server', () => {
  it('is shared: 200 calls at once use four connections at most', async () => {
    const upstream = new URL(kube.url);
    const sockets = new Set<Socket>();
    let connections = 0;
    const door = createServer((socket) => {
      connections += 1;
      const behind = connect(Number(upstream.port), upstream.hostname);
      for (const one of [socket, behind]) {
        sockets.add(one);
        one.on('error', () => undefined);
      }
      socket.pipe(behind).pipe(socket);
    });
    await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve));
    const { port } = door.address() as AddressInfo;
    try {
      const server = `https://127.0.0.1:${String(port)}`;
      const resources = await open(kubeconfigWith('door', { token: kube.token() }, { server }));
      const reads = Array.from({ length: 200 }, () => resources.readLive('Namespace', { name: 'kube-system' }));
      expect(new Set((await Promise.all(reads)).map((one) => one?.metadata.name))).toEqual(new Set(['kube-system']));
      expect(connections).toBeGreaterThan(0);
      expect(connections).toBeLessThanOrEqual(4);
      await resources.close();
    } finally {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => door.close(resolve));
    }
  });

  it('takes its token from an exec plugin', async () => {
    const plugin = join(dir, 'plugin.mjs');
    const credential = { apiVersion: 'client.authentication.k8s.io/v1', kind: 'ExecCredential', status: { token: kube.token() } };
    writeFileSync(plugin, `console.log(${JSON.stringify(JSON.stringify(credential))});`);
    chmodSync(plugin, 0o700);
    const exec = { apiVersion: credential.apiVersion, command: process.execPath, args: [plugin], interactiveMode: 'Never' };
    const resources = await open(kubeconfigWith('exec', { exec }));
    expect(await resources.clusterUid()).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('shows a client certificate, and speaks HTTP/1.1 where the server has no other', async () => {
    const certificates = join(kube.handle.dir, 'certificates');
    const [cert, key] = [readFileSync(join(certificates, 'apiserver.crt')), readFileSync(join(certificates, 'apiserver.key'))];
    const shown: string[] = [];
    // Stands in for an API server with client certificates; it asks for one, and the test compares it.
    const server = createHttpsServer({ cert, key, requestCert: true, rejectUnauthorized: false }, (request, response) => {
      const peer = (request.socket as TLSSocket).getPeerX509Certificate();
      shown.push(peer?.fingerprint256 ?? 'none');
      response.end(JSON.stringify({ metadata: { uid: 'the uid' } }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const user = { 'client-certificate-data': cert.toString('base64'), 'client-key-data': key.toString('base64') };
    const resources = await open(kubeconfigWith('certificate', user, { server: `https://127.0.0.1:${String(port)}` }));
    try {
      expect(await resources.clusterUid()).toBe('the uid');
      expect(shown).toEqual([new X509Certificate(cert).fingerprint256]);
    } finally {
      await resources.close();
      await new Promise((resolve) => server.close(resolve));
    }
  });

  it('reads a token file anew when the server does not accept the token', async () => {
    const tokenFile = join(dir, 'token');
    writeFileSync(tokenFile, 'outdated');
    const codes: string[] = [];
    const user = { 'auth-provider': { name: 'tokenFile', config: { tokenFile } } };
    const resources = await open(kubeconfigWith('token', user), (code) => {
      codes.push(code);
      if (code === '401') writeFileSync(tokenFile, `${kube.token()}\n`);
    });
    expect(await resources.clusterUid()).toMatch(/^[0-9a-f-]{36}$/);
    expect(codes).toEqual(['401', '200']);
  });

  it('does not trust a server of another authority', async () => {
    const stranger = kubeconfigWith('stranger', { token: kube.token() }, { 'certificate-authority-data': undefined });
    const resources = await open(stranger);
    await expect(resources.clusterUid()).rejects.toMatchObject({
      kind: 'transient',
      message: expect.stringContaining('refused') as string,
    });
  });

  it('waits for rights that it does not have', async () => {
    const resources = await open(kube.kubeconfig('outsider'));
    await expect(resources.clusterUid()).rejects.toMatchObject({ kind: 'waiting' });
  });

  it('says what is wrong with a kubeconfig', async () => {
    await expect(open(join(dir, 'absent'))).rejects.toThrow('absent');
  });
});

describe('lists by pages', () => {
  it('are complete, page by page, and of a partial kind have metadata only', async () => {
    const namespace = await kube.createNamespace();
    for (const name of ['a', 'b', 'c', 'd', 'e']) {
      const metadata = { name, namespace, labels: { 'app.kubernetes.io/managed-by': 'keywright' } };
      await kube.request('POST', `/api/v1/namespaces/${namespace}/secrets`, {
        body: { metadata, stringData: { 'api-key': 'value' } },
      });
    }
    const client = new KubeClient({ access: await loadAccess(kube.kubeconfig(), systemClock), clock: systemClock });
    const source = watchSource(client, { kind: 'Secret', endpoint: endpoints.Secret, namespace, pageSize: 2 });
    const { signal } = new AbortController();
    try {
      const names: string[] = [];
      let page = await source.list('', undefined, signal);
      for (;;) {
        names.push(...page.items.map((item) => item.metadata.name));
        for (const item of page.items) expect(Object.keys(item)).toEqual(['metadata']);
        if (page.next === undefined) break;
        page = await source.list('', page.next, signal);
      }
      expect(names).toEqual(['a', 'b', 'c', 'd', 'e']);
      expect(Number(page.resourceVersion)).toBeGreaterThan(0);
      expect((await source.list(page.resourceVersion, undefined, signal)).items).toHaveLength(2);
      await expect(source.list('', 'rubbish', signal)).rejects.toBeInstanceOf(KubeFault);
    } finally {
      await client.close();
    }
  });
});

describe('watched namespaces', () => {
  it('may have no ApiKey at all, and one of them is listed', async () => {
    const [empty, other] = [await kube.createNamespace('empty'), await kube.createNamespace('other')];
    const resources = await open(kube.kubeconfig(), undefined, [empty, other]);
    expect(await resources.listLive('ApiKey')).toEqual([]);
    const body = {
      ...{ apiVersion: 'keywright.dev/v1alpha1', kind: 'ApiKey', metadata: { name: 'one' } },
      spec: { displayName: 'x', catalog: 'x', owner: 'x', accessType: 'X', deliverTo: [{ name: 'x', secret: { name: 'x' } }] },
    };
    await kube.request('POST', `/apis/keywright.dev/v1alpha1/namespaces/${other}/apikeys`, { body });
    expect((await resources.listLive('ApiKey')).map(({ name, generation }) => [name, generation])).toEqual([['one', 1]]);
  });

  it('are the only ones whose objects are seen', async () => {
    const [watched, other] = [await kube.createNamespace(), await kube.createNamespace()];
    const resources = await open(kube.kubeconfig(), undefined, [watched]);
    const seen: string[] = [];
    resources.subscribe((event) => event.kind === 'Secret' && seen.push(event.metadata.namespace ?? ''));
    const abort = new AbortController();
    await resources.start(abort.signal);
    for (const namespace of [other, watched]) {
      const metadata = { name: 'one', namespace, labels: { 'app.kubernetes.io/managed-by': 'keywright' } };
      await kube.request('POST', `/api/v1/namespaces/${namespace}/secrets`, { body: { metadata } });
    }
    await until(() => seen.length > 0);
    expect(new Set(seen)).toEqual(new Set([watched]));
    abort.abort();
  });
});

describe('events', () => {
  it('are seen by kubectl, and fold their repeats into a count', async () => {
    const namespace = await kube.createNamespace();
    const resources = await open(kube.kubeconfig());
    const about = await resources.readLive('Namespace', { name: namespace });
    if (about === undefined) throw new Error('no namespace');
    const metadata = { ...about.metadata, namespace, name: 'billing-sync' };
    const event = { type: 'Warning', reason: 'OwnerNotFound', message: 'the owner does not exist' } as const;
    for (let times = 0; times < 3; times += 1) resources.recordEvent('ApiKey', metadata, event);
    const events = await until(async () => {
      const { stdout } = await kube.kubectl(['get', 'events', '-n', namespace, '-o', 'json']);
      const { items } = JSON.parse(stdout) as { items: Record<string, unknown>[] };
      return items.length > 0 && items;
    });
    expect(events).toHaveLength(1);
    expect(events[0]).toMatchObject({
      ...event,
      involvedObject: { kind: 'ApiKey', name: 'billing-sync', uid: metadata.uid },
      series: { count: 3 },
    });
  });
});

import { expect, test } from 'vitest';
import { finalizer } from '../../../../operator/src/api/meta.ts';
import type { KubeAnswer, KubeClient, KubeRequest } from '../../../../operator/src/resources/kube/client.ts';
import { endpoints } from '../../../../operator/src/resources/kube/endpoints.ts';
import { KubeFault } from '../../../../operator/src/resources/kube/fault.ts';
import { watchSource } from '../../../../operator/src/resources/kube/source.ts';

const large = 'x'.repeat(200_000);
const metadata = {
  ...{ namespace: 'payments', name: 'billing', uid: 'u', resourceVersion: '1', generation: 1 },
  annotations: { 'keywright.dev/rotate': 'now', 'keywright.dev/else': large, 'example.com/note': large },
  labels: { note: large },
  managedFields: [large],
  generateName: large,
  finalizers: [large, finalizer],
  ownerReferences: [{ name: large }],
};

async function listed(kind: keyof typeof endpoints, more: { readonly isWhole?: boolean } = {}) {
  const body = { metadata: { resourceVersion: '1' }, items: [{ metadata, spec: {} }] };
  const client = { sendRaw: async (): Promise<KubeAnswer> => ({ status: 200, body }) } as unknown as KubeClient;
  const source = watchSource(client, { kind, endpoint: endpoints[kind], namespace: undefined, ...more });
  return (await source.list('', undefined, new AbortController().signal)).items[0]?.metadata;
}

test('of the metadata of an object, no more is kept than what we read: not what anybody may write at any length', async () => {
  for (const kind of ['ApiKey', 'KeyOwner', 'KeyDestination'] as const) {
    const kept = await listed(kind);
    expect(kept?.annotations).toEqual({ 'keywright.dev/rotate': 'now' });
    expect(kept?.finalizers).toEqual([finalizer]);
    expect(JSON.stringify(kept).length).toBeLessThan(300);
  }
  const secret = await listed('Secret');
  expect(secret).not.toHaveProperty('annotations');
  expect(JSON.stringify(secret).length).toBeLessThan(300);
});

test('a page of large objects is asked for anew with fewer of them, the last time whatever its size', async () => {
  const asked: (readonly [limit: string | undefined, maxBytes: number | undefined])[] = [];
  const sendRaw = async ({ query, maxBytes }: KubeRequest): Promise<KubeAnswer> => {
    asked.push([query?.['limit'], maxBytes]);
    if (maxBytes !== undefined) throw new KubeFault('tooLarge');
    return { status: 200, body: { metadata: { resourceVersion: '1' }, items: [{ metadata, spec: {} }] } };
  };
  const source = watchSource({ sendRaw } as unknown as KubeClient, {
    ...{ kind: 'ApiKey', endpoint: endpoints.ApiKey, namespace: undefined },
  });
  expect((await source.list('', undefined, new AbortController().signal)).items).toHaveLength(1);
  const mebi = 1024 * 1024;
  expect(asked).toEqual([
    ['100', 8 * mebi],
    ['10', 8 * mebi],
    ['1', undefined],
  ]);
});

test('a list of large objects goes on with the smaller pages, and the next list begins with large ones', async () => {
  const asked: (string | undefined)[] = [];
  const sendRaw = async ({ query, maxBytes }: KubeRequest): Promise<KubeAnswer> => {
    asked.push(query?.['limit']);
    if (maxBytes !== undefined && Number(query?.['limit']) > 10) throw new KubeFault('tooLarge');
    return { status: 200, body: { metadata: { resourceVersion: '1', continue: 'more' }, items: [{ metadata, spec: {} }] } };
  };
  const source = watchSource({ sendRaw } as unknown as KubeClient, {
    ...{ kind: 'ApiKey', endpoint: endpoints.ApiKey, namespace: undefined },
  });
  for (const next of [undefined, 'more', 'more', undefined]) await source.list('', next, new AbortController().signal);
  expect(asked).toEqual(['100', '10', '10', '10', '100', '10']);
});

test('a whole list keeps the finalizers and owner references of others, which a release takes away', async () => {
  const kept = await listed('ApiKey', { isWhole: true });
  expect(kept?.finalizers).toEqual([large, finalizer]);
  expect(kept).toMatchObject({ ownerReferences: [{ name: large }] });
});

test('the labels of namespaces are kept, because rules select by them', async () => {
  expect((await listed('Namespace'))?.labels).toEqual({ note: large });
});

import { expect, test } from 'vitest';
import type { KubeAnswer, KubeClient } from '../../../../operator/src/resources/kube/client.ts';
import { endpoints } from '../../../../operator/src/resources/kube/endpoints.ts';
import { watchSource } from '../../../../operator/src/resources/kube/source.ts';

const large = 'x'.repeat(200_000);
const metadata = {
  ...{ namespace: 'payments', name: 'billing', uid: 'u', resourceVersion: '1', generation: 1 },
  annotations: { 'keywright.dev/rotate': 'now', 'keywright.dev/else': large, 'example.com/note': large },
  labels: { note: large },
  managedFields: [large],
};

async function listed(kind: 'ApiKey' | 'Namespace' | 'KeyOwner') {
  const body = { metadata: { resourceVersion: '1' }, items: [{ metadata, spec: {} }] };
  const client = { sendRaw: async (): Promise<KubeAnswer> => ({ status: 200, body }) } as unknown as KubeClient;
  const source = watchSource(client, { kind, endpoint: endpoints[kind], namespace: undefined });
  return (await source.list('', undefined, new AbortController().signal)).items[0]?.metadata;
}

test('of the metadata of an object, no more is kept than what we read: not what anybody may write at any length', async () => {
  for (const kind of ['ApiKey', 'KeyOwner'] as const) {
    const kept = await listed(kind);
    expect(kept?.annotations).toEqual({ 'keywright.dev/rotate': 'now' });
    expect(JSON.stringify(kept).length).toBeLessThan(300);
  }
});

test('the labels of namespaces are kept, because rules select by them', async () => {
  expect((await listed('Namespace'))?.labels).toEqual({ note: large });
});

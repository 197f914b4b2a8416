import { describe, expect, it } from 'vitest';
import type { KubeAnswer, KubeRequest } from '../../../../operator/src/resources/kube/client.ts';
import { KubeFault } from '../../../../operator/src/resources/kube/fault.ts';
import { kubeWorkloads } from '../../../../operator/src/resources/kube/workloads.ts';

const ref = { kind: 'StatefulSet', namespace: 'payments', name: 'billing' } as const;
const observed = { uid: 'u-1', resourceVersion: '7' };
const annotation = { name: 'restarted-for.keywright.dev/one', value: 'newKey' };

/** Workloads of a server that answers, or fails, as the test says. */
function serverThat(answers: KubeAnswer | KubeFault) {
  const requests: KubeRequest[] = [];
  const workloads = kubeWorkloads({
    sendRaw: async (request) => {
      requests.push(request);
      if (answers instanceof KubeFault) throw answers;
      return answers;
    },
  });
  return { workloads, requests };
}

const restart = (answers: KubeAnswer | KubeFault) => serverThat(answers).workloads.annotateTemplate(ref, observed, annotation);
const refusedUid = { details: { causes: [{ reason: 'FieldValueInvalid', field: 'metadata.uid' }] } };

describe('a restart on an API server', () => {
  it('is one annotation of the pod template, on the condition of what was observed', async () => {
    const { workloads, requests } = serverThat({ status: 200, body: {} });
    expect(await workloads.annotateTemplate(ref, observed, annotation)).toBe('written');
    expect(requests).toEqual([
      {
        verb: 'patch',
        kind: 'StatefulSet',
        path: '/apis/apps/v1/namespaces/payments/statefulsets/billing',
        query: { fieldManager: 'keywright' },
        body: {
          metadata: observed,
          spec: { template: { metadata: { annotations: { 'restarted-for.keywright.dev/one': 'newKey' } } } },
        },
      },
    ]);
  });

  it.each([
    [404, {}],
    [409, {}],
    [422, refusedUid],
  ])('is lost when the server says %d to its condition', async (status, body) => {
    expect(await restart({ status, body })).toBe('lost');
  });

  it.each([
    ['by a policy, with 422', { status: 422, body: { message: 'secret text' } }],
    ['by a webhook, with 400', new KubeFault(400)],
    ['by RBAC, with 403', new KubeFault(403)],
    ['for want of credentials, with 401', new KubeFault(401)],
  ])('waits for a person when it is refused %s', async (_title, answers) => {
    await expect(restart(answers)).rejects.toMatchObject({ kind: 'waiting', reason: 'NotPermitted' });
    await expect(restart(answers)).rejects.not.toThrow('secret text');
  });

  it.each([
    ['429', new KubeFault(429, 30_000)],
    ['a server in trouble', new KubeFault(503, 30_000)],
    ['no answer', new KubeFault('timeout', 30_000)],
  ])('is tried again after %s, with the pause that is asked for', async (_title, fault) => {
    await expect(restart(fault)).rejects.toMatchObject({ kind: 'transient', retryAfterMs: 30_000 });
  });

  it('waits for the end of a namespace', async () => {
    await expect(restart(new KubeFault(403, undefined, ['NamespaceTerminating']))).rejects.toMatchObject({
      kind: 'waiting',
      reason: 'NamespaceTerminating',
    });
  });
});

import { openKubernetesConsumers } from '../../../operator/src/consumers/kubernetes/kubernetes.ts';
import { openTestResources } from '../../harness/kuberesources.ts';
import { useKube } from '../../harness/parts.ts';
import { until } from '../../harness/until.ts';
import { createWorkload, workloadPath } from '../../harness/workloads.ts';
import { consumersContract } from './suite.ts';

const kube = await useKube();

consumersContract('consumers in a cluster', async () => {
  const namespace = await kube.createNamespace('consumers');
  const resources = await openTestResources({ kubeconfig: kube.kubeconfig() });
  const patch = async (path: string, body: unknown) => {
    const answer = await kube.request('PATCH', path, { body, contentType: 'application/merge-patch+json' });
    if (answer.status >= 300) throw new Error(`${path}: ${JSON.stringify(answer.body)}`);
  };
  return {
    consumers: openKubernetesConsumers(resources.workloads),
    namespace,
    close: () => resources.close(),
    driver: {
      // Without pods: what counts here is the object.
      create: ({ kind, name }) => createWorkload(kube, { kind, namespace, name }, { pods: 0 }),
      annotateTemplate: ({ kind, name }, annotation, value) =>
        patch(workloadPath({ kind, namespace, name }), {
          spec: { template: { metadata: { annotations: { [annotation]: value } } } },
        }),
      touch: ({ kind, name }) => patch(workloadPath({ kind, namespace, name }), { metadata: { labels: { touched: 'yes' } } }),
      delete: async ({ kind, name }) => {
        const path = workloadPath({ kind, namespace, name });
        await kube.request('DELETE', path);
        await until(async () => (await kube.request('GET', path)).status === 404, {
          what: `the end of ${name}`,
          deadlineMs: 30_000,
        });
      },
    },
  };
});

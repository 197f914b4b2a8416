import { openKubernetesConsumers } from '../../../operator/src/consumers/kubernetes/kubernetes.ts';
import type { ConsumerRef } from '../../../operator/src/consumers/port.ts';
import { FakeClock } from '../../harness/fakes/clock.ts';
import { FakeResources } from '../../harness/fakes/resources.ts';
import { consumersContract } from './suite.ts';

consumersContract('consumers in memory', async () => {
  const { workloads } = new FakeResources(new FakeClock());
  const namespace = 'payments';
  const refOf = (consumer: ConsumerRef) => ({ ...consumer, namespace });
  return {
    consumers: openKubernetesConsumers(workloads),
    namespace,
    close: async () => {},
    driver: {
      create: async (consumer) => void workloads.put(refOf(consumer), { kind: consumer.kind, spec: { template: {} } }),
      annotateTemplate: async (consumer, name, value) =>
        void workloads.change(refOf(consumer), (workload) => {
          const annotations = { ...workload.spec.template?.metadata?.annotations, [name]: value };
          return { ...workload, spec: { ...workload.spec, template: { metadata: { annotations } } } };
        }),
      touch: async (consumer) => void workloads.change(refOf(consumer), (workload) => workload),
      delete: async (consumer) => {
        workloads.delete(refOf(consumer));
      },
    },
  };
});

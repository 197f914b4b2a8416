import { openKubernetesConsumers } from '../consumers/kubernetes/kubernetes.ts';
import type { Consumers } from '../consumers/port.ts';
import type { Workloads } from '../resources/port.ts';
import type { Metrics } from '../telemetry/metrics.ts';

/** The workloads of the cluster as consumers, with every restart counted. */
export function openCountedConsumers(workloads: Workloads, metrics: Pick<Metrics, 'restarted'>): Consumers {
  const consumers = openKubernetesConsumers(workloads);
  return {
    look: (consumer, namespace) => consumers.look(consumer, namespace),
    restart: async (order) => {
      const { kind } = order.consumer;
      try {
        const outcome = await consumers.restart(order);
        metrics.restarted({ kind, outcome });
        return outcome;
      } catch (error) {
        metrics.restarted({ kind, outcome: 'failed' });
        throw error;
      }
    },
  };
}

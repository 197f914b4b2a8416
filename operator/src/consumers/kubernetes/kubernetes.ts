import type { Workloads } from '../../resources/port.ts';
import { restartedFor, restartedKeyId } from '../port.ts';
import type { Consumers, RestartOrder, RestartOutcome } from '../port.ts';

/** The status of a workload changes while it rolls out, and its resourceVersion with it; then the patch is made anew. */
const restartTries = 4;

/** The workloads of a cluster as consumers. */
export function openKubernetesConsumers(workloads: Workloads): Consumers {
  return {
    look: ({ kind, name }, namespace) => workloads.read({ kind, namespace, name }),
    restart: (order) => restart(workloads, order),
  };
}

async function restart(workloads: Workloads, { consumer, apiKey, keyId, observed }: RestartOrder): Promise<RestartOutcome> {
  const ref = { ...consumer, namespace: apiKey.namespace };
  const seen = restartedKeyId(observed, apiKey.name);
  const annotation = { name: restartedFor(apiKey.name), value: keyId };
  let current = observed;
  for (let attempt = 1; ; attempt += 1) {
    const { uid, resourceVersion, deletionTimestamp } = current.metadata;
    // What it was decided on is the annotation, not whatever else the resourceVersion speaks of.
    if (uid !== observed.metadata.uid) return 'lost';
    if (deletionTimestamp !== undefined) return 'missing';
    const standing = restartedKeyId(current, apiKey.name);
    if (standing === keyId) return 'already';
    if (standing !== seen) return 'lost';
    if ((await workloads.annotateTemplate(ref, { uid, resourceVersion }, annotation)) === 'written') return 'patched';
    if (attempt === restartTries) return 'lost';
    const next = await workloads.read(ref);
    if (next === undefined) return 'missing';
    current = next;
  }
}

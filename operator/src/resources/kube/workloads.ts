import { fieldManager } from '../../api/meta.ts';
import { waiting } from '../../domain/failure.ts';
import type { Failure } from '../../domain/failure.ts';
import type { Workload, WorkloadRef, Workloads } from '../port.ts';
import type { KubeAnswer, KubeClient, KubeRequest } from './client.ts';
import { objectPath, workloadEndpoints } from './endpoints.ts';
import { KubeFault, failureOf, faultOf } from './fault.ts';
import { isOtherUid } from './secrets.ts';

/** Workloads of the API server, one at a time. */
export function kubeWorkloads(client: Pick<KubeClient, 'sendRaw'>): Workloads {
  return {
    read: async (ref) => {
      const { kind } = ref;
      const answer = await send(client, ref, { verb: 'get', kind, path: objectPath(workloadEndpoints[kind], ref) });
      if (answer.status === 404) return undefined;
      if (answer.status !== 200) throw refusalOf(new KubeFault(answer.status), 'get', ref);
      return trim(answer.body as RawWorkload);
    },
    /**
     * A merge patch of the one annotation. Not server-side apply: what one field manager applies is a whole, and the
     * apply for one ApiKey would take away what was applied for another, so that two keys would roll one workload for ever.
     * The field managers of all other fields keep them, and who applies the workload without this annotation does not own
     * it, so that his next apply neither removes it nor sees a difference.
     */
    annotateTemplate: async (ref, { uid, resourceVersion }, { name, value }) => {
      const { kind } = ref;
      const body = { metadata: { uid, resourceVersion }, spec: { template: { metadata: { annotations: { [name]: value } } } } };
      const path = objectPath(workloadEndpoints[kind], ref);
      const answer = await send(client, ref, { verb: 'patch', kind, path, query: { fieldManager }, body });
      if (answer.status < 300) return 'written';
      // 404: gone; 409: another version or uid.
      if (answer.status === 404 || answer.status === 409 || isOtherUid(answer)) return 'lost';
      throw refusalOf(new KubeFault(answer.status), 'patch', ref);
    },
  };
}

/** As the server sends it: with containers and their environment, in which some keep passwords. */
interface RawWorkload extends Workload {
  readonly metadata: Workload['metadata'] & { readonly managedFields?: unknown };
}

/** Without all that the type does not name, so that nothing of a container gets anywhere. */
function trim({
  kind,
  metadata: { managedFields: _dropped, annotations: _own, ...metadata },
  spec,
  status,
}: RawWorkload): Workload {
  const { replicas, paused, updateStrategy, template } = spec;
  return {
    kind,
    metadata,
    spec: {
      ...(replicas === undefined ? {} : { replicas }),
      ...(paused === undefined ? {} : { paused }),
      ...(updateStrategy === undefined ? {} : { updateStrategy }),
      template: { metadata: { annotations: template?.metadata?.annotations ?? {} } },
    },
    ...(status === undefined ? {} : { status }),
  };
}

async function send(client: Pick<KubeClient, 'sendRaw'>, ref: WorkloadRef, request: KubeRequest): Promise<KubeAnswer> {
  try {
    return await client.sendRaw(request);
  } catch (error) {
    throw refusalOf(faultOf(error), request.verb, ref);
  }
}

/**
 * 403 comes of RBAC and of admission alike; some webhooks refuse with 400 or 422. All of them a person may mend at any
 * time, and nothing tells us: so each is waited for.
 */
function refusalOf(fault: KubeFault, verb: string, { kind, name }: WorkloadRef): Failure {
  const isRefused = typeof fault.code === 'number' && fault.code < 500 && fault.code !== 429;
  if (!isRefused || fault.causes.includes('NamespaceTerminating')) return failureOf(fault, `${verb} ${kind}`);
  const what = `the API server does not let the operator ${verb} ${kind} ${name} (${String(fault.code)})`;
  return waiting('NotPermitted', `${what}: its role for consumers, or a policy of the cluster`);
}

import { admissionPolicyName } from '../../api/admission/policy.ts';
import { isRefusedProbe, probeLease, probeName } from '../../api/admission/probe.ts';
import { operatorRoleName } from '../../api/admission/roles.ts';
import { waiting } from '../../domain/failure.ts';
import type { Instant } from '../../domain/time.ts';
import type { KubeAnswer, KubeClient } from './client.ts';
import { failureOf, faultOf } from './fault.ts';
import { leasePath } from './leader.ts';

/** A policy and its binding as the API server has them now; `undefined` = absent. */
export interface PolicyPair {
  readonly policy: unknown;
  readonly binding: unknown;
  /** When the API server answered, by its own clock, in whole seconds; `undefined` = it did not say. */
  readonly serverTime: Instant | undefined;
}

/** Whether the admission policy acts on the API server that answered. */
export type ProbeAnswer =
  | { readonly kind: 'refused'; readonly serverTime: Instant | undefined }
  /** Nothing refused the probe, or something other than the policy did. */
  | { readonly kind: 'passed' };

/** An edit waits for the answer, and one that narrows a key must not wait long. */
const timeoutMs = 2_000;
const maxBytes = 1_048_576;
const plurals = {
  ValidatingAdmissionPolicy: 'validatingadmissionpolicies',
  ValidatingAdmissionPolicyBinding: 'validatingadmissionpolicybindings',
} as const;

/** Reads the policy and the binding of this name. Throws Failure. */
export async function readPolicy(client: Pick<KubeClient, 'send'>, name: string): Promise<PolicyPair> {
  const read = async (kind: keyof typeof plurals): Promise<KubeAnswer> => {
    const path = `/apis/admissionregistration.k8s.io/v1/${plurals[kind]}/${name}`;
    return await client.send({ verb: 'get', kind, path, timeoutMs, maxBytes });
  };
  const [policy, binding] = await Promise.all([read('ValidatingAdmissionPolicy'), read('ValidatingAdmissionPolicyBinding')]);
  const dates = [policy.date, binding.date].filter((date) => date !== undefined);
  const objectOf = ({ status, body }: KubeAnswer): unknown => (status === 200 ? body : undefined);
  return {
    policy: objectOf(policy),
    binding: objectOf(binding),
    serverTime: dates.length === 0 ? undefined : Math.max(...dates),
  };
}

/** Tries in a dry run to create the Lease that the policy lets nobody create; it never exists. Throws Failure. */
export async function probePolicy(client: Pick<KubeClient, 'sendRaw'>, namespace: string): Promise<ProbeAnswer> {
  const { status, body, date } = await askFor(client, namespace);
  if (status === 404)
    throw waiting('InternalError', `the namespace ${namespace}, in which a dry run shows whether it acts, does not exist`);
  const { message } = (body ?? {}) as { readonly message?: unknown };
  const isRefused = status === 422 && isRefusedProbe(admissionPolicyName, message);
  return isRefused ? { kind: 'refused', serverTime: date } : { kind: 'passed' };
}

async function askFor(client: Pick<KubeClient, 'sendRaw'>, namespace: string): Promise<KubeAnswer> {
  const path = leasePath(namespace, probeName).replace(/\/[^/]*$/, '');
  const query = { dryRun: 'All' };
  const body = probeLease(namespace);
  try {
    return await client.sendRaw({ verb: 'create', kind: 'Lease', path, query, body, timeoutMs, maxBytes });
  } catch (error) {
    const fault = faultOf(error);
    if (fault.code !== 403) throw failureOf(fault, `try the Lease ${probeName}`);
    throw waiting(
      'InternalError',
      `a dry run that shows whether it acts is refused (403): the operator needs "create" on leases.coordination.k8s.io in the namespace ${namespace}, as in the Role ${operatorRoleName}`,
    );
  }
}

import type { Variable } from './cel.ts';
import type { Schema } from '../structural.ts';
import type { ResourceRule } from './validating.ts';

/**
 * The Lease that the policy lets nobody create. The operator tries to create it in a dry run, so that it never exists: only an
 * API server on which the policy acts refuses it. It is a Lease because the operator may create Leases anyway.
 */
export const probeName = 'keywright-policy-probe';

/** The message of the refusal. Constant, because the operator looks for exactly this text. */
export const probeMessage = `the admission policy acts: nobody may create the Lease ${probeName}, with which the operator probes it`;

/** What the policy matches besides ApiKeys. */
export const probeRule: ResourceRule = {
  apiGroups: ['coordination.k8s.io'],
  // Not "v1": with a wildcard in a rule, the API server does not check the types. All other expressions are about ApiKeys.
  apiVersions: ['*'],
  operations: ['CREATE'],
  resources: ['leases'],
  resourceNames: [probeName],
  scope: 'Namespaced',
};

/** Whether the request is a probe, to which no other validation applies. */
export const probeVariable: Variable = {
  name: 'isProbe',
  expression: "request.resource.group == 'coordination.k8s.io' && request.resource.resource == 'leases'",
};

/**
 * The first validation, because the API server reports only the first of several refusals. Invalid = 422, which no missing right
 * gives.
 */
export const probeValidation: Schema = { expression: '!variables.isProbe', reason: 'Invalid', message: probeMessage };

/** The request body of the probe. */
export function probeLease(namespace: string): Schema {
  return { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: probeName, namespace } };
}

/** Whether the policy of this name gave a refusal with this message. */
export function isRefusedProbe(policyName: string, message: unknown): boolean {
  const says = `ValidatingAdmissionPolicy '${policyName}' with binding '${policyName}' denied request: ${probeMessage}`;
  return typeof message === 'string' && message.includes(says);
}

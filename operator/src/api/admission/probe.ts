import type { Variable } from './cel.ts';
import type { Schema } from '../structural.ts';
import type { ResourceRule } from './validating.ts';

/**
 * The Lease that the policy lets nobody create. The operator asks for it in a dry run: only an API server on which the policy acts
 * refuses it, and nothing is ever there. It is a Lease because the operator may create Leases anyway.
 */
export const probeName = 'keywright-policy-probe';

/** What the refusal says. Constant: the operator looks for exactly this. */
export const probeMessage = `the admission policy acts: nobody creates the Lease ${probeName}, by which the operator asks for that`;

/** What the policy matches besides ApiKeys. */
export const probeRule: ResourceRule = {
  apiGroups: ['coordination.k8s.io'],
  // Not "v1": of a rule with a wildcard, the API server does not check the types. All other expressions are about ApiKeys.
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

/** The first validation: of several refusals, the API server tells the first one. Invalid = 422, which no missing right gives. */
export const probeValidation: Schema = { expression: '!variables.isProbe', reason: 'Invalid', message: probeMessage };

/** The probe, as it is sent. */
export function probeLease(namespace: string): Schema {
  return { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: probeName, namespace } };
}

/** Whether a refusal with this message is one by the policy of this name. */
export function isRefusedProbe(policyName: string, message: unknown): boolean {
  const says = `ValidatingAdmissionPolicy '${policyName}' with binding '${policyName}' denied request: ${probeMessage}`;
  return typeof message === 'string' && message.includes(says);
}

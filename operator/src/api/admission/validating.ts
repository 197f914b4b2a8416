import { group, version } from '../meta.ts';
import type { Schema } from '../structural.ts';

const api = { apiVersion: 'admissionregistration.k8s.io/v1' };
const metadataOf = (name: string) => ({ name, labels: { 'app.kubernetes.io/part-of': 'keywright' } });

/** Which objects a policy matches, and what it requires. */
export interface PolicyInit {
  readonly name: string;
  readonly operations: readonly string[];
  /** Plurals of our kinds, without subresources. */
  readonly resources: readonly string[];
  readonly scope: 'Namespaced' | '*';
  /** The other members of the spec: matchConditions, variables, validations. */
  readonly rest: Schema;
}

/** A ValidatingAdmissionPolicy that refuses what it cannot judge. */
export function validatingPolicy({ name, operations, resources, scope, rest }: PolicyInit): Schema {
  return {
    ...api,
    kind: 'ValidatingAdmissionPolicy',
    metadata: metadataOf(name),
    spec: {
      failurePolicy: 'Fail',
      matchConstraints: {
        matchPolicy: 'Equivalent',
        resourceRules: [{ apiGroups: [group], apiVersions: [version], operations, resources, scope }],
      },
      ...rest,
    },
  };
}

/** What puts a policy in force, everywhere. */
export function denyingBinding(name: string): Schema {
  return {
    ...api,
    kind: 'ValidatingAdmissionPolicyBinding',
    metadata: metadataOf(name),
    spec: { policyName: name, validationActions: ['Deny'] },
  };
}

import { group, version } from '../meta.ts';
import type { Schema } from '../structural.ts';

const api = { apiVersion: 'admissionregistration.k8s.io/v1' };
const metadataOf = (name: string) => ({ name, labels: { 'app.kubernetes.io/part-of': 'keywright' } });

/** Which requests a policy matches. */
export interface ResourceRule {
  readonly apiGroups: readonly string[];
  readonly apiVersions: readonly string[];
  readonly operations: readonly string[];
  /** Plurals, without subresources. */
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly scope: 'Namespaced' | '*';
}

/** Which objects a policy matches, and what it requires. */
export interface PolicyInit extends Pick<ResourceRule, 'operations' | 'resources' | 'scope'> {
  readonly name: string;
  /** What it matches besides our kinds. */
  readonly others?: readonly ResourceRule[];
  /** The other members of the spec: matchConditions, variables, validations. */
  readonly rest: Schema;
}

/** A ValidatingAdmissionPolicy that refuses what it cannot judge. */
export function validatingPolicy({ name, operations, resources, scope, others = [], rest }: PolicyInit): Schema {
  return {
    ...api,
    kind: 'ValidatingAdmissionPolicy',
    metadata: metadataOf(name),
    spec: {
      failurePolicy: 'Fail',
      matchConstraints: {
        matchPolicy: 'Equivalent',
        resourceRules: [{ apiGroups: [group], apiVersions: [version], operations, resources, scope }, ...others],
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

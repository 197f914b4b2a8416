import { apiKinds, kindTable } from '../kinds.ts';
import { finalizer } from '../meta.ts';
import type { Schema } from '../structural.ts';
import { operatorServiceAccountName } from './roles.ts';
import { denyingBinding, validatingPolicy } from './validating.ts';

/** The name of the policy for the operator's own account, and of its binding. */
export const operatorPolicyName = 'keywright-operator';

interface Rule {
  /** CEL: whether an update obeys this rule. */
  readonly holds: string;
  /** What the operator does not do; continues the sentence "the operator …". */
  readonly forbids: string;
}

const same = (member: string) => `object.metadata.?${member} == oldObject.metadata.?${member}`;
const foreignFinalizers = (object: 'object' | 'oldObject') =>
  `${object}.metadata.?finalizers.orValue([]).filter(name, name != '${finalizer}')`;

const rules: readonly Rule[] = [
  { holds: 'object.?spec == oldObject.?spec', forbids: 'changes no spec' },
  { holds: `${same('labels')} && ${same('annotations')}`, forbids: 'changes no labels and no annotations' },
  { holds: same('ownerReferences'), forbids: 'changes no ownerReferences' },
  {
    holds: `${foreignFinalizers('object')} == ${foreignFinalizers('oldObject')}`,
    forbids: `changes no finalizer but ${finalizer}`,
  },
];

/**
 * The ValidatingAdmissionPolicy that limits the operator's ServiceAccount to what the operator really writes: its finalizer and,
 * by a subresource that neither of our policies matches, the status. RBAC cannot distinguish the members of an object: without
 * this policy, a stolen token's right to patch could widen every catalog and owner.
 *
 * @param namespace where the operator runs; in the chart, a Helm template expression.
 */
export function operatorPolicy(namespace: string): Schema {
  return validatingPolicy({
    name: operatorPolicyName,
    operations: ['CREATE', 'UPDATE', 'DELETE'],
    resources: apiKinds.map((kind) => kindTable[kind].plural),
    scope: '*',
    rest: {
      matchConditions: [
        {
          name: 'operator',
          expression: `request.userInfo.username == 'system:serviceaccount:${namespace}:${operatorServiceAccountName}'`,
        },
      ],
      validations: [
        toValidation("request.operation == 'UPDATE'", 'creates and deletes no object of these kinds'),
        ...rules.map(({ holds, forbids }) => toValidation(`request.operation != 'UPDATE' || (${holds})`, forbids)),
      ],
    },
  });
}

/** What puts the policy in force. */
export function operatorPolicyBinding(): Schema {
  return denyingBinding(operatorPolicyName);
}

function toValidation(expression: string, forbids: string): Schema {
  return { expression, reason: 'Forbidden', message: `the operator ${forbids}` };
}

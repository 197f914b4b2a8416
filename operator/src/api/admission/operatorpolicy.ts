import { apiKinds, kindTable } from '../kinds.ts';
import { fieldManager, finalizer } from '../meta.ts';
import type { Schema } from '../structural.ts';
import { listOf, type Variable } from './cel.ts';
import { ownership } from './ownership.ts';
import { operatorServiceAccountName } from './account.ts';
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

/** Who owns which fields, one entry for each manager, operation and subresource. */
const managersOf = (object: 'object' | 'oldObject') =>
  `${listOf(object, 'managedFields')}.map(m, {` +
  "'id': dyn([dyn(m.?manager.orValue('')), dyn(m.?operation.orValue('')), dyn(m.?subresource.orValue(''))])," +
  " 'fields': has(m.fieldsV1) ? dyn(m.fieldsV1) : dyn({})})";
const isOwn = (m: string) => `${m}.id == [dyn('${fieldManager}'), dyn('Update'), dyn('')]`;
const ownFinalizer = `'v:"${finalizer}"'`;

/** Whether b has all fields of a. For finalizers, this CEL about `v` names what else may be in a. */
const isWithin = (a: string, b: string, mayOwn: string) =>
  `${a}.fields.all(k, (k in ${b}.fields && ${b}.fields[k] == ${a}.fields[k]) || (k == 'f:metadata' && ${a}.fields[k].all(x,` +
  ` (k in ${b}.fields && x in ${b}.fields[k] && ${b}.fields[k][x] == ${a}.fields[k][x]) || (x == 'f:finalizers' && ${a}.fields[k][x].all(v,` +
  ` (k in ${b}.fields && x in ${b}.fields[k] && v in ${b}.fields[k][x]) || ${mayOwn})))))`;
const nobody = 'variables.nobody';
/** When a finalizer is removed, the API server removes it from all its owners. */
const mayLose = `v == '.' || v == ${ownFinalizer}`;
const mayGain = `(${isOwn('n')} && (${mayLose}))`;

/** The API server merges the oldest managers when there are more than this: see `ownership.ts`. */
const mostManagers = 10;
/** The check of `ownership.ts` that applies. A write of the operator changes no field that another right covers. */
const ownershipInputs: readonly Variable[] = [
  { name: 'annotations', expression: 'has(object.metadata.annotations) ? object.metadata.annotations : {}' },
  { name: 'oldAnnotations', expression: 'has(oldObject.metadata.annotations) ? oldObject.metadata.annotations : {}' },
  { name: 'contents', expression: 'false' },
  { name: 'changedFields', expression: "['']" },
  { name: 'isUsed', expression: 'true' },
];

const variables: readonly Variable[] = [
  ...ownershipInputs,
  ...ownership.filter(({ name }) => !ownershipInputs.some((one) => one.name === name)),
  { name: 'nobody', expression: "{'fields': dyn({})}" },
  { name: 'managers', expression: managersOf('object') },
  { name: 'oldManagers', expression: managersOf('oldObject') },
  {
    name: 'isSameOwnership',
    expression:
      `variables.managers.all(n, ${isWithin('n', nobody, mayGain)} || variables.oldManagers.exists(o, o.id == n.id && ${isWithin('n', 'o', mayGain)}))` +
      ` && variables.oldManagers.all(o, ${isWithin('o', nobody, mayLose)} || variables.managers.exists(n, o.id == n.id && ${isWithin('o', 'n', mayLose)}))`,
  },
  {
    name: 'isMerging',
    expression:
      `variables.oldManagers.filter(o, o.id[1] == 'Update').size() >= ${mostManagers}` +
      " && variables.managers.exists(n, n.id[0] == 'ancient-changes')",
  },
];

const rules: readonly Rule[] = [
  { holds: 'object.?spec == oldObject.?spec', forbids: 'changes no spec' },
  { holds: `${same('labels')} && ${same('annotations')}`, forbids: 'changes no labels and no annotations' },
  { holds: same('ownerReferences'), forbids: 'changes no ownerReferences' },
  {
    holds: `${foreignFinalizers('object')} == ${foreignFinalizers('oldObject')}`,
    forbids: `changes no finalizer but ${finalizer}`,
  },
  { holds: `${same('generateName')} && ${same('selfLink')}`, forbids: 'changes no other metadata' },
  {
    // A second owner of a field keeps a right alive that the object's author removes by server-side apply.
    holds: 'variables.isSameOwnership || (variables.isMerging && !variables.bookkeeping)',
    forbids: `changes no managedFields but who owns ${finalizer}`,
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
      variables,
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

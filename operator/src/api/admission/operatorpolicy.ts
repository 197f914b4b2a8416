import { apiKinds, kindTable } from '../kinds.ts';
import { fieldManager, finalizer } from '../meta.ts';
import type { Schema } from '../structural.ts';
import { listOf, type Variable } from './cel.ts';
import { ownership } from './ownership.ts';
import { pairwise } from './pairs.ts';
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

const ownFinalizer = `'v:"${finalizer}"'`;
/** When a finalizer is removed, the API server removes it from all its owners. */
const isFinalizers = `v == '.' || v == ${ownFinalizer}`;
const fieldsOf = (m: string) => `(has(${m}.fieldsV1) ? dyn(${m}.fieldsV1) : dyn({}))`;
const idOf = (m: string) =>
  `[dyn(${m}.?manager.orValue('')), dyn(${m}.?operation.orValue('')), dyn(${m}.?subresource.orValue(''))]`;
const isOwn = (m: string) =>
  `(${m}.?manager.orValue('') == '${fieldManager}' && ${m}.?operation.orValue('') == 'Update' && ${m}.?subresource.orValue('') == '')`;

/** Whether these fields are only finalizers for which this CEL about `v` is true. */
const areOnly = (fields: string, mayOwn: string) =>
  `${fields}.all(k, k == 'f:metadata' && ${fields}[k].all(x, x == 'f:finalizers' && ${fields}[k][x].all(v, ${mayOwn})))`;

/** Whether b has all fields of a. For finalizers, this CEL about `v` names what else may be in a. */
const isWithin = (a: string, b: string, mayOwn: string) =>
  `${a}.all(k, (k in ${b} && ${b}[k] == ${a}[k]) || (k == 'f:metadata' && ${a}[k].all(x,` +
  ` (k in ${b} && x in ${b}[k] && ${b}[k][x] == ${a}[k][x]) || (x == 'f:finalizers' && ${a}[k][x].all(v,` +
  ` (k in ${b} && x in ${b}[k] && v in ${b}[k][x]) || ${mayOwn})))))`;
/** CEL about the new entry `n` and the old one `o` of others: none has gained anything, nor lost anything but our finalizer. */
const isSamePair =
  `${idOf('n')} == ${idOf('o')} && [${fieldsOf('n')}].all(p, [${fieldsOf('o')}].all(q,` +
  ` ${isWithin('p', 'q', 'false')} && ${isWithin('q', 'p', `(${isFinalizers})`)}))`;

/** What others own besides our finalizer, in the order of the API server, which no write of ours changes. */
const othersOf = (object: 'object' | 'oldObject') =>
  `${listOf(object, 'managedFields')}.filter(m, !${isOwn('m')} && !(has(m.fieldsV1) ? ${areOnly('dyn(m.fieldsV1)', isFinalizers)} : true))`;
/** What we own ourselves; one entry for each version of the API. */
const oursOf = (object: 'object' | 'oldObject') =>
  `${listOf(object, 'managedFields')}.filter(m, ${isOwn('m')}).map(m, ${fieldsOf('m')})`;
const isWithinOne = (p: string, list: string) =>
  `(${areOnly(p, isFinalizers)} || ${list}.exists(q, ${isWithin(p, 'q', `(${isFinalizers})`)}))`;

/** The API server merges the oldest managers when there are more than this: see `ownership.ts`. */
const mostManagers = 10;
/** The check of `ownership.ts` that applies. A write of the operator changes no field that another right covers. */
const ownershipInputs: readonly Variable[] = [
  { name: 'annotations', expression: 'has(object.metadata.annotations) ? object.metadata.annotations : {}' },
  { name: 'oldAnnotations', expression: 'has(oldObject.metadata.annotations) ? oldObject.metadata.annotations : {}' },
  { name: 'contents', expression: 'false' },
  { name: 'changedFields', expression: "['']" },
  { name: 'isEmptied', expression: 'false' },
  { name: 'isUsed', expression: 'true' },
];

const variables: readonly Variable[] = [
  ...ownershipInputs,
  ...ownership.filter(({ name }) => !ownershipInputs.some((one) => one.name === name)),
  { name: 'others', expression: othersOf('object') },
  { name: 'oldOthers', expression: othersOf('oldObject') },
  ...pairwise('areOthersSame', ['variables.others', 'variables.oldOthers'], isSamePair),
  { name: 'ours', expression: oursOf('object') },
  { name: 'oldOurs', expression: oursOf('oldObject') },
  {
    name: 'isSameOwnership',
    expression:
      `variables.areOthersSame && variables.ours.all(p, ${isWithinOne('p', 'variables.oldOurs')})` +
      ` && variables.oldOurs.all(p, ${isWithinOne('p', 'variables.ours')})`,
  },
  {
    name: 'isMerging',
    expression:
      `${listOf('oldObject', 'managedFields')}.filter(m, m.?operation.orValue('') == 'Update').size() >= ${mostManagers}` +
      ` && ${listOf('object', 'managedFields')}.exists(m, m.?manager.orValue('') == 'ancient-changes')`,
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

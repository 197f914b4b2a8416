import { annotations, lastApplied } from '../meta.ts';
import { annotationChanged, changed, listOf, type Variable } from './cel.ts';
import { pairwise } from './pairs.ts';

/** The field manager that the API server itself makes: beyond ten that update, it throws the oldest ones together. */
const ancient = '[dyn("ancient-changes"), dyn("Update"), dyn("")]';

const list = (names: readonly string[]) => `[${names.map((name) => `'${name}'`).join(', ')}]`;
/** Annotations with a meaning, as managers own them. */
const ours = list(Object.values(annotations).map((name) => `f:${name}`));

/**
 * Which manager owns which fields of the spec, the status and our annotations (`metadata.managedFields`). A server-side apply
 * that leaves out a field removes it only if nobody else owns it: a second owner could keep a right, or a pause, alive that its
 * author removed.
 */
const partsOf = (m: string) =>
  `{
    'id': dyn([dyn(${m}.?manager.orValue('')), dyn(${m}.?operation.orValue('')), dyn(${m}.?subresource.orValue(''))]),
    'spec': dyn(dyn(${m}.fieldsV1)[?'f:spec'].orValue({})),
    'annotations': dyn(dyn(${m}.fieldsV1)[?'f:metadata'][?'f:annotations'].orValue({})),
    'status': dyn(dyn(${m}.fieldsV1)[?'f:status'].orValue({}))
  }`.replaceAll(/\n */g, ' ');
/**
 * Whether an entry belongs to a manager that applies, and this request does not write it: it keeps its place. An entry of the
 * requesting manager counts, too, if it is for a subresource: anybody can make up any number of those.
 */
const appliesBeside =
  "m.?operation.orValue('') == 'Apply' && (m.?manager.orValue('') != variables.manager || m.?subresource.orValue('') != '')";
const matters =
  "has(m.fieldsV1) && ('f:spec' in m.fieldsV1 || 'f:status' in m.fieldsV1 || ('f:metadata' in m.fieldsV1" +
  ` && 'f:annotations' in m.fieldsV1['f:metadata'] && ${ours}.exists(k, k in m.fieldsV1['f:metadata']['f:annotations'])))`;
/** All but those who apply beside: few, because the API server keeps ten that update. */
const ownersOf = (object: 'object' | 'oldObject') =>
  `${listOf(object, 'managedFields')}.filter(m, !(${appliesBeside}) && ${matters}).map(m, ${partsOf('m')})` +
  `.filter(o, o.spec.size() > 0 || o.status.size() > 0 || o.annotations.exists(k, k in ${ours}))`;
/** Those who apply beside. There is no bound to their number but the size of an object. */
const appliersOf = (object: 'object' | 'oldObject') =>
  `${listOf(object, 'managedFields')}.filter(m, ${appliesBeside} && ${matters})`;

/** An annotation whose owner does not matter: one of others, or one that this request changes, under another right. */
const isPassed = (key: string) => `(!(${key} in ${ours}) || ${key} in variables.changedFields)`;

/** Whether this owner has nothing that matters. */
const isBare = (o: string) =>
  `(${o}.status.size() == 0 && ${o}.spec.all(k, k in variables.changedFields) && ${o}.annotations.all(k, ${isPassed('k')}))`;

/** The same of an entry as it stands. */
const isBareEntry = (m: string) =>
  [
    `(!('f:status' in ${m}.fieldsV1) || ${m}.fieldsV1['f:status'].size() == 0)`,
    `(!('f:spec' in ${m}.fieldsV1) || ${m}.fieldsV1['f:spec'].all(k, k in variables.changedFields))`,
    `(!('f:metadata' in ${m}.fieldsV1) || !('f:annotations' in ${m}.fieldsV1['f:metadata'])` +
      ` || ${ours}.all(k, k in variables.changedFields || !(k in ${m}.fieldsV1['f:metadata']['f:annotations'])))`,
  ].join(' && ');

/** Whether two are one manager with the same fields, as far as they matter. */
const isSame = (a: string, b: string) =>
  [
    `${a}.id == ${b}.id && ${a}.status == ${b}.status`,
    `${a}.spec.all(k, k in variables.changedFields || (k in ${b}.spec && ${b}.spec[k] == ${a}.spec[k]))`,
    `${b}.spec.all(k, k in variables.changedFields || k in ${a}.spec)`,
    `${a}.annotations.all(k, ${isPassed('k')} || k in ${b}.annotations)`,
    `${b}.annotations.all(k, ${isPassed('k')} || k in ${a}.annotations)`,
  ].join(' && ');

/** Whether the API server may have thrown this one together from those that are gone: it has nothing that none of them had. */
const isMerged = (n: string) =>
  [
    `variables.isUsed && ${n}.id == ${ancient}`,
    `(${n}.status.size() == 0 || variables.goneOwners.exists(g, g.status == ${n}.status))`,
    `${n}.annotations.all(k, ${isPassed('k')} || variables.goneOwners.exists(g, k in g.annotations))`,
    `${n}.spec.all(k, k in variables.changedFields || variables.goneOwners.exists(g, k in g.spec && g.spec[k] == ${n}.spec[k])` +
      ` || (${n}.spec[k].size() > 0 && ${n}.spec[k].all(x, variables.goneOwners.exists(g, k in g.spec && x in g.spec[k] && g.spec[k][x] == ${n}.spec[k][x]))))`,
  ].join(' && ');

/** Whether this old one may have gone into that. */
const isMergedAway = (o: string) =>
  `variables.isUsed && ${o} in variables.goneOwners && variables.fieldOwners.exists(n, n.id == ${ancient}` +
  ` && ${o}.spec.all(k, k in variables.changedFields || k in n.spec) && ${o}.annotations.all(k, ${isPassed('k')} || k in n.annotations))`;

/** What decides whether a request keeps a right alive, or takes it for another manager; `bookkeeping` is the answer. */
export const ownership: readonly Variable[] = [
  {
    name: 'changedFields',
    // An author who changes these needs the right to; so he may become an owner, and another one may lose ownership.
    expression: [
      `(${changed('suspend')} ? ['f:suspend'] : [])`,
      `(${changed('revoked')} ? ['f:revoked'] : [])`,
      `${list(Object.values(annotations))}.filter(name, variables.annotations[?name] != variables.oldAnnotations[?name]).map(name, 'f:' + name)`,
    ].join(' + '),
  },
  {
    // The API server does so when the object would be too large otherwise. A revoked key has no right that anybody could keep.
    name: 'isEmptied',
    expression: `has(object.spec.revoked) && !has(oldObject.spec.revoked) && ${listOf('object', 'managedFields')}.size() == 0`,
  },
  { name: 'isUsed', expression: 'variables.revokes || variables.rotates || variables.finalizers || variables.owners' },
  { name: 'manager', expression: "request.?options.?fieldManager.orValue('')" },
  { name: 'appliers', expression: appliersOf('object') },
  { name: 'oldAppliers', expression: appliersOf('oldObject') },
  { name: 'bound', expression: `variables.appliers.filter(m, !(${isBareEntry('m')}))` },
  { name: 'oldBound', expression: `variables.oldAppliers.filter(m, !(${isBareEntry('m')}))` },
  ...pairwise(
    'areAppliersSame',
    ['variables.bound', 'variables.oldBound'],
    `[${partsOf('n')}].all(p, [${partsOf('o')}].all(q, ${isSame('p', 'q')}))`,
  ),
  { name: 'fieldOwners', expression: ownersOf('object') },
  { name: 'oldFieldOwners', expression: ownersOf('oldObject') },
  {
    name: 'goneOwners',
    expression: `variables.oldFieldOwners.filter(o, o.id[1] == 'Update' && (o.id == ${ancient} || !variables.fieldOwners.exists(n, n.id == o.id)))`,
  },
  {
    name: 'bookkeeping',
    // An author who changes the contents needs "own" anyway. Any other right covers only the fields that need it: otherwise, an
    // author with only `rotate` could apply the whole spec in the same write. When a right is used, the API server's own merging
    // of the oldest managers is allowed: otherwise ten labels would keep a responder from a revocation.
    expression:
      `!variables.contents && (${annotationChanged(lastApplied)} || !variables.isEmptied && (!variables.areAppliersSame` +
      ` || variables.fieldOwners.exists(n, !${isBare('n')} && !variables.oldFieldOwners.exists(o, ${isSame('n', 'o')}) && !(${isMerged('n')}))` +
      ` || variables.oldFieldOwners.exists(o, !${isBare('o')} && !variables.fieldOwners.exists(n, ${isSame('o', 'n')}) && !(${isMergedAway('o')}))))`,
  },
];

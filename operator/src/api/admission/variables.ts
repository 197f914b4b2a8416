import { annotations, group } from '../meta.ts';
import { annotationChanged, changed, listOf, type Variable } from './cel.ts';
import { ownership } from './ownership.ts';
import { probeVariable } from './probe.ts';
import { fieldsOf } from './permissions.ts';
import { sizes } from './size.ts';

/** An ApiKey may have any label, except labels under our group: none of those has a meaning. */
const knownLabels: readonly string[] = [];

/** A map of the metadata, of the new or the old object; empty if there is none. */
const mapOf = (object: 'object' | 'oldObject', member: string) => {
  const isThere = `has(${object}.metadata.${member})`;
  return `${object === 'object' ? isThere : `!variables.isCreate && ${isThere}`} ? ${object}.metadata.${member} : {}`;
};

/** New or changed names under our own group that have no meaning here. */
const unknownOf = (map: string, old: string, known: readonly string[]) =>
  `${map}.filter(name, name.startsWith('${group}/') && !(name in ${JSON.stringify(known)}) && ${map}[?name] != ${old}[?name])`;

/**
 * A create counts as a change from an empty object: `oldObject` is null then. So does a confirmation: it vouches for everything
 * in the object, whoever wrote it.
 */
export const variables: readonly Variable[] = [
  probeVariable,
  { name: 'isCreate', expression: "request.operation == 'CREATE'" },
  { name: 'annotations', expression: mapOf('object', 'annotations') },
  { name: 'oldAnnotations', expression: mapOf('oldObject', 'annotations') },
  { name: 'labels', expression: mapOf('object', 'labels') },
  { name: 'oldLabels', expression: mapOf('oldObject', 'labels') },
  {
    name: 'confirms',
    expression: `'${annotations.confirm}' in variables.annotations && ${annotationChanged(annotations.confirm)}`,
  },
  { name: 'isWhole', expression: 'variables.isCreate || variables.confirms' },
  { name: 'rights', expression: ['variables.isWhole', ...fieldsOf('rights').map(changed)].join(' || ') },
  {
    name: 'contents',
    expression: [
      'variables.rights',
      ...[...fieldsOf('description'), ...fieldsOf('delivery'), ...fieldsOf('consumer')].map(changed),
    ].join(' || '),
  },
  {
    name: 'deliveries',
    // Compares the place, not the name of the entry.
    expression:
      'object.spec.deliverTo.filter(t, variables.isWhole || !oldObject.spec.deliverTo.exists(o, o.?destination == t.?destination && o.?path == t.?path && o.?secret == t.?secret))',
  },
  {
    name: 'consumers',
    expression:
      '!has(object.spec.consumers) ? [] : object.spec.consumers.filter(c, variables.isWhole || !has(oldObject.spec.consumers) || !oldObject.spec.consumers.exists(o, o == c))',
  },
  { name: 'isSuspended', expression: 'object.spec.?suspend.orValue(false)' },
  { name: 'wasSuspended', expression: '!variables.isCreate && oldObject.spec.?suspend.orValue(false)' },
  {
    name: 'revokes',
    expression: [
      '(variables.isWhole ? has(object.spec.revoked) || variables.isSuspended : object.spec.?revoked != oldObject.spec.?revoked)',
      '(variables.isSuspended && !variables.wasSuspended)',
      annotationChanged(annotations.compromised),
    ].join(' || '),
  },
  {
    name: 'rotates',
    expression: [
      'variables.confirms',
      '(variables.wasSuspended && !variables.isSuspended)',
      annotationChanged(annotations.rotate),
      annotationChanged(annotations.paused),
    ].join(' || '),
  },
  {
    name: 'finalizers',
    // The creator of a key may add finalizers of others: our own finalizer still ends the key.
    expression: `!variables.isCreate && ${listOf('object', 'finalizers')} != ${listOf('oldObject', 'finalizers')}`,
  },
  {
    name: 'owners',
    expression: `${listOf('object', 'ownerReferences')} != (variables.isCreate ? [] : ${listOf('oldObject', 'ownerReferences')})`,
  },
  ...ownership,
  ...sizes,
  {
    name: 'unknown',
    expression: `${unknownOf('variables.annotations', 'variables.oldAnnotations', Object.values(annotations))} + ${unknownOf('variables.labels', 'variables.oldLabels', knownLabels)}`,
  },
];

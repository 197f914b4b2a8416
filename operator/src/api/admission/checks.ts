import { annotations, group } from '../meta.ts';
import { fieldsOf, permissions, type Permission } from './permissions.ts';

/** The most entries of `deliverTo` and `consumers`: one check each, because an expression can afford two only. */
export const maxEntries = 8;

/** A named CEL expression that others use as `variables.<name>`; evaluated once, when first asked for. */
export interface Variable {
  readonly name: string;
  readonly expression: string;
}

/** One right that a create or an update may need. */
export interface Check {
  /** CEL: whether this request needs it. */
  readonly when: string;
  readonly verb: string;
  /** The API group, and the CEL of the resource, of its subresource if there is one, and of the object's name. */
  readonly apiGroup: string;
  readonly resource: string;
  readonly subresource?: string;
  readonly name: string;
  /** What needs the right; reads on after "it is needed to ". */
  readonly purpose: string;
}

const text = (value: string) => `'${value}'`;
const changed = (field: string) => `object.spec.?${field} != oldObject.spec.?${field}`;
const annotationChanged = (name: string) => `variables.annotations[?'${name}'] != variables.oldAnnotations[?'${name}']`;

/** A create counts as a change from an object that has nothing: `oldObject` is null then. */
export const variables: readonly Variable[] = [
  { name: 'isCreate', expression: "request.operation == 'CREATE'" },
  { name: 'rights', expression: ['variables.isCreate', ...fieldsOf('rights').map(changed)].join(' || ') },
  {
    name: 'contents',
    expression: [
      'variables.rights',
      ...[...fieldsOf('description'), ...fieldsOf('delivery'), ...fieldsOf('consumer')].map(changed),
    ].join(' || '),
  },
  {
    name: 'deliveries',
    // The place counts, not the name of the entry.
    expression:
      'object.spec.deliverTo.filter(t, variables.isCreate || !oldObject.spec.deliverTo.exists(o, o.?destination == t.?destination && o.?path == t.?path && o.?secret == t.?secret))',
  },
  {
    name: 'consumers',
    expression:
      '!has(object.spec.consumers) ? [] : object.spec.consumers.filter(c, variables.isCreate || !has(oldObject.spec.consumers) || !oldObject.spec.consumers.exists(o, o == c))',
  },
  { name: 'annotations', expression: 'has(object.metadata.annotations) ? object.metadata.annotations : {}' },
  {
    name: 'oldAnnotations',
    expression: '!variables.isCreate && has(oldObject.metadata.annotations) ? oldObject.metadata.annotations : {}',
  },
  { name: 'isSuspended', expression: 'object.spec.?suspend.orValue(false)' },
  { name: 'wasSuspended', expression: '!variables.isCreate && oldObject.spec.?suspend.orValue(false)' },
  {
    name: 'revokes',
    expression: [
      '(variables.isCreate ? has(object.spec.revoked) : object.spec.?revoked != oldObject.spec.?revoked)',
      '(variables.isSuspended && !variables.wasSuspended)',
      annotationChanged(annotations.compromised),
    ].join(' || '),
  },
  {
    name: 'rotates',
    expression: [
      '(variables.wasSuspended && !variables.isSuspended)',
      annotationChanged(annotations.rotate),
      annotationChanged(annotations.paused),
    ].join(' || '),
  },
];

/** Every check of the policy, in the order in which a refusal names them. */
export const checks: readonly Check[] = [
  ours(permissions.grant, {
    when: 'variables.rights',
    name: "object.spec.catalog + ':' + object.spec.accessType",
    purpose: 'create an ApiKey, and to change its rights, expiry or limits',
  }),
  ours(permissions.own, {
    when: 'variables.contents',
    name: 'object.spec.owner',
    purpose: 'create an ApiKey of this owner, and to change anything in it but its suspension and revocation',
  }),
  ...Array.from({ length: maxEntries }, (_, at) => delivery(at)).flat(),
  ...Array.from({ length: maxEntries }, (_, at) => consumer(at)),
  ours(permissions.revoke, {
    when: 'variables.revokes',
    name: 'object.metadata.name',
    purpose: `revoke or suspend an ApiKey, and to set ${annotations.compromised}`,
  }),
  ours(permissions.rotate, {
    when: 'variables.rotates',
    name: 'object.metadata.name',
    purpose: `end a suspension, and to set ${annotations.rotate} or ${annotations.paused}`,
  }),
];

function ours(permission: Permission, rest: Pick<Check, 'when' | 'name' | 'purpose'>): Check {
  const [plural = '', subresource] = permission.resource.split('/');
  return {
    ...rest,
    verb: permission.verb,
    apiGroup: group,
    resource: text(plural),
    ...(subresource === undefined ? {} : { subresource: text(subresource) }),
  };
}

/** Of the added entries the one at this place: a KeyDestination, or a Secret of the namespace. */
function delivery(at: number): readonly Check[] {
  const entry = `variables.deliveries[${at}]`;
  const isThere = `variables.deliveries.size() > ${at}`;
  return [
    ours(permissions.deliver, {
      when: `${isThere} && has(${entry}.destination)`,
      name: `${entry}.destination`,
      purpose: 'add this destination to deliverTo',
    }),
    ours(permissions.deliverSecret, {
      when: `${isThere} && has(${entry}.secret)`,
      name: `${entry}.secret.name`,
      purpose: 'add this Secret to deliverTo',
    }),
  ];
}

/** The operator restarts the workload for whoever declared it: he must be able to do it himself. */
function consumer(at: number): Check {
  const entry = `variables.consumers[${at}]`;
  return {
    when: `variables.consumers.size() > ${at}`,
    verb: 'patch',
    apiGroup: 'apps',
    // Deployment, StatefulSet or DaemonSet.
    resource: `${entry}.kind.lowerAscii() + 's'`,
    name: `${entry}.name`,
    purpose: 'add or change this entry of consumers',
  };
}

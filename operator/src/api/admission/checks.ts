import { annotations, group } from '../meta.ts';
import { permissions, type Permission } from './permissions.ts';
import { sizeBans } from './size.ts';

/** The most entries of `deliverTo` and `consumers`: one check each, because an expression can afford two only. */
export const maxEntries = 8;

/** A question to the authorizer; all but the verb and the group is CEL. */
export interface Right {
  readonly verb: string;
  readonly apiGroup: string;
  readonly resource: string;
  readonly subresource?: string;
  readonly name: string;
}

/** One right that a create or an update may need. */
export interface Check extends Right {
  /** CEL: whether this request needs it. */
  readonly when: string;
  /** Another right that suffices. The cost limit of an expression allows these two questions. */
  readonly or?: Right;
  /** What needs the right; reads on after "it is needed to ". */
  readonly purpose: string;
}

/** What nobody may write, whatever their rights. */
export interface Ban {
  /** CEL: whether this request writes it. */
  readonly when: string;
  readonly message: string;
  /** CEL: a text that names what was written; absent = the message is enough. */
  readonly messageExpression?: string;
}

const text = (value: string) => `'${value}'`;
const thisKey = { apiGroup: group, resource: text('apikeys'), name: 'object.metadata.name' };
const deletion: Right = { ...thisKey, verb: 'delete' };
/** The right to change finalizers, by the convention of Kubernetes: the operator and the garbage collector have it. */
const finalizing: Right = { ...thisKey, verb: 'update', subresource: text('finalizers') };

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
    purpose: `end a suspension, and to set ${annotations.rotate}, ${annotations.paused} or ${annotations.confirm}`,
  }),
  // The next two checks together: the right to finalize, or both `delete` and `revoke`.
  { ...deletion, when: 'variables.finalizers', or: finalizing, purpose: 'change finalizers' },
  ours(permissions.revoke, {
    when: 'variables.finalizers',
    name: 'object.metadata.name',
    or: finalizing,
    purpose: 'change finalizers',
  }),
  // The garbage collector deletes an object whose owner does not exist. So setting owners needs the right to delete.
  { ...deletion, when: 'variables.owners', purpose: 'set ownerReferences' },
  ours(permissions.revoke, {
    when: '!variables.isCreate && variables.owners',
    name: 'object.metadata.name',
    or: finalizing,
    purpose: 'change ownerReferences',
  }),
  ours(permissions.own, {
    when: 'variables.bookkeeping',
    name: 'object.spec.owner',
    purpose: 'change which manager owns a field of spec or status or an annotation of ours, and what kubectl apply compares with',
  }),
];

/** What the policy refuses to everybody. */
export const bans: readonly Ban[] = [
  ...sizeBans,
  {
    when: 'variables.unknown.size() > 0',
    message: `the only annotations under ${group}/ on an ApiKey are ${Object.values(annotations).join(', ')}; labels under it are not allowed`,
    messageExpression: `'"' + variables.unknown[0] + '" means nothing on an ApiKey: the only annotations under ${group}/ on an ApiKey are ${Object.values(annotations).join(', ')}; labels under it are not allowed'`,
  },
];

function ours(permission: Permission, rest: Pick<Check, 'when' | 'name' | 'or' | 'purpose'>): Check {
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

/** The operator restarts the workload for the author, who must be able to do it himself. */
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

import type { AuditedRequest } from './controlplane.ts';
import type { Rendered } from './chart.ts';

/** One permission of a rendered role: one verb on one resource, where it is bound. */
export interface Permit {
  /** The role that gives it, as `ClusterRole keywright-operator`. */
  readonly role: string;
  readonly group: string;
  /** With its subresource: `apikeys/status`. */
  readonly resource: string;
  readonly verb: string;
  /** Absent = any. */
  readonly names?: readonly string[];
  /** Absent = everywhere. */
  readonly namespaces?: readonly string[];
}

/** Every permission that the roles of a rendering give where they are bound, one each. */
export function permitsOf(objects: readonly Rendered[]): readonly Permit[] {
  const bindings = objects.filter((one) => one.roleRef !== undefined);
  return objects.flatMap(({ kind, metadata, rules = [] }) => {
    const bound = bindings.filter(
      ({ roleRef, metadata: at }) =>
        roleRef?.kind === kind &&
        roleRef.name === metadata.name &&
        (kind === 'ClusterRole' || at.namespace === metadata.namespace),
    );
    if (bound.length === 0) return [];
    const places = bound.map(({ metadata: at }) => at.namespace);
    const namespaces = places.filter((one) => one !== undefined);
    const where = namespaces.length === places.length ? { namespaces } : {};
    return rules.flatMap(({ apiGroups, resources, verbs, resourceNames }) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) =>
          verbs.map((verb) => ({
            ...{ role: `${kind} ${metadata.name}`, group, resource, verb },
            ...(resourceNames === undefined ? {} : { names: resourceNames }),
            ...where,
          })),
        ),
      ),
    );
  });
}

/** As people write it: `patch apikeys.keywright.dev/status (ClusterRole keywright-operator-keys)`. */
export function describePermit({ role, group, resource, verb, names }: Permit): string {
  const [plural, ...sub] = resource.split('/');
  const qualified = [group === '' ? plural : `${plural}.${group}`, ...sub].join('/');
  return `${verb} ${qualified}${names === undefined ? '' : ` ${names.join(' ')}`} (${role})`;
}

/** Whether this permission lets this request through, as RBAC decides it. */
export function permits(permit: Permit, { verb, objectRef }: AuditedRequest): boolean {
  if (objectRef === undefined) return false;
  const { apiGroup = '', resource, subresource, namespace, name } = objectRef;
  return (
    permit.verb === verb &&
    permit.group === apiGroup &&
    permit.resource === (subresource === undefined ? resource : `${resource}/${subresource}`) &&
    (permit.names === undefined || (name !== undefined && permit.names.includes(name))) &&
    (permit.namespaces === undefined || (namespace !== undefined && permit.namespaces.includes(namespace)))
  );
}

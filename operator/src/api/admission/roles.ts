import { apiKinds, kindTable } from '../kinds.ts';
import { group } from '../meta.ts';
import type { Schema } from '../structural.ts';
import { permissions } from './permissions.ts';
import { admissionPolicyName } from './policy.ts';

/** One rule of RBAC. No rule of ours has a wildcard. */
export interface PolicyRule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

/** A ClusterRole for people and pipelines: bound in one namespace by a RoleBinding, or everywhere. */
export interface UserRole {
  readonly name: string;
  /** Whom it is for, in one sentence. */
  readonly description: string;
  readonly rules: readonly PolicyRule[];
}

const read = ['get', 'list', 'watch'];
const write = ['create', 'update', 'patch', 'delete'];
const plurals = apiKinds.map((kind) => kindTable[kind].plural);
const apiKeys = kindTable.ApiKey.plural;

const ours = (resources: readonly string[], verbs: readonly string[]): PolicyRule => ({ apiGroups: [group], resources, verbs });
const grants: readonly PolicyRule[] = [permissions.grant, permissions.own, permissions.deliver, permissions.deliverSecret].map(
  ({ resource, verb }) => ours([resource], [verb]),
);
const responses: readonly string[] = [permissions.revoke.verb, permissions.rotate.verb];

/**
 * The roles for users. None is aggregated to view, edit or admin, so that nobody gets one by an accident of his
 * namespace; none may write a status, which only the operator does.
 */
export const userRoles: readonly UserRole[] = [
  {
    name: 'keywright-admin',
    description: 'Runs Keywright: everything on all kinds, and every verb of the admission policy.',
    rules: [ours(plurals, [...read, ...write]), ...grants, ours([apiKeys], responses)],
  },
  {
    name: 'keywright-grantor',
    description: 'Declares keys: any access type, owner and destination, in the namespaces where it is bound.',
    rules: [ours(plurals, read), ours([apiKeys], write), ...grants],
  },
  {
    name: 'keywright-responder',
    description: 'Answers an incident: revokes, suspends and rotates keys, and changes nothing else.',
    rules: [ours([apiKeys], [...read, 'update', 'patch', ...responses])],
  },
  { name: 'keywright-viewer', description: 'Sees all kinds, and no value of any key.', rules: [ours(plurals, read)] },
];

/** What the operator may do everywhere. Secrets: `patch` is server-side apply of those that it made. */
export const operatorRules: readonly PolicyRule[] = [
  ours(plurals, [...read, 'patch']),
  ours(
    plurals.map((plural) => `${plural}/status`),
    ['patch'],
  ),
  { apiGroups: [''], resources: ['namespaces'], verbs: read },
  { apiGroups: [''], resources: ['secrets'], verbs: [...read, 'create', 'patch', 'delete'] },
  { apiGroups: ['events.k8s.io'], resources: ['events'], verbs: ['create', 'patch'] },
  {
    apiGroups: ['admissionregistration.k8s.io'],
    resources: ['validatingadmissionpolicies', 'validatingadmissionpolicybindings'],
    resourceNames: [admissionPolicyName],
    verbs: ['get'],
  },
  // By default everybody may ask who he is (system:basic-user); some clusters take that away.
  { apiGroups: ['authentication.k8s.io'], resources: ['selfsubjectreviews'], verbs: ['create'] },
];

/**
 * What the operator may do besides, where it restarts consumers. A role of its own, because who may patch a workload may
 * run what he likes in its namespace: nobody has it who does not bind it, everywhere or in single namespaces.
 */
export const consumerRules: readonly PolicyRule[] = [
  { apiGroups: ['apps'], resources: ['deployments', 'statefulsets', 'daemonsets'], verbs: ['get', 'patch'] },
];

/** The Lease by which the operators agree who works. */
export const leaseName = 'keywright-operator';

/** The ServiceAccount that the operator runs as. One of another name needs its own rule for `serviceaccounts/token`. */
export const operatorServiceAccountName = 'keywright-operator';

/**
 * What the operator may do in its own namespace only. RBAC cannot name the object of a create, but that of a
 * subresource: tokens are issued for the operator's own ServiceAccount alone, for its logins elsewhere (Vault).
 */
export const operatorOwnRules: readonly PolicyRule[] = [
  { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['create'] },
  { apiGroups: ['coordination.k8s.io'], resources: ['leases'], resourceNames: [leaseName], verbs: ['get', 'patch'] },
  { apiGroups: [''], resources: ['serviceaccounts/token'], resourceNames: [operatorServiceAccountName], verbs: ['create'] },
];

/** The name of the operator's roles. */
export const operatorRoleName = 'keywright-operator';
/** The name of its role for consumers. */
export const consumerRoleName = 'keywright-operator-consumers';

const labels = { 'app.kubernetes.io/part-of': 'keywright' };
const rbac = 'rbac.authorization.k8s.io/v1';

/** Every role as a manifest, without bindings: the four for users, and the operator's three. */
export function roleManifests(operatorNamespace: string): readonly Schema[] {
  return [
    ...userRoles.map(({ name, description, rules }) => clusterRole(name, rules, { 'kubernetes.io/description': description })),
    clusterRole(operatorRoleName, operatorRules),
    clusterRole(consumerRoleName, consumerRules),
    {
      apiVersion: rbac,
      kind: 'Role',
      metadata: { name: operatorRoleName, namespace: operatorNamespace, labels },
      rules: operatorOwnRules,
    },
  ];
}

function clusterRole(name: string, rules: readonly PolicyRule[], annotations?: Readonly<Record<string, string>>): Schema {
  return {
    apiVersion: rbac,
    kind: 'ClusterRole',
    metadata: { name, labels, ...(annotations === undefined ? {} : { annotations }) },
    rules,
  };
}

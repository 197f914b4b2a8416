import { apiKinds, kindTable } from '../kinds.ts';
import { group, loginServiceAccountName } from '../meta.ts';
import type { Schema } from '../structural.ts';
import { permissions } from './permissions.ts';
import { operatorServiceAccountName } from './account.ts';
import { operatorPolicyName } from './operatorpolicy.ts';
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
const clusterPlurals = plurals.filter((plural) => plural !== apiKeys);

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
    description: 'Answers an incident: revokes, suspends and rotates keys, reads what belongs to them, and changes nothing else.',
    rules: [
      ours(clusterPlurals, read),
      ours([apiKeys], [...read, 'update', 'patch', ...responses]),
      { apiGroups: ['', 'events.k8s.io'], resources: ['events'], verbs: read },
    ],
  },
  { name: 'keywright-viewer', description: 'Sees all kinds, and no value of any key.', rules: [ours(plurals, read)] },
];

const statusOf = (resources: readonly string[]): PolicyRule =>
  ours(
    resources.map((plural) => `${plural}/status`),
    ['patch'],
  );

/** What the operator may do with the kinds of the cluster, and must know of it. */
const clusterRules: readonly PolicyRule[] = [
  ours(clusterPlurals, [...read, 'patch']),
  statusOf(clusterPlurals),
  { apiGroups: [''], resources: ['namespaces'], verbs: read },
  {
    apiGroups: ['apiextensions.k8s.io'],
    resources: ['customresourcedefinitions'],
    resourceNames: plurals.map((plural) => `${plural}.${group}`),
    verbs: ['get'],
  },
  {
    apiGroups: ['admissionregistration.k8s.io'],
    resources: ['validatingadmissionpolicies', 'validatingadmissionpolicybindings'],
    resourceNames: [admissionPolicyName, operatorPolicyName],
    verbs: ['get'],
  },
  // By default everybody may ask who he is (system:basic-user); some clusters take that away.
  { apiGroups: ['authentication.k8s.io'], resources: ['selfsubjectreviews'], verbs: ['create'] },
];

/** Events about the kinds of the cluster lie in the namespace `default`. */
const eventRule: PolicyRule = { apiGroups: ['events.k8s.io'], resources: ['events'], verbs: ['create', 'patch'] };

/** The name of the operator's ClusterRole for the cluster, and of its Role in its own namespace. */
export const operatorRoleName = operatorServiceAccountName;

/** A ClusterRole of the operator's, and where it is meant to be bound. */
export interface OperatorRole {
  readonly name: string;
  /** What it is for, in one sentence. */
  readonly description: string;
  readonly rules: readonly PolicyRule[];
}

/**
 * The operator's ClusterRoles, apart because they are bound apart: what concerns the cluster everywhere, what concerns keys where
 * they are served, and Secrets and workloads only where somebody wants that. An account that may write Secrets can read every
 * password of the namespace, and one that may patch a workload can run anything in it.
 */
export const operatorRoles = {
  cluster: {
    name: operatorRoleName,
    description: 'Catalogs, owners, groups and destinations; bound everywhere.',
    rules: clusterRules,
  },
  keys: {
    name: `${operatorRoleName}-keys`,
    description: 'ApiKeys; bound in the namespaces that are served, or everywhere.',
    rules: [
      ours([apiKeys], [...read, 'patch']),
      // The admission policy requires it to change finalizers.
      ours([`${apiKeys}/finalizers`], ['update']),
      statusOf([apiKeys]),
      eventRule,
    ],
  },
  secrets: {
    name: `${operatorRoleName}-secrets`,
    description:
      'Secrets as destinations; bound in the namespaces that have such keys, or everywhere. `patch` is server-side apply.',
    rules: [{ apiGroups: [''], resources: ['secrets'], verbs: [...read, 'create', 'patch', 'delete'] }],
  },
  consumers: {
    name: `${operatorRoleName}-consumers`,
    description: 'Restarts of consumers; bound in the namespaces whose workloads may be restarted, or everywhere.',
    rules: [{ apiGroups: ['apps'], resources: ['deployments', 'statefulsets', 'daemonsets'], verbs: ['get', 'patch'] }],
  },
} as const satisfies Readonly<Record<string, OperatorRole>>;

/** Where keys are served in single namespaces: the events about the kinds of the cluster, which lie in `default`. */
export const operatorEventRules: readonly PolicyRule[] = [eventRule];

/** The Lease by which the operators agree who works. */
export const leaseName = 'keywright-operator';
/** Its annotation with the last heartbeat in the database: the next leader writes to no server that lacks it. */
export const heartbeatAnnotation = `${group}/heartbeat`;

/**
 * What the operator may do in its own namespace only. RBAC cannot name the object of a create, but that of a
 * subresource: tokens are issued for {@link loginServiceAccountName} alone.
 */
export const operatorOwnRules: readonly PolicyRule[] = [
  { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['create'] },
  { apiGroups: ['coordination.k8s.io'], resources: ['leases'], resourceNames: [leaseName], verbs: ['get', 'patch'] },
  { apiGroups: [''], resources: ['serviceaccounts/token'], resourceNames: [loginServiceAccountName], verbs: ['create'] },
];

/** What a controller of the Service Binding specification needs to find the Secret of an ApiKey; it aggregates this itself. */
export const serviceBindingRole: UserRole = {
  name: 'keywright-service-binding',
  description: 'Lets a Service Binding controller read the name of the Secret of an ApiKey.',
  rules: [ours([apiKeys], read)],
};

const labels = { 'app.kubernetes.io/part-of': 'keywright' };
const rbac = 'rbac.authorization.k8s.io/v1';

/** {@link loginServiceAccountName} as a manifest. No Pod runs as this account, so no Pod mounts its token. */
export function loginServiceAccount(operatorNamespace: string): Schema {
  const metadata = { name: loginServiceAccountName, namespace: operatorNamespace, labels };
  return { apiVersion: 'v1', kind: 'ServiceAccount', metadata, automountServiceAccountToken: false };
}

/** Every role as a manifest, without bindings: those for users, that for Service Binding, and the operator's. */
export function roleManifests(operatorNamespace: string): readonly Schema[] {
  return [
    ...[...userRoles, ...Object.values(operatorRoles)].map((role) => clusterRole(role)),
    clusterRole(serviceBindingRole, { 'servicebinding.io/controller': 'true' }),
    {
      apiVersion: rbac,
      kind: 'Role',
      metadata: { name: operatorRoleName, namespace: operatorNamespace, labels },
      rules: operatorOwnRules,
    },
  ];
}

function clusterRole({ name, description, rules }: UserRole | OperatorRole, more: Readonly<Record<string, string>> = {}): Schema {
  return {
    apiVersion: rbac,
    kind: 'ClusterRole',
    metadata: { name, labels: { ...labels, ...more }, annotations: { 'kubernetes.io/description': description } },
    rules,
  };
}

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { apiVersion } from '../../operator/src/api/meta.ts';
import { admissionManifests } from '../../operator/src/api/admission/manifests.ts';
import { loginServiceAccount, operatorRoleName, operatorRoles, roleManifests } from '../../operator/src/api/admission/roles.ts';
import { Kube } from './kube.ts';
import { until } from './until.ts';

const rbac = 'rbac.authorization.k8s.io/v1';

/** Applies the roles, and the policy with its binding unless unwanted, and waits until the policy acts. */
export async function applyPermissions(
  kube: Kube,
  options: { policy?: boolean; operatorNamespace?: string } = {},
): Promise<void> {
  const { policy = true, operatorNamespace = 'keywright-system' } = options;
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: operatorNamespace } };
  await applyAll(kube, [namespace, ...roleManifests(operatorNamespace), loginServiceAccount(operatorNamespace)]);
  if (policy) await applyPolicy(kube, operatorNamespace);
}

/** Applies the admission policies and their bindings, and waits until that for ApiKeys acts. */
export async function applyPolicy(kube: Kube, operatorNamespace = 'keywright-system'): Promise<void> {
  await applyAll(kube, admissionManifests(operatorNamespace));
  const probe = await kube.createNamespace('probe');
  await bind(kube, probe, { kind: 'User', name: 'outsider' }, [
    { apiGroups: ['keywright.dev'], resources: ['apikeys'], verbs: ['create'] },
  ]);
  const body = {
    apiVersion,
    kind: 'ApiKey',
    metadata: { name: 'probe' },
    spec: { displayName: 'probe', catalog: 'x', owner: 'x', accessType: 'X', deliverTo: [{ name: 'x', secret: { name: 'x' } }] },
  };
  const path = `/apis/${apiVersion}/namespaces/${probe}/apikeys?dryRun=All`;
  await until(async () => (await kube.request('POST', path, { body, user: 'outsider' })).status === 403, {
    what: 'the admission policy',
  });
}

/** Applies several objects in one call. */
export async function applyAll(kube: Kube, items: readonly unknown[]): Promise<void> {
  await kube.kubectl(['apply', '--server-side', '-f', '-'], { input: { apiVersion: 'v1', kind: 'List', items } });
}

/** Who a role is bound to. */
export type Subject =
  | { readonly kind: 'User'; readonly name: string }
  | { readonly kind: 'ServiceAccount'; readonly name: string; readonly namespace: string };

const subjectOf = (subject: Subject) => ({
  ...(subject.kind === 'User' ? { apiGroup: 'rbac.authorization.k8s.io' } : {}),
  ...subject,
});

/** Gives somebody rules in one namespace: a Role of these rules, or the ClusterRole of this name, and a RoleBinding. */
export async function bind(kube: Kube, namespace: string, subject: Subject, rules: string | readonly object[]): Promise<void> {
  const name = `${subject.name}-${typeof rules === 'string' ? rules : 'own'}`;
  const isOwn = typeof rules !== 'string';
  await applyAll(kube, [
    ...(isOwn ? [{ apiVersion: rbac, kind: 'Role', metadata: { name, namespace }, rules }] : []),
    {
      apiVersion: rbac,
      kind: 'RoleBinding',
      metadata: { name, namespace },
      subjects: [subjectOf(subject)],
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: isOwn ? 'Role' : 'ClusterRole', name: isOwn ? name : rules },
    },
  ]);
}

/** Gives somebody a ClusterRole everywhere. */
export async function bindEverywhere(kube: Kube, subject: Subject, role: string): Promise<void> {
  await applyAll(kube, [
    {
      apiVersion: rbac,
      kind: 'ClusterRoleBinding',
      metadata: { name: `${subject.name}-${role}` },
      subjects: [subjectOf(subject)],
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
    },
  ]);
}

/** Binds the operator's roles as for a whole cluster, without that for consumers. Its namespace has its Role. */
export async function bindOperator(kube: Kube, namespace: string, subject: Subject): Promise<void> {
  for (const { name } of [operatorRoles.cluster, operatorRoles.keys, operatorRoles.secrets])
    await bindEverywhere(kube, subject, name);
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: operatorRoleName };
  const metadata = { name: operatorRoleName, namespace };
  await applyAll(kube, [{ apiVersion: rbac, kind: 'RoleBinding', metadata, subjects: [subjectOf(subject)], roleRef }]);
}

/** Makes a ServiceAccount; the API server that comes back also knows it as a user of this name. */
export async function withServiceAccount(kube: Kube, namespace: string, name: string): Promise<Kube> {
  const accounts = `/api/v1/namespaces/${namespace}/serviceaccounts`;
  const made = await kube.request('POST', accounts, { body: { metadata: { name } } });
  if (made.status !== 201) throw new Error(`ServiceAccount ${name} refused: ${JSON.stringify(made.body)}`);
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 3600 } };
  const answer = await kube.request('POST', `${accounts}/${name}/token`, { body });
  const { token } = (answer.body as { status: { token: string } }).status;
  const config = JSON.parse(readFileSync(kube.kubeconfig(), 'utf8')) as { users: { user: object }[] };
  for (const one of config.users) one.user = { token };
  const path = join(kube.handle.dir, `${name}.kubeconfig`);
  writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
  const { tokens, kubeconfigs } = kube.handle;
  return new Kube({ ...kube.handle, tokens: { ...tokens, [name]: token }, kubeconfigs: { ...kubeconfigs, [name]: path } });
}

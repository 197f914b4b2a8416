import { stringify } from 'yaml';
import { operatorServiceAccountName } from '../operator/src/api/admission/account.ts';
import { checks, maxEntries } from '../operator/src/api/admission/checks.ts';
import { fieldsOf, permissions, qualified } from '../operator/src/api/admission/permissions.ts';
import { admissionPolicyName } from '../operator/src/api/admission/policy.ts';
import type { PolicyRule } from '../operator/src/api/admission/roles.ts';
import {
  operatorEventRules,
  operatorOwnRules,
  operatorRoleName,
  operatorRoles,
  serviceBindingRole,
  userRoles,
} from '../operator/src/api/admission/roles.ts';
import { operatorPolicyName } from '../operator/src/api/admission/operatorpolicy.ts';
import { annotations, finalizer, group, lastApplied } from '../operator/src/api/meta.ts';

/** `docs/reference/permissions.md`: who may do what, from the tables that the policy and the roles are made of. */
export function permissionsPage(): string {
  return [
    '# Permissions',
    '',
    `RBAC says who can write ApiKeys at all. The ValidatingAdmissionPolicy \`${admissionPolicyName}\` says what they can put into one: it asks RBAC for Keywright's own verbs, each in the namespace of the ApiKey, so that a RoleBinding suffices. It runs inside the API server; there is no webhook that could be down. \`keywright policies\` prints the policies, their bindings, the roles and the ServiceAccount that logs in to Vault.`,
    '',
    'An account that may write ApiKeys but has none of these verbs can change nothing that matters, and no account is exempt: what changes nothing needs nothing, so GitOps, a migration of the storage and the operator itself go on without them.',
    '',
    '## Verbs',
    '',
    '| verb | resource | name | it allows you to |',
    '|---|---|---|---|',
    ...Object.values(permissions).map(
      ({ verb, resource, name, allows }) => `| \`${verb}\` | \`${qualified(resource)}\` | \`${name}\` | ${allows} |`,
    ),
    '',
    '## What needs what',
    '',
    'A create counts as a change from nothing: it needs the rights for all that it holds.',
    '',
    '| change | verbs |',
    '|---|---|',
    ...changeRows().map(([change, verbs]) => `| ${change} | ${verbs} |`),
    '',
    'Deleting needs only the RBAC verb `delete`, and ends the key. The rows about finalizers and owner references keep everybody else from doing the same indirectly: an owner that does not exist lets the garbage collector delete the key, and a key without its finalizer can vanish while its value goes on working. The verb `update` on `finalizers` is the convention of Kubernetes for controllers: the operator and the garbage collector have it. Give it to a controller that puts finalizers of its own on ApiKeys, and to nobody else: with it, an account can remove ours. A deletion in the foreground needs `delete` alone.',
    '',
    'The row about managers and `kubectl apply` keeps what is taken out of a manifest from living on: an apply removes a field only when nobody else owns it, or when it was in the manifest before. A manager that applies the same again changes nothing and needs nothing. When more than ten managers have updated one ApiKey, the API server throws the oldest together, and a change of labels may need `own` too; managers that apply are not counted.',
    '',
    'A refusal is a 403 that names the user, the verb, the resource and its name, one at a time.',
    '',
    '```text',
    `ValidatingAdmissionPolicy '${admissionPolicyName}' with binding '${admissionPolicyName}' denied request: user "ana" has no right to "grant" ${qualified('apicatalogs/accesstypes')} "default:Admin" in the namespace "payments": it is needed to ${checks[0]?.purpose ?? ''}`,
    '```',
    '',
    'kubectl can check a right:',
    '',
    '```sh',
    `kubectl auth can-i grant apicatalogs.${group}/default:Admin --subresource=accesstypes -n payments --as ana`,
    '```',
    '',
    '## Roles',
    '',
    'ClusterRoles without wildcards, to be bound in one namespace or everywhere. Nothing is aggregated to `view`, `edit` or `admin`. The kinds of the cluster can be seen only by subjects with a role through a ClusterRoleBinding.',
    '',
    ...userRoles.flatMap(({ name, description, rules }) => [`### ${name}`, '', description, '', ...ruleTable(rules), '']),
    '### A role of your own',
    '',
    'A team lead who may declare Integrations keys for one owner, delivered to one destination or one Secret:',
    '',
    '```yaml',
    stringify(leadRole, { lineWidth: 0 }).trimEnd(),
    '```',
    '',
    '## GitOps',
    '',
    'One account that applies the manifests of every team must hold the rights of every team: then nobody checks what a team writes. Let Argo CD or Flux impersonate a ServiceAccount per tenant instead, and bind the rights to that: [the guide](../how-to/gitops.md#one-account-for-each-tenant) has the manifests.',
    '',
    `A manifest that does not name \`suspend\` leaves a suspension on the live key alone. One that says \`suspend: false\` would undo it, and is refused without the verb \`${permissions.rotate.verb}\`. Flux takes over what was written with plain kubectl, and so would undo that, too: [what to do](../how-to/gitops.md#requests-by-hand).`,
    '',
    '## The operator',
    '',
    "The operator's roles are separate because they are bound separately. An installation that delivers to Vault or AWS alone leaves the role for Secrets unbound and sets `KEYWRIGHT_SECRET_NAMESPACES=none`; one without restarts leaves that for consumers unbound. The chart does both by its values.",
    '',
    ...Object.values(operatorRoles).flatMap(({ name, description, rules }) => [
      `### ${name}`,
      '',
      description,
      '',
      ...ruleTable(rules),
      '',
    ]),
    `The ClusterRole \`${operatorRoles.consumers.name}\` is for \`KEYWRIGHT_CONSUMERS=on\` only. An account that may patch a workload can run anything in its namespace, with its ServiceAccounts. The rule above limits what people may request: an author who names a consumer must have \`patch\` on it.`,
    '',
    '### Its own account',
    '',
    `RBAC cannot distinguish the fields of an object: finalizers need the right to patch, which would let an attacker with the operator's token widen every catalog and owner. The ValidatingAdmissionPolicy \`${operatorPolicyName}\` limits the ServiceAccount \`${operatorServiceAccountName}\` of the operator's namespace to what the operator writes: on all five kinds its finalizer \`${finalizer}\` and the status, and no spec, label, annotation, owner reference, finalizer of others, or owner of a field (\`metadata.managedFields\`). It creates and deletes none of them. The policy does not limit an operator that runs as another user, such as a developer with a kubeconfig.`,
    '',
    '### In single namespaces',
    '',
    `The Role \`${operatorRoleName}\` in the operator's own namespace:`,
    '',
    ...ruleTable(operatorOwnRules),
    '',
    `Where \`${operatorRoles.keys.name}\` is not bound everywhere, the namespace \`default\` needs this for the events about catalogs, owners and destinations:`,
    '',
    ...ruleTable(operatorEventRules),
    '',
    "Where the role for Secrets is not bound in the operator's own namespace, the Secrets that KeyDestinations log in with need `get`, each by its name.",
    '',
    '## Service Binding',
    '',
    `The ClusterRole \`${serviceBindingRole.name}\` carries the label \`servicebinding.io/controller: "true"\`, by which a controller of the Service Binding specification takes it over:`,
    '',
    ...ruleTable(serviceBindingRole.rules),
    '',
    '## What the policy did not check',
    '',
    `With \`KEYWRIGHT_ADMISSION=required\`, the default, the operator compares the policy and its binding with what it would make: at the start, each minute, and before a change of an ApiKey takes effect. While they deviate, are missing or cannot be read, what is written only narrows keys: nothing is minted, delivered anywhere new, prolonged or resumed. It stays held afterwards (Ready=False, \`AdmissionPolicyMissing\`), until somebody sets the annotation \`${annotations.confirm}\` to the value that the status names. That needs all rights that creating this ApiKey would need, and \`${permissions.rotate.verb}\`; for a suspended or revoked key \`${permissions.revoke.verb}\`, too. Keys that nobody edited go on working, are repaired, and can be revoked. See [lifecycle](../lifecycle.md#what-the-admission-policy-did-not-judge).`,
    '',
  ].join('\n');
}

const code = (words: readonly string[]) => words.map((word) => `\`${word}\``).join(', ');

function changeRows(): readonly (readonly [string, string])[] {
  const { grant, own, deliver, deliverSecret, revoke, rotate } = permissions;
  return [
    [`access type, rights, expiry, limits: ${code(fieldsOf('rights'))}`, code([grant.verb, own.verb])],
    [`description: ${code(fieldsOf('description'))}`, code([own.verb])],
    [
      `an added entry of ${code(fieldsOf('delivery'))} (at most ${maxEntries})`,
      `${code([own.verb])}, and \`${deliver.verb}\` on \`${deliver.resource}\` or \`${deliverSecret.resource}\``,
    ],
    [
      `an added or changed entry of ${code(fieldsOf('consumer'))} (at most ${maxEntries})`,
      `${code([own.verb])}, and \`patch\` on that workload`,
    ],
    [`an entry taken away from ${code([...fieldsOf('delivery'), ...fieldsOf('consumer')])}`, code([own.verb])],
    [`\`revoked\`, \`suspend: true\`, the annotation \`${annotations.compromised}\``, code([revoke.verb])],
    [`\`suspend: false\`, the annotations \`${annotations.rotate}\` and \`${annotations.paused}\``, code([rotate.verb])],
    [
      `a new value of the annotation \`${annotations.confirm}\``,
      `everything that a create of this object would need, and \`${rotate.verb}\`; \`${revoke.verb}\` too for a suspended or revoked key`,
    ],
    [
      '`metadata.finalizers` of a live key',
      `\`update\` on \`${qualified('apikeys/finalizers')}\`, or both \`delete\` and \`${revoke.verb}\``,
    ],
    ['`metadata.ownerReferences` of a new key', '`delete`'],
    [
      '`metadata.ownerReferences` of a live key',
      `\`delete\`, and \`${revoke.verb}\` or \`update\` on \`${qualified('apikeys/finalizers')}\``,
    ],
    [
      `which manager owns a field of spec or status, or an annotation of ours (\`metadata.managedFields\`), unless the change of that field needs a right of its own; the annotation \`${lastApplied}\``,
      code([own.verb]),
    ],
    [`any other annotation or label under \`${group}/\`, added or changed`, 'refused'],
    [`labels, other annotations, \`${annotations.confirm}\` taken away, a spec that stays the same`, 'none'],
  ];
}

function ruleTable(rules: readonly PolicyRule[]): readonly string[] {
  return [
    '| group | resources | names | verbs |',
    '|---|---|---|---|',
    ...rules.map(
      ({ apiGroups, resources, resourceNames = [], verbs }) =>
        `| ${code(apiGroups.map((one) => (one === '' ? 'v1' : one)))} | ${code(resources)} | ${code(resourceNames)} | ${code(verbs)} |`,
    ),
  ];
}

const lead = (resources: string, verb: string, resourceNames: readonly string[]) => ({
  apiGroups: [group],
  resources: [resources],
  resourceNames,
  verbs: [verb],
});

/** The example of the page; a test tries it on an API server. */
export const leadRole = {
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'Role',
  metadata: { name: 'payments-keys', namespace: 'payments' },
  rules: [
    { apiGroups: [group], resources: ['apikeys'], verbs: ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete'] },
    lead(permissions.grant.resource, permissions.grant.verb, ['default:Integrations']),
    lead(permissions.own.resource, permissions.own.verb, ['payments-team']),
    lead(permissions.deliver.resource, permissions.deliver.verb, ['prod-vault']),
    lead(permissions.deliverSecret.resource, permissions.deliverSecret.verb, ['billing-api-key']),
  ],
};

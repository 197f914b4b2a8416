import { stringify } from 'yaml';
import { admissionManifests } from '../../operator/src/api/admission/manifests.ts';
import {
  operatorEventRules,
  operatorOwnRules,
  operatorRoleName,
  operatorRoles,
  serviceBindingRole,
  userRoles,
  type OperatorRole,
  type PolicyRule,
  type UserRole,
} from '../../operator/src/api/admission/roles.ts';
import { toCrd } from '../../operator/src/api/crd.ts';
import { apiKinds } from '../../operator/src/api/kinds.ts';

/** The directive that stands for the namespace of the release. */
const releaseNamespace = '{{ .Release.Namespace }}';

/**
 * The templates of the chart that are made from the operator's own tables: its CRDs, its admission policy, its roles. They are
 * text with the few directives that a release needs: Helm's own YAML functions would turn large numbers into floats.
 */
export function chartTemplates(): ReadonlyMap<string, string> {
  return new Map([
    [
      'crds.yaml',
      guarded(
        '.Values.crds.install',
        apiKinds.map((kind) => document(toCrd(kind), { annotations: 'keywright.crdAnnotations' })),
      ),
    ],
    [
      'admission.yaml',
      guarded(
        '.Values.admission.install',
        admissionManifests(releaseNamespace).map((one) => document(one)),
      ),
    ],
    [
      'roles.yaml',
      [
        ...[operatorRoles.cluster, operatorRoles.keys].map((role) => document(clusterRole(role))),
        document(role(operatorRoleName, releaseNamespace, operatorOwnRules)),
        guarded('include "keywright.servesAll" . | not', [
          document(role(`${operatorRoleName}-events`, 'default', operatorEventRules)),
        ]),
        guarded('include "keywright.deliversSecrets" .', [document(clusterRole(operatorRoles.secrets))]),
        guarded('include "keywright.restartsConsumers" .', [document(clusterRole(operatorRoles.consumers))]),
        guarded(
          '.Values.rbac.userRoles',
          userRoles.map((one) => document(clusterRole(one))),
        ),
        guarded('.Values.rbac.serviceBinding', [
          document(clusterRole(serviceBindingRole), { labels: { 'servicebinding.io/controller': '"true"' } }),
        ]),
      ].join(''),
    ],
  ]);
}

interface Marks {
  /** The named template that gives annotations, maybe none. */
  readonly annotations?: string;
  /** Labels besides those of the chart. */
  readonly labels?: Readonly<Record<string, string>>;
}

type Manifest = Readonly<Record<string, unknown>>;

/** One object, whose labels are those of the chart. */
function document(manifest: Manifest, { annotations, labels = {} }: Marks = {}): string {
  const metadata = {
    ...(manifest['metadata'] as Manifest),
    labels: '@labels',
    ...(annotations === undefined ? {} : { annotations: '@annotations' }),
  };
  const text = stringify({ ...manifest, metadata }, { lineWidth: 0, aliasDuplicateObjects: false });
  const foreign = /\{\{(?! \.Release\.Namespace \}\})/.exec(text);
  if (foreign !== null) throw new Error(`Helm would read a part of this: ${text.slice(foreign.index, foreign.index + 80)}`);
  const more = Object.entries(labels).map(([name, value]) => `\n    ${name}: ${value}`);
  return `---\n${text
    .replace('  labels: "@labels"', `  labels:\n    {{- include "keywright.labels" . | nindent 4 }}${more.join('')}`)
    .replace(
      '  annotations: "@annotations"',
      `  {{- with include "${annotations ?? ''}" . }}\n  annotations:\n    {{- . | nindent 4 }}\n  {{- end }}`,
    )}`;
}

function guarded(condition: string, documents: readonly string[]): string {
  return `{{- if ${condition} }}\n${documents.join('')}{{- end }}\n`;
}

const rbac = 'rbac.authorization.k8s.io/v1';

function clusterRole({ name, description, rules }: UserRole | OperatorRole): Manifest {
  return {
    apiVersion: rbac,
    kind: 'ClusterRole',
    metadata: { name, annotations: { 'kubernetes.io/description': description } },
    rules,
  };
}

function role(name: string, namespace: string, rules: readonly PolicyRule[]): Manifest {
  return { apiVersion: rbac, kind: 'Role', metadata: { name, namespace }, rules };
}

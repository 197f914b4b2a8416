{{/* Names are fixed: the roles and the policy are the cluster's, so that there is one installation in a cluster. */}}

{{- define "keywright.chart" -}}
{{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "keywright.labels" -}}
helm.sh/chart: {{ include "keywright.chart" . }}
app.kubernetes.io/name: keywright
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: keywright
{{- end }}

{{/* What tells the Pods of one component: dict "root" $ "component" "operator". */}}
{{- define "keywright.selector" -}}
app.kubernetes.io/name: keywright
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "keywright.crdAnnotations" -}}
{{- if .Values.crds.keep -}}
helm.sh/resource-policy: keep
{{- end }}
{{- end }}

{{/* An image: dict "image" .Values.image "tag" what an empty tag means. */}}
{{- define "keywright.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .tag }}
{{- end }}
{{- end }}

{{/* The namespaces of a scope as JSON: dict "root" $ "scope" .Values.secrets "path" "secrets". */}}
{{- define "keywright.selected" -}}
{{- $names := .scope.names -}}
{{- if .scope.selector -}}
{{- if $names -}}
{{- fail (printf "%s.names contradicts %s.selector: give one" .path .path) -}}
{{- end -}}
{{- if not (lookup "v1" "Namespace" "" "kube-system") -}}
{{- fail (printf "%s.selector is looked up in the cluster and cannot be rendered without one: use %s.names" .path .path) -}}
{{- end -}}
{{- range (lookup "v1" "Namespace" "" "").items -}}
{{- $labels := .metadata.labels | default dict -}}
{{- $matches := not .metadata.deletionTimestamp -}}
{{- range $label, $value := $.scope.selector -}}
{{- if ne (get $labels $label) $value }}{{ $matches = false }}{{ end -}}
{{- end -}}
{{- if $matches }}{{ $names = append $names .metadata.name }}{{ end -}}
{{- end -}}
{{- if not $names -}}
{{- fail (printf "%s.selector matches no namespace" .path) -}}
{{- end -}}
{{- end -}}
{{- $names | uniq | sortAlpha | toJson -}}
{{- end }}

{{/* "true" where the ApiKeys of all namespaces are served. */}}
{{- define "keywright.servesAll" -}}
{{- if not (or .Values.namespaces.names .Values.namespaces.selector) }}true{{ end -}}
{{- end }}

{{- define "keywright.servedNamespaces" -}}
{{- include "keywright.selected" (dict "root" . "scope" .Values.namespaces "path" "namespaces") -}}
{{- end }}

{{- define "keywright.isScoped" -}}
{{- if or .names .selector .all }}true{{ end -}}
{{- end }}

{{- define "keywright.deliversSecrets" -}}
{{- include "keywright.isScoped" .Values.secrets -}}
{{- end }}

{{- define "keywright.restartsConsumers" -}}
{{- include "keywright.isScoped" .Values.consumers -}}
{{- end }}

{{/*
The namespaces of a scope within those that are served, as JSON: dict "root" $ "scope" .Values.secrets "path" "secrets".
Empty for a scope that is everywhere.
*/}}
{{- define "keywright.scope" -}}
{{- $servesAll := include "keywright.servesAll" .root -}}
{{- if not .scope.all -}}
{{- $names := include "keywright.selected" . | fromJsonArray -}}
{{- if not $servesAll -}}
{{- $served := include "keywright.servedNamespaces" .root | fromJsonArray -}}
{{- range $names -}}
{{- if not (has . $served) }}{{ fail (printf "%s: the ApiKeys of namespace %s are not served: it is not among namespaces" $.path .) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- $names | toJson -}}
{{- else if not $servesAll -}}
{{- include "keywright.servedNamespaces" .root -}}
{{- end -}}
{{- end }}

{{/* Binds a ClusterRole to the operator: dict "root" $ "role" name "namespaces" JSON, empty = everywhere. */}}
{{- define "keywright.binding" -}}
{{- $root := .root -}}
{{- $role := .role -}}
{{- if .namespaces -}}
{{- range .namespaces | fromJsonArray }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ $role }}
  namespace: {{ . }}
  labels:
    {{- include "keywright.labels" $root | nindent 4 }}
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {{ $role }} }
subjects:
  - { kind: ServiceAccount, name: keywright-operator, namespace: {{ $root.Release.Namespace }} }
{{- end }}
{{- else }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ $role }}
  labels:
    {{- include "keywright.labels" $root | nindent 4 }}
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {{ $role }} }
subjects:
  - { kind: ServiceAccount, name: keywright-operator, namespace: {{ $root.Release.Namespace }} }
{{- end }}
{{- end }}

{{/* Where the operator finds the URL of the database: name and entry of a Secret. */}}
{{- define "keywright.databaseSecret" -}}
{{- if .Values.database.existingSecret -}}
{ name: {{ .Values.database.existingSecret }}, key: {{ .Values.database.existingSecretKey }} }
{{- else if .Values.postgres.enabled -}}
{ name: keywright-postgres-operator, key: url }
{{- else -}}
{ name: keywright-database, key: url }
{{- end }}
{{- end }}

{{/* Where the authorizer finds its own; empty = it has none, and takes the operator's. */}}
{{- define "keywright.authorizerDatabaseSecret" -}}
{{- with .Values.database.authorizer -}}
{{- if .existingSecret -}}
{ name: {{ .existingSecret }}, key: {{ .existingSecretKey }} }
{{- else if $.Values.postgres.enabled -}}
{ name: keywright-postgres-authorizer, key: url }
{{- end }}
{{- end }}
{{- end }}

{{/* The connection limit of the authorizer's login in the chart's own PostgreSQL: 12 for each Pod, counting one that starts and one that stops. */}}
{{- define "keywright.authorizerConnections" -}}
{{ mul 12 (add 2 .Values.authorizer.replicas) }}
{{- end }}

{{/* Where the URL of the owner of the schema is; empty = the operator's own login migrates. */}}
{{- define "keywright.migrationSecret" -}}
{{- with .Values.database.migration -}}
{{- if .existingSecret -}}
{ name: {{ .existingSecret }}, key: {{ .existingSecretKey }} }
{{- else if $.Values.postgres.enabled -}}
{ name: keywright-postgres, key: url }
{{- end }}
{{- end }}
{{- end }}

{{/* The Secret with the password of the operator's database user, as name and key; empty = the URL has it. */}}
{{- define "keywright.operatorPassword" -}}
{{- with .Values.database -}}
{{- if .passwordSecret }}{{ dict "name" .passwordSecret "key" .passwordSecretKey | toJson }}{{ end -}}
{{- end -}}
{{- end }}

{{/* The same of the authorizer: never the operator's, unless it logs in as the operator. */}}
{{- define "keywright.authorizerPassword" -}}
{{- with .Values.database.authorizer -}}
{{- if .passwordSecret }}{{ dict "name" .passwordSecret "key" .passwordSecretKey | toJson }}
{{- else if not (include "keywright.authorizerDatabaseSecret" $) }}{{ include "keywright.operatorPassword" $ }}{{ end -}}
{{- end -}}
{{- end }}

{{/* Variables that both programs read: dict "root" $ "secret" reference "password" name and key as JSON, or empty. */}}
{{- define "keywright.env" -}}
- name: KEYWRIGHT_DATABASE_URL
  valueFrom:
    secretKeyRef: {{ .secret }}
{{- if .password }}
- { name: KEYWRIGHT_DATABASE_PASSWORD_FILE, value: /etc/keywright/database/password }
{{- end }}
- { name: KEYWRIGHT_PEPPERS_FILE, value: /etc/keywright/peppers/peppers.json }
- { name: KEYWRIGHT_METRICS_ADDRESS, value: ":9090" }
- { name: KEYWRIGHT_LOG_LEVEL, value: {{ .root.Values.logLevel }} }
{{- end }}

{{/* dict "password" as above. */}}
{{- define "keywright.volumeMounts" -}}
- { name: peppers, mountPath: /etc/keywright/peppers, readOnly: true }
{{- if .password }}
- { name: database, mountPath: /etc/keywright/database, readOnly: true }
{{- end }}
{{- end }}

{{/* dict "root" $ "password" as above. */}}
{{- define "keywright.volumes" -}}
- name: peppers
  secret:
    secretName: {{ .root.Values.peppers.existingSecret | default "keywright-peppers" }}
    # 0440, of which tools of YAML 1.2 would make 440.
    defaultMode: 288
    items: [{ key: peppers.json, path: peppers.json }]
{{- with .password | default "{}" | fromJson }}
- name: database
  secret:
    secretName: {{ .name }}
    # 0440, of which tools of YAML 1.2 would make 440.
    defaultMode: 288
    items: [{ key: {{ .key }}, path: password }]
{{- end }}
{{- end }}

{{/* A Pod's part that both Deployments share: dict "root" $ "component" "operator" "values" .Values.operator. */}}
{{- define "keywright.podSettings" -}}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: { type: RuntimeDefault }
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  {{- if .values.topologySpreadConstraints }}
  {{- toYaml .values.topologySpreadConstraints | nindent 2 }}
  {{- else }}
  {{- $selector := include "keywright.selector" . }}
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- $selector | nindent 8 }}
  {{- end }}
  {{- end }}
{{- end }}

{{- define "keywright.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- define "keywright.probes" -}}
startupProbe:
  httpGet: { path: /healthz, port: metrics }
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: { path: /healthz, port: metrics }
  periodSeconds: 10
  timeoutSeconds: 2
readinessProbe:
  httpGet: { path: /readyz, port: metrics }
  periodSeconds: 5
  timeoutSeconds: 2
{{- end }}

{{/* The seconds of a duration. The first digit is none of the zeros, or Helm would read an octal number. */}}
{{- define "keywright.seconds" -}}
{{- $duration := . -}}
{{- $sum := 0 -}}
{{- range $unit, $seconds := dict "w" 604800 "d" 86400 "h" 3600 "m" 60 "s" 1 -}}
{{- with regexFind (printf "[1-9][0-9]*%s" $unit) $duration -}}
{{- $sum = add $sum (mul $seconds (trimSuffix $unit . | int64)) -}}
{{- end -}}
{{- end -}}
{{- $sum -}}
{{- end }}

{{/* Labels and annotations of Pods: dict "root" $ "component" "operator" "values" .Values.operator. */}}
{{- define "keywright.podMetadata" -}}
labels:
  {{- include "keywright.labels" .root | nindent 2 }}
  app.kubernetes.io/component: {{ .component }}
  {{- with .values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  kubectl.kubernetes.io/default-container: {{ .component }}
  {{- if .root.Values.database.url }}
  # A new URL reaches the processes by new Pods.
  checksum/database: {{ .root.Values.database.url | sha256sum | trunc 16 }}
  {{- end }}
  {{- with .values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* A PodDisruptionBudget: dict "root" $ "component" "operator". */}}
{{- define "keywright.disruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: keywright-{{ .component }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "keywright.labels" .root | nindent 4 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "keywright.selector" . | nindent 6 }}
{{- end }}

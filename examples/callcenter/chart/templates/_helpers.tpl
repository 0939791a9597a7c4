{{/* Labels of one part: called with (dict "root" $ "part" "cti" "system" "hotel"). */}}
{{- define "callcenter.selector" -}}
app.kubernetes.io/name: {{ .part }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
tandem.dev/system: {{ .system }}
{{- end }}

{{- define "callcenter.labels" -}}
{{ include "callcenter.selector" . }}
{{ include "callcenter.common" .root }}
{{- end }}

{{- define "callcenter.common" -}}
app.kubernetes.io/part-of: callcenter
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
tandem.dev/site: {{ .Values.city }}
{{- end }}

{{- define "callcenter.secret" -}}
{{- .Values.secrets.existing | default (printf "%s-secrets" .Release.Name) -}}
{{- end }}

{{/* An environment variable from the Secret: (list $ "TANDEM_CONTROL_TOKEN" "controlToken"). */}}
{{- define "callcenter.fromSecret" -}}
- name: {{ index . 1 }}
  valueFrom: {secretKeyRef: {name: {{ include "callcenter.secret" (index . 0) }}, key: {{ index . 2 }}}}
{{- end }}

{{/* Both images run as this user, need no capability and write to their volumes only. */}}
{{- define "callcenter.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "callcenter.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "callcenter.podSettings" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext: {{- include "callcenter.podSecurity" . | nindent 2 }}
{{- with .Values.images.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* A changed secret starts the pods anew: both read it once. */}}
{{- define "callcenter.annotations" -}}
checksum/secrets: {{ toJson .Values.secrets | sha256sum }}
{{- end }}

{{- define "callcenter.directoryVolume" -}}
- name: directory
  configMap: {name: {{ .Values.directory.configMap }}}
{{- end }}

{{- define "callcenter.checks" -}}
{{- range $name := list "city" "nodeIP" "peerCity" "peerNodeIP" }}
{{- if not (index $.Values $name) }}{{ fail (printf "%s is empty; set it, such as --set %s=..." $name $name) }}{{ end }}
{{- end }}
{{- if eq .Values.city .Values.peerCity }}{{ fail (printf "city and peerCity are both %q" .Values.city) }}{{ end }}
{{- if not .Values.secrets.existing }}
{{- range $key := list "ticketSecret" "peerSecret" "controlToken" "sipSecret" }}
{{- if not (index $.Values.secrets $key) }}{{ fail (printf "secrets.%s is empty; give all four, or secrets.existing" $key) }}{{ end }}
{{- end }}
{{- end }}
{{- end }}

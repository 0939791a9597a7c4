{{- define "tandem.labels" -}}
app.kubernetes.io/name: tandem
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
tandem.dev/site: {{ .Values.site.name }}
{{- end }}

{{- define "tandem.selector" -}}
app.kubernetes.io/name: tandem
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "tandem.serviceAccount" -}}
{{- .Values.serviceAccount.name | default .Release.Name -}}
{{- end }}

{{- define "tandem.operatorUser" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "tandem.serviceAccount" . }}
{{- end }}

{{/* Address of this location's member; empty when it is not in the list. */}}
{{- define "tandem.ownAddress" -}}
{{- range .Values.etcd.members }}{{ if eq .name $.Values.site.name }}{{ .ip }}{{ end }}{{ end -}}
{{- end }}

{{/* Endpoints, this location's member first. */}}
{{- define "tandem.endpoints" -}}
{{- $own := list -}}{{- $others := list -}}
{{- range .Values.etcd.members -}}
{{- $url := printf "https://%s:%d" .ip (int $.Values.etcd.ports.client) -}}
{{- if eq .name $.Values.site.name }}{{ $own = append $own $url }}{{ else }}{{ $others = append $others $url }}{{ end -}}
{{- end -}}
{{- concat $own $others | join "," -}}
{{- end }}

{{/* What both processes know. */}}
{{- define "tandem.env" -}}
- {name: TANDEM_SITE, value: {{ .Values.site.name | quote }}}
- {name: TANDEM_STORE_ENDPOINTS, value: {{ include "tandem.endpoints" . | quote }}}
- {name: TANDEM_STORE_CA, value: /etc/tandem/store/ca.crt}
- {name: TANDEM_STORE_CERT, value: /etc/tandem/store/tls.crt}
- {name: TANDEM_STORE_KEY, value: /etc/tandem/store/tls.key}
- {name: TANDEM_CREDENTIALS, value: /run/tandem/credentials}
- {name: TANDEM_CONTROL_TOKENS, value: /etc/tandem/control}
{{- end }}

{{- define "tandem.checks" -}}
{{- if not .Values.site.name }}{{ fail "site.name is empty; set it to this location's name, such as --set site.name=east" }}{{ end -}}
{{- if not .Values.etcd.members }}{{ fail "etcd.members is empty; list every location's name and ip" }}{{ end -}}
{{- if and .Values.etcd.enabled (not (include "tandem.ownAddress" .)) }}{{ fail (printf "etcd.members has no member called %q; add this location, or set etcd.enabled=false" .Values.site.name) }}{{ end -}}
{{- end }}

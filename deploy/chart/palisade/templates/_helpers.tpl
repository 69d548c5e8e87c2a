{{/* Names are fixed: a cluster has one palisade, and it finds its Lease, Secret and webhooks by name. */}}

{{- define "palisade.selector" -}}
app.kubernetes.io/name: palisade
app.kubernetes.io/component: controller
{{- end }}

{{/* app.kubernetes.io/managed-by is not palisade's to set here: by it palisade knows what it wrote itself. */}}
{{- define "palisade.labels" -}}
{{ include "palisade.selector" . }}
app.kubernetes.io/part-of: palisade
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "palisade.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* Whether palisade may write for a mesh: a list of the context and the mesh's name. */}}
{{- define "palisade.writesFor" -}}
{{- if has (index . 0).Values.mesh.name (list "auto" (index . 1)) }}true{{ end -}}
{{- end }}

{{/* Namespaces in which admission judges nothing, so that no outage of palisade reaches them. */}}
{{- define "palisade.excludedNamespaces" -}}
{{- $all := concat (list "kube-system" "kube-public" "kube-node-lease" .Release.Namespace) .Values.mesh.controlPlaneNamespaces .Values.admission.excludedNamespaces -}}
{{- if .Values.mesh.namespace }}{{ $all = append $all .Values.mesh.namespace }}{{ end -}}
{{- $all | uniq | sortAlpha | toYaml }}
{{- end }}

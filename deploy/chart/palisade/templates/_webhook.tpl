{{- /* Parts that the webhooks have in common. */ -}}
{{- define "palisade.webhook" }}
  admissionReviewVersions: [v1]
  sideEffects: None
  timeoutSeconds: {{ .Values.admission.timeoutSeconds }}
  clientConfig:
    # palisade adds caBundle by itself, and Helm leaves it alone.
    service: {name: palisade-webhook, namespace: {{ .Release.Namespace }}, port: 443, path: /validate}
{{- end }}
{{- define "palisade.matchConditions" }}
  matchConditions:
  # What is on its way out must never be held: a finalizer has to go.
  - name: stays
    expression: "!has(object.metadata.deletionTimestamp)"
  # Labels, annotations and finalizers are nobody's intent.
  - name: says-something-new
    expression: "request.operation == 'CREATE' || !has(oldObject.spec) || !has(object.spec) || object.spec != oldObject.spec"
{{- end }}
{{- define "palisade.namespaced" }}
  rules:
  - apiGroups: [palisade.floe.dev]
    apiVersions: [v1alpha1]
    operations: [CREATE, UPDATE]
    resources: [exemptions, externalaccesses, trafficrules]
    scope: Namespaced
{{- end }}
{{- define "palisade.clusterScoped" }}
  rules:
  - apiGroups: [palisade.floe.dev]
    apiVersions: [v1alpha1]
    operations: [CREATE, UPDATE]
    resources: [securityprofiles]
    scope: Cluster
{{- end }}

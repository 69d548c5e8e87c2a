package model

import (
	"slices"
	"strings"
)

// lateLabels are those that controllers put on their pods (k8s.io/api apps/v1, batch/v1).
var lateLabels = []string{
	"pod-template-hash", "controller-revision-hash", "pod-template-generation", "controller-uid", "job-name",
	"statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index",
}

// LateLabel tells whether pods come to bear a label without their template: from
// a controller, or from the injector of a mesh. That a template lacks it proves nothing.
func LateLabel(key string) bool {
	domain, _, found := strings.Cut(key, "/")
	return slices.Contains(lateLabels, key) || found && (domain == "batch.kubernetes.io" || domain == "linkerd.io" || domain == "istio.io" || strings.HasSuffix(domain, ".istio.io"))
}

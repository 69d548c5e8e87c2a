package intent

import (
	"slices"
	"strings"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/model"
)

// Governing tells which profiles are of the highest priority in each namespace
// that some profile selects, without resolving anything else: one governs, several tie and none of them governs.
func Governing(s *Snapshot, cluster model.Cluster) map[string][]string {
	r := &resolver{snapshot: s, model: &model.Model{Cluster: cluster, Namespaces: s.Namespaces, Workloads: s.Workloads}}
	profiles := byPriority(s.Profiles)
	governing := map[string][]string{}
	for i := range s.Namespaces {
		for _, p := range r.choose(profiles, &s.Namespaces[i]) {
			governing[s.Namespaces[i].Name] = append(governing[s.Namespaces[i].Name], p.Name)
		}
	}
	return governing
}

// IsSystem tells whether a namespace is governed only where a profile names it.
func IsSystem(s *Snapshot, cluster model.Cluster, namespace string) bool {
	r := &resolver{snapshot: s, model: &model.Model{Cluster: cluster, Workloads: s.Workloads}}
	return r.isSystem(namespace)
}

// IsInfrastructure tells whether labels are those by which a preset, a resolver or a
// control plane is found, so that the workload matters to every namespace.
func IsInfrastructure(w *model.Workload) bool {
	return w.Labels[gatewayNameLabel] != "" || hasAny(w.Labels, gatewayLabels) || hasAny(w.Labels, prometheusLabels) || isControlPlane(w)
}

// byPriority orders profiles, the highest priority first.
func byPriority(list []v1alpha1.SecurityProfile) []v1alpha1.SecurityProfile {
	profiles := slices.Clone(list)
	slices.SortFunc(profiles, func(a, b v1alpha1.SecurityProfile) int {
		if a.Spec.Priority != b.Spec.Priority {
			return int(b.Spec.Priority) - int(a.Spec.Priority)
		}
		return strings.Compare(a.Name, b.Name)
	})
	return profiles
}

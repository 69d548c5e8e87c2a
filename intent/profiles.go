package intent

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/model"
)

// builtInNamespaces exist in every cluster, whether or not their manifests were read.
var builtInNamespaces = []string{"default", "kube-system", "kube-public", "kube-node-lease"}

// systemNamespaces are never governed unless a profile names them.
var systemNamespaces = []string{"kube-system", "kube-public", "kube-node-lease", "palisade-system"}

// controlPlaneLabels on pods mark namespaces that are governed only where named, whatever their name and whichever
// mesh was chosen: palisade's own, and those of the control planes of meshes. An empty value stands for any.
var controlPlaneLabels = []struct{ key, value string }{
	{"app.kubernetes.io/name", "palisade"},
	{"app", "istiod"},
	{"app", "ztunnel"},
	{"k8s-app", "istio-cni-node"},
	{"linkerd.io/control-plane-component", ""},
	{"k8s-app", "linkerd-cni"},
}

// governNamespaces decides which profile governs each namespace: the highest
// priority; none where the highest is shared.
func (r *resolver) governNamespaces() {
	profiles := byPriority(r.snapshot.Profiles)
	if len(profiles) == 0 {
		r.problem("NoProfile", model.Warning, model.Ref{}, "",
			"no SecurityProfile was read: no namespace is governed, so nothing would be written, and nothing was checked against an intent",
			"read the files that hold the intent as well (-f)")
	}
	used := map[string]bool{}
	for i := range r.model.Namespaces {
		namespace := &r.model.Namespaces[i]
		chosen := r.choose(profiles, namespace)
		for _, p := range chosen {
			used[p.Name] = true
		}
		switch {
		case len(chosen) == 1:
			r.profiles[namespace.Name] = chosen[0]
			namespace.Posture = postureOf(chosen[0])
		case len(chosen) > 1:
			r.conflict(namespace, chosen)
		}
	}
	for i := range profiles {
		if !used[profiles[i].Name] {
			r.problem("ProfileGovernsNothing", model.Warning, ruleRef("SecurityProfile", "", profiles[i].Name), "spec.namespaceSelector",
				"the profile governs no namespace: its selector matches none that was read, or a profile of higher priority governs them all",
				"check the selector and the labels of the namespaces; kube-system and the like must be named by kubernetes.io/metadata.name")
		}
	}
}

// choose returns the profiles of the highest priority that select the namespace.
func (r *resolver) choose(sorted []v1alpha1.SecurityProfile, namespace *model.Namespace) []*v1alpha1.SecurityProfile {
	protected := r.isSystem(namespace.Name)
	var chosen []*v1alpha1.SecurityProfile
	for i := range sorted {
		p := &sorted[i]
		if len(chosen) > 0 && p.Spec.Priority < chosen[0].Spec.Priority {
			break
		}
		selector := &p.Spec.NamespaceSelector
		if !model.Matches(selector, namespace.Labels) || protected && !names(selector, namespace.Name) {
			continue
		}
		chosen = append(chosen, p)
	}
	return chosen
}

func (r *resolver) conflict(namespace *model.Namespace, tied []*v1alpha1.SecurityProfile) {
	var parts []string
	for _, p := range tied {
		parts = append(parts, p.Name)
	}
	namespace.Contested = parts
	r.problem("ProfileConflict", model.Error, namespace.Ref(), "",
		fmt.Sprintf("the SecurityProfiles %s select namespace %s with equal priority %d: none of them governs it, and nothing is written there",
			strings.Join(parts, " and "), namespace.Name, tied[0].Spec.Priority),
		"give one of them a higher spec.priority, or make their selectors exclude each other")
}

// isSystem tells whether a namespace is governed only where a profile names it.
func (r *resolver) isSystem(name string) bool {
	m := &r.model.Cluster.Mesh
	if slices.Contains(systemNamespaces, name) || name != "" && (name == m.Namespace || name == m.RootNamespace) {
		return true
	}
	return slices.ContainsFunc(r.model.WorkloadsIn(name), func(w model.Workload) bool { return isControlPlane(&w) })
}

// isControlPlane tells whether pods are of palisade or of a mesh's control plane, by their labels.
func isControlPlane(w *model.Workload) bool {
	for _, row := range controlPlaneLabels {
		if value, found := w.Labels[row.key]; found && (row.value == "" || row.value == value) {
			return true
		}
	}
	return false
}

// names tells whether a selector names one namespace outright.
func names(selector *metav1.LabelSelector, namespace string) bool {
	if selector.MatchLabels[corev1.LabelMetadataName] == namespace {
		return true
	}
	return slices.ContainsFunc(selector.MatchExpressions, func(e metav1.LabelSelectorRequirement) bool {
		return e.Key == corev1.LabelMetadataName && e.Operator == metav1.LabelSelectorOpIn && slices.Contains(e.Values, namespace)
	})
}

func postureOf(p *v1alpha1.SecurityProfile) *model.Posture {
	spec := &p.Spec
	mtls := model.MTLSMode(spec.Mesh.MTLS)
	if spec.Mesh.MTLS == v1alpha1.MTLSUnmanaged {
		mtls = ""
	}
	version := string(spec.PodSecurity.Version)
	return &model.Posture{
		Profile:     p.Name,
		Enforcement: model.Enforcement(spec.Enforcement),
		Mesh: model.MeshPosture{
			MTLS:          mtls,
			Authorization: spec.Mesh.Authorization != v1alpha1.Disabled,
			SidecarScope:  spec.Mesh.SidecarScope != v1alpha1.Disabled,
		},
		Network: model.NetworkPosture{DefaultDeny: true},
		PodSecurity: model.PodSecurityPosture{
			Enforce: string(spec.PodSecurity.Enforce), EnforceVersion: version,
			Audit: string(spec.PodSecurity.Audit), AuditVersion: version,
			Warn: string(spec.PodSecurity.Warn), WarnVersion: version,
		},
		Hardening:         HardeningOf(spec),
		Rollout:           rolloutOf(spec.Rollout),
		DisruptionBudgets: spec.Workload != nil && spec.Workload.DisruptionBudgets == v1alpha1.Enabled,
	}
}

// defaultSoak is that of RolloutPolicy, which a profile without one does not get from the API server.
const defaultSoak = 10 * time.Minute

// rolloutOf takes a policy with its defaults; nil stands for all of them.
func rolloutOf(p *v1alpha1.RolloutPolicy) model.RolloutPosture {
	if p == nil {
		return model.RolloutPosture{MaxNamespaces: 1, MaxFailed: 1, Soak: defaultSoak}
	}
	return model.RolloutPosture{
		MaxNamespaces: max(int(p.MaxNamespaces), 1), MaxFailed: max(int(p.MaxFailed), 1),
		Soak: max(p.Soak.Duration, 0), Paused: p.Paused,
		Unverified: p.Verification == v1alpha1.VerificationOptional,
	}
}

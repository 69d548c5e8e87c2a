package linkerd

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/model"
)

// nativeAnnotations ask for a native sidecar, the present name first (linkerd2 pkg/k8s/labels.go).
var nativeAnnotations = []string{
	"config.linkerd.io/proxy-enable-native-sidecar", "config.beta.linkerd.io/proxy-enable-native-sidecar", "config.alpha.linkerd.io/proxy-enable-native-sidecar",
}

// nativeByDefault made native sidecars the chart's default.
var nativeByDefault = milestone{version: [3]int{2, 20, 0}, edge: [3]int{26, 5, 2}}

// Strict tells whether a workload means to take clients with an identity only.
func (r *Reader) Strict(w *model.Workload) bool {
	d := r.defaultOf(w)
	return authenticates(d.policy)
}

// NativeSidecars tells whether a workload's proxy is a native sidecar, which starts
// before other init containers and ends with the pod; known is false where that cannot be told.
func NativeSidecars(m *model.Model) func(w *model.Workload) (native, known bool) {
	usual, usualKnown := nativeByConfig(m)
	return func(w *model.Workload) (native, known bool) {
		if native, known = nativeByItself(w); known {
			return native, known
		}
		return usual, usualKnown
	}
}

// nativeByItself is what the pods' own containers show, or their annotations say.
func nativeByItself(w *model.Workload) (native, known bool) {
	for _, containers := range [][]corev1.Container{w.Spec.Containers, w.Spec.InitContainers} {
		for i := range containers {
			if containers[i].Name == proxyContainer {
				return model.IsSidecar(&containers[i]), true
			}
		}
	}
	for _, name := range nativeAnnotations {
		if value, _, found := annotation(w, name); found {
			return value == "true", true
		}
	}
	return false, false
}

// nativeByConfig reads proxy.nativeSidecar of the installation. Where it is left out, the chart's default counts,
// which is on since 2.20 (edge-26.5.2).
func nativeByConfig(m *model.Model) (native, known bool) {
	for i := range m.Existing {
		if ref := m.Existing[i].Ref(); ref.Kind != "ConfigMap" || ref.Name != configName {
			continue
		}
		text, _ := m.Existing[i].Map("data")["values"].(string)
		var values struct {
			Proxy struct {
				NativeSidecar *bool `json:"nativeSidecar"`
			} `json:"proxy"`
		}
		if yaml.Unmarshal([]byte(text), &values) == nil && values.Proxy.NativeSidecar != nil {
			return *values.Proxy.NativeSidecar, true
		}
	}
	if r, ok := parseRelease(m.Cluster.Mesh.Version); ok {
		return r.atLeast(nativeByDefault), true
	}
	return false, false
}

// EndsProxy tells whether a container ends the proxy of its pod itself: by linkerd-await, or through the proxy's own port.
func EndsProxy(c *corev1.Container) bool {
	return slices.ContainsFunc(slices.Concat(c.Command, c.Args), func(text string) bool {
		return strings.Contains(text, "linkerd-await") || strings.Contains(text, "4191/shutdown")
	})
}

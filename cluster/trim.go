package cluster

import (
	"maps"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
)

// trim drops of an item what nothing looks at, since a World keeps many.
func (it *item) trim() {
	if it.tree != nil {
		delete(it.tree, "status")
		if meta, ok := it.tree["metadata"].(map[string]any); ok {
			for _, field := range []string{"selfLink", "generation"} {
				delete(meta, field)
			}
		}
	}
	switch value := it.value.(type) {
	case *model.Workload:
		trimPod(value, value.Running)
	case *corev1.Node:
		*value = corev1.Node{ObjectMeta: value.ObjectMeta, Spec: value.Spec, Status: corev1.NodeStatus{Addresses: value.Status.Addresses, NodeInfo: value.Status.NodeInfo}}
		value.Annotations = nil
	}
	if value, ok := it.value.(metav1.Object); ok {
		value.SetManagedFields(nil)
		value.SetResourceVersion("")
	}
}

// trimPod keeps of a pod what the mesh, the network and Pod Security look at. Of
// one that runs its template says the rest.
func trimPod(w *model.Workload, running bool) {
	spec := &w.Spec
	spec.NodeSelector, spec.Affinity, spec.Tolerations, spec.TopologySpreadConstraints = nil, nil, nil, nil
	spec.ImagePullSecrets, spec.Overhead, spec.ReadinessGates = nil, nil, nil
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range containers {
			c := &containers[i]
			c.Resources, c.VolumeMounts, c.VolumeDevices = corev1.ResourceRequirements{}, nil, nil
			if running {
				c.EnvFrom = nil
			}
		}
	}
}

// alike tells whether two items say the same to palisade.
func (it *item) alike(other *item) bool {
	if it == nil || other == nil {
		return it == other
	}
	return it.unready == other.unready && alikeTrees(it.tree, other.tree) && reflect.DeepEqual(it.value, other.value) && reflect.DeepEqual(it.owner, other.owner)
}

// alikeTrees compares trees; the version that a server counts says nothing.
func alikeTrees(a, b map[string]any) bool {
	if len(a) != len(b) {
		return false
	}
	for key, value := range a {
		if key == "metadata" {
			value, _ := value.(map[string]any)
			other, _ := b[key].(map[string]any)
			if !reflect.DeepEqual(versionless(value), versionless(other)) {
				return false
			}
		} else if !reflect.DeepEqual(value, b[key]) {
			return false
		}
	}
	return true
}

func versionless(meta map[string]any) map[string]any {
	meta = maps.Clone(meta)
	delete(meta, "resourceVersion")
	return meta
}

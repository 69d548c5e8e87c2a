package cluster

import (
	"strings"

	"floe.dev/palisade/model"
)

// podSecurityPrefix begins the labels of Pod Security admission.
const podSecurityPrefix = "pod-security.kubernetes.io/"

// merge adds a Namespace that is given once more to the one that was read
// before, as applying both in turn would: a part of a Namespace, such as the
// labels that palisade renders, may thus stand beside the whole. Of the Pod
// Security labels the later one holds. Any other label or annotation of two
// values is a contradiction; then nothing is merged.
func merge(into, from *item) bool {
	whole, ok := into.value.(*model.Namespace)
	part, also := from.value.(*model.Namespace)
	if !ok || !also || contradict(whole.Labels, part.Labels) || contradict(whole.Annotations, part.Annotations) {
		return false
	}
	whole.Labels = joined(whole.Labels, part.Labels)
	whole.Annotations = joined(whole.Annotations, part.Annotations)
	meta, _ := into.tree["metadata"].(map[string]any)
	more, _ := from.tree["metadata"].(map[string]any)
	for _, field := range []string{"labels", "annotations"} {
		there, _ := meta[field].(map[string]any)
		added, _ := more[field].(map[string]any)
		if all := joined(there, added); len(all) > 0 {
			meta[field] = all
		}
	}
	return true
}

func contradict(a, b map[string]string) bool {
	for key, value := range b {
		if there, ok := a[key]; ok && there != value && !strings.HasPrefix(key, podSecurityPrefix) {
			return true
		}
	}
	return false
}

// joined is a new map with what both hold; b wins.
func joined[V any](a, b map[string]V) map[string]V {
	all := make(map[string]V, len(a)+len(b))
	for key, value := range a {
		all[key] = value
	}
	for key, value := range b {
		all[key] = value
	}
	return all
}

package linkerd

import (
	"encoding/json"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
)

// selectsPods tells whether a Server of somebody else's selects the pods of a workload.
// A selector that cannot be read is taken to select them: better a problem too many.
func selectsPods(o *model.Object, w *model.Workload) bool {
	tree := o.Map("spec")["podSelector"]
	if tree == nil {
		return false // it selects external workloads
	}
	return mayMatch(tree, w.Labels)
}

// mayMatch tells whether a selector in an object's tree matches labels; one that cannot be read is taken to match.
func mayMatch(tree any, labels map[string]string) bool {
	data, err := json.Marshal(tree)
	if err != nil {
		return true
	}
	var selector metav1.LabelSelector
	if err := json.Unmarshal(data, &selector); err != nil {
		return true
	}
	return model.Matches(&selector, labels)
}

// selectsPort tells whether a Server's port, a number or a name, is this one.
func selectsPort(o *model.Object, w *model.Workload, number int32) bool {
	switch port := o.Map("spec")["port"].(type) {
	case int64:
		return port == int64(number)
	case float64:
		return port == float64(number)
	case string:
		return slices.ContainsFunc(w.ContainerPorts(), func(p model.NamedPort) bool { return p.Name == port && p.Number == number })
	default:
		return false
	}
}

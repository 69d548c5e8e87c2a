package cluster

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"floe.dev/palisade/api/v1alpha1"
)

// LookedAt lists the kinds that palisade looks at in a cluster, sorted; without
// a Kind all kinds of the group are meant. Whoever runs palisade must be able to
// get, list and watch them: what may not be read is a Problem.
func LookedAt() []schema.GroupKind {
	all := []schema.GroupKind{{Group: v1alpha1.GroupVersion.Group}}
	for _, k := range knownKinds {
		if k.group == "" && k.kind == "Secret" {
			continue // read in files, and a few of them by name: see Survey
		}
		all = append(all, schema.GroupKind{Group: k.group, Kind: k.kind})
	}
	for _, g := range keptGroups {
		all = append(all, schema.GroupKind{Group: g.group})
	}
	slices.SortFunc(all, func(a, b schema.GroupKind) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Kind, b.Kind))
	})
	return all
}

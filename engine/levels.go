package engine

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/version"

	"floe.dev/palisade/intent"
	"floe.dev/palisade/mesh"
	"floe.dev/palisade/model"
	"floe.dev/palisade/pss"
)

// Levels is the plan of Pod Security levels: what each namespace may be held to.
type Levels struct {
	Model *model.Model
	// Version is the one to pin, as the nodes show it; empty where no Node was read.
	Version    string
	Namespaces []pss.NamespaceLevels
	// Problems are what leaves the plan incomplete.
	Problems []model.Problem
	// Unknown counts the objects of kinds that were not looked at, by "apiVersion kind".
	Unknown map[string]int
}

// PlanLevels finds the highest level for each namespace that its pods and templates satisfy. It needs no profile.
func PlanLevels(s *intent.Snapshot, o Options) Levels {
	cluster, problems := intent.Facts(s, o.Given)
	m := intent.Resolve(s, cluster, mesh.New(cluster.Mesh, cluster.Domain), o.Now).Model
	l := Levels{Model: m, Version: pinned(s), Problems: unique(problems, model.CompareProblems), Unknown: s.Unknown}
	l.Namespaces = pss.Levels(m, pss.LevelOptions{Version: l.Version})
	return l
}

// pinned is the newest minor version among the kubelets. The API server is never older than these
// (kubernetes.io/releases/version-skew-policy), so it knows the checks of that version.
func pinned(s *intent.Snapshot) string {
	var newest *version.Version
	for i := range s.Nodes {
		if v, err := version.ParseSemantic(s.Nodes[i].Status.NodeInfo.KubeletVersion); err == nil && (newest == nil || newest.LessThan(v)) {
			newest = v
		}
	}
	if newest == nil {
		return ""
	}
	return fmt.Sprintf("v%d.%d", newest.Major(), newest.Minor())
}

// Blocked lists the namespaces whose pods are in the way of what is proposed for them.
func (l *Levels) Blocked() []string {
	var names []string
	for i := range l.Namespaces {
		if !l.Namespaces[i].Ready {
			names = append(names, l.Namespaces[i].Namespace)
		}
	}
	slices.Sort(names)
	return names
}

package controller

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"floe.dev/palisade/engine"
)

// wishes are the names of the objects in which people say what they want, by resource.
type wishes map[string]map[types.NamespacedName]bool

func wishesOf(s *engine.Snapshot) wishes {
	w := wishes{}
	note := func(resource string, o metav1.Object) {
		if w[resource] == nil {
			w[resource] = map[types.NamespacedName]bool{}
		}
		w[resource][types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}] = true
	}
	for i := range s.Profiles {
		note("securityprofiles", &s.Profiles[i])
	}
	for i := range s.Rules {
		note("trafficrules", &s.Rules[i])
	}
	for i := range s.ExternalAccess {
		note("externalaccesses", &s.ExternalAccess[i])
	}
	for i := range s.Exemptions {
		note("exemptions", &s.Exemptions[i])
	}
	return w
}

// lacks tells whether something that was wished is no longer.
func (w wishes) lacks(resource string, before wishes) bool {
	for name := range before[resource] {
		if !w[resource][name] {
			return true
		}
	}
	return false
}

// lost says why wishes that are there no longer must not be taken for withdrawn: whoever takes the
// definition of a kind away deletes all objects of it, and wants nothing opened or closed. Empty where they may be.
func (g *governor) lost(ctx context.Context, s *engine.Snapshot, now time.Time) string {
	is := wishesOf(s)
	for _, resource := range []string{"securityprofiles", "trafficrules", "externalaccesses", "exemptions"} {
		vanished := is.lacks(resource, g.wished)
		if resource == "securityprofiles" && g.wished == nil {
			vanished = len(s.Profiles) == 0 && len(g.past.Memory) > 0 // as the last leader left it
		}
		if !vanished {
			continue
		}
		// The definition is marked before its objects are deleted, so whoever sees the one must find the other.
		if why := g.world.Undefined(ctx, resource); why != "" {
			g.unblocked = now.Add(grace)
			return why
		}
		if len(is[resource]) == 0 && now.Before(g.unblocked) {
			return "the kind of " + resource + " was away and is there again, without an object: what they were is waited for"
		}
	}
	g.wished = is
	return ""
}

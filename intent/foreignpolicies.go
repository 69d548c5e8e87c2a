package intent

import (
	"strings"

	"floe.dev/palisade/model"
)

// foreignPolicies reports NetworkPolicies of others in governed namespaces that
// let something through: policies add up, so palisade's cannot take it back.
func (r *resolver) foreignPolicies() {
	for i := range r.model.Existing {
		object := &r.model.Existing[i]
		ref := object.Ref()
		if ref.Kind != "NetworkPolicy" || ref.Group() != "networking.k8s.io" || object.Owned() || r.posture(ref.Namespace) == nil {
			continue
		}
		var opened []string
		for _, direction := range []struct{ field, peers, words string }{
			{"ingress", "from", "in"}, {"egress", "to", "out"},
		} {
			rules, _ := object.Map("spec")[direction.field].([]any)
			if len(rules) == 0 {
				continue
			}
			opened = append(opened, direction.words+extent(rules, direction.peers))
		}
		if len(opened) > 0 {
			r.finding("NetworkPolicyWidens", model.Warning, ref, "spec",
				"what this policy lets "+strings.Join(opened, " and ")+" passes beside what the rules of "+ref.Namespace+" declare",
				"say the same in a TrafficRule or an ExternalAccess, then delete the policy")
		}
	}
}

// extent tells, in words, of rules that hold for every peer.
func extent(rules []any, peers string) string {
	for _, rule := range rules {
		tree, _ := rule.(map[string]any)
		if list, _ := tree[peers].([]any); len(list) == 0 {
			return " (" + peers + " everywhere)"
		}
	}
	return ""
}

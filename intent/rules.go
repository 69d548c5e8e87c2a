package intent

import (
	"fmt"
	"slices"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/model"
)

// ruleFlows turns every TrafficRule into flows, one for each client and set of servers.
func (r *resolver) ruleFlows() {
	for i := range r.snapshot.Rules {
		rule := &r.snapshot.Rules[i]
		ref := ruleRef("TrafficRule", rule.Namespace, rule.Name)
		if !r.namespaceExists(ref, "metadata.namespace", rule.Namespace) {
			continue
		}
		if r.posture(rule.Namespace) == nil {
			r.problem("RuleNotGoverned", model.Warning, ref, "metadata.namespace",
				fmt.Sprintf("no SecurityProfile governs namespace %s: the rule closes and opens nothing on its servers' side", rule.Namespace),
				"select the namespace with a SecurityProfile")
		}
		server := r.podsIn(rule.Namespace, rule.Spec.To)
		if len(server.Workloads) == 0 {
			r.finding("RuleMatchesNoServer", model.Warning, ref, "spec.to",
				"no workload that was read has the labels of spec.to: the rule opens nothing today", "check the labels of the pods")
		}
		for j := range rule.Spec.From {
			r.clientFlows(rule, ref, &rule.Spec.From[j], j, server)
		}
	}
}

// clientFlows adds the flows of one client of a rule.
func (r *resolver) clientFlows(rule *v1alpha1.TrafficRule, ref model.Ref, from *v1alpha1.Client, index int, server model.Peer) {
	origin := model.Origin{Ref: ref, Part: fmt.Sprintf("from[%d]", index)}
	field := "spec." + origin.Part
	base := model.Flow{Origin: origin, HTTP: httpOf(rule.Spec.HTTP)}
	switch {
	case from.Pods != nil:
		if from.Pods.Namespace != "" && !r.namespaceExists(ref, field+".pods.namespace", from.Pods.Namespace) {
			return
		}
		base.Client = r.podPeer(from.Pods, rule.Namespace)
		if len(base.Client.Workloads) == 0 {
			r.finding("RuleMatchesNoClient", model.Warning, ref, field,
				"no workload that was read is such a client: nothing uses the opening, and a mesh has no identity to name until one exists",
				"check the labels of the pods and of their namespaces")
		}
	case from.CIDR != "":
		base.Client = addressPeer(from.CIDR, from.Except)
		base.Plaintext = true
		r.noteExposed(&server)
	default:
		r.presetFlows(rule, from.Preset, field, base, server)
		return
	}
	for _, t := range r.targets(ref, server, rule.Spec.Ports) {
		r.add(base, t)
	}
}

// add appends a flow to the servers and ports of a target.
func (r *resolver) add(base model.Flow, t target) {
	if len(t.ports) == 0 {
		return
	}
	base.Server, base.Ports = t.server, t.ports
	r.model.Flows = append(r.model.Flows, base)
}

func (r *resolver) namespaceExists(ref model.Ref, field, namespace string) bool {
	if r.model.Namespace(namespace) != nil || slices.Contains(builtInNamespaces, namespace) {
		return true
	}
	r.problem("NamespaceNotFound", model.Error, ref, field,
		fmt.Sprintf("namespace %s does not exist in what was read: what the %s wants of it stays closed", namespace, ref.Kind),
		"correct the name, or read the namespace's manifests as well (-f)")
	return false
}

func (r *resolver) noteExposed(server *model.Peer) {
	for _, id := range server.Workloads {
		r.exposed[id] = true
	}
}

func httpOf(requests []v1alpha1.HTTPRequests) []model.HTTPMatch {
	var matches []model.HTTPMatch
	for i := range requests {
		matches = append(matches, model.HTTPMatch{Methods: requests[i].Methods, Paths: requests[i].Paths})
	}
	return matches
}

package intent

import (
	"slices"

	"floe.dev/palisade/model"
)

// resolverFault reports a resolver in a governed namespace that nothing lets out
// to the API server, from which it learns Services: default deny then cuts
// the names of the whole cluster.
func (r *resolver) resolverFault() {
	dns := &r.model.Cluster.DNS
	if r.posture(dns.Namespace) == nil {
		return
	}
	pods := r.podsIn(dns.Namespace, dns.PodSelector)
	for _, w := range r.workloads(&pods) {
		reaches := slices.ContainsFunc(r.model.Flows, func(f model.Flow) bool {
			return f.Server.Kind == model.PeerAPIServer && slices.Contains(f.Client.Workloads, w.ID)
		})
		if reaches || w.Spec.HostNetwork || w.Exempts(model.LayerNetwork, model.Port{}) {
			continue
		}
		r.finding("ResolverCutOff", model.Warning, w.Ref(), "",
			"the cluster's resolver is in a governed namespace, and no ExternalAccess lets it reach the API server, from which it learns Services, or the resolvers that it asks for names outside",
			"write an ExternalAccess from its pods to the preset APIServer, and one to the upstream resolvers on port 53, or leave the namespace ungoverned")
	}
}

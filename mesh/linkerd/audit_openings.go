package linkerd

import (
	"net/netip"
	"slices"

	"floe.dev/palisade/model"
)

// opening reports an object that lets in clients without an identity, from
// addresses that pods may have. Where a profile governs, a check of its own does;
// Servers by their access policy are reported with what they hold.
func (a *auditor) opening(o *model.Object) {
	ref := o.Ref()
	if a.governed(ref.Namespace) || a.ofMesh(ref.Namespace) || ref.Kind == "Server" {
		return
	}
	field, what := opening(o)
	if field == "" || !a.wide(o) {
		return
	}
	a.find("PlaintextAuthorized", model.Warning, ref, field, what+": clients without an identity of the mesh are let in, in plaintext",
		"name identities (MeshTLSAuthentication), or narrow the networks to those that cannot speak mTLS")
}

// wide tells whether the clients of an opening may be pods: its networks are not narrowed to a
// few addresses, and it is for more than one route, as what lets in probes is.
func (a *auditor) wide(o *model.Object) bool {
	home := o.Ref().Namespace
	switch o.Ref().Kind {
	case "AuthorizationPolicy":
		var spec struct {
			TargetRef reference   `json:"targetRef"`
			Required  []reference `json:"requiredAuthenticationRefs"`
		}
		if readSpec(o, &spec, noFault) != nil || spec.TargetRef.is(policyGroup, "HTTPRoute") || spec.TargetRef.is(gatewayGroup, "HTTPRoute") || spec.TargetRef.is(gatewayGroup, "GRPCRoute") {
			return false
		}
		if len(spec.Required) == 0 {
			return true
		}
		networks := a.networks[[2]string{spec.Required[0].in(home), spec.Required[0].Name}]
		return networks != nil && (networks.unreadable || a.holdPods(networks.blocks)) // Linkerd ignores a policy without them
	case "ServerAuthorization":
		var spec struct {
			Client existingClient `json:"client"`
		}
		if readSpec(o, &spec, noFault) != nil {
			return false
		}
		blocks, err := blocksOf(spec.Client.Networks)
		return err != nil || len(blocks) == 0 || a.holdPods(blocks)
	}
	return false
}

// holdPods tells whether some block may hold the addresses of pods: it overlaps their
// range, or, where that is not known, is as wide as a cluster's networks are.
func (a *auditor) holdPods(blocks []model.AddressBlock) bool {
	pods := a.m.Cluster.PodCIDRs
	return slices.ContainsFunc(blocks, func(b model.AddressBlock) bool {
		if len(pods) > 0 {
			return slices.ContainsFunc(pods, func(p netip.Prefix) bool { return b.CIDR.Overlaps(p) })
		}
		return b.CIDR.Bits() <= 12 || b.CIDR.Addr().Is6() && b.CIDR.Bits() <= 48
	})
}

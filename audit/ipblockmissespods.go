package audit

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"floe.dev/palisade/model"
)

// ipBlockMissesPods is an ipBlock with addresses of pods or nodes on Cilium, whose
// rules for addresses match neither (cilium#20550; nodes they do match where
// policy-cidr-match-mode says so, cilium#27464).
func ipBlockMissesPods() Kind {
	return Kind{
		Code: "IPBlockMissesPods", Severities: []model.Severity{model.Warning, model.Info},
		Says: "an ipBlock names addresses of pods or nodes, which Cilium never matches",
		Why:  "Cilium tells pods and nodes by identity and not by address, so the rule opens nothing.",
		Fix:  "name pods by podSelector and namespaceSelector, and nodes by the entities of a CiliumNetworkPolicy",
		Find: findIPBlockMissesPods,
	}
}

func findIPBlockMissesPods(e *Evidence) []model.Finding {
	if e.State.Cluster.CNI != "cilium" {
		return nil
	}
	var found []model.Finding
	pods, nodes := e.podRanges(), e.State.Cluster.NodeCIDRs
	if e.matchesNodes() {
		nodes = nil
	}
	e.eachBlock(func(p *Policy, field string, _ model.FilterLayer, block model.AddressBlock, _ []networkingv1.NetworkPolicyPort) {
		liesIn := func(r netip.Prefix) bool { return within(block.CIDR, r) }
		holds := func(r netip.Prefix) bool { return block.CIDR.Bits() > 0 && touches(block, r) }
		report := func(severity model.Severity, message string) {
			found = append(found, ipBlockMissesPods().At(severity, p.Ref(), field, message, ""))
		}
		switch {
		case slices.ContainsFunc(pods, liesIn):
			report(model.Warning, fmt.Sprintf("the block %s names addresses of pods, which Cilium never matches by address: it opens nothing", blockText(block)))
		case slices.ContainsFunc(nodes, liesIn):
			report(model.Warning, fmt.Sprintf("the block %s names addresses of nodes, which Cilium never matches by address: it opens nothing", blockText(block)))
		case slices.ContainsFunc(pods, holds):
			report(model.Info, fmt.Sprintf("the block %s holds addresses of pods, which Cilium never matches by address: it opens to what else is there, and to no pod", blockText(block)))
		}
	})
	return found
}

// matchesNodes tells whether Cilium is set to match nodes by their addresses.
func (e *Evidence) matchesNodes() bool {
	return slices.ContainsFunc(e.Model.Existing, func(o model.Object) bool {
		mode, _ := o.Map("data")["policy-cidr-match-mode"].(string)
		return o.Ref().Kind == "ConfigMap" && o.Ref().Name == "cilium-config" && strings.Contains(mode, "nodes")
	})
}

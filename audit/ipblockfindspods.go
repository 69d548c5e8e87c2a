package audit

import (
	"fmt"
	"net/netip"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"

	"floe.dev/palisade/model"
)

// ipBlockFindsPods is an ipBlock written for addresses outside of the cluster that
// holds those of pods as well. All CNIs but Cilium let it find these, as the
// conformance tests ask (kubernetes test/e2e/network/netpol; calico#6634). A block
// that lies among the pods' addresses is meant so.
func ipBlockFindsPods() Kind {
	return Kind{
		Code: "IPBlockFindsPods", Severities: []model.Severity{model.Warning, model.Info},
		Says: "an ipBlock opens to the pods of the cluster as well",
		Why:  "Addresses of pods are addresses: a block that holds them opens to every pod, past all rules that name pods.",
		Fix:  "put the cluster's pod and Service ranges into the except of the ipBlock",
		Find: findIPBlockFindsPods,
	}
}

func findIPBlockFindsPods(e *Evidence) []model.Finding {
	if e.State.Cluster.CNI == "cilium" {
		return nil
	}
	var found []model.Finding
	ranges := e.podRanges()
	said := map[model.Cause]bool{}
	e.eachBlock(func(p *Policy, field string, layer model.FilterLayer, block model.AddressBlock, ports []networkingv1.NetworkPolicyPort) {
		pods, finds := podsIn(block, ranges)
		if !finds {
			return
		}
		severity := severityOfBlock(layer, block, ports)
		rule := model.Cause{Object: p.Ref(), Field: ruleOf(field)}
		if severity == "" || said[rule] {
			return
		}
		said[rule] = true
		who := "most CNIs find"
		if cni := e.State.Cluster.CNI; cni != "" && cni != "flannel" { // which leaves policies to others
			who = cni + " finds"
		}
		does := "lets every pod there in"
		if layer == model.FilterEgress {
			does = "opens the way to every pod there"
		}
		found = append(found, ipBlockFindsPods().At(severity, p.Ref(), field,
			fmt.Sprintf("the block %s holds addresses of pods%s, which %s by their addresses: it %s, whatever the rules that name pods say", blockText(block), pods, who, does), ""))
	})
	return found
}

// podsIn tells whether a block holds addresses of pods, and which, as far as they are
// known. Everything holds them, wherever they are.
func podsIn(block model.AddressBlock, ranges []netip.Prefix) (text string, finds bool) {
	for _, r := range ranges {
		if within(block.CIDR, r) {
			return "", false
		}
		if touches(block, r) {
			return fmt.Sprintf(" (%s)", r), true
		}
	}
	return "", len(ranges) == 0 && block.CIDR.Bits() == 0 && !leavesOutPrivate(block)
}

// leavesOutPrivate tells whether a block leaves out networks of private addresses, and not a metadata service alone.
func leavesOutPrivate(block model.AddressBlock) bool {
	return slices.ContainsFunc(block.Except, isPrivate)
}

// severityOfBlock: what everybody may send to is meant for everybody, and egress to
// the Internet on some ports finds pods by the way only.
func severityOfBlock(layer model.FilterLayer, block model.AddressBlock, ports []networkingv1.NetworkPolicyPort) model.Severity {
	everything := block.CIDR.Bits() == 0 && !leavesOutPrivate(block)
	switch {
	case layer == model.FilterIngress && everything:
		return ""
	case layer == model.FilterEgress && len(ports) > 0:
		return model.Info
	default:
		return model.Warning
	}
}

// ruleOf is the path of the rule that a peer is in.
func ruleOf(field string) string {
	for i := range field {
		if field[i] == ']' {
			return field[:i+1]
		}
	}
	return field
}

func blockText(b model.AddressBlock) string {
	text := b.CIDR.String()
	if len(b.Except) > 0 {
		text += fmt.Sprintf(" (except %s)", firstFew(prefixTexts(b.Except)))
	}
	return text
}

func prefixTexts(list []netip.Prefix) []string {
	texts := make([]string, len(list))
	for i, p := range list {
		texts[i] = p.String()
	}
	return texts
}

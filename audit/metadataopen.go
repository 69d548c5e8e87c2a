package audit

import (
	"fmt"
	"net/netip"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"

	"floe.dev/palisade/model"
)

// metadataPort is where the metadata services of clouds answer.
const metadataPort = 80

// noPeer is why a rule without peers lets the metadata service be reached.
const noPeer = "the rule names no peer"

// deliberate is how many bits an IPv4 block has at least that is written for the
// metadata service itself, as identities of workloads need it on some clouds.
const deliberate = 24

// metadataOpen is a rule for egress through which pods reach the metadata service of
// the cloud, where egress is restricted otherwise. A rule that lets everything out is no restriction.
func metadataOpen() Kind {
	return Kind{
		Code: "MetadataOpen", Severities: []model.Severity{model.Warning, model.Info},
		Says: "a rule for egress lets pods reach the cloud's metadata service",
		Why:  "The service hands out credentials of the node or of the cloud's identity to whoever asks, so one captured pod may become the node.",
		Fix:  "add 169.254.169.254/32 to the except of the ipBlock",
		Find: findMetadataOpen,
	}
}

func findMetadataOpen(e *Evidence) []model.Finding {
	var found []model.Finding
	for i := range e.Policies {
		p := &e.Policies[i]
		if !p.isolates(model.FilterEgress) || sendsAnything(p) {
			continue
		}
		pods := slices.DeleteFunc(e.selected(p), e.sendsEverything)
		if len(pods) == 0 && len(e.selected(p)) > 0 {
			continue // another policy lets them send anything
		}
		eachRule(p, func(field string, layer model.FilterLayer, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) {
			if layer != model.FilterEgress || !namesPort(ports, model.TCP(metadataPort)) {
				return
			}
			if len(peers) == 0 {
				found = append(found, e.metadataFinding(p, field, model.Warning, noPeer, metadataAddresses(e)[0], pods))
				return
			}
			for j := range peers {
				if block := peers[j].IPBlock; block != nil {
					found = append(found, e.metadataIn(p, fmt.Sprintf("%s.to[%d].ipBlock", field, j), block, pods)...)
				}
			}
		})
	}
	return found
}

// metadataIn looks for the addresses of metadata services in a block.
func (e *Evidence) metadataIn(p *Policy, field string, block *networkingv1.IPBlock, pods []*model.Workload) []model.Finding {
	cidr, err := netip.ParsePrefix(block.CIDR)
	if err != nil {
		return nil
	}
	for _, a := range metadataAddresses(e) {
		if !inIPBlock(block, a) {
			continue
		}
		severity := model.Warning
		if a.BitLen()-cidr.Bits() <= 32-deliberate {
			severity = model.Info
		}
		return []model.Finding{e.metadataFinding(p, field, severity, "the block "+block.CIDR+" holds it", a, pods)}
	}
	return nil
}

func (e *Evidence) metadataFinding(p *Policy, field string, severity model.Severity, why string, a netip.Addr, pods []*model.Workload) model.Finding {
	whom := "the pods that it selects"
	if len(pods) > 0 {
		whom = named(pods)
	}
	fix := fmt.Sprintf("add %s to the except of the ipBlock", netip.PrefixFrom(a, a.BitLen()))
	switch {
	case severity == model.Info:
		fix = "keep it only where the pods get an identity of their own from that service"
	case why == noPeer:
		fix = "name the peers of the rule, and leave the metadata service out"
	}
	return metadataOpen().At(severity, p.Ref(), field,
		fmt.Sprintf("it lets %s reach the metadata service of the cloud at %s (%s), which hands out credentials", whom, a, why), fix)
}

// metadataAddresses are those at which metadata services answer; the IPv6 one counts
// where the cluster is known to use IPv6.
func metadataAddresses(e *Evidence) []netip.Addr {
	list := []netip.Addr{netip.AddrFrom4([4]byte{169, 254, 169, 254})}
	if e.State.Cluster.IPv6 {
		list = append(list, netip.MustParseAddr("fd00:ec2::254"))
	}
	return list
}

// sendsAnything tells whether a rule of a policy lets everything out.
func sendsAnything(p *Policy) bool {
	return slices.ContainsFunc(p.Spec.Egress, func(r networkingv1.NetworkPolicyEgressRule) bool { return len(r.To) == 0 && len(r.Ports) == 0 })
}

// sendsEverything tells whether policies let a workload send anything to anybody.
func (e *Evidence) sendsEverything(w *model.Workload) bool {
	f := e.filter(model.FilterEgress, w)
	return f != nil && slices.ContainsFunc(f.Rules, func(r model.FilterRule) bool { return opensAll(&r) })
}

// namesPort tells whether a rule with some ports is for a port; a name is none of an address.
func namesPort(ports []networkingv1.NetworkPolicyPort, port model.Port) bool {
	return len(ports) == 0 || slices.ContainsFunc(ports, func(p networkingv1.NetworkPolicyPort) bool {
		at, named := policyPort(&p)
		return !named && at.Contains(port.Protocol, port.Number)
	})
}

// inIPBlock tells whether a block holds an address.
func inIPBlock(block *networkingv1.IPBlock, a netip.Addr) bool {
	cidr, err := netip.ParsePrefix(block.CIDR)
	return err == nil && cidr.Contains(a) && !slices.ContainsFunc(block.Except, func(text string) bool {
		hole, err := netip.ParsePrefix(text)
		return err == nil && hole.Contains(a)
	})
}

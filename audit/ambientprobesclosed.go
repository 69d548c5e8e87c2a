package audit

import (
	"fmt"
	"net/netip"
	"slices"

	"go4.org/netipx"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// ambientProbesClosed is ambient pods with probes that policies isolate and that let in no
// connection from 169.254.7.127, under which the kubelet's probes come in ambient mode. CNIs
// exempt the node by its address and not by this one (istio#49277, #58531); those that
// exempt what the host sends whatever its address let the probes pass.
func ambientProbesClosed() Kind {
	return Kind{
		Code: "AmbientProbesClosed", Severities: []model.Severity{model.Error, model.Warning, model.Info},
		Says: "NetworkPolicies keep the kubelet's probes of ambient pods out",
		Why:  "In ambient mode probes come from 169.254.7.127 and not from the node, so the pods are restarted or never become ready.",
		Fix:  "allow ingress from the ipBlock 169.254.7.127/32 (for IPv6 fd16:9254:7127:1337:ffff::/80) to the ports of the probes",
		Find: findAmbientProbesClosed,
	}
}

func findAmbientProbesClosed(e *Evidence) []model.Finding {
	exempts := e.datapath().exemptsRewritten
	if exempts == yes {
		return nil
	}
	closed, narrow := &blamed{}, &blamed{}
	others := e.othersRead()
	for _, group := range e.isolatedFor(model.FilterIngress) {
		for _, w := range group.workloads {
			cause := e.isolator(group.filter)
			cause.Field = "spec.ingress"
			switch e.letsAmbientProbesIn(w, others) {
			case no:
				closed.add(cause, w)
			case unknown:
				narrow.add(cause, w)
			}
		}
	}
	var found []model.Finding
	for _, cause := range closed.causes {
		severity, how := model.Error, ""
		if exempts == unknown {
			severity, how = model.Warning, ", unless the CNI exempts all that the node sends"
		}
		found = append(found, e.closed(ambientProbesClosed(), severity, cause,
			fmt.Sprintf("the kubelet's probes of %s come from 169.254.7.127 in ambient mode, and no rule lets that address in: they fail%s", named(closed.of(cause)), how), ""))
	}
	for _, cause := range narrow.causes {
		found = append(found, e.closed(ambientProbesClosed(), model.Warning, cause,
			fmt.Sprintf("the kubelet's probes of %s come from fd16:9254:7127:1337:ffff:ffff:ffff:ffff in ambient mode, and that address alone is let in, which was reported not to do (istio#56484)", named(narrow.of(cause))), ""))
	}
	return found
}

// letsAmbientProbesIn tells whether the kubelet's probes of an ambient workload are let
// in, by the family of its pods: IPv4 unless the cluster has IPv6 alone. Of IPv6 the documented
// address was reported not to be enough, and blocks around it to do: then it is not known.
func (e *Evidence) letsAmbientProbesIn(w *model.Workload, others []*model.Object) fact {
	if w.Facts.Mode != model.ModeAmbient || len(w.Facts.ProbePorts) == 0 {
		return yes
	}
	wantsIPv6 := e.State.Cluster.IPv6 && !e.State.Cluster.IPv4
	if len(w.Addresses) > 0 {
		wantsIPv6 = w.Addresses[0].Is6()
	}
	for _, block := range w.Facts.ProbeSources {
		if block.Addr().Is6() != wantsIPv6 {
			continue
		}
		first, last := e.letsProbesIn(w, block.Addr(), others), e.letsProbesIn(w, netipx.PrefixLastIP(block), others)
		switch {
		case first && last, wantsIPv6 && e.letsProbesIn(w, lowProbeSource(), others):
			return yes
		case last:
			return unknown
		default:
			return no
		}
	}
	return yes
}

// lowProbeSource is the first address of the /80 around the documented one, whose lower half was reported to do.
func lowProbeSource() netip.Addr { return netip.MustParseAddr("fd16:9254:7127:1337:ffff::") }

// letsProbesIn tells whether an address reaches all ports of a workload's probes, or is named by a policy of another kind.
func (e *Evidence) letsProbesIn(w *model.Workload, source netip.Addr, others []*model.Object) bool {
	return mention(others, source.String()) || !slices.ContainsFunc(w.Facts.ProbePorts, func(port model.Port) bool {
		return e.takes(w, at(source), port).Decision == verdict.Refused
	})
}

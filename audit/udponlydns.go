package audit

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// dnsPort is where resolvers are called.
const dnsPort = 53

// udpOnlyDNS is a NetworkPolicy that opens DNS over UDP to pods that may not use
// TCP for it. Answers that do not fit a datagram come again over TCP (RFC 7766), so
// only long ones fail. Looked at are all policies of the pods together: another
// one may open TCP.
func udpOnlyDNS() Kind {
	return Kind{
		Code: "UDPOnlyDNS", Severities: []model.Severity{model.Warning},
		Says: "a NetworkPolicy opens DNS over UDP and not over TCP",
		Why:  "Answers that do not fit a datagram are asked for again over TCP, so names with many records fail while all others work.",
		Fix:  "allow port 53 with protocol TCP beside UDP",
		Find: findUDPOnlyDNS,
	}
}

func findUDPOnlyDNS(e *Evidence) []model.Finding {
	var found []model.Finding
	closed := map[model.Cause][]*model.Workload{}
	var order []model.Cause
	e.eachWorkload(func(w *model.Workload) {
		if e.State.Network == nil {
			return
		}
		f := e.State.Network.Egress(w)
		if f == nil || opensPort(f, corev1.ProtocolTCP) != nil {
			return
		}
		if rule := opensPort(f, corev1.ProtocolUDP); rule != nil {
			if closed[rule.Cause] == nil {
				order = append(order, rule.Cause)
			}
			closed[rule.Cause] = append(closed[rule.Cause], w)
		}
	})
	for _, cause := range order {
		found = append(found, udpOnlyDNS().At(model.Warning, cause.Object, cause.Field+".ports",
			fmt.Sprintf("it opens DNS over UDP alone to %s: answers that do not fit a datagram are asked for again over TCP, and get lost", named(closed[cause])), ""))
	}
	return found
}

// opensPort is the first rule of a filter that opens the port of DNS for a protocol, or nil.
func opensPort(f *model.Filter, protocol corev1.Protocol) *model.FilterRule {
	for i := range f.Rules {
		r := &f.Rules[i]
		if r.Effect != model.Allow {
			continue
		}
		if r.Ports == nil {
			return r
		}
		for _, p := range r.Ports {
			if p.Name == "" && p.Contains(protocol, dnsPort) {
				return r
			}
		}
	}
	return nil
}

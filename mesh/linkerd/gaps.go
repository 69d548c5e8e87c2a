package linkerd

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// gap is what leads connections to a workload around its proxy.
type gap struct {
	// ports are those left out; nil where it depends on who calls, which is not known.
	ports []model.Port
	cause model.Cause
}

// plainPorts are the proxy's own, which the redirection leaves alone.
var plainPorts = []model.Port{model.TCP(proxyTap), model.TCP(proxyAdmin)}

// gapsOf are the gaps of a workload. What the installation skips it skips for
// every port, declared or not, where no annotation says otherwise.
func (r *Reader) gapsOf(w *model.Workload) []gap {
	gaps := []gap{{plainPorts, model.Cause{Message: "the port is the proxy's own, in plaintext by design"}}}
	_, _, said := annotation(w, skipInbound)
	for _, b := range w.Facts.Bypasses {
		if b.Inbound && (said || b.Ports == nil) {
			gaps = append(gaps, gap{b.Ports, causeAt(w, b.Field, b.Message)})
		}
	}
	if skipped := r.dialect.mesh.Linkerd.SkipInboundPorts; !said && len(skipped) > 0 {
		gaps = append(gaps, gap{skipped, model.Cause{
			Message: fmt.Sprintf("the installation leads connections to %s of every pod around the proxy (proxyInit.ignoreInboundPorts): plaintext, without any policy", joinPorts(skipped)),
		}})
	}
	return gaps
}

// causeAt names a field of a workload's pods, or of the namespace that it has it from.
func causeAt(w *model.Workload, field, message string) model.Cause {
	if of, found := strings.CutPrefix(field, "namespace."); found {
		home := model.Namespace{Name: w.ID.Namespace}
		return model.Cause{Object: home.Ref(), Field: of, Message: message}
	}
	return model.Cause{Object: w.Ref(), Field: w.TemplatePath() + field, Message: message}
}

// gapsKey is equal for gaps that lead to the same rules.
func gapsKey(gaps []gap) string {
	var b strings.Builder
	for _, g := range gaps[1:] { // the proxy's own ports are every workload's
		b.WriteString(" skips " + joinPorts(g.ports) + causeKey(g.cause))
	}
	return b.String()
}

func causeKey(c model.Cause) string { return " by " + c.Object.String() + " " + c.Field }

// otherProtocols is everything but TCP.
var otherProtocols = []model.PortTerm{{Port: model.Port{Protocol: corev1.ProtocolUDP}}, {Port: model.Port{Protocol: corev1.ProtocolSCTP}}}

// gapRules let through what never passes the proxy. They come first in its filter.
func gapRules(gaps []gap) []model.FilterRule {
	rules := []model.FilterRule{{
		Effect: model.Allow, Ports: otherProtocols,
		Cause: model.Cause{Message: "a mesh carries TCP only: neither mTLS nor authorization covers the port"},
	}}
	for _, g := range gaps {
		rule := model.FilterRule{Effect: model.Allow, Ports: portTerms(g.ports), Cause: g.cause}
		if g.ports == nil {
			rule.Ports, rule.Unknown = nil, g.cause.Message
		}
		rules = append(rules, rule)
	}
	return rules
}

func portTerms(ports []model.Port) []model.PortTerm {
	terms := make([]model.PortTerm, len(ports))
	for i, p := range ports {
		terms[i].Port = p
	}
	return terms
}

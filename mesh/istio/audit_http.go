package istio

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// httpOnZtunnel reports rules on requests for pods that ztunnel alone stands
// before. It knows connections only:
//
//   - a rule of ALLOW that looks at requests is dropped (pilot/pkg/serviceregistry/ambient/authorization.go, handleRule);
//   - a rule of DENY is held without what looks at requests, but a clause of which nothing
//     is left matches nothing, and the rule with it (ztunnel src/rbac.rs; istio#61126);
//   - the action CUSTOM is not known to it.
func (a *auditor) httpOnZtunnel(p *authorizationPolicy) {
	var pods []*model.Workload
	for _, w := range a.selected[p] {
		if w.Facts.Mode == model.ModeAmbient {
			pods = append(pods, w)
		}
	}
	if len(pods) == 0 || p.dryRun || len(p.spec.TargetRefs) > 0 {
		return
	}
	const fix = "give the pods' Services a waypoint, and attach the policy to it by spec.targetRefs"
	if p.spec.Action == "CUSTOM" {
		a.find("HTTPRuleOnZtunnel", model.Error, p.ref, "spec.action",
			fmt.Sprintf("ztunnel asks no external provider, and it alone stands before %s: the policy is not enforced there", model.Named(pods)), fix)
		return
	}
	if p.spec.Action != "ALLOW" && p.spec.Action != "DENY" {
		return
	}
	for i := range p.spec.Rules {
		rule := &p.spec.Rules[i]
		attributes := requestAttributes(rule)
		if len(attributes) == 0 {
			continue
		}
		message := fmt.Sprintf("only ztunnel stands before %s, and it sees no requests (%s): ", model.Named(pods), strings.Join(attributes, ", "))
		switch {
		case p.spec.Action == "ALLOW":
			message += "it drops the rule, and refuses what the rule would let in"
		case neverFires(rule):
			message += "nothing is left of what the rule looks at, so it never matches, and lets in what it would refuse"
		default:
			message += "it holds the rule without them, and refuses more than the rule says"
		}
		a.find("HTTPRuleOnZtunnel", model.Error, p.ref, fmt.Sprintf("spec.rules[%d]", i), message, fix)
	}
}

// requestAttributes are those of a rule that ztunnel does not know, by the names that istiod gives them.
func requestAttributes(rule *authorizationRule) []string {
	var names []string
	add := func(name string, lists ...[]string) {
		for _, list := range lists {
			if len(list) > 0 && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	for _, to := range rule.To {
		op := &to.Operation
		add("hosts", op.Hosts, op.NotHosts)
		add("methods", op.Methods, op.NotMethods)
		add("paths", op.Paths, op.NotPaths)
	}
	for _, from := range rule.From {
		s := &from.Source
		add("requestPrincipals", s.RequestPrincipals, s.NotRequestPrincipals)
		add("remoteIpBlocks", s.RemoteIPBlocks, s.NotRemoteIPBlocks)
	}
	for _, when := range rule.When {
		if !connectionKey(when.Key) {
			add(when.Key, []string{when.Key})
		}
	}
	return names
}

// connectionKey tells whether ztunnel knows the key of a condition.
func connectionKey(key string) bool {
	return slices.Contains([]string{"source.ip", "source.namespace", "source.principal", "destination.ip", "destination.port"}, key)
}

// neverFires tells whether ztunnel is left with a clause (from, to, or one condition) in which no
// part says anything: it takes such a clause for one that does not match.
func neverFires(rule *authorizationRule) bool {
	to := slices.ContainsFunc(rule.To, func(to ruleTo) bool {
		return len(to.Operation.Ports)+len(to.Operation.NotPorts) > 0
	})
	from := slices.ContainsFunc(rule.From, func(from ruleFrom) bool {
		return from.Source.onConnections() || len(from.Source.IPBlocks)+len(from.Source.NotIPBlocks) > 0
	})
	return len(rule.To) > 0 && !to || len(rule.From) > 0 && !from ||
		slices.ContainsFunc(rule.When, func(when condition) bool { return !connectionKey(when.Key) })
}

// onConnections tells whether a source says anything of identities, which ztunnel knows.
func (s *peerSource) onConnections() bool {
	return len(s.Principals)+len(s.NotPrincipals)+len(s.Namespaces)+len(s.NotNamespaces)+len(s.ServiceAccounts)+len(s.NotServiceAccounts) > 0
}

// httpOnTCP reports rules on requests for ports that Services declare as no HTTP, where a
// sidecar sees connections only: there a rule of ALLOW matches nothing, and one of
// DENY whatever its other parts match (istio.io/api security/v1beta1/authorization_policy.proto).
func (a *auditor) httpOnTCP(p *authorizationPolicy) {
	if p.dryRun || len(p.spec.TargetRefs) > 0 || p.spec.Action != "ALLOW" && p.spec.Action != "DENY" {
		return
	}
	var pods []*model.Workload
	for _, w := range a.selected[p] {
		if w.Facts.Mode == model.ModeSidecar && !isGateway(w) {
			pods = append(pods, w)
		}
	}
	for i := range p.spec.Rules {
		rule := &p.spec.Rules[i]
		operations := []requestOperation{{}}
		if len(rule.To) > 0 {
			operations = operations[:0]
			for _, to := range rule.To {
				operations = append(operations, to.Operation)
			}
		}
		for j := range operations {
			field := fmt.Sprintf("spec.rules[%d]", i)
			if len(rule.To) > 0 {
				field += fmt.Sprintf(".to[%d].operation", j)
			}
			if op := &operations[j]; op.requests() != "" || looksAtSender(rule) {
				a.operationOnTCP(p, rule, op, field, pods)
			}
		}
	}
}

// looksAtSender tells whether a rule looks at requests apart from its operations.
func looksAtSender(rule *authorizationRule) bool {
	for _, from := range rule.From {
		if len(from.Source.RequestPrincipals)+len(from.Source.NotRequestPrincipals) > 0 {
			return true
		}
	}
	return slices.ContainsFunc(rule.When, func(when condition) bool { return !when.empty() && strings.HasPrefix(when.Key, "request.") })
}

func (a *auditor) operationOnTCP(p *authorizationPolicy, rule *authorizationRule, op *requestOperation, field string, pods []*model.Workload) {
	var concerned []*model.Workload
	var ports []int32
	for _, w := range pods {
		e := a.enforcerOf(w)
		t := &ruleReader{Reader: a.Reader, policy: p, rule: rule, enforcer: &e}
		named := t.ports(everyTCP, op)
		blind := a.blindPorts(w, e.tcp, named)
		if len(blind) == 0 || p.spec.Action == "ALLOW" && a.seesSome(w, &e, named) {
			continue
		}
		concerned = append(concerned, w)
		for _, port := range blind {
			if !slices.Contains(ports, port) {
				ports = append(ports, port)
			}
		}
	}
	if len(concerned) == 0 {
		return
	}
	slices.Sort(ports)
	where := fmt.Sprintf("%s of %s", portsOf(ports), model.Named(concerned))
	if p.spec.Action == "ALLOW" {
		a.find("HTTPRuleOnTCPPort", model.Error, p.ref, field,
			"Services declare "+where+" as no HTTP, so the proxy sees no requests there: the rule never matches there, and lets in nobody", "name the Service's port http or http2 (or set appProtocol), or drop what the rule says of requests")
		return
	}
	a.find("HTTPRuleOnTCPPort", model.Error, p.ref, field,
		"Services declare "+where+" as no HTTP, so the proxy sees no requests there and holds the rule without them: it refuses every connection of those whom the rule is for",
		"limit the rule to the ports that carry HTTP (ports), or leave the others out (notPorts)")
}

// blindPorts are the ports of a rule on which a proxy sees no requests.
func (a *auditor) blindPorts(w *model.Workload, tcp []int32, named ranges) []int32 {
	var blind []int32
	for _, port := range tcp {
		if len(named.only([]int32{port})) > 0 && captured(w, port) {
			blind = append(blind, port)
		}
	}
	return blind
}

// seesSome tells whether some port of a rule may carry requests: one that it names, or one on which the pods are known to listen.
func (a *auditor) seesSome(w *model.Workload, e *enforcer, named ranges) bool {
	left := named.without(e.tcp)
	if len(left) == 0 {
		return false
	}
	if !slices.Equal(named, everyTCP) {
		return true
	}
	known := slices.Concat(e.http, e.disputed)
	for _, p := range w.ContainerPorts() {
		if p.Protocol == corev1.ProtocolTCP {
			known = append(known, p.Number)
		}
	}
	for port, carried := range a.carriedTo(w) {
		if carried == sniffed {
			known = append(known, port)
		}
	}
	return slices.ContainsFunc(known, func(port int32) bool { return len(left.only([]int32{port})) > 0 && !slices.Contains(ownPorts(w), port) })
}

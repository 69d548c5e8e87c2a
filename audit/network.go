package audit

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// isolated are workloads that the same policies isolate in one direction, so that all of these share a filter.
type isolated struct {
	filter    *model.Filter
	workloads []*model.Workload
}

// isolatedFor lists the workloads that policies isolate in a direction, model.FilterEgress or model.FilterIngress.
func (e *Evidence) isolatedFor(layer model.FilterLayer) []isolated {
	if e.State.Network == nil {
		return nil
	}
	var all []isolated
	numbers := map[*model.Filter]int{}
	e.eachWorkload(func(w *model.Workload) {
		f := e.filter(layer, w)
		if f == nil {
			return
		}
		n, known := numbers[f]
		if !known {
			n = len(all)
			numbers[f] = n
			all = append(all, isolated{filter: f})
		}
		all[n].workloads = append(all[n].workloads, w)
	})
	return all
}

// filter is what policies hold for a workload in a direction; nil where none isolates it.
func (e *Evidence) filter(layer model.FilterLayer, w *model.Workload) *model.Filter {
	switch {
	case e.State.Network == nil:
		return nil
	case layer == model.FilterEgress:
		return e.State.Network.Egress(w)
	default:
		return e.State.Network.Ingress(w)
	}
}

// network is what the policies of both ends say to a connection, whatever a mesh makes of it.
func (e *Evidence) network(from, to verdict.End, port model.Port) (egress, ingress verdict.Answer) {
	state := e.State
	state.Mesh = nil
	for _, a := range verdict.Explain(state, verdict.Question{From: from, To: to, Port: port}).Answers {
		switch a.Layer {
		case model.FilterEgress:
			egress = a
		case model.FilterIngress:
			ingress = a
		}
	}
	return egress, ingress
}

// sends is what the policies of a workload say to what it sends.
func (e *Evidence) sends(w *model.Workload, to verdict.End, port model.Port) verdict.Answer {
	egress, _ := e.network(verdict.End{Workload: w}, to, port)
	return egress
}

// takes is what the policies of a workload say to what is sent to it.
func (e *Evidence) takes(w *model.Workload, from verdict.End, port model.Port) verdict.Answer {
	_, ingress := e.network(from, verdict.End{Workload: w}, port)
	return ingress
}

// at is an address as the end of a connection.
func at(a netip.Addr) verdict.End { return verdict.End{Address: a} }

// isolator is the policy to name for an isolation: one for all pods of the namespace
// where there is one, and of several such one without rules of its own; else the first.
func (e *Evidence) isolator(f *model.Filter) model.Cause {
	best, rank := f.Because[0], 0
	for _, cause := range f.Because {
		p := e.Policy(cause.Object)
		if p == nil || !model.IsEverything(&p.Spec.PodSelector) {
			continue
		}
		if slices.ContainsFunc(f.Rules, func(r model.FilterRule) bool { return r.Cause.Object == cause.Object }) {
			if rank < 1 {
				best, rank = cause, 1
			}
			continue
		}
		return cause
	}
	return best
}

// opensNothing tells that no rule of a filter lets anything through.
func opensNothing(f *model.Filter) bool {
	return !slices.ContainsFunc(f.Rules, func(r model.FilterRule) bool {
		return r.Effect == model.Allow && (r.Peers == nil || len(r.Peers) > 0) && (r.Ports == nil || len(r.Ports) > 0)
	})
}

// opensAll tells whether a rule lets everybody through on every port.
func opensAll(r *model.FilterRule) bool {
	return r.Effect == model.Allow && r.Unknown == "" && r.Peers == nil && r.Ports == nil
}

// holdsPort tells whether a rule is for a port of a server, which is nil for an address.
func holdsPort(r *model.FilterRule, port model.Port, server *model.Workload) bool {
	if r.Ports == nil {
		return true
	}
	return slices.ContainsFunc(r.Ports, func(t model.PortTerm) bool {
		p := t.Port
		if t.Name != "" {
			if server == nil {
				return false
			}
			if p.Number = server.PortNamed(t.Name, t.Protocol); p.Number == 0 {
				return false
			}
		}
		return p.Contains(port.Protocol, port.Number)
	})
}

// namesAddresses tells whether a rule lets some addresses through on a port, or everybody.
func namesAddresses(r *model.FilterRule, port model.Port, server *model.Workload) bool {
	return r.Effect == model.Allow && holdsPort(r, port, server) &&
		(r.Peers == nil || slices.ContainsFunc(r.Peers, func(t model.Term) bool { return t.In != nil }))
}

// crowd is a set of workloads in the order of their coming.
type crowd struct {
	list []*model.Workload
	in   map[*model.Workload]bool
}

func (c *crowd) add(w *model.Workload) {
	if c.in == nil {
		c.in = map[*model.Workload]bool{}
	}
	if !c.in[w] {
		c.in[w] = true
		c.list = append(c.list, w)
	}
}

// blamed collects workloads by the part of an object that is to blame, in the order of their coming.
type blamed struct {
	causes []model.Cause
	crowds map[model.Cause]*crowd
}

// add notes a workload once.
func (b *blamed) add(cause model.Cause, w *model.Workload) {
	if b.crowds == nil {
		b.crowds = map[model.Cause]*crowd{}
	}
	if b.crowds[cause] == nil {
		b.causes = append(b.causes, cause)
		b.crowds[cause] = &crowd{}
	}
	b.crowds[cause].add(w)
}

// of are the workloads of a cause.
func (b *blamed) of(cause model.Cause) []*model.Workload { return b.crowds[cause].list }

// eachRule visits the rules of a policy, with their paths; peers and ports are as in the manifest.
func eachRule(p *Policy, visit func(field string, layer model.FilterLayer, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort)) {
	for i := range p.Spec.Ingress {
		visit(fmt.Sprintf("spec.ingress[%d]", i), model.FilterIngress, p.Spec.Ingress[i].From, p.Spec.Ingress[i].Ports)
	}
	for i := range p.Spec.Egress {
		visit(fmt.Sprintf("spec.egress[%d]", i), model.FilterEgress, p.Spec.Egress[i].To, p.Spec.Egress[i].Ports)
	}
}

// isolates tells whether a policy isolates in a direction. The API server fills in
// the types that a manifest leaves out, and reading does so as well.
func (p *Policy) isolates(layer model.FilterLayer) bool {
	if layer == model.FilterEgress {
		return slices.Contains(p.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
	}
	return slices.Contains(p.Spec.PolicyTypes, networkingv1.PolicyTypeIngress)
}

// selected are the workloads that a policy holds for. Policies do not find pods on their node's network.
func (e *Evidence) selected(p *Policy) []*model.Workload {
	var found []*model.Workload
	for _, w := range e.workloadsIn(p.Namespace) {
		if !w.Spec.HostNetwork && mayBear(w, &p.Spec.PodSelector) {
			found = append(found, w)
		}
	}
	return found
}

// workloadsIn are the workloads of a namespace, those among them that a mesh runs for objects.
func (e *Evidence) workloadsIn(namespace string) []*model.Workload {
	all := e.State.Workloads
	i, _ := slices.BinarySearchFunc(all, namespace, func(w model.Workload, namespace string) int {
		if w.ID.Namespace < namespace {
			return -1
		}
		return 1
	})
	var found []*model.Workload
	for ; i < len(all) && all[i].ID.Namespace == namespace; i++ {
		found = append(found, &all[i])
	}
	return found
}

func portTexts(ports []model.Port) string {
	const most = 5
	var texts []string
	for i, p := range ports {
		if i == most {
			texts = append(texts, fmt.Sprintf("%d more", len(ports)-most))
			break
		}
		texts = append(texts, p.String())
	}
	return strings.Join(texts, ", ")
}

// firstFew joins texts: the first few, and how many more.
func firstFew(texts []string) string {
	const most = 3
	shown := slices.Clone(texts[:min(len(texts), most)])
	if rest := len(texts) - most; rest > 0 {
		shown = append(shown, fmt.Sprintf("%d more", rest))
	}
	return strings.Join(shown, ", ")
}

// policyPort is a port of a policy; named tells that it is one by name, which stands in StrVal.
func policyPort(p *networkingv1.NetworkPolicyPort) (port model.Port, named bool) {
	port.Protocol = model.ProtocolOr("")
	if p.Protocol != nil {
		port.Protocol = model.ProtocolOr(*p.Protocol)
	}
	switch {
	case p.Port == nil:
	case p.Port.Type == intstr.String:
		return port, true
	default:
		port.Number = p.Port.IntVal
		if p.EndPort != nil {
			port.End = *p.EndPort
		}
	}
	return port, false
}

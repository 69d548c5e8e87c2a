package plan

import (
	"cmp"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// Basis is why a connection is thought to be in use.
type Basis string

// The bases, from the surest.
const (
	// Declared is declared by a rule of the intent.
	Declared Basis = "declared"
	// Referenced is a Service that the client's environment, command or arguments name.
	Referenced Basis = "referenced"
	// Possible is over a Service, and nothing tells whether anybody uses it.
	Possible Basis = "possible"
)

// Severity is how much it matters that such a connection ends.
func (b Basis) Severity() model.Severity {
	switch b {
	case Declared:
		return model.Error
	case Referenced:
		return model.Warning
	default:
		return model.Info
	}
}

// Outcome is what becomes of a connection that is let through now.
type Outcome string

// The outcomes.
const (
	// Refused is refused by a policy.
	Refused Outcome = "denied"
	// Broken fails between the proxies: the client does not speak what the server takes.
	Broken Outcome = "broken"
	// Limited lets some requests through only.
	Limited Outcome = "limited"
	// Unclear cannot be told: something that decides is not known.
	Unclear Outcome = "unknown"
)

// Impact is connections to one port of one server that are let through now and
// will not be, or not wholly, once the plan is carried out; in namespaces whose profile
// only observes, once it enforces.
type Impact struct {
	Basis   Basis
	Outcome Outcome
	Clients Clients
	Server  verdict.Peer
	Port    model.Port
	// Services lead to the port, "namespace/name:port", sorted.
	Services []string
	// Before is how the connections are protected now, sorted.
	Before []verdict.Protection
	// Example is one of the connections as it will be, with the rules that decide. Others of a Possible
	// impact may be refused by other rules.
	Example verdict.Explanation
	// Origins are the rules that declare it, sorted; empty unless it is Declared.
	Origins []string
}

// Clients are the peers that lose a connection.
type Clients struct {
	// Workloads are "namespace/Kind/name", or "namespace/*" for all of a namespace; sorted.
	Workloads []string
	// All has every workload instead, but for those of Except, in the same form.
	All    bool
	Except []string
	// Addresses are ranges outside of the cluster, sorted.
	Addresses []netip.Prefix
	// Count is how many peers they are.
	Count int
}

// SetImpact adds to a plan what it would end, and the problems met in judging that.
func (p *Plan) SetImpact(list []Impact, problems []model.Problem) {
	p.Impact = append([]Impact{}, list...)
	for i := range list {
		switch list[i].Basis {
		case Declared:
			p.Summary.Impact.Declared++
		case Referenced:
			p.Summary.Impact.Referenced++
		default:
			p.Summary.Impact.Possible++
		}
	}
	for _, problem := range problems {
		if !slices.Contains(p.Problems, problem) {
			p.Problems = append(p.Problems, problem)
			p.Summary.Problems.Add(problem.Severity)
		}
	}
	slices.SortFunc(p.Problems, model.CompareProblems)
}

// Impacts compares what is let through in two states of a model's cluster, and
// lists what ends: declared connections, and those over Services, the surest first.
func Impacts(m *model.Model, before, after verdict.Input) []Impact {
	d := verdict.Compare(before, after)
	i := &impacts{d: d, after: after, peers: d.Peers(), bundles: d.Bundles(), number: map[model.WorkloadID]int{}, judged: map[model.WorkloadID]*model.Workload{}}
	for k := range after.Workloads {
		i.judged[after.Workloads[k].ID] = &after.Workloads[k]
	}
	for k, p := range i.peers {
		if p.Workload != nil {
			i.number[p.Workload.ID] = k
		}
	}
	i.crowds = newCrowds(d)
	i.readFlows(m)
	i.readReferences(m)
	for bundle := range i.bundles {
		i.servers(bundle)
	}
	slices.SortStableFunc(i.list, func(a, b Impact) int {
		return cmp.Or(cmp.Compare(b.Basis.Severity().Rank(), a.Basis.Severity().Rank()), model.CompareWorkloadIDs(a.Server.Workload.ID, b.Server.Workload.ID),
			model.ComparePorts(a.Port, b.Port), cmp.Compare(b.Clients.Count, a.Clients.Count), cmp.Compare(a.Example.Question.From.ID(), b.Example.Question.From.ID()))
	})
	return i.list
}

// impacts gathers the impacts of one comparison.
type impacts struct {
	d       *verdict.Difference
	after   verdict.Input
	peers   []verdict.Peer
	bundles []verdict.Bundle
	// number finds a workload among the peers, judged as the second state knows it.
	number map[model.WorkloadID]int
	judged map[model.WorkloadID]*model.Workload
	// flows are those that the intent declares, by their server; callers those whose manifests name a Service.
	flows   map[int][]declaration
	callers map[[2]string][]int
	crowds  crowds
	list    []Impact
}

// declaration is a flow from one client.
type declaration struct {
	client int
	ports  []model.Port
	origin string
	// requests tells that the flow is meant for some requests only.
	requests bool
}

func (i *impacts) readFlows(m *model.Model) {
	i.flows = map[int][]declaration{}
	for k := range m.Flows {
		f := &m.Flows[k]
		if f.Client.Kind != model.PeerPods || f.Server.Kind != model.PeerPods || f.Base {
			continue
		}
		for _, server := range f.Server.Workloads {
			to, there := i.number[server]
			if !there {
				continue
			}
			for _, client := range f.Client.Workloads {
				if from, there := i.number[client]; there && from != to {
					i.flows[to] = append(i.flows[to], declaration{from, f.Ports, f.Origin.String(), len(f.HTTP) > 0})
				}
			}
		}
	}
}

func (i *impacts) readReferences(m *model.Model) {
	i.callers = map[[2]string][]int{}
	services := newServiceIndex(m)
	for k := range i.peers {
		if w := i.peers[k].Workload; w != nil {
			for _, s := range services.namedBy(w) {
				i.callers[[2]string{s.Namespace, s.Name}] = append(i.callers[[2]string{s.Namespace, s.Name}], k)
			}
		}
	}
}

// ends tells whether a change takes something away from a connection that is let through.
func ends(d verdict.Delta) bool {
	return d.Before != nil && d.Before.Standing != verdict.Unknown && (d.After == nil || d.After.Standing > d.Before.Standing)
}

// servedPort is a port of a server, and the Services that lead to it.
type servedPort struct {
	model.Port
	services []*model.Service
	names    []string
}

// servers takes the changes at the servers of a bundle.
func (i *impacts) servers(bundle int) {
	if i.peers[i.bundles[bundle][0]].Workload == nil {
		return
	}
	runs := slices.DeleteFunc(i.d.To(bundle), func(r verdict.DeltaRun) bool { return !slices.ContainsFunc(r.Deltas, ends) })
	if len(runs) == 0 {
		return
	}
	for _, to := range i.bundles[bundle] {
		w := i.peers[to].Workload
		if i.judged[w.ID] == nil {
			continue // a waypoint that is there no more
		}
		for _, port := range i.portsOf(to, w) {
			i.port(to, port, runs)
		}
	}
}

// portsOf are the ports of a server that a Service leads to, and those that flows declare.
func (i *impacts) portsOf(to int, w *model.Workload) []servedPort {
	var ports []servedPort
	add := func(p model.Port) *servedPort {
		at := slices.IndexFunc(ports, func(o servedPort) bool { return o.Port == p })
		if at < 0 {
			at = len(ports)
			ports = append(ports, servedPort{Port: p})
		}
		return &ports[at]
	}
	for _, s := range w.Services {
		for j := range s.Ports {
			if p, ok := model.TargetPort(w, &s.Ports[j]); ok {
				port := add(p)
				port.services = append(port.services, s)
				port.names = append(port.names, serviceName(s, s.Ports[j].Port))
			}
		}
	}
	for _, d := range i.flows[to] {
		for _, p := range d.ports {
			if p.Number != 0 && p.Last() == p.Number {
				add(model.Port{Protocol: p.Protocol, Number: p.Number})
			}
		}
	}
	return ports
}

// port parts the clients that lose one port by how surely they use it.
func (i *impacts) port(to int, port servedPort, runs []verdict.DeltaRun) {
	lost := losing(runs, port.Port)
	if len(lost) == 0 {
		return
	}
	surely := []int{to}
	for _, from := range i.users(to, &port) {
		delta := at(lost, i.d.BundleOf(from))
		if delta == nil || i.judged[i.peers[from].Workload.ID] == nil {
			continue
		}
		surely = append(surely, from)
		if origins, requests := i.declarations(from, to, port.Port); len(origins) > 0 {
			if !requests || delta.After == nil {
				i.surely(Declared, from, to, port, delta, origins)
			}
			continue
		}
		i.surely(Referenced, from, to, port, delta, nil)
	}
	if len(port.services) > 0 {
		i.possibly(to, port, lost, surely)
	}
}

// loss is what the clients of some bundles lose on a port.
type loss struct {
	first, last int
	delta       *verdict.Delta
}

// losing are the clients that lose a port.
func losing(runs []verdict.DeltaRun, port model.Port) []loss {
	var list []loss
	for _, r := range runs {
		for k := range r.Deltas {
			if d := &r.Deltas[k]; ends(*d) && d.Before.Covers(port) {
				list = append(list, loss{r.First, r.Last, d})
				break
			}
		}
	}
	return list
}

// at is what one bundle loses, or nil.
func at(lost []loss, bundle int) *verdict.Delta {
	k, found := slices.BinarySearchFunc(lost, bundle, func(l loss, b int) int {
		switch {
		case l.last <= b:
			return -1
		case l.first > b:
			return 1
		default:
			return 0
		}
	})
	if !found {
		return nil
	}
	return lost[k].delta
}

// users are the clients that are known to use a port: by a flow, or by their manifests.
func (i *impacts) users(to int, port *servedPort) []int {
	var users []int
	for _, d := range i.flows[to] {
		if slices.ContainsFunc(d.ports, func(p model.Port) bool { return p.Contains(port.Protocol, port.Number) }) {
			users = append(users, d.client)
		}
	}
	for _, s := range port.services {
		for _, from := range i.callers[[2]string{s.Namespace, s.Name}] {
			if from != to {
				users = append(users, from)
			}
		}
	}
	slices.Sort(users)
	return slices.Compact(users)
}

// declarations are the rules that declare a call, and whether all of them are for some requests only.
func (i *impacts) declarations(from, to int, port model.Port) (origins []string, requests bool) {
	requests = true
	for _, d := range i.flows[to] {
		if d.client == from && slices.ContainsFunc(d.ports, func(p model.Port) bool { return p.Contains(port.Protocol, port.Number) }) {
			origins = append(origins, d.origin)
			requests = requests && d.requests
		}
	}
	slices.Sort(origins)
	return slices.Compact(origins), requests
}

// surely adds a connection that is known to be used.
func (i *impacts) surely(basis Basis, from, to int, port servedPort, d *verdict.Delta, origins []string) {
	example := i.explain(from, to, &port)
	i.list = append(i.list, Impact{
		Basis: basis, Outcome: outcomeOf(&example), Server: i.peers[to], Port: port.Port, Services: port.names, Before: []verdict.Protection{d.Before.Protection},
		Clients: Clients{Workloads: []string{i.peers[from].ID()}, Count: 1}, Example: example, Origins: origins,
	})
}

// possibly adds the clients of a port that may use it: all that lose it but those that surely do, and the server.
func (i *impacts) possibly(to int, port servedPort, lost []loss, but []int) {
	clients, example := i.crowds.clients(lost, but, slices.ContainsFunc(port.services, reachedFromOutside))
	if clients.Count == 0 {
		return
	}
	var before []verdict.Protection
	for _, l := range lost {
		if !slices.Contains(before, l.delta.Before.Protection) {
			before = append(before, l.delta.Before.Protection)
		}
	}
	slices.Sort(before)
	told := i.explain(example, to, &port)
	i.list = append(i.list, Impact{
		Basis: Possible, Outcome: outcomeOf(&told), Server: i.peers[to], Port: port.Port, Services: port.names, Before: before, Clients: clients, Example: told,
	})
}

func (i *impacts) explain(from, to int, port *servedPort) verdict.Explanation {
	return verdict.Explain(i.after, verdict.Question{From: i.end(from), To: i.end(to), Port: port.Port, OverService: len(port.services) > 0})
}

// reachedFromOutside tells whether addresses outside of the cluster get to a Service.
func reachedFromOutside(s *model.Service) bool {
	return s.Type == corev1.ServiceTypeLoadBalancer || s.Type == corev1.ServiceTypeNodePort
}

// end is a peer as the end of one connection.
func (i *impacts) end(p int) verdict.End {
	if w := i.peers[p].Workload; w != nil {
		return verdict.End{Workload: i.judged[w.ID]}
	}
	return verdict.End{Address: i.peers[p].CIDRs[0].Addr()}
}

// outcomeOf is what the first layer that does not let a connection through makes of it.
func outcomeOf(e *verdict.Explanation) Outcome {
	switch e.Decision {
	case verdict.Partial, verdict.Open:
		return Limited
	case verdict.Unclear:
		return Unclear
	}
	for k := range e.Answers {
		if a := &e.Answers[k]; a.Decision == verdict.Refused {
			if a.Layer == model.FilterTransport || a.Layer == model.FilterMTLS {
				return Broken
			}
			break
		}
	}
	return Refused
}

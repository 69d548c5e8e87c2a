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
	i := &impacts{m: m, after: after, peers: d.Peers(), services: newServiceIndex(m), named: map[*model.Workload][]*model.Service{}, crowds: newCrowds(d.Peers()), judged: map[model.WorkloadID]*model.Workload{}, possible: map[target]*crowd{}}
	i.declared = declaredFlows(m)
	for k := range after.Workloads {
		i.judged[after.Workloads[k].ID] = &after.Workloads[k]
	}
	for _, g := range d.Groups() {
		i.group(&g)
	}
	for _, key := range i.order {
		i.possibly(key, i.possible[key])
	}
	slices.SortStableFunc(i.list, func(a, b Impact) int {
		return cmp.Or(cmp.Compare(b.Basis.Severity().Rank(), a.Basis.Severity().Rank()), model.CompareWorkloadIDs(a.Server.Workload.ID, b.Server.Workload.ID),
			model.ComparePorts(a.Port, b.Port), cmp.Compare(b.Clients.Count, a.Clients.Count))
	})
	return i.list
}

// impacts gathers the impacts of one comparison.
type impacts struct {
	m        *model.Model
	after    verdict.Input
	peers    []verdict.Peer
	services *serviceIndex
	named    map[*model.Workload][]*model.Service
	declared map[pair][]declaration
	crowds   crowds
	// judged are the workloads as the second state knows them.
	judged map[model.WorkloadID]*model.Workload
	// possible gathers the clients of every port over all changes, in the order in which ports come.
	possible map[target]*crowd
	order    []target
	list     []Impact
}

// target is a port of a server, by its number among the peers.
type target struct {
	to   int
	port model.Port
}

// crowd is clients that may use a port.
type crowd struct {
	served servedPort
	from   []int
	before []verdict.Protection
}

// pair is a client and a server.
type pair struct{ client, server model.WorkloadID }

// declaration is a flow between a pair.
type declaration struct {
	ports  []model.Port
	origin string
	// requests tells that the flow is meant for some requests only.
	requests bool
}

// declaredFlows are those of the intent between workloads.
func declaredFlows(m *model.Model) map[pair][]declaration {
	flows := map[pair][]declaration{}
	for i := range m.Flows {
		f := &m.Flows[i]
		if f.Client.Kind != model.PeerPods || f.Server.Kind != model.PeerPods || f.Base {
			continue
		}
		for _, client := range f.Client.Workloads {
			for _, server := range f.Server.Workloads {
				flows[pair{client, server}] = append(flows[pair{client, server}], declaration{f.Ports, f.Origin.String(), len(f.HTTP) > 0})
			}
		}
	}
	return flows
}

// group takes the changes between some clients and some servers.
func (i *impacts) group(g *verdict.DeltaGroup) {
	if !slices.ContainsFunc(g.Deltas, ends) {
		return
	}
	for _, to := range g.To {
		server := i.peers[to]
		if server.Workload == nil || i.judged[server.Workload.ID] == nil {
			continue // it is an address, or a waypoint that is there no more
		}
		for _, port := range i.portsOf(g, server.Workload) {
			at := slices.IndexFunc(g.Deltas, func(d verdict.Delta) bool { return ends(d) && d.Before.Covers(port.Port) })
			if at >= 0 {
				i.port(g, to, port, &g.Deltas[at])
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

// portsOf are the ports of a server that a Service leads to, or that a flow declares for one of the clients.
func (i *impacts) portsOf(g *verdict.DeltaGroup, w *model.Workload) []servedPort {
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
	if len(i.declared) > 0 {
		for _, from := range g.From {
			if client := i.peers[from].Workload; client != nil {
				for _, d := range i.declared[pair{client.ID, w.ID}] {
					for _, p := range d.ports {
						if p.Number != 0 && p.Last() == p.Number {
							add(model.Port{Protocol: p.Protocol, Number: p.Number})
						}
					}
				}
			}
		}
	}
	return ports
}

// port parts the clients of one port by how surely they use it.
func (i *impacts) port(g *verdict.DeltaGroup, to int, port servedPort, d *verdict.Delta) {
	server := i.peers[to]
	for _, from := range g.From {
		client := i.peers[from].Workload
		if from == to || client != nil && i.judged[client.ID] == nil {
			continue
		}
		if client != nil {
			if origins, requests := i.declarations(client, server.Workload, port.Port); len(origins) > 0 {
				if !requests || d.After == nil {
					i.surely(Declared, from, to, port, d, origins)
				}
				continue
			}
			if i.references(client, port.services) {
				i.surely(Referenced, from, to, port, d, nil)
				continue
			}
		}
		if client != nil && len(port.services) > 0 || slices.ContainsFunc(port.services, reachedFromOutside) {
			i.crowd(target{to, port.Port}, port, from, d.Before.Protection)
		}
	}
}

// crowd keeps a client that may use a port.
func (i *impacts) crowd(at target, port servedPort, from int, before verdict.Protection) {
	c := i.possible[at]
	if c == nil {
		c = &crowd{served: port}
		i.possible[at] = c
		i.order = append(i.order, at)
	}
	c.from = append(c.from, from)
	if !slices.Contains(c.before, before) {
		c.before = append(c.before, before)
	}
}

// surely adds a connection that is known to be used.
func (i *impacts) surely(basis Basis, from, to int, port servedPort, d *verdict.Delta, origins []string) {
	example := i.explain(from, to, &port)
	i.list = append(i.list, Impact{
		Basis: basis, Outcome: outcomeOf(&example), Server: i.peers[to], Port: port.Port, Services: port.names, Before: []verdict.Protection{d.Before.Protection},
		Clients: i.crowds.clients([]int{from}, to), Example: example, Origins: origins,
	})
}

// possibly adds the clients of a port that may use it.
func (i *impacts) possibly(at target, c *crowd) {
	slices.Sort(c.from)
	slices.Sort(c.before)
	example := i.explain(c.from[0], at.to, &c.served)
	i.list = append(i.list, Impact{
		Basis: Possible, Outcome: outcomeOf(&example), Server: i.peers[at.to], Port: at.port, Services: c.served.names, Before: c.before,
		Clients: i.crowds.clients(c.from, at.to), Example: example,
	})
}

func (i *impacts) explain(from, to int, port *servedPort) verdict.Explanation {
	return verdict.Explain(i.after, verdict.Question{From: i.end(from), To: i.end(to), Port: port.Port, OverService: len(port.services) > 0})
}

// reachedFromOutside tells whether addresses outside of the cluster get to a Service.
func reachedFromOutside(s *model.Service) bool {
	return s.Type == corev1.ServiceTypeLoadBalancer || s.Type == corev1.ServiceTypeNodePort
}

// declarations are the rules that declare a call, and whether all of them are for some requests only.
func (i *impacts) declarations(client, server *model.Workload, port model.Port) (origins []string, requests bool) {
	requests = true
	for _, d := range i.declared[pair{client.ID, server.ID}] {
		if slices.ContainsFunc(d.ports, func(p model.Port) bool { return p.Contains(port.Protocol, port.Number) }) {
			origins = append(origins, d.origin)
			requests = requests && d.requests
		}
	}
	slices.Sort(origins)
	return slices.Compact(origins), requests
}

func (i *impacts) references(client *model.Workload, services []*model.Service) bool {
	if len(services) == 0 {
		return false
	}
	named, known := i.named[client]
	if !known {
		named = i.services.namedBy(client)
		i.named[client] = named
	}
	return slices.ContainsFunc(named, func(n *model.Service) bool {
		return slices.ContainsFunc(services, func(s *model.Service) bool { return s.Namespace == n.Namespace && s.Name == n.Name })
	})
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

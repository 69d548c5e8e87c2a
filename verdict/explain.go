package verdict

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// Decision is what becomes of one connection.
type Decision uint8

// The decisions, from no to yes.
const (
	// Refused is not let through.
	Refused Decision = iota
	// Unclear may be let through or not: something that decides is not known.
	Unclear
	// Partial lets some requests through, and others not.
	Partial
	// Open is let through.
	Open
)

// String is as in JSON.
func (d Decision) String() string { return [...]string{"denied", "unknown", "partial", "allowed"}[d] }

// End is one end of a connection: a workload, or an address outside of the cluster's workloads.
type End struct {
	Workload *model.Workload
	Address  netip.Addr
}

// Question is one connection: a single port of the server, as it listens.
type Question struct {
	From, To End
	Port     model.Port
	// OverService leaves out the way of a client who dials the address of a pod:
	// what becomes of the connection is asked for who calls a Service.
	OverService bool
}

// Explanation is the verdict on one connection, with the answer of every layer.
type Explanation struct {
	Question   Question
	Decision   Decision
	Protection Protection
	// Identity is what the client is authenticated as by the server, or by the waypoint in between; zero for nobody.
	Identity model.Identity
	// Answers are those of the layers, in the order in which the connection meets them.
	Answers []Answer
}

// Answer is what one layer says.
type Answer struct {
	Layer model.FilterLayer
	// At is the workload whose objects decide; nil where it is an address.
	At *model.Workload
	// Dialled is the port that the layer sees, where it is not the one that was asked for.
	Dialled  model.Port
	Decision Decision
	// Silent tells that the layer has no opinion: nothing selects the workload.
	Silent bool
	// NoRule tells that no rule settled it, and Causes end with the objects that make this the answer.
	NoRule bool
	// Causes are the rules that decide. Several do where each matches a part of the requests, or may match.
	Causes []model.Cause
}

// Explain walks one connection through all layers. Of several ways that it may
// take, the first that is let through is told, else the first.
func Explain(in Input, q Question) Explanation {
	j := judge{in: in, q: q}
	best := Explanation{Question: q}
	ways := j.ways()
	if len(ways) == 0 {
		ways = []model.Way{{Fails: "no Service leads there"}}
	}
	for i, w := range ways {
		told := j.along(&w)
		if i == 0 || told.Decision > best.Decision {
			best = told
		}
	}
	return best
}

// judge judges one connection.
type judge struct {
	in Input
	q  Question
}

// ways are those of the mesh for the port that is asked for; plaintext where it has none.
func (j *judge) ways() []model.Way {
	plain := []model.Way{{}}
	if j.in.Mesh == nil || j.q.Port.Protocol != corev1.ProtocolTCP {
		return plain
	}
	all := j.in.Mesh.Ways(j.q.From.Workload, j.q.To.Workload)
	if len(all) == 0 {
		return plain
	}
	return slices.DeleteFunc(slices.Clone(all), func(w model.Way) bool {
		return w.ByAddress && j.q.OverService || w.Ports != nil && !slices.ContainsFunc(w.Ports, func(p model.Port) bool { return p.Contains(j.q.Port.Protocol, j.q.Port.Number) })
	})
}

func (j *judge) peer(e End, named bool) peer {
	if e.Workload == nil {
		return outside(e.Address)
	}
	p := newPeer(e.Workload, j.in.Cluster)
	if named {
		p.identity = model.IdentityOf(e.Workload)
	}
	return p
}

// along follows one way, leg by leg.
func (j *judge) along(w *model.Way) Explanation {
	told := Explanation{Question: j.q, Decision: Open}
	if w.Protected {
		told.Protection = MTLS
		told.Identity = model.IdentityOf(j.q.From.Workload)
	}
	told.add(j.transport(w))
	dialled := j.q.Port
	if w.Dials != 0 {
		dialled = model.TCP(w.Dials)
	}
	from := j.q.From
	if w.Via != nil {
		via := End{Workload: w.Via}
		told.leg(j, from, via, dialled, false)
		told.filters(j, w.ViaFilters, j.peer(from, true), w.Via)
		from = via
	}
	told.leg(j, from, j.q.To, dialled, w.Either)
	if j.in.Mesh != nil && j.q.To.Workload != nil && j.q.Port.Protocol == corev1.ProtocolTCP {
		told.filters(j, j.in.Mesh.Filters(j.q.To.Workload), j.peer(from, w.Protected), j.q.To.Workload)
	}
	return told
}

// transport tells how the client's side sends.
func (j *judge) transport(w *model.Way) Answer {
	a := Answer{Layer: model.FilterTransport, At: j.q.From.Workload, Decision: Open, Silent: w.Cause == (model.Cause{}) && w.Fails == "" && w.Unknown == ""}
	if w.Dials != 0 {
		a.Dialled = model.TCP(w.Dials)
	}
	cause := w.Cause
	switch {
	case w.Fails != "":
		a.Decision, cause.Message = Refused, w.Fails
	case w.Unknown != "":
		a.Decision, cause.Message = Unclear, w.Unknown
	}
	if !a.Silent {
		a.Causes = []model.Cause{cause}
	}
	return a
}

func (e *Explanation) add(a Answer) {
	e.Answers = append(e.Answers, a)
	e.Decision = min(e.Decision, a.Decision)
}

// leg asks the network on both sides of one leg. Where it is not known which of
// two ports is dialled, the answers are those for the first, and unclear where the other port fares otherwise.
func (e *Explanation) leg(j *judge, from, to End, dialled model.Port, either bool) {
	if j.in.Network == nil {
		return
	}
	first := j.network(from, to, dialled)
	decision := min(first[0].Decision, first[1].Decision)
	if either {
		second := j.network(from, to, j.q.Port)
		decision = eitherOf(decision, min(second[0].Decision, second[1].Decision))
		for i := range first {
			if first[i].Decision != second[i].Decision {
				first[i].Decision = Unclear
				first[i].Causes = append(first[i].Causes, second[i].Causes...)
			}
		}
	}
	e.Answers = append(e.Answers, first[:]...)
	e.Decision = min(e.Decision, decision)
}

// eitherOf is what is known where one of two happens.
func eitherOf(a, b Decision) Decision {
	switch {
	case a >= Partial && b >= Partial, a == b:
		return min(a, b)
	default:
		return Unclear
	}
}

// network asks the client's egress and the server's ingress.
func (j *judge) network(from, to End, dialled model.Port) [2]Answer {
	client, server := j.peer(from, false), j.peer(to, false)
	egress := Answer{Decision: Open, Silent: true}
	if from.Workload != nil {
		egress = answer(j.in.Network.Egress(from.Workload), &server, dialled, to.Workload)
	}
	ingress := Answer{Decision: Open, Silent: true}
	if to.Workload != nil {
		ingress = answer(j.in.Network.Ingress(to.Workload), &client, dialled, to.Workload)
	}
	egress.Layer, egress.At = model.FilterEgress, from.Workload
	ingress.Layer, ingress.At = model.FilterIngress, to.Workload
	if dialled != j.q.Port {
		egress.Dialled, ingress.Dialled = dialled, dialled
	}
	return [2]Answer{egress, ingress}
}

// filters asks what a proxy enforces.
func (e *Explanation) filters(j *judge, filters []*model.Filter, client peer, at *model.Workload) {
	for _, f := range filters {
		a := answer(f, &client, j.q.Port, j.q.To.Workload)
		a.Layer, a.At = f.Layer, at
		e.add(a)
	}
}

// answer walks a filter for one connection and keeps the rules that decide.
func answer(f *model.Filter, other *peer, port model.Port, server *model.Workload) Answer {
	if f == nil {
		return Answer{Decision: Open, Silent: true}
	}
	var a Answer
	var possible [2]bool
	unclear, settled := false, false
	for i := range f.Rules {
		r := &f.Rules[i]
		match := limit(min(matchTerms(r.Peers, other), matchPorts(r.Ports, port, server)), r.Requests, r.Unknown)
		if match == never {
			continue
		}
		possible[r.Effect] = true
		a.Causes = append(a.Causes, r.Cause)
		unclear = unclear || match == perhaps
		if match == always {
			settled = true
			break
		}
	}
	if !settled {
		possible[f.Otherwise], a.NoRule = true, true
		a.Causes = append(a.Causes, f.Because...)
	}
	switch {
	case !possible[model.Deny]:
		a.Decision = Open
	case !possible[model.Allow]:
		a.Decision = Refused
	case unclear:
		a.Decision = Unclear
	default:
		a.Decision = Partial
	}
	return a
}

// matchPorts is whether some port is that of the server.
func matchPorts(terms []model.PortTerm, port model.Port, server *model.Workload) certainty {
	if terms == nil {
		return always
	}
	for _, t := range terms {
		p := t.Port
		if t.Name != "" {
			if server == nil {
				continue
			}
			if p.Number = server.PortNamed(t.Name, t.Protocol); p.Number == 0 {
				continue
			}
		}
		if p.Contains(port.Protocol, port.Number) {
			return always
		}
	}
	return never
}

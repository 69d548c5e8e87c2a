package verify

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// Options say with what the ports of a Model are tried.
type Options struct {
	// Prober is the identity of the mesh that probes have of their own, and that no
	// rule names. Where it is empty, another workload's is borrowed for strangers.
	Prober string
	// Requests tells that probes may send an OPTIONS * request, which reaches the
	// application where it is let in.
	Requests bool
	// Ports are TCP ports to try on every pod beside those that something names.
	Ports []model.Port
	// Lacks says why no certificate of an identity, or none that has expired, can be had: checks that need
	// it are left out, and that is said. Nil leaves none out.
	Lacks func(identity string, expired bool) string
}

func (o *Options) lacks(identity string, expired bool) string {
	if o.Lacks == nil {
		return ""
	}
	return o.Lacks(identity, expired)
}

// Expect says what the wire must show at every port of every governed workload,
// pod by pod as far as pods were read, sorted by CompareTargets. Namespaces
// without a mode of mTLS, or whose profile only observes, have no expectations.
func Expect(m *model.Model, o Options) []Expectation {
	e := &expecter{m: m, o: o, byServer: map[model.WorkloadID][]*model.Flow{}, pods: map[model.WorkloadID][]*model.Workload{}}
	e.index()
	var all []Expectation
	for i := range m.Workloads {
		w := &m.Workloads[i]
		if n := m.Namespace(w.ID.Namespace); n != nil && governs(n.Posture) {
			all = append(all, e.workload(w, n.Posture)...)
		}
	}
	slices.SortStableFunc(all, func(a, b Expectation) int { return CompareTargets(&a.Target, &b.Target) })
	return all
}

// Governed are the namespaces whose posture has something to do with a mesh's mTLS, or may come to have it.
func Governed(m *model.Model) []string {
	var names []string
	for i := range m.Namespaces {
		if p := m.Namespaces[i].Posture; p != nil && p.Enforcement != model.Observe {
			names = append(names, m.Namespaces[i].Name)
		}
	}
	return names
}

func governs(p *model.Posture) bool {
	return p != nil && p.Mesh.MTLS != "" && p.Enforcement != model.Observe
}

// expecter carries one run of Expect.
type expecter struct {
	m        *model.Model
	o        Options
	byServer map[model.WorkloadID][]*model.Flow
	pods     map[model.WorkloadID][]*model.Workload
	// identities are all of the mesh's, sorted.
	identities []string
}

func (e *expecter) index() {
	for i := range e.m.Flows {
		f := &e.m.Flows[i]
		if f.Server.Kind != model.PeerPods {
			continue
		}
		for _, id := range f.Server.Workloads {
			e.byServer[id] = append(e.byServer[id], f)
		}
	}
	for i := range e.m.Pods {
		p := &e.m.Pods[i]
		e.pods[p.Owner] = append(e.pods[p.Owner], p)
	}
	for i := range e.m.Workloads {
		if id := e.m.Workloads[i].Facts.Identity; id != "" {
			e.identities = append(e.identities, id)
		}
	}
	slices.Sort(e.identities)
	e.identities = slices.Compact(e.identities)
}

// workload has the expectations of each pod; where none is known, those of the workload without an address.
func (e *expecter) workload(w *model.Workload, posture *model.Posture) []Expectation {
	running := e.pods[w.ID]
	if len(running) == 0 {
		running = []*model.Workload{w}
	}
	var all []Expectation
	for _, pod := range running {
		named := e.ports(w, pod)
		for _, port := range slices.Concat(named, e.unnamed(pod, named)) {
			expected := e.port(w, pod, posture, port)
			if !slices.Contains(named, port) {
				expected.undeclared()
			}
			if pod.Running {
				expected.Pod = pod.ID.Name
			}
			if len(pod.Addresses) == 0 {
				all = append(all, expected)
			}
			for _, address := range pod.Addresses {
				expected.Address = address.Unmap()
				all = append(all, expected)
			}
		}
	}
	return all
}

// unnamed are the ports of Options.Ports that nothing names, for a pod that can be reached.
func (e *expecter) unnamed(pod *model.Workload, named []model.Port) []model.Port {
	if len(pod.Addresses) == 0 || len(e.o.Ports) == 0 {
		return nil
	}
	known := map[int32]bool{pod.Facts.Tunnel.Port: true}
	for _, p := range named {
		if p.Protocol == corev1.ProtocolTCP {
			known[p.Number] = true
		}
	}
	var ports []model.Port
	for _, r := range e.o.Ports {
		for number := max(r.Number, 1); number <= r.Last(); number++ {
			if !known[number] {
				known[number] = true
				ports = append(ports, model.TCP(number))
			}
		}
	}
	return ports
}

// undeclared leaves of the checks those that tell how protected a port is, whether or not something listens behind a proxy.
func (e *Expectation) undeclared() {
	e.Undeclared, e.Untested = true, nil
	e.Checks = slices.DeleteFunc(e.Checks, func(c Check) bool { return c.Client == Member || c.Client == Stranger || c.Client == Expired })
}

// port is what is expected of one port of a pod, less its address. Facts are the
// pod's own, since a pod may run outside a mesh that its template asks for; rules
// and exemptions are the workload's.
func (e *expecter) port(w, pod *model.Workload, posture *model.Posture, port model.Port) Expectation {
	expected := Expectation{
		Target:   Target{Workload: w.ID, Port: port.Number, Protocol: port.Protocol},
		Identity: pod.Facts.Identity,
	}
	if port.Protocol == corev1.ProtocolTCP {
		expected.Protocol = ""
	}
	s := standing{m: e.m, w: w, pod: pod, posture: posture, port: port, flows: e.flowsTo(w, port)}
	expected.Standing, expected.Why = s.decide()
	expected.Way = wayOf(pod, port, expected.Meshed())
	expected.Opaque = pod.Facts.Mode == model.ModeLinkerd && slices.ContainsFunc(pod.Facts.OpaquePorts, contains(port))
	if !expected.Meshed() {
		expected.Identity = ""
		expected.choose(credentials{})
		return expected
	}
	expected.Authorized = s.authorized()
	expected.Callers = e.callers(s.flows)
	expected.choose(e.credentials(&expected))
	expected.leaveOut(func(c Check) string {
		if c.Client == Member || c.Client == Stranger || c.Client == Expired {
			return e.o.lacks(c.Identity, c.Client == Expired)
		}
		return ""
	})
	return expected
}

// flowsTo are the flows to a port of a workload.
func (e *expecter) flowsTo(w *model.Workload, port model.Port) []*model.Flow {
	var flows []*model.Flow
	for _, f := range e.byServer[w.ID] {
		if slices.ContainsFunc(f.Ports, func(p model.Port) bool { return p.Contains(port.Protocol, port.Number) }) {
			flows = append(flows, f)
		}
	}
	return flows
}

// callers are the identities that arrive by some flows: those of the clients, or of the waypoint in between.
func (e *expecter) callers(flows []*model.Flow) []string {
	var names []string
	for _, f := range flows {
		if f.Via != nil {
			names = append(names, e.waypoints(f)...)
			continue
		}
		for _, id := range f.Client.Workloads {
			if client := e.m.Workload(id); client != nil && client.Facts.Meshed() && client.Facts.Identity != "" {
				names = append(names, client.Facts.Identity)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// waypoints are the identities of the waypoints by which a flow's servers are called.
func (e *expecter) waypoints(f *model.Flow) []string {
	domain := e.m.Cluster.Mesh.TrustDomain
	var names []string
	for _, id := range f.Server.Workloads {
		if w := e.m.Workload(id); w != nil && domain != "" && w.Facts.Waypoint.ServiceAccount != "" {
			names = append(names, domain+"/ns/"+w.Facts.Waypoint.Namespace+"/sa/"+w.Facts.Waypoint.ServiceAccount)
		}
	}
	return names
}

// credentials chooses whom a port is tried as.
func (e *expecter) credentials(expected *Expectation) credentials {
	c := credentials{requests: e.o.Requests}
	c.member = e.member(expected)
	if e.o.Prober != "" && e.o.lacks(c.member, true) != "" {
		c.lapsed = e.o.Prober // whoever has it, a certificate whose time is over must be refused
	}
	if !expected.Authorized {
		return c
	}
	called := func(name string) bool { return slices.Contains(expected.Callers, name) }
	if e.o.Prober != "" && !called(e.o.Prober) {
		c.stranger = e.o.Prober
		return c
	}
	if i := slices.IndexFunc(e.identities, func(name string) bool { return !called(name) }); i >= 0 {
		c.stranger = e.identities[i]
	}
	return c
}

// member is whom a port must let in: of its callers the one that can be played; the
// prober itself where it is one of them, or where everybody of the mesh is let in.
func (e *expecter) member(expected *Expectation) string {
	if e.o.Prober != "" && (slices.Contains(expected.Callers, e.o.Prober) || !expected.Authorized && (e.o.Lacks != nil || len(expected.Callers) == 0)) {
		return e.o.Prober
	}
	if i := slices.IndexFunc(expected.Callers, func(name string) bool { return e.o.lacks(name, false) == "" }); i >= 0 {
		return expected.Callers[i]
	}
	if len(expected.Callers) > 0 {
		return expected.Callers[0]
	}
	return ""
}

// wayOf is how the mesh's clients reach a port of a pod.
func wayOf(pod *model.Workload, port model.Port, meshed bool) Way {
	switch {
	case !meshed:
		return Direct
	case pod.Facts.Mode == model.ModeAmbient:
		return HBONE
	case pod.Facts.Mode == model.ModeProxyless:
		return Proxyless
	case pod.Facts.Mode == model.ModeLinkerd && pod.Facts.Tunnel.Carries(port):
		return LinkerdTransport
	case pod.Facts.Mode == model.ModeLinkerd:
		return Linkerd
	default:
		return Sidecar
	}
}

func contains(port model.Port) func(model.Port) bool {
	return func(p model.Port) bool { return p.Contains(port.Protocol, port.Number) }
}

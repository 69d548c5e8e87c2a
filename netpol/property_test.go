package netpol_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
	"floe.dev/palisade/netpol"
)

// world makes small models at random, with every kind of subject and peer that pods can have.
type world struct {
	*rand.Rand
	m *model.Model
}

var testPorts = []model.Port{
	model.TCP(80), model.TCP(81), model.TCP(82), model.UDP(80), model.TCP(8080), {Protocol: corev1.ProtocolTCP, Number: 80, End: 90},
	{Protocol: corev1.ProtocolTCP, Number: 85, End: 100}, {Protocol: corev1.ProtocolUDP}, {Protocol: corev1.ProtocolSCTP, Number: 80}, model.TCP(102),
}

func randomModel(seed uint64) *model.Model {
	w := world{Rand: rand.New(rand.NewPCG(seed, 1)), m: &model.Model{}}
	w.m.Cluster = model.Cluster{
		IPv4: true, NodeCIDRs: []netip.Prefix{netip.MustParsePrefix("10.9.0.0/24")},
		PodCIDRs: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}, ServiceCIDRs: []netip.Prefix{netip.MustParsePrefix("10.2.0.0/16")},
		DNS: model.DNS{Namespace: "dns", PodSelector: selector("app", "dns"), Ports: []model.Port{model.UDP(53), model.TCP(53)}},
	}
	w.namespace("dns", false, "dns")
	for _, name := range []string{"one", "three", "two"} {
		w.namespace(name, w.IntN(4) > 0, fmt.Sprint("team", w.IntN(2)))
		for i := range 1 + w.IntN(3) {
			w.workload(name, fmt.Sprint("app", i), w.IntN(8) == 0)
		}
	}
	w.workload("dns", "dns", false)
	slices.SortFunc(w.m.Workloads, func(a, b model.Workload) int { return model.CompareWorkloadIDs(a.ID, b.ID) })
	for i := range w.m.Namespaces {
		w.dnsFlow(w.m.Namespaces[i].Name)
	}
	for i := range w.IntN(7) {
		w.flow(i)
	}
	w.relax()
	return w.m
}

func selector(key, value string) metav1.LabelSelector {
	return metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
}

func (w *world) namespace(name string, governed bool, team string) {
	n := model.Namespace{Name: name, Labels: map[string]string{corev1.LabelMetadataName: name, "team": team}}
	if governed {
		n.Posture = &model.Posture{Profile: "p", Network: model.NetworkPosture{DefaultDeny: true}}
	}
	w.m.Namespaces = append(w.m.Namespaces, n)
}

func (w *world) workload(namespace, app string, hostNetwork bool) {
	w.m.Workloads = append(w.m.Workloads, model.Workload{
		ID:       model.WorkloadID{Namespace: namespace, Kind: "Deployment", Name: app},
		Labels:   map[string]string{"app": app, "tier": fmt.Sprint("t", w.IntN(2))},
		Selector: selector("app", app), Spec: corev1.PodSpec{HostNetwork: hostNetwork},
	})
}

func (w *world) dnsFlow(namespace string) {
	w.m.Flows = append(w.m.Flows, model.Flow{
		Origin: origin("DNS"), Client: w.peer(namespace, nil, metav1.LabelSelector{}),
		Server: model.Peer{Kind: model.PeerDNS}, Ports: w.m.Cluster.DNS.Ports, Base: true,
	})
}

func origin(name string) model.Origin {
	return model.Origin{Ref: model.Ref{Kind: "TrafficRule", Name: name}}
}

func (w *world) peer(namespace string, namespaces *metav1.LabelSelector, pods metav1.LabelSelector) model.Peer {
	p := model.Peer{Kind: model.PeerPods, Namespace: namespace, NamespaceSelector: namespaces, PodSelector: pods}
	for i := range w.m.Workloads {
		id, labels := w.m.Workloads[i].ID, w.m.Workloads[i].Labels
		if (id.Namespace == namespace || namespaces != nil && model.Matches(namespaces, w.m.Namespace(id.Namespace).Labels)) && model.Matches(&pods, labels) {
			p.Workloads = append(p.Workloads, id)
		}
	}
	return p
}

func (w *world) somePods() metav1.LabelSelector {
	switch w.IntN(5) {
	case 0:
		return metav1.LabelSelector{}
	case 1:
		return selector("tier", fmt.Sprint("t", w.IntN(2)))
	case 2:
		return metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: "app", Operator: metav1.LabelSelectorOpIn, Values: []string{"app1", "app0"}},
		}}
	default:
		return selector("app", fmt.Sprint("app", w.IntN(3)))
	}
}

func (w *world) somePeer() model.Peer {
	if w.IntN(4) == 0 {
		namespaces := selector("team", fmt.Sprint("team", w.IntN(2)))
		if w.IntN(3) == 0 {
			namespaces = metav1.LabelSelector{}
		}
		return w.peer("", &namespaces, w.somePods())
	}
	return w.peer([]string{"one", "two", "three"}[w.IntN(3)], nil, w.somePods())
}

func (w *world) flow(number int) {
	f := model.Flow{Origin: origin(fmt.Sprint("r", number)), Client: w.somePeer(), Server: w.somePeer()}
	for range 1 + w.IntN(3) {
		f.Ports = append(f.Ports, testPorts[w.IntN(len(testPorts))])
	}
	if w.IntN(3) == 0 {
		f.Tunnels = []int32{15008}
		if w.IntN(2) == 0 {
			via := w.somePeer()
			f.Via = &via
		}
	}
	w.m.Flows = append(w.m.Flows, f)
}

func (w *world) relax() {
	if w.IntN(4) > 0 {
		return
	}
	r := model.Relaxation{Layer: model.LayerNetwork, Origin: origin("exempt")}
	if w.IntN(2) == 0 {
		r.Ports = []model.Port{testPorts[w.IntN(len(testPorts))]}
	}
	at := &w.m.Workloads[w.IntN(len(w.m.Workloads))]
	at.Relaxed = append(at.Relaxed, r)
}

// wanted tells what the model itself permits, without any policy in between.
type wanted struct{ m *model.Model }

func (o wanted) allow(from, to end, port model.Port) bool {
	return o.side(from, to, port, true) && o.side(from, to, port, false)
}

// side judges what one end's namespace must let pass.
func (o wanted) side(from, to end, port model.Port, egress bool) bool {
	own := to
	if egress {
		own = from
	}
	n := o.m.Namespace(own.namespace)
	if n == nil || n.Posture == nil || o.relaxed(own, port, egress) {
		return true
	}
	return slices.ContainsFunc(o.m.Flows, func(f model.Flow) bool {
		if f.Server.Kind == model.PeerDNS {
			dns := model.Peer{Kind: model.PeerPods, Namespace: "dns", PodSelector: selector("app", "dns")}
			return egress && o.is(&f.Client, from, false) && o.is(&dns, to, false) && contains(f.Ports, port)
		}
		if f.Via != nil {
			return tunnel(&f, port) && (o.is(&f.Client, from, false) && o.is(f.Via, to, false) || o.is(f.Via, from, false) && o.is(&f.Server, to, false))
		}
		// a node's address stands for every pod in its network, and none of these dials a tunnel
		plain := contains(f.Ports, port) && o.is(&f.Client, from, !egress) && o.is(&f.Server, to, egress)
		return plain || tunnel(&f, port) && o.is(&f.Client, from, false) && o.is(&f.Server, to, false)
	})
}

func tunnel(f *model.Flow, port model.Port) bool {
	return port.Protocol == corev1.ProtocolTCP && slices.Contains(f.Tunnels, port.Number)
}

func contains(ports []model.Port, port model.Port) bool {
	return slices.ContainsFunc(ports, func(p model.Port) bool { return p.Contains(port.Protocol, port.Number) })
}

func (o wanted) is(p *model.Peer, e end, nodes bool) bool {
	if e.namespace == "" {
		return nodes && slices.ContainsFunc(p.Workloads, func(id model.WorkloadID) bool { return o.m.Workload(id).Spec.HostNetwork })
	}
	home := p.Namespace == e.namespace || p.NamespaceSelector != nil && model.Matches(p.NamespaceSelector, e.namespaced)
	return home && model.Matches(&p.PodSelector, e.labels)
}

func (o wanted) relaxed(e end, port model.Port, egress bool) bool {
	for _, w := range o.m.Workloads {
		for _, r := range w.Relaxed {
			if w.ID.Namespace == e.namespace && model.Matches(&w.Selector, e.labels) && (len(r.Ports) == 0 || !egress && contains(r.Ports, port)) {
				return true
			}
		}
	}
	return false
}

var askedPorts = []model.Port{
	model.TCP(53), model.UDP(53), model.TCP(79), model.TCP(80), model.TCP(81), model.TCP(82), model.TCP(83), model.TCP(95), model.TCP(101),
	model.UDP(80), model.UDP(9999), model.TCP(8080), model.TCP(15008), {Protocol: corev1.ProtocolSCTP, Number: 80},
}

func TestPoliciesLetThroughWhatTheModelPermitsAndNothingElse(t *testing.T) {
	let, kept := 0, 0
	for seed := range uint64(3000) {
		m := randomModel(seed)
		objects, problems := netpol.Compile(m)
		require.Empty(t, problems, "seed %d", seed)
		ps, o := policiesOf(t, objects), wanted{m}
		for i := range m.Workloads {
			for j := range m.Workloads {
				from, to := pod(m, i), pod(m, j)
				for k := (i + j + int(seed)) % 3; k < len(askedPorts); k += 3 { // every port is asked in its turn
					port := askedPorts[k]
					want := o.allow(from, to, port)
					if want {
						let++
					} else {
						kept++
					}
					if got := ps.allow(from, to, port); got != want {
						t.Fatalf("seed %d: %s → %s %s: policies %v, model %v", seed, from.name, to.name, port, got, want)
					}
				}
			}
		}
	}
	require.Greater(t, let, 10000, "the models must permit something")
	require.Greater(t, kept, 10000, "and keep something closed")
}

func TestNoPolicyIsOpenByAccident(t *testing.T) {
	for seed := range uint64(500) {
		m := randomModel(seed)
		for i := range m.Workloads {
			m.Workloads[i].Relaxed = nil
		}
		if seed%2 == 0 { // nothing is known of the cluster
			m.Cluster = model.Cluster{}
		}
		objects, _ := netpol.Compile(m)
		requireWellFormed(t, policiesOf(t, objects))
	}
}

func TestCompileIsDeterministic(t *testing.T) {
	for seed := range uint64(200) {
		first, notes := netpol.Compile(randomModel(seed))
		again, same := netpol.Compile(randomModel(seed))
		require.Equal(t, first, again)
		require.Equal(t, notes, same)
		require.True(t, slices.IsSortedFunc(first, model.CompareObjects))
	}
}

// apart is a model whose rules have one workload each as subject, so that no two subjects overlap.
func apart(seed uint64) *model.Model {
	w := world{Rand: rand.New(rand.NewPCG(seed, 2)), m: randomModel(seed)}
	w.m.Flows = slices.DeleteFunc(w.m.Flows, func(f model.Flow) bool { return !f.Base })
	for i := range w.m.Workloads {
		w.m.Workloads[i].Spec.HostNetwork = false
		w.m.Workloads[i].Relaxed = nil
	}
	workload := func() model.Peer {
		some := &w.m.Workloads[w.IntN(len(w.m.Workloads))]
		return w.peer(some.ID.Namespace, nil, some.Selector)
	}
	for i := range 6 {
		w.m.Flows = append(w.m.Flows, model.Flow{
			Origin: origin(fmt.Sprint("r", i)), Client: workload(), Server: workload(), Ports: []model.Port{testPorts[w.IntN(4)]},
		})
	}
	return w.m
}

// wide adds flows to and from whole namespaces.
func wide(m *model.Model, seed uint64) {
	w := world{Rand: rand.New(rand.NewPCG(seed, 3)), m: m}
	for i := range 1 + w.IntN(3) {
		whole := w.peer([]string{"one", "two", "three"}[w.IntN(3)], nil, metav1.LabelSelector{})
		some := &m.Workloads[w.IntN(len(m.Workloads))]
		f := model.Flow{
			Origin: origin(fmt.Sprint("wide", i)), Client: whole, Server: w.peer(some.ID.Namespace, nil, some.Selector), Ports: []model.Port{testPorts[w.IntN(4)]},
		}
		if w.IntN(2) == 0 {
			f.Client, f.Server = f.Server, f.Client
		}
		m.Flows = append(m.Flows, f)
	}
}

func TestNoPrefixOfTheWritesCutsAFlowOrDNS(t *testing.T) {
	for seed := range uint64(300) {
		m := apart(seed)
		if seed%2 == 0 {
			wide(m, seed)
		}
		objects, _ := netpol.Compile(m)
		o := wanted{m}
		all := policiesOf(t, objects)
		require.Len(t, all, len(objects))
		for n := range len(objects) + 1 {
			ps := all[:n]
			for i := range m.Workloads {
				for j := range m.Workloads {
					from, to := pod(m, i), pod(m, j)
					for _, port := range askedPorts {
						if o.allow(from, to, port) && !ps.allow(from, to, port) {
							t.Fatalf("seed %d: %s → %s %s is cut after %d of %d writes", seed, from.name, to.name, port, n, len(objects))
						}
					}
				}
			}
		}
	}
}

func TestAddingOneRuleChangesOnlyWhatItConcerns(t *testing.T) {
	for seed := range uint64(300) {
		m := apart(seed)
		before, _ := netpol.Compile(m)
		last := m.Flows[len(m.Flows)-1]
		m.Flows = m.Flows[:len(m.Flows)-1]
		without, _ := netpol.Compile(m)
		old := map[model.Ref]model.Object{}
		for _, object := range without {
			old[object.Ref()] = object
		}
		concerned := []string{model.NameForSelector(&last.Client.PodSelector), model.NameForSelector(&last.Server.PodSelector)}
		for _, object := range before {
			ref := object.Ref()
			if was, ok := old[ref]; !ok || !equalJSON(t, was, object) {
				require.Contains(t, concerned, ref.Name, "seed %d", seed)
				require.Contains(t, []string{last.Client.Namespace, last.Server.Namespace}, ref.Namespace, "seed %d", seed)
			}
			delete(old, ref)
		}
		require.Empty(t, old, "adding a rule removes nothing")
	}
}

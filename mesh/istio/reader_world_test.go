package istio

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	networkingapi "istio.io/api/networking/v1alpha3"
	securityapi "istio.io/api/security/v1beta1"
	typeapi "istio.io/api/type/v1beta1"
	networkingclient "istio.io/client-go/pkg/apis/networking/v1"
	securityclient "istio.io/client-go/pkg/apis/security/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"floe.dev/palisade/model"
	judging "floe.dev/palisade/verdict"
)

// foreignWorld is a mesh at random, with objects of Istio that nobody here wrote.
type foreignWorld struct {
	*rand.Rand
	m        *model.Model
	input    judging.Input
	peers    []*securityclient.PeerAuthentication
	policies []*securityclient.AuthorizationPolicy
	rules    []*networkingclient.DestinationRule
	sidecars []*networkingclient.Sidecar
	born     int
}

const worldRoot = "istio-system"

// worldPorts are those that pods listen on, and one that they do not.
var worldPorts = []int32{8080, 8081, 9090, 7777}

func newForeignWorld(seed uint64) *foreignWorld {
	w := &foreignWorld{Rand: rand.New(rand.NewPCG(seed, 15006)), m: &model.Model{}}
	w.m.Cluster = model.Cluster{Domain: "cluster.local", Mesh: model.Mesh{
		Kind: model.MeshIstio, Namespace: worldRoot, RootNamespace: worldRoot, TrustDomain: "td.example", TrustDomainAliases: []string{"old.example"},
		AutoMTLS: !w.chance(8), RegistryOnly: w.chance(6), Ambient: !w.chance(6),
	}}
	homes := []string{"north", "south"}
	for _, name := range []string{worldRoot, "north", "south"} {
		n := model.Namespace{Name: name, Labels: map[string]string{corev1.LabelMetadataName: name}}
		if name != worldRoot && w.chance(2) {
			n.Labels[useWaypointLabel] = "wp"
		}
		w.m.Namespaces = append(w.m.Namespaces, n)
	}
	for _, name := range homes {
		for _, app := range []string{"a", "b"} {
			w.service(name, app)
		}
	}
	for i, name := range homes {
		for n := range 1 + w.IntN(2) {
			w.pod(name, i, n)
		}
		if w.m.Cluster.Mesh.Ambient && !w.chance(4) {
			w.waypoint(name, i)
		}
	}
	if w.chance(2) { // the root namespace is like no other
		w.service(worldRoot, "a")
		w.pod(worldRoot, 2, 0)
	}
	for _, name := range append(homes, worldRoot) {
		w.objects(name)
	}
	w.read()
	return w
}

func (w *foreignWorld) chance(n int) bool          { return w.IntN(n) == 0 }
func (w *foreignWorld) one(of ...string) string    { return of[w.IntN(len(of))] }
func (w *foreignWorld) some(of ...string) []string { return of[w.IntN(len(of)):][:1] }
func (w *foreignWorld) labels() map[string]string {
	return map[string]string{"app": w.one("a", "b"), "tier": w.one("x", "y")}
}
func (w *foreignWorld) selector() map[string]string {
	return []map[string]string{{"app": "a"}, {"app": "b"}, {"tier": "x"}, {"tier": "y"}}[w.IntN(4)]
}

func (w *foreignWorld) service(namespace, app string) {
	s := model.Service{Namespace: namespace, Name: app, Labels: map[string]string{}, Annotations: map[string]string{}, Selector: map[string]string{"app": app}}
	s.ClusterIPs = []string{fmt.Sprintf("10.96.0.%d", len(w.m.Services)+1)}
	if w.chance(5) {
		s.ClusterIPs = []string{"None"}
	}
	if w.chance(5) {
		s.Selector = map[string]string{"tier": "x"}
	}
	if w.chance(8) {
		s.Annotations[exportAnnotation] = w.one(".", "south", "~", "*")
	}
	if w.chance(2) {
		s.Labels[useWaypointLabel] = w.one("wp", "wp", "none", "gone")
	}
	for i, name := range []string{"http", "tcp", "web"} {
		if i == 0 || !w.chance(3) {
			s.Ports = append(s.Ports, corev1.ServicePort{Name: name, Port: int32(80 + i), TargetPort: intstr.FromInt32(worldPorts[i])})
		}
	}
	w.m.Services = append(w.m.Services, s)
}

func (w *foreignWorld) pod(namespace string, nth, n int) {
	p := model.Workload{
		ID: model.WorkloadID{Namespace: namespace, Kind: "Pod", Name: fmt.Sprint("p", n)}, APIVersion: "v1", Labels: w.labels(), Annotations: map[string]string{},
		ServiceAccount: w.one("s1", "s2"), Running: true, Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, byte(nth + 1), 0, byte(n + 1)})},
	}
	switch w.IntN(10) {
	case 0, 1, 2:
		w.inject(&p)
	case 3, 4, 5, 6:
		p.Annotations[redirectionAnnotation] = "enabled"
		if w.chance(4) {
			p.Labels[useWaypointLabel] = "wp"
		}
	case 7:
		p.Annotations[statusAnnotation], p.Annotations[templatesAnnotation], p.Spec.Containers = "{}", "grpc-agent", smallProxy()
		if w.chance(2) {
			p.Labels[tlsModeLabel] = "istio"
		}
	case 8:
		p.Annotations[statusAnnotation], p.Annotations[templatesAnnotation], p.Spec.Containers = "{}", "gateway", smallProxy()
	}
	w.m.Workloads = append(w.m.Workloads, p)
}

func (w *foreignWorld) inject(p *model.Workload) {
	p.Annotations[statusAnnotation], p.Spec.Containers = "{}", smallProxy()
	if !w.chance(6) {
		p.Labels[tlsModeLabel] = w.one("istio", "istio", "istio", "disabled")
	}
	if w.chance(3) {
		p.Labels[tunnelLabel] = "http"
	}
	if w.chance(6) {
		p.Annotations[excludeInboundAnnotation] = w.one("8080", "8081,9090")
	}
}

func (w *foreignWorld) waypoint(namespace string, nth int) {
	w.m.Workloads = append(w.m.Workloads, model.Workload{
		ID: model.WorkloadID{Namespace: namespace, Kind: "Pod", Name: "wp"}, APIVersion: "v1", ServiceAccount: "wp", Running: true, Annotations: map[string]string{},
		Labels:    map[string]string{gatewayNameLabel: "wp", gatewayClassLabel: waypointClass, gatewayManagedLabel: meshController, waypointForLabel: w.one("service", "all", "all", "workload")},
		Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, byte(nth + 1), 0, 99})},
	})
}

// objects are those of one namespace, few as they are.
func (w *foreignWorld) objects(namespace string) {
	for range w.IntN(3) {
		w.peers = append(w.peers, w.peerAuthentication(namespace))
	}
	for range w.IntN(4) {
		w.policies = append(w.policies, w.authorizationPolicy(namespace))
	}
	for range w.IntN(3) {
		w.rules = append(w.rules, w.destinationRule(namespace))
	}
	if w.chance(4) {
		w.sidecars = append(w.sidecars, w.sidecar(namespace))
	}
}

func (w *foreignWorld) meta(namespace string) metav1.ObjectMeta {
	w.born++
	return metav1.ObjectMeta{
		Namespace: namespace, Name: fmt.Sprintf("o%d-%d", w.IntN(10), w.born),
		CreationTimestamp: metav1.NewTime(time.Date(2026, 1, 1, 0, 0, w.born*37%59, 0, time.UTC)),
	}
}

func (w *foreignWorld) peerAuthentication(namespace string) *securityclient.PeerAuthentication {
	p := &securityclient.PeerAuthentication{TypeMeta: peerAuthenticationType, ObjectMeta: w.meta(namespace)}
	mode := func() *securityapi.PeerAuthentication_MutualTLS {
		return &securityapi.PeerAuthentication_MutualTLS{Mode: securityapi.PeerAuthentication_MutualTLS_Mode(w.IntN(4))}
	}
	p.Spec.Mtls = mode()
	if w.chance(2) {
		p.Spec.Selector = &typeapi.WorkloadSelector{MatchLabels: w.selector()}
		p.Spec.PortLevelMtls = map[uint32]*securityapi.PeerAuthentication_MutualTLS{}
		for _, port := range worldPorts {
			if w.chance(3) {
				p.Spec.PortLevelMtls[uint32(port)] = mode()
			}
		}
	}
	return p
}

func (w *foreignWorld) authorizationPolicy(namespace string) *securityclient.AuthorizationPolicy {
	p := &securityclient.AuthorizationPolicy{TypeMeta: authorizationPolicyType, ObjectMeta: w.meta(namespace)}
	p.Spec.Action = []securityapi.AuthorizationPolicy_Action{0, 0, 0, 1, 1, 2, 3}[w.IntN(7)]
	if w.chance(8) {
		p.Annotations = map[string]string{"istio.io/dry-run": "true"}
	}
	switch w.IntN(6) {
	case 0:
		p.Spec.Selector = &typeapi.WorkloadSelector{MatchLabels: w.selector()}
	case 1, 2:
		p.Spec.TargetRefs = []*typeapi.PolicyTargetReference{
			{Kind: "Service", Name: w.one("a", "b")}, {Group: gatewayGroup, Kind: "Gateway", Name: "wp"}, {Group: gatewayGroup, Kind: "GatewayClass", Name: waypointClass},
		}[w.IntN(3):][:1]
	}
	for range w.IntN(3) {
		p.Spec.Rules = append(p.Spec.Rules, w.rule())
	}
	return p
}

func (w *foreignWorld) rule() *securityapi.Rule {
	r := &securityapi.Rule{}
	if w.chance(2) {
		s := &securityapi.Source{}
		switch w.IntN(8) {
		case 0:
			s.Principals = w.some("td.example/ns/north/sa/s1", "cluster.local/ns/south/sa/s2", "cluster.local/ns/north/sa/s1", "*/sa/s1", "td.example/ns/north/*", "*", "old.example/ns/north/sa/wp")
		case 1:
			s.NotPrincipals = w.some("td.example/ns/north/sa/s1", "*")
		case 2:
			s.Namespaces = w.some("north", "s*", "*th", "n*h")
		case 3:
			s.ServiceAccounts = w.some("s1", "north/s1", "south/wp")
		case 4:
			s.TrustDomains = w.some("td.example", "old.example", "other.example")
		case 5:
			s.IpBlocks = w.some("10.1.0.0/16", "10.2.0.1", "192.0.2.0/24", "rubbish")
		case 6:
			s.NotIpBlocks = w.some("10.1.0.0/16", "rubbish")
		default:
			s.RequestPrincipals = []string{"*"}
		}
		r.From = []*securityapi.Rule_From{{Source: s}}
		if w.chance(3) {
			r.From = append(r.From, &securityapi.Rule_From{Source: &securityapi.Source{Namespaces: []string{"south"}}})
		}
	}
	if w.chance(2) {
		o := &securityapi.Operation{}
		switch w.IntN(4) {
		case 0:
			o.Ports = w.some("8080", "8081", "80", "x")
		case 1:
			o.NotPorts = w.some("8080", "9090")
		case 2:
			o.Methods = []string{"GET"}
		default:
			o.Methods, o.Ports = []string{"GET"}, w.some("9090", "80")
		}
		r.To = []*securityapi.Rule_To{{Operation: o}}
	}
	if w.chance(3) {
		r.When = []*securityapi.Condition{
			{Key: "source.ip", Values: []string{"10.0.0.0/8"}}, {Key: "source.namespace", NotValues: []string{"north"}}, {Key: "destination.port", Values: []string{"8080", "9090"}},
			{Key: "source.serviceAccount", Values: []string{"s2"}}, {Key: "request.headers[x]", Values: []string{"y"}}, {Key: "connection.sni", Values: []string{"z"}},
			{Key: "unheard", Values: []string{"of"}}, {Key: "remote.ip", Values: []string{"10.1.0.0/16"}}, {Key: "destination.ip", Values: []string{"10.1.0.0/16"}},
		}[w.IntN(9):][:1]
	}
	return r
}

func (w *foreignWorld) destinationRule(namespace string) *networkingclient.DestinationRule {
	d := &networkingclient.DestinationRule{TypeMeta: metav1.TypeMeta{APIVersion: "networking.istio.io/v1", Kind: "DestinationRule"}, ObjectMeta: w.meta(namespace)}
	d.Spec.Host = w.one("a", "b", "a.north.svc.cluster.local", "b.south.svc.cluster.local", "*.north.svc.cluster.local", "*.local", "*", "a.north")
	if len(w.rules) > 0 && w.chance(2) {
		d.Spec.Host = w.rules[w.IntN(len(w.rules))].Spec.Host // rules of one host are merged
	}
	tls := func() *networkingapi.ClientTLSSettings {
		if w.chance(6) {
			return nil
		}
		return &networkingapi.ClientTLSSettings{Mode: networkingapi.ClientTLSSettings_TLSmode([]int32{0, 1, 3, 3, 3}[w.IntN(5)])}
	}
	if w.chance(3) {
		d.Spec.ExportTo = [][]string{{"."}, {"*"}, {"south"}, {"north", "."}, {"north", "south"}, {worldRoot}}[w.IntN(6)]
	}
	if w.chance(5) {
		d.Spec.WorkloadSelector = &typeapi.WorkloadSelector{MatchLabels: w.selector()}
	}
	if w.chance(8) {
		return d
	}
	d.Spec.TrafficPolicy = &networkingapi.TrafficPolicy{Tls: tls()}
	if w.chance(3) {
		d.Spec.TrafficPolicy.PortLevelSettings = []*networkingapi.TrafficPolicy_PortTrafficPolicy{{Port: &networkingapi.PortSelector{Number: uint32(80 + w.IntN(3))}, Tls: tls()}}
	}
	return d
}

func (w *foreignWorld) sidecar(namespace string) *networkingclient.Sidecar {
	s := &networkingclient.Sidecar{TypeMeta: metav1.TypeMeta{APIVersion: "networking.istio.io/v1", Kind: "Sidecar"}, ObjectMeta: w.meta(namespace)}
	if w.chance(3) {
		s.Spec.WorkloadSelector = &networkingapi.WorkloadSelector{Labels: w.selector()}
	}
	if !w.chance(4) {
		e := &networkingapi.IstioEgressListener{Hosts: w.some("*/*", "./*", "north/*", "*/a.north.svc.cluster.local", "~/*", "*/a", "./*.local")}
		if w.chance(4) {
			e.Hosts = append(e.Hosts, "~north/*")
		}
		if w.chance(4) {
			e.Port = &networkingapi.SidecarPort{Number: 80, Protocol: "HTTP", Name: "x"}
		}
		s.Spec.Egress = []*networkingapi.IstioEgressListener{e}
	}
	if w.chance(4) {
		s.Spec.OutboundTrafficPolicy = &networkingapi.OutboundTrafficPolicy{Mode: networkingapi.OutboundTrafficPolicy_Mode(w.IntN(2))}
	}
	return s
}

// read gives the world to the reader.
func (w *foreignWorld) read() {
	slices.SortFunc(w.m.Workloads, func(a, b model.Workload) int { return model.CompareWorkloadIDs(a.ID, b.ID) })
	d := New(w.m.Cluster.Mesh, w.m.Cluster.Domain)
	for i := range w.m.Workloads {
		p := &w.m.Workloads[i]
		p.NamespaceLabels = w.m.Namespace(p.ID.Namespace).Labels
		for j := range w.m.Services {
			if s := &w.m.Services[j]; s.Namespace == p.ID.Namespace && subset(s.Selector, p.Labels) {
				p.Services = append(p.Services, s)
			}
		}
		p.Facts = d.Facts(p)
	}
	w.input = judging.Input{Cluster: &w.m.Cluster, Namespaces: w.m.Namespaces, Workloads: w.m.Workloads, Mesh: NewReader(w.m, w.trees())}
}

// trees are the objects in the form that is read.
func (w *foreignWorld) trees() []model.Object {
	var objects []model.Object
	add := func(o metav1.Object) {
		object := model.ObjectFrom(o, 0)
		object.Map("metadata")["creationTimestamp"] = o.GetCreationTimestamp().UTC().Format(time.RFC3339)
		objects = append(objects, object)
	}
	for _, o := range w.peers {
		add(o)
	}
	for _, o := range w.policies {
		add(o)
	}
	for _, o := range w.rules {
		add(o)
	}
	for _, o := range w.sidecars {
		add(o)
	}
	return objects
}

func subset(selector, labels map[string]string) bool {
	for key, value := range selector {
		if labels[key] != value {
			return false
		}
	}
	return true
}

func (w *foreignWorld) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%+v\n", w.m.Cluster.Mesh)
	for _, n := range w.m.Namespaces {
		fmt.Fprintln(&b, n.Name, n.Labels)
	}
	for _, p := range w.m.Workloads {
		fmt.Fprintln(&b, p.ID, p.ServiceAccount, p.Addresses, p.Labels, p.Annotations)
	}
	for _, s := range w.m.Services {
		fmt.Fprintln(&b, s.Namespace, s.Name, s.ClusterIPs, s.Selector, s.Labels, s.Annotations, len(s.Ports))
	}
	for _, o := range w.peers {
		fmt.Fprintln(&b, "PeerAuthentication", o.Namespace, o.Name, o.CreationTimestamp.Second(), o.Spec.String())
	}
	for _, o := range w.policies {
		fmt.Fprintln(&b, "AuthorizationPolicy", o.Namespace, o.Name, o.Annotations, o.Spec.String())
	}
	for _, o := range w.rules {
		fmt.Fprintln(&b, "DestinationRule", o.Namespace, o.Name, o.CreationTimestamp.Second(), o.Spec.String())
	}
	for _, o := range w.sidecars {
		fmt.Fprintln(&b, "Sidecar", o.Namespace, o.Name, o.Spec.String())
	}
	return b.String()
}

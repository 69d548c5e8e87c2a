package difftest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	securityapi "istio.io/api/security/v1beta1"
	networkingclient "istio.io/client-go/pkg/apis/networking/v1"
	securityclient "istio.io/client-go/pkg/apis/security/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	gatewayapi "sigs.k8s.io/gateway-api/apis/v1"
)

const (
	rootNamespace = "istio-system"
	trustDomain   = "td.example"
	aliasDomain   = "old.example"
)

// podKind is how a pod takes part in the mesh.
type podKind int

const (
	outside podKind = iota
	sidecar
	ambient
	proxyless
	router
	waypoint
)

func (k podKind) String() string {
	return [...]string{"outside", "sidecar", "ambient", "proxyless", "gateway", "waypoint"}[k]
}

// pod is a pod with what the generator knows of it.
type pod struct {
	*corev1.Pod
	kind podKind
	// left are the ports that an annotation leads around the sidecar.
	left []int32
}

// world is a cluster at random.
type world struct {
	*rand.Rand
	seed uint64
	// autoMTLS, registryOnly and ambient are settings of the mesh.
	autoMTLS, registryOnly, ambient bool

	namespaces []*corev1.Namespace
	pods       []*pod
	services   []*corev1.Service
	gateways   []*gatewayapi.Gateway
	peers      []*securityclient.PeerAuthentication
	policies   []*securityclient.AuthorizationPolicy
	rules      []*networkingclient.DestinationRule
	sidecars   []*networkingclient.Sidecar

	born int
}

// ports are those on which pods may listen; the last belongs to no Service.
var ports = []int32{8080, 8081, 9090, 9999}

func newWorld(seed uint64) *world {
	w := &world{Rand: rand.New(rand.NewPCG(seed, 1337)), seed: seed}
	w.autoMTLS, w.registryOnly, w.ambient = w.IntN(8) > 0, w.IntN(5) == 0, w.IntN(5) > 0
	names := []string{"north", "south", rootNamespace}
	for _, name := range names {
		w.namespace(name)
	}
	for _, name := range names[:2] {
		for _, app := range []string{"a", "b", "c"} {
			w.service(name, app)
		}
	}
	for i, name := range names[:2] {
		if w.ambient {
			w.waypoint(name, i)
		}
		for n := range 3 + w.IntN(3) {
			w.pod(name, i, n)
		}
	}
	if w.chance(2) { // the root namespace is like no other
		w.service(rootNamespace, "a")
		for n := range 1 + w.IntN(2) {
			w.pod(rootNamespace, 2, n)
		}
	}
	for _, name := range names {
		w.policiesOf(name)
	}
	return w
}

func (w *world) one(of ...string) string { return of[w.IntN(len(of))] }

// chance is true once in n times.
func (w *world) chance(n int) bool { return w.IntN(n) == 0 }

// meta numbers objects by age, so that none are of the same second.
func (w *world) meta(namespace, name string) metav1.ObjectMeta {
	w.born++
	return metav1.ObjectMeta{
		Namespace: namespace, Name: fmt.Sprintf("%s-%d", name, w.IntN(1000)*1000+w.born), ResourceVersion: fmt.Sprint(w.born),
		CreationTimestamp: metav1.NewTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(w.born*7919%3571) * time.Second)),
	}
}

func (w *world) named(namespace, name string) metav1.ObjectMeta {
	m := w.meta(namespace, name)
	m.Name = name
	return m
}

func (w *world) namespace(name string) {
	n := &corev1.Namespace{ObjectMeta: w.named("", name)}
	n.Labels = map[string]string{corev1.LabelMetadataName: name, "team": w.one("red", "blue")}
	if name != rootNamespace {
		w.useWaypoint(n.Labels, 3)
		if w.chance(4) {
			n.Labels["istio.io/ingress-use-waypoint"] = w.one("true", "true", "false")
		}
	}
	w.namespaces = append(w.namespaces, n)
}

// useWaypoint sets the label once in n times.
func (w *world) useWaypoint(labels map[string]string, n int) {
	if !w.chance(n) {
		return
	}
	labels["istio.io/use-waypoint"] = w.one("wp", "wp", "wp", "none", "missing")
	if w.chance(4) {
		labels["istio.io/use-waypoint-namespace"] = w.one("north", "south")
	}
}

func (w *world) service(namespace, app string) {
	s := &corev1.Service{ObjectMeta: w.named(namespace, app)}
	s.Labels, s.Annotations = map[string]string{}, map[string]string{}
	s.Spec.Selector = map[string]string{"app": app}
	s.Spec.ClusterIP = fmt.Sprintf("10.96.%d.%d", len(w.services), 10)
	if w.chance(5) {
		s.Spec.ClusterIP = corev1.ClusterIPNone
	}
	s.Spec.ClusterIPs = []string{s.Spec.ClusterIP}
	if w.chance(4) {
		s.Spec.Selector = map[string]string{"tier": w.one("x", "y")}
	}
	if w.chance(8) {
		s.Annotations["networking.istio.io/exportTo"] = w.one(".", "south", "*", "north,south", "~")
	}
	w.useWaypoint(s.Labels, 4)
	if w.chance(6) {
		s.Labels["istio.io/ingress-use-waypoint"] = w.one("true", "true", "false")
	}
	for i, target := range ports[:3] {
		if i > 0 && w.chance(3) {
			continue
		}
		s.Spec.Ports = append(s.Spec.Ports, w.servicePort(int32(80+i), target))
	}
	w.services = append(w.services, s)
}

func (w *world) servicePort(number, target int32) corev1.ServicePort {
	// Mostly one protocol for each target, so that Services agree about it.
	names := map[int32][]string{8080: {"http", "http-web", "grpc-api"}, 8081: {"tcp", "tcp-raw", "https"}, 9090: {"metrics", "web"}}[target]
	if w.chance(20) {
		names = []string{"http", "tcp", "metrics", "grpc-web-api", "redis"}
	}
	p := corev1.ServicePort{Name: fmt.Sprintf("%s-%d", w.one(names...), number), Port: number, TargetPort: intstr.FromInt32(target), Protocol: corev1.ProtocolTCP}
	if w.chance(4) {
		p.TargetPort = intstr.FromString(fmt.Sprintf("p%d", target))
	}
	if target == 8081 && w.chance(4) {
		p.Name, p.Port = fmt.Sprintf("db-%d", number), 3306
	}
	if w.chance(20) {
		p.AppProtocol = new(w.one("http", "tcp", "kubernetes.io/h2c", "kubernetes.io/wss", "unheard"))
	}
	return p
}

// pod adds a pod of some kind, as it stands in a cluster after injection.
func (w *world) pod(namespace string, nth, n int) {
	labels := map[string]string{"app": w.one("a", "b", "c"), "tier": w.one("x", "y")}
	p := &pod{Pod: &corev1.Pod{ObjectMeta: w.named(namespace, fmt.Sprintf("p%d", n))}, kind: sidecar}
	p.Labels, p.Annotations = labels, map[string]string{}
	p.Spec.ServiceAccountName = w.one("default", "s1", "s2")
	containers := corev1.Container{Name: "app"}
	for _, number := range ports[:3] {
		if !w.chance(6) {
			containers.Ports = append(containers.Ports, corev1.ContainerPort{Name: fmt.Sprintf("p%d", number), ContainerPort: number, Protocol: corev1.ProtocolTCP})
		}
	}
	p.Spec.Containers = []corev1.Container{containers}
	w.enrol(p)
	w.run(p, fmt.Sprintf("10.%d.0.%d", nth+1, n+10))
}

func (w *world) enrol(p *pod) {
	p.kind = []podKind{sidecar, sidecar, sidecar, sidecar, ambient, ambient, ambient, outside, proxyless, router}[w.IntN(10)]
	if p.kind == ambient && !w.ambient {
		p.kind = sidecar
	}
	switch p.kind {
	case sidecar:
		w.inject(p)
	case ambient:
		p.Annotations["ambient.istio.io/redirection"] = "enabled"
		w.useWaypoint(p.Labels, 5)
	case proxyless:
		p.Annotations["sidecar.istio.io/status"], p.Annotations["inject.istio.io/templates"] = "{}", "grpc-agent"
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "istio-proxy"})
		if w.chance(2) {
			p.Labels["security.istio.io/tlsMode"] = "istio"
		}
	case router:
		p.Annotations["sidecar.istio.io/status"], p.Annotations["inject.istio.io/templates"] = "{}", "gateway"
		p.Spec.Containers = []corev1.Container{{Name: "istio-proxy", Ports: p.Spec.Containers[0].Ports}}
		if w.chance(3) {
			p.Labels["gateway.networking.k8s.io/gateway-name"], p.Labels["gateway.networking.k8s.io/gateway-class-name"] = "gw", "istio"
		}
	}
}

func (w *world) inject(p *pod) {
	p.Annotations["sidecar.istio.io/status"] = "{}"
	p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "istio-proxy"})
	if tls := w.IntN(12); tls > 1 {
		p.Labels["security.istio.io/tlsMode"] = "istio"
	} else if tls == 1 {
		p.Labels["security.istio.io/tlsMode"] = "disabled"
	}
	if w.ambient && w.chance(4) {
		p.Labels["networking.istio.io/tunnel"] = "http"
	}
	if w.chance(8) {
		p.left = []int32{ports[w.IntN(3)]}
		p.Annotations["traffic.sidecar.istio.io/excludeInboundPorts"] = fmt.Sprint(p.left[0])
	}
}

func (w *world) run(p *pod, ip string) {
	p.Status = corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}},
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
	}
	w.pods = append(w.pods, p)
}

// waypoint adds one that runs: its Gateway, its Service and its pod.
func (w *world) waypoint(namespace string, nth int) {
	labels := map[string]string{
		"gateway.networking.k8s.io/gateway-name": "wp", "gateway.networking.k8s.io/gateway-class-name": "istio-waypoint",
		"gateway.istio.io/managed": "istio.io-mesh-controller",
	}
	g := &gatewayapi.Gateway{ObjectMeta: w.named(namespace, "wp")}
	g.Labels = map[string]string{}
	if w.chance(2) {
		g.Labels["istio.io/waypoint-for"] = w.one("service", "workload", "all", "all", "none")
	}
	from := []gatewayapi.FromNamespaces{gatewayapi.NamespacesFromSame, gatewayapi.NamespacesFromAll, gatewayapi.NamespacesFromSelector}[w.IntN(3)]
	listener := gatewayapi.Listener{Name: "mesh", Port: 15008, Protocol: "HBONE"}
	if !w.chance(3) {
		listener.AllowedRoutes = &gatewayapi.AllowedRoutes{Namespaces: &gatewayapi.RouteNamespaces{From: &from}}
		if from == gatewayapi.NamespacesFromSelector {
			listener.AllowedRoutes.Namespaces.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": "red"}}
		}
	}
	g.Spec = gatewayapi.GatewaySpec{GatewayClassName: "istio-waypoint", Listeners: []gatewayapi.Listener{listener}}
	kind := gatewayapi.HostnameAddressType
	g.Status.Addresses = []gatewayapi.GatewayStatusAddress{{Type: &kind, Value: "wp." + namespace + ".svc.cluster.local"}}
	w.gateways = append(w.gateways, g)

	s := &corev1.Service{ObjectMeta: w.named(namespace, "wp")}
	s.Labels = labels
	s.Spec.Selector, s.Spec.ClusterIP = map[string]string{"gateway.networking.k8s.io/gateway-name": "wp"}, fmt.Sprintf("10.96.200.%d", nth+1)
	s.Spec.ClusterIPs = []string{s.Spec.ClusterIP}
	s.Spec.Ports = []corev1.ServicePort{{Name: "mesh", Port: 15008, TargetPort: intstr.FromInt32(15008), Protocol: corev1.ProtocolTCP}}
	w.services = append(w.services, s)

	p := &pod{Pod: &corev1.Pod{ObjectMeta: w.named(namespace, "wp-0")}, kind: waypoint}
	p.Labels, p.Annotations = map[string]string{"istio.io/dataplane-mode": "none", "sidecar.istio.io/inject": "false"}, map[string]string{}
	for key, value := range labels {
		p.Labels[key] = value
	}
	p.Spec.ServiceAccountName, p.Spec.Containers = "wp", []corev1.Container{{Name: "istio-proxy"}}
	w.run(p, fmt.Sprintf("10.%d.0.250", nth+1))
}

// endpointSlices are what the endpoint controller makes of Services and pods:
// one for each set of ports, since pods may give a name to different ports, or to none.
func (w *world) endpointSlices() []*discoveryv1.EndpointSlice {
	var all []*discoveryv1.EndpointSlice
	for _, s := range w.services {
		for i, p := range w.behind(s) {
			slice := &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4}
			slice.Namespace, slice.Name = s.Namespace, fmt.Sprintf("%s-%d", s.Name, i)
			slice.Labels = map[string]string{discoveryv1.LabelServiceName: s.Name}
			for _, port := range s.Spec.Ports {
				if target := targetOf(port, p); target != 0 {
					slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: &port.Name, Port: &target, Protocol: &port.Protocol})
				}
			}
			ready := true
			slice.Endpoints = []discoveryv1.Endpoint{{
				Addresses: []string{p.Status.PodIP}, Conditions: discoveryv1.EndpointConditions{Ready: &ready},
				TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: p.Namespace, Name: p.Name},
			}}
			all = append(all, slice)
		}
	}
	return all
}

func (w *world) behind(s *corev1.Service) []*pod {
	return slices.DeleteFunc(slices.Clone(w.pods), func(p *pod) bool { return p.Namespace != s.Namespace || !selects(s.Spec.Selector, p.Labels) })
}

// waypointNamed is the pod that runs a waypoint, "namespace/name".
func (w *world) waypointNamed(name string) *pod {
	i := slices.IndexFunc(w.pods, func(p *pod) bool {
		return p.kind == waypoint && p.Namespace+"/"+p.Labels["gateway.networking.k8s.io/gateway-name"] == name
	})
	return w.pods[i]
}

// serviceAddress is that of a Service; headless ones go by 0.0.0.0 in istiod.
func serviceAddress(s *corev1.Service) netip.Addr {
	a, err := netip.ParseAddr(s.Spec.ClusterIP)
	if err != nil {
		return netip.IPv4Unspecified()
	}
	return a
}

func headless(s *corev1.Service) bool { return s.Spec.ClusterIP == corev1.ClusterIPNone }

func selects(selector, labels map[string]string) bool {
	for key, value := range selector {
		if labels[key] != value {
			return false
		}
	}
	return true
}

// targetOf is the port of a pod behind a port of a Service, or 0.
func targetOf(port corev1.ServicePort, p *pod) int32 {
	if port.TargetPort.Type == intstr.Int {
		return port.TargetPort.IntVal
	}
	for _, c := range p.Spec.Containers {
		for _, declared := range c.Ports {
			if declared.Name == port.TargetPort.StrVal {
				return declared.ContainerPort
			}
		}
	}
	return 0
}

func (w *world) policiesOf(namespace string) {
	for range w.IntN(4) {
		w.peers = append(w.peers, w.peerAuthentication(namespace))
	}
	for range w.IntN(4) {
		w.policies = append(w.policies, w.authorizationPolicy(namespace))
	}
	for range w.IntN(4) {
		w.rules = append(w.rules, w.destinationRule(namespace))
	}
	for range w.IntN(3) {
		w.sidecars = append(w.sidecars, w.sidecar(namespace))
	}
}

// selector chooses pods by labels, or is nil.
func (w *world) selector() map[string]string {
	switch w.IntN(5) {
	case 0, 1:
		return nil
	case 2:
		return map[string]string{"tier": w.one("x", "y")}
	case 3:
		return map[string]string{"app": w.one("a", "b"), "tier": w.one("x", "y")}
	default:
		return map[string]string{"app": w.one("a", "b", "c")}
	}
}

func mutualTLS(mode securityapi.PeerAuthentication_MutualTLS_Mode) *securityapi.PeerAuthentication_MutualTLS {
	return &securityapi.PeerAuthentication_MutualTLS{Mode: mode}
}

func (w *world) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: auto mTLS %v, registry only %v, ambient %v\n", w.seed, w.autoMTLS, w.registryOnly, w.ambient)
	for _, n := range w.namespaces {
		fmt.Fprintln(&b, "namespace", n.Name, n.Labels)
	}
	for _, p := range w.pods {
		fmt.Fprintln(&b, "pod", p.Namespace, p.Name, p.Status.PodIP, p.Spec.ServiceAccountName, "kind", p.kind, p.Labels, p.Annotations)
	}
	for _, s := range w.services {
		fmt.Fprintln(&b, "service", s.Namespace, s.Name, s.Spec.ClusterIP, s.Spec.Selector, s.Labels, s.Annotations)
		for _, p := range s.Spec.Ports {
			fmt.Fprintln(&b, "   ", p.Name, p.Port, p.TargetPort.String())
		}
	}
	for _, o := range w.objects() {
		data, _ := yamlOf(o)
		fmt.Fprintln(&b, data)
	}
	return b.String()
}

package istio

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// Ways tells how TCP connections of a client to a server travel. A sidecar finds
// servers by their Services, and speaks mTLS to those that it finds so; what it
// knows no Service of it passes on in plaintext. ztunnel knows every pod by its
// address, and dials HBONE.
func (r *Reader) Ways(client, server *model.Workload) []model.Way {
	switch {
	case sendsPlainly(client):
		return nil
	case server == nil:
		return r.outward(client)
	case client.Facts.Mode == model.ModeAmbient:
		return r.fromZtunnel(server)
	default:
		return r.fromProxy(client, server)
	}
}

// sendsPlainly tells that nothing of the mesh carries what a client sends.
func sendsPlainly(client *model.Workload) bool {
	return client == nil || !client.Facts.Meshed() || client.Facts.Mode == model.ModeSidecar && !isGateway(client) && interceptsNothing(client)
}

// outward is the way to addresses outside of the cluster's workloads.
func (r *Reader) outward(client *model.Workload) []model.Way {
	scope := r.scopeOf(client)
	if client.Facts.Mode != model.ModeSidecar || isGateway(client) || !r.registryOnly(scope) {
		return nil
	}
	return []model.Way{{Cause: r.registryCause(scope), Unknown: "the client's sidecar lets through the hosts of its registry only (REGISTRY_ONLY): addresses alone do not tell which these are"}}
}

func (r *Reader) registryCause(scope *sidecarScope) model.Cause {
	if scope != nil && scope.said {
		return model.Cause{Object: scope.ref, Field: "spec.outboundTrafficPolicy.mode"}
	}
	return model.Cause{Message: "the mesh's configuration says outboundTrafficPolicy REGISTRY_ONLY"}
}

// fromZtunnel: by way of a waypoint where a Service has one, whatever its pods are,
// and straight to the pod otherwise. A pod's own waypoint is for calls to its
// address, and who calls a headless Service calls the addresses of its pods.
func (r *Reader) fromZtunnel(server *model.Workload) []model.Way {
	straight := straightFromZtunnel(server)
	toAddress, relayed := straight, false
	if via := r.workloadWaypoint(server); via != nil {
		toAddress, relayed = r.toAddress(via, server), true
	}
	var ways []model.Way
	for _, s := range server.Services {
		w := straight
		if isHeadless(s) {
			w = toAddress
		} else if around := r.viaWaypoint(s, server); around != nil {
			ways, relayed = append(ways, around...), true
			continue
		}
		if w.Ports = behind(s, server); w.Ports != nil {
			ways = append(ways, w)
		}
	}
	switch {
	case relayed:
		toAddress.ByAddress = true
		return append(ways, toAddress)
	case straight.Cause == model.Cause{}:
		return nil
	default:
		return []model.Way{straight}
	}
}

// straightFromZtunnel: ztunnel dials HBONE where a workload takes it, and plaintext elsewhere.
func straightFromZtunnel(server *model.Workload) model.Way {
	switch {
	case takesHBONE(server):
		return model.Way{Dials: portHBONE, Protected: true, Cause: model.Cause{Message: "ztunnel carries it by HBONE"}}
	case server.Facts.Meshed():
		return model.Way{Cause: model.Cause{Message: cannotMeet(&model.Facts{Mode: model.ModeAmbient}, &server.Facts)}}
	default:
		return model.Way{}
	}
}

// takesHBONE tells whether clients find that a workload takes HBONE. That an
// ambient pod's plaintext is not captured changes nothing about it: port 15008 is
// dialled as it is (cni/pkg/iptables/iptables.go).
func takesHBONE(server *model.Workload) bool {
	return server.Facts.Mode == model.ModeAmbient || server.Facts.Tunnel.Port != 0
}

// behind are the server's ports to which a Service leads; nil where there is none.
func behind(s *model.Service, server *model.Workload) []model.Port {
	var ports []model.Port
	for _, p := range s.Ports {
		if target := int32(targetPort(p, server)); isTCP(p) && target > 0 {
			ports = append(ports, model.TCP(target))
		}
	}
	return ports
}

// fromProxy is how sidecars, gateways and gRPC's own client send: by each Service
// of the server, then by its address.
func (r *Reader) fromProxy(client, server *model.Workload) []model.Way {
	scope := r.scopeOf(client)
	var ways []model.Way
	for _, s := range server.Services {
		if isGateway(client) && r.ingressAsks(s) && exported(s, client.ID.Namespace) {
			if around := r.viaWaypoint(s, server); around != nil {
				ways = append(ways, around...)
				continue
			}
		}
		for _, p := range s.Ports {
			target := int32(targetPort(p, server))
			switch {
			case !isTCP(p) || target <= 0:
			case r.sees(scope, client.ID.Namespace, s, p.Port):
				ways = append(ways, r.over(client, server, s, p.Port, target))
			default:
				ways = append(ways, r.hidden(client, scope, target))
			}
		}
	}
	w := r.unheard(client, scope)
	w.ByAddress = true
	return append(ways, w)
}

// hidden is the way over a Service that the client's proxy does not know.
func (r *Reader) hidden(client *model.Workload, scope *sidecarScope, target int32) model.Way {
	w := r.unheard(client, scope)
	w.Ports = []model.Port{model.TCP(target)}
	if w.Fails == "" && scope != nil && len(scope.egress) > 0 {
		w.Cause = model.Cause{Object: scope.ref, Field: "spec.egress", Message: "the client's proxy is scoped to other hosts: it does not know the Service, and passes the connection on in plaintext"}
	}
	if w.Fails == "" && client.Facts.Mode == model.ModeProxyless {
		w.Fails = "gRPC's own client calls Services only, and is told nothing of this one"
	}
	return w
}

// unheard is the way to what the client's proxy knows no Service of.
func (r *Reader) unheard(client *model.Workload, scope *sidecarScope) model.Way {
	w := model.Way{Cause: model.Cause{Message: "the client's proxy knows no Service with this port, and passes the connection on in plaintext"}}
	switch {
	case isGateway(client):
		w.Fails = "a gateway sends to Services only, and it knows none with this port"
	case client.Facts.Mode == model.ModeSidecar && r.registryOnly(scope):
		w.Cause = r.registryCause(scope)
		w.Fails = "the client's sidecar lets through the hosts of its registry only (REGISTRY_ONLY), and knows no Service with this port"
	}
	return w
}

// over is the way by one port of a Service (pilot/pkg/networking/core/cluster_tls.go,
// pilot/pkg/xds/endpoints/endpoint_builder.go). HBONE goes before all that is said of
// TLS, and a DestinationRule before what the client would find out by itself. Behind
// a headless Service a sidecar knows no endpoints: it sends alike to all of them, and never HBONE.
func (r *Reader) over(client, server *model.Workload, s *model.Service, port, target int32) model.Way {
	w := model.Way{Ports: []model.Port{model.TCP(target)}}
	if bypass := aroundProxy(client, port); bypass != nil {
		w.Cause = model.Cause{Object: client.Ref(), Field: client.TemplatePath() + bypass.Field, Message: bypass.Message}
		if bypass.Ports == nil {
			w.Unknown = bypass.Message
		}
		return w
	}
	d := r.ruleFor(client, s)
	set := d.cluster(port)
	blind := isHeadless(s) && !isGateway(client) && client.Facts.Mode == model.ModeSidecar
	if set.mode != "" {
		w.Cause = model.Cause{Object: d.policy.ref, Field: set.field}
	}
	switch {
	case !blind && r.tunnels(client, server):
		w.Dials, w.Protected, w.Cause = portHBONE, true, model.Cause{Message: "the server takes HBONE, so the client's proxy dials it"}
	case set.mode == "ISTIO_MUTUAL":
		w.Protected, w.Fails = true, r.takesMTLS(server, target)
	case set.mode == disable:
		w.Cause.Message = "mode DISABLE wins over automatic mTLS: the client sends plaintext"
	case set.mode != "" && client.Facts.Mode == model.ModeProxyless:
		w.Cause.Message = "gRPC's own client knows no mode " + set.mode + ", and sends plaintext"
	case set.mode != "":
		w.Cause.Message = "mode " + set.mode + ": the client speaks TLS of its own, without the mesh's certificate"
		w.Fails, w.Unknown = r.takesTLS(server, target)
	default:
		r.findOut(&w, &finding{client, server, s, d, port, target, blind})
	}
	return w
}

// tunnels tells whether a client's proxy dials HBONE: mTLS on the port itself goes before where the server announces that.
func (r *Reader) tunnels(client, server *model.Workload) bool {
	return client.Facts.DialsTunnel && client.Facts.Mode == model.ModeSidecar && takesHBONE(server) && !speaksTLS(server)
}

// finding is a connection for which nothing is said of TLS.
type finding struct {
	client, server *model.Workload
	s              *model.Service
	rule           *destinationRule
	port, target   int32
	// blind tells that the client knows no endpoints.
	blind bool
}

// findOut is automatic mTLS.
func (r *Reader) findOut(w *model.Way, f *finding) {
	modes := r.modesOf(f.server)
	mode, said := modes.of(f.target), f.rule.endpoint(f.port)
	switch {
	case f.client.Facts.Mode == model.ModeProxyless, !r.mesh.AutoMTLS:
		w.Cause.Message = "the client does not find out by itself that it should speak mTLS, and no DestinationRule tells it"
	case modes.home == disable:
		w.Cause.Message = "the namespace's mode is DISABLE, and clients go by it for its Services"
	case isHeadless(f.s) && r.spansMesh(f.s, f.port):
		w.Cause.Message = "the Service is headless and some of its pods announce no mTLS, so clients send plaintext to all of them"
	case f.blind:
		w.Protected, w.Fails, w.Cause.Message = true, r.takesMTLS(f.server, f.target), "automatic mTLS, to all pods of the headless Service alike"
	case said.mode != "" && said.mode != "ISTIO_MUTUAL":
		w.Cause = model.Cause{Object: f.rule.policy.ref, Field: said.field, Message: "mode " + said.mode + " does not hold for the port, but switches automatic mTLS off"}
	case !speaksTLS(f.server) && !f.server.Facts.Meshed():
		w.Cause.Message = "the server is outside the mesh, so the client's proxy sends plaintext"
	case !speaksTLS(f.server):
		w.Cause.Message = cmp.Or(cannotMeet(&f.client.Facts, &f.server.Facts), "the server's pods do not announce mTLS (label "+tlsModeLabel+")")
	case said.mode == "" && mode.mode == disable:
		w.Cause = mode.cause
		w.Cause.Message = "mode DISABLE: clients find that the server takes no mTLS"
	default:
		w.Protected, w.Fails, w.Cause.Message = true, r.takesMTLS(f.server, f.target), "automatic mTLS"
	}
}

// takesMTLS says why a server's proxy does not end mTLS on a port, or is empty where it does.
func (r *Reader) takesMTLS(server *model.Workload, port int32) string {
	switch {
	case !server.Facts.Meshed():
		return "the server is outside the mesh, and the client speaks the mesh's mTLS to it"
	case server.Facts.Mode == model.ModeAmbient:
		return "the server is ambient: it ends HBONE, and no mTLS on the port itself"
	case isGateway(server):
		return "the gateway's listeners take no mTLS of the mesh"
	case !captured(server, port):
		return "the port goes around the server's proxy, which would have to end the mTLS that clients speak to it"
	case r.modesOf(server).of(port).mode == disable:
		return "mode DISABLE: the server's proxy takes no mTLS"
	case server.Facts.Mode == model.ModeProxyless && !r.refuses(server, r.modesOf(server).of(port).mode):
		return "a proxyless server takes plaintext under a permissive mode, unless its pods bear the label " + tlsModeLabel + "=istio"
	default:
		return ""
	}
}

// takesTLS says why TLS that is not the mesh's does not get to a server's application,
// or why that is not known; both are empty where it does (pilot/pkg/networking/core/filterchain_options.go).
func (r *Reader) takesTLS(server *model.Workload, port int32) (fails, unknown string) {
	switch {
	case server.Facts.Mode == model.ModeProxyless:
		return "a proxyless server takes the mesh's mTLS or plaintext, and no other TLS", ""
	case server.Facts.Mode != model.ModeSidecar, isGateway(server), !captured(server, port):
		return "", ""
	case r.modesOf(server).of(port).mode == strict:
		return "mode STRICT: the server's proxy takes the mesh's mTLS only", ""
	}
	switch r.carriedTo(server)[port] {
	case carriesHTTP:
		return "the port is declared to carry HTTP, so the server's proxy takes no TLS there but the mesh's", ""
	case disputed:
		return "", "Services declare the port differently, and the oldest decides whether the server's proxy takes TLS that is not the mesh's"
	default:
		return "", ""
	}
}

// speaksTLS tells whether clients find that a server's pods take mTLS: by a label
// that injection sets on sidecars, and that proxyless pods must set themselves.
func speaksTLS(server *model.Workload) bool {
	label, said := server.Labels[tlsModeLabel]
	switch {
	case said:
		return label == "istio"
	case server.Facts.Mode == model.ModeSidecar:
		return !server.Running && !isGateway(server)
	default:
		return false
	}
}

// spansMesh tells whether a port of a Service leads to pods of which some announce that they take no mTLS.
func (r *Reader) spansMesh(s *model.Service, port int32) bool {
	workloads := r.m.WorkloadsIn(s.Namespace)
	for i := range workloads {
		w := &workloads[i]
		if label, said := w.Labels[tlsModeLabel]; !selects(s.Selector, w.Labels) || speaksTLS(w) || said && label != "disabled" {
			continue
		}
		if slices.ContainsFunc(s.Ports, func(p corev1.ServicePort) bool { return p.Port == port && isTCP(p) && targetPort(p, w) <= 65535 }) {
			return true
		}
	}
	return false
}

// aroundProxy finds what leads a client's connections to a port of a Service around its
// proxy. Only sidecars have connections redirected to them (cni/pkg/plugin/plugin.go).
func aroundProxy(client *model.Workload, port int32) *model.Bypass {
	if client.Facts.Mode != model.ModeSidecar || isGateway(client) {
		return nil
	}
	for _, number := range parsePorts(client.Annotations["traffic.sidecar.istio.io/excludeOutboundPorts"]) {
		if number.Number == port {
			return &model.Bypass{Field: annotationField("traffic.sidecar.istio.io/excludeOutboundPorts"), Ports: []model.Port{number}, Message: "the annotation leads connections to this port around the client's proxy, in plaintext"}
		}
	}
	for i := range client.Facts.Bypasses {
		b := &client.Facts.Bypasses[i]
		if !b.Inbound && b.Ports == nil && !strings.Contains(b.Field, "excludeOutboundPorts") {
			return b
		}
	}
	return nil
}

// Sender is what of a client its ways depend on.
func (r *Reader) Sender(client *model.Workload) string {
	if sendsPlainly(client) {
		return ""
	}
	f := &client.Facts
	if f.Mode == model.ModeAmbient {
		return "ztunnel"
	}
	k := key{}.of(string(f.Mode)).flags(isGateway(client), f.DialsTunnel)
	if scope := r.scopeOf(client); scope != nil {
		k = k.of("scope", scope.ref.Namespace).number(scope.number).of("in", client.ID.Namespace)
	}
	numbers, home := r.heeds(client)
	if home || r.limited {
		k = k.of("home", client.ID.Namespace, "rules", numbersKey(numbers))
	}
	if slices.ContainsFunc(f.Bypasses, func(b model.Bypass) bool { return !b.Inbound }) {
		k = k.of("bypass", client.ID.String())
	}
	return string(k)
}

// limited tells whether some Service is hidden from some namespaces.
func limited(services []model.Service) bool {
	return slices.ContainsFunc(services, func(s model.Service) bool { return s.Annotations[exportAnnotation] != "" })
}

// Receiver is what of a server the ways to it depend on.
func (r *Reader) Receiver(server *model.Workload) string {
	f := &server.Facts
	m := r.modesOf(server)
	k := key{}.of(string(f.Mode), f.Outside, m.rest.mode, m.home).flags(takesHBONE(server), isGateway(server), speaksTLS(server))
	for _, p := range m.ports {
		k = k.number(int(p.port)).of(p.mode)
	}
	if f.Meshed() {
		carried := r.carriedTo(server)
		k = k.of(r.gapsOf(server).key).ports(portsThat(carried, carriesHTTP)).ports(portsThat(carried, disputed))
	}
	relayed := len(r.waypoints) > 0
	named := r.rules.count > 0 || len(r.scopes) > 0 || r.limited || relayed
	for _, s := range server.Services {
		k = k.of("service")
		if named {
			k = k.of(s.Namespace, s.Name)
		}
		headless := isHeadless(s)
		for _, p := range s.Ports {
			k = k.of(string(model.ProtocolOr(p.Protocol))).number(int(p.Port)).number(int(targetPort(p, server))).flags(headless, headless && r.spansMesh(s, p.Port))
		}
	}
	if relayed {
		waypoint, optedOut := useWaypoint(server.Labels, server.ID.Namespace)
		k = k.of("at", server.ID.Namespace, fmt.Sprint(waypoint)).flags(optedOut)
	}
	return string(k)
}

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

// fromZtunnel: by way of a waypoint where a Service has one, and straight to the pod's address otherwise.
func (r *Reader) fromZtunnel(server *model.Workload) []model.Way {
	tunnelled := server.Facts.Mode == model.ModeAmbient && server.Facts.Outside == "" || server.Facts.Mode == model.ModeSidecar && server.Facts.Tunnel.Port != 0
	if !tunnelled {
		ambient := model.Facts{Mode: model.ModeAmbient}
		if server.Facts.Meshed() {
			return []model.Way{{Cause: model.Cause{Message: cmp.Or(cannotMeet(&ambient, &server.Facts), server.Facts.Outside)}}}
		}
		return nil
	}
	ways := r.viaWaypoints(server)
	straight := model.Way{Dials: portHBONE, Protected: true, ByAddress: len(ways) > 0, Cause: model.Cause{Message: "ztunnel carries it by HBONE"}}
	if via := r.workloadWaypoint(server); via != nil {
		straight.Via, straight.ViaFilters = via, []*model.Filter{r.waypointFilter(via, nil, server)}
		straight.Cause = model.Cause{Message: "ztunnel carries it by HBONE, by way of the waypoint " + via.ID.Namespace + "/" + via.ID.Name}
	}
	return append(ways, straight)
}

// fromProxy is how sidecars, gateways and gRPC's own client send: by each Service
// of the server that they know, then by its address.
func (r *Reader) fromProxy(client, server *model.Workload) []model.Way {
	scope := r.scopeOf(client)
	var ways []model.Way
	hidden := 0
	for _, s := range server.Services {
		if !r.sees(scope, client.ID.Namespace, s) {
			hidden++
			continue
		}
		if isGateway(client) && server.Facts.Mode == model.ModeAmbient && ingressUsesWaypoint(server) {
			ways = append(ways, r.viaWaypoint(s, server)...)
		}
		for _, p := range s.Ports {
			if target := int32(targetPort(p, server)); model.ProtocolOr(p.Protocol) == corev1.ProtocolTCP && target > 0 {
				ways = append(ways, r.over(client, server, s, p.Port, target))
			}
		}
	}
	return append(ways, r.byAddress(client, scope, hidden))
}

// byAddress is the way past all Services.
func (r *Reader) byAddress(client *model.Workload, scope *sidecarScope, hidden int) model.Way {
	w := model.Way{ByAddress: true, Cause: model.Cause{Message: "the client's proxy knows no Service with this port, and passes the connection on in plaintext"}}
	if hidden > 0 {
		w.Cause = model.Cause{Object: scope.refOf(), Field: "spec.egress", Message: "the client's proxy is scoped to other hosts: it knows no Service with this port, and passes the connection on in plaintext"}
	}
	switch {
	case isGateway(client):
		w.Fails = "a gateway sends to Services only, and it knows none with this port"
	case client.Facts.Mode == model.ModeSidecar && r.registryOnly(scope):
		w.Cause = r.registryCause(scope)
		w.Fails = "the client's sidecar lets through the hosts of its registry only (REGISTRY_ONLY), and knows no Service with this port"
	}
	return w
}

func (s *sidecarScope) refOf() model.Ref {
	if s == nil {
		return model.Ref{}
	}
	return s.ref
}

// over is the way by one port of a Service. A DestinationRule always wins over what
// the client would find out by itself (pilot/pkg/xds/endpoints/mtls_checker.go).
func (r *Reader) over(client, server *model.Workload, s *model.Service, port, target int32) model.Way {
	w := model.Way{Ports: []model.Port{model.TCP(target)}}
	if bypass := aroundProxy(client, port); bypass != nil {
		w.Cause = model.Cause{Object: client.Ref(), Field: client.TemplatePath() + bypass.Field, Message: bypass.Message}
		if bypass.Ports == nil {
			w.Unknown = bypass.Message
		}
		return w
	}
	if server.Facts.Mode == model.ModeAmbient {
		if reason := cannotMeet(&client.Facts, &server.Facts); reason != "" {
			w.Cause = model.Cause{Message: reason}
			return w
		}
		w.Dials, w.Protected, w.Cause = portHBONE, true, model.Cause{Message: "the server is ambient, so the client's proxy dials HBONE"}
		return w
	}
	set := tlsSetting{}
	if d := r.ruleFor(client, s); d != nil {
		set = d.of(port)
		w.Cause = model.Cause{Object: d.ref, Field: set.field}
	}
	refusal := r.takesMTLS(server, target)
	switch set.mode {
	case "ISTIO_MUTUAL":
		w.Protected, w.Fails = true, refusal
	case "":
		w.Cause = model.Cause{}
		r.findOut(&w, client, server, s, target, refusal)
	case disable:
		w.Cause.Message = "mode DISABLE wins over automatic mTLS: the client sends plaintext"
	default:
		w.Cause.Message = "mode " + set.mode + ": the client speaks TLS of its own, without the mesh's certificate"
	}
	return w
}

// findOut is automatic mTLS.
func (r *Reader) findOut(w *model.Way, client, server *model.Workload, s *model.Service, target int32, refusal string) {
	found := r.modesOf(server)
	mode := found.of(target)
	switch {
	case !server.Facts.Meshed():
		w.Cause.Message = "the server is outside the mesh, so the client's proxy sends plaintext"
	case refusal != "" && !captured(server, target) && speaksTLS(server):
		w.Protected, w.Fails = true, refusal
	case refusal != "":
		w.Cause.Message = refusal
	case !autoMTLS(&r.mesh, client, server):
		w.Cause.Message = "the client does not find out by itself that it should speak mTLS, and no DestinationRule tells it"
	case mode.mode == disable:
		w.Cause = mode.cause
		w.Cause.Message = "mode DISABLE: clients find that the server takes no mTLS"
	case found.home == disable:
		w.Cause.Message = "the namespace's mode is DISABLE, and clients go by it for its Services"
	case isHeadless(s) && r.spansMesh(s):
		w.Cause.Message = "the Service is headless and some of its pods are outside the mesh, so clients send plaintext to all of them"
	default:
		w.Protected, w.Cause.Message = true, "automatic mTLS"
	}
}

// takesMTLS says why a server's proxy does not end mTLS on a port, or is empty where it does.
func (r *Reader) takesMTLS(server *model.Workload, port int32) string {
	switch {
	case !server.Facts.Meshed():
		return "the server is outside the mesh, and the client is told to speak the mesh's mTLS to it"
	case !captured(server, port):
		return "the port goes around the server's proxy, which would have to end the mTLS that clients speak to it"
	case isGateway(server):
		return "the gateway's listeners take no mTLS of the mesh"
	case !speaksTLS(server):
		return "the server's pods do not announce mTLS (label " + tlsModeLabel + ")"
	case r.modesOf(server).of(port).mode == disable:
		return "mode DISABLE: the server's proxy takes no mTLS"
	default:
		return ""
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

// spansMesh tells whether a Service leads to pods of which some announce no mTLS.
func (r *Reader) spansMesh(s *model.Service) bool {
	workloads := r.m.WorkloadsIn(s.Namespace)
	for i := range workloads {
		if w := &workloads[i]; selects(s.Selector, w.Labels) && (!w.Facts.Meshed() || !speaksTLS(w)) {
			return true
		}
	}
	return false
}

// aroundProxy finds what leads a client's connections to a port of a Service around its proxy.
func aroundProxy(client *model.Workload, port int32) *model.Bypass {
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
	key := fmt.Sprint(f.Mode, " ", isGateway(client), " ", f.DialsTunnel)
	if scope := r.scopeOf(client); scope != nil {
		key += fmt.Sprint(" scope ", scope.ref.Namespace, scope.number, " in ", client.ID.Namespace)
	}
	numbers, home := r.heeds(client)
	if home || r.limited() {
		key += " home " + client.ID.Namespace + " rules " + numbersKey(numbers)
	}
	for _, b := range f.Bypasses {
		if !b.Inbound {
			key += " bypass " + client.ID.String()
			break
		}
	}
	return key
}

// limited tells whether some Service is hidden from some namespaces.
func (r *Reader) limited() bool {
	return slices.ContainsFunc(r.m.Services, func(s model.Service) bool { return s.Annotations[exportAnnotation] != "" })
}

// Receiver is what of a server the ways to it depend on.
func (r *Reader) Receiver(server *model.Workload) string {
	f := &server.Facts
	if !f.Meshed() && len(r.rules) == 0 && len(r.scopes) == 0 {
		return ""
	}
	key := fmt.Sprint(f.Mode, " ", f.Tunnel.Port, " ", isGateway(server), " ", isWaypoint(server), " ", speaksTLS(server), " ", f.Outside)
	if f.Meshed() {
		m := r.modesOf(server)
		key += fmt.Sprint(" ", m.rest.mode, m.home)
		for _, p := range m.ports {
			key += fmt.Sprint(" ", p.port, p.mode)
		}
		key += r.gapsOf(server).key
	}
	relayed := f.Mode == model.ModeAmbient && len(r.waypoints) > 0
	named := len(r.rules) > 0 || len(r.scopes) > 0 || r.limited() || relayed
	for _, s := range server.Services {
		key += fmt.Sprint(" service ", isHeadless(s) && r.spansMesh(s))
		if named {
			key += fmt.Sprint(s.Namespace, "/", s.Name)
		}
		for _, p := range s.Ports {
			key += fmt.Sprint(" ", model.ProtocolOr(p.Protocol), p.Port, ">", targetPort(p, server))
		}
	}
	if relayed {
		key += " at " + server.ID.Namespace + " " + server.Labels[useWaypointLabel] + server.Labels[useWaypointNSLabel]
	}
	return key
}

package linkerd

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// Ways tells how TCP connections of a client to a server travel: between proxies
// with mTLS, on port 4143 or on the port itself; in plaintext where a port is led
// around one of the two proxies (linkerd2 controller/api/destination/endpoint_translator.go).
func (r *Reader) Ways(client, server *model.Workload) []model.Way {
	if client == nil || server == nil || !client.Facts.Meshed() || !server.Facts.Meshed() {
		return nil
	}
	var ways []model.Way
	var doubt model.Cause
	left := everyTCP
	for _, g := range r.gapsOf(server) {
		if g.ports == nil {
			doubt = g.cause
			continue
		}
		ways = appendWay(ways, left.in(rangesOf(g.ports)), model.Way{Cause: g.cause})
		left = left.without(rangesOf(g.ports))
	}
	skip := skippedBy(client)
	if skip.doubt != (model.Cause{}) {
		doubt = skip.doubt
	}
	to := skip.at(server)
	ways = appendWay(ways, left.in(to.plain), model.Way{Cause: skip.cause})
	ways = append(ways, r.carried(server, left.without(to.served.with(skip.ports)).with(left.in(to.carried)), doubt)...)
	ways = appendWay(ways, left.in(skip.ports).without(to.plain), model.Way{Cause: skip.cause, ByAddress: true})
	byAddress := r.carried(server, left.in(to.plain).without(to.carried.with(skip.ports)), doubt)
	for i := range byAddress {
		byAddress[i].ByAddress = true
	}
	return append(ways, byAddress...)
}

// appendWay adds a way for ports, if there are any.
func appendWay(ways []model.Way, ports ranges, w model.Way) []model.Way {
	if len(ports) == 0 {
		return ways
	}
	w.Ports = ports
	return append(ways, w)
}

// skipped is what a client leads around its own proxy.
type skipped struct {
	// ports are as the client dials them: those of Services, and of pods that it calls by their address.
	ports ranges
	cause model.Cause
	// doubt is why it is not known what else is, or zero.
	doubt model.Cause
}

func skippedBy(client *model.Workload) skipped {
	var s skipped
	for _, b := range client.Facts.Bypasses {
		switch {
		case b.Ports == nil:
			s.doubt = causeAt(client, b.Field, b.Message)
		case !b.Inbound:
			s.ports, s.cause = rangesOf(b.Ports), causeAt(client, b.Field, b.Message)
		}
	}
	return s
}

// reached are the ports of a server behind its Services, as a client comes by them:
// in plaintext, by way of the proxies, or in either way, by Services with different ports.
type reached struct{ served, plain, carried ranges }

// at follows the ports of a server's Services. The pods' network sees the port of
// the Service, which nothing has translated yet.
func (s *skipped) at(server *model.Workload) reached {
	var to reached
	if len(s.ports) == 0 {
		return to
	}
	for _, service := range server.Services {
		for i := range service.Ports {
			p := &service.Ports[i]
			target := targetPort(server, p)
			if target == 0 || model.ProtocolOr(p.Protocol) != corev1.ProtocolTCP {
				continue
			}
			one := rangesOf([]model.Port{model.TCP(target)})
			to.served = to.served.with(one)
			if contains(s.ports, dialled(service, p.Port, target)) {
				to.plain = to.plain.with(one)
			} else {
				to.carried = to.carried.with(one)
			}
		}
	}
	return to
}

// dialled is the port that clients of a Service dial: behind a headless one they know nothing but the pods' own.
func dialled(s *model.Service, port, target int32) int32 {
	if slices.Contains(s.ClusterIPs, corev1.ClusterIPNone) {
		return target
	}
	return port
}

// carried are the ways between two proxies.
func (r *Reader) carried(server *model.Workload, ports ranges, doubt model.Cause) []model.Way {
	w := model.Way{Protected: true, Unknown: doubt.Message}
	tunnel, direct := w, w
	tunnel.Dials = proxyInbound
	tunnel.Cause.Message = "the proxies carry the connection on port 4143"
	var opaque ranges
	switch r.dialect.mesh.Linkerd.Transport {
	case transportHeader:
		opaque = ports
	case transportTransparent:
		opaque = ports.in(r.opaqueAt(server))
		direct.Cause.Message = "the proxies speak mTLS on the port itself (transparent transport)"
	default:
		opaque = ports.in(r.opaqueAt(server))
		direct.Dials, direct.Either = proxyInbound, true
		direct.Cause.Message = "the proxies speak mTLS on port 4143 or on the port itself: the transport mode (proxy.outboundTransportMode) is not known"
	}
	if doubt != (model.Cause{}) {
		tunnel.Cause, direct.Cause = doubt, doubt
	}
	return appendWay(appendWay(nil, opaque, tunnel), ports.without(opaque), direct)
}

// opaqueAt are the ports that clients take for opaque: those of annotations, and
// of every Server that says so, whether it holds the port or not (linkerd2
// controller/api/destination/watcher/endpoints_watcher.go, SetToServerProtocol).
func (r *Reader) opaqueAt(w *model.Workload) ranges {
	ports := r.dialect.opaquePorts(w)
	list := r.servers[w.ID.Namespace]
	for i := range list {
		if s := &list[i]; !s.unreadable && s.spec.ProxyProtocol == protocolOpaque && s.selects(w) {
			for _, number := range s.numbers(w) {
				ports = append(ports, model.TCP(number))
			}
		}
	}
	return rangesOf(ports)
}

// Sender is what of a client its ways depend on.
func (r *Reader) Sender(client *model.Workload) string {
	if !client.Facts.Meshed() {
		return ""
	}
	key, skip := "meshed", skippedBy(client)
	if len(skip.ports) > 0 {
		key += " skips " + joinPorts(skip.ports) + causeKey(skip.cause)
	}
	if skip.doubt != (model.Cause{}) {
		key += causeKey(skip.doubt)
	}
	return key
}

// Receiver is what of a server the ways to it depend on.
func (r *Reader) Receiver(server *model.Workload) string {
	if !server.Facts.Meshed() {
		return ""
	}
	var b strings.Builder
	b.WriteString("meshed" + gapsKey(r.gapsOf(server)))
	if r.dialect.mesh.Linkerd.Transport != transportHeader {
		b.WriteString(" opaque " + joinPorts(r.opaqueAt(server)))
	}
	for _, s := range server.Services {
		for i := range s.Ports {
			if p := &s.Ports[i]; r.skipping && model.ProtocolOr(p.Protocol) == corev1.ProtocolTCP {
				target := targetPort(server, p)
				fmt.Fprintf(&b, " %d>%d", dialled(s, p.Port, target), target)
			}
		}
	}
	return b.String()
}

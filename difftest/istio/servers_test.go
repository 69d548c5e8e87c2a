package difftest

import (
	"net/netip"
	"slices"

	listenerpb "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"istio.io/istio/pilot/pkg/networking"
	"istio.io/istio/pilot/pkg/networking/plugin/authz"
	"istio.io/istio/pkg/config/kube"
	"istio.io/istio/pkg/workloadapi/security"
)

// view is what a proxy makes of a connection.
type view struct {
	// taken tells that it takes the connection at all, and ends its mTLS.
	taken bool
	// lets is what its authorization says.
	lets tri
	// sniffed tells that it matters whether the connection carries HTTP.
	sniffed bool
}

func address(p *pod) netip.Addr {
	if p == nil {
		return netip.MustParseAddr(stranger)
	}
	return netip.MustParseAddr(p.Status.PodIP)
}

// stranger is an address of no pod.
const stranger = "192.0.2.9"

func identity(p *pod) string {
	return "spiffe://" + trustDomain + "/ns/" + p.Namespace + "/sa/" + p.Spec.ServiceAccountName
}

// takes is what a pod's proxy makes of a connection to the port itself.
func (i *istiod) takes(p *pod, conn connection, kinds ...wire) view {
	switch p.kind {
	case sidecar:
		if slices.Contains(p.left, conn.port) {
			return view{taken: conn.principal == "", lets: yes}
		}
		return i.chains(i.listener(p, "virtualInbound"), conn, kinds)
	case proxyless:
		l := i.grpcListener(p, conn.port)
		if l == nil || endsTLS(i.t, l.FilterChains[0]) != (conn.principal != "") {
			return view{}
		}
		lets, _ := networkFilters(i.t, l.FilterChains[0].Filters, conn)
		return view{taken: true, lets: lets}
	case ambient:
		return i.throughZtunnel(p, conn)
	case router:
		if conn.principal != "" {
			return view{}
		}
		return i.throughGateway(p, conn)
	default:
		return view{taken: conn.principal == "", lets: yes}
	}
}

func (i *istiod) throughZtunnel(p *pod, conn connection) view {
	w := i.tunnels.workloads[address(p)]
	taken := i.tunnels.lets(w, conn, converted) == yes
	return view{taken: taken, lets: i.tunnels.lets(w, conn, func(p *security.Authorization) bool { return !converted(p) })}
}

// throughGateway asks the builder by which gateways get their filters; whether a listener speaks HTTP is for a Gateway to say.
func (i *istiod) throughGateway(p *pod, conn connection) view {
	http, tcp := yes, yes
	for _, action := range []authz.ActionType{authz.Local, authz.Custom} {
		b := authz.NewBuilder(action, i.PushContext(), i.proxy(p), false)
		http = min(http, httpFilters(i.t, b.BuildHTTP(networking.ListenerClassGateway), conn))
		lets, _ := networkFilters(i.t, b.BuildTCP(), conn)
		tcp = min(tcp, lets)
	}
	return view{taken: true, lets: either(http, tcp), sniffed: true}
}

// either is what is known where one of two may happen.
func either(a, b tri) tri {
	switch {
	case a == b:
		return a
	case a == external || b == external:
		return external
	default:
		return some
	}
}

func (i *istiod) listener(p *pod, name string) *listenerpb.Listener {
	for _, l := range i.listenersOf(p) {
		if l.Name == name {
			return l
		}
	}
	require.Failf(i.t, "no listener", "%s of %s", name, p.Name)
	return nil
}

// chains follows connections of several kinds through a listener.
func (i *istiod) chains(l *listenerpb.Listener, conn connection, kinds []wire) view {
	var v view
	var before *listenerpb.FilterChain
	for _, kind := range kinds {
		chain := chainFor(l, conn.port, kind)
		if chain == nil || kind.transport == "tls" && !endsTLS(i.t, chain) {
			continue
		}
		lets, _ := networkFilters(i.t, chain.Filters, conn)
		if v.taken {
			lets, v.sniffed = either(v.lets, lets), v.sniffed || chain != before
		}
		v.taken, v.lets, before = true, lets, chain
	}
	return v
}

// tunnelled is what a pod's proxy makes of a connection that comes by HBONE.
func (i *istiod) tunnelled(p *pod, conn connection) view {
	switch {
	case p.kind == ambient:
		return i.throughZtunnel(p, conn)
	case p.kind == sidecar && i.w.ambient && p.Labels["networking.istio.io/tunnel"] == "http":
		return i.chains(i.listener(p, "main_internal"), conn, []wire{plainHTTP, plainTCP})
	default:
		return view{}
	}
}

// relayed is what a waypoint lets through to a port of a Service, or to the address of a pod where s is nil.
func (i *istiod) relayed(via *pod, s *corev1.Service, conn connection) view {
	var v view
	for _, chain := range i.listener(via, "main_internal").FilterChains {
		names := []string{"direct-http", "direct-tcp"}
		if s != nil {
			names = []string{vipName(s, conn.port, "http"), vipName(s, conn.port, "tcp")}
		}
		if !slices.Contains(names, chain.Name) {
			continue
		}
		lets, _ := networkFilters(i.t, chain.Filters, conn)
		if v.taken {
			lets, v.sniffed = either(v.lets, lets), true
		}
		v.taken, v.lets = true, lets
	}
	return v
}

// protocolOf is what Istio takes a port of a Service to carry.
func protocolOf(p corev1.ServicePort) string {
	protocol := kube.ConvertProtocol(p.Port, p.Name, p.Protocol, p.AppProtocol)
	switch {
	case protocol.IsHTTP():
		return "http"
	case protocol.IsTCP():
		return "tcp"
	default:
		return "sniffed"
	}
}

package difftest

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"istio.io/istio/pkg/config/host"
	"istio.io/istio/pkg/workloadapi"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// outcome is one way of a client to a port of a server, in words that both sides share.
type outcome struct {
	// protected tells that the mesh's mTLS carries it, tunnel that it is HBONE.
	protected, tunnel bool
	// via is the waypoint in between, "namespace/name".
	via string
	// fails tells that it cannot work, whatever the server's policies.
	fails bool
	// beyond tells that it goes on from the waypoint as no model.Way can say: not by HBONE.
	beyond bool
	// service and port are what is called, where it is not an address; own tells that TLS of the client's own is spoken.
	service *corev1.Service
	port    int32
	own     bool
}

func (o outcome) String() string {
	text := "plaintext"
	switch {
	case o.tunnel:
		text = "HBONE"
	case o.protected:
		text = "mTLS"
	}
	if o.via != "" {
		text += " via a waypoint"
	}
	if o.fails {
		text += " (fails)"
	}
	if o.beyond {
		text += " (unknown beyond)"
	}
	return text
}

// ways compares how a pod's proxy sends to another pod: by the Services before it, and to its address.
func (c *comparison) ways(from, to *pod) {
	c.byAddress(from, to)
	for _, port := range ports[:3] {
		want := c.overServices(from, to, port)
		got := c.r.overServices(from, to, port)
		c.counts["ways"]++
		for _, o := range want {
			c.counts["way "+o.String()]++
		}
		if !slices.Equal(texts(want), texts(got)) && slices.ContainsFunc(want, func(o outcome) bool { return o.own }) && c.disputed(to, port) {
			c.counts["known difference: disputed protocol"]++ // of which it depends whether the TLS is taken
			continue
		}
		if !slices.Equal(texts(want), texts(got)) {
			c.fault("ways: %s (%s) → %s:%d (%s): Istio %v, reader %v", name(from), from.kind, name(to), port, to.kind, texts(want), texts(got))
			continue
		}
		if len(want) > 0 {
			c.whole(from, to, port, want)
		}
	}
}

// texts are outcomes as a set.
func texts(list []outcome) []string {
	var out []string
	for _, o := range list {
		out = append(out, o.String()+" "+o.via)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// whole compares what becomes of calls over Services in the end.
func (c *comparison) whole(from, to *pod, port int32, ways []outcome) {
	j := &judged{what: "whole", from: from, to: to, conn: connection{port: port}, want: verdict.Refused}
	for _, o := range ways {
		v := c.end(from, to, port, o)
		decision := decisionOf(v.lets)
		if !v.taken || o.fails {
			decision = verdict.Refused
		} else if o.beyond {
			decision = min(decision, verdict.Unclear)
		}
		j.want, j.sniffed, j.own, j.beyond = max(j.want, decision), j.sniffed || v.sniffed, j.own || o.own, j.beyond || o.beyond
	}
	e := verdict.Explain(c.r.input, verdict.Question{
		From: verdict.End{Workload: c.r.loads[from]}, To: verdict.End{Workload: c.r.loads[to]}, Port: model.TCP(port), OverService: true,
	})
	j.got, j.answers = e.Decision, e.Answers
	c.same(j)
}

// end follows one way to its end.
func (c *comparison) end(from, to *pod, port int32, o outcome) view {
	conn := connection{source: address(from), destination: address(to), port: port}
	if o.via != "" {
		return c.viaWaypoint(from, to, conn, o)
	}
	switch {
	case o.tunnel:
		conn.principal = identity(from)
		return c.tunnelled(to, conn)
	case o.protected:
		conn.principal = identity(from)
		return c.takes(to, conn, meshHTTP, meshTCP)
	case o.own && to.kind == sidecar && !slices.Contains(to.left, port):
		return c.chains(c.listener(to, "virtualInbound"), conn, []wire{plainTCP}) // bytes that nobody reads
	default:
		return c.takes(to, conn, plainHTTP, plainTCP)
	}
}

// viaWaypoint compares what a waypoint lets through, and follows the way on from there.
func (c *comparison) viaWaypoint(from, to *pod, conn connection, o outcome) view {
	via := c.w.waypointNamed(o.via)
	at := connection{principal: identity(from), source: conn.source, destination: conn.destination, port: conn.port}
	if o.service != nil {
		at.destination, at.port = serviceAddress(o.service), o.port
	}
	v := c.relayed(via, o.service, at)
	if way := c.r.wayVia(from, to, conn.port, o); way != nil {
		answers := c.r.answers(from, to, conn.port, *way)
		c.same(&judged{what: "waypoint", from: from, to: to, conn: at, want: decisionOf(v.lets), got: answerOf(answers, model.FilterAuthorization, c.r.loads[via]), answers: answers, sniffed: v.sniffed})
	}
	conn.source, conn.principal = address(via), identity(via)
	on := c.tunnelled(to, conn)
	if o.beyond {
		on = view{taken: true, lets: yes} // the reader does not say, either
	}
	return view{taken: v.taken && on.taken, lets: min(v.lets, on.lets), sniffed: v.sniffed || on.sniffed}
}

// overServices are the ways by every port of a Service that leads to a port of the server.
func (c *comparison) overServices(from, to *pod, port int32) []outcome {
	var out []outcome
	for _, s := range c.w.services {
		if s.Namespace != to.Namespace || !selects(s.Spec.Selector, to.Labels) {
			continue
		}
		for _, p := range s.Spec.Ports {
			if targetOf(p, to) == port {
				o := c.over(from, to, s, p, port)
				if !headless(s) {
					o.service, o.port = s, p.Port
				}
				out = append(out, o)
			}
		}
	}
	return out
}

func (c *comparison) over(from, to *pod, s *corev1.Service, p corev1.ServicePort, port int32) outcome {
	switch from.kind {
	case ambient:
		return c.fromZtunnel(to, s, p, port)
	case proxyless:
		how := absent
		if cluster := c.grpcCluster(from, clusterName(s, p.Port)); cluster != nil {
			how = socketOf(c.t, cluster, nil)
		}
		return c.meets(how, from, to, s, p, port)
	default:
		clusters, endpoints := c.clustersOf(from)
		name := clusterName(s, p.Port)
		return c.meets(sends(c.t, clusters[name], endpoints[name], to.Status.PodIP, port), from, to, s, p, port)
	}
}

// meets joins how the client sends with what the server ends.
func (c *comparison) meets(how sending, from, to *pod, s *corev1.Service, p corev1.ServicePort, port int32) outcome {
	switch how {
	case absent:
		return outcome{fails: from.kind == router || from.kind == proxyless || !c.passes(from)}
	case own:
		return outcome{own: true, fails: !c.takesOwnTLS(to, port)}
	case mutual:
		return outcome{protected: true, fails: !c.endsMTLS(from, to, port)}
	case hbone:
		return outcome{protected: true, tunnel: true}
	case relayed:
		return c.behindWaypoint(c.tunnels.serviceWaypoint(s), to, s, p, port)
	default:
		return outcome{}
	}
}

// behindWaypoint joins the way to a waypoint with how it sends on.
func (c *comparison) behindWaypoint(via string, to *pod, s *corev1.Service, p corev1.ServicePort, port int32) outcome {
	o := outcome{protected: true, tunnel: true, via: via}
	if !c.sees(c.w.waypointNamed(via), s) {
		o.fails = true
		return o
	}
	if headless(s) {
		o.beyond = true // gateways send to 0.0.0.0 there, as which all headless Services are known
		return o
	}
	clusters, endpoints := c.clustersOf(c.w.waypointNamed(via))
	for _, protocol := range []string{"http", "tcp"} {
		if name := vipName(s, p.Port, protocol); clusters[name] != nil && tunnelled(endpoints[name], to.Status.PodIP, port) {
			return o
		}
	}
	taken := c.takes(to, connection{source: address(c.w.waypointNamed(via)), destination: address(to), port: port}, plainHTTP, plainTCP).taken
	o.fails, o.beyond = !taken, taken
	return o
}

// sees tells whether a proxy knows a Service.
func (i *istiod) sees(p *pod, s *corev1.Service) bool {
	return i.PushContext().ServiceForHostname(i.proxy(p), host.Name(hostname(s))) != nil
}

func vipName(s *corev1.Service, port int32, protocol string) string {
	return fmt.Sprintf("inbound-vip|%d|%s|%s", port, protocol, hostname(s))
}

// passes tells whether a sidecar lets through what it knows no Service of.
func (c *comparison) passes(from *pod) bool {
	for _, chain := range c.listener(from, "virtualOutbound").FilterChains {
		if chain.Name == "virtualOutbound-catchall-tcp" {
			return strings.Contains(fmt.Sprint(chain.Filters), "PassthroughCluster")
		}
	}
	return strings.Contains(fmt.Sprint(c.listener(from, "virtualOutbound").DefaultFilterChain), "PassthroughCluster")
}

// endsMTLS tells whether a server ends mTLS on a port.
func (c *comparison) endsMTLS(from, to *pod, port int32) bool {
	conn := connection{principal: identity(from), source: address(from), destination: address(to), port: port}
	return (to.kind == sidecar || to.kind == proxyless) && c.takes(to, conn, meshHTTP, meshTCP).taken
}

// takesOwnTLS tells whether TLS that is not the mesh's reaches a server's application.
func (c *comparison) takesOwnTLS(to *pod, port int32) bool {
	if to.kind != sidecar || slices.Contains(to.left, port) {
		return to.kind != proxyless // which takes the mesh's TLS, or plaintext
	}
	chain := chainFor(c.listener(to, "virtualInbound"), port, ownTLS)
	if chain == nil {
		return false
	}
	_, http := networkFilters(c.t, chain.Filters, connection{port: port, source: address(nil), destination: address(to)})
	return !endsTLS(c.t, chain) && !http
}

// fromZtunnel is what ztunnel does with what istiod tells it: a Service's waypoint
// stands before all of its pods, and a workload says what it takes (ztunnel's src/proxy/outbound.rs).
func (c *comparison) fromZtunnel(to *pod, s *corev1.Service, p corev1.ServicePort, port int32) outcome {
	if headless(s) {
		return c.tunnels.straight(to, true)
	}
	if via := c.tunnels.serviceWaypoint(s); via != "" {
		return c.behindWaypoint(via, to, s, p, port)
	}
	return c.tunnels.straight(to, false)
}

func (z *tunnels) serviceWaypoint(s *corev1.Service) string {
	return waypointOf(z.services[s.Namespace+"/"+hostname(s)].GetWaypoint())
}

// straight is the way to a pod; its own waypoint is for calls to its address.
func (z *tunnels) straight(to *pod, byAddress bool) outcome {
	w := z.workloads[address(to)]
	takes := w.TunnelProtocol == workloadapi.TunnelProtocol_HBONE
	if via := waypointOf(w.Waypoint); via != "" && byAddress {
		return outcome{protected: true, tunnel: true, via: via, fails: !takes} // a waypoint sends on by HBONE
	}
	return outcome{protected: takes, tunnel: takes}
}

// byAddress compares what becomes of calls to the pod's address, on a port of no Service.
func (c *comparison) byAddress(from, to *pod) {
	var want outcome
	switch from.kind {
	case ambient:
		want = c.tunnels.straight(to, true)
	case router:
		want.fails = true // it has no listener that would send there
	case sidecar:
		want.fails = !c.passes(from)
	}
	got := c.r.byAddress(from, to)
	c.counts["ways to addresses"]++
	if want.String() != got.String() || want.via != got.via {
		c.fault("to its address: %s (%s) → %s (%s): Istio %v, reader %v", name(from), from.kind, name(to), to.kind, want, got)
		return
	}
	if want.via != "" && !want.fails {
		c.viaWaypoint(from, to, connection{source: address(from), destination: address(to), port: ports[3]}, want)
	}
}

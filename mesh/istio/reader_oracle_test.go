package istio

import (
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	networkingapi "istio.io/api/networking/v1alpha3"
	securityapi "istio.io/api/security/v1beta1"
	networkingclient "istio.io/client-go/pkg/apis/networking/v1"
	securityclient "istio.io/client-go/pkg/apis/security/v1"

	"floe.dev/palisade/model"
	judging "floe.dev/palisade/verdict"
)

// oracle judges one client, one server and one port by walking all objects, in the
// typed form of Istio's own API. It shares nothing with the reader.
type oracle struct{ *foreignWorld }

// hop is one way from a client to a server.
type hop struct {
	mtls, tunnel, fails, beyond bool
	via                         *model.Workload
	// service and port are what is called by way of a waypoint; nil where it is an address.
	service *model.Service
	port    int32
}

// kindOf is how a pod takes part: by what stands on it.
func kindOf(p *model.Workload) string {
	switch {
	case p == nil:
		return "outside"
	case p.Labels["gateway.networking.k8s.io/gateway-class-name"] == "istio-waypoint":
		return "waypoint"
	case p.Annotations["inject.istio.io/templates"] == "gateway":
		return "gateway"
	case p.Annotations["inject.istio.io/templates"] == "grpc-agent":
		return "grpc"
	case p.Annotations["sidecar.istio.io/status"] != "":
		return "sidecar"
	case p.Annotations["ambient.istio.io/redirection"] == "enabled":
		return "ambient"
	default:
		return "outside"
	}
}

// judge is the best that comes of the ways there are.
func (o oracle) judge(client, server judging.End, port int32) outcome {
	from, to, source := client.Workload, server.Workload, client.Address
	if from != nil {
		source = from.Addresses[0]
	}
	var best outcome
	for _, h := range o.hops(from, to, port) {
		protection := judging.Plaintext
		if h.mtls {
			protection = judging.MTLS
		}
		if d := o.end(h, from, to, source, port); d > best.Decision {
			best = outcome{d, protection}
		}
	}
	return best
}

// end follows a way to its end.
func (o oracle) end(h hop, from, to *model.Workload, source netip.Addr, port int32) judging.Decision {
	if h.fails {
		return judging.Refused
	}
	out := judging.Open
	if h.beyond {
		out = judging.Unclear
	}
	who := ""
	if h.mtls {
		who = nameOf(from)
	}
	if h.via != nil {
		out = min(out, o.atWaypoint(h, who, source, to, port))
		source, who = h.via.Addresses[0], nameOf(h.via)
	}
	if to == nil {
		return out
	}
	return min(out, o.atServer(to, who, source, port))
}

func nameOf(p *model.Workload) string {
	return "td.example/ns/" + p.ID.Namespace + "/sa/" + p.ServiceAccount
}

func (o oracle) hops(from, to *model.Workload, port int32) []hop {
	kind := kindOf(from)
	switch {
	case kind == "outside":
		return []hop{{}}
	case to == nil:
		return []hop{{beyond: kind == "sidecar" && o.registryOnly(from)}}
	case kind == "ambient":
		return o.throughTunnel(to, port)
	}
	var all []hop
	for _, s := range to.Services {
		for _, p := range s.Ports {
			if p.TargetPort.IntVal == port {
				all = append(all, o.over(kind, from, to, s, p.Port, port))
			}
		}
	}
	return append(all, hop{fails: kind == "gateway" || kind == "waypoint" || kind == "sidecar" && o.registryOnly(from)})
}

func withoutIP(s *model.Service) bool { return s.ClusterIPs[0] == "None" }

func takesTunnel(p *model.Workload) bool {
	return kindOf(p) == "ambient" || kindOf(p) == "waypoint" || p.Labels["networking.istio.io/tunnel"] == "http"
}

// throughTunnel is what ztunnel does.
func (o oracle) throughTunnel(to *model.Workload, port int32) []hop {
	plain := hop{mtls: takesTunnel(to), tunnel: takesTunnel(to)}
	address := plain
	if via := o.waypointFor(to.Labels, to.ID.Namespace, "workload"); via != nil && kindOf(to) != "waypoint" {
		address = hop{mtls: true, tunnel: true, via: via, fails: !takesTunnel(to)}
	}
	var all []hop
	for _, s := range to.Services {
		for _, p := range s.Ports {
			if p.TargetPort.IntVal != port {
				continue
			}
			h := plain
			if withoutIP(s) {
				h = address
			} else if via := o.waypointFor(s.Labels, s.Namespace, "service"); via != nil {
				h = o.relay(via, to, s, p.Port, port)
			}
			all = append(all, h)
		}
	}
	return append(all, address)
}

func (o oracle) relay(via, to *model.Workload, s *model.Service, port, target int32) hop {
	h := hop{mtls: true, tunnel: true, via: via, service: s, port: port}
	switch {
	case !visible(s, via.ID.Namespace):
		h.fails = true
	case takesTunnel(to):
	case kindOf(to) == "outside", kindOf(to) == "gateway", kindOf(to) == "sidecar" && o.left(to, target), !o.strict(to, target):
		h.beyond = true
	default:
		h.fails = true
	}
	return h
}

func (o oracle) waypointFor(labels map[string]string, namespace, takes string) *model.Workload {
	name, said := labels["istio.io/use-waypoint"]
	if !said {
		name = o.m.Namespace(namespace).Labels["istio.io/use-waypoint"]
	}
	for i := range o.m.Workloads {
		w := &o.m.Workloads[i]
		if kindOf(w) == "waypoint" && w.ID.Namespace == namespace && name == "wp" && slices.Contains([]string{takes, "all"}, w.Labels["istio.io/waypoint-for"]) {
			return w
		}
	}
	return nil
}

func visible(s *model.Service, namespace string) bool {
	switch to := s.Annotations["networking.istio.io/exportTo"]; to {
	case "", "*":
		return true
	case ".":
		return s.Namespace == namespace
	default:
		return to == namespace
	}
}

// over is the way by a port of a Service for all but ambient clients.
func (o oracle) over(kind string, from, to *model.Workload, s *model.Service, port, target int32) hop {
	if !o.knows(kind, from, s, port) {
		return hop{fails: kind != "sidecar" || o.registryOnly(from)}
	}
	announced := to.Labels["security.istio.io/tlsMode"] == "istio"
	blind := withoutIP(s) && kind == "sidecar"
	if kind != "grpc" && !blind && takesTunnel(to) && !announced && o.m.Cluster.Mesh.Ambient {
		return hop{mtls: true, tunnel: true}
	}
	policy := o.policyFor(from, s)
	mode, whole := modeFor(policy, port)
	speaks := hop{mtls: true, fails: !o.ends(to, target)}
	switch {
	case mode == "ISTIO_MUTUAL":
		return speaks
	case mode == "DISABLE", kind == "grpc":
		return hop{}
	case mode != "":
		return hop{fails: o.refusesOwn(to, target)}
	case !o.m.Cluster.Mesh.AutoMTLS, o.home(s.Namespace) == securityapi.PeerAuthentication_MutualTLS_DISABLE, withoutIP(s) && o.mixed(s, port):
		return hop{}
	case blind:
		return speaks
	case !announced, whole != "" && whole != "ISTIO_MUTUAL", whole == "" && o.modeOf(to, target) == securityapi.PeerAuthentication_MutualTLS_DISABLE:
		return hop{}
	default:
		return speaks
	}
}

// modeFor is the mode of a port of a Service, and where its settings say nothing the mode of the whole.
func modeFor(policy *networkingapi.TrafficPolicy, port int32) (mode, whole string) {
	if policy == nil {
		return "", ""
	}
	name := func(tls *networkingapi.ClientTLSSettings) string {
		if tls == nil {
			return ""
		}
		return tls.Mode.String()
	}
	for _, p := range policy.PortLevelSettings {
		if int32(p.Port.Number) == port {
			return name(p.Tls), name(policy.Tls)
		}
	}
	return name(policy.Tls), name(policy.Tls)
}

func (o oracle) mixed(s *model.Service, port int32) bool {
	return slices.ContainsFunc(o.m.Workloads, func(w model.Workload) bool {
		label := w.Labels["security.istio.io/tlsMode"]
		return w.ID.Namespace == s.Namespace && subset(s.Selector, w.Labels) && (label == "" || label == "disabled")
	})
}

// left tells whether a port goes around a sidecar.
func (o oracle) left(to *model.Workload, port int32) bool {
	return slices.Contains(strings.Split(to.Annotations["traffic.sidecar.istio.io/excludeInboundPorts"], ","), strconv.Itoa(int(port)))
}

func (o oracle) ends(to *model.Workload, port int32) bool {
	switch kindOf(to) {
	case "sidecar":
		return !o.left(to, port) && o.modeOf(to, port) != securityapi.PeerAuthentication_MutualTLS_DISABLE
	case "grpc":
		return o.strict(to, port)
	default:
		return false
	}
}

func (o oracle) refusesOwn(to *model.Workload, port int32) bool {
	switch kindOf(to) {
	case "grpc":
		return true
	case "sidecar":
		http := port == 8080 && slices.ContainsFunc(to.Services, func(s *model.Service) bool { return s.Ports[0].TargetPort.IntVal == 8080 })
		return !o.left(to, port) && (http || o.strict(to, port))
	default:
		return false
	}
}

// scope is the Sidecar of a client, or nil.
func (o oracle) scope(from *model.Workload) *networkingclient.Sidecar {
	older := func(a, b *networkingclient.Sidecar) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) }
	var own, home, root []*networkingclient.Sidecar
	for _, s := range o.sidecars {
		switch selector := s.Spec.WorkloadSelector; {
		case s.Namespace == from.ID.Namespace && selector != nil && subset(selector.Labels, from.Labels):
			own = append(own, s)
		case s.Namespace == from.ID.Namespace && selector == nil:
			home = append(home, s)
		case s.Namespace == worldRoot && selector == nil:
			root = append(root, s)
		}
	}
	for _, list := range [][]*networkingclient.Sidecar{own, home, root} {
		if len(list) > 0 {
			return slices.MinFunc(list, older)
		}
	}
	return nil
}

func (o oracle) registryOnly(from *model.Workload) bool {
	if s := o.scope(from); s != nil && s.Spec.OutboundTrafficPolicy != nil {
		return s.Spec.OutboundTrafficPolicy.Mode == networkingapi.OutboundTrafficPolicy_REGISTRY_ONLY
	}
	return o.m.Cluster.Mesh.RegistryOnly
}

func (o oracle) knows(kind string, from *model.Workload, s *model.Service, port int32) bool {
	if !visible(s, from.ID.Namespace) {
		return false
	}
	scope := o.scope(from)
	if kind == "gateway" || kind == "waypoint" || scope == nil || len(scope.Spec.Egress) == 0 {
		return true
	}
	e := scope.Spec.Egress[0]
	if e.Port != nil && int32(e.Port.Number) != port {
		return false
	}
	full := s.Name + "." + s.Namespace + ".svc.cluster.local"
	known := false
	for _, host := range e.Hosts {
		namespace, name, _ := strings.Cut(host, "/")
		not := strings.HasPrefix(namespace, "~")
		namespace = strings.TrimPrefix(namespace, "~")
		if namespace == "." {
			namespace = from.ID.Namespace
		}
		if (namespace == "*" || namespace == "" || namespace == s.Namespace) && (name == full || name[0] == '*' && strings.HasSuffix(full, name[1:])) {
			if not {
				return false
			}
			known = true
		}
	}
	return known
}

// policyFor is the traffic policy by which a client calls a Service.
func (o oracle) policyFor(from *model.Workload, s *model.Service) *networkingapi.TrafficPolicy {
	home := from.ID.Namespace
	private := func(d *networkingclient.DestinationRule) bool {
		e := exportsOf(d)
		return len(e) == 1 && (e[0] == "." || e[0] == d.Namespace)
	}
	tries := []func(*networkingclient.DestinationRule) bool{
		func(d *networkingclient.DestinationRule) bool {
			if home == worldRoot {
				return d.Namespace == worldRoot && private(d)
			}
			e := exportsOf(d)
			return d.Namespace == home && (len(e) == 0 || slices.Contains(e, "*") || slices.Contains(e, ".") || slices.Contains(e, home))
		},
		func(d *networkingclient.DestinationRule) bool { return d.Namespace == s.Namespace && !private(d) },
		func(d *networkingclient.DestinationRule) bool { return d.Namespace == worldRoot && !private(d) },
	}
	for i, among := range tries {
		list := o.mergedFor(s, among)
		if i > 0 {
			list = slices.DeleteFunc(list, func(m mergedRule) bool {
				return len(m.exports) > 0 && !slices.Contains(m.exports, "*") && !slices.Contains(m.exports, home)
			})
		}
		if len(list) == 0 {
			continue
		}
		var last *networkingapi.TrafficPolicy
		for _, m := range list {
			selector := m.rule.Spec.WorkloadSelector
			if selector == nil {
				last = m.policy
			} else if m.rule.Namespace == home && subset(selector.MatchLabels, from.Labels) {
				return m.policy
			}
		}
		return last
	}
	return nil
}

type mergedRule struct {
	rule    *networkingclient.DestinationRule
	exports []string
	policy  *networkingapi.TrafficPolicy
}

func exportsOf(d *networkingclient.DestinationRule) []string {
	if d.Spec.WorkloadSelector != nil {
		return []string{"."}
	}
	return slices.Sorted(slices.Values(d.Spec.ExportTo))
}

// mergedFor are the rules of the best host for a Service, as they are merged.
func (o oracle) mergedFor(s *model.Service, among func(*networkingclient.DestinationRule) bool) []mergedRule {
	full := s.Name + "." + s.Namespace + ".svc.cluster.local"
	hostOf := func(d *networkingclient.DestinationRule) string {
		if d.Spec.Host == "*" || strings.Contains(d.Spec.Host, ".") {
			return d.Spec.Host
		}
		return d.Spec.Host + "." + d.Namespace + ".svc.cluster.local"
	}
	var list []*networkingclient.DestinationRule
	best := ""
	for _, d := range o.rules {
		host := hostOf(d)
		if !among(d) || host != full && (host[0] != '*' || !strings.HasSuffix(full, host[1:])) {
			continue
		}
		list = append(list, d)
		if host == full || best != full && len(host) > len(best) {
			best = host
		}
	}
	list = slices.DeleteFunc(list, func(d *networkingclient.DestinationRule) bool { return hostOf(d) != best })
	slices.SortFunc(list, func(a, b *networkingclient.DestinationRule) int {
		if (a.Spec.WorkloadSelector == nil) != (b.Spec.WorkloadSelector == nil) {
			return map[bool]int{true: 1, false: -1}[a.Spec.WorkloadSelector == nil]
		}
		return a.CreationTimestamp.Compare(b.CreationTimestamp.Time)
	})
	var merged []mergedRule
	for _, d := range list {
		if !lends(merged, d) {
			merged = append(merged, mergedRule{d, exportsOf(d), d.Spec.TrafficPolicy})
		}
	}
	return merged
}

// lends gives the policy of a rule to those before it that have none, and tells whether the rule is done with then.
func lends(before []mergedRule, d *networkingclient.DestinationRule) bool {
	exports, selector, done := exportsOf(d), d.Spec.WorkloadSelector, false
	for i := range before {
		m := &before[i]
		theirs := m.rule.Spec.WorkloadSelector
		same := slices.Equal(exports, m.exports)
		wider := len(m.exports) > 0 && !slices.ContainsFunc(m.exports, func(e string) bool { return !slices.Contains(exports, e) })
		if done = same; !same && !wider {
			continue
		}
		if selector != nil && theirs != nil && !maps.Equal(selector.MatchLabels, theirs.MatchLabels) {
			done = false
			continue
		}
		done = done || (selector == nil) == (theirs == nil)
		if m.policy == nil {
			m.policy = d.Spec.TrafficPolicy
		}
	}
	return done
}

// The modes of PeerAuthentications.
type peerMode = securityapi.PeerAuthentication_MutualTLS_Mode

const (
	isUnset      = securityapi.PeerAuthentication_MutualTLS_UNSET
	isDisable    = securityapi.PeerAuthentication_MutualTLS_DISABLE
	isPermissive = securityapi.PeerAuthentication_MutualTLS_PERMISSIVE
	isStrict     = securityapi.PeerAuthentication_MutualTLS_STRICT
)

func (o oracle) oldest(counts func(*securityclient.PeerAuthentication) bool) *securityclient.PeerAuthentication {
	var found *securityclient.PeerAuthentication
	for _, p := range o.peers {
		if counts(p) && (found == nil || p.CreationTimestamp.Before(&found.CreationTimestamp)) {
			found = p
		}
	}
	return found
}

func (o oracle) whole(namespace string) *securityclient.PeerAuthentication {
	return o.oldest(func(p *securityclient.PeerAuthentication) bool {
		return p.Namespace == namespace && p.Spec.Selector == nil
	})
}

// home is the mode of a namespace.
func (o oracle) home(namespace string) peerMode {
	mode := isPermissive
	for _, p := range []*securityclient.PeerAuthentication{o.whole(worldRoot), o.whole(namespace)} {
		if p != nil && p.Spec.Mtls.GetMode() != isUnset {
			mode = p.Spec.Mtls.Mode
		}
	}
	return mode
}

func (o oracle) own(w *model.Workload) *securityclient.PeerAuthentication {
	return o.oldest(func(p *securityclient.PeerAuthentication) bool {
		return p.Namespace == w.ID.Namespace && p.Namespace != worldRoot && p.Spec.Selector != nil && subset(p.Spec.Selector.MatchLabels, w.Labels)
	})
}

func (o oracle) modeOf(w *model.Workload, port int32) peerMode {
	mode := o.home(w.ID.Namespace)
	own := o.own(w)
	if own == nil {
		return mode
	}
	if m := own.Spec.Mtls.GetMode(); m != isUnset {
		mode = m
	}
	if m, said := own.Spec.PortLevelMtls[uint32(port)]; said && m.Mode != isUnset {
		mode = m.Mode
	}
	return mode
}

// strict tells whether a server refuses plaintext on a port.
func (o oracle) strict(w *model.Workload, port int32) bool {
	switch kindOf(w) {
	case "ambient":
		return o.strictByTunnel(w, port)
	case "grpc":
		mode := o.modeOf(w, port)
		return mode == isStrict || mode == isPermissive && w.Labels["security.istio.io/tlsMode"] == "istio"
	default:
		return o.modeOf(w, port) == isStrict
	}
}

// strictByTunnel is what of the modes ztunnel gets to know: a STRICT workload, or a converted policy.
func (o oracle) strictByTunnel(w *model.Workload, port int32) bool {
	mesh, home, own := o.whole(worldRoot), o.whole(w.ID.Namespace), o.own(w)
	modeOf := func(p *securityclient.PeerAuthentication) peerMode { return p.Spec.Mtls.GetMode() }
	all := o.home(w.ID.Namespace) == isStrict
	if own == nil {
		return all
	}
	mode := modeOf(own)
	if mode != isUnset {
		all = mode == isStrict
	}
	has := func(modes ...peerMode) bool {
		for _, m := range own.Spec.PortLevelMtls {
			if slices.Contains(modes, m.Mode) {
				return true
			}
		}
		return false
	}
	attached := false
	switch {
	case mode == isStrict:
		attached = has(isPermissive, isDisable)
	case mode == isUnset && all:
		attached = has(isPermissive)
	default:
		attached = has(isStrict)
	}
	if !attached {
		return all
	}
	// The conversion of the policy: exempt ports first, then ports that are STRICT by themselves.
	underMesh := (home == nil || modeOf(home) == isUnset) && mesh != nil && modeOf(mesh) == isStrict
	underHome := home != nil && modeOf(home) == isStrict
	exempts, exempt := false, false
	for p, m := range own.Spec.PortLevelMtls {
		if m.Mode != isPermissive && m.Mode != isDisable || mode == isPermissive || mode == isDisable {
			continue
		}
		if mode == isUnset && (home != nil && !underHome || home == nil && !underMesh) {
			continue
		}
		exempts, exempt = true, exempt || int32(p) == port
	}
	if m := own.Spec.PortLevelMtls[uint32(port)]; m != nil && m.Mode == isStrict && mode != isStrict && (mode != isUnset || !underHome) && !underMesh {
		return true
	}
	return exempts && !exempt && (mode == isStrict || underMesh || underHome)
}

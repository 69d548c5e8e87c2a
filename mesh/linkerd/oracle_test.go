package linkerd

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// The oracle judges one connection by the objects of a world, one rule at a
// time and with nothing of the Reader's. A standing is a verdict.Decision: of
// several that may let a client in the best counts, but where none surely does
// and one is not known, nothing is.
const (
	no      = verdict.Refused
	unclear = verdict.Unclear
	partly  = verdict.Partial
	yes     = verdict.Open
)

// certainty orders standings by how surely a rule matches.
func certainty(d verdict.Decision) int {
	return map[verdict.Decision]int{no: 0, unclear: 1, partly: 2, yes: 3}[d]
}

func both(list ...verdict.Decision) verdict.Decision {
	return slices.MinFunc(list, func(a, b verdict.Decision) int { return certainty(a) - certainty(b) })
}

func anyOf(list []verdict.Decision) verdict.Decision {
	for _, d := range []verdict.Decision{yes, unclear, partly} {
		if slices.Contains(list, d) {
			return d
		}
	}
	return no
}

// answer is what becomes of a connection.
type answer struct {
	decision   verdict.Decision
	protection verdict.Protection
}

func (w *world) judge(from, to verdict.End, port model.Port) answer {
	best := answer{decision: no}
	for i, c := range w.calls(from, to, port) {
		if i == 0 || c.decision > best.decision {
			best = c
		}
	}
	return best
}

// dialling is one way to a port of a server: dialling a Service's port, or the pod's.
type dialling struct {
	dialled   int32
	byAddress bool
}

// calls judges every way that the connection may take, in the order in which the Reader lists them.
func (w *world) calls(from, to verdict.End, port model.Port) []answer {
	client, server := from.Workload, to.Workload
	if port.Protocol != corev1.ProtocolTCP || client == nil || !client.Facts.Meshed() || !server.Facts.Meshed() {
		return []answer{w.along(from, server, port, false)}
	}
	if w.plainPort(server, port.Number) {
		return []answer{w.along(from, server, port, false)}
	}
	skips := ofPod(client, skipOutbound)
	var answers []answer
	for _, byAddress := range []bool{false, true} {
		for _, plain := range []bool{true, false} {
			if slices.ContainsFunc(w.waysToCall(server, port.Number), func(c dialling) bool {
				return c.byAddress == byAddress && plain == listed(skips, c.dialled, nil)
			}) {
				answers = append(answers, w.along(from, server, port, !plain))
			}
		}
	}
	return answers
}

func (w *world) waysToCall(server *model.Workload, number int32) []dialling {
	all := []dialling{{number, true}}
	for _, s := range server.Services {
		for _, p := range s.Ports {
			target := p.TargetPort.IntVal
			switch {
			case p.TargetPort.Type == intstr.String:
				target = firstNamed(server, p.TargetPort.StrVal)
			case target == 0:
				target = p.Port
			}
			if target == number && len(s.ClusterIPs) > 0 {
				all = append(all, dialling{target, false})
			} else if target == number {
				all = append(all, dialling{p.Port, false})
			}
		}
	}
	return all
}

func firstNamed(w *model.Workload, name string) int32 {
	least := int32(0)
	for _, c := range w.Spec.Containers {
		for _, p := range c.Ports {
			if p.Name == name && p.Protocol == corev1.ProtocolTCP && (least == 0 || p.ContainerPort < least) {
				least = p.ContainerPort
			}
		}
	}
	return least
}

// along is one way: in plaintext on the port itself, or between the proxies.
func (w *world) along(from verdict.End, server *model.Workload, port model.Port, carried bool) answer {
	a := answer{decision: w.network(port)}
	if carried {
		a.protection = verdict.MTLS
		tunnelled := w.network(model.TCP(4143))
		opaque := w.opaque(server, port.Number)
		switch transport := w.m.Cluster.Mesh.Linkerd.Transport; {
		case transport == "transport-header" || opaque:
			a.decision = tunnelled
		case transport == "" && tunnelled != a.decision:
			a.decision = unclear
		}
		if ofPod(from.Workload, skipSubnets) != "" || ofPod(server, skipSubnets) != "" {
			a.decision = min(a.decision, unclear)
		}
	}
	if server.Facts.Meshed() && port.Protocol == corev1.ProtocolTCP {
		a.decision = min(a.decision, w.proxy(server, port.Number, from, carried))
	}
	return a
}

// network is what lets connections into pods, the same into all.
func (w *world) network(port model.Port) verdict.Decision {
	tunnel := port == model.TCP(4143)
	if w.only == "" || w.only == "4143" == tunnel {
		return yes
	}
	return no
}

// ofPod is an annotation as the pod has it once it runs.
func ofPod(w *model.Workload, key string) string {
	if value, own := w.Annotations[key]; own || w.Running {
		return value
	}
	return w.NamespaceAnnotations[key]
}

func hasOfPod(w *model.Workload, key string) bool {
	_, own := w.Annotations[key]
	_, home := w.NamespaceAnnotations[key]
	return own || home && !w.Running
}

// listed tells whether "80,9000-9100,web" has a port.
func listed(list string, number int32, names func(string) []int32) bool {
	for item := range strings.SplitSeq(list, ",") {
		low, high, isRange := strings.Cut(item, "-")
		first, err := strconv.Atoi(low)
		last := first
		if isRange {
			last, _ = strconv.Atoi(high)
		}
		if err == nil && int(number) >= first && int(number) <= last || err != nil && names != nil && slices.Contains(names(item), number) {
			return true
		}
	}
	return false
}

func numbersNamed(w *model.Workload) func(string) []int32 {
	return func(name string) []int32 {
		var numbers []int32
		for _, c := range w.Spec.Containers {
			for _, p := range c.Ports {
				if p.Name == name && p.Protocol == corev1.ProtocolTCP {
					numbers = append(numbers, p.ContainerPort)
				}
			}
		}
		return numbers
	}
}

// plainPort tells whether a port never passes the server's proxy.
func (w *world) plainPort(server *model.Workload, number int32) bool {
	if number == 4190 || number == 4191 {
		return true
	}
	if hasOfPod(server, skipInbound) {
		return listed(ofPod(server, skipInbound), number, numbersNamed(server))
	}
	return slices.ContainsFunc(w.m.Cluster.Mesh.Linkerd.SkipInboundPorts, func(p model.Port) bool { return p.Number == number })
}

func (w *world) podOpaque(server *model.Workload, number int32) bool {
	if hasOfPod(server, opaqueAnnotation) {
		return listed(ofPod(server, opaqueAnnotation), number, numbersNamed(server))
	}
	return slices.Contains([]int32{25, 587, 3306, 4444, 5432, 6379, 9300, 11211}, number)
}

// opaque is what clients take for opaque.
func (w *world) opaque(server *model.Workload, number int32) bool {
	if w.podOpaque(server, number) {
		return true
	}
	for _, s := range server.Services {
		for _, p := range s.Ports {
			one := *server
			copied := *s
			copied.Ports = []corev1.ServicePort{p}
			one.Services = []*model.Service{&copied}
			if listed(s.Annotations[opaqueAnnotation], p.Port, nil) && slices.ContainsFunc(w.waysToCall(&one, number), func(c dialling) bool { return !c.byAddress }) {
				return true
			}
		}
	}
	return slices.ContainsFunc(w.servers, func(s aServer) bool { return !s.broken && s.protocol == "opaque" && s.isFor(server, number) })
}

func (s *aServer) isFor(w *model.Workload, number int32) bool {
	if s.ns != w.ID.Namespace || s.external || !model.Matches(&s.selector, w.Labels) {
		return false
	}
	return s.port.IntVal == number || s.port.Type == intstr.String && slices.Contains(numbersNamed(w)(s.port.StrVal), number)
}

// proxy is what the server's proxy says.
func (w *world) proxy(server *model.Workload, number int32, from verdict.End, named bool) verdict.Decision {
	if w.plainPort(server, number) {
		return yes
	}
	c := client{from, named, w}
	said := w.byServers(server, number, &c)
	if ofPod(server, skipSubnets) != "" && said != yes {
		return unclear
	}
	return said
}

// byServers finds the oldest Server of the port; one that cannot be read may be for any.
func (w *world) byServers(server *model.Workload, number int32, c *client) verdict.Decision {
	var held []aServer
	for _, s := range w.servers {
		if s.ns == server.ID.Namespace && s.broken || !s.broken && s.isFor(server, number) {
			held = append(held, s)
		}
	}
	if len(held) == 0 {
		return w.byDefault(server, number, c)
	}
	oldest := slices.MinFunc(held, func(a, b aServer) int {
		ours := map[bool]int{true: 1}
		if a.born == b.born {
			return cmp.Or(ours[a.ours]-ours[b.ours], cmp.Compare(a.name, b.name))
		}
		return cmp.Compare(a.born, b.born)
	})
	if oldest.broken {
		return unclear
	}
	return w.byServer(&oldest, server, number, c)
}

func (w *world) byServer(s *aServer, server *model.Workload, number int32, c *client) verdict.Decision {
	routes := w.routesOf(s)
	limit := yes
	switch {
	case slices.ContainsFunc(routes, func(r aRoute) bool { return !r.broken && (r.rules == "all" || r.rules == "") }):
	case slices.ContainsFunc(routes, func(r aRoute) bool { return r.broken }):
		limit = unclear
	case len(routes) > 0:
		limit = partly
	}
	access := s.accessPolicy
	if s.version != "v1beta3" || access == "nonsense" {
		access = ""
	}
	list := []verdict.Decision{both(limit, c.underPolicy(cmp.Or(access, "deny")))}
	for _, p := range w.policies {
		if p.ns != s.ns {
			continue
		}
		if p.broken || p.targetKind == "Server" && p.targetName == s.name || p.targetKind == "Namespace" {
			list = append(list, both(limit, w.required(&p, c)))
			continue
		}
		for _, r := range routes {
			if p.targetKind == r.kind && p.targetGroup == r.group && p.targetName == r.name {
				onRoute := partly
				if r.broken {
					onRoute = unclear
				}
				list = append(list, both(onRoute, w.required(&p, c)))
			}
		}
	}
	for _, z := range w.legacy {
		if z.ns == s.ns && (z.broken || z.server == s.name || z.server == "" && model.Matches(z.selector, s.allLabels())) {
			list = append(list, both(limit, w.authorized(&z, s, c)))
		}
	}
	if len(routes) == 0 && slices.Contains([]string{"", "unknown", "HTTP/1", "HTTP/2"}, s.protocol) && probed(server, number) {
		list = append(list, partly)
	}
	return anyOf(list)
}

func (s *aServer) allLabels() map[string]string {
	labels := map[string]string{}
	for key, value := range s.labels {
		labels[key] = value
	}
	if s.ours {
		labels[model.ManagedByLabel] = model.ManagedByValue
	}
	return labels
}

func (w *world) routesOf(s *aServer) []aRoute {
	var routes []aRoute
	for _, r := range w.routes {
		kind := map[string]string{"": "HTTPRoute", "unknown": "HTTPRoute", "HTTP/1": "HTTPRoute", "HTTP/2": "HTTPRoute", "gRPC": "GRPCRoute"}[s.protocol]
		if r.ns == s.ns && r.kind == kind && (r.broken || r.server == s.name && r.parent == "") {
			routes = append(routes, r)
		}
	}
	return routes
}

func probed(w *model.Workload, number int32) bool {
	probe := w.Spec.Containers[0].LivenessProbe
	return probe != nil && probe.HTTPGet.Port.IntVal == number && strings.HasPrefix(probe.HTTPGet.Path, "/")
}

func (w *world) byDefault(server *model.Workload, number int32, c *client) verdict.Decision {
	policy := ofPod(server, inboundPolicy)
	if policy == "" || policy == "nonsense" {
		policy = w.m.Cluster.Mesh.Linkerd.DefaultInboundPolicy
	}
	if list := ofPod(server, requireIdentity); !strings.Contains(list, "web") && listed(list, number, nil) {
		policy = strings.Replace(policy, "-unauthenticated", "-authenticated", 1)
	}
	list := []verdict.Decision{c.underPolicy(policy)}
	if probed(server, number) && !w.podOpaque(server, number) {
		list = append(list, partly)
	}
	return anyOf(list)
}

// client is who calls, with its identity or without.
type client struct {
	end   verdict.End
	named bool
	w     *world
}

func (c *client) underPolicy(policy string) verdict.Decision {
	authenticated, cluster := no, c.inNetworks(c.w.clusterBlocks())
	if c.named {
		authenticated = yes
	}
	switch policy {
	case "all-unauthenticated", "audit":
		return yes
	case "all-authenticated":
		return authenticated
	case "cluster-unauthenticated":
		return cluster
	case "cluster-authenticated":
		return both(authenticated, cluster)
	case "deny":
		return no
	default:
		return unclear
	}
}

func (w *world) clusterBlocks() []aBlock {
	if w.m.Cluster.Mesh.Linkerd.ClusterNetworks != nil {
		return []aBlock{{cidr: "10.1.0.0/16"}}
	}
	return []aBlock{{cidr: "10.0.0.0/8"}, {cidr: "100.64.0.0/10"}, {cidr: "172.16.0.0/12"}, {cidr: "192.168.0.0/16"}, {cidr: "fd00::/8"}}
}

// samples are addresses of which each stands for all that no block of a world tells from it.
var samples = []string{"10.1.0.1", "10.1.0.2", "10.1.0.200", "10.1.9.9", "10.2.0.1", "10.9.9.9", "1.2.3.4", "9.9.9.9", "100.64.0.1", "172.16.0.1", "192.168.0.1", "fd00::1", "2001:db8::1"}

// inNetworks is surely so where every address that the client may have is in some block.
func (c *client) inNetworks(blocks []aBlock) verdict.Decision {
	addresses := []netip.Addr{c.end.Address}
	if c.end.Workload != nil {
		addresses = c.end.Workload.Addresses
	}
	if len(addresses) == 0 {
		for _, text := range samples {
			a := netip.MustParseAddr(text)
			if len(c.w.m.Cluster.PodCIDRs) == 0 || c.w.m.Cluster.PodCIDRs[0].Contains(a) {
				addresses = append(addresses, a)
			}
		}
	}
	inside := 0
	for _, a := range addresses {
		if slices.ContainsFunc(blocks, func(b aBlock) bool { return b.has(a) }) {
			inside++
		}
	}
	switch inside {
	case 0:
		return no
	case len(addresses):
		return yes
	default:
		return unclear
	}
}

func (b *aBlock) has(a netip.Addr) bool {
	within := func(text string) bool {
		if !strings.Contains(text, "/") {
			return netip.MustParseAddr(text) == a
		}
		return netip.MustParsePrefix(text).Contains(a)
	}
	return within(b.cidr) && !slices.ContainsFunc(b.except, within)
}

// isNamed is whether the client is one of some literal identities.
func (c *client) isNamed(literal []string) verdict.Decision {
	if !c.named {
		return no
	}
	known := c.w.m.Cluster.Mesh.TrustDomain != ""
	name := c.end.Workload.ServiceAccount + "." + c.end.Workload.ID.Namespace + principals
	is := no
	for _, id := range literal {
		suffix, wild := strings.CutPrefix(id, "*")
		switch {
		case id == "*":
			return yes
		case wild && !strings.HasPrefix(suffix, "."), strings.Contains(suffix, "*"), strings.HasPrefix(id, "spiffe:"):
		case !known:
			is = unclear
		case wild && strings.HasSuffix(name, suffix), id == name:
			return yes
		}
	}
	return is
}

// isAccount is whether the client runs as one of some accounts; home is where those without a namespace are.
func (c *client) isAccount(accounts []string, home string) bool {
	return c.named && slices.ContainsFunc(accounts, func(text string) bool {
		ns, name, _ := strings.Cut(text, "/")
		return cmp.Or(ns, home) == c.end.Workload.ID.Namespace && name == c.end.Workload.ServiceAccount
	})
}

// required is whether the client passes all authentications of a policy that counts at all.
func (w *world) required(p *aPolicy, c *client) verdict.Decision {
	if p.broken {
		return unclear
	}
	is, about := yes, map[string]int{}
	for _, r := range p.refs {
		home := cmp.Or(r.ns, p.ns)
		switch r.kind {
		case "MeshTLSAuthentication":
			i := slices.IndexFunc(w.identities, func(l anIdentityList) bool { return l.ns == home && l.name == r.name })
			if i < 0 || !w.identities[i].broken && (w.identities[i].odd || w.identities[i].empty()) {
				return no
			}
			about["identities"]++
			is = both(is, w.identities[i].holds(c))
		case "ServiceAccount":
			about["identities"]++
			if !c.isAccount([]string{home + "/" + r.name}, "") {
				is = no
			}
		case "NetworkAuthentication":
			i := slices.IndexFunc(w.networks, func(l aNetworkList) bool { return l.ns == home && l.name == r.name })
			if i < 0 || !w.networks[i].broken && len(w.networks[i].blocks) == 0 {
				return no
			}
			about["networks"]++
			if w.networks[i].broken {
				is = both(is, unclear)
			} else {
				is = both(is, c.inNetworks(w.networks[i].blocks))
			}
		default:
			return no
		}
	}
	if about["identities"] > 1 || about["networks"] > 1 {
		return no
	}
	return is
}

func (l *anIdentityList) empty() bool { return len(l.literal)+len(l.accounts)+len(l.spaces) == 0 }

func (l *anIdentityList) holds(c *client) verdict.Decision {
	switch {
	case l.broken:
		return unclear
	case c.isAccount(l.accounts, l.ns), c.named && slices.Contains(l.spaces, c.end.Workload.ID.Namespace):
		return yes
	default:
		return c.isNamed(l.literal)
	}
}

// authorized is whether a ServerAuthorization lets the client in.
func (w *world) authorized(z *aServerAuthorization, s *aServer, c *client) verdict.Decision {
	if z.broken {
		return unclear
	}
	blocks := z.blocks
	if len(blocks) == 0 {
		blocks = w.clusterBlocks()
	}
	who := no
	switch {
	case z.open:
		who = yes
	case !z.mesh:
	case z.bare && c.named:
		who = yes
	case z.bare && s.protocol != "opaque":
		who = partly
	case z.bare:
	case c.isAccount(z.accounts, z.ns):
		who = yes
	default:
		who = c.isNamed(z.literal)
	}
	return both(who, c.inNetworks(blocks))
}

// shield is a network that lets into pods what a world says.
type shield struct{ filter *model.Filter }

func (w *world) shield() verdict.Network {
	if w.only == "" {
		return nil
	}
	f := &model.Filter{Layer: model.FilterIngress, Rules: []model.FilterRule{{Effect: model.Allow, Ports: []model.PortTerm{{Port: model.TCP(4143)}}}}, Otherwise: model.Deny}
	if w.only == "others" {
		f.Rules[0].Effect, f.Otherwise = model.Deny, model.Allow
	}
	return shield{f}
}

func (s shield) Egress(*model.Workload) *model.Filter  { return nil }
func (s shield) Ingress(*model.Workload) *model.Filter { return s.filter }

// TestReaderSaysWhatANaiveWalkOfTheObjectsSays holds the Reader, as verdict judges
// by it one connection at a time and all at once, to the oracle.
func TestReaderSaysWhatANaiveWalkOfTheObjectsSays(t *testing.T) {
	rarely := []model.Port{model.TCP(4191), model.TCP(7000), model.UDP(8080), model.TCP(3306)}
	counts := map[answer]int{}
	for seed := range uint64(2200) {
		w := newWorld(seed)
		in := verdict.Input{Cluster: &w.m.Cluster, Namespaces: w.m.Namespaces, Workloads: w.m.Workloads, Network: w.shield(), Mesh: NewReader(w.m, w.trees())}
		table := spread(t, in)
		ends := w.ends()
		for i, from := range ends {
			for j, to := range ends {
				if i == j || to.Workload == nil {
					continue
				}
				for _, port := range []model.Port{model.TCP(8080), model.TCP([]int32{9000, 80}[(i+j)%2]), rarely[(i+int(seed))%4]} {
					want := w.judge(from, to, port)
					counts[want]++
					told := verdict.Explain(in, verdict.Question{From: from, To: to, Port: port})
					if got := (answer{told.Decision, told.Protection}); got.decision != want.decision || want.decision != no && got != want {
						t.Fatalf("seed %d: explain: %v → %v %s is %v, the naive walk says %v\n%+v\n%s", seed, name(from), name(to), port, got, want, told.Answers, w)
					}
					got := answer{decision: no}
					if a := table.allowance(from, to, port); a != nil {
						got = answer{table.decision(from, to, port), a.Protection}
					}
					if got.decision != want.decision || want.decision != no && got != want {
						t.Fatalf("seed %d: map: %v → %v %s is %v, the naive walk says %v\n%s", seed, name(from), name(to), port, got, want, w)
					}
				}
			}
		}
	}
	t.Logf("connections judged: %v", counts)
	for want, least := range map[answer]int{
		{yes, verdict.Plaintext}: 10000, {yes, verdict.MTLS}: 10000, {partly, verdict.Plaintext}: 1500, {partly, verdict.MTLS}: 750,
		{unclear, verdict.Plaintext}: 2000, {unclear, verdict.MTLS}: 2000,
	} {
		require.Greater(t, counts[want], least, "%v", want)
	}
	require.Greater(t, counts[answer{no, verdict.Plaintext}]+counts[answer{no, verdict.MTLS}], 10000)
}

func name(e verdict.End) string {
	if e.Workload != nil {
		return e.Workload.ID.String()
	}
	return e.Address.String()
}

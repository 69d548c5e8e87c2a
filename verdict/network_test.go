package verdict_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"floe.dev/palisade/model"
	"floe.dev/palisade/netpol"
	"floe.dev/palisade/verdict"
)

// world is a cluster at random: pods with and without addresses, and
// NetworkPolicies with everything that the API lets them say.
type world struct {
	*rand.Rand
	in       verdict.Input
	policies []networkingv1.NetworkPolicy
}

const tcp, udp, sctp = corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP

// worldBlocks are ranges in which pods, nodes and strangers live.
var worldBlocks = []string{
	"0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/24", "10.1.0.0/30", "10.1.0.2/32", "10.9.0.0/24", "192.0.2.0/24", "192.0.2.128/25", "198.51.100.7/32",
	"::/0", "fd00:1::/64", "fd00:1::2/128", "2001:db8::/32", "2001:db8:1::/48",
}

// strangers are addresses of no pod, some on the borders of blocks.
var strangers = []string{
	"0.0.0.0", "255.255.255.255", "9.255.255.255", "10.255.255.255", "11.0.0.0", "192.0.2.0", "192.0.2.127", "192.0.2.128", "192.0.3.0", "198.51.100.7", "198.51.100.8",
	"::", "2001:db8::1", "2001:db8:1::1", "2001:db9::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
}

func newWorld(seed uint64) *world {
	w := &world{Rand: rand.New(rand.NewPCG(seed, 5))}
	w.in.Cluster = &model.Cluster{CNI: []string{"", "calico", "cilium"}[w.IntN(3)]}
	if w.IntN(2) == 0 {
		w.in.Cluster.PodCIDRs = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/24")}
		w.in.Cluster.NodeCIDRs = []netip.Prefix{netip.MustParsePrefix("10.9.0.0/24")}
	}
	if w.IntN(2) == 0 {
		w.in.Cluster.IPv4 = true
	}
	for n := range 1 + w.IntN(4) {
		w.namespace(fmt.Sprint("ns", n))
	}
	w.in.Network = netpol.NewEvaluator(w.policies, w.in.Cluster.CNI)
	return w
}

func (w *world) namespace(name string) {
	n := model.Namespace{Name: name, Labels: map[string]string{corev1.LabelMetadataName: name, "team": fmt.Sprint("t", w.IntN(2))}}
	w.in.Namespaces = append(w.in.Namespaces, n)
	for i := range w.IntN(5) {
		w.in.Workloads = append(w.in.Workloads, w.workload(&n, i))
	}
	for i := range w.IntN(4) {
		w.policies = append(w.policies, w.policy(name, i))
	}
}

func (w *world) workload(n *model.Namespace, i int) model.Workload {
	load := model.Workload{
		ID:     model.WorkloadID{Namespace: n.Name, Kind: "Pod", Name: fmt.Sprint("p", i)},
		Labels: map[string]string{"app": fmt.Sprint("a", w.IntN(3))}, NamespaceLabels: n.Labels,
		Spec: corev1.PodSpec{HostNetwork: w.IntN(8) == 0},
	}
	if w.IntN(2) == 0 {
		load.Labels["tier"] = fmt.Sprint("x", w.IntN(2))
	}
	if w.IntN(2) == 0 {
		load.Addresses = append(load.Addresses, netip.AddrFrom4([4]byte{10, 1, 0, byte(w.IntN(6))}))
		if load.Spec.HostNetwork {
			load.Addresses[0] = netip.AddrFrom4([4]byte{10, 9, 0, byte(w.IntN(6))})
		}
		if w.IntN(2) == 0 {
			load.Addresses = append(load.Addresses, netip.MustParseAddr(fmt.Sprint("fd00:1::", w.IntN(4))))
		}
	}
	var ports []corev1.ContainerPort
	for _, p := range []corev1.ContainerPort{{Name: "web", ContainerPort: 80}, {Name: "web", ContainerPort: 81}, {Name: "dns", ContainerPort: 53, Protocol: udp}, {ContainerPort: 8080}} {
		if w.IntN(2) == 0 {
			ports = append(ports, p)
		}
	}
	load.Spec.Containers = []corev1.Container{{Name: "c", Ports: ports}}
	return load
}

func (w *world) selector() metav1.LabelSelector {
	key, value := "app", fmt.Sprint("a", w.IntN(3))
	if w.IntN(3) == 0 {
		key, value = "tier", fmt.Sprint("x", w.IntN(2))
	}
	expression := func(operator metav1.LabelSelectorOperator, values ...string) metav1.LabelSelector {
		return metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: operator, Values: values}}}
	}
	switch w.IntN(8) {
	case 0, 1:
		return metav1.LabelSelector{}
	case 2:
		return expression(metav1.LabelSelectorOpNotIn, value)
	case 3:
		return expression(metav1.LabelSelectorOpExists)
	case 4:
		return expression(metav1.LabelSelectorOpDoesNotExist)
	case 5:
		return expression(metav1.LabelSelectorOpIn, value, "a0")
	default:
		return metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
	}
}

func (w *world) policy(namespace string, i int) networkingv1.NetworkPolicy {
	p := networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprint("np", i)}}
	p.Spec.PodSelector = w.selector()
	switch w.IntN(4) {
	case 0: // left out, for the API's defaults
	case 1:
		p.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
	case 2:
		p.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}
	default:
		p.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}
	}
	for range w.IntN(3) {
		p.Spec.Ingress = append(p.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: w.peers(), Ports: w.ports()})
	}
	for range w.IntN(3) {
		p.Spec.Egress = append(p.Spec.Egress, networkingv1.NetworkPolicyEgressRule{To: w.peers(), Ports: w.ports()})
	}
	return p
}

func (w *world) peers() []networkingv1.NetworkPolicyPeer {
	var peers []networkingv1.NetworkPolicyPeer
	for range w.IntN(3) {
		var p networkingv1.NetworkPolicyPeer
		pods, namespaces := w.selector(), metav1.LabelSelector{MatchLabels: map[string]string{"team": fmt.Sprint("t", w.IntN(2))}}
		if w.IntN(3) == 0 {
			namespaces = metav1.LabelSelector{}
		}
		switch w.IntN(5) {
		case 0:
			p.PodSelector = &pods
		case 1:
			p.NamespaceSelector = &namespaces
		case 2:
			p.NamespaceSelector, p.PodSelector = &namespaces, &pods
		default:
			p.IPBlock = w.block()
		}
		peers = append(peers, p)
	}
	return peers
}

func (w *world) block() *networkingv1.IPBlock {
	b := &networkingv1.IPBlock{CIDR: worldBlocks[w.IntN(len(worldBlocks))]}
	cidr := netip.MustParsePrefix(b.CIDR)
	for _, text := range worldBlocks {
		if hole := netip.MustParsePrefix(text); hole.Bits() > cidr.Bits() && cidr.Contains(hole.Addr()) && w.IntN(4) == 0 {
			b.Except = append(b.Except, text)
		}
	}
	return b
}

func (w *world) ports() []networkingv1.NetworkPolicyPort {
	var ports []networkingv1.NetworkPolicyPort
	number := func(first, last int32, protocol corev1.Protocol) networkingv1.NetworkPolicyPort {
		p := networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: new(intstr.FromInt32(first))}
		if last > first {
			p.EndPort = &last
		}
		return p
	}
	all := udp
	choices := []networkingv1.NetworkPolicyPort{
		number(80, 0, tcp), number(53, 0, udp), number(80, 90, tcp), number(85, 8080, tcp), number(1, 65535, sctp), number(65535, 0, udp),
		{Protocol: &all}, {}, {Port: new(intstr.FromString("web"))}, {Protocol: &all, Port: new(intstr.FromString("dns"))}, {Port: new(intstr.FromString("none"))},
	}
	for range w.IntN(3) {
		ports = append(ports, choices[w.IntN(len(choices))])
	}
	return ports
}

// askedPorts are those on and beside the borders of the ports of rules.
var askedPorts = []model.Port{
	model.TCP(1), model.TCP(79), model.TCP(80), model.TCP(81), model.TCP(84), model.TCP(90), model.TCP(91), model.TCP(8080), model.TCP(8081), model.TCP(65535),
	model.UDP(52), model.UDP(53), model.UDP(54), model.UDP(65535), {Protocol: sctp, Number: 1}, {Protocol: sctp, Number: 65535},
}

// naive judges one pair and one port by walking every policy, and shares nothing with the product but the labels' comparison.
type naive struct{ *world }

// tri is no, unknown or yes.
type tri int8

const (
	no tri = iota
	unknown
	yes
)

func (n naive) allow(from, to verdict.End, port model.Port) tri {
	return min(n.side(from, to, to, port, networkingv1.PolicyTypeEgress), n.side(to, from, to, port, networkingv1.PolicyTypeIngress))
}

// side judges what the policies of one end say of the other.
func (n naive) side(own, other, server verdict.End, port model.Port, direction networkingv1.PolicyType) tri {
	if own.Workload == nil || own.Workload.Spec.HostNetwork {
		return yes
	}
	isolated, best := false, no
	for i := range n.policies {
		p := &n.policies[i]
		types := p.Spec.PolicyTypes
		if len(types) == 0 {
			types = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
			if len(p.Spec.Egress) > 0 {
				types = append(types, networkingv1.PolicyTypeEgress)
			}
		}
		if p.Namespace != own.Workload.ID.Namespace || !model.Matches(&p.Spec.PodSelector, own.Workload.Labels) || !slices.Contains(types, direction) {
			continue
		}
		isolated = true
		if direction == networkingv1.PolicyTypeEgress {
			for _, rule := range p.Spec.Egress {
				best = max(best, n.rule(rule.To, rule.Ports, p.Namespace, other, server, port))
			}
			continue
		}
		for _, rule := range p.Spec.Ingress {
			best = max(best, n.rule(rule.From, rule.Ports, p.Namespace, other, server, port))
		}
	}
	if !isolated {
		return yes
	}
	return best
}

func (n naive) rule(peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort, home string, other, server verdict.End, port model.Port) tri {
	if len(ports) > 0 && !slices.ContainsFunc(ports, func(p networkingv1.NetworkPolicyPort) bool { return n.port(p, server, port) }) {
		return no
	}
	if len(peers) == 0 {
		return yes
	}
	best := no
	for _, p := range peers {
		best = max(best, n.peer(p, home, other))
	}
	return best
}

func (n naive) port(p networkingv1.NetworkPolicyPort, server verdict.End, port model.Port) bool {
	protocol := tcp
	if p.Protocol != nil {
		protocol = *p.Protocol
	}
	if protocol != port.Protocol {
		return false
	}
	switch {
	case p.Port == nil:
		return true
	case p.Port.Type == intstr.String:
		if server.Workload == nil {
			return false
		}
		for _, c := range server.Workload.Spec.Containers[0].Ports {
			declared := c.Protocol
			if declared == "" {
				declared = tcp
			}
			if c.Name == p.Port.StrVal && declared == protocol {
				return c.ContainerPort == port.Number
			}
		}
		return false
	case p.EndPort != nil:
		return p.Port.IntVal <= port.Number && port.Number <= *p.EndPort
	default:
		return p.Port.IntVal == port.Number
	}
}

func (n naive) peer(p networkingv1.NetworkPolicyPeer, home string, e verdict.End) tri {
	if p.IPBlock != nil {
		return n.inBlock(p.IPBlock, e)
	}
	w := e.Workload
	if w == nil || w.Spec.HostNetwork {
		return no
	}
	if p.NamespaceSelector == nil && w.ID.Namespace != home || p.NamespaceSelector != nil && !model.Matches(p.NamespaceSelector, w.NamespaceLabels) {
		return no
	}
	if p.PodSelector != nil && !model.Matches(p.PodSelector, w.Labels) {
		return no
	}
	return yes
}

func (n naive) inBlock(b *networkingv1.IPBlock, e verdict.End) tri {
	inside := func(a netip.Addr) bool {
		return netip.MustParsePrefix(b.CIDR).Contains(a) && !slices.ContainsFunc(b.Except, func(hole string) bool { return netip.MustParsePrefix(hole).Contains(a) })
	}
	answer := func(yes_ bool) tri {
		if yes_ {
			return yes
		}
		return no
	}
	if e.Workload == nil {
		return answer(inside(e.Address))
	}
	if n.in.Cluster.CNI == "cilium" {
		return no
	}
	if len(e.Workload.Addresses) > 0 {
		return answer(slices.ContainsFunc(e.Workload.Addresses, inside))
	}
	// Where it may live, every address is tried: the ranges are small, or the whole space by its borders.
	var candidates []netip.Addr
	switch cidrs := n.in.Cluster.PodCIDRs; {
	case len(cidrs) > 0:
		third := byte(1)
		if e.Workload.Spec.HostNetwork {
			third = 9
		}
		for last := range 256 {
			candidates = append(candidates, netip.AddrFrom4([4]byte{10, third, 0, byte(last)}))
		}
	default:
		for _, text := range slices.Concat(strangers, []string{"10.1.0.0", "10.1.0.2", "10.1.0.3", "10.1.0.4", "10.9.0.1", "fd00:1::1", "fd00:1::2", "fd00:2::"}) {
			if a := netip.MustParseAddr(text); a.Is4() || !n.in.Cluster.IPv4 {
				candidates = append(candidates, a)
			}
		}
	}
	count := 0
	for _, a := range candidates {
		if inside(a) {
			count++
		}
	}
	switch {
	case count == 0:
		return no
	case count == len(candidates) && n.in.Cluster.CNI != "":
		return yes
	default:
		return unknown
	}
}

// ends are all workloads, and the strangers.
func (w *world) ends() []verdict.End {
	var all []verdict.End
	for i := range w.in.Workloads {
		all = append(all, verdict.End{Workload: &w.in.Workloads[i]})
	}
	for _, text := range strangers {
		all = append(all, verdict.End{Address: netip.MustParseAddr(text)})
	}
	return all
}

func name(e verdict.End) string {
	if e.Workload != nil {
		return e.Workload.ID.String()
	}
	return e.Address.String()
}

func decisionOf(t tri) verdict.Decision {
	return [...]verdict.Decision{verdict.Refused, verdict.Unclear, verdict.Open}[t]
}

func TestMapAndExplainSayWhatANaiveWalkOfTheNetworkPoliciesSays(t *testing.T) {
	counts := map[tri]int{}
	for seed := range uint64(2500) {
		w := newWorld(seed)
		n := naive{w}
		table := tableOf(t, verdict.NewMap(w.in))
		for i, from := range w.ends() {
			for j, to := range w.ends() {
				if i == j || from.Workload == nil && to.Workload == nil {
					continue
				}
				for k := (i + j + int(seed)) % 3; k < len(askedPorts); k += 3 { // every port in its turn
					port := askedPorts[k]
					want := n.allow(from, to, port)
					counts[want]++
					if got := table.decision(from, to, port); got != decisionOf(want) {
						t.Fatalf("seed %d: map: %s → %s %s is %s, the naive walk says %s\n%s", seed, name(from), name(to), port, got, decisionOf(want), w)
					}
					if got := verdict.Explain(w.in, verdict.Question{From: from, To: to, Port: port}).Decision; got != decisionOf(want) {
						t.Fatalf("seed %d: explain: %s → %s %s is %s, the naive walk says %s\n%s", seed, name(from), name(to), port, got, decisionOf(want), w)
					}
				}
			}
		}
	}
	t.Logf("connections judged: %d allowed, %d refused, %d unknown", counts[yes], counts[no], counts[unknown])
	require.Greater(t, counts[yes], 100000)
	require.Greater(t, counts[no], 100000)
	require.Greater(t, counts[unknown], 1000)
}

func (w *world) String() string {
	text := fmt.Sprintf("cluster %+v\n", *w.in.Cluster)
	for _, load := range w.in.Workloads {
		text += fmt.Sprintln(load.ID, load.Labels, load.NamespaceLabels, load.Addresses, "host", load.Spec.HostNetwork, load.Spec.Containers[0].Ports)
	}
	for _, p := range w.policies {
		text += fmt.Sprintf("%s/%s %s\n", p.Namespace, p.Name, p.Spec.String())
	}
	return text
}

// table is a map spread out for looking up.
type table struct {
	t     *testing.T
	peers []verdict.Peer
	cells map[[2]int][]verdict.Allowance
}

func tableOf(t *testing.T, m *verdict.Map) *table {
	to := &table{t: t, peers: m.Peers(), cells: map[[2]int][]verdict.Allowance{}}
	for c := range m.Connections() {
		require.NotEqual(t, c.From, c.To)
		at := [2]int{c.From, c.To}
		to.cells[at] = append(to.cells[at], c.Allowance)
	}
	return to
}

func (tb *table) find(e verdict.End) int {
	found := -1
	for i, p := range tb.peers {
		if e.Workload != nil && p.Workload == e.Workload || e.Workload == nil && slices.ContainsFunc(p.CIDRs, func(c netip.Prefix) bool { return c.Contains(e.Address) }) {
			require.Equal(tb.t, -1, found, "%s is two peers", name(e))
			found = i
		}
	}
	require.NotEqual(tb.t, -1, found, "%s is no peer", name(e))
	return found
}

func (tb *table) lookup(from, to verdict.End, port model.Port) *verdict.Allowance {
	var found *verdict.Allowance
	list := tb.cells[[2]int{tb.find(from), tb.find(to)}]
	for i := range list {
		if list[i].Protocol == port.Protocol && slices.ContainsFunc(parsePorts(tb.t, list[i].Ports), func(p model.Port) bool { return p.Contains(tcp, port.Number) }) {
			require.Nil(tb.t, found, "%s → %s %s is there twice", name(from), name(to), port)
			found = &list[i]
		}
	}
	return found
}

func (tb *table) decision(from, to verdict.End, port model.Port) verdict.Decision {
	a := tb.lookup(from, to, port)
	if a == nil {
		return verdict.Refused
	}
	return [...]verdict.Decision{verdict.Open, verdict.Partial, verdict.Unclear}[a.Standing]
}

// parsePorts reads "80,443-445".
func parsePorts(t *testing.T, text string) []model.Port {
	var ports []model.Port
	for part := range strings.SplitSeq(text, ",") {
		var p model.Port
		p.Protocol = tcp
		if _, err := fmt.Sscanf(part, "%d-%d", &p.Number, &p.End); err != nil {
			_, err := fmt.Sscanf(part, "%d", &p.Number)
			require.NoError(t, err, text)
		}
		ports = append(ports, p)
	}
	return ports
}

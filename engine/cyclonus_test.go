package engine_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/mattfenwick/cyclonus/pkg/generator"
	"github.com/mattfenwick/cyclonus/pkg/matcher"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"floe.dev/palisade/model"
	"floe.dev/palisade/netpol"
	"floe.dev/palisade/verdict"
)

// cyclonusCluster is the cluster that the cases of cyclonus are made for: pods a, b
// and c in the namespaces x, y and z, each with ports 80 and 81 of every protocol, by names.
type cyclonusCluster struct {
	namespaces map[string]map[string]string
	pods       []*cyclonusPod
	policies   []*networkingv1.NetworkPolicy
}

type cyclonusPod struct {
	namespace, name string
	labels          map[string]string
	ip              string
}

var cyclonusProtocols = []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}

func newCyclonusCluster() *cyclonusCluster {
	c := &cyclonusCluster{namespaces: map[string]map[string]string{}}
	for i, namespace := range []string{"x", "y", "z"} {
		c.setNamespace(namespace, map[string]string{"ns": namespace})
		for j, name := range []string{"a", "b", "c"} {
			c.pods = append(c.pods, &cyclonusPod{namespace, name, map[string]string{"pod": name}, fmt.Sprintf("192.168.%d.%d", 1+i, 1+j)})
		}
	}
	return c
}

func (c *cyclonusCluster) setNamespace(name string, labels map[string]string) {
	labels = maps.Clone(labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[corev1.LabelMetadataName] = name
	c.namespaces[name] = labels
}

// podOfIPBlocks is the address that the generator makes address ranges from: that of pod z/c.
const podOfIPBlocks = "192.168.3.3"

// apply does what one action of a case does to a cluster.
func (c *cyclonusCluster) apply(t *testing.T, a *generator.Action) {
	t.Helper()
	pod := func(namespace, name string) *cyclonusPod {
		i := slices.IndexFunc(c.pods, func(p *cyclonusPod) bool { return p.namespace == namespace && p.name == name })
		require.GreaterOrEqual(t, i, 0, "%s/%s", namespace, name)
		return c.pods[i]
	}
	named := func(namespace, name string) func(*networkingv1.NetworkPolicy) bool {
		return func(p *networkingv1.NetworkPolicy) bool { return p.Namespace == namespace && p.Name == name }
	}
	switch {
	case a.CreatePolicy != nil:
		c.policies = append(c.policies, a.CreatePolicy.Policy)
	case a.UpdatePolicy != nil:
		p := a.UpdatePolicy.Policy
		c.policies = append(slices.DeleteFunc(c.policies, named(p.Namespace, p.Name)), p)
	case a.DeletePolicy != nil:
		c.policies = slices.DeleteFunc(c.policies, named(a.DeletePolicy.Namespace, a.DeletePolicy.Name))
	case a.CreateNamespace != nil:
		c.setNamespace(a.CreateNamespace.Namespace, a.CreateNamespace.Labels)
	case a.SetNamespaceLabels != nil:
		c.setNamespace(a.SetNamespaceLabels.Namespace, a.SetNamespaceLabels.Labels)
	case a.DeleteNamespace != nil:
		gone := a.DeleteNamespace.Namespace
		delete(c.namespaces, gone)
		c.pods = slices.DeleteFunc(c.pods, func(p *cyclonusPod) bool { return p.namespace == gone })
		c.policies = slices.DeleteFunc(c.policies, func(p *networkingv1.NetworkPolicy) bool { return p.Namespace == gone })
	case a.CreatePod != nil:
		c.pods = append(c.pods, &cyclonusPod{a.CreatePod.Namespace, a.CreatePod.Pod, a.CreatePod.Labels, fmt.Sprintf("192.168.9.%d", len(c.pods))})
	case a.SetPodLabels != nil:
		pod(a.SetPodLabels.Namespace, a.SetPodLabels.Pod).labels = a.SetPodLabels.Labels
	case a.DeletePod != nil:
		gone := pod(a.DeletePod.Namespace, a.DeletePod.Pod)
		c.pods = slices.DeleteFunc(c.pods, func(p *cyclonusPod) bool { return p == gone })
	case a.ReadNetworkPolicies != nil: // it reads back what was written
	default:
		t.Fatalf("an action of a kind that this test does not know: %+v", a)
	}
}

// workloads are the pods as palisade knows them.
func (c *cyclonusCluster) workloads() []model.Workload {
	var list []model.Workload
	for _, p := range c.pods {
		w := model.Workload{
			ID: model.WorkloadID{Namespace: p.namespace, Kind: "Pod", Name: p.name}, Labels: p.labels, NamespaceLabels: c.namespaces[p.namespace],
			ServiceAccount: "default", Addresses: []netip.Addr{netip.MustParseAddr(p.ip)}, Running: true,
		}
		for _, protocol := range cyclonusProtocols {
			for _, port := range []int32{80, 81} {
				w.Spec.Containers = append(w.Spec.Containers, corev1.Container{Ports: []corev1.ContainerPort{{
					Name: portName(port, protocol), ContainerPort: port, Protocol: protocol,
				}}})
			}
		}
		list = append(list, w)
	}
	slices.SortFunc(list, func(a, b model.Workload) int { return model.CompareWorkloadIDs(a.ID, b.ID) })
	return list
}

func (c *cyclonusCluster) modelNamespaces() []model.Namespace {
	var list []model.Namespace
	for _, name := range slices.Sorted(maps.Keys(c.namespaces)) {
		list = append(list, model.Namespace{Name: name, Labels: c.namespaces[name]})
	}
	return list
}

func portName(port int32, protocol corev1.Protocol) string {
	if port != 80 && port != 81 {
		return ""
	}
	return fmt.Sprintf("serve-%d-%s", port, strings.ToLower(string(protocol)))
}

// asked are ends of connections: the pods, addresses that ranges of the cases tell apart, and others.
func (c *cyclonusCluster) asked(workloads []model.Workload) map[*matcher.TrafficPeer]verdict.End {
	ends := map[*matcher.TrafficPeer]verdict.End{}
	for i := range workloads {
		w := &workloads[i]
		ends[&matcher.TrafficPeer{IP: w.Addresses[0].String(), Internal: &matcher.InternalPeer{
			PodLabels: w.Labels, NamespaceLabels: w.NamespaceLabels, Namespace: w.ID.Namespace,
		}}] = verdict.End{Workload: w}
	}
	for _, address := range []string{"192.168.3.4", "192.168.3.200", "192.168.200.1", "8.8.8.8", "10.0.0.1"} {
		ends[&matcher.TrafficPeer{IP: address}] = verdict.End{Address: netip.MustParseAddr(address)}
	}
	return ends
}

// Every case that cyclonus generates, and in it every connection between any two
// ends on every protocol, on ports that are declared and ports that are not: by Explain and by the map.
func TestNetworkPoliciesAreJudgedAsCyclonusJudgesThem(t *testing.T) {
	cases := generator.NewTestCaseGenerator(true, podOfIPBlocks, []string{"x", "y", "z"}, nil, nil).GenerateTestCases()
	require.GreaterOrEqual(t, len(cases), 200)
	steps, connections, allowed := 0, 0, 0
	for _, each := range cases {
		c := newCyclonusCluster()
		for _, step := range each.Steps {
			for _, action := range step.Actions {
				c.apply(t, action)
			}
			steps++
			n, open := c.compare(t, each.Description)
			connections, allowed = connections+n, allowed+open
		}
	}
	t.Logf("%d cases of cyclonus, %d steps, %d connections judged alike, of which %d are let through", len(cases), steps, connections, allowed)
}

func (c *cyclonusCluster) compare(t *testing.T, description string) (connections, allowed int) {
	t.Helper()
	theirs := matcher.BuildNetworkPolicies(false, c.policies)
	var ours []networkingv1.NetworkPolicy
	for _, p := range c.policies {
		ours = append(ours, *p)
	}
	workloads := c.workloads()
	in := verdict.Input{Cluster: &model.Cluster{}, Namespaces: c.modelNamespaces(), Workloads: workloads, Network: netpol.NewEvaluator(ours, "")}
	m := verdict.NewMap(in)
	shown := map[[2]string][]verdict.Allowance{}
	for k := range m.Connections() {
		from, to := m.Peers()[k.From], m.Peers()[k.To]
		require.Equal(t, verdict.Allowed, k.Standing, description)
		shown[[2]string{endOf(from), endOf(to)}] = append(shown[[2]string{endOf(from), endOf(to)}], k.Allowance)
	}
	ends := c.asked(workloads)
	for source, from := range ends {
		for destination, to := range ends {
			if from == to || from.Workload == nil && to.Workload == nil {
				continue
			}
			for _, protocol := range cyclonusProtocols {
				for _, port := range []int32{53, 79, 80, 81, 82, 103} {
					name := ""
					if to.Workload != nil {
						name = portName(port, protocol)
					}
					want := theirs.IsTrafficAllowed(&matcher.Traffic{
						Source: source, Destination: destination, ResolvedPort: int(port), ResolvedPortName: name, Protocol: protocol,
					}).IsAllowed()
					at := model.Port{Protocol: protocol, Number: port}
					got := verdict.Explain(in, verdict.Question{From: from, To: to, Port: at}).Decision == verdict.Open
					require.Equal(t, want, got, "%s: %s → %s %s by explain", description, from, to, at)
					list := shown[[2]string{peerAt(m, from), peerAt(m, to)}]
					mapped := slices.ContainsFunc(list, func(a verdict.Allowance) bool { return a.Covers(at) })
					require.Equal(t, want, mapped, "%s: %s → %s %s by the map", description, from, to, at)
					connections++
					if want {
						allowed++
					}
				}
			}
		}
	}
	return connections, allowed
}

func endOf(p verdict.Peer) string { return p.ID() }

// peerAt is the peer of a map that an end belongs to.
func peerAt(m *verdict.Map, e verdict.End) string {
	for _, p := range m.Peers() {
		if e.Workload != nil && p.Workload == e.Workload || e.Workload == nil && slices.ContainsFunc(p.CIDRs, func(c netip.Prefix) bool { return c.Contains(e.Address) }) {
			return p.ID()
		}
	}
	return ""
}

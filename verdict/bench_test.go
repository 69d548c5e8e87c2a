package verdict_test

import (
	"fmt"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"floe.dev/palisade/model"
	"floe.dev/palisade/netpol"
	"floe.dev/palisade/verdict"
)

// city is a large cluster: in each namespace pods of four roles under a default
// deny, DNS, and four allows, of which one leads to the next namespace and one outside.
type city struct {
	in       verdict.Input
	policies []networkingv1.NetworkPolicy
}

var roles = []string{"frontend", "api", "worker", "db"}

func newCity(namespaces, podsEach int) *city {
	c := &city{}
	c.in.Cluster = &model.Cluster{IPv4: true, PodCIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	for n := range namespaces {
		name := fmt.Sprintf("ns-%05d", n)
		labels := map[string]string{corev1.LabelMetadataName: name, "team": fmt.Sprint("t", n%10)}
		c.in.Namespaces = append(c.in.Namespaces, model.Namespace{Name: name, Labels: labels})
		for p := range podsEach {
			role := roles[p%4]
			c.in.Workloads = append(c.in.Workloads, model.Workload{
				ID: model.WorkloadID{Namespace: name, Kind: "Pod", Name: fmt.Sprintf("%s-%05d", role, p)}, Labels: map[string]string{"role": role, "pod": fmt.Sprint(p)},
				NamespaceLabels: labels, ServiceAccount: role,
			})
		}
		c.policies = append(c.policies, cityPolicies(name, fmt.Sprintf("ns-%05d", (n+1)%namespaces))...)
	}
	c.in.Network = netpol.NewEvaluator(c.policies, "calico")
	return c
}

func role(name string) metav1.LabelSelector {
	return metav1.LabelSelector{MatchLabels: map[string]string{"role": name}}
}

func cityPolicies(home, next string) []networkingv1.NetworkPolicy {
	both := []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}
	named := func(name string, spec networkingv1.NetworkPolicySpec) networkingv1.NetworkPolicy {
		return networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: home, Name: name}, Spec: spec}
	}
	port := func(number int32, protocol corev1.Protocol) networkingv1.NetworkPolicyPort {
		return networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: new(intstr.FromInt32(number))}
	}
	frontend, api, db := role("frontend"), role("api"), role("db")
	return []networkingv1.NetworkPolicy{
		named("default-deny", networkingv1.NetworkPolicySpec{PolicyTypes: both}),
		named("dns", networkingv1.NetworkPolicySpec{PolicyTypes: both[1:], Egress: []networkingv1.NetworkPolicyEgressRule{
			{Ports: []networkingv1.NetworkPolicyPort{port(53, udp), port(53, tcp)}},
		}}),
		named("api", networkingv1.NetworkPolicySpec{PodSelector: api, PolicyTypes: both,
			Ingress: []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{PodSelector: &frontend}}, Ports: []networkingv1.NetworkPolicyPort{port(8080, tcp)}}},
			Egress:  []networkingv1.NetworkPolicyEgressRule{{To: []networkingv1.NetworkPolicyPeer{{PodSelector: &db}}, Ports: []networkingv1.NetworkPolicyPort{port(5432, tcp)}}},
		}),
		named("db", networkingv1.NetworkPolicySpec{PodSelector: db, PolicyTypes: both[:1],
			Ingress: []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{PodSelector: &api}}, Ports: []networkingv1.NetworkPolicyPort{port(5432, tcp)}}},
		}),
		named("frontend", networkingv1.NetworkPolicySpec{PodSelector: frontend, PolicyTypes: both,
			Ingress: []networkingv1.NetworkPolicyIngressRule{{Ports: []networkingv1.NetworkPolicyPort{port(8443, tcp)}}},
			Egress: []networkingv1.NetworkPolicyEgressRule{
				{To: []networkingv1.NetworkPolicyPeer{{PodSelector: &api}}, Ports: []networkingv1.NetworkPolicyPort{port(8080, tcp)}},
				{To: []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: next}}, PodSelector: &frontend}}, Ports: []networkingv1.NetworkPolicyPort{port(8443, tcp)}},
			},
		}),
		named("outside", networkingv1.NetworkPolicySpec{PodSelector: role("worker"), PolicyTypes: both[1:], Egress: []networkingv1.NetworkPolicyEgressRule{
			{To: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "172.16.0.0/12", Except: []string{"172.20.1.0/24"}}}}},
		}}),
	}
}

// town is the largest published shape: a namespace has four pods, a default deny and two allows.
func newTown(namespaces int) *city {
	c := newCity(0, 0)
	for n := range namespaces {
		name := fmt.Sprintf("ns-%05d", n)
		labels := map[string]string{corev1.LabelMetadataName: name}
		c.in.Namespaces = append(c.in.Namespaces, model.Namespace{Name: name, Labels: labels})
		for p := range 4 {
			c.in.Workloads = append(c.in.Workloads, model.Workload{
				ID: model.WorkloadID{Namespace: name, Kind: "Pod", Name: fmt.Sprint("p", p)}, Labels: map[string]string{"app": fmt.Sprint("app-", p/2)},
				NamespaceLabels: labels, ServiceAccount: "default",
			})
		}
		spec := func(app string) networkingv1.NetworkPolicySpec {
			return networkingv1.NetworkPolicySpec{
				PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}, PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
				Ingress: []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "app-0"}}}}}},
				Egress:  []networkingv1.NetworkPolicyEgressRule{{To: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "app-1"}}}}}},
			}
		}
		deny := networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}}
		for i, s := range []networkingv1.NetworkPolicySpec{deny, spec("app-0"), spec("app-1")} {
			c.policies = append(c.policies, networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: fmt.Sprint("np", i)}, Spec: s})
		}
	}
	c.in.Network = netpol.NewEvaluator(c.policies, "calico")
	return c
}

func BenchmarkMap(b *testing.B) {
	for _, shape := range []struct {
		name string
		make func() *city
	}{
		{"pods=10000/policies=3000", func() *city { return newCity(500, 20) }},
		{"pods=100000/policies=75000", func() *city { return newTown(25000) }},
		{"pods=150000/policies=60000", func() *city { return newCity(10000, 15) }},
	} {
		b.Run(shape.name, func(b *testing.B) {
			c := shape.make()
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				c.in.Network = netpol.NewEvaluator(c.policies, "calico")
				m := verdict.NewMap(c.in)
				b.ReportMetric(float64(m.Rows()), "rows")
			}
		})
	}
}

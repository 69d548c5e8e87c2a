package netpol_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
	"floe.dev/palisade/netpol"
)

// BenchmarkCompile compiles 1,000 governed namespaces with 10,000 workloads and
// 30,000 flows, each of which names a client in the next namespace now and then.
func BenchmarkCompile(b *testing.B) {
	m := largeModel(1000, 10, 30)
	b.ReportAllocs()
	var objects []model.Object
	for b.Loop() {
		objects, _ = netpol.Compile(m)
	}
	b.ReportMetric(float64(len(objects))/1000, "policies/namespace")
}

func largeModel(namespaces, workloads, flows int) *model.Model {
	s := newScene()
	m := s.Model
	posture := m.Namespaces[1].Posture
	m.Namespaces, m.Workloads = m.Namespaces[:1], nil
	name := func(n int) string { return fmt.Sprintf("ns-%04d", n%namespaces) }
	pods := func(n, w int) model.Peer {
		app := fmt.Sprintf("app-%02d", w%workloads)
		return model.Peer{
			Kind: model.PeerPods, Namespace: name(n), PodSelector: selector("app", app),
			Workloads: []model.WorkloadID{{Namespace: name(n), Kind: "Deployment", Name: app}},
		}
	}
	for n := range namespaces {
		m.Namespaces = append(m.Namespaces, model.Namespace{Name: name(n), Labels: map[string]string{corev1.LabelMetadataName: name(n)}, Posture: posture})
		m.Flows = append(m.Flows, model.Flow{
			Origin: origin("DNS"), Client: model.Peer{Kind: model.PeerPods, Namespace: name(n)}, Server: kind(model.PeerDNS), Ports: m.Cluster.DNS.Ports, Base: true,
		})
		for w := range workloads {
			p := pods(n, w)
			m.Workloads = append(m.Workloads, model.Workload{ID: p.Workloads[0], Selector: p.PodSelector, Labels: p.PodSelector.MatchLabels})
		}
		for f := range flows {
			away := f % 5 / 4 // one in five
			m.Flows = append(m.Flows, model.Flow{
				Origin: origin(fmt.Sprint("rule-", f)), Client: pods(n+away, f/3), Server: pods(n, f), Ports: []model.Port{model.TCP(8080)}, Tunnels: []int32{15008},
			})
		}
	}
	return m
}

package budget_test

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/budget"
	"floe.dev/palisade/model"
)

// 1,000 namespaces of 10 workloads that all ask for budgets, beside 60,000 other objects. The namespace with the most workloads has 3,000.
func BenchmarkCompileOf13000Workloads(b *testing.B) {
	m := &model.Model{}
	for n := range 1001 {
		namespace := fmt.Sprintf("ns-%04d", n)
		m.Namespaces = append(m.Namespaces, model.Namespace{Name: namespace, Posture: &model.Posture{Profile: "p", DisruptionBudgets: true}})
		count := 10
		if n == 1000 {
			count = 3000
		}
		for i := range count {
			l := map[string]string{"app": fmt.Sprintf("app-%04d", i), "team": "a"}
			m.Workloads = append(m.Workloads, model.Workload{
				ID: model.WorkloadID{Namespace: namespace, Kind: "Deployment", Name: l["app"]}, Labels: l, Replicas: 2,
				Selector: metav1.LabelSelector{MatchLabels: l},
			})
		}
		for i := range 60 {
			m.Existing = append(m.Existing, object("networking.k8s.io/v1", "NetworkPolicy", fmt.Sprintf("p-%d", i), nil))
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		objects, problems := budget.Compile(m)
		if len(objects) != 13_000 || len(problems) > 0 {
			b.Fatal(len(objects), problems)
		}
		budget.Findings(m)
	}
}

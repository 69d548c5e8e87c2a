package engine

import (
	"slices"
	"sync"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"floe.dev/palisade/mesh"
	"floe.dev/palisade/model"
	"floe.dev/palisade/netpol"
	"floe.dev/palisade/verdict"
)

// State is the workloads of a model under some objects, ready to be judged: the
// objects that are there, or those that a plan would leave. The layers that
// judge are listed here, in the order in which a connection meets them.
func State(m *model.Model, objects []model.Object) (verdict.Input, []model.Problem) {
	if implied := mesh.Implied(m, objects); len(implied) > 0 {
		with := *m
		with.Workloads = slices.Concat(m.Workloads, implied)
		slices.SortFunc(with.Workloads, func(a, b model.Workload) int { return model.CompareWorkloadIDs(a.ID, b.ID) })
		m = &with
	}
	policies, problems := networkPolicies(objects)
	in := verdict.Input{Cluster: &m.Cluster, Namespaces: m.Namespaces, Workloads: m.Workloads, Network: netpol.NewEvaluator(policies, m.Cluster.CNI)}
	if reader := mesh.NewReader(m, objects); reader != nil {
		in.Mesh = reader
		problems = append(problems, reader.Problems()...)
	}
	return in, problems
}

// states prepares two states of a model's cluster, at the same time.
func states(m *model.Model, before, after []model.Object) (was, is verdict.Input, problems []model.Problem) {
	var more []model.Problem
	var other sync.WaitGroup
	other.Go(func() { was, problems = State(m, before) })
	is, more = State(m, after)
	other.Wait()
	return was, is, slices.Concat(problems, more)
}

// networkPolicies are those among some objects.
func networkPolicies(objects []model.Object) ([]networkingv1.NetworkPolicy, []model.Problem) {
	var policies []networkingv1.NetworkPolicy
	var problems []model.Problem
	for i := range objects {
		ref := objects[i].Ref()
		if ref.Kind != "NetworkPolicy" || ref.Group() != networkingv1.GroupName {
			continue
		}
		var p networkingv1.NetworkPolicy
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(objects[i].Tree, &p); err != nil {
			problems = append(problems, model.Problem{
				Code: "PolicyUnreadable", Severity: model.Error, Subject: ref, Field: "spec",
				Message: "it cannot be read, so it is not known what it does: " + err.Error(), Fix: "correct the object: an API server would refuse it",
			})
			continue
		}
		policies = append(policies, p)
	}
	return policies, problems
}

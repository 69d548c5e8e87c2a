package engine

import (
	"reflect"
	goruntime "runtime"
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
	return state(m, objects, readPolicies(objects, nil))
}

// States prepares two states of a model's cluster, at the same time. What is in both is read once.
func States(m *model.Model, before, after []model.Object) (was, is verdict.Input, problems []model.Problem) {
	theirs := readPolicies(before, nil)
	var more []model.Problem
	var other sync.WaitGroup
	other.Go(func() { was, problems = state(m, before, theirs) })
	is, more = state(m, after, readPolicies(after, theirs.known))
	other.Wait()
	return was, is, slices.Concat(problems, more)
}

func state(m *model.Model, objects []model.Object, policies policies) (verdict.Input, []model.Problem) {
	if implied := mesh.Implied(m, objects); len(implied) > 0 {
		with := *m
		with.Workloads = slices.Concat(m.Workloads, implied)
		slices.SortFunc(with.Workloads, func(a, b model.Workload) int { return model.CompareWorkloadIDs(a.ID, b.ID) })
		m = &with
	}
	in := verdict.Input{Cluster: &m.Cluster, Namespaces: m.Namespaces, Workloads: m.Workloads, Network: netpol.NewEvaluator(policies.list, m.Cluster.CNI)}
	problems := policies.problems
	if reader := mesh.NewReader(m, objects); reader != nil {
		in.Mesh = reader
		problems = append(problems, reader.Problems()...)
	}
	return in, problems
}

// policies are the NetworkPolicies of a state.
type policies struct {
	list     []networkingv1.NetworkPolicy
	problems []model.Problem
	// known finds what a tree was read as, by the address of its map.
	known map[uintptr]*networkingv1.NetworkPolicy
}

// readPolicies reads the NetworkPolicies among some objects, those that are known already excepted.
func readPolicies(objects []model.Object, known map[uintptr]*networkingv1.NetworkPolicy) policies {
	var found []*model.Object
	for i := range objects {
		if ref := objects[i].Ref(); ref.Kind == "NetworkPolicy" && ref.Group() == networkingv1.GroupName {
			found = append(found, &objects[i])
		}
	}
	out := policies{list: make([]networkingv1.NetworkPolicy, len(found)), known: make(map[uintptr]*networkingv1.NetworkPolicy, len(found))}
	faults := make([]error, len(found))
	inParts(len(found), func(first, last int) {
		for i := first; i < last; i++ {
			if p := known[reflect.ValueOf(found[i].Tree).Pointer()]; p != nil {
				out.list[i] = *p
				continue
			}
			faults[i] = runtime.DefaultUnstructuredConverter.FromUnstructured(found[i].Tree, &out.list[i])
		}
	})
	kept := out.list[:0]
	for i, err := range faults {
		if err != nil {
			out.problems = append(out.problems, model.Problem{
				Code: "PolicyUnreadable", Severity: model.Error, Subject: found[i].Ref(), Field: "spec",
				Message: "it cannot be read, so it is not known what it does: " + err.Error(), Fix: "correct the object: an API server would refuse it",
			})
			continue
		}
		kept = append(kept, out.list[i])
		out.known[reflect.ValueOf(found[i].Tree).Pointer()] = &kept[len(kept)-1]
	}
	out.list = kept
	return out
}

// inParts does something for the numbers below n, in as many parts as there are processors.
func inParts(n int, do func(first, last int)) {
	parts := goruntime.GOMAXPROCS(0)
	var all sync.WaitGroup
	for part := range parts {
		all.Go(func() { do(n*part/parts, n*(part+1)/parts) })
	}
	all.Wait()
}

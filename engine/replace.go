package engine

import (
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"floe.dev/palisade/model"
	"floe.dev/palisade/netpol"
	"floe.dev/palisade/verdict"
)

// gatewayLabel names the Gateway that a pod runs for, as waypoints do.
const gatewayLabel = "gateway.networking.k8s.io/gateway-name"

// ReplacePolicy is a state with one NetworkPolicy in the place of another of its
// namespace and name, or beside all others where there is none, and what that
// changes. nil removes the one that ref names. It takes a state that State made, which stays as it is.
func ReplacePolicy(before verdict.Input, ref model.Ref, policy *model.Object) (after verdict.Input, d *verdict.Difference, err error) {
	var read *networkingv1.NetworkPolicy
	if policy != nil {
		read = &networkingv1.NetworkPolicy{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(policy.Tree, read); err != nil {
			return before, nil, err
		}
	}
	was, ok := before.Network.(*netpol.Evaluator)
	if !ok {
		was = netpol.NewEvaluator(nil, before.Cluster.CNI)
	}
	change := was.Replace(ref.Namespace, ref.Name, read)
	before.Network = was
	after = before
	after.Network = change.Evaluator
	return after, verdict.CompareAround(before, after, verdict.Around{
		Touched: change.Selects, Rules: change.Rules,
		Hidden: func(w *model.Workload) bool { return w.Labels[gatewayLabel] != "" },
	}), nil
}

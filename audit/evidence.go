package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// Evidence is all that checks look at: one state of a cluster, as it is now.
type Evidence struct {
	// Model holds the cluster, its workloads, Services and running pods.
	Model *model.Model
	// State is ready to be asked who reaches whom.
	State verdict.Input
	// Policies and Budgets are those that were read and could be decoded, sorted.
	Policies []Policy
	Budgets  []policyv1.PodDisruptionBudget
	// Webhooks are those for admission, and Calls all that the API server calls in the cluster.
	Webhooks []Webhook
	Calls    []Call
	// objects are those of the model by their reference, once somebody has asked.
	objects map[model.Ref]*model.Object
}

// Policy is one NetworkPolicy.
type Policy struct {
	networkingv1.NetworkPolicy
	// Defaulted are the fields that the manifest left out, and the API server would fill in.
	Defaulted []string
	// NamesIngress tells that the manifest has a list of rules for ingress, be it empty.
	NamesIngress bool
}

// Ref names the policy.
func (p *Policy) Ref() model.Ref {
	return model.Ref{APIVersion: networkingv1.SchemeGroupVersion.String(), Kind: "NetworkPolicy", Namespace: p.Namespace, Name: p.Name}
}

// Gather reads the objects of a state for the checks. What cannot be decoded is
// left out: a problem of the state says so already.
func Gather(m *model.Model, state verdict.Input) *Evidence {
	e := &Evidence{Model: m, State: state}
	for i := range m.Existing {
		o := &m.Existing[i]
		switch ref := o.Ref(); ref.Group() + " " + ref.Kind {
		case "networking.k8s.io NetworkPolicy":
			if p, ok := decoded[networkingv1.NetworkPolicy](o); ok {
				_, names := o.Map("spec")["ingress"].([]any)
				e.Policies = append(e.Policies, Policy{*p, o.Defaulted, names})
			}
		case "policy PodDisruptionBudget":
			if b, ok := decoded[policyv1.PodDisruptionBudget](o); ok {
				e.Budgets = append(e.Budgets, *b)
			}
		case "apiextensions.k8s.io CustomResourceDefinition":
			e.addCall(o, "spec.conversion.webhook.clientConfig.service", "spec", "conversion", "webhook", "clientConfig", "service")
		case "apiregistration.k8s.io APIService":
			e.addCall(o, "spec.service", "spec", "service")
		}
	}
	return e
}

func decoded[T any](o *model.Object) (*T, bool) {
	into := new(T)
	return into, runtime.DefaultUnstructuredConverter.FromUnstructured(o.Tree, into) == nil
}

// Policy finds a NetworkPolicy by its reference, or nil.
func (e *Evidence) Policy(ref model.Ref) *Policy {
	i, found := slices.BinarySearchFunc(e.Policies, ref, func(p Policy, ref model.Ref) int {
		return cmp.Or(cmp.Compare(p.Namespace, ref.Namespace), cmp.Compare(p.Name, ref.Name))
	})
	if !found {
		return nil
	}
	return &e.Policies[i]
}

// Ask judges one connection of the state.
func (e *Evidence) Ask(from, to verdict.End, port model.Port) verdict.Explanation {
	return verdict.Explain(e.State, verdict.Question{From: from, To: to, Port: port})
}

// eachWorkload visits the workloads of the state.
func (e *Evidence) eachWorkload(visit func(*model.Workload)) {
	for i := range e.State.Workloads {
		visit(&e.State.Workloads[i])
	}
}

// named joins the names of workloads: the first few, and how many more.
func named(list []*model.Workload) string {
	const most = 3
	var names []string
	for _, w := range list[:min(len(list), most)] {
		names = append(names, w.ID.String())
	}
	if rest := len(list) - most; rest > 0 {
		names = append(names, fmt.Sprintf("%d more", rest))
	}
	return strings.Join(names, ", ")
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

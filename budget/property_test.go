package budget_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"floe.dev/palisade/budget"
	"floe.dev/palisade/model"
)

// draw makes random clusters with few labels, so that selectors meet often.
type draw struct{ *rand.Rand }

func (d draw) labels() map[string]string {
	l := map[string]string{}
	for _, key := range []string{"app", "tier", "track"} {
		if d.IntN(3) > 0 {
			l[key] = []string{"a", "b", "c"}[d.IntN(3)]
		}
	}
	return l
}

func (d draw) selector(of map[string]string) metav1.LabelSelector {
	s := metav1.LabelSelector{MatchLabels: map[string]string{}}
	for key, value := range of {
		switch d.IntN(4) {
		case 0:
		case 1:
			s.MatchExpressions = append(s.MatchExpressions, metav1.LabelSelectorRequirement{Key: key, Operator: metav1.LabelSelectorOpIn, Values: []string{value, "other"}})
		default:
			s.MatchLabels[key] = value
		}
	}
	return s
}

func (d draw) model() *model.Model {
	m := &model.Model{Namespaces: []model.Namespace{{Name: "shop", Posture: &model.Posture{Profile: "shops", DisruptionBudgets: true}}}}
	kinds := []string{"Deployment", "Deployment", "StatefulSet", "ReplicaSet", "DaemonSet", "Job", "Pod"}
	for i := range 1 + d.IntN(8) {
		l := d.labels()
		id := model.WorkloadID{Namespace: "shop", Kind: kinds[d.IntN(len(kinds))], Name: fmt.Sprintf("w%d", i)}
		m.Workloads = append(m.Workloads, model.Workload{ID: id, Labels: l, Selector: d.selector(l), Replicas: int32(d.IntN(25))})
		if d.IntN(4) == 0 {
			m.Pods = append(m.Pods, model.Workload{ID: model.WorkloadID{Namespace: "shop", Kind: "Pod", Name: id.Name + "-0"}, Owner: id, Labels: d.labels(), Running: true})
		}
		if d.IntN(4) == 0 {
			m.Existing = append(m.Existing, object("autoscaling/v2", "HorizontalPodAutoscaler", id.Name, map[string]any{
				"scaleTargetRef": map[string]any{"kind": id.Kind, "name": id.Name}, "minReplicas": int64(d.IntN(4)),
			}))
		}
	}
	for i := range d.IntN(3) {
		s := d.selector(d.labels())
		tree, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&s)
		if err != nil {
			panic(err)
		}
		m.Existing = append(m.Existing, object("policy/v1", "PodDisruptionBudget", fmt.Sprintf("theirs%d", i), map[string]any{"minAvailable": int64(1), "selector": tree}))
	}
	slices.SortFunc(m.Workloads, func(a, b model.Workload) int { return model.CompareWorkloadIDs(a.ID, b.ID) })
	slices.SortFunc(m.Pods, func(a, b model.Workload) int { return model.CompareWorkloadIDs(a.ID, b.ID) })
	return m
}

func object(apiVersion, kind, name string, spec map[string]any) model.Object {
	return model.Object{Tree: map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"namespace": "shop", "name": name}, "spec": spec}}
}

// Features: G8.
func TestNoPodIsGivenTwoBudgetsAndNoneBlocksItsWorkload(t *testing.T) {
	written := 0
	for seed := range uint64(4000) {
		m := draw{rand.New(rand.NewPCG(seed, 8))}.model()
		objects, _ := budget.Compile(m)
		again, _ := budget.Compile(m)
		require.Equal(t, objects, again, "seed %d", seed)
		ours := budgets(t, objects)
		theirs := budgets(t, m.Existing)
		written += len(ours)
		for _, w := range slices.Concat(m.Workloads, m.Pods) {
			mine, others := matching(t, ours, w.Labels), matching(t, theirs, w.Labels)
			require.LessOrEqual(t, len(mine), 1, "seed %d: two of ours for %s", seed, w.ID)
			if len(mine) == 0 {
				continue
			}
			require.Empty(t, others, "seed %d: ours beside another for %s", seed, w.ID)
			owner := w.Owner
			if !w.Running {
				owner = w.ID
			}
			of := m.Workload(owner)
			require.Contains(t, []string{"Deployment", "StatefulSet", "ReplicaSet"}, owner.Kind, "seed %d", seed)
			require.NotZero(t, of.Replicas, "seed %d", seed)
			for replicas := 1; replicas <= 100; replicas++ { // whatever an autoscaler makes of it
				left, err := intstr.GetScaledValueFromIntOrPercent(mine[0].Spec.MaxUnavailable, replicas, true)
				require.NoError(t, err)
				require.Positive(t, left, "seed %d: %s of %d replicas", seed, w.ID, replicas)
			}
		}
	}
	require.Greater(t, written, 1000, "the clusters are to ask for budgets often")
}

func budgets(t *testing.T, objects []model.Object) []policyv1.PodDisruptionBudget {
	t.Helper()
	var list []policyv1.PodDisruptionBudget
	for _, o := range objects {
		if o.Ref().Kind == "PodDisruptionBudget" {
			var b policyv1.PodDisruptionBudget
			require.NoError(t, runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Tree, &b, true))
			list = append(list, b)
		}
	}
	return list
}

// matching asks the library, as the disruption controller does.
func matching(t *testing.T, list []policyv1.PodDisruptionBudget, l map[string]string) []policyv1.PodDisruptionBudget {
	t.Helper()
	var found []policyv1.PodDisruptionBudget
	for _, b := range list {
		s, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
		require.NoError(t, err)
		if s.Matches(labels.Set(l)) {
			found = append(found, b)
		}
	}
	return found
}

func TestABudgetThatCannotBeReadIsTakenForOneOfEveryPod(t *testing.T) {
	m := &model.Model{
		Namespaces: []model.Namespace{{Name: "shop", Posture: &model.Posture{Profile: "shops", DisruptionBudgets: true}}},
		Workloads: []model.Workload{{
			ID: model.WorkloadID{Namespace: "shop", Kind: "Deployment", Name: "web"}, Labels: map[string]string{"app": "web"}, Replicas: 3,
			Selector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
		}},
	}
	objects, _ := budget.Compile(m)
	require.Len(t, objects, 1)
	for name, selector := range map[string]any{
		"no selector":                    map[string]any{"matchLabels": "app"},
		"an operator that there is none": map[string]any{"matchExpressions": []any{map[string]any{"key": "app", "operator": "Like", "values": []any{"x"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			m.Existing = []model.Object{object("policy/v1", "PodDisruptionBudget", "theirs", map[string]any{"selector": selector})}
			objects, _ := budget.Compile(m)
			require.Empty(t, objects)
			require.Len(t, budget.Findings(m), 1)
		})
	}
}

package engine

import (
	"fmt"
	"slices"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/intent"
	"floe.dev/palisade/mesh"
	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// Level is what the peers of a view are.
type Level string

// The levels.
const (
	// Workloads puts replicas together.
	Workloads Level = "workload"
	// Pods has every pod by itself, as far as pods were read.
	Pods Level = "pod"
)

// When is which state of the cluster a view shows.
type When string

// The states.
const (
	// Auto is Planned where a SecurityProfile that enforces was read, else Current.
	Auto When = "auto"
	// Current is what the objects that were read do.
	Current When = "current"
	// Planned is what they will do once the plan is carried out.
	Planned When = "planned"
)

// ViewOptions say what to look at.
type ViewOptions struct {
	Options
	// Level is Workloads where it is empty, When is Auto.
	Level Level
	When  When
}

// View is one state of a cluster, ready to be asked who reaches whom.
type View struct {
	Model *model.Model
	// State is what verdict judges.
	State verdict.Input
	// Planned tells that the state is the one that the plan would leave.
	Planned  bool
	Problems []model.Problem
	// Unknown counts the objects of kinds that were not looked at, by "apiVersion kind".
	Unknown map[string]int
}

// Look reads a snapshot as one state.
func Look(s *intent.Snapshot, o ViewOptions) View {
	if o.When == Planned || o.When != Current && enforces(s) {
		r := Run(s, o.Options)
		v := View{Model: r.Model, Planned: true, Problems: r.Problems, Unknown: s.Unknown}
		v.judge(r.Plan.After(r.Model.Existing, false), o.Level)
		return v
	}
	cluster, problems := intent.Facts(s, o.Given)
	resolved := intent.Resolve(s, cluster, mesh.New(cluster.Mesh, cluster.Domain), o.Now)
	v := View{Model: resolved.Model, Problems: problems, Unknown: s.Unknown} // problems of the intent are not those of what is there
	v.judge(resolved.Model.Existing, o.Level)
	return v
}

// enforces tells whether some profile would have something written.
func enforces(s *intent.Snapshot) bool {
	return slices.ContainsFunc(s.Profiles, func(p v1alpha1.SecurityProfile) bool { return string(p.Spec.Enforcement) != string(model.Observe) })
}

// judge prepares the state of some objects.
func (v *View) judge(objects []model.Object, level Level) {
	m := peers(v.Model, level)
	state, problems := State(m, objects)
	v.State = state
	v.Problems = unique(slices.Concat(v.Problems, problems, notJudged(objects)), model.CompareProblems)
}

// peers is the model with the peers of a level as its workloads. At the level of
// workloads a running pod tells better than the template what the mesh makes of it.
func peers(m *model.Model, level Level) *model.Model {
	if len(m.Pods) == 0 {
		return m
	}
	with := *m
	pods := map[model.WorkloadID][]*model.Workload{}
	for i := range m.Pods {
		pods[m.Pods[i].Owner] = append(pods[m.Pods[i].Owner], &m.Pods[i])
	}
	if level == Pods {
		with.Workloads = slices.DeleteFunc(slices.Clone(m.Workloads), func(w model.Workload) bool { return len(pods[w.ID]) > 0 })
		with.Workloads = append(with.Workloads, m.Pods...)
		slices.SortFunc(with.Workloads, func(a, b model.Workload) int { return model.CompareWorkloadIDs(a.ID, b.ID) })
		return &with
	}
	with.Workloads = slices.Clone(m.Workloads)
	for i := range with.Workloads {
		asItRuns(&with.Workloads[i], pods[with.Workloads[i].ID])
	}
	return &with
}

// asItRuns gives a workload the addresses of its pods, and what the mesh makes of
// the first of them that is not what the template asks for: a pod that runs outside the mesh decides.
func asItRuns(w *model.Workload, pods []*model.Workload) {
	for _, p := range pods {
		w.Addresses = append(slices.Clip(w.Addresses), p.Addresses...)
		if p.Facts.Mode == w.Facts.Mode || p.Facts.Meshed() && !w.Facts.Meshed() {
			continue
		}
		w.Facts = p.Facts
		if p.Facts.Outside != "" {
			w.Facts.Outside = fmt.Sprintf("pod %s: %s", p.ID.Name, p.Facts.Outside)
		}
	}
}

// Map judges all connections of the view. It adds to the view's problems.
func (v *View) Map() *verdict.Map {
	m := verdict.NewMap(v.State)
	v.doubt(m.Doubts())
	return m
}

// Compare judges all connections of two views. It adds to the problems of the second.
func Compare(before, after *View) *verdict.Difference {
	d := verdict.Compare(before.State, after.State)
	after.doubt(d.Doubts())
	return d
}

// doubt says of rules that it is not known which pods they match.
func (v *View) doubt(causes []model.Cause) {
	for _, c := range causes {
		v.Problems = append(v.Problems, model.Problem{
			Code: "PodAddressesUnknown", Severity: model.Warning, Subject: c.Object, Field: c.Field,
			Message: "it names addresses, and it is not known whether pods have some of these: what it may open to pods is not among the connections",
			Fix:     "give --pod-cidr (and --node-cidr), or read running pods and the CNI's DaemonSet (-f)",
		})
	}
	v.Problems = unique(v.Problems, model.CompareProblems)
}

// unjudged are groups of policies that narrow or widen connections and that nothing here judges.
var unjudged = map[string][]string{
	"policy.networking.k8s.io": {"AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy"},
	"cilium.io":                {"CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy"},
	"crd.projectcalico.org":    {"NetworkPolicy", "GlobalNetworkPolicy"},
	"projectcalico.org":        {"NetworkPolicy", "GlobalNetworkPolicy"},
}

// notJudged says which policies were read and not taken into account. Those of palisade's own only let hosts out.
func notJudged(objects []model.Object) []model.Problem {
	counts := map[string]int{}
	for i := range objects {
		ref := objects[i].Ref()
		if slices.Contains(unjudged[ref.Group()], ref.Kind) && !objects[i].Owned() {
			counts[ref.Group()+" "+ref.Kind]++
		}
	}
	var problems []model.Problem
	for kind, n := range counts {
		problems = append(problems, model.Problem{
			Code: "PolicyNotJudged", Severity: model.Error,
			Message: fmt.Sprintf("%d objects of kind %s were read, which palisade does not judge: what they allow or refuse is not in the result", n, kind),
			Fix:     "look at these policies yourself",
		})
	}
	return problems
}

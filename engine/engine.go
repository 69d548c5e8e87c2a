// Package engine is the flow of palisade on one page: what was read becomes a
// Model, the Model becomes objects, the objects become a plan. It is pure, and
// the command line and the controller both use it. Begin reading here.
//
//	Snapshot ─▶ intent.Facts ─▶ intent.Resolve ─▶ Model ─┬▶ netpol.Compile ─┐
//	                (what the cluster is)                ├▶ mesh   .Compile ─┼▶ []Object ─▶ plan.Compute ─▶ Plan
//	                                                     ├▶ pss    .Compile ─┤
//	                                                     └▶ budget .Compile ─┘
//
// Beside the values, every stage returns Problems (what could not be expressed
// or is not known) and Findings (faults of the cluster). None is dropped.
package engine

import (
	"slices"
	"strings"
	"time"

	"floe.dev/palisade/budget"
	"floe.dev/palisade/intent"
	"floe.dev/palisade/mesh"
	"floe.dev/palisade/model"
	"floe.dev/palisade/netpol"
	"floe.dev/palisade/plan"
	"floe.dev/palisade/pss"
)

// Given are the facts that a user supplies; see intent.Given.
type Given = intent.Given

// Snapshot is what was read; see intent.Snapshot.
type Snapshot = intent.Snapshot

// Options are the arguments of a run beside what was read.
type Options struct {
	// Given facts win over what objects show.
	Given Given
	// Now is the time at which Exemptions are judged.
	Now time.Time
	// Impact asks for what the plan would end: Plan.Impact.
	Impact bool
}

// Result is all that a run comes to.
type Result struct {
	Model *model.Model
	// Objects are those wanted, in the order in which they are to be written:
	// what allows before what denies. Namespaces that are only observed are included.
	Objects  []model.Object
	Problems []model.Problem
	Findings []model.Finding
	Plan     plan.Plan
}

// Run takes a snapshot through all stages.
func Run(s *intent.Snapshot, o Options) Result {
	cluster, problems := intent.Facts(s, o.Given)
	return run(s, cluster, problems, o)
}

// run takes a snapshot of a cluster that is known through the other stages.
func run(s *intent.Snapshot, cluster model.Cluster, problems []model.Problem, o Options) Result {
	dialect := mesh.New(cluster.Mesh, cluster.Domain)
	resolved := intent.Resolve(s, cluster, dialect, o.Now)
	m := resolved.Model

	r := compile(m, dialect, slices.Concat(problems, resolved.Problems), resolved.Findings, s.Unknown)
	if o.Impact {
		r.Plan.SetImpact(impact(m, &r.Plan))
	}
	r.Problems = r.Plan.Problems // judging may have found more
	return r
}

// compile takes a Model to objects and a plan; the problems and findings are those of the stages before.
func compile(m *model.Model, dialect mesh.Dialect, problems []model.Problem, findings []model.Finding, unknown map[string]int) Result {
	r := Result{Model: m, Problems: problems, Findings: findings}
	r.compile(netpol.Compile(m))
	if dialect != nil {
		r.compile(dialect.Compile(m))
		r.Findings = append(r.Findings, mesh.Findings(m)...)
	}
	r.compile(pss.Compile(m))
	r.Findings = append(r.Findings, pss.Findings(m)...)
	if !unreadable(problems, "policy") { // there may be one of somebody else's
		r.compile(budget.Compile(m))
		r.Findings = append(r.Findings, budget.Findings(m)...)
	}

	slices.SortFunc(r.Objects, model.CompareObjects)
	r.Problems = unique(r.Problems, model.CompareProblems)
	r.Findings = unique(r.Findings, model.CompareFindings)
	r.Plan = plan.Compute(m, r.Objects, r.Problems, r.Findings, unknown)
	r.Problems = r.Plan.Problems // comparing may have found more
	return r
}

// unreadable tells whether a problem says that a kind of a group, or the group, could not be read.
func unreadable(problems []model.Problem, group string) bool {
	return slices.ContainsFunc(problems, func(p model.Problem) bool {
		return p.Code == "KindUnreadable" && strings.HasPrefix(p.Message, group+"/")
	})
}

// impact judges what the plan would end. What leaves that incomplete does not
// leave the plan so: it comes back as warnings.
func impact(m *model.Model, p *plan.Plan) ([]plan.Impact, []model.Problem) {
	m = peers(m, Workloads)
	before, after, problems := States(m, m.Existing, p.After(m.Existing, true))
	list := plan.Impacts(m, before, after)
	problems = append(problems, notJudged(m.Existing)...)
	for i := range problems {
		if problems[i].Severity == model.Error {
			problems[i].Severity = model.Warning
		}
	}
	return list, problems
}

func (r *Result) compile(objects []model.Object, problems []model.Problem) {
	r.Objects = append(r.Objects, objects...)
	r.Problems = append(r.Problems, problems...)
}

// unique sorts, and keeps one of what is said twice.
func unique[T comparable](list []T, compare func(a, b T) int) []T {
	slices.SortFunc(list, compare)
	return slices.Compact(list)
}

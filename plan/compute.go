package plan

import (
	"cmp"
	"slices"

	"floe.dev/palisade/model"
)

// Compute compares the desired objects with those of the Model. The problems
// and findings of earlier stages, and the objects of kinds that were not looked
// at, are carried along.
func Compute(m *model.Model, desired []model.Object, problems []model.Problem, findings []model.Finding, unknown map[string]int) Plan {
	c := comparison{
		model:    m,
		existing: index(m.Existing),
		wanted:   map[key]bool{},
		plan: Plan{
			Mesh: m.Cluster.Mesh, Postures: map[string]*model.Posture{}, Unknown: unknown,
			Problems: slices.Clone(problems), Findings: slices.Clone(findings),
		},
	}
	for i := range desired {
		c.want(&desired[i])
	}
	for i := range m.Existing {
		c.unwanted(&m.Existing[i])
	}
	p := &c.plan
	slices.SortStableFunc(p.Changes, compareChanges)
	slices.SortFunc(p.Problems, model.CompareProblems)
	p.Problems = slices.Compact(p.Problems)
	slices.SortFunc(p.Findings, model.CompareFindings)
	p.Findings = slices.Compact(p.Findings)
	p.summarize(m)
	return c.plan
}

// Writes picks what may be written among the desired objects: those of
// namespaces whose profile enforces, and whose name nobody else has taken.
func Writes(m *model.Model, desired []model.Object) []model.Object {
	existing := index(m.Existing)
	var writes []model.Object
	for _, o := range desired {
		if !observed(m, o.Ref().Home()) && !taken(existing[keyOf(o.Ref())]) {
			writes = append(writes, o)
		}
	}
	return writes
}

// comparison carries a plan while it grows.
type comparison struct {
	model    *model.Model
	existing map[key]*model.Object
	wanted   map[key]bool
	plan     Plan
}

// key tells objects apart. Versions do not count: a server serves one object in several.
type key struct{ group, kind, namespace, name string }

func keyOf(r model.Ref) key { return key{r.Group(), r.Kind, r.Namespace, r.Name} }

func index(objects []model.Object) map[key]*model.Object {
	index := make(map[key]*model.Object, len(objects))
	for i := range objects {
		index[keyOf(objects[i].Ref())] = &objects[i]
	}
	return index
}

func (c *comparison) want(desired *model.Object) {
	ref := desired.Ref()
	c.wanted[keyOf(ref)] = true
	existing := c.existing[keyOf(ref)]
	switch {
	case existing == nil:
		c.change(Create, ref, desired, nil)
	case taken(existing):
		c.plan.Problems = append(c.plan.Problems, nameTaken(ref))
	case isNamespace(ref) && c.ungoverned(ref.Name) && c.held(ref):
		c.plan.Problems = append(c.plan.Problems, deletionHeld(ref))
	case Same(existing, desired):
		c.plan.Summary.Unchanged++
	default:
		c.change(Update, ref, desired, existing)
	}
}

// unwanted deletes what palisade wrote and no longer wants, whoever governs the
// namespace now. Both marks must be there: the label, and a name of ours.
func (c *comparison) unwanted(existing *model.Object) {
	ref := existing.Ref()
	if c.wanted[keyOf(ref)] || !existing.Owned() || !ours(ref) {
		return
	}
	if c.held(ref) {
		c.plan.Problems = append(c.plan.Problems, deletionHeld(ref))
		return
	}
	c.change(Delete, ref, nil, existing)
}

func (c *comparison) ungoverned(namespace string) bool {
	n := c.model.Namespace(namespace)
	return n == nil || n.Posture == nil
}

func (c *comparison) change(action Action, ref model.Ref, desired, existing *model.Object) {
	namespace := ref.Home()
	change := Change{Action: action, Ref: ref, Namespace: namespace, Desired: desired, Existing: existing}
	if observed(c.model, namespace) {
		change.Action, change.Would = Observe, action
	}
	if n := c.model.Namespace(namespace); n != nil {
		c.plan.Postures[namespace] = n.Posture
	}
	c.plan.Changes = append(c.plan.Changes, change)
}

func compareChanges(a, b Change) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.phase(), b.phase()), model.CompareRefs(a.Ref, b.Ref))
}

// Rank orders changes within a namespace: those of one rank may be written in any order, and before those of the next.
func (c *Change) Rank() int { return int(c.phase()) }

// phase orders changes within a namespace as they are written; deletions come last, what denies first.
func (c Change) phase() model.Phase {
	if c.Desired == nil {
		return model.PhaseDeny + 1 + model.Phase(model.RemovalRank(c.Ref))
	}
	return c.Desired.Phase
}

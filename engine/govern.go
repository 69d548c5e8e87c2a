package engine

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"floe.dev/palisade/intent"
	"floe.dev/palisade/mesh"
	"floe.dev/palisade/model"
	"floe.dev/palisade/plan"
	"floe.dev/palisade/pss"
	"floe.dev/palisade/rollout"
)

// Past is what the next turn of the controller must know of those before.
type Past struct {
	Memory rollout.Memory
	// Foreseen is what enforcing each layer was seen to break, when that was last
	// looked at; it may hold a step, and is looked at anew before one is taken.
	Foreseen map[model.Layer]map[string]rollout.Foresight
	// ForeseenAt is when that was.
	ForeseenAt time.Time
}

// Turn is what the controller is to do now.
type Turn struct {
	// Result is what is to be written: its Model is the one that package rollout left of what the profiles demand.
	Result
	// Demanded is that Model.
	Demanded *model.Model
	// Past is what is to be kept, before anything of the plan is written.
	Past
	Notes []rollout.Note
	// Frozen are the namespaces in which all stays as it is, since the intent for them cannot be read, with why.
	Frozen map[string]string
	// RequeueAfter is when time alone will change something; 0 where it will not.
	RequeueAfter time.Duration
}

// foresightLasts is how long what a step would break is believed, while that only holds it.
const foresightLasts = 10 * time.Second

// Govern takes a snapshot of a running cluster through all stages, and every
// namespace one step further, where the gates of package rollout let it. It is
// pure: whoever calls it keeps Turn.Past, and writes first that and then the plan.
func Govern(s *intent.Snapshot, o Options, past Past) Turn {
	g := newGovernor(s, o)
	g.past = past
	written := g.compile(rollout.Lower(g.demanded, past.Memory))
	g.observe(&written)
	outcome := g.step(&written)
	frozen := g.freeze(&outcome, written.Model)
	turn := Turn{
		Demanded: g.demanded, Notes: outcome.Notes, Frozen: frozen, RequeueAfter: outcome.RequeueAfter,
		Past: Past{Memory: outcome.Memory, Foreseen: g.evident.foreseen, ForeseenAt: g.evident.at},
	}
	if turn.Result = written; !maps.EqualFunc(past.Memory, outcome.Memory, sameStages) {
		turn.Result = g.compile(outcome.Model)
	}
	turn.Plan.Changes = slices.DeleteFunc(turn.Plan.Changes, func(c plan.Change) bool { return frozen[c.Namespace] != "" })
	return turn
}

// InForce is the Model of what is in force: in namespaces that a controller takes up step by step what
// they are at, as their NamespacePostures tell, and elsewhere what the profiles demand.
func InForce(s *intent.Snapshot, o Options) (*model.Model, []model.Problem) {
	g := newGovernor(s, o)
	memory := MemoryOf(s.Postures)
	m := rollout.Lower(g.demanded, memory)
	for i := range m.Namespaces {
		n := &m.Namespaces[i]
		if _, taken := memory[n.Name]; !taken {
			if demanded := g.demanded.Namespace(n.Name); demanded != nil {
				n.Posture = demanded.Posture
			}
		}
	}
	return m, g.problems
}

// governor carries one turn.
type governor struct {
	snapshot *intent.Snapshot
	options  Options
	dialect  mesh.Dialect
	demanded *model.Model
	// problems and findings are those of what came before compiling.
	problems []model.Problem
	findings []model.Finding
	past     Past
	evidence rollout.Evidence
	evident  foresights
}

func newGovernor(s *intent.Snapshot, o Options) *governor {
	cluster, problems := intent.Facts(s, o.Given)
	g := &governor{snapshot: s, options: o, dialect: mesh.New(cluster.Mesh, cluster.Domain)}
	resolved := intent.Resolve(s, cluster, g.dialect, o.Now)
	g.demanded = resolved.Model
	g.problems, g.findings = append(problems, resolved.Problems...), resolved.Findings
	return g
}

// compile takes a model, demanded or lowered, to a plan.
func (g *governor) compile(m *model.Model) Result {
	return compile(m, g.dialect, slices.Clone(g.problems), slices.Clone(g.findings), g.snapshot.Unknown)
}

// step asks package rollout. What it would enforce is foreseen first, by what is there now.
func (g *governor) step(written *Result) rollout.Outcome {
	g.evident = foresights{
		foreseen: maps.Clone(g.past.Foreseen), at: g.past.ForeseenAt,
		stale: g.options.Now.Sub(g.past.ForeseenAt) >= foresightLasts,
	}
	fresh := map[model.Layer]bool{}
	for {
		g.evident.show(&g.evidence)
		outcome := rollout.Step(g.demanded, g.evidence, g.past.Memory, g.options.Now)
		asked := slices.DeleteFunc(g.asked(outcome), func(l model.Layer) bool { return fresh[l] })
		if len(asked) == 0 {
			return outcome
		}
		for _, layer := range asked {
			fresh[layer] = true
			g.evident.look(layer, g.foresee(written, layer))
			g.evident.at = g.options.Now
		}
	}
}

// asked are the layers of which it must be known what enforcing them breaks:
// those that an outcome enforces, those of which nothing is known, and from time to time those that wait for it.
func (g *governor) asked(outcome rollout.Outcome) []model.Layer {
	var layers []model.Layer
	for name := range outcome.Memory {
		was := g.past.Memory[name]
		for _, l := range outcome.Memory[name].Layers {
			if l.Stage == model.StageEnforce && stageOf(was, l.Layer) != model.StageEnforce {
				layers = append(layers, l.Layer)
			}
		}
	}
	for _, n := range outcome.Notes {
		waits := n.Code == rollout.EvidenceMissing && g.evident.foreseen[n.Layer] == nil ||
			g.evident.stale && (n.Code == rollout.BreakPredicted || n.Code == rollout.ProblemsLeft)
		if n.Kind == rollout.Held && waits && n.Layer != "" && n.Layer != model.LayerPodSecurity {
			layers = append(layers, n.Layer)
		}
	}
	slices.Sort(layers)
	return slices.Compact(layers)
}

func stageOf(n rollout.Namespace, layer model.Layer) model.Stage {
	for _, l := range n.Layers {
		if l.Layer == layer {
			return l.Stage
		}
	}
	return model.StageObserve
}

// sameStages tells whether two memories of a namespace have the same objects written.
func sameStages(a, b rollout.Namespace) bool {
	return a.Profile == b.Profile && slices.EqualFunc(a.Layers, b.Layers, func(x, y rollout.Layer) bool {
		return x.Layer == y.Layer && x.Stage == y.Stage && x.Level == y.Level
	})
}

// foresights keep what enforcing layers would break.
type foresights struct {
	foreseen map[model.Layer]map[string]rollout.Foresight
	at       time.Time
	stale    bool
}

func (f *foresights) look(layer model.Layer, seen map[string]rollout.Foresight) {
	if f.foreseen == nil {
		f.foreseen = map[model.Layer]map[string]rollout.Foresight{}
	}
	f.foreseen[layer] = seen
}

// show puts them before package rollout. Of a namespace that nothing is foreseen for, nothing breaks.
func (f *foresights) show(e *rollout.Evidence) {
	for name, seen := range e.Namespaces {
		seen.Foreseen = make(map[model.Layer]rollout.Foresight, len(f.foreseen))
		for layer, all := range f.foreseen {
			seen.Foreseen[layer] = all[name]
		}
		e.Namespaces[name] = seen
	}
}

// foresee judges what enforcing a layer, wherever it is demanded, would break: by namespace.
func (g *governor) foresee(written *Result, layer model.Layer) map[string]rollout.Foresight {
	raised := g.compile(rollout.Raise(g.demanded, g.past.Memory, layer))
	m := peers(g.demanded, Workloads)
	existing := g.demanded.Existing
	before, after, _ := States(m, written.Plan.After(existing, false), raised.Plan.After(existing, false))
	foreseen := map[string]rollout.Foresight{}
	add := func(namespace string, do func(*rollout.Foresight)) {
		f := foreseen[namespace]
		do(&f)
		foreseen[namespace] = f
	}
	for _, i := range plan.Impacts(m, before, after) {
		if i.Basis == plan.Possible {
			continue
		}
		for _, namespace := range concerned(&i, layer) {
			add(namespace, func(f *rollout.Foresight) {
				f.Breaks += i.Clients.Count
				f.Names = append(f.Names, i.Describe())
			})
		}
	}
	for i := range raised.Problems {
		if p := &raised.Problems[i]; p.Severity == model.Error {
			add(p.Subject.Home(), func(f *rollout.Foresight) {
				f.Problems++
				f.Names = append(f.Names, p.Code+" "+p.Subject.String())
			})
		}
	}
	return everywhere(foreseen, g.demanded)
}

// concerned are the namespaces in which enforcing a layer ends a connection: the
// server's, and for the network the clients' as well.
func concerned(i *plan.Impact, layer model.Layer) []string {
	var list []string
	if home := i.Server.Workload; home != nil {
		list = append(list, home.ID.Namespace)
	}
	if layer == model.LayerNetwork {
		for _, id := range i.Clients.Workloads {
			namespace, _, _ := strings.Cut(id, "/")
			list = append(list, namespace)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// everywhere adds to what is foreseen in each namespace what is wrong with the cluster as a whole.
func everywhere(foreseen map[string]rollout.Foresight, m *model.Model) map[string]rollout.Foresight {
	whole := foreseen[""]
	delete(foreseen, "")
	if whole.Problems == 0 {
		return foreseen
	}
	for i := range m.Namespaces {
		name := m.Namespaces[i].Name
		f := foreseen[name]
		f.Problems += whole.Problems
		f.Names = append(f.Names, whole.Names...)
		foreseen[name] = f
	}
	return foreseen
}

// observe gathers what is known of each namespace.
func (g *governor) observe(written *Result) {
	unsettled := map[string]bool{}
	for i := range written.Plan.Changes {
		if c := &written.Plan.Changes[i]; c.Action != plan.Observe {
			unsettled[c.Namespace] = true
		}
	}
	unready := map[string][]model.WorkloadID{}
	for _, id := range g.snapshot.Unready {
		unready[id.Namespace] = append(unready[id.Namespace], id)
	}
	reports := map[string]rollout.Verification{}
	for i := range g.snapshot.Reports {
		r := &g.snapshot.Reports[i]
		if v, known := verificationOf(r); known {
			reports[r.Namespace] = v
		}
	}
	evaluator := pss.NewEvaluator()
	g.evidence.Namespaces = make(map[string]rollout.Observed, len(g.demanded.Namespaces))
	for i := range g.demanded.Namespaces {
		n := &g.demanded.Namespaces[i]
		o := rollout.Observed{
			Settled: !unsettled[n.Name],
			Ready:   &rollout.Readiness{Workloads: len(g.demanded.WorkloadsIn(n.Name)), Unready: unready[n.Name]},
			Capture: capture(g.demanded, n.Name),
		}
		if v, known := reports[n.Name]; known {
			o.Verification = &v
		}
		if g.demanded.Cluster.Mesh.Kind == model.MeshNone {
			o.Verification = &rollout.Verification{Result: rollout.NotApplicable}
		}
		if n.Posture != nil && n.Posture.PodSecurity.Enforce != "" {
			o.PodSecurity = dryRun(evaluator, g.demanded, n)
		}
		g.evidence.Namespaces[n.Name] = o
	}
}

// capture lists the workloads of a namespace some of whose running pods the mesh does not hold.
func capture(m *model.Model, namespace string) *rollout.Capture {
	var missing []model.WorkloadID
	pods := m.PodsIn(namespace)
	for i := range pods {
		if p := &pods[i]; p.Running && !held(p) {
			missing = append(missing, p.Owner)
		}
	}
	workloads := m.WorkloadsIn(namespace)
	for i := range workloads {
		if w := &workloads[i]; w.Running && !held(w) {
			missing = append(missing, w.ID)
		}
	}
	slices.SortFunc(missing, model.CompareWorkloadIDs)
	return &rollout.Capture{Missing: slices.Compact(missing)}
}

func held(w *model.Workload) bool { return w.Facts.Meshed() && w.Facts.Outside == "" }

// dryRun judges every workload and pod of a namespace by the level that is demanded.
func dryRun(e pss.Evaluator, m *model.Model, n *model.Namespace) *rollout.DryRun {
	level, version := n.Posture.PodSecurity.Enforce, cmp.Or(n.Posture.PodSecurity.EnforceVersion, "latest")
	run := &rollout.DryRun{Level: level, Version: n.Posture.PodSecurity.EnforceVersion}
	for _, list := range [][]model.Workload{m.WorkloadsIn(n.Name), m.PodsIn(n.Name)} {
		for i := range list {
			verdict := e.Level(&list[i], version)
			if below := verdict.At(level); len(below) > 0 {
				run.Refused++
				run.Names = append(run.Names, list[i].ID.String()+": "+below[0].Reason)
			}
		}
	}
	return run
}

package rollout

import (
	"cmp"
	"slices"
	"time"

	"floe.dev/palisade/model"
)

// Outcome is what a step comes to.
type Outcome struct {
	// Model is the one that is to be compiled and written: layers that are not proven are lowered in it.
	Model *model.Model
	// Memory is to be kept, before anything of the Model is written.
	Memory Memory
	// Notes are sorted by namespace, in the order in which they came up.
	Notes []Note
	// RequeueAfter is when time alone will change something; 0 means that only evidence can.
	RequeueAfter time.Duration
}

// Step takes every namespace as far as its gates let it, at most one step, or
// back. The model is what the profiles demand; it and the memory are left as they
// were. The same arguments give the same outcome, so a step may be repeated.
func Step(m *model.Model, e Evidence, memory Memory, now time.Time) Outcome {
	p := newPlanner(m, e, memory, now)
	for _, w := range p.works {
		w.recall()
		w.heed()
		w.descend()
		w.watch()
	}
	p.advance()
	return p.outcome()
}

// Lower is the model as the memory has it: what is, or is to be, written now.
// Evidence is gathered by it (Observed.Settled).
func Lower(m *model.Model, memory Memory) *model.Model {
	p := newPlanner(m, Evidence{}, memory, time.Time{})
	for _, w := range p.works {
		w.recall()
	}
	return p.lowered()
}

// Raise is the model with one layer enforced wherever a profile demands it, the
// others being as the memory has them. What it breaks is foreseen by comparing it
// with Lower (Observed.Foreseen).
func Raise(m *model.Model, memory Memory, layer model.Layer) *model.Model {
	p := newPlanner(m, Evidence{}, memory, time.Time{})
	for _, w := range p.works {
		w.recall()
		if i := indexOf(layer); i >= 0 {
			w.raise(i)
		}
	}
	return p.lowered()
}

// planner is one step over all namespaces.
type planner struct {
	m   *model.Model
	e   Evidence
	now time.Time
	// works are the namespaces that are governed or remembered, by name.
	works []*work
	// owned is what palisade's objects tell of each namespace; nil until asked for.
	owned map[string]*traces
	// callers are the flows to each namespace; nil until asked for.
	callers map[string][]*model.Flow
	notes   []Note
	requeue time.Duration
}

// work is one namespace on its way.
type work struct {
	p    *planner
	name string
	// posture is what is wanted now; nil where nobody governs or the profile only observes.
	posture *model.Posture
	// observes is the posture of a profile that only observes, else nil.
	observes    *model.Posture
	annotations map[string]string
	// seen is what is known of it, or nil.
	seen *Observed
	// was is what the memory held, to is what it will hold.
	was Namespace
	to  state
	// tops are the stages that are demanded, in the order of layers.
	tops [len(layers)]model.Stage
	// reverting tells that all of it is on its way down.
	reverting bool
}

func newPlanner(m *model.Model, e Evidence, memory Memory, now time.Time) *planner {
	p := &planner{m: m, e: e, now: now.UTC().Truncate(time.Second)}
	works := make([]work, 0, len(m.Namespaces))
	for i := range m.Namespaces {
		n := &m.Namespaces[i]
		was, remembered := memory[n.Name]
		if n.Posture == nil && !remembered && !p.left(n.Name) {
			continue
		}
		w := work{p: p, name: n.Name, annotations: n.Annotations, was: was, to: stateOf(was)}
		if n.Posture != nil && n.Posture.Enforcement == model.Observe {
			w.observes = n.Posture
		} else {
			w.posture = n.Posture
		}
		if o, known := e.Namespaces[n.Name]; known {
			w.seen = &o
		}
		works = append(works, w)
	}
	p.works = make([]*work, len(works))
	for i := range works {
		p.works[i] = &works[i]
		works[i].aim()
	}
	return p
}

// aim works out the stage that is demanded of each layer.
func (w *work) aim() {
	for i := range w.tops {
		w.tops[i] = model.StageObserve
	}
	if w.posture == nil {
		return
	}
	switch ps := &w.posture.PodSecurity; {
	case ps.Enforce != "":
		w.tops[podSecurity] = model.StageEnforce
	case ps.Audit != "" || ps.Warn != "":
		w.tops[podSecurity] = model.StageAudit
	}
	if w.p.m.Cluster.Mesh.Kind != model.MeshNone {
		switch w.posture.Mesh.MTLS {
		case model.MTLSStrict:
			w.tops[mtls] = model.StageEnforce
		case model.MTLSPermissive:
			w.tops[mtls] = model.StagePermissive
		}
		if w.posture.Mesh.Authorization {
			w.tops[authorization] = model.StageEnforce
		}
	}
	if w.posture.Network.DefaultDeny {
		w.tops[network] = model.StageEnforce
	}
}

// heed brings annotations to bear, and notes what is seen to be written by now.
func (w *work) heed() {
	w.unknownAnnotations()
	w.release()
	w.breakGlass()
	if w.seen == nil || !w.seen.Settled {
		return
	}
	for i := range w.to.layers {
		if l := &w.to.layers[i]; l.Since.IsZero() && l.Stage != model.StageObserve {
			l.Since = w.p.now
		}
	}
}

// move puts a layer on another stage.
func (w *work) move(layer int, to model.Stage, code string) {
	l := &w.to.layers[layer]
	if l.Stage == to {
		return
	}
	w.to.Transitions = append(w.to.Transitions, Transition{At: w.p.now, Layer: l.Layer, From: l.Stage, To: to, Code: code})
	if over := len(w.to.Transitions) - MostTransitions; over > 0 {
		w.to.Transitions = slices.Clone(w.to.Transitions[over:])
	}
	l.Stage, l.Since = to, time.Time{}
}

func (w *work) note(n Note) {
	n.Namespace, n.Message = w.name, bounded(n.Message)
	w.p.notes = append(w.p.notes, n)
}

// say tells of something that happened.
func (w *work) say(code, message string) {
	w.note(Note{Kind: Said, Code: code, Message: message, New: true})
}

// hold says what the namespace, or a layer of it, waits for.
func (w *work) hold(layer model.Layer, code, message string) { w.stand(Held, layer, code, message) }

// remark says what people should mend, though nothing waits for it.
func (w *work) remark(code, message string) { w.stand(Said, "", code, message) }

// stand tells of what is so for as long as it is, and once as new.
func (w *work) stand(kind NoteKind, layer model.Layer, code, message string) {
	h := Hold{Layer: layer, Code: code, Message: bounded(message)}
	// One that cannot be remembered is not new: it would be so in every step.
	kept := len(w.to.Holds) < MostHolds
	if kept {
		w.to.Holds = append(w.to.Holds, h)
	}
	w.note(Note{Layer: layer, Kind: kind, Code: code, Message: message, New: kept && !slices.Contains(w.was.Holds, h)})
}

// wake asks for another step at a time.
func (p *planner) wake(at time.Time) {
	after := max(at.Sub(p.now), time.Second)
	if p.requeue == 0 || after < p.requeue {
		p.requeue = after
	}
}

// outcome gathers what the step came to.
func (p *planner) outcome() Outcome {
	memory := make(Memory, len(p.works))
	for _, w := range p.works {
		if n, some := w.remember(); some {
			memory[w.name] = n
		}
		w.expectTime()
	}
	slices.SortStableFunc(p.notes, func(a, b Note) int { return cmp.Compare(a.Namespace, b.Namespace) })
	return Outcome{Model: p.lowered(), Memory: memory, Notes: p.notes, RequeueAfter: p.requeue}
}

// remember is the memory of the namespace; false where there is nothing to remember.
func (w *work) remember() (Namespace, bool) {
	n := w.to.Namespace
	n.Layers = nil
	for i := range w.to.layers {
		if l := w.to.layers[i]; l.Stage != model.StageObserve || w.tops[i] != model.StageObserve {
			n.Layers = append(n.Layers, l)
		}
	}
	if w.posture != nil {
		n.Profile = w.posture.Profile
	}
	return n, w.posture != nil || len(n.Layers) > 0
}

// expectTime asks to be woken when time alone changes something.
func (w *work) expectTime() {
	if glass := w.to.BreakGlass; glass != nil && !glass.Over {
		w.p.wake(glass.Until)
	}
	if watch := w.to.Watch; watch != nil && !w.stuck() {
		w.p.wake(watch.At.Add(w.patience()))
	}
	for i := range w.to.layers {
		l := &w.to.layers[i]
		if l.RetryAt.After(w.p.now) {
			w.p.wake(l.RetryAt)
		}
		if soaked := l.Since.Add(w.soak()); !l.Since.IsZero() && soaked.After(w.p.now) && (w.to.Watch != nil || w.next(i) != "") {
			w.p.wake(soaked)
		}
	}
}

func (w *work) soak() time.Duration {
	if w.posture == nil {
		return 0
	}
	return max(w.posture.Rollout.Soak, 0)
}

// lowered is the model with the postures that the works have come to.
func (p *planner) lowered() *model.Model {
	m := *p.m
	m.Namespaces = slices.Clone(p.m.Namespaces)
	at := 0
	for _, w := range p.works {
		for m.Namespaces[at].Name != w.name {
			at++
		}
		m.Namespaces[at].Posture = w.lowered()
	}
	return &m
}

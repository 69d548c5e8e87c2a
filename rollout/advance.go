package rollout

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"floe.dev/palisade/model"
)

// wave is how far a profile's rollout may go in one step.
type wave struct {
	// turns is how many namespaces may still begin a change.
	turns int
	// failed is how many stand stepped back, or stuck; most is how many may.
	failed, most int
	// names are those that failed.
	names []string
}

// advance takes namespaces further, in waves: those under way before those that
// have not begun, then those that the fewest others call, then the smallest.
func (p *planner) advance() {
	waves := map[string]*wave{}
	var queue []*work
	for _, w := range p.works {
		if w.posture == nil {
			continue
		}
		v := waves[w.posture.Profile]
		if v == nil {
			v = &wave{turns: max(w.posture.Rollout.MaxNamespaces, 1), most: max(w.posture.Rollout.MaxFailed, 1)}
			waves[w.posture.Profile] = v
		}
		w.forgive()
		if w.to.failed() || w.stuck() {
			v.failed++
			v.names = append(v.names, w.name)
		}
		if w.to.Watch != nil && !w.stuck() {
			v.turns--
		}
		if w.unfinished() {
			queue = append(queue, w)
		}
	}
	if len(queue) > 1 {
		p.order(queue)
	}
	for _, w := range queue {
		w.advance(waves[w.posture.Profile])
	}
}

// forgive forgets the failures of layers that have nowhere to go any more, because less is demanded.
func (w *work) forgive() {
	if w.to.Watch != nil {
		return
	}
	for i := range w.to.layers {
		if l := &w.to.layers[i]; l.Failures > 0 && w.next(i) == "" {
			l.Failures, l.RetryAt = 0, time.Time{}
		}
	}
}

// unfinished tells whether there is a stage to go to, and nothing that keeps the namespace as a whole.
func (w *work) unfinished() bool {
	if w.to.Watch != nil && !w.empty() || w.to.BreakGlass != nil && !w.to.BreakGlass.Over {
		return false
	}
	for i := range w.tops {
		if w.next(i) != "" {
			return true
		}
	}
	return false
}

// order sorts namespaces by when their turn is.
func (p *planner) order(queue []*work) {
	type rank struct{ begun, callers, workloads int }
	ranks := make(map[*work]rank, len(queue))
	for _, w := range queue {
		r := rank{callers: p.callersNamespaces(w.name), workloads: len(p.m.WorkloadsIn(w.name))}
		if w.to.down() {
			r.begun = 1
		}
		ranks[w] = r
	}
	slices.SortStableFunc(queue, func(a, b *work) int {
		x, y := ranks[a], ranks[b]
		return cmp.Or(cmp.Compare(x.begun, y.begun), cmp.Compare(x.callers, y.callers), cmp.Compare(x.workloads, y.workloads), cmp.Compare(a.name, b.name))
	})
}

// callersNamespaces counts the other namespaces that call the servers of one.
func (p *planner) callersNamespaces(namespace string) int {
	var from []string
	for _, f := range p.callersOf(namespace) {
		last := namespace
		for _, id := range f.Client.Workloads { // sorted by namespace
			if id.Namespace != last && id.Namespace != namespace {
				last = id.Namespace
				from = append(from, last)
			}
		}
	}
	slices.Sort(from)
	return len(slices.Compact(from))
}

// empty tells whether nothing runs in the namespace that a step could break.
func (w *work) empty() bool {
	return w.seen != nil && w.seen.Ready != nil && w.seen.Ready.Workloads == 0 &&
		len(w.p.m.WorkloadsIn(w.name)) == 0 && len(w.p.m.PodsIn(w.name)) == 0
}

// advance takes the namespace one step further, if it may.
func (w *work) advance(v *wave) {
	if why := w.pausedBy(); why != "" {
		w.hold("", Paused, why)
		return
	}
	if w.empty() {
		w.atOnce()
		return
	}
	steps := w.openSteps()
	switch {
	case len(steps) == 0:
	case v.failed >= v.most && !w.to.failed():
		w.hold("", TooManyFailed, fmt.Sprintf("%s of the profile failed%s, and no more may (spec.rollout.maxFailed)", plural(v.failed, "namespace"), some(v.names, 0)))
	case v.turns <= 0:
		w.hold("", WaitsForTurn, fmt.Sprintf("as many namespaces of the profile change stage as may at once (spec.rollout.maxNamespaces: %d)", max(w.posture.Rollout.MaxNamespaces, 1)))
	default:
		v.turns--
		w.take(steps)
	}
}

// atOnce takes a namespace in which nothing runs all the way: nothing can break.
func (w *work) atOnce() {
	var parts []string
	for i := range w.tops {
		if w.p.m.IsHeld(w.name, layers[i]) || w.next(i) == "" {
			continue
		}
		w.move(i, w.tops[i], GovernedAtOnce)
		w.reach(i)
		w.to.layers[i].Failures = 0
		parts = append(parts, fmt.Sprintf("%s %s", layers[i], w.tops[i]))
	}
	w.to.Watch = nil
	if len(parts) > 0 {
		w.note(Note{Kind: Changed, Code: GovernedAtOnce, New: true, Message: "nothing runs in the namespace, so nothing can break: " + strings.Join(parts, ", ")})
	}
}

// reach notes the level that Pod Security has come to.
func (w *work) reach(layer int) {
	if layer == podSecurity && w.to.stage(layer) == model.StageEnforce {
		l := &w.to.layers[layer]
		l.Level, l.Exempted = levelOf(&w.posture.PodSecurity), ""
		if w.posture.PodSecurity.Origin != nil {
			l.Exempted = l.Level
		}
	}
}

// openSteps are the steps that are taken together, with all gates open: those to
// Prepare, else those that refuse nothing, else the first that enforces. Whatever is held is said.
func (w *work) openSteps() []step {
	var prepares, softens []step
	var enforces []step
	for i := range w.tops {
		to := w.next(i)
		if to == "" {
			continue
		}
		s := step{work: w, layer: i, goal: to}
		if code, waits := s.closed(); waits != "" {
			w.hold(layers[i], code, s.String()+": "+waits)
			continue
		}
		switch to {
		case model.StagePrepare:
			prepares = append(prepares, s)
		case model.StageEnforce:
			enforces = append(enforces, s)
		default:
			softens = append(softens, s)
		}
	}
	switch {
	case len(prepares) > 0:
		return prepares
	case len(softens) > 0:
		return softens
	default:
		return w.oneCause(enforces)
	}
}

// oneCause picks the first of the steps that enforce, so that a fault has one
// cause; on Linkerd mTLS and authorization are one, and wait for each other.
func (w *work) oneCause(steps []step) []step {
	for i := range steps {
		s := &steps[i]
		other := authorization + mtls - s.layer
		if !w.linkerd() || s.layer != mtls && s.layer != authorization || w.next(other) != model.StageEnforce {
			return steps[i : i+1]
		}
		if i+1 < len(steps) && steps[i+1].layer == other {
			return steps[i : i+2]
		}
		w.hold(layers[s.layer], WaitsForLayer, fmt.Sprintf("%s: Linkerd enforces mTLS and authorization together, and %s is held", s, layers[other]))
	}
	return nil
}

// take makes steps, and watches over them.
func (w *work) take(steps []step) {
	watch := &Watch{At: w.p.now}
	var parts []string
	for i := range steps {
		s := &steps[i]
		parts = append(parts, s.String())
		l := &w.to.layers[s.layer]
		watch.Moves = append(watch.Moves, Move{Layer: l.Layer, From: l.Stage, Level: l.Level})
		skipped := s.layer == authorization && l.Stage.Rank() < model.StageAudit.Rank() && s.goal.Rank() > model.StageAudit.Rank()
		w.move(s.layer, s.goal, Advanced)
		w.reach(s.layer)
		if why := w.noAudit(); skipped && why != "" {
			parts[len(parts)-1] += ", without an audit (" + why + ")"
		}
	}
	w.to.Watch = watch
	w.note(Note{Kind: Changed, Code: Advanced, Message: strings.Join(parts, ", "), New: true})
}

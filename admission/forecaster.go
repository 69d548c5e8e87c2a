package admission

import (
	"context"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/engine"
	"floe.dev/palisade/model"
)

// Snapshot returns the latest of the cluster, which is not changed any more, and whether it is whole. It must
// not block, nor gather one for each call: what is prepared of a snapshot is kept as long as the same one comes back.
type Snapshot func() (latest *engine.Snapshot, known bool)

// forecaster tells what proposals would do. However many ask at once, one
// impact is worked out at a time.
type forecaster struct {
	snapshot Snapshot
	given    engine.Given
	now      func() time.Time
	log      logr.Logger
	// budget is how long a request waits for its answer; turn how long of that for its turn.
	budget, turn time.Duration
	// lane holds whoever works out an impact.
	lane chan struct{}

	lock sync.Mutex
	// basis is what was prepared of the snapshot of.
	basis *engine.Basis
	of    *engine.Snapshot
}

func newForecaster(o *Options) *forecaster {
	return &forecaster{
		snapshot: o.Snapshot, given: o.Given, now: o.Clock, log: o.Log, budget: o.Budget, turn: o.Budget / 2,
		lane: make(chan struct{}, 1),
	}
}

// warn says what a proposal would do, as far as that is known when the budget is spent.
func (f *forecaster) warn(ctx context.Context, p engine.Proposal) []string {
	out := &forecast{}
	f.within(ctx, p, out)
	return out.warnings()
}

// within judges a proposal until it is judged or the budget is spent. What has been begun
// then is ended all the same, and nobody waits for it.
func (f *forecaster) within(ctx context.Context, p engine.Proposal, out *forecast) {
	ctx, cancel := context.WithTimeout(ctx, f.budget)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if fault := recover(); fault != nil {
				f.log.Error(fmt.Errorf("%v", fault), "judging a proposal", "stack", string(debug.Stack()))
				out.unjudged("something went wrong in palisade, and its log says what")
			}
		}()
		f.judge(ctx, p, out)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// judge takes the cheap steps first, then batch after batch until the time is over.
func (f *forecaster) judge(ctx context.Context, p engine.Proposal, out *forecast) {
	snapshot, known := f.snapshot()
	if !known || snapshot == nil {
		out.unjudged("palisade has not read the whole cluster yet")
		return
	}
	basis := f.basisOf(snapshot)
	proposed := basis.Propose(p, engine.Options{Given: f.given, Now: f.now()})
	out.begin(proposed, basis.Problems)
	governance(p, proposed, out)
	switch {
	case len(proposed.Batches) == 0:
		out.notice(proposed.Notice(nil)) // a profile that concerns no namespace
	case proposed.Ref.Kind != "SecurityProfile" && len(proposed.Batches) == 1:
		out.notice(proposed.Notice(proposed.Batches[0]))
	}
	if !f.enter(ctx) {
		out.unjudged("other changes are being judged")
		return
	}
	defer func() { <-f.lane }()
	for _, batch := range proposed.Batches {
		if ctx.Err() != nil {
			return // what was judged until now is said already, or never will be
		}
		out.judged(proposed.Judge(batch))
	}
}

// enter waits for the lane.
func (f *forecaster) enter(ctx context.Context) bool {
	timer := time.NewTimer(f.turn)
	defer timer.Stop()
	select {
	case f.lane <- struct{}{}:
		return true
	case <-timer.C:
		return false
	case <-ctx.Done():
		return false
	}
}

// basisOf prepares a snapshot once.
func (f *forecaster) basisOf(s *engine.Snapshot) *engine.Basis {
	f.lock.Lock()
	defer f.lock.Unlock()
	if f.of != s {
		f.basis, f.of = engine.NewBasis(s, f.given), s
	}
	return f.basis
}

// governance tells which namespaces a profile takes, loses and ties for.
func governance(p engine.Proposal, proposed *engine.Proposed, out *forecast) {
	is, _ := p.New.(*v1alpha1.SecurityProfile)
	was, _ := p.Old.(*v1alpha1.SecurityProfile)
	if is == nil && was == nil {
		return
	}
	name := []string{proposed.Ref.Name}
	var left, tied, observed, system []string
	for _, n := range slices.Concat(proposed.Batches...) {
		before, after := proposed.Governed[n], proposed.Governs[n]
		mine := slices.Equal(after, name)
		protected := enforces(was) && slices.Equal(before, name)
		switch {
		case protected && len(after) == 0:
			left = append(left, n)
		case protected && mine && !enforces(is):
			observed = append(observed, n)
		case len(after) > 1 && len(before) <= 1:
			tied = append(tied, n)
		}
		if mine && !slices.Equal(before, after) && proposed.IsSystem(n) {
			system = append(system, n)
		}
	}
	subject := proposed.Ref.String()
	out.say(rankUnprotected, left, subject+": no profile would govern %s any more: palisade would take back its NetworkPolicies, mTLS, authorization and Pod Security labels there")
	out.say(rankUnprotected, observed, subject+" spec.enforcement: %s would only be observed: palisade would take back what protects them")
	out.say(rankConflict, tied, subject+" spec.priority: %s would be selected by several profiles of equal priority: none governs, and nothing is written there; raise spec.priority of one (ProfileConflict)")
	out.say(rankSystem, system, subject+" spec.namespaceSelector: it names %s: a default deny there can cut the cluster's or the mesh's own pods off; "+seePlan+" before you enforce it")
}

// enforces tells whether a profile writes anything.
func enforces(p *v1alpha1.SecurityProfile) bool {
	return p != nil && p.Spec.Enforcement != v1alpha1.EnforcementObserve
}

// shownBreaks is how many connections are named that would break: the others are counted.
const shownBreaks = 6

// forecast gathers what is said of one proposal, while somebody may be reading it already.
type forecast struct {
	lock sync.Mutex
	// ref is the proposed object; total how many namespaces it concerns.
	ref   model.Ref
	total int
	begun bool

	// batches and namespaces are those that were judged.
	batches, namespaces int
	said                []warning
	// others are notices of other objects, own those of the proposed one with the batches that have them.
	others map[model.Problem]bool
	own    map[model.Problem]int
	early  []model.Problem
	breaks map[string]bool
	closes int
	parted bool
	gaps   []model.Problem
	why    string
	sizes  []int
}

func (o *forecast) begin(p *engine.Proposed, gaps []model.Problem) {
	o.lock.Lock()
	defer o.lock.Unlock()
	o.ref, o.begun = p.Ref, true
	for _, batch := range p.Batches {
		o.sizes = append(o.sizes, len(batch))
		o.total += len(batch)
	}
	for _, g := range gaps {
		if g.Severity == model.Error {
			o.gaps = append(o.gaps, g)
		}
	}
	o.others, o.own, o.breaks = map[model.Problem]bool{}, map[model.Problem]int{}, map[string]bool{}
}

// say adds a warning about namespaces, if there are any.
func (o *forecast) say(rank int, namespaces []string, format string) {
	if len(namespaces) == 0 {
		return
	}
	o.lock.Lock()
	defer o.lock.Unlock()
	o.said = append(o.said, warning{rank: rank, text: fmt.Sprintf(format, some(namespaces))})
}

// notice adds what was found before any impact was judged.
func (o *forecast) notice(notices []model.Problem) {
	o.lock.Lock()
	defer o.lock.Unlock()
	o.early = notices
}

func (o *forecast) judged(j engine.Judged) {
	o.lock.Lock()
	defer o.lock.Unlock()
	o.namespaces += o.sizes[o.batches]
	o.batches++
	for _, n := range j.Notices {
		if n.Subject == o.ref {
			o.own[n]++
		} else {
			o.others[n] = true
		}
	}
	for i := range j.Breaks {
		o.breaks[j.Breaks[i].Describe()] = true
	}
	o.closes += j.Closes
	o.parted = o.parted || j.Partial
}

// unjudged says why the impact is not known.
func (o *forecast) unjudged(why string) {
	o.lock.Lock()
	defer o.lock.Unlock()
	o.why = why
}

// warnings words what is known by now.
func (o *forecast) warnings() []string {
	o.lock.Lock()
	defer o.lock.Unlock()
	all := slices.Clone(o.said)
	for i, text := range slices.Sorted(maps.Keys(o.breaks)) {
		if left := len(o.breaks) - i; i >= shownBreaks && left > 1 {
			all = append(all, warning{rank: rankBreak, text: fmt.Sprintf("would break: %d more connections; %s", left, seePlan)})
			break
		}
		all = append(all, warning{rank: rankBreak, text: "would break: " + text})
	}
	notices := slices.Clone(o.early)
	if o.batches > 0 {
		notices = nil
	}
	for n := range o.others {
		notices = append(notices, n)
	}
	for n, times := range o.own {
		if times == o.batches && o.batches == len(o.sizes) { // each batch sees a part of the clients only
			notices = append(notices, n)
		}
	}
	slices.SortFunc(notices, model.CompareProblems)
	for i := range notices {
		if notices[i].Code == "ProfileConflict" && o.ref.Kind == "SecurityProfile" {
			continue // said for all namespaces at once
		}
		all = append(all, noticed(&notices[i]))
	}
	if o.closes > 0 {
		all = append(all, warning{rank: rankCloses, text: fmt.Sprintf(
			"%s: %s behind Services would be closed to clients that no rule names; nothing that was read tells of a use; %s", o.ref, ports(o.closes), seePlan)})
	}
	return worded(all, o.unknown())
}

func ports(n int) string {
	if n == 1 {
		return "1 port"
	}
	return fmt.Sprintf("%d ports", n)
}

// unknown says what was not judged, and why.
func (o *forecast) unknown() []string {
	var texts []string
	switch {
	case o.why != "":
		texts = append(texts, "the impact was not judged: "+o.why+"; "+seePlan)
	case !o.begun || o.total > 0 && o.batches == 0:
		texts = append(texts, "the impact was not judged in time; "+seePlan)
	case o.batches < len(o.sizes):
		texts = append(texts, fmt.Sprintf("the impact was judged on %d of %d namespaces in time; %s", o.namespaces, o.total, seePlan))
	case o.parted:
		texts = append(texts, "a rule lets many namespaces in, and not all of them were judged as clients; "+seePlan)
	}
	if len(o.gaps) > 0 {
		texts = append(texts, fmt.Sprintf("the judgement is incomplete, since something of the cluster is not known: %s: %s", o.gaps[0].Code, o.gaps[0].Message))
	}
	return texts
}

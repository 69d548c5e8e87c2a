package controller

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/tools/events"

	"floe.dev/palisade/cluster"
	"floe.dev/palisade/engine"
	"floe.dev/palisade/model"
	"floe.dev/palisade/rollout"
)

// governor decides when the cluster is looked at, and has what comes out carried out.
type governor struct {
	options Options
	log     logr.Logger
	world   *cluster.World
	writer  *cluster.Writer
	events  events.EventRecorder
	metrics *collector
	ledger  *ledger
	bell    *bell
	feeds   feeds
	// current is what is to be carried out; nil before the first run.
	current atomic.Pointer[outcome]
	// settled tells that no rollout waits for writes to be seen.
	settled atomic.Bool
	// working counts the reconciliations of namespaces that are under way.
	working atomic.Int32

	// past is the leader's own.
	past engine.Past
	// blocked is why nothing is done, as it was last said, and since when that is over.
	blocked   string
	unblocked time.Time
	// wished is what people wanted when something was last done; nil before that.
	wished wishes

	// changes counts what was told of the cluster.
	changes atomic.Uint64

	lock sync.Mutex
	// view is the snapshot that was last taken, when, and after how many changes.
	view       *engine.Snapshot
	viewed     time.Time
	viewedUpTo uint64
	// gone are namespaces that were deleted since the last run: one of the same name is another.
	gone map[string]bool
}

func newGovernor(o Options, recorder events.EventRecorder) *governor {
	if o.Now == nil {
		o.Now = time.Now
	}
	g := &governor{
		options: o, log: o.Log.WithName("governor"), events: recorder,
		ledger: newLedger(), bell: newBell(), feeds: newFeeds(), gone: map[string]bool{},
	}
	g.metrics = newCollector(g)
	return g
}

// changed is told of everything that changes in the cluster, in every replica.
func (g *governor) changed(c cluster.Change) {
	now := g.options.Now()
	echo := g.ledger.seen(c, now)
	if c.Gone && c.Ref.Kind == "Namespace" && c.Ref.Group() == "" {
		g.lock.Lock()
		g.gone[c.Ref.Name] = true
		g.lock.Unlock()
	}
	if c.Same {
		return
	}
	g.changes.Add(1)
	if echo && g.settled.Load() {
		g.bell.ringLate(now)
		return
	}
	g.bell.ring(!echo && urgent(c), now)
}

// urgent tells what people wrote, and what was done to palisade's objects, from all the rest.
func urgent(c cluster.Change) bool {
	return c.Ref.Name != "" && (c.Owned || c.Own && c.Ref.Kind != "MTLSReport" || c.Ref.Kind == "Namespace" && c.Ref.Group() == "")
}

// NeedLeaderElection tells that one replica governs.
func (g *governor) NeedLeaderElection() bool { return true }

// Start governs until the context is done.
func (g *governor) Start(ctx context.Context) error {
	if !g.awaitWorld(ctx) {
		return nil
	}
	g.log.Info("governing", "knows", g.world.String())
	g.past.Memory = engine.MemoryOf(g.world.Snapshot().Postures)
	for {
		g.run(ctx)
		if !g.awaitCall(ctx) {
			return nil
		}
	}
}

// awaitWorld waits until the cluster has been read.
func (g *governor) awaitWorld(ctx context.Context) bool {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	said := g.now()
	for !g.world.Synced() {
		if g.now().Sub(said) >= 10*time.Second {
			said = g.now()
			g.log.Info("waiting until the cluster has been read", "missing", g.world.Waiting())
		}
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
		}
	}
	return true
}

// awaitCall waits until the next run is due.
func (g *governor) awaitCall(ctx context.Context) bool {
	for {
		var timer <-chan time.Time
		if due := g.bell.due(g.busy()); !due.IsZero() {
			wait := due.Sub(g.options.Now())
			if wait <= 0 {
				return ctx.Err() == nil
			}
			timer = time.After(min(wait, 200*time.Millisecond))
		}
		select {
		case <-ctx.Done():
			return false
		case <-g.bell.woke:
		case <-timer:
		}
	}
}

// busy tells whether namespaces are being written, or wait for it.
func (g *governor) busy() bool { return g.working.Load() > 0 || g.feeds.namespaces.waiting() > 0 }

// grace is how long profiles are waited for after their kind was away: to take its
// definition away deletes them all, and nobody's wish to open everything.
const grace = time.Minute

// heartbeat is how often the cluster is looked at though nothing calls for it, so that whoever watches the metrics knows that somebody does.
const heartbeat = 2 * time.Minute

// run looks at the cluster once, and has what comes out carried out.
func (g *governor) run(ctx context.Context) {
	began := g.now()
	g.bell.begin()
	g.bury()
	var snapshot *engine.Snapshot
	why := g.blockedBy(began)
	if why == "" {
		snapshot = g.look(0)
		why = g.blockedBy(began) // a kind may have gone meanwhile
	}
	if why == "" {
		why = g.lost(ctx, snapshot, began)
	}
	if why != "" {
		if why != g.blocked {
			g.log.Info("nothing is written, and all stays as it is", "why", why)
		}
		g.blocked = why
		g.metrics.blocked.Store(true)
		g.bell.end(began, g.now(), time.Second)
		return
	}
	g.blocked = ""
	g.metrics.blocked.Store(false)
	turn := engine.Govern(snapshot, engine.Options{Given: g.options.Given, Now: began}, g.past)
	g.past = turn.Past
	g.settled.Store(settled(turn.Memory))
	o := newOutcome(snapshot, &turn, began)
	g.current.Store(o)
	g.metrics.ran(began, g.now())
	g.tell(&turn)
	g.feed(o)
	g.ledger.settle(began)
	after := heartbeat
	if turn.RequeueAfter > 0 {
		after = min(after, turn.RequeueAfter)
	}
	g.bell.end(began, g.now(), after)
	g.log.V(1).Info("looked", "took", g.now().Sub(began).String(), "namespaces", len(o.namespaces), "changes", len(turn.Plan.Changes))
}

// stale is how old a view may be that somebody who is not the leader judges by.
const stale = 5 * time.Second

// look takes a snapshot; one that is younger than a duration, or as old as what is known, is taken as it is.
func (g *governor) look(old time.Duration) *engine.Snapshot {
	g.lock.Lock()
	defer g.lock.Unlock()
	now, changes := g.now(), g.changes.Load()
	if g.view != nil && old > 0 && (changes == g.viewedUpTo || now.Sub(g.viewed) < old) {
		return g.view
	}
	snapshot := g.world.Snapshot()
	if g.options.WebhookPort != 0 { // nobody else asks for it again
		g.view, g.viewed, g.viewedUpTo = snapshot, now, changes
	}
	return snapshot
}

// lookForAdmission is what admission judges by; false where it is not known what is wanted.
func (g *governor) lookForAdmission() (*engine.Snapshot, bool) {
	if !g.world.Synced() {
		return nil, false
	}
	before, _ := g.world.Blocked()
	view := g.look(stale)
	after, _ := g.world.Blocked()
	return view, before+after == ""
}

// settled tells whether every stage was seen to be written, and every step proven.
func settled(memory rollout.Memory) bool {
	for _, n := range memory {
		if n.Watch != nil || slices.ContainsFunc(n.Layers, func(l rollout.Layer) bool { return l.Stage != model.StageObserve && l.Since.IsZero() }) {
			return false
		}
	}
	return true
}

// blockedBy says why nothing may be done; empty where it may.
func (g *governor) blockedBy(now time.Time) string {
	why, aimless := g.world.Blocked()
	if aimless {
		g.unblocked = now.Add(grace)
	}
	return why
}

// bury forgets the namespaces that were deleted.
func (g *governor) bury() {
	g.lock.Lock()
	defer g.lock.Unlock()
	for name := range g.gone {
		delete(g.past.Memory, name)
	}
	clear(g.gone)
}

// feed has carried out what there is to do.
func (g *governor) feed(o *outcome) {
	for name := range o.namespaces {
		g.feeds.namespaces.add("", name)
	}
	for kind, objects := range o.statuses {
		for id := range objects {
			g.feeds.own[kind].add(id.Namespace, id.Name)
		}
	}
}

// again asks for another look at the cluster, where something was not as it was seen.
func (g *governor) again() { g.bell.ring(false, g.options.Now()) }

func (g *governor) now() time.Time { return g.options.Now() }

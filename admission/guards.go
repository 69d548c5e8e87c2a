package admission

import (
	"sync"
	"sync/atomic"

	"floe.dev/palisade/cluster"
	"floe.dev/palisade/engine"
)

// Guards keeps the defaults of pods as the profiles, namespaces and exemptions have it that
// are known at this moment: an exemption that was written before a pod must count for it. What
// the mesh is, which changes rarely, it takes from the latest snapshot.
type Guards struct {
	world    *cluster.World
	snapshot Snapshot
	given    engine.Given
	// changes counts what the guard depends on.
	changes atomic.Int64
	current atomic.Pointer[guard]
	// making keeps it to one that makes a guard.
	making sync.Mutex
}

type guard struct {
	*engine.Guard
	upTo int64
}

// NewGuards needs Watch and Changed to be called before it knows anything.
func NewGuards(snapshot Snapshot, given engine.Given) *Guards {
	return &Guards{snapshot: snapshot, given: given}
}

// Watch says where what is known comes from. It must be called before Latest.
func (g *Guards) Watch(world *cluster.World) { g.world = world }

// Changed is to be called of every change in the World; it does not block.
func (g *Guards) Changed(c cluster.Change) {
	if c.Governs() || c.Ref.Name == "" { // a kind came or went
		g.changes.Add(1)
	}
}

// Latest are the defaults as they are now; nil where the cluster has not been read, or what is wanted cannot be read.
func (g *Guards) Latest() *engine.Guard {
	if have := g.current.Load(); have != nil && have.upTo == g.changes.Load() {
		return have.Guard
	}
	g.making.Lock()
	defer g.making.Unlock()
	upTo := g.changes.Load()
	if have := g.current.Load(); have != nil && have.upTo == upTo {
		return have.Guard
	}
	latest, known := g.snapshot()
	if !known || latest == nil {
		return nil
	}
	s := *latest
	g.world.Governance(&s)
	made := &guard{Guard: engine.NewGuard(&s, g.given), upTo: upTo}
	g.current.Store(made)
	return made.Guard
}

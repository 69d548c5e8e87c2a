package admission

import (
	"sync"
	"sync/atomic"

	"floe.dev/palisade/api/v1alpha1"
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
	// reads are of the exemptions of this moment.
	reads *reads
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
func (g *Guards) Watch(world *cluster.World) {
	g.world = world
	g.reads = newReads(world.Exemptions)
}

// Fresh reads the exemptions of a namespace as they are stored at this moment.
func (g *Guards) Fresh(namespace string) ([]v1alpha1.Exemption, error) { return g.reads.of(namespace) }

// Changed is to be called of every change in the World; it does not block.
func (g *Guards) Changed(c cluster.Change) {
	if c.Governs() || c.Ref.Name == "" { // a kind came or went
		g.changes.Add(1)
	}
}

// Latest are the defaults as they are now; nil as long as the cluster has not been read. Where it is not known any more what is
// wanted, as when a kind comes or goes, they stay what they were: nobody asked for pods to go without.
func (g *Guards) Latest() *engine.Guard {
	if have := g.current.Load(); have != nil && have.upTo == g.changes.Load() {
		return have.Guard
	}
	g.making.Lock()
	defer g.making.Unlock()
	upTo := g.changes.Load()
	have := g.current.Load()
	if have != nil && have.upTo == upTo {
		return have.Guard
	}
	if latest, known := g.snapshot(); known && latest != nil {
		s := *latest
		if g.world.Governance(&s) {
			have = &guard{Guard: engine.NewGuard(&s, g.given), upTo: upTo}
			g.current.Store(have)
		}
	}
	if have == nil {
		return nil
	}
	return have.Guard // where it is an old one, the next who asks tries again
}

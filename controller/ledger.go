package controller

import (
	"encoding/json"
	"hash/fnv"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/resourceversion"

	"floe.dev/palisade/cluster"
	"floe.dev/palisade/model"
)

const (
	// unseenMost is how long a write is taken to be on its way to those who watch.
	unseenMost = 30 * time.Second
	// fights is how many repairs of one object are done without waiting, and peace is after how long they are forgotten.
	fights, peace = 5, 10 * time.Minute
	// longestWait is how long a repair waits at the most.
	longestWait = 5 * time.Minute
)

// ledger knows what palisade wrote and has not seen yet, so that nothing is
// written twice, and what others did to its objects, which is drift.
type ledger struct {
	lock  sync.Mutex
	pages map[key]*page
}

// key tells objects apart, whatever version they are served in.
type key struct{ group, kind, namespace, name string }

func keyOf(r model.Ref) key { return key{r.Group(), r.Kind, r.Namespace, r.Name} }

// page is what is known of one object.
type page struct {
	// writing tells that a write is being made, and met is the last version that was seen during it.
	writing bool
	met     string
	// version was written and has not been seen yet; gone that it was deleted. digest is of what was written, and at is when.
	version string
	gone    bool
	digest  uint64
	at      time.Time
	// arrived is when it was seen; zero where it was not, or where others wrote since.
	arrived time.Time
	// touched is when somebody else was last seen to write it.
	touched time.Time
	// repairs counts how often that was mended, the last time at mended.
	repairs int
	mended  time.Time
}

func newLedger() *ledger { return &ledger{pages: map[key]*page{}} }

func (l *ledger) page(k key) *page {
	p := l.pages[k]
	if p == nil {
		p = &page{}
		l.pages[k] = p
	}
	return p
}

// digestOf stands for a value that is to be written; 0 is that of a deletion.
func digestOf(value any) uint64 {
	if value == nil {
		return 0
	}
	h := fnv.New64a()
	if err := json.NewEncoder(h).Encode(value); err != nil {
		return 1 // it cannot be written either
	}
	return h.Sum64()
}

// begin notes that a write is about to be made, which whoever looked at the cluster at a
// time found wanting. It is false where the same was written already, and was not to be seen at that time.
func (l *ledger) begin(r model.Ref, digest uint64, looked, now time.Time) bool {
	l.lock.Lock()
	defer l.lock.Unlock()
	p := l.page(keyOf(r))
	if p.digest == digest && (p.unseen(now) || p.arrived.After(looked)) {
		return false
	}
	p.writing, p.met, p.arrived = true, "", time.Time{}
	return true
}

func (p *page) unseen(now time.Time) bool {
	return (p.version != "" || p.gone) && now.Sub(p.at) < unseenMost
}

// end notes what became of a write: version is empty for a deletion.
func (l *ledger) end(r model.Ref, digest uint64, version string, err error, now time.Time) {
	l.lock.Lock()
	defer l.lock.Unlock()
	p := l.page(keyOf(r))
	p.writing = false
	if err != nil || p.met != "" && (version == "" || !newer(version, p.met)) {
		switch {
		case err != nil:
		case version != "" && newer(p.met, version):
			p.touched = now // by somebody who was faster
		default:
			p.version, p.gone, p.digest, p.arrived = "", false, digest, now
		}
		l.tidy(keyOf(r), p)
		return
	}
	p.version, p.gone, p.digest, p.at = version, version == "", digest, now
}

// seen notes a change, and tells whether palisade itself made it.
func (l *ledger) seen(c cluster.Change, now time.Time) bool {
	l.lock.Lock()
	defer l.lock.Unlock()
	k := keyOf(c.Ref)
	p := l.pages[k]
	switch {
	case p != nil && p.writing:
		p.met = c.ResourceVersion
		return true
	case p != nil && c.Gone && p.gone, p != nil && p.version != "" && !newer(c.ResourceVersion, p.version):
		if p.gone || p.version == c.ResourceVersion {
			p.version, p.gone, p.arrived = "", false, now
		}
		l.tidy(k, p)
		return true
	case !c.Owned && c.Ref.Kind != "Namespace" || c.Same:
		return false
	}
	p = l.page(k)
	p.touched, p.version, p.gone, p.arrived = now, "", false, time.Time{}
	return false
}

// drifted tells whether somebody else wrote an object lately.
func (l *ledger) drifted(r model.Ref) bool {
	l.lock.Lock()
	defer l.lock.Unlock()
	p := l.pages[keyOf(r)]
	return p != nil && !p.touched.IsZero()
}

// wait is how long mending an object has to wait: somebody who undoes it again and again is not fought without end.
func (l *ledger) wait(r model.Ref, now time.Time) time.Duration {
	l.lock.Lock()
	defer l.lock.Unlock()
	p := l.pages[keyOf(r)]
	if p == nil || p.repairs < fights || now.Sub(p.mended) > peace {
		return 0
	}
	pause := min(time.Second<<min(p.repairs-fights, 10), longestWait)
	return max(0, pause-now.Sub(p.mended))
}

// repaired notes that an object was mended, and how often it has been of late.
func (l *ledger) repaired(r model.Ref, now time.Time) int {
	l.lock.Lock()
	defer l.lock.Unlock()
	p := l.page(keyOf(r))
	if now.Sub(p.mended) > peace {
		p.repairs = 0
	}
	p.touched, p.mended = time.Time{}, now
	p.repairs++
	return p.repairs
}

// settle forgets what was seen before the cluster was last looked at, and what others did a while ago.
func (l *ledger) settle(now time.Time) {
	l.lock.Lock()
	defer l.lock.Unlock()
	for k, p := range l.pages {
		if now.Sub(p.touched) > time.Minute {
			p.touched = time.Time{}
		}
		if now.Sub(p.mended) > peace {
			p.repairs = 0
		}
		if !p.arrived.After(now) {
			p.arrived = time.Time{}
		}
		l.tidy(k, p)
	}
}

func (l *ledger) tidy(k key, p *page) {
	if !p.writing && p.version == "" && !p.gone && p.arrived.IsZero() && p.touched.IsZero() && p.repairs == 0 {
		delete(l.pages, k)
	}
}

// newer tells whether one resource version is later than another (KEP-5504). Where that cannot be told, another one is.
func newer(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	if err != nil {
		return a != b
	}
	return order > 0
}

package verify

import (
	"cmp"
	"slices"
	"time"

	"floe.dev/palisade/model"
)

// Ledger is what is known of the certificates of pods over several runs: that one
// was renewed shows only where two were seen.
type Ledger struct {
	// Entries are sorted by workload and pod.
	Entries []Entry `json:"entries"`
}

// Entry is the leaves of one pod, or of an address where the pod has no name.
type Entry struct {
	Workload model.WorkloadID `json:"workload"`
	Pod      string           `json:"pod"`
	Way      Way              `json:"way"`
	// Leaves are those that were seen, the newest last; at most keptLeaves.
	Leaves []Leaf `json:"leaves"`
	// State is how the current leaf stood at the end of the run; nil where no rule of renewal is known.
	State *State `json:"state,omitempty"`
}

// State is where a leaf stands in its life.
type State struct {
	Phase Phase `json:"phase"`
	// DueFrom and DueUntil bound when it is due to be renewed.
	DueFrom  time.Time `json:"dueFrom"`
	DueUntil time.Time `json:"dueUntil"`
	// Rotated is when it was first seen in place of another; zero where it is the first that was seen.
	Rotated time.Time `json:"rotated,omitzero"`
	// Stalled tells that an issuer signed it that had been replaced before.
	Stalled bool `json:"stalled,omitempty"`
	// OutlivesIssuer tells that it ends after what signed it.
	OutlivesIssuer bool `json:"outlivesIssuer,omitempty"`
}

// Leaf is a certificate and when it was seen.
type Leaf struct {
	Certificate
	// Root is the fingerprint of the root that it led to; empty where it led to none.
	Root string `json:"root,omitempty"`
	// Untrusted is why it led to none.
	Untrusted string `json:"untrusted,omitempty"`
	// IssuerNotAfter is when the certificate that signed it expires; zero where that was not shown.
	IssuerNotAfter time.Time `json:"issuerNotAfter,omitzero"`
	FirstSeen      time.Time `json:"firstSeen"`
	LastSeen       time.Time `json:"lastSeen"`
}

const (
	// keptLeaves bounds what is remembered of one pod.
	keptLeaves = 4
	// keptAfterExpiry is how long a pod is remembered that is seen no more.
	keptAfterExpiry = 7 * 24 * time.Hour
)

// Current is the newest leaf of an entry.
func (e *Entry) Current() *Leaf { return &e.Leaves[len(e.Leaves)-1] }

// Previous is the leaf before it, or nil.
func (e *Entry) Previous() *Leaf {
	if len(e.Leaves) < 2 {
		return nil
	}
	return &e.Leaves[len(e.Leaves)-2]
}

// Rotated is when a new leaf was first seen in place of another; zero where none was.
func (e *Entry) Rotated() time.Time {
	if e.Previous() == nil {
		return time.Time{}
	}
	return e.Current().FirstSeen
}

// podKey names a pod: by its name, or by its address where it has none.
type podKey struct {
	workload model.WorkloadID
	pod      string
}

func podOf(t *Target) string {
	if t.Pod == "" && t.Address.IsValid() {
		return t.Address.String()
	}
	return t.Pod
}

// Observe adds what was seen in a run to a ledger, which is left as it was. Pods
// that are not seen are kept until their certificates have been expired for a week.
func (l Ledger) Observe(ways map[model.WorkloadID]Way, seen []Observed, now time.Time) Ledger {
	entries := map[podKey]*Entry{}
	for _, e := range l.Entries {
		if len(e.Leaves) == 0 || now.Sub(e.Current().NotAfter) > keptAfterExpiry {
			continue
		}
		e.Leaves = slices.Clone(e.Leaves)
		entries[podKey{e.Workload, e.Pod}] = &e
	}
	for i := range seen {
		for j := range seen[i].Seen {
			o := &seen[i].Seen[j]
			if o.TLS.Leaf() == nil {
				continue
			}
			key := podKey{seen[i].Workload, podOf(&seen[i].Target)}
			if entries[key] == nil {
				entries[key] = &Entry{Workload: key.workload, Pod: key.pod, Way: ways[key.workload]}
			}
			entries[key].add(leafOf(o.TLS, now))
		}
	}
	var next Ledger
	for _, e := range entries {
		next.Entries = append(next.Entries, *e)
	}
	slices.SortFunc(next.Entries, compareEntries)
	return next
}

func compareEntries(a, b Entry) int {
	return cmp.Or(model.CompareWorkloadIDs(a.Workload, b.Workload), cmp.Compare(a.Pod, b.Pod))
}

func leafOf(s *Session, now time.Time) Leaf {
	l := Leaf{Certificate: *s.Leaf(), Root: s.Root, Untrusted: s.Trust, FirstSeen: now.UTC(), LastSeen: now.UTC()}
	if len(s.Chain) > 1 {
		signer := &s.Chain[1]
		l.IssuerNotAfter = signer.NotAfter
		if l.IssuerKeyID == "" && s.Trust == "" && signer.Subject == l.Issuer {
			l.IssuerKeyID = signer.KeyID // RFC 5280 wants it in the leaf, and not every CA puts it there
		}
	}
	return l
}

// add notes a leaf. One that was there before and comes again, as two proxies
// behind one name show it, keeps its place in time.
func (e *Entry) add(l Leaf) {
	i := slices.IndexFunc(e.Leaves, func(known Leaf) bool { return known.Fingerprint == l.Fingerprint })
	if i >= 0 {
		e.Leaves[i].LastSeen, e.Leaves[i].Root, e.Leaves[i].Untrusted = l.LastSeen, l.Root, l.Untrusted
		return
	}
	e.Leaves = append(e.Leaves, l)
	slices.SortStableFunc(e.Leaves, func(a, b Leaf) int { return a.NotBefore.Compare(b.NotBefore) })
	if len(e.Leaves) > keptLeaves {
		e.Leaves = slices.Delete(e.Leaves, 0, len(e.Leaves)-keptLeaves)
	}
}

// judge says of every entry how its current leaf stands.
func (l *Ledger) judge(a *Authority, now time.Time) {
	for i := range l.Entries {
		e := &l.Entries[i]
		rule, known := RenewalOf(e.Way)
		if !known {
			e.State = nil
			continue
		}
		leaf := e.Current()
		from, until := rule.Window(&leaf.Certificate)
		e.State = &State{
			Phase: rule.PhaseAt(&leaf.Certificate, now), DueFrom: from.UTC(), DueUntil: until.UTC(), Rotated: e.Rotated(),
			Stalled:        a.stale(leaf, rule.Issued(&leaf.Certificate)),
			OutlivesIssuer: !leaf.IssuerNotAfter.IsZero() && leaf.NotAfter.After(leaf.IssuerNotAfter),
		}
	}
}

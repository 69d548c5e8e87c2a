package verify

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Stage is how far the rotation of a mesh's root is. The order of steps is that of
// Linkerd's and Istio's documentation: add the new root everywhere, reissue, verify,
// drop the old one. A step too early cuts workloads off from each other.
type Stage string

// The stages.
const (
	// StageUnknown: the bundle is not known.
	StageUnknown Stage = "unknown"
	// Steady: one root, held by all.
	Steady Stage = "steady"
	// Adding: a new root is in the bundle, and not everybody holds it yet.
	Adding Stage = "adding"
	// Added: everybody holds it; the issuer is still of the old root.
	Added Stage = "added"
	// Reissuing: the issuer is of the new root, and some leaves are still of the old one.
	Reissuing Stage = "reissuing"
	// Reissued: all leaves are of the new root; the old one is still trusted.
	Reissued Stage = "reissued"
	// Dropping: the old root is out of the bundle, and somebody still holds it.
	Dropping Stage = "dropping"
	// Broken: somebody is cut off, or will be with the next renewal.
	Broken Stage = "broken"
)

// Rotation is the state of a root's rotation.
type Rotation struct {
	Stage Stage `json:"stage"`
	// Says is what was found, Next what to do about it, in a sentence each.
	Says string `json:"says"`
	Next string `json:"next,omitempty"`
	// Behind names who holds the rotation up: pods, or namespaces; at most shownBehind, Others counts the rest.
	Behind []string `json:"behind,omitempty"`
	Others int      `json:"others,omitempty"`
	// Until is when the last old leaf is due to be gone by itself; zero where none is.
	Until time.Time `json:"until,omitzero"`
}

// shownBehind bounds Rotation.Behind.
const shownBehind = 20

// RotationOf judges the state of a root's rotation by the bundle, those who hold
// it, the issuer and the leaves that were seen.
func RotationOf(a *Authority, l *Ledger) Rotation {
	if len(a.Roots) == 0 {
		return Rotation{Stage: StageUnknown, Says: "the bundle of roots that proxies are meant to trust is not known"}
	}
	r := rotation{a: a, l: l}
	r.look()
	return r.judge()
}

// rotation carries the judgement.
type rotation struct {
	a *Authority
	l *Ledger
	// newest is the root with the latest beginning, or that of the issuer where that is known.
	newest *Certificate
	// behind hold another bundle than the one that is meant; cutOff do not hold the newest root.
	behind, cutOff []string
	// old are pods with leaves of another root than the newest, strays those with leaves of a root that nobody is meant to trust.
	old, strays []string
	until       time.Time
}

func (r *rotation) look() {
	for i := range r.a.Roots {
		if root := &r.a.Roots[i]; r.newest == nil || root.NotBefore.After(r.newest.NotBefore) {
			r.newest = root
		}
	}
	for i := range r.a.Bundles {
		b := &r.a.Bundles[i]
		if r.a.behind(b) {
			r.behind = append(r.behind, b.Where)
		}
		if b.lacks(r.newest.Fingerprint) && !r.renewed(b) {
			r.cutOff = append(r.cutOff, b.Where)
		}
	}
	for i := range r.l.Entries {
		e := &r.l.Entries[i]
		leaf := e.Current()
		root := r.a.root(leaf.Root)
		switch {
		case leaf.Root == "" && leaf.Untrusted != ErrForeign.Error():
			continue
		case root == nil:
			r.strays = append(r.strays, e.name())
		case root.KeyID != r.newest.KeyID:
			r.old = append(r.old, e.name())
			if rule, ok := RenewalOf(e.Way); ok {
				if _, due := rule.Window(&leaf.Certificate); due.After(r.until) {
					r.until = due
				}
			}
		}
	}
}

// renewed tells whether a bundle holds a root with the newest one's key: Istio
// renews its self-signed root with the key that it had, so that leaves verify by either.
func (r *rotation) renewed(b *Bundle) bool {
	return slices.ContainsFunc(b.Roots, func(fingerprint string) bool {
		root := r.a.root(fingerprint)
		return root != nil && root.KeyID == r.newest.KeyID
	})
}

func (e *Entry) name() string {
	if e.Pod == "" || e.Pod == e.Workload.Name {
		return e.Workload.Namespace + "/" + e.Workload.Name
	}
	return e.Workload.Namespace + "/" + e.Pod
}

// distinct counts the roots by their keys.
func (a *Authority) distinct() int {
	keys := map[string]bool{}
	for i := range a.Roots {
		keys[a.Roots[i].KeyID] = true
	}
	return len(keys)
}

func (r *rotation) judge() Rotation {
	issuerRoot := r.newest
	if r.a.Issuer != nil {
		if issuerRoot = r.a.rootOfIssuer(); issuerRoot == nil {
			return Rotation{Stage: Broken, Says: "the issuer is of a root that the bundle does not hold: what it signs is trusted by nobody",
				Next: "put the issuer's root back into the bundle before anything is renewed, or the issuer of before"}
		}
	}
	if len(r.strays) > 0 {
		return r.told(Broken, r.strays, "certificates of %s lead to a root that the bundle does not hold: whoever has the bundle refuses them",
			"put that root back into the bundle until these pods have been restarted")
	}
	if r.a.distinct() == 1 {
		return r.single()
	}
	// Where the Secret's issuer is not known the leaves tell which root signs.
	signsNew := r.a.Issuer != nil && issuerRoot.KeyID == r.newest.KeyID || r.a.Issuer == nil && r.someNew()
	switch {
	case signsNew && len(r.cutOff) > 0:
		return r.told(Broken, r.cutOff, "the issuer is of the new root already, and %s do not hold that root: they refuse every new certificate",
			"put the old issuer back, or restart these at once")
	case len(r.behind) > 0:
		return r.told(Adding, r.behind, "the bundle holds a new root, and %s do not hold it yet",
			"wait until they do, or restart the pods; do not change the issuer before that")
	case !signsNew:
		return Rotation{Stage: Added, Says: "everybody who was looked at holds the new root; the issuer is still of the old one",
			Next: "replace the issuer by one that the new root signed"}
	case len(r.old) > 0:
		told := r.told(Reissuing, r.old, "the issuer is of the new root, and %s have certificates of the old one",
			"wait until they are renewed, or restart them; leave both roots in the bundle")
		told.Until = r.until
		return told
	default:
		return Rotation{Stage: Reissued, Says: "every certificate that was looked at is of the new root; the old one is still trusted",
			Next: "take the old root out of the bundle"}
	}
}

// single judges a bundle of one root.
func (r *rotation) single() Rotation {
	switch {
	case len(r.cutOff) > 0:
		return r.told(Broken, r.cutOff, "%s do not hold the one root that the bundle has: they refuse every certificate",
			"restart the pods; where there are namespaces, look why the root was not distributed there")
	case len(r.behind) > 0:
		return r.told(Dropping, r.behind, "%s still hold another bundle than the one that is meant",
			"restart the pods, so that nobody goes on trusting the old root")
	default:
		return Rotation{Stage: Steady, Says: "there is one root, and everybody who was looked at has it"}
	}
}

// someNew tells whether a leaf of the newest root was seen.
func (r *rotation) someNew() bool {
	return slices.ContainsFunc(r.l.Entries, func(e Entry) bool {
		root := r.a.root(e.Current().Root)
		return root != nil && root.KeyID == r.newest.KeyID
	})
}

// told makes a Rotation of names and a sentence with a %s for them.
func (r *rotation) told(stage Stage, names []string, says, next string) Rotation {
	slices.Sort(names)
	names = slices.Compact(names)
	shown := names[:min(len(names), shownBehind)]
	return Rotation{Stage: stage, Says: fmt.Sprintf(says, some(names)), Next: next, Behind: slices.Clone(shown), Others: len(names) - len(shown)}
}

// some is "a, b and 5 more".
func some(names []string) string {
	const most = 3
	if rest := len(names) - most; rest > 1 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), rest)
	}
	return strings.Join(names, ", ")
}

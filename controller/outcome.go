package controller

import (
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/engine"
	"floe.dev/palisade/plan"
)

// outcome is what one run asks for. It is not changed once it is made.
type outcome struct {
	// looked is when the cluster was looked at.
	looked time.Time
	// namespaces are those in which there is something to do.
	namespaces map[string]*work
	// statuses are those of palisade's own kinds that are to be written, by kind.
	statuses map[string]map[types.NamespacedName]*ownStatus
	// counts is what metrics tell.
	counts counts
	// unproven are the namespaces whose rollout waits for a verification.
	unproven []string
}

// work is what is to be done in one namespace.
type work struct {
	// looked is when the cluster was looked at.
	looked  time.Time
	changes []plan.Change
	// there is the NamespacePosture as it is stored, or nil.
	there *v1alpha1.NamespacePosture
	// wanted is what its status is to be; nil where it is to go.
	wanted *v1alpha1.NamespacePostureStatus
	// remember tells that the status must be stored before anything is written, since it holds how far the rollout is.
	remember bool
	// tell tells that the status differs otherwise.
	tell bool
}

func newOutcome(s *engine.Snapshot, t *engine.Turn, now time.Time) *outcome {
	o := &outcome{looked: now, namespaces: map[string]*work{}, statuses: ownStatuses(s, t, now), unproven: unproven(t.Notes)}
	for _, c := range t.Plan.Changes {
		if c.Action != plan.Observe {
			w := o.work(c.Namespace)
			w.changes = append(w.changes, c)
		}
	}
	there := make(map[string]*v1alpha1.NamespacePosture, len(s.Postures))
	for i := range s.Postures {
		if p := &s.Postures[i]; p.Name == v1alpha1.PostureName {
			there[p.Namespace] = p
		}
	}
	b := newBooks(s, t)
	for i := range t.Demanded.Namespaces {
		n := &t.Demanded.Namespaces[i]
		pending := 0
		if w := o.namespaces[n.Name]; w != nil {
			pending = len(w.changes)
		}
		wanted := b.posture(n, there[n.Name], pending, now)
		o.compare(n.Name, there[n.Name], wanted)
	}
	o.counts = b.counts()
	return o
}

func (o *outcome) work(namespace string) *work {
	w := o.namespaces[namespace]
	if w == nil {
		w = &work{looked: o.looked}
		o.namespaces[namespace] = w
	}
	return w
}

// compare notes what is to become of a namespace's posture.
func (o *outcome) compare(namespace string, there *v1alpha1.NamespacePosture, wanted *v1alpha1.NamespacePostureStatus) {
	switch {
	case wanted == nil && there == nil:
		return
	case wanted == nil:
		o.work(namespace).there = there
		return
	}
	remember := there == nil || !equality.Semantic.DeepEqual(there.Status.Rollout, wanted.Rollout)
	tell := there == nil || !equality.Semantic.DeepEqual(&there.Status, wanted)
	if w := o.namespaces[namespace]; w == nil && !tell {
		return
	}
	w := o.work(namespace)
	w.there, w.wanted, w.remember, w.tell = there, wanted, remember, tell
}

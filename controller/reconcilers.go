package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/cluster"
	"floe.dev/palisade/model"
	"floe.dev/palisade/plan"
)

// The bounds of reconcilers.
const (
	// parallel is how many namespaces are written at the same time.
	parallel = 8
	// patience is how long one reconciliation may take.
	patience = 2 * time.Minute
	// Failures are tried again after the first, twice as long each time, and at most after the second.
	firstRetry, longestRetry = 100 * time.Millisecond, 30 * time.Second
)

// addReconcilers adds one reconciler a kind.
func addReconcilers(m manager.Manager, g *governor) error {
	add := func(name string, f *feed, workers int, r reconcile.Reconciler) error {
		c, err := controller.New(name, m, controller.Options{
			Reconciler: r, MaxConcurrentReconciles: workers, ReconciliationTimeout: patience, SkipNameValidation: new(true),
			RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstRetry, longestRetry),
		})
		if err != nil {
			return err
		}
		return c.Watch(f)
	}
	all := add("namespace", g.feeds.namespaces, parallel, &namespaces{governor: g})
	for _, kind := range ownKinds {
		all = errors.Join(all, add(strings.ToLower(kind), g.feeds.own[kind], 2, &owners{governor: g, kind: kind, told: map[key]uint64{}}))
	}
	return all
}

// namespaces carries out what is to be done in one namespace.
type namespaces struct{ *governor }

// Reconcile carries out the last outcome.
func (n *namespaces) Reconcile(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	n.working.Add(1)
	defer n.working.Add(-1)
	o := n.current.Load()
	if o == nil || o.namespaces[r.Name] == nil {
		return reconcile.Result{}, nil
	}
	w := o.namespaces[r.Name]
	wait, err := n.carry(ctx, r.Name, w)
	switch {
	case errors.Is(err, cluster.ErrEnding):
		return reconcile.Result{}, nil // it takes everything with it
	case errors.Is(err, cluster.ErrOutdated):
		n.again()
		return reconcile.Result{}, nil
	case errors.Is(err, cluster.ErrNotServed):
		n.writer.Forget()
	}
	if err != nil && ctx.Err() == nil {
		n.complain(ctx, r.Name, w, err)
	}
	return reconcile.Result{RequeueAfter: wait}, err
}

// carry writes what is to be written: first what must be remembered, then the changes, then what else there is to tell.
func (n *namespaces) carry(ctx context.Context, namespace string, w *work) (wait time.Duration, err error) {
	if w.wanted != nil && w.remember {
		if err := n.postureStatus(ctx, namespace, w, w.wanted); err != nil {
			return 0, fmt.Errorf("noting how far namespace %s is: %w", namespace, err)
		}
	}
	switch wait, err := n.carryChanges(ctx, w); {
	case err != nil || wait > 0:
		return wait, err
	case w.wanted == nil && w.there != nil:
		return 0, n.dropPosture(ctx, w)
	case w.wanted != nil && w.tell && !w.remember && len(w.changes) == 0:
		return 0, n.postureStatus(ctx, namespace, w, w.wanted)
	default:
		return 0, nil
	}
}

// carryChanges makes changes in their order. One that fails, or has to wait, keeps all that come after its rank.
func (n *namespaces) carryChanges(ctx context.Context, w *work) (wait time.Duration, err error) {
	for i := range w.changes {
		c := &w.changes[i]
		if i > 0 && c.Rank() != w.changes[i-1].Rank() && (err != nil || wait > 0) {
			break
		}
		if pause := n.ledger.wait(c.Ref, n.now()); pause > 0 {
			wait = max(wait, pause)
			continue
		}
		if failed := n.change(ctx, c, w); failed != nil {
			err = errors.Join(err, fmt.Errorf("%s %s: %w", c.Effect(), c.Ref, failed))
		}
	}
	return wait, err
}

// change carries out one change, unless that was done already and is only not seen yet. Where a step of
// the rollout asks for it, it is no repair.
func (n *namespaces) change(ctx context.Context, c *plan.Change, w *work) error {
	var digest uint64
	if c.Desired != nil {
		digest = digestOf(c.Desired.Tree)
	}
	if !n.ledger.begin(c.Ref, digest, w.looked, n.now()) {
		return nil
	}
	drift := !w.remember && n.ledger.drifted(c.Ref)
	version, err := n.writer.Carry(ctx, c)
	n.ledger.end(c.Ref, digest, version, err, n.now())
	n.metrics.wrote(c.Ref.Kind, string(c.Effect()), err)
	if err == nil && drift {
		n.mended(c)
	}
	return err
}

// mended tells that somebody's change of an object of palisade's was undone.
func (n *namespaces) mended(c *plan.Change) {
	times := n.ledger.repaired(c.Ref, n.now())
	n.metrics.repaired(c.Namespace, c.Ref.Kind)
	message := fmt.Sprintf("%s was changed by somebody else, and is again as the intent has it", c.Ref)
	if times > fights {
		message += fmt.Sprintf("; that was the %d. time in short order, so the next repair waits: see who writes it (kubectl get --show-managed-fields)", times)
	}
	n.log.Info("drift repaired", "object", c.Ref.String(), "times", times)
	n.event(c.Namespace, "Warning", "DriftRepaired", "Repair", message)
}

func postureRef(namespace string) model.Ref {
	return ownRef("NamespacePosture", namespace, v1alpha1.PostureName)
}

// postureStatus stores the status of a namespace's posture, and makes the posture where there is none.
func (n *namespaces) postureStatus(ctx context.Context, namespace string, w *work, status *v1alpha1.NamespacePostureStatus) error {
	ref := postureRef(namespace)
	digest := statusDigest(status)
	if !n.ledger.begin(ref, digest, w.looked, n.now()) {
		return nil
	}
	var uid types.UID
	if w.there != nil {
		uid = w.there.UID
	} else {
		made, _, err := n.writer.Ensure(ctx, model.Object{Tree: map[string]any{
			"apiVersion": ref.APIVersion, "kind": ref.Kind, "metadata": map[string]any{
				"namespace": namespace, "name": ref.Name, "labels": map[string]any{model.ManagedByLabel: model.ManagedByValue},
			},
		}})
		if err != nil {
			n.ledger.end(ref, digest, "", err, n.now())
			return err
		}
		uid = made
	}
	version, err := n.writer.ApplyStatus(ctx, ref, uid, status)
	n.ledger.end(ref, digest, version, err, n.now())
	n.metrics.wrote(ref.Kind, "Status", err)
	return err
}

func (n *namespaces) dropPosture(ctx context.Context, w *work) error {
	ref := postureRef(w.there.Namespace)
	if !n.ledger.begin(ref, 0, w.looked, n.now()) {
		return nil
	}
	err := n.writer.Remove(ctx, ref, w.there.UID)
	n.ledger.end(ref, 0, "", err, n.now())
	n.metrics.wrote(ref.Kind, "Delete", err)
	return err
}

// complain puts into the status, and an Event, that something could not be written.
func (n *namespaces) complain(ctx context.Context, namespace string, w *work, failed error) {
	n.event(namespace, "Warning", v1alpha1.ReasonWriteFailed, "Write", failed.Error())
	if w.wanted == nil || w.there == nil {
		return
	}
	status := w.wanted.DeepCopy()
	c := notReady(v1alpha1.ReasonWriteFailed, failed.Error())
	set(&status.Conditions, c, n.now())
	if err := n.postureStatus(ctx, namespace, w, status); err != nil {
		n.log.Error(err, "noting that a write failed", "namespace", namespace)
	}
}

// owners writes the status of one of the kinds that people write.
type owners struct {
	*governor
	kind string
	lock sync.Mutex
	// told are the statuses that were written of objects that cannot be read.
	told map[key]uint64
}

// Reconcile writes one status.
func (w *owners) Reconcile(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	o := w.current.Load()
	if o == nil {
		return reconcile.Result{}, nil
	}
	s := o.statuses[w.kind][r.NamespacedName]
	if s == nil || s.blind && w.toldAlready(s) {
		return reconcile.Result{}, nil
	}
	digest := statusDigest(s.status)
	if !w.ledger.begin(s.ref, digest, o.looked, w.now()) {
		return reconcile.Result{}, nil
	}
	version, err := w.writeStatus(ctx, s)
	w.ledger.end(s.ref, digest, version, err, w.now())
	w.metrics.wrote(s.ref.Kind, "Status", err)
	if errors.Is(err, cluster.ErrOutdated) || errors.Is(err, cluster.ErrEnding) {
		w.again()
		return reconcile.Result{}, nil
	}
	return reconcile.Result{}, err
}

func (w *owners) writeStatus(ctx context.Context, s *ownStatus) (string, error) {
	if !s.blind {
		return w.writer.ApplyStatus(ctx, s.ref, s.uid, s.status)
	}
	version, err := w.writer.PatchStatus(ctx, s.ref, s.status)
	if err == nil {
		w.lock.Lock()
		w.told[keyOf(s.ref)] = digestOf(messageOf(s.status))
		w.lock.Unlock()
	}
	return version, err
}

// toldAlready tells whether the same was written of an object that cannot be read.
func (w *owners) toldAlready(s *ownStatus) bool {
	w.lock.Lock()
	defer w.lock.Unlock()
	return w.told[keyOf(s.ref)] == digestOf(messageOf(s.status))
}

func messageOf(status any) string {
	switch s := status.(type) {
	case v1alpha1.RuleStatus:
		return s.Conditions[0].Message
	case v1alpha1.SecurityProfileStatus:
		return s.Conditions[0].Message
	}
	return ""
}

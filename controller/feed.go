package controller

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// The kinds of palisade's own that people write, and whose status is palisade's.
var ownKinds = []string{"SecurityProfile", "TrafficRule", "ExternalAccess", "Exemption"}

// feeds lead to the queues of the reconcilers.
type feeds struct {
	namespaces *feed
	// own are by kind.
	own map[string]*feed
}

func newFeeds() feeds {
	f := feeds{namespaces: &feed{}, own: map[string]*feed{}}
	for _, kind := range ownKinds {
		f.own[kind] = &feed{}
	}
	return f
}

// feed is a source of requests that the governor makes. What comes before the reconciler has begun is kept.
type feed struct {
	lock  sync.Mutex
	queue workqueue.TypedRateLimitingInterface[reconcile.Request]
	early []reconcile.Request
}

// Start takes the queue of a reconciler.
func (f *feed) Start(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.queue = queue
	for _, r := range f.early {
		queue.Add(r)
	}
	f.early = nil
	return nil
}

func (f *feed) add(namespace, name string) {
	f.lock.Lock()
	defer f.lock.Unlock()
	r := reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}}
	if f.queue == nil {
		f.early = append(f.early, r)
		return
	}
	f.queue.Add(r)
}

// waiting counts requests that nobody has begun.
func (f *feed) waiting() int {
	f.lock.Lock()
	defer f.lock.Unlock()
	if f.queue == nil {
		return len(f.early)
	}
	return f.queue.Len()
}

package admission

import (
	"context"
	"sync"
	"time"

	"floe.dev/palisade/api/v1alpha1"
)

// readFor is how long the exemptions of a namespace are waited for.
const readFor = time.Second

// reads asks for the exemptions of a namespace as they are stored at this moment: what is watched lags behind by
// milliseconds, and a pod that is created right after its exemption must not be changed for that. However many
// pods come at once, a namespace is read once at a time: whoever comes meanwhile shares the next read.
type reads struct {
	list func(ctx context.Context, namespace string) ([]v1alpha1.Exemption, error)
	lock sync.Mutex
	// under are the namespaces that are being read.
	under map[string]*reading
}

// reading is one namespace that is being read.
type reading struct {
	now, next *read
}

type read struct {
	done chan struct{}
	list []v1alpha1.Exemption
	err  error
}

func newReads(list func(context.Context, string) ([]v1alpha1.Exemption, error)) *reads {
	return &reads{list: list, under: map[string]*reading{}}
}

// of returns the exemptions of a namespace, read after it was called.
func (r *reads) of(namespace string) ([]v1alpha1.Exemption, error) {
	mine := r.join(namespace)
	<-mine.done
	return mine.list, mine.err
}

// join begins a read, or waits for the one that comes after the one under way.
func (r *reads) join(namespace string) *read {
	r.lock.Lock()
	defer r.lock.Unlock()
	under := r.under[namespace]
	if under == nil {
		under = &reading{now: &read{done: make(chan struct{})}}
		r.under[namespace] = under
		go r.carryOut(namespace, under)
		return under.now
	}
	if under.next == nil {
		under.next = &read{done: make(chan struct{})}
	}
	return under.next
}

// carryOut reads as long as somebody waits.
func (r *reads) carryOut(namespace string, under *reading) {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), readFor)
		under.now.list, under.now.err = r.list(ctx, namespace)
		cancel()
		close(under.now.done)
		r.lock.Lock()
		under.now, under.next = under.next, nil
		if under.now == nil {
			delete(r.under, namespace)
			r.lock.Unlock()
			return
		}
		r.lock.Unlock()
	}
}

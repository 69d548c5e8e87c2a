package controller

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
)

// seen is one thing that happened to an object.
type seen struct {
	what   watch.EventType
	object *object
	at     time.Time
}

func (s seen) String() string {
	return fmt.Sprintf("%s %s %s %s/%s (version %s)", s.at.Format("15:04:05.000"), s.what, s.object.GetKind(), s.object.GetNamespace(), s.object.GetName(), s.object.GetResourceVersion())
}

// witness writes down what happens to the objects of a test.
type witness struct {
	lock sync.Mutex
	list []seen
}

// watch begins to write down what happens in the test's namespaces, and to its cluster-wide objects.
func (l *lab) watch(resources ...schema.GroupVersionResource) *witness {
	l.Helper()
	w := &witness{}
	ctx, cancel := context.WithCancel(context.Background())
	l.Cleanup(cancel)
	for _, r := range resources {
		there, err := l.client.Resource(r).List(ctx, metav1.ListOptions{})
		require.NoError(l, err)
		from, err := l.client.Resource(r).Watch(ctx, metav1.ListOptions{ResourceVersion: there.GetResourceVersion()})
		require.NoError(l, err)
		go func() {
			for e := range from.ResultChan() {
				if o, ok := e.Object.(*object); ok && (strings.HasPrefix(o.GetNamespace(), l.name) || o.GetNamespace() == "" && strings.HasPrefix(o.GetName(), l.name)) {
					w.lock.Lock()
					w.list = append(w.list, seen{e.Type, o, time.Now()})
					w.lock.Unlock()
				}
			}
		}()
	}
	return w
}

// all is what was seen so far.
func (w *witness) all() []seen {
	w.lock.Lock()
	defer w.lock.Unlock()
	return append([]seen(nil), w.list...)
}

// forget begins anew.
func (w *witness) forget() {
	w.lock.Lock()
	defer w.lock.Unlock()
	w.list = nil
}

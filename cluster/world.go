package cluster

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/intent"
	"floe.dev/palisade/model"
)

// rediscovery is how often a World asks which kinds the cluster serves, beside whenever a CustomResourceDefinition changes.
const rediscovery = 5 * time.Minute

// Change tells of an object that came, went or became another.
type Change struct {
	// Ref has no name where a whole kind came, went, or cannot be read.
	Ref model.Ref
	// ResourceVersion is the one that the object has, or had when it went.
	ResourceVersion string
	// Own tells that the kind is palisade's own, Owned that the object bears palisade's mark.
	Own, Owned bool
	// Same tells that only what palisade does not look at has changed, Gone that the object is there no longer.
	Same, Gone bool
}

// World keeps what palisade looks at in a running cluster current, by watching it.
// Kinds that the cluster serves only later, or no more, come and go.
type World struct {
	discovery discovery.DiscoveryInterface
	client    dynamic.Interface
	reader    *reader
	changed   func(Change)

	lock sync.Mutex
	// watched are the kinds that are looked at now.
	watched map[schema.GroupVersionResource]*watchedKind
	// undiscovered are problems of the last discovery.
	undiscovered []model.Problem
	discovered   bool
	// unreached is why the last discovery failed, or nil.
	unreached  error
	rediscover chan struct{}
}

// watchedKind is one kind that is watched.
type watchedKind struct {
	servedKind
	informer cache.SharedIndexInformer
	stop     context.CancelFunc
	begun    time.Time
	// refused is why the kind cannot be read, or nil.
	refused error
	// missing is since when discovery does not list the kind any more, or zero.
	missing time.Time
	// custom tells that the kind has a CustomResourceDefinition.
	custom bool
}

// unread tells of a kind of which nothing is known yet.
func (k *watchedKind) unread() bool { return k.refused == nil && !k.informer.HasSynced() }

// entry is what is kept of an object.
type entry struct {
	metav1.ObjectMeta
	// item is nil where the object is of no interest.
	item   *item
	faults InputErrors
}

// DeepCopyObject is there for runtime.Object; entries are not changed once made, so they need no copy.
func (e *entry) DeepCopyObject() runtime.Object { return e }

// GetObjectKind is there for runtime.Object.
func (e *entry) GetObjectKind() schema.ObjectKind { return schema.EmptyObjectKind }

// NewWorld prepares to watch a cluster. changed is called for every change, one at a time for a kind; it must not block.
func NewWorld(config *rest.Config, changed func(Change)) (*World, error) {
	r, err := newReader(Options{})
	if err != nil {
		return nil, err
	}
	config = rest.CopyConfig(config)
	config.QPS = -1
	d, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &World{
		discovery: d, client: client, reader: r, changed: changed,
		watched: map[schema.GroupVersionResource]*watchedKind{}, rediscover: make(chan struct{}, 1),
	}, nil
}

// soon is when kinds are asked for again after one of them changed: what a server serves lags behind its definitions.
var soon = []time.Duration{time.Second, 3 * time.Second, 10 * time.Second}

// Start watches until the context is done.
func (w *World) Start(ctx context.Context) error {
	ticker := time.NewTicker(rediscovery)
	defer ticker.Stop()
	again := len(soon)
	for {
		retry := w.discover(ctx)
		var follow <-chan time.Time
		if again < len(soon) {
			follow = time.After(soon[again])
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-w.rediscover:
			again = 0
		case <-retry:
		case <-follow:
			again++
		}
	}
}

// NeedLeaderElection tells that every replica watches, so that the next leader knows the cluster already.
func (w *World) NeedLeaderElection() bool { return false }

// discover begins to watch kinds that are new, and ends it for those that are gone.
// It returns a channel that tells when to try again, where something did not answer.
func (w *World) discover(ctx context.Context) <-chan time.Time {
	kinds, problems, err := servedKinds(w.discovery)
	w.lock.Lock()
	defer w.lock.Unlock()
	if w.unreached = err; err != nil {
		return time.After(2 * time.Second)
	}
	w.undiscovered, w.discovered = problems, true
	served := map[schema.GroupVersionResource]bool{}
	named := map[schema.GroupResource]bool{}
	for _, k := range kinds {
		served[k.GroupVersionResource], named[k.GroupResource()] = true, true
		if w.watched[k.GroupVersionResource] == nil {
			w.watch(ctx, k)
		}
	}
	doubtful := false
	for gvr, k := range w.watched {
		silent := slices.ContainsFunc(problems, func(p model.Problem) bool { return strings.HasPrefix(p.Message, gvr.GroupVersion().String()+" ") })
		switch {
		case served[gvr] || silent:
			definition, _ := w.definition(gvr)
			k.custom, k.missing = k.custom || definition != nil, time.Time{}
		case named[gvr.GroupResource()]: // it is watched in another version
			w.forget(k)
		default:
			doubtful = w.miss(k) || doubtful
		}
	}
	switch {
	case doubtful:
		return time.After(time.Second)
	case len(problems) > 0:
		return time.After(30 * time.Second)
	default:
		return nil
	}
}

// farewell is how long a kind must be missing from discovery before it counts as gone. A server that
// starts serves its custom resources only after a while, and lists none of them until then.
const farewell = 10 * time.Second

// miss notes that discovery does not list a kind, and forgets it where it is gone for good. It returns whether that is still in doubt.
func (w *World) miss(k *watchedKind) bool {
	now := time.Now()
	if k.missing.IsZero() {
		k.missing = now
		w.changed(Change{Ref: model.Ref{APIVersion: k.apiVersion(), Kind: k.kind}})
	}
	definition, known := w.definition(k.GroupVersionResource)
	deleted := k.custom && known && definition == nil
	if now.Sub(k.missing) < farewell && !deleted {
		return true
	}
	w.forget(k)
	return false
}

func (w *World) forget(k *watchedKind) {
	k.stop()
	delete(w.watched, k.GroupVersionResource)
	w.changed(Change{Ref: model.Ref{APIVersion: k.apiVersion(), Kind: k.kind}})
}

// definition is the CustomResourceDefinition of a kind, or nil where there is none; known is false where they cannot be looked at.
func (w *World) definition(r schema.GroupVersionResource) (definition *entry, known bool) {
	k := w.of(schema.GroupKind{Group: definitions.Group, Kind: "CustomResourceDefinition"})
	if k == nil || k.refused != nil || !k.informer.HasSynced() {
		return nil, false
	}
	e, err := k.entry(r.Resource + "." + r.Group)
	return e, err == nil
}

// of is the kind that is watched of a group and a name, or nil.
func (w *World) of(gk schema.GroupKind) *watchedKind {
	for _, k := range w.watched {
		if k.Group == gk.Group && k.kind == gk.Kind {
			return k
		}
	}
	return nil
}

// entry is what is kept of an object, "namespace/name", or nil.
func (k *watchedKind) entry(key string) (*entry, error) {
	o, _, err := k.informer.GetStore().GetByKey(key)
	e, _ := o.(*entry)
	return e, err
}

func (w *World) watch(ctx context.Context, k servedKind) {
	ctx, stop := context.WithCancel(ctx)
	labels, fields := k.selectors()
	resource := w.client.Resource(k.GroupVersionResource)
	with := func(o metav1.ListOptions) metav1.ListOptions {
		o.LabelSelector, o.FieldSelector = labels, fields
		return o
	}
	watched := &watchedKind{servedKind: k, stop: stop, begun: time.Now()}
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			list, err := resource.List(ctx, with(o))
			w.allow(watched, err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			events, err := resource.Watch(ctx, with(o))
			w.allow(watched, err)
			return events, err
		},
	}
	informer := cache.NewSharedIndexInformer(lw, &unstructured.Unstructured{}, 0, cache.Indexers{})
	watched.informer = informer
	_ = informer.SetTransform(func(o any) (any, error) { return w.entry(k, o), nil }) // it fails on a started informer only
	_ = informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) { w.refuse(watched, err) })
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { w.event(watched, o, Change{}) },
		UpdateFunc: func(was, is any) { w.updated(watched, was, is) },
		DeleteFunc: func(o any) { w.event(watched, o, Change{Gone: true}) },
	})
	w.watched[k.GroupVersionResource] = watched
	go informer.RunWithContext(ctx)
}

// entry keeps of an object what palisade looks at.
func (w *World) entry(k servedKind, o any) any {
	u, ok := o.(*unstructured.Unstructured)
	if !ok {
		return o // it was made an entry before
	}
	e := &entry{ObjectMeta: metav1.ObjectMeta{
		Name: u.GetName(), Namespace: u.GetNamespace(), UID: u.GetUID(), ResourceVersion: u.GetResourceVersion(), Generation: u.GetGeneration(),
		DeletionTimestamp: u.GetDeletionTimestamp(),
	}}
	if spent(k, u) {
		return e
	}
	e.item, e.faults = w.reader.liveItem(k, u)
	if len(e.faults) > 0 || e.item.unknown {
		e.item = nil
		return e
	}
	e.item.trim()
	return e
}

// spent tells of ReplicaSets that a Deployment keeps to go back to: they run nothing.
func spent(k servedKind, u *unstructured.Unstructured) bool {
	if k.Resource != "replicasets" || len(u.GetOwnerReferences()) == 0 {
		return false
	}
	replicas, _, _ := unstructured.NestedInt64(u.Object, "spec", "replicas")
	return replicas == 0
}

func (w *World) event(k *watchedKind, o any, c Change) {
	if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
		o = gone.Obj
	}
	e, ok := o.(*entry)
	if !ok {
		return
	}
	c.Ref = model.Ref{APIVersion: k.apiVersion(), Kind: k.kind, Namespace: e.Namespace, Name: e.Name}
	c.ResourceVersion, c.Own = e.ResourceVersion, k.Group == v1alpha1.GroupVersion.Group
	if e.item != nil {
		c.Owned = e.item.tree != nil && model.Object{Tree: e.item.tree}.Owned()
	}
	if k.kind == "CustomResourceDefinition" || k.kind == "APIService" {
		w.askAgain()
	}
	if e.item == nil && len(e.faults) == 0 {
		return
	}
	w.changed(c)
}

// updated tells apart what only came again, what changed where palisade does not look, and what is another under an old name.
func (w *World) updated(k *watchedKind, was, is any) {
	before, ok := was.(*entry)
	after, also := is.(*entry)
	switch {
	case !ok || !also:
	case before.ResourceVersion == after.ResourceVersion:
		return
	case before.UID != after.UID:
		w.event(k, was, Change{Gone: true})
	case before.item.alike(after.item) && len(before.faults)+len(after.faults) == 0:
		w.event(k, is, Change{Same: true})
		return
	}
	w.event(k, is, Change{})
}

// askAgain has the kinds that are served asked for again.
func (w *World) askAgain() {
	select {
	case w.rediscover <- struct{}{}:
	default:
	}
}

// patience is how long a kind may fail to be read for the first time before that is said of it, and the others no longer wait.
const patience = 30 * time.Second

// refuse notes why a kind cannot be read.
func (w *World) refuse(k *watchedKind, err error) {
	if apierrors.IsNotFound(err) {
		w.askAgain()
	}
	if !apierrors.IsForbidden(err) && !apierrors.IsUnauthorized(err) && (k.informer.HasSynced() || time.Since(k.begun) < patience) {
		return // the reflector tries again by itself
	}
	w.lock.Lock()
	first := k.refused == nil
	k.refused = err
	w.lock.Unlock()
	if first {
		w.changed(Change{Ref: model.Ref{APIVersion: k.apiVersion(), Kind: k.kind}})
	}
}

// allow notes that a kind can be read, where there is no error.
func (w *World) allow(k *watchedKind, err error) {
	if err != nil {
		return
	}
	w.lock.Lock()
	was := k.refused
	k.refused = nil
	w.lock.Unlock()
	if was != nil {
		w.changed(Change{Ref: model.Ref{APIVersion: k.apiVersion(), Kind: k.kind}})
	}
}

// Synced tells whether everything that may be read has been read once.
func (w *World) Synced() bool {
	w.lock.Lock()
	defer w.lock.Unlock()
	if !w.discovered {
		return false
	}
	for _, k := range w.watched {
		if k.unread() {
			return false
		}
	}
	return true
}

// Waiting says what has not been read yet; empty where everything has.
func (w *World) Waiting() string {
	w.lock.Lock()
	defer w.lock.Unlock()
	var kinds []string
	for gvr, k := range w.watched {
		if k.unread() {
			kinds = append(kinds, gvr.GroupResource().String())
		}
	}
	slices.Sort(kinds)
	switch {
	case w.unreached != nil:
		return "which kinds the cluster serves cannot be read: " + w.unreached.Error()
	case !w.discovered:
		return "which kinds the cluster serves"
	default:
		return strings.Join(kinds, ", ")
	}
}

// Snapshot is the cluster as it is known now. What it holds is shared: it must not be changed.
func (w *World) Snapshot() *intent.Snapshot {
	w.lock.Lock()
	defer w.lock.Unlock()
	var items []*item
	problems := slices.Clone(w.undiscovered)
	for _, k := range w.watched {
		if k.refused != nil {
			problems = append(problems, unread(path.Join(k.Group, k.Resource), k.refused))
		}
		for _, o := range k.informer.GetStore().List() {
			e, ok := o.(*entry)
			switch {
			case !ok:
			case len(e.faults) > 0:
				problems = append(problems, invalidObject(e.faults))
			case e.item != nil:
				items = append(items, e.item)
			}
		}
	}
	slices.SortFunc(items, func(a, b *item) int {
		return cmp.Or(cmp.Compare(a.ref.Kind, b.ref.Kind), model.CompareRefs(a.ref, b.ref))
	})
	g := &gatherer{reader: w.reader, items: items, live: true}
	s := g.gather()
	s.Problems = problems
	return s
}

// needed are the kinds without which it cannot be told what is wanted, or what palisade wrote.
var needed = []schema.GroupKind{
	{Kind: "Namespace"},
	{Group: "networking.k8s.io", Kind: "NetworkPolicy"},
	{Group: v1alpha1.GroupVersion.Group, Kind: "SecurityProfile"},
	{Group: v1alpha1.GroupVersion.Group, Kind: "TrafficRule"},
	{Group: v1alpha1.GroupVersion.Group, Kind: "ExternalAccess"},
	{Group: v1alpha1.GroupVersion.Group, Kind: "Exemption"},
	{Group: v1alpha1.GroupVersion.Group, Kind: "NamespacePosture"},
}

// Blocked says why a Snapshot must not be acted on: a kind is not served, or may not be read, or is being read, or may be gone,
// and that is not the same as nothing being there. Empty where it may be. Aimless tells that what is wanted is itself not known.
func (w *World) Blocked() (why string, aimless bool) {
	w.lock.Lock()
	defer w.lock.Unlock()
	for _, gk := range needed {
		if why := w.lacks(gk); why != "" {
			return why, true
		}
	}
	var reading, missing []string
	for gvr, k := range w.watched {
		switch {
		case !k.missing.IsZero():
			missing = append(missing, gvr.GroupResource().String())
		case k.unread():
			reading = append(reading, gvr.GroupResource().String())
		}
	}
	slices.Sort(reading)
	slices.Sort(missing)
	switch {
	case len(missing) > 0:
		return "the cluster no longer lists " + strings.Join(missing, ", ") + " among what it serves; whether for good is waited for", false
	case len(reading) > 0:
		return strings.Join(reading, ", ") + ": being read", false
	default:
		return "", false
	}
}

// lacks says why nothing of a needed kind is known; empty where it is.
func (w *World) lacks(gk schema.GroupKind) string {
	for gvr, k := range w.watched {
		if k.Group != gk.Group || k.kind != gk.Kind {
			continue
		}
		definition, _ := w.definition(gvr)
		switch {
		case k.refused != nil:
			return fmt.Sprintf("%s cannot be read: %v", gk, k.refused)
		case definition != nil && definition.DeletionTimestamp != nil:
			return fmt.Sprintf("the definition of %s is being deleted, and everything of that kind with it; install palisade's CustomResourceDefinitions (deploy/crds)", gk)
		case k.missing.IsZero() && k.unread():
			return fmt.Sprintf("%s is being read", gk)
		case k.missing.IsZero():
			return ""
		}
	}
	return fmt.Sprintf("the cluster does not serve %s; install palisade's CustomResourceDefinitions (deploy/crds)", gk)
}

// HasPod tells whether a pod is there, and is not going.
func (w *World) HasPod(namespace, name string) bool {
	w.lock.Lock()
	defer w.lock.Unlock()
	k := w.of(schema.GroupKind{Kind: "Pod"})
	if k == nil {
		return false
	}
	e, err := k.entry(namespace + "/" + name)
	return err == nil && e != nil && e.DeletionTimestamp == nil
}

// Undefined says why one of palisade's own kinds ("trafficrules") is not there to stay, by asking the cluster; empty where it is.
func (w *World) Undefined(ctx context.Context, resource string) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	name := resource + "." + v1alpha1.GroupVersion.Group
	definition, err := w.client.Resource(definitions).Get(ctx, name, metav1.GetOptions{})
	switch {
	case err != nil:
		return fmt.Sprintf("%s are gone, and whether for good cannot be told: %v", resource, err)
	case definition.GetDeletionTimestamp() != nil:
		return fmt.Sprintf("the definition %s is being deleted, and everything of that kind with it; install palisade's CustomResourceDefinitions (deploy/crds)", name)
	default:
		return ""
	}
}

var definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// Kinds describes what is watched, for logs: "pods, networkpolicies.networking.k8s.io".
func (w *World) Kinds() []string {
	w.lock.Lock()
	defer w.lock.Unlock()
	var names []string
	for gvr := range w.watched {
		names = append(names, gvr.GroupResource().String())
	}
	slices.Sort(names)
	return names
}

// String tells how much is known.
func (w *World) String() string {
	w.lock.Lock()
	defer w.lock.Unlock()
	objects := 0
	for _, k := range w.watched {
		objects += len(k.informer.GetStore().ListKeys())
	}
	return fmt.Sprintf("%d kinds, %d objects", len(w.watched), objects)
}

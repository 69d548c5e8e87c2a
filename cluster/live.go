package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/intent"
	"floe.dev/palisade/model"
)

// liveFile is the source of objects that were read from a running cluster.
const liveFile = "cluster"

const (
	// pageSize is how many objects are asked for at once.
	pageSize = 500
	// parallelLists is how many kinds are listed at the same time.
	parallelLists = 8
)

// servedKind is a kind that a cluster serves and that palisade looks at.
type servedKind struct {
	schema.GroupVersionResource
	kind       string
	namespaced bool
}

func (k servedKind) apiVersion() string { return k.GroupVersion().String() }

// selectors limit what is read of a kind: pods that have ended tell nothing, and of
// EndpointSlices those of the API server alone are looked at.
func (k servedKind) selectors() (labels, fields string) {
	switch k.Resource {
	case "pods":
		return "", "status.phase!=Succeeded,status.phase!=Failed"
	case "endpointslices":
		return "kubernetes.io/service-name=kubernetes", ""
	default:
		return "", ""
	}
}

// servedKinds asks a cluster which of the kinds that palisade looks at it serves,
// each in one version. Groups whose servers do not answer come back as problems.
func servedKinds(d discovery.DiscoveryInterface) ([]servedKind, []model.Problem, error) {
	_, lists, err := d.ServerGroupsAndResources()
	var partial *discovery.ErrGroupDiscoveryFailed
	if err != nil && !errors.As(err, &partial) {
		return nil, nil, err
	}
	var problems []model.Problem
	if partial != nil {
		for gv, why := range partial.Groups {
			if looksAtGroup(gv.Group) {
				problems = append(problems, unread(gv.String(), why))
			}
		}
	}
	best := map[schema.GroupKind]servedKind{}
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			continue
		}
		for i := range list.APIResources {
			r := &list.APIResources[i]
			if !slices.Contains([]string(r.Verbs), "list") || !looksAt(gv, r.Kind) {
				continue
			}
			gk := schema.GroupKind{Group: gv.Group, Kind: r.Kind}
			if _, known := best[gk]; !known { // discovery lists the version that the group prefers first
				best[gk] = servedKind{gv.WithResource(r.Name), r.Kind, r.Namespaced}
			}
		}
	}
	kinds := make([]servedKind, 0, len(best))
	_, sliced := best[schema.GroupKind{Group: "discovery.k8s.io", Kind: "EndpointSlice"}]
	for gk, k := range best {
		if gk == (schema.GroupKind{Kind: "Endpoints"}) && sliced {
			continue // the older form of the same
		}
		kinds = append(kinds, k)
	}
	slices.SortFunc(kinds, func(a, b servedKind) int { return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.kind, b.kind)) })
	return kinds, problems, nil
}

func looksAtGroup(group string) bool {
	return group == v1alpha1.GroupVersion.Group ||
		slices.ContainsFunc(knownKinds, func(k knownKind) bool { return k.group == group }) ||
		slices.ContainsFunc(keptGroups, func(g keptGroup) bool { return g.group == group })
}

func looksAt(gv schema.GroupVersion, kind string) bool {
	if gv.Group == v1alpha1.GroupVersion.Group {
		return gv == v1alpha1.GroupVersion
	}
	if gv.Group == "" && kind == "Secret" {
		return false // nobody is to need the right to list them: Survey gets those that it looks at, by name
	}
	_, known := lookup(model.Ref{APIVersion: gv.String(), Kind: kind})
	return known
}

// unread says of a kind that it could not be read: what of it decides is not known.
func unread(what string, err error) model.Problem {
	return model.Problem{
		Code: "KindUnreadable", Severity: model.Error,
		Message: fmt.Sprintf("%s could not be read, so it is not known what is there: %v", what, err),
		Fix:     "let whoever runs palisade list it, or see why its API server does not answer",
	}
}

// liveItem reads one object of a running cluster.
func (r *reader) liveItem(k servedKind, u *unstructured.Unstructured) (*item, InputErrors) {
	tree := u.Object
	tree["apiVersion"], tree["kind"] = k.apiVersion(), k.kind
	o := &object{tree: tree, source: model.Source{File: liveFile}, doc: &parsed{lineless: true}, live: true}
	if faults := o.checkTypeMeta(); len(faults) > 0 {
		return nil, faults
	}
	if u.GetNamespace() == "" && k.namespaced {
		return nil, InputErrors{o.fault("metadata.namespace", "must be set")}
	}
	notReady := unready(k, u)
	it, faults := r.item(o)
	if it != nil {
		it.unready = notReady
	}
	return it, faults
}

// Progress tells how far reading a cluster has come.
type Progress func(kind string, done, total int)

// ReadLive reads a running cluster as Read reads a folder, and lays over it what is
// behind some paths: an object of these stands in the place of the one that is there.
// What it may not read, or cannot, comes back as problems of the Snapshot. The error is
// for a cluster that cannot be reached or does not know who asks, and, an InputErrors, for the paths.
func ReadLive(ctx context.Context, config *rest.Config, paths []string, stdin io.Reader, opts Options, progress Progress) (*intent.Snapshot, error) {
	r, err := newReader(opts)
	if err != nil {
		return nil, err
	}
	over, files, err := r.overlay(paths, stdin)
	if err != nil {
		return nil, err
	}
	l, err := r.list(ctx, config, progress)
	if err != nil {
		return nil, err
	}
	g := &gatherer{reader: r, items: append(without(l.items, over), over...), live: true}
	s := g.gather()
	if len(g.faults) > 0 {
		return nil, g.faults.sorted(files)
	}
	s.Problems = l.problems
	return s, nil
}

// overlay reads what is to be laid over a cluster, each object once.
func (r *reader) overlay(paths []string, stdin io.Reader) ([]*item, []file, error) {
	if len(paths) == 0 {
		return nil, nil, nil
	}
	files, faults := readFiles(paths, stdin)
	items, chunks, wrong := r.items(files)
	if faults = append(faults, wrong...); chunks == 0 && len(faults) == 0 {
		faults = noManifests(paths)
	}
	g := &gatherer{reader: r, items: items, again: map[*chunk][]*object{}}
	g.dropDuplicates()
	if faults = append(faults, g.faults...); len(faults) > 0 {
		return nil, nil, faults.sorted(files)
	}
	return g.items, files, nil
}

// without are items of which others do not hold another form.
func without(items, others []*item) []*item {
	known := map[identity]bool{}
	for _, it := range others {
		known[it.identity()] = true
	}
	return slices.DeleteFunc(items, func(it *item) bool { return known[it.identity()] })
}

// list lists all kinds of a cluster.
func (r *reader) list(ctx context.Context, config *rest.Config, progress Progress) (*lister, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1 // the server's own fairness rules
	d, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	kinds, problems, err := servedKinds(d)
	if err != nil {
		return nil, unreachable(config, err)
	}
	l := &lister{client: client, reader: r, problems: problems, progress: progress, total: len(kinds)}
	if err := l.all(ctx, kinds); err != nil {
		return nil, unreachable(config, err)
	}
	return l, nil
}

func unreachable(config *rest.Config, err error) error {
	var failed *url.Error
	switch {
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("the cluster at %s does not know who asks: %w", config.Host, err)
	case errors.As(err, &failed):
		return fmt.Errorf("the cluster at %s does not answer: %w", config.Host, failed.Err)
	default:
		return fmt.Errorf("reading the cluster at %s: %w", config.Host, err)
	}
}

// lister lists many kinds at the same time.
type lister struct {
	client   dynamic.Interface
	reader   *reader
	progress Progress
	total    int

	lock     sync.Mutex
	done     int
	items    []*item
	problems []model.Problem
	failed   error
}

func (l *lister) all(ctx context.Context, kinds []servedKind) error {
	queue := make(chan servedKind)
	var workers sync.WaitGroup
	for range parallelLists {
		workers.Go(func() {
			for k := range queue {
				l.kind(ctx, k)
			}
		})
	}
	for _, k := range kinds {
		queue <- k
	}
	close(queue)
	workers.Wait()
	if l.failed != nil {
		return l.failed
	}
	return ctx.Err()
}

// kind lists one kind, page by page.
func (l *lister) kind(ctx context.Context, k servedKind) {
	labels, fields := k.selectors()
	o := metav1.ListOptions{Limit: pageSize, LabelSelector: labels, FieldSelector: fields}
	var items []*item
	var problems []model.Problem
	for {
		page, err := l.client.Resource(k.GroupVersionResource).List(ctx, o)
		if err != nil {
			l.stop(k, items, problems, err)
			return
		}
		for i := range page.Items {
			it, faults := l.reader.liveItem(k, &page.Items[i])
			if len(faults) > 0 {
				problems = append(problems, invalidObject(faults))
				continue
			}
			items = append(items, it)
		}
		if o.Continue = page.GetContinue(); o.Continue == "" {
			l.stop(k, items, problems, nil)
			return
		}
	}
}

// stop takes what became of one kind. One that may not be read, or that is gone by now, does not keep the others.
func (l *lister) stop(k servedKind, items []*item, problems []model.Problem, err error) {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.done++
	if l.progress != nil {
		l.progress(k.Resource, l.done, l.total)
	}
	l.items = append(l.items, items...)
	l.problems = append(l.problems, problems...)
	var status apierrors.APIStatus
	switch {
	case err == nil, apierrors.IsNotFound(err):
	case errors.As(err, &status) && !apierrors.IsUnauthorized(err):
		l.problems = append(l.problems, unread(path.Join(k.Group, k.Resource), err))
	case l.failed == nil:
		l.failed = err
	}
}

// invalidObject says of a stored object that it is not as its kind demands: it counts for nothing.
func invalidObject(faults InputErrors) model.Problem {
	first := faults[0]
	return model.Problem{
		Code: "ObjectInvalid", Severity: model.Error, Subject: first.Ref, Field: first.Field,
		Message: fmt.Sprintf("it is stored in a form that is not valid, so it counts for nothing: %s", first.Message),
		Fix:     "correct the object",
	}
}

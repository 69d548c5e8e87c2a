package cluster

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/intent"
	"floe.dev/palisade/model"
)

// gatherer makes a Snapshot of items: what takes more than one object to decide is decided here.
type gatherer struct {
	reader *reader
	items  []*item
	faults InputErrors

	snapshot   intent.Snapshot
	namespaces map[string]*model.Namespace
	// again holds the objects of chunks that were parsed once more: a dump of thousands that is given twice is parsed twice, not once an object.
	again map[*chunk][]*object
	// live tells that the items come from a running cluster, which has each object once.
	live bool
}

func (g *gatherer) gather() *intent.Snapshot {
	g.namespaces = map[string]*model.Namespace{}
	g.again = map[*chunk][]*object{}
	g.snapshot.Unknown = map[string]int{}
	g.snapshot.Sources = map[model.Ref]model.Source{}
	if !g.live {
		g.dropDuplicates()
	}
	for _, it := range g.items {
		g.place(it)
	}
	g.snapshot.Workloads, g.snapshot.Pods = settleOwners(g.items)
	if g.live {
		g.snapshot.Unready = unreadyWorkloads(g.items, g.snapshot.Workloads)
	}
	g.settleNamespaces()
	g.sort()
	return &g.snapshot
}

// place puts one item where it belongs.
//
//nolint:cyclop // a table from types to lists, a row each
func (g *gatherer) place(it *item) {
	if it.ref.Namespace != "" && !it.own {
		g.namespace(it.ref.Namespace)
	}
	if it.unknown {
		g.snapshot.Unknown[it.ref.APIVersion+" "+it.ref.Kind]++
	}
	if it.tree != nil {
		g.snapshot.Objects = append(g.snapshot.Objects, model.Object{Tree: it.tree, Source: it.source, Defaulted: it.defaulted})
	}
	if !g.live {
		g.snapshot.Sources[it.ref] = it.source
	}
	s := &g.snapshot
	switch value := it.value.(type) {
	case *model.Workload:
		value.Source = it.source
	case *model.Namespace:
		value.Source = it.source
		g.namespaces[value.Name] = value
	case *model.Service:
		value.Source = it.source
		s.Services = append(s.Services, *value)
	case *discoveryv1.EndpointSlice:
		s.EndpointSlices = append(s.EndpointSlices, *value)
	case *corev1.Endpoints:
		s.Endpoints = append(s.Endpoints, *value)
	case *corev1.Node:
		s.Nodes = append(s.Nodes, *value)
	case *admissionregistrationv1.ValidatingWebhookConfiguration:
		s.ValidatingWebhooks = append(s.ValidatingWebhooks, *value)
	case *admissionregistrationv1.MutatingWebhookConfiguration:
		s.MutatingWebhooks = append(s.MutatingWebhooks, *value)
	case *v1alpha1.SecurityProfile:
		s.Profiles = append(s.Profiles, *value)
	case *v1alpha1.TrafficRule:
		s.Rules = append(s.Rules, *value)
	case *v1alpha1.ExternalAccess:
		s.ExternalAccess = append(s.ExternalAccess, *value)
	case *v1alpha1.Exemption:
		s.Exemptions = append(s.Exemptions, *value)
	case *v1alpha1.NamespacePosture:
		s.Postures = append(s.Postures, *value)
	case *v1alpha1.MTLSReport:
		s.Reports = append(s.Reports, *value)
	}
}

// namespace notes that a namespace exists because something in it does.
func (g *gatherer) namespace(name string) {
	if g.namespaces[name] == nil {
		g.namespaces[name] = &model.Namespace{Name: name}
	}
}

// settleNamespaces sets the label that every namespace has, and gives the workloads those of their home.
func (g *gatherer) settleNamespaces() {
	for _, name := range sortedKeys(g.namespaces) {
		ns := g.namespaces[name]
		labels := make(map[string]string, len(ns.Labels)+1)
		for key, value := range ns.Labels {
			labels[key] = value
		}
		labels[corev1.LabelMetadataName] = name
		ns.Labels = labels
		g.snapshot.Namespaces = append(g.snapshot.Namespaces, *ns)
	}
	for _, list := range [][]model.Workload{g.snapshot.Workloads, g.snapshot.Pods} {
		for i := range list {
			if ns := g.namespaces[list[i].ID.Namespace]; ns != nil {
				list[i].NamespaceLabels, list[i].NamespaceAnnotations = ns.Labels, ns.Annotations
			}
		}
	}
}

// identity tells objects apart whatever version they are written in.
type identity struct{ group, kind, namespace, name string }

func (it *item) identity() identity {
	return identity{it.ref.Group(), it.ref.Kind, it.ref.Namespace, it.ref.Name}
}

// dropDuplicates leaves one of objects that are given twice alike, or whose
// halves fit together; where they differ otherwise, that is a fault.
func (g *gatherer) dropDuplicates() {
	first := make(map[identity]*item, len(g.items))
	g.items = slices.DeleteFunc(g.items, func(it *item) bool {
		if it.unknown {
			return false
		}
		id := it.identity()
		other, twice := first[id]
		if !twice {
			first[id] = it
			return false
		}
		if !reflect.DeepEqual(g.content(it), g.content(other)) && !merge(other, it) {
			g.faults = append(g.faults, &InputError{Source: it.source, Ref: it.ref, Message: fmt.Sprintf(
				"is there twice with different content, first in %s:%d (document %d)", other.source.File, other.source.Line, other.source.Document)})
		}
		return true
	})
}

// content parses an object again, and leaves out what a server writes.
func (g *gatherer) content(it *item) map[string]any {
	objects, parsed := g.again[it.chunk]
	if !parsed {
		objects, _, _ = it.chunk.objects()
		g.again[it.chunk] = objects
	}
	if it.number >= len(objects) {
		return nil
	}
	o := objects[it.number]
	meta, ok := o.tree["metadata"].(map[string]any)
	if !ok {
		return o.tree
	}
	_ = g.reader.identify(o, it.ref.Namespace == "")
	for _, field := range []string{"resourceVersion", "uid", "generation", "creationTimestamp", "selfLink"} {
		delete(meta, field)
	}
	delete(o.tree, "status")
	return o.tree
}

func (g *gatherer) sort() {
	s := &g.snapshot
	for _, list := range [][]model.Workload{s.Workloads, s.Pods} {
		slices.SortFunc(list, func(a, b model.Workload) int { return model.CompareWorkloadIDs(a.ID, b.ID) })
	}
	slices.SortFunc(s.Services, func(a, b model.Service) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	slices.SortStableFunc(s.Objects, func(a, b model.Object) int { return model.CompareRefs(a.Ref(), b.Ref()) })
	sortByName(s.EndpointSlices, func(v *discoveryv1.EndpointSlice) *metav1.ObjectMeta { return &v.ObjectMeta })
	sortByName(s.Endpoints, func(v *corev1.Endpoints) *metav1.ObjectMeta { return &v.ObjectMeta })
	sortByName(s.Nodes, func(v *corev1.Node) *metav1.ObjectMeta { return &v.ObjectMeta })
	sortByName(s.ValidatingWebhooks, func(v *admissionregistrationv1.ValidatingWebhookConfiguration) *metav1.ObjectMeta {
		return &v.ObjectMeta
	})
	sortByName(s.MutatingWebhooks, func(v *admissionregistrationv1.MutatingWebhookConfiguration) *metav1.ObjectMeta { return &v.ObjectMeta })
	sortByName(s.Profiles, func(v *v1alpha1.SecurityProfile) *metav1.ObjectMeta { return &v.ObjectMeta })
	sortByName(s.Rules, func(v *v1alpha1.TrafficRule) *metav1.ObjectMeta { return &v.ObjectMeta })
	sortByName(s.ExternalAccess, func(v *v1alpha1.ExternalAccess) *metav1.ObjectMeta { return &v.ObjectMeta })
	sortByName(s.Postures, func(v *v1alpha1.NamespacePosture) *metav1.ObjectMeta { return &v.ObjectMeta })
	sortByName(s.Reports, func(v *v1alpha1.MTLSReport) *metav1.ObjectMeta { return &v.ObjectMeta })
	sortByName(s.Exemptions, func(v *v1alpha1.Exemption) *metav1.ObjectMeta { return &v.ObjectMeta })
}

func sortByName[T any](list []T, meta func(*T) *metav1.ObjectMeta) {
	slices.SortFunc(list, func(a, b T) int {
		x, y := meta(&a), meta(&b)
		return cmp.Or(cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Name, y.Name))
	})
}

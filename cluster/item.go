package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/model"
)

// item is what became of one object: typed, defaulted and checked.
type item struct {
	ref    model.Ref
	source model.Source
	// value is a *model.Workload, *model.Service, *model.Namespace, a pointer to
	// one of the typed kinds of Snapshot, or to one of palisade's own kinds; nil where only the tree counts.
	value any
	// tree is kept among the Snapshot's Objects, where not nil.
	tree map[string]any
	// defaulted are fields of the tree that the manifest left out.
	defaulted []string
	// owner is the controller of a ReplicaSet, Job or Pod.
	owner *metav1.OwnerReference
	// unknown tells that palisade does not look at the object.
	unknown bool
	// unready tells of a workload of a running cluster that it is not available.
	unready bool
	// own tells that the kind is palisade's: such an object says nothing about whether its namespace exists.
	own bool
	// chunk and number find the object again: it is the number-th of the chunk.
	chunk  *chunk
	number int
}

// reader turns objects into items.
type reader struct {
	namespace string
	own       ownKinds
}

// item reads one object.
func (r *reader) item(o *object) (*item, InputErrors) {
	it := &item{source: o.source}
	known, ok := lookup(o.ref)
	var faults InputErrors
	switch {
	case o.ref.Group() == v1alpha1.GroupVersion.Group:
		it.own = true
		faults = r.ownItem(o, it)
	case !ok:
		it.unknown = true
	default:
		if faults = r.identify(o, known.cluster); len(faults) == 0 {
			faults = known.read(o, it)
		}
	}
	it.ref = o.ref
	return it, faults
}

// identify demands a name, fills in the namespace, and drops what servers add for themselves.
func (r *reader) identify(o *object, clusterWide bool) InputErrors {
	meta, ok := o.tree["metadata"].(map[string]any)
	if !ok {
		return InputErrors{o.fault("metadata", "must be an object, is %s", jsonTypeName(o.tree["metadata"]))}
	}
	keepOwnership(meta)
	if annotations, ok := meta["annotations"].(map[string]any); ok {
		delete(annotations, "kubectl.kubernetes.io/last-applied-configuration")
	}
	if o.ref.Name == "" {
		o.ref.Name = text(meta["generateName"])
	}
	if clusterWide {
		delete(meta, "namespace")
		o.ref.Namespace = ""
	} else if o.ref.Namespace == "" {
		meta["namespace"] = r.namespace
		o.ref.Namespace = r.namespace
	}
	return o.checkMeta(meta, clusterWide)
}

// keepOwnership keeps of the notes of who applied what those that tell which labels and annotations palisade did.
func keepOwnership(meta map[string]any) {
	managers, _ := meta["managedFields"].([]any)
	delete(meta, "managedFields")
	var kept []any
	for _, m := range managers {
		tree, _ := m.(map[string]any)
		fields, _ := tree["fieldsV1"].(map[string]any)
		of, _ := fields["f:metadata"].(map[string]any)
		if tree["manager"] == model.FieldManager && of != nil {
			kept = append(kept, map[string]any{"manager": model.FieldManager, "fieldsV1": map[string]any{"f:metadata": only(of, "f:labels", "f:annotations")}})
		}
	}
	if kept != nil {
		meta["managedFields"] = kept
	}
}

func (o *object) checkMeta(meta map[string]any, clusterWide bool) InputErrors {
	if wrong := fit(meta, metaType, ""); wrong != nil {
		return InputErrors{o.fault("metadata"+wrong.path, "%s", wrong.message)}
	}
	if o.ref.Name == "" {
		return InputErrors{o.fault("metadata.name", "must be set")}
	}
	var faults InputErrors
	for _, message := range content.IsPathSegmentName(o.ref.Name) {
		faults = append(faults, o.fault("metadata.name", "%q %s", o.ref.Name, message))
	}
	if !clusterWide {
		faults = append(faults, o.checkNamespaceName("metadata.namespace", o.ref.Namespace)...)
	}
	for _, err := range metav1validation.ValidateLabels(stringMap(meta["labels"]), field.NewPath("metadata", "labels")) {
		faults = append(faults, o.invalid(err))
	}
	return faults
}

func (o *object) checkNamespaceName(at, name string) InputErrors {
	var faults InputErrors
	for _, message := range validation.IsDNS1123Label(name) {
		faults = append(faults, o.fault(at, "%q: %s", name, message))
	}
	return faults
}

// ownItem reads an object of palisade's own group, strictly.
func (r *reader) ownItem(o *object, it *item) InputErrors {
	load, ok := r.own[o.ref.Kind]
	switch {
	case o.ref.APIVersion != v1alpha1.GroupVersion.String():
		return InputErrors{o.fault("apiVersion", "%q is not known; this palisade knows %s", o.ref.APIVersion, v1alpha1.GroupVersion)}
	case !ok:
		return InputErrors{o.fault("kind", "%q is not a kind of %s; it has %s", o.ref.Kind, v1alpha1.GroupVersion, strings.Join(sortedKeys(r.own), ", "))}
	}
	kind, err := load()
	if err != nil {
		return InputErrors{o.fault("", "%v", err)}
	}
	if o.tree["metadata"] == nil {
		o.tree["metadata"] = map[string]any{}
	}
	if meta, ok := o.tree["metadata"].(map[string]any); ok && kind.namespaced && meta["namespace"] == nil {
		meta["namespace"] = r.namespace
		o.ref.Namespace = r.namespace
	}
	statusOnly := o.ref.Kind == "NamespacePosture" || o.ref.Kind == "MTLSReport"
	if !statusOnly && !o.live {
		delete(o.tree, "status") // an API server takes no status on creation
	}
	if faults := kind.admitted(o); len(faults) > 0 || statusOnly && !o.live {
		return faults
	}
	return o.decodeOwn(it)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func stringMap(value any) map[string]string {
	from, _ := value.(map[string]any)
	to := make(map[string]string, len(from))
	for key, value := range from {
		to[key] = fmt.Sprint(value)
	}
	return to
}

package model

import (
	"cmp"
	"encoding/json"
	"fmt"

	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// Names that palisade writes on its objects.
const (
	// ManagedByLabel with ManagedByValue marks what palisade owns.
	ManagedByLabel = "app.kubernetes.io/managed-by"
	ManagedByValue = "palisade"
	// ProfileLabel names the SecurityProfile on whose behalf an object exists.
	ProfileLabel = "palisade.floe.dev/profile"
	// OriginAnnotation says, a line each, which rule every part of an object came from.
	OriginAnnotation = "palisade.floe.dev/origin"
	// NamePrefix begins the name of every object that palisade creates.
	NamePrefix = "palisade-"
	// OpenName is the object of a layer that lets everything through, whatever
	// stands beside it. To write it opens the layer of a namespace in one write, to delete it closes it in one.
	OpenName = NamePrefix + "open"
	// FieldManager is the name under which palisade applies objects.
	FieldManager = "palisade"
)

// Phase orders writes: what allows is written before what denies.
type Phase int

// The phases, in the order in which they are written.
const (
	// PhaseFirst is for what others rest on: an object that lets everything through
	// (OpenName), and lists of clients that allows refer to.
	PhaseFirst Phase = iota - 1
	// PhaseAllow is for objects that only open, or that carry their own allows.
	PhaseAllow
	// PhaseDeny is for objects that close what is not opened elsewhere.
	PhaseDeny
)

// RemovalRank orders deletions of palisade's objects: 0 for what denies, 1 for
// what allows, 2 for what others rest on. The other way round, what is left of a
// namespace's objects would refuse more with every deletion.
func RemovalRank(r Ref) int {
	switch {
	case r.Name == OpenName, r.Kind == "MeshTLSAuthentication", r.Kind == "NetworkAuthentication":
		return 2
	case r.Kind == "Server" && r.Group() == "policy.linkerd.io", r.Kind == "Sidecar" && r.Group() == "networking.istio.io",
		r.Name == NamePrefix+"default", r.Name == NamePrefix+"deny-all", r.Name == NamePrefix+"strict":
		return 0
	default:
		return 1
	}
}

// Object is one API object as a JSON tree: desired (from a compiler) or
// existing (from a cluster or a folder).
type Object struct {
	// Tree holds apiVersion, kind, metadata and the rest, with JSON values
	// only: map[string]any, []any, string, bool, int64, float64, nil.
	Tree map[string]any
	// Phase orders writes of desired objects.
	Phase Phase
	// Source is where an existing object was read.
	Source Source
	// Defaulted are the fields of an existing object that its manifest left out, and
	// that were filled in as the API server does, where it matters that nobody wrote them.
	Defaulted []string
}

// Ref names the object.
func (o Object) Ref() Ref {
	meta, _ := o.Tree["metadata"].(map[string]any)
	return Ref{
		APIVersion: str(o.Tree["apiVersion"]), Kind: str(o.Tree["kind"]),
		Namespace: str(meta["namespace"]), Name: str(meta["name"]),
	}
}

// Labels returns the labels of the object; do not change the map.
func (o Object) Labels() map[string]string { return o.stringMap("labels") }

// Annotations returns the annotations of the object; do not change the map.
func (o Object) Annotations() map[string]string { return o.stringMap("annotations") }

// Owned tells whether the object bears palisade's mark.
func (o Object) Owned() bool { return o.Labels()[ManagedByLabel] == ManagedByValue }

// Map returns the map at a path of keys, or nil.
func (o Object) Map(path ...string) map[string]any {
	at := o.Tree
	for _, key := range path {
		next, _ := at[key].(map[string]any)
		if next == nil {
			return nil
		}
		at = next
	}
	return at
}

// Manages tells whether the API server notes a field manager as an owner of a
// label ("f:labels") or an annotation ("f:annotations"). Manifests in a folder carry no such note.
func (o Object) Manages(manager, field, key string) bool {
	managers, _ := o.Map("metadata")["managedFields"].([]any)
	for _, m := range managers {
		tree, _ := m.(map[string]any)
		if tree["manager"] != manager {
			continue
		}
		owned := Object{Tree: tree}.Map("fieldsV1", "f:metadata", field)
		if _, found := owned["f:"+key]; found {
			return true
		}
	}
	return false
}

func (o Object) stringMap(field string) map[string]string {
	from := o.Map("metadata", field)
	if from == nil {
		return nil
	}
	to := make(map[string]string, len(from))
	for key, value := range from {
		to[key] = str(value)
	}
	return to
}

func str(v any) string {
	s, _ := v.(string)
	return s
}

// CompareObjects orders objects as they are written: by phase, then by reference.
func CompareObjects(a, b Object) int {
	return cmp.Or(cmp.Compare(a.Phase, b.Phase), CompareRefs(a.Ref(), b.Ref()))
}

// ObjectFrom makes an Object of a typed API value by way of its JSON form. It
// drops the empty status and creationTimestamp that typed values carry. It
// panics where v has no JSON form, which no API type does.
func ObjectFrom(v any, phase Phase) Object {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("model: %T has no JSON form: %v", v, err))
	}
	tree := map[string]any{}
	if err := utiljson.Unmarshal(data, &tree); err != nil {
		panic(fmt.Sprintf("model: the JSON form of %T is not an object: %v", v, err))
	}
	delete(tree, "status")
	if meta, ok := tree["metadata"].(map[string]any); ok {
		delete(meta, "creationTimestamp")
	}
	return Object{Tree: tree, Phase: phase}
}

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
)

// Phase orders writes: what allows is written before what denies.
type Phase int

// The phases, in the order in which they are written.
const (
	// PhaseAllow is for objects that only open, or that carry their own allows.
	PhaseAllow Phase = iota
	// PhaseDeny is for objects that close what is not opened elsewhere.
	PhaseDeny
)

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

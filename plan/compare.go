package plan

import (
	"maps"
	"slices"
	"strings"

	"floe.dev/palisade/manifest"
	"floe.dev/palisade/model"
)

// prefix begins the keys of the labels and annotations that are palisade's own.
const prefix = "palisade.floe.dev/"

// serverDefaults are fields that a server fills in where they are left out, so
// that they are no difference where nobody wants them. The paths are below the
// root of the object. Source: the CRDs of Linkerd (policy.linkerd.io Server).
var serverDefaults = map[[2]string]map[string]any{
	{"policy.linkerd.io", "Server"}: {"proxyProtocol": "unknown", "accessPolicy": "deny"},
}

// Same tells whether an existing object says what is desired of it.
func Same(existing, desired *model.Object) bool {
	return equal(view(existing, desired), manifest.Tidy(desired.Tree))
}

// view is what palisade answers for in an existing object, to be held against
// what is desired of it: of the metadata the labels and annotations that it
// writes or wrote; of its own objects all the rest, so that a field it no longer
// wants shows; of a Namespace nothing more.
func view(existing, desired *model.Object) map[string]any {
	tree := map[string]any{}
	if !isNamespace(desired.Ref()) {
		tree = manifest.Tidy(existing.Tree)
		tree["spec"] = withoutDefaults(tree["spec"], desired)
		if tree["spec"] == nil {
			delete(tree, "spec")
		}
	}
	// A server serves one object in several versions.
	tree["apiVersion"], tree["kind"] = desired.Tree["apiVersion"], desired.Tree["kind"]
	tree["metadata"] = viewMetadata(existing, desired)
	return tree
}

// meaningful are annotations by which an object does something else, whoever wrote them.
var meaningful = []string{"istio.io/dry-run"}

func viewMetadata(existing, desired *model.Object) map[string]any {
	meta := map[string]any{}
	from, to := existing.Map("metadata"), desired.Map("metadata")
	for field, want := range to {
		if _, isMap := want.(map[string]any); !isMap {
			if there, ok := from[field]; ok {
				meta[field] = there
			}
		}
	}
	ours := !isNamespace(desired.Ref())
	for _, field := range []string{"labels", "annotations"} {
		there, _ := from[field].(map[string]any)
		want, wanted := to[field].(map[string]any)
		kept := maps.Clone(there)
		maps.DeleteFunc(kept, func(key string, _ any) bool {
			_, ok := want[key]
			ok = ok || ours && (strings.HasPrefix(key, prefix) || slices.Contains(meaningful, key))
			return !ok && !existing.Manages(model.FieldManager, "f:"+field, key)
		})
		if len(kept) > 0 || wanted && len(want) == 0 {
			meta[field] = kept
		}
	}
	return meta
}

// withoutDefaults leaves out what the server filled in and nobody desires.
func withoutDefaults(spec any, desired *model.Object) any {
	tree, ok := spec.(map[string]any)
	defaults := serverDefaults[[2]string{desired.Ref().Group(), desired.Ref().Kind}]
	if !ok || len(defaults) == 0 {
		return spec
	}
	want := desired.Map("spec")
	tree = maps.Clone(tree)
	maps.DeleteFunc(tree, func(field string, value any) bool {
		_, wanted := want[field]
		return !wanted && defaults[field] != nil && defaults[field] == value
	})
	return tree
}

// equal compares JSON values. Numbers are equal by value, however they were read.
func equal(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, equal)
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !equal(a[i], b[i]) {
				return false
			}
		}
		return true
	}
	if x, ok := number(a); ok {
		y, ok := number(b)
		return ok && x == y
	}
	return a == b
}

func number(v any) (float64, bool) {
	switch n := v.(type) {
	case int64:
		return float64(n), true
	case float64:
		return n, true
	default:
		return 0, false
	}
}

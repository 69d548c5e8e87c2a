package manifest

import "maps"

// serverFields are those of the metadata that only a server sets.
var serverFields = []string{"creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation",
	"managedFields", "resourceVersion", "selfLink", "uid"}

// Tidy returns a tree without the status and without what only a server sets
// in the metadata. The tree itself is left as it was, and shares its values.
func Tidy(tree map[string]any) map[string]any {
	tidy := maps.Clone(tree)
	delete(tidy, "status")
	meta, ok := tidy["metadata"].(map[string]any)
	if !ok {
		return tidy
	}
	meta = maps.Clone(meta)
	for _, field := range serverFields {
		delete(meta, field)
	}
	tidy["metadata"] = meta
	return tidy
}

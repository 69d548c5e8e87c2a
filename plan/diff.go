package plan

import (
	"strings"

	"github.com/aymanbagabas/go-udiff"

	"floe.dev/palisade/manifest"
	"floe.dev/palisade/model"
)

// context is how many equal lines a diff shows around each change.
const context = 3

// Diff is the change as the hunks of a unified diff of YAML, without a file
// header. What palisade does not answer for is not in it.
func (c Change) Diff() string {
	before, after := c.sides()
	edits := udiff.Lines(before, after)
	diff, err := udiff.ToUnified("there", "wanted", before, edits, context)
	if err != nil {
		// Edits that were just made of a text fit that text.
		return ""
	}
	for range 2 {
		_, diff, _ = strings.Cut(diff, "\n")
	}
	return diff
}

// sides are the YAML before and after the change.
func (c Change) sides() (before, after string) {
	switch {
	case c.Existing == nil:
		return "", string(manifest.Marshal(*c.Desired))
	case c.Desired == nil:
		return string(manifest.Marshal(*c.Existing)), ""
	default:
		there := model.Object{Tree: view(c.Existing, c.Desired)}
		return string(manifest.Marshal(there)), string(manifest.Marshal(*c.Desired))
	}
}

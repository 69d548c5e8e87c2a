package palisade_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/preflight"
)

const pageOfChecks = "docs/checks.md"

// Each check has a section, in the words of the catalogue, so that the page cannot say another thing than the program.
func TestEveryCheckHasASection(t *testing.T) {
	text := read(t, pageOfChecks)
	var ids []string
	for _, k := range preflight.Catalogue() {
		ids = append(ids, k.ID)
		_, section, found := strings.Cut(text, "\n### "+k.ID+"\n")
		require.True(t, found, "%s has no section %s", pageOfChecks, k.ID)
		section, _, _ = strings.Cut(section, "\n### ")
		first, rest, _ := strings.Cut(section, "\n")
		live := ""
		if k.Live {
			live = " · needs a running cluster"
		}
		assert.Equal(t, "*"+string(k.Category)+"*"+live+" · passes where "+k.What+".", first, k.ID)
		at := 0
		for _, part := range []string{"\n**Looks at** ", "\n**Why it matters.** " + k.Why + "\n", "\n**Fix.** "} {
			next := strings.Index(rest[at:], part)
			if assert.GreaterOrEqual(t, next, 0, "the section %s has no %q, or not in its place", k.ID, part) {
				at += next
			}
		}
		assert.Contains(t, strings.ToLower(rest[at:]), strings.ToLower(k.Fix), k.ID)
		assert.True(t, strings.HasSuffix(k.Link(), "/"+pageOfChecks+"#"+strings.ToLower(k.ID)), k.Link())
	}
	slices.Sort(ids)
	assert.Equal(t, ids, sectionsOf(t, pageOfChecks), "%s explains exactly the checks, sorted", pageOfChecks)
	assert.Len(t, slices.Compact(slices.Clone(ids)), len(ids), "no check may be there twice")
}

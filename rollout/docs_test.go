package rollout_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/rollout"
)

func TestThePageExplainsEveryCodeAndAnnotation(t *testing.T) {
	page, err := os.ReadFile("../docs/rollout.md")
	require.NoError(t, err)
	file, err := parser.ParseFile(token.NewFileSet(), "note.go", nil, 0)
	require.NoError(t, err)
	codes := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || spec.Type != nil {
			return true
		}
		if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
			code, err := strconv.Unquote(lit.Value)
			require.NoError(t, err)
			assert.Contains(t, string(page), "`"+code+"`")
			codes++
		}
		return true
	})
	assert.Greater(t, codes, 30)
	for _, annotation := range []string{
		rollout.AnnotationPause, rollout.AnnotationRelease, rollout.AnnotationBreakGlass,
		rollout.AnnotationBreakGlassReason, rollout.AnnotationBreakGlassBy, rollout.AnnotationBreakGlassUntil,
	} {
		assert.Contains(t, string(page), annotation)
	}
}

package cluster

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// sample reads a sample of a kind as its tree, its defaults filled in.
func sample(t testing.TB, own ownKinds, file string) (*ownKind, map[string]any) {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	objects, faults, _ := (&chunk{file: file, line: 1, text: text}).objects()
	require.Empty(t, faults)
	kind, err := own[objects[0].ref.Kind]()
	require.NoError(t, err)
	kind.admit(objects[0].tree)
	return kind, objects[0].tree
}

// The short ways around the validators must never say yes where these say no.
func TestShortWaysAgreeWithTheValidators(t *testing.T) {
	own, err := newOwnKinds()
	require.NoError(t, err)
	files, err := filepath.Glob("../api/v1alpha1/testdata/*valid/*.yaml")
	require.NoError(t, err)
	require.Greater(t, len(files), 200)
	quick := 0
	for _, file := range files {
		kind, tree := sample(t, own, file)
		fits := len(validation.ValidateCustomResource(nil, tree, kind.schema)) == 0
		if kind.evident.valid(tree, kind.structural) {
			quick++
			assert.True(t, fits, "%s does not fit its schema", file)
		}
		if fits && kind.rules.all != nil {
			broken, _ := kind.rules.all.Validate(context.Background(), nil, kind.structural, tree, nil, celconfig.RuntimeCELCostBudget)
			assert.Equal(t, len(broken) == 0, kind.rules.good(tree), "%s: %v", file, broken)
			assert.Equal(t, len(broken) == 0, kind.rules.good(tree), "%s, a second time", file)
		}
		if strings.Contains(file, "/valid/trafficrule") {
			assert.True(t, kind.evident.valid(tree, kind.structural), "%s takes the long way", file)
		}
	}
	assert.Greater(t, quick, 10)
}

func BenchmarkAdmitRule(b *testing.B) {
	own, err := newOwnKinds()
	require.NoError(b, err)
	kind, tree := sample(b, own, "../api/v1alpha1/testdata/valid/trafficrule-defaults.yaml")
	b.ReportAllocs()
	for b.Loop() {
		require.Empty(b, kind.admit(tree))
	}
}

package budget_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/budget"
	"floe.dev/palisade/model"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden compiles each testdata/<behaviour>.in.yaml, a Model, to its .out.yaml: objects, problems and findings.
// Features: G8.
func TestGolden(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*.in.yaml")
	require.NoError(t, err)
	outputs, err := filepath.Glob("testdata/*.out.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, inputs)
	if !*update {
		require.Len(t, outputs, len(inputs), "an output for each input, and no other")
	}
	for _, input := range inputs {
		base := strings.TrimSuffix(input, ".in.yaml")
		t.Run(filepath.Base(base), func(t *testing.T) {
			data, err := os.ReadFile(input)
			require.NoError(t, err)
			var m model.Model
			require.NoError(t, yaml.UnmarshalStrict(data, &m))
			got := compiled(t, &m)
			if *update {
				require.NoError(t, os.WriteFile(base+".out.yaml", got, 0o644))
			}
			want, err := os.ReadFile(base + ".out.yaml")
			require.NoError(t, err)
			require.Equal(t, string(want), string(got))
		})
	}
}

func compiled(t *testing.T, m *model.Model) []byte {
	t.Helper()
	var out bytes.Buffer
	write := func(v any) {
		data, err := yaml.Marshal(v)
		require.NoError(t, err)
		out.WriteString("---\n")
		out.Write(data)
	}
	objects, problems := budget.Compile(m)
	for _, o := range objects {
		write(o.Tree)
	}
	if len(problems) > 0 {
		write(map[string]any{"problems": problems})
	}
	if findings := budget.Findings(m); len(findings) > 0 {
		write(map[string]any{"findings": findings})
	}
	return out.Bytes()
}

package istio

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/model"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestCompileGolden compiles every testdata/<behaviour>.in.yaml, holds each
// object to its CRD, and compares objects and problems with <behaviour>.out.yaml.
func TestCompileGolden(t *testing.T) {
	schemas := loadSchemas(t)
	inputs, err := filepath.Glob("testdata/*.in.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, inputs)
	for _, input := range inputs {
		name := strings.TrimSuffix(filepath.Base(input), ".in.yaml")
		t.Run(name, func(t *testing.T) {
			d, m := loadFixture(t, input)
			objects, problems := d.Compile(m)
			for _, o := range objects {
				schemas.check(t, o)
			}
			got := render(t, objects, problems)
			golden := strings.TrimSuffix(input, ".in.yaml") + ".out.yaml"
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err, "run with -update to write it")
			require.Equal(t, string(want), got)
		})
	}
}

func TestGoldenFilesHaveInputs(t *testing.T) {
	outputs, err := filepath.Glob("testdata/*.out.yaml")
	require.NoError(t, err)
	for _, output := range outputs {
		require.FileExists(t, strings.TrimSuffix(output, ".out.yaml")+".in.yaml")
	}
}

func render(t *testing.T, objects []model.Object, problems []model.Problem) string {
	t.Helper()
	var b strings.Builder
	for _, o := range objects {
		data, err := yaml.Marshal(o.Tree)
		require.NoError(t, err)
		phase := map[model.Phase]string{model.PhaseFirst: "# phase: first\n", model.PhaseAllow: "# phase: allow\n", model.PhaseDeny: "# phase: deny\n"}[o.Phase]
		b.WriteString(phase + string(data) + "---\n")
	}
	data, err := yaml.Marshal(map[string]any{"problems": problems})
	require.NoError(t, err)
	return b.String() + string(data)
}

// TestCompileIsDeterministic compiles each fixture again, with its lists turned around where order has no meaning.
func TestCompileIsDeterministic(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*.in.yaml")
	require.NoError(t, err)
	for _, input := range inputs {
		d, m := loadFixture(t, input)
		objects, problems := d.Compile(m)
		d, m = loadFixture(t, input)
		slices.Reverse(m.Flows)
		again, problemsAgain := d.Compile(m)
		require.Equal(t, render(t, objects, problems), render(t, again, problemsAgain), input)
	}
}

package linkerd

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

func inputs(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.in.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return files
}

// TestCompileGolden compiles every testdata/<behaviour>.in.yaml, holds each
// object to its schema, and compares all with <behaviour>.out.yaml.
func TestCompileGolden(t *testing.T) {
	schemas := loadSchemas(t)
	for _, input := range inputs(t) {
		name := strings.TrimSuffix(filepath.Base(input), ".in.yaml")
		t.Run(name, func(t *testing.T) {
			d, m := loadFixture(t, input)
			objects, problems := d.Compile(m)
			for _, o := range objects {
				require.Empty(t, schemas.faults(o), o.Ref().String())
			}
			got := render(t, objects, problems, Findings(m))
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

func TestEveryKindIsInAGoldenFile(t *testing.T) {
	seen := map[string]bool{}
	for _, input := range inputs(t) {
		d, m := loadFixture(t, input)
		objects, _ := d.Compile(m)
		for _, o := range objects {
			seen[o.Ref().APIVersion+" "+o.Ref().Kind] = true
		}
	}
	for kind := range loadSchemas(t) {
		require.True(t, seen[kind], "no golden file holds %s", kind)
	}
}

func TestGoldenFilesHaveInputs(t *testing.T) {
	outputs, err := filepath.Glob("testdata/*.out.yaml")
	require.NoError(t, err)
	for _, output := range outputs {
		require.FileExists(t, strings.TrimSuffix(output, ".out.yaml")+".in.yaml")
	}
}

func TestCompileDoesNotDependOnTheOrderOfFlows(t *testing.T) {
	for _, input := range inputs(t) {
		d, m := loadFixture(t, input)
		objects, problems := d.Compile(m)
		want := render(t, objects, problems, Findings(m))
		slices.Reverse(m.Flows)
		objects, problems = d.Compile(m)
		require.Equal(t, want, render(t, objects, problems, Findings(m)), input)
	}
}

// TestNoNameIsWrittenTwice would catch two objects that apply one over the other.
func TestNoNameIsWrittenTwice(t *testing.T) {
	for _, input := range inputs(t) {
		d, m := loadFixture(t, input)
		objects, _ := d.Compile(m)
		seen := map[model.Ref]bool{}
		for _, o := range objects {
			require.False(t, seen[o.Ref()], "%s: %s", input, o.Ref())
			seen[o.Ref()] = true
		}
	}
}

func render(t *testing.T, objects []model.Object, problems []model.Problem, findings []model.Finding) string {
	t.Helper()
	var b strings.Builder
	for _, o := range objects {
		data, err := yaml.Marshal(o.Tree)
		require.NoError(t, err)
		phase := map[model.Phase]string{model.PhaseFirst: "# phase: first\n", model.PhaseAllow: "# phase: allow\n", model.PhaseDeny: "# phase: deny\n"}[o.Phase]
		b.WriteString(phase + string(data) + "---\n")
	}
	data, err := yaml.Marshal(map[string]any{"problems": problems, "findings": findings})
	require.NoError(t, err)
	return b.String() + string(data)
}

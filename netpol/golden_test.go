package netpol_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/model"
	"floe.dev/palisade/netpol"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden compiles each testdata/<behaviour>.in.yaml, a Model, to its .out.yaml: objects and problems.
func TestGolden(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*.in.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, inputs)
	for _, input := range inputs {
		base := strings.TrimSuffix(input, ".in.yaml")
		t.Run(filepath.Base(base), func(t *testing.T) {
			got := compileFile(t, input)
			if *update {
				require.NoError(t, os.WriteFile(base+".out.yaml", got, 0o644))
			}
			want, err := os.ReadFile(base + ".out.yaml")
			require.NoError(t, err)
			require.Equal(t, string(want), string(got))
		})
	}
}

func TestEveryGoldenOutputHasAnInput(t *testing.T) {
	outputs, err := filepath.Glob("testdata/*.out.yaml")
	require.NoError(t, err)
	for _, output := range outputs {
		require.FileExists(t, strings.TrimSuffix(output, ".out.yaml")+".in.yaml")
	}
}

func modelFrom(t testing.TB, file string) *model.Model {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	var m model.Model
	require.NoError(t, yaml.UnmarshalStrict(data, &m))
	return &m
}

func compileFile(t testing.TB, file string) []byte {
	objects, problems := netpol.Compile(modelFrom(t, file))
	policiesOf(t, objects)
	var out bytes.Buffer
	for _, object := range objects {
		data, err := yaml.Marshal(object.Tree)
		require.NoError(t, err)
		out.WriteString("---\n")
		out.Write(data)
	}
	if len(problems) > 0 {
		data, err := yaml.Marshal(map[string]any{"problems": problems})
		require.NoError(t, err)
		out.WriteString("---\n")
		out.Write(data)
	}
	return out.Bytes()
}

func equalJSON(t testing.TB, a, b model.Object) bool {
	t.Helper()
	return reflect.DeepEqual(a.Tree, b.Tree)
}

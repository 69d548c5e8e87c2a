package manifest_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	yamlv3 "go.yaml.in/yaml/v3"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/manifest"
	"floe.dev/palisade/model"
)

var update = flag.Bool("update", false, "write the golden files")

// tree reads a tree as the readers of manifests do, with whole numbers as int64.
func tree(t testing.TB, text []byte) map[string]any {
	t.Helper()
	data, err := yaml.YAMLToJSON(text)
	require.NoError(t, err, "%s", text)
	read := map[string]any{}
	require.NoError(t, utiljson.Unmarshal(data, &read))
	return read
}

func TestObjectsReadAsAPersonWouldWriteThem(t *testing.T) {
	in, err := os.ReadFile(filepath.Join("testdata", "shuffled.in.yaml"))
	require.NoError(t, err)
	var objects []model.Object
	for _, document := range strings.Split(string(in), "\n---\n") {
		objects = append(objects, model.Object{Tree: tree(t, []byte(document))})
	}
	got := manifest.MarshalAll(objects)
	golden := filepath.Join("testdata", "shuffled.out.yaml")
	if *update {
		require.NoError(t, os.WriteFile(golden, got, 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got))
}

func TestStringsThatOldYAMLTakesForOthersAreQuoted(t *testing.T) {
	for _, s := range []string{
		"", "y", "N", "yes", "No", "on", "OFF", "true", "null", "~", "=", "<<", "0", "007", "0o7", "0x1F", "1_000", "1e3", "+.5", ".5", ".inf", ".NaN",
		"12:30", "190:20:30", "190:20:30.15", "2001-01-01", "2001-01-01T00:00:00Z", "0b101", "-", "- a", "a: b", "a #b", "#a", "*", "&a", "!a", "%a", "@a", "`a",
		"{", "[a]", " a", "a ", "\t", "a\tb", "\u0085", "\u2028", "\ufeff", "\x7f", "é", "🚢", "a\nb", "a\n", "\na", " a\nb", "a \nb", "a\n\n", "a\r\nb", "|", ">", "?", ": ", "'", "\"", "\\",
		"1.2.3.4", "v1.37", "latest", "10.0.0.0/8", "*.example.com", "spiffe://x/y",
	} {
		assertRoundTrip(t, map[string]any{"apiVersion": "v1", "kind": "X", "spec": map[string]any{"value": s, "list": []any{s, s}}, "data": map[string]any{s: "x"}})
	}
}

func TestWhatOnlyTheServerSetsIsLeftOut(t *testing.T) {
	o := model.Object{Tree: tree(t, []byte(`
apiVersion: v1
kind: Namespace
metadata: {name: shop, uid: a-b, resourceVersion: "7", creationTimestamp: null, generation: 3, managedFields: [{manager: kubectl}]}
status: {phase: Active}
`))}
	assert.Equal(t, "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n", string(manifest.Marshal(o)))
	assert.Contains(t, o.Tree, "status", "the object itself is left as it was")
	assert.Contains(t, o.Map("metadata"), "uid")
}

// assertRoundTrip reads what is written with the readers of YAML 1.1 (Kubernetes) and 1.2.
func assertRoundTrip(t *testing.T, want map[string]any) {
	t.Helper()
	written := manifest.Marshal(model.Object{Tree: want})
	wantJSON, err := json.Marshal(want)
	require.NoError(t, err)
	asKubernetes, err := yaml.YAMLToJSONStrict(written)
	require.NoError(t, err, "%s", written)
	assert.JSONEq(t, string(wantJSON), string(asKubernetes), "%s", written)
	var other any
	require.NoError(t, yamlv3.Unmarshal(written, &other), "%s", written)
	otherJSON, err := json.Marshal(other)
	require.NoError(t, err)
	assert.JSONEq(t, string(wantJSON), string(otherJSON), "%s", written)
}

func FuzzWhatIsWrittenIsReadBack(f *testing.F) {
	f.Add(`{"spec":{"a":"yes","b":["x\ny\n",1,1.5,null,true,{}],"c":[]}}`)
	f.Add(`{"on":{"190:20":" \n"}}`)
	f.Fuzz(func(t *testing.T, text string) {
		want := map[string]any{}
		if !utf8.ValidString(text) || utiljson.Unmarshal([]byte(text), &want) != nil {
			return
		}
		delete(want, "status")
		if _, ok := want["metadata"]; ok {
			return
		}
		assertRoundTrip(t, want)
	})
}

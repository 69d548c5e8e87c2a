package plan_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/model"
	"floe.dev/palisade/plan"
)

var update = flag.Bool("update", false, "write the golden files")

// scene is one testdata/*.in.yaml: what governs, what is there, what is wanted.
type scene struct {
	Namespaces []struct{ Name, Profile, Enforcement string }
	Held       []model.Hold
	// Allows and Denies are the desired objects by phase.
	Allows, Denies, Existing []map[string]any
	Problems                 []model.Problem
	Findings                 []model.Finding
	Unknown                  map[string]int
}

func load(t *testing.T, path string) (*model.Model, []model.Object, scene) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var s scene
	require.NoError(t, yaml.UnmarshalStrict(text, &s))
	m := &model.Model{Held: s.Held, Cluster: model.Cluster{Mesh: model.Mesh{Kind: model.MeshIstio, Why: "Deployment istio-system/istiod"}}}
	for _, n := range s.Namespaces {
		namespace := model.Namespace{Name: n.Name}
		if n.Profile != "" {
			namespace.Posture = &model.Posture{Profile: n.Profile, Enforcement: model.Enforcement(n.Enforcement)}
		}
		m.Namespaces = append(m.Namespaces, namespace)
	}
	for _, tree := range s.Existing {
		m.Existing = append(m.Existing, model.Object{Tree: whole(tree).(map[string]any)})
	}
	var desired []model.Object
	for _, tree := range s.Allows {
		desired = append(desired, model.Object{Tree: whole(tree).(map[string]any), Phase: model.PhaseAllow})
	}
	for _, tree := range s.Denies {
		desired = append(desired, model.Object{Tree: whole(tree).(map[string]any), Phase: model.PhaseDeny})
	}
	return m, desired, s
}

// whole makes whole numbers int64, as readers do.
func whole(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			v[key] = whole(v[key])
		}
	case []any:
		for i := range v {
			v[i] = whole(v[i])
		}
	case float64:
		if v == float64(int64(v)) {
			return int64(v)
		}
	}
	return v
}

func TestScenes(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*.in.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, inputs)
	for _, input := range inputs {
		name := strings.TrimSuffix(filepath.Base(input), ".in.yaml")
		t.Run(name, func(t *testing.T) {
			m, desired, s := load(t, input)
			p := plan.Compute(m, desired, s.Problems, s.Findings, s.Unknown)
			var text bytes.Buffer
			text.WriteString(p.Understood() + "\n\n")
			text.Write(p.Text(plan.TextOptions{}))
			for _, problem := range p.Problems {
				text.WriteString(string(problem.Severity) + " " + problem.Code + " " + problem.Subject.String() + "\n")
			}
			text.WriteString(p.Summary.String() + "\n")
			assertGolden(t, filepath.Join("testdata", name+".out.txt"), text.String())
			assertValid(t, p)
		})
	}
}

func TestEveryGoldenFileHasAnInput(t *testing.T) {
	outputs, err := filepath.Glob("testdata/*.out.txt")
	require.NoError(t, err)
	for _, output := range outputs {
		assert.FileExists(t, strings.TrimSuffix(output, ".out.txt")+".in.yaml")
	}
}

func TestNothingIsWrittenWhereAProfileObservesOrANameIsTaken(t *testing.T) {
	m, desired, _ := load(t, "testdata/observed-and-taken.in.yaml")
	var names []string
	for _, o := range plan.Writes(m, desired) {
		names = append(names, o.Ref().String())
	}
	assert.Equal(t, []string{"NetworkPolicy shop/palisade-web", "Namespace shop"}, names)
}

func TestAPlanIsTheSameHoweverItsInputsAreOrdered(t *testing.T) {
	m, desired, s := load(t, "testdata/shop.in.yaml")
	forward := plan.Compute(m, desired, s.Problems, s.Findings, nil)
	reversed := *m
	reversed.Existing = nil
	for i := range m.Existing {
		reversed.Existing = append(reversed.Existing, m.Existing[len(m.Existing)-1-i])
	}
	var other []model.Object
	for i := range desired {
		other = append(other, desired[len(desired)-1-i])
	}
	backward := plan.Compute(&reversed, other, s.Problems, s.Findings, nil)
	assert.Equal(t, string(forward.Text(plan.TextOptions{})), string(backward.Text(plan.TextOptions{})))
}

func TestWithoutDiffsAChangeIsOneLine(t *testing.T) {
	m, desired, _ := load(t, "testdata/shop.in.yaml")
	text := string(plan.Compute(m, desired, nil, nil, nil).Text(plan.TextOptions{NoDiff: true}))
	assert.NotContains(t, text, "apiVersion")
	assert.Contains(t, text, "~ NetworkPolicy shop/palisade-cart (3 lines added, 0 removed)\n+ NetworkPolicy shop/palisade-web (17 lines)\n")
}

func TestColoursGoByWhatALineIs(t *testing.T) {
	m, desired, _ := load(t, "testdata/shop.in.yaml")
	paint := func(what, text string) string { return "<" + what + ">" + text + "</>" }
	text := string(plan.Compute(m, desired, nil, nil, nil).Text(plan.TextOptions{Paint: paint}))
	for _, want := range []string{"<title>Namespace shop, profile strict</>", "<add>+ NetworkPolicy shop/palisade-web</> (", "<change>~ ", "<remove>- ", "<hunk>@@ ", "<add>+apiVersion"} {
		assert.Contains(t, text, want)
	}
}

func TestThePlanOfAnEmptyClusterIsValid(t *testing.T) {
	p := plan.Compute(&model.Model{}, nil, nil, nil, nil)
	assertValid(t, p)
	assert.Equal(t, "Plan: 0 to create, 0 to change, 0 to delete, 0 unchanged · no problems · no findings", p.Summary.String())
	assert.Equal(t, "No mesh, 0 namespaces governed of 0, 0 workloads, 0 flows", p.Understood())
}

// assertValid holds the JSON form against the published schema.
func assertValid(t *testing.T, p plan.Plan) {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile("../docs/schemas/plan.json")
	require.NoError(t, err)
	data, err := json.Marshal(p.Document())
	require.NoError(t, err)
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	require.NoError(t, err)
	assert.NoError(t, schema.Validate(document))
}

func assertGolden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
}

func TestWhatIsWrittenOverAnObjectIsAsOldAsThatObject(t *testing.T) {
	old := model.ObjectFrom(map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{"a": "1"},
		"metadata": map[string]any{"name": "palisade-x", "namespace": "shop", "creationTimestamp": "2026-01-01T00:00:00Z", "labels": map[string]any{model.ManagedByLabel: model.ManagedByValue}},
	}, model.PhaseAllow)
	old.Tree["metadata"].(map[string]any)["creationTimestamp"] = "2026-01-01T00:00:00Z"
	wanted := model.ObjectFrom(map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{"a": "2"},
		"metadata": map[string]any{"name": "palisade-x", "namespace": "shop", "labels": map[string]any{model.ManagedByLabel: model.ManagedByValue}},
	}, model.PhaseAllow)
	p := plan.Plan{Changes: []plan.Change{{Action: plan.Update, Ref: wanted.Ref(), Desired: &wanted, Existing: &old}}}
	after := p.After([]model.Object{old}, false)
	require.Len(t, after, 1)
	assert.Equal(t, "2", after[0].Map("data")["a"])
	assert.Equal(t, "2026-01-01T00:00:00Z", after[0].Map("metadata")["creationTimestamp"])
	assert.NotContains(t, wanted.Map("metadata"), "creationTimestamp", "what will be written stays as it is")
}

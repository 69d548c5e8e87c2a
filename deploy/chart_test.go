package deploy_test

import (
	"bytes"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/deploy"
)

const (
	chart    = "chart/palisade"
	manifest = "manifests/palisade.yaml"
)

var update = flag.Bool("update", false, "write what the chart renders as the golden files and the manifests")

// helm runs Helm with a home of its own, so that nobody's plugins and settings count.
func helm(t *testing.T, args ...string) (out, notes string, err error) {
	t.Helper()
	home := t.TempDir()
	c := exec.CommandContext(t.Context(), tool(t, "PALISADE_HELM"), args...)
	c.Env = append(os.Environ(), "HELM_CONFIG_HOME="+home, "HELM_CACHE_HOME="+home, "HELM_DATA_HOME="+home, "KUBECONFIG="+os.DevNull)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	err = c.Run()
	return stdout.String(), stderr.String(), err
}

// cases are the values for which there are golden files, by name.
func cases(t *testing.T) []string {
	t.Helper()
	in, err := filepath.Glob("testdata/chart/*.in.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, in)
	var names []string
	for _, path := range in {
		names = append(names, strings.TrimSuffix(filepath.Base(path), ".in.yaml"))
	}
	return names
}

func golden(name string) string { return filepath.Join("testdata/chart", name+".out.yaml") }
func values(name string) string { return filepath.Join("testdata/chart", name+".in.yaml") }

// renderings are all files that are rendered from the chart.
func renderings(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{"manifests": manifest}
	for _, name := range cases(t) {
		all[name] = golden(name)
	}
	return all
}

func TestChartRendersAsBefore(t *testing.T) {
	render := func(t *testing.T, file string, args ...string) {
		out, notes, err := helm(t, append([]string{"template", "palisade", chart, "--namespace", "palisade-system"}, args...)...)
		require.NoError(t, err, notes)
		assert.Empty(t, notes, "%s: Helm warns", file)
		if *update {
			require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
			require.NoError(t, os.WriteFile(file, []byte(out), 0o600))
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Equal(t, string(want), out, "%s; make generate writes it anew", file)
	}
	for _, name := range cases(t) {
		t.Run(name, func(t *testing.T) { render(t, golden(name), "--values", values(name)) })
	}
	render(t, manifest, "--set", "namespace.create=true")
}

func TestEveryGoldenFileHasItsValues(t *testing.T) {
	out, err := filepath.Glob("testdata/chart/*.out.yaml")
	require.NoError(t, err)
	assert.Len(t, out, len(cases(t)))
	for _, path := range out {
		assert.FileExists(t, strings.TrimSuffix(path, ".out.yaml")+".in.yaml")
	}
}

func TestHelmFindsNoFaultInTheChart(t *testing.T) {
	out, notes, err := helm(t, "lint", "--strict", chart)
	assert.NoError(t, err, out+notes)
}

func TestNotesSayWhatBecomesOfPoliciesOnUninstalling(t *testing.T) {
	out, notes, err := helm(t, "install", "palisade", chart, "--namespace", "palisade-system", "--dry-run=client")
	require.NoError(t, err, notes)
	_, text, found := strings.Cut(out, "NOTES:")
	require.True(t, found, out)
	for _, want := range []string{"leaves everything in force", "Uninstalling", "enforcement: Observe", "pod-security.kubernetes.io/enforce=restricted", "palisade.floe.dev/admission=strict", "open to any address"} {
		assert.Contains(t, text, want)
	}
}

// The chart has copies, as it must be whole by itself.
func TestFilesOfTheChartAreCopies(t *testing.T) {
	pairs := map[string]string{
		"alerts/palisade.rules.yaml": chart + "/files/palisade.rules.yaml",
		"dashboards/palisade.json":   chart + "/files/palisade.json",
	}
	crds, err := fs.Glob(deploy.CRDs, "crds/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, crds)
	for _, crd := range crds {
		pairs[crd] = filepath.Join(chart, "files", crd)
	}
	for from, to := range pairs {
		want, err := os.ReadFile(from)
		require.NoError(t, err)
		got, err := os.ReadFile(to)
		require.NoError(t, err)
		assert.Equal(t, string(want), string(got), "%s; make generate copies %s", to, from)
	}
	copies, err := filepath.Glob(chart + "/files/crds/*")
	require.NoError(t, err)
	assert.Len(t, copies, len(crds))
}

// refusals are values that are wrong, each in one way, with what must be said of them.
var refusals = map[string]struct{ values, says string }{
	"a slip at the top":                 {`{"replicsa": 3}`, "replicsa"},
	"a slip in the depth":               {`{"networkPolicy": {"prometheus": {"form": []}}}`, "form"},
	"no replica":                        {`{"replicas": 0}`, "replicas"},
	"a number as text":                  {`{"replicas": "2"}`, "replicas"},
	"a mesh that palisade has not":      {`{"mesh": {"name": "cilium"}}`, "name"},
	"an address without a length":       {`{"networkPolicy": {"apiServer": {"cidrs": ["172.18.0.2"]}}}`, "cidrs"},
	"no port of the API server":         {`{"networkPolicy": {"apiServer": {"ports": []}}}`, "ports"},
	"a selector that finds everything":  {`{"networkPolicy": {"prometheus": {"from": [{"namespaceSelector": {"matchLabels": {}}, "podSelector": {"matchLabels": {"a": "b"}}}]}}}`, "namespaceSelector"},
	"a peer of any namespace":           {`{"networkPolicy": {"prometheus": {"from": [{"podSelector": {"matchLabels": {"a": "b"}}}]}}}`, "namespaceSelector"},
	"a digest that is none":             {`{"image": {"digest": "latest"}}`, "digest"},
	"a wildcard of resources":           {`{"rbac": {"extraReadRules": [{"apiGroups": [""], "resources": ["*"]}]}}`, "resources"},
	"a verb that is not for reading":    {`{"rbac": {"extraReadRules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}]}}`, "verbs"},
	"a timeout that holds everybody up": {`{"admission": {"timeoutSeconds": 30}}`, "timeoutSeconds"},
	"an argument that is no flag":       {`{"extraArgs": ["verify"]}`, "extraArgs"},
}

// What Helm makes of values that are null is to leave them out.
var deletions = map[string]struct{ path, says string }{
	"no peers":      {"networkPolicy.prometheus.from", "from"},
	"no policy":     {"networkPolicy.enabled", "enabled"},
	"no replicas":   {"replicas", "replicas"},
	"no exclusions": {"mesh.controlPlaneNamespaces", "controlPlaneNamespaces"},
}

func TestHelmRefusesWrongValues(t *testing.T) {
	for name, test := range refusals {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "values.yaml")
			require.NoError(t, os.WriteFile(file, []byte(test.values), 0o600))
			_, notes, err := helm(t, "template", "palisade", chart, "--values", file)
			require.Error(t, err)
			assert.Contains(t, notes, test.says)
		})
	}
	for name, test := range deletions {
		t.Run(name, func(t *testing.T) {
			_, notes, err := helm(t, "template", "palisade", chart, "--set", test.path+"=null")
			require.Error(t, err)
			assert.Contains(t, notes, test.says)
		})
	}
}

func TestSchemaRefusesWrongValues(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile(chart + "/values.schema.json")
	require.NoError(t, err)
	defaults := func() map[string]any {
		text, err := os.ReadFile(chart + "/values.yaml")
		require.NoError(t, err)
		var tree map[string]any
		require.NoError(t, yaml.Unmarshal(text, &tree))
		return tree
	}
	require.NoError(t, schema.Validate(defaults()), "the defaults are good")
	for name, test := range refusals {
		t.Run(name, func(t *testing.T) {
			var over map[string]any
			require.NoError(t, yaml.Unmarshal([]byte(test.values), &over))
			err := schema.Validate(merge(defaults(), over))
			require.Error(t, err)
			assert.Contains(t, err.Error(), test.says)
		})
	}
	for _, name := range cases(t) {
		text, err := os.ReadFile(values(name))
		require.NoError(t, err)
		var over map[string]any
		require.NoError(t, yaml.Unmarshal(text, &over))
		assert.NoError(t, schema.Validate(merge(defaults(), over)), name)
	}
}

// merge lays values over others as Helm does.
func merge(under, over map[string]any) map[string]any {
	for key, value := range over {
		below, both := under[key].(map[string]any)
		if above, is := value.(map[string]any); both && is {
			value = merge(below, above)
		}
		under[key] = value
	}
	return under
}

// Every value is explained, or stands below one that is.
func TestSchemaAndValuesKnowTheSameNames(t *testing.T) {
	text, err := os.ReadFile(chart + "/values.yaml")
	require.NoError(t, err)
	var tree map[string]any
	require.NoError(t, yaml.Unmarshal(text, &tree))
	data, err := os.ReadFile(chart + "/values.schema.json")
	require.NoError(t, err)
	var schema map[string]any
	require.NoError(t, yaml.Unmarshal(data, &schema))
	assert.Empty(t, unlike("", schema, tree))
}

// unlike lists names that either a schema or values have, and not both. Where a
// schema refers to a definition, what is below is free, and is not looked at.
func unlike(path string, schema, tree map[string]any) []string {
	properties, _ := schema["properties"].(map[string]any)
	if properties == nil || schema["additionalProperties"] != false {
		return nil
	}
	var list []string
	for name := range tree {
		if properties[name] == nil {
			list = append(list, "no schema: "+path+name)
		}
	}
	for name, below := range properties {
		value, there := tree[name]
		required, _ := schema["required"].([]any)
		if !there && len(required) > 0 && path+name != "global" {
			list = append(list, "no default: "+path+name)
		}
		inner, _ := value.(map[string]any)
		if len(inner) > 0 {
			list = append(list, unlike(path+name+".", below.(map[string]any), inner)...)
		}
	}
	return list
}

package engine_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/cluster"
	"floe.dev/palisade/engine"
	"floe.dev/palisade/pss"
)

// kinds in which a fixture is tried: by itself, and as what controllers make pods of.
var fixtureKinds = map[string]func(spec, meta any) (apiVersion string, tree map[string]any){
	"Pod": func(spec, _ any) (string, map[string]any) { return "v1", map[string]any{"spec": spec} },
	"Deployment": func(spec, meta any) (string, map[string]any) {
		return "apps/v1", map[string]any{"spec": map[string]any{
			"selector": map[string]any{"matchLabels": map[string]any{"app": "fixture"}},
			"template": map[string]any{"metadata": meta, "spec": spec},
		}}
	},
	"CronJob": func(spec, meta any) (string, map[string]any) {
		return "batch/v1", map[string]any{"spec": map[string]any{"schedule": "@daily", "jobTemplate": map[string]any{"spec": map[string]any{
			"template": map[string]any{"metadata": meta, "spec": spec},
		}}}}
	},
}

// Every pod by which Kubernetes tests its own checks, for every version to which they can be pinned, goes through the
// reader with its defaults and the planner, alone and in the templates of controllers.
// Features: G2.
func TestFixturesOfKubernetesComeToTheLevelThatTheyAreFor(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/pod-security-admission").Output()
	require.NoError(t, err)
	folders, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "test/testdata/*/*/*"))
	require.NoError(t, err)
	require.NotEmpty(t, folders)
	judged := 0
	for _, folder := range folders {
		outcome, version := filepath.Base(folder), filepath.Base(filepath.Dir(folder))
		level := filepath.Base(filepath.Dir(filepath.Dir(folder)))
		files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
		require.NoError(t, err)
		l := planned(t, version, files)
		require.Len(t, l.Namespaces, len(files)*len(fixtureKinds))
		for _, n := range l.Namespaces {
			judged++
			require.Equal(t, 1, n.Workloads, "of %s in %s", n.Namespace, folder)
			if got := len(n.InTheWay(level)) == 0; got != (outcome == "pass") {
				t.Errorf("%s %s, %s: the fixture is to %s, and its level is %s", level, version, n.Namespace, outcome, n.Highest)
			}
			if outcome == "fail" {
				where(t, n, level)
			}
		}
	}
	t.Logf("%d workloads judged", judged)
	assert.Greater(t, judged, 10_000)
}

// where demands that every refusal names a field and a fix.
func where(t *testing.T, n pss.NamespaceLevels, level string) {
	t.Helper()
	for _, o := range n.InTheWay(level) {
		for _, v := range o.Violations {
			if len(v.Fields) == 0 || v.Fix == "" {
				t.Errorf("%s: %s names no field, or no fix: %v %q", n.Namespace, v.Check, v.Fields, v.Fix)
			}
		}
	}
}

// planned reads fixtures, each in every kind and in a namespace of its own, and plans their levels.
func planned(t *testing.T, version string, files []string) engine.Levels {
	t.Helper()
	var input bytes.Buffer
	fmt.Fprintf(&input, `{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "status": {"nodeInfo": {"kubeletVersion": "%s.0"}}}`, version)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		var pod map[string]any
		require.NoError(t, yaml.Unmarshal(data, &pod))
		annotations := pod["metadata"].(map[string]any)["annotations"]
		for kind, wrap := range fixtureKinds {
			apiVersion, tree := wrap(pod["spec"], map[string]any{"labels": map[string]any{"app": "fixture"}, "annotations": annotations})
			tree["apiVersion"], tree["kind"] = apiVersion, kind
			namespace := strings.TrimSuffix(strings.ReplaceAll(filepath.Base(file), "_", "-"), ".yaml") + "-" + strings.ToLower(kind)
			tree["metadata"] = map[string]any{"name": "fixture", "namespace": namespace, "annotations": annotations}
			object, err := json.Marshal(tree)
			require.NoError(t, err)
			input.WriteString("\n---\n")
			input.Write(object)
		}
	}
	s, err := cluster.Read([]string{"-"}, &input, cluster.Options{})
	require.NoError(t, err)
	l := engine.PlanLevels(s, engine.Options{Given: engine.Given{Mesh: "none"}, Now: noon})
	require.Equal(t, version, l.Version)
	return l
}

// Trap 30: one template, four meshes. The init container that sets up redirection fails baseline; a CNI plugin and ambient need none.
// Features: G2.
func TestTheLevelOfATemplateCountsWhatTheMeshWillInject(t *testing.T) {
	const hardened = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      containers: [{name: web, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]
`
	for name, c := range map[string]struct {
		manifests []string
		highest   string
		injected  string
	}{
		"no mesh":                   {[]string{plainShop}, "restricted", ""},
		"istio, no CNI plugin":      {[]string{istio, sidecarShop}, "privileged", "istio-init"},
		"istio with its CNI plugin": {[]string{istio, istioCNI, sidecarShop}, "restricted", ""},
		"linkerd, no CNI plugin":    {[]string{linkerd, linkerdShop}, "privileged", "linkerd-init"},
	} {
		t.Run(name, func(t *testing.T) {
			s := snapshot(t, append(c.manifests, facts, kubeDNS, hardened)...)
			l := engine.PlanLevels(s, engine.Options{Now: noon})
			for _, n := range l.Namespaces {
				if n.Namespace != "shop" {
					continue
				}
				assert.Equal(t, c.highest, n.Highest)
				assert.Equal(t, c.injected == "", n.Ready)
				if c.injected != "" {
					require.NotEmpty(t, n.Obstacles)
					assert.Contains(t, n.Obstacles[0].Violations[0].Injected, c.injected)
					assert.Contains(t, n.Obstacles[0].Violations[0].Fix, "CNI")
				}
				return
			}
			t.Fatal("the namespace shop is not in the plan")
		})
	}
}

func TestTheVersionIsThatOfTheNewestKubelet(t *testing.T) {
	node := `{apiVersion: v1, kind: Node, metadata: {name: %s}, status: {nodeInfo: {kubeletVersion: "%s"}}}`
	s := snapshot(t, fmt.Sprintf(node, "a", "v1.9.3"), fmt.Sprintf(node, "b", "v1.35.2+k3s1"), fmt.Sprintf(node, "c", "unknown"))
	assert.Equal(t, "v1.35", engine.PlanLevels(s, engine.Options{}).Version)
	assert.Empty(t, engine.PlanLevels(snapshot(t, plainShop), engine.Options{}).Version)
}

// snapshot reads manifests.
func snapshot(t *testing.T, manifests ...string) *engine.Snapshot {
	t.Helper()
	s, err := cluster.Read([]string{"-"}, strings.NewReader(strings.Join(manifests, "\n---\n")), cluster.Options{})
	require.NoError(t, err)
	return s
}

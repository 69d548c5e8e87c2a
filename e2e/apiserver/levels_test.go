package apiserver

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// levelled is what these tests read of a namespace in palisade levels -o json.
type levelled struct {
	Namespace, Highest string
	Workloads          int
	Obstacles          []struct {
		Workload   struct{ Name string }
		Violations []struct{ Level string }
	}
}

// templated are Deployments of which the server's dry run of a label says nothing: it looks at pods that run.
const templated = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s, namespace: guarded}
spec:
  replicas: 0
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec: {hostPID: %[2]t, containers: [{name: app, image: "registry.example/app:1"}]}
`

// TestLevelsOfARunningClusterAreTheServersOwn has palisade read the cluster, and asks the
// server by the dry run of a label which of the pods that run there each level would refuse.
// Features: G2.
func TestLevelsOfARunningClusterAreTheServersOwn(t *testing.T) {
	intent := write(t, "intent.yaml", fmt.Appendf(nil, profile, "privileged"))
	s := newServer(t)
	pods := read(t, []string{"testdata/pods.yaml"})
	s.given(t, read(t, []string{intent}))
	s.given(t, pods)
	s.given(t, decode(t, fmt.Appendf(nil, templated, "hostpid", true)))
	s.given(t, decode(t, fmt.Appendf(nil, templated, "plain-template", false)))

	var plan struct{ Namespaces []levelled }
	require.NoError(t, json.Unmarshal([]byte(palisade(t, "levels", "--kubeconfig", kubeconfig(t, ""), "--mesh", "none", "-o", "json").out), &plan))
	i := slices.IndexFunc(plan.Namespaces, func(n levelled) bool { return n.Namespace == "guarded" })
	require.GreaterOrEqual(t, i, 0)
	guarded := plan.Namespaces[i]
	assert.Equal(t, "privileged", guarded.Highest)
	assert.Equal(t, len(pods)+2, guarded.Workloads)
	for _, level := range []string{"baseline", "restricted"} {
		found := map[string]bool{}
		for _, o := range guarded.Obstacles {
			for _, v := range o.Violations {
				if v.Level == "baseline" || level == "restricted" {
					found[o.Workload.Name] = true
				}
			}
		}
		assert.True(t, found["hostpid"], "a template counts")
		assert.Equal(t, level == "restricted", found["plain-template"])
		labelled := decode(t, fmt.Appendf(nil, "{apiVersion: v1, kind: Namespace, metadata: {name: guarded, labels: {pod-security.kubernetes.io/enforce: %s}}}", level))
		_, err := s.apply(t, "palisade", labelled[0], true)
		require.NoError(t, err)
		warned := strings.Join(s.warnings.take(), "\n")
		require.NotEmpty(t, warned)
		for _, pod := range pods {
			assert.Equal(t, strings.Contains(warned, pod.GetName()), found[pod.GetName()], "pod %s at %s, of which the server warns %q", pod.GetName(), level, warned)
		}
	}
}

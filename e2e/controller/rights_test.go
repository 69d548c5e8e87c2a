package controller

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/tools/clientcmd"
)

// lacking is what palisade check says that a user lacks to be the controller, as ClusterRole rules and, by namespace, Role rules.
func (l *lab) lacking(user string) (clusterWide []string, within map[string][]string) {
	l.Helper()
	c := exec.Command(binary, "check", "--kubeconfig", plane.Kubeconfig, "--as", user, "--for", "controller", "--mesh", "none", "--only", "permissions", "-o", "json")
	out, _ := c.Output() // the exit code tells what the document does
	var report struct {
		Checks []struct{ Details []string }
	}
	require.NoError(l, json.Unmarshal(out, &report), "%s", out)
	within = map[string][]string{}
	for _, check := range report.Checks {
		for _, line := range check.Details {
			permission, _, found := strings.Cut(line, ": may not")
			require.True(l, found, line)
			permission, namespace, _ := strings.Cut(permission, " in ")
			words := strings.Fields(permission) // verb, resource.group/subresource, name
			path, subresource, sub := strings.Cut(words[1], "/")
			resource, group, _ := strings.Cut(path, ".")
			if sub {
				resource += "/" + subresource
			}
			rule := fmt.Sprintf(`- {apiGroups: ["%s"], resources: ["%s"], verbs: ["%s"]`, group, resource, words[0])
			if len(words) > 2 {
				rule += fmt.Sprintf(`, resourceNames: ["%s"]`, words[2])
			}
			if rule += "}"; namespace == "" {
				clusterWide = append(clusterWide, rule)
			} else {
				within[namespace] = append(within[namespace], rule)
			}
		}
	}
	return clusterWide, within
}

// TestTheRightsThatCheckNamesAreThoseOfAController grants somebody what palisade check
// says that is lacking, and not a right more; a controller then goes its whole way by these.
func TestTheRightsThatCheckNamesAreThoseOfAController(t *testing.T) {
	l := newLab(t)
	user := "controller-of-" + l.name
	clusterWide, within := l.lacking(user)
	require.Greater(t, len(clusterWide), 60)
	role := func(kind, namespace string, rules []string) {
		metadata := fmt.Sprintf("{name: %s", user)
		if namespace != "" {
			metadata += ", namespace: " + namespace
		}
		l.apply(fmt.Sprintf(`
apiVersion: rbac.authorization.k8s.io/v1
kind: %[1]s
metadata: %[2]s}
rules:
%[3]s
---
apiVersion: rbac.authorization.k8s.io/v1
kind: %[1]sBinding
metadata: %[2]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: %[1]s, name: %[4]s}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: %[4]s}]
`, kind, metadata, strings.Join(rules, "\n"), user))
	}
	role("ClusterRole", "", clusterWide)
	for namespace, rules := range within {
		role("Role", namespace, rules)
	}
	l.eventually(10*time.Second, func() string { // the authorizer learns of roles by watching them
		left, leftWithin := l.lacking(user)
		if len(left)+len(leftWithin) > 0 {
			return fmt.Sprint("still lacking: ", left, leftWithin)
		}
		return ""
	})

	config, err := clientcmd.LoadFromFile(plane.Kubeconfig)
	require.NoError(t, err)
	for _, auth := range config.AuthInfos {
		auth.Impersonate = user
	}
	data, err := clientcmd.Write(*config)
	require.NoError(t, err)
	home := l.namespace("home")
	p := l.controllerAt(save(t, "kubeconfig", string(data)), "--leader-elect=true")
	l.apply(plain)
	l.eventually(40*time.Second, l.governed(home))

	c := exec.Command(binary, "check", "--kubeconfig", plane.Kubeconfig, "--only", "ControllerLeads,DefinitionsCurrent", "--fail-on", "warning")
	out, err := c.CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Contains(t, string(out), "✓ ControllerLeads one controller of palisade runs, if any, and leads: Lease palisade-system/palisade: held by ")

	// Drift is mended, by taking out what somebody added, which apply alone would leave.
	policy := l.names(networkPolicies, home)[0]
	before := l.get(networkPolicies, home, policy).Object["spec"]
	l.patch(networkPolicies, home, policy, `{"spec": {"podSelector": {"matchLabels": {"somebody": "else"}}}}`)
	l.eventually(20*time.Second, func() string {
		if fmt.Sprint(l.get(networkPolicies, home, policy).Object["spec"]) != fmt.Sprint(before) {
			return "the drift is still there"
		}
		return ""
	})
	// An object of the intent is told how it stands, and what is no longer wanted goes.
	l.apply("apiVersion: palisade.floe.dev/v1alpha1\nkind: TrafficRule\nmetadata: {name: api, namespace: " + home + "}\nspec: {to: {matchLabels: {app: api}}, from: [{pods: {}}], ports: [{port: 9000}]}")
	l.eventually(20*time.Second, func() string {
		if o := l.get(rules, home, "api"); len(o.Object) == 0 || o.Object["status"] == nil {
			return "the rule has no status"
		}
		return ""
	})
	l.delete(rules, home, "api")
	l.delete(profiles, "", l.name)
	l.eventually(30*time.Second, func() string {
		if left := l.names(networkPolicies, home); len(left) > 0 {
			return fmt.Sprint("still there: ", left)
		}
		return ""
	})
	time.Sleep(time.Second)
	for _, line := range strings.Split(p.log.String(), "\n") {
		assert.NotContains(t, line, "forbidden")
	}
}

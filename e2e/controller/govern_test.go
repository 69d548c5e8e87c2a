package controller

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestNamespaceIsGovernedWithinFiveSecondsOfItsCreation(t *testing.T) {
	l := newLab(t)
	l.apply(plain)
	l.controller()
	l.eventually(20*time.Second, l.condition(profiles, "", l.name, "Ready", "True"))
	for i := range 3 {
		home := l.namespace(fmt.Sprintf("home%d", i))
		took := l.eventually(5*time.Second, l.governed(home))
		t.Logf("governed after %s", took)
		assert.NotEmpty(t, l.names(networkPolicies, home))
		assert.Equal(t, "baseline", l.get(namespaceKind, "", home).GetLabels()["pod-security.kubernetes.io/enforce"])
	}
}

// shop is two workloads in a namespace that exist before the profile, and a rule between them.
const shop = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: LAB-home}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "registry.example/web:1", ports: [{containerPort: 8080}]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: LAB-home}
spec:
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec: {containers: [{name: api, image: "registry.example/api:1", ports: [{containerPort: 9000}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: api, namespace: LAB-home}
spec: {selector: {app: api}, ports: [{port: 80, targetPort: 9000}]}
---
apiVersion: palisade.floe.dev/v1alpha1
kind: TrafficRule
metadata: {name: api, namespace: LAB-home}
spec:
  to: {matchLabels: {app: api}}
  from: [{pods: {podSelector: {matchLabels: {app: web}}}}]
  ports: [{port: 9000}]
`

// available marks a Deployment as available or not, in the place of the Deployment controller and a kubelet, which do not run here.
func (l *lab) available(namespace string, is bool, names ...string) {
	l.Helper()
	status := map[bool]string{true: "True", false: "False"}[is]
	for _, name := range names {
		l.patch(deployments, namespace, name, `{"status": {"observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "conditions": [{"type": "Available", "status": "`+status+`"}]}}`, "status")
	}
}

// shop makes the shop, all of it available.
func (l *lab) shop() string {
	l.Helper()
	home := l.namespace("home")
	l.apply(shop)
	l.available(home, true, "web", "api")
	return home
}

// Features: G1.
func TestDriftIsRepairedWithinFiveSecondsAndNothingForeignIsTouched(t *testing.T) {
	l := newLab(t)
	home := l.shop()
	foreign := l.apply(`
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: somebody-elses, namespace: LAB-home, labels: {team: a}}
spec: {podSelector: {matchLabels: {app: other}}, policyTypes: [Ingress], ingress: [{}]}
`)[0]
	l.patch(namespaceKind, "", home, `{"metadata": {"labels": {"team": "a"}, "annotations": {"note": "kept"}}}`)
	l.apply(plain)
	l.controller()
	l.eventually(30*time.Second, l.governed(home))
	names := l.names(networkPolicies, home)
	require.Greater(t, len(names), 2)
	before := map[string]any{}
	for _, o := range l.list(networkPolicies, home) {
		before[o.GetName()] = o.Object["spec"]
	}
	mended := func() string {
		for name, spec := range before {
			o := l.get(networkPolicies, home, name)
			if o == nil {
				return name + " is gone"
			}
			if fmt.Sprint(o.Object["spec"]) != fmt.Sprint(spec) {
				return fmt.Sprintf("%s has the spec %v", name, o.Object["spec"])
			}
		}
		return ""
	}
	ours := "palisade-default"
	if _, has := before[ours]; !has {
		for name := range before {
			if strings.HasPrefix(name, "palisade-") {
				ours = name
			}
		}
	}

	l.patch(networkPolicies, home, ours, `{"spec": {"ingress": [{}], "policyTypes": ["Ingress", "Egress"]}, "metadata": {"labels": {"kept": "yes"}}}`)
	t.Logf("a changed policy was mended after %s", l.eventually(5*time.Second, mended))
	assert.Equal(t, "yes", l.get(networkPolicies, home, ours).GetLabels()["kept"], "a label of somebody else's on our object")

	l.delete(networkPolicies, home, ours)
	t.Logf("a deleted policy was mended after %s", l.eventually(5*time.Second, mended))

	l.patch(namespaceKind, "", home, `{"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}}`)
	t.Logf("a changed label was mended after %s", l.eventually(5*time.Second, func() string {
		if level := l.get(namespaceKind, "", home).GetLabels()["pod-security.kubernetes.io/enforce"]; level != "baseline" {
			return "enforces " + level
		}
		return ""
	}))
	labels := l.get(namespaceKind, "", home)
	assert.Equal(t, "a", labels.GetLabels()["team"])
	assert.Equal(t, "kept", labels.GetAnnotations()["note"])
	there := l.get(networkPolicies, home, foreign.GetName())
	assert.Equal(t, foreign.GetResourceVersion(), there.GetResourceVersion(), "somebody else's policy was written")
	l.eventually(5*time.Second, func() string {
		for _, e := range l.list(eventKind, home) {
			if e.Object["reason"] == "DriftRepaired" {
				return ""
			}
		}
		return "no Event DriftRepaired"
	})
}

func TestNothingIsWrittenWhereNothingChanges(t *testing.T) {
	l := newLab(t)
	home := l.shop()
	l.namespace("empty")
	l.apply(plain)
	l.controller()
	l.eventually(30*time.Second, l.governed(home))
	l.eventually(30*time.Second, l.governed(l.name+"-empty"))
	time.Sleep(3 * time.Second)
	w := l.watch(networkPolicies, namespaceKind, postures, profiles, rules, accesses, exemptions, reports, eventKind)
	time.Sleep(60 * time.Second)
	assert.Empty(t, w.all())
}

func TestObservingWritesNothingAndSaysWhatItWould(t *testing.T) {
	l := newLab(t)
	home := l.shop()
	l.apply(strings.Replace(plain, "enforcement: Enforce", "enforcement: Observe", 1))
	l.controller()
	l.eventually(20*time.Second, func() string {
		if p := l.get(postures, home, "posture"); p == nil || conditionOf(p, "Ready")["reason"] != "Observed" {
			return "no posture says Observed"
		}
		return ""
	})
	assert.Contains(t, conditionOf(l.get(postures, home, "posture"), "Ready")["message"], "objects would be written")
	time.Sleep(2 * time.Second)
	assert.Empty(t, l.names(networkPolicies, home))
	assert.NotContains(t, l.get(namespaceKind, "", home).GetLabels(), "pod-security.kubernetes.io/enforce")
}

func TestTwoProfilesOfOnePriorityChangeNothing(t *testing.T) {
	l := newLab(t)
	home := l.shop()
	l.apply(plain)
	l.controller()
	l.eventually(30*time.Second, l.governed(home))
	w := l.watch(networkPolicies)
	l.apply(strings.Replace(plain, "name: LAB", "name: LAB-other", 1))
	l.eventually(10*time.Second, l.condition(profiles, "", l.name, "Conflict", "True"))
	l.eventually(10*time.Second, l.condition(profiles, "", l.name+"-other", "Conflict", "True"))
	l.eventually(10*time.Second, l.condition(postures, home, "posture", "Ready", "False"))
	time.Sleep(3 * time.Second)
	assert.Empty(t, w.all(), "a policy was written though nobody knows which profile governs")
	l.delete(profiles, "", l.name+"-other")
	l.eventually(10*time.Second, l.governed(home))
	assert.Empty(t, w.all())
}

func TestSystemNamespacesAreLeftAloneUnlessNamed(t *testing.T) {
	l := newLab(t)
	l.patch(namespaceKind, "", "kube-public", `{"metadata": {"labels": {"lab": "`+l.name+`"}}}`)
	t.Cleanup(func() { l.patch(namespaceKind, "", "kube-public", `{"metadata": {"labels": {"lab": null}}}`) })
	home := l.namespace("home")
	l.apply(plain)
	l.controller()
	l.eventually(20*time.Second, l.governed(home))
	time.Sleep(2 * time.Second)
	assert.Empty(t, l.names(networkPolicies, "kube-public"))
	assert.Nil(t, l.get(postures, "kube-public", "posture"))
	assert.NotContains(t, l.get(namespaceKind, "", "kube-public").GetLabels(), "pod-security.kubernetes.io/enforce")
}

func TestMetricsTellHowItStands(t *testing.T) {
	l := newLab(t)
	home := l.namespace("home")
	l.apply(plain)
	l.controller("--metrics-bind-address=127.0.0.1:18080", "--health-probe-bind-address=127.0.0.1:18081")
	l.eventually(20*time.Second, l.governed(home))
	time.Sleep(2 * time.Second)
	body := readURL(t, "http://127.0.0.1:18080/metrics")
	for _, line := range []string{
		`palisade_namespace_stage{layer="Network",namespace="` + home + `",stage="Enforce"} 1`,
		`palisade_namespaces{profile="` + l.name + `",stage="Enforce"} 1`,
		`palisade_writes_total{action="Create",kind="NetworkPolicy",result="ok"}`,
		`palisade_blocked 0`, `palisade_last_run_timestamp_seconds`, `palisade_run_duration_seconds_count`,
		`controller_runtime_reconcile_total{controller="namespace"`, `workqueue_depth`,
	} {
		assert.Contains(t, body, line)
	}
	assert.Equal(t, "ok", readURL(t, "http://127.0.0.1:18081/readyz"))
	assert.Equal(t, "ok", readURL(t, "http://127.0.0.1:18081/healthz"))
}

func readURL(t testing.TB, url string) string {
	t.Helper()
	r, err := http.Get(url)
	require.NoError(t, err)
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return string(body)
}

func TestTheProfileGoesAndLeavesNothing(t *testing.T) {
	l := newLab(t)
	home := l.shop()
	l.apply(plain)
	l.controller()
	l.eventually(30*time.Second, l.governed(home))
	l.delete(profiles, "", l.name)
	took := l.eventually(20*time.Second, func() string {
		switch names := l.names(networkPolicies, home); {
		case len(names) > 0:
			return fmt.Sprintf("still there: %v", names)
		case l.get(postures, home, "posture") != nil:
			return "the posture is still there"
		}
		for label := range l.get(namespaceKind, "", home).GetLabels() {
			if strings.HasPrefix(label, "pod-security.kubernetes.io/") {
				return "the label " + label + " is still there"
			}
		}
		return ""
	})
	t.Logf("gone after %s", took)
}

func TestRulesProfilesAndNamespacesGoInAnyOrder(t *testing.T) {
	l := newLab(t)
	l.apply(plain)
	c := l.controller()
	orders := [][]string{
		{"rule", "profile", "namespace"}, {"rule", "namespace", "profile"}, {"profile", "rule", "namespace"},
		{"profile", "namespace", "rule"}, {"namespace", "rule", "profile"}, {"namespace", "profile", "rule"},
	}
	for _, order := range orders {
		t.Run(strings.Join(order, " "), func(t *testing.T) {
			l.apply(plain)
			home := l.shop()
			l.eventually(30*time.Second, l.governed(home))
			for _, what := range order {
				switch what {
				case "rule":
					l.delete(rules, home, "api")
				case "profile":
					l.delete(profiles, "", l.name)
				case "namespace":
					l.delete(namespaceKind, "", home)
					time.Sleep(500 * time.Millisecond)
					l.finalize(home)
				}
				time.Sleep(300 * time.Millisecond)
			}
			l.eventually(5*time.Second, func() string {
				if l.get(namespaceKind, "", home) != nil {
					return "the namespace is there again"
				}
				return ""
			})
		})
	}
	select {
	case <-c.done:
		t.Fatal("the controller ended")
	default:
	}
	l.apply(plain)
	l.eventually(20*time.Second, l.governed(l.namespace("after")))
	for _, e := range strings.Split(c.log.String(), "\n") {
		assert.NotContains(t, e, "panic")
	}
}

func TestANamespaceThatComesAgainIsAnother(t *testing.T) {
	l := newLab(t)
	l.apply(plain)
	l.controller()
	home := l.shop()
	l.eventually(30*time.Second, l.governed(home))
	l.delete(namespaceKind, "", home)
	l.finalize(home)
	l.apply(fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {lab: LAB}}", home))
	l.eventually(10*time.Second, l.governed(home))
	policies, err := l.client.Resource(networkPolicies).Namespace(home).List(context.Background(), metav1.ListOptions{})
	require.NoError(t, err)
	assert.NotEmpty(t, policies.Items)
}

package controller

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var budgets = schema.GroupVersionResource{Group: "policy", Version: "v1", Resource: "poddisruptionbudgets"}

// Features: G8.
func TestBudgetsFollowTheReplicasAndMakeWayForThoseOfOthers(t *testing.T) {
	l := newLab(t)
	home := l.shop()
	l.patch(deployments, home, "web", `{"spec": {"replicas": 3}}`)
	l.apply(strings.TrimSuffix(plain, "\n") + "\n  workload: {disruptionBudgets: Enabled}\n")
	l.controller()
	l.eventually(30*time.Second, l.governed(home))
	are := func(want ...string) func() string {
		return func() string {
			var got []string
			for _, name := range l.names(budgets, home) {
				if cut := strings.LastIndex(name, "-"); strings.HasPrefix(name, "palisade-") {
					name = name[:cut]
				}
				got = append(got, name)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				return fmt.Sprintf("the budgets are %v instead of %v", got, want)
			}
			return ""
		}
	}
	l.eventually(10*time.Second, are("palisade-web"))

	l.patch(deployments, home, "api", `{"spec": {"replicas": 2}}`)
	l.eventually(10*time.Second, are("palisade-api", "palisade-web"))

	l.apply(`
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: theirs, namespace: LAB-home}
spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}
`)
	l.eventually(10*time.Second, are("palisade-api", "theirs"))

	l.patch(deployments, home, "api", `{"spec": {"replicas": 1}}`)
	l.eventually(10*time.Second, are("theirs"))
	assert.NotNil(t, l.get(budgets, home, "theirs"))
}

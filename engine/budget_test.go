package engine_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/engine"
	"floe.dev/palisade/model"
	"floe.dev/palisade/plan"
)

const budgeted = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: palisade.floe.dev/v1alpha1
kind: SecurityProfile
metadata: {name: shops}
spec:
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}
  mesh: {mtls: Unmanaged}
  podSecurity: {}
  workload: {disruptionBudgets: Enabled}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: c}]}}
`

// oursThere is the budget of budgeted as it is in a cluster.
const oursThere = `
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: palisade-web-752b7817, namespace: shop, labels: {app.kubernetes.io/managed-by: palisade}}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: web}}}
`

// Features: G8.
func TestBudgetsAreWrittenOnlyWhereAProfileAsksForThem(t *testing.T) {
	r := runYAML(t, none, facts, kubeDNS, budgeted)
	require.Len(t, objectsOf(r, "PodDisruptionBudget"), 1)
	off := strings.Replace(budgeted, "workload: {disruptionBudgets: Enabled}", "workload: {}", 1)
	assert.Empty(t, objectsOf(runYAML(t, none, facts, kubeDNS, off), "PodDisruptionBudget"))
	assert.Empty(t, objectsOf(runYAML(t, none, facts, kubeDNS, strings.Replace(off, "  workload: {}\n", "", 1)), "PodDisruptionBudget"))
}

// Of a cluster whose budgets may not be read it is not known whether there is one of somebody else's.
func TestNoBudgetIsWrittenOrTakenAwayWhereBudgetsCannotBeRead(t *testing.T) {
	for _, what := range []string{"policy/poddisruptionbudgets", "policy/v1"} {
		for name, there := range map[string]string{"none": "", "one of ours": oursThere} {
			s := snapshot(t, facts, kubeDNS, budgeted, there)
			s.Problems = append(s.Problems, model.Problem{Code: "KindUnreadable", Severity: model.Error, Message: what + " could not be read, so it is not known what is there: forbidden"})
			for _, c := range engine.Run(s, engine.Options{Given: none, Now: noon}).Plan.Changes {
				assert.NotEqual(t, "PodDisruptionBudget", c.Ref.Kind, "%s, %s: %s", what, name, c.Action)
			}
		}
	}
}

// Once another budget comes, that of palisade's goes: with two, no pod could be evicted.
func TestABudgetOfOursMakesWayForOneOfOthers(t *testing.T) {
	theirs := strings.NewReplacer("palisade-web-752b7817", "theirs", ", labels: {app.kubernetes.io/managed-by: palisade}", "").Replace(oursThere)
	r := runYAML(t, none, facts, kubeDNS, budgeted, oursThere, theirs)
	var gone []string
	for _, c := range r.Plan.Changes {
		if c.Ref.Kind == "PodDisruptionBudget" {
			assert.Equal(t, plan.Delete, c.Action)
			gone = append(gone, c.Ref.Name)
		}
	}
	assert.Equal(t, []string{"palisade-web-752b7817"}, gone)
	assert.Contains(t, findingCodes(r), "BudgetOfOthers")
}

// A controller that has only begun with a namespace writes its budgets with the first turn: they refuse no traffic.
func TestTheControllerWritesBudgetsFromTheFirstStageOn(t *testing.T) {
	turn := engine.Govern(snapshot(t, facts, kubeDNS, budgeted), engine.Options{Given: none, Now: noon}, engine.Past{})
	var made []string
	for _, c := range turn.Plan.Changes {
		if c.Ref.Kind == "PodDisruptionBudget" {
			made = append(made, string(c.Action)+" "+c.Ref.Name)
		}
	}
	assert.Equal(t, []string{string(plan.Create) + " palisade-web-752b7817"}, made)
}

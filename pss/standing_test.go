package pss

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/model"
)

// ungoverned is a namespace that no profile governs, with some labels.
func ungoverned(name string, labels map[string]string) model.Namespace {
	return model.Namespace{Name: name, Declared: true, Labels: labels}
}

func standing(n model.Namespace, workloads ...*model.Workload) map[string]model.Finding {
	byCode := map[string]model.Finding{}
	for _, f := range Standing(modelOf(n, workloads...)) {
		byCode[f.Code] = f
	}
	return byCode
}

func TestALevelThatIsOnlyAuditedIsToldOf(t *testing.T) {
	found := standing(ungoverned("shop", map[string]string{enforceKey: "privileged", "pod-security.kubernetes.io/audit": "baseline"}), privileged(t, "shop"))
	require.Contains(t, found, "PodBelowWarn")
	assert.Contains(t, found["PodBelowWarn"].Message, "note the pods in the audit log")
	assert.Len(t, found, 1)
}

func TestALabelThatIsNotUnderstoodHoldsNobody(t *testing.T) {
	found := standing(ungoverned("shop", map[string]string{enforceKey: "Baseline"}), privileged(t, "shop"))
	require.Contains(t, found, "PodSecurityLabelInvalid")
	assert.Equal(t, "write baseline", found["PodSecurityLabelInvalid"].Fix)
	assert.Len(t, found, 1, "the label is the fault, and not every pod")
}

func TestFixesOfUngovernedNamespacesKnowNoExemptions(t *testing.T) {
	found := standing(ungoverned("shop", map[string]string{enforceKey: "baseline"}), privileged(t, "shop"))
	require.Contains(t, found, "PodBelowEnforce")
	assert.NotContains(t, found["PodBelowEnforce"].Fix, "Exemption")
}

func TestANamespaceWithoutALevelIsWarnedOfForPodsBelowBaseline(t *testing.T) {
	for name, c := range map[string]struct {
		namespace model.Namespace
		workload  *model.Workload
		severity  model.Severity
	}{
		"a privileged pod":              {ungoverned("shop", nil), privileged(t, "shop"), model.Warning},
		"one of the cluster's own":      {ungoverned("kube-system", nil), privileged(t, "kube-system"), model.Info},
		"a Namespace that was not read": {model.Namespace{Name: "shop"}, privileged(t, "shop"), model.Warning},
	} {
		t.Run(name, func(t *testing.T) {
			found := standing(c.namespace, c.workload)
			require.Contains(t, found, "PodSecurityUnset")
			assert.Equal(t, c.severity, found["PodSecurityUnset"].Severity)
			assert.Contains(t, found["PodSecurityUnset"].Message, "privileged")
		})
	}
	assert.Empty(t, Standing(modelOf(model.Namespace{Name: "shop"})), "of a namespace of which nothing was read, nothing is said")
	assert.Empty(t, Standing(modelOf(governed(nil), privileged(t, "shop"))), "governed namespaces are those of Findings")
}

// privileged is a workload below baseline.
func privileged(t *testing.T, namespace string) *model.Workload {
	t.Helper()
	w := deployment(t, rootPod)
	w.ID.Namespace = namespace
	return w
}

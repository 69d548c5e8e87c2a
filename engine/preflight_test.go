package engine_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/cluster"
	"floe.dev/palisade/engine"
	"floe.dev/palisade/preflight"
)

// preflightOf takes manifests through the checks.
func preflightOf(t *testing.T, given engine.Given, manifests ...string) map[string]preflight.Result {
	t.Helper()
	s, err := cluster.Read([]string{"-"}, strings.NewReader(strings.Join(manifests, "\n---\n")), cluster.Options{})
	require.NoError(t, err)
	in := engine.Preflight(s, engine.PreflightOptions{Options: engine.Options{Given: given, Now: noon}, For: preflight.CLI, Home: "palisade-system"})
	results := map[string]preflight.Result{}
	report := preflight.Run(in, preflight.Choice{})
	for _, r := range report.Results {
		results[r.ID] = r
	}
	return results
}

const profileOf = `
apiVersion: palisade.floe.dev/v1alpha1
kind: SecurityProfile
metadata: {name: NAME}
spec: {namespaceSelector: {matchLabels: {team: shop}}}
`

func TestPreflightSeesWhatTheOtherStagesFound(t *testing.T) {
	shop := "{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: shop}}}"
	first, second := strings.Replace(profileOf, "NAME", "first", 1), strings.Replace(profileOf, "NAME", "second", 1)

	r := preflightOf(t, engine.Given{}, shop, first)
	assert.Equal(t, preflight.Passed, r["ProfilesAgree"].Status)
	assert.Equal(t, preflight.Warning, r["MeshFound"].Status)
	assert.Equal(t, preflight.Passed, preflightOf(t, engine.Given{Mesh: "none"}, shop, first)["MeshFound"].Status)

	r = preflightOf(t, engine.Given{}, shop, first, second)
	assert.Equal(t, preflight.Failed, r["ProfilesAgree"].Status, "a conflict of profiles is a problem of the intent")
	assert.Contains(t, strings.Join(r["ProfilesAgree"].Details, "\n"), "first")

	r = preflightOf(t, engine.Given{}, shop, first, `
apiVersion: palisade.floe.dev/v1alpha1
kind: Exemption
metadata: {name: legacy, namespace: shop}
spec: {workloads: {}, layers: [MTLS], reason: an old client, owner: shop-team, expires: "2026-11-25T00:00:00Z"}
`)
	assert.Equal(t, preflight.Warning, r["ExemptionsLast"].Status, "%+v", r["ExemptionsLast"])

	left := `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: palisade-deny-all, namespace: shop, labels: {app.kubernetes.io/managed-by: palisade, palisade.floe.dev/profile: PROFILE}}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
`
	assert.Equal(t, preflight.Passed, preflightOf(t, engine.Given{}, shop, first, strings.Replace(left, "PROFILE", "first", 1))["Leftovers"].Status)
	assert.Equal(t, preflight.Warning, preflightOf(t, engine.Given{}, shop, first, strings.Replace(left, "PROFILE", "gone", 1))["Leftovers"].Status)

	other := "{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: a, namespace: shop}, spec: {}}"
	assert.Equal(t, preflight.Warning, preflightOf(t, engine.Given{}, shop, first, other)["OtherPolicies"].Status)
	flannel := "{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: kube-flannel-ds, namespace: kube-flannel}, spec: {selector: {matchLabels: {app: f}}, template: {metadata: {labels: {app: f}}, spec: {containers: [{name: f, image: flannel}]}}}}"
	assert.Equal(t, preflight.Failed, preflightOf(t, engine.Given{}, shop, first, flannel)["NetworkPolicyEnforced"].Status)
}

// The examples are fit, as far as files can tell, and nothing of them is said to be at fault that is not.
func TestPreflightOfTheExamples(t *testing.T) {
	for _, path := range []string{"../examples/floe", "../examples/online-boutique", "../examples/bookinfo"} {
		in := engine.Preflight(read(t, path), engine.PreflightOptions{Options: engine.Options{Now: noon, Given: engine.Given{Mesh: "istio"}}, For: preflight.CLI, Home: "palisade-system"})
		report := preflight.Run(in, preflight.Choice{Skip: []string{"palisade"}})
		for _, r := range report.Results {
			assert.NotEqual(t, preflight.Failed, r.Status, "%s: %+v", path, r)
		}
	}
}

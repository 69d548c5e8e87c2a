package engine_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"floe.dev/palisade/engine"
	"floe.dev/palisade/model"
)

// httpRule is webToAPI for reading alone.
var httpRule = webToAPI + "\n  http: [{methods: [GET], paths: [/products]}]"

func TestARuleOnRequestsStaysClosedWhereNothingKnowsRequests(t *testing.T) {
	without := strings.Replace(profile, "spec: {", "spec: {mesh: {authorization: Disabled}, ", 1)
	outside := strings.Replace(api, "metadata: {labels: {app: api}}", `metadata: {labels: {app: api}, annotations: {sidecar.istio.io/inject: "false"}}`, 1)
	around := strings.Replace(api, "metadata: {labels: {app: api}}", `metadata: {labels: {app: api}, annotations: {traffic.sidecar.istio.io/excludeInboundPorts: "9000"}}`, 1)
	for name, c := range map[string]struct {
		given     engine.Given
		manifests []string
	}{
		"no mesh":                {none, []string{profile, plainShop, api}},
		"no authorization":       {engine.Given{}, []string{without, istio, istioCNI, sidecarShop, api}},
		"server outside":         {engine.Given{}, []string{profile, istio, istioCNI, sidecarShop, outside}},
		"around the proxy":       {engine.Given{}, []string{profile, istio, istioCNI, sidecarShop, around}},
		"linkerd without domain": {engine.Given{Mesh: "linkerd"}, []string{profile, linkerdShop, api}},
	} {
		t.Run(name, func(t *testing.T) {
			r := runYAML(t, c.given, append(c.manifests, facts, kubeDNS, web, httpRule)...)
			w := wireOf(t, r)
			assert.False(t, w.allows(t, "shop/web", "shop/api", model.TCP(9000)), "the network would let every request pass")
			assert.Contains(t, problemCodes(r), "HTTPNotHeld")
		})
	}
}

func TestARuleOnRequestsOpensTheNetworkWhereAProxyJudgesThem(t *testing.T) {
	for name, mesh := range map[string][]string{"sidecar": {istio, istioCNI, sidecarShop}, "linkerd": {linkerd, linkerdShop}} {
		t.Run(name, func(t *testing.T) {
			r := runYAML(t, engine.Given{}, append(mesh, facts, kubeDNS, profile, web, api, other, httpRule)...)
			w := wireOf(t, r)
			assert.True(t, w.allows(t, "shop/web", "shop/api", model.TCP(9000)))
			assert.False(t, w.allows(t, "shop/other", "shop/api", model.TCP(9000)))
			assert.NotContains(t, problemCodes(r), "HTTPNotHeld")
		})
	}
}

func TestARuleOnRequestsLeavesOutTheServersThatNothingJudges(t *testing.T) {
	twin, _, _ := strings.Cut(api, "---")
	twin = strings.Replace(twin, "name: api,", "name: api-old,", 1)
	twin = strings.Replace(twin, "metadata: {labels: {app: api}}", `metadata: {labels: {app: api}, annotations: {sidecar.istio.io/inject: "false"}}`, 1)
	twin = strings.ReplaceAll(twin, "{app: api}", `{app: api, old: "y"}`)
	r := runYAML(t, engine.Given{}, facts, kubeDNS, profile, istio, istioCNI, sidecarShop, web, strings.ReplaceAll(api, "{app: api}", `{app: api, new: "y"}`), twin, httpRule)
	w := wireOf(t, r)
	assert.True(t, w.allows(t, "shop/web", "shop/api", model.TCP(9000)))
	assert.False(t, w.allows(t, "shop/web", "shop/api-old", model.TCP(9000)), "it is outside the mesh")
}

func TestAClientOfANamespaceThatDoesNotExistStaysClosed(t *testing.T) {
	rule := strings.Replace(webToAPI, "{podSelector: {matchLabels: {app: web}}}", "{namespace: ghost}", 1)
	r := runYAML(t, none, facts, kubeDNS, profile, plainShop, web, api, rule)
	assert.Contains(t, problemCodes(r), "NamespaceNotFound")
	assert.NotContains(t, string(rendered(r)), "ghost", "whoever makes the namespace would be let in")
}

const hostAccess = `
apiVersion: palisade.floe.dev/v1alpha1
kind: ExternalAccess
metadata: {name: payments, namespace: shop}
spec: {from: {matchLabels: {app: web}}, to: [{host: api.payments.example}], ports: [{port: 443}]}`

func TestAHostStaysClosedWhereTrafficLeavesPastTheProxy(t *testing.T) {
	for annotation, open := range map[string]bool{
		"{}": true,
		`{traffic.sidecar.istio.io/excludeOutboundPorts: "443"}`:              false,
		`{traffic.sidecar.istio.io/excludeOutboundIPRanges: "93.184.0.0/16"}`: false,
	} {
		client := strings.Replace(web, "metadata: {labels: {app: web}}", "metadata: {labels: {app: web}, annotations: "+annotation+"}", 1)
		r := runYAML(t, engine.Given{}, facts, kubeDNS, profile, istio, istioCNI, sidecarShop, client, hostAccess)
		assert.Equal(t, open, wireOf(t, r).allows(t, "shop/web", "93.184.215.14", model.TCP(443)), "only the proxy knows the name: %s", annotation)
		assert.Equal(t, !open, slices.Contains(problemCodes(r), "HostNotExpressible"), annotation)
	}
}

func TestANetworkPolicyOfOthersThatOpensIsAFinding(t *testing.T) {
	policy := func(spec string) string {
		return "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: theirs, namespace: shop}\nspec: " + spec
	}
	for spec, found := range map[string]bool{
		"{podSelector: {}, ingress: [{}]}":                                              true,
		"{podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}]}]}": true,
		"{podSelector: {}, policyTypes: [Ingress, Egress]}":                             false,
		"{podSelector: {}, policyTypes: [Ingress], ingress: []}":                        false,
	} {
		r := runYAML(t, none, facts, kubeDNS, profile, plainShop, web, policy(spec))
		assert.Equal(t, found, slices.Contains(findingCodes(r), "NetworkPolicyWidens"), spec)
	}
	r := runYAML(t, none, facts, kubeDNS, profile, plainShop, web, api, webToAPI)
	again := runYAML(t, none, facts, kubeDNS, profile, plainShop, web, api, webToAPI, string(rendered(r)))
	assert.NotContains(t, findingCodes(again), "NetworkPolicyWidens", "palisade's own are what the rules declare")
}

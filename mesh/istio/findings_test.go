package istio

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"floe.dev/palisade/model"
)

const findingsShop = shopSidecar + `
- {name: legacy}
workloads: [{name: shop/cart}, {name: legacy/db}]
services:
- {name: shop/cart, selector: {app: cart}, ports: [{port: 80}]}
- {name: legacy/db, selector: {app: db}, ports: [{port: 5432}]}
existing:
`

func findings(t *testing.T, existing string) []model.Finding {
	t.Helper()
	_, m := parseFixture(t, findingsShop+existing)
	return Findings(m)
}

func TestFindings(t *testing.T) {
	cases := map[string]struct {
		object, code, field string
		severity            model.Severity
	}{
		"mTLS switched off towards a strict server": {
			`- {apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {namespace: shop, name: r}, spec: {host: cart, trafficPolicy: {tls: {mode: DISABLE}}}}`,
			"DestinationRuleDisablesMTLS", "spec.trafficPolicy.tls.mode", model.Error,
		},
		"in a port of a subset, by a wildcard": {
			`- {apiVersion: networking.istio.io/v1beta1, kind: DestinationRule, metadata: {namespace: legacy, name: r}, spec: {host: "*.shop.svc.cluster.local", subsets: [{name: a}, {name: b, trafficPolicy: {portLevelSettings: [{port: {number: 80}, tls: {mode: SIMPLE}}]}}]}}`,
			"DestinationRuleDisablesMTLS", "spec.subsets[1].trafficPolicy.portLevelSettings[0].tls.mode", model.Error,
		},
		"a tls block without mode is DISABLE": {
			`- {apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {namespace: shop, name: r}, spec: {host: cart.shop.svc.cluster.local, trafficPolicy: {tls: {}}}}`,
			"DestinationRuleDisablesMTLS", "spec.trafficPolicy.tls.mode", model.Error,
		},
		"mTLS demanded of a server outside": {
			`- {apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {namespace: shop, name: r}, spec: {host: db.legacy.svc.cluster.local, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}}`,
			"DestinationRuleToUnmeshedServer", "spec.trafficPolicy.tls.mode", model.Error,
		},
		"a permissive port": {
			`- {apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {namespace: shop, name: p}, spec: {selector: {matchLabels: {app: cart}}, portLevelMtls: {"80": {mode: PERMISSIVE}}}}`,
			"PeerAuthenticationDowngrade", "spec.portLevelMtls[80].mode", model.Error,
		},
		"a disabled workload": {
			`- {apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {namespace: legacy, name: p}, spec: {selector: {matchLabels: {app: db}}, mtls: {mode: DISABLE}}}`,
			"PeerAuthenticationDowngrade", "spec.mtls.mode", model.Warning,
		},
		"ignored in the root namespace": {
			`- {apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {namespace: istio-system, name: p}, spec: {selector: {matchLabels: {app: cart}}, mtls: {mode: DISABLE}}}`,
			"PeerAuthenticationIgnored", "spec.selector", model.Info,
		},
		"an allow of somebody else": {
			`- {apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {namespace: istio-system, name: a}, spec: {rules: [{}]}}`,
			"AuthorizationPolicyWidens", "spec.rules", model.Warning,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			found := findings(t, c.object+"\n")
			require.Len(t, found, 1)
			require.Equal(t, c.code, found[0].Code)
			require.Equal(t, c.field, found[0].Field)
			require.Equal(t, c.severity, found[0].Severity)
			require.NotEmpty(t, found[0].Link)
		})
	}
}

func TestFindingsLeaveSoundObjectsAlone(t *testing.T) {
	require.Empty(t, findings(t, `
- {apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {namespace: shop, name: mutual}, spec: {host: cart, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}, subsets: [{name: v1}]}}
- {apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {namespace: shop, name: outside}, spec: {host: api.example.com, trafficPolicy: {tls: {mode: SIMPLE}}}}
- {apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {namespace: legacy, name: other-namespace}, spec: {host: cart, trafficPolicy: {tls: {mode: DISABLE}}}}
- {apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {namespace: shop, name: inherits}, spec: {mtls: {mode: UNSET}}}
- {apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {namespace: shop, name: deny}, spec: {action: DENY, rules: [{}]}}
- {apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {namespace: shop, name: nothing}, spec: {}}
- {apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {namespace: legacy, name: not-ours}, spec: {rules: [{}]}}
`))
}

// A DENY goes before every allow, so one that matches a declared flow keeps it closed.
func TestPoliciesThatRefuseDeclaredFlowsAreFound(t *testing.T) {
	const declared = shopSidecar + `
workloads: [{name: shop/cart}, {name: shop/web}, {name: shop/other}]
flows:
- {rule: shop/cart, from: [shop/web], to: shop, toLabels: {app: cart}, ports: ["8080"]}
existing:
`
	for spec, want := range map[string]model.Severity{
		"shop, {action: DENY, rules: [{}]}": model.Error,
		"shop, {action: DENY, rules: [{from: [{source: {principals: [\"td.example/ns/shop/sa/web\"]}}]}]}":                    model.Error,
		"shop, {action: DENY, rules: [{from: [{source: {principals: [\"old.example/ns/shop/*\"]}}]}]}":                        model.Error,
		"shop, {action: DENY, rules: [{from: [{source: {notPrincipals: [\"td.example/ns/shop/sa/web\"]}}]}]}":                 "",
		"shop, {action: DENY, rules: [{from: [{source: {notNamespaces: [shop]}}]}]}":                                          "",
		"shop, {action: DENY, rules: [{from: [{source: {serviceAccounts: [web]}}], to: [{operation: {ports: [\"8080\"]}}]}]}": model.Error,
		"shop, {action: DENY, rules: [{to: [{operation: {ports: [\"9090\"]}}]}]}":                                             "",
		"shop, {action: DENY, rules: [{to: [{operation: {notPorts: [\"8080\"]}}]}]}":                                          "",
		"shop, {action: DENY, rules: [{to: [{operation: {paths: [/admin]}}]}]}":                                               model.Info,
		"shop, {action: DENY, selector: {matchLabels: {app: other}}, rules: [{}]}":                                            "",
		"shop, {action: DENY, targetRefs: [{kind: Gateway, group: gateway.networking.k8s.io, name: x}], rules: [{}]}":         "",
		"elsewhere, {action: DENY, rules: [{}]}":                                                                              "",
		"istio-system, {action: DENY, selector: {matchLabels: {app: cart}}, rules: [{}]}":                                     model.Error,
		"shop, {action: CUSTOM, provider: {name: oauth}, rules: [{}]}":                                                        model.Info,
		"shop, {action: DENY, rules: [{when: [{key: \"request.headers[x]\", values: [z]}]}]}":                                 model.Info,
		"shop, {action: DENY}":             "",
		"shop, {action: ALLOW, rules: []}": "",
	} {
		namespace, body, _ := strings.Cut(spec, ", ")
		_, m := parseFixture(t, declared+"- {apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {namespace: "+namespace+", name: theirs}, spec: "+body+"}\n")
		m.Cluster.Mesh.TrustDomainAliases = []string{"old.example"}
		found := Findings(m)
		if want == "" {
			require.Empty(t, found, spec)
			continue
		}
		require.Len(t, found, 1, spec)
		require.Equal(t, "AuthorizationPolicyBlocks", found[0].Code)
		require.Equal(t, want, found[0].Severity, spec)
		require.Contains(t, found[0].Message, "TrafficRule shop/cart")
	}
}

// A wildcard may stand for the Services of a cluster whose domain is not known.
func TestWildcardHostsAreJudgedWithoutTheClustersDomain(t *testing.T) {
	for host, found := range map[string]bool{
		"*": true, "*.local": true, "*.svc.cluster.local": true, "*.shop.svc.corp.example": true, "cart": true, "cart.shop.svc.corp.example": true,
		"*.example.com": false, "*.legacy.svc.cluster.local": false, "other": false,
	} {
		_, m := parseFixture(t, strings.Replace(findingsShop, "domain: cluster.local", "", 1)+
			`- {apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {namespace: shop, name: r}, spec: {host: "`+host+`", trafficPolicy: {tls: {mode: DISABLE}}}}`+"\n")
		m.Workloads = m.Workloads[1:] // the server outside has nothing to do with it
		require.Equal(t, found, len(Findings(m)) > 0, host)
	}
}

package istio

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"floe.dev/palisade/model"
)

func TestHeldNamespacesAreNotDenied(t *testing.T) {
	objects, _ := compile(t, shopSidecar+`
workloads: [{name: shop/cart}]
held: [{namespace: shop, layer: Authorization}]
`)
	require.Empty(t, find(objects, "AuthorizationPolicy"))
	require.Len(t, find(objects, "PeerAuthentication"), 1)

	objects, _ = compile(t, shopSidecar+`
workloads: [{name: shop/cart}]
held: [{namespace: shop, layer: MTLS}]
`)
	require.Empty(t, find(objects, "PeerAuthentication"))
	require.Len(t, find(objects, "AuthorizationPolicy"), 1)
}

func TestNamespaceOutsideTheMeshIsSaid(t *testing.T) {
	objects, problems := compile(t, `
mesh: {namespace: istio-system, trustDomain: td.example}
namespaces: [{name: shop, posture: {mtls: Strict, authorization: true}}]
workloads: [{name: shop/cart}]
`)
	require.Empty(t, objects, "policies that nothing enforces look like protection")
	require.Equal(t, []string{"NamespaceOutsideMesh"}, codes(problems))
}

func TestWideRangesStayClosed(t *testing.T) {
	objects, problems := compile(t, shopSidecar+`
workloads: [{name: shop/cart}, {name: shop/frontend}]
flows: [{rule: shop/cart, from: [shop/frontend], to: shop, toLabels: {app: cart}, ports: ["8000-9000"]}]
`)
	require.Empty(t, rulesOf(objects))
	require.Equal(t, []string{"PortRangeNotExpressible"}, codes(problems))
}

func TestSelectorExpressionsBecomeOnePolicyAWorkload(t *testing.T) {
	objects, problems := compile(t, shopSidecar+`
workloads: [{name: shop/a}, {name: shop/b}, {name: shop/c}]
flows: [{rule: shop/ab, from: [shop/c], to: shop, toSelector: {matchExpressions: [{key: app, operator: In, values: [a, b]}]}, ports: ["80"]}]
`)
	require.Empty(t, problems)
	for _, name := range []string{"a", "b"} {
		require.Contains(t, specYAML(t, firstOf(t, objects, "AuthorizationPolicy", "palisade-"+name+"-")), "app: "+name)
	}
	require.Len(t, find(objects, "AuthorizationPolicy"), 3)
}

func TestAmbientClientsOfSidecarsNeedTheTunnelLabel(t *testing.T) {
	text := `
mesh: {namespace: istio-system, rootNamespace: istio-system, trustDomain: td.example, ambient: true, autoMTLS: true}
domain: cluster.local
namespaces:
- {name: shop, labels: {istio-injection: enabled}, posture: {mtls: Strict, authorization: true}}
- {name: web, labels: {istio.io/dataplane-mode: ambient}}
workloads:
- {name: web/frontend}
- {name: shop/cart, labels: %s}
flows: [{rule: shop/cart, from: [web/frontend], to: shop, toLabels: {app: cart}, ports: ["80"]}]
`
	objects, problems := compile(t, replaceMode(text, "{app: cart}"))
	require.Empty(t, rulesOf(objects))
	require.Equal(t, []string{"ClientHasNoIdentity"}, codes(problems))

	objects, problems = compile(t, replaceMode(text, "{app: cart, networking.istio.io/tunnel: http}"))
	require.Len(t, rulesOf(objects), 1)
	require.Empty(t, problems)
}

func TestExistingSidecarIsLeftAlone(t *testing.T) {
	objects, problems := compile(t, `
mesh: {namespace: istio-system, rootNamespace: istio-system, trustDomain: td.example, autoMTLS: true}
domain: cluster.local
namespaces: [{name: shop, labels: {istio-injection: enabled}, posture: {sidecarScope: true}}]
workloads: [{name: shop/cart}]
existing:
- {apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {namespace: shop, name: default}, spec: {egress: [{hosts: ["./*"]}]}}
`)
	require.Empty(t, objects)
	require.Equal(t, []string{"SidecarExists"}, codes(problems))
}

func TestRegistryIsNotClosedWhileOtherFlowsNeedAddresses(t *testing.T) {
	d, m := parseFixture(t, `
mesh: {namespace: istio-system, rootNamespace: istio-system, trustDomain: td.example, autoMTLS: true}
domain: cluster.local
namespaces: [{name: shop, labels: {istio-injection: enabled}, posture: {sidecarScope: true}}]
workloads: [{name: shop/cart}]
flows:
- {rule: shop/api, from: [shop/cart], to: Host api.example.com, ports: ["443"]}
- {rule: shop/all, from: [shop/cart], to: "Internet ", ports: ["443"]}
`)
	objects, problems := d.Compile(m)
	require.NotContains(t, specYAML(t, find(objects, "Sidecar")["shop/palisade-scope"]), "REGISTRY_ONLY")
	require.Equal(t, []string{"HostNotHeldByMesh"}, codes(problems))

	m.Flows = m.Flows[:1]
	objects, problems = New(m.Cluster.Mesh, m.Cluster.Domain).Compile(m)
	require.Contains(t, specYAML(t, find(objects, "Sidecar")["shop/palisade-scope"]), "mode: REGISTRY_ONLY")
	require.Empty(t, problems)
}

func TestDestinationRuleOfOthersIsNotDoubled(t *testing.T) {
	text := `
mesh: {namespace: istio-system, rootNamespace: istio-system, trustDomain: td.example, autoMTLS: false}
domain: cluster.local
namespaces: [{name: shop, labels: {istio-injection: enabled}, posture: {mtls: Strict}}]
workloads: [{name: shop/cart}, {name: shop/frontend}]
services: [{name: shop/cart, selector: {app: cart}, ports: [{port: 80}]}]
flows: [{rule: shop/cart, from: [shop/frontend], to: shop, toLabels: {app: cart}, ports: ["80"]}]
`
	objects, problems := compile(t, text)
	require.Len(t, find(objects, "DestinationRule"), 1, "without auto-mTLS clients must be told")
	require.Empty(t, problems)

	objects, problems = compile(t, text+`
existing: [{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {namespace: shop, name: cart}, spec: {host: cart, trafficPolicy: {connectionPool: {}}}}]
`)
	require.Empty(t, find(objects, "DestinationRule"))
	require.Equal(t, []string{"DestinationRuleExists"}, codes(problems))

	_, problems = compile(t, text+`
existing: [{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {namespace: shop, name: cart}, spec: {host: cart, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}}]
`)
	require.Empty(t, problems)
}

func TestOneMoreRuleChangesOnlyItsOwnPolicy(t *testing.T) {
	text := shopSidecar + `
workloads: [{name: shop/cart}, {name: shop/frontend}, {name: shop/mail}]
flows:
- {rule: shop/cart, from: [shop/frontend], to: shop, toLabels: {app: cart}, ports: ["80"]}
`
	before, _ := compile(t, text)
	after, _ := compile(t, text+`- {rule: shop/mail, from: [shop/cart], to: shop, toLabels: {app: mail}, ports: ["25"]}`)
	require.Len(t, after, len(before)+1)
	for _, o := range before {
		require.Contains(t, after, o)
	}
}

func TestPermissiveProxylessServersAreSaid(t *testing.T) {
	_, problems := compile(t, `
mesh: {namespace: istio-system, rootNamespace: istio-system, trustDomain: td.example, autoMTLS: true}
domain: cluster.local
namespaces: [{name: grpc, labels: {istio-injection: enabled}, posture: {mtls: Permissive, authorization: true}}]
workloads: [{name: grpc/echo, annotations: {inject.istio.io/templates: grpc-agent}}]
`)
	require.Equal(t, []string{"PermissiveNotHeld"}, codes(problems))
	require.Equal(t, model.Error, problems[0].Severity)
}

func TestARevisionThatWasNotSeenIsTakenForATagAloud(t *testing.T) {
	const text = `
mesh: {namespace: istio-system, rootNamespace: istio-system, trustDomain: td.example, autoMTLS: true, revision: "1-31"REVISIONS}
domain: cluster.local
namespaces:
- name: shop
  labels: {istio.io/rev: prod}
  posture: {mtls: Strict, authorization: true}
workloads: [{name: shop/cart}]
`
	objects, problems := compile(t, strings.Replace(text, "REVISIONS", "", 1))
	require.NotEmpty(t, objects)
	require.Equal(t, []string{"RevisionUnknown"}, codes(problems))
	_, problems = compile(t, strings.Replace(text, "REVISIONS", ", revisions: [1-31, prod]", 1))
	require.Empty(t, problems)
}

// A mesh that is named by flag only: what needs facts is not written, and that is said.
func TestAMeshOfWhichNothingWasReadWritesNoHalfTruths(t *testing.T) {
	_, facts, _ := Detect(nil, nil)
	text := `
domain: cluster.local
namespaces:
- name: shop
  labels: {istio-injection: enabled}
  posture: {mtls: Strict, authorization: true, sidecarScope: true}
- name: istio-system
  labels: {istio-injection: enabled}
  posture: {mtls: Strict, authorization: true, sidecarScope: true}
workloads: [{name: shop/cart}, {name: shop/web}, {name: istio-system/thing}]
flows:
- {rule: shop/cart, from: [shop/web], to: shop, toLabels: {app: cart}, ports: ["8080"]}
`
	_, m := parseFixture(t, text)
	objects, problems := New(facts, "cluster.local").Compile(m)
	require.Equal(t, []string{"MeshNamespaceUnknown", "RootNamespaceIsMeshWide", "TrustDomainUnknown"}, codes(problems))
	require.Len(t, objects, 1)
	require.Equal(t, "PeerAuthentication shop/palisade-strict", objects[0].Ref().String(), "which needs no fact, and counts for no other namespace")

	facts.Namespace, facts.TrustDomain = "mesh", "td.example"
	_, problems = New(facts, "cluster.local").Compile(m)
	require.NotContains(t, codes(problems), "MeshNamespaceUnknown", "the flag tells it")
}

// Istio refuses a whole policy over a brace, and with it every other rule in it.
func TestPathsWithBracesStayOutOfPolicies(t *testing.T) {
	objects, problems := compile(t, shopSidecar+`
workloads: [{name: shop/cart}, {name: shop/web}]
flows:
- {rule: shop/cart, from: [shop/web], to: shop, toLabels: {app: cart}, ports: ["8080"], http: [{paths: ["/items/{id}", /items]}, {methods: [GET], paths: ["/{x}"]}]}
- {rule: shop/none, from: [shop/web], to: shop, toLabels: {app: cart}, ports: ["9090"], http: [{paths: ["/{x}"]}]}
`)
	require.Equal(t, []string{"PathNotExpressible"}, codes(problems))
	spec := specYAML(t, firstOf(t, objects, "AuthorizationPolicy", "palisade-cart-"))
	require.Contains(t, spec, "- /items\n")
	require.NotContains(t, spec, "{")
	require.NotContains(t, spec, "methods", "a match that has lost its paths is no match of every path")
	require.NotContains(t, spec, "9090")
}

func TestHTTPRulesOnPortsDeclaredAsTCPAreSaid(t *testing.T) {
	for port, said := range map[string]bool{
		"{name: tcp-cart, port: 80, targetPort: 8080}":                          true,
		"{name: cart, appProtocol: redis, port: 80, targetPort: 8080}":          true,
		"{name: cart, port: 3306, targetPort: 8080}":                            true,
		"{name: http-cart, port: 3306, targetPort: 8080}":                       false,
		"{name: tcp-cart, appProtocol: http, port: 80, targetPort: 8080}":       false,
		"{name: cart, port: 80, targetPort: 8080}":                              false,
		"{name: tcp-other, port: 80, targetPort: 9999}":                         false,
		"{name: x, appProtocol: kubernetes.io/h2c, port: 80, targetPort: 8080}": false,
	} {
		_, problems := compile(t, shopSidecar+`
services: [{name: shop/cart, selector: {app: cart}, ports: [`+port+`]}]
workloads: [{name: shop/cart}, {name: shop/web}]
flows:
- {rule: shop/cart, from: [shop/web], to: shop, toLabels: {app: cart}, ports: ["8080"], http: [{methods: [GET]}]}
`)
		require.Equal(t, said, len(problems) > 0, "%s: %v", port, problems)
	}
}

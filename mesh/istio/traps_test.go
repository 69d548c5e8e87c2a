package istio

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

const shopSidecar = `
mesh: {namespace: istio-system, rootNamespace: istio-system, trustDomain: td.example, autoMTLS: true}
domain: cluster.local
namespaces:
- name: shop
  labels: {istio-injection: enabled}
  posture: {mtls: Strict, authorization: true}
`

const shopAmbient = `
mesh: {namespace: istio-system, rootNamespace: istio-system, trustDomain: td.example, ambient: true, autoMTLS: true}
domain: cluster.local
namespaces:
- name: shop
  labels: {istio.io/dataplane-mode: ambient}
  posture: {mtls: Strict, authorization: true}
`

func compile(t *testing.T, text string) ([]model.Object, []model.Problem) {
	t.Helper()
	d, m := parseFixture(t, text)
	return d.Compile(m)
}

// rulesOf lists the rules of all AuthorizationPolicies that allow.
func rulesOf(objects []model.Object) []map[string]any {
	var all []map[string]any
	for _, o := range find(objects, "AuthorizationPolicy") {
		rules, _ := o.Map("spec")["rules"].([]any)
		for _, rule := range rules {
			all = append(all, rule.(map[string]any))
		}
	}
	return all
}

func TestTrap01AmbientTrafficTravelsOn15008(t *testing.T) {
	_, m := parseFixture(t, shopAmbient+`
workloads: [{name: shop/cart}]
`)
	facts := m.Workloads[0].Facts
	require.Equal(t, int32(15008), facts.Tunnel.Port)
	require.True(t, facts.DialsTunnel)
	require.True(t, facts.Tunnel.Carries(model.TCP(8080)))
}

func TestTrap02EveryAllowInAmbientNamesItsPorts(t *testing.T) {
	objects, _ := compile(t, shopAmbient+`
workloads: [{name: shop/cart}, {name: shop/frontend}, {name: shop/admin}]
flows:
- {rule: shop/cart, from: [shop/frontend], to: shop, toLabels: {app: cart}, ports: ["8080"]}
- {rule: shop/cart-admin, from: [shop/admin], to: shop, toLabels: {app: cart}, ports: ["9000"]}
- {rule: shop/cart-scrape, from: [Addresses], to: shop, toLabels: {app: cart}, ports: ["9100"], plaintext: true}
`)
	rules := rulesOf(objects)
	require.Len(t, rules, 3, "admin must not get 8080, nor frontend 9000")
	for _, rule := range rules {
		to := rule["to"].([]any)
		require.Len(t, to, 1)
		require.Len(t, to[0].(map[string]any)["operation"].(map[string]any)["ports"], 1)
	}
	scrape := specYAML(t, firstOf(t, objects, "AuthorizationPolicy", "palisade-cart-"))
	require.Contains(t, scrape, "notPrincipals:\n      - '*'", "a plaintext port is opened to clients without identity only, not to every meshed peer on 15008")
}

func TestTrap04AmbientProbesComeFromTheLinkLocalAddressAndNeedNoException(t *testing.T) {
	text := shopAmbient + `
workloads:
- name: shop/cart
  spec: {containers: [{name: app, ports: [{name: web, containerPort: 8080}], livenessProbe: {httpGet: {port: web, path: /}}}]}
flows:
- {rule: shop/probes, from: [Nodes], to: shop, toLabels: {app: cart}, ports: ["8080"], plaintext: true}
`
	_, m := parseFixture(t, text)
	facts := m.Workloads[0].Facts
	require.Equal(t, []model.Port{model.TCP(8080)}, facts.ProbePorts, "ambient leaves probes where they are")
	v6 := netip.MustParseAddr("fd16:9254:7127:1337:ffff:ffff:ffff:ffff")
	require.Contains(t, facts.ProbeSources, netip.MustParsePrefix("169.254.7.127/32"))
	require.True(t, facts.ProbeSources[1].Contains(v6))
	require.Equal(t, 80, facts.ProbeSources[1].Bits(), "the /128 alone was reported not to be enough")
	require.Equal(t, netip.MustParsePrefix("fd16:9254:7127:1337:ffff::/80"), facts.ProbeSources[1])

	objects, _ := compile(t, text)
	require.Len(t, find(objects, "PeerAuthentication"), 1, "the probe's port stays strict: redirection lets probes by")
	require.Empty(t, rulesOf(objects))
}

func TestTrap07APIServerReachesWebhooksByOnePermissivePortOnly(t *testing.T) {
	objects, _ := compile(t, shopSidecar+`
workloads: [{name: shop/webhook}, {name: shop/cart}]
flows:
- {rule: shop/webhook, from: [APIServer], to: shop, toLabels: {app: webhook}, ports: ["9443"], plaintext: true}
`)
	exception := firstOf(t, objects, "PeerAuthentication", "palisade-webhook-")
	require.YAMLEq(t, `
selector: {matchLabels: {app: webhook}}
mtls: {mode: STRICT}
portLevelMtls: {"9443": {mode: PERMISSIVE}}
`, specYAML(t, exception))
	require.YAMLEq(t, `
selector: {matchLabels: {app: webhook}}
rules: [{from: [{source: {notPrincipals: ["*"]}}], to: [{operation: {ports: ["9443"]}}]}]
`, specYAML(t, firstOf(t, objects, "AuthorizationPolicy", "palisade-webhook-")))
	require.Len(t, find(objects, "PeerAuthentication"), 2)
}

func TestTrap09ProxyMetricsPortsNeedNoException(t *testing.T) {
	text := shopSidecar + `
workloads: [{name: shop/cart}]
flows:
- {rule: shop/scrape, from: [Addresses], to: shop, toLabels: {app: cart}, ports: ["15020", "15090"], plaintext: true}
`
	_, m := parseFixture(t, text)
	require.Equal(t, []model.Port{model.TCP(15020), model.TCP(15090)}, m.Workloads[0].Facts.MetricsPorts)
	objects, problems := compile(t, text)
	require.Len(t, find(objects, "PeerAuthentication"), 1)
	require.Empty(t, rulesOf(objects))
	require.Empty(t, problems)
}

func TestTrap09OffMeshScraperOfTheApplicationGetsItsPortOnly(t *testing.T) {
	objects, _ := compile(t, shopSidecar+`
workloads: [{name: shop/cart}]
flows:
- {rule: shop/scrape, from: [Addresses], to: shop, toLabels: {app: cart}, ports: ["9090"], plaintext: true}
`)
	require.Contains(t, specYAML(t, firstOf(t, objects, "PeerAuthentication", "palisade-cart-")), `"9090"`)
}

func TestTrap13NativeSidecarsCountAsProxies(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	w := &model.Workload{
		ID: model.WorkloadID{Namespace: "shop", Kind: "Pod", Name: "cart"}, Running: true, ServiceAccount: "cart",
		Annotations: map[string]string{statusAnnotation: "{}"},
		Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{{Name: "istio-validation"}, {Name: proxyContainer, RestartPolicy: &always}},
			Containers:     []corev1.Container{{Name: "app"}},
		},
	}
	d := New(model.Mesh{TrustDomain: "td.example"}, "")
	require.Equal(t, model.ModeSidecar, d.Facts(w).Mode)

	w.Spec.InitContainers[1].RestartPolicy = nil
	require.Equal(t, model.ModeNone, d.Facts(w).Mode, "an init container that ends is no proxy")
}

func TestTrap14HostNetworkPodsAreOutside(t *testing.T) {
	_, m := parseFixture(t, shopSidecar+`
workloads: [{name: shop/agent, kind: DaemonSet, spec: {hostNetwork: true, containers: []}}]
`)
	require.False(t, m.Workloads[0].Facts.Meshed())
	require.Contains(t, m.Workloads[0].Facts.Outside, "host network")
}

func TestTrap16BypassesAreSeen(t *testing.T) {
	cases := map[string]struct {
		workload string
		field    string
		inbound  bool
		ports    []model.Port
	}{
		"excluded ports":      {`annotations: {traffic.sidecar.istio.io/excludeInboundPorts: "9000,15020"}`, "metadata.annotations[traffic.sidecar.istio.io/excludeInboundPorts]", true, []model.Port{model.TCP(9000)}},
		"nothing included":    {`annotations: {traffic.sidecar.istio.io/includeInboundPorts: ""}`, "metadata.annotations[traffic.sidecar.istio.io/includeInboundPorts]", true, nil},
		"no interception":     {`annotations: {sidecar.istio.io/interceptionMode: NONE}`, "metadata.annotations[sidecar.istio.io/interceptionMode]", true, nil},
		"in the proxy config": {`annotations: {proxy.istio.io/config: "interceptionMode: NONE"}`, "metadata.annotations[sidecar.istio.io/interceptionMode]", true, nil},
		"outbound":            {`annotations: {traffic.sidecar.istio.io/excludeOutboundPorts: "5432"}`, "metadata.annotations[traffic.sidecar.istio.io/excludeOutboundPorts]", false, nil},
		"opted out":           {`labels: {app: cart, sidecar.istio.io/inject: "false"}`, "metadata.labels[sidecar.istio.io/inject]", true, nil},
		"runs as the proxy":   {`spec: {containers: [{name: app, securityContext: {runAsUser: 1337}}]}`, "spec.containers[0].securityContext.runAsUser", false, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, m := parseFixture(t, shopSidecar+"\nworkloads:\n- {name: shop/cart, "+c.workload+"}\n")
			bypasses := m.Workloads[0].Facts.Bypasses
			require.Len(t, bypasses, 1)
			require.Equal(t, c.field, bypasses[0].Field)
			require.Equal(t, c.inbound, bypasses[0].Inbound)
			require.Equal(t, c.ports, bypasses[0].Ports)
		})
	}
}

func TestTrap16AmbientBypassMeansNothingIsEnforced(t *testing.T) {
	_, m := parseFixture(t, shopAmbient+`
workloads: [{name: shop/cart, annotations: {ambient.istio.io/bypass-inbound-capture: "true"}}]
`)
	facts := m.Workloads[0].Facts
	require.True(t, facts.Meshed())
	require.Contains(t, facts.Outside, "not captured")
}

func TestTrap18OlderPeerAuthenticationOfOthersWins(t *testing.T) {
	older := `
workloads: [{name: shop/cart}]
existing:
- {apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {namespace: shop, name: zz-theirs}, spec: {mtls: {mode: %s}}}
`
	objects, problems := compile(t, shopSidecar+replaceMode(older, "PERMISSIVE"))
	require.Empty(t, find(objects, "PeerAuthentication"), "ours would be ignored beside it")
	require.Equal(t, []string{"PeerAuthenticationShadowed"}, codes(problems))
	require.Equal(t, model.Error, problems[0].Severity)

	_, problems = compile(t, shopSidecar+replaceMode(older, "STRICT"))
	require.Equal(t, model.Info, problems[0].Severity)

	_, problems = compile(t, shopSidecar+replaceMode(older, "UNSET"))
	require.Equal(t, model.Error, problems[0].Severity, "UNSET inherits PERMISSIVE where the mesh says nothing")

	_, problems = compile(t, shopSidecar+replaceMode(older, "UNSET")+`
- {apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {namespace: istio-system, name: default}, spec: {mtls: {mode: STRICT}}}
`)
	require.Equal(t, model.Info, problems[0].Severity, "UNSET inherits the mesh's STRICT")
}

func TestTrap18OursStaysInForceWhereItIsOlder(t *testing.T) {
	objects, problems := compile(t, shopSidecar+`
workloads: [{name: shop/cart}]
existing:
- {apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {namespace: shop, name: palisade-strict, creationTimestamp: "2026-01-01T00:00:00Z", labels: {app.kubernetes.io/managed-by: palisade}}, spec: {mtls: {mode: STRICT}}}
- {apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {namespace: shop, name: default, creationTimestamp: "2026-02-01T00:00:00Z"}, spec: {mtls: {mode: PERMISSIVE}}}
`)
	require.Contains(t, find(objects, "PeerAuthentication"), "shop/palisade-strict")
	require.Empty(t, problems)
}

func TestTrap18ExceptionsAreOneAWorkloadAndNeedLabelsOfItsOwn(t *testing.T) {
	objects, problems := compile(t, shopSidecar+`
workloads: [{name: shop/cart}, {name: shop/cart-canary, labels: {app: cart, track: canary}}]
flows:
- {rule: shop/a, from: [Addresses], to: shop, toLabels: {track: canary}, ports: ["9000"], plaintext: true}
- {rule: shop/b, from: [APIServer], to: shop, toLabels: {track: canary}, ports: ["9443"], plaintext: true}
`)
	exceptions := find(objects, "PeerAuthentication")
	require.Len(t, exceptions, 2, "one for the namespace, one for the workload")
	require.Empty(t, problems)
	exception := firstOf(t, objects, "PeerAuthentication", "palisade-cart-canary-")
	require.YAMLEq(t, `
selector: {matchLabels: {app: cart, track: canary}}
mtls: {mode: STRICT}
portLevelMtls: {"9000": {mode: PERMISSIVE}, "9443": {mode: PERMISSIVE}}
`, specYAML(t, exception))

	objects, problems = compile(t, shopSidecar+`
workloads: [{name: shop/cart}, {name: shop/cart-canary, labels: {app: cart, track: canary}}]
flows:
- {rule: shop/a, from: [Addresses], to: shop, toSelector: {matchExpressions: [{key: track, operator: DoesNotExist}], matchLabels: {app: cart}}, ports: ["9000"], plaintext: true}
`)
	require.Len(t, find(objects, "PeerAuthentication"), 1, "an exception for cart would relax cart-canary too")
	require.Equal(t, []string{"SelectorNotExpressible", "WorkloadNotSelectable"}, codes(problems))
}

func TestTrap19HTTPRulesNeverReachZtunnel(t *testing.T) {
	for _, file := range []string{"testdata/ambient-waypoint-bound.in.yaml", "testdata/ambient-waypoint-asked.in.yaml"} {
		d, m := loadFixture(t, file)
		objects, _ := d.Compile(m)
		for name, o := range find(objects, "AuthorizationPolicy") {
			spec := specYAML(t, o)
			if o.Map("spec")["targetRefs"] == nil {
				require.NotContains(t, spec, "methods", name)
				require.NotContains(t, spec, "paths", name)
				require.NotContains(t, spec, "sa/frontend", "a client with HTTP limits must not come to the pods by itself")
			}
		}
	}
}

func TestTrap19MissingWaypointIsSaid(t *testing.T) {
	_, problems := compile(t, shopAmbient+`
workloads: [{name: shop/cart}, {name: shop/frontend}]
services: [{name: shop/cart, labels: {istio.io/use-waypoint: gone}, selector: {app: cart}, clusterIPs: [10.0.0.2], ports: [{port: 80, targetPort: 8080}]}]
flows: [{rule: shop/cart, from: [shop/frontend], to: shop, toLabels: {app: cart}, ports: ["8080"], http: [{methods: [GET]}]}]
`)
	require.Contains(t, codes(problems), "WaypointMissing")
}

func TestTrap19EveryServiceOfAGuardedWorkloadHasAPolicy(t *testing.T) {
	objects, _ := compile(t, shopAmbient+`
workloads: [{name: shop/cart}, {name: shop/frontend}]
services:
- {name: shop/cart, labels: {istio.io/use-waypoint: guard}, selector: {app: cart}, clusterIPs: [10.0.0.2], ports: [{port: 80, targetPort: 8080}]}
- {name: shop/other, labels: {istio.io/use-waypoint: guard}, selector: {app: cart}, clusterIPs: [10.0.0.3], ports: [{port: 9, targetPort: 9}]}
flows: [{rule: shop/cart, from: [shop/frontend], to: shop, toLabels: {app: cart}, ports: ["8080"], http: [{methods: [GET]}]}]
`)
	other := firstOf(t, objects, "AuthorizationPolicy", "palisade-waypoint-other-")
	require.YAMLEq(t, `{targetRefs: [{kind: Service, name: other}]}`, specYAML(t, other), "else the waypoint would lead everybody through this Service to the pods")
}

func TestTrap21NothingIsWrittenToTheRootNamespace(t *testing.T) {
	objects, problems := compile(t, `
mesh: {namespace: istio-system, rootNamespace: istio-system, trustDomain: td.example, autoMTLS: true}
domain: cluster.local
namespaces:
- {name: istio-system, labels: {istio-injection: enabled}, posture: {mtls: Strict, authorization: true, sidecarScope: true}}
- {name: shop, labels: {istio-injection: enabled}, posture: {mtls: Strict, authorization: true, sidecarScope: true}}
workloads:
- {name: istio-system/ingressgateway, annotations: {inject.istio.io/templates: gateway}}
- {name: shop/cart}
flows: [{rule: shop/cart, from: [istio-system/ingressgateway], to: shop, toLabels: {app: cart}, ports: ["8080"]}]
`)
	for _, o := range objects {
		require.Equal(t, "shop", o.Ref().Namespace, o.Ref().String())
	}
	require.Equal(t, []string{"RootNamespaceIsMeshWide"}, codes(problems))
}

func TestTrap21AllowsAreWrittenBeforeDenies(t *testing.T) {
	d, m := loadFixture(t, "testdata/sidecar-shop.in.yaml")
	objects, _ := d.Compile(m)
	denied := false
	for _, o := range objects {
		if o.Phase == model.PhaseDeny {
			denied = true
			continue
		}
		require.False(t, denied, "%s allows, but comes after a deny", o.Ref())
	}
	require.Equal(t, model.PhaseDeny, find(objects, "AuthorizationPolicy")["shop/palisade-deny-all"].Phase)
}

func TestTrap30InjectionAddsCapabilitiesOnlyWithoutCNI(t *testing.T) {
	w := &model.Workload{
		ID: model.WorkloadID{Namespace: "shop", Kind: "Deployment", Name: "cart"}, ServiceAccount: "cart",
		NamespaceLabels: map[string]string{injectionLabel: "enabled"},
	}
	injected := New(model.Mesh{}, "").Facts(w).Injected
	require.Equal(t, "istio-init", injected.InitContainers[0].Name)
	require.Equal(t, []corev1.Capability{"NET_ADMIN", "NET_RAW"}, injected.InitContainers[0].SecurityContext.Capabilities.Add)

	injected = New(model.Mesh{CNI: true}, "").Facts(w).Injected
	require.Equal(t, "istio-validation", injected.InitContainers[0].Name)
	for _, c := range append(injected.InitContainers, injected.Containers...) {
		require.Empty(t, c.SecurityContext.Capabilities.Add, c.Name)
		require.Nil(t, c.SecurityContext.SeccompProfile, "Istio sets none, so restricted needs it from the pod")
	}
	w.NamespaceLabels = map[string]string{dataplaneLabel: "ambient"}
	require.Equal(t, model.Injected{}, New(model.Mesh{}, "").Facts(w).Injected)
}

func TestTrap37NoPrincipalIsMadeUpWithoutATrustDomain(t *testing.T) {
	objects, problems := compile(t, `
mesh: {namespace: istio-system, rootNamespace: istio-system, autoMTLS: true}
domain: cluster.local
namespaces: [{name: shop, labels: {istio-injection: enabled}, posture: {mtls: Strict, authorization: true}}]
workloads: [{name: shop/cart}, {name: shop/frontend}]
flows: [{rule: shop/cart, from: [shop/frontend], to: shop, toLabels: {app: cart}, ports: ["8080"]}]
`)
	require.Empty(t, find(objects, "AuthorizationPolicy"), "a deny without its allows would cut everything")
	require.Contains(t, find(objects, "PeerAuthentication"), "shop/palisade-strict", "mTLS needs no trust domain")
	require.Equal(t, []string{"TrustDomainUnknown"}, codes(problems))
	require.Contains(t, problems[0].Fix, "--trust-domain")
}

func replaceMode(text, mode string) string {
	return strings.ReplaceAll(text, "%s", mode)
}

// The waypoint carries only ports that a Service has: one that none has stays closed, and that is said.
func TestTrap19PortsThatNoServiceCarriesAreSaid(t *testing.T) {
	objects, problems := compile(t, strings.Replace(shopAmbient, "dataplane-mode: ambient", "dataplane-mode: ambient, istio.io/use-waypoint: wp", 1)+`
services: [{name: shop/cart, selector: {app: cart}, ports: [{port: 80, targetPort: 8080}]}]
workloads: [{name: shop/cart}, {name: shop/web}]
flows:
- {rule: shop/cart, from: [shop/web], to: shop, toLabels: {app: cart}, ports: ["8080", "9090"]}
existing:
- {apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {namespace: shop, name: wp}}
`)
	require.Equal(t, []string{"WaypointNeedsService"}, codes(problems))
	require.Contains(t, problems[0].Message, "port 9090")
	require.NotContains(t, problems[0].Message, "8080")
	require.NotContains(t, specYAML(t, firstOf(t, objects, "AuthorizationPolicy", "palisade-cart-")), "9090", "nothing comes there by the waypoint")
}

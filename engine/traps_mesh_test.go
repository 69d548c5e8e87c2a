package engine_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/engine"
	"floe.dev/palisade/manifest"
	"floe.dev/palisade/model"
)

func sidecarCase(t *testing.T, more ...string) engine.Result {
	t.Helper()
	return runYAML(t, engine.Given{}, append([]string{facts, kubeDNS, profile, istio, istioCNI, sidecarShop, web, api, other, webToAPI}, more...)...)
}

func TestTrap06AGRPCProbeUnderALinkerdServerIsAuthorised(t *testing.T) {
	grpc := strings.Replace(api, "httpGet: {path: /ready, port: http}", "grpc: {port: 9000}", 1)
	r := runYAML(t, engine.Given{}, facts, kubeDNS, profile, linkerd, linkerdShop, web, grpc, webToAPI)
	var networks []string
	for _, o := range objectsOf(r, "NetworkAuthentication") {
		for _, n := range o.Map("spec")["networks"].([]any) {
			networks = append(networks, n.(map[string]any)["cidr"].(string))
		}
	}
	assert.Equal(t, []string{"172.18.0.2/32"}, networks, "the nodes, and not 0.0.0.0/0")
	for _, o := range objectsOf(r, "AuthorizationPolicy") {
		origin := o.Annotations()[model.OriginAnnotation]
		assert.Equal(t, strings.Contains(o.Ref().Name, "-networks-"), strings.Contains(origin, "probes"), "%s: %s", o.Ref(), origin)
		assert.Equal(t, strings.Contains(o.Ref().Name, "-identities-"), strings.Contains(origin, "TrafficRule"), "%s: %s", o.Ref(), origin)
	}
}

func TestTrap15LinkerdRefusesPodsWithoutATokenWhenProjectionIsOff(t *testing.T) {
	off := strings.Replace(linkerd, "proxy: {outbound", "identity: {serviceAccountTokenProjection: false}\n    proxy: {outbound", 1)
	tokenless := strings.Replace(web, "spec: {serviceAccountName: web,", "spec: {automountServiceAccountToken: false, serviceAccountName: web,", 1)
	r := runYAML(t, engine.Given{}, facts, kubeDNS, profile, off, linkerdShop, tokenless, api, webToAPI)
	assert.Contains(t, findingCodes(r), "PodOutsideMesh", "it would run in plaintext, silently")
	assert.Contains(t, findingCodes(r), "ClientOutsideMesh", "and be refused by the strict server")
}

func TestTrap16AnnotationsThatLeadAroundTheProxyAreReported(t *testing.T) {
	for name, test := range map[string]struct{ mesh, shop, annotation, code string }{
		"istio inbound ports": {istio + "\n---" + istioCNI, sidecarShop, `traffic.sidecar.istio.io/excludeInboundPorts: "9000"`, "MeshBypass"},
		"istio capture off":   {istio + "\n---" + istioCNI, sidecarShop, `sidecar.istio.io/interceptionMode: NONE`, "InboundNotCaptured"},
		"linkerd skip":        {linkerd, linkerdShop, `config.linkerd.io/skip-inbound-ports: "9000"`, "MeshBypass"},
	} {
		t.Run(name, func(t *testing.T) {
			around := strings.Replace(api, "metadata: {labels: {app: api}}", "metadata: {labels: {app: api}, annotations: {"+test.annotation+"}}", 1)
			r := runYAML(t, engine.Given{}, facts, kubeDNS, profile, test.mesh, test.shop, web, around, webToAPI)
			assert.Contains(t, findingCodes(r), test.code)
			assert.Contains(t, gravest(r, test.code).Subject.String(), "api")
			assert.Equal(t, model.Error, gravest(r, test.code).Severity)
		})
	}
}

func TestTrap16PodsThatOptOutAreOutsideTheMesh(t *testing.T) {
	out := strings.Replace(web, "metadata: {labels: {app: web}}", `metadata: {labels: {app: web, sidecar.istio.io/inject: "false"}}`, 1)
	r := runYAML(t, engine.Given{}, facts, kubeDNS, profile, istio, istioCNI, sidecarShop, out, api, webToAPI)
	assert.Contains(t, gravest(r, "PodOutsideMesh").Message, "sidecar.istio.io/inject")
	assert.Contains(t, gravest(r, "ClientOutsideMesh").Message, "Deployment shop/api")
}

func gravest(r engine.Result, code string) model.Finding {
	for _, f := range r.Findings {
		if f.Code == code {
			return f
		}
	}
	return model.Finding{}
}

func TestTrap17SocketLoadBalancingInPodsIsReported(t *testing.T) {
	cilium := `
apiVersion: v1
kind: ConfigMap
metadata: {name: cilium-config, namespace: kube-system}
data: {kube-proxy-replacement: "true", bpf-lb-sock-hostns-only: "false", cni-exclusive: "true"}`
	r := sidecarCase(t, cilium)
	assert.Contains(t, findingCodes(r), "SocketLoadBalancingBypassesMesh")
	assert.Contains(t, findingCodes(r), "CiliumExclusiveRemovesMeshCNI")
	healthy := strings.NewReplacer(`sock-hostns-only: "false"`, `sock-hostns-only: "true"`, `exclusive: "true"`, `exclusive: "false"`).Replace(cilium)
	assert.NotContains(t, findingCodes(sidecarCase(t, healthy)), "SocketLoadBalancingBypassesMesh")
}

func TestTrap18AnOlderPeerAuthenticationWouldWinOverOurs(t *testing.T) {
	older := `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: legacy, namespace: shop, creationTimestamp: "2024-01-01T00:00:00Z"}
spec: {mtls: {mode: PERMISSIVE}}`
	r := sidecarCase(t, older)
	assert.Contains(t, problemCodes(r), "PeerAuthenticationShadowed", "only the oldest counts, and nothing is merged")
	for _, o := range objectsOf(r, "PeerAuthentication") {
		assert.False(t, o.Ref().Namespace == "shop" && o.Map("spec", "selector") == nil, "a second policy for the namespace would only pretend")
	}
}

func TestTrap18PortExceptionsComeWithASelector(t *testing.T) {
	r := sidecarCase(t, webhook)
	for _, o := range objectsOf(r, "PeerAuthentication") {
		if o.Map("spec", "portLevelMtls") != nil {
			assert.Equal(t, map[string]any{"app": "api"}, o.Map("spec", "selector", "matchLabels"))
			assert.Equal(t, "STRICT", o.Map("spec", "mtls")["mode"], "UNSET would inherit, and may inherit less")
		}
	}
}

func TestTrap21NothingIsWrittenWhereItWouldHitTheWholeMesh(t *testing.T) {
	r := sidecarCase(t)
	require.NotEmpty(t, objectsOf(r, "AuthorizationPolicy"))
	for _, o := range r.Objects {
		assert.NotEqual(t, "mesh-system", o.Ref().Namespace, "an empty policy in the root namespace hits gateways too")
	}
}

func TestTrap21TheFirstAllowDoesNotCloseWhatOthersNeed(t *testing.T) {
	// Both servers are governed by the same deny; each has its own allow, and neither opens nor closes the other.
	second := strings.NewReplacer("name: api", "name: web", "{app: api}", "{app: web}", "{app: web}}}}]", "{app: other}}}}]", "port: http", "port: 8080").Replace(webToAPI)
	r := sidecarCase(t, second)
	assert.Equal(t, []string{"other → web:8080", "web → api:9000"}, istioCalls(t, r, "shop"))
}

func TestTrap30InjectionIsCountedWhenALevelIsChosen(t *testing.T) {
	r := runYAML(t, engine.Given{}, facts, kubeDNS, profile, istio, sidecarShop, web, api, webToAPI)
	assert.Contains(t, findingCodes(r), "InjectionBelowEnforce", "istio-init needs NET_ADMIN, which baseline refuses")
	assert.NotContains(t, findingCodes(sidecarCase(t)), "InjectionBelowEnforce", "with the CNI plugin it does not")
	assert.NotContains(t, findingCodes(runYAML(t, engine.Given{}, facts, kubeDNS, profile, istio, ztunnel, ambientShop, web, api, webToAPI)), "InjectionBelowEnforce", "and in ambient mode nothing is injected")
}

func TestTrap37IdentitiesHaveThisMeshsTrustDomainAndNamespace(t *testing.T) {
	r := sidecarCase(t)
	assert.Equal(t, "corp.example/ns/shop/sa/web", r.Model.Workload(model.WorkloadID{Namespace: "shop", Kind: "Deployment", Name: "web"}).Facts.Identity)
	r = runYAML(t, engine.Given{}, facts, kubeDNS, profile, linkerd, linkerdShop, web, api, webToAPI)
	assert.Equal(t, "web.shop.serviceaccount.identity.l5d.corp.example", r.Model.Workload(model.WorkloadID{Namespace: "shop", Kind: "Deployment", Name: "web"}).Facts.Identity)
	assert.Equal(t, []string{"web → api:9000"}, linkerdCalls(t, r, "shop"))
}

func TestTrap37AnUnknownTrustDomainIsNotGuessed(t *testing.T) {
	_, deployment, _ := strings.Cut(istio, "---")
	r := runYAML(t, engine.Given{}, facts, kubeDNS, profile, deployment, istioCNI, sidecarShop, web, api, webToAPI)
	assert.Contains(t, problemCodes(r), "TrustDomainUnknown")
	assert.Empty(t, objectsOf(r, "AuthorizationPolicy"), "neither a deny nor an allow that names nobody")
	given := engine.Given{TrustDomain: "given.example"}
	r = runYAML(t, given, facts, kubeDNS, profile, deployment, istioCNI, sidecarShop, web, api, webToAPI)
	assert.Equal(t, []string{"web → api:9000"}, istioCalls(t, r, "shop"))
}

func TestTrap38ASharedServiceAccountIsReportedWhereItOpensMoreThanAsked(t *testing.T) {
	shared := strings.Replace(other, "serviceAccountName: other", "serviceAccountName: web", 1)
	r := runYAML(t, engine.Given{}, facts, kubeDNS, profile, istio, istioCNI, sidecarShop, web, api, shared, webToAPI)
	f := gravest(r, "SharedServiceAccount")
	assert.Equal(t, "ServiceAccount shop/web", f.Subject.String())
	assert.Contains(t, f.Message, "Deployment shop/other")
	assert.NotContains(t, findingCodes(sidecarCase(t)), "SharedServiceAccount")
}

func TestTrap19HTTPRulesInAmbientGoThroughAWaypointOrStayClosed(t *testing.T) {
	limited := webToAPI + "\n  http: [{methods: [GET], paths: [/v1/*]}]"
	unbound := runYAML(t, engine.Given{}, facts, kubeDNS, profile, istio, ztunnel, ambientShop, web, api, other, limited)
	assert.Contains(t, problemCodes(unbound), "WaypointNotBound")
	assert.NotContains(t, istioCalls(t, unbound, "shop"), "web → api:9000", "ztunnel would drop the HTTP part and open the port")
	bound := strings.Replace(ambientShop, "dataplane-mode: ambient", "dataplane-mode: ambient, istio.io/use-waypoint: gate", 1)
	r := runYAML(t, engine.Given{}, facts, kubeDNS, profile, istio, ztunnel, bound, web, api, other, limited)
	assert.NotContains(t, problemCodes(r), "WaypointNotBound")
	var targets []string
	for _, o := range objectsOf(r, "AuthorizationPolicy") {
		if refs, ok := o.Map("spec")["targetRefs"].([]any); ok {
			targets = append(targets, refs[0].(map[string]any)["name"].(string))
		}
	}
	assert.Equal(t, []string{"api"}, targets, "waypoints read only policies that target a Service")
}

func TestPermissiveLetsDeclaredClientsCallInPlaintextUntilTheyAreEnrolled(t *testing.T) {
	permissive := strings.Replace(profile, "namespaceSelector: {}", "namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}, mesh: {mtls: Permissive}", 1)
	out := strings.Replace(web, "metadata: {labels: {app: web}}", `metadata: {labels: {app: web, sidecar.istio.io/inject: "false"}}`, 1)
	sources := func(client string) string {
		r := runYAML(t, engine.Given{}, facts, kubeDNS, permissive, istio, istioCNI, sidecarShop, client, api, other, webToAPI)
		for _, o := range objectsOf(r, "AuthorizationPolicy") {
			if strings.HasPrefix(o.Ref().Name, "palisade-api-") {
				return string(manifest.Marshal(o))
			}
		}
		return ""
	}
	assert.Contains(t, sources(out), "notPrincipals", "permissive means that it may still call, as far as the network lets it")
	assert.NotContains(t, sources(web), "notPrincipals", "and nobody needs it who has an identity")
}

func TestLifecycleHooksOfTheKubeletPassTheNetwork(t *testing.T) {
	hooked := strings.Replace(api, "readinessProbe:", "lifecycle: {preStop: {httpGet: {path: /drain, port: admin}}}\n        readinessProbe:", 1)
	w := wireOf(t, runYAML(t, none, facts, kubeDNS, profile, plainShop, web, hooked, webToAPI))
	assert.True(t, w.allows(t, "172.18.0.2", "shop/api", model.TCP(9001)), "a hook is the kubelet's call, like a probe")
	assert.False(t, w.allows(t, "172.18.0.3", "shop/api", model.TCP(9001)))
}

func TestTrap19AServerWithoutAWaypointIsReachedDirectlyBesideOneWithIt(t *testing.T) {
	tiered := func(name, service string) string {
		return strings.NewReplacer("name: web", "name: "+name, "serviceAccountName: web", "serviceAccountName: "+name, "{app: web}", "{app: "+name+", tier: api}").Replace(web) + `
---
apiVersion: v1
kind: Service
metadata: {name: ` + name + `, namespace: shop` + service + `}
spec: {selector: {app: ` + name + `}, ports: [{port: 80, targetPort: 8080}]}`
	}
	rule := strings.NewReplacer("{app: api}", "{tier: api}", "port: http", "port: 8080").Replace(webToAPI)
	r := runYAML(t, engine.Given{}, facts, kubeDNS, profile, istio, ztunnel, ambientShop, web, rule,
		tiered("first", ", labels: {istio.io/use-waypoint: gate}"), tiered("second", ""))
	w := wireOf(t, r)
	assert.False(t, w.allows(t, "shop/web", "shop/first", model.TCP(15008)), "calls to it pass the waypoint")
	assert.True(t, w.allows(t, "shop/web", "shop/second", model.TCP(15008)), "calls to it do not")
}

package engine_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	networkingv1 "k8s.io/api/networking/v1"

	"floe.dev/palisade/engine"
	"floe.dev/palisade/model"
)

var none = engine.Given{Mesh: "none"}

func TestTrap01AmbientTrafficPassesOnThePortOfTheTunnel(t *testing.T) {
	r := runYAML(t, engine.Given{}, facts, kubeDNS, profile, istio, ztunnel, ambientShop, web, api, other, webToAPI)
	w := wireOf(t, r)
	assert.True(t, w.allows(t, "shop/web", "shop/api", model.TCP(15008)), "ztunnel carries the call on 15008, out of the client and into the server")
	assert.False(t, w.allows(t, "shop/other", "shop/api", model.TCP(15008)), "and nobody else's")
	assert.False(t, w.allows(t, "shop/api", "shop/web", model.TCP(15008)), "and not backwards")
}

func TestTrap02PortsThatTheTunnelErasesStandInAuthorization(t *testing.T) {
	r := runYAML(t, engine.Given{}, facts, kubeDNS, profile, istio, ztunnel, ambientShop, web, api, other, webToAPI)
	assert.Equal(t, []string{"web → api:9000"}, istioCalls(t, r, "shop"), "9001 would be within reach by 15008 otherwise")
}

func TestTrap03LinkerdTrafficPassesOn4143BothWays(t *testing.T) {
	r := runYAML(t, engine.Given{}, facts, kubeDNS, profile, linkerd, linkerdShop, web, api, other, webToAPI)
	w := wireOf(t, r)
	assert.True(t, w.allows(t, "shop/web", "shop/api", model.TCP(4143)), "egress of the client and ingress of the server")
	assert.False(t, w.allows(t, "shop/other", "shop/api", model.TCP(4143)))
	assert.Equal(t, []string{"web → api:9000"}, linkerdCalls(t, r, "shop"), "the port stands in Linkerd's policy")
}

func TestTrap04AmbientProbesComeFromAnAddressOfTheirOwn(t *testing.T) {
	r := runYAML(t, engine.Given{}, facts, kubeDNS, profile, istio, ztunnel, ambientShop, web, api, webToAPI)
	w := wireOf(t, r)
	assert.True(t, w.allows(t, "169.254.7.127", "shop/api", model.TCP(9000)), "the readiness probe")
	assert.False(t, w.allows(t, "169.254.7.127", "shop/api", model.TCP(9001)), "no probe, no opening")
	assert.False(t, w.allows(t, "169.254.7.128", "shop/api", model.TCP(9000)))
}

func TestTrap05ProbesOfTheNodesPass(t *testing.T) {
	r := runYAML(t, none, facts, kubeDNS, profile, plainShop, web, api, webToAPI)
	w := wireOf(t, r)
	assert.True(t, w.allows(t, "172.18.0.2", "shop/api", model.TCP(9000)), "some CNIs do not exempt the node")
	assert.False(t, w.allows(t, "172.18.0.2", "shop/api", model.TCP(9001)))
	assert.False(t, w.allows(t, "172.18.0.3", "shop/api", model.TCP(9000)), "only the nodes")
}

const webhook = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: api}
webhooks:
- name: check.shop.example
  admissionReviewVersions: [v1]
  sideEffects: None
  clientConfig: {service: {namespace: shop, name: hook, port: 443}}
---
apiVersion: v1
kind: Service
metadata: {name: hook, namespace: shop}
spec: {selector: {app: api}, ports: [{port: 443, targetPort: admin}]}`

func TestTrap07TheAPIServerReachesWebhooksWithoutAnIdentity(t *testing.T) {
	r := runYAML(t, engine.Given{}, facts, kubeDNS, profile, istio, istioCNI, sidecarShop, web, api, other, webToAPI, webhook)
	w := wireOf(t, r)
	assert.True(t, w.allows(t, "172.18.0.9", "shop/api", model.TCP(9001)), "from the endpoints of the API server to the target port")
	assert.False(t, w.allows(t, "10.96.0.1", "shop/api", model.TCP(9001)), "the ClusterIP is never a source")
	assert.False(t, w.allows(t, "shop/other", "shop/api", model.TCP(9001)))

	var ports map[string]any
	for _, o := range objectsOf(r, "PeerAuthentication") {
		if p := o.Map("spec", "portLevelMtls"); p != nil {
			ports = p
		}
	}
	require.Contains(t, ports, "9001", "STRICT would cut admission: %v", r.Problems)
	assert.NotContains(t, ports, "9000", "the exception is for the webhook's port alone")
	assert.Equal(t, []string{"web → api:9000"}, istioCalls(t, r, "shop"), "no mesh identity gains the webhook's port")
}

func TestTrap08SystemNamespacesAreNotGovernedUnlessNamed(t *testing.T) {
	own := `
apiVersion: apps/v1
kind: Deployment
metadata: {name: palisade, namespace: security-tools}
spec:
  selector: {matchLabels: {app.kubernetes.io/name: palisade}}
  template:
    metadata: {labels: {app.kubernetes.io/name: palisade}}
    spec: {containers: [{name: palisade, image: palisade}]}`
	r := runYAML(t, engine.Given{}, facts, kubeDNS, profile, istio, sidecarShop, web, own)
	for _, o := range r.Objects {
		ref := o.Ref()
		for _, system := range []string{"kube-system", "mesh-system", "security-tools"} {
			assert.NotEqual(t, system, ref.Namespace, "%s", ref)
			assert.False(t, ref.Kind == "Namespace" && ref.Name == system, "%s", ref)
		}
	}
	for _, o := range runYAML(t, none, facts, kubeDNS, profile, istio, linkerd, sidecarShop, web).Objects {
		assert.NotContains(t, []string{"mesh-system", "l5d"}, o.Ref().Namespace, "a control plane stays out even where its mesh is not the one in use")
	}
	named := strings.Replace(profile, "namespaceSelector: {}", "namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}", 1)
	r = runYAML(t, none, facts, kubeDNS, named)
	require.NotEmpty(t, objectsOf(r, "NetworkPolicy"))
	assert.Equal(t, "kube-system", objectsOf(r, "NetworkPolicy")[0].Ref().Namespace)
}

func TestTrap14HostNetworkPodsAreReachedByTheirNodesAddress(t *testing.T) {
	host := strings.Replace(web, "spec: {serviceAccountName: web,", "spec: {hostNetwork: true, serviceAccountName: web,", 1)
	r := runYAML(t, none, facts, kubeDNS, profile, plainShop, host, api, webToAPI)
	w := wireOf(t, r)
	assert.True(t, w.allows(t, "172.18.0.2", "shop/api", model.TCP(9000)), "no selector finds the client: its packets come from the node")
	assert.False(t, w.allows(t, "172.18.0.77", "shop/api", model.TCP(9000)))
	assert.Contains(t, findingCodes(r), "HostNetworkUnprotected")

	without := runYAML(t, none, kubeDNS, profile, plainShop, host, api, webToAPI)
	assert.Contains(t, problemCodes(without), "HostNetworkPeerUnknown", "without Nodes it stays closed, and is said")
	assert.False(t, wireOf(t, without).allows(t, "172.18.0.2", "shop/api", model.TCP(9000)))
}

func TestTrap22DNSIsOpenOverTCPToo(t *testing.T) {
	w := wireOf(t, runYAML(t, none, facts, kubeDNS, profile, plainShop, web))
	assert.True(t, w.allows(t, "shop/web", "kube-system/coredns", model.UDP(53)))
	assert.True(t, w.allows(t, "shop/web", "kube-system/coredns", model.TCP(53)), "truncated answers come again over TCP")
	assert.False(t, w.allows(t, "shop/web", "kube-system/coredns", model.TCP(9153)))
}

func TestTrap23ANodeLocalCacheIsReachedByItsAddressAndOnItsPorts(t *testing.T) {
	cache := `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: node-local-dns, namespace: kube-system}
spec:
  selector: {matchLabels: {k8s-app: node-local-dns}}
  template:
    metadata: {labels: {k8s-app: node-local-dns}}
    spec:
      hostNetwork: true
      containers: [{name: node-cache, image: cache, args: [-localip, "169.254.25.10,10.96.0.10", -conf, /etc/Corefile]}]`
	w := wireOf(t, runYAML(t, none, facts, kubeDNS, cache, profile, plainShop, web))
	for _, address := range []string{"169.254.25.10", "10.96.0.10"} {
		assert.True(t, w.allows(t, "shop/web", address, model.UDP(53)), address)
		assert.True(t, w.allows(t, "shop/web", address, model.TCP(53)), address)
	}
	assert.False(t, w.allows(t, "shop/web", "169.254.20.10", model.UDP(53)), "the usual address is not this cluster's")
}

func TestTrap23ACacheInPodsOfItsOwnIsFoundByItsLabels(t *testing.T) {
	cache := `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: node-local-dns, namespace: kube-system}
spec:
  selector: {matchLabels: {k8s-app: node-local-dns}}
  template:
    metadata: {labels: {k8s-app: node-local-dns}}
    spec: {containers: [{name: cache, image: cache, ports: [{name: dns, containerPort: 53, protocol: UDP}, {name: metrics, containerPort: 9253}]}]}`
	w := wireOf(t, runYAML(t, none, facts, kubeDNS, cache, profile, plainShop, web))
	assert.True(t, w.allows(t, "shop/web", "kube-system/node-local-dns", model.UDP(53)), "Cilium's local redirect leads there")
	assert.True(t, w.allows(t, "shop/web", "kube-system/node-local-dns", model.TCP(53)))
	assert.False(t, w.allows(t, "shop/web", "kube-system/node-local-dns", model.TCP(9253)))
	assert.True(t, w.allows(t, "shop/web", "kube-system/coredns", model.UDP(53)))
}

func TestTrap23DNSOnAnotherPortAndInAnotherNamespaceIsFound(t *testing.T) {
	dns := strings.NewReplacer("kube-system", "openshift-dns", "name: kube-dns,", "name: dns-default,", "k8s-app: kube-dns", "k8s-app: coredns",
		"port: 53, protocol: UDP}", "port: 53, protocol: UDP, targetPort: 5353}", "port: 53, protocol: TCP}", "port: 53, protocol: TCP, targetPort: 5353}").Replace(kubeDNS)
	w := wireOf(t, runYAML(t, none, facts, dns, profile, plainShop, web))
	assert.True(t, w.allows(t, "shop/web", "openshift-dns/coredns", model.UDP(5353)))
	assert.True(t, w.allows(t, "shop/web", "openshift-dns/coredns", model.TCP(5353)))
	assert.False(t, w.allows(t, "shop/web", "openshift-dns/coredns", model.UDP(53)), "policies see the port behind the Service")
	assert.True(t, w.allows(t, "shop/web", "10.96.0.10", model.UDP(53)), "or the Service's own, before translation")
}

func TestUnknownDNSHoldsTheNamespaceInsteadOfCuttingItsNames(t *testing.T) {
	r := runYAML(t, none, facts, profile, plainShop, web, api, webToAPI)
	assert.Contains(t, problemCodes(r), "DNSUnknown")
	assert.Empty(t, objectsOf(r, "NetworkPolicy"), "a deny is never written before its allows")
	given := none
	given.DNSServers = []string{"192.0.2.53"}
	r = runYAML(t, given, facts, profile, plainShop, web, api, webToAPI)
	assert.NotContains(t, problemCodes(r), "DNSUnknown")
	assert.True(t, wireOf(t, r).allows(t, "shop/web", "192.0.2.53", model.UDP(53)))
}

const apiAccess = `
apiVersion: palisade.floe.dev/v1alpha1
kind: ExternalAccess
metadata: {name: kubernetes, namespace: shop}
spec: {from: {matchLabels: {app: web}}, to: [{preset: APIServer}]}`

func TestTrap24TheAPIServerIsReachedBeforeAndAfterTranslation(t *testing.T) {
	r := runYAML(t, none, facts, kubeDNS, profile, plainShop, web, other, apiAccess)
	w := wireOf(t, r)
	assert.True(t, w.allows(t, "shop/web", "10.96.0.1", model.TCP(443)), "the Service")
	assert.True(t, w.allows(t, "shop/web", "172.18.0.9", model.TCP(6443)), "and the endpoint behind it")
	assert.False(t, w.allows(t, "shop/web", "172.18.0.9", model.TCP(22)))
	assert.False(t, w.allows(t, "shop/other", "172.18.0.9", model.TCP(6443)))
}

func TestTrap24AnUnknownAPIServerStaysClosed(t *testing.T) {
	r := runYAML(t, none, kubeDNS, profile, plainShop, web, apiAccess)
	assert.Contains(t, problemCodes(r), "APIServerUnknown")
	w := wireOf(t, r)
	for _, address := range []string{"10.96.0.1", "172.18.0.9", "8.8.8.8"} {
		assert.False(t, w.allows(t, "shop/web", address, model.TCP(443)), address)
		assert.False(t, w.allows(t, "shop/web", address, model.TCP(6443)), address)
	}
}

func TestTrap24EachAPIServerIsOpenOnItsOwnPort(t *testing.T) {
	given := none
	given.APIServers = []string{"192.0.2.1:443", "192.0.2.2:6443"}
	w := wireOf(t, runYAML(t, given, facts, kubeDNS, profile, plainShop, web, apiAccess))
	assert.True(t, w.allows(t, "shop/web", "192.0.2.1", model.TCP(443)))
	assert.True(t, w.allows(t, "shop/web", "192.0.2.2", model.TCP(6443)))
	assert.False(t, w.allows(t, "shop/web", "192.0.2.1", model.TCP(6443)), "that is the other one's port")
	assert.False(t, w.allows(t, "shop/web", "192.0.2.2", model.TCP(443)))
}

func TestTrap25AnywhereOutsideIsNeitherPodsNorTheMetadataService(t *testing.T) {
	for name, to := range map[string]string{"cidr": `{cidr: 0.0.0.0/0}`, "preset": `{preset: Internet}`} {
		t.Run(name, func(t *testing.T) {
			access := strings.Replace(apiAccess, "{preset: APIServer}", to, 1)
			access = strings.Replace(access, "]}", "], ports: [{port: 443}]}", 1)
			w := wireOf(t, runYAML(t, none, facts, kubeDNS, profile, plainShop, web, access))
			assert.True(t, w.allows(t, "shop/web", "93.184.215.14", model.TCP(443)))
			assert.False(t, w.allows(t, "shop/web", "93.184.215.14", model.TCP(80)))
			for _, inside := range []string{"10.244.1.2", "10.96.0.44", "172.18.0.2", "169.254.169.254"} {
				assert.False(t, w.allows(t, "shop/web", inside, model.TCP(443)), "%s: where policies see pods as addresses, this is one", inside)
			}
		})
	}
}

func TestTrap25UnknownRangesKeepAnywhereClosed(t *testing.T) {
	access := strings.Replace(apiAccess, "{preset: APIServer}]", "{cidr: 0.0.0.0/0}], ports: [{port: 443}]", 1)
	r := runYAML(t, none, kubeDNS, profile, plainShop, web, access)
	assert.Contains(t, problemCodes(r), "ClusterRangesUnknown")
	assert.False(t, wireOf(t, r).allows(t, "shop/web", "203.0.113.7", model.TCP(443)))
}

func TestTrap26NamespacesAreChosenByTheLabelThatTheyAllHave(t *testing.T) {
	elsewhere := strings.NewReplacer("namespace: shop", "namespace: elsewhere", "name: web", "name: caller").Replace(web)
	rule := strings.Replace(webToAPI, "{podSelector: {matchLabels: {app: web}}}", "{namespace: elsewhere}", 1)
	r := runYAML(t, none, facts, kubeDNS, profile, plainShop, api, elsewhere, rule)
	assert.True(t, wireOf(t, r).allows(t, "elsewhere/caller", "shop/api", model.TCP(9000)))
	for _, o := range objectsOf(r, "NetworkPolicy") {
		for _, rule := range typed[networkingv1.NetworkPolicy](t, o).Spec.Ingress {
			for _, peer := range rule.From {
				if peer.NamespaceSelector != nil {
					assert.Equal(t, map[string]string{"kubernetes.io/metadata.name": "elsewhere"}, peer.NamespaceSelector.MatchLabels)
				}
			}
		}
	}
}

func TestTrap26ServiceLabelsAreNotPodLabels(t *testing.T) {
	service := `
apiVersion: v1
kind: Service
metadata: {name: front, namespace: shop, labels: {app: api}}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}`
	rule := strings.Replace(webToAPI, "pods: {podSelector: {matchLabels: {app: web}}}", "cidr: 198.51.100.0/24", 1)
	r := runYAML(t, none, facts, kubeDNS, profile, plainShop, web, api, service, rule)
	assert.Contains(t, findingCodes(r), "ExposedServiceClosed", "the rule opens api, and the Service leads to web, whatever label it bears")
}

func TestTrap27PolicyTypesAreWrittenOut(t *testing.T) {
	for _, p := range policies(t, runYAML(t, none, facts, kubeDNS, profile, plainShop, web, api, webToAPI)) {
		assert.Equal(t, []networkingv1.PolicyType{"Ingress", "Egress"}, p.Spec.PolicyTypes, p.Name)
	}
}

func TestTrap09PrometheusOutsideTheMeshScrapesWhatIsPlaintextByDesign(t *testing.T) {
	prometheus := `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: prometheus, namespace: monitoring}
spec:
  serviceName: prometheus
  selector: {matchLabels: {app.kubernetes.io/name: prometheus}}
  template:
    metadata: {labels: {app.kubernetes.io/name: prometheus}}
    spec: {containers: [{name: prometheus, image: prometheus}]}`
	scraped := strings.Replace(api, "metadata: {labels: {app: api}}", `metadata: {labels: {app: api}, annotations: {prometheus.io/scrape: "true", prometheus.io/port: "9001"}}`, 1)
	scraping := strings.Replace(profile, "namespaceSelector: {}", "namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}, network: {metricsScrapes: Enabled}", 1)

	w := wireOf(t, runYAML(t, engine.Given{}, facts, kubeDNS, scraping, istio, istioCNI, sidecarShop, prometheus, web, scraped, webToAPI))
	assert.True(t, w.allows(t, "monitoring/prometheus", "shop/api", model.TCP(15020)), "merged metrics, never captured by the sidecar")
	assert.False(t, w.allows(t, "shop/web", "shop/api", model.TCP(15020)))
	assert.False(t, w.allows(t, "monitoring/prometheus", "shop/api", model.TCP(9000)), "scrapes open no application port")
	assert.False(t, w.allows(t, "monitoring/prometheus", "shop/api", model.TCP(9001)), "the sidecar serves these metrics as well")

	w = wireOf(t, runYAML(t, engine.Given{}, facts, kubeDNS, scraping, linkerd, linkerdShop, prometheus, web, scraped, webToAPI))
	assert.True(t, w.allows(t, "monitoring/prometheus", "shop/api", model.TCP(4191)), "the Linkerd proxy's admin port")

	w = wireOf(t, runYAML(t, none, facts, kubeDNS, scraping, plainShop, prometheus, web, scraped, webToAPI))
	assert.True(t, w.allows(t, "monitoring/prometheus", "shop/api", model.TCP(9001)))
	assert.False(t, w.allows(t, "shop/web", "shop/api", model.TCP(9001)))
}

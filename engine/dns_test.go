package engine_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"floe.dev/palisade/engine"
	"floe.dev/palisade/model"
)

// kubeadmDNS is the Service as kubeadm makes it, with the metrics of CoreDNS beside DNS.
var kubeadmDNS = strings.Replace(kubeDNS, "{name: dns-tcp, port: 53, protocol: TCP}", "{name: dns-tcp, port: 53, protocol: TCP}, {name: metrics, port: 9153, protocol: TCP, targetPort: 9153}", 1)

func TestTheMetricsOfTheResolverAreNotPartOfDNS(t *testing.T) {
	governed := strings.Replace(profile, "namespaceSelector: {}", "namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: [shop, kube-system]}]}", 1)
	w := wireOf(t, runYAML(t, none, facts, kubeadmDNS, governed, plainShop, web))
	assert.True(t, w.allows(t, "shop/web", "kube-system/coredns", model.UDP(53)))
	assert.True(t, w.allows(t, "shop/web", "kube-system/coredns", model.TCP(53)))
	assert.False(t, w.allows(t, "shop/web", "kube-system/coredns", model.TCP(9153)))
	assert.False(t, w.allows(t, "shop/web", "10.96.0.10", model.TCP(9153)))
	outside := wireOf(t, runYAML(t, none, facts, kubeadmDNS, strings.Replace(governed, "shop, ", "", 1), plainShop, web))
	assert.False(t, outside.allows(t, "shop/web", "kube-system/coredns", model.TCP(9153)), "nor where the resolver's namespace is governed")
}

func kubelet(dns string) string {
	return `
apiVersion: v1
kind: ConfigMap
metadata: {name: kubelet-config, namespace: kube-system}
data:
  kubelet: |
    kind: KubeletConfiguration
    clusterDNS: [` + dns + `]`
}

func TestTheResolverIsTheOneThatKubeletsTellPodsOf(t *testing.T) {
	own := strings.NewReplacer("kube-system", "dns", "name: kube-dns,", "name: unbound,", "k8s-app: kube-dns", "app: unbound", "10.96.0.10", "10.96.7.7", "name: coredns", "name: unbound").Replace(kubeDNS)
	for name, c := range map[string]struct {
		given     engine.Given
		manifests string
	}{
		"configuration": {none, kubelet("10.96.7.7")},
		"flag":          {engine.Given{Mesh: "none", DNSServers: []string{"10.96.7.7"}}, kubelet("")},
	} {
		t.Run(name, func(t *testing.T) {
			w := wireOf(t, runYAML(t, c.given, facts, kubeDNS, own, c.manifests, profile, plainShop, web))
			assert.True(t, w.allows(t, "shop/web", "dns/unbound", model.UDP(53)), "policies see the pods behind the address")
			assert.True(t, w.allows(t, "shop/web", "10.96.7.7", model.TCP(53)))
		})
	}
	w := wireOf(t, runYAML(t, none, facts, kubeDNS, kubelet("169.254.20.10"), profile, plainShop, web))
	assert.True(t, w.allows(t, "shop/web", "169.254.20.10", model.UDP(53)), "a node-local cache whose DaemonSet was not read")
	assert.True(t, w.allows(t, "shop/web", "kube-system/coredns", model.UDP(53)))
}

func TestNoDenyIsWrittenWhereTheResolversPodsAreOutOfReach(t *testing.T) {
	service, _, _ := strings.Cut(kubeDNS, "---")
	named := strings.ReplaceAll(service, "port: 53, protocol", "port: 53, targetPort: dns, protocol")
	onNode := strings.Replace(kubeDNS, "spec: {containers", "spec: {hostNetwork: true, containers", 1)
	noNodes := strings.Replace(facts, "status: {addresses: [{type: InternalIP, address: 172.18.0.2}]}", "status: {}", 1)
	for name, manifests := range map[string][]string{
		"a port of unknown number":      {facts, named},
		"pods on nodes of no addresses": {noNodes, onNode},
		"an address and nothing behind": {facts, kubelet("10.96.0.10")},
	} {
		t.Run(name, func(t *testing.T) {
			r := runYAML(t, none, append(manifests, profile, plainShop, web, api, webToAPI)...)
			assert.Contains(t, problemCodes(r), "DNSUnknown")
			assert.Empty(t, objectsOf(r, "NetworkPolicy"), "the Service's address alone is closed after translation")
		})
	}
	w := wireOf(t, runYAML(t, none, facts, onNode, profile, plainShop, web))
	assert.True(t, w.allows(t, "shop/web", "172.18.0.2", model.UDP(53)), "no pod selector matches pods on the node's network")
}

func TestAResolverThatDefaultDenyCutsOffIsAFinding(t *testing.T) {
	governed := strings.Replace(profile, "namespaceSelector: {}", "namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}", 1)
	assert.Contains(t, findingCodes(runYAML(t, none, facts, kubeDNS, governed)), "ResolverCutOff")
	assert.NotContains(t, findingCodes(runYAML(t, none, facts, kubeDNS, profile)), "ResolverCutOff")
	access := strings.NewReplacer("namespace: shop", "namespace: kube-system", "app: web", "k8s-app: kube-dns").Replace(apiAccess)
	assert.NotContains(t, findingCodes(runYAML(t, none, facts, kubeDNS, governed, access)), "ResolverCutOff")
}

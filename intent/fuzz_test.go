package intent_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"

	"floe.dev/palisade/intent"
	"floe.dev/palisade/model"
)

// FuzzFacts gives the readers of foreign configuration whatever text there is: they may learn nothing, but must not fall over.
func FuzzFacts(f *testing.F) {
	f.Add("networking: {dnsDomain: cluster.local, podSubnet: 10.0.0.0/8}", ".:53 {\n kubernetes cluster.local in-addr.arpa {\n }\n bind 169.254.20.10\n}", "10.0.0.1:443")
	f.Add("networking: []", "kubernetes {", "[::1]:6443")
	f.Add("- a", "kubernetes . arpa", "x")
	f.Fuzz(func(t *testing.T, kubeadm, corefile, address string) {
		configMap := func(name, key, text string) model.Object {
			return model.Object{Tree: map[string]any{
				"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": name, "namespace": "kube-system"},
				"data": map[string]any{key: text},
			}}
		}
		s := &intent.Snapshot{Objects: []model.Object{
			configMap("kubeadm-config", "ClusterConfiguration", kubeadm), configMap("coredns", "Corefile", corefile),
			configMap("node-local-dns", "Corefile", corefile), configMap("kubelet-config", "kubelet", kubeadm),
		}}
		facts, _ := intent.Facts(s, intent.Given{Mesh: "none", APIServers: []string{address}, DNSServers: []string{address}, PodCIDRs: strings.Fields(address)})
		if facts.Domain != "" && len(validation.IsDNS1123Subdomain(facts.Domain)) > 0 {
			t.Errorf("%q is no domain", facts.Domain)
		}
	})
}

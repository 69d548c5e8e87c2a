package intent_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/cluster"
	"floe.dev/palisade/intent"
	"floe.dev/palisade/model"
)

func factsOf(t *testing.T, given intent.Given, manifests ...string) model.Cluster {
	t.Helper()
	s, err := cluster.Read([]string{"-"}, strings.NewReader(strings.Join(manifests, "\n---\n")), cluster.Options{})
	require.NoError(t, err)
	facts, _ := intent.Facts(s, given)
	return facts
}

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func TestNothingIsAssumedOfACluster(t *testing.T) {
	facts := factsOf(t, intent.Given{}, shop)
	assert.Equal(t, model.Cluster{Mesh: facts.Mesh}, facts)
	assert.Equal(t, model.MeshNone, facts.Mesh.Kind)
	assert.Empty(t, facts.Mesh.TrustDomain)
}

func TestRangesOfADualStackClusterAreRead(t *testing.T) {
	facts := factsOf(t, intent.Given{}, `
apiVersion: v1
kind: ConfigMap
metadata: {name: kubeadm-config, namespace: kube-system}
data:
  ClusterConfiguration: |
    networking: {dnsDomain: corp.local, podSubnet: "10.244.0.0/16,fd00:10:244::/56", serviceSubnet: "10.96.0.0/16,fd00:10:96::/112"}`, `
apiVersion: v1
kind: Node
metadata: {name: node-1}
status: {addresses: [{type: InternalIP, address: 172.18.0.2}, {type: InternalIP, address: "fc00:f853::2"}, {type: Hostname, address: node-1}]}`)
	assert.Equal(t, "corp.local", facts.Domain)
	assert.Equal(t, prefixes("10.244.0.0/16", "fd00:10:244::/56"), facts.PodCIDRs)
	assert.Equal(t, prefixes("10.96.0.0/16", "fd00:10:96::/112"), facts.ServiceCIDRs)
	assert.Equal(t, prefixes("172.18.0.2/32", "fc00:f853::2/128"), facts.NodeCIDRs)
	assert.True(t, facts.IPv4)
	assert.True(t, facts.IPv6)
}

func TestRangesAreReadFromControlPlanePodsAndNodes(t *testing.T) {
	facts := factsOf(t, intent.Given{}, `
apiVersion: v1
kind: Pod
metadata: {name: kube-apiserver-n, namespace: kube-system, labels: {component: kube-apiserver}}
spec: {hostNetwork: true, containers: [{name: a, image: a, command: [kube-apiserver, --service-cluster-ip-range=172.20.0.0/16]}]}`, `
apiVersion: v1
kind: Node
metadata: {name: node-1}
spec: {podCIDRs: [10.1.2.0/24]}`)
	assert.Equal(t, prefixes("172.20.0.0/16"), facts.ServiceCIDRs)
	assert.Equal(t, prefixes("10.1.2.0/24"), facts.PodCIDRs)
}

func TestRangesAreReadFromPoolsOfTheCNIAndServiceCIDRs(t *testing.T) {
	facts := factsOf(t, intent.Given{}, `
apiVersion: crd.projectcalico.org/v1
kind: IPPool
metadata: {name: default-ipv4-ippool}
spec: {cidr: 192.168.0.0/16}`, `
apiVersion: networking.k8s.io/v1
kind: ServiceCIDR
metadata: {name: kubernetes}
spec: {cidrs: [10.43.0.0/16, "fd00:43::/112"]}`, `
apiVersion: v1
kind: ConfigMap
metadata: {name: cilium-config, namespace: kube-system}
data: {cluster-pool-ipv4-cidr: "10.0.0.0/8 172.20.0.0/16"}`)
	assert.Equal(t, prefixes("10.0.0.0/8", "172.20.0.0/16", "192.168.0.0/16"), facts.PodCIDRs)
	assert.Equal(t, prefixes("10.43.0.0/16", "fd00:43::/112"), facts.ServiceCIDRs)
}

func TestGivenFactsWin(t *testing.T) {
	facts := factsOf(t, intent.Given{
		ClusterDomain: "given.local", PodCIDRs: []string{"10.9.0.0/16"}, NodeCIDRs: []string{"192.168.0.0/24"},
		APIServers: []string{"192.0.2.1:443", "[2001:db8::1]:6443"}, TrustDomain: "td", DNSServers: []string{"169.254.20.10"},
	}, dns)
	assert.Equal(t, "given.local", facts.Domain)
	assert.Equal(t, prefixes("10.9.0.0/16"), facts.PodCIDRs)
	assert.Equal(t, prefixes("192.168.0.0/24"), facts.NodeCIDRs)
	assert.Equal(t, []model.Port{model.TCP(443), model.TCP(6443)}, facts.APIServer.Ports)
	assert.Len(t, facts.APIServer.Endpoints, 2)
	assert.Equal(t, []netip.Addr{netip.MustParseAddr("169.254.20.10")}, facts.DNS.NodeLocal)
	assert.Equal(t, "kube-system", facts.DNS.Namespace, "a cache stands beside the resolver's pods")
}

func TestDNSOfOneProtocolIsAssumedOnBoth(t *testing.T) {
	facts := factsOf(t, intent.Given{}, dns)
	assert.Equal(t, []model.Port{model.TCP(53), model.UDP(53)}, facts.DNS.Ports)
}

func TestANamedDNSPortIsResolvedByPodsOrEndpoints(t *testing.T) {
	named := strings.Replace(dns, "port: 53, protocol: UDP", "name: dns, port: 53, protocol: UDP, targetPort: dns", 1)
	assert.Empty(t, factsOf(t, intent.Given{}, named).DNS.Namespace, "nothing explains the name")
	slice := `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kube-dns-x, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}
addressType: IPv4
endpoints: [{addresses: [10.244.0.3]}]
ports: [{name: dns, port: 1053, protocol: UDP}]`
	assert.Equal(t, []model.Port{model.TCP(1053), model.UDP(1053)}, factsOf(t, intent.Given{}, named, slice).DNS.Ports)
}

func TestAServiceThatOnlyHasPort53IsNotTheResolver(t *testing.T) {
	other := strings.NewReplacer("kube-dns", "bind", "kube-system", "shop").Replace(dns)
	assert.False(t, factsOf(t, intent.Given{}, other).DNS.Known())
}

package netpol_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
	"floe.dev/palisade/netpol"
)

// scene is a governed namespace "shop" with a client and a server, and a cluster of which everything is known.
type scene struct {
	*model.Model
	client, server end
}

func newScene() *scene {
	posture := &model.Posture{Profile: "standard", Network: model.NetworkPosture{DefaultDeny: true}, Mesh: model.MeshPosture{SidecarScope: true}}
	m := &model.Model{
		Cluster: model.Cluster{
			IPv4: true, PodCIDRs: ranges("10.1.0.0/16"), ServiceCIDRs: ranges("10.96.0.0/12"), NodeCIDRs: ranges("10.9.0.0/24"),
			DNS: model.DNS{
				ServiceIPs: addresses("10.96.0.10"), Namespace: "kube-system", PodSelector: selector("k8s-app", "kube-dns"),
				Ports: []model.Port{model.UDP(1053)}, ServicePorts: []model.Port{model.UDP(53)}, NodeLocal: addresses("169.254.20.10"),
			},
			APIServer: model.APIServer{
				ServiceIPs: addresses("10.96.0.1"), ServicePorts: []model.Port{model.TCP(443)},
				Endpoints: addresses("10.9.0.2"), Ports: []model.Port{model.TCP(6443)},
			},
		},
		Namespaces: []model.Namespace{
			{Name: "kube-system", Labels: map[string]string{corev1.LabelMetadataName: "kube-system"}},
			{Name: "shop", Labels: map[string]string{corev1.LabelMetadataName: "shop"}, Posture: posture},
		},
	}
	for _, name := range []string{"client", "server"} {
		m.Workloads = append(m.Workloads, model.Workload{
			ID: model.WorkloadID{Namespace: "shop", Kind: "Deployment", Name: name}, Selector: selector("app", name), Labels: map[string]string{"app": name},
		})
	}
	s := &scene{Model: m}
	s.client, s.server = pod(m, 0), pod(m, 1)
	return s
}

func (s *scene) pods(name string) model.Peer {
	return model.Peer{
		Kind: model.PeerPods, Namespace: "shop", PodSelector: selector("app", name),
		Workloads: []model.WorkloadID{{Namespace: "shop", Kind: "Deployment", Name: name}},
	}
}

func (s *scene) add(client, server model.Peer, ports ...model.Port) *model.Flow {
	s.Flows = append(s.Flows, model.Flow{Origin: origin("rule"), Client: client, Server: server, Ports: ports})
	return &s.Flows[len(s.Flows)-1]
}

func (s *scene) compile(t *testing.T) (policies, []model.Problem) {
	t.Helper()
	objects, problems := netpol.Compile(s.Model)
	ps := policiesOf(t, objects)
	requireWellFormed(t, ps)
	return ps, problems
}

// closed is a compile that must leave the flow closed with one error of this code, which names the way out.
func (s *scene) closed(t *testing.T, code, fix string) policies {
	t.Helper()
	ps, problems := s.compile(t)
	require.Len(t, problems, 1)
	require.Equal(t, code, problems[0].Code)
	require.Equal(t, model.Error, problems[0].Severity)
	require.Equal(t, "rule", problems[0].Subject.Name)
	require.Contains(t, problems[0].Fix, fix)
	return ps
}

func ranges(texts ...string) (to []netip.Prefix) {
	for _, text := range texts {
		to = append(to, netip.MustParsePrefix(text))
	}
	return to
}

func addresses(texts ...string) (to []netip.Addr) {
	for _, text := range texts {
		to = append(to, netip.MustParseAddr(text))
	}
	return to
}

func kind(k model.PeerKind) model.Peer { return model.Peer{Kind: k} }

func addressPeer(cidr string, except ...string) model.Peer {
	return model.Peer{Kind: model.PeerAddresses, Addresses: []model.AddressBlock{{CIDR: netip.MustParsePrefix(cidr), Except: ranges(except...)}}}
}

func TestTrap1HBONEIsOpenedOnBothSides(t *testing.T) {
	s := newScene()
	s.add(s.pods("client"), s.pods("server"), model.TCP(80)).Tunnels = []int32{15008}
	ps, _ := s.compile(t)
	require.True(t, ps.egress(s.client, s.server, model.TCP(15008)))
	require.True(t, ps.ingress(s.client, s.server, model.TCP(15008)))
}

func TestTrap2TunnelIsOpenedToTheSamePeersOnly(t *testing.T) {
	s := newScene()
	s.add(s.pods("client"), s.pods("server"), model.TCP(80)).Tunnels = []int32{15008}
	s.add(s.pods("other"), s.pods("server"), model.TCP(9090))
	ps, _ := s.compile(t)
	other := s.client
	other.labels = map[string]string{"app": "other"}
	require.True(t, ps.allow(other, s.server, model.TCP(9090)))
	require.False(t, ps.ingress(other, s.server, model.TCP(15008)), "a client of another rule gets no tunnel by this one")
	require.False(t, ps.ingress(s.client, s.server, model.TCP(9090)), "nor does the tunnel's client get its port")
	require.False(t, ps.ingress(outside("10.9.0.4"), s.server, model.TCP(15008)))
}

func TestTrap2NodesOfHostNetworkClientsGetNoTunnel(t *testing.T) {
	s := newScene()
	s.Workloads[0].Spec.HostNetwork = true
	s.add(s.pods("client"), s.pods("server"), model.TCP(80)).Tunnels = []int32{15008}
	ps, _ := s.compile(t)
	require.True(t, ps.ingress(outside("10.9.0.4"), s.server, model.TCP(80)))
	require.False(t, ps.ingress(outside("10.9.0.4"), s.server, model.TCP(15008)))
}

func TestTrap3LinkerdPortIsOpenedOnEgressToo(t *testing.T) {
	s := newScene()
	s.add(s.pods("client"), s.pods("server"), model.TCP(80)).Tunnels = []int32{4143}
	ps, _ := s.compile(t)
	require.True(t, ps.egress(s.client, s.server, model.TCP(4143)))
	require.True(t, ps.ingress(s.client, s.server, model.TCP(4143)))
	require.True(t, ps.allow(s.client, s.server, model.TCP(80)), "proxies of before 2.18 dial the port itself")
}

func TestTrap4AmbientProbesComeFromTheirOwnAddress(t *testing.T) {
	s := newScene()
	s.Workloads[1].Facts.ProbeSources = ranges("169.254.7.127/32", "fd16:9254:7127:1337:ffff:ffff:ffff:ffff/81")
	s.add(kind(model.PeerNodes), s.pods("server"), model.TCP(8080))
	ps, _ := s.compile(t)
	for _, source := range []string{"169.254.7.127", "fd16:9254:7127:1337:ffff:8000::1", "10.9.0.4"} {
		require.True(t, ps.ingress(outside(source), s.server, model.TCP(8080)), source)
	}
	require.False(t, ps.ingress(outside("169.254.7.127"), s.server, model.TCP(80)), "the probe's port only")
}

func TestTrap5ProbesWithoutKnownNodesAreSaidAloud(t *testing.T) {
	s := newScene()
	s.Cluster.NodeCIDRs = nil
	s.Workloads[1].Facts.ProbeSources = ranges("169.254.7.127/32")
	s.add(kind(model.PeerNodes), s.pods("server"), model.TCP(8080))
	ps, problems := s.compile(t)
	require.Len(t, problems, 1)
	require.Equal(t, model.Warning, problems[0].Severity)
	require.Contains(t, problems[0].Fix, "--node-cidr")
	require.True(t, ps.ingress(outside("169.254.7.127"), s.server, model.TCP(8080)), "what is known is opened")
	require.False(t, ps.ingress(outside("10.9.0.4"), s.server, model.TCP(8080)))
}

func TestTrap7WebhooksTakeTheAPIServersAddressesAndNotItsService(t *testing.T) {
	s := newScene()
	s.add(kind(model.PeerAPIServer), s.pods("server"), model.TCP(9443))
	ps, _ := s.compile(t)
	require.True(t, ps.ingress(outside("10.9.0.2"), s.server, model.TCP(9443)))
	require.False(t, ps.ingress(outside("10.96.0.1"), s.server, model.TCP(9443)))
	require.False(t, ps.ingress(outside("10.9.0.2"), s.server, model.TCP(6443)))
}

func TestTrap14HostNetworkPodsNeedTheNodesAddresses(t *testing.T) {
	s := newScene()
	s.Workloads[0].Spec.HostNetwork = true
	s.add(s.pods("client"), s.pods("server"), model.TCP(80))
	s.add(s.pods("server"), s.pods("client"), model.TCP(9100))
	ps, problems := s.compile(t)
	require.Empty(t, problems)
	require.True(t, ps.ingress(outside("10.9.0.7"), s.server, model.TCP(80)))
	require.True(t, ps.egress(s.server, outside("10.9.0.7"), model.TCP(9100)))
	for _, p := range ps {
		require.NotEqual(t, "client", p.Spec.PodSelector.MatchLabels["app"], "no policy pretends to reach a hostNetwork pod")
	}

	s.Cluster.NodeCIDRs = nil
	ps = s.closed(t, "HostNetworkPeerUnknown", "--node-cidr")
	require.False(t, ps.ingress(outside("10.9.0.7"), s.server, model.TCP(80)))
}

func (s *scene) dns() { s.add(s.wholeNamespace(), kind(model.PeerDNS), model.UDP(53)).Base = true }

func (s *scene) wholeNamespace() model.Peer {
	return model.Peer{Kind: model.PeerPods, Namespace: "shop"}
}

func (s *scene) resolver() end {
	return end{namespace: "kube-system", namespaced: s.Namespace("kube-system").Labels, labels: map[string]string{"k8s-app": "kube-dns"}, address: netip.MustParseAddr("10.1.9.9")}
}

func TestTrap22DNSIsOpenedOverTCPToo(t *testing.T) {
	s := newScene()
	s.dns()
	ps, _ := s.compile(t)
	require.True(t, ps.egress(s.client, s.resolver(), model.UDP(1053)))
	require.True(t, ps.egress(s.client, s.resolver(), model.TCP(1053)), "a truncated answer is asked for again by TCP")
}

func TestTrap23DNSIsOpenedWhereverPodsReallyAsk(t *testing.T) {
	s := newScene()
	s.dns()
	ps, _ := s.compile(t)
	for _, address := range []string{"10.96.0.10", "169.254.20.10"} {
		require.True(t, ps.egress(s.client, outside(address), model.UDP(53)), address)
		require.True(t, ps.egress(s.client, outside(address), model.TCP(53)), address)
	}
	require.False(t, ps.egress(s.client, outside("10.96.0.11"), model.UDP(53)))
	require.False(t, ps.egress(s.client, s.server, model.UDP(53)), "DNS is the resolver's port, not everybody's")
}

func TestTrap23UnknownResolverStaysClosed(t *testing.T) {
	s := newScene()
	s.Cluster.DNS = model.DNS{}
	s.dns()
	s.closed(t, "DNSUnknown", "--dns-server")
}

func TestTrap24APIServerIsServiceAndEndpointsEachOnItsPort(t *testing.T) {
	s := newScene()
	s.Cluster.APIServer.Endpoints = addresses("10.9.0.2", "fd00::2")
	s.add(s.pods("client"), kind(model.PeerAPIServer))
	ps, problems := s.compile(t)
	require.Empty(t, problems)
	require.True(t, ps.egress(s.client, outside("10.96.0.1"), model.TCP(443)))
	require.True(t, ps.egress(s.client, outside("10.9.0.2"), model.TCP(6443)))
	require.True(t, ps.egress(s.client, outside("fd00::2"), model.TCP(6443)))
	require.False(t, ps.egress(s.client, outside("10.9.0.2"), model.TCP(443)))
	require.False(t, ps.egress(s.client, outside("10.96.0.1"), model.TCP(6443)))
}

func TestTrap24UnknownAPIServerIsNeverEverywhere(t *testing.T) {
	s := newScene()
	s.Cluster.APIServer = model.APIServer{}
	s.add(s.pods("client"), kind(model.PeerAPIServer))
	ps := s.closed(t, "APIServerUnknown", "--api-server")
	require.False(t, ps.egress(s.client, outside("10.9.0.2"), model.TCP(6443)))
}

func TestTrap25AddressesNeverContainPods(t *testing.T) {
	s := newScene()
	s.add(s.pods("client"), addressPeer("0.0.0.0/0"), model.TCP(443))
	s.add(addressPeer("10.0.0.0/8"), s.pods("server"), model.TCP(443))
	ps, _ := s.compile(t)
	require.True(t, ps.egress(s.client, outside("8.8.8.8"), model.TCP(443)))
	for _, inside := range []string{"10.1.0.9", "10.96.0.10", "10.9.0.1", "169.254.169.254", "100.100.100.200"} {
		require.False(t, ps.egress(s.client, outside(inside), model.TCP(443)), inside)
	}
	require.False(t, ps.ingress(outside("10.1.0.9"), s.server, model.TCP(443)), "a pod is no address from outside")
	require.True(t, ps.ingress(outside("10.9.0.1"), s.server, model.TCP(443)), "a node may be")
}

func TestTrap25UnknownClusterRangesKeepPrivateRangesClosed(t *testing.T) {
	for _, cidr := range []string{"0.0.0.0/0", "10.20.0.0/16", "100.64.1.0/24"} {
		s := newScene()
		s.Cluster.PodCIDRs = nil
		s.add(s.pods("client"), addressPeer(cidr), model.TCP(443))
		ps := s.closed(t, "ClusterRangesUnknown", "--pod-cidr")
		require.False(t, ps.egress(s.client, outside("10.20.0.1"), model.TCP(443)), cidr)
	}
}

func TestTrap25PublicRangeIsOpenedAloudWhereClusterRangesAreUnknown(t *testing.T) {
	s := newScene()
	s.Cluster.PodCIDRs = nil
	s.add(s.pods("client"), addressPeer("198.51.100.0/24", "198.51.100.128/25"), model.TCP(443))
	ps, problems := s.compile(t)
	require.Len(t, problems, 1)
	require.Equal(t, "ClusterRangesAssumed", problems[0].Code)
	require.True(t, ps.egress(s.client, outside("198.51.100.1"), model.TCP(443)))
	require.False(t, ps.egress(s.client, outside("198.51.100.200"), model.TCP(443)))
}

func TestTrap25RangeInsideTheClusterLeavesNothing(t *testing.T) {
	for _, cidr := range []string{"10.1.2.0/24", "10.9.0.3/32", "10.96.0.1/32", "169.254.169.254/32", "::ffff:169.254.169.254/128"} {
		s := newScene()
		s.add(s.pods("client"), addressPeer(cidr), model.TCP(443))
		s.closed(t, "NothingLeftOfRange", "TrafficRule")
	}
	s := newScene()
	s.add(s.pods("client"), addressPeer("10.20.0.0/16", "10.20.0.0/17", "10.20.128.0/17"), model.TCP(443))
	s.closed(t, "NothingLeftOfRange", "TrafficRule")
}

func TestTrap26NamespacesAreFoundByTheLabelThatTheyAllHave(t *testing.T) {
	s := newScene()
	s.dns()
	ps, _ := s.compile(t)
	require.Equal(t, map[string]string{"kubernetes.io/metadata.name": "kube-system"}, ps[0].Spec.Egress[0].To[0].NamespaceSelector.MatchLabels)
}

func TestTrap27PolicyTypesAreAlwaysSaid(t *testing.T) {
	s := newScene()
	ps, problems := s.compile(t)
	require.Empty(t, problems)
	require.Len(t, ps, 1, "a governed namespace is closed even without any flow")
	require.Equal(t, netpol.DefaultName, ps[0].Name)
	require.False(t, ps.egress(s.client, s.server, model.TCP(80)), "egress is closed by a policy without egress rules")
}

func TestInternetIsPublicOnlyInBothFamilies(t *testing.T) {
	s := newScene()
	s.Cluster.IPv6 = true
	s.Cluster.PodCIDRs = ranges("10.1.0.0/16", "2600:1f18:1::/56") // EKS gives pods public IPv6 addresses
	s.Cluster.ServiceCIDRs = ranges("10.96.0.0/12", "fd00:96::/108")
	s.add(s.pods("client"), kind(model.PeerInternet), model.TCP(443))
	ps, problems := s.compile(t)
	require.Empty(t, problems)
	for _, public := range []string{"8.8.8.8", "1.1.1.1", "223.255.255.1", "2606:4700::1111", "2600:1f18:2::1", "64:ff9b::808:808"} {
		require.True(t, ps.egress(s.client, outside(public), model.TCP(443)), public)
	}
	for _, closed := range []string{
		"10.1.0.1", "172.20.0.1", "192.168.1.1", "100.64.0.1", "127.0.0.1", "0.0.0.0", "169.254.169.254", "169.254.170.2", "169.254.170.23",
		"168.63.129.16", "224.0.0.1", "255.255.255.255", "::1", "fe80::1", "fd00:ec2::254", "fd20:ce::254", "ff02::1", "2600:1f18:1::9",
		"2002:a9fe:a9fe::1", "64:ff9b::a9fe:a9fe", "64:ff9b::10.0.0.1", "2001:db8::1",
	} {
		require.False(t, ps.egress(s.client, outside(closed), model.TCP(443)), closed)
	}
	require.False(t, ps.egress(s.client, outside("8.8.8.8"), model.TCP(80)))
}

func TestInternetKeepsToTheFamiliesOfTheCluster(t *testing.T) {
	s := newScene()
	s.add(s.pods("client"), kind(model.PeerInternet), model.TCP(443))
	ps, _ := s.compile(t)
	require.False(t, ps.egress(s.client, outside("2606:4700::1111"), model.TCP(443)))
}

func TestHostIsLeftToTheMeshOnlyWhereItHoldsNames(t *testing.T) {
	host := model.Peer{Kind: model.PeerHost, Host: "api.example.com"}
	s := newScene()
	s.add(s.pods("client"), host, model.TCP(443))
	s.closed(t, "HostNotExpressible", "Istio sidecars")

	s.Workloads[0].Facts.Mode = model.ModeSidecar
	ps, problems := s.compile(t)
	require.Len(t, problems, 1)
	require.Equal(t, "HostHeldByMeshOnly", problems[0].Code)
	require.True(t, ps.egress(s.client, outside("8.8.8.8"), model.TCP(443)))
	require.False(t, ps.egress(s.client, outside("169.254.169.254"), model.TCP(443)))

	s.Flows[0].Ports = []model.Port{model.UDP(443)}
	s.closed(t, "HostNotExpressible", "")
	s.Flows[0].Ports = []model.Port{model.TCP(443)}
	s.Namespaces[1].Posture.Mesh.SidecarScope = false
	s.closed(t, "HostNotExpressible", "mesh.sidecarScope")
}

func TestPodWithoutLabelsNeverStandsForItsNamespace(t *testing.T) {
	s := newScene()
	nameless := model.WorkloadID{Namespace: "shop", Kind: "Pod", Name: "nameless"}
	s.Workloads = append(s.Workloads, model.Workload{ID: nameless})
	peer := model.Peer{Kind: model.PeerPods, Namespace: "shop", Workloads: []model.WorkloadID{nameless}}
	s.add(s.pods("client"), peer, model.TCP(80))
	ps := s.closed(t, "WorkloadNotSelectable", "label")
	require.False(t, ps.ingress(s.client, s.server, model.TCP(80)))
}

func TestNamespacesThatAreHeldOrNotGovernedGetNothing(t *testing.T) {
	s := newScene()
	s.add(s.pods("client"), s.pods("server"), model.TCP(80))
	s.Held = []model.Hold{{Namespace: "shop", Layer: model.LayerNetwork}}
	ps, _ := s.compile(t)
	require.Empty(t, ps)

	s.Held, s.Namespaces[1].Posture.Network.DefaultDeny = nil, false
	ps, _ = s.compile(t)
	require.Empty(t, ps)
}

func TestSelectorWrittenInAnotherOrderIsTheSameSubject(t *testing.T) {
	either := func(values ...string) model.Peer {
		return model.Peer{Kind: model.PeerPods, Namespace: "shop", PodSelector: metav1.LabelSelector{
			MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: metav1.LabelSelectorOpIn, Values: values}},
		}}
	}
	s := newScene()
	s.add(s.pods("client"), either("x", "server"), model.TCP(80))
	s.add(s.pods("client"), either("server", "x"), model.TCP(80))
	one, _ := netpol.Compile(s.Model)
	require.Len(t, one, 3)
	s.Flows[0], s.Flows[1] = s.Flows[1], s.Flows[0]
	other, _ := netpol.Compile(s.Model)
	require.Equal(t, one, other)
}

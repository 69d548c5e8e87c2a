package audit_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
)

// traps are what breaks in real clusters, numbered as the project numbers them. Each is
// shown by fixtures on which the naive answer fails, or cannot be seen in manifests: then unseen says why.
func traps() []trap {
	return []trap{
		{1, "ambient carries everything on 15008", []string{"TunnelPortClosed-ambient-on-both-sides", "TunnelPortClosed-waypoint-in-between"}, ""},
		{2, "opening 15008 erases the ports of rules", []string{"TunnelErasesPorts-ambient-admin-port", "TunnelErasesPorts-whole-namespace-on-the-tunnel"}, ""},
		{3, "Linkerd carries everything on 4143", []string{"TunnelPortClosed-linkerd-transport-header", "TunnelPortClosed-linkerd-transport-unknown", "TunnelErasesPorts-linkerd-admin-port"}, ""},
		{4, "ambient probes come from 169.254.7.127", []string{"AmbientProbesClosed-cilium", "AmbientProbesClosed-node-is-let-in", "AmbientProbesClosed-unknown-CNI", "AmbientProbesClosed-IPv6-single-address"}, ""},
		{5, "some CNIs hold policies against the kubelet", []string{"ProbesClosed-kindnet", "ProbesClosed-later-kindnet", "ProbesClosed-unknown-CNI"}, ""},
		{6, "Linkerd lets probes in only while nothing is attached", []string{"ProbeRefused-route-attached", "ProbeRefused-no-route-matches", "ProbeRefused-grpc-and-other-networks", "ProbeWithQuery-before-2.14"}, ""},
		{7, "the API server speaks no mTLS, and comes from no pod", []string{"WebhookRefusesAPIServer-strict-on-its-port", "WebhookRefusesAPIServer-authorization-by-identity", "WebhookClosed-default-deny", "WebhookClosed-caller-unknown"}, ""},
		{8, "a webhook can block what it needs itself", []string{"WebhookCanDeadlock-judges-its-own-pods", "WebhookCanDeadlock-judges-kube-system"}, ""},
		{9, "Prometheus outside the mesh", []string{"ScrapeRefused-strict-and-not-merged", "ScrapeRefused-in-ambient", "MetricsPortPlaintext-prometheus-outside"}, ""},
		{10, "headless Services and calls to the addresses of pods", []string{"HeadlessUnderStrict-port-that-the-service-leaves-out"}, ""},
		{11, "protocols in which the server speaks first", []string{"ServerFirstPort-smtp-under-permissive", "ServerFirstPort-mysql-under-another-port", "ServerFirstPort-list-replaced-in-linkerd"}, ""},
		{12, "Jobs that never end", []string{"JobNeverEnds-old-istio", "JobNeverEnds-a-node-too-old", "JobNeverEnds-linkerd", "JobNeverEnds-not-known"}, ""},
		{13, "init containers run before the proxy", []string{"InitContainerBeforeProxy-in-plaintext", "InitContainerBeforeProxy-with-a-cni-plugin", "PodOutsideMesh-native-sidecar-overlooked"}, ""},
		{14, "pods on their node's network", []string{
			"HostNetworkUnprotected-exporter", "PolicySelectsNothing-only-pods-of-the-hosts-network", "PeerMatchesNothing-gateway-on-the-hosts-network", "PodOutsideMesh-ambient-on-the-host-network",
		}, ""},
		{15, "Linkerd needs a token", []string{"PodOutsideMesh-token-not-mounted-in-linkerd"}, ""},
		{16, "annotations and user ids that lead around the proxy", []string{"MeshBypass-excluded-inbound-port-under-strict", "MeshBypass-skipped-in-linkerd", "MeshBypass-as-the-proxys-user", "InboundNotCaptured-in-ambient"}, ""},
		{17, "load balancing at the socket", []string{"SocketLoadBalancingBypassesMesh-kube-proxy-replaced", "CiliumExclusiveRemovesMeshCNI-exclusive"}, ""},
		{18, "which PeerAuthentication holds", []string{
			"PeerAuthenticationShadowed-older-one-of-the-namespace", "PeerAuthenticationShadowed-two-for-the-same-pods", "PeerAuthenticationIgnored-ports-without-selector",
			"PeerAuthenticationIgnored-selector-in-the-root-namespace", "PermissiveMTLS-no-peerauthentication", "PermissiveMTLS-unset-under-a-strict-mesh-in-ambient",
		}, ""},
		{19, "rules on requests in ambient", []string{"HTTPRuleOnZtunnel-deny-that-never-fires", "HTTPRuleOnTCPPort-deny-of-a-method-on-every-port", "WaypointMissing-gateway-that-is-not-there", "WaypointBypassed-pods-open-to-all"}, ""},
		{20, "policies that are only tried", []string{"AuthorizationPolicyDryRun-a-deny"}, ""},
		{21, "the first ALLOW refuses the rest", []string{"AllowDeniesRest-probes-and-ports", "AllowDeniesRest-a-client-of-the-namespace", "MeshWideDeny-allow-nothing-hits-the-gateway"}, ""},
		{22, "DNS over UDP alone", []string{"UDPOnlyDNS-of-all-policies-together"}, ""},
		{23, "node-local caches of DNS", []string{
			"NodeLocalDNSClosed-selector-of-the-resolver", "NodeLocalDNSClosed-cache-at-the-address-of-the-service", "NodeLocalDNSClosed-cache-in-pods-of-its-own", "DNSClosed-only-the-address-of-the-service",
		}, ""},
		{24, "the API server has two addresses", []string{"APIServerHalfOpen-only-the-service", "APIServerHalfOpen-only-the-endpoints", "APIServerHalfOpen-one-endpoint-of-three"}, ""},
		{25, "whether a block of addresses finds pods", []string{
			"IPBlockFindsPods-network-of-the-office-holds-the-pods", "IPBlockFindsPods-private-ranges-left-out-but-not-the-pods", "IPBlockMissesPods-range-of-pods-on-cilium",
		}, ""},
		{26, "labels that pods and namespaces do not bear", []string{"NamespaceLabelUnknown-name", "PolicySelectsNothing-labels-of-the-service", "PeerMatchesNothing-labels-of-the-service"}, ""},
		{27, "a policy without types isolates for ingress", []string{"InertLookingIsolation-egress-only-without-policyTypes"}, ""},
		{28, "policies hold some seconds after a pod begins", nil, "how fast a CNI is shows in packets alone"},
		{29, "policies that nobody enforces", []string{"NetworkPolicyNotEnforced-flannel"}, ""},
		{30, "what a mesh injects falls below a level", []string{"InjectionBelowEnforce-init-container-of-the-mesh", "PodSecurityUnset-only-what-the-mesh-injects"}, ""},
		{31, "levels refuse pods and not their controllers", []string{"PodBelowEnforce-scaled-to-zero", "PodBelowEnforce-label-of-the-namespace"}, ""},
		{32, "images that need root", nil, "as whom an image runs stands in the image; what a profile would make of it is said where it is set"},
		{33, "budgets that block drains", []string{"DrainBlocked-min-available-of-one", "DrainBlocked-none-of-all-pods", "OverlappingBudgets-one-for-all-pods"}, ""},
		{34, "rotation of trust anchors", []string{"TrustBundleOutdated-pod-that-was-not-restarted"}, ""},
		{35, "issuers that are not read again", nil, "which issuer signs shows in the certificates of proxies"},
		{36, "what metrics say of encryption", nil, "an audit reads no metrics"},
		{37, "trust domains and namespaces that are not the usual ones", []string{"TrustDomainMismatch-another-domain-and-a-scheme", "TrustDomainMismatch-to-the-letter-in-ambient", "TrustDomainMismatch-in-linkerd"}, ""},
		{38, "workloads that share a service account", []string{"SharedServiceAccount-default-named-by-an-authorization", "SharedServiceAccount-named-by-nobody"}, ""},
	}
}

type trap struct {
	number   int
	what     string
	fixtures []string
	unseen   string
}

func TestEveryTrapIsShownByAFixtureOrSaidToBeUnseen(t *testing.T) {
	const all = 38
	rows := traps()
	assert.Len(t, rows, all)
	for i, row := range rows {
		assert.Equal(t, i+1, row.number)
		assert.NotEqual(t, len(row.fixtures) > 0, row.unseen != "", "trap %d (%s) is either shown or said to be unseen", row.number, row.what)
		for _, name := range row.fixtures {
			assert.FileExists(t, filepath.Join("testdata", name+".txtar"), "trap %d (%s)", row.number, row.what)
		}
	}
}

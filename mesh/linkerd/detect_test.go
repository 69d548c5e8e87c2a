package linkerd

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func configMap(values string) model.Object {
	return model.Object{Tree: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": configName, "namespace": "mesh-system"},
		"data": map[string]any{"values": values},
	}}
}

func serverCRD(served ...string) model.Object {
	var versions []any
	for _, version := range []string{"v1alpha1", "v1beta1", "v1beta2", "v1beta3"} {
		is := false
		for _, s := range served {
			is = is || s == version
		}
		versions = append(versions, map[string]any{"name": version, "served": is})
	}
	return model.Object{Tree: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": "servers.policy.linkerd.io"},
		"spec":     map[string]any{"group": "policy.linkerd.io", "versions": versions},
	}}
}

func component(namespace, name string) model.Workload {
	return model.Workload{
		ID:          model.WorkloadID{Namespace: namespace, Kind: "Deployment", Name: "linkerd-" + name},
		Labels:      map[string]string{componentLabel: name, controlPlaneLabel: namespace},
		Annotations: map[string]string{createdBy: "linkerd/helm stable-2.14.10"},
	}
}

func TestDetectReadsTheConfiguration(t *testing.T) {
	found, mesh, problems := Detect([]model.Object{configMap(`
linkerdVersion: edge-25.4.4
identityTrustDomain: prod.example.com
clusterDomain: cluster.local
clusterNetworks: "10.0.0.0/8,fd00::/8"
cniEnabled: true
identity: {serviceAccountTokenProjection: false, issuer: {scheme: kubernetes.io/tls}}
proxy: {outboundTransportMode: transport-header, defaultInboundPolicy: all-authenticated, opaquePorts: "25,3306-3310"}
proxyInit: {ignoreInboundPorts: "4567,4568"}
`)}, nil)
	require.True(t, found)
	require.Empty(t, problems)
	require.Equal(t, "mesh-system", mesh.Namespace)
	require.Equal(t, "prod.example.com", mesh.TrustDomain)
	require.Equal(t, "edge-25.4.4", mesh.Version)
	require.True(t, mesh.CNI)
	require.NotEmpty(t, mesh.Why)
	require.Equal(t, model.LinkerdFacts{
		Transport: "transport-header", ServerVersion: "v1beta3", DefaultInboundPolicy: "all-authenticated",
		OpaquePorts:      []model.Port{model.TCP(25), {Protocol: corev1.ProtocolTCP, Number: 3306, End: 3310}},
		ClusterNetworks:  prefixes("10.0.0.0/8", "fd00::/8"),
		SkipInboundPorts: []model.Port{model.TCP(4567), model.TCP(4568)}, NoTokenProjection: true,
	}, mesh.Linkerd)
}

// TestDetectVersions goes through the map of releases: which Server they serve and how their proxies dial.
func TestDetectVersions(t *testing.T) {
	for version, want := range map[string]struct{ server, transport string }{
		"stable-2.14.10":    {"v1beta1", "transparent"},
		"edge-24.2.4":       {"v1beta2", "transparent"},
		"edge-24.8.2":       {"v1beta3", "transparent"},
		"edge-25.3.1":       {"v1beta3", "transparent"},
		"edge-25.3.2":       {"v1beta3", ""}, // the chart writes it out: without it nothing is known
		"enterprise-2.17.3": {"v1beta3", "transparent"},
		"enterprise-2.18.0": {"v1beta3", ""},
		"2.15.0":            {"v1beta2", "transparent"},
		"git-abcdef":        {"v1beta1", ""},
		"":                  {"v1beta1", ""},
	} {
		_, mesh, _ := Detect([]model.Object{configMap("linkerdVersion: \"" + version + "\"")}, nil)
		require.Equal(t, want.server, mesh.Linkerd.ServerVersion, version)
		require.Equal(t, want.transport, mesh.Linkerd.Transport, version)
	}
}

func TestDetectPrefersWhatTheCRDServesToTheRelease(t *testing.T) {
	for _, c := range []struct {
		served []string
		want   string
	}{
		{[]string{"v1alpha1", "v1beta1"}, "v1beta1"},
		{[]string{"v1beta1", "v1beta2"}, "v1beta2"},
		{[]string{"v1beta1", "v1beta2", "v1beta3"}, "v1beta3"},
	} {
		found, mesh, _ := Detect([]model.Object{serverCRD(c.served...), configMap("linkerdVersion: edge-25.4.4")}, nil)
		require.True(t, found)
		require.Equal(t, c.want, mesh.Linkerd.ServerVersion)
	}
}

func TestDetectFindsTheControlPlaneByItsLabels(t *testing.T) {
	found, mesh, problems := Detect(nil, []model.Workload{component("mesh", "identity"), component("mesh", "destination")})
	require.True(t, found)
	require.Empty(t, problems)
	require.Equal(t, "mesh", mesh.Namespace)
	require.Equal(t, "2.14.10", mesh.Version)
	require.Empty(t, mesh.TrustDomain, "nothing shows it, and cluster.local is only a default")

	image := component("mesh", "identity")
	image.Annotations = nil
	image.Spec.Containers = []corev1.Container{{Image: "cr.l5d.io/linkerd/controller:edge-24.8.2@sha256:00"}}
	_, mesh, _ = Detect(nil, []model.Workload{image})
	require.Equal(t, "edge-24.8.2", mesh.Version)
}

func TestDetectTakesNoneOfSeveralControlPlanes(t *testing.T) {
	found, mesh, problems := Detect(nil, []model.Workload{component("one", "identity"), component("two", "identity")})
	require.True(t, found)
	require.Empty(t, mesh.Namespace)
	require.Equal(t, []string{"LinkerdNamespaceAmbiguous"}, codes(problems))
}

func TestDetectLearnsTheNamespaceFromRunningProxies(t *testing.T) {
	pod := model.Workload{
		ID: model.WorkloadID{Namespace: "shop", Kind: "Pod", Name: "web"}, Running: true,
		Labels: map[string]string{controlPlaneLabel: "mesh"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: proxyContainer}}},
	}
	found, mesh, _ := Detect(nil, []model.Workload{pod})
	require.True(t, found)
	require.Equal(t, "mesh", mesh.Namespace)
}

func TestDetectSeesNothingInAnEmptyFolder(t *testing.T) {
	found, _, problems := Detect(nil, []model.Workload{{ID: model.WorkloadID{Namespace: "shop", Name: "web"}}})
	require.False(t, found)
	require.Empty(t, problems)
}

func TestDetectSaysWhichValueItCannotRead(t *testing.T) {
	_, mesh, problems := Detect([]model.Object{configMap("identityTrustDomain: {a: b}\nclusterNetworks: nonsense\nproxy: {outboundTransportMode: carrier-pigeon}")}, nil)
	require.Equal(t, []string{"LinkerdConfigUnreadable"}, codes(problems))
	require.Len(t, problems, 3)
	require.Empty(t, mesh.TrustDomain)
	require.Empty(t, mesh.Linkerd.Transport)

	_, _, problems = Detect([]model.Object{configMap("- a list\n- instead")}, nil)
	require.Len(t, problems, 1)
	require.Equal(t, model.Error, problems[0].Severity)
}

// FuzzParseValues holds the reader of Helm values to: no panic, and nothing in
// the result that Linkerd's own types would not take.
func FuzzParseValues(f *testing.F) {
	f.Add("linkerdVersion: edge-25.4.4\nproxy: {opaquePorts: \"25,3306-3310\", outboundTransportMode: transparent}\n")
	f.Add("identity: [1]\nproxy: 3\nclusterNetworks: 10.0.0.0/8,,x\n")
	f.Add("proxyInit: {ignoreInboundPorts: 4567}\ncniEnabled: \"true\"\n")
	f.Add("a: &a [*a]")
	f.Fuzz(func(t *testing.T, text string) {
		v, err := parseValues(text)
		if err != nil {
			return
		}
		for _, p := range append(v.opaquePorts, v.ignoredInbound...) {
			require.True(t, p.Number >= 1 && p.Last() <= 65535 && p.Last() >= p.Number, p)
		}
		for _, n := range v.clusterNetworks {
			require.True(t, n.IsValid())
			require.Equal(t, n.Masked(), n)
		}
		require.Contains(t, []string{"", transportHeader, transportTransparent}, v.transport)
		Detect([]model.Object{configMap(text)}, nil)
	})
}

func FuzzParsePorts(f *testing.F) {
	f.Add("25,3306-3310,http")
	f.Add("-1, 70000,9-2,,")
	f.Fuzz(func(t *testing.T, text string) {
		ports, _ := parsePorts(text, nil)
		for _, p := range ports {
			require.True(t, p.Number >= 1 && p.Last() <= 65535 && p.Last() >= p.Number, p)
		}
	})
}

func FuzzParseRelease(f *testing.F) {
	f.Add("stable-2.14.10")
	f.Add("edge-25.4.4")
	f.Add("enterprise-2.18.0-rc1")
	f.Fuzz(func(t *testing.T, text string) {
		if r, ok := parseRelease(text); ok {
			require.Contains(t, []string{"v1beta1", "v1beta2", "v1beta3"}, serverVersionOf(r))
		}
	})
}

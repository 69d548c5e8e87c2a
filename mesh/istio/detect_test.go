package istio

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

func istiod(namespace, name, revision string) model.Workload {
	return model.Workload{
		ID:     model.WorkloadID{Namespace: namespace, Kind: "Deployment", Name: name},
		Labels: map[string]string{"app": "istiod", "istio": "pilot", revisionLabel: revision},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "discovery", Image: "registry.example/istio/pilot:1.31.1-distroless",
			Env: []corev1.EnvVar{{Name: "PILOT_ENABLE_AMBIENT", Value: "true"}},
		}}},
	}
}

func configMap(namespace, name, key, value string) model.Object {
	return model.Object{Tree: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"namespace": namespace, "name": name}, "data": map[string]any{key: value},
	}}
}

func TestDetectReadsTheControlPlane(t *testing.T) {
	found, facts, problems := Detect([]model.Object{
		configMap("mesh", "istio", "mesh", "trustDomain: other.example\n"),
		configMap("mesh", "istio-1-31", "mesh", "trustDomain: td.example\ntrustDomainAliases: [old.example]\nrootNamespace: mesh-root\nenableAutoMtls: false\n"),
		configMap("mesh", "istio-sidecar-injector-1-31", "values", `{"pilot": {"cni": {"enabled": true}}, "sidecarInjectorWebhook": {"enableNamespacesByDefault": true}}`),
		configMap("mesh", "istio-ca-root-cert", "root-cert.pem", "…"),
	}, []model.Workload{istiod("mesh", "istiod-1-31", "1-31")})
	require.True(t, found)
	require.Empty(t, problems)
	require.Equal(t, model.Mesh{
		Kind: model.MeshIstio, Why: "Deployment mesh/istiod-1-31", Namespace: "mesh", RootNamespace: "mesh-root",
		TrustDomain: "td.example", TrustDomainAliases: []string{"old.example"}, Revision: "1-31", Version: "1.31.1",
		Ambient: true, CNI: true, InjectByDefault: true, AutoMTLS: false,
	}, facts)
}

func TestTrap37TrustDomainIsAFactOnlyWhereItsConfigMapWasRead(t *testing.T) {
	control := []model.Workload{istiod("mesh", "istiod", "default")}
	_, facts, _ := Detect(nil, control)
	require.Empty(t, facts.TrustDomain)
	require.Empty(t, facts.RootNamespace)
	require.Equal(t, "mesh", facts.Namespace)

	_, facts, _ = Detect([]model.Object{configMap("mesh", "istio", "mesh", "rootNamespace: mesh\n")}, control)
	require.Equal(t, "cluster.local", facts.TrustDomain, "Istio's default holds where the key is left out")

	_, facts, _ = Detect([]model.Object{configMap("elsewhere", "istio", "mesh", "trustDomain: wrong.example\n")}, control)
	require.Empty(t, facts.TrustDomain, "the configuration of another mesh")

	_, facts, problems := Detect([]model.Object{configMap("mesh", "istio", "mesh", "trustDomain: [")}, control)
	require.Empty(t, facts.TrustDomain)
	require.Len(t, problems, 1)
	require.Equal(t, "MeshConfigUnreadable", problems[0].Code)
}

func TestDetectByLesserSigns(t *testing.T) {
	crd := model.Object{Tree: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": "peerauthentications.security.istio.io"}, "spec": map[string]any{"group": "security.istio.io"},
	}}
	found, facts, problems := Detect([]model.Object{crd}, nil)
	require.True(t, found)
	require.Equal(t, "CustomResourceDefinition peerauthentications.security.istio.io", facts.Why)
	require.Empty(t, facts.Namespace)
	require.Empty(t, problems, "a flag may still tell the namespace: Compile says what is missing")

	ztunnel := model.Workload{ID: model.WorkloadID{Namespace: "mesh", Kind: "DaemonSet", Name: "ztunnel"}, Labels: map[string]string{"app": "ztunnel"}}
	found, facts, problems = Detect(nil, []model.Workload{ztunnel})
	require.True(t, found)
	require.True(t, facts.Ambient)
	require.Equal(t, "mesh", facts.Namespace)
	require.Empty(t, problems)

	found, facts, problems = Detect([]model.Object{configMap("shop", "istio-notes", "text", "none")}, nil)
	require.False(t, found)
	require.Empty(t, problems)
	require.True(t, facts.AutoMTLS, "Istio's default for a mesh that is named by flag")
}

func TestDetectSeveralRevisionsHoldsNoLabelToOne(t *testing.T) {
	_, facts, problems := Detect(nil, []model.Workload{istiod("mesh", "istiod-1-30", "1-30"), istiod("mesh", "istiod-1-31", "1-31")})
	require.Empty(t, facts.Revision)
	require.Len(t, problems, 1)
	require.Equal(t, "SeveralControlPlanes", problems[0].Code)
}

func webhook(name string, labels map[string]any) model.Object {
	return model.Object{Tree: map[string]any{
		"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
		"metadata": map[string]any{"name": name, "labels": labels},
	}}
}

func TestDetectReadsRevisionsAndTagsFromWebhooks(t *testing.T) {
	control := []model.Workload{istiod("mesh", "istiod-1-31", "1-31")}
	_, facts, _ := Detect(nil, control)
	require.Nil(t, facts.Revisions, "no webhook was read: tags are unknown")
	_, facts, _ = Detect([]model.Object{
		webhook("istio-sidecar-injector-1-31", map[string]any{"app": "sidecar-injector", "istio.io/rev": "1-31"}),
		webhook("istio-revision-tag-prod", map[string]any{"app": "sidecar-injector", "istio.io/rev": "1-31", "istio.io/tag": "prod"}),
		webhook("another", map[string]any{"app": "cert-manager"}),
	}, control)
	require.Equal(t, []string{"1-31", "prod"}, facts.Revisions)
}

func FuzzParseMeshConfig(f *testing.F) {
	f.Add("trustDomain: td.example\nenableAutoMtls: true\n")
	f.Add("defaultConfig: {proxyMetadata: {A: 1}}")
	f.Add("[")
	f.Fuzz(func(t *testing.T, data string) {
		_, facts, _ := Detect([]model.Object{configMap("mesh", "istio", "mesh", data)}, []model.Workload{istiod("mesh", "istiod", "default")})
		if _, err := parseMeshConfig(data); err != nil {
			require.Empty(t, facts.TrustDomain, "nothing is known of a configuration that cannot be read")
		}
	})
}

func FuzzPodAnnotations(f *testing.F) {
	f.Add("8080,9090", "interceptionMode: NONE", "15020")
	f.Add("*", "{", "-1")
	f.Add("70000,,x", "", "99999999999")
	f.Fuzz(func(t *testing.T, ports, config, status string) {
		w := &model.Workload{
			ID: model.WorkloadID{Namespace: "shop", Kind: "Deployment", Name: "cart"}, ServiceAccount: "cart",
			NamespaceLabels: map[string]string{injectionLabel: "enabled"},
			Annotations: map[string]string{
				excludeInboundAnnotation: ports, includeInboundAnnotation: ports, proxyConfigAnnotation: config, statusPortAt: status,
			},
		}
		facts := New(model.Mesh{TrustDomain: "td.example"}, "").Facts(w)
		for _, p := range append(parsePorts(ports), facts.ProbePorts...) {
			require.True(t, p.Number >= 1 && p.Number <= 65535, p.String())
		}
	})
}

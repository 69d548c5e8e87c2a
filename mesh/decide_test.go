package mesh

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"floe.dev/palisade/model"
)

func object(apiVersion, kind, namespace, name string) model.Object {
	return model.Object{Tree: map[string]any{
		"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"namespace": namespace, "name": name},
	}}
}

func istiod() model.Workload {
	return model.Workload{
		ID:     model.WorkloadID{Namespace: "istio-control", Kind: "Deployment", Name: "istiod"},
		Labels: map[string]string{"app": "istiod", "istio": "pilot"},
	}
}

func linkerdIdentity() model.Workload {
	return model.Workload{
		ID:     model.WorkloadID{Namespace: "linkerd-control", Kind: "Deployment", Name: "linkerd-identity"},
		Labels: map[string]string{"linkerd.io/control-plane-component": "identity", "linkerd.io/control-plane-ns": "linkerd-control"},
	}
}

func labelled(key, value string) model.Namespace {
	return model.Namespace{Name: "shop", Labels: map[string]string{key: value}, Declared: true}
}

func annotated(key, value string) model.Namespace {
	return model.Namespace{Name: "till", Annotations: map[string]string{key: value}, Declared: true}
}

var (
	destinationRule = object("networking.istio.io/v1", "DestinationRule", "shop", "cart")
	theirServer     = object("policy.linkerd.io/v1beta3", "Server", "shop", "cart")
	injectIstio     = labelled("istio-injection", "enabled")
	injectLinkerd   = annotated("linkerd.io/inject", "enabled")
)

func TestDecide(t *testing.T) {
	for name, c := range map[string]struct {
		want       string
		objects    []model.Object
		workloads  []model.Workload
		namespaces []model.Namespace
		kind       model.MeshKind
		why        string
		codes      []string
	}{
		"nothing": {want: "auto", kind: model.MeshNone, why: "neither"},
		"istiod":  {workloads: []model.Workload{istiod()}, kind: model.MeshIstio, why: "istiod"},
		"linkerd": {workloads: []model.Workload{linkerdIdentity()}, kind: model.MeshLinkerd, why: "linkerd-identity"},
		"both control planes": {workloads: []model.Workload{istiod(), linkerdIdentity()}, kind: model.MeshNone,
			why: "both", codes: []string{"MeshAmbiguous"}},
		"both, one chosen": {want: "linkerd", workloads: []model.Workload{istiod(), linkerdIdentity()}, kind: model.MeshLinkerd, why: "--mesh linkerd"},
		"a control plane goes before the other's labels": {workloads: []model.Workload{linkerdIdentity()},
			namespaces: []model.Namespace{injectIstio}, kind: model.MeshLinkerd, why: "linkerd-identity"},
		"labels of istio only": {namespaces: []model.Namespace{injectIstio}, kind: model.MeshIstio,
			why: "Namespace shop bears istio-injection=enabled", codes: []string{"ControlPlaneNotSeen"}},
		"a revision only": {namespaces: []model.Namespace{labelled("istio.io/rev", "1-31")}, kind: model.MeshIstio,
			why: "istio.io/rev", codes: []string{"ControlPlaneNotSeen"}},
		"ambient only": {namespaces: []model.Namespace{labelled("istio.io/dataplane-mode", "ambient")}, kind: model.MeshIstio,
			why: "ambient", codes: []string{"ControlPlaneNotSeen"}},
		"annotations of linkerd only": {namespaces: []model.Namespace{injectLinkerd}, kind: model.MeshLinkerd,
			why: "Namespace till bears linkerd.io/inject: enabled", codes: []string{"ControlPlaneNotSeen"}},
		"a pod's annotation only": {workloads: []model.Workload{{
			ID: model.WorkloadID{Namespace: "shop", Kind: "Deployment", Name: "web"}, Annotations: map[string]string{"linkerd.io/inject": "ingress"},
		}}, kind: model.MeshLinkerd, why: "Deployment shop/web", codes: []string{"ControlPlaneNotSeen"}},
		"labels of both": {namespaces: []model.Namespace{injectIstio, injectLinkerd}, kind: model.MeshNone,
			why: "both", codes: []string{"MeshAmbiguous"}},
		"injection switched off": {namespaces: []model.Namespace{annotated("linkerd.io/inject", "disabled"), labelled("istio-injection", "disabled")},
			kind: model.MeshNone, why: "neither"},
		"a mesh that was not seen": {want: "istio", kind: model.MeshIstio, why: "--mesh istio", codes: []string{"ControlPlaneNotSeen"}},
		"none though there is one": {want: "none", workloads: []model.Workload{istiod()}, kind: model.MeshNone, why: "--mesh none"},
		"an unknown mesh":          {want: "consul", workloads: []model.Workload{istiod()}, kind: model.MeshNone, why: "consul", codes: []string{"MeshUnknown"}},
		"rules of istio without istio": {want: "linkerd", objects: []model.Object{destinationRule}, workloads: []model.Workload{linkerdIdentity()},
			kind: model.MeshLinkerd, why: "linkerd", codes: []string{"IstioObjectsIgnored"}},
		"rules of linkerd without linkerd": {want: "none", objects: []model.Object{theirServer},
			kind: model.MeshNone, why: "--mesh none", codes: []string{"LinkerdObjectsIgnored"}},
	} {
		t.Run(name, func(t *testing.T) {
			mesh, problems := Decide(c.want, c.objects, c.workloads, c.namespaces)
			require.Equal(t, c.kind, mesh.Kind)
			require.Contains(t, mesh.Why, c.why)
			var codes []string
			for _, p := range problems {
				codes = append(codes, p.Code)
			}
			for _, code := range c.codes {
				require.Contains(t, codes, code)
			}
			if c.codes == nil {
				for _, code := range []string{"MeshAmbiguous", "ControlPlaneNotSeen", "MeshUnknown", "IstioObjectsIgnored", "LinkerdObjectsIgnored"} {
					require.False(t, slices.Contains(codes, code), code)
				}
			}
		})
	}
}

func TestAmbiguityNamesTheFlagAndIgnoredObjectsTheirNumber(t *testing.T) {
	_, problems := Decide("auto", nil, []model.Workload{istiod(), linkerdIdentity()}, nil)
	require.Equal(t, model.Error, problems[0].Severity)
	require.Contains(t, problems[0].Fix, "--mesh")

	_, problems = Decide("none", []model.Object{destinationRule, destinationRule, destinationRule}, nil, nil)
	require.Len(t, problems, 1)
	require.Equal(t, model.Info, problems[0].Severity)
	require.Contains(t, problems[0].Message, "3 objects")
}

func TestDialectsFollowTheKind(t *testing.T) {
	require.Nil(t, New(model.Mesh{}, ""), "no mesh is no dialect, and not one that is nil inside")
	for _, kind := range []model.MeshKind{model.MeshIstio, model.MeshLinkerd} {
		require.Equal(t, string(kind), New(model.Mesh{Kind: kind}, "cluster.local").Name())
	}
	require.Empty(t, Findings(&model.Model{}))
}

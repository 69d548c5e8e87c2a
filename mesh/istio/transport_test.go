package istio

import (
	"testing"

	"github.com/stretchr/testify/require"

	"floe.dev/palisade/model"
)

// The ambient profile has the injector mark every sidecar as reachable by
// HBONE, so templates, which do not bear the label yet, are reached by it too.
func TestSidecarTemplatesTakeHBONEWhereTheInjectorWillMarkThem(t *testing.T) {
	const mixed = `
mesh: {namespace: istio-system, rootNamespace: istio-system, trustDomain: td.example, ambient: true, autoMTLS: true, sidecarHBONE: true}
domain: cluster.local
namespaces:
- name: shop
  labels: {istio-injection: enabled}
  posture: {mtls: Strict, authorization: true}
- name: edge
  labels: {istio.io/dataplane-mode: ambient}
flows:
- {rule: shop/cart, from: [edge/probe], to: shop, toLabels: {app: cart}, ports: ["8080"]}
workloads:
- {name: edge/probe}
`
	for workload, want := range map[string]bool{
		"{name: shop/cart}": true,
		"{name: shop/cart, labels: {app: cart, networking.istio.io/tunnel: none}}":                                                  false,
		`{name: shop/cart, annotations: {proxy.istio.io/config: "proxyMetadata: {ISTIO_META_ENABLE_HBONE: \"false\"}"}}`:            false,
		`{name: shop/cart, running: true, annotations: {sidecar.istio.io/status: "{}"}, spec: {containers: [{name: istio-proxy}]}}`: false,
		"{name: shop/cart, annotations: {inject.istio.io/templates: gateway}}":                                                      false,
	} {
		d, m := parseFixture(t, mixed+"- "+workload+"\n")
		cart := m.Workload(model.WorkloadID{Namespace: "shop", Kind: "Deployment", Name: "cart"})
		require.Equal(t, want, cart.Facts.Tunnel.Port == portHBONE, workload)
		_, problems := d.Compile(m)
		if !isGateway(cart) {
			require.Equal(t, want, len(problems) == 0, "%s: %v", workload, problems)
		}
	}
}

func TestDetectReadsHBONEFromTheProxyConfiguration(t *testing.T) {
	control := []model.Workload{istiod("istio-system", "istiod", "default")}
	for config, want := range map[string]bool{
		"defaultConfig: {proxyMetadata: {ISTIO_META_ENABLE_HBONE: \"true\"}}":  true,
		"defaultConfig: {proxyMetadata: {ISTIO_META_ENABLE_HBONE: true}}":      true,
		"defaultConfig: {proxyMetadata: {ISTIO_META_ENABLE_HBONE: \"false\"}}": false,
		"rootNamespace: istio-system":                                          false,
	} {
		_, facts, problems := Detect([]model.Object{configMap("istio-system", "istio", "mesh", config)}, control)
		require.Empty(t, problems)
		require.Equal(t, want, facts.SidecarHBONE, config)
	}
}

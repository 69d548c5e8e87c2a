package engine_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/engine"
	"floe.dev/palisade/model"
)

const verifierShop = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Namespace
metadata: {name: palisade-system}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec:
  selector: {matchLabels: {app: cart}}
  template:
    metadata: {labels: {app: cart}}
    spec: {containers: [{name: cart, image: "cart:1", ports: [{containerPort: 7070}]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: palisade, namespace: palisade-system}
spec:
  selector: {matchLabels: {app.kubernetes.io/name: palisade}}
  template:
    metadata: {labels: {app.kubernetes.io/name: palisade}}
    spec: {containers: [{name: palisade, image: "palisade:1"}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: other, namespace: palisade-system}
spec:
  selector: {matchLabels: {app: other}}
  template:
    metadata: {labels: {app: other}}
    spec: {containers: [{name: other, image: "other:1"}]}
`

const verifierProfile = `
apiVersion: palisade.floe.dev/v1alpha1
kind: SecurityProfile
metadata: {name: standard}
spec:
  enforcement: Enforce
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}
`

const verifierPeer = `  network: {verifiers: [{namespace: palisade-system, podSelector: {matchLabels: {app.kubernetes.io/name: palisade}}}]}
`

func TestVerifiersReachPortsThroughTheNetworkAndNothingMoreInTheMesh(t *testing.T) {
	given := engine.Given{Mesh: "istio", TrustDomain: "cluster.local", ClusterDomain: "cluster.local", DNSServers: []string{"10.96.0.10"}}
	without := runYAML(t, given, verifierShop, verifierProfile)
	with := runYAML(t, given, verifierShop, verifierProfile+verifierPeer)
	for _, kind := range []string{"AuthorizationPolicy", "PeerAuthentication", "Sidecar", "ServiceEntry", "DestinationRule"} {
		assert.Equal(t, objectsOf(without, kind), objectsOf(with, kind))
	}
	require.Equal(t, problemCodes(without), problemCodes(with))
	if len(policies(t, with)) == 0 {
		t.Fatal("no NetworkPolicy was written")
	}
	before, after := wireOf(t, without), wireOf(t, with)
	for _, port := range []model.Port{model.TCP(7070), model.TCP(9), model.TCP(15008)} {
		assert.False(t, before.allows(t, "palisade-system/palisade", "shop/cart", port))
		assert.True(t, after.allows(t, "palisade-system/palisade", "shop/cart", port))
		assert.False(t, after.allows(t, "palisade-system/other", "shop/cart", port))
		assert.False(t, after.allows(t, "shop/cart", "palisade-system/palisade", port), "the way back is not opened")
	}
	assert.False(t, after.allows(t, "palisade-system/palisade", "shop/cart", model.UDP(7070)))

	none := runYAML(t, engine.Given{Mesh: "none", DNSServers: []string{"10.96.0.10"}}, verifierShop, verifierProfile+verifierPeer)
	for _, p := range policies(t, none) {
		assert.Empty(t, p.Spec.Ingress, "without a mesh there is nothing to verify")
	}
}

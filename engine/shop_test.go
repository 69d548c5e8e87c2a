package engine_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"floe.dev/palisade/engine"
)

// shopCalls are the 16 calls of Online Boutique.
var shopCalls = []string{
	"cartservice → redis-cart:6379",
	"checkoutservice → cartservice:7070",
	"checkoutservice → currencyservice:7000",
	"checkoutservice → emailservice:8080",
	"checkoutservice → paymentservice:50051",
	"checkoutservice → productcatalogservice:3550",
	"checkoutservice → shippingservice:50051",
	"frontend → adservice:9555",
	"frontend → cartservice:7070",
	"frontend → checkoutservice:5050",
	"frontend → currencyservice:7000",
	"frontend → productcatalogservice:3550",
	"frontend → recommendationservice:8080",
	"frontend → shippingservice:50051",
	"loadgenerator → frontend:8080",
	"recommendationservice → productcatalogservice:3550",
}

func TestOnlineBoutiqueGetsItsSixteenCallsAndNothingElse(t *testing.T) {
	shop := sharedInput(t, "online-boutique")
	for _, mesh := range []string{"none", "istio", "linkerd"} {
		t.Run(mesh, func(t *testing.T) {
			r := runPaths(t, engine.Given{Mesh: mesh}, shop, "../examples/online-boutique")
			assert.NotContains(t, severities(r), "error", "problems: %v", r.Problems)
			assert.Equal(t, shopCalls, wireOf(t, r).calls(t, "default"), "by NetworkPolicy")
			switch mesh {
			case "istio":
				assert.Equal(t, shopCalls, istioCalls(t, r, "default"), "by AuthorizationPolicy")
			case "linkerd":
				assert.Equal(t, shopCalls, linkerdCalls(t, r, "default"), "by Linkerd policy")
			}
		})
	}
}

func TestOnlineBoutiqueIsTheSameInAmbientMode(t *testing.T) {
	shop := sharedInput(t, "online-boutique")
	s := read(t, shop, "../examples/online-boutique")
	for i := range s.Workloads {
		s.Workloads[i].NamespaceLabels = map[string]string{"kubernetes.io/metadata.name": s.Workloads[i].ID.Namespace}
		if s.Workloads[i].ID.Namespace == "default" {
			s.Workloads[i].NamespaceLabels["istio.io/dataplane-mode"] = "ambient"
		}
	}
	r := engine.Run(s, engine.Options{Given: engine.Given{Mesh: "istio"}, Now: noon})
	w := wireOf(t, r)
	assert.Equal(t, shopCalls, w.calls(t, "default"), "by NetworkPolicy")
	assert.Equal(t, shopCalls, istioCalls(t, r, "default"), "by AuthorizationPolicy")
}

func severities(r engine.Result) []string {
	var all []string
	for _, p := range r.Problems {
		all = append(all, string(p.Severity))
	}
	return all
}

func TestBookinfoGetsItsCallsAndItsDestinationRulesStand(t *testing.T) {
	bookinfo := sharedInput(t, "bookinfo")
	want := []string{
		"productpage-v1 → details-v1:9080",
		"productpage-v1 → reviews-v1:9080",
		"productpage-v1 → reviews-v2:9080",
		"productpage-v1 → reviews-v3:9080",
		"reviews-v2 → ratings-v1:9080",
		"reviews-v3 → ratings-v1:9080",
	}
	for _, mesh := range []string{"none", "istio", "linkerd"} {
		t.Run(mesh, func(t *testing.T) {
			r := runPaths(t, engine.Given{Mesh: mesh}, bookinfo, "../examples/bookinfo")
			assert.NotContains(t, severities(r), "error", "problems: %v", r.Problems)
			w := wireOf(t, r)
			assert.Equal(t, want, w.calls(t, "default"), "by NetworkPolicy")
			for _, o := range r.Objects {
				assert.NotEqual(t, "DestinationRule", o.Ref().Kind, "the user's own DestinationRules already say ISTIO_MUTUAL")
			}
			switch mesh {
			case "istio":
				// reviews-v1 runs as the same service account as v2 and v3: the mesh cannot tell it apart, and a finding says so.
				assert.Equal(t, append(want[:4:4], "reviews-v1 → ratings-v1:9080", want[4], want[5]), istioCalls(t, r, "default"))
				assert.Contains(t, findingCodes(r), "SharedServiceAccount")
				assert.NotContains(t, findingCodes(r), "DestinationRuleDisablesMTLS")
			default:
				assert.Contains(t, problemCodes(r), "IstioObjectsIgnored", "the DestinationRules do nothing without Istio")
			}
		})
	}
}

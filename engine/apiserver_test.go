package engine_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"floe.dev/palisade/model"
)

const adapter = `
apiVersion: v1
kind: Service
metadata: {name: adapter, namespace: shop}
spec: {selector: {app: api}, ports: [{port: 443, targetPort: admin}]}`

func TestTheAPIServerReachesAggregatedAPIsAndConversionWebhooks(t *testing.T) {
	for name, caller := range map[string]string{
		"aggregated API": `
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1beta1.custom.metrics.k8s.io}
spec: {group: custom.metrics.k8s.io, version: v1beta1, groupPriorityMinimum: 100, versionPriority: 100, service: {namespace: shop, name: adapter}}`,
		"conversion webhook": `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: carts.shop.example}
spec:
  group: shop.example
  names: {kind: Cart, plural: carts}
  scope: Namespaced
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
  conversion: {strategy: Webhook, webhook: {conversionReviewVersions: [v1], clientConfig: {service: {namespace: shop, name: adapter, port: 443}}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			r := runYAML(t, none, facts, kubeDNS, profile, plainShop, web, api, adapter, caller)
			w := wireOf(t, r)
			assert.True(t, w.allows(t, "172.18.0.9", "shop/api", model.TCP(9001)), "a default deny would cut the API: %v", r.Problems)
			assert.False(t, w.allows(t, "shop/web", "shop/api", model.TCP(9001)))
			unread := runYAML(t, none, facts, kubeDNS, profile, plainShop, web, caller)
			assert.Contains(t, problemCodes(unread), "WebhookServerUnknown")
		})
	}
}

package engine_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"floe.dev/palisade/engine"
	"floe.dev/palisade/model"
)

// migration is a Job that a chart gives the labels of its Deployment, and one more.
const migration = `
apiVersion: batch/v1
kind: Job
metadata: {name: migrate, namespace: shop}
spec:
  template:
    metadata: {labels: {app: api, component: migration}}
    spec: {serviceAccountName: api, restartPolicy: Never, containers: [{name: m, image: m, ports: [{containerPort: 9100}]}]}`

func TestAPortNameIsOpenBesideAJobWithTheSameLabels(t *testing.T) {
	for name, job := range map[string]string{"one more": migration, "the same": strings.Replace(migration, ", component: migration", "", 1)} {
		t.Run(name, func(t *testing.T) {
			r := runYAML(t, none, facts, kubeDNS, profile, plainShop, web, api, job, other, webToAPI)
			assert.NotContains(t, problemCodes(r), "PortNameAmbiguous")
			w := wireOf(t, r)
			assert.True(t, w.allows(t, "shop/web", "shop/api", model.TCP(9000)))
			assert.False(t, w.allows(t, "shop/other", "shop/api", model.TCP(9000)))
			assert.False(t, w.allows(t, "shop/web", "shop/migrate", model.TCP(9100)))
		})
	}
}

func TestAPortNameStaysClosedWhereThePodsBesideMeanAnotherPortByTheNumber(t *testing.T) {
	debug := strings.NewReplacer(", component: migration", "", "containerPort: 9100", "containerPort: 9000, name: debug").Replace(migration)
	r := runYAML(t, none, facts, kubeDNS, profile, plainShop, web, api, debug, webToAPI)
	assert.Contains(t, problemCodes(r), "PortNameAmbiguous")
	assert.False(t, wireOf(t, r).allows(t, "shop/web", "shop/migrate", model.TCP(9000)))
}

const exemption = `
apiVersion: palisade.floe.dev/v1alpha1
kind: Exemption
metadata: {name: open, namespace: shop}
spec:
  workloads: {matchExpressions: [{key: app, operator: In, values: [api]}, {key: component, operator: DoesNotExist}]}
  layers: [Network]
  reason: a test of what it opens
  owner: team
  expires: "2027-01-01T00:00:00Z"`

func TestAnExemptionOpensItsOwnWorkloadsAlone(t *testing.T) {
	r := runYAML(t, none, facts, kubeDNS, profile, plainShop, web, api, migration, exemption)
	w := wireOf(t, r)
	assert.True(t, w.allows(t, "192.0.2.1", "shop/api", model.TCP(9001)), "%v", r.Problems)
	assert.False(t, w.allows(t, "192.0.2.1", "shop/migrate", model.TCP(9100)), "its labels are those of the Deployment and more")
	assert.False(t, w.allows(t, "shop/migrate", "192.0.2.1", model.TCP(443)))
}

func TestWhatOpensByItselfOpensOnTheWorkloadThatDeclaresItAlone(t *testing.T) {
	intra := strings.Replace(profile, "spec: {", "spec: {network: {intraNamespace: Enabled}, ", 1)
	w := wireOf(t, runYAML(t, none, facts, kubeDNS, intra, plainShop, web, api, migration))
	assert.True(t, w.allows(t, "shop/web", "shop/migrate", model.TCP(9100)))
	assert.True(t, w.allows(t, "shop/web", "shop/api", model.TCP(9001)))
	assert.False(t, w.allows(t, "shop/web", "shop/migrate", model.TCP(9001)))
	assert.False(t, w.allows(t, "172.18.0.2", "shop/migrate", model.TCP(9000)), "nor its probes")
}

func TestAWorkloadOnItsNodesNetworkSplitsNothingOfItsNamespace(t *testing.T) {
	agent := strings.NewReplacer("name: other", "name: agent", "app: other", "app: agent", "spec: {serviceAccountName: other,", "spec: {hostNetwork: true,").Replace(other)
	r := runYAML(t, engine.Given{}, facts, kubeDNS, profile, istio, istioCNI, sidecarShop, web, agent)
	for _, p := range policies(t, r) {
		if p.Namespace != "shop" || p.Name != "palisade-default" {
			continue
		}
		origins := p.Annotations[model.OriginAnnotation]
		assert.Contains(t, origins, "istiod", "what a pod yet to come needs as well")
		assert.Contains(t, origins, "kubelet probes")
	}
}

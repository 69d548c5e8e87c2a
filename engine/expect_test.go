package engine_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"floe.dev/palisade/engine"
	"floe.dev/palisade/verify"
)

// odd are workloads of the shop of which a mesh cannot hold every port, and an exemption.
const odd = `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: shop}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {hostNetwork: true, containers: [{name: agent, image: "agent:1", ports: [{containerPort: 9100, hostPort: 9100}]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: batch, namespace: shop}
spec:
  selector: {matchLabels: {app: batch}}
  template:
    metadata: {labels: {app: batch, sidecar.istio.io/inject: "false", istio.io/dataplane-mode: none}, annotations: {linkerd.io/inject: disabled}}
    spec: {serviceAccountName: batch, containers: [{name: batch, image: "batch:1", ports: [{containerPort: 7000}]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: legacy, namespace: shop}
spec:
  selector: {matchLabels: {app: legacy}}
  template:
    metadata:
      labels: {app: legacy}
      annotations: {traffic.sidecar.istio.io/excludeInboundPorts: "6000", config.linkerd.io/skip-inbound-ports: "6000"}
    spec: {serviceAccountName: legacy, containers: [{name: legacy, image: "legacy:1", ports: [{containerPort: 5000}, {containerPort: 5001}, {containerPort: 6000}, {containerPort: 5353, protocol: UDP}]}]}
---
apiVersion: palisade.floe.dev/v1alpha1
kind: Exemption
metadata: {name: legacy, namespace: shop}
spec:
  workloads: {matchLabels: {app: legacy}}
  layers: [MTLS]
  reason: "The old client speaks no TLS yet."
  owner: team-shop
  expires: "2027-01-31T00:00:00Z"
  ports: [{port: 5000}]`

// apiPod runs for api, at two addresses.
const apiPod = `
apiVersion: v1
kind: Pod
metadata:
  name: api-1
  namespace: shop
  labels: {app: api}
  annotations: {sidecar.istio.io/status: '{"containers":["istio-proxy"],"initContainers":["istio-init"]}'}
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: api-5d9c, uid: "1", controller: true}]
spec:
  serviceAccountName: api
  initContainers: [{name: istio-init, image: proxyv2}]
  containers:
  - {name: api, image: "api:1", ports: [{name: http, containerPort: 9000}, {name: admin, containerPort: 9001}]}
  - {name: istio-proxy, image: "istio/proxyv2:1.31.1", ports: [{containerPort: 15090}]}
status: {phase: Running, podIP: 10.244.0.5, podIPs: [{ip: 10.244.0.5}, {ip: "fd00::5"}], conditions: [{type: Ready, status: "True"}]}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: api-5d9c, namespace: shop, uid: "1", ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: api, uid: "2", controller: true}]}
spec:
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec: {serviceAccountName: api, containers: [{name: api, image: "api:1"}]}`

// expectations of a cluster as lines: target, way, standing, and what becomes of each client.
func expectations(t *testing.T, o verify.Options, manifests ...string) []string {
	t.Helper()
	r := runYAML(t, engine.Given{}, manifests...)
	var lines []string
	for _, e := range verify.Expect(r.Model, o) {
		line := fmt.Sprintf("%s/%s %s", e.Workload.Kind, e.Workload.Name, e.PortText())
		if e.Pod != "" {
			line += " " + e.Pod + "@" + e.Address.String()
		}
		line += fmt.Sprintf(" %s %s:", e.Way, e.Standing)
		for _, c := range e.Checks {
			line += fmt.Sprintf(" %s=%s", c.Client, c.Want)
			if c.Client == verify.Member || c.Client == verify.Stranger {
				name, _, _ := strings.Cut(strings.TrimPrefix(c.Identity, "corp.example/ns/shop/sa/"), ".")
				line += "(" + name + ")"
			}
		}
		lines = append(lines, line)
	}
	return lines
}

func TestExpectationsOfSidecars(t *testing.T) {
	got := expectations(t, verify.Options{}, facts, kubeDNS, profile, istio, istioCNI, sidecarShop, web, api, other, webToAPI, odd)
	assert.Equal(t, []string{
		"DaemonSet/agent 9100 direct outside: plaintext=either",
		"Deployment/api 9000 sidecar strict: plaintext=refused bareTLS=refused noCertificate=refused member=admitted(web) foreignCA=refused expired=refused",
		"Deployment/api 9001 sidecar strict: plaintext=refused bareTLS=refused noCertificate=refused foreignCA=refused expired=refused",
		"Deployment/api 15020 direct plaintext: plaintext=either",
		"Deployment/api 15021 direct plaintext: plaintext=either",
		"Deployment/api 15090 direct plaintext: plaintext=either",
		"Deployment/batch 7000 direct outside: plaintext=either",
	}, got[:7])
	assert.Contains(t, got, "Deployment/legacy 5000 sidecar permissive: plaintext=either noCertificate=refused foreignCA=refused expired=refused", "exempted")
	assert.Contains(t, got, "Deployment/legacy 5001 sidecar strict: plaintext=refused bareTLS=refused noCertificate=refused foreignCA=refused expired=refused")
	assert.Contains(t, got, "Deployment/legacy 6000 direct outside: plaintext=either", "led around the proxy")
	assert.Contains(t, got, "Deployment/legacy 5353/UDP direct notCovered:", "no handshake shows anything of UDP")
	assert.Contains(t, got, "Deployment/web 8080 sidecar strict: plaintext=refused bareTLS=refused noCertificate=refused foreignCA=refused expired=refused")
	assert.NotContains(t, strings.Join(got, "\n"), "coredns", "the cluster's own are not governed")
}

func TestExpectationsOfAmbientPodsAreOfTheTunnel(t *testing.T) {
	got := expectations(t, verify.Options{Prober: "corp.example/ns/shop/sa/prober"}, facts, kubeDNS, profile, istio, ztunnel, ambientShop, web, api, other, webToAPI, odd)
	assert.Contains(t, got, "Deployment/api 9000 hbone strict: plaintext=refused noCertificate=refused member=admitted(web) stranger=refused(prober) foreignCA=refused expired=refused")
	assert.Contains(t, got, "Deployment/batch 7000 direct outside: plaintext=either")
	assert.Contains(t, got, "DaemonSet/agent 9100 direct outside: plaintext=either")
}

func TestExpectationsOfLinkerdFollowItsTransport(t *testing.T) {
	parts := []string{facts, kubeDNS, profile, linkerd, linkerdShop, web, api, other, webToAPI, odd}
	got := expectations(t, verify.Options{}, parts...)
	assert.Contains(t, got, "Deployment/api 9000 linkerdTransport strict: plaintext=refused noCertificate=refused member=admitted(web) stranger=refused(api) foreignCA=refused expired=refused")
	assert.Contains(t, got, "Deployment/api 4191 direct plaintext: plaintext=either")
	assert.Contains(t, got, "Deployment/legacy 6000 direct outside: plaintext=either")
	parts[3] = strings.Replace(linkerd, "outboundTransportMode: transport-header", "outboundTransportMode: transparent", 1)
	got = expectations(t, verify.Options{}, parts...)
	assert.Contains(t, got, "Deployment/api 9000 linkerd strict: plaintext=refused noCertificate=refused member=admitted(web) stranger=refused(api) foreignCA=refused expired=refused")
}

// Each running pod is looked at, at each of its addresses.
func TestExpectationsOfRunningPodsAreByAddress(t *testing.T) {
	got := expectations(t, verify.Options{}, facts, kubeDNS, profile, istio, istioCNI, sidecarShop, web, api, other, webToAPI, apiPod)
	for _, at := range []string{"api-1@10.244.0.5", "api-1@fd00::5"} {
		assert.Contains(t, got, "Deployment/api 9000 "+at+" sidecar strict: plaintext=refused bareTLS=refused noCertificate=refused member=admitted(web) foreignCA=refused expired=refused")
		assert.Contains(t, got, "Deployment/api 15090 "+at+" direct plaintext: plaintext=either")
	}
	bare := strings.NewReplacer(", ports: [{containerPort: 15090}]", "", "- {name: istio-proxy", "- {name: helper", `  annotations: {sidecar.istio.io/status: '{"containers":["istio-proxy"],"initContainers":["istio-init"]}'}`+"\n", "", "initContainers: [{name: istio-init, image: proxyv2}]", "initContainers: []").Replace(apiPod)
	got = expectations(t, verify.Options{}, facts, kubeDNS, profile, istio, istioCNI, sidecarShop, web, api, other, webToAPI, bare)
	assert.Contains(t, got, "Deployment/api 9000 api-1@10.244.0.5 direct outside: plaintext=either", "the pod runs without the proxy that its template asks for")
}

func TestNothingIsExpectedOfNamespacesThatAreOnlyObserved(t *testing.T) {
	observed := strings.Replace(profile, "spec: {", "spec: {enforcement: Observe, ", 1)
	assert.Empty(t, expectations(t, verify.Options{}, facts, kubeDNS, observed, istio, istioCNI, sidecarShop, web, api, webToAPI))
	unmanaged := strings.Replace(profile, "spec: {", "spec: {mesh: {mtls: Unmanaged}, ", 1)
	assert.Empty(t, expectations(t, verify.Options{}, facts, kubeDNS, unmanaged, istio, istioCNI, sidecarShop, web, api, webToAPI))
}

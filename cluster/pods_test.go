package cluster

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const runningPod = `
apiVersion: v1
kind: Pod
metadata:
  name: web-5d4f6c7b8-abcde
  namespace: shop
  uid: u1
  labels: {app: web, pod-template-hash: 5d4f6c7b8}
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-5d4f6c7b8, uid: u2, controller: true}]
spec: {containers: [{name: c, image: c}]}
status: {phase: Running, podIP: 10.1.2.3, podIPs: [{ip: 10.1.2.3}, {ip: "fd00::3"}]}`

const runningReplicaSet = `
apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: web-5d4f6c7b8
  namespace: shop
  ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: u3, controller: true}]
spec:
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: c}]}}`

const runningDeployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: c}]}}`

func TestPodsAreKeptBesideTheWorkloadTheyRunFor(t *testing.T) {
	for name, manifests := range map[string][]string{
		"all read":               {runningPod, runningReplicaSet, runningDeployment},
		"without its ReplicaSet": {runningPod, runningDeployment},
		"without its Deployment": {runningPod, runningReplicaSet},
		"in another order":       {runningDeployment, runningReplicaSet, runningPod},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Read([]string{"-"}, strings.NewReader(strings.Join(manifests, "\n---\n")), Options{})
			require.NoError(t, err)
			require.Len(t, s.Workloads, 1)
			require.Len(t, s.Pods, 1)
			assert.Equal(t, "Deployment shop/web", s.Workloads[0].ID.String())
			assert.Equal(t, s.Workloads[0].ID, s.Pods[0].Owner)
			assert.Equal(t, []netip.Addr{netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("fd00::3")}, s.Pods[0].Addresses)
		})
	}
	s, err := Read([]string{"-"}, strings.NewReader(runningPod), Options{})
	require.NoError(t, err)
	assert.Equal(t, "ReplicaSet shop/web-5d4f6c7b8", s.Pods[0].Owner.String())
	assert.Equal(t, s.Workloads[0].ID, s.Pods[0].Owner)
}

func TestPoliciesThatAnAPIServerWouldRefuseAreFaults(t *testing.T) {
	for spec, want := range map[string]string{
		`{podSelector: {matchLabels: {"a b": c}}}`:                                                  "spec.podSelector.matchLabels",
		`{podSelector: {}, policyTypes: [Ingres]}`:                                                  `spec.policyTypes[0]: "Ingres" is not one of Ingress, Egress`,
		`{podSelector: {}, ingress: [{from: [{}]}]}`:                                                "spec.ingress[0].from[0]: must have a podSelector, a namespaceSelector or an ipBlock",
		`{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]}]}`:    "spec.ingress[0].from[0].ipBlock: may not stand beside a selector in one peer",
		`{podSelector: {}, egress: [{to: [{ipBlock: {cidr: 10.0.0.1}}]}]}`:                          `spec.egress[0].to[0].ipBlock.cidr: "10.0.0.1" is not a CIDR`,
		`{podSelector: {}, egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16]}}]}]}`: `spec.egress[0].to[0].ipBlock.except[0]: "11.0.0.0/16" must lie strictly within cidr 10.0.0.0/8`,
		`{podSelector: {}, ingress: [{ports: [{port: 0}]}]}`:                                        "spec.ingress[0].ports[0].port: 0 must be from 1 to 65535",
		`{podSelector: {}, ingress: [{ports: [{port: 90, endPort: 80}]}]}`:                          "spec.ingress[0].ports[0].endPort: 80 must be from port (90) to 65535",
		`{podSelector: {}, ingress: [{ports: [{port: http, endPort: 80}]}]}`:                        "spec.ingress[0].ports[0].endPort: may not stand beside a port that is given by name",
		`{podSelector: {}, ingress: [{ports: [{endPort: 80}]}]}`:                                    "spec.ingress[0].ports[0].endPort: may not stand without port",
		`{podSelector: {}, ingress: [{ports: [{port: "8080"}]}]}`:                                   `spec.ingress[0].ports[0].port: "8080"`,
		`{podSelector: {}, ingress: [{ports: [{port: 80, protocol: HTTP}]}]}`:                       `spec.ingress[0].ports[0].protocol: "HTTP" is not one of`,
	} {
		_, err := Read([]string{"-"}, strings.NewReader("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: np, namespace: shop}\nspec: "+spec), Options{})
		require.ErrorContains(t, err, want, spec)
	}
}

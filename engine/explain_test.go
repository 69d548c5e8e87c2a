package engine_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/cluster"
	"floe.dev/palisade/engine"
	"floe.dev/palisade/verdict"
)

// Objects of others, for the layers to decide by.
const (
	theirEgress = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: their-egress, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Egress]
  egress:
  - ports: [{port: 9000}, {port: 15008}, {port: 4143}]`
	theirIngress = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: their-ingress, namespace: shop}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}]
    ports: [{port: http}, {port: 15008}, {port: 4143}]`
	theirStrict = `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict, namespace: shop}
spec: {mtls: {mode: STRICT}}`
	theirAllow = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: allow-web, namespace: shop}
spec:
  selector: {matchLabels: {app: api}}
  rules:
  - from: [{source: {principals: ["corp.example/ns/shop/sa/web"]}}]
    to: [{operation: {ports: ["9000"]}}]`
	theirDeny = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: deny-other, namespace: shop}
spec:
  action: DENY
  rules:
  - from: [{source: {principals: ["corp.example/ns/shop/sa/other"]}}]`
	theirServer = `
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: {name: api, namespace: shop}
spec: {podSelector: {matchLabels: {app: api}}, port: http, proxyProtocol: HTTP/1}
---
apiVersion: policy.linkerd.io/v1alpha1
kind: AuthorizationPolicy
metadata: {name: allow-web, namespace: shop}
spec:
  targetRef: {group: policy.linkerd.io, kind: Server, name: api}
  requiredAuthenticationRefs: [{group: policy.linkerd.io, kind: MeshTLSAuthentication, name: web}]
---
apiVersion: policy.linkerd.io/v1alpha1
kind: MeshTLSAuthentication
metadata: {name: web, namespace: shop}
spec: {identityRefs: [{kind: ServiceAccount, name: web}]}`
	toUnmeshed = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: api, namespace: shop}
spec: {host: api.shop.svc.cluster.local, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}`
	waypoint = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: waypoint, namespace: shop, labels: {istio.io/waypoint-for: service}}
spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: at-waypoint, namespace: shop}
spec:
  targetRefs: [{kind: Service, group: "", name: api}]
  rules:
  - from: [{source: {principals: ["corp.example/ns/shop/sa/web"]}}]
    to: [{operation: {methods: [GET]}}]`
)

// plainWeb is web outside of the mesh, plainAPI the server.
func outsideMesh(workload string) string {
	name := strings.Fields(strings.SplitN(workload, "app: ", 2)[1])[0]
	name = strings.Trim(name, "}")
	return strings.Replace(workload, "metadata: {labels: {app: "+name+"}}", "metadata: {labels: {app: "+name+", sidecar.istio.io/inject: \"false\"}, annotations: {linkerd.io/inject: disabled}}", 1)
}

// Each layer is the one that decides, for a connection that is let through and for one that is refused.
func TestExplainNamesTheObjectAndTheRuleOfTheLayerThatDecides(t *testing.T) {
	plain := []string{facts, kubeDNS, plainShop, web, api, other}
	sidecar := []string{facts, kubeDNS, istio, istioCNI, sidecarShop, web, api, other}
	ambient := []string{facts, kubeDNS, istio, ztunnel, ambientShop, web, api, other}
	unprobed := strings.Replace(api, "        readinessProbe: {httpGet: {path: /ready, port: http}}\n", "", 1) // everybody may GET what the kubelet probes
	linked := []string{facts, kubeDNS, strings.Replace(linkerd, "proxy: {", "proxy: {defaultInboundPolicy: all-unauthenticated, ", 1), linkerdShop, web, unprobed, other}
	for name, c := range map[string]struct {
		manifests []string
		from, to  string
		verdict   string
		layer     string
		by        string
	}{
		"egress allows":           {append(plain, theirEgress), "shop/web", "shop/api:9000", "allowed plaintext", "egress", "NetworkPolicy shop/their-egress spec.egress[0]"},
		"egress refuses":          {append(plain, theirEgress), "shop/web", "shop/api:9001", "denied", "egress", "NetworkPolicy shop/their-egress spec.podSelector"},
		"ingress allows":          {append(plain, theirIngress), "shop/web", "shop/api:9000", "allowed plaintext", "ingress", "NetworkPolicy shop/their-ingress spec.ingress[0]"},
		"ingress refuses":         {append(plain, theirIngress), "shop/other", "shop/api:9000", "denied", "ingress", "NetworkPolicy shop/their-ingress spec.podSelector"},
		"ingress refuses outside": {append(plain, theirIngress), "203.0.113.7", "shop/api:9000", "denied", "ingress", "NetworkPolicy shop/their-ingress spec.podSelector"},

		"mtls allows a sidecar":        {append(sidecar, theirStrict), "shop/web", "shop/api:9000", "allowed mtls corp.example/ns/shop/sa/web", "mtls", "PeerAuthentication shop/strict spec.mtls.mode"},
		"mtls refuses outside":         {append(sidecar, theirStrict), "203.0.113.7", "shop/api:9000", "denied", "mtls", "PeerAuthentication shop/strict spec.mtls.mode"},
		"mtls refuses a client":        {append(sidecar[:5:5], outsideMesh(web), api, theirStrict), "shop/web", "shop/api:9000", "denied", "mtls", "PeerAuthentication shop/strict spec.mtls.mode"},
		"authorization allows":         {append(sidecar, theirAllow), "shop/web", "shop/api:9000", "allowed mtls corp.example/ns/shop/sa/web", "authorization", "AuthorizationPolicy shop/allow-web spec.rules[0]"},
		"authorization allows nobody":  {append(sidecar, theirAllow), "shop/other", "shop/api:9000", "denied", "authorization", "AuthorizationPolicy shop/allow-web spec.rules"},
		"authorization denies":         {append(sidecar, theirStrict, theirDeny), "shop/other", "shop/api:9000", "denied", "authorization", "AuthorizationPolicy shop/deny-other spec.rules[0]"},
		"transport fails":              {append(sidecar[:5:5], web, outsideMesh(api), toUnmeshed), "shop/web", "svc/api:80", "denied", "transport", "DestinationRule shop/api spec.trafficPolicy.tls.mode"},
		"ambient: network by a tunnel": {append(ambient, theirIngress), "shop/other", "shop/api:9000", "denied", "ingress", "NetworkPolicy shop/their-ingress spec.podSelector"},
		"ambient: authorization":       {append(ambient, theirAllow), "shop/other", "shop/api:9000", "denied", "authorization", "AuthorizationPolicy shop/allow-web spec.rules"},
		"ambient: authorization lets":  {append(ambient, theirAllow), "shop/web", "shop/api:9000", "allowed mtls corp.example/ns/shop/sa/web", "authorization", "AuthorizationPolicy shop/allow-web spec.rules[0]"},
		"ambient: mtls":                {append(ambient, theirStrict), "203.0.113.7", "shop/api:9000", "denied", "mtls", "PeerAuthentication shop/strict spec.mtls.mode"},
		"waypoint lets some requests":  {append(ambient, waypoint, viaWaypoint), "shop/web", "svc/api:80", "partial mtls corp.example/ns/shop/sa/web", "authorization", "AuthorizationPolicy shop/at-waypoint spec.rules[0]"},
		"waypoint refuses":             {append(ambient, waypoint, viaWaypoint), "shop/other", "svc/api:80", "denied", "authorization", "AuthorizationPolicy shop/at-waypoint spec.rules"},

		"linkerd: authorization lets":     {append(linked, theirServer), "shop/web", "shop/api:9000", "allowed mtls web.shop.serviceaccount.identity.l5d.corp.example", "authorization", "AuthorizationPolicy shop/allow-web spec.requiredAuthenticationRefs"},
		"linkerd: authorization refuses":  {append(linked, theirServer), "shop/other", "shop/api:9000", "denied", "authorization", "Server shop/api spec"},
		"linkerd: network by the tunnel":  {append(linked, strings.Replace(theirIngress, ", {port: 4143}", "", 1)), "shop/web", "shop/api:9000", "denied", "ingress", "NetworkPolicy shop/their-ingress spec.podSelector"},
		"linkerd: nobody without a mesh":  {append(linked[:4:4], outsideMesh(web), unprobed, theirServer), "shop/web", "shop/api:9000", "denied", "authorization", "Server shop/api spec"},
		"linkerd: a port without Server":  {append(linked, theirServer), "shop/other", "shop/api:9001", "allowed mtls other.shop.serviceaccount.identity.l5d.corp.example", "authorization", ""},
		"linkerd: egress by the tunnel":   {append(linked, strings.Replace(theirEgress, ", {port: 4143}", "", 1)), "shop/web", "shop/api:9000", "denied", "egress", "NetworkPolicy shop/their-egress spec.podSelector"},
		"linkerd: tunnel erases the port": {append(linked, theirEgress), "shop/web", "shop/api:9001", "allowed mtls web.shop.serviceaccount.identity.l5d.corp.example", "egress", "NetworkPolicy shop/their-egress spec.egress[0]"},
	} {
		t.Run(name, func(t *testing.T) {
			a := ask(t, c.from, c.to, c.manifests...)
			got := a.Decision.String()
			if a.Decision >= verdict.Partial {
				got = strings.TrimSpace(got + " " + a.Protection.String() + " " + a.Identity.String())
			}
			assert.Equal(t, c.verdict, got, "%+v", a.Answers)
			var by []string
			for i := range a.Answers {
				layer := &a.Answers[i]
				if string(layer.Layer) != c.layer {
					continue
				}
				for _, cause := range layer.Causes {
					by = append(by, strings.TrimSpace(cause.Object.String()+" "+cause.Field))
				}
				if a.Decision == verdict.Refused && layer.Decision == verdict.Refused {
					assert.Same(t, layer, a.Deciding(), "the first layer that refuses decides")
				}
			}
			assert.Contains(t, by, c.by, "%+v", a.Answers)
			assert.NotEmpty(t, a.Reason())
		})
	}
}

// viaWaypoint binds the namespace to the waypoint.
const viaWaypoint = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio.io/dataplane-mode: ambient, istio.io/use-waypoint: waypoint}}`

// ask explains one connection in the state that the objects are in.
func ask(t *testing.T, from, to string, manifests ...string) verdict.Explanation {
	t.Helper()
	for i, m := range manifests { // a namespace of its own wins over that of the mesh
		if m == viaWaypoint {
			manifests = append([]string{}, manifests...)
			manifests[i] = ""
			for k := range manifests {
				if manifests[k] == ambientShop {
					manifests[k] = viaWaypoint
				}
			}
		}
	}
	s, err := cluster.Read([]string{"-"}, strings.NewReader(strings.Join(manifests, "\n---\n")), cluster.Options{})
	require.NoError(t, err)
	v := engine.Look(s, engine.ViewOptions{Options: engine.Options{Now: noon}, When: engine.Current})
	client, err := engine.ParseName(from, "shop")
	require.NoError(t, err)
	server, port, err := engine.ParseTarget(to, "shop")
	require.NoError(t, err)
	answers, err := v.Ask(client, server, port)
	require.NoError(t, err)
	require.Len(t, answers, 1)
	return answers[0].Explanation
}

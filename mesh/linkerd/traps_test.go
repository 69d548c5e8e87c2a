package linkerd

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

// Each test is named after its row of the list of traps: the fixture breaks the naive answer.

// shop is a strict namespace under transport-header mode; workloads and the rest follow.
const shop = `
cluster:
  mesh: {namespace: linkerd, trustDomain: cluster.local, linkerd: {transport: transport-header, serverVersion: v1beta3, defaultInboundPolicy: deny}}
  nodeCIDRs: [10.1.0.0/16]
namespaces:
- name: shop
  annotations: {linkerd.io/inject: enabled}
  posture: {mtls: Strict, authorization: true}
`

// Everything meshed arrives on 4143, so a NetworkPolicy that opens it opens all
// ports. A port that one client may call must stay closed to the clients of another.
func TestTrap03PortLimitsComeBackInServersWhere4143ErasesThem(t *testing.T) {
	d, m := parseFixture(t, shop+`
workloads:
- {name: shop/api, spec: {containers: [{name: api, ports: [{containerPort: 8080, protocol: TCP}, {containerPort: 9000, protocol: TCP}]}]}}
- {name: shop/web, spec: {containers: [{name: web}]}}
- {name: shop/ops, spec: {containers: [{name: ops}]}}
flows:
- {rule: shop/web, from: [shop/web], to: [shop/api], ports: ["8080"]}
- {rule: shop/ops, from: [shop/ops], to: [shop/api], ports: ["9000"]}
`)
	api := m.Workload(deployment("shop/api"))
	require.Equal(t, model.Tunnel{Port: 4143}, api.Facts.Tunnel)
	require.True(t, api.Facts.DialsTunnel)
	objects, problems := d.Compile(m)
	require.Empty(t, problems)
	servers := serversByPort(objects)
	require.Len(t, servers, 2)
	require.Equal(t, []string{"web.shop.serviceaccount.identity.linkerd.cluster.local"}, permitted(objects, "Server", servers["api:8080"].Ref().Name))
	require.Equal(t, []string{"ops.shop.serviceaccount.identity.linkerd.cluster.local"}, permitted(objects, "Server", servers["api:9000"].Ref().Name))
	for _, server := range servers {
		require.Equal(t, model.PhaseDeny, server.Phase, "a Server denies, so what allows goes first")
	}
}

func TestTrap03TransparentModeTunnelsOpaquePortsOnly(t *testing.T) {
	w := &model.Workload{NamespaceAnnotations: map[string]string{injectAnnotation: "enabled"}}
	for transport, carries8080 := range map[string]bool{"transport-header": true, "transparent": false, "": true} {
		f := New(model.Mesh{Linkerd: model.LinkerdFacts{Transport: transport}}).Facts(w)
		require.Equal(t, carries8080, f.Tunnel.Carries(model.TCP(8080)), transport)
		require.True(t, f.Tunnel.Carries(model.TCP(3306)), transport)
	}
}

// Ports that no manifest declares have no Server: the default inbound policy holds them, or does not.
func TestTrap03UndeclaredPortsAreReportedWhereTheDefaultIsOpen(t *testing.T) {
	for policy, open := range map[string]bool{
		"": true, "all-unauthenticated": true, "cluster-unauthenticated": true, "audit": true,
		"deny": false, "all-authenticated": false, "cluster-authenticated": false,
	} {
		_, m := parseFixture(t, shop+`
workloads:
- {name: shop/api, spec: {containers: [{name: api}]}}
`)
		m.Cluster.Mesh.Linkerd.DefaultInboundPolicy = policy
		require.Equal(t, open, len(Findings(m)) > 0, policy)
	}
}

func TestTrap03ThePodsAnnotationDecidesOverNamespaceAndCluster(t *testing.T) {
	_, m := parseFixture(t, shop+`
workloads:
- {name: shop/api, annotations: {config.linkerd.io/default-inbound-policy: all-unauthenticated}, spec: {containers: [{name: api}]}}
`)
	require.Equal(t, []string{"UndeclaredPortsOpen"}, findingCodes(Findings(m)))
}

// A route attached to a Server takes the automatic permission of probes away.
func TestTrap06ProbesArePermittedAgainOnceARouteIsAttached(t *testing.T) {
	d, m := parseFixture(t, shop+`
workloads:
- name: shop/api
  spec:
    containers:
    - name: api
      ports: [{containerPort: 8080, protocol: TCP}]
      readinessProbe: {httpGet: {path: /ready, port: 8080}}
      livenessProbe: {httpGet: {path: "live", port: 8080}}
- {name: shop/web, spec: {containers: [{name: web}]}}
flows:
- {rule: shop/web, from: [shop/web], to: [shop/api], ports: ["8080"], http: [{methods: [GET], paths: ["/items/*"]}]}
`)
	objects, problems := d.Compile(m)
	require.Empty(t, problems)
	require.Equal(t, []string{"10.1.0.0/16"}, permits(t, objects, "api:8080", "GET", "/ready"))
	require.Equal(t, []string{"10.1.0.0/16"}, permits(t, objects, "api:8080", "GET", "/live"))
	require.Empty(t, permits(t, objects, "api:8080", "POST", "/ready"))
	require.Empty(t, permits(t, objects, "api:8080", "GET", "/items"))
	require.Equal(t, []string{"web.shop.serviceaccount.identity.linkerd.cluster.local"}, permits(t, objects, "api:8080", "GET", "/items/1"))
}

// A probe's path is no pattern of the intent: "*" at its end is a letter.
func TestTrap06AProbePathIsMeantToTheLetter(t *testing.T) {
	d, m := parseFixture(t, shop+`
workloads:
- name: shop/api
  spec: {containers: [{name: api, livenessProbe: {httpGet: {path: "/h*", port: 8080}}}]}
- {name: shop/web, spec: {containers: [{name: web}]}}
flows:
- {rule: shop/web, from: [shop/web], to: [shop/api], ports: ["8080"], http: [{paths: [/items]}]}
`)
	objects, problems := d.Compile(m)
	require.Empty(t, problems)
	require.Equal(t, []string{"10.1.0.0/16"}, permits(t, objects, "api:8080", "GET", "/h*"))
	require.Empty(t, permits(t, objects, "api:8080", "GET", "/hidden"))
}

func TestTrap06AProbeWithAQueryIsPermittedExplicitlyAndReported(t *testing.T) {
	d, m := parseFixture(t, shop+`
workloads:
- name: shop/api
  spec: {containers: [{name: api, livenessProbe: {httpGet: {path: "/health?full=1", port: 8080}}}]}
- {name: shop/web, spec: {containers: [{name: web}]}}
flows:
- {rule: shop/web, from: [shop/web], to: [shop/api], ports: ["8080"]}
`)
	objects, problems := d.Compile(m)
	require.Empty(t, problems)
	web := "web.shop.serviceaccount.identity.linkerd.cluster.local"
	require.Equal(t, []string{"10.1.0.0/16", web}, permits(t, objects, "api:8080", "GET", "/health"))
	require.Equal(t, []string{web}, permits(t, objects, "api:8080", "PUT", "/anything"), "no 404 for whom the Server permits")
	require.Equal(t, []string{"ProbeWithQuery"}, findingCodes(Findings(m)))
}

func TestTrap06GRPCAndTLSProbesNeedTheNodesAndTCPProbesDoNot(t *testing.T) {
	const workloads = `
workloads:
- name: shop/api
  spec:
    containers:
    - name: api
      startupProbe: {grpc: {port: 9000}}
      readinessProbe: {httpGet: {path: /, port: 8443, scheme: HTTPS}}
      livenessProbe: {tcpSocket: {port: 8080}}
`
	d, m := parseFixture(t, shop+workloads)
	objects, problems := d.Compile(m)
	require.Empty(t, problems)
	servers := serversByPort(objects)
	require.Equal(t, []string{"10.1.0.0/16"}, permitted(objects, "Server", servers["api:9000"].Ref().Name))
	require.Equal(t, []string{"10.1.0.0/16"}, permitted(objects, "Server", servers["api:8443"].Ref().Name))
	require.Empty(t, permitted(objects, "Server", servers["api:8080"].Ref().Name))

	m.Cluster.NodeCIDRs = nil
	objects, problems = d.Compile(m)
	require.Equal(t, []string{"NodesUnknown"}, codes(problems))
	require.Len(t, serversByPort(objects), 1, "a Server without the permission would fail the probes, so none is written")
}

// In MySQL and the like the server speaks first, so detection would wait.
func TestTrap11ServerFirstPortsAreOpaque(t *testing.T) {
	const workloads = `
services:
- name: shop/ledger
  annotations: {config.linkerd.io/opaque-ports: "7000"}
  selector: {app: ledger}
  ports: [{name: raw, port: 7000, targetPort: 7777, protocol: TCP}]
workloads:
- {name: shop/db, spec: {containers: [{name: db, ports: [{containerPort: 3306, protocol: TCP}, {containerPort: 8080, protocol: TCP}]}]}}
- name: shop/queue
  annotations: {config.linkerd.io/opaque-ports: "5000-5010,smtp"}
  spec: {containers: [{name: q, ports: [{containerPort: 5005, protocol: TCP}, {containerPort: 2525, name: smtp, protocol: TCP}, {containerPort: 3306, protocol: TCP}]}]}
- {name: shop/ledger, spec: {containers: [{name: l, ports: [{containerPort: 7777, protocol: TCP}]}]}}
`
	d, m := parseFixture(t, shop+workloads)
	objects, _ := d.Compile(m)
	servers := serversByPort(objects)
	for port, want := range map[string]any{
		"db:3306": "opaque", "db:8080": nil,
		"queue:5005": "opaque", "queue:2525": "opaque",
		"queue:3306":  nil, // the pod's own list takes the place of the default
		"ledger:7777": "opaque",
	} {
		require.Contains(t, servers, port)
		require.Equal(t, want, servers[port].Map("spec")["proxyProtocol"], port)
	}
}

func TestTrap11RulesOnRequestsCannotHoldOnAnOpaquePort(t *testing.T) {
	d, m := parseFixture(t, shop+`
workloads:
- {name: shop/db, spec: {containers: [{name: db, ports: [{containerPort: 3306, protocol: TCP}]}]}}
- {name: shop/web, spec: {containers: [{name: web}]}}
flows:
- {rule: shop/db, from: [shop/web], to: [shop/db], ports: ["3306"], http: [{methods: [GET]}]}
`)
	objects, problems := d.Compile(m)
	require.Equal(t, []string{"HTTPOnOpaquePort"}, codes(problems))
	require.Len(t, objects, 1, "the Server alone: the flow stays closed")
}

func TestTrap12And13NativeSidecarsProveThatAPodIsMeshed(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	pod := func(spec corev1.PodSpec, labels map[string]string) model.Facts {
		return New(model.Mesh{Namespace: "linkerd", TrustDomain: "cluster.local"}).Facts(&model.Workload{
			ID: model.WorkloadID{Namespace: "shop", Kind: "Pod", Name: "x"}, Running: true, Labels: labels, Spec: spec,
			NamespaceAnnotations: map[string]string{injectAnnotation: "enabled"}, ServiceAccount: "default",
		})
	}
	proxy := corev1.Container{Name: proxyContainer}
	native := corev1.Container{Name: proxyContainer, RestartPolicy: &always}
	labels := map[string]string{controlPlaneLabel: "linkerd"}
	require.True(t, pod(corev1.PodSpec{Containers: []corev1.Container{proxy}}, labels).Meshed())
	require.True(t, pod(corev1.PodSpec{InitContainers: []corev1.Container{native}}, labels).Meshed())
	require.False(t, pod(corev1.PodSpec{InitContainers: []corev1.Container{proxy}}, labels).Meshed(), "an init container that ends is no proxy")
	require.False(t, pod(corev1.PodSpec{Containers: []corev1.Container{proxy}}, nil).Meshed(), "without the label the control plane takes it for unmeshed")
	require.False(t, pod(corev1.PodSpec{}, labels).Meshed(), "the namespace's annotation injects nothing into a pod that already runs")
	require.False(t, pod(corev1.PodSpec{Containers: []corev1.Container{proxy}}, map[string]string{controlPlaneLabel: "other"}).Meshed())
}

func TestTrap14HostNetworkPodsAreNotInjected(t *testing.T) {
	f := New(model.Mesh{}).Facts(&model.Workload{
		NamespaceAnnotations: map[string]string{injectAnnotation: "enabled"}, Spec: corev1.PodSpec{HostNetwork: true},
	})
	require.False(t, f.Meshed())
	require.Contains(t, f.Outside, "host's network")
}

func TestTrap15NoTokenMeansNoProxyOnlyWhereProjectionIsOff(t *testing.T) {
	off := false
	w := &model.Workload{
		NamespaceAnnotations: map[string]string{injectAnnotation: "enabled"},
		Spec:                 corev1.PodSpec{AutomountServiceAccountToken: &off},
	}
	require.True(t, New(model.Mesh{}).Facts(w).Meshed(), "the projected token serves, and projection is the default")
	mesh := model.Mesh{Linkerd: model.LinkerdFacts{NoTokenProjection: true}}
	f := New(mesh).Facts(w)
	require.False(t, f.Meshed())
	require.Contains(t, f.Outside, "automountServiceAccountToken")
	w.Spec.AutomountServiceAccountToken = nil
	require.True(t, New(mesh).Facts(w).Meshed())
}

func TestTrap16WaysAroundTheProxyAreReportedAndGetNoServer(t *testing.T) {
	d, m := parseFixture(t, shop+`
workloads:
- name: shop/api
  annotations: {config.linkerd.io/skip-inbound-ports: "8000-8100", config.linkerd.io/skip-outbound-ports: "5432"}
  spec:
    containers:
    - {name: api, ports: [{containerPort: 8080, protocol: TCP}, {containerPort: 9000, protocol: TCP}]}
    - {name: sneaky, securityContext: {runAsUser: 2102}}
- {name: shop/out, annotations: {linkerd.io/inject: disabled}, spec: {containers: [{name: out}]}}
`)
	bypasses := m.Workload(deployment("shop/api")).Facts.Bypasses
	require.Len(t, bypasses, 3)
	require.True(t, bypasses[0].Inbound)
	require.Equal(t, []model.Port{{Protocol: "TCP", Number: 8000, End: 8100}}, bypasses[0].Ports)
	require.False(t, bypasses[1].Inbound)
	require.Contains(t, bypasses[2].Field, "sneaky")
	out := m.Workload(deployment("shop/out")).Facts
	require.False(t, out.Meshed())
	require.Len(t, out.Bypasses, 1)

	objects, problems := d.Compile(m)
	require.Equal(t, []string{"PortSkipsProxy"}, codes(problems))
	servers := serversByPort(objects)
	require.NotContains(t, servers, "api:8080")
	require.Contains(t, servers, "api:9000")
}

func TestTrap16PortsThatTheInstallationSkipsAreReported(t *testing.T) {
	mesh := model.Mesh{Linkerd: model.LinkerdFacts{SkipInboundPorts: []model.Port{model.TCP(4567)}}}
	w := &model.Workload{
		NamespaceAnnotations: map[string]string{injectAnnotation: "enabled"},
		Spec:                 corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{ContainerPort: 4567}}}}},
	}
	require.Len(t, New(mesh).Facts(w).Bypasses, 1)
	w.Annotations = map[string]string{skipInbound: ""}
	require.Empty(t, New(mesh).Facts(w).Bypasses, "the pod's own list, though empty, takes its place")
}

// "linkerd" and "cluster.local" are defaults of Linkerd's, not facts.
func TestTrap37NamesOfTheInstallationAreReadOrNothingIsWritten(t *testing.T) {
	const workloads = `
workloads:
- {name: shop/api, spec: {containers: [{name: api, ports: [{containerPort: 8080, protocol: TCP}]}]}}
- {name: shop/web, spec: {containers: [{name: web}]}}
flows:
- {rule: shop/web, from: [shop/web], to: [shop/api], ports: ["8080"]}
`
	for _, missing := range []struct {
		mesh model.Mesh
		code string
		flag string
	}{
		{model.Mesh{TrustDomain: "prod.example.com"}, "MeshNamespaceUnknown", "--mesh-namespace"},
		{model.Mesh{Namespace: "mesh-system"}, "TrustDomainUnknown", "--trust-domain"},
	} {
		_, m := parseFixture(t, shop+workloads)
		m.Cluster.Mesh = missing.mesh
		d := New(missing.mesh)
		require.Empty(t, d.Facts(m.Workload(deployment("shop/web"))).Identity)
		objects, problems := d.Compile(m)
		require.Empty(t, objects)
		require.Equal(t, []string{missing.code}, codes(problems))
		require.Contains(t, problems[0].Fix, missing.flag)
	}
	d := New(model.Mesh{Namespace: "mesh-system", TrustDomain: "prod.example.com"})
	w := &model.Workload{
		ID: model.WorkloadID{Namespace: "shop", Name: "web"}, ServiceAccount: "web",
		NamespaceAnnotations: map[string]string{injectAnnotation: "enabled"},
	}
	f := d.Facts(w)
	require.Equal(t, "web.shop.serviceaccount.identity.mesh-system.prod.example.com", f.Identity)
	require.Len(t, f.ControlPlane, 2)
	require.Equal(t, "mesh-system", f.ControlPlane[0].To.Namespace)
}

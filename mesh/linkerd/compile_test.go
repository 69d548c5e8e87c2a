package linkerd

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
)

const apiAndWeb = `
workloads:
- {name: shop/api, spec: {containers: [{name: api, ports: [{containerPort: 8080, name: http, protocol: TCP}]}]}}
- {name: shop/web, spec: {containers: [{name: web}]}}
flows:
- {rule: shop/web, from: [shop/web], to: [shop/api], ports: ["8080"]}
`

func TestAServerOfSomebodyElseLeavesThePortToIt(t *testing.T) {
	for name, spec := range map[string]string{
		"by number": `{podSelector: {matchLabels: {app: api}}, port: 8080}`,
		"by name":   `{podSelector: {}, port: http}`,
	} {
		t.Run(name, func(t *testing.T) {
			d, m := parseFixture(t, shop+apiAndWeb+`
existing:
- {apiVersion: policy.linkerd.io/v1beta1, kind: Server, metadata: {name: theirs, namespace: shop}, spec: `+spec+`}
`)
			objects, problems := d.Compile(m)
			require.Equal(t, []string{"ServerShadowed"}, codes(problems))
			require.Equal(t, "theirs", problems[0].Subject.Name)
			require.Empty(t, objects)
		})
	}
}

func TestAServerForOtherPodsOrOfPalisadeItselfShadowsNothing(t *testing.T) {
	d, m := parseFixture(t, shop+strings.Replace(apiAndWeb, "ports: [", "ports: [{containerPort: 9000, name: admin, protocol: UDP}, ", 1)+`
existing:
- {apiVersion: policy.linkerd.io/v1beta1, kind: Server, metadata: {name: other, namespace: shop}, spec: {podSelector: {matchLabels: {app: db}}, port: 8080}}
- {apiVersion: policy.linkerd.io/v1beta1, kind: Server, metadata: {name: port, namespace: shop}, spec: {podSelector: {}, port: 9999}}
- {apiVersion: policy.linkerd.io/v1beta1, kind: Server, metadata: {name: named, namespace: shop}, spec: {podSelector: {}, port: admin}}
- {apiVersion: policy.linkerd.io/v1beta1, kind: Server, metadata: {name: elsewhere, namespace: other}, spec: {podSelector: {}, port: 8080}}
- apiVersion: policy.linkerd.io/v1beta1
  kind: Server
  metadata: {name: ours, namespace: shop, labels: {app.kubernetes.io/managed-by: palisade}}
  spec: {podSelector: {}, port: 8080}
`)
	objects, problems := d.Compile(m)
	require.Empty(t, problems)
	require.Len(t, serversByPort(objects), 1)
}

func TestNothingIsWrittenWhereTheNamespaceIsHeldOrNotGoverned(t *testing.T) {
	for _, layer := range []model.Layer{model.LayerAuthorization, model.LayerMTLS} {
		d, m := parseFixture(t, shop+apiAndWeb)
		m.Held = []model.Hold{{Namespace: "shop", Layer: layer}}
		objects, _ := d.Compile(m)
		require.Empty(t, objects, layer)
	}
	for _, posture := range []*model.Posture{nil, {}, {Mesh: model.MeshPosture{MTLS: model.MTLSPermissive}}} {
		d, m := parseFixture(t, shop+apiAndWeb)
		m.Namespaces[0].Posture = posture
		objects, problems := d.Compile(m)
		require.Empty(t, objects)
		require.Empty(t, problems)
	}
}

func TestTheControlPlanesOwnNamespaceGetsNoServers(t *testing.T) {
	_, m := parseFixture(t, shop+apiAndWeb)
	m.Cluster.Mesh.Namespace = "shop"
	d := New(m.Cluster.Mesh)
	objects, problems := d.Compile(m)
	require.Empty(t, objects)
	require.Equal(t, []string{"ControlPlaneNotGoverned"}, codes(problems))
}

// TestStances goes through posture and exemptions. Without mTLS there are no identities
// to ask for; without authorization mTLS still holds. An Exemption from MTLS alone
// opens nothing: a client without identity needs one from Authorization as well.
func TestStances(t *testing.T) {
	web := []string{"web.shop.serviceaccount.identity.linkerd.cluster.local"}
	everyone := []string{"0.0.0.0/0", "::/0"}
	for name, c := range map[string]struct {
		posture model.MeshPosture
		relaxed []model.Relaxation
		want    []string
		codes   []string
	}{
		"strict with authorization": {posture: model.MeshPosture{MTLS: model.MTLSStrict, Authorization: true}, want: web},
		"unmanaged mTLS":            {posture: model.MeshPosture{Authorization: true}, want: web},
		"strict alone":              {posture: model.MeshPosture{MTLS: model.MTLSStrict}, want: []string{"*"}},
		"permissive": {posture: model.MeshPosture{MTLS: model.MTLSPermissive, Authorization: true}, want: everyone,
			codes: []string{"PermissiveIsOpen"}},
		"mTLS exempt": {posture: model.MeshPosture{MTLS: model.MTLSStrict, Authorization: true},
			relaxed: []model.Relaxation{{Layer: model.LayerMTLS}}, want: web},
		"mTLS exempt from strict alone": {posture: model.MeshPosture{MTLS: model.MTLSStrict},
			relaxed: []model.Relaxation{{Layer: model.LayerMTLS}}, want: everyone},
		"both exempt": {posture: model.MeshPosture{MTLS: model.MTLSStrict, Authorization: true},
			relaxed: []model.Relaxation{{Layer: model.LayerMTLS}, {Layer: model.LayerAuthorization}}, want: everyone},
		"authorization exempt": {posture: model.MeshPosture{MTLS: model.MTLSStrict, Authorization: true},
			relaxed: []model.Relaxation{{Layer: model.LayerAuthorization, Ports: []model.Port{model.TCP(8080)}}}, want: []string{"*"}},
		"another port exempt": {posture: model.MeshPosture{MTLS: model.MTLSStrict, Authorization: true},
			relaxed: []model.Relaxation{{Layer: model.LayerMTLS, Ports: []model.Port{model.TCP(9000)}}}, want: web},
		"another layer exempt": {posture: model.MeshPosture{MTLS: model.MTLSStrict, Authorization: true},
			relaxed: []model.Relaxation{{Layer: model.LayerNetwork}}, want: web},
	} {
		t.Run(name, func(t *testing.T) {
			d, m := parseFixture(t, shop+apiAndWeb)
			m.Namespaces[0].Posture.Mesh = c.posture
			m.Workload(deployment("shop/api")).Relaxed = c.relaxed
			objects, problems := d.Compile(m)
			require.Equal(t, c.codes, codes(problems))
			require.Equal(t, c.want, permitted(objects, "Server", serversByPort(objects)["api:8080"].Ref().Name))
		})
	}
}

// What is not known about a client keeps it out, and a problem names what would supply it.
func TestUnknownClientsStayClosed(t *testing.T) {
	for flow, want := range map[string]struct{ code, fix string }{
		`from: [APIServer], plaintext: true`:     {"APIServerUnknown", "--api-server"},
		`from: [Nodes], plaintext: true`:         {"NodesUnknown", "--node-cidr"},
		`from: [ops/outside], plaintext: true`:   {"PodCIDRsUnknown", "--pod-cidr"},
		`from: [ops/outside]`:                    {"ClientHasNoIdentity", "mesh"},
		`from: [Internet], plaintext: true`:      {"ClientNotExpressible", "addresses"},
		`from: [ops/daemon], plaintext: true`:    {"NodesUnknown", "--node-cidr"},
		`from: [shop/web, ops/outside, ops/sad]`: {"ClientHasNoIdentity", "mesh"},
	} {
		t.Run(flow, func(t *testing.T) {
			d, m := parseFixture(t, shop+`
- {name: ops}
workloads:
- {name: shop/api, spec: {containers: [{name: api}]}}
- {name: shop/web, spec: {containers: [{name: web}]}}
- {name: ops/outside, spec: {containers: [{name: o}]}}
- {name: ops/daemon, spec: {hostNetwork: true, containers: [{name: o}]}}
flows:
- {rule: shop/x, `+flow+`, to: [shop/api], ports: ["8080"]}
`)
			m.Cluster.NodeCIDRs = nil
			objects, problems := d.Compile(m)
			require.Equal(t, []string{want.code}, codes(problems))
			require.Contains(t, problems[0].Fix, want.fix)
			for _, who := range permitted(objects, "Server", serversByPort(objects)["api:8080"].Ref().Name) {
				require.Contains(t, who, "web.shop.", "only who is known")
			}
		})
	}
}

func TestPlaintextClientsComeByAddress(t *testing.T) {
	d, m := parseFixture(t, shop+`
- {name: ops}
workloads:
- {name: shop/api, spec: {containers: [{name: api}]}}
- {name: ops/prometheus, spec: {containers: [{name: o}]}}
- {name: ops/ingress, spec: {hostNetwork: true, containers: [{name: o}]}}
flows:
- {rule: shop/scrape, from: [ops/prometheus], to: [shop/api], ports: ["9090", "4191"], plaintext: true}
- {rule: shop/ingress, from: [ops/ingress], to: [shop/api], ports: ["8080"], plaintext: true}
`)
	m.Cluster.PodCIDRs = prefixes("10.244.0.0/16", "fd00:10:244::/56")
	objects, problems := d.Compile(m)
	require.Equal(t, []string{"PlaintextByAddress"}, codes(problems))
	servers := serversByPort(objects)
	require.Equal(t, []string{"10.244.0.0/16", "fd00:10:244::/56"}, permitted(objects, "Server", servers["api:9090"].Ref().Name))
	require.Equal(t, []string{"10.1.0.0/16"}, permitted(objects, "Server", servers["api:8080"].Ref().Name), "pods on the host's network come from the nodes")
	require.NotContains(t, servers, "api:4191", "the proxy's own port is no Server's")
}

// Clients by address are outside the cluster: pods are let in by identity alone,
// though a range such as 0.0.0.0/0 holds their addresses too.
func TestClientsByAddressAreNoPods(t *testing.T) {
	for name, c := range map[string]struct {
		addresses string
		pods      []netip.Prefix
		want      []string
		codes     []string
	}{
		"everywhere":          {"{cidr: 0.0.0.0/0, except: [192.0.2.0/24]}", prefixes("10.244.0.0/16", "fd00::/48"), []string{"0.0.0.0/0-10.244.0.0/16-192.0.2.0/24"}, nil},
		"IPv6":                {"{cidr: \"::/0\"}", prefixes("10.244.0.0/16", "fd00::/48"), []string{"::/0-fd00::/48"}, nil},
		"beside the pods":     {"{cidr: 10.0.0.0/16}", prefixes("10.244.0.0/16"), []string{"10.0.0.0/16-"}, nil},
		"among the pods":      {"{cidr: 10.244.3.0/24}", prefixes("10.244.0.0/16"), nil, []string{"ClientNotExpressible"}},
		"private and unknown": {"{cidr: 10.0.0.0/8}", nil, nil, []string{"ClusterRangesUnknown"}},
		"public and unknown":  {"{cidr: 198.51.100.0/24}", nil, []string{"198.51.100.0/24-"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d, m := parseFixture(t, shop+`
workloads:
- {name: shop/api, spec: {containers: [{name: api, ports: [{containerPort: 8080, protocol: TCP}]}]}}
flows:
- {rule: shop/outside, from: [Addresses], addresses: [`+c.addresses+`], to: [shop/api], ports: ["8080"], plaintext: true}
`)
			m.Cluster.PodCIDRs = c.pods
			objects, problems := d.Compile(m)
			require.Equal(t, c.codes, codes(problems))
			var got []string
			for _, o := range objects {
				for _, n := range networksIn(t, o) {
					got = append(got, networksKey([]network{n}))
				}
			}
			require.Equal(t, c.want, got)
		})
	}
}

func networksIn(t *testing.T, o model.Object) []network {
	t.Helper()
	if o.Ref().Kind != "NetworkAuthentication" {
		return nil
	}
	data, err := json.Marshal(o.Tree["spec"])
	require.NoError(t, err)
	var spec networkAuthenticationSpec
	require.NoError(t, json.Unmarshal(data, &spec))
	return spec.Networks
}

func TestOfARangeOnlyDeclaredPortsAreHeld(t *testing.T) {
	d, m := parseFixture(t, shop+`
workloads:
- {name: shop/api, spec: {containers: [{name: api, ports: [{containerPort: 8080, protocol: TCP}, {containerPort: 9999, protocol: TCP}]}]}}
- {name: shop/web, spec: {containers: [{name: web}]}}
flows:
- {rule: shop/web, from: [shop/web], to: [shop/api], ports: ["8000-8100"]}
`)
	objects, problems := d.Compile(m)
	require.Equal(t, []string{"PortRangeNotExpressible"}, codes(problems))
	servers := serversByPort(objects)
	require.Len(t, servers, 2)
	require.Len(t, permitted(objects, "Server", servers["api:8080"].Ref().Name), 1)
	require.Empty(t, permitted(objects, "Server", servers["api:9999"].Ref().Name))
}

// Of two Servers for one pod and port the older alone counts, so each pod must be found by one.
func TestServersAreDisjointThoughSelectorsOverlap(t *testing.T) {
	for name, others := range map[string]string{
		"one more label":    "- {name: shop/batch, labels: {app: api, job: nightly}, SPEC}",
		"fewer labels":      "- {name: shop/batch, labels: {app: api, version: v1}, SPEC}",
		"another version":   "- {name: shop/batch, labels: {app: api, version: v2, track: stable}, SPEC}",
		"several others":    "- {name: shop/batch, labels: {app: api, job: nightly}, SPEC}\n- {name: shop/batch2, labels: {app: api, job: weekly}, SPEC}",
		"same own selector": "- {name: shop/batch, labels: {app: api, version: v3}, SPEC}",
	} {
		t.Run(name, func(t *testing.T) {
			const spec = "spec: {containers: [{name: c, ports: [{containerPort: 8080, protocol: TCP}]}]}"
			d, m := parseFixture(t, shop+strings.ReplaceAll(`
workloads:
- {name: shop/api, labels: {version: v1, track: stable}, SPEC}
- {name: shop/web, spec: {containers: [{name: web}]}}
`+others+`
flows:
- {rule: shop/web, from: [shop/web], to: [shop/api], ports: ["8080"]}
`, "SPEC", spec))
			objects, problems := d.Compile(m)
			require.Empty(t, problems)
			for _, w := range m.Workloads {
				var found []string
				for _, o := range objects {
					if o.Ref().Kind == "Server" && selectsPods(&o, &w) {
						found = append(found, o.Ref().Name)
					}
				}
				if w.ID.Name == "web" {
					require.Empty(t, found)
					continue
				}
				require.Len(t, found, 1, w.ID.Name)
				if w.ID.Name == "api" {
					require.Len(t, permitted(objects, "Server", found[0]), 1)
				} else {
					require.Empty(t, permitted(objects, "Server", found[0]), "%s is not meant by the flow", w.ID.Name)
				}
			}
		})
	}
}

func TestPodsOfOneSelectorShareAServer(t *testing.T) {
	d, m := parseFixture(t, shop+`
workloads:
- {name: shop/a, labels: {app: same}, spec: {containers: [{name: a, ports: [{containerPort: 8080, protocol: TCP}]}]}}
- {name: shop/b, labels: {app: same}, spec: {containers: [{name: b, ports: [{containerPort: 8080, protocol: TCP}]}]}}
- {name: shop/web, spec: {containers: [{name: web}]}}
flows:
- {rule: shop/web, from: [shop/web], to: [shop/b], ports: ["8080"]}
`)
	objects, problems := d.Compile(m)
	require.Empty(t, problems)
	servers := serversByPort(objects)
	require.Len(t, servers, 1)
	require.Len(t, permitted(objects, "Server", servers["same:8080"].Ref().Name), 1)
}

// TestOneMoreRuleChangesOnlyItsOwnObjects is what makes plans readable.
func TestOneMoreRuleChangesOnlyItsOwnObjects(t *testing.T) {
	const base = `
workloads:
- {name: shop/api, spec: {containers: [{name: api, ports: [{containerPort: 8080, protocol: TCP}]}]}}
- {name: shop/db, spec: {containers: [{name: db, ports: [{containerPort: 5432, protocol: TCP}]}]}}
- {name: shop/web, spec: {containers: [{name: web}]}}
flows:
- {rule: shop/web, from: [shop/web], to: [shop/api], ports: ["8080"]}
`
	d, m := parseFixture(t, shop+base)
	before, _ := d.Compile(m)
	d, m = parseFixture(t, shop+base+`
- {rule: shop/db, from: [shop/api], to: [shop/db], ports: ["5432"]}
`)
	after, _ := d.Compile(m)
	for _, o := range before {
		require.Contains(t, after, o)
	}
	require.Len(t, after, len(before)+2, "one policy and one authentication")
}

func TestAppProtocolIsWrittenWhereItCannotBreakAProbe(t *testing.T) {
	d, m := parseFixture(t, shop+`
services:
- {name: shop/api, selector: {app: api}, ports: [{port: 80, targetPort: 8080, protocol: TCP, appProtocol: http}, {port: 81, targetPort: 8081, protocol: TCP, appProtocol: grpc}, {port: 82, targetPort: 8082, protocol: TCP, appProtocol: kubernetes.io/h2c}]}
workloads:
- name: shop/api
  spec:
    containers:
    - name: api
      ports: [{containerPort: 8080, protocol: TCP}, {containerPort: 8081, protocol: TCP}, {containerPort: 8082, protocol: TCP}, {containerPort: 8083, protocol: TCP}]
      readinessProbe: {httpGet: {path: /, port: 8082}}
`)
	objects, _ := d.Compile(m)
	for port, want := range map[string]any{"api:8080": "HTTP/1", "api:8081": "HTTP/2", "api:8082": nil, "api:8083": nil} {
		require.Equal(t, want, serversByPort(objects)[port].Map("spec")["proxyProtocol"], port)
	}
}

func TestObjectsOfOthersThatLetPlaintextInAreFound(t *testing.T) {
	_, m := parseFixture(t, shop+apiAndWeb+`
existing:
- {apiVersion: policy.linkerd.io/v1beta3, kind: Server, metadata: {name: a, namespace: shop}, spec: {podSelector: {}, port: 1, accessPolicy: all-unauthenticated}}
- {apiVersion: policy.linkerd.io/v1alpha1, kind: AuthorizationPolicy, metadata: {name: b, namespace: shop}, spec: {targetRef: {kind: Namespace, name: shop}, requiredAuthenticationRefs: []}}
- {apiVersion: policy.linkerd.io/v1alpha1, kind: AuthorizationPolicy, metadata: {name: fine, namespace: shop}, spec: {targetRef: {kind: Server, name: theirs}, requiredAuthenticationRefs: [{kind: ServiceAccount, name: x}]}}
- {apiVersion: policy.linkerd.io/v1beta1, kind: ServerAuthorization, metadata: {name: c, namespace: shop}, spec: {server: {name: x}, client: {unauthenticated: true}}}
- {apiVersion: policy.linkerd.io/v1beta3, kind: Server, metadata: {name: fine2, namespace: shop}, spec: {podSelector: {}, port: 1, accessPolicy: all-authenticated}}
`)
	findings := Findings(m)
	require.Len(t, findings, 3)
	require.Equal(t, []string{"PlaintextAuthorized"}, findingCodes(findings))
}

// Permissions add up: what somebody else allows on palisade's Servers, no rule takes back.
func TestObjectsOfOthersThatAllowMoreAreFound(t *testing.T) {
	const identified = "requiredAuthenticationRefs: [{kind: MeshTLSAuthentication, name: x}]"
	for object, field := range map[string]string{
		"kind: AuthorizationPolicy, SPEC: {targetRef: {kind: Namespace, name: shop}, " + identified + "}":                      "spec.targetRef",
		"kind: AuthorizationPolicy, SPEC: {targetRef: {kind: Server, name: palisade-api-8080-x}, " + identified + "}":          "spec.targetRef",
		"kind: AuthorizationPolicy, SPEC: {targetRef: {kind: Server, name: theirs}, " + identified + "}":                       "",
		"kind: ServerAuthorization, SPEC: {server: {selector: {}}, client: {meshTLS: {identities: [x]}}}":                      "spec.server.selector",
		"kind: ServerAuthorization, SPEC: {server: {selector: {matchLabels: {app: x}}}, client: {meshTLS: {identities: [x]}}}": "",
		"kind: ServerAuthorization, SPEC: {server: {name: palisade-api-8080-x}, client: {meshTLS: {identities: [\"*\"]}}}":     "spec.server.name",
	} {
		_, m := parseFixture(t, shop+apiAndWeb+"\nexisting:\n- {apiVersion: policy.linkerd.io/v1alpha1, "+strings.Replace(object, "SPEC", "metadata: {name: theirs, namespace: shop}, spec", 1)+"}\n")
		found := Findings(m)
		if field == "" {
			require.Empty(t, found, object)
			continue
		}
		require.Len(t, found, 1, object)
		require.Equal(t, "AuthorizationPolicyWidens", found[0].Code)
		require.Equal(t, field, found[0].Field)
	}
}

// Flows from the nodes to a probed port are the kubelet's probes: they open no more than a probe needs.
func TestProbeFlowsDoNotOpenThePortToTheNodes(t *testing.T) {
	d, m := parseFixture(t, shop+`
workloads:
- name: shop/api
  spec: {containers: [{name: api, ports: [{containerPort: 8080, protocol: TCP}, {containerPort: 7000, protocol: TCP}], readinessProbe: {httpGet: {path: /ready, port: 8080}}}]}
flows:
- {rule: shop/probes, from: [Nodes], to: [shop/api], ports: ["8080", "4191"], plaintext: true}
- {rule: shop/nodes, from: [Nodes], to: [shop/api], ports: ["7000"], plaintext: true}
`)
	objects, problems := d.Compile(m)
	require.Empty(t, problems)
	servers := serversByPort(objects)
	require.Empty(t, permitted(objects, "Server", servers["api:8080"].Ref().Name), "Linkerd permits the probe itself")
	require.Equal(t, []string{"10.1.0.0/16"}, permitted(objects, "Server", servers["api:7000"].Ref().Name))
}

func TestAnHTTPProbeOfAnOpaquePortNeedsTheNodes(t *testing.T) {
	d, m := parseFixture(t, shop+`
workloads:
- name: shop/db
  annotations: {config.linkerd.io/opaque-ports: "8080"}
  spec: {containers: [{name: db, readinessProbe: {httpGet: {path: /ready, port: 8080}}}]}
`)
	objects, _ := d.Compile(m)
	require.Equal(t, []string{"10.1.0.0/16"}, permitted(objects, "Server", serversByPort(objects)["db:8080"].Ref().Name))
}

// A running pod has the annotations that injection copied; what its namespace says now came later.
func TestRunningPodsKeepTheAnnotationsTheyWereCreatedWith(t *testing.T) {
	w := &model.Workload{NamespaceAnnotations: map[string]string{injectAnnotation: "enabled", skipInbound: "8080"}}
	require.Len(t, New(model.Mesh{}).Facts(w).Bypasses, 1)
	w.Running = true
	w.Labels = map[string]string{controlPlaneLabel: "linkerd"}
	w.Spec.Containers = []corev1.Container{{Name: proxyContainer}}
	f := New(model.Mesh{}).Facts(w)
	require.True(t, f.Meshed())
	require.Empty(t, f.Bypasses)
	require.Empty(t, f.Injected, "nothing more is injected into it")
}

func TestInjectionByTheCNIPluginNeedsNoCapabilities(t *testing.T) {
	w := &model.Workload{NamespaceAnnotations: map[string]string{injectAnnotation: "enabled"}}
	added := New(model.Mesh{}).Facts(w).Injected
	require.True(t, added.CopiesFirstCapabilities)
	require.Equal(t, []corev1.Capability{"NET_ADMIN", "NET_RAW"}, added.InitContainers[0].SecurityContext.Capabilities.Add)
	added = New(model.Mesh{CNI: true}).Facts(w).Injected
	require.Equal(t, validatorContainer, added.InitContainers[0].Name)
	require.Empty(t, added.InitContainers[0].SecurityContext.Capabilities.Add)
}

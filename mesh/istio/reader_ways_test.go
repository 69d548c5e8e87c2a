package istio

import (
	"testing"

	"k8s.io/apimachinery/pkg/util/intstr"
)

// How clients send, where no DestinationRule says so.
func TestClientsFindOutAsIstioLetsThem(t *testing.T) {
	strictNorth := "PeerAuthentication north/x: {mtls: {mode: STRICT}}"
	runReaderCases(t, map[string]readerCase{
		"sidecars speak mTLS to sidecars, and plaintext to what is outside": {
			want: []string{
				"north/front → north/back:8080 is allowed mTLS", "north/front → wild/lone:8080 is allowed plaintext", "wild/lone → north/back:8080 is allowed plaintext",
				"north/front → -:443 is allowed plaintext directly",
			},
		},
		"who calls an address gets no mTLS from a sidecar": {
			objects: []string{strictNorth},
			want:    []string{"south/far → north/back:8080 is allowed mTLS", "south/far → north/back:7777 is denied by mtls directly"},
		},
		"ztunnel knows addresses": {
			objects: []string{"PeerAuthentication calm/x: {mtls: {mode: STRICT}}"},
			want:    []string{"calm/lake → calm/pool:7777 is allowed HBONE directly", "calm/lake → wild/lone:7777 is allowed plaintext directly"},
		},
		"ztunnel sends plaintext to sidecars without the tunnel's label": {
			objects: []string{strictNorth},
			change: func(f *fixture) {
				f.workload("north/back").Labels[tunnelLabel] = "http"
			},
			want: []string{"calm/lake → north/front:8080 is denied by mtls", "calm/lake → north/back:8080 is allowed HBONE"},
		},
		"sidecars go before HBONE with mTLS, where the server announces that": {
			change: func(f *fixture) {
				back := f.workload("north/back")
				back.Labels[tunnelLabel], back.Labels[tlsModeLabel] = "http", "disabled"
				f.workload("south/far").Labels[tunnelLabel] = "http"
			},
			want: []string{"north/front → north/back:8080 is allowed HBONE", "north/front → south/far:8080 is allowed mTLS"},
		},
		"sidecars dial no HBONE where ambient mode is off": {
			change: func(f *fixture) { f.Mesh.Ambient = false },
			want:   []string{"north/front → calm/pool:8080 is allowed plaintext"},
		},
		"a mesh may have automatic mTLS off": {
			objects: []string{"PeerAuthentication south/x: {mtls: {mode: STRICT}}"},
			change:  func(f *fixture) { f.Mesh.AutoMTLS = false },
			want:    []string{"north/front → north/back:8080 is allowed plaintext", "north/front → south/far:8080 is denied by mtls", "north/front → calm/pool:8080 is allowed HBONE"},
		},
		"pods that announce no mTLS get none": {
			objects: []string{strictNorth},
			change:  func(f *fixture) { f.workload("north/back").Labels[tlsModeLabel] = "disabled" },
			want:    []string{"south/far → north/back:8080 is denied by mtls", "south/far → north/front:8080 is allowed mTLS"},
		},
		"running pods announce by their label, templates by what injection gives them": {
			change: func(f *fixture) {
				back := f.workload("north/back")
				back.Running, back.Annotations[statusAnnotation] = true, "{}"
				back.Spec.Containers = smallProxy()
			},
			want: []string{"south/far → north/back:8080 is allowed plaintext", "south/far → north/front:8080 is allowed mTLS"},
		},
		"a label without a proxy leads clients astray": {
			change: func(f *fixture) { f.workload("wild/lone").Labels[tlsModeLabel] = "istio" },
			want:   []string{"north/front → wild/lone:8080 is denied by transport"},
		},
		"DISABLE for a port shows to clients": {
			objects: []string{"PeerAuthentication north/x: {selector: {matchLabels: {app: back}}, portLevelMtls: {8080: {mode: DISABLE}}}"},
			want:    []string{"south/far → north/back:8080 is allowed plaintext", "south/far → north/back:8081 is allowed mTLS"},
		},
		"a namespace's DISABLE counts for its Services, whatever a workload's mode": {
			objects: []string{"PeerAuthentication north/x: {mtls: {mode: DISABLE}}", "PeerAuthentication north/y: {selector: {matchLabels: {app: back}}, mtls: {mode: STRICT}}"},
			want:    []string{"south/far → north/back:8080 is denied by mtls", "south/far → north/front:8080 is allowed plaintext"},
		},
		"a headless Service of sidecars gets mTLS, blindly": {
			objects: []string{"PeerAuthentication north/y: {selector: {matchLabels: {app: back}}, portLevelMtls: {8081: {mode: DISABLE}}}"},
			change:  func(f *fixture) { f.service("north/back").ClusterIPs = []string{"None"} },
			want:    []string{"south/far → north/back:8080 is allowed mTLS", "south/far → north/back:8081 is denied by transport"},
		},
		"one pod that announces no mTLS takes it from a whole headless Service": {
			objects: []string{strictNorth},
			change: func(f *fixture) {
				back := f.service("north/back")
				back.ClusterIPs, back.Selector = []string{"None"}, map[string]string{"tier": "x"}
				f.workload("north/back").Labels["tier"], f.workload("north/rpc").Labels["tier"] = "x", "x"
			},
			want: []string{"south/far → north/back:8080 is denied by mtls"},
		},
		"it does so for the ports that it has": {
			objects: []string{strictNorth},
			change: func(f *fixture) {
				back := f.service("north/back")
				back.ClusterIPs, back.Selector = []string{"None"}, map[string]string{"tier": "x"}
				back.Ports[0].TargetPort = intstr.FromString("http")
				f.workload("north/back").Labels["tier"], f.workload("north/rpc").Labels["tier"] = "x", "x"
				f.workload("north/back").Spec.Containers = smallPorts("http", 8080)
			},
			want: []string{"south/far → north/back:8080 is allowed mTLS", "south/far → north/back:8081 is denied by mtls"},
		},
		"sidecars find no tunnel behind a headless Service, and gateways do": {
			objects: []string{"PeerAuthentication calm/x: {mtls: {mode: STRICT}}"},
			change:  func(f *fixture) { f.service("calm/pool").ClusterIPs = []string{"None"} },
			want: []string{
				"north/front → calm/pool:8080 is denied by mtls", "istio-system/door → calm/pool:8080 is allowed HBONE", "calm/lake → calm/pool:8080 is allowed HBONE",
			},
		},
		"a name that two containers give to a port is the first one's": {
			change: func(f *fixture) {
				f.service("north/back").Ports[0].TargetPort = intstr.FromString("http")
				f.workload("north/back").Spec.Containers = append(smallPorts("http", 9999), smallPorts("http", 8080)...)
			},
			want: []string{"north/front → north/back:9999 is allowed mTLS", "north/front → north/back:8080 is denied by transport"},
		},
		"gateways send to Services only": {
			want: []string{"istio-system/door → north/back:8080 is allowed mTLS", "istio-system/door → north/back:7777 is denied by transport directly"},
		},
		"gateways take no mTLS of the mesh, and plaintext": {
			objects: []string{"PeerAuthentication istio-system/x: {mtls: {mode: STRICT}}"},
			want:    []string{"- → istio-system/door:8080 is allowed plaintext", "north/front → istio-system/door:8080 is allowed plaintext"},
		},
	})
}

// Ways around proxies that pods ask for.
func TestAnnotationsLeadAroundProxies(t *testing.T) {
	strict := "PeerAuthentication north/x: {mtls: {mode: STRICT}}"
	annotate := func(name, value string) func(*fixture) {
		return func(f *fixture) { f.workload("north/back").Annotations[name] = value }
	}
	runReaderCases(t, map[string]readerCase{
		"excludeInboundPorts opens ports to plaintext, and breaks mTLS to them": {
			objects: []string{strict, "AuthorizationPolicy north/none: {}"},
			change:  annotate(excludeInboundAnnotation, "8080"),
			want: []string{
				"- → north/back:8080 is allowed plaintext", "- → north/back:8081 is denied by mtls", "north/front → north/back:8080 is denied by transport", "north/front → north/back:8081 is denied by authorization",
			},
		},
		"includeInboundPorts leaves out the others": {
			objects: []string{strict},
			change: func(f *fixture) {
				f.workload("north/back").Annotations[includeInboundAnnotation] = "8080"
				f.workload("north/back").Spec.Containers = append(smallPorts("http", 8080), smallPorts("tcp", 8081)...)
			},
			want: []string{"- → north/back:8080 is denied by mtls", "- → north/back:8081 is allowed plaintext"},
		},
		"interception mode NONE captures nothing, in either direction": {
			objects: []string{strict, "PeerAuthentication south/x: {mtls: {mode: STRICT}}", "AuthorizationPolicy north/none: {}"},
			change:  annotate(interceptionAnnotation, "NONE"),
			want:    []string{"- → north/back:8080 is allowed plaintext", "north/front → north/back:8080 is denied by transport", "north/back → south/far:8080 is denied by mtls"},
		},
		"excluded interfaces may be those that are called": {
			objects: []string{strict},
			change:  annotate("traffic.sidecar.istio.io/excludeInterfaces", "net1"),
			want:    []string{"- → north/back:8080 is unknown"},
		},
		"excludeOutboundPorts are those of Services": {
			objects: []string{"PeerAuthentication south/x: {mtls: {mode: STRICT}}"},
			change:  annotate("traffic.sidecar.istio.io/excludeOutboundPorts", "80"),
			want:    []string{"north/back → south/far:8080 is denied by mtls", "north/back → south/far:8081 is allowed mTLS"},
		},
		"nothing leads around a gateway": {
			change: func(f *fixture) {
				f.workload("istio-system/door").Annotations["traffic.sidecar.istio.io/excludeOutboundPorts"] = "80"
			},
			want: []string{"istio-system/door → south/far:8080 is allowed mTLS"},
		},
		"excluded ranges may be those of the server": {
			change: annotate("traffic.sidecar.istio.io/excludeOutboundIPRanges", "10.0.0.0/8"),
			want:   []string{"north/back → south/far:8080 is unknown"},
		},
	})
}

// DestinationRules (pilot/pkg/model/push_context.go, destination_rule.go).
func TestDestinationRulesAreFoundAsIstioFindsThem(t *testing.T) {
	rule := func(name, host, mode string) string {
		return "DestinationRule " + name + ": {host: " + host + ", trafficPolicy: {tls: {mode: " + mode + "}}}"
	}
	const far = "far.south.svc.cluster.local"
	plainIs := func(host string) readerCase {
		return readerCase{objects: []string{rule("north/x", host, "DISABLE")}, want: []string{"north/front → south/far:8080 is allowed plaintext", "north/front → north/back:8080 is allowed mTLS"}}
	}
	mutualIs := func(host string) readerCase {
		return readerCase{objects: []string{rule("north/x", host, "DISABLE")}, want: []string{"north/front → south/far:8080 is allowed mTLS"}}
	}
	runReaderCases(t, map[string]readerCase{
		"a host in full":                     plainIs(far),
		"a wildcard of the namespace":        plainIs("'*.south.svc.cluster.local'"),
		"a wildcard may begin within a name": plainIs("'*ar.south.svc.cluster.local'"),
		"a short name is one of the rule's own namespace": {
			objects: []string{rule("north/x", "far", "DISABLE"), rule("south/y", "far", "DISABLE")},
			want:    []string{"north/front → south/far:8080 is allowed plaintext", "north/front → north/back:8080 is allowed mTLS"},
		},
		"a short name of another namespace is nobody's": mutualIs("far"),
		"half a name is nobody's":                       mutualIs("far.south"),
		"the client's namespace goes before the Service's, and this before the root's": {
			objects: []string{rule("istio-system/x", "'*.local'", "DISABLE"), rule("south/x", far, "ISTIO_MUTUAL"), rule("north/x", "'*'", "DISABLE")},
			want: []string{
				"north/front → south/far:8080 is allowed plaintext", "south/far → north/back:8080 is allowed plaintext", "istio-system/door → south/far:8080 is allowed mTLS",
				"istio-system/door → north/back:8080 is allowed plaintext",
			},
		},
		"the most specific host counts, whatever its age": {
			objects: []string{rule("north/x", "'*'", "DISABLE"), rule("north/y", "'*.cluster.local'", "DISABLE"), rule("north/z", "'*.south.svc.cluster.local'", "ISTIO_MUTUAL")},
			want:    []string{"north/front → south/far:8080 is allowed mTLS", "north/front → north/back:8080 is allowed plaintext"},
		},
		"of one host the oldest policy counts": {
			objects: []string{rule("north/young@2", far, "DISABLE"), rule("north/old@1", far, "ISTIO_MUTUAL")},
			want:    []string{"north/front → south/far:8080 is allowed mTLS"},
		},
		"one without a policy is given the next one's": {
			objects: []string{"DestinationRule north/old: {host: " + far + ", subsets: [{name: v1, labels: {version: v1}}]}", rule("north/young", far, "DISABLE")},
			want:    []string{"north/front → south/far:8080 is allowed plaintext"},
		},
		"exportTo names who sees it": {
			objects: []string{
				"DestinationRule south/x: {host: far, exportTo: [istio-system], trafficPolicy: {tls: {mode: DISABLE}}}",
				"DestinationRule north/x: {host: back.north.svc.cluster.local, exportTo: [.], trafficPolicy: {tls: {mode: DISABLE}}}",
			},
			want: []string{
				"north/front → south/far:8080 is allowed mTLS", "istio-system/door → south/far:8080 is allowed plaintext",
				"north/front → north/back:8080 is allowed plaintext", "south/far → north/back:8080 is allowed mTLS",
			},
		},
		"one that its own namespace does not see leaves it to others": {
			objects: []string{"DestinationRule north/x: {host: " + far + ", exportTo: [south], trafficPolicy: {tls: {mode: DISABLE}}}", rule("south/x", "far", "ISTIO_MUTUAL")},
			want:    []string{"north/front → south/far:8080 is allowed mTLS"},
		},
		"those with other audiences stand side by side, and the last of them counts": {
			objects: []string{
				rule("north/old", far, "ISTIO_MUTUAL"), "DestinationRule north/young: {host: " + far + ", exportTo: [., istio-system], trafficPolicy: {tls: {mode: DISABLE}}}",
			},
			want: []string{"north/front → south/far:8080 is allowed plaintext"},
		},
		"a selector is for the clients of its namespace that it chooses": {
			objects: []string{rule("north/x", far, "ISTIO_MUTUAL"), "DestinationRule north/y: {host: " + far + ", workloadSelector: {matchLabels: {app: front}}, trafficPolicy: {tls: {mode: DISABLE}}}"},
			want:    []string{"north/front → south/far:8080 is allowed plaintext", "north/back → south/far:8080 is allowed mTLS"},
		},
		"a selector that does not choose the client still hides the rules of wider hosts": {
			objects: []string{rule("north/x", "'*.local'", "DISABLE"), "DestinationRule north/y: {host: " + far + ", workloadSelector: {matchLabels: {app: front}}, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}"},
			want:    []string{"north/back → south/far:8080 is allowed mTLS", "north/back → north/front:8080 is allowed plaintext"},
		},
		"a private rule is lost behind one with a selector": {
			objects: []string{
				"DestinationRule north/x: {host: " + far + ", exportTo: [.], trafficPolicy: {tls: {mode: DISABLE}}}",
				"DestinationRule north/y: {host: " + far + ", workloadSelector: {matchLabels: {app: front}}, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}",
			},
			want: []string{"north/back → south/far:8080 is allowed mTLS"},
		},
		"a rule is lost behind one with some of its audience, but lends it its policy": {
			objects: []string{
				"DestinationRule south/old: {host: far, exportTo: [north]}", "DestinationRule south/young: {host: far, exportTo: [north, istio-system], trafficPolicy: {tls: {mode: DISABLE}}}",
			},
			want: []string{"north/front → south/far:8080 is allowed plaintext", "istio-system/door → south/far:8080 is allowed mTLS"},
		},
		"clients in the root namespace look at its private rules, then as all others": {
			objects: []string{
				"DestinationRule istio-system/x: {host: far.south.svc.cluster.local, exportTo: [.], trafficPolicy: {tls: {mode: DISABLE}}}",
				rule("istio-system/y", "'*.local'", "DISABLE"), rule("north/x", "back", "ISTIO_MUTUAL"),
			},
			want: []string{"istio-system/door → south/far:8080 is allowed plaintext", "istio-system/door → north/back:8080 is allowed mTLS", "north/front → south/far:8080 is allowed plaintext"},
		},
		"a port's settings replace the policy's, and are for ports of the Service": {
			objects: []string{"DestinationRule north/x: {host: " + far + ", trafficPolicy: {tls: {mode: DISABLE}, portLevelSettings: [{port: {number: 81}, tls: {mode: ISTIO_MUTUAL}}, {port: {number: 9090}, tls: {mode: ISTIO_MUTUAL}}]}}"},
			want:    []string{"north/front → south/far:8080 is allowed plaintext", "north/front → south/far:8081 is allowed mTLS", "north/front → south/far:9090 is allowed plaintext"},
		},
		"a port's settings without tls leave it to the client, who goes by the policy's mode": {
			objects: []string{
				"DestinationRule north/x: {host: " + far + ", trafficPolicy: {tls: {mode: DISABLE}, portLevelSettings: [{port: {number: 80}, connectionPool: {}}]}}",
				"DestinationRule north/y: {host: back, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}, portLevelSettings: [{port: {number: 80}, connectionPool: {}}]}}",
				"PeerAuthentication north/x: {selector: {matchLabels: {app: back}}, portLevelMtls: {8080: {mode: DISABLE}}}",
			},
			want: []string{"north/front → south/far:8080 is allowed plaintext", "north/front → north/back:8080 is denied by transport"},
		},
		"tls without a mode is DISABLE": {
			objects: []string{"DestinationRule north/x: {host: " + far + ", trafficPolicy: {tls: {}}}"},
			want:    []string{"north/front → south/far:8080 is allowed plaintext"},
		},
		"ISTIO_MUTUAL needs no announcement, but a server that ends it": {
			objects: []string{rule("north/x", "'*.local'", "ISTIO_MUTUAL"), "PeerAuthentication north/x: {selector: {matchLabels: {app: back}}, portLevelMtls: {8081: {mode: DISABLE}}}"},
			change:  func(f *fixture) { f.workload("north/back").Labels[tlsModeLabel] = "disabled" },
			want: []string{
				"north/front → north/back:8080 is allowed mTLS", "north/front → north/back:8081 is denied by transport", "north/front → wild/lone:8080 is denied by transport",
				"north/front → calm/pool:8080 is allowed HBONE", "north/front → istio-system/door:8080 is denied by transport",
			},
		},
		"ISTIO_MUTUAL fails at ambient pods where no HBONE is dialled": {
			objects: []string{rule("north/x", "'*.local'", "ISTIO_MUTUAL")},
			change:  func(f *fixture) { f.Mesh.Ambient = false },
			want:    []string{"north/front → calm/pool:8080 is denied by transport"},
		},
		"TLS of the client's own passes where nothing looks at it": {
			objects: []string{rule("north/x", "'*.local'", "SIMPLE"), "PeerAuthentication south/x: {selector: {matchLabels: {app: far}}, portLevelMtls: {9090: {mode: STRICT}}}"},
			want: []string{
				"north/front → south/far:8080 is denied by transport", "north/front → south/far:8081 is allowed plaintext", "north/front → south/far:9090 is denied by transport",
				"north/front → wild/lone:8080 is allowed plaintext", "north/front → calm/pool:8080 is allowed HBONE", "north/front → north/rpc:8080 is denied by transport",
			},
		},
	})
}

// Sidecars (pilot/pkg/model/sidecar.go).
func TestSidecarsScopeAsIstioScopesThem(t *testing.T) {
	scope := func(name, rest string) string { return "Sidecar " + name + ": {" + rest + "}" }
	known := func(spec string, want ...string) readerCase {
		return readerCase{objects: []string{scope("north/x", spec)}, want: want}
	}
	const sees, hides = "north/front → south/far:8080 is allowed mTLS", "north/front → south/far:8080 is allowed plaintext"
	runReaderCases(t, map[string]readerCase{
		"without egress everything is known": known("workloadSelector: {labels: {app: front}}", sees),
		"a host is in full, or a wildcard":   known("egress: [{hosts: [south/far.south.svc.cluster.local, ./*]}]", sees, "north/front → north/back:8080 is allowed mTLS", "north/front → calm/pool:8080 is allowed plaintext"),
		"any namespace":                      known("egress: [{hosts: ['*/far.south.svc.cluster.local']}]", sees),
		"every host":                         known("egress: [{hosts: ['*/*']}]", sees),
		"a short name is nobody's":           known("egress: [{hosts: [south/far, '*/far', ./back]}]", hides, "north/front → north/back:8080 is allowed plaintext"),
		"a host needs a namespace":           known("egress: [{hosts: [far.south.svc.cluster.local]}]", hides),
		"none":                               known("egress: [{hosts: ['~/*']}]", hides),
		"what is excluded":                   known("egress: [{hosts: ['*/*', ~south/*]}]", hides, "north/front → north/back:8080 is allowed mTLS"),
		"what is excluded anywhere":          known("egress: [{hosts: ['*/*', ~/far.south.svc.cluster.local]}]", hides),
		"a listener of a port is for that port of Services": known("egress: [{port: {number: 80, protocol: HTTP, name: x}, hosts: ['*/*']}]",
			sees, "north/front → south/far:8081 is allowed plaintext"),
		"a proxy's port is for all of them": known("egress: [{port: {number: 3128, protocol: HTTP_PROXY, name: x}, hosts: ['*/*']}]", sees, "north/front → south/far:8081 is allowed mTLS"),
		"the one that selects goes before the namespace's, and this before the root's": {
			objects: []string{
				scope("istio-system/x", "egress: [{hosts: ['~/*']}]"), scope("north/x", "egress: [{hosts: ['./*']}]"), scope("north/y", "workloadSelector: {labels: {app: front}}, egress: [{hosts: ['*/*']}]"),
			},
			want: []string{
				sees, "north/back → south/far:8080 is allowed plaintext", "north/back → north/front:8080 is allowed mTLS", "south/far → north/back:8080 is allowed plaintext",
				"istio-system/door → south/far:8080 is allowed mTLS",
			},
		},
		"the oldest of each counts": {
			objects: []string{scope("north/young@2", "egress: [{hosts: ['*/*']}]"), scope("north/old@1", "egress: [{hosts: ['~/*']}]")},
			want:    []string{hides},
		},
		"an empty selector selects": {
			objects: []string{scope("north/old@1", "egress: [{hosts: ['~/*']}]"), scope("north/young@2", "workloadSelector: {}, egress: [{hosts: ['*/*']}]")},
			want:    []string{sees},
		},
		"a selector in the root namespace is for its pods": {
			objects: []string{scope("istio-system/x", "workloadSelector: {labels: {app: front}}, egress: [{hosts: ['~/*']}]")},
			want:    []string{sees},
		},
		"what is hidden is plaintext, or refused": {
			objects: []string{"PeerAuthentication south/x: {mtls: {mode: STRICT}}", scope("north/x", "egress: [{hosts: ['./*']}]"), scope("calm/x", "egress: [{hosts: ['~/*']}]")},
			want:    []string{"north/front → south/far:8080 is denied by mtls", "calm/lake → calm/pool:8080 is allowed HBONE"},
		},
		"REGISTRY_ONLY refuses what is hidden, and addresses": {
			objects: []string{scope("north/x", "outboundTrafficPolicy: {mode: REGISTRY_ONLY}, egress: [{hosts: ['./*']}]")},
			want: []string{
				"north/front → south/far:8080 is denied by transport", "north/front → north/back:8080 is allowed mTLS", "north/front → north/back:7777 is denied by transport directly",
				"north/front → -:443 is unknown directly", "south/far → -:443 is allowed plaintext directly",
			},
		},
		"a policy without a mode is REGISTRY_ONLY": known("outboundTrafficPolicy: {}", "north/front → north/back:7777 is denied by transport directly"),
		"a Sidecar may open what the mesh closes": {
			objects: []string{scope("north/x", "outboundTrafficPolicy: {mode: ALLOW_ANY}")},
			change:  func(f *fixture) { f.Mesh.RegistryOnly = true },
			want:    []string{"north/front → north/back:7777 is allowed plaintext directly", "south/far → north/back:7777 is denied by transport directly"},
		},
		"a Service is known where it is exported to": {
			change: func(f *fixture) {
				f.service("south/far").Annotations[exportAnnotation] = "., istio-system"
				f.service("north/back").Annotations[exportAnnotation] = "~"
			},
			want: []string{hides, "istio-system/door → south/far:8080 is allowed mTLS", "north/front → north/back:8080 is allowed plaintext", "istio-system/door → north/back:8080 is denied by transport"},
		},
	})
}

// Proxyless gRPC (pilot/pkg/networking/grpcgen).
func TestProxylessPodsTakeAndSendAsIstiodTellsThem(t *testing.T) {
	runReaderCases(t, map[string]readerCase{
		"a permissive server takes plaintext only": {
			objects: []string{"DestinationRule north/x: {host: rpc, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}"},
			want:    []string{"- → north/rpc:8080 is allowed plaintext", "north/front → north/rpc:8080 is denied by transport", "south/far → north/rpc:8080 is denied by transport"},
		},
		"with the label it takes mTLS only, and is found to": {
			change: func(f *fixture) { f.workload("north/rpc").Labels[tlsModeLabel] = "istio" },
			want:   []string{"- → north/rpc:8080 is denied by mtls", "north/front → north/rpc:8080 is allowed mTLS"},
		},
		"STRICT takes mTLS only, and clients must be told": {
			objects: []string{"PeerAuthentication north/x: {mtls: {mode: STRICT}}", "DestinationRule south/x: {host: rpc.north.svc.cluster.local, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}"},
			want:    []string{"- → north/rpc:8080 is denied by mtls", "north/front → north/rpc:8080 is denied by mtls", "south/far → north/rpc:8080 is allowed mTLS"},
		},
		"pods with the label and without are not taken for alike": {
			change: func(f *fixture) {
				f.workload("north/back").Annotations[templatesAnnotation] = "grpc-agent"
				f.workload("north/back").Labels[tlsModeLabel] = "istio"
			},
			want: []string{"- → north/back:8080 is denied by mtls", "- → north/rpc:8080 is allowed plaintext"},
		},
		"its own client speaks mTLS where a DestinationRule says so, and never HBONE": {
			objects: []string{"DestinationRule north/x: {host: back, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}", "DestinationRule north/y: {host: front, trafficPolicy: {tls: {mode: SIMPLE}}}"},
			want: []string{
				"north/rpc → north/back:8080 is allowed mTLS", "north/rpc → north/front:8080 is allowed plaintext", "north/rpc → south/far:8080 is allowed plaintext", "north/rpc → calm/pool:8080 is allowed plaintext",
			},
		},
		"ambient clients reach it in plaintext": {
			objects: []string{"PeerAuthentication north/x: {mtls: {mode: STRICT}}"},
			want:    []string{"calm/lake → north/rpc:8080 is denied by mtls"},
		},
		"its client is told nothing of hidden Services": {
			change: func(f *fixture) { f.service("south/far").Annotations[exportAnnotation] = "." },
			want:   []string{"north/rpc → south/far:8080 is denied by transport"},
		},
		"a policy without rules is not enforced": {
			objects: []string{"AuthorizationPolicy north/none: {}"},
			want:    []string{"- → north/rpc:8080 is allowed plaintext", "- → north/back:8080 is denied by authorization"},
		},
		"nor is one whose rules nobody has heard of": {
			objects: []string{"AuthorizationPolicy north/none: {rules: [{when: [{key: request.unheard, values: [x]}]}]}"},
			want:    []string{"- → north/rpc:8080 is allowed plaintext", "- → north/back:8080 is denied by authorization"},
		},
		"one with a rule is, and one in dry run too": {
			objects: []string{"AuthorizationPolicy north/x: {action: DENY, rules: [{to: [{operation: {ports: ['8080']}}]}]} | {annotations: {istio.io/dry-run: 'true'}}"},
			want:    []string{"- → north/rpc:8080 is denied by authorization", "- → north/rpc:8081 is allowed plaintext", "- → north/back:8080 is allowed plaintext"},
		},
		"CUSTOM is unknown to it": {
			objects: []string{"AuthorizationPolicy north/x: {action: CUSTOM, provider: {name: opa}, rules: [{}]}"},
			want:    []string{"- → north/rpc:8080 is allowed plaintext", "- → north/back:8080 is unknown"},
		},
		"trust domains are taken to the letter": {
			objects: []string{"AuthorizationPolicy north/x: {rules: [{from: [{source: {principals: [cluster.local/ns/north/sa/front]}}]}]}"},
			change:  func(f *fixture) { f.workload("north/rpc").Labels[tlsModeLabel] = "istio" },
			want:    []string{"north/front → north/rpc:8080 is denied by authorization", "north/front → north/back:8080 is allowed mTLS"},
		},
	})
}

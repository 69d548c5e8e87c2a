package istio

import "testing"

// How PeerAuthentications add up (pilot/pkg/security/authn/policy_applier.go). A
// stranger's plaintext shows whether a port is STRICT.
func TestPeerAuthenticationsAddUpAsIstioAddsThem(t *testing.T) {
	runReaderCases(t, map[string]readerCase{
		"without any, PERMISSIVE is the default": {
			want: []string{"- → north/back:8080 is allowed plaintext", "north/front → north/back:8080 is allowed mTLS"},
		},
		"the root namespace's is the mesh's": {
			objects: []string{"PeerAuthentication istio-system/x: {mtls: {mode: STRICT}}"},
			want:    []string{"- → north/back:8080 is denied by mtls", "- → south/far:8080 is denied by mtls", "wild/lone → north/back:8080 is denied by mtls", "north/front → north/back:8080 is allowed mTLS"},
		},
		"the namespace's goes before the mesh's": {
			objects: []string{"PeerAuthentication istio-system/x: {mtls: {mode: STRICT}}", "PeerAuthentication north/x: {mtls: {mode: PERMISSIVE}}"},
			want:    []string{"- → north/back:8080 is allowed plaintext", "- → south/far:8080 is denied by mtls"},
		},
		"the workload's goes before the namespace's": {
			objects: []string{"PeerAuthentication north/x: {mtls: {mode: STRICT}}", "PeerAuthentication north/y: {selector: {matchLabels: {app: back}}, mtls: {mode: PERMISSIVE}}"},
			want:    []string{"- → north/back:8080 is allowed plaintext", "- → north/front:8080 is denied by mtls"},
		},
		"UNSET and no mode inherit": {
			objects: []string{
				"PeerAuthentication istio-system/x: {mtls: {mode: STRICT}}", "PeerAuthentication north/x: {mtls: {mode: UNSET}}",
				"PeerAuthentication north/y: {selector: {matchLabels: {app: back}}}",
			},
			want: []string{"- → north/back:8080 is denied by mtls", "- → north/front:8080 is denied by mtls"},
		},
		"the oldest of a scope wins, and nothing is merged": {
			objects: []string{
				"PeerAuthentication north/young@9: {mtls: {mode: STRICT}}", "PeerAuthentication north/zold@1: {}",
				"PeerAuthentication north/a@8: {selector: {matchLabels: {app: back}}, portLevelMtls: {8081: {mode: STRICT}}}",
				"PeerAuthentication north/b@2: {selector: {matchLabels: {app: back}}, mtls: {mode: STRICT}}",
			},
			want: []string{"- → north/front:8080 is allowed plaintext", "- → north/back:8080 is denied by mtls"},
		},
		"of the same second, the first by name wins": {
			objects: []string{"PeerAuthentication north/b@1: {mtls: {mode: STRICT}}", "PeerAuthentication north/a@1: {mtls: {mode: PERMISSIVE}}"},
			want:    []string{"- → north/back:8080 is allowed plaintext"},
		},
		"a selector in the root namespace counts nowhere": {
			objects: []string{"PeerAuthentication istio-system/x: {selector: {matchLabels: {app: back}}, mtls: {mode: STRICT}}", "PeerAuthentication istio-system/y: {selector: {matchLabels: {app: hall}}, mtls: {mode: STRICT}}"},
			change: func(f *fixture) {
				hall := *f.workload("north/back")
				hall.Name, hall.Labels, hall.Annotations = "istio-system/hall", map[string]string{"app": "hall", injectLabel: "true"}, map[string]string{}
				f.Workloads = append(f.Workloads, hall)
			},
			want: []string{"- → north/back:8080 is allowed plaintext", "- → istio-system/hall:8080 is allowed plaintext"},
		},
		"an empty selector is none": {
			objects: []string{"PeerAuthentication north/x: {selector: {}, mtls: {mode: STRICT}}", "PeerAuthentication istio-system/x: {selector: {matchLabels: {}}, mtls: {mode: STRICT}}"},
			want:    []string{"- → north/back:8080 is denied by mtls", "- → south/far:8080 is denied by mtls"},
		},
		"a port goes before its workload, and inherits where it is UNSET": {
			objects: []string{"PeerAuthentication north/x: {selector: {matchLabels: {app: back}}, mtls: {mode: STRICT}, portLevelMtls: {8080: {mode: PERMISSIVE}, 8081: {mode: UNSET}, 7777: {mode: PERMISSIVE}}}"},
			want: []string{
				"- → north/back:8080 is allowed plaintext", "- → north/back:8081 is denied by mtls", "- → north/back:9090 is denied by mtls",
				"- → north/back:7777 is allowed plaintext", "- → north/back:80 is denied by mtls", // ports are the workload's, never the Service's
			},
		},
		"ports without a selector count nowhere": {
			objects: []string{"PeerAuthentication north/x: {mtls: {mode: STRICT}, portLevelMtls: {8080: {mode: PERMISSIVE}}}"},
			want:    []string{"- → north/back:8080 is denied by mtls"},
		},
		"UDP is no business of a mesh": {
			objects: []string{"PeerAuthentication istio-system/x: {mtls: {mode: STRICT}}", "AuthorizationPolicy istio-system/none: {}"},
			want:    []string{"- → north/back:53/UDP is allowed plaintext", "- → calm/pool:53/UDP is allowed plaintext"},
		},
		"the proxy's own ports are plaintext by design": {
			objects: []string{"PeerAuthentication istio-system/x: {mtls: {mode: STRICT}}", "AuthorizationPolicy istio-system/none: {}"},
			change:  func(f *fixture) { f.workload("north/back").Annotations[statusPortAt] = "15999" },
			want: []string{
				"- → north/front:15020 is allowed plaintext", "- → north/front:15021 is allowed plaintext", "- → north/front:15090 is allowed plaintext",
				"- → north/back:15999 is allowed plaintext", "- → north/back:15020 is denied by mtls", "- → calm/pool:15020 is denied by mtls",
			},
		},
		"one that is yet to be created is the youngest": {
			objects: []string{"PeerAuthentication north/b@1: {mtls: {mode: PERMISSIVE}}", "PeerAuthentication north/a: {mtls: {mode: STRICT}} | {creationTimestamp: null}"},
			want:    []string{"- → north/back:8080 is allowed plaintext"},
		},
	})
}

// What ztunnel is told of PeerAuthentications (pilot/pkg/serviceregistry/ambient/authorization.go):
// a workload is STRICT as a whole, or heeds rules for its ports, and not all that is due gets through.
func TestZtunnelIsToldLessOfModesThanSidecars(t *testing.T) {
	const pool = "PeerAuthentication calm/x: {selector: {matchLabels: {app: pool}}, "
	runReaderCases(t, map[string]readerCase{
		"STRICT refuses plaintext, and HBONE comes under any mode": {
			objects: []string{"PeerAuthentication calm/x: {mtls: {mode: STRICT}}"},
			want:    []string{"- → calm/pool:8080 is denied by mtls", "calm/lake → calm/pool:8080 is allowed HBONE", "north/front → calm/pool:8080 is allowed HBONE"},
		},
		"DISABLE is no more than not STRICT": {
			objects: []string{"PeerAuthentication calm/x: {mtls: {mode: DISABLE}}"},
			want:    []string{"- → calm/pool:8080 is allowed plaintext", "calm/lake → calm/pool:8080 is allowed HBONE", "north/front → calm/pool:8080 is allowed HBONE"},
		},
		"ports are exempt from the workload's own STRICT, DISABLE too": {
			objects: []string{pool + "mtls: {mode: STRICT}, portLevelMtls: {8080: {mode: PERMISSIVE}, 8081: {mode: DISABLE}}}"},
			want:    []string{"- → calm/pool:8080 is allowed plaintext", "- → calm/pool:8081 is allowed plaintext", "- → calm/pool:9090 is denied by mtls", "- → calm/lake:8080 is allowed plaintext"},
		},
		"DISABLE alone is no exemption from an inherited STRICT": {
			objects: []string{"PeerAuthentication calm/home: {mtls: {mode: STRICT}}", pool + "portLevelMtls: {8080: {mode: DISABLE}}}"},
			want:    []string{"- → calm/pool:8080 is denied by mtls"},
		},
		"beside PERMISSIVE it is one": {
			objects: []string{"PeerAuthentication calm/home: {mtls: {mode: STRICT}}", pool + "portLevelMtls: {8080: {mode: DISABLE}, 8081: {mode: PERMISSIVE}}}"},
			want:    []string{"- → calm/pool:8080 is allowed plaintext", "- → calm/pool:8081 is allowed plaintext", "- → calm/pool:9090 is denied by mtls"},
		},
		"a port may be STRICT alone": {
			objects: []string{pool + "mtls: {mode: PERMISSIVE}, portLevelMtls: {8080: {mode: STRICT}}}"},
			want:    []string{"- → calm/pool:8080 is denied by mtls", "- → calm/pool:8081 is allowed plaintext"},
		},
		"but is not under a STRICT mesh, which is taken to cover it": {
			objects: []string{"PeerAuthentication istio-system/x: {mtls: {mode: STRICT}}", pool + "mtls: {mode: PERMISSIVE}, portLevelMtls: {8080: {mode: STRICT}}}"},
			want:    []string{"- → calm/pool:8080 is allowed plaintext", "- → calm/lake:8080 is denied by mtls"},
		},
		"an exemption opens every port where the namespace's mode is UNSET under a STRICT mesh": {
			objects: []string{"PeerAuthentication istio-system/x: {mtls: {mode: STRICT}}", "PeerAuthentication calm/home: {}", pool + "portLevelMtls: {8080: {mode: PERMISSIVE}}}"},
			want:    []string{"- → calm/pool:8080 is allowed plaintext", "- → calm/pool:9090 is allowed plaintext", "- → calm/lake:8080 is denied by mtls"},
		},
		"an empty selector in the root namespace is overlooked": {
			objects: []string{"PeerAuthentication istio-system/x: {selector: {}, mtls: {mode: STRICT}}"},
			want:    []string{"- → calm/pool:8080 is allowed plaintext", "- → north/back:8080 is denied by mtls"},
		},
		"plaintext that is not captured passes everything, and HBONE does not": {
			objects: []string{"PeerAuthentication calm/x: {mtls: {mode: STRICT}}", "AuthorizationPolicy calm/none: {}"},
			change:  func(f *fixture) { f.workload("calm/pool").Annotations[ambientBypassAnnotation] = "true" },
			want:    []string{"- → calm/pool:8080 is allowed plaintext", "calm/lake → calm/pool:8080 is denied by authorization"},
		},
	})
}

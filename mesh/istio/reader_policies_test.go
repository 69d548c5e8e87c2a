package istio

import (
	"testing"

	"github.com/stretchr/testify/require"

	"floe.dev/palisade/model"
)

// Which policies count, and how they add up (pilot/pkg/security/authz/builder, pilot/pkg/model/policyattachment.go).
func TestAuthorizationPoliciesAddUpAsIstioAddsThem(t *testing.T) {
	runReaderCases(t, map[string]readerCase{
		"an ALLOW closes the rest": {
			objects: []string{"AuthorizationPolicy north/x: {action: ALLOW, rules: [{from: [{source: {namespaces: [south]}}]}]}"},
			want: []string{
				"south/far → north/back:8080 is allowed mTLS", "north/front → north/back:8080 is denied by authorization", "- → north/back:8080 is denied by authorization", "north/front → south/far:8080 is allowed mTLS",
			},
		},
		"ALLOW is the action where none is named": {
			objects: []string{"AuthorizationPolicy north/x: {rules: [{}]}"},
			want:    []string{"- → north/back:8080 is allowed plaintext"},
		},
		"one without rules closes everything": {
			objects: []string{"AuthorizationPolicy north/x: {}"},
			want:    []string{"north/front → north/back:8080 is denied by authorization", "- → north/back:8080 is denied by authorization", "north/front → south/far:8080 is allowed mTLS"},
		},
		"a DENY without rules does nothing": {
			objects: []string{"AuthorizationPolicy north/x: {action: DENY}"},
			want:    []string{"- → north/back:8080 is allowed plaintext"},
		},
		"DENY goes before ALLOW": {
			objects: []string{"AuthorizationPolicy north/x: {rules: [{}]}", "AuthorizationPolicy north/y: {action: DENY, rules: [{from: [{source: {principals: [td.example/ns/south/sa/far]}}]}]}"},
			want:    []string{"south/far → north/back:8080 is denied by authorization", "north/front → north/back:8080 is allowed mTLS"},
		},
		"CUSTOM goes before both, and nobody knows its answer": {
			objects: []string{"AuthorizationPolicy north/x: {rules: [{}]}", "AuthorizationPolicy north/y: {action: CUSTOM, provider: {name: opa}, rules: [{to: [{operation: {ports: ['8080']}}]}]}"},
			want:    []string{"north/front → north/back:8080 is unknown", "north/front → north/back:8081 is allowed mTLS"},
		},
		"what DENY refuses CUSTOM cannot allow": {
			objects: []string{"AuthorizationPolicy north/x: {action: DENY, rules: [{}]}", "AuthorizationPolicy north/y: {action: CUSTOM, provider: {name: opa}, rules: [{}]}"},
			want:    []string{"north/front → north/back:8080 is denied by authorization"},
		},
		"AUDIT changes nothing": {
			objects: []string{"AuthorizationPolicy north/x: {action: AUDIT, rules: [{}]}"},
			want:    []string{"- → north/back:8080 is allowed plaintext"},
		},
		"dry run changes nothing, and of CUSTOM still asks the provider": {
			objects: []string{
				"AuthorizationPolicy north/x: {} | {annotations: {istio.io/dry-run: 'true'}}", "AuthorizationPolicy south/x: {} | {annotations: {istio.io/dry-run: 'perhaps'}}",
				"AuthorizationPolicy calm/x: {} | {annotations: {istio.io/dry-run: 'true'}}",
				"AuthorizationPolicy istio-system/x: {action: CUSTOM, provider: {name: opa}, rules: [{to: [{operation: {ports: ['9090']}}]}]} | {annotations: {istio.io/dry-run: 'true'}}",
			},
			want: []string{
				"- → north/back:8080 is allowed plaintext", "- → south/far:8080 is denied by authorization", "- → calm/pool:8080 is allowed plaintext", "- → north/back:9090 is unknown",
			},
		},
		"the root namespace's count everywhere, with a selector too": {
			objects: []string{"AuthorizationPolicy istio-system/x: {selector: {matchLabels: {app: back}}}", "AuthorizationPolicy istio-system/y: {action: DENY, rules: [{to: [{operation: {ports: ['9090']}}]}]}"},
			want: []string{
				"- → north/back:8080 is denied by authorization", "- → north/front:8080 is allowed plaintext", "- → north/front:9090 is denied by authorization", "- → calm/pool:9090 is denied by authorization",
				"- → istio-system/door:9090 is denied by authorization",
			},
		},
		"an empty selector selects all, but nothing that ztunnel serves": {
			objects: []string{"AuthorizationPolicy istio-system/x: {selector: {}, action: DENY, rules: [{}]}"},
			want:    []string{"- → north/back:8080 is denied by authorization", "- → calm/pool:8080 is allowed plaintext"},
		},
		"a policy with targetRefs is not for sidecars or ztunnel": {
			objects: []string{"AuthorizationPolicy north/x: {targetRefs: [{kind: Service, group: '', name: back}]}", "AuthorizationPolicy calm/x: {targetRef: {kind: Service, group: '', name: pool}}"},
			want:    []string{"- → north/back:8080 is allowed plaintext", "- → calm/pool:8080 is allowed plaintext"},
		},
		"gateways of Gateway API heed targetRefs to their Gateway, and selectors": {
			objects: []string{
				"AuthorizationPolicy istio-system/x: {targetRefs: [{kind: Gateway, group: gateway.networking.k8s.io, name: gw}], action: DENY, rules: [{to: [{operation: {ports: ['8080']}}]}]}",
				"AuthorizationPolicy istio-system/y: {targetRefs: [{kind: Gateway, group: gateway.networking.k8s.io, name: gw, namespace: north}], action: DENY, rules: [{to: [{operation: {ports: ['8081']}}]}]}",
				"AuthorizationPolicy north/z: {targetRefs: [{kind: Gateway, group: gateway.networking.k8s.io, name: gw}], action: DENY, rules: [{to: [{operation: {ports: ['8081']}}]}]}",
				"AuthorizationPolicy istio-system/s: {selector: {matchLabels: {app: door}}, action: DENY, rules: [{to: [{operation: {ports: ['9090']}}]}]}",
			},
			change: func(f *fixture) {
				door := f.workload("istio-system/door")
				door.Labels[gatewayNameLabel], door.Labels[gatewayClassLabel] = "gw", "istio"
			},
			want: []string{"- → istio-system/door:8080 is denied by authorization", "- → istio-system/door:8081 is allowed plaintext", "- → istio-system/door:9090 is denied by authorization"},
		},
		"one that cannot be read may do anything that its action can": {
			objects: []string{"AuthorizationPolicy north/x: {action: DENY, rules: [{from: nonsense}]}", "AuthorizationPolicy south/x: {rules: {}}"},
			want:    []string{"- → north/back:8080 is unknown", "- → south/far:8080 is unknown"},
		},
		"outside the mesh nothing counts": {
			objects: []string{"AuthorizationPolicy istio-system/x: {}", "PeerAuthentication istio-system/x: {mtls: {mode: STRICT}}"},
			want:    []string{"- → wild/lone:8080 is allowed plaintext"},
		},
	})
}

// Who a rule means (pilot/pkg/security/authz/model/generator.go, pilot/pkg/security/trustdomain/bundle.go).
func TestRulesNameClientsAsIstioNamesThem(t *testing.T) {
	from := func(source string) readerCase {
		return readerCase{objects: []string{
			"AuthorizationPolicy north/x: {rules: [{from: [{source: {" + source + "}}]}]}", "AuthorizationPolicy calm/x: {rules: [{from: [{source: {" + source + "}}]}]}",
		}}
	}
	// front, far and a stranger at a sidecar, then front and the stranger at an ambient pod.
	answers := func(front, far, stranger, ambientFront, ambientStranger bool) []string {
		var lines []string
		for _, l := range []struct {
			question, how string
			allowed       bool
		}{
			{"north/front → north/back:8080", "mTLS", front}, {"south/far → north/back:8080", "mTLS", far}, {"- → north/back:8080", "plaintext", stranger},
			{"north/front → calm/pool:8080", "HBONE", ambientFront}, {"- → calm/pool:8080", "plaintext", ambientStranger},
		} {
			if l.allowed {
				lines = append(lines, l.question+" is allowed "+l.how)
			} else {
				lines = append(lines, l.question+" is denied by authorization")
			}
		}
		return lines
	}
	const y, n = true, false
	cases := map[string]struct {
		source string
		want   []string
	}{
		"a principal":           {"principals: [td.example/ns/north/sa/front]", answers(y, n, n, y, n)},
		"a prefix":              {"principals: ['td.example/ns/north/*']", answers(y, n, n, y, n)},
		"a suffix":              {"principals: ['*/sa/front']", answers(y, n, n, y, n)},
		"anybody with a name":   {"principals: ['*']", answers(y, y, n, y, n)},
		"nobody with that name": {"notPrincipals: [td.example/ns/north/sa/front]", answers(n, y, y, n, y)},
		"nobody with a name":    {"notPrincipals: ['*']", answers(n, n, y, n, y)},
		"one of several":        {"principals: [x/ns/x/sa/x, td.example/ns/south/sa/far]", answers(n, y, n, n, n)},
		"all parts must hold":   {"principals: ['*/sa/front'], namespaces: [south]", answers(n, n, n, n, n)},
		"cluster.local stands for the mesh, not at ztunnel":    {"principals: [cluster.local/ns/north/sa/front]", answers(y, n, n, n, n)},
		"an alias stands for the mesh, not at ztunnel":         {"principals: [old.example/ns/north/sa/front]", answers(y, n, n, n, n)},
		"an alias may have a wildcard":                         {"principals: ['old*/ns/north/sa/front']", answers(y, n, n, n, n)},
		"another trust domain is another":                      {"principals: [other.example/ns/north/sa/front]", answers(n, n, n, n, n)},
		"half a principal is nobody":                           {"principals: [sa/front]", answers(n, n, n, n, n)},
		"a namespace":                                          {"namespaces: [north]", answers(y, n, n, y, n)},
		"a namespace's prefix":                                 {"namespaces: ['nor*']", answers(y, n, n, y, n)},
		"a namespace's suffix":                                 {"namespaces: ['*th']", answers(y, y, n, y, n)},
		"any namespace":                                        {"namespaces: ['*']", answers(y, y, n, y, n)},
		"no namespace":                                         {"notNamespaces: [north]", answers(n, y, y, n, y)},
		"a star within a namespace is Envoy's":                 {"namespaces: ['n*h']", answers(y, n, n, n, n)},
		"stars around a namespace are Envoy's":                 {"namespaces: ['*or*']", answers(y, n, n, n, n)},
		"a service account":                                    {"serviceAccounts: [north/front]", answers(y, n, n, y, n)},
		"a service account of the policy's own namespace":      {"serviceAccounts: [front]", answers(y, n, n, n, n)},
		"no service account":                                   {"notServiceAccounts: [north/front]", answers(n, y, y, n, y)},
		"a trust domain, which ztunnel cannot tell":            {"trustDomains: [td.example]", answers(y, y, n, n, n)},
		"an alias of the trust domain":                         {"trustDomains: [old.example]", answers(y, y, n, n, n)},
		"a wildcard of trust domains":                          {"trustDomains: ['td.*']", answers(y, y, n, n, n)},
		"another trust domain":                                 {"trustDomains: [other.example]", answers(n, n, n, n, n)},
		"no trust domain":                                      {"notTrustDomains: [td.example]", answers(n, n, y, n, n)},
		"an address":                                           {"ipBlocks: [192.0.2.9]", answers(n, n, y, n, y)},
		"a block":                                              {"ipBlocks: [10.1.0.0/24]", answers(y, y, n, y, n)},
		"no block":                                             {"notIpBlocks: [10.1.0.0/24]", answers(n, n, y, n, y)},
		"IPv4 written as IPv6 is no IPv4":                      {"ipBlocks: ['::ffff:192.0.2.9']", answers(n, n, n, n, n)},
		"a block that cannot be read drops the rule":           {"ipBlocks: [rubbish]", answers(n, n, n, n, n)},
		"nothing named means everybody, but to ztunnel nobody": {"", answers(y, y, y, n, n)},
	}
	table := map[string]readerCase{}
	for name, c := range cases {
		row := from(c.source)
		row.want = c.want
		table[name] = row
	}
	runReaderCases(t, table)
}

// What a rule means beside its clients. Requests show on HTTP ports (8080), not on TCP
// ports (8081), and perhaps where nothing is declared (9090); gateways' and others.
func TestRulesOnRequestsHoldWhereRequestsShow(t *testing.T) {
	both := func(rule string) []string {
		return []string{"AuthorizationPolicy north/x: {rules: [" + rule + "]}", "AuthorizationPolicy south/x: {action: DENY, rules: [" + rule + "]}"}
	}
	runReaderCases(t, map[string]readerCase{
		"methods": {
			objects: both("{to: [{operation: {methods: [GET]}}]}"),
			want: []string{
				"- → north/back:8080 is partial plaintext", "- → north/back:8081 is denied by authorization", "- → north/back:9090 is partial plaintext",
				"- → south/far:8080 is partial plaintext", "- → south/far:8081 is denied by authorization", "- → south/far:9090 is partial plaintext",
			},
		},
		"request principals, of clients that match": {
			objects: both("{from: [{source: {requestPrincipals: ['*'], namespaces: [north]}}]}"),
			want: []string{
				"north/front → north/back:8080 is partial mTLS", "- → north/back:8080 is denied by authorization", "north/front → north/back:8081 is denied by authorization",
				"north/front → south/far:8081 is denied by authorization", "- → south/far:8081 is allowed plaintext",
			},
		},
		"one operation on requests spoils the others on TCP, in ALLOW only": {
			objects: both("{to: [{operation: {paths: [/a]}}, {operation: {ports: ['8081', '9090']}}]}"),
			want: []string{
				"- → north/back:8081 is denied by authorization", "- → north/back:9090 is partial plaintext", "- → south/far:8081 is denied by authorization", "- → south/far:9090 is denied by authorization",
			},
		},
		"the address that requests give is the connection's where none show": {
			objects: both("{from: [{source: {remoteIpBlocks: [192.0.2.0/24]}}]}"),
			want: []string{
				"- → north/back:8080 is partial plaintext", "- → north/back:8081 is allowed plaintext", "north/front → north/back:8081 is denied by authorization",
				"- → south/far:8081 is denied by authorization", "north/front → south/far:8081 is allowed mTLS",
			},
		},
		"SNI is of connections, not of requests": {
			objects: both("{when: [{key: connection.sni, values: [example.com]}]}"),
			want:    []string{"- → north/back:8081 is partial plaintext", "- → south/far:8081 is partial plaintext"},
		},
		"ports are those of the workload": {
			objects: both("{to: [{operation: {ports: ['8080', '81']}}]}"),
			want:    []string{"- → north/back:8080 is allowed plaintext", "- → north/back:8081 is denied by authorization", "- → south/far:8080 is denied by authorization", "- → south/far:8081 is allowed plaintext"},
		},
		"ports that are not": {
			objects: both("{to: [{operation: {notPorts: ['8080']}}]}"),
			want:    []string{"- → north/back:8080 is denied by authorization", "- → north/back:8081 is allowed plaintext", "- → south/far:8080 is allowed plaintext", "- → south/far:65535 is denied by authorization directly"},
		},
		"a port that cannot be read drops a rule of ALLOW, and is no limit to DENY": {
			objects: both("{to: [{operation: {ports: [http]}}]}"),
			want:    []string{"- → north/back:8080 is denied by authorization", "- → south/far:8080 is denied by authorization"},
		},
		"beside one that can be read it is no limit either": {
			objects: both("{to: [{operation: {ports: ['8081', http]}}]}"),
			want:    []string{"- → north/back:8081 is denied by authorization", "- → south/far:8081 is denied by authorization", "- → south/far:8080 is allowed plaintext"},
		},
		"a condition that is unheard of drops a rule": {
			objects: both("{when: [{key: request.unheard, values: [x]}]}"),
			want:    []string{"- → north/back:8080 is denied by authorization", "- → south/far:8080 is allowed plaintext"},
		},
		"a condition of nothing is none": {
			objects: both("{when: [{key: 'request.headers[x]'}]}"),
			want:    []string{"- → north/back:8081 is allowed plaintext", "- → south/far:8081 is denied by authorization"},
		},
		"a header that is not named drops a rule of ALLOW, and is no limit to DENY": {
			objects: both("{when: [{key: request.headers, values: [x]}]}"),
			want:    []string{"- → north/back:8080 is denied by authorization", "- → south/far:8080 is denied by authorization"},
		},
		"conditions on connections": {
			objects: both("{when: [{key: source.ip, values: [10.1.0.0/24]}, {key: source.namespace, values: [north]}, {key: source.principal, notValues: ['*/sa/back']}, {key: destination.port, values: ['8080', '8081']}]}"),
			want: []string{
				"north/front → north/back:8080 is allowed mTLS", "north/front → north/back:9090 is denied by authorization", "south/far → north/back:8080 is denied by authorization",
				"north/front → south/far:8081 is denied by authorization", "north/back → south/far:8081 is allowed mTLS",
			},
		},
		"two conditions on addresses are both to hold": {
			objects: both("{from: [{source: {ipBlocks: [10.1.0.0/24]}}], when: [{key: source.ip, values: [10.1.0.1, 192.0.2.9], notValues: [10.1.0.2]}]}"),
			want:    []string{"north/front → north/back:8080 is allowed mTLS", "south/far → north/back:8080 is denied by authorization", "- → north/back:8080 is denied by authorization"},
		},
		"the server's address": {
			objects: both("{when: [{key: destination.ip, values: [10.1.0.2, 10.1.0.4]}]}"),
			change:  func(f *fixture) { f.workload("north/front").Addresses = nil },
			want: []string{
				"- → north/back:8080 is allowed plaintext", "- → north/rpc:8080 is denied by authorization", "- → north/front:8080 is unknown", "- → south/far:8080 is denied by authorization",
			},
		},
		"what gateways' ports carry is for Gateways to say": {
			objects: []string{"AuthorizationPolicy istio-system/x: {rules: [{to: [{operation: {methods: [GET]}}]}]}"},
			want:    []string{"- → istio-system/door:8081 is partial plaintext"},
		},
		"of two ports of a Service that lead to one the first says what it carries": {
			objects: both("{to: [{operation: {methods: [GET]}}]}"),
			change:  func(f *fixture) { f.service("north/back").Ports[0].TargetPort.IntVal = 8081 },
			want:    []string{"- → north/back:8081 is partial plaintext"},
		},
		"of two Services the older does, and no one knows which that is": {
			objects: both("{to: [{operation: {methods: [GET]}}]}"),
			change: func(f *fixture) {
				f.service("north/front").Selector["app"] = "back"
				f.service("north/front").Ports[1].Name = "http-too"
			},
			want: []string{"- → north/back:8081 is unknown", "- → north/back:8080 is partial plaintext"},
		},
		"a Sidecar's ingress says so before Services": {
			objects: append(both("{to: [{operation: {methods: [GET]}}]}"), "Sidecar north/x: {ingress: [{port: {number: 8081, protocol: HTTP, name: x}, defaultEndpoint: '127.0.0.1:1'}]}"),
			want:    []string{"- → north/back:8081 is partial plaintext", "- → north/back:8080 is partial plaintext"},
		},
	})
}

// ztunnel knows connections only (pilot/pkg/serviceregistry/ambient/authorization.go).
func TestZtunnelIsToldOfConnectionsOnly(t *testing.T) {
	pair := func(rule string) []string {
		return []string{
			"AuthorizationPolicy calm/x: {selector: {matchLabels: {app: pool}}, rules: [" + rule + "]}",
			"AuthorizationPolicy calm/y: {selector: {matchLabels: {app: lake}}, action: DENY, rules: [" + rule + "]}",
		}
	}
	const allow, deny = "- → calm/pool:8080", "- → calm/lake:8080"
	runReaderCases(t, map[string]readerCase{
		"a rule on requests alone matches nothing, of ALLOW or DENY": {
			objects: pair("{to: [{operation: {methods: [GET]}}]}"), want: []string{allow + " is denied by authorization", deny + " is allowed plaintext"},
		},
		"so do relayed addresses": {
			objects: pair("{from: [{source: {remoteIpBlocks: [192.0.2.0/24]}}]}"), want: []string{allow + " is denied by authorization", deny + " is allowed plaintext"},
		},
		"and conditions that Envoy knows": {
			objects: pair("{when: [{key: source.serviceAccount, values: [north/front]}]}"),
			want:    []string{"north/front → calm/pool:8080 is denied by authorization", deny + " is allowed plaintext"},
		},
		"and conditions of nothing": {
			objects: pair("{when: [{key: connection.sni}]}"), want: []string{allow + " is denied by authorization", deny + " is allowed plaintext"},
		},
		"conditions on connections hold": {
			objects: pair("{when: [{key: source.namespace, values: [north]}, {key: destination.port, values: ['8080']}]}"),
			want: []string{
				"north/front → calm/pool:8080 is allowed HBONE", "north/front → calm/pool:8081 is denied by authorization", allow + " is denied by authorization",
				"north/front → calm/lake:8080 is denied by authorization", deny + " is allowed plaintext",
			},
		},
		"nor does one on ports that cannot be read": {
			objects: pair("{to: [{operation: {ports: [http]}}]}"), want: []string{allow + " is denied by authorization", deny + " is allowed plaintext"},
		},
		"beside something of connections, requests are no limit to DENY": {
			objects: pair("{to: [{operation: {methods: [GET], ports: ['8080']}}]}"),
			want:    []string{allow + " is denied by authorization", deny + " is denied by authorization", "- → calm/lake:8081 is allowed plaintext"},
		},
		"the operations that say something count beside those that do not": {
			objects: pair("{to: [{operation: {methods: [GET]}}, {operation: {ports: ['8080']}}]}"), want: []string{deny + " is denied by authorization", "- → calm/lake:8081 is allowed plaintext"},
		},
		"CUSTOM and AUDIT are unknown to it": {
			objects: []string{"AuthorizationPolicy calm/x: {action: CUSTOM, provider: {name: opa}, rules: [{}]}", "AuthorizationPolicy calm/y: {action: AUDIT, rules: [{}]}"},
			want:    []string{allow + " is allowed plaintext"},
		},
		"HBONE comes under the client's name, wherever it is dialled from": {
			objects: pair("{from: [{source: {principals: ['td.example/*']}}]}"),
			want:    []string{"north/front → calm/pool:8080 is allowed HBONE", "calm/lake → calm/pool:8080 is allowed HBONE", "wild/lone → calm/pool:8080 is denied by authorization", "north/rpc → calm/pool:8080 is denied by authorization"},
		},
	})
}

func TestObjectsThatCannotBeReadAreProblems(t *testing.T) {
	c := readerCase{objects: []string{
		"AuthorizationPolicy north/x: {rules: 1}", "PeerAuthentication north/x: {selector: {matchLabels: {app: back}}, portLevelMtls: {http: {mode: STRICT}, 8080: STRICT}}",
	}}
	r, _ := c.input(t)
	var fields []string
	for _, p := range r.Problems() {
		require.Equal(t, "PolicyUnreadable", p.Code)
		require.Equal(t, model.Error, p.Severity)
		fields = append(fields, p.Subject.Kind)
	}
	require.ElementsMatch(t, []string{"AuthorizationPolicy", "PeerAuthentication", "PeerAuthentication"}, fields)
}

// Waypoints (pilot/pkg/serviceregistry/ambient/waypoints.go, pilot/pkg/networking/core/listener_waypoint.go).
func TestWaypointsStandWhereIstioPutsThem(t *testing.T) {
	const gateway = "Gateway calm/wp: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE"
	deny := "AuthorizationPolicy calm/deny: {targetRefs: [{kind: Gateway, group: gateway.networking.k8s.io, name: wp}], action: DENY, rules: [{}]}"
	// A waypoint that refuses everything shows where traffic goes by it.
	at := func(change func(*fixture)) func(*fixture) {
		return func(f *fixture) { f.waypoint("calm"); change(f) }
	}
	bound := at(func(f *fixture) { f.service("calm/pool").Labels[useWaypointLabel] = "wp" })
	const by, past = "calm/lake → calm/pool:8080 is denied by authorization", "calm/lake → calm/pool:8080 is allowed HBONE"
	const straight, relayed = "calm/lake → calm/pool:7777 is allowed HBONE directly", "calm/lake → calm/pool:7777 is denied by authorization directly"
	runReaderCases(t, map[string]readerCase{
		"by the Service's label, not for calls to addresses": {objects: []string{deny}, change: bound, want: []string{by, straight}},
		"by the namespace's label":                           {objects: []string{deny}, change: at(func(f *fixture) { f.namespace("calm")[useWaypointLabel] = "wp" }), want: []string{by, straight}},
		"the Service's label goes before the namespace's": {objects: []string{deny}, change: at(func(f *fixture) {
			f.namespace("calm")[useWaypointLabel], f.service("calm/pool").Labels[useWaypointLabel] = "wp", "none"
		}), want: []string{past}},
		"a label to nowhere leads nowhere": {objects: []string{deny}, change: at(func(f *fixture) {
			f.namespace("calm")[useWaypointLabel], f.service("calm/pool").Labels[useWaypointLabel] = "wp", "gone"
		}), want: []string{past}},
		"a waypoint that does not run leads nowhere":  {objects: []string{gateway + "}]}"}, change: func(f *fixture) { f.service("calm/pool").Labels[useWaypointLabel] = "wp" }, want: []string{past}},
		"the pod's label is for calls to its address": {objects: []string{deny, gateway + "}]} | {labels: {istio.io/waypoint-for: all}}"}, change: at(func(f *fixture) { f.workload("calm/pool").Labels[useWaypointLabel] = "wp" }), want: []string{past, relayed}},
		"a pod's waypoint sends on by HBONE, whatever the pod takes": {objects: []string{gateway + ", allowedRoutes: {namespaces: {from: All}}}]} | {labels: {istio.io/waypoint-for: all}}"}, change: at(func(f *fixture) {
			f.workload("wild/lone").Labels[useWaypointLabel], f.workload("wild/lone").Labels[useWaypointNSLabel] = "wp", "calm"
		}), want: []string{"calm/lake → wild/lone:8080 is allowed plaintext", "calm/lake → wild/lone:7777 is denied by transport directly"}},
		"waypoint-for workload":               {objects: []string{deny, gateway + "}]} | {labels: {istio.io/waypoint-for: workload}}"}, change: at(func(f *fixture) { f.namespace("calm")[useWaypointLabel] = "wp" }), want: []string{past, relayed}},
		"waypoint-for none":                   {objects: []string{deny, gateway + "}]} | {labels: {istio.io/waypoint-for: none}}"}, change: at(func(f *fixture) { f.namespace("calm")[useWaypointLabel] = "wp" }), want: []string{past, straight}},
		"waypoint-for service is the default": {objects: []string{deny, gateway + "}]}"}, change: at(func(f *fixture) { f.namespace("calm")[useWaypointLabel] = "wp" }), want: []string{by, straight}},
		"a headless Service is its pods' addresses": {objects: []string{deny, gateway + "}]} | {labels: {istio.io/waypoint-for: all}}"}, change: at(func(f *fixture) {
			f.namespace("calm")[useWaypointLabel] = "wp"
			f.service("calm/pool").ClusterIPs = []string{"None"}
		}), want: []string{by, relayed}},
		"a headless Service's own label is for nothing": {objects: []string{deny}, change: at(func(f *fixture) {
			f.service("calm/pool").Labels[useWaypointLabel] = "wp"
			f.service("calm/pool").ClusterIPs = []string{"None"}
		}), want: []string{past}},
		"of another namespace, where that admits it": {
			objects: []string{deny, gateway + ", allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {team: red}}}}}]}"},
			change: at(func(f *fixture) {
				for _, name := range []string{"north/back", "south/far"} {
					s := f.service(name)
					s.Labels[useWaypointLabel], s.Labels[useWaypointNSLabel] = "wp", "calm"
				}
			}),
			want: []string{"calm/lake → north/back:8080 is denied by authorization", "calm/lake → south/far:8080 is allowed plaintext"},
		},
		"of another namespace, where that admits all": {
			objects: []string{deny, gateway + ", allowedRoutes: {namespaces: {from: All}}}]}"},
			change: at(func(f *fixture) {
				s := f.service("south/far")
				s.Labels[useWaypointLabel], s.Labels[useWaypointNSLabel] = "wp", "calm"
			}),
			want: []string{"calm/lake → south/far:8080 is denied by authorization"},
		},
		"of another namespace that says nothing": {
			objects: []string{deny, gateway + "}]}"},
			change: at(func(f *fixture) {
				s := f.service("south/far")
				s.Labels[useWaypointLabel], s.Labels[useWaypointNSLabel] = "wp", "calm"
			}),
			want: []string{"calm/lake → south/far:8080 is allowed plaintext"},
		},
		"it stands before pods outside the mesh too, and sends them plaintext": {
			objects: []string{"AuthorizationPolicy wild/x: {targetRefs: [{kind: Service, group: '', name: lone}], action: DENY, rules: [{to: [{operation: {ports: ['81']}}]}]}", gateway + ", allowedRoutes: {namespaces: {from: All}}}]}"},
			change: at(func(f *fixture) {
				s := f.service("wild/lone")
				s.Labels[useWaypointLabel], s.Labels[useWaypointNSLabel] = "wp", "calm"
			}),
			want: []string{"calm/lake → wild/lone:8080 is unknown", "calm/lake → wild/lone:8081 is denied by authorization", "calm/lake → wild/lone:7777 is allowed plaintext directly"},
		},
		"which STRICT sidecars refuse": {
			objects: []string{"PeerAuthentication calm/x: {mtls: {mode: STRICT}, selector: {matchLabels: {app: pool}}}"},
			change: at(func(f *fixture) {
				f.service("calm/pool").Labels[useWaypointLabel] = "wp"
				pool := f.workload("calm/pool")
				pool.Labels[injectLabel], pool.Labels[dataplaneLabel] = "true", "none"
				f.namespace("calm")[dataplaneLabel] = ""
				f.workload("calm/lake").Labels[dataplaneLabel] = "ambient"
			}),
			want: []string{"calm/lake → calm/pool:8080 is denied by transport"},
		},
		"it must see the Service": {
			objects: []string{gateway + ", allowedRoutes: {namespaces: {from: All}}}]}"},
			change: at(func(f *fixture) {
				s := f.service("south/far")
				s.Labels[useWaypointLabel], s.Labels[useWaypointNSLabel], s.Annotations[exportAnnotation] = "wp", "calm", "."
			}),
			want: []string{"calm/lake → south/far:8080 is denied by transport"},
		},
		"sidecars go past it, and gateways where the Service asks them": {
			objects: []string{deny}, change: at(func(f *fixture) {
				f.service("calm/pool").Labels[useWaypointLabel], f.service("calm/lake").Labels[useWaypointLabel] = "wp", "wp"
				f.namespace("calm")[ingressWaypointLabel], f.service("calm/lake").Labels[ingressWaypointLabel] = "true", "false"
			}),
			want: []string{"north/front → calm/pool:8080 is allowed HBONE", "istio-system/door → calm/pool:8080 is denied by authorization", "istio-system/door → calm/lake:8080 is allowed HBONE"},
		},
		"policies for a waypoint name it, its class in the root namespace, or a Service": {
			objects: []string{
				"AuthorizationPolicy istio-system/x: {targetRefs: [{kind: GatewayClass, group: gateway.networking.k8s.io, name: istio-waypoint}], action: DENY, rules: [{to: [{operation: {ports: ['80']}}]}]}",
				"AuthorizationPolicy calm/x: {targetRefs: [{kind: Service, group: core, name: pool}], action: DENY, rules: [{to: [{operation: {ports: ['81']}}]}]}",
				"AuthorizationPolicy calm/y: {targetRefs: [{kind: GatewayClass, group: gateway.networking.k8s.io, name: istio-waypoint}, {kind: GatewayClass, name: istio-waypoint}, {kind: Service, group: '', name: lake}], action: DENY, rules: [{}]}",
				"AuthorizationPolicy north/y: {targetRefs: [{kind: Service, group: '', name: pool}, {kind: Gateway, group: gateway.networking.k8s.io, name: wp}], action: DENY, rules: [{}]}",
			},
			change: bound,
			want:   []string{by, "calm/lake → calm/pool:8081 is denied by authorization", "calm/lake → calm/pool:9090 is allowed HBONE"},
		},
		"it heeds no selectors, and none that name no target": {
			objects: []string{"AuthorizationPolicy calm/x: {selector: {matchLabels: {gateway.istio.io/managed: istio.io-mesh-controller}}}", "AuthorizationPolicy istio-system/x: {selector: {matchLabels: {gateway.networking.k8s.io/gateway-name: wp}}}"},
			change:  bound, want: []string{past},
		},
		"ports of its policies are those of the Service": {
			objects: []string{"AuthorizationPolicy calm/x: {targetRefs: [{kind: Service, group: '', name: pool}], rules: [{to: [{operation: {ports: ['80', '8081']}}]}]}"},
			change:  bound, want: []string{past, "calm/lake → calm/pool:8081 is denied by authorization"},
		},
		"requests show to it": {
			objects: []string{"AuthorizationPolicy calm/x: {targetRefs: [{kind: Service, group: '', name: pool}], rules: [{to: [{operation: {methods: [GET]}}]}]}"},
			change:  bound, want: []string{"calm/lake → calm/pool:8080 is partial HBONE", "calm/lake → calm/pool:8081 is denied by authorization", "calm/lake → calm/pool:9090 is partial HBONE"},
		},
		"it judges by the client's name, and the pod by the waypoint's": {
			objects: []string{
				"AuthorizationPolicy calm/x: {targetRefs: [{kind: Service, group: '', name: pool}], rules: [{from: [{source: {principals: [td.example/ns/calm/sa/lake]}}]}]}",
				"AuthorizationPolicy calm/y: {selector: {matchLabels: {app: pool}}, rules: [{from: [{source: {principals: [td.example/ns/calm/sa/wp]}}]}]}",
			},
			change: bound, want: []string{past, "calm/lake → calm/pool:7777 is denied by authorization directly", "north/front → calm/pool:8080 is denied by authorization"},
		},
		"a pod that lets in its clients only lets in no waypoint": {
			objects: []string{"AuthorizationPolicy calm/y: {selector: {matchLabels: {app: pool}}, rules: [{from: [{source: {principals: [td.example/ns/calm/sa/lake]}}]}]}"},
			change:  bound, want: []string{by},
		},
	})
}

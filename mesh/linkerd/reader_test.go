package linkerd

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verdict"
)

// state is a fixture as verdict judges it, by its existing objects.
type state struct {
	t  *testing.T
	m  *model.Model
	r  *Reader
	in verdict.Input
}

func newState(t *testing.T, text string) *state {
	t.Helper()
	_, m := parseFixture(t, text)
	s := &state{t: t, m: m, r: NewReader(m, m.Existing)}
	s.in = verdict.Input{Cluster: &m.Cluster, Namespaces: m.Namespaces, Workloads: m.Workloads, Mesh: s.r}
	return s
}

// ask explains "shop/web → shop/api:8080"; an end without a slash is an address, and "/UDP" may follow the port.
func (s *state) ask(connection string) verdict.Explanation {
	s.t.Helper()
	from, to, found := strings.Cut(connection, " → ")
	require.True(s.t, found, connection)
	at := strings.LastIndex(to, ":")
	return verdict.Explain(s.in, verdict.Question{From: s.end(from), To: s.end(to[:at]), Port: fixturePort(s.t, to[at+1:])})
}

func (s *state) end(name string) verdict.End {
	s.t.Helper()
	if !strings.Contains(name, "/") {
		return verdict.End{Address: netip.MustParseAddr(name)}
	}
	w := s.m.Workload(deployment(name))
	require.NotNil(s.t, w, name)
	return verdict.End{Workload: w}
}

// expect holds connections to their decisions, and the map to what Explain says.
func (s *state) expect(want map[string]string) {
	s.t.Helper()
	for connection, decision := range want {
		told := s.ask(connection)
		require.Equal(s.t, decision, told.Decision.String(), "%s: %+v", connection, told.Answers)
	}
	table := spread(s.t, s.in)
	for connection := range want {
		told := s.ask(connection)
		require.Equal(s.t, told.Decision, table.decision(told.Question.From, told.Question.To, told.Question.Port), "the map of %s", connection)
	}
}

// causes are those that the server's proxy gives: "Server shop/api spec".
func (s *state) causes(connection string) []string {
	s.t.Helper()
	var list []string
	for _, a := range s.ask(connection).Answers {
		if a.Layer == model.FilterAuthorization {
			for _, c := range a.Causes {
				list = append(list, strings.TrimSpace(c.Object.String()+" "+c.Field))
			}
		}
	}
	return list
}

// meshed is three workloads in the mesh, "shop/api" listening, and one outside; objects follow.
const meshed = `
cluster:
  mesh: {namespace: linkerd, trustDomain: td.example, linkerd: {transport: transport-header, defaultInboundPolicy: deny}}
namespaces:
- name: shop
  annotations: {linkerd.io/inject: enabled}
- name: bank
  annotations: {linkerd.io/inject: enabled}
workloads:
- name: shop/api
  labels: {tier: back}
  addresses: [10.1.0.1]
  spec:
    containers:
    - {name: api, ports: [{name: web, containerPort: 8080, protocol: TCP}, {name: raw, containerPort: 9000, protocol: TCP}, {name: web, containerPort: 8082, protocol: UDP}]}
    - {name: side, ports: [{name: web, containerPort: 8081, protocol: TCP}]}
- {name: shop/web, addresses: [10.1.0.2], spec: {containers: [{name: web}]}}
- {name: bank/web, addresses: [10.2.0.2], spec: {containers: [{name: web}]}}
- {name: shop/out, addresses: [10.1.0.9], annotations: {linkerd.io/inject: disabled}, spec: {containers: [{name: out}]}}
existing:
`

// serverAPI holds port 8080 of shop/api.
const serverAPI = `
- {apiVersion: policy.linkerd.io/v1beta3, kind: Server, metadata: {namespace: shop, name: api, labels: {of: api}}, spec: {podSelector: {matchLabels: {app: api}}, port: 8080}}
`

// anyone lets everybody in at the Server api.
const anyoneAtAPI = `
- {apiVersion: policy.linkerd.io/v1alpha1, kind: AuthorizationPolicy, metadata: {namespace: shop, name: p}, spec: {targetRef: {group: policy.linkerd.io, kind: Server, name: api}, requiredAuthenticationRefs: []}}
`

// Servers

func TestAServerOfAnyVersionDeniesWhatNothingAuthorizes(t *testing.T) {
	for _, version := range []string{"v1alpha1", "v1beta1", "v1beta2", "v1beta3"} {
		s := newState(t, meshed+strings.ReplaceAll(serverAPI, "v1beta3", version))
		s.m.Cluster.Mesh.Linkerd.DefaultInboundPolicy = allUnauthenticated
		s.r = NewReader(s.m, s.m.Existing)
		s.in.Mesh = s.r
		s.expect(map[string]string{
			"shop/web → shop/api:8080": "denied",
			"shop/web → shop/api:9000": "allowed",
			"shop/api → shop/web:8080": "allowed",
		})
	}
}

func TestTheAccessPolicyDecidesWhereNothingAuthorizes(t *testing.T) {
	const web, far, out, outside = "shop/web → shop/api:8080", "bank/web → shop/api:8080", "shop/out → shop/api:8080", "1.2.3.4 → shop/api:8080"
	for policy, want := range map[string]map[string]string{
		"deny":                    {web: "denied", far: "denied", out: "denied", outside: "denied"},
		"all-authenticated":       {web: "allowed", far: "allowed", out: "denied", outside: "denied"},
		"all-unauthenticated":     {web: "allowed", far: "allowed", out: "allowed", outside: "allowed"},
		"audit":                   {web: "allowed", far: "allowed", out: "allowed", outside: "allowed"},
		"cluster-authenticated":   {web: "allowed", far: "denied", out: "denied", outside: "denied"},
		"cluster-unauthenticated": {web: "allowed", far: "denied", out: "allowed", outside: "denied"},
		"unheard-of":              {web: "denied", far: "denied", out: "denied", outside: "denied"},
	} {
		text := strings.Replace(meshed, "defaultInboundPolicy", "clusterNetworks: [10.1.0.0/16], defaultInboundPolicy", 1)
		s := newState(t, text+strings.Replace(serverAPI, "port: 8080", "port: 8080, accessPolicy: "+policy, 1))
		s.expect(want)
		require.Equal(t, "Server shop/api spec.accessPolicy", s.causes(web)[0], policy)
	}
}

func TestAnAccessPolicyBeforeV1beta3IsNoField(t *testing.T) {
	for _, version := range []string{"v1alpha1", "v1beta1", "v1beta2"} {
		server := strings.Replace(strings.Replace(serverAPI, "v1beta3", version, 1), "port: 8080", "port: 8080, accessPolicy: all-unauthenticated", 1)
		newState(t, meshed+server).expect(map[string]string{"shop/web → shop/api:8080": "denied"})
	}
}

func TestAnAccessPolicyLetsInBesideWhatIsAuthorized(t *testing.T) {
	s := newState(t, meshed+strings.Replace(serverAPI, "port: 8080", "port: 8080, accessPolicy: all-authenticated", 1)+`
- {apiVersion: policy.linkerd.io/v1alpha1, kind: NetworkAuthentication, metadata: {namespace: shop, name: net}, spec: {networks: [{cidr: 1.2.3.0/24}]}}
- {apiVersion: policy.linkerd.io/v1alpha1, kind: AuthorizationPolicy, metadata: {namespace: shop, name: p}, spec: {targetRef: {group: policy.linkerd.io, kind: Server, name: api}, requiredAuthenticationRefs: [{group: policy.linkerd.io, kind: NetworkAuthentication, name: net}]}}
`)
	s.expect(map[string]string{"shop/web → shop/api:8080": "allowed", "1.2.3.4 → shop/api:8080": "allowed", "1.2.4.4 → shop/api:8080": "denied"})
}

func TestAServerForExternalWorkloadsSelectsNoPods(t *testing.T) {
	s := newState(t, strings.Replace(meshed, "Policy: deny", "Policy: all-unauthenticated", 1)+`
- {apiVersion: policy.linkerd.io/v1beta3, kind: Server, metadata: {namespace: shop, name: api}, spec: {externalWorkloadSelector: {matchLabels: {app: api}}, port: 8080}}
`)
	s.expect(map[string]string{"shop/out → shop/api:8080": "allowed"})
	require.Empty(t, s.r.Problems())
}

func TestAServerNamesEveryTCPPortThatBearsTheName(t *testing.T) {
	s := newState(t, meshed+strings.Replace(serverAPI, "port: 8080", "port: web", 1)+anyoneAtAPI)
	s.expect(map[string]string{
		"shop/out → shop/api:8080": "allowed", "shop/out → shop/api:8081": "allowed", "shop/out → shop/api:8082": "denied",
		"shop/out → shop/api:9000": "denied", "shop/out → shop/web:8080": "denied",
	})
}

func TestAServerSelectsByExpressionsAndInItsNamespaceOnly(t *testing.T) {
	s := newState(t, strings.Replace(meshed, "Policy: deny", "Policy: all-unauthenticated", 1)+`
- {apiVersion: policy.linkerd.io/v1beta3, kind: Server, metadata: {namespace: shop, name: api}, spec: {podSelector: {matchExpressions: [{key: tier, operator: DoesNotExist}]}, port: 8080}}
`)
	s.expect(map[string]string{
		"bank/web → shop/api:8080": "allowed", "bank/web → shop/web:8080": "denied", "shop/web → bank/web:8080": "allowed",
	})
}

func TestTheOldestServerHoldsAPortAlone(t *testing.T) {
	server := func(name, rest string) string {
		return "- {apiVersion: policy.linkerd.io/v1beta3, kind: Server, metadata: {namespace: shop, name: " + name + rest + "\n"
	}
	const open, closed = "}, spec: {podSelector: {}, port: 8080, accessPolicy: all-unauthenticated}}", "}, spec: {podSelector: {}, port: web}}"
	for name, c := range map[string]struct{ objects, want string }{
		"by time":                            {server("b", ", creationTimestamp: '2024-01-01T00:00:00Z'"+open) + server("a", ", creationTimestamp: '2024-01-02T00:00:00Z'"+closed), "allowed"},
		"by name at the same time":           {server("b", ", creationTimestamp: '2024-01-01T00:00:00Z'"+open) + server("a", ", creationTimestamp: '2024-01-01T00:00:00Z'"+closed), "denied"},
		"by name without time":               {server("a", open) + server("b", closed), "allowed"},
		"somebody else's is older than ours": {server("a", ", labels: {app.kubernetes.io/managed-by: palisade}"+closed) + server("b", open), "allowed"},
		"ours with a time is as old as it is": {server("b", ", creationTimestamp: '2024-01-02T00:00:00Z'"+open) +
			server("c", ", creationTimestamp: '2024-01-01T00:00:00Z', labels: {app.kubernetes.io/managed-by: palisade}"+closed), "denied"},
	} {
		s := newState(t, meshed+c.objects)
		require.Equal(t, c.want, s.ask("shop/out → shop/api:8080").Decision.String(), name)
		closing := 0
		for _, rule := range s.r.Filters(s.m.Workload(deployment("shop/api")))[0].Rules {
			if rule.Effect == model.Deny && rule.Ports[0].Number == 8080 {
				closing++
			}
		}
		require.Equal(t, 1, closing, "%s: nothing is merged", name)
	}
}

func TestTheYoungerServerStillHoldsTheOtherPortsOfItsName(t *testing.T) {
	s := newState(t, meshed+`
- {apiVersion: policy.linkerd.io/v1beta3, kind: Server, metadata: {namespace: shop, name: a}, spec: {podSelector: {}, port: 8080}}
- {apiVersion: policy.linkerd.io/v1beta3, kind: Server, metadata: {namespace: shop, name: b}, spec: {podSelector: {}, port: web, accessPolicy: all-unauthenticated}}
`)
	s.expect(map[string]string{"shop/out → shop/api:8080": "denied", "shop/out → shop/api:8081": "allowed"})
}

// AuthorizationPolicies

// policyFor is a policy in shop, by its target and what it requires.
func policyFor(target, required string) string {
	return "- {apiVersion: policy.linkerd.io/v1alpha1, kind: AuthorizationPolicy, metadata: {namespace: shop, name: p}, spec: {targetRef: " + target + ", requiredAuthenticationRefs: [" + required + "]}}\n"
}

const atAPI = "{group: policy.linkerd.io, kind: Server, name: api}"

func TestAPolicyIsForItsTarget(t *testing.T) {
	const open, closed = "allowed", "denied"
	for target, want := range map[string]string{
		atAPI: open,
		"{group: policy.linkerd.io, kind: Server, name: other}":      closed,
		"{group: POLICY.linkerd.io, kind: server, name: api}":        open,
		"{kind: Server, name: api}":                                  closed,
		"{kind: Namespace, name: shop}":                              open,
		"{group: core, kind: Namespace, name: shop}":                 open,
		"{kind: Namespace, name: bank}":                              open, // Linkerd does not compare the name
		"{group: policy.linkerd.io, kind: EgressNetwork, name: api}": closed,
		"{group: policy.linkerd.io, kind: HTTPRoute, name: api}":     closed,
	} {
		s := newState(t, meshed+serverAPI+policyFor(target, ""))
		s.expect(map[string]string{"shop/out → shop/api:8080": want, "shop/out → shop/api:9000": closed, "shop/web → bank/web:8080": closed})
		require.Empty(t, s.r.Problems(), target)
	}
}

func TestAPolicyWithoutAuthenticationsIsForEverybody(t *testing.T) {
	s := newState(t, meshed+serverAPI+anyoneAtAPI)
	s.expect(map[string]string{"1.2.3.4 → shop/api:8080": "allowed", "shop/web → shop/api:8080": "allowed"})
	require.Equal(t, []string{"AuthorizationPolicy shop/p spec.requiredAuthenticationRefs"}, s.causes("1.2.3.4 → shop/api:8080"))
}

// authentications that policies in shop refer to.
const authentications = `
- {apiVersion: policy.linkerd.io/v1alpha1, kind: MeshTLSAuthentication, metadata: {namespace: shop, name: web}, spec: {identities: [web.shop.serviceaccount.identity.linkerd.td.example]}}
- {apiVersion: policy.linkerd.io/v1alpha1, kind: MeshTLSAuthentication, metadata: {namespace: bank, name: web}, spec: {identityRefs: [{kind: ServiceAccount, name: web}]}}
- {apiVersion: policy.linkerd.io/v1alpha1, kind: NetworkAuthentication, metadata: {namespace: shop, name: near}, spec: {networks: [{cidr: 10.1.0.0/16}]}}
- {apiVersion: policy.linkerd.io/v1alpha1, kind: NetworkAuthentication, metadata: {namespace: shop, name: far}, spec: {networks: [{cidr: 10.2.0.0/16}, {cidr: 1.2.3.4}]}}
`

func TestAllRequiredAuthenticationsMustHold(t *testing.T) {
	const mtls, net = "{group: policy.linkerd.io, kind: MeshTLSAuthentication, name: ", "{group: policy.linkerd.io, kind: NetworkAuthentication, name: "
	web, bank, out, outside := "shop/web → shop/api:8080", "bank/web → shop/api:8080", "shop/out → shop/api:8080", "1.2.3.4 → shop/api:8080"
	for required, allowed := range map[string][]string{
		mtls + "web}":                       {web},
		mtls + "web, namespace: bank}":      {bank},
		mtls + "web}, " + net + "near}":     {web},
		mtls + "web}, " + net + "far}":      nil,
		net + "near}":                       {web, out},
		net + "far}":                        {bank, outside},
		"{kind: ServiceAccount, name: web}": {web},
		"{group: core, kind: serviceaccount, name: web, namespace: bank}":      {bank},
		"{kind: ServiceAccount, name: web, namespace: bank}, " + net + "far}":  {bank},
		"{kind: ServiceAccount, name: web, namespace: bank}, " + net + "near}": nil,
		// Linkerd ignores a policy that it cannot make sense of.
		mtls + "missing}":                                         nil,
		net + "missing}":                                          nil,
		net + "near, namespace: bank}":                            nil,
		net + "near}, " + mtls + "missing}":                       nil,
		mtls + "web}, " + mtls + "web}":                           nil,
		mtls + "web}, {kind: ServiceAccount, name: web}":          nil,
		net + "near}, " + net + "near}":                           nil,
		net + "near}, {group: example.com, kind: Other, name: x}": nil,
	} {
		s := newState(t, meshed+serverAPI+authentications+policyFor(atAPI, required))
		want := map[string]string{}
		for _, connection := range []string{web, bank, out, outside} {
			want[connection] = "denied"
			if slices.Contains(allowed, connection) {
				want[connection] = "allowed"
			}
		}
		s.expect(want)
		require.Empty(t, s.r.Problems(), required)
	}
}

func TestIdentitiesAreExactOrSuffixesOfWholeLabels(t *testing.T) {
	const web, bank, out = "shop/web → shop/api:8080", "bank/web → shop/api:8080", "shop/out → shop/api:8080"
	for identities, allowed := range map[string][]string{
		"identities: ['*']": {web, bank},
		"identities: ['*.shop.serviceaccount.identity.linkerd.td.example']":     {web},
		"identities: ['*.td.example']":                                          {web, bank},
		"identities: ['*.web.shop.serviceaccount.identity.linkerd.td.example']": nil,
		"identities: ['web.shop.*']":                                            nil,
		"identities: ['*d.example']":                                            nil,
		"identities: ['*.*']":                                                   nil,
		"identities: ['spiffe://td.example/ns/shop/sa/web']":                    nil,
		"identities: [web.shop.serviceaccount.identity.other.td.example]":       nil,
		"identities: [web.bank.serviceaccount.identity.linkerd.td.example, 'web.shop.serviceaccount.identity.linkerd.td.example']": {web, bank},
		"identityRefs: [{kind: ServiceAccount, name: web}]":                                                                        {web},
		"identityRefs: [{kind: ServiceAccount, name: web, namespace: bank}]":                                                       {bank},
		"identityRefs: [{kind: Namespace, name: bank}]":                                                                            {bank},
		"identityRefs: [{kind: Namespace, name: bank}, {kind: ServiceAccount, name: web}]":                                         {web, bank},
		"identityRefs: [{kind: Namespace, name: bank}, {kind: Pod, name: web}]":                                                    nil,
		"identityRefs: []": nil,
	} {
		s := newState(t, meshed+serverAPI+policyFor(atAPI, "{group: policy.linkerd.io, kind: MeshTLSAuthentication, name: m}")+`
- {apiVersion: policy.linkerd.io/v1alpha1, kind: MeshTLSAuthentication, metadata: {namespace: shop, name: m}, spec: {`+identities+`}}
`)
		want := map[string]string{out: "denied"}
		for _, connection := range []string{web, bank} {
			want[connection] = "denied"
			if slices.Contains(allowed, connection) {
				want[connection] = "allowed"
			}
		}
		s.expect(want)
	}
}

func TestReferencesToAccountsNeedNoTrustDomainAndLiteralIdentitiesDo(t *testing.T) {
	const web, bank, out = "shop/web → shop/api:8080", "bank/web → shop/api:8080", "shop/out → shop/api:8080"
	for spec, want := range map[string]map[string]string{
		"identityRefs: [{kind: ServiceAccount, name: web}]":                 {web: "allowed", bank: "denied", out: "denied"},
		"identityRefs: [{kind: Namespace, name: bank}]":                     {web: "denied", bank: "allowed", out: "denied"},
		"identities: [web.shop.serviceaccount.identity.linkerd.td.example]": {web: "unknown", bank: "unknown", out: "denied"},
		"identities: ['*']": {web: "allowed", bank: "allowed", out: "denied"},
		"identities: ['spiffe://td.example/ns/shop/sa/web']": {web: "denied", bank: "denied", out: "denied"},
	} {
		s := newState(t, strings.Replace(meshed, "trustDomain: td.example, ", "", 1)+serverAPI+policyFor(atAPI, "{group: policy.linkerd.io, kind: MeshTLSAuthentication, name: m}")+`
- {apiVersion: policy.linkerd.io/v1alpha1, kind: MeshTLSAuthentication, metadata: {namespace: shop, name: m}, spec: {`+spec+`}}
`)
		s.expect(want)
	}
}

func TestSeveralIdentitiesAreOneNameWithSeveralPatterns(t *testing.T) {
	s := newState(t, meshed+serverAPI+policyFor(atAPI, "{group: policy.linkerd.io, kind: MeshTLSAuthentication, name: m}")+`
- {apiVersion: policy.linkerd.io/v1alpha1, kind: MeshTLSAuthentication, metadata: {namespace: shop, name: m}, spec: {identities: [a.example, '*.b.example', 'spiffe://c']}}
`)
	rules := s.r.Filters(s.m.Workload(deployment("shop/api")))[0].Rules
	i := slices.IndexFunc(rules, func(r model.FilterRule) bool { return r.Cause.Object.Kind == "AuthorizationPolicy" })
	require.Equal(t, []model.Term{{Names: []model.NameTerm{{Of: model.NamePrincipal, Patterns: []string{"a.example", "*.b.example"}}}}}, rules[i].Peers)
}

func TestNetworksHaveExceptions(t *testing.T) {
	s := newState(t, meshed+serverAPI+policyFor(atAPI, "{group: policy.linkerd.io, kind: NetworkAuthentication, name: net}")+`
- {apiVersion: policy.linkerd.io/v1alpha1, kind: NetworkAuthentication, metadata: {namespace: shop, name: net}, spec: {networks: [{cidr: 10.1.7.7/16, except: [10.1.0.9]}, {cidr: '2001:db8::/32'}]}}
`)
	s.expect(map[string]string{
		"shop/web → shop/api:8080": "allowed", "shop/out → shop/api:8080": "denied", "10.1.5.5 → shop/api:8080": "allowed",
		"2001:db8::1 → shop/api:8080": "allowed", "2001:db9::1 → shop/api:8080": "denied",
	})
}

// ServerAuthorizations

func TestServerAuthorizationsFindServersByNameOrLabels(t *testing.T) {
	for server, want := range map[string]string{
		"{name: api}":                            "allowed",
		"{name: other}":                          "denied",
		"{selector: {matchLabels: {of: api}}}":   "allowed",
		"{selector: {matchLabels: {of: other}}}": "denied",
		"{selector: {matchExpressions: [{key: of, operator: In, values: [api]}]}}": "allowed",
		"{selector: {}}":              "allowed",
		"{name: other, selector: {}}": "denied",
		"{}":                          "allowed",
	} {
		s := newState(t, meshed+serverAPI+`
- {apiVersion: policy.linkerd.io/v1beta1, kind: ServerAuthorization, metadata: {namespace: shop, name: z}, spec: {server: `+server+`, client: {unauthenticated: true}}}
`)
		s.expect(map[string]string{"shop/out → shop/api:8080": want, "shop/out → shop/api:9000": "denied"})
	}
}

func TestServerAuthorizationsNameTheirClients(t *testing.T) {
	const web, bank, out, outside = "shop/web → shop/api:8080", "bank/web → shop/api:8080", "shop/out → shop/api:8080", "1.2.3.4 → shop/api:8080"
	for client, want := range map[string]map[string]string{
		"{unauthenticated: true}":                                         {web: "allowed", bank: "allowed", out: "allowed", outside: "denied"}, // the cluster's networks
		"{unauthenticated: true, networks: [{cidr: 1.2.3.4/32}]}":         {web: "denied", out: "denied", outside: "allowed"},
		"{meshTLS: {identities: ['*']}}":                                  {web: "allowed", bank: "allowed", out: "denied", outside: "denied"},
		"{meshTLS: {identities: ['*']}, networks: [{cidr: 10.1.0.0/16}]}": {web: "allowed", bank: "denied", out: "denied"},
		"{meshTLS: {serviceAccounts: [{name: web}]}}":                     {web: "allowed", bank: "denied"},
		"{meshTLS: {serviceAccounts: [{name: web, namespace: bank}], identities: [web.shop.serviceaccount.identity.linkerd.td.example]}}": {web: "allowed", bank: "allowed", out: "denied"},
		"{meshTLS: {unauthenticatedTLS: true}}": {web: "allowed", bank: "allowed", out: "partial", outside: "denied"},
		"{meshTLS: {}}":                         {web: "denied", out: "denied"},
		"{networks: [{cidr: 10.0.0.0/8}]}":      {web: "denied", out: "denied"},
	} {
		s := newState(t, meshed+serverAPI+`
- {apiVersion: policy.linkerd.io/v1beta1, kind: ServerAuthorization, metadata: {namespace: shop, name: z}, spec: {server: {name: api}, client: `+client+`}}
`)
		s.expect(want)
		require.Empty(t, s.r.Problems(), client)
	}
}

func TestTLSWithoutAnIdentityEndsNowhereOnAnOpaquePort(t *testing.T) {
	s := newState(t, meshed+strings.Replace(serverAPI, "port: 8080", "port: 8080, proxyProtocol: opaque", 1)+`
- {apiVersion: policy.linkerd.io/v1beta1, kind: ServerAuthorization, metadata: {namespace: shop, name: z}, spec: {server: {name: api}, client: {meshTLS: {unauthenticatedTLS: true}}}}
`)
	s.expect(map[string]string{"shop/web → shop/api:8080": "allowed", "shop/out → shop/api:8080": "denied"})
}

// The default policy

func TestTheDefaultPolicyHoldsWhereNoServerDoes(t *testing.T) {
	const web, bank, out, outside = "shop/web → shop/api:8080", "bank/web → shop/api:8080", "shop/out → shop/api:8080", "1.2.3.4 → shop/api:8080"
	for policy, want := range map[string]map[string]string{
		"deny":                    {web: "denied", out: "denied"},
		"all-authenticated":       {web: "allowed", bank: "allowed", out: "denied", outside: "denied"},
		"all-unauthenticated":     {web: "allowed", out: "allowed", outside: "allowed"},
		"audit":                   {web: "allowed", out: "allowed", outside: "allowed"},
		"cluster-authenticated":   {web: "allowed", bank: "allowed", out: "denied", outside: "denied"},
		"cluster-unauthenticated": {web: "allowed", bank: "allowed", out: "allowed", outside: "denied"},
		"''":                      {web: "unknown", out: "unknown", outside: "unknown"},
		"unheard-of":              {web: "unknown", out: "unknown", outside: "unknown"},
	} {
		newState(t, strings.Replace(meshed, "Policy: deny", "Policy: "+policy, 1)).expect(want)
		annotated := strings.Replace(meshed, "labels: {tier: back}", "annotations: {config.linkerd.io/default-inbound-policy: "+policy+"}", 1)
		if policy != "''" && policy != "unheard-of" {
			newState(t, strings.Replace(annotated, "Policy: deny", "Policy: ''", 1)).expect(want)
		}
	}
}

func TestWhoSetsTheDefaultPolicy(t *testing.T) {
	const out = "shop/out → shop/api:8080"
	const pod, namespace = "config.linkerd.io/default-inbound-policy: all-unauthenticated", "annotations: {linkerd.io/inject: enabled, config.linkerd.io/default-inbound-policy: all-unauthenticated}"
	proxied := func(text string) string {
		text = strings.Replace(text, "labels: {tier: back}", "running: true\n  labels: {linkerd.io/control-plane-ns: linkerd}", 1)
		return strings.Replace(text, "- {name: side,", "- {name: linkerd-proxy}\n    - {name: side,", 1)
	}
	onPod := strings.Replace(meshed, "labels: {tier: back}", "annotations: {"+pod+"}", 1)
	onNamespace := strings.Replace(meshed, "annotations: {linkerd.io/inject: enabled}", namespace, 1)
	unheardOf := strings.Replace(strings.Replace(onPod, "all-unauthenticated", "open", 1), "Policy: deny", "Policy: audit", 1)
	for name, c := range map[string]struct{ text, want, cause string }{
		"the pod's annotation":                        {onPod, "allowed", "Deployment shop/api spec.template.metadata.annotations[config.linkerd.io/default-inbound-policy]"},
		"the namespace's, which injection copies":     {onNamespace, "allowed", "Namespace shop metadata.annotations[config.linkerd.io/default-inbound-policy]"},
		"not the namespace's for a pod that runs":     {proxied(onNamespace), "denied", ""},
		"the cluster's for a pod that runs":           {strings.Replace(proxied(meshed), "Policy: deny", "Policy: audit", 1), "allowed", ""},
		"the cluster's where the value is unheard of": {unheardOf, "allowed", ""},
	} {
		s := newState(t, c.text)
		require.True(t, s.m.Workload(deployment("shop/api")).Facts.Meshed(), name)
		require.Equal(t, c.want, s.ask(out).Decision.String(), name)
		require.Equal(t, []string{c.cause}, s.causes(out), name)
	}
}

func TestPortsThatRequireAnIdentityDemandItOfAnOpenDefault(t *testing.T) {
	const web, bank, out, near = "shop/web → shop/api:8080", "bank/web → shop/api:8080", "shop/out → shop/api:8080", "shop/out → shop/api:9000"
	with := func(policy, ports string) *state {
		text := strings.Replace(meshed, "defaultInboundPolicy: deny", "clusterNetworks: [10.1.0.0/16], defaultInboundPolicy: "+policy, 1)
		return newState(t, strings.Replace(text, "labels: {tier: back}", "annotations: {config.linkerd.io/proxy-require-identity-inbound-ports: \""+ports+"\"}", 1))
	}
	with("all-unauthenticated", "8000-8080, 7000").expect(map[string]string{web: "allowed", bank: "allowed", out: "denied", near: "allowed"})
	with("cluster-unauthenticated", "8080").expect(map[string]string{web: "allowed", bank: "denied", out: "denied", near: "allowed"})
	with("audit", "8080").expect(map[string]string{web: "allowed", out: "allowed", near: "allowed"})
	with("deny", "8080").expect(map[string]string{web: "denied", out: "denied"})
	with("all-authenticated", "8080").expect(map[string]string{web: "allowed", out: "denied", near: "denied"})
	with("all-unauthenticated", "8080,web").expect(map[string]string{out: "allowed"}) // Linkerd drops a list that it cannot read
	require.Equal(t, []string{"Deployment shop/api spec.template.metadata.annotations[config.linkerd.io/proxy-require-identity-inbound-ports]"},
		with("all-unauthenticated", "8080").causes(out))
}

func TestAServerTakesAPortFromTheDefaultPolicy(t *testing.T) {
	text := strings.Replace(meshed, "labels: {tier: back}", "annotations: {config.linkerd.io/proxy-require-identity-inbound-ports: \"8080\"}", 1)
	s := newState(t, strings.Replace(text, "Policy: deny", "Policy: all-unauthenticated", 1)+serverAPI+anyoneAtAPI)
	s.expect(map[string]string{"shop/out → shop/api:8080": "allowed", "shop/out → shop/api:9000": "allowed"})
}

func TestTheClusterNetworksAreTheChartsWhereNoneAreConfigured(t *testing.T) {
	s := newState(t, strings.Replace(meshed, "Policy: deny", "Policy: cluster-unauthenticated", 1))
	s.expect(map[string]string{
		"10.9.9.9 → shop/api:8080": "allowed", "100.64.1.1 → shop/api:8080": "allowed", "172.31.0.1 → shop/api:8080": "allowed", "172.32.0.1 → shop/api:8080": "denied",
		"192.168.1.1 → shop/api:8080": "allowed", "fd00::1 → shop/api:8080": "allowed", "fc00::1 → shop/api:8080": "denied",
	})
}

// What passes the proxy by

func TestOtherProtocolsAndTheProxysOwnPortsAreUnprotected(t *testing.T) {
	s := newState(t, meshed)
	for connection, plain := range map[string]bool{
		"shop/out → shop/api:8080/UDP": true, "shop/out → shop/api:4191": true, "shop/web → shop/api:4191": true, "shop/web → shop/api:4190": true, "shop/web → shop/api:4192": false,
	} {
		told := s.ask(connection)
		require.Equal(t, plain, told.Decision == verdict.Open && told.Protection == verdict.Plaintext, connection)
	}
}

func TestPortsThatAreSkippedInwardAreOpenAndPlain(t *testing.T) {
	const skip = "config.linkerd.io/skip-inbound-ports: \"8080,raw\""
	onPod := strings.Replace(meshed, "labels: {tier: back}", "annotations: {"+skip+"}", 1)
	onNamespace := strings.Replace(meshed, "annotations: {linkerd.io/inject: enabled}", "annotations: {linkerd.io/inject: enabled, "+skip+"}", 1)
	for text, cause := range map[string]string{
		onPod:       "Deployment shop/api spec.template.metadata.annotations[config.linkerd.io/skip-inbound-ports]",
		onNamespace: "Namespace shop metadata.annotations[config.linkerd.io/skip-inbound-ports]",
	} {
		s := newState(t, text+serverAPI)
		s.expect(map[string]string{"shop/out → shop/api:8080": "allowed", "shop/web → shop/api:8080": "allowed", "shop/web → shop/api:9000": "allowed", "shop/web → shop/api:8081": "denied"})
		require.Equal(t, []string{cause}, s.causes("shop/web → shop/api:8080"))
		told := s.ask("shop/web → shop/api:8080")
		require.Equal(t, verdict.Plaintext, told.Protection)
		require.Equal(t, cause, told.Answers[0].Causes[0].Object.String()+" "+told.Answers[0].Causes[0].Field)
		require.Zero(t, told.Answers[0].Dialled)
	}
}

func TestPortsThatAreSkippedOutwardAreNotOpenInward(t *testing.T) {
	text := strings.Replace(meshed, "labels: {tier: back}", "annotations: {config.linkerd.io/skip-outbound-ports: '8080', config.linkerd.io/skip-inbound-ports: '7000'}", 1)
	newState(t, text).expect(map[string]string{"shop/out → shop/api:8080": "denied", "shop/out → shop/api:7000": "allowed"})
}

func TestPortsThatTheInstallationSkipsAreOpenWhetherDeclaredOrNot(t *testing.T) {
	installed := strings.Replace(meshed, "defaultInboundPolicy", "skipInboundPorts: [{protocol: TCP, number: 4567, end: 4568}, {protocol: TCP, number: 8080}], defaultInboundPolicy", 1)
	s := newState(t, installed)
	s.expect(map[string]string{"shop/web → shop/api:4568": "allowed", "shop/web → shop/api:8080": "allowed", "shop/web → shop/api:9000": "denied"})
	require.Equal(t, verdict.Plaintext, s.ask("shop/web → shop/api:4568").Protection)
	require.Same(t, s.r.Filters(s.m.Workload(deployment("shop/api")))[0], s.r.Filters(s.m.Workload(deployment("shop/web")))[0])
	s = newState(t, strings.Replace(installed, "labels: {tier: back}", "annotations: {config.linkerd.io/skip-inbound-ports: \"9000\"}", 1))
	s.expect(map[string]string{"shop/web → shop/api:4568": "denied", "shop/web → shop/api:9000": "allowed"})
}

func TestSkippedSubnetsLeaveEverythingUnclear(t *testing.T) {
	const skip = "annotations: {config.linkerd.io/skip-subnets: 10.2.0.0/16}"
	s := newState(t, strings.Replace(meshed, "labels: {tier: back}", skip, 1)+serverAPI)
	s.expect(map[string]string{"shop/out → shop/api:8080": "unknown", "shop/web → shop/api:8080": "unknown", "shop/web → shop/api:4191": "allowed", "shop/web → bank/web:8080": "denied"})
	s = newState(t, strings.Replace(meshed, "{name: shop/web,", "{name: shop/web, "+skip+",", 1)+serverAPI+anyoneAtAPI)
	s.expect(map[string]string{"shop/web → shop/api:8080": "unknown", "bank/web → shop/api:8080": "allowed", "shop/web → shop/api:4191": "allowed"})
}

// Probes

func TestHTTPProbesArePermittedInPart(t *testing.T) {
	const probed = "- {name: side, livenessProbe: {httpGet: {path: '%s', port: 8081}},"
	with := func(text, path string) *state {
		return newState(t, strings.Replace(text, "- {name: side,", strings.Replace(probed, "%s", path, 1), 1))
	}
	const out, other = "shop/out → shop/api:8081", "shop/out → shop/api:8080"
	server := strings.Replace(serverAPI, "8080", "8081", 1)
	for _, objects := range []string{"", server} {
		with(meshed+objects, "/live").expect(map[string]string{out: "partial", other: "denied"})
		with(meshed+objects, "/live?full=1").expect(map[string]string{out: "partial"})
		with(meshed+objects, "live").expect(map[string]string{out: "denied"})
		with(meshed+objects, "").expect(map[string]string{out: "partial"})
		with(meshed+objects, "/live', scheme: 'HTTPS").expect(map[string]string{out: "partial"})
		hook := strings.Replace(meshed+objects, "- {name: side,", "- {name: side, lifecycle: {preStop: {httpGet: {path: /stop, port: 8081}}},", 1)
		newState(t, hook).expect(map[string]string{out: "denied"})
		tcp := strings.Replace(meshed+objects, "- {name: side,", "- {name: side, livenessProbe: {tcpSocket: {port: 8081}},", 1)
		newState(t, tcp).expect(map[string]string{out: "denied"})
	}
	for protocol, want := range map[string]string{"unknown": "partial", "HTTP/1": "partial", "HTTP/2": "partial", "gRPC": "denied", "opaque": "denied", "TLS": "denied"} {
		with(meshed+strings.Replace(server, "port: 8081", "port: 8081, proxyProtocol: "+protocol, 1), "/live").expect(map[string]string{out: want})
	}
	opaque := strings.Replace(meshed, "labels: {tier: back}", "annotations: {config.linkerd.io/opaque-ports: \"8081\"}", 1)
	with(opaque, "/live").expect(map[string]string{out: "denied"})
	route := "\n- {apiVersion: policy.linkerd.io/v1beta3, kind: HTTPRoute, metadata: {namespace: shop, name: r}, spec: {parentRefs: [{group: policy.linkerd.io, kind: Server, name: api}]}}\n"
	with(meshed+server+route, "/live").expect(map[string]string{out: "denied"})
	with(strings.Replace(meshed, "Policy: deny", "Policy: ''", 1), "/live").expect(map[string]string{out: "unknown"})
	s := with(meshed, "/live?full=1")
	require.Equal(t, "GET /live", s.r.Filters(s.m.Workload(deployment("shop/api")))[0].Rules[2].Requests)
}

func TestAProbePermitsWhereAPortRequiresAnIdentityByDefault(t *testing.T) {
	text := strings.Replace(meshed, "labels: {tier: back}", "annotations: {config.linkerd.io/proxy-require-identity-inbound-ports: \"8081,9000\"}", 1)
	text = strings.Replace(text, "- {name: side,", "- {name: side, livenessProbe: {httpGet: {path: /live, port: 8081}},", 1)
	newState(t, strings.Replace(text, "Policy: deny", "Policy: all-unauthenticated", 1)).expect(map[string]string{
		"shop/out → shop/api:8081": "partial", "shop/out → shop/api:9000": "denied", "shop/out → shop/api:8080": "allowed",
	})
}

// Routes

// routeFor is a route in shop with a policy for the service account web of bank, and one for web of shop at the Server.
func routeFor(apiVersion, kind, parent, rules string) string {
	group, _, _ := strings.Cut(apiVersion, "/")
	return `
- {apiVersion: ` + apiVersion + `, kind: ` + kind + `, metadata: {namespace: shop, name: r}, spec: {parentRefs: [` + parent + `]` + rules + `}}
- {apiVersion: policy.linkerd.io/v1alpha1, kind: AuthorizationPolicy, metadata: {namespace: shop, name: on-route}, spec: {targetRef: {group: ` + group + `, kind: ` + kind + `, name: r}, requiredAuthenticationRefs: [{kind: ServiceAccount, name: web, namespace: bank}]}}
- {apiVersion: policy.linkerd.io/v1alpha1, kind: AuthorizationPolicy, metadata: {namespace: shop, name: on-server}, spec: {targetRef: {group: policy.linkerd.io, kind: Server, name: api}, requiredAuthenticationRefs: [{kind: ServiceAccount, name: web}]}}
`
}

func TestARouteLimitsItsServerToWhatItMatches(t *testing.T) {
	const own, parent = "policy.linkerd.io/v1beta3", "{group: policy.linkerd.io, kind: Server, name: api}"
	const some = ", rules: [{matches: [{path: {type: PathPrefix, value: /}, method: GET}]}]"
	onlyServer, limited, whole := []string{"allowed", "denied"}, []string{"partial", "partial"}, []string{"allowed", "partial"}
	for name, c := range map[string]struct {
		protocol, route string
		want            []string
	}{
		"some requests":              {"unknown", routeFor(own, "HTTPRoute", parent, some), limited},
		"of Gateway API":             {"HTTP/2", routeFor("gateway.networking.k8s.io/v1", "HTTPRoute", parent, some), limited},
		"of hosts":                   {"HTTP/1", routeFor(own, "HTTPRoute", parent, ", hostnames: [example.com]"), limited},
		"of headers":                 {"HTTP/1", routeFor(own, "HTTPRoute", parent, ", rules: [{matches: [{headers: [{name: a, value: b}]}]}]"), limited},
		"of queries":                 {"HTTP/1", routeFor(own, "HTTPRoute", parent, ", rules: [{matches: [{queryParams: [{name: a, value: b}]}]}]"), limited},
		"of an exact path":           {"HTTP/1", routeFor(own, "HTTPRoute", parent, ", rules: [{matches: [{path: {type: Exact, value: /}}]}]"), limited},
		"without rules":              {"unknown", routeFor(own, "HTTPRoute", parent, ""), whole},
		"with a rule that says none": {"unknown", routeFor(own, "HTTPRoute", parent, ", rules: [{}]"), whole},
		"some paths":                 {"unknown", routeFor(own, "HTTPRoute", parent, ", rules: [{matches: [{path: {type: PathPrefix, value: /a}}]}]"), limited},
		"with no rules at all":       {"unknown", routeFor(own, "HTTPRoute", parent, ", rules: []"), limited},
		"every path":                 {"unknown", routeFor(own, "HTTPRoute", parent, ", rules: [{matches: [{path: {value: /a}}, {path: {type: PathPrefix, value: /}}]}]"), whole},
		"gRPC":                       {"gRPC", routeFor("gateway.networking.k8s.io/v1", "GRPCRoute", parent, ", rules: [{matches: [{method: {service: s}}]}]"), limited},
		"all of gRPC":                {"gRPC", routeFor("gateway.networking.k8s.io/v1", "GRPCRoute", parent, ", rules: [{matches: [{}]}]"), whole},
		"HTTP on gRPC":               {"gRPC", routeFor(own, "HTTPRoute", parent, some), onlyServer},
		"gRPC on HTTP":               {"HTTP/2", routeFor("gateway.networking.k8s.io/v1", "GRPCRoute", parent, ""), onlyServer},
		"on an opaque port":          {"opaque", routeFor(own, "HTTPRoute", parent, some), onlyServer},
		"on TLS":                     {"TLS", routeFor(own, "HTTPRoute", parent, some), onlyServer},
		"of another Server":          {"unknown", routeFor(own, "HTTPRoute", "{group: policy.linkerd.io, kind: Server, name: other}", some), onlyServer},
		"of the default group":       {"unknown", routeFor(own, "HTTPRoute", "{kind: Server, name: api}", some), limited},
		"of Gateway API's default":   {"unknown", routeFor("gateway.networking.k8s.io/v1", "HTTPRoute", "{kind: Server, name: api}", some), onlyServer},
		"of a Service":               {"unknown", routeFor(own, "HTTPRoute", "{group: core, kind: Service, name: api}", some), onlyServer},
		"of a port":                  {"unknown", routeFor(own, "HTTPRoute", "{group: policy.linkerd.io, kind: Server, name: api, port: 80}", some), onlyServer},
		"of a section":               {"unknown", routeFor(own, "HTTPRoute", "{group: policy.linkerd.io, kind: Server, name: api, sectionName: s}", some), onlyServer},
		"of another namespace":       {"unknown", routeFor(own, "HTTPRoute", "{group: policy.linkerd.io, kind: Server, name: api, namespace: bank}", some), onlyServer},
		"of its own namespace":       {"unknown", routeFor(own, "HTTPRoute", "{group: policy.linkerd.io, kind: Server, name: api, namespace: shop}", some), limited},
	} {
		s := newState(t, meshed+strings.Replace(serverAPI, "port: 8080", "port: 8080, proxyProtocol: "+c.protocol, 1)+c.route)
		require.Empty(t, s.r.Problems(), name)
		for i, connection := range []string{"shop/web → shop/api:8080", "bank/web → shop/api:8080", "shop/out → shop/api:8080"} {
			require.Equal(t, append(c.want, "denied")[i], s.ask(connection).Decision.String(), "%s: %s", name, connection)
		}
	}
}

func TestARouteLimitsTheAccessPolicyToo(t *testing.T) {
	server := strings.Replace(serverAPI, "port: 8080", "port: 8080, accessPolicy: all-unauthenticated", 1)
	s := newState(t, meshed+server+routeFor("policy.linkerd.io/v1beta3", "HTTPRoute", "{group: policy.linkerd.io, kind: Server, name: api}", ", rules: [{matches: [{method: GET}]}]"))
	s.expect(map[string]string{"shop/out → shop/api:8080": "partial"})
}

func TestAPolicyForARouteOfTheOtherGroupIsNotForThisOne(t *testing.T) {
	objects := routeFor("policy.linkerd.io/v1beta3", "HTTPRoute", "{group: policy.linkerd.io, kind: Server, name: api}", "")
	s := newState(t, meshed+serverAPI+strings.Replace(objects, "targetRef: {group: policy.linkerd.io, kind: HTTPRoute", "targetRef: {group: gateway.networking.k8s.io, kind: HTTPRoute", 1))
	s.expect(map[string]string{"bank/web → shop/api:8080": "denied", "shop/web → shop/api:8080": "allowed"})
}

// What cannot be read

func TestWhatCannotBeReadLeavesAnOpenQuestionAndAProblem(t *testing.T) {
	const web, other, bank = "shop/web → shop/api:8080", "shop/web → shop/api:9000", "shop/web → bank/web:8080"
	policy := policyFor(atAPI, "{group: policy.linkerd.io, kind: MeshTLSAuthentication, name: bad}") + strings.Replace(policyFor(atAPI, "{group: policy.linkerd.io, kind: NetworkAuthentication, name: bad}"), "name: p}", "name: q}", 1)
	route := routeFor("policy.linkerd.io/v1beta3", "HTTPRoute", "{group: policy.linkerd.io, kind: Server, name: api}", "")
	for object, want := range map[string]map[string]string{
		"Server, metadata: {namespace: shop, name: bad}, spec: {podSelector: {}, port: {}}}":                                                   {web: "denied", other: "unknown"},
		"Server, metadata: {namespace: shop, name: a}, spec: {podSelector: {}, port: 70000}}":                                                  {web: "unknown", other: "unknown"},
		"Server, metadata: {namespace: shop, name: a}, spec: {podSelector: {}, port: ''}}":                                                     {web: "unknown"},
		"Server, metadata: {namespace: shop, name: a}, spec: {podSelector: 5, port: 80}}":                                                      {web: "unknown"},
		"Server, metadata: {namespace: shop, name: a}, spec: {port: 80}}":                                                                      {web: "unknown"},
		"Server, metadata: {namespace: shop, name: a}}":                                                                                        {web: "unknown"},
		"AuthorizationPolicy, metadata: {namespace: shop, name: bad}, spec: {targetRef: 5}}":                                                   {web: "unknown", other: "denied"},
		"AuthorizationPolicy, metadata: {namespace: shop, name: bad}, spec: {targetRef: {group: policy.linkerd.io, kind: Server, name: api}}}": {web: "unknown"},
		"AuthorizationPolicy, metadata: {namespace: shop, name: bad}, spec: {targetRef: {name: api}, requiredAuthenticationRefs: []}}":         {web: "unknown"},
		"ServerAuthorization, metadata: {namespace: shop, name: bad}, spec: {server: {name: api}, client: {networks: [{cidr: everywhere}]}}}":  {web: "unknown", other: "denied"},
		"ServerAuthorization, metadata: {namespace: shop, name: bad}, spec: {server: [api]}}":                                                  {web: "unknown"},
		"MeshTLSAuthentication, metadata: {namespace: shop, name: bad}, spec: {identities: web}}":                                              {web: "unknown", other: "denied"},
		"NetworkAuthentication, metadata: {namespace: shop, name: bad}, spec: {networks: [{cidr: 10.0.0.0/33}]}}":                              {web: "unknown", other: "denied"},
		"NetworkAuthentication, metadata: {namespace: shop, name: bad}, spec: {networks: [{cidr: 10.0.0.0/8, except: [x]}]}}":                  {web: "unknown"},
		"NetworkAuthentication, metadata: {namespace: shop, name: bad}, spec: {networks: [{cidr: 'fe80::1%eth0'}]}}":                           {web: "unknown"},
	} {
		s := newState(t, meshed+serverAPI+policy+"- {apiVersion: policy.linkerd.io/v1beta3, kind: "+object+"\n")
		problems := s.r.Problems()
		require.Len(t, problems, 1, object)
		require.Equal(t, "PolicyUnreadable", problems[0].Code)
		require.Equal(t, model.Error, problems[0].Severity)
		want[bank] = "denied"
		s.expect(want)
	}
	s := newState(t, meshed+serverAPI+route+"- {apiVersion: policy.linkerd.io/v1beta3, kind: HTTPRoute, metadata: {namespace: shop, name: bad}, spec: {parentRefs: api}}\n")
	require.Len(t, s.r.Problems(), 1)
	s.expect(map[string]string{web: "allowed"}) // another route matches every request
	s = newState(t, meshed+serverAPI+strings.Replace(route, "kind: HTTPRoute, metadata: {namespace: shop, name: r}, spec: {parentRefs: [", "kind: HTTPRoute, metadata: {namespace: shop, name: r}, spec: {parentRefs: [5, ", 1))
	require.Len(t, s.r.Problems(), 1)
	s.expect(map[string]string{web: "unknown", "bank/web → shop/api:8080": "unknown", "shop/out → shop/api:8080": "denied"})
}

func TestAnOlderServerHoldsItsPortWhateverAnUnreadableOneSays(t *testing.T) {
	s := newState(t, meshed+serverAPI+`
- {apiVersion: policy.linkerd.io/v1beta3, kind: Server, metadata: {namespace: shop, name: zzz}, spec: {podSelector: {}, port: {}}}
`)
	s.expect(map[string]string{"shop/web → shop/api:8080": "denied", "shop/web → shop/api:9000": "unknown", "shop/web → shop/api:4191": "allowed", "shop/web → shop/api:8080/UDP": "allowed"})
	s.m.Cluster.Mesh.Linkerd.DefaultInboundPolicy = allUnauthenticated
	s.r = NewReader(s.m, s.m.Existing)
	s.in.Mesh = s.r
	s.expect(map[string]string{"shop/web → shop/api:8080": "denied", "shop/web → shop/api:9000": "unknown"})
}

func TestObjectsOfOtherGroupsAreNotLinkerds(t *testing.T) {
	s := newState(t, meshed+serverAPI+`
- {apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {namespace: shop, name: p}, spec: 5}
- {apiVersion: networking.istio.io/v1, kind: Server, metadata: {namespace: shop, name: p}}
`)
	require.Empty(t, s.r.Problems())
	s.expect(map[string]string{"shop/web → shop/api:8080": "denied"})
}

// Filters as such

func TestOutsideTheMeshNothingIsEnforced(t *testing.T) {
	s := newState(t, meshed)
	out := s.m.Workload(deployment("shop/out"))
	require.Nil(t, s.r.Filters(out))
	require.Nil(t, s.r.Between(out))
	s.expect(map[string]string{"shop/web → shop/out:80": "allowed", "1.2.3.4 → shop/out:80": "allowed"})
	foreign := strings.Replace(meshed, "labels: {tier: back}", "running: true\n  labels: {linkerd.io/control-plane-ns: other}", 1)
	s = newState(t, strings.Replace(foreign, "- {name: side,", "- {name: linkerd-proxy}\n    - {name: side,", 1))
	require.Nil(t, s.r.Filters(s.m.Workload(deployment("shop/api"))))
	require.Nil(t, s.r.Ways(s.m.Workload(deployment("shop/web")), s.m.Workload(deployment("shop/api"))))
}

func TestWorkloadsForWhichTheSameHoldsShareAFilter(t *testing.T) {
	s := newState(t, meshed+serverAPI+anyoneAtAPI)
	filter := func(name string) *model.Filter { return s.r.Filters(s.m.Workload(deployment(name)))[0] }
	require.Same(t, filter("shop/web"), filter("bank/web"))
	require.Same(t, filter("shop/api"), filter("shop/api"))
	require.NotSame(t, filter("shop/web"), filter("shop/api"))
	require.Equal(t, model.FilterAuthorization, filter("shop/api").Layer)
	for name, text := range map[string]string{
		"a probe":             strings.Replace(meshed, "{name: shop/web, addresses: [10.1.0.2], spec: {containers: [{name: web", "{name: shop/web, addresses: [10.1.0.2], spec: {containers: [{name: web, livenessProbe: {httpGet: {path: /, port: 80}}", 1),
		"a default policy":    strings.Replace(meshed, "{name: shop/web,", "{name: shop/web, annotations: {config.linkerd.io/default-inbound-policy: audit},", 1),
		"ports left out":      strings.Replace(meshed, "{name: shop/web,", "{name: shop/web, annotations: {config.linkerd.io/skip-inbound-ports: '80'},", 1),
		"a required identity": strings.Replace(strings.Replace(meshed, "{name: shop/web,", "{name: shop/web, annotations: {config.linkerd.io/proxy-require-identity-inbound-ports: '80'},", 1), "Policy: deny", "Policy: all-unauthenticated", 1),
		"a Server":            meshed + strings.Replace(serverAPI, "app: api", "app: web", 1),
	} {
		s = newState(t, text)
		require.NotSame(t, filter("shop/web"), filter("bank/web"), name)
	}
}

func TestAProbeTellsNobodyApartWhereEverybodyIsLetIn(t *testing.T) {
	text := strings.Replace(meshed, "{name: shop/web, addresses: [10.1.0.2], spec: {containers: [{name: web", "{name: shop/web, addresses: [10.1.0.2], spec: {containers: [{name: web, livenessProbe: {httpGet: {path: /, port: 80}}", 1)
	s := newState(t, strings.Replace(text, "Policy: deny", "Policy: audit", 1))
	require.Same(t, s.r.Filters(s.m.Workload(deployment("shop/web")))[0], s.r.Filters(s.m.Workload(deployment("bank/web")))[0])
}

func TestRulesComeInTheOrderInWhichTheyCount(t *testing.T) {
	text := strings.Replace(meshed, "labels: {tier: back}", "annotations: {config.linkerd.io/skip-inbound-ports: '7000', config.linkerd.io/proxy-require-identity-inbound-ports: '9000'}", 1)
	s := newState(t, strings.Replace(text, "Policy: deny", "Policy: all-unauthenticated", 1)+serverAPI+anyoneAtAPI)
	f := s.r.Filters(s.m.Workload(deployment("shop/api")))[0]
	var order []string
	for _, rule := range f.Rules {
		ports := make([]string, len(rule.Ports))
		for i, p := range rule.Ports {
			ports[i] = p.String()
		}
		order = append(order, map[model.Effect]string{model.Allow: "allow ", model.Deny: "deny "}[rule.Effect]+strings.Join(ports, ",")+" "+rule.Cause.Object.Kind)
	}
	require.Equal(t, []string{
		"allow any/UDP,any/SCTP ", "allow 4190/TCP,4191/TCP ", "allow 7000/TCP Deployment",
		"allow 8080/TCP AuthorizationPolicy", "deny 8080/TCP Server",
		"allow 9000/TCP Deployment", "deny 9000/TCP Deployment",
	}, order)
	require.Equal(t, model.Allow, f.Otherwise)
	require.Len(t, f.Because, 1)
	require.Contains(t, f.Because[0].Message, "all-unauthenticated")
}

package intent_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/cluster"
	"floe.dev/palisade/intent"
	"floe.dev/palisade/mesh"
	"floe.dev/palisade/model"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func resolve(t *testing.T, now time.Time, manifests ...string) intent.Result {
	t.Helper()
	s, err := cluster.Read([]string{"-"}, strings.NewReader(strings.Join(manifests, "\n---\n")), cluster.Options{})
	require.NoError(t, err)
	facts, problems := intent.Facts(s, intent.Given{Mesh: "none"})
	r := intent.Resolve(s, facts, mesh.New(facts.Mesh, facts.Domain), now)
	r.Problems = append(problems, r.Problems...)
	return r
}

const (
	dns = `
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec: {selector: {k8s-app: kube-dns}, clusterIP: 10.96.0.10, ports: [{port: 53, protocol: UDP}]}`
	shop = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {env: prod}}`
	everything = `
apiVersion: palisade.floe.dev/v1alpha1
kind: SecurityProfile
metadata: {name: everything}
spec: {namespaceSelector: {}}`
)

func deployment(name, labels, ports string) string {
	return `
apiVersion: apps/v1
kind: Deployment
metadata: {name: ` + name + `, namespace: shop}
spec:
  selector: {matchLabels: ` + labels + `}
  template:
    metadata: {labels: ` + labels + `}
    spec: {containers: [{name: c, image: i, ports: ` + ports + `}]}`
}

func rule(to, from, ports string) string {
	return `
apiVersion: palisade.floe.dev/v1alpha1
kind: TrafficRule
metadata: {name: rule, namespace: shop}
spec: {to: ` + to + `, from: [` + from + `], ports: ` + ports + `}`
}

func codes(problems []model.Problem) []string {
	var all []string
	for _, p := range problems {
		all = append(all, p.Code)
	}
	return all
}

func findings(list []model.Finding) []string {
	var all []string
	for _, f := range list {
		all = append(all, f.Code)
	}
	return all
}

// flowsOf lists the flows of the rules as "server labels: ports".
func flowsOf(r intent.Result) []string {
	var all []string
	for _, f := range r.Model.Flows {
		if f.Origin.Ref.Kind == "TrafficRule" {
			var ports []string
			for _, p := range f.Ports {
				ports = append(ports, p.String())
			}
			all = append(all, model.SelectorKey(&f.Server.PodSelector)+": "+strings.Join(ports, " "))
		}
	}
	slices.Sort(all)
	return all
}

func TestTheHighestPriorityGoverns(t *testing.T) {
	high := strings.NewReplacer("name: everything", "name: high", "namespaceSelector: {}", "priority: 5, namespaceSelector: {matchLabels: {env: prod}}").Replace(everything)
	r := resolve(t, noon, dns, shop, everything, high)
	assert.Equal(t, "high", r.Model.Namespace("shop").Posture.Profile)
	assert.NotContains(t, codes(r.Problems), "ProfileConflict")
}

func TestEqualPrioritiesGovernNothingAndTheLowerDoesNotStepIn(t *testing.T) {
	one := strings.NewReplacer("name: everything", "name: one", "namespaceSelector: {}", "priority: 5, namespaceSelector: {}").Replace(everything)
	two := strings.Replace(one, "name: one", "name: two", 1)
	r := resolve(t, noon, dns, shop, everything, one, two)
	assert.Nil(t, r.Model.Namespace("shop").Posture)
	assert.Contains(t, codes(r.Problems), "ProfileConflict")
}

func TestAPortNameMeansWhatEachWorkloadMeansByIt(t *testing.T) {
	r := resolve(t, noon, dns, shop, everything,
		deployment("one", "{app: one, tier: api}", "[{name: http, containerPort: 8080}]"),
		deployment("two", "{app: two, tier: api}", "[{name: http, containerPort: 9090}]"),
		rule("{matchLabels: {tier: api}}", "{pods: {}}", "[{port: http}]"))
	assert.Equal(t, []string{"app=one,tier=api: 8080/TCP", "app=two,tier=api: 9090/TCP"}, flowsOf(r), "no workload is opened on the other's number")
}

func TestAPortNameThatAllMeanAlikeKeepsTheRulesSelector(t *testing.T) {
	r := resolve(t, noon, dns, shop, everything,
		deployment("one", "{app: one, tier: api}", "[{name: http, containerPort: 8080}]"),
		deployment("two", "{app: two, tier: api}", "[{name: http, containerPort: 8080}]"),
		rule("{matchLabels: {tier: api}}", "{pods: {}}", "[{port: http}, {port: 9000, endPort: 9010}]"))
	assert.Equal(t, []string{"tier=api: 8080/TCP 9000-9010/TCP"}, flowsOf(r))
}

func TestAPortNameWhoseWorkloadsCannotBeToldApartStaysClosed(t *testing.T) {
	r := resolve(t, noon, dns, shop, everything,
		deployment("one", "{tier: api}", "[{name: http, containerPort: 8080}]"),
		deployment("two", "{tier: api}", "[{name: http, containerPort: 9090}]"),
		rule("{matchLabels: {tier: api}}", "{pods: {}}", "[{port: http}]"))
	assert.Contains(t, codes(r.Problems), "PortNameAmbiguous")
	assert.Empty(t, flowsOf(r))
}

func TestAWorkloadWhoseSelectorFindsOthersIsToldByWhatTheyBear(t *testing.T) {
	r := resolve(t, noon, dns, shop, everything,
		deployment("one", "{tier: api}", "[{name: http, containerPort: 8080}]"),
		deployment("two", "{tier: api, app: two}", "[{name: http, containerPort: 9090}]"),
		rule("{matchLabels: {tier: api}}", "{pods: {}}", "[{port: http}]"))
	assert.Equal(t, []string{"app=two,tier=api: 9090/TCP", "tier=api,app DoesNotExist (): 8080/TCP"}, flowsOf(r))
}

func TestAnUnknownPortNameStaysClosed(t *testing.T) {
	r := resolve(t, noon, dns, shop, everything, deployment("one", "{app: one}", "[{containerPort: 8080}]"), rule("{}", "{pods: {}}", "[{port: http}]"))
	assert.Contains(t, codes(r.Problems), "PortNameUnknown")
	assert.Empty(t, flowsOf(r))
}

func TestTheProtocolOfANamedPortCounts(t *testing.T) {
	r := resolve(t, noon, dns, shop, everything, deployment("one", "{app: one}", "[{name: dns, containerPort: 5353, protocol: UDP}]"), rule("{}", "{pods: {}}", "[{port: dns}]"))
	assert.Contains(t, codes(r.Problems), "PortNameUnknown", "the rule means TCP, and the container UDP")
}

func TestAServicePortIsPointedOut(t *testing.T) {
	service := `
apiVersion: v1
kind: Service
metadata: {name: front, namespace: shop}
spec: {selector: {app: one}, ports: [{port: 80, targetPort: 8080}]}`
	one := deployment("one", "{app: one}", "[{containerPort: 8080}]")
	assert.Contains(t, findings(resolve(t, noon, dns, shop, everything, service, one, rule("{}", "{pods: {}}", "[{port: 80}]")).Findings), "RulePortIsServicePort")
	assert.NotContains(t, findings(resolve(t, noon, dns, shop, everything, service, one, rule("{}", "{pods: {}}", "[{port: 8080}]")).Findings), "RulePortIsServicePort")
}

func TestIntentForANamespaceThatDoesNotExistStaysClosed(t *testing.T) {
	elsewhere := strings.Replace(rule("{}", "{pods: {}}", "[{port: 80}]"), "namespace: shop", "namespace: shp", 1)
	r := resolve(t, noon, dns, shop, everything, elsewhere)
	assert.Contains(t, codes(r.Problems), "NamespaceNotFound")
	assert.Empty(t, flowsOf(r))
	r = resolve(t, noon, dns, shop, everything, deployment("one", "{app: one}", "[{containerPort: 80}]"), rule("{}", "{pods: {namespace: clints}}", "[{port: 80}]"))
	assert.Contains(t, codes(r.Problems), "NamespaceNotFound")
}

func TestAPlanOverNoProfileSaysThatItCheckedNothing(t *testing.T) {
	r := resolve(t, noon, dns, shop, deployment("one", "{app: one}", "[]"))
	assert.Contains(t, codes(r.Problems), "NoProfile")
	assert.NotContains(t, codes(resolve(t, noon, dns, shop, everything).Problems), "NoProfile")
}

func TestBuiltInNamespacesNeedNoManifest(t *testing.T) {
	r := resolve(t, noon, dns, shop, everything, strings.Replace(rule("{}", "{pods: {}}", "[{port: 80}]"), "namespace: shop", "namespace: default", 1))
	assert.NotContains(t, codes(r.Problems), "NamespaceNotFound")
}

func exemption(expires string) string {
	return `
apiVersion: palisade.floe.dev/v1alpha1
kind: Exemption
metadata: {name: e, namespace: shop}
spec:
  workloads: {matchLabels: {app: one}}
  ports: [{port: admin}]
  layers: [MTLS, PodSecurity]
  podSecurityLevel: privileged
  reason: an old agent needs it
  owner: team-a
  expires: "` + expires + `"`
}

func TestAnExemptionCountsUntilItsSecond(t *testing.T) {
	one := deployment("one", "{app: one}", "[{name: admin, containerPort: 9001}]")
	id := model.WorkloadID{Namespace: "shop", Kind: "Deployment", Name: "one"}
	for name, test := range map[string]struct {
		expires  time.Time
		relaxed  int
		says     string
		enforces string
	}{
		"long before":      {noon.Add(30 * 24 * time.Hour), 2, "ExemptionInForce", "privileged"},
		"a week before":    {noon.Add(7 * 24 * time.Hour), 2, "ExemptionExpiring", "privileged"},
		"a second before":  {noon.Add(time.Second), 2, "ExemptionExpiring", "privileged"},
		"on the second":    {noon, 0, "ExemptionExpired", "baseline"},
		"a day after":      {noon.Add(-24 * time.Hour), 0, "ExemptionExpired", "baseline"},
		"a second too far": {noon.Add(7*24*time.Hour + time.Second), 2, "ExemptionInForce", "privileged"},
	} {
		t.Run(name, func(t *testing.T) {
			r := resolve(t, noon, dns, shop, everything, one, exemption(test.expires.Format(time.RFC3339)))
			assert.Len(t, r.Model.Workload(id).Relaxed, test.relaxed)
			assert.Contains(t, findings(r.Findings), test.says)
			assert.Equal(t, test.enforces, r.Model.Namespace("shop").Posture.PodSecurity.Enforce)
			for _, x := range r.Model.Workload(id).Relaxed {
				if x.Layer == model.LayerMTLS {
					assert.Equal(t, []model.Port{model.TCP(9001)}, x.Ports)
				}
			}
		})
	}
}

func TestAnExemptionForAPortThatTheWorkloadLacksRelaxesNothing(t *testing.T) {
	r := resolve(t, noon, dns, shop, everything, deployment("one", "{app: one}", "[{name: http, containerPort: 80}]"), exemption("2027-11-23T12:00:00Z"))
	assert.Contains(t, codes(r.Problems), "PortNameUnknown")
	assert.Empty(t, r.Model.Workload(model.WorkloadID{Namespace: "shop", Kind: "Deployment", Name: "one"}).Relaxed, "no ports would mean all of them")
}

func TestTiersOpenEachTierToTheOneBeforeIt(t *testing.T) {
	tiered := strings.Replace(everything, "namespaceSelector: {}", "namespaceSelector: {}, network: {kubeletProbes: Disabled, tiers: {labelKey: tier, order: [web, app, data]}}", 1)
	r := resolve(t, noon, dns, shop, tiered,
		deployment("web", "{tier: web}", "[{containerPort: 80}]"),
		deployment("app", "{tier: app}", "[{containerPort: 8080}]"),
		deployment("db", "{tier: data}", "[{containerPort: 5432}]"),
		deployment("mute", "{tier: data, app: mute}", "[]"))
	var flows []string
	for _, f := range r.Model.Flows {
		if strings.HasPrefix(f.Origin.Part, "tiers") {
			flows = append(flows, model.SelectorKey(&f.Client.PodSelector)+" → "+f.Server.Workloads[0].Name+":"+f.Ports[0].String())
		}
	}
	assert.Equal(t, []string{"tier=web → app:8080/TCP", "tier=app → db:5432/TCP"}, flows)
	assert.Contains(t, codes(r.Problems), "TierPortsUnknown")
}

func TestAnUnknownGatewayStaysClosedAndTheProfileCanNameIt(t *testing.T) {
	one := deployment("one", "{app: one}", "[{containerPort: 80}]")
	r := resolve(t, noon, dns, shop, everything, one, rule("{}", "{preset: IngressGateway}", "[{port: 80}]"))
	assert.Contains(t, codes(r.Problems), "IngressGatewayUnknown")
	assert.Empty(t, flowsOf(r))
	named := strings.Replace(everything, "namespaceSelector: {}", "namespaceSelector: {}, network: {ingressGateways: [{namespace: kube-system, podSelector: {matchLabels: {app: edge}}}]}", 1)
	r = resolve(t, noon, dns, shop, named, one, rule("{}", "{preset: IngressGateway}", "[{port: 80}]"))
	assert.NotContains(t, codes(r.Problems), "IngressGatewayUnknown")
	assert.Len(t, flowsOf(r), 1)
}

func TestResolveLeavesTheSnapshotAsItWas(t *testing.T) {
	read := func() *intent.Snapshot {
		s, err := cluster.Read([]string{"-"}, strings.NewReader(strings.Join([]string{dns, shop, everything,
			deployment("one", "{app: one}", "[{name: admin, containerPort: 9001}]"), exemption("2027-11-23T12:00:00Z")}, "\n---\n")), cluster.Options{})
		require.NoError(t, err)
		return s
	}
	s := read()
	facts, _ := intent.Facts(s, intent.Given{Mesh: "none"})
	intent.Resolve(s, facts, nil, noon)
	assert.Equal(t, read(), s)
}

func TestAPortNameOfSeveralContainersIsThatOfTheFirst(t *testing.T) {
	two := strings.Replace(deployment("one", "{app: one}", "[{name: http, containerPort: 9090}]"),
		"ports: [{name: http, containerPort: 9090}]}", "ports: [{name: http, containerPort: 9090}]}, {name: d, image: d, ports: [{name: http, containerPort: 8080}]}", 1)
	r := resolve(t, noon, dns, shop, everything, two, rule("{}", "{pods: {}}", "[{port: http}]"))
	assert.Equal(t, []string{": 9090/TCP"}, flowsOf(r))
}

func TestARolloutWithoutAWordHasTheDefaults(t *testing.T) {
	for rollout, want := range map[string]model.RolloutPosture{
		"":                                       {MaxNamespaces: 1, MaxFailed: 1, Soak: 10 * time.Minute},
		", rollout: {}":                          {MaxNamespaces: 1, MaxFailed: 1, Soak: 10 * time.Minute},
		", rollout: {soak: 0s, paused: true}":    {MaxNamespaces: 1, MaxFailed: 1, Paused: true},
		", rollout: {maxNamespaces: 20}":         {MaxNamespaces: 20, MaxFailed: 1, Soak: 10 * time.Minute},
		", rollout: {maxFailed: 3, soak: 1h30m}": {MaxNamespaces: 1, MaxFailed: 3, Soak: 90 * time.Minute},
	} {
		r := resolve(t, noon, dns, shop, strings.Replace(everything, "namespaceSelector: {}", "namespaceSelector: {}"+rollout, 1))
		assert.Equal(t, want, r.Model.Namespace("shop").Posture.Rollout, "rollout %q", rollout)
	}
}

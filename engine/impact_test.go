package engine_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/cluster"
	"floe.dev/palisade/engine"
	"floe.dev/palisade/model"
	"floe.dev/palisade/plan"
	"floe.dev/palisade/verdict"
)

// impactOf is what a plan would end, as "basis outcome client → server:port by layer Object".
func impactOf(t *testing.T, given engine.Given, manifests ...string) ([]string, plan.Plan) {
	t.Helper()
	s, err := cluster.Read([]string{"-"}, strings.NewReader(strings.Join(manifests, "\n---\n")), cluster.Options{})
	require.NoError(t, err)
	r := engine.Run(s, engine.Options{Given: given, Now: noon, Impact: true})
	require.NotNil(t, r.Plan.Impact)
	var lines []string
	for i := range r.Plan.Impact {
		d := r.Plan.Document().Impact[i]
		who := strings.Join(append(append([]string{}, d.Clients.Workloads...), d.Clients.Addresses...), " ")
		if d.Clients.All {
			who = "all but " + strings.Join(append(d.Clients.Except, d.Clients.Addresses...), " ")
		}
		by := ""
		if d.DecidedBy.Object != nil {
			by = " " + d.DecidedBy.Object.String()
		}
		lines = append(lines, string(d.Basis)+" "+string(d.Outcome)+" "+who+" → "+d.Server+":"+r.Plan.Impact[i].Port.String()+" by "+d.DecidedBy.Layer+by)
	}
	return lines, r.Plan
}

// callsAPI makes a workload call the Service api by its environment.
func callsAPI(workload string) string {
	return strings.Replace(workload, "containers: [{", "containers: [{env: [{name: API, value: \"http://api.shop.svc:80/v1\"}], ", 1)
}

func TestImpactNamesCallsByHowSurelyTheyAreUsed(t *testing.T) {
	lines, p := impactOf(t, none, facts, kubeDNS, profile, plainShop, web, api, callsAPI(other), webToAPI)
	assert.Equal(t, []string{
		"referenced denied shop/Deployment/other → shop/Deployment/api:9000/TCP by egress NetworkPolicy shop/palisade-default",
		"possible denied kube-system/Deployment/coredns → shop/Deployment/api:9000/TCP by ingress NetworkPolicy shop/palisade-api-142c949c",
	}, lines, "web keeps its call")
	assert.Equal(t, plan.ByBasis{Referenced: 1, Possible: 1}, p.Summary.Impact)
	text := string(p.ImpactText(nil))
	assert.Contains(t, text, "Named in the client's manifest, and would fail (1)\n  shop/other → shop/api:9000/TCP (Service shop/api:80)\n    refused by the client's NetworkPolicies: ")
}

func TestImpactTellsADeclaredClientOutsideTheMeshOfAStrictServer(t *testing.T) {
	outside := strings.Replace(web, "metadata: {labels: {app: web}}", `metadata: {labels: {app: web}, annotations: {sidecar.istio.io/inject: "false"}}`, 1)
	lines, p := impactOf(t, engine.Given{}, facts, kubeDNS, profile, istio, istioCNI, sidecarShop, outside, api, webToAPI)
	require.NotEmpty(t, lines)
	assert.Equal(t, "declared broken shop/Deployment/web → shop/Deployment/api:9000/TCP by mtls PeerAuthentication shop/palisade-strict", lines[0])
	assert.Equal(t, []string{"TrafficRule shop/api from[0]"}, p.Impact[0].Origins)
	assert.Contains(t, string(p.ImpactText(nil)), "broken by the mTLS mode: PeerAuthentication shop/palisade-strict spec.mtls.mode")
}

func TestImpactOfAProfileThatOnlyObservesIsWhatItWouldDo(t *testing.T) {
	observing := strings.Replace(profile, "spec: {", "spec: {enforcement: Observe, ", 1)
	want, _ := impactOf(t, none, facts, kubeDNS, profile, plainShop, web, api, callsAPI(other), webToAPI)
	got, _ := impactOf(t, none, facts, kubeDNS, observing, plainShop, web, api, callsAPI(other), webToAPI)
	assert.Equal(t, want, got)
}

func TestAPlanThatIsCarriedOutEndsNothing(t *testing.T) {
	manifests := []string{facts, kubeDNS, profile, istio, istioCNI, sidecarShop, web, api, callsAPI(other), webToAPI}
	done := string(rendered(runYAML(t, engine.Given{}, manifests...)))
	lines, p := impactOf(t, engine.Given{}, append(manifests, done)...)
	assert.Empty(t, lines)
	assert.Contains(t, string(p.ImpactText(nil)), "Impact: nothing over a Service, and nothing declared")
}

func TestImpactCountsAddressesOutsideForExposedServicesAlone(t *testing.T) {
	loadBalancer := strings.Replace(api, "spec: {selector: {app: api}, ports", "spec: {type: LoadBalancer, selector: {app: api}, ports", 1)
	for manifest, outside := range map[string]bool{api: false, loadBalancer: true} {
		_, p := impactOf(t, none, facts, kubeDNS, profile, plainShop, web, manifest, webToAPI)
		found := false
		for i := range p.Impact {
			found = found || len(p.Impact[i].Clients.Addresses) > 0
		}
		assert.Equal(t, outside, found)
	}
}

func TestARuleOnRequestsLimitsItsClientsAsItIsMeantTo(t *testing.T) {
	lines, _ := impactOf(t, engine.Given{}, facts, kubeDNS, profile, istio, istioCNI, sidecarShop, web, api, httpRule)
	assert.Equal(t, []string{"possible denied all but shop/Deployment/web → shop/Deployment/api:9000/TCP by ingress NetworkPolicy shop/palisade-api-142c949c"}, lines)
}

func TestServicesAreFoundInManifestsByTheirNames(t *testing.T) {
	for value, found := range map[string]bool{
		"api:80": true, "http://api": true, "http://api/v1": true, "api.shop": false, "api.shop.svc": true, "api.shop.svc.cluster.local.": true,
		"tcp://user:secret@api:80,other:80": true, "api-old:80": false, "my.api:80": false, "an api": false, "api": false, "api.shop:80": true, "": false, "http://api.example.com": false,
	} {
		client := strings.Replace(other, "containers: [{", "containers: [{env: [{name: X, value: \""+value+"\"}], ", 1)
		lines, _ := impactOf(t, none, facts, kubeDNS, profile, plainShop, web, api, client, webToAPI)
		assert.Equal(t, found, strings.HasPrefix(lines[0], "referenced"), "%q", value)
	}
	for name, manifest := range map[string]string{
		"a variable that names a host": strings.Replace(other, "containers: [{", "containers: [{env: [{name: API_HOST, value: api}], ", 1),
		"an argument":                  strings.Replace(other, "containers: [{", "containers: [{args: [\"--upstream=api:80\"], ", 1),
		"an init container":            strings.Replace(other, "containers: [{", "initContainers: [{name: wait, image: w, command: [wait-for, \"api:80\"]}], containers: [{", 1),
	} {
		lines, _ := impactOf(t, none, facts, kubeDNS, profile, plainShop, web, api, manifest, webToAPI)
		assert.True(t, strings.HasPrefix(lines[0], "referenced"), name)
	}
}

// The impact over Services is what Explain says of each call in both states.
func TestImpactIsTheCallsThatExplainLetsThroughBeforeAndNotAfter(t *testing.T) {
	ended := 0
	for i, m := range meshCases {
		for seed := range uint64(10) {
			c := randomCluster(31000*uint64(i)+seed, false)
			given := engine.Given{}
			if i == 0 {
				given = none
			}
			text := strings.Join(append(append(c.manifests(), c.services()...), append(m.mesh, facts, kubeDNS)...), "\n---\n")
			text = strings.NewReplacer(", MESHLABEL", prefixed(m.label), "MESHANNOTATION", m.annotation).Replace(text)
			s, err := cluster.Read([]string{"-"}, strings.NewReader(text), cluster.Options{})
			require.NoError(t, err)
			r := engine.Run(s, engine.Options{Given: given, Now: noon, Impact: true})
			before, _ := engine.State(r.Model, r.Model.Existing)
			after, _ := engine.State(r.Model, r.Plan.After(r.Model.Existing, true))
			said := callsThatEnd(r.Model, r.Plan.Impact)
			for _, from := range c.pods {
				for _, to := range c.pods {
					for _, port := range askedOfRules {
						if port.Protocol != model.TCP(1).Protocol || from.namespace+from.name == to.namespace+to.name {
							continue
						}
						q := verdict.Question{From: end(r.Model, from), To: end(r.Model, to), Port: port, OverService: true}
						ends := verdict.Explain(before, q).Decision == verdict.Open && verdict.Explain(after, q).Decision != verdict.Open
						if ends {
							ended++
						}
						id := q.From.ID() + " " + q.To.ID() + " " + port.String()
						require.Equal(t, ends, said[id], "%s, seed %d: %s\n%s", m.name, seed, id, text)
					}
				}
			}
		}
	}
	t.Logf("%d calls end, as many by the impact as by explaining each", ended)
}

func end(m *model.Model, p podCase) verdict.End {
	for i := range m.Workloads {
		if w := &m.Workloads[i]; w.ID.Namespace == p.namespace && w.ID.Name == p.name {
			return verdict.End{Workload: w}
		}
	}
	return verdict.End{}
}

// callsThatEnd takes the clients of impacts apart again.
func callsThatEnd(m *model.Model, impacts []plan.Impact) map[string]bool {
	calls := map[string]bool{}
	for i := range impacts {
		c := &impacts[i].Clients
		for k := range m.Workloads {
			w := &m.Workloads[k]
			names := []string{verdict.WorkloadID(w), w.ID.Namespace + "/*"}
			listed := func(list []string) bool {
				return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(list, name) })
			}
			if listed(c.Workloads) || c.All && !listed(c.Except) {
				calls[verdict.WorkloadID(w)+" "+impacts[i].Server.ID()+" "+impacts[i].Port.String()] = true
			}
		}
	}
	return calls
}

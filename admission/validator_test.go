package admission

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/engine"
)

// shop is a namespace without a profile: web calls api, nobody is known to call stats.
const shop = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: shop}}
---
apiVersion: v1
kind: Namespace
metadata: {name: lab}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: shop}
spec:
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec: {containers: [{name: c, image: c, ports: [{name: http, containerPort: 8080}]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: c, env: [{name: API_URL, value: "http://api:80/v1"}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: api, namespace: shop}
spec: {selector: {app: api}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: report, namespace: lab}
spec:
  selector: {matchLabels: {app: report}}
  template:
    metadata: {labels: {app: report}}
    spec: {containers: [{name: c, image: c, env: [{name: API_URL, value: "http://api.shop.svc:80/v1"}]}]}
`

const (
	webToAPI = `{apiVersion: palisade.floe.dev/v1alpha1, kind: TrafficRule, metadata: {name: api, namespace: shop}, spec: {to: {matchLabels: {app: api}}, from: [{pods: {podSelector: {matchLabels: {app: web}}}}], ports: [{port: http}]}}`
	shops    = `{apiVersion: palisade.floe.dev/v1alpha1, kind: SecurityProfile, metadata: {name: shops}, spec: {namespaceSelector: {matchLabels: {team: shop}}, mesh: {mtls: Unmanaged}}}`
)

func TestWhatDependsOnTheClusterIsAWarning(t *testing.T) {
	tests := map[string]struct {
		cluster []string
		was, is string
		want    []string
		never   []string
	}{
		"a rule for nobody": {
			is:   strings.Replace(webToAPI, "to: {matchLabels: {app: api}}", "to: {matchLabels: {app: nobody}}", 1),
			want: []string{"RuleMatchesNoServer: TrafficRule shop/api spec.to: no workload", "check the labels of the pods"},
		},
		"a rule from nobody": {
			is:   strings.Replace(webToAPI, "app: web", "app: nobody", 1),
			want: []string{"RuleMatchesNoClient: TrafficRule shop/api spec.from[0]: "}, never: []string{"RuleMatchesNoServer"},
		},
		"a namespace that does not exist": {
			is:   strings.Replace(webToAPI, "pods: {", "pods: {namespace: gone, ", 1),
			want: []string{"NamespaceNotFound: TrafficRule shop/api spec.from[0].pods.namespace: namespace gone does not exist"},
		},
		"a port that no container declares": {
			is:   strings.Replace(webToAPI, "port: http", "port: grpc", 1),
			want: []string{`PortNameUnknown: TrafficRule shop/api spec.ports[0].port: no container of the rule's servers has a TCP port named "grpc"`},
		},
		"the port of the Service": {
			is:   strings.Replace(webToAPI, "port: http", "port: 80", 1),
			want: []string{"RulePortIsServicePort: TrafficRule shop/api spec.ports[0].port: "}, never: []string{"no container of these"},
		},
		"a number that no container declares": {
			is:    strings.Replace(webToAPI, "port: http", "port: 9999", 1),
			want:  []string{"PortUndeclared: TrafficRule shop/api spec.ports[0].port: no container of these workloads declares port 9999/TCP; Deployment shop/api declares 8080/TCP", "unless they listen there without declaring it"},
			never: []string{"RulePortIsServicePort"},
		},
		"a number within a range, and one of workloads that declare nothing": {
			cluster: []string{shops},
			is:      strings.NewReplacer("to: {matchLabels: {app: api}}", "to: {}", "port: http", "port: 9999").Replace(webToAPI),
			never:   []string{"declares port"},
		},
		"a rule without fault under a profile": {
			cluster: []string{shops}, is: webToAPI,
			never: []string{"TrafficRule", "would break"},
		},
		"an exemption that has ended": {
			is:   `{apiVersion: palisade.floe.dev/v1alpha1, kind: Exemption, metadata: {name: e, namespace: shop}, spec: {workloads: {}, layers: [Network], reason: a good reason, owner: team, expires: "2026-11-23T11:59:59Z"}}`,
			want: []string{"ExemptionExpired: Exemption shop/e spec.expires: "},
		},
		"an exemption that ends within a week": {
			is:   `{apiVersion: palisade.floe.dev/v1alpha1, kind: Exemption, metadata: {name: e, namespace: shop}, spec: {workloads: {}, layers: [Network], reason: a good reason, owner: team, expires: "2026-11-29T12:00:00Z"}}`,
			want: []string{"ExemptionExpiring: Exemption shop/e spec.expires: "},
		},
		"an exemption of nothing": {
			is:   `{apiVersion: palisade.floe.dev/v1alpha1, kind: Exemption, metadata: {name: e, namespace: shop}, spec: {workloads: {matchLabels: {app: nobody}}, layers: [Network], reason: a good reason, owner: team, expires: "2027-11-29T12:00:00Z"}}`,
			want: []string{"ExemptionMatchesNothing: Exemption shop/e spec.workloads: "}, never: []string{"ExemptionExp", "ExemptionInForce"},
		},
		"external access of nobody": {
			is:   `{apiVersion: palisade.floe.dev/v1alpha1, kind: ExternalAccess, metadata: {name: out, namespace: shop}, spec: {from: {matchLabels: {app: nobody}}, to: [{preset: Internet}], ports: [{port: 443}]}}`,
			want: []string{"RuleMatchesNoClient: ExternalAccess shop/out spec.from: "},
		},
		"a profile that breaks what manifests name": {
			is: shops,
			want: []string{
				"would break: shop/web → shop/api:8080/TCP (Service shop/api:80), refused by the client's NetworkPolicies: ",
				"would break: lab/report → shop/api:8080/TCP", "SecurityProfile shops: 1 port behind Services would be closed to clients that no rule names",
			},
		},
		"a profile that breaks nothing that is declared": {
			cluster: []string{webToAPI, strings.NewReplacer("name: api, namespace", "name: lab, namespace", "pods: {podSelector: {matchLabels: {app: web}}}", "pods: {namespace: lab}").Replace(webToAPI)}, is: shops,
			never: []string{"would break"},
		},
		"a profile for nothing": {
			is:   strings.Replace(shops, "team: shop", "team: nobody", 1),
			want: []string{"ProfileGovernsNothing: SecurityProfile shops spec.namespaceSelector: "},
		},
		"two profiles of equal priority": {
			cluster: []string{shops}, is: strings.Replace(shops, "name: shops", "name: others", 1),
			want: []string{"SecurityProfile others spec.priority: shop would be selected by several profiles of equal priority"},
		},
		"a profile that names kube-system": {
			is:   strings.Replace(shops, "matchLabels: {team: shop}", "matchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: [kube-system]}]", 1),
			want: []string{"it names kube-system: a default deny there can cut the cluster's or the mesh's own pods off"},
		},
		"a profile that names every namespace leaves kube-system alone": {
			is:    strings.Replace(shops, "{matchLabels: {team: shop}}", "{}", 1),
			never: []string{"kube-system"},
		},
		"a profile goes": {
			cluster: []string{shops}, was: shops,
			want: []string{"SecurityProfile shops: no profile would govern shop any more: palisade would take back its NetworkPolicies"},
		},
		"a profile goes and another takes over": {
			cluster: []string{shops, strings.NewReplacer("name: shops", "name: base", "spec: {", "spec: {priority: -1, ").Replace(shops)}, was: shops,
			never: []string{"no profile would govern"},
		},
		"a selector lets a namespace go": {
			cluster: []string{shops}, was: shops, is: strings.Replace(shops, "team: shop", "team: nobody", 1),
			want: []string{"no profile would govern shop any more", "ProfileGovernsNothing"},
		},
		"a profile is only to observe": {
			cluster: []string{shops}, was: shops, is: strings.Replace(shops, "spec: {", "spec: {enforcement: Observe, ", 1),
			want: []string{"SecurityProfile shops spec.enforcement: shop would only be observed"},
		},
		"a profile that observes breaks nothing, and what it would is said": {
			is:   strings.Replace(shops, "spec: {", "spec: {enforcement: Observe, ", 1),
			want: []string{"would break: shop/web → "},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h := handlerOf(t, snapshotOf(t, append([]string{clusterFacts + shop}, test.cluster...)...))
			answer := ask(t, h, test.was, test.is)
			require.True(t, answer.Allowed, "%+v", answer.Result)
			told := strings.Join(answer.Warnings, "\n")
			for _, want := range test.want {
				assert.Contains(t, told, want)
			}
			for _, never := range test.never {
				assert.NotContains(t, told, never)
			}
			assert.NotContains(t, told, "not judged")
		})
	}
}

// odd has every fault that can never be right, each with what is said of it.
var odd = map[string]struct{ object, field, says string }{
	"selector-malformed":     {strings.Replace(webToAPI, "{matchLabels: {app: api}}", "{matchExpressions: [{key: app, operator: Matches}]}", 1), "spec.to.matchExpressions[0].operator", "Matches"},
	"peer-without-namespace": {strings.Replace(shops, "mesh: {", "network: {prometheus: [{podSelector: {matchLabels: {app: p}}}]}, mesh: {", 1), "spec.network.prometheus[0]", "names neither a namespace nor a namespaceSelector"},
	"except-outside-cidr": {strings.Replace(webToAPI, "{pods: {podSelector: {matchLabels: {app: web}}}}", `{cidr: "2001:db8::/32", except: ["2001:db8:1::/48", "2001:db8::/32", "::/0", "192.0.2.0/24"]}`, 1),
		"spec.from[0].except[1]", "covers all of cidr"},
	"http-on-other-protocol": {strings.Replace(webToAPI, "ports: [{port: http}]", "http: [{methods: [GET]}], ports: [{port: 8080}, {port: 53, protocol: UDP}]", 1), "spec.ports[1].protocol", "is UDP"},
	"limits-below-requests": {strings.Replace(shops, "mesh: {", `workload: {resources: {requests: {cpu: "2", memory: 1Gi}, limits: {cpu: 1500m, memory: 1024Mi}}}, mesh: {`, 1),
		"spec.workload.resources.requests[cpu]", "2 is above the limit, 1500m"},
	"registry-with-scheme": {strings.Replace(shops, "mesh: {", `workload: {allowedRegistries: [registry.example/a, "https://registry.example"]}, mesh: {`, 1), "spec.workload.allowedRegistries[1]", "is not how an image reference begins"},
}

func TestWhatCanNeverBeRightIsRefusedWithFieldAndFix(t *testing.T) {
	for _, n := range nevers {
		t.Run(n.name, func(t *testing.T) {
			c, ok := odd[n.name]
			require.True(t, ok, "every reason to refuse needs an object that shows it")
			answer := ask(t, handlerOf(t, nil), "", c.object) // whatever the cluster is, even one that was not read
			require.False(t, answer.Allowed)
			assert.Equal(t, int32(http.StatusUnprocessableEntity), answer.Result.Code)
			assert.Equal(t, metav1.StatusReasonInvalid, answer.Result.Reason)
			assert.Contains(t, answer.Result.Message, c.field+": ")
			assert.Contains(t, answer.Result.Message, c.says)
			require.NotNil(t, answer.Result.Details)
			var fields []string
			for _, cause := range answer.Result.Details.Causes {
				fields = append(fields, cause.Field)
			}
			assert.Contains(t, fields, c.field)
			if n.name == "except-outside-cidr" {
				assert.Equal(t, []string{"spec.from[0].except[1]", "spec.from[0].except[2]", "spec.from[0].except[3]"}, fields)
			} else {
				assert.Len(t, fields, 1)
			}
		})
	}
}

func TestAStoredFaultBlocksNothingButItself(t *testing.T) {
	h := handlerOf(t, snapshotOf(t, clusterFacts+shop))
	for name, c := range odd {
		t.Run(name, func(t *testing.T) {
			is := func(change func(o map[string]any)) string {
				raw, _ := rawOf(t, c.object)
				var tree map[string]any
				require.NoError(t, json.Unmarshal(raw.Raw, &tree))
				change(tree)
				text, err := json.Marshal(tree)
				require.NoError(t, err)
				return string(text)
			}
			meta := func(o map[string]any) map[string]any { return o["metadata"].(map[string]any) }
			spec := func(o map[string]any) map[string]any { return o["spec"].(map[string]any) }
			assert.True(t, ask(t, h, c.object, "").Allowed, "deletion")
			for what, changed := range map[string]string{
				"a label":    is(func(o map[string]any) { meta(o)["labels"] = map[string]any{"a": "b"} }),
				"finalizers": is(func(o map[string]any) { meta(o)["finalizers"] = []any{} }),
				"a finalizer that goes, with another spec": is(func(o map[string]any) {
					meta(o)["deletionTimestamp"] = "2026-11-23T12:00:00Z"
					spec(o)["priority"] = 7
				}),
				"status":                    is(func(o map[string]any) { o["status"] = map[string]any{"observedGeneration": 1} }),
				"another field of the spec": is(func(o map[string]any) { spec(o)["priority"] = 7 }),
			} {
				assert.True(t, ask(t, h, c.object, changed).Allowed, what)
			}
			answer := ask(t, h, c.object, c.object, func(r *admissionv1.AdmissionRequest) { r.SubResource = "status" })
			assert.True(t, answer.Allowed)
			assert.Empty(t, answer.Warnings)
		})
	}
	worse := strings.Replace(odd["registry-with-scheme"].object, "registry.example/a", "oci://registry.example", 1)
	assert.False(t, ask(t, h, odd["registry-with-scheme"].object, worse).Allowed, "a second fault")
}

func TestADryRunIsJudgedAlike(t *testing.T) {
	h := handlerOf(t, snapshotOf(t, clusterFacts+shop))
	yes := true
	wet, dry := ask(t, h, "", shops), ask(t, h, "", shops, func(r *admissionv1.AdmissionRequest) { r.DryRun = &yes })
	assert.Equal(t, wet.Warnings, dry.Warnings)
	assert.NotEmpty(t, dry.Warnings)
}

func TestTheSameRequestGetsTheSameWarnings(t *testing.T) {
	s := snapshotOf(t, clusterFacts+shop)
	first := ask(t, handlerOf(t, s), "", shops).Warnings
	for range 5 {
		assert.Equal(t, first, ask(t, handlerOf(t, s), "", shops).Warnings)
	}
}

func TestWhatIsNotKnownIsSaidAndNeverRefused(t *testing.T) {
	s := snapshotOf(t, clusterFacts+shop)
	t.Run("the cluster was not read", func(t *testing.T) {
		answer := ask(t, handlerOf(t, nil), "", shops)
		assert.True(t, answer.Allowed)
		assert.Equal(t, []string{"the impact was not judged: palisade has not read the whole cluster yet; see palisade plan"}, answer.Warnings)
	})
	t.Run("another kind", func(t *testing.T) {
		answer := ask(t, handlerOf(t, s), "", `{apiVersion: palisade.floe.dev/v9, kind: Moat, metadata: {name: m}}`)
		assert.True(t, answer.Allowed)
		assert.Len(t, answer.Warnings, 1)
	})
	t.Run("a shape that this palisade does not know", func(t *testing.T) {
		answer := ask(t, handlerOf(t, s), "", strings.Replace(webToAPI, "to: {matchLabels: {app: api}}", "to: [api]", 1))
		assert.True(t, answer.Allowed)
		require.Len(t, answer.Warnings, 1)
		assert.Contains(t, answer.Warnings[0], "palisade cannot read the object, so nothing was checked")
	})
	t.Run("a fault of our own", func(t *testing.T) {
		broken := func(o *Options) { o.Snapshot = func() (*engine.Snapshot, bool) { panic("no") } }
		answer := ask(t, handlerOf(t, s, broken), "", shops)
		assert.True(t, answer.Allowed)
		assert.Equal(t, []string{"the impact was not judged: something went wrong in palisade, and its log says what; see palisade plan"}, answer.Warnings)
	})
	t.Run("the time is over", func(t *testing.T) {
		slow := func(o *Options) {
			o.Budget = 50 * time.Millisecond
			o.Snapshot = func() (*engine.Snapshot, bool) { time.Sleep(time.Second); return s, true }
		}
		start := time.Now()
		answer := ask(t, handlerOf(t, s, slow), "", shops)
		assert.True(t, answer.Allowed)
		assert.Less(t, time.Since(start), 900*time.Millisecond)
		assert.Equal(t, []string{"the impact was not judged in time; see palisade plan"}, answer.Warnings)
	})
	t.Run("a part of the cluster cannot be read", func(t *testing.T) {
		answer := ask(t, handlerOf(t, snapshotOf(t, shop, webToAPI), func(o *Options) { o.Given.Mesh = "linkerd" }), "", shops)
		assert.True(t, answer.Allowed)
	})
}

func TestOneImpactIsWorkedOutAtATime(t *testing.T) {
	s := snapshotOf(t, clusterFacts+shop)
	o := Options{Namespace: "palisade-system", Given: engine.Given{Mesh: "none"}, Clock: func() time.Time { return noon }, Budget: 400 * time.Millisecond}
	o.Snapshot = func() (*engine.Snapshot, bool) { return s, true }
	require.NoError(t, o.complete())
	f := newForecaster(&o)
	f.lane <- struct{}{} // somebody else is at it
	rule := mustRead(t, "TrafficRule", strings.Replace(webToAPI, "app: web", "app: nobody", 1))
	told := strings.Join(f.warn(t.Context(), engine.Proposal{New: rule}), "\n")
	assert.Contains(t, told, "RuleMatchesNoClient", "what is cheap is said all the same")
	assert.Contains(t, told, "the impact was not judged: other changes are being judged; see palisade plan")
	<-f.lane
	var all sync.WaitGroup
	var judged atomic.Int64
	for range 20 {
		all.Go(func() {
			if !strings.Contains(strings.Join(f.warn(t.Context(), engine.Proposal{New: rule}), "\n"), "not judged") {
				judged.Add(1)
			}
		})
	}
	all.Wait()
	assert.Positive(t, judged.Load())
}

func mustRead(t *testing.T, kind, manifest string) any {
	t.Helper()
	raw, _ := rawOf(t, manifest)
	o := kinds[kind]()
	require.NoError(t, json.Unmarshal(raw.Raw, o.object()))
	return o.object()
}

func TestWarningsKeepToWhatAnAPIServerPassesOn(t *testing.T) {
	var many []warning
	for i := range 500 {
		many = append(many, warning{rank: i % 7, code: fmt.Sprintf("Code%d", i), text: strings.Repeat("ж→\x00\n", 100)})
	}
	for _, list := range [][]warning{nil, many[:1], many[:3], many} {
		texts := worded(append([]warning{}, list...), []string{"the impact was not judged in time; " + seePlan})
		total := 0
		for _, text := range texts {
			assert.LessOrEqual(t, len(text), maxWarning)
			assert.True(t, utf8.ValidString(text))
			assert.NotContains(t, text, "\x00")
			assert.NotContains(t, text, "\n")
			total += len(text)
		}
		assert.LessOrEqual(t, total, maxWarnings)
		assert.Equal(t, "the impact was not judged in time; see palisade plan", texts[len(texts)-1])
		if len(list) == 500 {
			assert.Regexp(t, `^and \d+ more, see palisade plan$`, texts[len(texts)-2])
		}
	}
	grouped := worded([]warning{{code: "A", text: "one"}, {code: "A", text: "two"}, {code: "B", text: "three"}}, nil)
	assert.Equal(t, []string{"one (and 1 more of A)", "three"}, grouped)
}

func FuzzAdmissionReview(f *testing.F) {
	s := snapshotOf(f, clusterFacts+shop, shops, webToAPI)
	h := handlerOf(f, s)
	for _, c := range odd {
		f.Add(reviewOf(f, "CREATE", "", c.object))
	}
	f.Add(reviewOf(f, "UPDATE", shops, strings.Replace(shops, "team: shop", "team: other", 1)))
	f.Add(reviewOf(f, "DELETE", shops, ""))
	f.Add(reviewOf(f, "CONNECT", "", webToAPI))
	f.Add([]byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1","kind":{"group":"palisade.floe.dev","version":"v1alpha1","kind":"Exemption"},"operation":"UPDATE","object":null,"oldObject":{}}}`))
	f.Add([]byte(`{"kind":"AdmissionReview"`))
	f.Fuzz(func(t *testing.T, body []byte) {
		answer := post(t, h, body)
		var out admissionv1.AdmissionReview
		if err := json.Unmarshal(answer.Body.Bytes(), &out); err != nil || out.Response == nil {
			t.Fatalf("%d %s", answer.Code, answer.Body)
		}
		total := 0
		for _, text := range out.Response.Warnings {
			total += len(text)
			if len(text) > maxWarning || strings.ContainsAny(text, "\n\r\x00") {
				t.Fatalf("%q", text)
			}
		}
		if total > maxWarnings {
			t.Fatalf("%d bytes of warnings", total)
		}
		if !out.Response.Allowed && (out.Response.Result == nil || out.Response.Result.Message == "") {
			t.Fatal("refused without a word")
		}
	})
}

func reviewOf(t testing.TB, operation, was, is string) []byte {
	t.Helper()
	stored, _ := rawOf(t, was)
	wanted, meta := rawOf(t, is)
	if is == "" {
		_, meta = rawOf(t, was)
	}
	body, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: "1", Operation: admissionv1.Operation(operation), Object: wanted, OldObject: stored, Name: meta.Name, Namespace: meta.Namespace,
			Kind: metav1.GroupVersionKind{Group: "palisade.floe.dev", Version: "v1alpha1", Kind: meta.Kind},
		},
	})
	require.NoError(t, err)
	return bytes.TrimSpace(body)
}

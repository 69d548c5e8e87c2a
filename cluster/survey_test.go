package cluster

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/client-go/rest"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/model"
	"floe.dev/palisade/preflight"
)

func TestOnlyCertificatesAreKeptOfASecret(t *testing.T) {
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("public")})
	key := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte("private")})
	encoded := func(parts ...[]byte) string {
		return base64.StdEncoding.EncodeToString(slices.Concat(parts...))
	}
	kept := certificatesOf(map[string]string{
		"tls.crt": encoded(certificate), "tls.key": encoded(key),
		"both.pem": encoded(certificate, key, []byte("password=hunter2\n"), certificate),
		"headed":   encoded([]byte("-----BEGIN CERTIFICATE-----\nSecret: hunter2\n\ncHVibGlj\n-----END CERTIFICATE-----\n")),
		"token":    encoded([]byte("hunter2")), "broken": "!",
	})
	assert.Equal(t, map[string][]byte{
		"tls.crt": certificate, "both.pem": slices.Concat(certificate, certificate), "headed": certificate,
	}, kept)
}

func TestOfSecretsInFilesOnlyCertificatesAreKept(t *testing.T) {
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("public")})
	key := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte("private")})
	secret := func(name string, data string) string {
		return "{apiVersion: v1, kind: Secret, metadata: {name: " + name + ", namespace: istio-system, annotations: {kubectl.kubernetes.io/last-applied-configuration: hunter2}}, " + data + "}\n---\n"
	}
	quoted := func(text []byte) string { return `"` + strings.ReplaceAll(string(text), "\n", `\n`) + `"` }
	s := read(t, secret("cacerts", "stringData: {ca-cert.pem: "+quoted(certificate)+", ca-key.pem: "+quoted(key)+"}")+
		secret("istio-ca-secret", "data: {ca-cert.pem: "+base64.StdEncoding.EncodeToString(slices.Concat(certificate, key))+"}")+
		secret("password", "stringData: {password: hunter2}"))
	require.Len(t, s.Objects, 2)
	want := base64.StdEncoding.EncodeToString(certificate)
	for _, o := range s.Objects {
		assert.Equal(t, map[string]any{"ca-cert.pem": want}, o.Map("data"))
		assert.Nil(t, o.Map("stringData"))
		assert.NotContains(t, fmt.Sprint(o.Tree), "hunter2")
	}
	assert.Equal(t, map[string]int{"v1 Secret": 1}, s.Unknown)
}

// Whatever a Secret holds, only certificates come out.
func FuzzCertificatesOf(f *testing.F) {
	f.Add([]byte("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nKey: value\n\nAAAA\n-----END CERTIFICATE-----"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, kept := range certificatesOf(map[string]string{"k": base64.StdEncoding.EncodeToString(data)}) {
			for rest := kept; len(rest) > 0; {
				var block *pem.Block
				block, rest = pem.Decode(rest)
				if block == nil || block.Type != "CERTIFICATE" || len(block.Headers) > 0 {
					t.Fatalf("kept %q", kept)
				}
			}
		}
	})
}

func TestDifferencesOfADefinitionAreNamed(t *testing.T) {
	all := ownDefinitions()
	require.Len(t, all, 6)
	name := "trafficrules." + v1alpha1.GroupVersion.Group
	tests := map[string]struct {
		change func(*apiextensionsv1.CustomResourceDefinition)
		want   string
	}{
		"nothing":        {func(*apiextensionsv1.CustomResourceDefinition) {}, ""},
		"a description":  {func(c *apiextensionsv1.CustomResourceDefinition) { schemaOf(c).Description = "another" }, ""},
		"a field":        {func(c *apiextensionsv1.CustomResourceDefinition) { delete(schemaOf(c).Properties, "spec") }, "has another schema of version v1alpha1"},
		"a version":      {func(c *apiextensionsv1.CustomResourceDefinition) { c.Spec.Versions[0].Name = "v1alpha0" }, "has no version v1alpha1"},
		"not served":     {func(c *apiextensionsv1.CustomResourceDefinition) { c.Spec.Versions[0].Served = false }, "does not serve version v1alpha1"},
		"no status":      {func(c *apiextensionsv1.CustomResourceDefinition) { c.Spec.Versions[0].Subresources = nil }, "differs in whether version v1alpha1 has a status of its own"},
		"of the cluster": {func(c *apiextensionsv1.CustomResourceDefinition) { c.Spec.Scope = apiextensionsv1.ClusterScoped }, "has the scope Cluster instead of Namespaced"},
		"no schema":      {func(c *apiextensionsv1.CustomResourceDefinition) { c.Spec.Versions[0].Schema = nil }, "has another schema of version v1alpha1"},
		"a version more": {func(c *apiextensionsv1.CustomResourceDefinition) {
			c.Spec.Versions = append(c.Spec.Versions, apiextensionsv1.CustomResourceDefinitionVersion{Name: "v2"})
		}, ""},
		"a field of a field": {func(c *apiextensionsv1.CustomResourceDefinition) { addDescription(c) }, "has another schema of version v1alpha1"},
	}
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			there := all[name].DeepCopy()
			test.change(there)
			assert.Equal(t, test.want, difference(all[name], there))
		})
	}
}

func schemaOf(c *apiextensionsv1.CustomResourceDefinition) *apiextensionsv1.JSONSchemaProps {
	return c.Spec.Versions[0].Schema.OpenAPIV3Schema
}

// addDescription adds a field whose name is "description": that is no description.
func addDescription(c *apiextensionsv1.CustomResourceDefinition) {
	spec := schemaOf(c).Properties["spec"]
	spec.Properties["description"] = apiextensionsv1.JSONSchemaProps{Type: "string"}
	schemaOf(c).Properties["spec"] = spec
}

// What a check says that it reads is a resource that is read: a slip would let it pass unread.
func TestWhatChecksReadIsRead(t *testing.T) {
	known := map[string]bool{}
	for _, k := range knownKinds {
		plural := strings.ToLower(k.kind) + "s"
		if strings.HasSuffix(k.kind, "y") {
			plural = strings.TrimSuffix(strings.ToLower(k.kind), "y") + "ies"
		}
		known[strings.TrimPrefix(k.group+"/"+plural, "/")] = true
	}
	for name := range ownDefinitions() {
		resource, group, _ := strings.Cut(name, ".")
		known[group+"/"+resource] = true
	}
	for _, check := range preflight.Catalogue() {
		for _, resource := range check.Reads {
			if group, all := strings.CutSuffix(resource, "/*"); resource == "*" || all && looksAtGroup(group) {
				continue
			}
			assert.True(t, known[resource], "%s reads %s", check.ID, resource)
		}
	}
}

// answers is an API server that knows a few paths by heart; all others are forbidden.
func answers(t *testing.T, date time.Time, paths map[string]any) *rest.Config {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Date", date.UTC().Format(http.TimeFormat))
		answer, known := paths[r.URL.Path]
		if !known {
			w.WriteHeader(http.StatusForbidden)
			answer = map[string]any{"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden", "message": "not for you: " + r.URL.Path}
		}
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusCreated)
		}
		assert.NoError(t, json.NewEncoder(w).Encode(answer))
	}))
	t.Cleanup(server.Close)
	return &rest.Config{Host: server.URL}
}

func TestASurveyNotesWhatItMayNotRead(t *testing.T) {
	date := time.Now().Add(-time.Hour).Truncate(time.Second)
	config := answers(t, date, map[string]any{
		"/version": map[string]any{"gitVersion": "v1.37.2"},
		"/api":     map[string]any{"kind": "APIVersions", "versions": []any{"v1"}},
		"/apis":    map[string]any{"kind": "APIGroupList", "apiVersion": "v1", "groups": []any{}},
		"/api/v1": map[string]any{"kind": "APIResourceList", "groupVersion": "v1", "resources": []any{
			map[string]any{"name": "pods", "kind": "Pod", "namespaced": true, "verbs": []any{"list"}},
			map[string]any{"name": "pods/log", "kind": "Pod", "namespaced": true, "verbs": []any{"get"}},
			map[string]any{"name": "secrets", "kind": "Secret", "namespaced": true, "verbs": []any{"list"}},
		}},
		"/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": map[string]any{
			"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "status": map[string]any{"allowed": true},
		},
	})
	var steps []int
	s, err := Survey(t.Context(), config, preflight.Needs{
		For: preflight.Controller, Home: "palisade-system",
		Access:   []preflight.Permission{{Verb: "patch", Resource: "namespaces"}},
		Secrets:  []model.Ref{{Kind: "Secret", Namespace: "istio-system", Name: "cacerts"}},
		Services: []preflight.ServiceName{{Namespace: "istio-system", Name: "istiod"}},
	}, func(_ string, done, _ int) { steps = append(steps, done) })
	require.NoError(t, err)
	assert.Equal(t, "v1.37.2", s.Version)
	assert.Equal(t, date.Unix(), s.Date.Unix())
	assert.WithinDuration(t, time.Now(), s.Clock, 5*time.Second)
	assert.Equal(t, []preflight.Served{{Version: "v1", Kind: "Pod"}, {Version: "v1", Kind: "Secret"}}, s.Served)

	var asked []string
	for _, a := range s.Access {
		assert.True(t, a.Allowed)
		asked = append(asked, a.String())
	}
	assert.ElementsMatch(t, []string{"patch namespaces", "get pods", "list pods", "watch pods"}, asked, "of what is served, what palisade looks at")
	require.Len(t, s.Bundles, 1)
	assert.Contains(t, s.Bundles[0].Unread, "not for you")
	require.Len(t, s.Backends, 1)
	assert.Contains(t, s.Backends[0].Unread, "not for you")
	require.Len(t, s.Definitions, 6)
	assert.Contains(t, s.Definitions[0].Unread, "not for you")
	assert.Contains(t, s.LeasesUnread, "not for you")
	assert.Empty(t, s.User)
	assert.Len(t, steps, 4+1+1+6+1)
	assert.True(t, slices.IsSorted(steps))
}

func TestASurveyOfNobodyIsAnError(t *testing.T) {
	_, err := Survey(t.Context(), &rest.Config{Host: "http://127.0.0.1:1"}, preflight.Needs{}, nil)
	require.ErrorContains(t, err, "the cluster at http://127.0.0.1:1 does not answer: ")
}

func TestHealthComesFromTheStatus(t *testing.T) {
	of := func(text string) *model.Health {
		s := read(t, text)
		if len(s.Workloads) == 1 {
			return s.Workloads[0].Health
		}
		require.Len(t, s.Workloads, 1)
		return nil
	}
	template := "selector: {matchLabels: {app: a}}, template: {metadata: {labels: {app: a}}, spec: {containers: [{name: c, image: c}]}}"
	tests := map[string]struct {
		text string
		want *model.Health
	}{
		"a Deployment":               {"{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {replicas: 3, " + template + "}, status: {readyReplicas: 2}}", &model.Health{Desired: 3, Ready: 2}},
		"a Deployment with none":     {"{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {" + template + "}, status: {observedGeneration: 1}}", &model.Health{Desired: 1}},
		"a manifest":                 {"{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {" + template + "}}", nil},
		"a manifest, as Helm has it": {"{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}, spec: {" + template + "}, status: {}}", nil},
		"a DaemonSet":                {"{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: a}, spec: {" + template + "}, status: {desiredNumberScheduled: 5, numberReady: 4}}", &model.Health{Desired: 5, Ready: 4}},
		"a StatefulSet":              {"{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: a}, spec: {replicas: 2, " + template + "}, status: {readyReplicas: 2}}", &model.Health{Desired: 2, Ready: 2}},
		"a Job":                      {"{apiVersion: batch/v1, kind: Job, metadata: {name: a}, spec: {template: {spec: {containers: [{name: c, image: c}]}}}, status: {active: 1}}", nil},
		"a Pod that is ready":        {"{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: c, image: c}]}, status: {phase: Running, conditions: [{type: Ready, status: 'True'}]}}", &model.Health{Desired: 1, Ready: 1}},
		"a Pod that is not":          {"{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: c, image: c}]}, status: {phase: Running, conditions: [{type: Ready, status: 'False'}]}}", &model.Health{Desired: 1}},
		"ReplicaSets of an absent Deployment": {`
{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: a-1, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: a, uid: u, controller: true}]}, spec: {replicas: 2, ` + template + `}, status: {readyReplicas: 1}}
---
{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: a-2, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: a, uid: u, controller: true}]}, spec: {replicas: 0, ` + template + `}, status: {observedGeneration: 1}}`,
			&model.Health{Desired: 2, Ready: 1}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { assert.Equal(t, test.want, of(test.text)) })
	}
}

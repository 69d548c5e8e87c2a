package admission

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/cluster"
	"floe.dev/palisade/engine"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const (
	clusterFacts = `
apiVersion: v1
kind: Node
metadata: {name: node}
spec: {podCIDR: 10.244.0.0/16}
status: {addresses: [{type: InternalIP, address: 172.18.0.2}]}
---
apiVersion: v1
kind: Service
metadata: {name: kubernetes, namespace: default}
spec: {clusterIP: 10.96.0.1, ports: [{name: https, port: 443, targetPort: 6443}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kubernetes, namespace: default, labels: {kubernetes.io/service-name: kubernetes}}
addressType: IPv4
endpoints: [{addresses: [172.18.0.9]}]
ports: [{name: https, port: 6443, protocol: TCP}]
---
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec:
  clusterIP: 10.96.0.10
  selector: {k8s-app: kube-dns}
  ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: coredns, namespace: kube-system}
spec:
  selector: {matchLabels: {k8s-app: kube-dns}}
  template:
    metadata: {labels: {k8s-app: kube-dns}}
    spec: {containers: [{name: coredns, image: coredns, ports: [{name: dns, containerPort: 53, protocol: UDP}, {name: dns-tcp, containerPort: 53, protocol: TCP}]}]}
---
`
	profileOfTeams = `
apiVersion: palisade.floe.dev/v1alpha1
kind: SecurityProfile
metadata: {name: teams}
spec: {namespaceSelector: {matchExpressions: [{key: team, operator: Exists}]}}
`
)

func portOf(number int32) intstr.IntOrString { return intstr.FromInt32(number) }

func snapshotOf(t testing.TB, manifests ...string) *engine.Snapshot {
	t.Helper()
	s, err := cluster.Read([]string{"-"}, strings.NewReader(strings.Join(manifests, "\n---\n")), cluster.Options{})
	require.NoError(t, err)
	return s
}

// handlerOf is the webhook as an API server reaches it, over a snapshot; without one, nothing was read yet.
func handlerOf(t testing.TB, s *engine.Snapshot, change ...func(*Options)) http.Handler {
	t.Helper()
	o := Options{Namespace: "palisade-system", Given: engine.Given{Mesh: "none"}, Clock: func() time.Time { return noon }, Log: logr.Discard()}
	o.Snapshot = func() (*engine.Snapshot, bool) { return s, s != nil }
	for _, c := range change {
		c(&o)
	}
	require.NoError(t, o.complete())
	return &admission.Webhook{Handler: &validator{forecaster: newForecaster(&o)}}
}

// post sends an AdmissionReview.
func post(t testing.TB, h http.Handler, body []byte) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, ValidatePath, bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, r)
	return answer
}

func rawOf(t testing.TB, manifest string) (runtime.RawExtension, metav1.PartialObjectMetadata) {
	t.Helper()
	var meta metav1.PartialObjectMetadata
	if manifest == "" {
		return runtime.RawExtension{}, meta
	}
	raw, err := yaml.YAMLToJSONStrict([]byte(manifest))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &meta))
	return runtime.RawExtension{Raw: raw}, meta
}

// ask sends one request about an object, as it is stored and as it is wanted, either as YAML or empty.
func ask(t testing.TB, h http.Handler, was, is string, change ...func(*admissionv1.AdmissionRequest)) *admissionv1.AdmissionResponse {
	t.Helper()
	stored, old := rawOf(t, was)
	wanted, meta := rawOf(t, is)
	operation := admissionv1.Update
	switch {
	case was == "":
		operation = admissionv1.Create
	case is == "":
		operation, meta = admissionv1.Delete, old
	}
	request := &admissionv1.AdmissionRequest{
		UID: "1", Operation: operation, Object: wanted, OldObject: stored, Name: meta.Name, Namespace: meta.Namespace,
		Kind: metav1.GroupVersionKind{Group: "palisade.floe.dev", Version: "v1alpha1", Kind: meta.Kind},
	}
	for _, c := range change {
		c(request)
	}
	review := admissionv1.AdmissionReview{TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}, Request: request}
	body, err := json.Marshal(review)
	require.NoError(t, err)
	var out admissionv1.AdmissionReview
	answer := post(t, h, body)
	require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &out), "%s", answer.Body)
	require.NotNil(t, out.Response)
	return out.Response
}

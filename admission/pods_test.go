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
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"floe.dev/palisade/api/v1alpha1"
	"floe.dev/palisade/engine"
)

const (
	hardeningProfile = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: a}}
---
apiVersion: v1
kind: Namespace
metadata: {name: lab, labels: {team: b}}
---
apiVersion: palisade.floe.dev/v1alpha1
kind: SecurityProfile
metadata: {name: production}
spec:
  namespaceSelector: {matchLabels: {team: a}}
  securityContext: {}
  workload: {resources: {limits: {memory: 256Mi}, requests: {cpu: 50m}}}
---
apiVersion: palisade.floe.dev/v1alpha1
kind: SecurityProfile
metadata: {name: trial}
spec: {namespaceSelector: {matchLabels: {team: b}}, enforcement: Observe, securityContext: {}}
`
	exemptionOfOld = `
apiVersion: palisade.floe.dev/v1alpha1
kind: Exemption
metadata: {name: old, namespace: shop}
spec: {workloads: {matchLabels: {app: old}}, layers: [PodSecurity], podSecurityLevel: privileged, reason: until the new image is there, owner: team a, expires: "2026-11-23T13:00:00Z"}
`
	plainPod = `
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: app, image: "app:1.2.3"}]}
`
)

// podsHandler is the webhook for pods over a snapshot; none was read where it is nil.
func podsHandler(t testing.TB, s *engine.Snapshot, now time.Time) (*pods, *prometheus.Registry) {
	t.Helper()
	var guard *engine.Guard
	if s != nil {
		guard = engine.NewGuard(s, engine.Given{Mesh: "none"})
	}
	registry := prometheus.NewRegistry()
	h, err := NewPods(func() *engine.Guard { return guard }, nil, func() time.Time { return now }, logr.Discard(), registry)
	require.NoError(t, err)
	p, ok := h.(*pods)
	require.True(t, ok)
	return p, registry
}

// podReview is the request of an API server to create a pod.
func podReview(t testing.TB, pod []byte, change ...func(*admissionv1.AdmissionRequest)) []byte {
	t.Helper()
	r := &admissionv1.AdmissionRequest{
		UID: "705ab4f5", Operation: admissionv1.Create, Namespace: "shop", Kind: metav1.GroupVersionKind{Version: "v1", Kind: "Pod"},
		Resource: metav1.GroupVersionResource{Version: "v1", Resource: "pods"}, Object: runtime.RawExtension{Raw: pod},
	}
	for _, c := range change {
		c(r)
	}
	body, err := json.Marshal(admissionv1.AdmissionReview{TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}, Request: r})
	require.NoError(t, err)
	return body
}

func rawPod(t testing.TB, manifest string) []byte {
	t.Helper()
	raw, err := yaml.YAMLToJSONStrict([]byte(manifest))
	require.NoError(t, err)
	return raw
}

// admit asks about a pod, and returns it as the API server would make it of the answer.
func admit(t testing.TB, h http.Handler, manifest string, change ...func(*admissionv1.AdmissionRequest)) (*corev1.Pod, *admissionv1.AdmissionResponse) {
	t.Helper()
	raw := rawPod(t, manifest)
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, MutatePath, bytes.NewReader(podReview(t, raw, change...))))
	require.Equal(t, http.StatusOK, answer.Code, answer.Body)
	var out admissionv1.AdmissionReview
	decoder := json.NewDecoder(answer.Body)
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&out))
	require.Equal(t, "admission.k8s.io/v1, Kind=AdmissionReview", out.GroupVersionKind().String())
	require.Equal(t, "705ab4f5", string(out.Response.UID))
	require.True(t, out.Response.Allowed, "pods are never refused")
	if out.Response.Patch != nil {
		require.Equal(t, admissionv1.PatchTypeJSONPatch, *out.Response.PatchType)
		patch, err := jsonpatch.DecodePatch(out.Response.Patch)
		require.NoError(t, err)
		raw, err = patch.Apply(raw)
		require.NoError(t, err)
	}
	var pod corev1.Pod
	require.NoError(t, json.Unmarshal(raw, &pod))
	return &pod, out.Response
}

func TestPodsAreGivenTheDefaultsOfTheirProfile(t *testing.T) {
	h, registry := podsHandler(t, snapshotOf(t, clusterFacts, hardeningProfile), noon)
	pod, response := admit(t, h, plainPod)
	assert.True(t, *pod.Spec.SecurityContext.RunAsNonRoot)
	assert.True(t, *pod.Spec.Containers[0].SecurityContext.ReadOnlyRootFilesystem)
	assert.Equal(t, "256Mi", pod.Spec.Containers[0].Resources.Limits.Memory().String())
	assert.True(t, strings.HasPrefix(pod.Annotations["palisade.floe.dev/hardened"], "profile production; spec.securityContext.fsGroup=1000; "))
	assert.Empty(t, response.Warnings)
	admit(t, h, plainPod, func(r *admissionv1.AdmissionRequest) { r.Namespace = "lab" })
	assert.Equal(t, map[string]float64{"changed": 1, "unchanged": 1, "failed": 0}, outcomes(t, registry))
}

// outcomes is what the handler has counted.
func outcomes(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	require.Len(t, families, 1)
	require.Equal(t, "palisade_webhook_pods_total", families[0].GetName())
	counted := map[string]float64{}
	for _, m := range families[0].Metric {
		counted[m.Label[0].GetValue()] = m.Counter.GetValue()
	}
	return counted
}

func TestWhatIsNoNewPodOfAnEnforcingProfileIsLeftAlone(t *testing.T) {
	h, _ := podsHandler(t, snapshotOf(t, clusterFacts, hardeningProfile), noon)
	for name, change := range map[string]func(*admissionv1.AdmissionRequest){
		"a profile that only observes": func(r *admissionv1.AdmissionRequest) { r.Namespace = "lab" },
		"no profile":                   func(r *admissionv1.AdmissionRequest) { r.Namespace = "default" },
		"a change of a pod":            func(r *admissionv1.AdmissionRequest) { r.Operation = admissionv1.Update },
		"a binding":                    func(r *admissionv1.AdmissionRequest) { r.SubResource = "binding" },
		"another kind":                 func(r *admissionv1.AdmissionRequest) { r.Kind.Kind = "Service" },
		"another group":                func(r *admissionv1.AdmissionRequest) { r.Kind.Group = "metrics.k8s.io" },
		"a deletion":                   func(r *admissionv1.AdmissionRequest) { r.Operation, r.Object.Raw = admissionv1.Delete, nil },
	} {
		_, response := admit(t, h, plainPod, change)
		assert.Empty(t, response.Patch, name)
	}
}

func TestExemptionCountsUntilTheSecondAtWhichItEnds(t *testing.T) {
	old := strings.ReplaceAll(plainPod, "app: web", "app: old")
	s := snapshotOf(t, clusterFacts, hardeningProfile, exemptionOfOld)
	end := time.Date(2026, 11, 23, 13, 0, 0, 0, time.UTC)
	h, _ := podsHandler(t, s, end.Add(-time.Second))
	pod, _ := admit(t, h, old)
	assert.Nil(t, pod.Spec.SecurityContext)
	assert.Nil(t, pod.Spec.Containers[0].SecurityContext)
	assert.NotEmpty(t, pod.Spec.Containers[0].Resources.Limits, "what workload gives is given")
	assert.Contains(t, pod.Annotations["palisade.floe.dev/hardened"], "profile production, without the security context: Exemption shop/old; ")
	other, _ := admit(t, h, plainPod)
	assert.NotNil(t, other.Spec.SecurityContext, "other pods are not exempt")
	h, _ = podsHandler(t, s, end)
	pod, _ = admit(t, h, old)
	assert.NotNil(t, pod.Spec.SecurityContext)
}

// What is watched lags behind what is stored.
func TestExemptionThatIsNotKnownYetCounts(t *testing.T) {
	old := strings.ReplaceAll(plainPod, "app: web", "app: old")
	stored := snapshotOf(t, clusterFacts, hardeningProfile, exemptionOfOld).Exemptions
	h, _ := podsHandler(t, snapshotOf(t, clusterFacts, hardeningProfile), noon)
	var read []string
	h.fresh = func(namespace string) ([]v1alpha1.Exemption, error) {
		read = append(read, namespace)
		return stored, nil
	}
	pod, _ := admit(t, h, old)
	assert.Nil(t, pod.Spec.SecurityContext)
	assert.Contains(t, pod.Annotations["palisade.floe.dev/hardened"], "Exemption shop/old; ")
	pod, _ = admit(t, h, plainPod)
	assert.NotNil(t, pod.Spec.SecurityContext)
	admit(t, h, plainPod, func(r *admissionv1.AdmissionRequest) { r.Namespace = "lab" })
	assert.Equal(t, []string{"shop", "shop"}, read, "nothing is read for pods that are not changed")
	h.fresh = func(string) ([]v1alpha1.Exemption, error) { return nil, errNotKnown }
	pod, _ = admit(t, h, old)
	assert.NotNil(t, pod.Spec.SecurityContext, "where it cannot be read, what is known counts")
}

func TestWhoeverCreatesAWeakPodIsTold(t *testing.T) {
	h, _ := podsHandler(t, snapshotOf(t, clusterFacts, hardeningProfile), noon)
	weak := `
metadata: {name: web, namespace: shop}
spec: {containers: [{name: app, image: "app:1.2.3", securityContext: {runAsUser: 0, allowPrivilegeEscalation: true}}]}
`
	_, response := admit(t, h, weak)
	assert.Equal(t, []string{
		"spec.containers[app].securityContext.runAsUser is 0, which is root; give the image a user and leave the field out, or have an Exemption of the layer PodSecurity",
		"spec.containers[app].securityContext.allowPrivilegeEscalation lets it gain rights; set it to false",
	}, response.Warnings)
	_, response = admit(t, h, strings.Replace(weak, "namespace: shop", "namespace: shop, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: r, uid: u, controller: true}]", 1))
	assert.Empty(t, response.Warnings, "nobody reads what a controller is told")
}

// Where it is not known what is wanted the request fails, and the API server does what the namespace chose.
func TestWhatIsNotKnownFails(t *testing.T) {
	ask := func(h http.Handler, body string) int {
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, MutatePath, strings.NewReader(body)))
		return answer.Code
	}
	h, _ := podsHandler(t, nil, noon)
	assert.Equal(t, http.StatusServiceUnavailable, ask(h, string(podReview(t, rawPod(t, plainPod)))))
	h, registry := podsHandler(t, snapshotOf(t, clusterFacts, hardeningProfile), noon)
	for _, body := range []string{"", "{", `{"request":{}}`, `{"request":{"uid":"1","object":{"spec":`, strings.Repeat(" ", maxReview+1)} {
		assert.Equal(t, http.StatusBadRequest, ask(h, body))
	}
	assert.Equal(t, map[string]float64{"changed": 0, "unchanged": 0, "failed": 5}, outcomes(t, registry))
}

func TestWhereProfilesTieNoneGives(t *testing.T) {
	tied := strings.ReplaceAll(strings.Split(hardeningProfile, "---")[2], "name: production", "name: production-too")
	h, _ := podsHandler(t, snapshotOf(t, clusterFacts, hardeningProfile, tied), noon)
	_, response := admit(t, h, plainPod)
	assert.Empty(t, response.Patch)
}

// The namespaces of the system, and that of a mesh's control plane, are governed only where a profile names them.
func TestTheSystemsPodsAreLeftAlone(t *testing.T) {
	everywhere := strings.Replace(hardeningProfile, "matchLabels: {team: a}", "", 1)
	h, _ := podsHandler(t, snapshotOf(t, clusterFacts, everywhere), noon)
	for _, system := range []string{"kube-system", "palisade-system"} {
		_, response := admit(t, h, plainPod, func(r *admissionv1.AdmissionRequest) { r.Namespace = system })
		assert.Empty(t, response.Patch, system)
	}
	_, response := admit(t, h, plainPod)
	assert.NotEmpty(t, response.Patch)
}

// Linkerd leaves pods without a token out of the mesh where it projects none of its own.
func TestNoTokenIsTakenWhereLinkerdNeedsIt(t *testing.T) {
	linkerd := `
apiVersion: v1
kind: ConfigMap
metadata: {name: linkerd-config, namespace: linkerd}
data:
  values: |
    identityTrustDomain: cluster.local
    clusterDomain: cluster.local
    identity: {serviceAccountTokenProjection: PROJECTS}
`
	for projects, taken := range map[string]bool{"true": true, "false": false} {
		s := snapshotOf(t, clusterFacts, hardeningProfile, strings.Replace(linkerd, "PROJECTS", projects, 1))
		guard := engine.NewGuard(s, engine.Given{Mesh: "linkerd"})
		h, err := NewPods(func() *engine.Guard { return guard }, nil, func() time.Time { return noon }, logr.Discard(), prometheus.NewRegistry())
		require.NoError(t, err)
		pod, _ := admit(t, h, plainPod)
		assert.Equal(t, taken, pod.Spec.AutomountServiceAccountToken != nil, projects)
	}
}

package admission

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// allowance is how many allocations a pod may take in the handler, and bytesAllowance how much memory. Under the race
// detector, which throws buffers away at random, it takes more than what is written in docs/performance.md.
const (
	allowance      = 100
	bytesAllowance = 48 << 10
)

// servedPod is a pod as an API server sends it: of a ReplicaSet, with two containers, its defaults, token and managedFields.
func servedPod(t testing.TB) []byte {
	t.Helper()
	return rawPod(t, servedPodManifest)
}

// nullWriter is an answer that nobody reads.
type nullWriter struct{ header http.Header }

func (w *nullWriter) Header() http.Header         { return w.header }
func (w *nullWriter) Write(b []byte) (int, error) { return len(b), nil }
func (w *nullWriter) WriteHeader(int)             {}

// handled has a handler answer one review again and again.
func handled(t testing.TB, h http.Handler, body []byte) func() {
	t.Helper()
	w := &nullWriter{header: http.Header{}}
	reader := bytes.NewReader(body)
	r := httptest.NewRequest(http.MethodPost, MutatePath, nil)
	r.Header.Set("Content-Type", "application/json")
	return func() {
		reader.Reset(body)
		r.Body = io.NopCloser(reader)
		h.ServeHTTP(w, r)
	}
}

func TestAPodTakesFewAllocations(t *testing.T) {
	h, _ := podsHandler(t, snapshotOf(t, clusterFacts, hardeningProfile), noon)
	body := podReview(t, servedPod(t))
	result := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		serve := handled(b, h, body)
		for range b.N {
			serve()
		}
	})
	t.Logf("%d bytes in, %d allocations, %d bytes a pod, %s", len(body), result.AllocsPerOp(), result.AllocedBytesPerOp(), time.Duration(result.NsPerOp()))
	assert.LessOrEqual(t, result.AllocsPerOp(), int64(allowance))
	assert.LessOrEqual(t, result.AllocedBytesPerOp(), int64(bytesAllowance))
}

// usual is the pattern that most webhooks follow: decode the review and the pod, change it, marshal it, compare.
type usual struct{}

func (u *usual) Handle(_ context.Context, request admission.Request) admission.Response {
	pod := &corev1.Pod{}
	if err := json.Unmarshal(request.Object.Raw, pod); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	yes, no, id := true, false, int64(1000)
	pod.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsNonRoot: &yes, RunAsUser: &id, RunAsGroup: &id, FSGroup: &id, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}}
	pod.Spec.AutomountServiceAccountToken = &no
	for i := range pod.Spec.Containers {
		pod.Spec.Containers[i].SecurityContext = &corev1.SecurityContext{AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}
	}
	changed, err := json.Marshal(pod)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	return admission.PatchResponseFromRaw(request.Object.Raw, changed)
}

// empty reads a request and lets it through.
func empty(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header()["Content-Type"] = jsonType
	_, _ = io.WriteString(w, `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"705ab4f5","allowed":true}}`)
}

func BenchmarkPods(b *testing.B) {
	h, _ := podsHandler(b, snapshotOf(b, clusterFacts, hardeningProfile), noon)
	body := podReview(b, servedPod(b))
	for _, c := range []struct {
		name    string
		handler http.Handler
	}{
		{"palisade", h}, {"usual", &admission.Webhook{Handler: &usual{}}}, {"empty", http.HandlerFunc(empty)},
	} {
		b.Run("handler/"+c.name, func(b *testing.B) {
			b.ReportAllocs()
			serve := handled(b, c.handler, body)
			for range b.N {
				serve()
			}
		})
	}
}

// BenchmarkPodsOverTLS asks three servers in turn, request by request, so that what else the machine does is shared by all.
func BenchmarkPodsOverTLS(b *testing.B) {
	h, _ := podsHandler(b, snapshotOf(b, clusterFacts, hardeningProfile), noon)
	body := podReview(b, servedPod(b))
	names := []string{"empty", "palisade", "usual"}
	handlers := []http.Handler{http.HandlerFunc(empty), h, &admission.Webhook{Handler: &usual{}}}
	for _, clients := range []int{1, 50} {
		b.Run(map[int]string{1: "1-client", 50: "50-clients"}[clients], func(b *testing.B) {
			servers := make([]*httptest.Server, len(handlers))
			for i, handler := range handlers {
				servers[i] = httptest.NewUnstartedServer(handler)
				servers[i].EnableHTTP2 = true
				servers[i].StartTLS()
				defer servers[i].Close()
			}
			took := make([][]time.Duration, len(handlers))
			for i, s := range servers {
				burst(b, s, body, 100, clients)
				took[i] = nil
			}
			b.ResetTimer()
			for done := 0; done < b.N; {
				part := min(b.N-done, 20*clients)
				for i, s := range servers {
					took[i] = append(took[i], burst(b, s, body, part, clients)...)
				}
				done += part
			}
			b.StopTimer()
			base := quantile(took[0], 0.5)
			for i, name := range names {
				b.ReportMetric(float64(quantile(took[i], 0.5).Microseconds()), name+"-p50-us")
				b.ReportMetric(float64(quantile(took[i], 0.99).Microseconds()), name+"-p99-us")
				if i > 0 {
					b.ReportMetric(float64(quantile(took[i], 0.5))/float64(base), name+"-p50-ratio")
				}
			}
		})
	}
}

// burst sends n requests from some clients at once, over one connection as an API server does.
func burst(b *testing.B, s *httptest.Server, body []byte, n, clients int) []time.Duration {
	b.Helper()
	took := make([]time.Duration, n)
	var next atomic.Int64
	done := make(chan error, clients)
	for range clients {
		go func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				begin := time.Now()
				answer, err := s.Client().Post(s.URL, "application/json", bytes.NewReader(body))
				if err != nil {
					done <- err
					return
				}
				_, err = io.Copy(io.Discard, answer.Body)
				_ = answer.Body.Close()
				if took[i] = time.Since(begin); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range clients {
		require.NoError(b, <-done)
	}
	return took
}

func quantile(took []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(took))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

const servedPodManifest = `
apiVersion: v1
kind: Pod
metadata:
  generateName: cart-5d8c7b9f4d-
  namespace: shop
  creationTimestamp: null
  labels: {app: cart, app.kubernetes.io/part-of: shop, pod-template-hash: 5d8c7b9f4d, version: v1}
  annotations: {prometheus.io/scrape: "true", prometheus.io/port: "9090", checksum/config: 0b3d8f0c1d0f4a5c6e7f8a9b0c1d2e3f4a5b6c7d8e9f0a1b2c3d4e5f6a7b8c9d}
  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: cart-5d8c7b9f4d, uid: 8a0d1e7c-5f3b-4b0e-9d7a-2f6c1e3b5a7d, controller: true, blockOwnerDeletion: true}]
  managedFields:
  - manager: kube-controller-manager
    operation: Update
    apiVersion: v1
    time: "2026-11-23T12:00:00Z"
    fieldsType: FieldsV1
    fieldsV1: {"f:metadata": {"f:annotations": {".": {}, "f:checksum/config": {}, "f:prometheus.io/port": {}, "f:prometheus.io/scrape": {}}, "f:generateName": {}, "f:labels": {".": {}, "f:app": {}, "f:pod-template-hash": {}, "f:version": {}}, "f:ownerReferences": {".": {}, 'k:{"uid":"8a0d1e7c-5f3b-4b0e-9d7a-2f6c1e3b5a7d"}': {}}}, "f:spec": {"f:containers": {'k:{"name":"app"}': {".": {}, "f:env": {".": {}, 'k:{"name":"REDIS_ADDR"}': {".": {}, "f:name": {}, "f:value": {}}}, "f:image": {}, "f:imagePullPolicy": {}, "f:livenessProbe": {".": {}, "f:failureThreshold": {}, "f:httpGet": {".": {}, "f:path": {}, "f:port": {}, "f:scheme": {}}, "f:periodSeconds": {}}, "f:name": {}, "f:ports": {".": {}}, "f:resources": {}, "f:terminationMessagePath": {}}, 'k:{"name":"exporter"}': {".": {}, "f:image": {}, "f:name": {}}}, "f:dnsPolicy": {}, "f:enableServiceLinks": {}, "f:restartPolicy": {}, "f:schedulerName": {}, "f:securityContext": {}, "f:terminationGracePeriodSeconds": {}}}
spec:
  volumes:
  - {name: config, configMap: {name: cart, defaultMode: 420}}
  - {name: tls, secret: {secretName: cart-tls, defaultMode: 420}}
  - name: kube-api-access-7xk2p
    projected:
      defaultMode: 420
      sources:
      - {serviceAccountToken: {expirationSeconds: 3607, path: token}}
      - {configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}}
      - {downwardAPI: {items: [{path: namespace, fieldRef: {apiVersion: v1, fieldPath: metadata.namespace}}]}}
  containers:
  - name: app
    image: registry.example/shop/cart:1.14.2
    imagePullPolicy: IfNotPresent
    command: [/cart]
    args: ["--listen=:8080", "--log-level=info"]
    ports: [{name: http, containerPort: 8080, protocol: TCP}]
    env: [{name: REDIS_ADDR, value: "redis-cart:6379"}, {name: POD_NAME, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: metadata.name}}}]
    resources: {requests: {cpu: 200m, memory: 64Mi}, limits: {cpu: 300m, memory: 128Mi}}
    livenessProbe: {httpGet: {path: /healthz, port: http, scheme: HTTP}, initialDelaySeconds: 10, timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3}
    readinessProbe: {httpGet: {path: /readyz, port: http, scheme: HTTP}, timeoutSeconds: 1, periodSeconds: 5, successThreshold: 1, failureThreshold: 3}
    volumeMounts: [{name: config, mountPath: /etc/cart}, {name: tls, mountPath: /etc/tls}, {name: kube-api-access-7xk2p, readOnly: true, mountPath: /var/run/secrets/kubernetes.io/serviceaccount}]
    terminationMessagePath: /dev/termination-log
    terminationMessagePolicy: File
  - name: exporter
    image: registry.example/shop/exporter:main
    imagePullPolicy: IfNotPresent
    ports: [{name: metrics, containerPort: 9090, protocol: TCP}]
    resources: {}
    volumeMounts: [{name: kube-api-access-7xk2p, readOnly: true, mountPath: /var/run/secrets/kubernetes.io/serviceaccount}]
    terminationMessagePath: /dev/termination-log
    terminationMessagePolicy: File
  restartPolicy: Always
  terminationGracePeriodSeconds: 30
  dnsPolicy: ClusterFirst
  serviceAccountName: cart
  serviceAccount: cart
  securityContext: {}
  schedulerName: default-scheduler
  tolerations: [{key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 300}, {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 300}]
  priority: 0
  enableServiceLinks: true
  preemptionPolicy: PreemptLowerPriority
`

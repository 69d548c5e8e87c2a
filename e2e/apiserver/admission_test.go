package apiserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	neverRightRule = `
apiVersion: palisade.floe.dev/v1alpha1
kind: TrafficRule
metadata: {name: odd, namespace: NAMESPACE}
spec: {to: {}, from: [{cidr: 192.0.2.0/24, except: [198.51.100.0/25]}], ports: [{port: 8080}]}`

	ruleToNobody = `
apiVersion: palisade.floe.dev/v1alpha1
kind: TrafficRule
metadata: {name: web-to-api, namespace: NAMESPACE}
spec: {to: {matchLabels: {app: nobody}}, from: [{pods: {namespace: elsewhere}}], ports: [{port: 8080}]}`

	shopProfile = `
apiVersion: palisade.floe.dev/v1alpha1
kind: SecurityProfile
metadata: {name: shops}
spec: {namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: [adm-shop, kube-system]}]}, mesh: {mtls: Unmanaged}}`

	shopWorkloads = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: adm-shop}
spec:
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      containers:
      - {name: c, image: registry.example/c, ports: [{name: http, containerPort: 8080}], env: [{name: API_URL, value: "http://api:80/v1"}]}`

	clusterDNS = `
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system, labels: {k8s-app: kube-dns}}
spec:
  clusterIP: 10.96.0.10
  selector: {k8s-app: kube-dns}
  ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]`

	clusterResolver = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: coredns, namespace: kube-system}
spec:
  selector: {matchLabels: {k8s-app: kube-dns}}
  template:
    metadata: {labels: {k8s-app: kube-dns}}
    spec:
      containers:
      - {name: coredns, image: registry.example/coredns, ports: [{name: dns, containerPort: 53, protocol: UDP}, {name: dns-tcp, containerPort: 53, protocol: TCP}]}`

	shopService = `
apiVersion: v1
kind: Service
metadata: {name: api, namespace: adm-shop}
spec: {selector: {app: api}, ports: [{port: 80, targetPort: http}]}`
)

func dryRun() metav1.CreateOptions {
	return metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
}

func afterwards(t *testing.T) context.Context { return context.WithoutCancel(t.Context()) }

// tryCreate creates an object for a moment, and returns what the server warned of.
func (s *server) tryCreate(t *testing.T, o *object) ([]string, error) {
	t.Helper()
	s.warnings.take()
	_, err := s.resource(t, o).Create(t.Context(), o, dryRun())
	return s.warnings.take(), err
}

func TestAdmissionWarnsOfWhatDependsOnTheClusterAndRefusesWhatNeverCanBe(t *testing.T) {
	s := newServer(t)
	s.given(t, []*object{namespace("adm-shop"), manifest(t, clusterDNS), manifest(t, clusterResolver),
		manifest(t, strings.ReplaceAll(shopWorkloads, "NAME", "api")), manifest(t, strings.ReplaceAll(shopWorkloads, "NAME", "web")), manifest(t, shopService)})
	stored := manifest(t, strings.Replace(neverRightRule, "NAMESPACE", "adm-shop", 1)) // stored before anybody could refuse it
	_, err := s.apply(t, "kubectl", stored, false)
	require.NoError(t, err)
	w := startWebhook(t, s, 1)
	w.trusted(t, s, "adm-shop")
	w.reads(t, s, "adm-shop")

	t.Run("selectors, peers", func(t *testing.T) {
		told, err := s.tryCreate(t, manifest(t, strings.Replace(ruleToNobody, "NAMESPACE", "adm-shop", 1)))
		require.NoError(t, err)
		assertOneContains(t, told, "RuleMatchesNoServer: TrafficRule adm-shop/web-to-api spec.to: ")
		assertOneContains(t, told, "NamespaceNotFound: TrafficRule adm-shop/web-to-api spec.from[0].pods.namespace: namespace elsewhere does not exist")
	})
	t.Run("refused", func(t *testing.T) {
		odd := manifest(t, strings.Replace(neverRightRule, "NAMESPACE", "adm-shop", 1))
		odd.SetName("odder")
		_, err := s.tryCreate(t, odd)
		require.Error(t, err)
		assert.True(t, apierrors.IsInvalid(err), "%v", err)
		assert.Contains(t, err.Error(), "TrafficRule adm-shop/odder: spec.from[0].except[0]: 198.51.100.0/25 does not lie within cidr 192.0.2.0/24")
		assert.Contains(t, err.Error(), "except a part of cidr, or drop it")
	})
	t.Run("a profile breaks what a manifest names", func(t *testing.T) {
		told, err := s.tryCreate(t, manifest(t, shopProfile))
		require.NoError(t, err)
		assertOneContains(t, told, "would break: adm-shop/web → ")
		assertOneContains(t, told, "it names kube-system")
		for _, text := range told {
			assert.LessOrEqual(t, len(text), 256)
		}
	})
	t.Run("a profile goes", func(t *testing.T) {
		kept := manifest(t, shopProfile)
		_, err := s.apply(t, "kubectl", kept, false)
		require.NoError(t, err)
		require.Eventually(t, func() bool { // until the webhook has read it
			s.warnings.take()
			err := s.resource(t, kept).Delete(t.Context(), kept.GetName(), metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}})
			return err == nil && strings.Contains(strings.Join(s.warnings.take(), "\n"), "no profile would govern adm-shop, kube-system any more")
		}, 10*time.Second, 200*time.Millisecond)
	})
	t.Run("an exemption that has ended", func(t *testing.T) {
		told, err := s.tryCreate(t, manifest(t, `
apiVersion: palisade.floe.dev/v1alpha1
kind: Exemption
metadata: {name: old, namespace: adm-shop}
spec: {workloads: {}, layers: [Network], reason: it was needed once, owner: team, expires: "2020-01-01T00:00:00Z"}`))
		require.NoError(t, err)
		assertOneContains(t, told, "ExemptionExpired: Exemption adm-shop/old spec.expires: ")
	})
	t.Run("what is stored at fault can be mended and deleted", func(t *testing.T) { w.storedAtFault(t, s, stored) })
	assert.Regexp(t, `(?m)^palisade_webhook_certificate_not_after_timestamp_seconds 1\.\d+e\+09$`, w.replicas[0].scrape(t))
}

// storedAtFault changes an object that was stored before it could be refused.
func (w *webhook) storedAtFault(t *testing.T, s *server, stored *object) {
	t.Helper()
	resource := s.resource(t, stored)
	change := func(with func(*object)) error {
		there, err := resource.Get(t.Context(), stored.GetName(), metav1.GetOptions{})
		require.NoError(t, err)
		with(there)
		_, err = resource.Update(t.Context(), there, metav1.UpdateOptions{})
		return err
	}
	assert.NoError(t, change(func(o *object) { o.SetLabels(map[string]string{"a": "b"}) }), "a label")
	assert.NoError(t, change(func(o *object) { o.SetFinalizers([]string{"example.com/held"}) }), "a finalizer")
	assert.NoError(t, change(func(o *object) {
		require.NoError(t, unstructured.SetNestedField(o.Object, map[string]any{"app": "api"}, "spec", "to", "matchLabels"))
	}), "another field of the spec")
	err := change(func(o *object) {
		require.NoError(t, unstructured.SetNestedSlice(o.Object, []any{map[string]any{"cidr": "192.0.2.0/24", "except": []any{"203.0.113.0/25"}}}, "spec", "from"))
	})
	assert.ErrorContains(t, err, "203.0.113.0/25", "a fault of its own")
	there, err := resource.Get(t.Context(), stored.GetName(), metav1.GetOptions{})
	require.NoError(t, err)
	require.NoError(t, unstructured.SetNestedField(there.Object, int64(1), "status", "observedGeneration"))
	_, err = resource.UpdateStatus(t.Context(), there, metav1.UpdateOptions{})
	assert.NoError(t, err, "status")
	assert.NoError(t, resource.Delete(t.Context(), stored.GetName(), metav1.DeleteOptions{}))
	assert.NoError(t, change(func(o *object) { o.SetFinalizers(nil) }), "its finalizer goes")
	_, err = resource.Get(t.Context(), stored.GetName(), metav1.GetOptions{})
	assert.True(t, apierrors.IsNotFound(err), "%v", err)
}

func TestAdmissionSaysThatTheClusterIsNotReadYet(t *testing.T) {
	s := newServer(t)
	s.given(t, []*object{namespace("adm-blind")})
	w := startWebhook(t, s, 1, "--blind")
	w.trusted(t, s, "adm-blind")
	told, err := s.tryCreate(t, manifest(t, strings.Replace(ruleToNobody, "NAMESPACE", "adm-blind", 1)))
	require.NoError(t, err)
	assert.Equal(t, []string{"the impact was not judged: palisade has not read the whole cluster yet; see palisade plan"}, told)
}

func TestADeadWebhookFailsNamespacesAsTheyAskAndNeverTheSystem(t *testing.T) {
	s := newServer(t)
	strict := "palisade.floe.dev/admission"
	s.given(t, []*object{namespace("adm-plain"), labelled("adm-strict", strict, "strict"), labelled("kube-system", strict, "strict")})
	w := startWebhook(t, s, 1)
	w.trusted(t, s, "adm-strict")
	in := func(namespace string) *object {
		return manifest(t, strings.Replace(ruleToNobody, "NAMESPACE", namespace, 1))
	}
	for _, name := range []string{"adm-strict"} {
		_, err := s.apply(t, "kubectl", in(name), false)
		require.NoError(t, err)
	}
	w.replicas[0].out.Store(true)
	require.NoError(t, w.replicas[0].command.Process.Kill())
	<-w.replicas[0].ended

	other := in("adm-strict")
	other.SetName("another")
	_, err := s.tryCreate(t, other)
	require.Error(t, err, "strict")
	assert.Contains(t, err.Error(), `failed calling webhook "strict.validate.palisade.floe.dev"`)
	for _, name := range []string{"adm-plain", "kube-system", systemNamespace} {
		_, err := s.tryCreate(t, in(name))
		assert.NoError(t, err, name)
	}
	_, err = s.tryCreate(t, manifest(t, shopProfile))
	assert.NoError(t, err, "a profile")
	marked := manifest(t, shopProfile)
	marked.SetLabels(map[string]string{strict: "strict"})
	_, err = s.tryCreate(t, marked)
	assert.ErrorContains(t, err, "failed calling webhook", "a profile that asks for it")
	_, err = s.tryCreate(t, manifest(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: adm-strict}}`))
	assert.NoError(t, err, "what is not palisade's")
	there := in("adm-strict")
	assert.NoError(t, s.resource(t, there).Delete(t.Context(), there.GetName(), metav1.DeleteOptions{}), "deleting, in a strict namespace")
}

// watcher counts what clients see of the webhook while its certificate is renewed.
type watcher struct {
	requests, failures atomic.Int64
	lock               sync.Mutex
	leaves             map[int]map[string]bool
	said               []string
}

func (o *watcher) fail(format string, args ...any) {
	o.failures.Add(1)
	o.lock.Lock()
	defer o.lock.Unlock()
	if len(o.said) < 10 {
		o.said = append(o.said, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
	}
}

func (o *watcher) saw(port int, serial string) {
	o.lock.Lock()
	defer o.lock.Unlock()
	if o.leaves[port] == nil {
		o.leaves[port] = map[string]bool{}
	}
	o.leaves[port][serial] = true
}

func (o *watcher) fewest(w *webhook) int {
	o.lock.Lock()
	defer o.lock.Unlock()
	n := 1 << 30
	for _, r := range w.replicas {
		if !r.out.Load() {
			n = min(n, len(o.leaves[r.port]))
		}
	}
	return n
}

func TestTheCertificateIsRenewedUnderRequestsAndNoneFails(t *testing.T) {
	s := newServer(t)
	s.given(t, []*object{labelled("adm-busy", "palisade.floe.dev/admission", "strict")})
	w := startWebhook(t, s, 3, "--blind", "--lifetime", "20s", "--renew-before", "15s", "--propagation", "2s")
	w.trusted(t, s, "adm-busy")
	seen := &watcher{leaves: map[int]map[string]bool{}}
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	for i := range 4 {
		all.Go(func() { w.ask(ctx, t, s, i, seen) })
	}
	for _, r := range w.replicas {
		all.Go(func() { w.greet(ctx, r, seen) })
	}
	renewed := func(n int, what string) {
		t.Helper()
		require.Eventually(t, func() bool { return seen.fewest(w) >= n || seen.failures.Load() > 0 }, 90*time.Second, 100*time.Millisecond, "%s: %v", what, seen.leaves)
		require.Empty(t, seen.said, what)
	}
	renewed(3, "renewed in time, twice")
	require.NoError(t, w.client.CoreV1().Secrets(systemNamespace).Delete(t.Context(), "palisade-webhook", metav1.DeleteOptions{}))
	renewed(4, "the Secret was deleted")
	w.leader(t).retire(t)
	renewed(6, "the leader went")
	stop()
	all.Wait()
	assert.Zero(t, seen.failures.Load(), "%v", seen.said)
	t.Logf("%d requests, %d failures, certificates seen at each replica: %d and more", seen.requests.Load(), seen.failures.Load(), seen.fewest(w))
}

// ask sends requests that fail if the webhook does not answer.
func (w *webhook) ask(ctx context.Context, t *testing.T, s *server, i int, seen *watcher) {
	rule := manifest(t, strings.Replace(ruleToNobody, "NAMESPACE", "adm-busy", 1))
	rule.SetName(fmt.Sprintf("asked-%d", i))
	resource := s.resource(t, rule)
	for ctx.Err() == nil {
		_, err := resource.Create(ctx, rule, dryRun())
		seen.requests.Add(1)
		if err != nil && ctx.Err() == nil {
			seen.fail("request: %v", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// greet shakes hands with one replica anew each time, trusting what the configuration says at that time.
func (w *webhook) greet(ctx context.Context, r *replica, seen *watcher) {
	for ctx.Err() == nil && !r.out.Load() {
		c, err := w.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(ctx, "palisade", metav1.GetOptions{})
		if err != nil {
			continue
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(c.Webhooks[0].ClientConfig.CABundle)
		conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", r.port), &tls.Config{ServerName: "palisade-webhook." + systemNamespace + ".svc", RootCAs: roots})
		seen.requests.Add(1)
		switch {
		case err == nil:
			seen.saw(r.port, conn.ConnectionState().PeerCertificates[0].Issuer.CommonName)
			_ = conn.Close()
		case ctx.Err() == nil && !r.out.Load():
			seen.fail("handshake with %d: %v", r.port, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// leader is the replica that writes.
func (w *webhook) leader(t *testing.T) *replica {
	t.Helper()
	lease, err := w.client.CoordinationV1().Leases(systemNamespace).Get(t.Context(), "palisade-test", metav1.GetOptions{})
	require.NoError(t, err)
	for _, r := range w.replicas {
		if strings.Contains(r.output.String(), "successfully acquired lease") || strings.Contains(r.output.String(), "wrote the certificate") {
			return r
		}
	}
	t.Fatalf("no replica leads; the lease is held by %s", *lease.Spec.HolderIdentity)
	return nil
}

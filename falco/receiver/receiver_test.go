package receiver

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/falco"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const (
	shell = "Palisade Shell in Hardened Pod"
	token = "a-token-of-the-test"
)

func options() Options {
	return Options{Token: func() string { return token }, Governed: func(namespace string) bool { return namespace == "shop" }, Now: func() time.Time { return noon }}
}

func body(namespace, rule, pod string) string {
	return fmt.Sprintf(`{"output":"o","priority":"Warning","rule":%q,"time":"2026-11-23T11:59:58.5Z","output_fields":{"k8s.ns.name":%q,"k8s.pod.name":%q}}`, rule, namespace, pod)
}

func made(t *testing.T, o Options) *Receiver {
	t.Helper()
	r, err := New(o)
	require.NoError(t, err)
	return r
}

// post sends an event with headers, and returns the status.
func post(r http.Handler, text, authorization string) int {
	req := httptest.NewRequest(http.MethodPost, "/falco", strings.NewReader(text))
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	return w.Code
}

// working runs the receiver until the test ends, and returns a function that waits until nothing waits any more.
func working(t *testing.T, r *Receiver) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { r.Run(ctx) })
	stop = func() { cancel(); done.Wait() }
	t.Cleanup(stop)
	return stop
}

// Features: REQ-461.
func TestEventsStandForTheirNamespace(t *testing.T) {
	var told []string
	o := options()
	o.Notify = func(_ context.Context, e falco.Event) { told = append(told, e.Namespace+"/"+e.Pod) }
	r := made(t, o)
	stop := working(t, r)
	for _, one := range []string{body("shop", shell, "web-1"), body("shop", shell, "web-2"), body("elsewhere", shell, "x"), body("shop", "Terminal shell in container", "web-1"), body("", shell, "")} {
		require.Equal(t, http.StatusAccepted, post(r, one, "Bearer "+token))
	}
	require.Eventually(t, func() bool { return testutil.CollectAndCount(r.events) == 3 && len(r.queue) == 0 }, 5*time.Second, time.Millisecond)
	stop()
	assert.Equal(t, []string{"shop"}, r.Namespaces(), "nothing is kept of what nobody governs")
	standing := r.Of("shop")
	require.Len(t, standing, 2)
	assert.Empty(t, r.Of("elsewhere"))
	assert.Equal(t, []string{"shop/web-1", "shop/web-2", "shop/web-1"}, told)
	require.NoError(t, testutil.CollectAndCompare(r, strings.NewReader(`
# HELP palisade_runtime_events_total Events of Falco that were taken in.
# TYPE palisade_runtime_events_total counter
palisade_runtime_events_total{namespace="other",rule="Palisade Shell in Hardened Pod",severity="warning"} 2
palisade_runtime_events_total{namespace="shop",rule="Palisade Shell in Hardened Pod",severity="warning"} 2
palisade_runtime_events_total{namespace="shop",rule="other",severity="warning"} 1
# HELP palisade_runtime_last_event_timestamp_seconds When an event of Falco was last taken in.
# TYPE palisade_runtime_last_event_timestamp_seconds gauge
palisade_runtime_last_event_timestamp_seconds 1.7954352e+09
`), "palisade_runtime_events_total", "palisade_runtime_last_event_timestamp_seconds"))
}

func TestNobodySendsUnnamed(t *testing.T) {
	_, err := New(Options{Governed: func(string) bool { return true }})
	require.ErrorContains(t, err, "needs a token or names of clients")
	_, err = New(Options{Clients: []string{""}, Governed: func(string) bool { return true }})
	require.ErrorContains(t, err, "is empty")
	_, err = New(Options{Clients: []string{"falco"}})
	require.ErrorContains(t, err, "which namespaces are governed")

	current := token
	o := options()
	o.Token = func() string { return current }
	r := made(t, o)
	for name, header := range map[string]string{
		"nothing": "", "another token": "Bearer x", "the beginning": "Bearer " + token[:5], "more of it": "Bearer " + token + "x", "another scheme": "Basic " + token, "no scheme": token, "an empty one": "Bearer ",
	} {
		assert.Equal(t, http.StatusUnauthorized, post(r, body("shop", shell, "a"), header), name)
	}
	assert.Equal(t, http.StatusAccepted, post(r, body("shop", shell, "a"), "bearer "+token), "schemes are written as one likes (RFC 7235)")
	current = "renewed"
	assert.Equal(t, http.StatusUnauthorized, post(r, body("shop", shell, "a"), "Bearer "+token))
	assert.Equal(t, http.StatusAccepted, post(r, body("shop", shell, "a"), "Bearer renewed"))
	current = ""
	assert.Equal(t, http.StatusUnauthorized, post(r, body("shop", shell, "a"), "Bearer "), "no token lets in nobody")
	assert.InDelta(t, 9, testutil.ToFloat64(r.refused.WithLabelValues("unauthorized")), 0)
}

func TestWhatIsNoEventIsRefused(t *testing.T) {
	o := options()
	o.Body = 300
	r := made(t, o)
	assert.Equal(t, http.StatusBadRequest, post(r, `{"rule": "x"}`, "Bearer "+token))
	assert.Equal(t, http.StatusBadRequest, post(r, ``, "Bearer "+token))
	assert.Equal(t, http.StatusRequestEntityTooLarge, post(r, body("shop", strings.Repeat("r", 300), "a"), "Bearer "+token))
	req := httptest.NewRequest(http.MethodGet, "/falco", nil)
	req.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	assert.Equal(t, http.StatusMethodNotAllowed, w.Code)
	for reason, want := range map[string]float64{"malformed": 2, "too-large": 1, "method": 1} {
		assert.InDelta(t, want, testutil.ToFloat64(r.refused.WithLabelValues(reason)), 0, reason)
	}
}

func TestTooManyEventsAreTurnedAwayAndCounted(t *testing.T) {
	now := noon
	o := options()
	o.PerSecond, o.Burst, o.Now = 2, 3, func() time.Time { return now }
	r := made(t, o)
	statuses := func() (list []int) {
		for range 5 {
			list = append(list, post(r, body("shop", shell, "a"), "Bearer "+token))
		}
		return list
	}
	assert.Equal(t, []int{202, 202, 202, 429, 429}, statuses())
	now = now.Add(time.Second)
	assert.Equal(t, []int{202, 202, 429, 429, 429}, statuses())
	for range 100 {
		post(r, body("shop", shell, "a"), "Bearer wrong")
	}
	now = now.Add(time.Second)
	assert.Equal(t, 202, post(r, body("shop", shell, "a"), "Bearer "+token), "strangers do not use up what senders have")

	o = options()
	o.Queue = 2
	r = made(t, o) // nobody works
	assert.Equal(t, []int{202, 202, 503}, []int{post(r, body("shop", shell, "a"), "Bearer "+token), post(r, body("shop", shell, "b"), "Bearer "+token), post(r, body("shop", shell, "c"), "Bearer "+token)})
	assert.InDelta(t, 2, testutil.ToFloat64(r.waiting), 0)
	assert.InDelta(t, 1, testutil.ToFloat64(r.refused.WithLabelValues("queue")), 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r.Run(ctx)
	require.Len(t, r.Of("shop"), 1)
	assert.Equal(t, 2, r.Of("shop")[0].Count, "what waits at the end is worked off")
}

func TestSendersByCertificate(t *testing.T) {
	trusted, key := authority(t, "trusted")
	foreign, foreignKey := authority(t, "foreign")
	o := options()
	o.Token, o.Clients = nil, []string{"falcosidekick.falco.svc", "spiffe://cluster.local/ns/falco/sa/falco"}
	r := made(t, o)
	server := httptest.NewUnstartedServer(r)
	server.Config.ErrorLog = nil
	pool := x509.NewCertPool()
	pool.AddCert(trusted)
	server.TLS = &tls.Config{ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: pool, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	defer server.Close()

	uri, err := url.Parse("spiffe://cluster.local/ns/falco/sa/falco")
	require.NoError(t, err)
	for name, test := range map[string]struct {
		certificate *tls.Certificate
		want        int // 0 is refused by the handshake
	}{
		"no certificate":       {nil, http.StatusUnauthorized},
		"a name that may":      {issue(t, trusted, key, "falcosidekick.falco.svc", nil), http.StatusAccepted},
		"an id that may":       {issue(t, trusted, key, "", uri), http.StatusAccepted},
		"another name":         {issue(t, trusted, key, "web.shop.svc", nil), http.StatusUnauthorized},
		"of another authority": {issue(t, foreign, foreignKey, "falcosidekick.falco.svc", nil), 0},
	} {
		t.Run(name, func(t *testing.T) {
			roots := x509.NewCertPool()
			roots.AddCert(server.Certificate())
			config := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
			if test.certificate != nil {
				config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return test.certificate, nil }
			}
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}, Timeout: 5 * time.Second}
			answer, err := client.Post(server.URL, "application/json; charset=utf-8", strings.NewReader(body("shop", shell, "a")))
			if test.want == 0 {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			_, _ = io.Copy(io.Discard, answer.Body)
			require.NoError(t, answer.Body.Close())
			assert.Equal(t, test.want, answer.StatusCode)
		})
	}
}

// A certificate that the server did not verify is none.
func TestCertificatesThatNobodyVerifiedCountForNothing(t *testing.T) {
	trusted, key := authority(t, "trusted")
	o := options()
	o.Token, o.Clients = nil, []string{"falcosidekick.falco.svc"}
	r := made(t, o)
	certificate := issue(t, trusted, key, "falcosidekick.falco.svc", nil)
	leaf, err := x509.ParseCertificate(certificate.Certificate[0])
	require.NoError(t, err)
	req := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body("shop", shell, "a")))
	req.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	assert.Equal(t, http.StatusUnauthorized, w.Code)
}

func TestManySendersAtOnce(t *testing.T) {
	o := options()
	o.PerSecond, o.Burst = 1e6, 1e6
	r := made(t, o)
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(r))
	stop := working(t, r)
	var senders sync.WaitGroup
	for range 8 {
		senders.Go(func() {
			for i := range 100 {
				for post(r, body("shop", shell, fmt.Sprint(i)), "Bearer "+token) != http.StatusAccepted {
					time.Sleep(time.Millisecond)
				}
				r.Of("shop")
				if i%20 == 0 {
					_, err := registry.Gather()
					assert.NoError(t, err)
				}
			}
		})
	}
	senders.Wait()
	stop()
	assert.Equal(t, 800, r.Of("shop")[0].Count)
}

// Labels of metrics come from palisade and from what is governed, and never from a sender.
func TestLabelsAreBounded(t *testing.T) {
	r := made(t, options())
	stop := working(t, r)
	for i := range 300 {
		post(r, body(fmt.Sprintf("ns-%d", i), fmt.Sprintf("rule %d", i), "a"), "Bearer "+token)
	}
	stop()
	assert.Equal(t, 1, testutil.CollectAndCount(r.events))
}

func authority(t *testing.T, name string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return certificate, key
}

func issue(t *testing.T, by *x509.Certificate, with *ecdsa.PrivateKey, dnsName string, uri *url.URL) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if dnsName != "" {
		template.DNSNames = []string{dnsName}
	}
	if uri != nil {
		template.URIs = []*url.URL{uri}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by, key.Public(), with)
	require.NoError(t, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

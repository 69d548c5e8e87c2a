package live

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verify"
	"floe.dev/palisade/verify/lab"
	"floe.dev/palisade/verify/probe"
)

// meshOf is a Model of two strict workloads of a lab, each with a pod.
func meshOf(t *testing.T) (*lab.Lab, *model.Model) {
	t.Helper()
	l, err := lab.Start(model.MeshIstio, []lab.Spec{
		{Namespace: "shop", Name: "cart", Pod: "cart-1", Way: verify.Sidecar, Mode: lab.Strict},
		{Namespace: "bank", Name: "vault", Pod: "vault-1", Way: verify.Sidecar, Mode: lab.Permissive},
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, l.Close()) })
	posture := &model.Posture{Enforcement: model.Enforce, Mesh: model.MeshPosture{MTLS: model.MTLSStrict}}
	m := &model.Model{Cluster: model.Cluster{Mesh: model.Mesh{Kind: model.MeshIstio, Namespace: "istio-system", TrustDomain: lab.TrustDomain}}}
	for _, name := range []string{"bank", "quiet", "shop"} {
		m.Namespaces = append(m.Namespaces, model.Namespace{Name: name, Posture: posture})
	}
	for i := range 2 {
		target := l.Target(i)
		id := model.WorkloadID{Kind: "Deployment", Namespace: []string{"shop", "bank"}[i], Name: []string{"cart", "vault"}[i]}
		w := model.Workload{ID: id, Replicas: 1, Facts: model.Facts{Mode: model.ModeSidecar, Identity: target.Identity}}
		w.Spec.Containers = []corev1.Container{{Name: "app", Ports: []corev1.ContainerPort{{ContainerPort: target.Port}}}}
		pod := w
		pod.ID = model.WorkloadID{Kind: "Pod", Namespace: id.Namespace, Name: target.Pod}
		pod.Owner, pod.Running, pod.Addresses = id, true, []netip.Addr{target.Address}
		m.Workloads, m.Pods = append(m.Workloads, w), append(m.Pods, pod)
	}
	return l, m
}

func given(l *lab.Lab, m *model.Model) *Given {
	return &Given{
		Model: m, Looked: time.Now(), Roots: []*x509.Certificate{l.CA.Root()},
		Probing: probe.Options{Attempts: 1, Timeout: time.Second},
	}
}

func lights(r *verify.Report) map[string]verify.Light {
	by := map[string]verify.Light{}
	for _, s := range r.Namespaces {
		by[s.Namespace] = s.Light
	}
	return by
}

func TestWhatIsPlantedIsFoundAndNamespacesWithoutPortsAreTold(t *testing.T) {
	l, m := meshOf(t)
	g := given(l, m)
	r := Run(t.Context(), g)
	assert.Equal(t, map[string]verify.Light{"bank": verify.Red, "shop": verify.Green, "quiet": verify.Unknown}, lights(r))
	assert.Equal(t, g.Looked.UTC(), r.Started, "a report tells of nothing that was written after the cluster was looked at")
	for i := range r.Results {
		assert.Contains(t, r.Results[i].Untested, "an expired certificate: no expired certificate of "+r.Results[i].Identity+" is at hand: probes have no service account whose identity they may have")
	}

	g.Namespaces = []string{"shop"}
	assert.Equal(t, map[string]verify.Light{"shop": verify.Green}, lights(Run(t.Context(), g)))
}

func TestPodsThatWentMeanwhileTellNothing(t *testing.T) {
	l, m := meshOf(t)
	g := given(l, m)
	var asked []string
	g.Gone = func(namespace, pod string) bool {
		asked = append(asked, namespace+"/"+pod)
		return true
	}
	r := Run(t.Context(), g)
	assert.Equal(t, []string{"bank/vault-1"}, asked, "those that hold are not asked for")
	assert.Equal(t, verify.Unknown, lights(r)["bank"])
	assert.Equal(t, verify.Green, lights(r)["shop"])
}

// tokens refuse everybody.
type tokens struct{ asked []string }

func (k *tokens) Token(_ context.Context, namespace, account, _ string) (string, error) {
	k.asked = append(k.asked, namespace+"/"+account)
	return "", errors.New("may not create serviceaccounts/token")
}

func TestWhyACertificateIsNotAtHandIsSaid(t *testing.T) {
	l, m := meshOf(t)
	prober := lab.TrustDomain + "/ns/palisade/sa/prober"
	caller := lab.TrustDomain + "/ns/shop/sa/cart"
	for name, c := range map[string]struct {
		change   func(*Given)
		identity string
		says     string
	}{
		"no tokens":          {func(g *Given) { g.Tokens = nil }, prober, "probes have no service account"},
		"no roots":           {func(g *Given) { g.Roots = nil }, prober, "no token is sent to whoever answers"},
		"no pod of the CA":   {func(g *Given) { g.CA = "" }, prober, "no running pod of the mesh's CA was found"},
		"another's identity": {func(*Given) {}, caller, "probes play their own account only"},
		"a token is refused": {func(*Given) {}, prober, "may not create serviceaccounts/token"},
		"nobody":             {func(*Given) {}, "", "nobody's identity"},
	} {
		t.Run(name, func(t *testing.T) {
			g := given(l, m)
			g.Prober, g.Tokens, g.CA = prober, &tokens{}, "127.0.0.1:1"
			c.change(g)
			assert.Contains(t, newWardrobe(t.Context(), g).lacks(c.identity, false), c.says)
		})
	}
}

func TestARefusalOfANamespacesAccountsIsNotAskedForAgain(t *testing.T) {
	l, m := meshOf(t)
	m.Workloads = append(m.Workloads, model.Workload{ID: model.WorkloadID{Namespace: "shop", Name: "web"}, Facts: model.Facts{Identity: lab.TrustDomain + "/ns/shop/sa/web"}})
	g := given(l, m)
	k := &tokens{}
	g.Prober, g.Tokens, g.CA, g.Callers = lab.TrustDomain+"/ns/palisade/sa/prober", k, "127.0.0.1:1", true
	w := newWardrobe(t.Context(), g)
	for _, name := range []string{"cart", "web", "cart"} {
		assert.NotEmpty(t, w.lacks(lab.TrustDomain+"/ns/shop/sa/"+name, false))
	}
	assert.Equal(t, []string{"shop/cart"}, k.asked)
}

func TestALargeSweepIsMadeWiderAndFaster(t *testing.T) {
	many := make([]verify.Expectation, 20_000)
	for i := range many {
		many[i].Checks = make([]verify.Check, 7)
	}
	o := probe.Options{Concurrency: 32, Rate: 100}
	hurry(&o, many, 5*time.Minute)
	assert.InDelta(t, 466, o.Rate, 1)
	assert.Equal(t, 133, o.Concurrency)
	small := probe.Options{Concurrency: 32, Rate: 100}
	hurry(&small, many[:10], 5*time.Minute)
	assert.Equal(t, probe.Options{Concurrency: 32, Rate: 100}, small)
	hurry(&small, many, 0)
	assert.Equal(t, probe.Options{Concurrency: 32, Rate: 100}, small, "without a limit it is as it was asked for")
}

func TestHeldCertificatesComeBeforeThoseOfTheCA(t *testing.T) {
	l, m := meshOf(t)
	caller := lab.TrustDomain + "/ns/shop/sa/web"
	c, err := l.CA.Certificate(t.Context(), caller)
	require.NoError(t, err)
	g := given(l, m)
	g.Held = &probe.Held{}
	g.Held.Valid = map[string]*tls.Certificate{caller: c}
	assert.Empty(t, newWardrobe(t.Context(), g).lacks(caller, false))
	assert.NotEmpty(t, newWardrobe(t.Context(), g).lacks(caller, true))
}

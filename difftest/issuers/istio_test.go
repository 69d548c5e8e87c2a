package issuers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verify"
	"floe.dev/palisade/verify/issue"
	"floe.dev/palisade/verify/lab"
	"floe.dev/palisade/verify/probe"
)

const (
	domain = lab.TrustDomain
	// istioSystem holds istiod and its Secret.
	istioSystem = "istio-system"
	// cartLife is that of leaves that are renewed, idleLife that of one which is not: it is overdue after seven eighths.
	cartLife, idleLife = 40 * time.Second, 80 * time.Second
)

func istioName(namespace, account string) string {
	return domain + "/ns/" + namespace + "/sa/" + account
}

// istioMesh is istiod at work, with what it reads and who gets certificates from it.
type istioMesh struct {
	t       *testing.T
	folder  string
	cacerts mount
	istiod  *process
	// address is where it listens now; agents ask at any time.
	address atomic.Value
}

// plug writes the Secret cacerts, with which Istio's CA signs; it is not mounted anew by that.
func (m *istioMesh) plug(issuer *authority, roots ...*authority) {
	m.t.Helper()
	put(m.t, istioSystem, "cacerts", map[string][]byte{
		"ca-cert.pem": pemOf(issuer), "ca-key.pem": keyPEM(m.t, issuer.key), "cert-chain.pem": pemOf(issuer), "root-cert.pem": pemOf(roots...),
	})
}

// reload mounts the Secret anew, and waits until istiod says what it makes of it.
func (m *istioMesh) reload(says string) {
	m.t.Helper()
	after := m.istiod.length()
	m.cacerts.refresh(m.t, istioSystem, "cacerts")
	m.istiod.await(m.t, after, says)
}

// start starts istiod, or another in its place.
func (m *istioMesh) start(env ...string) {
	m.t.Helper()
	if m.istiod != nil {
		m.istiod.end()
	}
	mesh := filepath.Join(m.folder, "mesh.yaml")
	require.NoError(m.t, os.WriteFile(mesh, []byte("trustDomain: "+domain+"\nrootNamespace: "+istioSystem+"\n"), 0o600))
	env = append(env, "ROOT_CA_DIR="+m.cacerts.folder, "POD_NAMESPACE="+istioSystem, "POD_NAME=istiod-0", "DEFAULT_WORKLOAD_CERT_TTL="+cartLife.String(),
		"MAX_WORKLOAD_CERT_TTL=10m", "VALIDATION_WEBHOOK_CONFIG_NAME=", "INJECTION_WEBHOOK_CONFIG_NAME=")
	began := time.Now()
	m.istiod = launch(m.t, m.folder, env, "pilot-discovery", "discovery", "--kubeconfig", plane.Kubeconfig, "--meshConfig", mesh,
		"--httpAddr", "127.0.0.1:0", "--httpsAddr", "127.0.0.1:0", "--grpcAddr", "", "--secureGRPCAddr", "127.0.0.1:0", "--monitoringAddr", "127.0.0.1:0",
		"--ctrlz_address", "127.0.0.1", "--ctrlz_port", "0")
	m.address.Store(m.istiod.await(m.t, 0, `starting secure gRPC discovery service at (\S+)`))
	m.t.Logf("istiod serves %s after its start", time.Since(began).Round(time.Millisecond))
}

// client asks istiod for certificates of a life, by the roots that it has distributed; 0 is istiod's own choice.
func (m *istioMesh) client(ctx context.Context, life time.Duration) (*issue.Istio, error) {
	pool, err := m.bundle(ctx)
	if err != nil {
		return nil, err
	}
	return &issue.Istio{Address: m.address.Load().(string), ServerName: "istiod.istio-system.svc", Roots: pool, TrustDomain: domain, ClusterID: "Kubernetes", Lifetime: life, Tokens: requested{}}, nil
}

// certify gets a leaf, as istiod is reached at that time.
func (m *istioMesh) certify(life time.Duration) func(context.Context, string) (*tls.Certificate, error) {
	return func(ctx context.Context, identity string) (*tls.Certificate, error) {
		c, err := m.client(ctx, life)
		if err != nil {
			return nil, err
		}
		return c.Certificate(ctx, identity)
	}
}

func (m *istioMesh) expired(ctx context.Context, identity string) (*tls.Certificate, error) {
	c, err := m.client(ctx, 0)
	if err != nil {
		return nil, err
	}
	return c.Expired(ctx, identity)
}

// distributed is what istiod's controller of namespaces put into the ConfigMap that pods mount.
func (m *istioMesh) distributed(ctx context.Context) ([]byte, error) {
	c, err := client.CoreV1().ConfigMaps("shop").Get(ctx, "istio-ca-root-cert", metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return []byte(c.Data["root-cert.pem"]), nil
}

func (m *istioMesh) bundle(ctx context.Context) (*x509.CertPool, error) {
	text, err := m.distributed(ctx)
	pool := x509.NewCertPool()
	if err == nil && !pool.AppendCertsFromPEM(text) {
		err = errors.New("istio-ca-root-cert holds no certificate")
	}
	return pool, err
}

// held is the bundle of the namespace as an operator reads it.
func (m *istioMesh) held() []verify.Bundle {
	m.t.Helper()
	text, err := m.distributed(m.t.Context())
	require.NoError(m.t, err)
	b := verify.Bundle{Where: "shop"}
	for _, c := range certificatesOf(m.t, text) {
		b.Roots = append(b.Roots, verify.Fingerprint(c))
	}
	return []verify.Bundle{b}
}

// awaitBundle waits until the ConfigMap holds so many roots.
func (m *istioMesh) awaitBundle(roots ...*authority) {
	m.t.Helper()
	require.EventuallyWithT(m.t, func(c *assert.CollectT) {
		text, err := m.distributed(m.t.Context())
		require.NoError(c, err)
		assert.Equal(c, string(pemOf(roots...)), string(text))
	}, time.Minute, 100*time.Millisecond)
}

// istioLab is a mesh with two pods: cart renews by Istio's rule, idle never does.
func istioLab(t *testing.T, issuer *authority, roots ...*authority) (m *istioMesh, cart, idle *agent, a *auditor, at []netip.AddrPort) {
	t.Helper()
	accounts(t, [2]string{istioSystem, "istiod"}, [2]string{"shop", "cart"}, [2]string{"shop", "idle"}, [2]string{"shop", "web"}, [2]string{"palisade", "prober"})
	m = &istioMesh{t: t, folder: t.TempDir(), cacerts: mount{folder: t.TempDir()}}
	m.plug(issuer, roots...)
	m.cacerts.refresh(t, istioSystem, "cacerts")
	m.start()
	m.awaitBundle(roots...)
	cart = (&agent{identity: istioName("shop", "cart"), certify: m.certify(0), bundle: m.bundle, due: istioRule}).start(t)
	idle = (&agent{identity: istioName("shop", "idle"), certify: m.certify(idleLife), bundle: m.bundle}).start(t)
	callers := []string{istioName("shop", "web")}
	pods, err := lab.Start(model.MeshIstio, []lab.Spec{
		{Namespace: "shop", Name: "cart", Pod: "cart-0", Port: 7070, Way: verify.Sidecar, Mode: lab.Strict, App: lab.HTTP, Callers: callers, Source: cart},
		{Namespace: "shop", Name: "idle", Pod: "idle-0", Port: 8080, Way: verify.Sidecar, Mode: lab.Strict, App: lab.HTTP, Callers: callers, Source: idle},
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, pods.Close()) })
	targets := pods.Targets()
	targets.Stranger, targets.Requests = istioName("palisade", "prober"), true
	for _, target := range targets.Targets {
		at = append(at, netip.AddrPortFrom(target.Address, uint16(target.Port)))
	}
	a = &auditor{folder: t.TempDir(), targets: targets, certify: m.certify(5 * time.Minute), expired: m.expired}
	return m, cart, idle, a, at
}

// TestIstiodsCertificatesRotateStallAndChangeTheirRoot follows leaves of a real istiod from run to run.
func TestIstiodsCertificatesRotateStallAndChangeTheirRoot(t *testing.T) {
	t.Parallel()
	oldRoot, newRoot := newAuthority(t, "root A", day, nil), newAuthority(t, "root B", 2*time.Hour, nil)
	first, second, third := newAuthority(t, "issuer A1", day, oldRoot), newAuthority(t, "issuer A2", time.Hour, oldRoot), newAuthority(t, "issuer B1", time.Hour, newRoot)
	m, cart, idle, a, at := istioLab(t, first, oldRoot)
	m.refuses()
	m.suppliesProbes(a.targets)

	steady := meant{roots: []*authority{oldRoot}, issuer: first, bundles: m.held()}
	m.rotates(a, steady, cart, idle, first, at)
	m.overdue(a, steady, idle)

	// The operator renews the issuer, and puts the next root beside the old one in the same go.
	m.plug(second, oldRoot, newRoot)
	m.reload("Multi root is disabled")
	adding := meant{roots: []*authority{oldRoot, newRoot}, issuer: second, bundles: m.held()}
	m.stalls(a, adding, cart, first)

	// The cure that the finding names: restart istiod, here as one that takes new roots without that.
	m.start("ISTIO_MULTIROOT_MESH=true")
	m.awaitBundle(oldRoot, newRoot)
	idle.restart(t)
	m.changesRoot(a, oldRoot, newRoot, second, third, cart, idle, at)
}

// refuses tells that istiod believes no token but that of the account, for itself.
func (m *istioMesh) refuses() {
	m.t.Helper()
	c, err := m.client(m.t.Context(), 0)
	require.NoError(m.t, err)
	c.Tokens = requested{instead: "somebody-else"}
	_, err = c.Certificate(m.t.Context(), istioName("shop", "web"))
	assert.ErrorContains(m.t, err, "Unauthenticated")
	_, err = m.certify(time.Hour)(m.t.Context(), istioName("shop", "web"))
	assert.ErrorContains(m.t, err, "InvalidArgument", "beyond MAX_WORKLOAD_CERT_TTL")
}

// suppliesProbes tries the pods with istiod itself as where probes have their certificates from, the expired one too.
func (m *istioMesh) suppliesProbes(t *verify.Targets) {
	m.t.Helper()
	with := *t
	for _, expired := range []bool{false, true} {
		for _, name := range []string{istioName("shop", "web"), t.Stranger} {
			with.Identities = append(with.Identities, verify.HeldIdentity{Identity: name, Expired: expired})
		}
	}
	c, err := m.client(m.t.Context(), 0)
	require.NoError(m.t, err)
	text, err := m.distributed(m.t.Context())
	require.NoError(m.t, err)
	run := verify.Run{Started: time.Now(), Mesh: model.MeshIstio, TrustDomain: domain, Expectations: with.Expectations()}
	run.Seen = probe.Run(m.t.Context(), run.Expectations, probe.Options{
		Mesh: run.Mesh, Trust: verify.NewTrust(certificatesOf(m.t, text)), Credentials: c, Requests: true,
	}).Seen
	run.Finished = time.Now()
	r := verify.NewReport(&run)
	assert.Equal(m.t, verify.Green, r.Summary.Light())
	for i := range r.Results {
		tried := map[verify.Client]bool{}
		for _, check := range r.Results[i].Checks {
			tried[check.Client] = true
		}
		assert.Len(m.t, tried, 7, "all clients are tried: %v, but %v", tried, r.Results[i].Untested)
	}
}

// rotates follows cart through two renewals.
func (m *istioMesh) rotates(a *auditor, now meant, cart, idle *agent, issuer *authority, at []netip.AddrPort) {
	m.t.Helper()
	cart.restart(m.t) // so that no renewal falls between a run and what is asked of it
	for n := range 3 {
		r := a.run(m.t, now, 0)
		for i, name := range []string{"cart", "idle"} {
			passes(m.t, r, name)
			assert.Nil(m.t, found(r, "CertificateOverdue", name))
			shows(m.t, r, name, []*agent{cart, idle}[i], issuer)
			openssl(m.t, []*agent{cart, idle}[i], at[i], a.folder, "-alpn", "istio")
		}
		assert.Len(m.t, entry(m.t, r, "cart").Leaves, n+1)
		assert.Len(m.t, entry(m.t, r, "idle").Leaves, 1)
		assert.Equal(m.t, verify.Steady, r.Rotation.Stage, r.Rotation.Says)
		if n > 0 {
			e := entry(m.t, r, "cart")
			assert.Equal(m.t, r.Finished, e.Rotated())
			assert.Equal(m.t, []verify.RotatedPods{{Workload: e.Workload, Pods: 1}}, r.Changes.Rotated)
		}
		if n < 2 {
			cart.awaitRenewal(m.t)
		}
	}
}

// overdue waits until idle should have been renewed, and for its end.
func (m *istioMesh) overdue(a *auditor, now meant, idle *agent) {
	m.t.Helper()
	leaf := idle.Leaf().Leaf
	<-time.After(time.Until(leaf.NotAfter.Add(-idleLife/8 + time.Second)))
	r := a.run(m.t, now, 0)
	passes(m.t, r, "idle")
	assert.Equal(m.t, verify.Overdue, entry(m.t, r, "idle").State.Phase)
	if f := found(r, "CertificateOverdue", "idle"); assert.NotNil(m.t, f) {
		assert.Equal(m.t, model.Warning, f.Severity)
	}
	assert.Nil(m.t, found(r, "CertificateOverdue", "cart"))
	tells(m.t, a, r, "shop")

	<-time.After(time.Until(leaf.NotAfter.Add(time.Second)))
	r = a.run(m.t, now, 1)
	assert.Equal(m.t, verify.Lapsed, entry(m.t, r, "idle").State.Phase)
	assert.NotNil(m.t, found(r, "ServerUnproven", "idle"))
	idle.restart(m.t)
}

// stalls runs where the Secret has another issuer than the one that signs.
func (m *istioMesh) stalls(a *auditor, now meant, cart *agent, signs *authority) {
	m.t.Helper()
	cart.restart(m.t)
	r := a.run(m.t, now, 0)
	shows(m.t, r, "cart", cart, signs)
	assert.Nil(m.t, found(r, "RotationStalled", "cart"), "a CA has three minutes from the run that first saw the new issuer")
	assert.Equal(m.t, verify.Adding, r.Rotation.Stage, r.Rotation.Says)

	r = a.alone(m.t).run(m.t, now, 1)
	assert.NotNil(m.t, found(r, "RotationStalled", "cart"), "whoever has no earlier report counts from the issuer's own beginning")
	assert.Equal(m.t, verify.Adding, r.Rotation.Stage, r.Rotation.Says)
}

// changesRoot is the rotation of a root with overlap, step by step.
func (m *istioMesh) changesRoot(a *auditor, oldRoot, newRoot, second, third *authority, cart, idle *agent, at []netip.AddrPort) {
	m.t.Helper()
	cart.restart(m.t)
	now := meant{roots: []*authority{oldRoot, newRoot}, issuer: second, bundles: m.held()}
	r := a.run(m.t, now, 0)
	assert.Nil(m.t, found(r, "RotationStalled", "cart"), "the new istiod signs with the new issuer")
	shows(m.t, r, "cart", cart, second)
	assert.Equal(m.t, verify.Added, r.Rotation.Stage, r.Rotation.Says)

	m.plug(third, oldRoot, newRoot)
	m.reload("detected the newly added intermediate CA")
	cart.restart(m.t)
	now.issuer = third
	r = a.run(m.t, now, 0)
	assert.Equal(m.t, verify.Reissuing, r.Rotation.Stage, r.Rotation.Says)
	assert.Equal(m.t, []string{"shop/idle-0"}, r.Rotation.Behind)
	shows(m.t, r, "cart", cart, third)
	shows(m.t, r, "idle", idle, second)
	idle.restart(m.t)
	r = a.run(m.t, now, 0)
	assert.Equal(m.t, verify.Reissued, r.Rotation.Stage, r.Rotation.Says)
	openssl(m.t, cart, at[0], a.folder, "-alpn", "istio")

	m.plug(third, newRoot)
	now = meant{roots: []*authority{newRoot}, issuer: third, bundles: m.held()}
	r = a.run(m.t, now, 0)
	assert.Equal(m.t, verify.Dropping, r.Rotation.Stage, r.Rotation.Says)
	m.reload("detected the newly added intermediate CA")
	m.awaitBundle(newRoot)
	cart.restart(m.t)
	idle.restart(m.t)
	now.bundles = m.held()
	r = a.run(m.t, now, 0)
	assert.Equal(m.t, verify.Steady, r.Rotation.Stage, r.Rotation.Says)
	openssl(m.t, cart, at[0], a.folder, "-alpn", "istio")
}

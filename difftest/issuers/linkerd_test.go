package issuers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verify"
	"floe.dev/palisade/verify/issue"
	"floe.dev/palisade/verify/lab"
)

const (
	// linkerdSystem holds the identity service and its Secret.
	linkerdSystem = "linkerd"
	// issuance is what the service is told; what it makes lives for its clock skew longer.
	issuance, clockSkew = 30 * time.Second, 20 * time.Second
)

func linkerdName(account, namespace string) string {
	return account + "." + namespace + ".serviceaccount.identity." + linkerdSystem + "." + domain
}

// linkerdMesh is Linkerd's identity service at work.
type linkerdMesh struct {
	t       *testing.T
	folder  string
	issuer  mount
	service *process
	// address is where the service listens now, in plaintext; front is where its proxy does.
	address atomic.Value
	front   string
	roots   *x509.CertPool
}

// plug writes the Secret with which the service signs; it is not mounted anew by that.
func (m *linkerdMesh) plug(issuer *authority) {
	m.t.Helper()
	put(m.t, linkerdSystem, "linkerd-identity-issuer", map[string][]byte{"tls.crt": pemOf(issuer), "tls.key": keyPEM(m.t, issuer.key)})
}

// start starts the service, or another in its place.
func (m *linkerdMesh) start() {
	m.t.Helper()
	if m.service != nil {
		m.service.end()
	}
	began := time.Now()
	m.service = launch(m.t, m.folder, nil, "linkerd-identity", "-addr", "127.0.0.1:0", "-kubeconfig", plane.Kubeconfig, "-issuer", m.issuer.folder,
		"-anchors", filepath.Join(m.folder, "anchors.pem"), "-controller-namespace", linkerdSystem, "-identity-trust-domain", domain,
		"-identity-issuance-lifetime", issuance.String(), "-identity-clock-skew-allowance", clockSkew.String())
	m.address.Store(m.service.await(m.t, 0, `serving on (\S+)`))
	m.t.Logf("the identity service serves %s after its start", time.Since(began).Round(time.Millisecond))
}

// proxy stands in for linkerd-proxy beside the service: it ends TLS with the service's identity.
func (m *linkerdMesh) proxy(chain [][]byte, key any) {
	m.t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{{Certificate: chain, PrivateKey: key}}, MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"},
	})
	require.NoError(m.t, err)
	m.front = listener.Addr().String()
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { m.pipe(from) })
		}
	})
	m.t.Cleanup(func() {
		assert.NoError(m.t, listener.Close())
		serving.Wait()
	})
}

// pipe carries a connection to the service, until either end hangs up.
func (m *linkerdMesh) pipe(from net.Conn) {
	to, err := net.Dial("tcp", m.address.Load().(string))
	if err != nil {
		_ = from.Close()
		return
	}
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(from, to)
		_ = from.Close()
	})
	_, _ = io.Copy(to, from)
	_ = to.Close()
	back.Wait()
}

func (m *linkerdMesh) client() *issue.Linkerd {
	return &issue.Linkerd{Address: m.front, Roots: m.roots, Namespace: linkerdSystem, TrustDomain: domain, Tokens: requested{}}
}

func (m *linkerdMesh) certify(ctx context.Context, identity string) (*tls.Certificate, error) {
	return m.client().Certificate(ctx, identity)
}

func (m *linkerdMesh) bundle(context.Context) (*x509.CertPool, error) { return m.roots, nil }

// linkerdLab is a mesh with two pods: cart renews by Linkerd's rule, idle never does.
func linkerdLab(t *testing.T, root, issuer *authority) (m *linkerdMesh, cart, idle *agent, a *auditor, at []netip.AddrPort) {
	t.Helper()
	accounts(t, [2]string{linkerdSystem, "linkerd-identity"}, [2]string{"store", "cart"}, [2]string{"store", "idle"}, [2]string{"store", "web"}, [2]string{"palisade", "prober"})
	m = &linkerdMesh{t: t, folder: t.TempDir(), issuer: mount{folder: t.TempDir()}, roots: x509.NewCertPool()}
	m.roots.AddCert(root.Certificate)
	require.NoError(t, os.WriteFile(filepath.Join(m.folder, "anchors.pem"), pemOf(root), 0o600))
	m.plug(issuer)
	m.issuer.refresh(t, linkerdSystem, "linkerd-identity-issuer")
	m.start()
	m.proxy(issuer.leaf(t, linkerdName("linkerd-identity", linkerdSystem)))
	cart = (&agent{identity: linkerdName("cart", "store"), certify: m.certify, bundle: m.bundle, due: linkerdRule}).start(t)
	idle = (&agent{identity: linkerdName("idle", "store"), certify: m.certify, bundle: m.bundle}).start(t)
	callers := []string{linkerdName("web", "store")}
	pods, err := lab.Start(model.MeshLinkerd, []lab.Spec{
		{Namespace: "store", Name: "cart", Pod: "cart-0", Port: 7070, Way: verify.Linkerd, Mode: lab.Strict, App: lab.HTTP, Callers: callers, Source: cart},
		{Namespace: "store", Name: "idle", Pod: "idle-0", Port: 8080, Way: verify.Linkerd, Mode: lab.Strict, App: lab.HTTP, Callers: callers, Source: idle},
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, pods.Close()) })
	targets := pods.Targets()
	targets.Stranger, targets.Requests = linkerdName("prober", "palisade"), true
	for _, target := range targets.Targets {
		at = append(at, netip.AddrPortFrom(target.Address, uint16(target.Port)))
	}
	a = &auditor{folder: t.TempDir(), targets: targets, certify: m.certify}
	return m, cart, idle, a, at
}

// TestLinkerdsCertificatesRotateAndStall follows leaves of a real identity service from run to run.
func TestLinkerdsCertificatesRotateAndStall(t *testing.T) {
	t.Parallel()
	root := newAuthority(t, "root.linkerd."+domain, day, nil)
	first, second := newAuthority(t, "identity.linkerd."+domain, day, root), newAuthority(t, "identity.linkerd."+domain, time.Hour, root)
	m, cart, idle, a, at := linkerdLab(t, root, first)
	m.refuses()

	steady := meant{roots: []*authority{root}, issuer: first}
	m.rotates(a, steady, cart, idle, first, at)

	// The operator renews the issuer, and what mounts the Secret writes the files in place.
	m.plug(second)
	m.issuer.overwrite(t, linkerdSystem, "linkerd-identity-issuer")
	cart.restart(t)
	renewed := meant{roots: steady.roots, issuer: second}
	r := a.run(t, renewed, 1)
	shows(t, r, "cart", cart, first)
	assert.Nil(t, found(r, "RotationStalled", "cart"), "a CA has three minutes from the run that first saw the new issuer")
	alone := a.alone(t)
	r = alone.run(t, renewed, 1)
	assert.NotNil(t, found(r, "RotationStalled", "cart"), "whoever has no earlier report counts from the issuer's own beginning")

	// The cure that the finding names: restart the service, then the pods.
	m.start()
	cart.restart(t)
	idle.restart(t)
	for _, of := range []*auditor{a, alone} {
		r = of.run(t, renewed, 0)
		shows(t, r, "cart", cart, second)
		shows(t, r, "idle", idle, second)
		assert.Empty(t, r.Findings)
	}
	openssl(t, cart, at[0], a.folder, "-servername", cart.identity)

	// A Secret that a kubelet mounts is noticed at once.
	m.plug(first)
	after := m.service.length()
	m.issuer.refresh(t, linkerdSystem, "linkerd-identity-issuer")
	m.service.await(t, after, "IssuerUpdated")
	cart.restart(t)
	r = a.run(t, steady, 0)
	shows(t, r, "cart", cart, first)
}

// refuses tells that the service believes no token of another audience, and none for another account.
func (m *linkerdMesh) refuses() {
	m.t.Helper()
	c := m.client()
	c.Tokens = requested{instead: "istio-ca"}
	_, err := c.Certificate(m.t.Context(), linkerdName("web", "store"))
	assert.Error(m.t, err)
	c.Tokens = ofProber{}
	_, err = c.Certificate(m.t.Context(), linkerdName("web", "store"))
	assert.ErrorContains(m.t, err, "FailedPrecondition")
}

// ofProber are tokens of the prober, whoever is asked for.
type ofProber struct{}

// Token implements issue.Tokens.
func (ofProber) Token(ctx context.Context, _, _, audience string) (string, error) {
	if audience != linkerdAudience {
		return "", errors.New("another audience")
	}
	return requested{}.Token(ctx, "palisade", "prober", audience)
}

// rotates follows cart through two renewals. Between them idle, which lives as long, is overdue, and then expires.
func (m *linkerdMesh) rotates(a *auditor, now meant, cart, idle *agent, issuer *authority, at []netip.AddrPort) {
	m.t.Helper()
	r := a.run(m.t, now, 0)
	for i, of := range []*agent{cart, idle} {
		name := []string{"cart", "idle"}[i]
		passes(m.t, r, name)
		shows(m.t, r, name, of, issuer)
		openssl(m.t, of, at[i], a.folder, "-servername", of.identity)
	}
	assert.Empty(m.t, r.Findings)
	assert.Equal(m.t, verify.Steady, r.Rotation.Stage, r.Rotation.Says)

	cart.awaitRenewal(m.t)
	leaf := idle.Leaf().Leaf
	<-time.After(time.Until(leaf.NotAfter.Add(-(issuance + clockSkew) / 8).Add(300 * time.Millisecond)))
	r = a.run(m.t, now, 0)
	passes(m.t, r, "idle")
	assert.Equal(m.t, verify.Overdue, entry(m.t, r, "idle").State.Phase)
	assert.NotNil(m.t, found(r, "CertificateOverdue", "idle"))
	assert.Nil(m.t, found(r, "CertificateOverdue", "cart"))
	assert.Equal(m.t, r.Finished, entry(m.t, r, "cart").Rotated())
	tells(m.t, a, r, "store")
	openssl(m.t, cart, at[0], a.folder, "-servername", cart.identity)

	cart.awaitRenewal(m.t)
	r = a.run(m.t, now, 1)
	shows(m.t, r, "cart", cart, issuer)
	assert.Len(m.t, entry(m.t, r, "cart").Leaves, 3)
	assert.Nil(m.t, found(r, "CertificateOverdue", "cart"))
	assert.Equal(m.t, verify.Lapsed, entry(m.t, r, "idle").State.Phase)
	if f := found(r, "CertificateOverdue", "idle"); assert.NotNil(m.t, f) {
		assert.Equal(m.t, model.Error, f.Severity)
	}
}

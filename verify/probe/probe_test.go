package probe_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verify"
	"floe.dev/palisade/verify/lab"
	"floe.dev/palisade/verify/probe"
)

// Whatever stands behind a strict proxy, probes are judged alike and none of their bytes gets there.
func TestApplicationsBehindStrictProxiesSeeNothing(t *testing.T) {
	t.Parallel()
	for mesh, ways := range waysOf {
		t.Run(string(mesh), func(t *testing.T) {
			t.Parallel()
			var list []lab.Spec
			for _, way := range ways {
				for _, app := range lab.Apps() {
					if way == verify.Proxyless && app != lab.HTTP {
						continue // the application is the server
					}
					list = append(list, lab.Spec{Way: way, Mode: lab.Strict, App: app, Callers: []string{caller(mesh)}})
				}
			}
			l := start(t, mesh, list...)
			for i, r := range tried(t, l, hurried(l)) {
				want := verify.Pass
				if list[i].App == lab.Absent && list[i].Way != verify.HBONE { // which says so by its status
					want = verify.Inconclusive
				}
				assert.Equal(t, want, r.Verdict, "%s: %s", &list[i], r.Reason)
				assert.Zero(t, l.Received(i), "%s", &list[i])
			}
		})
	}
}

// Behind a permissive sidecar every application is found to be within reach of
// plaintext, or it is not known; that it holds is said of none.
func TestPermissiveSidecarsNeverPass(t *testing.T) {
	t.Parallel()
	var list []lab.Spec
	for _, app := range lab.Apps() {
		list = append(list, lab.Spec{Way: verify.Sidecar, Mode: lab.Permissive, App: app, Callers: []string{caller(model.MeshIstio)}})
	}
	l := start(t, model.MeshIstio, list...)
	o := hurried(l)
	o.Timeout = 700 * time.Millisecond // some answer nothing
	for i, r := range tried(t, l, o) {
		assert.Equal(t, verify.Fail, r.Verdict, "%s: %s", &list[i], r.Reason)
		assert.Equal(t, verify.Fail, checkOf(&r, verify.BareTLS).Verdict, "%s", &list[i])
	}
}

// borrowed are a leaf and roots of another CA than the lab's.
type borrowed struct {
	ca   *lab.CA
	leaf *tls.Certificate
}

func (b borrowed) Leaf() *tls.Certificate { return b.leaf }
func (b borrowed) Roots() *x509.CertPool  { return b.ca.Roots() }

// A stand-in may have its certificates from elsewhere, and then the lab's CA counts for nothing.
func TestStandInsServeWhatTheirSourceHas(t *testing.T) {
	t.Parallel()
	ca, err := lab.NewCA(model.MeshIstio, lab.TrustDomain)
	require.NoError(t, err)
	leaf, err := ca.Leaf(identity(model.MeshIstio, "server-000"), time.Now())
	require.NoError(t, err)
	l := start(t, model.MeshIstio, lab.Spec{Way: verify.Sidecar, Mode: lab.Strict, App: lab.HTTP, Callers: []string{caller(model.MeshIstio)}, Source: borrowed{ca, leaf}})
	o := hurried(l)
	assert.Equal(t, verify.Fail, tried(t, l, o)[0].Verdict, "by the lab's roots it is foreign")
	require.NoError(t, l.Rotate())
	o.Trust, o.Credentials = verify.NewTrust([]*x509.Certificate{ca.Root()}), ca
	r := tried(t, l, o)[0]
	assert.Equal(t, verify.Pass, r.Verdict, r.Reason)
}

func TestTLS12AndServersWithoutTicketsAreJudgedToo(t *testing.T) {
	t.Parallel()
	l := start(t, model.MeshIstio,
		lab.Spec{Way: verify.Sidecar, Mode: lab.Strict, App: lab.HTTP, TLS12: true},
		lab.Spec{Way: verify.Sidecar, Mode: lab.Strict, App: lab.Banner, NoTickets: true},
		lab.Spec{Way: verify.Sidecar, Mode: lab.Strict, App: lab.Silent, NoTickets: true},
		lab.Spec{Way: verify.Sidecar, Mode: lab.Strict, Fault: lab.Unverified, App: lab.Silent, TLS12: true},
	)
	o := hurried(l)
	o.Timeout = 700 * time.Millisecond // one shows nothing
	r := tried(t, l, o)
	assert.Equal(t, verify.Pass, r[0].Verdict, r[0].Reason)
	assert.Equal(t, "1.2", r[0].Session.Version)
	assert.Equal(t, verify.Pass, r[1].Verdict, r[1].Reason)
	assert.Equal(t, verify.Inconclusive, r[2].Verdict, "nothing shows that the client was taken")
	assert.Equal(t, verify.Inconclusive, checkOf(&r[2], verify.Member).Verdict)
	assert.Equal(t, verify.Fail, r[3].Verdict, r[3].Reason)
}

// With requests authorization shows where it is judged by request.
func TestRequestsShowAuthorization(t *testing.T) {
	t.Parallel()
	for mesh, ways := range map[model.MeshKind][]verify.Way{model.MeshIstio: {verify.Sidecar}, model.MeshLinkerd: {verify.Linkerd, verify.LinkerdTransport}} {
		t.Run(string(mesh), func(t *testing.T) {
			t.Parallel()
			var list []lab.Spec
			for _, way := range ways {
				list = append(list,
					lab.Spec{Way: way, Mode: lab.Strict, App: lab.HTTP, Callers: []string{caller(mesh)}},
					lab.Spec{Way: way, Mode: lab.Strict, App: lab.HTTP, Fault: lab.AnyMember, Callers: []string{caller(mesh)}})
			}
			l := start(t, mesh, list...)
			expected := requested(l)
			o := hurried(l)
			o.Requests = true
			sweep := probe.Run(t.Context(), expected, o)
			for i := range expected {
				r := verify.Judge(&expected[i], &sweep.Seen[i])
				want := cell{verify.Pass, ""}
				if list[i].Fault == lab.AnyMember {
					want = cell{verify.Fail, "stranger"}
				}
				assert.Equal(t, want, cell{r.Verdict, failing(&r)}, "%s: %s", &list[i], r.Reason)
			}
		})
	}
}

// requested are the expectations of a lab where requests are allowed.
func requested(l *lab.Lab) []verify.Expectation {
	targets := withIdentities(l)
	targets.Requests = true
	return targets.Expectations()
}

// A new pod may be closed, or open, for a moment: either is tried again, and said.
func TestPodsThatAreNotReadyAreTriedAgain(t *testing.T) {
	t.Parallel()
	l := start(t, model.MeshIstio,
		lab.Spec{Way: verify.Sidecar, Mode: lab.Strict, App: lab.HTTP, HelloFailures: 2},
		lab.Spec{Way: verify.Sidecar, Mode: lab.Strict, App: lab.Banner, Opening: 2},
	)
	o := hurried(l)
	o.Attempts = 4
	r := tried(t, l, o)
	for i := range r {
		assert.Equal(t, verify.Pass, r[i].Verdict, r[i].Reason)
	}
	assert.Contains(t, checkOf(&r[1], verify.Plaintext).First, "answered", "what was seen first is not forgotten")
	o.Attempts = 1
	again := start(t, model.MeshIstio, lab.Spec{Way: verify.Sidecar, Mode: lab.Strict, App: lab.Banner, Opening: 2})
	assert.Equal(t, verify.Fail, tried(t, again, o)[0].Verdict)
}

func TestIPv6IsTriedAsIPv4Is(t *testing.T) {
	t.Parallel()
	if c, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skip("there is no IPv6 on this machine: ", err)
	} else {
		require.NoError(t, c.Close())
	}
	l := start(t, model.MeshIstio,
		lab.Spec{Way: verify.HBONE, Mode: lab.Strict, App: lab.HTTP, IPv6: true},
		lab.Spec{Way: verify.Sidecar, Mode: lab.Strict, App: lab.HTTP, IPv6: true})
	for _, r := range tried(t, l, hurried(l)) {
		assert.True(t, r.Address.Is6())
		assert.Equal(t, verify.Pass, r.Verdict, r.Reason)
	}
}

// What cannot be tried is not known, and no client passes for want of a certificate.
func TestWithoutCredentialsOrRootsNothingPasses(t *testing.T) {
	t.Parallel()
	l := start(t, model.MeshIstio, lab.Spec{Way: verify.Sidecar, Mode: lab.Strict, App: lab.HTTP})
	o := hurried(l)
	o.Credentials = nil
	r := tried(t, l, o)[0]
	assert.Equal(t, verify.Inconclusive, r.Verdict)
	assert.Contains(t, checkOf(&r, verify.Member).Saw, probe.ErrNoCredentials.Error())
	o = hurried(l)
	o.Trust = nil
	assert.Equal(t, verify.Inconclusive, tried(t, l, o)[0].Verdict)
}

// Features: D6.
func TestWhatHandshakesShowIsKept(t *testing.T) {
	t.Parallel()
	l := start(t, model.MeshIstio, lab.Spec{Way: verify.Sidecar, Mode: lab.Strict, App: lab.HTTP})
	expected := expectations(l)
	sweep := probe.Run(t.Context(), expected, hurried(l))
	assert.Equal(t, "X25519MLKEM768", sweep.Choice, "what it chooses where it may")
	s := sweep.Seen[0].Of(verify.Member).TLS
	require.NotNil(t, s)
	assert.Equal(t, "1.3", s.Version)
	assert.Equal(t, "X25519", s.Group, "the sweep pins its group")
	assert.False(t, s.PostQuantum)
	assert.Contains(t, s.Suite, "TLS_AES")
	assert.True(t, s.Asked)
	require.Len(t, s.Chain, 2)
	assert.Equal(t, []string{"spiffe://" + expected[0].Identity}, s.Chain[0].Names)
	assert.Equal(t, "ECDSA P-256", s.Chain[0].Key)
	assert.Equal(t, "ECDSA-SHA256", s.Chain[0].Signature)
	assert.Equal(t, verify.Fingerprint(l.CA.Root()), s.Root)
	assert.Equal(t, verify.Fingerprint(l.CA.Issuer()), s.Chain[1].Fingerprint)
}

// Renewal shows from one run to the next, and a proxy that never renews is found.
//
// Features: C2, C4.
func TestTheLedgerSeesRenewalOnTheWire(t *testing.T) {
	t.Parallel()
	l := start(t, model.MeshIstio,
		lab.Spec{Way: verify.Sidecar, Mode: lab.Strict, App: lab.HTTP, Namespace: "lab", Name: "renewed"},
		lab.Spec{Way: verify.HBONE, Mode: lab.Strict, App: lab.HTTP, Namespace: "lab", Name: "stuck", Fault: lab.NeverRotating})
	root := verify.CertificateOf(l.CA.Root())
	var before *verify.Report
	for range 2 {
		expected := expectations(l)
		sweep := probe.Run(t.Context(), expected, hurried(l))
		before = verify.NewReport(&verify.Run{
			Finished: time.Now(), Mesh: model.MeshIstio, Expectations: expected, Seen: sweep.Seen,
			Authority: verify.Authority{Roots: []verify.Certificate{root}}, Before: before,
		})
		require.NoError(t, l.Rotate())
	}
	require.Len(t, before.Ledger.Entries, 2)
	renewed, stuck := before.Ledger.Entries[0], before.Ledger.Entries[1]
	assert.Len(t, renewed.Leaves, 2)
	assert.False(t, renewed.State.Rotated.IsZero())
	assert.Equal(t, verify.Current, renewed.State.Phase)
	assert.Len(t, stuck.Leaves, 1)
	assert.Equal(t, verify.Overdue, stuck.State.Phase)
	require.Len(t, before.Findings, 1)
	assert.Equal(t, "CertificateOverdue", before.Findings[0].Code)
	assert.Equal(t, verify.Steady, before.Rotation.Stage)
}

// Concurrency and rate are bounds, and the end of the context ends a run.
func TestSweepsKeepToTheirBounds(t *testing.T) {
	var list []lab.Spec
	for range 12 {
		list = append(list, lab.Spec{Way: verify.Sidecar, Mode: lab.Strict, App: lab.HTTP})
	}
	l := start(t, model.MeshIstio, list...)
	var open, most, dials atomic.Int64
	o := hurried(l)
	o.Concurrency = 3
	o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		dials.Add(1)
		for n := open.Add(1); ; {
			if old := most.Load(); n <= old || most.CompareAndSwap(old, n) {
				break
			}
		}
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &closing{Conn: c, done: func() { open.Add(-1) }}, nil
	}
	tried(t, l, o)
	assert.LessOrEqual(t, most.Load(), int64(3))

	dials.Store(0)
	o.Rate = 200
	began := time.Now()
	tried(t, l, o)
	least := time.Duration(float64(dials.Load()-2) / o.Rate * float64(time.Second))
	assert.GreaterOrEqual(t, time.Since(began), least, "%d connections", dials.Load())

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	expected := expectations(l)
	for i, seen := range probe.Run(ended, expected, o).Seen {
		r := verify.Judge(&expected[i], &seen)
		assert.Equal(t, verify.Inconclusive, r.Verdict)
	}
}

// closing tells once when a connection is closed.
type closing struct {
	net.Conn
	closed atomic.Bool
	done   func()
}

// Close closes, and tells.
func (c *closing) Close() error {
	if c.closed.CompareAndSwap(false, true) {
		c.done()
	}
	return c.Conn.Close()
}

func TestNobodyThereIsNotAPass(t *testing.T) {
	t.Parallel()
	l, err := lab.Start(model.MeshIstio, []lab.Spec{{Namespace: "lab", Name: "gone", Way: verify.Sidecar, Mode: lab.Strict, App: lab.HTTP}})
	require.NoError(t, err)
	expected := expectations(l)
	o := hurried(l)
	require.NoError(t, l.Close())
	sweep := probe.Run(t.Context(), expected, o)
	r := verify.Judge(&expected[0], &sweep.Seen[0])
	assert.Equal(t, verify.Inconclusive, r.Verdict)
	assert.Contains(t, r.Reason, "nothing listens there")
}

var _ probe.Expirer = (*lab.CA)(nil)

// counting counts what is read of a connection.
type counting struct {
	net.Conn
	n *atomic.Int64
}

// Read reads, and counts.
func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// However much a peer sends, a connection takes a bounded part of it, and ends in time.
func TestHostilePeersCostABoundedAmount(t *testing.T) {
	t.Parallel()
	for _, fault := range lab.Hostile() {
		for mesh, way := range map[model.MeshKind]verify.Way{model.MeshIstio: verify.HBONE, model.MeshLinkerd: verify.Linkerd} {
			l := start(t, mesh, lab.Spec{Way: way, Mode: lab.Strict, Fault: fault, App: lab.HTTP, Callers: []string{caller(mesh)}})
			var most, conns atomic.Int64
			o := hurried(l)
			o.Timeout, o.Attempts = 300*time.Millisecond, 1
			o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				c, err := (&net.Dialer{}).DialContext(ctx, network, address)
				conns.Add(1)
				return &counting{c, &most}, err
			}
			began := time.Now()
			expected := expectations(l)
			sweep := probe.Run(t.Context(), expected, o)
			assert.LessOrEqual(t, most.Load(), conns.Load()*(100<<10), "%s %s: over 100 KiB a connection", way, fault)
			assert.Less(t, time.Since(began), time.Duration(conns.Load())*2*time.Second, "%s %s", way, fault)
			r := verify.Judge(&expected[0], &sweep.Seen[0])
			assert.NotEqual(t, verify.Pass, r.Verdict, "%s %s", way, fault)
			assert.NotEmpty(t, r.Reason)
			assert.Less(t, len(r.Reason), 400, "%s %s: what a peer says is cut", way, fault)
		}
	}
}

package issuers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"floe.dev/palisade/verify/lab"
)

// agent stands in for the proxy of a pod: it has a leaf from the mesh's CA and a
// bundle of roots, and renews both by a rule. verify/lab serves what it has.
type agent struct {
	identity string
	certify  func(ctx context.Context, identity string) (*tls.Certificate, error)
	bundle   func(ctx context.Context) (*x509.CertPool, error)
	// due is when a leaf that came at a time is renewed; nil never does.
	due func(leaf *x509.Certificate, came time.Time) time.Time
	// restarted asks for a renewal at once, as a restart of the pod does, and to be told of it.
	restarted chan chan<- struct{}
	// renewed has every leaf that was got because the one before was due.
	renewed chan *x509.Certificate

	mu    sync.Mutex
	leaf  *tls.Certificate
	roots *x509.CertPool
}

var _ lab.Source = (*agent)(nil)

// start gets the first leaf, and renews it until the test ends.
func (a *agent) start(t *testing.T) *agent {
	t.Helper()
	a.restarted, a.renewed = make(chan chan<- struct{}), make(chan *x509.Certificate, 100)
	require.NoError(t, a.renew(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { a.run(t.Context(), time.Now()) })
	t.Cleanup(running.Wait) // the test's context ends before that
	return a
}

func (a *agent) run(ctx context.Context, came time.Time) {
	for {
		var due <-chan time.Time
		if a.due != nil {
			due = time.After(time.Until(a.due(a.Leaf().Leaf, came)))
		}
		var waiting chan<- struct{}
		select {
		case <-ctx.Done():
			return
		case waiting = <-a.restarted:
		case <-due:
		}
		for a.renew(ctx) != nil { // its CA may be about to be restarted
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Second):
			}
		}
		came = time.Now()
		if waiting != nil {
			close(waiting)
		} else {
			a.renewed <- a.Leaf().Leaf
		}
	}
}

func (a *agent) renew(ctx context.Context) error {
	roots, err := a.bundle(ctx)
	if err != nil {
		return err
	}
	leaf, err := a.certify(ctx, a.identity)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.leaf, a.roots = leaf, roots
	return nil
}

// Leaf implements lab.Source.
func (a *agent) Leaf() *tls.Certificate {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.leaf
}

// Roots implements lab.Source.
func (a *agent) Roots() *x509.CertPool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.roots
}

// awaitRenewal waits for the next leaf that is got by the rule.
func (a *agent) awaitRenewal(t *testing.T) {
	t.Helper()
	for len(a.renewed) > 0 { // that was before
		<-a.renewed
	}
	select {
	case <-a.renewed:
	case <-time.After(time.Minute):
		require.Fail(t, a.identity+" did not renew in time")
	}
}

// restart renews at once.
func (a *agent) restart(t *testing.T) {
	t.Helper()
	done := make(chan struct{})
	limit := time.After(time.Minute)
	select {
	case a.restarted <- done:
	case <-limit:
		require.Fail(t, a.identity+" did not restart in time")
	}
	select {
	case <-done:
	case <-limit:
		require.Fail(t, a.identity+" got no certificate in time")
	}
}

// istioRule is when Istio's agent renews: where half of the life from when it came, ± 1 %, is left
// (istio security/pkg/nodeagent/cache/secretcache.go, rotateTime).
func istioRule(leaf *x509.Certificate, came time.Time) time.Time {
	ratio := 0.5 + 0.01*(2*rand.Float64()-1)
	return leaf.NotAfter.Add(-time.Duration(ratio * float64(leaf.NotAfter.Sub(came))))
}

// linkerdRule is when Linkerd's proxy renews: after 70 % of what is left when it came, within 10 s and a day
// (linkerd2-proxy linkerd/proxy/identity-client/src/certify.rs).
func linkerdRule(leaf *x509.Certificate, came time.Time) time.Time {
	wait := time.Duration(0.7 * float64(leaf.NotAfter.Sub(came)))
	return came.Add(min(max(wait, 10*time.Second), 24*time.Hour))
}

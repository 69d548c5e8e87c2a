package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"floe.dev/palisade/verify"
)

// Sweep is what a run of probes saw.
type Sweep struct {
	// Seen has what was seen at each expectation, in the same order.
	Seen []verify.Observed
	// Choice is the key exchange that the mesh chose where it could choose among all; empty where none was seen.
	Choice string
}

// Run tries every check of every expectation. It returns what it saw, whatever
// that is; where the context ends, what is left counts as skipped.
func Run(ctx context.Context, expectations []verify.Expectation, o Options) Sweep {
	p := newProber(o)
	sweep := Sweep{Seen: make([]verify.Observed, len(expectations)), Choice: p.learn(ctx, expectations)}
	next := make(chan int)
	var workers sync.WaitGroup
	var done atomic.Int64
	for range min(p.o.Concurrency, max(len(expectations), 1)) {
		workers.Go(func() {
			for i := range next {
				sweep.Seen[i] = p.target(ctx, &expectations[i])
				if n := int(done.Add(1)); p.o.Progress != nil {
					p.o.Progress(n)
				}
			}
		})
	}
	for _, i := range staggered(expectations) {
		next <- i
	}
	close(next)
	workers.Wait()
	return sweep
}

// staggered orders targets so that the ports of one pod do not follow each
// other: one port of every pod, then the next.
func staggered(expectations []verify.Expectation) []int {
	var rounds [][]int
	count := map[netip.Addr]int{}
	for i := range expectations {
		n := count[expectations[i].Address]
		count[expectations[i].Address]++
		if n == len(rounds) {
			rounds = append(rounds, nil)
		}
		rounds[n] = append(rounds[n], i)
	}
	order := make([]int, 0, len(expectations))
	for _, round := range rounds {
		order = append(order, round...)
	}
	return order
}

// prober carries one run.
type prober struct {
	o       Options
	pace    pace
	foreign foreignCA
	held    held
	// allGroups tells that some server knew none of the pinned groups.
	allGroups atomic.Bool
	known     sync.Map // of CA certificates that servers showed, by their fingerprints as bytes
}

func newProber(o Options) *prober {
	o = o.withDefaults()
	return &prober{o: o, pace: pace{rate: o.Rate}, held: held{from: o.Credentials, expired: map[string]yielded{}, valid: map[string]yielded{}}, foreign: foreignCA{mesh: o.Mesh}}
}

// target tries all checks of one target, one after the other. What could not be
// reached by several attempts is not tried again, and where one client has come to
// the same by all its attempts the pod is not new any more: the next that comes to it is believed at once.
func (p *prober) target(ctx context.Context, e *verify.Expectation) verify.Observed {
	seen := verify.Observed{Target: e.Target}
	var settled verify.Verdict
	gone := map[int32]verify.Observation{}
	for _, check := range e.Checks {
		port := p.dialled(e, check)
		o, unreachable := gone[port]
		switch {
		case !e.Address.IsValid():
			o = verify.Observation{Outcome: verify.Skipped, Detail: "its address is not known"}
		case !unreachable:
			o = p.client(ctx, e, check, settled)
		}
		o.Client, o.Identity = check.Client, check.Identity
		switch {
		case o.TLS != nil:
			share(&o, &seen)
		case o.Outcome == verify.Unreachable:
			gone[port] = o
		}
		if weight := verify.Weigh(e, check, &o); o.Attempts == p.o.Attempts && (weight == verify.Fail || weight == verify.Inconclusive) {
			settled = weight
		}
		seen.Seen = append(seen.Seen, o)
	}
	return seen
}

// share keeps one copy of a chain that several clients were shown.
func share(o *verify.Observation, seen *verify.Observed) {
	for i := range seen.Seen {
		if other := seen.Seen[i].TLS; other != nil && other.Leaf().Fingerprint == o.TLS.Leaf().Fingerprint && len(other.Chain) == len(o.TLS.Chain) {
			o.TLS.Chain = other.Chain
			return
		}
	}
}

// client tries one client, and again where it sees other than what it must: a
// new pod may be open, or closed, for a moment. The last attempt counts, unless it
// shows nothing and an earlier one did. What others have settled is not tried again.
func (p *prober) client(ctx context.Context, e *verify.Expectation, check verify.Check, settled verify.Verdict) verify.Observation {
	var kept verify.Observation
	var weight verify.Verdict
	first, made, began := "", 0, time.Now()
	for attempt := range p.o.Attempts {
		if attempt > 0 && !sleep(ctx, p.o.Pause<<(attempt-1)) {
			break
		}
		at := time.Now()
		o := p.once(ctx, e, check, attempt)
		o.Client, o.At = check.Client, at.UTC()
		made++
		if attempt == 0 {
			first = o.Describe()
		}
		weighs := verify.Weigh(e, check, &o)
		if attempt == 0 || weighs != verify.Inconclusive || weight == verify.Inconclusive {
			kept, weight = o, weighs
		}
		vacant := e.Undeclared && o.Detail == verify.NothingListens
		if vacant || o.Outcome == verify.Skipped || weighs == verify.Pass || weighs == verify.Untested || weighs == settled {
			break
		}
	}
	if kept.Describe() != first {
		kept.First = first
	}
	kept.Attempts, kept.Took = made, time.Since(began)
	return kept
}

// once opens one connection.
func (p *prober) once(ctx context.Context, e *verify.Expectation, check verify.Check, attempt int) verify.Observation {
	certificate, err := p.certificate(ctx, check)
	switch {
	case err != nil:
		return verify.Observation{Outcome: verify.Skipped, Detail: shown(err.Error())}
	case !p.pace.wait(ctx):
		return verify.Observation{Outcome: verify.Skipped, Detail: "the run was ended"}
	case check.Client == verify.Plaintext:
		return p.plaintext(ctx, e, attempt)
	default:
		return p.tlsClient(ctx, e, check, certificate, attempt)
	}
}

// ErrNoCredentials tells that no certificate of the mesh is at hand.
var ErrNoCredentials = errors.New("no certificate of the mesh is at hand")

// certificate is what a client presents: for those without one, an empty one.
func (p *prober) certificate(ctx context.Context, check verify.Check) (*tls.Certificate, error) {
	switch check.Client {
	case verify.Member, verify.Stranger:
		return p.held.certificate(ctx, check.Identity)
	case verify.Expired:
		return p.held.lapsed(ctx, check.Identity)
	case verify.ForeignCA:
		return p.foreign.certificate(check.Identity)
	default:
		return &tls.Certificate{}, nil
	}
}

// learn finds out what key exchange the mesh chooses where it may choose, at the first server that shows it.
func (p *prober) learn(ctx context.Context, expectations []verify.Expectation) string {
	const most = 3
	tried := 0
	for i := range expectations {
		e := &expectations[i]
		if !e.Meshed() || !e.Address.IsValid() || tried == most {
			continue
		}
		tried++
		// The second attempt is the one that offers everything.
		h := &handshake{prober: p, e: e, check: verify.Check{Client: verify.NoCertificate}, attempt: 1}
		o := h.run(ctx, &tls.Certificate{}, func() verify.Observation { return verify.Observation{} })
		if o.TLS != nil && o.TLS.Group != "" {
			return o.TLS.Group
		}
	}
	return ""
}

// certificates adds to a session what the server showed, and whether it is to be trusted.
func (h *handshake) certificates(s *verify.Session, chain []*x509.Certificate) {
	for i, c := range chain {
		if i == 0 {
			s.Chain = append(s.Chain, verify.CertificateOf(c))
			continue
		}
		s.Chain = append(s.Chain, h.authority(c))
	}
	root, err := h.o.Trust.Check(chain, time.Now())
	if err != nil {
		s.Trust = shown(err.Error())
		return
	}
	s.Root = verify.Fingerprint(root)
}

// authority is a CA certificate as reports have it; there are few of them.
func (p *prober) authority(c *x509.Certificate) verify.Certificate {
	key := verify.Fingerprint(c)
	if known, there := p.known.Load(key); there {
		return known.(verify.Certificate)
	}
	made := verify.CertificateOf(c)
	p.known.Store(key, made)
	return made
}

func addressOf(e *verify.Expectation, port int32) string {
	return netip.AddrPortFrom(e.Address, uint16(port)).String()
}

// hostOf is the host of a request: the address, since no name is known.
func hostOf(e *verify.Expectation) string {
	return net.JoinHostPort(e.Address.String(), strconv.Itoa(int(e.Port)))
}

package verify

import (
	"time"
)

// Renewal is by which rule the holder of a leaf renews it. Each mesh has its own.
type Renewal struct {
	// Name is "istio-agent", "ztunnel" or "linkerd".
	Name string
	// Ratio is which part of the lifetime is still left when the leaf is renewed, Jitter by how much that varies.
	Ratio, Jitter float64
	// Backdated is by how much the CA dates a leaf back.
	Backdated time.Duration
	// Least and Most bound the time from issue to renewal; 0 does not.
	Least, Most time.Duration
	// Slack is how much later than due a renewal may show.
	Slack time.Duration
}

const (
	// slackShare is which part of the lifetime a renewal may be late by retries without being overdue.
	slackShare = 0.02
	// leftShare is which part of the lifetime a leaf that is overdue still has at least: where lives are short, the
	// slack would last beyond their end, and a leaf expire without a word before.
	leftShare = 0.125
)

// RenewalOf is the rule for leaves that come by a way, with the mesh's defaults.
func RenewalOf(w Way) (Renewal, bool) {
	switch w {
	case Sidecar:
		// istio security/pkg/nodeagent/cache/secretcache.go, rotateTime: SECRET_GRACE_PERIOD_RATIO
		// 0.5 ± 0.01 of the life from when the agent got it; istiod dates back by two minutes.
		return Renewal{Name: "istio-agent", Ratio: 0.5, Jitter: 0.01, Backdated: 2 * time.Minute, Slack: time.Minute}, true
	case Proxyless:
		// The same agent writes files, which grpc-go reads anew every 900 s.
		return Renewal{Name: "istio-agent", Ratio: 0.5, Jitter: 0.01, Backdated: 2 * time.Minute, Slack: 16 * time.Minute}, true
	case HBONE:
		// ztunnel src/identity/manager.rs: at half of the life, retries up to 150 s apart.
		return Renewal{Name: "ztunnel", Ratio: 0.5, Slack: 3 * time.Minute}, true
	case Linkerd, LinkerdTransport:
		// linkerd2-proxy linkerd/proxy/identity-client/src/certify.rs: after 70 % of what is left, within
		// 10 s and 24 h; the identity service dates back by its clock skew of 20 s.
		return Renewal{Name: "linkerd", Ratio: 0.3, Backdated: 20 * time.Second, Least: 10 * time.Second, Most: 24 * time.Hour, Slack: time.Minute}, true
	default:
		return Renewal{}, false
	}
}

// Issued is when the leaf was made.
func (r Renewal) Issued(c *Certificate) time.Time {
	issued := c.NotBefore.Add(r.Backdated)
	if issued.After(c.NotAfter) {
		return c.NotBefore
	}
	return issued
}

// Window is from when and until when the leaf is due to be renewed.
func (r Renewal) Window(c *Certificate) (from, until time.Time) {
	issued := r.Issued(c)
	life := c.NotAfter.Sub(issued)
	after := func(left float64) time.Time {
		wait := life - time.Duration(left*float64(life))
		if r.Most > 0 {
			wait = min(wait, r.Most)
		}
		return issued.Add(max(wait, r.Least))
	}
	return after(r.Ratio + r.Jitter), after(r.Ratio - r.Jitter)
}

// Overdue is from when on a leaf that is still there should have been renewed: once the
// slack is over, or an eighth of the life is left.
func (r Renewal) Overdue(c *Certificate) time.Time {
	_, until := r.Window(c)
	late := until.Add(r.Slack + time.Duration(slackShare*float64(c.NotAfter.Sub(c.NotBefore))))
	latest := c.NotAfter.Add(-time.Duration(leftShare * float64(c.NotAfter.Sub(r.Issued(c)))))
	switch {
	case latest.Before(until):
		return until
	case late.Before(latest):
		return late
	default:
		return latest
	}
}

// Phase is where a leaf stands in its life.
type Phase string

// The phases.
const (
	// Current leaves are not due yet.
	Current Phase = "current"
	// Due leaves may be renewed at any moment.
	Due Phase = "due"
	// Overdue leaves should have been renewed.
	Overdue Phase = "overdue"
	// Lapsed leaves have expired.
	Lapsed Phase = "expired"
)

// PhaseAt is the phase of a leaf at a time.
func (r Renewal) PhaseAt(c *Certificate, now time.Time) Phase {
	from, _ := r.Window(c)
	switch {
	case now.After(c.NotAfter):
		return Lapsed
	case now.After(r.Overdue(c)):
		return Overdue
	case !now.Before(from):
		return Due
	default:
		return Current
	}
}

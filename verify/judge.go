package verify

import (
	"fmt"
	"slices"
	"strings"
)

// Result is what was expected of one target, what was seen there, and what that comes to.
type Result struct {
	Target
	Way      Way      `json:"way"`
	Standing Standing `json:"standing"`
	Why      string   `json:"why,omitempty"`
	Identity string   `json:"identity,omitempty"`
	Callers  []string `json:"callers,omitempty"`
	Verdict  Verdict  `json:"verdict"`
	// Reason says what made the verdict other than a pass.
	Reason string `json:"reason,omitempty"`
	// Session is what a handshake showed, less its certificates; nil where none showed one.
	Session *Session `json:"tls,omitempty"`
	// Certificate is the fingerprint of the server's leaf.
	Certificate string    `json:"certificate,omitempty"`
	Checks      []Checked `json:"checks,omitempty"`
	Untested    []string  `json:"untested,omitempty"`
}

// Checked is a check, what was seen, and what that comes to.
type Checked struct {
	Check
	Verdict Verdict `json:"verdict"`
	// Saw is what was seen, in words.
	Saw string `json:"saw"`
	// Reason says why it is no pass.
	Reason string `json:"reason,omitempty"`
	// First is what was seen first, where a later attempt saw something else.
	First string `json:"first,omitempty"`
	fault fault
}

// fault is what kind of failure a check showed; each is a finding of its own.
type fault int8

// The faults.
const (
	noFault fault = iota
	// plaintextTaken: plaintext gets in where it must not.
	plaintextTaken
	// clientUnverified: clients get in without a certificate that proves who they are.
	clientUnverified
	// serverUnproven: what answers does not prove to be the workload.
	serverUnproven
	// memberRefused: a client that the rules let in is refused.
	memberRefused
	// strangerAdmitted: an identity that no rule lets in gets in.
	strangerAdmitted
)

// admitted is the fault of letting a client in.
func admitted(c Client) fault {
	switch c {
	case Plaintext:
		return plaintextTaken
	case Stranger:
		return strangerAdmitted
	default:
		return clientUnverified
	}
}

// Judge compares what was seen at a target with what must be.
func Judge(e *Expectation, seen *Observed) Result {
	r := Result{
		Target: e.Target, Way: e.Way, Standing: e.Standing, Why: e.Why, Identity: e.Identity, Callers: e.Callers,
		Untested: e.Untested,
	}
	for _, check := range e.Checks {
		o := seen.Of(check.Client)
		if o == nil {
			o = &Observation{Client: check.Client, Outcome: Skipped}
		}
		r.Checks = append(r.Checks, e.judge(check, o))
		r.keep(o, check.Client == Member)
	}
	r.compare(e, seen)
	r.settle(e, seen)
	return r
}

// Weigh tells what a single observation comes to for a check. What is no Pass, nor
// Untested, is worth another attempt.
func Weigh(e *Expectation, check Check, o *Observation) Verdict { return e.judge(check, o).Verdict }

// judge judges one check.
func (e *Expectation) judge(check Check, o *Observation) Checked {
	c := Checked{Check: check, Saw: o.Describe(), First: o.First, Verdict: Pass}
	if check.Want == Either {
		c.Verdict = Untested
		return c
	}
	if wrong, of := e.server(o); wrong != "" {
		c.Verdict, c.Reason, c.fault = Fail, wrong, of
		return c
	}
	if check.Client == BareTLS {
		e.bare(&c, o)
		return c
	}
	got, doubt := e.admission(o)
	switch {
	case got == unclear:
		c.Verdict, c.Reason = Inconclusive, doubt
	case check.Want == Refused && got == letIn:
		c.Verdict, c.Reason, c.fault = Fail, "it must be refused, and was let in", admitted(check.Client)
	case check.Want == Admitted && got == turnedAway:
		c.Verdict, c.Reason, c.fault = Fail, "it must be let in, and was refused", memberRefused
	}
	return c
}

// bare judges TLS of no mesh by itself.
func (e *Expectation) bare(c *Checked, o *Observation) {
	switch got, doubt := e.admission(o); {
	case o.TLS.Leaf() == nil:
		c.Verdict, c.Reason = Inconclusive, "it was shown no certificate"
	case got == letIn:
		c.Verdict, c.Reason, c.fault = Fail, "it must be refused, and was let in", clientUnverified
	case got == unclear:
		c.Verdict, c.Reason = Inconclusive, doubt
	}
}

// compare judges TLS of no mesh beside the mesh's own: where the second was shown
// the workload's certificate and the first was not, whatever it met is the
// application, to which Istio's proxy leaves such TLS where it takes plaintext.
func (r *Result) compare(e *Expectation, seen *Observed) {
	bare := seen.Of(BareTLS)
	if bare == nil || bare.TLS.Leaf() != nil || bare.Outcome == Unreachable || bare.Outcome == Skipped || bare.Outcome == Excessive || !e.proved(seen) {
		return
	}
	for i := range r.Checks {
		if c := &r.Checks[i]; c.Client == BareTLS {
			c.Verdict, c.Reason, c.fault = Fail, leftToApplication, plaintextTaken
		}
	}
}

const leftToApplication = "the proxy left it to the application, as it does where plaintext is taken too"

// server says what is wrong with who answered; empty where nothing is, or nothing showed.
func (e *Expectation) server(o *Observation) (string, fault) {
	leaf := o.TLS.Leaf()
	switch {
	case o.Client == Plaintext || !e.Meshed():
		return "", noFault
	case o.Outcome == NotTLS && o.Client != BareTLS:
		return "what answers on the port speaks no TLS: it is not the mesh's proxy", serverUnproven
	case leaf == nil:
		return "", noFault
	case o.Client == BareTLS && !leaf.ofMesh():
		return "a certificate of no mesh was shown (" + nameOr(leaf) + "): " + leftToApplication, plaintextTaken
	case e.Identity != "" && !leaf.Proves(e.Identity):
		return fmt.Sprintf("the server proves to be %s, and not %s", nameOr(leaf), e.Identity), serverUnproven
	case o.TLS.Trust != "" && o.TLS.Trust != ErrNoRoots.Error():
		return "the server's certificate is not to be trusted: " + o.TLS.Trust, serverUnproven
	default:
		return "", noFault
	}
}

// ofMesh tells whether a certificate is one that Istio's CA writes: its name is a SPIFFE ID.
func (c *Certificate) ofMesh() bool {
	return slices.ContainsFunc(c.Names, func(name string) bool { return strings.HasPrefix(name, spiffe) })
}

func nameOr(leaf *Certificate) string {
	if name := leaf.Identity(); name != "" {
		return name
	}
	return "nobody"
}

// keep notes the best session that was seen: a member's, which went furthest.
func (r *Result) keep(o *Observation, best bool) {
	leaf := o.TLS.Leaf()
	if leaf == nil || r.Session != nil && !best {
		return
	}
	r.Session, r.Certificate = o.TLS, leaf.Fingerprint
}

// vacant tells of a port that nothing names, and where nothing listens either.
func (e *Expectation) vacant(seen *Observed) bool {
	return e.Undeclared && len(seen.Seen) > 0 && !slices.ContainsFunc(seen.Seen, func(o Observation) bool {
		return o.Outcome != Unreachable || o.Detail != NothingListens
	})
}

// settle makes the verdict of the port of those of its checks.
func (r *Result) settle(e *Expectation, seen *Observed) {
	switch e.Standing {
	case NotCovered:
		r.Verdict, r.Reason = Untested, e.Why
		return
	case ByDesign:
		r.Verdict, r.Reason = Open, e.Why
		return
	case Outside:
		r.Verdict, r.Reason = Unprotected, e.Why
		return
	}
	r.Verdict = Pass
	if !e.Address.IsValid() {
		r.Verdict, r.Reason = Inconclusive, "no running pod with a known address was read"
		return
	}
	for i := range r.Checks {
		if c := &r.Checks[i]; c.Verdict.Rank() < r.Verdict.Rank() && c.Verdict != Untested {
			r.Verdict, r.Reason = c.Verdict, c.why()
		}
	}
	if r.Verdict == Pass {
		r.prove(e, seen)
	}
}

// why tells what a check that is no pass came to. What is wrong with the server is so for every client.
func (c *Checked) why() string {
	if c.fault == serverUnproven {
		return c.Reason
	}
	return fmt.Sprintf("%s: %s (%s)", c.Client.Describe(), c.Saw, c.Reason)
}

// proved tells whether the workload's own certificate was shown.
func (e *Expectation) proved(seen *Observed) bool {
	return e.Identity != "" && slices.ContainsFunc(seen.Seen, func(o Observation) bool {
		return o.TLS.Leaf() != nil && o.TLS.Trust == "" && o.TLS.Leaf().Proves(e.Identity)
	})
}

// prove demands, for a pass, that the workload's own certificate was shown, and
// that all was looked at by which it is told from another's.
func (r *Result) prove(e *Expectation, seen *Observed) {
	switch {
	case e.proved(seen), e.Way == Proxyless && e.Standing == Permissive: // it shows no certificate
	case e.Identity == "":
		r.Verdict, r.Reason = Inconclusive, "the identity that the server must prove is not known, since the mesh's trust domain is not"
	case r.Session != nil && r.Session.Trust != "":
		r.Verdict, r.Reason = Inconclusive, "the server's certificate cannot be trusted: "+r.Session.Trust
	default:
		r.Verdict, r.Reason = Inconclusive, "the server showed no certificate"
	}
}

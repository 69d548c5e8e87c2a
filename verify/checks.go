package verify

import "cmp"

// credentials are the identities that a port is tried with.
type credentials struct {
	// member is let in; empty where nobody is.
	member string
	// stranger is an identity of the mesh that is not; empty where every one is.
	stranger string
	// lapsed is whose certificate has expired; empty is the member's.
	lapsed string
	// requests tells that probes may send an OPTIONS * request (RFC 9110, section 9.3.7).
	requests bool
}

// The words for what no check shows.
const (
	untestedAuthorization = "whom authorization lets in: here it shows on a request only, and none is sent unless requests are allowed"
	untestedMember        = "that a client gets in: no rule lets any in"
	untestedStranger      = "that strangers are refused: no other identity is at hand"
)

// choose sets the checks of an expectation by its standing and way.
func (e *Expectation) choose(c credentials) {
	e.Checks, e.Untested = nil, nil
	switch {
	case e.Standing == NotCovered:
		return
	case !e.Meshed():
		e.check(Plaintext, "", Either)
		return
	}
	strict := e.Standing == Strict
	e.check(Plaintext, "", either(strict, Refused))
	if e.Way == Sidecar && strict {
		e.check(BareTLS, "", Refused)
	}
	// A permissive server of proxyless gRPC speaks no mTLS at all, and Linkerd's lets in whoever has no identity.
	takesMTLS := strict || e.Way != Proxyless
	e.check(NoCertificate, "", either(takesMTLS && (strict || e.Way == Sidecar || e.Way == HBONE), Refused))
	bearer := c.member
	if c.member == "" {
		e.Untested = append(e.Untested, untestedMember)
		bearer = e.Identity
	} else {
		e.check(Member, c.member, either(takesMTLS, Admitted))
	}
	e.stranger(c, strict)
	e.check(ForeignCA, bearer, either(takesMTLS, Refused))
	e.check(Expired, cmp.Or(c.lapsed, bearer), either(takesMTLS, Refused))
}

// stranger adds the check of an identity that no rule lets in, where the way can show it.
func (e *Expectation) stranger(c credentials, strict bool) {
	switch {
	case !e.Authorized:
		return
	case c.stranger == "":
		e.Untested = append(e.Untested, untestedStranger)
	case c.requests && e.Way == Sidecar || e.Way == HBONE || e.Way == LinkerdTransport || e.Way == Linkerd:
		// Where Linkerd takes plaintext it takes every identity.
		e.check(Stranger, c.stranger, either(strict || e.Way == Sidecar || e.Way == HBONE, Refused))
	default:
		e.Untested = append(e.Untested, untestedAuthorization)
	}
}

func (e *Expectation) check(c Client, identity string, want Want) {
	e.Checks = append(e.Checks, Check{Client: c, Identity: identity, Want: want})
}

// either is a want where it is due, else a look for the record.
func either(due bool, want Want) Want {
	if due {
		return want
	}
	return Either
}

package verify

import "strconv"

// HTTP statuses (RFC 9110).
const (
	statusOK           = 200
	statusUnauthorized = 401
	statusForbidden    = 403
	statusUnavailable  = 503
)

// admission is what an observation says about whether a client got in.
type admission int8

// The admissions. What does not show is unclear, whatever it may look like.
const (
	unclear admission = iota
	turnedAway
	letIn
)

// admission judges what one client saw, and says in words why it is unclear.
// The rules are those of the proxies' sources; docs/verification.md lists them.
func (e *Expectation) admission(o *Observation) (admission, string) {
	switch o.Outcome {
	case Alerted:
		return alerted(o)
	case Closed, ClosedUnasked:
		return e.closed(o)
	case Answered:
		return e.answered(o)
	case Spoke:
		return letIn, ""
	case Established:
		return e.established(o)
	case NotTLS:
		return unclear, "what answers there speaks no TLS"
	case Unreachable:
		return unclear, "there is no connection"
	case Silent:
		return unclear, "nothing came until the deadline, and silence proves nothing"
	case Excessive:
		return unclear, "it sent more than a handshake takes, or dribbled it"
	case Skipped:
		return unclear, "it was not tried"
	default:
		return unclear, "what happened is not known"
	}
}

// alerted judges an alert. A client without TLS is refused by any: what sends
// alerts speaks TLS only. Of the others those count that are about certificates, and
// handshake_failure only once the server has shown its own, for before that it means
// that there was no common version, suite or group.
func alerted(o *Observation) (admission, string) {
	switch {
	case o.Client == Plaintext:
		return turnedAway, ""
	case !refuses(o.Alert):
		return unclear, AlertName(o.Alert) + " says nothing of who may come in"
	case o.TLS.Leaf() == nil:
		return unclear, AlertName(o.Alert) + " came before the server had shown a certificate"
	default:
		return turnedAway, ""
	}
}

// closed judges a connection that ended without a word. Proxies end one so that
// they refuse, and one behind which no application listens: which of them it is
// shows beside a client that gets in, so of that client alone it says nothing.
func (e *Expectation) closed(o *Observation) (admission, string) {
	switch {
	case o.Client != Plaintext && o.TLS.Leaf() == nil:
		return unclear, "it hung up before it had shown a certificate"
	case o.Client == Plaintext && e.Way == HBONE && o.Outcome == Closed:
		// ztunnel judges a connection before it has a byte of it (ztunnel src/proxy/inbound_passthrough.rs).
		return unclear, "it hung up only once it had bytes, as an application does that cannot read them"
	case o.Client == Member:
		return unclear, "it hung up on a client that must be let in, without a word: authorization refuses it, or nothing listens behind the proxy"
	default:
		return turnedAway, ""
	}
}

// answered judges an HTTP status.
func (e *Expectation) answered(o *Observation) (admission, string) {
	if e.Way == HBONE && o.Client != Plaintext {
		switch o.Status {
		case statusOK, statusUnavailable: // it was let in; with 503 nothing listens behind
			return letIn, ""
		case statusUnauthorized, statusForbidden:
			return turnedAway, ""
		default:
			return unclear, "status " + strconv.Itoa(o.Status) + " is no answer to whether it may come in"
		}
	}
	switch {
	case o.MeshError == "":
		return letIn, "" // the application's own
	case o.Status == statusForbidden:
		return turnedAway, ""
	default:
		return unclear, "status " + strconv.Itoa(o.Status) + " of the proxy is no answer to whether it may come in"
	}
}

// established judges a connection that was kept. Linkerd judges clients once it
// knows the protocol, and Envoy by the first byte or request, so there it says no
// more than that the handshake was taken.
func (e *Expectation) established(o *Observation) (admission, string) {
	const held = "the handshake was taken and the connection kept: whether the client may do anything there shows on a request only"
	switch {
	case o.Client == Stranger && e.Way != LinkerdTransport && e.Way != HBONE:
		return unclear, held
	case o.Client == NoCertificate && (e.Way == Linkerd || e.Way == LinkerdTransport && o.TLS.Protocol == ""):
		return unclear, held
	default:
		return letIn, ""
	}
}

package probe

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"time"

	"floe.dev/palisade/verify"
)

// The names by which proxies know their own (ALPN).
var (
	// istioALPN makes a sidecar end TLS in every mode (istio pilot/pkg/security/authn/utils/utils.go).
	istioALPN = []string{"istio-peer-exchange", "istio"}
	// istioHTTP also chooses the filters for HTTP.
	istioHTTP     = []string{"istio-http/1.1", "istio", "http/1.1"}
	h2ALPN        = []string{"h2"}
	transportALPN = []string{"transport.l5d.io/v1"}
)

// pinned are the groups of a sweep: hybrid post-quantum key exchange costs half as much again, and is learnt once.
var pinned = []tls.CurveID{tls.X25519, tls.CurveP256}

// handshake is one TLS client at work.
type handshake struct {
	*prober
	e       *verify.Expectation
	check   verify.Check
	attempt int
	conn    *wire
	tls     *tls.Conn
	// asked tells that the server asked for a certificate, ticket that it sent a
	// session ticket, settling that from a ticket on a kept connection is all that is waited for.
	asked, ticket, settling bool
	settle                  time.Duration
}

// tlsClient tries a port with TLS.
func (p *prober) tlsClient(ctx context.Context, e *verify.Expectation, check verify.Check, certificate *tls.Certificate, attempt int) verify.Observation {
	h := &handshake{prober: p, e: e, check: check, attempt: attempt, settle: p.o.Settle << attempt}
	return h.run(ctx, certificate, h.after)
}

// run opens a connection, shakes hands, and does what comes after.
func (h *handshake) run(ctx context.Context, certificate *tls.Certificate, after func() verify.Observation) verify.Observation {
	conn, err := h.dial(ctx, addressOf(h.e, h.dialled(h.e, h.check)), h.o.Timeout)
	if err != nil {
		return unreachable(err)
	}
	defer func() { _ = conn.Close() }() // what it came to is known
	h.conn = conn
	h.tls = tls.Client(conn, h.config(certificate))
	if err := h.tls.Handshake(); err != nil {
		o := conn.failed(err)
		if o.Outcome == verify.Silent && conn.got > 0 {
			o.Outcome = verify.Excessive
		}
		return h.told(o)
	}
	return h.told(after())
}

// dialled is the port to dial for a client: the mesh's tunnel, or the port itself.
func (p *prober) dialled(e *verify.Expectation, check verify.Check) int32 {
	switch {
	case check.Client == verify.Plaintext:
		return e.Port
	case e.Way == verify.HBONE:
		return verify.PortHBONE
	case p.byTransport(e, check):
		return verify.PortLinkerdTransport
	default:
		return e.Port
	}
}

// byTransport tells whether Linkerd is dialled on its own port, where it judges at
// once. On the port itself it would have to be waited for; with a request it answers there too.
func (p *prober) byTransport(e *verify.Expectation, check verify.Check) bool {
	return e.Way == verify.LinkerdTransport && (e.Opaque || check.Client != verify.NoCertificate || !p.o.Requests)
}

func (h *handshake) config(certificate *tls.Certificate) *tls.Config {
	c := &tls.Config{
		// Whom the server proves to be is judged when all was seen, against the mesh's roots alone.
		InsecureSkipVerify:          true,
		MinVersion:                  tls.VersionTLS12,
		CurvePreferences:            pinned,
		ClientSessionCache:          h, // it never yields a session, and so learns that the server offers one
		DynamicRecordSizingDisabled: true,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			h.asked = true
			return certificate, nil
		},
	}
	if h.attempt > 0 || h.allGroups.Load() {
		c.CurvePreferences = nil
	}
	switch h.e.Way {
	case verify.Sidecar:
		c.NextProtos = istioALPN
		if h.requests() {
			c.NextProtos = istioHTTP
		}
		if h.check.Client == verify.BareTLS {
			c.NextProtos = nil
		}
	case verify.Proxyless:
		c.NextProtos = h2ALPN
	case verify.HBONE:
		c.NextProtos, c.MinVersion = h2ALPN, tls.VersionTLS13
	case verify.Linkerd, verify.LinkerdTransport:
		c.ServerName = h.e.Identity
		if h.byTransport(h.e, h.check) {
			c.NextProtos = transportALPN
		}
	}
	return c
}

// requests tells whether a request may follow the handshake, so that authorization shows.
func (h *handshake) requests() bool {
	return h.o.Requests && (h.e.Way == verify.Sidecar || h.e.Way == verify.Linkerd || h.e.Way == verify.LinkerdTransport && !h.byTransport(h.e, h.check)) &&
		(h.check.Client == verify.Member || h.check.Client == verify.Stranger || h.check.Client == verify.NoCertificate)
}

// Get yields no session, so that every handshake is a whole one: one that is
// resumed shows no certificate, and hides that it was renewed.
func (h *handshake) Get(string) (*tls.ClientSessionState, bool) { return nil, false }

// Put is called where the server sends a session ticket. It does so once it has
// taken the client's side of the handshake, certificate and all (RFC 8446, section 4.6.1), so
// from here on it is enough that the connection is kept for a while. In TLS 1.2 it
// is called before the handshake is finished, and says nothing of itself.
func (h *handshake) Put(string, *tls.ClientSessionState) {
	h.ticket = true
	if h.settling {
		_ = h.conn.SetReadDeadline(time.Now().Add(h.settle)) // without it the deadline of all stands
	}
}

// patient tells that Linkerd's detection of protocols has to be waited out: on the
// port itself it judges a client only after that.
func (h *handshake) patient() bool {
	return h.e.Way == verify.Linkerd && h.check.Client != verify.ForeignCA && h.check.Client != verify.Expired && !h.requests()
}

// after waits for what shows whether the server has taken the client.
func (h *handshake) after() verify.Observation {
	switch {
	case h.e.Way == verify.HBONE:
		return h.connect()
	case h.byTransport(h.e, h.check):
		h.write(transportHeader(h.e.Port))
	case h.requests():
		h.write(request(hostOf(h.e)))
		return h.kept(h.answer(h.conn, h.tls, true))
	}
	return h.kept(h.wait())
}

// write sends; what hinders it shows when it is read why, where an alert may wait.
func (h *handshake) write(data []byte) { _, _ = h.tls.Write(data) }

// wait reads until something shows, or the connection has settled.
func (h *handshake) wait() verify.Observation {
	wait := time.Duration(0)
	switch {
	case h.patient():
		wait = h.o.Patience
	case h.tls.ConnectionState().Version != tls.VersionTLS13:
		wait = h.settle
	default:
		h.settling = true
	}
	if wait > 0 {
		if err := h.conn.SetDeadline(time.Now().Add(wait)); err != nil {
			return h.conn.failed(err)
		}
	}
	var first [64]byte
	n, err := h.tls.Read(first[:])
	if n > 0 {
		return verify.Observation{Outcome: verify.Spoke}
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return h.conn.failed(err)
}

// kept turns silence into a kept connection where the server has shown that it
// took the client: by a ticket, or in TLS 1.2 by its end of the handshake.
func (h *handshake) kept(o verify.Observation) verify.Observation {
	if o.Outcome != verify.Silent {
		return o
	}
	switch {
	case h.tls.ConnectionState().Version != tls.VersionTLS13:
		return verify.Observation{Outcome: verify.Established, Detail: "it ended its side of the handshake"}
	case h.ticket:
		return verify.Observation{Outcome: verify.Established, Detail: "it offered a session"}
	default:
		o.Detail = "it ended the handshake, and showed neither that it took the client nor that it did not"
		return o
	}
}

// told adds what the handshake showed.
func (h *handshake) told(o verify.Observation) verify.Observation {
	if o.Outcome == verify.NotTLS {
		return o // a certificate whose key was not proven is none
	}
	o.TLS = h.session()
	if o.TLS == nil && o.Outcome == verify.Alerted && o.Alert == alertHandshakeFailure {
		h.allGroups.Store(true)
	}
	return o
}

const alertHandshakeFailure = 40

// session is what the handshake showed, or nil where no certificate was.
func (h *handshake) session() *verify.Session {
	state := h.tls.ConnectionState()
	if len(state.PeerCertificates) == 0 {
		return nil
	}
	s := &verify.Session{
		Version: versionName(state.Version), Suite: tls.CipherSuiteName(state.CipherSuite),
		Protocol: state.NegotiatedProtocol, Asked: h.asked, PostQuantum: postQuantum(state.CurveID),
	}
	if state.CurveID != 0 {
		s.Group = state.CurveID.String()
	}
	h.certificates(s, state.PeerCertificates)
	return s
}

func versionName(version uint16) string {
	switch version {
	case tls.VersionTLS13:
		return "1.3"
	case tls.VersionTLS12:
		return "1.2"
	default:
		return fmt.Sprintf("%#x", version)
	}
}

// postQuantum are the hybrid groups with ML-KEM.
func postQuantum(id tls.CurveID) bool {
	return id == tls.X25519MLKEM768 || id == tls.SecP256r1MLKEM768 || id == tls.SecP384r1MLKEM1024
}

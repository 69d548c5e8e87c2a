package lab

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"floe.dev/palisade/verify"
)

// standin is one stand-in at work.
type standin struct {
	Spec
	ca       *CA
	address  netip.Addr
	port     uint16
	identity string
	// shown is the certificate that it shows, own that of an application which ends TLS itself.
	shown atomic.Pointer[tls.Certificate]
	own   *tls.Certificate

	// relaxed tells that it became permissive.
	relaxed  atomic.Bool
	accepted atomic.Int64
	// received counts the bytes that reached the application.
	received atomic.Int64
	mu       sync.Mutex
	open     map[net.Conn]bool
}

// counted counts what an application reads.
type counted struct {
	net.Conn
	n *atomic.Int64
}

// Read reads and counts.
func (c counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// mode is what it demands of its clients now.
func (s *standin) mode() Mode {
	if s.relaxed.Load() {
		return Permissive
	}
	return s.Mode
}

// leaf is the certificate that it shows.
func (s *standin) leaf() *tls.Certificate {
	if s.Source != nil {
		return s.Source.Leaf()
	}
	return s.shown.Load()
}

// roots are those by which it verifies its clients.
func (s *standin) roots() *x509.CertPool {
	if s.Source != nil {
		return s.Source.Roots()
	}
	return s.ca.Roots()
}

// app hands a connection over to the application.
func (s *standin) app(conn net.Conn) { s.App.serve(counted{conn, &s.received}, s.own) }

// take plays a connection, dialled on the port itself or on the mesh's tunnel.
func (s *standin) take(conn net.Conn, tunnelled bool) {
	s.mu.Lock()
	s.open[conn] = true
	s.mu.Unlock()
	defer func() {
		_ = conn.Close()
		s.mu.Lock()
		delete(s.open, conn)
		s.mu.Unlock()
	}()
	n := int(s.accepted.Add(1))
	switch {
	case n <= s.HelloFailures:
		return
	case n <= s.HelloFailures+s.Opening:
		s.app(conn)
		return
	case s.misbehave(conn, tunnelled):
		return
	}
	switch s.Way {
	case verify.Sidecar:
		s.sidecar(conn)
	case verify.Proxyless:
		s.proxyless(conn)
	case verify.HBONE:
		s.ztunnel(conn, tunnelled)
	case verify.Linkerd, verify.LinkerdTransport:
		s.linkerd(conn, tunnelled)
	default:
		s.app(conn)
	}
}

// end closes every connection that is still open.
func (s *standin) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.open {
		_ = conn.Close()
	}
}

// lets tells whether authorization lets an identity in.
func (s *standin) lets(identity string) bool {
	switch s.Fault {
	case AnyMember, Unverified:
		return true
	case NoMember:
		return false
	default:
		return s.Callers == nil || slices.Contains(s.Callers, identity)
	}
}

// minimum and maximum versions of a way.
func (s *standin) versions() (least, most uint16) {
	switch {
	case s.Way == verify.HBONE || s.Way == verify.Linkerd || s.Way == verify.LinkerdTransport:
		return tls.VersionTLS13, tls.VersionTLS13
	case s.TLS12:
		return tls.VersionTLS12, tls.VersionTLS12
	default:
		return tls.VersionTLS12, tls.VersionTLS13
	}
}

// accept ends TLS on a connection as the proxy does, and tells who the client
// proves to be: nobody, where it need not.
func (s *standin) accept(conn net.Conn, auth tls.ClientAuthType, protocols []string) (*tls.Conn, string, error) {
	through := &alertConn{Conn: conn}
	least, most := s.versions()
	config := &tls.Config{
		Certificates: []tls.Certificate{*s.leaf()}, MinVersion: least, MaxVersion: most, NextProtos: protocols,
		ClientAuth: auth, ClientCAs: s.roots(), KeyLogWriter: keyLog{through}, SessionTicketsDisabled: s.NoTickets,
		VerifyConnection: func(state tls.ConnectionState) error { return s.verifies(through, &state) },
	}
	switch s.Fault {
	case Unverified:
		config.ClientAuth = tls.NoClientCert
	case AnyCA, AnyTime:
		config.ClientAuth = tls.RequireAnyClientCert
	}
	server := tls.Server(through, config)
	if err := server.Handshake(); err != nil {
		return nil, "", err
	}
	state := server.ConnectionState()
	if len(state.PeerCertificates) == 0 {
		return server, "", nil
	}
	leaf := verify.CertificateOf(state.PeerCertificates[0])
	return server, leaf.Identity(), nil
}

var errRefused = errors.New("the client is refused")

// The alerts that crypto/tls does not choose of itself.
const (
	certificateExpired = 45
	certificateUnknown = 46
	unknownCA          = 48
	accessDenied       = 49
)

// verifies is what a proxy does beyond the chain: the name must be of its trust domain.
func (s *standin) verifies(conn *alertConn, state *tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return nil
	}
	leaf := state.PeerCertificates[0]
	named := verify.CertificateOf(leaf)
	domain := strings.HasPrefix(named.Identity(), s.ca.TrustDomain+"/") || strings.HasSuffix(named.Identity(), "."+s.ca.TrustDomain)
	refuse := func(alert uint8) error {
		conn.send(state, alert)
		return errRefused
	}
	switch {
	case s.Fault == LateAlert:
		return refuse(accessDenied)
	case s.Fault == AnyTime && !s.chains(state.PeerCertificates, leaf.NotBefore.Add(time.Second)):
		return refuse(unknownCA)
	case s.Fault == AnyCA && time.Now().After(leaf.NotAfter):
		return refuse(certificateExpired)
	case !domain && s.Way != verify.Proxyless, s.Fault == NoMember && (s.Way == verify.Sidecar || s.Way == verify.Proxyless):
		return refuse(certificateUnknown)
	default:
		return nil
	}
}

func (s *standin) chains(list []*x509.Certificate, at time.Time) bool {
	between := x509.NewCertPool()
	for _, c := range list[1:] {
		between.AddCert(c)
	}
	_, err := list[0].Verify(x509.VerifyOptions{Roots: s.roots(), Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return err == nil
}

// demand refuses who may not come in once it has a byte of it: a request with
// 403 and some words, anything else by hanging up.
func (s *standin) demand(conn net.Conn, identity, refusal string) {
	if s.lets(identity) {
		s.app(conn)
		return
	}
	line, err := bufio.NewReaderSize(conn, 256).ReadSlice('\n')
	if err == nil && isHTTP(string(line)) {
		_, _ = io.WriteString(conn, refusal)
	}
}

package lab

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/net/http2"
)

// istioNames are the protocols by which a client says that it speaks the mesh's TLS (istio pilot/pkg/networking/util/util.go).
var istioNames = []string{"istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"}

// envoyRefusal is what Envoy's RBAC filter answers.
const envoyRefusal = "HTTP/1.1 403 Forbidden\r\nContent-Length: 19\r\nServer: istio-envoy\r\n\r\nRBAC: access denied"

// sidecar is Envoy before a port, with the filter chains of a mode (istio
// pilot/pkg/networking/core/filterchain_options.go): strict ones match TLS alone,
// permissive ones end TLS where the client names Istio's protocols and leave the rest to the application.
func (s *standin) sidecar(conn net.Conn) {
	if s.mode() == Disabled {
		s.app(conn)
		return
	}
	again, hello, err := peek(conn)
	if err != nil {
		return // it waits for bytes for ever; the client has gone
	}
	ofMesh := hello != nil && slices.ContainsFunc(hello.SupportedProtos, func(p string) bool { return slices.Contains(istioNames, p) })
	switch {
	case hello == nil && s.mode() == Strict: // no chain matches
		return
	case hello == nil, s.mode() == Permissive && !ofMesh:
		s.app(again)
		return
	}
	protocols := []string{"istio-peer-exchange", "h2", "http/1.1"}
	if !slices.ContainsFunc(hello.SupportedProtos, func(p string) bool { return slices.Contains(protocols, p) }) {
		protocols = nil // BoringSSL goes on without
	}
	server, identity, err := s.accept(again, tls.RequireAndVerifyClientCert, protocols)
	if err == nil {
		s.demand(server, identity, envoyRefusal)
	}
}

// proxyless is an application's gRPC server under xDS: mTLS alone, or plaintext alone.
func (s *standin) proxyless(conn net.Conn) {
	if s.mode() != Strict {
		s.app(conn)
		return
	}
	server, identity, err := s.accept(conn, tls.RequireAndVerifyClientCert, []string{"h2"})
	if err != nil {
		return
	}
	// grpc-go sends its settings before it has read anything.
	(&http2.Server{}).ServeConn(server, &http2.ServeConnOpts{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !s.lets(identity) {
			w.WriteHeader(http.StatusForbidden)
		}
	})})
}

// ztunnel is what stands before an ambient pod: the port itself, judged as soon as
// a connection is there, and HBONE on 15008 (ztunnel src/proxy/inbound_passthrough.rs, inbound.rs).
func (s *standin) ztunnel(conn net.Conn, tunnelled bool) {
	switch {
	case tunnelled && s.mode() != Disabled:
		server, identity, err := s.accept(conn, tls.RequireAndVerifyClientCert, []string{"h2"})
		if err == nil {
			s.hbone(server, identity)
		}
	case tunnelled, s.mode() == Strict: // accepted, and closed
	default:
		s.app(conn)
	}
}

// hbone answers CONNECT requests.
func (s *standin) hbone(server net.Conn, identity string) {
	(&http2.Server{}).ServeConn(server, &http2.ServeConnOpts{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := s.connect(r, identity)
		w.WriteHeader(status)
		if status != http.StatusOK {
			return
		}
		if err := http.NewResponseController(w).Flush(); err == nil {
			s.app(stream{r.Body, w})
		}
	})})
}

// ownPorts are those of ztunnel, which it connects nobody to.
var ownPorts = []uint16{15001, 15006, 15008, 15021}

func (s *standin) connect(r *http.Request, identity string) int {
	to, err := netip.ParseAddrPort(r.Host)
	switch {
	case r.Method != http.MethodConnect, err != nil, to.Addr() != s.address, slices.Contains(ownPorts, to.Port()):
		return http.StatusBadRequest
	case !s.lets(identity):
		return http.StatusUnauthorized
	case to.Port() != s.port || s.App == Absent:
		return http.StatusServiceUnavailable
	default:
		return http.StatusOK
	}
}

// stream is an HTTP/2 stream as a connection.
type stream struct {
	io.ReadCloser
	w http.ResponseWriter
}

// Write sends at once.
func (s stream) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	return n, errors.Join(err, http.NewResponseController(s.w).Flush())
}

func (stream) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (stream) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (stream) SetDeadline(time.Time) error      { return nil }
func (stream) SetReadDeadline(time.Time) error  { return nil }
func (stream) SetWriteDeadline(time.Time) error { return nil }

var _ net.Conn = stream{}

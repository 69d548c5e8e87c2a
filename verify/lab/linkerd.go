package lab

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"time"
)

const (
	// linkerdRefusal is what linkerd-proxy answers to a request that no policy permits.
	linkerdRefusal = "HTTP/1.1 403 Forbidden\r\nl5d-proxy-error: client not authorized\r\nContent-Length: 0\r\n\r\n"
	// transportProtocol is the name of the protocol of direct connections (linkerd2-proxy linkerd/app/inbound/src/direct.rs).
	transportProtocol = "transport.l5d.io/v1"
	// detection is how long linkerd-proxy waits for the first bytes.
	detection = 10 * time.Second
)

// linkerd is linkerd-proxy's inbound side: on the port it ends TLS whose server
// name is its identity, tells protocols by their first bytes, and judges then; on 4143
// it takes TLS with an identity and a header that names a port.
func (s *standin) linkerd(conn net.Conn, direct bool) {
	switch {
	case s.mode() == Disabled:
		s.app(conn)
	case direct:
		s.direct(conn)
	case s.Opaque: // no TLS is ended here, so there is no identity
		s.judge(conn, "")
	default:
		s.detect(conn)
	}
}

// detect waits for the first bytes of a connection and takes it for what they are.
func (s *standin) detect(conn net.Conn) {
	_ = conn.SetReadDeadline(time.Now().Add(s.detection()))
	again, hello, err := peek(conn)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	if hello == nil || hello.ServerName != s.identity { // plaintext, or TLS of the application
		s.judge(again, "")
		return
	}
	server, identity, err := s.accept(again, tls.VerifyClientCertIfGiven, nil)
	if err == nil {
		s.judge(server, identity)
	}
}

func (s *standin) detection() time.Duration {
	if s.Detect > 0 {
		return s.Detect
	}
	return detection
}

// judge waits for the first line, or until it is too long for that, and refuses a
// request with 403 and any other stream by hanging up.
func (s *standin) judge(conn net.Conn, identity string) {
	if s.permits(identity) {
		s.app(conn)
		return
	}
	_ = conn.SetReadDeadline(time.Now().Add(s.detection()))
	line, err := bufio.NewReaderSize(conn, 256).ReadSlice('\n')
	if err == nil && isHTTP(string(line)) {
		_, _ = io.WriteString(conn, linkerdRefusal)
	}
}

// permits is the policy of the port: strict asks for an identity, and for one that is let in.
func (s *standin) permits(identity string) bool {
	if s.mode() == Permissive || s.Fault == Unverified {
		return true
	}
	return identity != "" && s.lets(identity)
}

// direct takes a connection on 4143.
func (s *standin) direct(conn net.Conn) {
	server, identity, err := s.accept(conn, tls.VerifyClientCertIfGiven, []string{transportProtocol})
	if err != nil || identity == "" && s.Fault != Unverified { // refused: no identity
		return
	}
	port, err := readHeader(server)
	if err == nil && port == uint64(s.port) && s.permits(identity) {
		s.app(server)
	}
}

var errHeader = errors.New("no transport header")

// readHeader reads the header of a direct connection and tells the port it names.
func readHeader(from io.Reader) (uint64, error) {
	prefix := make([]byte, len(transportProtocol)+len("\r\n\r\n")+4)
	if _, err := io.ReadFull(from, prefix); err != nil {
		return 0, err
	}
	length := binary.BigEndian.Uint32(prefix[len(prefix)-4:])
	if !bytes.HasPrefix(prefix, []byte(transportProtocol+"\r\n\r\n")) || length > 64 {
		return 0, errHeader
	}
	message := make([]byte, length)
	if _, err := io.ReadFull(from, message); err != nil {
		return 0, err
	}
	const portField = 1 << 3
	if len(message) < 2 || message[0] != portField {
		return 0, errHeader
	}
	port, n := binary.Uvarint(message[1:])
	if n != len(message)-1 {
		return 0, errHeader
	}
	return port, nil
}

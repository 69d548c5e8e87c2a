package lab

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"
)

// replayed is a connection some of whose bytes were read, and are read again.
type replayed struct {
	net.Conn
	first io.Reader
}

// Read reads what was read before, then the connection.
func (r *replayed) Read(p []byte) (int, error) { return r.first.Read(p) }

// peeked makes a connection whose first bytes are those that were read.
func peeked(conn net.Conn, first []byte) net.Conn {
	return &replayed{Conn: conn, first: io.MultiReader(bytes.NewReader(first), conn)}
}

// recordHeader is the length of a TLS record's header, and what BoringSSL wants to see before it judges.
const recordHeader = 5

// peek reads as much as it takes to tell TLS from plaintext, and of a ClientHello
// all. hello is nil where there is none.
func peek(conn net.Conn) (again net.Conn, hello *tls.ClientHelloInfo, err error) {
	first := make([]byte, recordHeader)
	n, err := io.ReadFull(conn, first)
	first = first[:n]
	const handshakeRecord = 22
	if err != nil || first[0] != handshakeRecord || first[1] != 3 {
		return peeked(conn, first), nil, err
	}
	body := make([]byte, binary.BigEndian.Uint16(first[3:]))
	if n, err = io.ReadFull(conn, body); err != nil {
		return peeked(conn, append(first, body[:n]...)), nil, err
	}
	first = append(first, body...)
	return peeked(conn, first), parseHello(first), nil
}

var errPeeked = errors.New("the hello was seen")

// parseHello lets crypto/tls read a ClientHello, and stops it there.
func parseHello(record []byte) *tls.ClientHelloInfo {
	var seen *tls.ClientHelloInfo
	server := tls.Server(deaf{bytes.NewReader(record)}, &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		seen = hello
		return nil, errPeeked
	}})
	_ = server.Handshake() // it ends with errPeeked, or there is no hello
	return seen
}

// deaf is a connection that reads some bytes and forgets what is written.
type deaf struct{ io.Reader }

func (deaf) Write(p []byte) (int, error)      { return len(p), nil }
func (deaf) Close() error                     { return nil }
func (deaf) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (deaf) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (deaf) SetDeadline(time.Time) error      { return nil }
func (deaf) SetReadDeadline(time.Time) error  { return nil }
func (deaf) SetWriteDeadline(time.Time) error { return nil }

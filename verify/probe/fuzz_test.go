package probe

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"floe.dev/palisade/verify"
)

// peerConn is a peer that says some bytes, whatever it is told, and hangs up.
type peerConn struct{ says *bytes.Reader }

func (c peerConn) Read(p []byte) (int, error)     { return c.says.Read(p) }
func (peerConn) Write(p []byte) (int, error)      { return len(p), nil }
func (peerConn) Close() error                     { return nil }
func (peerConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (peerConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (peerConn) SetDeadline(time.Time) error      { return nil }
func (peerConn) SetReadDeadline(time.Time) error  { return nil }
func (peerConn) SetWriteDeadline(time.Time) error { return nil }

// Whatever a peer says in the clear has an outcome, within bounds, and without a certificate no client with TLS passes.
func FuzzPeers(f *testing.F) {
	f.Add([]byte{21, 3, 3, 0, 2, 2, 40}, true)
	f.Add([]byte("HTTP/1.1 403 Forbidden\r\nl5d-proxy-error: no\r\nContent-Length: 0\r\n\r\n"), true)
	f.Add([]byte("HTTP/1.1 403 Forbidden\r\nContent-Length: 19\r\n\r\nRBAC: access denied"), false)
	f.Add([]byte{22, 3, 3, 0xff, 0xff, 0}, false)
	f.Add([]byte{}, true)
	f.Fuzz(func(t *testing.T, says []byte, requests bool) {
		for _, way := range []verify.Way{verify.Sidecar, verify.HBONE, verify.Proxyless, verify.Linkerd, verify.LinkerdTransport} {
			e := &verify.Expectation{Way: way, Standing: verify.Strict, Identity: "a.b", Target: verify.Target{Address: netip.MustParseAddr("127.0.0.1"), Port: 80}}
			p := newProber(Options{Requests: requests})
			p.o.Dial = func(context.Context, string, string) (net.Conn, error) { return peerConn{bytes.NewReader(says)}, nil }
			for _, c := range []verify.Client{verify.Plaintext, verify.NoCertificate} {
				check := verify.Check{Client: c, Want: verify.Refused}
				o := p.once(t.Context(), e, check, 0)
				o.Client = c
				assert.NotEmpty(t, o.Outcome)
				assert.Less(t, len(o.Describe()), 400)
				if c != verify.Plaintext {
					assert.NotEqual(t, verify.Pass, verify.Weigh(e, check, &o), "%s: %s", way, o.Describe())
				}
			}
		}
	})
}

// What HTTP/2 comes after a CONNECT has an outcome too.
func FuzzConnect(f *testing.F) {
	f.Add([]byte{0, 0, 1, 1, 5, 0, 0, 0, 1, 0x88}) // :status 200
	f.Add([]byte{0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Add([]byte{0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8})
	f.Fuzz(func(t *testing.T, says []byte) {
		e := &verify.Expectation{Way: verify.HBONE, Target: verify.Target{Address: netip.MustParseAddr("127.0.0.1"), Port: 80}}
		o := readConnect(&wire{Conn: peerConn{bytes.NewReader(says)}, left: maxBytes, began: time.Now(), release: func() bool { return true }}, struct {
			io.Reader
			io.Writer
		}{bytes.NewReader(says), io.Discard}, e)
		assert.NotEmpty(t, o.Outcome)
		if o.Outcome == verify.Answered {
			assert.NotZero(t, o.Status)
		}
	})
}

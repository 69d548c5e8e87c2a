package probe

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"floe.dev/palisade/verify"
)

// opening is a TLS alert record, fatal unexpected_message. Five bytes are what
// BoringSSL needs to see that there is no ClientHello, and the last is a line feed, so that
// whoever looks for the first line of a request sees that there is none.
var opening = []byte{21, 3, 1, 0, 2, 2, 10}

// request asks a server about itself and no resource of it (RFC 9110, section 9.3.7).
func request(host string) []byte {
	return []byte("OPTIONS * HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: palisade\r\nConnection: close\r\n\r\n")
}

// plaintext tries a port without TLS.
func (p *prober) plaintext(ctx context.Context, e *verify.Expectation, attempt int) verify.Observation {
	wait := p.o.Timeout
	conn, err := p.dial(ctx, addressOf(e, e.Port), wait)
	if err != nil {
		return unreachable(err)
	}
	defer func() { _ = conn.Close() }() // what it came to is known
	if e.Way == verify.HBONE {
		if o, ended := p.listen(conn, attempt); ended {
			return o
		}
	}
	first := opening
	if p.o.Requests {
		first = request(hostOf(e))
	}
	if _, err := conn.Write(first); err != nil {
		return conn.failed(err)
	}
	return p.answer(conn, conn, false)
}

// listen waits for the server to hang up or speak first.
func (p *prober) listen(conn *wire, attempt int) (verify.Observation, bool) {
	began := time.Now()
	if err := conn.SetReadDeadline(began.Add(p.o.Listen << attempt)); err != nil {
		return conn.failed(err), true
	}
	var first [64]byte
	n, err := conn.Read(first[:])
	switch {
	case n > 0:
		return spoken(first[:n]), true
	case isTimeout(err):
		err = conn.SetReadDeadline(began.Add(p.o.Timeout))
		return verify.Observation{}, err != nil
	case isClosed(err):
		return verify.Observation{Outcome: verify.ClosedUnasked}, true
	default:
		return conn.failed(err), true
	}
}

// answer reads what comes to the first bytes of a client, or to its request.
func (p *prober) answer(conn *wire, from io.Reader, requested bool) verify.Observation {
	first := make([]byte, 64)
	n, err := from.Read(first)
	if n == 0 {
		if err == nil {
			err = io.ErrNoProgress
		}
		return conn.failed(err)
	}
	first = first[:n]
	if bytes.HasPrefix([]byte("HTTP/"), first[:min(n, 5)]) && (requested || p.o.Requests) {
		if o, ok := readStatus(io.MultiReader(bytes.NewReader(first), from)); ok {
			return o
		}
	}
	return spoken(first)
}

// spoken tells of bytes that a server sent in the clear: a TLS alert, or words of its own.
func spoken(data []byte) verify.Observation {
	const alertRecord = 21
	if len(data) >= 7 && data[0] == alertRecord && data[1] == 3 && data[3] == 0 && data[4] == 2 {
		return verify.Observation{Outcome: verify.Alerted, Alert: data[6]}
	}
	return verify.Observation{Outcome: verify.Spoke, Detail: printable(data)}
}

// Limits of an HTTP answer.
const (
	maxHeader = 16 << 10
	maxBody   = 1 << 10
)

// istioDenied is the body with which Envoy's RBAC filter refuses.
const istioDenied = "RBAC: access denied"

// readStatus reads an HTTP answer; ok is false where it is none.
func readStatus(from io.Reader) (verify.Observation, bool) {
	response, err := http.ReadResponse(bufio.NewReader(io.LimitReader(from, maxHeader)), nil)
	if err != nil {
		return verify.Observation{}, false
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil && !isTimeout(err) && !isClosed(err) && !errors.Is(err, errExcess) {
		body = nil // the status says it
	}
	_ = response.Body.Close()
	o := verify.Observation{Outcome: verify.Answered, Status: response.StatusCode}
	switch {
	case response.Header.Get("l5d-proxy-error") != "":
		o.MeshError = shown(response.Header.Get("l5d-proxy-error"))
	case response.StatusCode == http.StatusForbidden && strings.HasPrefix(string(body), istioDenied):
		o.MeshError = istioDenied
	}
	return o, true
}

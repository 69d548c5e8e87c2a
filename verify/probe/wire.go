package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"strings"
	"syscall"
	"time"

	"floe.dev/palisade/verify"
)

// errExcess ends a connection whose peer sends more than it may.
var errExcess = errors.New("the peer sent more than a handshake takes")

// wire is a connection that takes so many bytes and no more.
type wire struct {
	net.Conn
	left, got int
	began     time.Time
	release   func() bool
}

// Close closes the connection and gives up what watches over it.
func (w *wire) Close() error {
	w.release()
	return w.Conn.Close()
}

// Read reads, within the limit.
func (w *wire) Read(p []byte) (int, error) {
	if w.left == 0 {
		return 0, errExcess
	}
	if len(p) > w.left {
		p = p[:w.left]
	}
	n, err := w.Conn.Read(p)
	w.left -= n
	w.got += n
	return n, err
}

// dial opens a connection that ends at a deadline, or with the context.
func (p *prober) dial(ctx context.Context, address string, wait time.Duration) (*wire, error) {
	began := time.Now()
	conn, err := p.o.Dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(began.Add(wait)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	release := context.AfterFunc(ctx, func() { _ = conn.Close() })
	return &wire{Conn: conn, left: maxBytes, began: began, release: release}, nil
}

// unreachable tells why there is no connection, in few words.
func unreachable(err error) verify.Observation {
	detail := err.Error()
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		detail = verify.NothingListens
	case isTimeout(err):
		detail = "timed out: a firewall or a policy may drop it"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		detail = "no route"
	}
	return verify.Observation{Outcome: verify.Unreachable, Detail: detail}
}

func isTimeout(err error) bool {
	var net net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &net) && net.Timeout()
}

func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed)
}

// alertOf finds the TLS alert that a peer sent. crypto/tls tells it by a type of its own that nothing exported names.
func alertOf(err error) (uint8, bool) {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" || op.Err == nil {
		return 0, false
	}
	code := reflect.ValueOf(op.Err)
	if code.Kind() != reflect.Uint8 {
		return 0, false
	}
	return uint8(code.Uint()), true
}

// excessive are the beginnings of what crypto/tls says where it has had enough.
var excessive = []string{"oversized record", "handshake message of length", "too many", "exceeds maximum"}

// failed tells what an error in the middle of a handshake means, or after it.
func (w *wire) failed(err error) verify.Observation {
	alert, alerted := alertOf(err)
	var header tls.RecordHeaderError
	switch {
	case alerted:
		return verify.Observation{Outcome: verify.Alerted, Alert: alert}
	case errors.Is(err, errExcess):
		return verify.Observation{Outcome: verify.Excessive, Detail: fmt.Sprintf("over %d KiB", maxBytes>>10)}
	case isTimeout(err) && w.got == 0:
		return verify.Observation{Outcome: verify.Silent}
	case isTimeout(err):
		return verify.Observation{Outcome: verify.Silent, Detail: fmt.Sprintf("%d bytes in %s", w.got, time.Since(w.began).Round(time.Millisecond))}
	case isClosed(err):
		return verify.Observation{Outcome: verify.Closed}
	case isExcessive(err):
		return verify.Observation{Outcome: verify.Excessive, Detail: shown(err.Error())}
	case errors.As(err, &header):
		return verify.Observation{Outcome: verify.NotTLS, Detail: shown(printable(header.RecordHeader[:]))}
	default:
		return verify.Observation{Outcome: verify.NotTLS, Detail: shown(err.Error())}
	}
}

func isExcessive(err error) bool {
	for _, beginning := range excessive {
		if strings.Contains(err.Error(), beginning) {
			return true
		}
	}
	return false
}

// shown bounds what a peer can put into a report.
func shown(text string) string {
	const most = 120
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// printable is bytes of a peer as a quoted text.
func printable(data []byte) string {
	const most = 16
	if len(data) > most {
		data = data[:most]
	}
	return fmt.Sprintf("it sent %q", data)
}

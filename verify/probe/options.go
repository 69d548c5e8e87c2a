package probe

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verify"
)

// Credentials yields certificates of the mesh for clients to present.
type Credentials interface {
	// Certificate yields one that is valid, with what signed it, for an identity as model.Facts has it.
	Certificate(ctx context.Context, identity string) (*tls.Certificate, error)
}

// Expirer is what Credentials may be that also have certificates whose time is over.
type Expirer interface {
	Expired(ctx context.Context, identity string) (*tls.Certificate, error)
}

// Options say how a sweep is made. The zero value of a field is its default.
type Options struct {
	Mesh model.MeshKind
	// Trust checks what servers show; without it no server is trusted, and nothing passes.
	Trust *verify.Trust
	// Credentials are those of the mesh; without them clients with an identity are skipped.
	Credentials Credentials
	// Concurrency is how many targets are tried at the same time, 64 by default. Memory is bounded by it.
	Concurrency int
	// Rate is how many connections are opened in a second; 0 does not limit it.
	Rate float64
	// Timeout is for one connection, 5 s by default.
	Timeout time.Duration
	// Listen is how long a client without TLS waits for ztunnel to hang up before it sends anything, 500 ms by default.
	Listen time.Duration
	// Settle is how long a connection that was taken has to last to count as kept, 150 ms by default. It doubles with every attempt.
	Settle time.Duration
	// Patience is how long Linkerd's detection of protocols is waited out, 12 s by default: it gives up after 10.
	Patience time.Duration
	// Attempts is how often a client is tried that sees other than what it must, 3 by default; Pause is before the second, and doubles; 1 s by default.
	Attempts int
	Pause    time.Duration
	// Requests tells that an OPTIONS * request may be sent.
	Requests bool
	// Dial opens connections, by default a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Progress is told after each target how many are done; it is called by several goroutines.
	Progress func(done int)
}

// Limits of what one connection may bring, beyond any handshake that is meant honestly.
const (
	// maxBytes of one connection: a chain of certificates takes a few KB.
	maxBytes = 96 << 10
	// maxFrames of HTTP/2 before an answer.
	maxFrames = 32
)

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

func (o Options) withDefaults() Options {
	o.Concurrency = or(o.Concurrency, 64)
	o.Timeout = or(o.Timeout, 5*time.Second)
	o.Listen = or(o.Listen, 500*time.Millisecond)
	o.Settle = or(o.Settle, 150*time.Millisecond)
	o.Patience = or(o.Patience, 12*time.Second)
	o.Attempts = or(o.Attempts, 3)
	o.Pause = or(o.Pause, time.Second)
	if o.Trust == nil {
		o.Trust = verify.NewTrust(nil)
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{Timeout: o.Timeout, KeepAlive: -1}).DialContext
	}
	return o
}

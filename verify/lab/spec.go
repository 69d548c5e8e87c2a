package lab

import (
	"crypto/tls"
	"crypto/x509"
	"time"

	"floe.dev/palisade/verify"
)

// Mode is what a stand-in demands of its clients.
type Mode string

// The modes.
const (
	// Strict takes mTLS alone.
	Strict Mode = "strict"
	// Permissive takes plaintext beside it; a proxyless server takes plaintext alone.
	Permissive Mode = "permissive"
	// Disabled has no proxy: the application takes what comes.
	Disabled Mode = "disabled"
)

// Fault is what is wrong with a stand-in.
type Fault string

// The faults of proxies.
const (
	NoFault Fault = ""
	// ExpiredCertificate shows a leaf whose time is over.
	ExpiredCertificate Fault = "expired"
	// WrongName shows a leaf of the mesh with another identity.
	WrongName Fault = "wrong-name"
	// ForeignCertificate shows a leaf of another CA.
	ForeignCertificate Fault = "foreign-ca"
	// NeverRotating shows a leaf that should have been renewed long ago, and is still valid.
	NeverRotating Fault = "never-rotating"
	// Hanging takes connections and says nothing.
	Hanging Fault = "hanging"
	// Resetting resets connections once it has bytes.
	Resetting Fault = "resetting"
	// Unverified ends TLS and takes every client.
	Unverified Fault = "unverified"
	// AnyCA asks for a certificate and takes one of any CA.
	AnyCA Fault = "any-ca"
	// AnyTime takes certificates whose time is over.
	AnyTime Fault = "any-time"
	// AnyMember lets every identity of the mesh in.
	AnyMember Fault = "any-member"
	// NoMember refuses every identity.
	NoMember Fault = "no-member"
	// LateAlert sends the alert of access_denied (49) to members.
	LateAlert Fault = "access-denied"
)

// The faults of hostile peers.
const (
	// SlowLoris answers a byte at a time, for ever.
	SlowLoris Fault = "slow-loris"
	// EndlessChain shows a thousand certificates.
	EndlessChain Fault = "endless-chain"
	// HugeRecord announces records as long as the header allows, and goes on for 16 MiB.
	HugeRecord Fault = "huge-record"
	// Garbage answers with noise.
	Garbage Fault = "garbage"
	// Flood sends without end what looks like HTTP.
	Flood Fault = "flood"
	// FrameFlood speaks TLS, and sends HTTP/2 frames without ever answering.
	FrameFlood Fault = "frame-flood"
)

// Faults are all faults of proxies, and Hostile those of peers that mean harm.
func Faults() []Fault {
	return []Fault{
		NoFault, ExpiredCertificate, WrongName, ForeignCertificate, NeverRotating, Hanging, Resetting,
		Unverified, AnyCA, AnyTime, AnyMember, NoMember, LateAlert,
	}
}

// Hostile are the faults of peers that mean harm.
func Hostile() []Fault {
	return []Fault{SlowLoris, EndlessChain, HugeRecord, Garbage, Flood, FrameFlood}
}

// App is what stands behind a stand-in.
type App string

// The applications.
const (
	// Silent reads and never answers, as a database does that waits for its client's greeting.
	Silent App = "silent"
	// HTTP answers requests, and nonsense with 400.
	HTTP App = "http"
	// Banner speaks first, as MySQL and SMTP do.
	Banner App = "banner"
	// HangsUp closes on bytes that it cannot read, as Kafka and PostgreSQL do.
	HangsUp App = "hangs-up"
	// OwnTLS ends TLS itself, with a certificate of its own, and asks clients for none.
	OwnTLS App = "own-tls"
	// Absent: nothing listens.
	Absent App = "absent"
)

// Apps are all applications.
func Apps() []App { return []App{Silent, HTTP, Banner, HangsUp, OwnTLS, Absent} }

// Source is where a stand-in has its certificates from in place of the lab's own
// CA: an agent that gets them from the CA of a mesh. Its trust domain is TrustDomain.
type Source interface {
	// Leaf is what the stand-in shows now, and Roots what it verifies its clients by.
	Leaf() *tls.Certificate
	Roots() *x509.CertPool
}

// Spec says how one stand-in behaves.
type Spec struct {
	// Name of the workload and its service account, in Namespace.
	Namespace, Name string
	Pod             string
	// Port is any where it is 0.
	Port  uint16
	Way   verify.Way
	Mode  Mode
	Fault Fault
	App   App
	// TLS12 keeps a sidecar or proxyless server from TLS 1.3.
	TLS12 bool
	// NoTickets keeps it from offering sessions.
	NoTickets bool
	// Opaque is Linkerd's opaque port.
	Opaque bool
	// Callers are the identities that are let in; nil lets in every one of the mesh.
	Callers []string
	// Detect is how long Linkerd's detection of protocols waits, 10 s as the proxy does where it is zero.
	Detect time.Duration
	// IPv6 puts it on ::1, where only one stand-in with a tunnel can be.
	IPv6 bool
	// HelloFailures is how many connections are closed at first, as a pod's are that is not ready; Opening how many are let in.
	HelloFailures, Opening int
	// Source of its certificates; nil is the lab's CA, and faults of certificates need that.
	Source Source
}

// ways are those that stand-ins have in a mesh.
func (s *Spec) tunnel() uint16 {
	switch s.Way {
	case verify.HBONE:
		return verify.PortHBONE
	case verify.LinkerdTransport:
		return verify.PortLinkerdTransport
	default:
		return 0
	}
}

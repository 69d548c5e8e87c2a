package verify

import (
	"fmt"
	"time"
)

// Outcome is what became of one connection.
type Outcome string

// The outcomes.
const (
	// Unreachable: there was no TCP connection.
	Unreachable Outcome = "unreachable"
	// ClosedUnasked: the server hung up before the client had sent anything.
	ClosedUnasked Outcome = "closedUnasked"
	// Closed: the server hung up without a word. An end of the stream and a reset are one: which comes is chance.
	Closed Outcome = "closed"
	// Alerted: a TLS alert came.
	Alerted Outcome = "alert"
	// Answered: an HTTP status came, to a CONNECT or another request.
	Answered Outcome = "status"
	// Spoke: the server sent bytes that are neither an alert nor a refusal of the mesh.
	Spoke Outcome = "spoke"
	// Established: the server showed that it took the client's side of the handshake, and kept the connection.
	Established Outcome = "established"
	// Silent: nothing came until the deadline.
	Silent Outcome = "silent"
	// NotTLS: what answered a ClientHello is no TLS.
	NotTLS Outcome = "notTLS"
	// Excessive: the server sent more than a handshake may take, or dribbled it beyond the deadline.
	Excessive Outcome = "excessive"
	// Skipped: the client could not be played; Detail says why.
	Skipped Outcome = "skipped"
)

// NothingListens is the Detail of an Unreachable where the host refused the connection.
const NothingListens = "refused: nothing listens there"

// Observation is what one client saw.
type Observation struct {
	Client   Client  `json:"client"`
	Identity string  `json:"identity,omitempty"`
	Outcome  Outcome `json:"outcome"`
	// Alert is the code of a TLS alert.
	Alert uint8 `json:"alert,omitempty"`
	// Status is an HTTP status, MeshError what the mesh's proxy said with it (Linkerd's l5d-proxy-error).
	Status    int    `json:"status,omitempty"`
	MeshError string `json:"meshError,omitempty"`
	// Detail says in words what the outcome alone does not.
	Detail string `json:"detail,omitempty"`
	// Attempts counts the connections that were made; 0 where none was.
	Attempts int `json:"attempts,omitempty"`
	// First is what the first attempt came to, where a later one came to something else.
	First string `json:"first,omitempty"`
	// TLS is what the handshake showed, nil where no certificate of the server was seen.
	TLS *Session `json:"tls,omitempty"`
	// At is when the last attempt began, Took how long all of them did.
	At   time.Time     `json:"at,omitzero"`
	Took time.Duration `json:"-"`
}

// Describe tells the outcome to people: "alert 116 certificate_required".
func (o *Observation) Describe() string {
	text := ""
	switch o.Outcome {
	case Unreachable:
		text = "no connection"
	case ClosedUnasked:
		text = "closed at once"
	case Closed:
		text = "closed without a word"
	case Alerted:
		text = AlertName(o.Alert)
	case Answered:
		text = fmt.Sprintf("status %d", o.Status)
		if o.MeshError != "" {
			text += " by the mesh"
		}
	case Spoke:
		text = "answered"
	case Established:
		text = "let in"
	case Silent:
		text = "silence"
	case NotTLS:
		text = "answered, but not by TLS"
	case Excessive:
		text = "more than a handshake takes"
	case Skipped:
		text = "not tried"
	default:
		text = string(o.Outcome)
	}
	if o.Detail != "" {
		text += " (" + o.Detail + ")"
	}
	return text
}

// Session is what a handshake showed.
type Session struct {
	// Version is "1.2" or "1.3".
	Version string `json:"version"`
	// Suite is the IANA name of the cipher suite.
	Suite string `json:"suite,omitempty"`
	// Group is the key exchange, "X25519" or "X25519MLKEM768"; empty for RSA key transport, or where the handshake ended before it showed.
	Group string `json:"group,omitempty"`
	// PostQuantum tells that the key exchange withstands a quantum computer.
	PostQuantum bool `json:"postQuantum,omitempty"`
	// Protocol is what ALPN chose.
	Protocol string `json:"protocol,omitempty"`
	// Asked tells that the server asked the client for a certificate.
	Asked bool `json:"asked,omitempty"`
	// Chain is what the server showed, leaf first; certificates behind the leaf have only what tells them apart.
	Chain []Certificate `json:"chain"`
	// Trust is why the chain is not trusted; empty where it leads to a root of the mesh.
	Trust string `json:"trust,omitempty"`
	// Root is the fingerprint of the root that it leads to.
	Root string `json:"root,omitempty"`
}

// Leaf is the server's own certificate.
func (s *Session) Leaf() *Certificate {
	if s == nil || len(s.Chain) == 0 {
		return nil
	}
	return &s.Chain[0]
}

// Certificate is what is kept of a certificate.
type Certificate struct {
	// Fingerprint is the SHA-256 of its DER form, in hexadecimal.
	Fingerprint string `json:"fingerprint"`
	// Serial in hexadecimal.
	Serial string `json:"serial,omitempty"`
	// Subject and Issuer are distinguished names.
	Subject string `json:"subject,omitempty"`
	Issuer  string `json:"issuer,omitempty"`
	// Key and Signature are "ECDSA P-256" and "ECDSA-SHA256".
	Key       string `json:"key,omitempty"`
	Signature string `json:"signature,omitempty"`
	// KeyID and IssuerKeyID are the key identifiers of RFC 5280, in hexadecimal; KeyID is worked out where the certificate has none.
	KeyID       string `json:"keyId,omitempty"`
	IssuerKeyID string `json:"issuerKeyId,omitempty"`
	// Names are its URI and DNS names.
	Names     []string  `json:"names,omitempty"`
	NotBefore time.Time `json:"notBefore"`
	NotAfter  time.Time `json:"notAfter"`
}

// Observed is what was seen at one target.
type Observed struct {
	Target
	Seen []Observation `json:"seen"`
}

// Of is what a client saw, or nil.
func (o *Observed) Of(c Client) *Observation {
	for i := range o.Seen {
		if o.Seen[i].Client == c {
			return &o.Seen[i]
		}
	}
	return nil
}

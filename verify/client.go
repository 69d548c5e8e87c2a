package verify

// Client is a kind of client that a port is tried with.
type Client string

// The clients, in the order in which they are tried.
const (
	// Plaintext speaks no TLS.
	Plaintext Client = "plaintext"
	// BareTLS speaks TLS without the mesh's ALPN, and has no certificate. Istio's
	// proxies end its TLS in strict mode only, so it tells strict from permissive
	// without a byte to the application.
	BareTLS Client = "bareTLS"
	// NoCertificate speaks the mesh's TLS and has no certificate.
	NoCertificate Client = "noCertificate"
	// Member has the identity of a client that the rules let in.
	Member Client = "member"
	// Stranger has an identity of the mesh that no rule lets in.
	Stranger Client = "stranger"
	// ForeignCA bears a member's identity in a certificate of a CA that the mesh does not trust.
	ForeignCA Client = "foreignCA"
	// Expired bears a member's identity in a certificate of the mesh that has expired.
	Expired Client = "expired"
)

// Describe names the client for people.
func (c Client) Describe() string {
	switch c {
	case Plaintext:
		return "plaintext"
	case BareTLS:
		return "TLS of no mesh"
	case NoCertificate:
		return "no certificate"
	case Member:
		return "a client that is let in"
	case Stranger:
		return "an identity that no rule lets in"
	case ForeignCA:
		return "a certificate of a foreign CA"
	case Expired:
		return "an expired certificate"
	default:
		return string(c)
	}
}

// Presents tells whether the client presents a certificate.
func (c Client) Presents() bool {
	return c == Member || c == Stranger || c == ForeignCA || c == Expired
}

// Want is what must become of a client.
type Want string

// The wants.
const (
	// Refused clients must get nowhere.
	Refused Want = "refused"
	// Admitted clients must get in.
	Admitted Want = "admitted"
	// Either is looked at for the record only.
	Either Want = "either"
)

// Check is one client that a port is tried with, and what must become of it.
type Check struct {
	Client Client `json:"client"`
	// Identity is what the client presents, as model.Facts has it; empty where it presents none.
	Identity string `json:"identity,omitempty"`
	Want     Want   `json:"want"`
}

package verify

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Trust checks chains against the roots of a mesh. All workloads have the same
// few issuers, so what was found of an issuer is remembered, and only a leaf's own
// signature is checked anew. It may be used by several goroutines.
type Trust struct {
	roots   *x509.CertPool
	anchors []*x509.Certificate
	mu      sync.Mutex
	issuers map[[sha256.Size]byte]*issuer
}

// issuer is a certificate that signs leaves, and what was found of it.
type issuer struct {
	certificate *x509.Certificate
	// chain leads from the issuer to a root; nil where it does not.
	chain []*x509.Certificate
	// from and until bound the time at which the chain holds.
	from, until time.Time
	// constrained tells that names are constrained somewhere in the chain, so that each leaf takes the long way.
	constrained bool
	err         error
}

// maxIssuers bounds what is remembered: a hostile server could show a new issuer with every handshake.
const maxIssuers = 1024

// The reasons for which a chain is not trusted that others look for.
var (
	// ErrNoRoots tells that nothing is known by which a chain could be trusted.
	ErrNoRoots = errors.New("the mesh's roots are not known")
	// ErrForeign tells that a chain leads to no root of the mesh.
	ErrForeign = errors.New("it leads to no root of the mesh")
)

// NewTrust trusts some roots, and none of the system's.
func NewTrust(roots []*x509.Certificate) *Trust {
	t := &Trust{roots: x509.NewCertPool(), anchors: roots, issuers: map[[sha256.Size]byte]*issuer{}}
	for _, c := range roots {
		t.roots.AddCert(c)
	}
	return t
}

// Check tells which root a chain leads to, the leaf first, or why it leads to none.
func (t *Trust) Check(chain []*x509.Certificate, now time.Time) (root *x509.Certificate, err error) {
	switch {
	case len(chain) == 0:
		return nil, errors.New("there is no certificate")
	case len(t.anchors) == 0:
		return nil, ErrNoRoots
	}
	leaf := chain[0]
	signer := t.signerOf(leaf, chain[1:], now)
	if signer == nil || signer.constrained {
		return t.longWay(chain, now)
	}
	if signer.err != nil {
		return nil, signer.err
	}
	if now.Before(signer.from) || now.After(signer.until) {
		return nil, fmt.Errorf("its issuer's chain is valid from %s to %s", stamp(signer.from), stamp(signer.until))
	}
	if err := checkLeaf(leaf, now); err != nil {
		return nil, err
	}
	if err := leaf.CheckSignatureFrom(signer.certificate); err != nil {
		return nil, plain(err)
	}
	return signer.chain[len(signer.chain)-1], nil
}

// longWay is what the standard library does.
func (t *Trust) longWay(chain []*x509.Certificate, now time.Time) (*x509.Certificate, error) {
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	chains, err := chain[0].Verify(x509.VerifyOptions{Roots: t.roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	if err != nil {
		return nil, plain(err)
	}
	return chains[0][len(chains[0])-1], nil
}

// signerOf finds the one certificate that can have signed a leaf: shown beside it, or
// a root. It is nil where there is none or several, which takes the long way.
func (t *Trust) signerOf(leaf *x509.Certificate, shown []*x509.Certificate, now time.Time) *issuer {
	key := issuerKey(leaf, shown)
	t.mu.Lock()
	known := t.issuers[key]
	t.mu.Unlock()
	if known != nil {
		return known
	}
	var found *x509.Certificate
	for _, list := range [2][]*x509.Certificate{t.anchors, shown} {
		for _, c := range list {
			switch {
			case !bytes.Equal(c.RawSubject, leaf.RawIssuer) || !sameKey(leaf.AuthorityKeyId, c.SubjectKeyId):
			case found == nil || found.Equal(c):
				found = c
			default:
				return nil
			}
		}
	}
	if found == nil {
		return nil
	}
	known = t.examine(found, shown, now)
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.issuers) < maxIssuers {
		t.issuers[key] = known
	}
	return known
}

// issuerKey is equal for leaves that say to be of the same issuer and come with
// the same certificates. What one server leaves out must not fail, nor help, another.
func issuerKey(leaf *x509.Certificate, shown []*x509.Certificate) (key [sha256.Size]byte) {
	digest := sha256.New()
	for _, part := range [][]byte{leaf.RawIssuer, leaf.AuthorityKeyId} {
		sum := sha256.Sum256(part)
		digest.Write(sum[:])
	}
	for _, c := range shown {
		digest.Write(c.Raw) // DER carries its own length
	}
	digest.Sum(key[:0])
	return key
}

// sameKey tells whether key identifiers agree; where one is missing it cannot be told, and the signature decides.
func sameKey(wanted, has []byte) bool {
	return len(wanted) == 0 || len(has) == 0 || bytes.Equal(wanted, has)
}

// examine follows an issuer to a root, at a time at which it is valid itself.
func (t *Trust) examine(c *x509.Certificate, shown []*x509.Certificate, now time.Time) *issuer {
	between := x509.NewCertPool()
	for _, other := range shown {
		between.AddCert(other)
	}
	found := &issuer{certificate: c}
	if !c.IsCA || !c.BasicConstraintsValid || c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0 {
		found.err = fmt.Errorf("its issuer %s may not issue certificates", c.Subject)
		return found
	}
	at := now
	switch {
	case at.Before(c.NotBefore):
		at = c.NotBefore
	case at.After(c.NotAfter):
		at = c.NotAfter
	}
	chains, err := c.Verify(x509.VerifyOptions{Roots: t.roots, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	if err != nil {
		found.err = plain(err)
		return found
	}
	found.chain, found.from, found.until = chains[0], c.NotBefore, c.NotAfter
	for _, link := range chains[0] {
		if link.NotBefore.After(found.from) {
			found.from = link.NotBefore
		}
		if link.NotAfter.Before(found.until) {
			found.until = link.NotAfter
		}
		found.constrained = found.constrained || constrains(link)
	}
	// A root that stands in the middle of a chain, or further links, may hold where this one does not.
	found.constrained = found.constrained || len(chains) > 1
	return found
}

// constrains tells whether a certificate says something about leaves below it that only the long way looks at.
func constrains(c *x509.Certificate) bool {
	return len(c.PermittedDNSDomains)+len(c.ExcludedDNSDomains)+len(c.PermittedURIDomains)+len(c.ExcludedURIDomains)+
		len(c.PermittedIPRanges)+len(c.ExcludedIPRanges)+len(c.PermittedEmailAddresses)+len(c.ExcludedEmailAddresses) > 0 ||
		len(c.UnhandledCriticalExtensions) > 0
}

func checkLeaf(leaf *x509.Certificate, now time.Time) error {
	switch {
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("it is not valid before %s", stamp(leaf.NotBefore))
	case now.After(leaf.NotAfter):
		return fmt.Errorf("it expired at %s", stamp(leaf.NotAfter))
	case len(leaf.UnhandledCriticalExtensions) > 0:
		return fmt.Errorf("it has a critical extension that is not known: %s", leaf.UnhandledCriticalExtensions[0])
	case !servesTLS(leaf):
		return errors.New("its extended key usage does not let it serve TLS")
	default:
		return nil
	}
}

func servesTLS(leaf *x509.Certificate) bool {
	if len(leaf.ExtKeyUsage) == 0 && len(leaf.UnknownExtKeyUsage) == 0 {
		return true
	}
	for _, use := range leaf.ExtKeyUsage {
		if use == x509.ExtKeyUsageAny || use == x509.ExtKeyUsageServerAuth {
			return true
		}
	}
	return false
}

// plain puts the common faults into words of the reports.
func plain(err error) error {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		return ErrForeign
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		return fmt.Errorf("it, or what signed it, is valid from %s to %s", stamp(invalid.Cert.NotBefore), stamp(invalid.Cert.NotAfter))
	default:
		return err
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

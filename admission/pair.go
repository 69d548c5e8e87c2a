package admission

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/open-policy-agent/cert-controller/pkg/rotator"
)

// Keys of the Secret. There is no key of a CA: each signs one certificate and its key is forgotten.
const (
	servingCertKey, servingKeyKey = "tls.crt", "tls.key"
	nextCertKey, nextKeyKey       = "next.crt", "next.key"
	trustKey                      = "ca.crt"
	// sinceKey is since when all configurations have trusted the CA of next; where there is no next, since when tls.crt is to be served (RFC 3339).
	sinceKey = "since"
)

// secretKeys are all of them.
var secretKeys = []string{servingCertKey, servingKeyKey, nextCertKey, nextKeyKey, trustKey, sinceKey}

// maxTrusted bounds how many CAs are trusted at once, however often somebody asks for a new one.
const maxTrusted = 8

// skew is how far the clock of an API server may be behind.
const skew = 5 * time.Minute

// pair is a serving certificate with its key.
type pair struct {
	cert, key []byte
	tls       tls.Certificate
}

func newPair(cert, key []byte) (*pair, error) {
	parsed, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	return &pair{cert: cert, key: key, tls: parsed}, nil
}

func (p *pair) leaf() *x509.Certificate { return p.tls.Leaf }

// same tells whether two pairs are one; either may be nil.
func (p *pair) same(other *pair) bool {
	return p == other || p != nil && other != nil && bytes.Equal(p.cert, other.cert) && bytes.Equal(p.key, other.key)
}

// material is what the Secret holds.
type material struct {
	// serving is what every replica answers with; next waits until it is trusted everywhere.
	serving, next *pair
	// trusted are the CAs that clients are told to trust: those of serving, of next, and of those that served before.
	trusted []*x509.Certificate
	// since is when all configurations were first seen to trust the CA of next; zero where they
	// do not. Where there is no next, it is when serving came into its place; zero for the first.
	since time.Time
}

// readMaterial reads what a Secret holds. What is no certificate is left out, and comes back as an error.
func readMaterial(data map[string][]byte) (material, error) {
	var m material
	var faults []error
	for _, part := range []struct {
		cert, key string
		into      **pair
	}{{servingCertKey, servingKeyKey, &m.serving}, {nextCertKey, nextKeyKey, &m.next}} {
		if len(data[part.cert]) == 0 && len(data[part.key]) == 0 {
			continue
		}
		p, err := newPair(data[part.cert], data[part.key])
		if err != nil {
			faults = append(faults, fmt.Errorf("%s and %s: %w", part.cert, part.key, err))
			continue
		}
		*part.into = p
	}
	trusted, err := certificatesOf(data[trustKey])
	if err != nil {
		faults = append(faults, fmt.Errorf("%s: %w", trustKey, err))
	}
	m.trusted = trusted
	if text := data[sinceKey]; len(text) > 0 {
		if m.since, err = time.Parse(time.RFC3339Nano, string(text)); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", sinceKey, err))
		}
	}
	return m, errors.Join(faults...)
}

// data is what the Secret is to hold.
func (m *material) data() map[string][]byte {
	data := map[string][]byte{trustKey: bundleOf(m.trusted)}
	if m.serving != nil {
		data[servingCertKey], data[servingKeyKey] = m.serving.cert, m.serving.key
	}
	if m.next != nil {
		data[nextCertKey], data[nextKeyKey] = m.next.cert, m.next.key
	}
	if !m.since.IsZero() {
		data[sinceKey] = []byte(m.since.UTC().Format(time.RFC3339Nano))
	}
	return data
}

func certificatesOf(text []byte) ([]*x509.Certificate, error) {
	var list []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return list, err
		}
		list = append(list, c)
	}
	if len(bytes.TrimSpace(text)) > 0 {
		return list, errors.New("holds something that is not PEM")
	}
	return list, nil
}

func bundleOf(certificates []*x509.Certificate) []byte {
	var out bytes.Buffer
	for _, c := range certificates {
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // a Buffer takes everything
	}
	return out.Bytes()
}

// usable tells whether clients that trust the CAs would take a pair for all names at a time.
func (m *material) usable(p *pair, names []string, at time.Time) bool {
	if p == nil {
		return false
	}
	return !slices.ContainsFunc(names, func(name string) bool { return !m.verifies(p, name, at) })
}

func (m *material) verifies(p *pair, name string, at time.Time) bool {
	roots := x509.NewCertPool()
	for _, ca := range m.trusted {
		roots.AddCert(ca)
	}
	_, err := p.leaf().Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	return err == nil
}

// signs tells whether a CA signed the certificate of a pair.
func signs(ca *x509.Certificate, p *pair) bool {
	return p != nil && p.leaf().CheckSignatureFrom(ca) == nil
}

// prune drops CAs that have expired, those under which nobody has served for long
// enough, and the oldest of too many; never those of serving and next.
func (m *material) prune(now time.Time, retire time.Duration) {
	var kept []*x509.Certificate
	retired := m.serving != nil && m.next == nil && !m.since.IsZero() && now.Sub(m.since) >= retire
	for _, ca := range m.trusted {
		if now.Before(ca.NotAfter) && !slices.ContainsFunc(kept, ca.Equal) && (!retired || signs(ca, m.serving)) {
			kept = append(kept, ca)
		}
	}
	slices.SortStableFunc(kept, func(a, b *x509.Certificate) int { return b.NotBefore.Compare(a.NotBefore) })
	for i := len(kept) - 1; i >= 0 && len(kept) > maxTrusted; i-- {
		if !signs(kept[i], m.serving) && !signs(kept[i], m.next) {
			kept = slices.Delete(kept, i, i+1)
		}
	}
	m.trusted = kept
}

// mint makes a CA and a serving certificate by it, both valid for a lifetime from now on. The CA's key is not kept.
func mint(names []string, now time.Time, lifetime time.Duration) (*pair, *x509.Certificate, error) {
	maker := rotator.CertRotator{
		// A name of its own for each CA: their serial numbers are all alike.
		CAName: fmt.Sprintf("palisade admission %d", now.UnixNano()), CAOrganization: "palisade",
		DNSName: names[0], ExtraDNSNames: names[1:], ExtKeyUsages: &[]x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	begin, end := now.Add(-skew), now.Add(lifetime)
	ca, err := maker.CreateCACert(begin, end)
	if err != nil {
		return nil, nil, fmt.Errorf("making a CA: %w", err)
	}
	cert, key, err := maker.CreateCertPEM(ca, begin, end)
	if err != nil {
		return nil, nil, fmt.Errorf("making a serving certificate: %w", err)
	}
	p, err := newPair(cert, key)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the serving certificate back: %w", err)
	}
	return p, ca.Cert, nil
}

package verify

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"strings"

	"floe.dev/palisade/model"
)

// spiffe begins the names of Istio's identities in certificates; model.Facts has them without it.
const spiffe = "spiffe://"

// The bounds of what is kept of a certificate, which a server may fill with anything.
const (
	// mostSerial is in hexadecimal digits; RFC 5280 allows 40.
	mostSerial = 64
	// mostName is how long a name is at most, and mostNames how many of each kind are kept.
	mostName, mostNames = 256, 8
)

// CertificateOf keeps of a certificate what reports tell. Names that are longer
// than any identity are cut, and then prove nobody.
func CertificateOf(c *x509.Certificate) Certificate {
	return Certificate{
		Fingerprint: Fingerprint(c),
		Serial:      bounded(hex.EncodeToString(c.SerialNumber.Bytes()), mostSerial),
		Subject:     bounded(c.Subject.String(), mostName), Issuer: bounded(c.Issuer.String(), mostName),
		Key: keyName(c), Signature: c.SignatureAlgorithm.String(),
		KeyID: bounded(hex.EncodeToString(keyID(c)), mostSerial), IssuerKeyID: bounded(hex.EncodeToString(c.AuthorityKeyId), mostSerial),
		Names:     namesOf(c),
		NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(),
	}
}

// Fingerprint is the SHA-256 of a certificate's DER form, in hexadecimal.
func Fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// keyID is the subject key identifier, or what RFC 5280, section 4.2.1.2 (1), makes of the key.
func keyID(c *x509.Certificate) []byte {
	if len(c.SubjectKeyId) > 0 {
		return c.SubjectKeyId
	}
	var key struct {
		Algorithm asn1.RawValue
		Bits      asn1.BitString
	}
	if _, err := asn1.Unmarshal(c.RawSubjectPublicKeyInfo, &key); err != nil {
		return nil
	}
	sum := sha1.Sum(key.Bits.Bytes) // it names the key and secures nothing
	return sum[:]
}

func keyName(c *x509.Certificate) string {
	switch key := c.PublicKey.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA " + key.Curve.Params().Name
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", key.N.BitLen())
	case ed25519.PublicKey:
		return "Ed25519"
	default:
		return c.PublicKeyAlgorithm.String()
	}
}

func namesOf(c *x509.Certificate) []string {
	var names []string
	for _, uri := range c.URIs[:min(len(c.URIs), mostNames)] {
		names = append(names, bounded(uri.String(), mostName))
	}
	for _, name := range c.DNSNames[:min(len(c.DNSNames), mostNames)] {
		names = append(names, bounded(name, mostName))
	}
	return names
}

// bounded cuts a text that is too long, and shows that it did.
func bounded(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-len("…")], "") + "…"
}

// Identity is what the certificate names, as model.Facts has it; empty for none.
func (c *Certificate) Identity() string {
	if len(c.Names) == 0 {
		return ""
	}
	return strings.TrimPrefix(c.Names[0], spiffe)
}

// Proves tells whether the certificate names an identity.
func (c *Certificate) Proves(identity string) bool {
	for _, name := range c.Names {
		if strings.TrimPrefix(name, spiffe) == identity {
			return true
		}
	}
	return false
}

// NameOf is an identity as a certificate of its mesh names it: a SPIFFE ID of Istio, a DNS name of Linkerd.
func NameOf(mesh model.MeshKind, identity string) string {
	if mesh == model.MeshIstio && !strings.HasPrefix(identity, spiffe) {
		return spiffe + identity
	}
	return identity
}

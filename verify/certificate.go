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

// CertificateOf keeps of a certificate what reports tell.
func CertificateOf(c *x509.Certificate) Certificate {
	return Certificate{
		Fingerprint: Fingerprint(c),
		Serial:      hex.EncodeToString(c.SerialNumber.Bytes()),
		Subject:     c.Subject.String(), Issuer: c.Issuer.String(),
		Key: keyName(c), Signature: c.SignatureAlgorithm.String(),
		KeyID: hex.EncodeToString(keyID(c)), IssuerKeyID: hex.EncodeToString(c.AuthorityKeyId),
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
	for _, uri := range c.URIs {
		names = append(names, uri.String())
	}
	return append(names, c.DNSNames...)
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

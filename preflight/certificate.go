package preflight

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// expiresSoon is when a certificate of the mesh is named: as early as linkerd check does.
	expiresSoon = 60 * 24 * time.Hour
	// webhookSoon is when that of a webhook is named: cert-manager and the meshes renew theirs with a month left.
	webhookSoon = 14 * 24 * time.Hour
	// smallestRSA is the least number of bits that is not broken with effort (NIST SP 800-131A).
	smallestRSA = 2048
	day         = 24 * time.Hour
)

// held is a certificate with where it was found.
type held struct {
	*x509.Certificate
	at string
}

// parseCertificates reads the certificates of a PEM text; wrong says what is there that is none.
func parseCertificates(text []byte, at string) (list []held, wrong string) {
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			if len(bytes.TrimSpace(rest)) > 0 {
				wrong = at + ": holds what is no PEM"
			}
			return list, wrong
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return list, fmt.Sprintf("%s: holds a certificate that cannot be read: %v", at, err)
		}
		list = append(list, held{c, at})
	}
}

// named is a certificate as a person tells it apart.
func (h held) named() string {
	subject := h.Subject.CommonName
	if subject == "" {
		subject = h.Subject.String()
	}
	if subject == "" {
		subject = fmt.Sprintf("serial %x", h.SerialNumber)
	}
	return h.at + " (" + subject + ")"
}

// age judges how long a certificate still holds.
func (h held) age(now time.Time, soon time.Duration) (Status, string) {
	left := h.NotAfter.Sub(now)
	switch {
	case now.Before(h.NotBefore):
		return Failed, fmt.Sprintf("%s: is not valid before %s", h.named(), h.NotBefore.UTC().Format(time.RFC3339))
	case left <= 0:
		return Failed, fmt.Sprintf("%s: expired %s ago, on %s", h.named(), daysText(-left), h.NotAfter.UTC().Format(time.DateOnly))
	case left < soon:
		return Warning, fmt.Sprintf("%s: expires in %s, on %s", h.named(), daysText(left), h.NotAfter.UTC().Format(time.DateOnly))
	default:
		return Passed, ""
	}
}

func daysText(d time.Duration) string {
	if d < 2*day {
		return d.Truncate(time.Minute).String()
	}
	return fmt.Sprintf("%d days", d/day)
}

// weakness says what is wrong with the keys and the signature of a certificate, or is empty.
func (h held) weakness() string {
	selfSigned := bytes.Equal(h.RawIssuer, h.RawSubject)
	switch {
	case !selfSigned && slices.Contains([]x509.SignatureAlgorithm{x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1}, h.SignatureAlgorithm):
		return "is signed by " + h.SignatureAlgorithm.String()
	case !h.BasicConstraintsValid || !h.IsCA:
		return "is not a CA's"
	case h.KeyUsage != 0 && h.KeyUsage&x509.KeyUsageCertSign == 0:
		return "may not sign certificates"
	}
	switch key := h.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < smallestRSA {
			return fmt.Sprintf("has an RSA key of %d bits", bits)
		}
	case *ecdsa.PublicKey:
		if bits := key.Curve.Params().BitSize; bits < 256 {
			return fmt.Sprintf("has an elliptic key of %d bits", bits)
		}
	case ed25519.PublicKey:
	default:
		return "has a key of a kind that meshes do not take"
	}
	return ""
}

// isP256 tells Linkerd's only kind of key for issuers (linkerd2 pkg/issuercerts).
func (h held) isP256() bool {
	key, ok := h.PublicKey.(*ecdsa.PublicKey)
	return ok && key.Curve.Params().Name == "P-256"
}

func algorithms(list []held) string {
	var names []string
	for _, c := range list {
		name := c.PublicKeyAlgorithm.String()
		switch key := c.PublicKey.(type) {
		case *rsa.PublicKey:
			name += fmt.Sprintf(" %d", key.N.BitLen())
		case *ecdsa.PublicKey:
			name += " " + key.Curve.Params().Name
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// fromConfigMap tells what proxies are given from what a Secret holds beside.
func (h held) fromConfigMap() bool { return strings.HasPrefix(h.at, "ConfigMap ") }

func namesOf(list []held) []string {
	names := make([]string, len(list))
	for i, c := range list {
		names[i] = c.named()
	}
	return names
}

package verify

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var noon = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

// certified is a certificate and its key.
type certified struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
}

// certify makes a certificate; without a parent it signs itself.
func certify(t testing.TB, name string, parent *certified, change func(*x509.Certificate)) *certified {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return certifyKey(t, name, parent, key, change)
}

func certifyKey(t testing.TB, name string, parent *certified, key *ecdsa.PrivateKey, change func(*x509.Certificate)) *certified {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(mathrand.Int64()), Subject: pkix.Name{CommonName: name},
		NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(time.Hour), BasicConstraintsValid: true,
		IsCA: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if change != nil {
		change(template)
	}
	signer := &certified{template, key}
	if parent != nil {
		signer = parent
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer.Certificate, &key.PublicKey, signer.key)
	require.NoError(t, err)
	made, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &certified{made, key}
}

func leafTemplate(c *x509.Certificate) {
	c.IsCA, c.KeyUsage, c.ExtKeyUsage = false, x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	c.Subject = pkix.Name{}
	c.URIs = []*url.URL{{Scheme: "spiffe", Host: "mesh.example", Path: "/ns/shop/sa/cart"}}
}

func chain(list ...*certified) []*x509.Certificate {
	var all []*x509.Certificate
	for _, c := range list {
		all = append(all, c.Certificate)
	}
	return all
}

// Remembering issuers may not change a single answer: the standard library judges the same chains.
func TestTrustAnswersAsTheStandardLibraryDoes(t *testing.T) {
	root, otherRoot := certify(t, "root", nil, nil), certify(t, "other", nil, nil)
	issuers := map[string]*certified{
		"sound":           certify(t, "issuer", root, nil),
		"of another root": certify(t, "issuer", otherRoot, nil),
		"expired":         certify(t, "issuer", root, func(c *x509.Certificate) { c.NotAfter = noon.Add(-time.Minute) }),
		"not yet valid":   certify(t, "issuer", root, func(c *x509.Certificate) { c.NotBefore = noon.Add(time.Minute) }),
		"no CA":           certify(t, "issuer", root, func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature }),
		"may not sign":    certify(t, "issuer", root, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }),
		"for other domains": certify(t, "issuer", root, func(c *x509.Certificate) {
			c.PermittedURIDomains, c.PermittedDNSDomainsCritical = []string{"other.example"}, true
		}),
		"for this domain": certify(t, "issuer", root, func(c *x509.Certificate) {
			c.PermittedURIDomains, c.PermittedDNSDomainsCritical = []string{"mesh.example"}, true
		}),
		"for clients":     certify(t, "issuer", root, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }),
		"the root itself": root,
	}
	changes := map[string]func(*x509.Certificate){
		"sound":         func(*x509.Certificate) {},
		"expired":       func(c *x509.Certificate) { c.NotAfter = noon.Add(-time.Second) },
		"not yet valid": func(c *x509.Certificate) { c.NotBefore = noon.Add(time.Second) },
		"for clients":   func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} },
		"for anything":  func(c *x509.Certificate) { c.ExtKeyUsage = nil },
		"strange": func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
		},
	}
	trust := NewTrust(chain(root))
	roots := x509.NewCertPool()
	roots.AddCert(root.Certificate)
	for round := range 2 { // the second finds everything remembered
		for issuerName, issuer := range issuers {
			for leafName, change := range changes {
				leaf := certify(t, "", issuer, func(c *x509.Certificate) { leafTemplate(c); change(c) })
				for shownName, shown := range map[string][]*x509.Certificate{"with its issuer": chain(leaf, issuer), "alone": chain(leaf), "with a stranger": chain(leaf, otherRoot, issuer)} {
					name := fmt.Sprintf("round %d: leaf %s, issuer %s, %s", round, leafName, issuerName, shownName)
					between := x509.NewCertPool()
					for _, c := range shown[1:] {
						between.AddCert(c)
					}
					_, wanted := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: noon, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
					got, err := trust.Check(shown, noon)
					assert.Equal(t, wanted == nil, err == nil, "%s: the standard library says %v, and we %v", name, wanted, err)
					if err == nil {
						assert.Equal(t, root.Certificate, got, name)
					}
				}
			}
		}
	}
}

func TestASignatureOfAnotherKeyIsFoundBehindARememberedIssuer(t *testing.T) {
	root := certify(t, "root", nil, nil)
	issuer := certify(t, "issuer", root, nil)
	trust := NewTrust(chain(root))
	_, err := trust.Check(chain(certify(t, "", issuer, leafTemplate), issuer), noon)
	require.NoError(t, err)

	forger := certify(t, "issuer", nil, func(c *x509.Certificate) { c.SubjectKeyId = issuer.SubjectKeyId })
	_, err = trust.Check(chain(certify(t, "", forger, leafTemplate), issuer), noon)
	assert.Error(t, err, "it names the issuer, and another key signed it")
	_, err = trust.Check(chain(certify(t, "", issuer, leafTemplate), issuer), noon.Add(2*time.Hour))
	assert.Error(t, err, "remembering does not outlast the issuer")
}

func TestWithoutRootsNobodyIsTrusted(t *testing.T) {
	root := certify(t, "root", nil, nil)
	_, err := NewTrust(nil).Check(chain(certify(t, "", root, leafTemplate), root), noon)
	assert.ErrorIs(t, err, ErrNoRoots)
	_, err = NewTrust(chain(root)).Check(nil, noon)
	assert.Error(t, err)
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	root, key := certify(t, "root", nil, nil), certify(t, "key", nil, nil).key
	trust := NewTrust(chain(root))
	leaf := certify(t, "", root, leafTemplate)
	issuer := certifyKey(t, "root", nil, key, func(c *x509.Certificate) { c.SubjectKeyId = root.SubjectKeyId })
	for i := range maxIssuers + 50 {
		shown := *issuer.Certificate
		shown.Raw = append(append([]byte{}, issuer.Raw...), byte(i), byte(i>>8))
		_, _ = trust.Check([]*x509.Certificate{leaf.Certificate, &shown}, noon)
	}
	assert.LessOrEqual(t, len(trust.issuers), maxIssuers)
}

func TestCertificatesAreToldByTheirNamesAndKeys(t *testing.T) {
	root := certify(t, "root", nil, nil)
	c := CertificateOf(certify(t, "", root, leafTemplate).Certificate)
	assert.Equal(t, "mesh.example/ns/shop/sa/cart", c.Identity())
	assert.True(t, c.Proves("mesh.example/ns/shop/sa/cart"))
	assert.False(t, c.Proves("mesh.example/ns/shop/sa/car"))
	assert.False(t, c.Proves(""))
	assert.Equal(t, "ECDSA P-256", c.Key)
	assert.Equal(t, "ECDSA-SHA256", c.Signature)
	assert.Equal(t, "CN=root", c.Issuer)
	assert.Equal(t, CertificateOf(root.Certificate).KeyID, c.IssuerKeyID)
	assert.Len(t, c.Fingerprint, 64)
}

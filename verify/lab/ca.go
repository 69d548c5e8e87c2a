package lab

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"sync"
	"time"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verify"
)

// Lifetimes as the meshes have them.
const (
	leafLifetime = 24 * time.Hour
	caLifetime   = 365 * 24 * time.Hour
)

// CA is a mesh's CA in memory: a root, an issuer below it, and leaves as the mesh makes them.
type CA struct {
	Mesh        model.MeshKind
	TrustDomain string

	mu     sync.Mutex
	root   signer
	issuer signer
	// clients are the certificates that were made for clients, by identity.
	clients, lapsed map[string]*tls.Certificate
}

// signer is a certificate with its key.
type signer struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewCA makes a CA for a mesh.
func NewCA(mesh model.MeshKind, trustDomain string) (*CA, error) {
	ca := &CA{Mesh: mesh, TrustDomain: trustDomain, clients: map[string]*tls.Certificate{}, lapsed: map[string]*tls.Certificate{}}
	if err := ca.NewRoot(); err != nil {
		return nil, err
	}
	return ca, nil
}

// NewRoot replaces root and issuer, as at the end of a rotation. Leaves that were made before are foreign from then on.
func (ca *CA) NewRoot() error {
	root, err := newSigner("root."+ca.TrustDomain, signer{})
	if err != nil {
		return err
	}
	ca.mu.Lock()
	ca.root = root
	ca.mu.Unlock()
	return ca.NewIssuer()
}

// NewIssuer replaces the issuer by another of the same root.
func (ca *CA) NewIssuer() error {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	issuer, err := newSigner("issuer."+ca.TrustDomain, ca.root)
	if err == nil {
		ca.issuer = issuer
	}
	return err
}

func newSigner(name string, parent signer) (signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return signer{}, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-48 * time.Hour), NotAfter: now.Add(caLifetime),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	if parent.key == nil {
		parent = signer{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent.certificate, &key.PublicKey, parent.key)
	if err != nil {
		return signer{}, err
	}
	certificate, err := x509.ParseCertificate(der)
	return signer{certificate, key}, err
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil { // the system's source of randomness does not fail
		panic(err)
	}
	return n
}

// Root and Issuer are the certificates of today.
func (ca *CA) Root() *x509.Certificate {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	return ca.root.certificate
}

// Issuer is the certificate that leaves are signed with.
func (ca *CA) Issuer() *x509.Certificate {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	return ca.issuer.certificate
}

// Roots are the roots as a pool.
func (ca *CA) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.Root())
	return pool
}

// Leaf makes a certificate for an identity, valid from when it was issued, with the mesh's lifetime and dated back as the mesh does.
func (ca *CA) Leaf(identity string, issued time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	chain, err := ca.Sign(identity, &key.PublicKey, issued, leafLifetime)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(chain[0])
	return &tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: leaf}, err
}

// Sign certifies a key for an identity, as the mesh's CA does: the leaf, and what signed it.
func (ca *CA) Sign(identity string, key *ecdsa.PublicKey, issued time.Time, life time.Duration) ([][]byte, error) {
	ca.mu.Lock()
	issuer := ca.issuer
	ca.mu.Unlock()
	way := verify.Sidecar
	if ca.Mesh == model.MeshLinkerd {
		way = verify.Linkerd
	}
	rule, _ := verify.RenewalOf(way)
	template := &x509.Certificate{
		SerialNumber: serial(), NotBefore: issued.Add(-rule.Backdated), NotAfter: issued.Add(life),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
	}
	if err := name(template, ca.Mesh, identity); err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer.certificate, key, issuer.key)
	if err != nil {
		return nil, err
	}
	return [][]byte{der, issuer.certificate.Raw}, nil
}

// Serving makes a certificate for a DNS name, as istiod has one for itself.
func (ca *CA) Serving(dns string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	ca.mu.Lock()
	issuer := ca.issuer
	ca.mu.Unlock()
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial(), DNSNames: []string{dns}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(leafLifetime),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer.certificate, &key.PublicKey, issuer.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return &tls.Certificate{Certificate: [][]byte{der, issuer.certificate.Raw}, PrivateKey: key, Leaf: leaf}, err
}

// name gives a certificate its identity as the mesh writes it.
func name(template *x509.Certificate, mesh model.MeshKind, identity string) error {
	written := verify.NameOf(mesh, identity)
	if mesh == model.MeshLinkerd {
		template.Subject.CommonName = written
		template.DNSNames = []string{written}
		return nil
	}
	uri, err := url.Parse(written)
	template.URIs = []*url.URL{uri}
	return err
}

// Certificate yields the certificate of a client.
func (ca *CA) Certificate(_ context.Context, identity string) (*tls.Certificate, error) {
	return ca.client(ca.clients, identity, time.Now())
}

// Expired yields one whose time is over.
func (ca *CA) Expired(_ context.Context, identity string) (*tls.Certificate, error) {
	return ca.client(ca.lapsed, identity, time.Now().Add(-leafLifetime-time.Minute))
}

func (ca *CA) client(known map[string]*tls.Certificate, identity string, issued time.Time) (*tls.Certificate, error) {
	ca.mu.Lock()
	c := known[identity]
	ca.mu.Unlock()
	if c != nil {
		return c, nil
	}
	c, err := ca.Leaf(identity, issued)
	if err != nil {
		return nil, fmt.Errorf("making a certificate of %s: %w", identity, err)
	}
	ca.mu.Lock()
	defer ca.mu.Unlock()
	known[identity] = c
	return c, nil
}

// PEM are certificates as text.
func PEM(certificates ...[]byte) []byte {
	var text []byte
	for _, der := range certificates {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return text
}

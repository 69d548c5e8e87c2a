package probe

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"sync"
	"time"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verify"
)

// yielded is what Credentials gave for an identity.
type yielded struct {
	certificate *tls.Certificate
	err         error
}

// held asks Credentials once for each identity.
type held struct {
	from    Credentials
	mu      sync.Mutex
	valid   map[string]yielded
	expired map[string]yielded
}

func (h *held) certificate(ctx context.Context, identity string) (*tls.Certificate, error) {
	if h.from == nil {
		return nil, ErrNoCredentials
	}
	return h.once(h.valid, identity, func() (*tls.Certificate, error) { return h.from.Certificate(ctx, identity) })
}

func (h *held) lapsed(ctx context.Context, identity string) (*tls.Certificate, error) {
	expirer, can := h.from.(Expirer)
	if !can {
		return nil, ErrNoCredentials
	}
	return h.once(h.expired, identity, func() (*tls.Certificate, error) { return expirer.Expired(ctx, identity) })
}

func (h *held) once(known map[string]yielded, identity string, yield func() (*tls.Certificate, error)) (*tls.Certificate, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	y, there := known[identity]
	if !there {
		y.certificate, y.err = yield()
		if y.err == nil && y.certificate == nil {
			y.err = ErrNoCredentials
		}
		known[identity] = y
	}
	return y.certificate, y.err
}

// foreignCA is a CA that no mesh trusts. It is made when it is first needed, and forgotten after the run.
type foreignCA struct {
	mesh model.MeshKind
	mu   sync.Mutex
	ca   *x509.Certificate
	key  *ecdsa.PrivateKey
	made map[string]*tls.Certificate
}

// foreignLifetime is how long its certificates are valid: longer than any run.
const foreignLifetime = 24 * time.Hour

// certificate is one with an identity of the mesh.
func (f *foreignCA) certificate(identity string) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if made := f.made[identity]; made != nil {
		return made, nil
	}
	if f.ca == nil {
		if err := f.begin(); err != nil {
			return nil, fmt.Errorf("making a foreign CA: %w", err)
		}
	}
	made, err := f.issue(identity)
	if err != nil {
		return nil, fmt.Errorf("making a certificate of a foreign CA: %w", err)
	}
	f.made[identity] = made
	return made, nil
}

func (f *foreignCA) begin() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := template("palisade: a CA that no mesh trusts")
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	f.ca, err = x509.ParseCertificate(der)
	f.key, f.made = key, map[string]*tls.Certificate{}
	return err
}

func (f *foreignCA) issue(identity string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := template("")
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	name := verify.NameOf(f.mesh, identity)
	if f.mesh == model.MeshIstio {
		uri, err := url.Parse(name)
		if err != nil {
			return nil, err
		}
		template.URIs = []*url.URL{uri}
	} else {
		template.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, f.ca, &key.PublicKey, f.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}

func template(name string) *x509.Certificate {
	now := time.Now()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil { // the system's source of randomness does not fail
		serial = big.NewInt(now.UnixNano())
	}
	return &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(foreignLifetime)}
}

// Held are credentials that are at hand, by identity.
type Held struct {
	Valid, Lapsed map[string]*tls.Certificate
}

// ErrNoIdentity tells that no certificate of an identity is at hand.
var ErrNoIdentity = errors.New("no certificate of the identity is at hand")

// Certificate implements Credentials.
func (h *Held) Certificate(_ context.Context, identity string) (*tls.Certificate, error) {
	return find(h.Valid, identity)
}

// Expired implements Expirer.
func (h *Held) Expired(_ context.Context, identity string) (*tls.Certificate, error) {
	return find(h.Lapsed, identity)
}

func find(in map[string]*tls.Certificate, identity string) (*tls.Certificate, error) {
	if c := in[identity]; c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("%s: %w", identity, ErrNoIdentity)
}

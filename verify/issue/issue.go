// Package issue gets certificates for probes from a mesh's own CA, as workloads
// get theirs: by a token of the service account and a request for a key that was
// made here. No key leaves the process, and none is written.
//
// What it yields are probe.Credentials. A mesh issues what a token proves: the
// holder must be allowed to create tokens of the service accounts that it plays
// (TokenRequest, `create` on serviceaccounts/token).
package issue

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verify"
)

// Tokens yields tokens of service accounts.
type Tokens interface {
	// Token yields one for an audience.
	Token(ctx context.Context, namespace, account, audience string) (string, error)
}

// ErrNoAccount tells that an identity names no service account of the mesh.
var ErrNoAccount = errors.New("the identity names no service account of the mesh")

// account is the service account that an identity names.
type account struct{ namespace, name string }

// istioAccount reads "domain/ns/namespace/sa/name".
func istioAccount(identity, domain string) (account, error) {
	rest, ours := strings.CutPrefix(identity, domain+"/ns/")
	namespace, name, ok := strings.Cut(rest, "/sa/")
	if !ours || domain == "" || !ok || namespace == "" || name == "" || strings.Contains(namespace+name, "/") {
		return account{}, fmt.Errorf("%q in the trust domain %q: %w", identity, domain, ErrNoAccount)
	}
	return account{namespace, name}, nil
}

// linkerdAccount reads "name.namespace.serviceaccount.identity.control-plane.domain".
// A name may hold dots, a namespace may not.
func linkerdAccount(identity, controlPlane, domain string) (account, error) {
	rest, ours := strings.CutSuffix(identity, ".serviceaccount.identity."+controlPlane+"."+domain)
	i := strings.LastIndexByte(rest, '.')
	if !ours || domain == "" || controlPlane == "" || i <= 0 || i == len(rest)-1 {
		return account{}, fmt.Errorf("%q in the trust domain %q: %w", identity, domain, ErrNoAccount)
	}
	return account{rest[i+1:], rest[:i]}, nil
}

// request is a key, and the request to certify it.
type request struct {
	key *ecdsa.PrivateKey
	der []byte
}

func newRequest(template *x509.CertificateRequest) (*request, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate request: %w", err)
	}
	return &request{key, der}, nil
}

// pem is the request as text.
func (r *request) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: r.der}))
}

// certificate makes a client's certificate of what a CA answered, leaf first, and
// refuses what was not asked for: another key, or another name.
func (r *request) certificate(chain [][]byte, mesh model.MeshKind, identity string) (*tls.Certificate, error) {
	if len(chain) == 0 {
		return nil, errors.New("the CA answered without a certificate")
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil, fmt.Errorf("reading the CA's answer: %w", err)
	}
	if key, ok := leaf.PublicKey.(*ecdsa.PublicKey); !ok || !key.Equal(&r.key.PublicKey) {
		return nil, errors.New("the CA certified another key than the one that was asked for")
	}
	if named := verify.CertificateOf(leaf); !named.Proves(identity) {
		return nil, fmt.Errorf("the CA certified %q, and %s was asked for", named.Identity(), verify.NameOf(mesh, identity))
	}
	return &tls.Certificate{Certificate: chain, PrivateKey: r.key, Leaf: leaf}, nil
}

// call opens a connection to a CA, by TLS alone, and ends it after use.
func call(address, serverName string, roots *x509.CertPool, version uint16, use func(*grpc.ClientConn) error) (err error) {
	if roots == nil {
		return errors.New("the mesh's roots are not known: no token is sent to whoever answers")
	}
	secured := credentials.NewTLS(&tls.Config{RootCAs: roots, ServerName: serverName, MinVersion: version})
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(secured))
	if err != nil {
		return fmt.Errorf("dialling the CA at %s: %w", address, err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	return use(conn)
}

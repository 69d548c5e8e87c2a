package issue

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"

	pb "github.com/linkerd/linkerd2-proxy-api/go/identity"
	"google.golang.org/grpc"

	"floe.dev/palisade/model"
)

// linkerdAudience is that of tokens for linkerd-identity (linkerd2 controller/identity/validator.go).
const linkerdAudience = "identity.l5d.io"

// Linkerd gets certificates from linkerd-identity, by Identity/Certify
// (linkerd2-proxy-api identity.proto) on port 8080, whose proxy ends the TLS. How long
// they live is the service's own choice, so it yields none that has expired.
type Linkerd struct {
	// Address is host:port of linkerd-identity.
	Address string
	// Roots are those of the mesh: the service's proxy proves its identity by them.
	Roots *x509.CertPool
	// Namespace is that of the control plane.
	Namespace   string
	TrustDomain string
	Tokens      Tokens
}

// Certificate yields one for an identity, "name.namespace.serviceaccount.identity.control-plane.domain".
func (l *Linkerd) Certificate(ctx context.Context, identity string) (*tls.Certificate, error) {
	who, err := linkerdAccount(identity, l.Namespace, l.TrustDomain)
	if err != nil {
		return nil, err
	}
	token, err := l.Tokens.Token(ctx, who.namespace, who.name, linkerdAudience)
	if err != nil {
		return nil, fmt.Errorf("getting a token of %s/%s: %w", who.namespace, who.name, err)
	}
	r, err := newRequest(&x509.CertificateRequest{DNSNames: []string{identity}})
	if err != nil {
		return nil, err
	}
	chain, err := l.certify(ctx, identity, token, r)
	if err != nil {
		return nil, fmt.Errorf("getting a certificate of %s from linkerd-identity: %w", identity, err)
	}
	return r.certificate(chain, model.MeshLinkerd, identity)
}

// serverName is the identity of the service itself.
func (l *Linkerd) serverName() string {
	return "linkerd-identity." + l.Namespace + ".serviceaccount.identity." + l.Namespace + "." + l.TrustDomain
}

// certify asks the service. It reads the request as DER, whatever the comment in its protocol says.
func (l *Linkerd) certify(ctx context.Context, identity, token string, r *request) (chain [][]byte, err error) {
	err = call(l.Address, l.serverName(), l.Roots, tls.VersionTLS13, func(conn *grpc.ClientConn) error {
		answer, err := pb.NewIdentityClient(conn).Certify(ctx, &pb.CertifyRequest{Identity: identity, Token: []byte(token), CertificateSigningRequest: r.der})
		if err != nil {
			return err
		}
		if len(answer.LeafCertificate) > 0 {
			chain = append([][]byte{answer.LeafCertificate}, answer.IntermediateCertificates...)
		}
		return nil
	})
	return chain, err
}

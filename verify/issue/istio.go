package issue

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	istiov1alpha1 "istio.io/api/security/v1alpha1"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verify"
)

// istioAudience is that of tokens for istiod (its TOKEN_AUDIENCES).
const istioAudience = "istio-ca"

// Istio gets certificates from istiod, by IstioCertificateService/CreateCertificate
// (istio.io/api security/v1alpha1/ca.proto) on port 15012.
type Istio struct {
	// Address is host:port of istiod, ServerName that which its certificate proves: istiod.istio-system.svc.
	Address, ServerName string
	// Roots are those of the mesh: istiod's own certificate is of them.
	Roots       *x509.CertPool
	TrustDomain string
	// ClusterID is istiod's name of the cluster, "Kubernetes" by default; empty names none.
	ClusterID string
	// Lifetime is that of certificates; 0 is the CA's own.
	Lifetime time.Duration
	Tokens   Tokens
}

// Certificate yields one for an identity, "domain/ns/namespace/sa/name".
func (i *Istio) Certificate(ctx context.Context, identity string) (*tls.Certificate, error) {
	return i.certificate(ctx, identity, i.Lifetime)
}

// Expired yields one that lived for a second, and waits until that is over.
func (i *Istio) Expired(ctx context.Context, identity string) (*tls.Certificate, error) {
	c, err := i.certificate(ctx, identity, time.Second)
	if err != nil {
		return nil, err
	}
	const most = time.Minute // a CA may give longer lives than are asked for
	left := time.Until(c.Leaf.NotAfter) + time.Second
	if left > most {
		return nil, fmt.Errorf("the CA gave %s a life until %s, and a second was asked for", identity, c.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(left):
		return c, nil
	}
}

func (i *Istio) certificate(ctx context.Context, identity string, life time.Duration) (*tls.Certificate, error) {
	who, err := istioAccount(identity, i.TrustDomain)
	if err != nil {
		return nil, err
	}
	uri, err := url.Parse(verify.NameOf(model.MeshIstio, identity))
	if err != nil {
		return nil, fmt.Errorf("naming %s: %w", identity, err)
	}
	token, err := i.Tokens.Token(ctx, who.namespace, who.name, istioAudience)
	if err != nil {
		return nil, fmt.Errorf("getting a token of %s/%s: %w", who.namespace, who.name, err)
	}
	r, err := newRequest(&x509.CertificateRequest{URIs: []*url.URL{uri}})
	if err != nil {
		return nil, err
	}
	chain, err := i.create(ctx, token, r, life)
	if err != nil {
		return nil, fmt.Errorf("getting a certificate of %s from istiod: %w", identity, err)
	}
	return r.certificate(chain, model.MeshIstio, identity)
}

// create asks istiod. Its answer ends with the roots, which no client shows.
func (i *Istio) create(ctx context.Context, token string, r *request, life time.Duration) (chain [][]byte, err error) {
	pairs := []string{"authorization", "Bearer " + token}
	if i.ClusterID != "" {
		pairs = append(pairs, "clusterid", i.ClusterID)
	}
	ctx = metadata.AppendToOutgoingContext(ctx, pairs...)
	err = call(i.Address, i.ServerName, i.Roots, tls.VersionTLS12, func(conn *grpc.ClientConn) error {
		answer, err := istiov1alpha1.NewIstioCertificateServiceClient(conn).CreateCertificate(ctx, &istiov1alpha1.IstioCertificateRequest{
			Csr: r.pem(), ValidityDuration: int64(life / time.Second),
		})
		if err != nil {
			return err
		}
		if len(answer.CertChain) < 2 {
			return fmt.Errorf("its answer has %d parts, and a leaf and a root are the least", len(answer.CertChain))
		}
		for _, part := range answer.CertChain[:len(answer.CertChain)-1] {
			blocks, err := decode(part)
			if err != nil {
				return err
			}
			chain = append(chain, blocks...)
		}
		return nil
	})
	return chain, err
}

// decode reads the certificates of a PEM text.
func decode(text string) ([][]byte, error) {
	var list [][]byte
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == "CERTIFICATE" {
			list = append(list, block.Bytes)
		}
	}
	if len(list) == 0 {
		return nil, errors.New("a part of its answer is no PEM certificate")
	}
	return list, nil
}

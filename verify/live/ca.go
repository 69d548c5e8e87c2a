package live

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verify/issue"
	"floe.dev/palisade/verify/probe"
)

// newCA asks the CA of a mesh, at the first address that yields.
func newCA(g *Given, mesh *model.Mesh, addresses []string) probe.Credentials {
	pool := x509.NewCertPool()
	for _, c := range g.Roots {
		pool.AddCert(c)
	}
	if mesh.Kind == model.MeshLinkerd {
		var all several
		for _, a := range addresses {
			all = append(all, &issue.Linkerd{Address: a, Roots: pool, Namespace: mesh.Namespace, TrustDomain: mesh.TrustDomain, Tokens: g.Tokens})
		}
		return all
	}
	var all severalExpiring
	for _, a := range addresses {
		all = append(all, &issue.Istio{
			Address: a, ServerName: "istiod." + mesh.Namespace + ".svc", Roots: pool, TrustDomain: mesh.TrustDomain, Tokens: g.Tokens,
		})
	}
	return all
}

// several are replicas of one CA.
type several []probe.Credentials

// Certificate implements probe.Credentials.
func (s several) Certificate(ctx context.Context, identity string) (*tls.Certificate, error) {
	return first(len(s), func(i int) (*tls.Certificate, error) { return s[i].Certificate(ctx, identity) })
}

// severalExpiring are replicas of a CA that also issues what expires at once.
type severalExpiring []*issue.Istio

// Certificate implements probe.Credentials.
func (s severalExpiring) Certificate(ctx context.Context, identity string) (*tls.Certificate, error) {
	return first(len(s), func(i int) (*tls.Certificate, error) { return s[i].Certificate(ctx, identity) })
}

// Expired implements probe.Expirer.
func (s severalExpiring) Expired(ctx context.Context, identity string) (*tls.Certificate, error) {
	return first(len(s), func(i int) (*tls.Certificate, error) { return s[i].Expired(ctx, identity) })
}

// first yields what the first yields that does.
func first(count int, yield func(i int) (*tls.Certificate, error)) (*tls.Certificate, error) {
	var faults []error
	for i := range count {
		c, err := yield(i)
		if err == nil {
			return c, nil
		}
		faults = append(faults, err)
	}
	return nil, errors.Join(faults...)
}

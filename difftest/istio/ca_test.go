package difftest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"istio.io/istio/pkg/security"
	"istio.io/istio/security/pkg/pki/ca"
	"istio.io/istio/security/pkg/pki/util"
	caserver "istio.io/istio/security/pkg/server/ca"

	"floe.dev/palisade/verify"
	"floe.dev/palisade/verify/issue"
)

// namedTokens are "audience namespace account" in place of a JWT.
type namedTokens struct{}

func (namedTokens) Token(_ context.Context, namespace, account, audience string) (string, error) {
	return audience + " " + namespace + " " + account, nil
}

// namedAccounts stands in for TokenReview: all else of the CA is Istio's own.
type namedAccounts struct{}

func (namedAccounts) AuthenticatorType() string { return "named" }

func (namedAccounts) Authenticate(ctx security.AuthContext) (*security.Caller, error) {
	token, err := security.ExtractBearerToken(ctx.GrpcContext)
	if err != nil {
		return nil, err
	}
	part := strings.Fields(token)
	if len(part) != 3 || part[0] != "istio-ca" {
		return nil, errors.New("the token is of another audience")
	}
	return &security.Caller{AuthSource: security.AuthSourceIDToken, Identities: []string{"spiffe://mesh.example/ns/" + part[1] + "/sa/" + part[2]}}, nil
}

// TestIstiodCertifiesWhatProbesAskFor puts our client to Istio's own CA and server.
func TestIstiodCertifiesWhatProbesAskFor(t *testing.T) {
	options, err := ca.NewSelfSignedDebugIstioCAOptions("", 24*time.Hour, time.Hour, 2*time.Hour, "mesh.example", 2048)
	require.NoError(t, err)
	authority, err := ca.NewIstioCA(options)
	require.NoError(t, err)
	server, err := caserver.New(authority, time.Hour, []security.Authenticator{namedAccounts{}}, nil)
	require.NoError(t, err)
	rootPEM := authority.GetCAKeyCertBundle().GetRootCertPem()
	certificate, key, err := authority.GenKeyCert([]string{"istiod.istio-system.svc"}, time.Hour, false)
	require.NoError(t, err)
	pair, err := tls.X509KeyPair(certificate, key)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})))
	server.Register(served)
	go func() { _ = served.Serve(listener) }() // it ends with Stop
	t.Cleanup(served.Stop)

	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(rootPEM))
	client := &issue.Istio{Address: listener.Addr().String(), ServerName: "istiod.istio-system.svc", Roots: roots, TrustDomain: "mesh.example", Tokens: namedTokens{}}
	c, err := client.Certificate(t.Context(), "mesh.example/ns/shop/sa/web")
	require.NoError(t, err)
	uri, err := util.ExtractIDs(c.Leaf.Extensions)
	require.NoError(t, err)
	assert.Equal(t, []string{"spiffe://mesh.example/ns/shop/sa/web"}, uri)
	block, _ := pem.Decode(rootPEM)
	root, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	_, err = verify.NewTrust([]*x509.Certificate{root}).Check([]*x509.Certificate{c.Leaf}, time.Now())
	require.NoError(t, err)

	// Istio dates leaves back by two minutes, by which the ledger reckons when they are due.
	rule, _ := verify.RenewalOf(verify.Sidecar)
	leaf := verify.CertificateOf(c.Leaf)
	assert.WithinDuration(t, time.Now(), rule.Issued(&leaf), 10*time.Second)
	assert.WithinDuration(t, time.Now().Add(30*time.Minute), rule.Overdue(&leaf).Add(-rule.Slack), 3*time.Minute)

	expired, err := client.Expired(t.Context(), "mesh.example/ns/shop/sa/web")
	require.NoError(t, err)
	assert.True(t, time.Now().After(expired.Leaf.NotAfter))

	client.Lifetime = 3 * time.Hour
	_, err = client.Certificate(t.Context(), "mesh.example/ns/shop/sa/web")
	assert.ErrorContains(t, err, "InvalidArgument", "beyond MAX_WORKLOAD_CERT_TTL")
}

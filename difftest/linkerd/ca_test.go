package difftest

import (
	"context"
	stdtls "crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/linkerd/linkerd2/pkg/identity"
	"github.com/linkerd/linkerd2/pkg/tls"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"floe.dev/palisade/verify"
	"floe.dev/palisade/verify/issue"
)

const domain = "mesh.example"

// namedTokens are "audience namespace account" in place of a JWT.
type namedTokens struct{}

func (namedTokens) Token(_ context.Context, namespace, account, audience string) (string, error) {
	return audience + " " + namespace + " " + account, nil
}

// namedAccounts stands in for TokenReview: all else of the service is Linkerd's own.
type namedAccounts struct{}

func (namedAccounts) Validate(_ context.Context, token []byte) (string, error) {
	part := strings.Fields(string(token))
	if len(part) != 3 || part[0] != "identity.l5d.io" {
		return "", identity.NotAuthenticated{}
	}
	return part[2] + "." + part[1] + ".serviceaccount.identity.linkerd." + domain, nil
}

// TestLinkerdIdentityCertifiesWhatProbesAskFor puts our client to Linkerd's own identity service.
func TestLinkerdIdentityCertifiesWhatProbesAskFor(t *testing.T) {
	const issuerName = "identity.linkerd." + domain
	root, err := tls.GenerateRootCAWithDefaults(issuerName)
	require.NoError(t, err)
	folder := t.TempDir()
	certificate, key := filepath.Join(folder, "crt.pem"), filepath.Join(folder, "key.pem")
	require.NoError(t, os.WriteFile(certificate, []byte(root.Cred.EncodeCertificatePEM()), 0o600))
	require.NoError(t, os.WriteFile(key, []byte(root.Cred.EncodePrivateKeyPEM()), 0o600))
	anchors := root.Cred.CertPool()
	validity := tls.Validity{Lifetime: time.Hour, ClockSkewAllowance: tls.DefaultClockSkewAllowance}
	service := identity.NewService(namedAccounts{}, anchors, &validity, func(string, string, string) {}, issuerName, certificate, key)
	require.NoError(t, service.Initialize())

	name := "linkerd-identity.linkerd.serviceaccount.identity.linkerd." + domain
	own, err := root.GenerateEndEntityCred(name)
	require.NoError(t, err)
	pair, err := stdtls.X509KeyPair([]byte(own.EncodePEM()), []byte(own.EncodePrivateKeyPEM()))
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := grpc.NewServer(grpc.Creds(credentials.NewTLS(&stdtls.Config{Certificates: []stdtls.Certificate{pair}, MinVersion: stdtls.VersionTLS13})))
	identity.Register(served, service)
	go func() { _ = served.Serve(listener) }() // it ends with Stop
	t.Cleanup(served.Stop)

	client := &issue.Linkerd{Address: listener.Addr().String(), Roots: anchors, Namespace: "linkerd", TrustDomain: domain, Tokens: namedTokens{}}
	asked := "web.shop.serviceaccount.identity.linkerd." + domain
	c, err := client.Certificate(t.Context(), asked)
	require.NoError(t, err)
	assert.Equal(t, []string{asked}, c.Leaf.DNSNames)
	_, err = verify.NewTrust([]*x509.Certificate{root.Cred.Crt.Certificate}).Check([]*x509.Certificate{c.Leaf}, time.Now())
	require.NoError(t, err)

	// Linkerd dates leaves back by its clock skew, by which the ledger reckons when they are due.
	rule, _ := verify.RenewalOf(verify.Linkerd)
	leaf := verify.CertificateOf(c.Leaf)
	assert.WithinDuration(t, time.Now(), rule.Issued(&leaf), 15*time.Second)

	client.Tokens = othersTokens{}
	_, err = client.Certificate(t.Context(), asked)
	assert.ErrorContains(t, err, "FailedPrecondition", "a token proves its own account alone")
}

// othersTokens are of another service account than was asked for.
type othersTokens struct{}

func (othersTokens) Token(_ context.Context, namespace, _, audience string) (string, error) {
	return audience + " " + namespace + " other", nil
}

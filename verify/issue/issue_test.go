package issue_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	pb "github.com/linkerd/linkerd2-proxy-api/go/identity"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	istiov1alpha1 "istio.io/api/security/v1alpha1"

	"floe.dev/palisade/model"
	"floe.dev/palisade/verify"
	"floe.dev/palisade/verify/issue"
	"floe.dev/palisade/verify/lab"
	"floe.dev/palisade/verify/probe"
)

var (
	_ probe.Credentials = (*issue.Istio)(nil)
	_ probe.Expirer     = (*issue.Istio)(nil)
	_ probe.Credentials = (*issue.Linkerd)(nil)
)

// tokens are "audience/namespace/account"; none of them is a real one.
type tokens struct{}

func (tokens) Token(_ context.Context, namespace, account, audience string) (string, error) {
	if account == "absent" {
		return "", errors.New("there is no such account")
	}
	return audience + "/" + namespace + "/" + account, nil
}

// istiod issues by the rules of istio security/pkg/server/ca/server.go: the identity is the token's, whatever the request names.
type istiod struct {
	istiov1alpha1.UnimplementedIstioCertificateServiceServer
	ca *lab.CA
	// other, where it is set, is what it certifies in place of what was asked for.
	other string
}

func (s *istiod) CreateCertificate(ctx context.Context, r *istiov1alpha1.IstioCertificateRequest) (*istiov1alpha1.IstioCertificateResponse, error) {
	given, _ := metadata.FromIncomingContext(ctx)
	token, bearer := strings.CutPrefix(strings.Join(given.Get("authorization"), ","), "Bearer ")
	part := strings.Split(token, "/")
	if !bearer || len(part) != 3 || part[0] != "istio-ca" || strings.Join(given.Get("clusterid"), ",") != "Kubernetes" {
		return nil, status.Error(codes.Unauthenticated, "request authenticate failure")
	}
	block, rest := pem.Decode([]byte(r.Csr))
	if block == nil || len(rest) > 0 {
		return nil, status.Error(codes.InvalidArgument, "CSR is no PEM")
	}
	key, _, err := checked(block.Bytes)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	life := 24 * time.Hour
	if r.ValidityDuration > 0 {
		life = time.Duration(r.ValidityDuration) * time.Second
	}
	identity := s.ca.TrustDomain + "/ns/" + part[1] + "/sa/" + part[2]
	if s.other != "" {
		identity = s.other
	}
	chain, err := s.ca.Sign(identity, key, time.Now(), life)
	if err != nil {
		return nil, err
	}
	answer := &istiov1alpha1.IstioCertificateResponse{}
	for _, der := range append(chain, s.ca.Root().Raw) {
		answer.CertChain = append(answer.CertChain, string(lab.PEM(der)))
	}
	return answer, nil
}

// checked reads a request, and sees that who made it has the key.
func checked(der []byte) (*ecdsa.PublicKey, *x509.CertificateRequest, error) {
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, nil, err
	}
	key, ok := csr.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return nil, nil, errors.New("the key is no ECDSA key")
	}
	return key, csr, csr.CheckSignature()
}

// identityService issues by the rules of linkerd2 pkg/identity/service.go.
type identityService struct {
	pb.UnimplementedIdentityServer
	ca *lab.CA
}

func (s *identityService) Certify(_ context.Context, r *pb.CertifyRequest) (*pb.CertifyResponse, error) {
	key, csr, err := checked(r.CertificateSigningRequest)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if len(csr.DNSNames) != 1 || csr.DNSNames[0] != r.Identity || len(csr.URIs)+len(csr.EmailAddresses)+len(csr.IPAddresses) > 0 || csr.Subject.CommonName != "" && csr.Subject.CommonName != r.Identity {
		return nil, status.Error(codes.FailedPrecondition, "the names of the CSR")
	}
	part := strings.Split(string(r.Token), "/")
	if len(part) != 3 || part[0] != "identity.l5d.io" || r.Identity != part[2]+"."+part[1]+".serviceaccount.identity.linkerd."+s.ca.TrustDomain {
		return nil, status.Error(codes.FailedPrecondition, "the token is another's")
	}
	chain, err := s.ca.Sign(r.Identity, key, time.Now(), 24*time.Hour)
	if err != nil {
		return nil, err
	}
	return &pb.CertifyResponse{LeafCertificate: chain[0], IntermediateCertificates: chain[1:]}, nil
}

// serve serves by TLS, and tells where.
func serve(t *testing.T, leaf *tls.Certificate, register func(*grpc.Server)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{*leaf}, MinVersion: tls.VersionTLS12})))
	register(server)
	go func() { _ = server.Serve(listener) }() // it ends with Stop
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

// serving is a certificate for a DNS name, which is its own root: the lab's CA for Istio writes SPIFFE IDs alone.
func serving(t *testing.T, dns string) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "istiod"}, DNSNames: []string{dns}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func ofIstio(t *testing.T, ca *lab.CA, service *istiod) *issue.Istio {
	t.Helper()
	leaf, roots := serving(t, "istiod.istio-system.svc"), x509.NewCertPool()
	roots.AddCert(leaf.Leaf)
	address := serve(t, leaf, func(s *grpc.Server) { istiov1alpha1.RegisterIstioCertificateServiceServer(s, service) })
	return &issue.Istio{Address: address, ServerName: "istiod.istio-system.svc", Roots: roots, TrustDomain: ca.TrustDomain, ClusterID: "Kubernetes", Tokens: tokens{}}
}

func ofLinkerd(t *testing.T, ca *lab.CA) *issue.Linkerd {
	t.Helper()
	leaf, err := ca.Leaf("linkerd-identity.linkerd.serviceaccount.identity.linkerd."+ca.TrustDomain, time.Now())
	require.NoError(t, err)
	address := serve(t, leaf, func(s *grpc.Server) { pb.RegisterIdentityServer(s, &identityService{ca: ca}) })
	return &issue.Linkerd{Address: address, Roots: ca.Roots(), Namespace: "linkerd", TrustDomain: ca.TrustDomain, Tokens: tokens{}}
}

// credentialsOf are those of either mesh's CA.
func credentialsOf(t *testing.T, ca *lab.CA) probe.Credentials {
	t.Helper()
	if ca.Mesh == model.MeshLinkerd {
		return ofLinkerd(t, ca)
	}
	return ofIstio(t, ca, &istiod{ca: ca})
}

// What a mesh's CA issued lets probes in, and what it issued for a second is refused when that is over.
func TestProbesPlayTheIdentitiesThatTheMeshIssued(t *testing.T) {
	for _, mesh := range []model.MeshKind{model.MeshIstio, model.MeshLinkerd} {
		t.Run(string(mesh), func(t *testing.T) {
			caller, way := lab.TrustDomain+"/ns/lab/sa/caller", verify.HBONE
			if mesh == model.MeshLinkerd {
				caller, way = "caller.lab.serviceaccount.identity.linkerd."+lab.TrustDomain, verify.LinkerdTransport
			}
			l, err := lab.Start(mesh, []lab.Spec{{Namespace: "lab", Name: "server", Way: way, Mode: lab.Strict, App: lab.Silent, Callers: []string{caller}}})
			require.NoError(t, err)
			t.Cleanup(func() { assert.NoError(t, l.Close()) })
			held := credentialsOf(t, l.CA)
			targets := l.Targets()
			targets.Identities = []verify.HeldIdentity{{Identity: caller, Certificate: "-", Key: "-"}, {Identity: strings.Replace(caller, "caller", "stranger", 1), Certificate: "-", Key: "-"}}
			if _, can := held.(probe.Expirer); can {
				targets.Identities = append(targets.Identities, verify.HeldIdentity{Identity: caller, Certificate: "-", Key: "-", Expired: true})
			}
			expected := targets.Expectations()
			sweep := probe.Run(t.Context(), expected, probe.Options{Mesh: mesh, Trust: verify.NewTrust([]*x509.Certificate{l.CA.Root()}), Credentials: held, Attempts: 1})
			r := verify.Judge(&expected[0], &sweep.Seen[0])
			assert.Equal(t, verify.Pass, r.Verdict, "%s: %+v", r.Reason, r.Checks)
		})
	}
}

func TestWhatACAAnswersIsNotBelieved(t *testing.T) {
	ca, err := lab.NewCA(model.MeshIstio, lab.TrustDomain)
	require.NoError(t, err)
	caller := lab.TrustDomain + "/ns/lab/sa/caller"
	for name, test := range map[string]struct {
		change   func(*issue.Istio)
		service  istiod
		identity string
		says     string
	}{
		"another identity":        {func(*issue.Istio) {}, istiod{ca: ca, other: lab.TrustDomain + "/ns/lab/sa/other"}, caller, "sa/other"},
		"another trust domain":    {func(*issue.Istio) {}, istiod{ca: ca}, "elsewhere/ns/lab/sa/caller", "names no service account"},
		"no service account":      {func(*issue.Istio) {}, istiod{ca: ca}, lab.TrustDomain + "/lab", "names no service account"},
		"no such service account": {func(*issue.Istio) {}, istiod{ca: ca}, lab.TrustDomain + "/ns/lab/sa/absent", "getting a token of lab/absent"},
		"no roots":                {func(i *issue.Istio) { i.Roots = nil }, istiod{ca: ca}, caller, "no token is sent"},
		"other roots":             {func(i *issue.Istio) { i.Roots = ca.Roots() }, istiod{ca: ca}, caller, "certificate"},
		"another server":          {func(i *issue.Istio) { i.ServerName = "istiod.other.svc" }, istiod{ca: ca}, caller, "istiod.other.svc"},
		"another cluster":         {func(i *issue.Istio) { i.ClusterID = "other" }, istiod{ca: ca}, caller, "Unauthenticated"},
	} {
		t.Run(name, func(t *testing.T) {
			i := ofIstio(t, ca, &test.service)
			test.change(i)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			_, err := i.Certificate(ctx, test.identity)
			require.Error(t, err)
			assert.Contains(t, err.Error(), test.says)
		})
	}
}

func TestNamesOfLinkerdAreReadFromTheirEnd(t *testing.T) {
	ca, err := lab.NewCA(model.MeshLinkerd, lab.TrustDomain)
	require.NoError(t, err)
	l := ofLinkerd(t, ca)
	c, err := l.Certificate(t.Context(), "a.dotted.name.shop.serviceaccount.identity.linkerd."+lab.TrustDomain)
	require.NoError(t, err)
	assert.Equal(t, []string{"a.dotted.name.shop.serviceaccount.identity.linkerd." + lab.TrustDomain}, c.Leaf.DNSNames)
	assert.Len(t, c.Certificate, 2)
	for _, none := range []string{"", "shop.serviceaccount.identity.linkerd." + lab.TrustDomain, "a.shop.serviceaccount.identity.other." + lab.TrustDomain} {
		_, err := l.Certificate(t.Context(), none)
		assert.ErrorIs(t, err, issue.ErrNoAccount, none)
	}
}

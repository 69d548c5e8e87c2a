package apiserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"
)

// kubeconfig is a kubeconfig by which palisade reaches a server.
func kubeconfigFor(t *testing.T, c *rest.Config) string {
	t.Helper()
	data, err := clientcmd.Write(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"c": {Server: c.Host, CertificateAuthorityData: c.CAData}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"u": {ClientCertificateData: c.CertData, ClientKeyData: c.KeyData}},
		Contexts:       map[string]*clientcmdapi.Context{"x": {Cluster: "c", AuthInfo: "u"}},
		CurrentContext: "x",
	})
	require.NoError(t, err)
	return write(t, "kubeconfig", data)
}

// checked is what these tests read of palisade check -o json.
type checked struct {
	Server  struct{ Version, User string }
	Summary struct {
		Passed, Failed int
		Incomplete     bool
	}
	Checks []checkResult
}

type checkResult struct {
	ID, Status, Message string
	Details             []string
}

func (c checked) of(t *testing.T, id string) checkResult {
	t.Helper()
	i := slices.IndexFunc(c.Checks, func(r checkResult) bool { return r.ID == id })
	require.GreaterOrEqual(t, i, 0, "no check %s", id)
	return c.Checks[i]
}

func check(t *testing.T, config *rest.Config, args ...string) (checked, run) {
	t.Helper()
	r := palisadeAtAll(t, append([]string{"check", "-o", "json", "--kubeconfig", kubeconfigFor(t, config)}, args...)...)
	require.NotEqual(t, 2, r.code, r.notes)
	var c checked
	require.NoError(t, json.Unmarshal([]byte(r.out), &c), r.out)
	return c, r
}

func TestCheckOfARunningServer(t *testing.T) {
	c, r := check(t, config, "--for", "controller", "--only", "server,permissions,pod-security,palisade")
	for _, id := range []string{"ServerAnswers", "ServerVersion", "ClockSkew", "EverythingRead", "KindsServed", "PermissionsToRead", "PermissionsToWrite", "PodSecurityOn", "DefinitionsCurrent", "Leftovers", "AuditClean"} {
		assert.Equal(t, "passed", c.of(t, id).Status, "%+v", c.of(t, id))
	}
	assert.Equal(t, "skipped", c.of(t, "ControllerLeads").Status)
	assert.Equal(t, 0, r.code, r.out)
	assert.Empty(t, r.notes, "what is no terminal is shown no progress")
	assert.True(t, strings.HasPrefix(c.Server.Version, "v1."))
	assert.NotEmpty(t, c.Server.User)

	s := newServer(t)
	before := s.everything(t)
	check(t, config, "--for", "controller")
	assert.Equal(t, before, s.everything(t), "a check writes nothing")
}

// everything are the names and versions of what a check could be thought to write.
func (s *server) everything(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, kind := range []string{"v1 Namespace", "v1 ConfigMap", "v1 Secret", "v1 Event", "networking.k8s.io/v1 NetworkPolicy", "apiextensions.k8s.io/v1 CustomResourceDefinition", "palisade.floe.dev/v1alpha1 SecurityProfile"} {
		o := &object{}
		version, name, _ := strings.Cut(kind, " ")
		o.SetAPIVersion(version)
		o.SetKind(name)
		mapping, err := s.mapper.RESTMapping(o.GroupVersionKind().GroupKind(), o.GroupVersionKind().Version)
		require.NoError(t, err)
		list, err := s.objects.Resource(mapping.Resource).List(t.Context(), metav1.ListOptions{})
		require.NoError(t, err)
		for i := range list.Items {
			all = append(all, describe(&list.Items[i])+" "+list.Items[i].GetResourceVersion())
		}
	}
	return all
}

func TestCheckNamesExactlyTheRightsThatAreMissing(t *testing.T) {
	s := newServer(t)
	s.given(t, decode(t, []byte(`
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader-with-gaps}
rules:
- {apiGroups: [""], resources: [pods, namespaces, nodes, services, endpoints, configmaps, serviceaccounts, limitranges, resourcequotas, replicationcontrollers], verbs: [get, list, watch]}
- {apiGroups: [apps, batch, autoscaling, policy, discovery.k8s.io, admissionregistration.k8s.io, apiextensions.k8s.io, apiregistration.k8s.io, coordination.k8s.io], resources: ["*"], verbs: [get, list, watch]}
- {apiGroups: [networking.k8s.io], resources: [servicecidrs], verbs: [get, list, watch]}
- {apiGroups: [networking.k8s.io], resources: [networkpolicies], verbs: [get, watch]}
- {apiGroups: [security.istio.io, networking.istio.io, telemetry.istio.io, extensions.istio.io, gateway.networking.k8s.io, palisade.floe.dev, policy.linkerd.io], resources: ["*"], verbs: [get, list, watch]}
- {apiGroups: [palisade.floe.dev], resources: [securityprofiles/status], verbs: [patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: reader-with-gaps}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reader-with-gaps}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: reader}]
`)))
	c, r := check(t, config, "--as", "reader")
	assert.Equal(t, "reader", c.Server.User)
	read := c.of(t, "PermissionsToRead")
	assert.Equal(t, "failed", read.Status)
	assert.Equal(t, []string{"list networkpolicies.networking.k8s.io: may not"}, read.Details)
	assert.Equal(t, "skipped", c.of(t, "PermissionsToWrite").Status)
	assert.Equal(t, "unknown", c.of(t, "EverythingRead").Status)
	assert.Equal(t, "unknown", c.of(t, "Leftovers").Status, "policies of palisade may be there")
	assert.Equal(t, 3, r.code, "it could not look at everything")

	c, _ = check(t, config, "--as", "reader", "--for", "controller", "--mesh", "none", "--only", "permissions")
	assert.Equal(t, []string{"list networkpolicies.networking.k8s.io: may not"}, c.of(t, "PermissionsToRead").Details)
	write := c.of(t, "PermissionsToWrite")
	assert.Equal(t, "failed", write.Status)
	want := []string{
		"create secrets in palisade-system: may not",
		"get secrets palisade-webhook in palisade-system: may not",
		"patch namespaces: may not",
		"create networkpolicies.networking.k8s.io: may not",
		"delete networkpolicies.networking.k8s.io: may not",
		"patch networkpolicies.networking.k8s.io: may not",
		"patch trafficrules.palisade.floe.dev/status: may not",
		"create leases.coordination.k8s.io in palisade-system: may not",
		"patch validatingwebhookconfigurations.admissionregistration.k8s.io palisade: may not",
	}
	assert.Subset(t, write.Details, want)
	for _, held := range []string{"securityprofiles.palisade.floe.dev/status", "get leases", "security.istio.io"} {
		assert.False(t, slices.ContainsFunc(write.Details, func(d string) bool { return strings.Contains(d, held) }), "%s is held, or not needed: %v", held, write.Details)
	}

	// Somebody whom nothing is granted.
	c, r = check(t, config, "--as", "nobody")
	assert.Equal(t, 3, r.code)
	assert.Greater(t, len(c.of(t, "PermissionsToRead").Details), 20)
	for _, id := range []string{"MeshFound", "NetworkPolicyEnforced", "WebhooksAnswer", "ProfilesAgree", "NodesReady"} {
		assert.Equal(t, "unknown", c.of(t, id).Status, "what could not be read does not pass: %+v", c.of(t, id))
	}
	assert.Equal(t, "unknown", c.of(t, "ControllerLeads").Status)
	assert.Equal(t, "unknown", c.of(t, "DefinitionsCurrent").Status)
}

// turned is the server behind a proxy by whose clock it is another time.
func turned(t *testing.T, by time.Duration) *rest.Config {
	t.Helper()
	target, err := url.Parse(config.Host)
	require.NoError(t, err)
	transport, err := rest.TransportFor(config)
	require.NoError(t, err)
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Transport: transport,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(r *http.Response) error {
			if date, err := http.ParseTime(r.Header.Get("Date")); err == nil {
				r.Header.Set("Date", date.Add(by).Format(http.TimeFormat))
			}
			return nil
		},
	})
	t.Cleanup(proxy.Close)
	return &rest.Config{Host: proxy.URL}
}

func TestCheckSeesThatClocksDisagree(t *testing.T) {
	for name, test := range map[string]struct {
		by       time.Duration
		status   string
		contains string
	}{
		"an hour ahead":   {-time.Hour, "failed", "ahead of the API server"},
		"minutes behind":  {5 * time.Minute, "failed", "behind the API server"},
		"ten seconds off": {12 * time.Second, "warning", "behind the API server"},
		"a second off":    {time.Second, "passed", "agree"},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := check(t, turned(t, test.by), "--only", "ClockSkew")
			assert.Equal(t, test.status, c.of(t, "ClockSkew").Status)
			assert.Contains(t, c.of(t, "ClockSkew").Message, test.contains)
			require.Len(t, c.Checks, 1)
		})
	}
}

func TestCheckOfAServerThatIsNotThere(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	host := "http://" + listener.Addr().String()
	require.NoError(t, listener.Close())
	r := palisadeAtAll(t, "check", "--kubeconfig", kubeconfigFor(t, &rest.Config{Host: host}))
	assert.Equal(t, 2, r.code)
	assert.Empty(t, r.out)
	assert.Equal(t, 1, strings.Count(r.notes, "\n"), "one line: %q", r.notes)
	assert.Contains(t, r.notes, "palisade: the cluster at "+host+" does not answer: ")

	began := time.Now()
	r = palisadeAtAll(t, "check", "--wait", "1s", "--kubeconfig", kubeconfigFor(t, &rest.Config{Host: host}))
	assert.Equal(t, 2, r.code)
	assert.GreaterOrEqual(t, time.Since(began), time.Second)
	assert.Contains(t, r.notes, "palisade: waiting, 1s left: ")
}

func TestCheckComparesDefinitionsWithThisPalisade(t *testing.T) {
	s := newServer(t)
	text, err := os.ReadFile(filepath.Join(root, "deploy/crds/palisade.floe.dev_trafficrules.yaml"))
	require.NoError(t, err)
	tree := &object{}
	require.NoError(t, yaml.Unmarshal(text, &tree.Object))
	_, err = s.resource(t, tree).Patch(t.Context(), tree.GetName(), types.JSONPatchType,
		[]byte(`[{"op": "remove", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/ports/maxItems"}]`), metav1.PatchOptions{})
	require.NoError(t, err)
	defer func() {
		there, err := s.resource(t, tree).Get(t.Context(), tree.GetName(), metav1.GetOptions{})
		require.NoError(t, err)
		tree.SetResourceVersion(there.GetResourceVersion())
		_, err = s.resource(t, tree).Update(t.Context(), tree, metav1.UpdateOptions{})
		require.NoError(t, err)
	}()
	c, r := check(t, config, "--only", "DefinitionsCurrent")
	assert.Equal(t, 1, r.code)
	assert.Equal(t, []string{"trafficrules.palisade.floe.dev: has another schema of version v1alpha1"}, c.of(t, "DefinitionsCurrent").Details)
}

// authority is a CA in PEM.
func authority(t *testing.T, name string, until time.Time) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	secret, err := x509.MarshalECPrivateKey(private)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret})
}

func newObject(apiVersion, kind, namespace, name string, fields map[string]any) *object {
	o := &object{Object: fields}
	o.SetAPIVersion(apiVersion)
	o.SetKind(kind)
	o.SetNamespace(namespace)
	o.SetName(name)
	return o
}

func TestCheckOfAMeshInARunningServer(t *testing.T) {
	s := newServer(t)
	root, key := authority(t, "root of the mesh", time.Now().Add(30*24*time.Hour))
	other, _ := authority(t, "another", time.Now().Add(400*24*time.Hour))
	s.given(t, append(read(t, []string{istio}),
		newObject("v1", "ConfigMap", "istio-system", "istio-ca-root-cert", map[string]any{"data": map[string]any{"root-cert.pem": string(root)}}),
		newObject("v1", "Secret", "istio-system", "istio-ca-secret", map[string]any{"type": "istio.io/ca-root", "stringData": map[string]any{
			"ca-cert.pem": string(other), "ca-key.pem": string(key), "root-cert.pem": string(root),
		}}),
		newObject("v1", "Service", "istio-system", "istiod", map[string]any{"spec": map[string]any{
			"selector": map[string]any{"app": "istiod"}, "ports": []any{map[string]any{"port": int64(443), "targetPort": int64(15017)}},
		}}),
	))
	args := []string{"--mesh", "istio", "--only", "mesh,certificates,webhooks"}
	c, r := check(t, config, args...)
	assert.Equal(t, "warning", c.of(t, "RootsValid").Status)
	assert.Contains(t, c.of(t, "RootsValid").Details[0], "expires in 29 days")
	assert.Equal(t, "passed", c.of(t, "IssuerValid").Status)
	assert.Equal(t, "failed", c.of(t, "IssuerTrusted").Status, "another authority signs than the one that proxies trust")
	assert.Equal(t, "passed", c.of(t, "AuthorityStrong").Status)
	assert.Equal(t, "unknown", c.of(t, "ControlPlaneReady").Status, "no kubelet runs here, so that nothing has a status")
	for _, secret := range strings.Split(strings.TrimSpace(string(key)), "\n") {
		assert.NotContains(t, r.out+r.notes, secret)
	}

	// A webhook that fails closed, with nobody behind it.
	s.given(t, []*object{newObject("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "", "strict", map[string]any{"webhooks": []any{map[string]any{
		"name": "strict.example.org", "sideEffects": "None", "admissionReviewVersions": []any{"v1"}, "failurePolicy": "Fail",
		"clientConfig":   map[string]any{"service": map[string]any{"namespace": "istio-system", "name": "istiod", "path": "/v"}},
		"objectSelector": map[string]any{"matchLabels": map[string]any{"example.org/none": "such"}},
		"rules":          []any{map[string]any{"apiGroups": []any{"networking.k8s.io"}, "apiVersions": []any{"v1"}, "operations": []any{"CREATE"}, "resources": []any{"networkpolicies"}}},
	}}})})
	c, _ = check(t, config, args...)
	assert.Equal(t, "failed", c.of(t, "WebhooksAnswer").Status)
	assert.Equal(t, []string{"ValidatingWebhookConfiguration strict strict.example.org: it judges NetworkPolicy, and Service istio-system/istiod has no ready endpoint"}, c.of(t, "WebhooksOnWrites").Details)
	assert.Contains(t, strings.Join(c.of(t, "WebhookCertificates").Details, "\n"), "strict.example.org: no caBundle for Service istio-system/istiod")
}

func TestCheckWaitsUntilAllPasses(t *testing.T) {
	s := newServer(t)
	lease := newObject("coordination.k8s.io/v1", "Lease", "palisade-system", "palisade", map[string]any{"spec": map[string]any{
		"holderIdentity": "palisade-0", "leaseDurationSeconds": int64(15), "renewTime": time.Now().Add(-time.Hour).UTC().Format(metav1.RFC3339Micro),
	}})
	s.given(t, []*object{lease})
	c, _ := check(t, config, "--only", "ControllerLeads")
	assert.Equal(t, "warning", c.of(t, "ControllerLeads").Status)
	assert.Regexp(t, `held by "palisade-0", renewed 1h0m\d+s ago`, c.of(t, "ControllerLeads").Details[0])

	done := make(chan error, 1)
	go func() {
		time.Sleep(2 * time.Second)
		there := lease.DeepCopy()
		there.Object["spec"].(map[string]any)["renewTime"] = time.Now().UTC().Format(metav1.RFC3339Micro)
		data, err := json.Marshal(there.Object)
		if err == nil {
			_, err = s.resource(t, there).Patch(t.Context(), there.GetName(), types.MergePatchType, data, metav1.PatchOptions{})
		}
		done <- err
	}()
	began := time.Now()
	c, r := check(t, config, "--only", "ControllerLeads", "--fail-on", "warning", "--wait", "1m")
	require.NoError(t, <-done)
	assert.Equal(t, "passed", c.of(t, "ControllerLeads").Status)
	assert.Less(t, time.Since(began), 40*time.Second)
	assert.Contains(t, r.notes, "left: not passed: ControllerLeads")

	second := lease.DeepCopy()
	second.SetNamespace("elsewhere")
	second.Object["spec"].(map[string]any)["renewTime"] = time.Now().UTC().Format(metav1.RFC3339Micro)
	s.given(t, []*object{second})
	c, r = check(t, config, "--only", "ControllerLeads")
	assert.Equal(t, "failed", c.of(t, "ControllerLeads").Status)
	assert.Equal(t, 1, r.code)
}
